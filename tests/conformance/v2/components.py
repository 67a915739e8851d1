"""Registered components: versions, labels, archiving, registering."""

from __future__ import annotations

import pytest
from azure.ai.ml import Input, load_component
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import FOLDER, inner_code, submit, yaml_job

examines = pytest.mark.examines

ALL = ["score_files", "typed_inputs", "fails_at_train", "long_running", "count_rows"]
NEW = """
type: pipeline
name: {name}
{version}
display_name: Two steps
description: Does two things.
tags: {{a: b}}
inputs:
  folder: {{type: uri_folder}}
  count: {{type: integer, default: 3, min: 1, max: 9}}
outputs:
  scores: {{type: uri_folder}}
jobs:
  first:
    type: command
    component: azureml:count_rows:1
    compute: azureml:cpu-cluster
    inputs: {{data: "${{{{parent.inputs.folder}}}}"}}
"""


@examines("ComponentOperations.get")
def test_a_version_has_its_interface(ml):
    found = ml.components.get("typed_inputs", "1")
    assert (found.name, found.version, found.type) == ("typed_inputs", "1", "pipeline")
    types = {name: item["type"] for name, item in found.inputs.items()}
    assert types == {
        "count": "integer",
        "rate": "number",
        "verbose": "boolean",
        "label": "string",
        "input_file": "uri_file",
        "input_table": "mltable",
        "input_model": "custom_model",
    }
    assert (found.inputs["count"]["min"], found.inputs["count"]["max"]) == (0, 100)
    assert (found.inputs["rate"]["default"], found.inputs["label"]["default"]) == (0.5, "red")
    assert (found.inputs["verbose"]["optional"], found.inputs["label"]["enum"]) == (True, ["red", "green"])
    assert {name: item["type"] for name, item in found.outputs.items()} == {
        "scores": "uri_folder",
        "summary": "uri_file",
    }


@examines("ComponentOperations.get")
def test_texts_and_tags_of_a_version(ml):
    found = ml.components.get("score_files", "2")
    assert (found.display_name, found.description) == ("Score files", "Counts the rows of CSV files.")
    assert found.tags == {"stage": "production"}
    assert found.id.endswith("/components/score_files/versions/2")
    assert list(found.jobs) == ["read", "score"]


@examines("ComponentOperations.get", "ComponentOperations.list")
def test_a_component_of_a_command(ml):
    found = ml.components.get("count_rows", "1")
    assert (found.type, found.command, found.inputs["data"]["type"]) == ("command", "echo count_rows", "uri_file")
    assert [item.version for item in ml.components.list("count_rows")] == ["1"]


@examines("ComponentOperations.get")
@pytest.mark.parametrize("how", [{}, {"label": "latest"}, {"label": "default"}])
def test_the_newest_version(ml, how):
    assert ml.components.get("score_files", **how).version == "2"


@examines("ComponentOperations.get")
@pytest.mark.parametrize(
    "how", [("score_files", "9"), ("nope", "1"), ("nope",), ("nope", None, "latest"), ("score_files", "x")]
)
def test_get_of_a_missing_component(ml, how):
    with pytest.raises(ResourceNotFoundError, match=how[0]):
        ml.components.get(*how)


@examines("ComponentOperations.list")
def test_names_are_listed_with_their_newest_version(ml):
    found = {item.name: item.latest_version for item in ml.components.list()}
    assert found == dict.fromkeys(ALL, "1") | {"score_files": "2"}


@examines("ComponentOperations.list")
@pytest.mark.parametrize(
    ("view", "names"), [("ActiveOnly", ALL), ("ArchivedOnly", ["retired"]), ("All", [*ALL[:4], "retired", ALL[4]])]
)
def test_archived_components_are_listed_on_demand(ml, view, names):
    assert [item.name for item in ml.components.list(list_view_type=view)] == names


@examines("ComponentOperations.list")
def test_versions_are_listed(ml):
    found = list(ml.components.list("score_files"))
    assert [(item.version, item.type) for item in found] == [("2", "pipeline"), ("1", "pipeline")]
    with pytest.raises(ResourceNotFoundError):
        list(ml.components.list("nope"))


