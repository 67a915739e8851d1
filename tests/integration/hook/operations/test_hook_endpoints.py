"""The hook's methods for pipeline endpoints."""

from __future__ import annotations

import dataclasses

import pytest
from support.drivers.hook_faces import ENDPOINT, OLD, SCORE, TYPED

from aml_provider.client.errors import ReplyLost
from aml_provider.compat import AirflowFailException


def test_list_get_and_find(hook):
    (found,) = hook.list_endpoints()
    assert (found.id, found.name, found.default_version) == (ENDPOINT, "score-endpoint", "1")
    assert found.versions == {"0": OLD, "1": SCORE}
    assert hook.get_endpoint(ENDPOINT) == hook.find_endpoint("score-endpoint") == found
    assert {item.id for item in hook.list_pipelines_of_endpoint(ENDPOINT)} == {OLD, SCORE}
    with pytest.raises(AirflowFailException, match="did you mean 'score-endpoint'"):
        hook.find_endpoint("score-endpoin")


def test_all_endpoints_are_listed_though_the_service_gives_as_many_as_it_is_asked_for(emulator, hook):
    for number in range(100):
        known = emulator.state.endpoints[ENDPOINT]
        emulator.state.endpoints[f"e{number}"] = dataclasses.replace(known, id=f"e{number}", name=f"e{number}")
    assert len(hook.list_endpoints()) == 101
    asked = emulator.requests("GET", "PipelineEndpoints")
    sizes = [{name.lower(): value for name, value in item["headers"].items()}["batchsize"] for item in asked]
    assert sizes == ["100", "1000"]


def test_from_its_creation_to_the_archive(emulator, hook):
    made = hook.create_endpoint("door", OLD, description="of the house")
    assert (made.versions, made.default_version, made.description) == ({"0": OLD}, "0", "of the house")
    more = hook.add_endpoint_version(made.id, SCORE)
    assert (more.versions, more.default_version) == ({"0": OLD, "1": SCORE}, "0")
    assert hook.add_endpoint_version(made.id, SCORE) == more, "once is enough"
    last = hook.add_endpoint_version(made.id, TYPED, set_default=True)
    assert (last.versions["2"], last.default_version) == (TYPED, "2")
    assert hook.set_default_endpoint_version(made.id, "1").default_version == "1"
    with pytest.raises(AirflowFailException, match="has no version '9'; it has 0, 1, 2"):
        hook.set_default_endpoint_version(made.id, "9")
    renamed = hook.update_endpoint(made.id, name="gate", description="of the garden")
    assert (renamed.name, renamed.description, len(renamed.versions)) == ("gate", "of the garden", 3)
    assert hook.disable_endpoint(made.id).status == "Disabled"
    assert made.id not in {item.id for item in hook.list_endpoints()}
    assert made.id in {item.id for item in hook.list_endpoints(active_only=False)}
    assert hook.enable_endpoint(made.id).is_active
    archived = hook.archive_endpoint(made.id)
    assert archived.status == "Disabled"
    assert archived.name not in {"door", "gate"}
    assert hook.create_endpoint("gate", SCORE).id != made.id, "its name is free"


def test_a_name_that_is_taken(emulator, hook):
    with pytest.raises(AirflowFailException, match=rf"named 'score-endpoint' exists already \({ENDPOINT}, Active"):
        hook.create_endpoint("score-endpoint", SCORE)
    assert emulator.requests("POST") == []


def test_a_lost_reply_makes_no_second_one(emulator, hook):
    emulator.faults.add("drop", method="POST", path="*/PipelineEndpoints/Create")
    made = hook.create_endpoint("door", OLD)
    assert made.name == "door"
    assert len(emulator.requests("POST", "Create")) == 1


def test_a_creation_that_never_arrived_is_told(emulator, hook):
    emulator.faults.add("refuse", method="POST", path="*/PipelineEndpoints/Create")
    with pytest.raises(ReplyLost):
        hook.create_endpoint("door", OLD)


def test_what_others_have_set_stays(emulator, hook):
    emulator.state.endpoints[ENDPOINT].tags["team"] = "red"
    emulator.state.endpoints[ENDPOINT].properties["p"] = "q"
    hook.disable_endpoint(ENDPOINT)
    stored = emulator.state.endpoint(ENDPOINT)
    assert (stored.status, stored.tags, stored.properties) == ("Disabled", {"team": "red"}, {"p": "q"})
    assert stored.versions == {"0": OLD, "1": SCORE}


def test_a_status_that_is_so_already_costs_no_write(emulator, hook):
    assert hook.enable_endpoint(ENDPOINT).is_active
    assert emulator.requests("PUT") == []


@pytest.mark.parametrize("value", ["", " ", None, 5])
def test_a_name_that_is_none(emulator, hook, value):
    for argument, call in (
        ("name", lambda: hook.create_endpoint(value, SCORE)),
        ("pipeline_id", lambda: hook.create_endpoint("door", value)),
        ("pipeline_id", lambda: hook.add_endpoint_version(ENDPOINT, value)),
        ("version", lambda: hook.set_default_endpoint_version(ENDPOINT, value)),
    ):
        with pytest.raises(AirflowFailException, match=f"^{argument}: "):
            call()
    assert emulator.requests() == []
