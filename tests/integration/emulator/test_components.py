"""Components of the v2 API: lists of names and versions, the newest one, the interface, changes."""

from __future__ import annotations

import pytest
from support.services.workspace_api import SCOPE, serving

COMPONENTS = f"{SCOPE}/components"


@pytest.fixture
def api():
    with serving() as running:
        yield running


def test_components_have_their_newest_and_next_version(api):
    found = {item["name"]: item["properties"] for item in api.ask("GET", f"{COMPONENTS}?listViewType=All")["value"]}
    assert {name: (item["latestVersion"], item["nextVersion"]) for name, item in found.items()} == {
        "fit_files": ("2", "3"),
        "cook": ("1", "2"),
    }
    assert api.ask("GET", f"{COMPONENTS}/cook")["properties"] == found["cook"]


def test_the_newest_version_comes_first(api):
    assert api.listed("/components/fit_files/versions") == ["2", "1"]
    page = api.ask("GET", f"{COMPONENTS}/fit_files/versions", params={"$orderBy": "createdtime desc", "$top": "1"})
    assert [item["name"] for item in page["value"]] == ["2"]
    assert [item["name"] for item in api.ask("GET", page["nextLink"])["value"]] == ["1"]
    assert api.listed("/components/fit_files/versions?$orderBy=createdtime asc") == ["1", "2"]
    assert "createdtime" in api.ask("GET", f"{COMPONENTS}/fit_files/versions?$orderBy=name", 400)


def test_the_interface_of_a_version(api):
    version = api.ask("GET", f"{COMPONENTS}/fit_files/versions/1")
    assert version["id"] == f"{COMPONENTS}/fit_files/versions/1"
    spec = version["properties"]["componentSpec"]
    assert spec["inputs"] == {
        "rate": {"type": "number", "optional": False, "default": "0.5"},
        "label": {"type": "string", "optional": True},
        "input": {"type": "uri_folder", "optional": False},
        "table": {"type": "mltable", "optional": True},
    }
    assert (spec["type"], spec["outputs"], list(spec["jobs"])) == (
        "pipeline",
        {"scores": {"type": "uri_folder"}},
        ["prepare", "fit"],
    )


@pytest.mark.parametrize("path", ["/none", "/none/versions", "/fit_files/versions/9"])
def test_unknown_ones(api, path):
    assert "was not found" in api.ask("GET", f"{COMPONENTS}{path}", 404)


def test_archived_versions_are_listed_apart():
    seed = {"components": [{"name": "a", "version": "1", "archived": True}, {"name": "a", "version": "2"}]}
    with serving(seed) as api:
        assert api.listed("/components") == ["a"]
        assert api.listed("/components?listViewType=ArchivedOnly") == []
        assert api.listed("/components/a/versions") == ["2"]
        assert api.listed("/components/a/versions?listViewType=ArchivedOnly") == ["1"]


def test_bounds_and_enumerations_are_texts():
    inputs = [{"name": "n", "type": "integer", "min": 1, "max": 9, "default": 5}, {"name": "s", "enum": ["a", "b"]}]
    with serving({"components": [{"name": "a", "inputs": inputs}]}) as api:
        spec = api.ask("GET", f"{COMPONENTS}/a/versions/1")["properties"]["componentSpec"]
        assert spec["inputs"] == {
            "n": {"type": "integer", "optional": False, "default": "5", "min": "1", "max": "9"},
            "s": {"type": "string", "optional": False, "enum": ["a", "b"]},
        }


def spec(**changes):
    inputs = {"folder": {"type": "uri_folder"}, "count": {"type": "integer", "default": 3, "min": 1}}
    jobs = {"first": {"type": "command", "component": f"{COMPONENTS}/cook/versions/1"}, "second": {"type": "command"}}
    return {
        "type": "pipeline",
        "inputs": inputs,
        "outputs": {"scores": {"type": "uri_folder"}},
        "jobs": jobs,
        **changes,
    }