@examines("ComponentOperations.list")
def test_lists_have_pages(serve):
    _, ml = serve("--quirk", "page_size=1")
    assert [item.name for item in ml.components.list()] == ALL
    assert [item.version for item in ml.components.list("score_files")] == ["2", "1"]


@examines("ComponentOperations.archive", "ComponentOperations.restore", "ComponentOperations.get")
def test_a_version_is_archived_and_restored(ml):
    ml.components.archive("score_files", "2")
    assert [item.version for item in ml.components.list("score_files")] == ["1"]
    # It can still be read, and is not the newest one any more.
    assert ml.components.get("score_files", "2").tags == {"stage": "production"}
    assert ml.components.get("score_files").version == ml.components.get("score_files", label="latest").version == "1"
    assert ml.jobs.create_or_update(yaml_job(component="score_files:2")).status
    ml.components.restore("score_files", version="2")
    assert [item.version for item in ml.components.list("score_files")] == ["2", "1"]


@examines("ComponentOperations.archive", "ComponentOperations.restore")
def test_a_component_is_archived_and_restored_with_all_its_versions(ml):
    ml.components.archive("score_files")
    assert "score_files" not in {item.name for item in ml.components.list()}
    assert list(ml.components.list("score_files")) == []
    assert [item.version for item in ml.components.list("score_files", list_view_type="ArchivedOnly")] == ["2", "1"]
    ml.components.restore("score_files")
    assert [item.name for item in ml.components.list()] == ALL


@examines("ComponentOperations.archive")
def test_archive_by_label_and_of_a_missing_one(ml):
    ml.components.archive("score_files", label="latest")
    assert [item.version for item in ml.components.list("score_files")] == ["1"]
    for how in (("nope",), ("nope", "1"), ("score_files", "9")):
        with pytest.raises(ResourceNotFoundError):
            ml.components.archive(*how)


def component(tmp_path, name="two_steps", version="version: '1'"):
    file = tmp_path / "component.yml"
    file.write_text(NEW.format(name=name, version=version))
    return load_component(file)


@examines("ComponentOperations.create_or_update", "ComponentOperations.get")
def test_a_pipeline_component_is_registered_and_can_be_run(ml, emulator, tmp_path):
    made = ml.components.create_or_update(component(tmp_path))
    again = ml.components.get("two_steps", "1")
    assert (made.version, again.version, again.description) == ("1", "1", "Does two things.")
    assert {name: item["type"] for name, item in again.inputs.items()} == {"folder": "uri_folder", "count": "integer"}
    assert (again.inputs["count"]["default"], again.tags, list(again.jobs)) == (3, {"a": "b"}, ["first"])
    submit(ml, component="two_steps", version="1", folder=Input(type="uri_folder", path=FOLDER))
    emulator.advance(60)
    assert ml.jobs.get("score-1").status == "Completed"


@examines("ComponentOperations.create_or_update")
def test_without_a_version_the_next_one_is_registered(ml, tmp_path):
    for version in ("1", "2"):
        assert ml.components.create_or_update(component(tmp_path, version="")).version == version
    assert ml.components.get("two_steps").version == "2"


@examines("ComponentOperations.create_or_update")
def test_a_version_gets_another_description_but_no_other_interface(ml, tmp_path):
    made = component(tmp_path)
    ml.components.create_or_update(made)
    made.description, made.tags = "Does both.", {"c": "d"}
    changed = ml.components.create_or_update(made)
    assert (changed.description, changed.tags) == ("Does both.", {"c": "d"})
    other = component(tmp_path)
    other.inputs.pop("count")
    with pytest.raises(HttpResponseError) as raised:
        ml.components.create_or_update(other)
    assert (raised.value.status_code, inner_code(raised.value)) == (400, "Immutable")
    assert set(ml.components.get("two_steps", "1").inputs) == {"folder", "count"}


@examines("ComponentOperations.validate")
def test_a_component_is_valid(ml):
    assert ml.components.validate(ml.components.get("score_files", "2")).passed
