"""Finding a run by its key, and what not finding it proves."""

from __future__ import annotations

import json

import pytest
from support.service_model import KnownEvidence, Service

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, NotFound, PermissionDenied, ServerFault
from aml_provider.client.run_request import RunRequest
from aml_provider.client.settings import CLOUDS, WorkspaceSettings
from aml_provider.state.lookup import KEY, WAYS, Search, look, search

DAY = 86_400.0
SETTINGS = WorkspaceSettings(
    subscription_id="s",
    resource_group="g",
    workspace_name="w",
    region="eastus",
    endpoint=None,
    cloud=CLOUDS["public"],
    auth_method="static_token",
    secret="token",
)


def submit(service, key="k1"):
    body = RunRequest.of(experiment_name="exp").to_wire(marks={KEY: key}, notification=True)

    def flow():
        run = yield calls.submit_pipeline("pipe", body)
        return run.id

    run_id = service.drive(flow())
    service.runs[-1].generation = run_id  # another task's, as far as the model cares
    return run_id


def find(service, way, key="k1", pipeline_id="pipe"):
    return service.drive(look(way, key, "exp", pipeline_id))


def search_for(service, key="k1", *, patience, pipeline_id="pipe"):
    return service.drive(search(key, "exp", pipeline_id, patience=patience, now=service.now))


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_found_in_each_way_by_its_own_key_only(way):
    service = Service()
    submit(service, "k1")
    submit(service, "k2")
    assert find(service, way, "k2") == ("run-2",)
    assert find(service, way, "k3") == ()


@pytest.mark.parametrize(
    ("quirks", "expected"),
    [
        ({"drop_tags": True}, [(), ("run-1",), ("run-1",)]),
        ({"drop_properties": True}, [("run-1",), (), ("run-1",)]),
        ({"drop_tags": True, "drop_properties": True}, [(), (), ()]),
        ({"lag": 5.0}, [(), (), ()]),
    ],
)
def test_which_way_finds_a_run_depends_on_what_the_workspace_keeps(quirks, expected):
    service = Service(**quirks)
    submit(service)
    assert [find(service, way) for way in WAYS] == expected


@pytest.mark.parametrize("way", ["tag", "property"])
def test_an_experiment_that_does_not_exist_has_no_runs(way):
    service = Service()
    service.refusals = {"runs:query": NotFound("query", status=404)}
    assert find(service, way) == ()


def test_a_pipeline_that_is_not_known_gives_no_answer():
    with pytest.raises(AzureMLError, match="not known"):
        find(Service(), "pipeline", pipeline_id=None)


class UnfilteredService(Service):
    """A run history that does not understand the filter and lets every run through, the newest first."""

    def _answer(self, call):
        if call.path.endswith("runs:query"):
            return {"value": [self._history_wire(run) for run in self._listed()[: call.body["top"]]]}
        return super()._answer(call)


def test_a_filter_that_is_ignored_finds_what_is_on_the_page_and_is_no_answer_otherwise():
    service = UnfilteredService()
    submit(service, "k1")
    assert find(service, "tag", "k1") == ("run-1",)
    for number in range(20):
        submit(service, f"other-{number}")
    with pytest.raises(AzureMLError, match="does not filter by Tags"):
        find(service, "tag", "k1")
    assert search_for(service, patience=0.0).answered == {"pipeline"}


def test_a_search_ends_with_the_first_find():
    service = Service()
    submit(service)
    assert search_for(service, patience=60.0) == Search(("run-1",), "tag", frozenset({"tag"}))
    assert len(service.calls("runs:query|Pipeline/pipe")) == 1


@pytest.mark.parametrize(("lag", "found"), [(59.0, ("run-1",)), (60.0, ("run-1",)), (61.0, ())])
def test_the_last_look_begins_when_patience_has_passed(lag, found):
    service = Service(lag=lag)
    submit(service)
    began = service.time
    assert search_for(service, patience=60.0).run_ids == found
    assert service.time - began <= 60.0


def test_a_search_without_patience_looks_once():
    service = Service()
    assert search_for(service, patience=0.0) == Search((), "", frozenset(WAYS))
    assert len(service.log) == 3


class SlowService(Service):
    """Answers only after 20 seconds."""

    def _answer(self, call):
        self.wait(20.0)
        return super()._answer(call)


def test_time_spent_on_answers_counts_as_patience():
    service = SlowService()
    search_for(service, patience=60.0)
    assert len(service.log) == 6