def put(api, status, path="two_steps/versions/1", /, **properties):
    return api.ask("PUT", f"{COMPONENTS}/{path}", status, json={"properties": {"componentSpec": spec(), **properties}})


def test_the_default_version_is_the_newest_that_is_not_archived(api):
    def default():
        return api.ask("GET", f"{COMPONENTS}/fit_files/versions/azureml_default")["name"]

    assert default() == "2"
    api.emulator.state.components.get("fit_files:2").archived = True
    assert default() == "1"
    api.emulator.state.components.get("fit_files:1").archived = True
    assert "was not found" in api.ask("GET", f"{COMPONENTS}/fit_files/versions/azureml_default", 404)


def test_a_registered_version_is_served_as_it_was_sent_and_runs(api):
    made = put(api, 201, description="d", tags={"a": "b"})
    found = api.ask("GET", f"{COMPONENTS}/two_steps/versions/1")
    assert made == found
    assert found["properties"]["componentSpec"] == {**spec(), "name": "two_steps", "version": "1"}
    assert (found["properties"]["description"], found["properties"]["tags"]) == ("d", {"a": "b"})
    folder = {"folder": {"jobInputType": "uri_folder", "uri": "azureml://datastores/store/paths/in/"}}
    api.put_job(component="two_steps:1", inputs=folder)
    assert "no input other" in api.put_job("job-2", 400, "two_steps:1", inputs={"other": folder["folder"]})
    api.emulator.clock.advance(60)
    assert [step["name"] for step in api.steps("job-1")] == ["first", "second"]
    assert api.job()["status"] == "Completed"


def test_of_an_existing_version_only_texts_and_archiving_change(api):
    put(api, 201)
    put(api, 200, description="other", tags={"c": "d"}, isArchived=True)
    found = api.ask("GET", f"{COMPONENTS}/two_steps/versions/1")["properties"]
    assert (found["description"], found["tags"], found["isArchived"]) == ("other", {"c": "d"}, True)
    for changed in ({"inputs": {}}, {"outputs": {}}, {"type": "command"}):
        assert "cannot be changed" in put(api, 400, componentSpec=spec(**changed))
    # What was read can be sent back, also for a version of the seed.
    read = api.ask("GET", f"{COMPONENTS}/fit_files/versions/2")
    read["properties"]["isArchived"] = True
    api.ask("PUT", f"{COMPONENTS}/fit_files/versions/2", json=read)
    assert api.listed("/components/fit_files/versions") == ["1"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "componentSpec is required"),
        (spec(type="spark"), "'spark' is not supported"),
        (spec(inputs={"x": {"type": "double"}}), "'double', not one of"),
        (spec(outputs={"x": {}}), "type is required"),
    ],
)
def test_a_specification_that_is_not_valid_is_refused(api, given, message):
    assert message in put(api, 400, componentSpec=given)
    assert api.listed("/components?listViewType=All") == ["fit_files", "cook"]


def test_a_component_is_archived_with_all_its_versions(api):
    for archived, names in ((True, ["cook"]), (False, ["fit_files", "cook"])):
        container = api.ask("PUT", f"{COMPONENTS}/fit_files", json={"properties": {"isArchived": archived}})
        assert container["properties"]["isArchived"] is archived
        assert api.listed("/components") == names
        assert len(api.listed("/components/fit_files/versions")) == (0 if archived else 2)
    assert "was not found" in api.ask("PUT", f"{COMPONENTS}/none", 404, json={"properties": {"isArchived": True}})


def test_registered_components_survive_a_restart(tmp_path):
    state = tmp_path / "state.json"
    with serving(state_file=state) as api:
        made = put(api, 201)
    with serving(state_file=state) as api:
        assert api.ask("GET", f"{COMPONENTS}/two_steps/versions/1")["properties"] == made["properties"]


def test_every_name_is_a_compute(api):
    assert api.listed("/computes") == ["cpu-cluster"]
    found = api.ask("GET", f"{SCOPE}/computes/any")
    assert (found["id"], found["properties"]["computeType"]) == (f"{SCOPE}/computes/any", "AmlCompute")
