"""The arguments that an exported DAG gives to the run operator."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aml_provider.cli.export.native_times import NotExpressible
from aml_provider.cli.export.run_arguments import of_job_schedule, of_schedule
from aml_provider.client.entities import JobSchedule, Schedule
from aml_provider.client.models import DataPath

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
COMPONENT = f"{WORKSPACE}/components/score/versions/2"


def v1(target=("PipelineId", "p-1"), **submission):
    wire = {"Id": "s-1", "Name": "nightly", target[0]: target[1], "PipelineSubmissionInfo": {"ExperimentName": "work"}}
    wire["PipelineSubmissionInfo"] |= submission
    return of_schedule(
        Schedule.from_wire(wire), {"p-1": SimpleNamespace(name="score")}, {"e-1": SimpleNamespace(name="door")}
    )


def v2(**job):
    definition = {"jobType": "Pipeline", "componentId": COMPONENT, "experimentName": "work", **job}
    properties = {"action": {"actionType": job.pop("actionType", "CreateJob"), "jobDefinition": definition}}
    return of_job_schedule(JobSchedule.from_wire({"name": "nightly", "properties": properties}), WORKSPACE)


class TestPublishedPipelines:
    def test_everything_that_the_operator_takes_is_carried_over(self):
        run = v1(
            ParameterAssignments={"count": "7", "none": None},
            DataPathAssignments={"input": {"DataStoreName": "store", "RelativePath": "in"}},
            DataSetDefinitionValueAssignments={"set": {"SavedDataSetReference": {"Id": "d-1"}}},
            Description="nightly scores",
            ContinueRunOnStepFailure=False,
            tags={"team": "a", "airflow.key": "x"},
            RunSource="SDK",
            EnableNotification=False,
            Properties={"airflow.schedule_key": "k"},
        )
        assert run.subject == "published pipeline 'score'"
        assert run.arguments == {
            "pipeline_id": "p-1",
            "experiment_name": "work",
            "parameters": {"count": "7", "none": ""},
            "data_paths": {"input": DataPath("store", "in")},
            "datasets": {"set": "d-1"},
            "tags": {"team": "a"},
            "description": "nightly scores",
            "continue_on_step_failure": False,
        }
        assert run.notes == []

    def test_an_endpoint_is_run_too(self):
        run = v1(("PipelineEndpointId", "e-1"))
        assert run.subject == "pipeline endpoint 'door'"
        assert run.arguments == {"endpoint_id": "e-1", "experiment_name": "work"}
        assert v1(("PipelineEndpointId", "gone")).subject == "pipeline endpoint 'gone'"

    def test_what_the_operator_cannot_take_is_noted(self):
        notes = v1(
            EnableNotification=True,
            Properties={"cost": "1"},
            DataSetDefinitionValueAssignments={"set": {"Inline": {}}},
            ParameterAssignments={"url": "https://a.blob.core.windows.net/c/x?sv=1&sig=abcdefghijklmnop"},
        ).notes
        text = "\n".join(notes)
        for words in ("'EnableNotification'", "properties of runs: 'cost'", "The dataset 'set'", "The parameter 'url'"):
            assert words in text

    def test_a_signature_is_not_written(self):
        url = "https://a.blob.core.windows.net/c/x?sv=1&sig=abcdefghijklmnop"
        run = v1(
            ParameterAssignments={"url": url}, DataPathAssignments={"p": {"DataStoreName": "s", "RelativePath": url}}
        )
        assert "abcdefghijklmnop" not in repr(run)

    def test_a_signature_in_a_tag_or_description_is_left_out_and_noted(self):
        url = "https://a.blob.core.windows.net/c/x?sv=1&sig=abcdefghijklmnop"
        for run in (
            v1(tags={"from": url, "team": "a"}, Description=url),
            v2(tags={"from": url, "team": "a"}, description=url),
        ):
            assert run.arguments["tags"] == {"team": "a"}
            assert "description" not in run.arguments
            assert run.notes == [
                "The tag 'from' has a signature, which is not written to a file.",
                "The description has a signature, which is not written to a file.",
            ]

    @pytest.mark.parametrize(
        ("submission", "reason"),
        [
            ({"ExperimentName": ""}, "experiment_name"),
            ({"ExperimentName": "not a name"}, "experiment_name"),
            ({"DataPathAssignments": {"p": {"DataStoreName": "https://x"}}}, "an address"),
            ({"DataPathAssignments": {"p": None}}, "no datastore"),
            ({"ParameterAssignments": {"": "x"}}, "parameters"),
        ],
    )
    def test_what_the_operator_would_refuse_is_refused(self, submission, reason):
        with pytest.raises(NotExpressible, match=reason):
            v1(**submission)

    def test_a_schedule_of_nothing_is_refused(self):
        with pytest.raises(NotExpressible, match="neither a published pipeline nor"):
            v1(("Other", "x"))


class TestComponents:
    def test_everything_that_the_operator_takes_is_carried_over(self):
        short, own = "azureml://datastores", f"azureml:/{WORKSPACE}/datastores"
        address = "azureml://subscriptions/s/resourcegroups/g/workspaces/w/datastores"
        run = v2(
            inputs={
                "count": {"jobInputType": "literal", "value": 7},
                "short": {"jobInputType": "uri_folder", "uri": f"{short}/store/paths/in/new/"},
                "long": {"jobInputType": "uri_folder", "uri": f"{own}/store/paths/x"},
                "address": {"jobInputType": "uri_folder", "uri": f"{address}/store/paths/y"},
                "asset": {"jobInputType": "mltable", "uri": "azureml:sales:3"},
                "asset_id": {"jobInputType": "mltable", "uri": f"azureml:{WORKSPACE}/data/sales/versions/4"},
            },
            settings={
                "ContinueRunOnStepFailure": True,
                "default_compute": f"{WORKSPACE}/computes/cpu",
                "_source": "REMOTE.WORKSPACE.JOB",
            },
            tags={"team": "a", "airflow.key": "x"},
            description="nightly scores",
            outputs={},
        )
        assert run.subject == "component 'score', version 2"
        assert run.arguments == {
            "component_name": "score",
            "component_version": "2",
            "experiment_name": "work",
            "parameters": {"count": "7"},
            "data_paths": {
                "short": DataPath("store", "in/new/"),
                "long": DataPath("store", "x"),
                "address": DataPath("store", "y"),
            },
            "datasets": {"asset": "sales:3", "asset_id": "sales:4"},
            "tags": {"team": "a"},
            "description": "nightly scores",
            "continue_on_step_failure": True,
            "compute": "cpu",
        }
        assert run.notes == []

    def test_what_the_operator_cannot_take_is_noted(self):
        run = v2(
            inputs={
                "when": {"jobInputType": "literal", "value": "${{creation_context.trigger_time}}"},
                "empty": {"jobInputType": "literal", "value": ""},
                "url": {"jobInputType": "uri_file", "uri": "https://x/y?sv=1&sig=abcdefghijklmnop"},
                "foreign": {"jobInputType": "uri_file", "uri": "azureml:/subscriptions/other/datastores/s/paths/p"},
                "mode": {"jobInputType": "uri_file", "uri": "azureml:a:1", "mode": "Download"},
            },
            settings={"force_rerun": True},
            outputs={"out": {}},
            identity={"identityType": "Managed"},
        )
        text = "\n".join(run.notes)
        for words in ("macro", "'empty' is an empty", "'url'", "'foreign'", "'Download'", "'settings.force_rerun'"):
            assert words in text
        assert "'outputs'" in text
        assert "'identity'" in text
        assert "abcdefghijklmnop" not in repr(run)
        assert run.arguments["datasets"] == {"mode": "a:1"}
        assert "parameters" not in run.arguments

    @pytest.mark.parametrize(
        ("job", "reason"),
        [
            ({"componentId": ""}, "does not run a component of this workspace"),
            ({"componentId": COMPONENT.replace("/w/", "/other/")}, "does not run a component of this workspace"),
            ({"componentId": "azureml://registries/r/components/c/versions/1"}, "component of this workspace"),
            ({"sourceJobId": "/jobs/1"}, "copies of a job"),
            ({"jobType": "Command"}, "does not start pipeline jobs"),
            ({"experimentName": None}, "experiment_name"),
        ],
    )
    def test_other_jobs_are_refused(self, job, reason):
        with pytest.raises(NotExpressible, match=reason):
            v2(**job)