def test_a_search_says_who_answered_and_why_others_did_not():
    service = Service()
    problem = ServerFault("query", status=503)
    service.refusals = {"runs:query": problem}
    assert search_for(service, patience=0.0) == Search((), "", frozenset({"pipeline"}), problem)
    assert search_for(service, patience=0.0, pipeline_id=None).answered == frozenset()


# What finding nothing proves


def evidence(service, shelf):
    return KnownEvidence(SETTINGS, service, shelf)


def gather(service, shelf, key="k1"):
    service.drive(evidence(service, shelf).gather(key, "exp", "pipe", patience=60.0))
    return json.loads(shelf[-1])


def nothing_by(*ways):
    return Search((), "", frozenset(ways))


def test_nothing_learnt_proves_nothing():
    known = evidence(Service(), [])
    assert not known.proves_absence(nothing_by(*WAYS))
    assert not known.may_yet_prove(nothing_by(*WAYS))
    assert known.may_yet_prove(nothing_by())


@pytest.mark.parametrize("way", WAYS)
def test_only_a_way_that_found_something_before_proves_absence(way):
    known = evidence(Service(), [json.dumps({"found": [way], "missed": {}})])
    others = tuple(other for other in WAYS if other != way)
    assert known.proves_absence(nothing_by(way))
    assert not known.proves_absence(nothing_by(*others))
    assert known.may_yet_prove(nothing_by(*others))
    assert not known.proves_absence(Search(("run-1",), way, frozenset({way})))


@pytest.mark.parametrize(
    ("quirks", "found"),
    [
        ({}, ["pipeline", "property", "tag"]),
        ({"drop_tags": True}, ["pipeline", "property"]),
        ({"drop_properties": True}, ["pipeline", "tag"]),
        ({"lag": 30.0}, ["pipeline", "property", "tag"]),
        ({"lag": 300.0}, []),
    ],
)
def test_what_one_run_teaches(quirks, found):
    service = Service(**quirks)
    submit(service)
    shelf = []
    learnt = gather(service, shelf)
    assert learnt["found"] == found
    assert sorted(learnt["missed"]) == sorted(set(WAYS) - set(found))
    assert evidence(service, shelf).due == ()


def test_a_way_that_missed_is_tried_again_after_a_day_without_waiting():
    service = Service(drop_tags=True)
    submit(service)
    shelf = []
    gather(service, shelf)
    service.time += DAY + 1
    service.drop_tags = False
    submit(service, "k2")
    assert evidence(service, shelf).due == ("tag",)
    before = service.time
    assert gather(service, shelf, "k2") == {"found": ["pipeline", "property", "tag"], "missed": {}}
    assert service.time == before


def test_a_way_that_gives_no_answer_is_not_asked_with_every_run():
    service = Service()
    submit(service)
    service.refusals = {"runs:query": PermissionDenied("query", status=403)}
    shelf = []
    assert gather(service, shelf)["found"] == ["pipeline"]
    assert evidence(service, shelf).due == ()


def test_two_tasks_that_learn_at_once_lose_nothing():
    service = Service()
    submit(service)
    shelf = []
    slow = evidence(service, shelf)
    gather(service, shelf)
    service.refusals = {"runs:query|Pipeline/pipe": ServerFault("query", status=503)}
    service.drive(slow.gather("k1", "exp", "pipe", patience=0.0))
    assert json.loads(shelf[-1]) == {"found": ["pipeline", "property", "tag"], "missed": {}}


@pytest.mark.parametrize("edited", ["", "{", "[]", "7", '{"found": 3}', '{"found": ["tag"], "missed": {"tag": "x"}}'])
def test_an_edited_variable_is_no_reason_to_fail(edited):
    known = evidence(Service(), [edited])
    assert set(known.due) <= set(WAYS)


def test_a_way_that_nobody_knows_is_no_evidence():
    known = evidence(Service(), ['{"found": ["magic"], "missed": {}}'])
    assert not known.proves_absence(nothing_by(*WAYS))


def test_workspaces_do_not_share_evidence():
    names = {
        KnownEvidence(settings, Service(), [])._variable
        for settings in (
            SETTINGS,
            WorkspaceSettings(**vars(SETTINGS) | {"workspace_name": "other"}),
            WorkspaceSettings(**vars(SETTINGS) | {"endpoint": "https://elsewhere"}),
            WorkspaceSettings(**vars(SETTINGS) | {"cloud": CLOUDS["china"]}),
        )
    }
    assert len(names) == 4
    same = WorkspaceSettings(**vars(SETTINGS) | {"workspace_name": "W"})
    assert KnownEvidence(same, Service(), [])._variable in names
