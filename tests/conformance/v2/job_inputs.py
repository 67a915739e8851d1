"""Inputs and outputs of every type."""

from __future__ import annotations

import pytest
from azure.ai.ml import Input
from azure.core.exceptions import HttpResponseError
from helpers import FILE, FOLDER, inner_code, inputs_of, submit, yaml_job
from identity import SCOPE, WORKSPACE

examines = pytest.mark.examines

_LONG = f"azureml://subscriptions/{WORKSPACE['subscription_id']}/resourcegroups/rg/workspaces/ws"


def typed(ml, **inputs):
    submit(ml, "typed-1", "typed_inputs", "1", **{"count": 5, **inputs})
    return ml.jobs.get("typed-1")


@examines("JobOperations.create_or_update", "JobOperations.get")
def test_literals_of_each_type(ml):
    job = typed(ml, rate=0.25, verbose=True, label="green")
    assert inputs_of(job) == {"count": "5", "rate": "0.25", "verbose": "True", "label": "green"}


@examines("JobOperations.create_or_update")
@pytest.mark.parametrize(
    ("given", "found"),
    [
        ("7", "7"),
        ("", None),
        ("2026-11-29T00:00:00Z", "2026-11-29T00:00:00Z"),
        ('한국어, "quotes" and ${{x}}', '한국어, "quotes" and ${{x}}'),
    ],
)
def test_texts_arrive_as_they_are_and_the_sdk_leaves_empty_ones_out(ml, given, found):
    submit(ml, input_datapath=Input(type="uri_folder", path=FOLDER), input_string=given)
    assert inputs_of(ml.jobs.get("score-1")).get("input_string") == found


@examines("JobOperations.create_or_update", "JobOperations.get")
@pytest.mark.parametrize(
    ("path", "found"),
    [
        (FILE, FILE),
        (f"{_LONG}/datastores/workspaceblobstore/paths/f.csv", f"{_LONG}/datastores/workspaceblobstore/paths/f.csv"),
        (
            "https://account.blob.core.windows.net/container/f.csv",
            "https://account.blob.core.windows.net/container/f.csv",
        ),
        ("azureml:rows:1", "rows:1"),
        (f"{SCOPE}/data/rows/versions/1", "rows:1"),
    ],
)
def test_every_way_to_name_data(ml, path, found):
    assert inputs_of(typed(ml, input_file=Input(type="uri_file", path=path)))["input_file"] == found


@examines("JobOperations.create_or_update", "JobOperations.get")
@pytest.mark.parametrize("mode", ["ro_mount", "rw_mount", "download", "direct", "eval_mount", "eval_download"])
def test_every_mode_of_an_input(ml, mode):
    job = typed(ml, input_file=Input(type="uri_file", path=FILE, mode=mode))
    assert job.inputs["input_file"]._data.mode == mode


@examines("JobOperations.create_or_update", "JobOperations.get")
def test_tables_and_models(ml):
    table, model = Input(type="mltable", path="azureml:rows:1"), Input(type="custom_model", path="azureml:best:2")
    job = typed(ml, input_table=table, input_model=model)
    found = {name: (item._data.type, item._data.path) for name, item in job.inputs.items() if name != "count"}
    assert found == {"input_table": ("mltable", "rows:1"), "input_model": ("custom_model", "best:2")}


@examines("JobOperations.create_or_update", "JobOperations.get")
@pytest.mark.parametrize("mode", ["upload", "rw_mount", "direct"])
def test_the_place_of_an_output(ml, mode):
    job = yaml_job(more=f'outputs: {{scores: {{type: uri_folder, path: "{FOLDER}out/", mode: {mode}}}}}')
    ml.jobs.create_or_update(job)
    found = ml.jobs.get("yaml-1").outputs["scores"]._data
    assert (found.type, found.path, found.mode) == ("uri_folder", f"{FOLDER}out/", mode)


@examines("JobOperations.create_or_update")
def test_an_output_without_a_place(ml):
    ml.jobs.create_or_update(yaml_job(more="outputs: {scores: {type: uri_folder}}"))
    assert ml.jobs.get("yaml-1").outputs["scores"]._data.path is None


@examines("JobOperations.create_or_update")
@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"rate": 0.5}, "InputMissing"),
        (
            {"count": 5, "input_file": Input(type="uri_file", path="azureml://datastores/nope/paths/f")},
            "DatastoreNotFound",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_the_server(ml, inputs, code):
    with pytest.raises(HttpResponseError) as raised:
        submit(ml, "typed-1", "typed_inputs", "1", **inputs)
    assert (raised.value.status_code, inner_code(raised.value)) == (400, code)
