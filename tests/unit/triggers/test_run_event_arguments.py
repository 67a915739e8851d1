"""The arguments of the trigger for the ends of runs."""

from __future__ import annotations

import json
from datetime import timedelta

import airflow
import pytest

from aml_provider.client.errors import InvalidArgument
from aml_provider.triggers.run_event import AzureMLPipelineRunEventTrigger

VERSION = tuple(map(int, airflow.__version__.split(".")[:2]))

watching = pytest.mark.skipif(VERSION < (3, 0), reason="Airflow has watchers from 3.0 on")
no_watchers = pytest.mark.skipif(VERSION >= (3, 0), reason="Airflow 3 has watchers")


def watcher(**arguments):
    if not {"pipeline_id", "pipeline_name", "component_name", "schedule_name", "job_schedule_name"} & arguments.keys():
        arguments.setdefault("experiment_name", "exp")
    return AzureMLPipelineRunEventTrigger(**{"poll_interval": 0.1, **arguments})


@watching
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"experiment_name": "a/b"}, "experiment_name: "),
        ({"pipeline_id": " "}, "pipeline_id: "),
        ({"component_name": "train:1"}, "component_name: "),
        ({"statuses": []}, "statuses: is empty"),
        ({"statuses": ["Running"]}, "statuses: has 'Running'; use Finished, Failed and Canceled"),
        ({"statuses": 5}, "statuses: "),
        ({"tags": {"a": 1}}, "tags.'a'.: "),
        ({"tags": ["a"]}, "tags: "),
        ({"poll_interval": 0}, "poll_interval: "),
        ({"on_first_poll": "maybe"}, "on_first_poll: "),
        ({"state_key": ""}, "state_key: "),
        ({"azureml_conn_id": None}, "azureml_conn_id: "),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_bad_argument_is_an_import_error_that_names_it(arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        watcher(**arguments).serialize()


@watching
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "needs one of pipeline_id, .*; it was given none"),
        ({"pipeline_id": "a", "pipeline_name": "b"}, "takes only one of pipeline_id, pipeline_name"),
        ({"schedule_name": "a", "job_schedule_name": "b"}, "takes only one of schedule_name, job_schedule_name"),
        ({"schedule_name": "a", "experiment_name": "b"}, "does not take experiment_name with schedule_name"),
    ],
)
def test_arguments_that_exclude_each_other_are_refused_when_the_trigger_is_made(arguments, message):
    with pytest.raises(InvalidArgument, match=message):
        AzureMLPipelineRunEventTrigger(**arguments)


@watching
def test_words_of_both_services_are_stored_as_one():
    _, one = watcher(statuses=("completed", "Failed")).serialize()
    _, other = watcher(statuses=["Failed", "Finished", "Completed"], poll_interval=timedelta(seconds=0.1)).serialize()
    assert one == other == json.loads(json.dumps(one))
    assert one["statuses"] == ["Failed", "Finished"]
    assert watcher(statuses="Completed").serialize()[1]["statuses"] == ["Finished"]


@no_watchers
def test_before_airflow_3_there_are_no_watchers():
    with pytest.raises(RuntimeError, match=r"AssetWatcher, which Airflow has since 3\.0; use AzureMLPipelineRunSensor"):
        watcher()
