"""A run's request as a pipeline job: its id, its body, and what such a job cannot have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.specs.job import check_order, is_own_job_id, job_id, job_to_wire
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference, Target

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
ID = f"{WORKSPACE}/components/score/versions/2"
OWN = {"airflow.key": "0" * 32}


def target(**changes):
    inputs = (("folder", "uri_folder"), ("file", "uri_file"), ("table", "mltable"))
    return Target(**{"kind": "component", "id": ID, "version": "2", "name": "score", "data_inputs": inputs} | changes)


def job(component=None, own_tags=OWN, **arguments):
    request = RunRequest.of(**{"experiment_name": "scoring", **arguments})
    return job_to_wire(request, component or target(), workspace=WORKSPACE, own_tags=own_tags)["properties"]


class TestId:
    @given(st.text("0123456789abcdef", min_size=32, max_size=32), st.integers(0, 10**6))
    def test_one_of_ours_is_recognised(self, key, ordinal):
        assert is_own_job_id(job_id(key, ordinal))

    @pytest.mark.parametrize(
        "run_id",
        [
            "e93be7ca-56b0-458a-ad04-ed55432aa0cf",
            "gentle_diamond_hq3xhkclnj",
            "airflow-abc-2",
            f"airflow-{'a' * 32}",
            f"airflow-{'a' * 32}-",
            f"airflow-{'A' * 32}-0",
            f"airflow-{'a' * 32}-0-step",
            f"airflow-{'a' * 32}-0\n",
            "",
        ],
    )
    def test_another_one_is_not(self, run_id):
        assert not is_own_job_id(run_id)


class TestBody:
    def test_has_no_more_than_was_asked_for(self):
        assert job() == {
            "jobType": "Pipeline",
            "componentId": ID,
            "displayName": "score",
            "experimentName": "scoring",
            "tags": OWN,
            "properties": OWN,
            "isArchived": False,
            "jobs": {},
            "inputs": {},
            "outputs": {},
            "settings": {"_source": "REMOTE.WORKSPACE.JOB"},
        }

    def test_literals_travel_as_text(self):
        assert job(parameters={"a": 0.5, "b": True, "c": 20, "d": "x"})["inputs"] == {
            name: {"jobInputType": "literal", "value": value}
            for name, value in {"a": "0.5", "b": "True", "c": "20", "d": "x"}.items()
        }

    def test_the_type_of_the_input_says_whether_a_path_is_a_file(self):
        inputs = job(data_paths={"folder": "store/a/b", "file": "store/a/b", "table": "store/"})["inputs"]
        assert inputs == {
            "folder": {"jobInputType": "uri_folder", "uri": "azureml://datastores/store/paths/a/b"},
            "file": {"jobInputType": "uri_file", "uri": "azureml://datastores/store/paths/a/b"},
            "table": {"jobInputType": "mltable", "uri": "azureml://datastores/store/paths/"},
        }

    def test_a_dataset_is_a_data_asset(self):
        assert job(datasets={"folder": "images:3"})["inputs"] == {
            "folder": {"jobInputType": "uri_folder", "uri": "azureml:images:3"}
        }

    @pytest.mark.parametrize(
        ("argument", "given"), [("data_paths", {"other": "store/a"}), ("datasets", {"other": "a:1"})]
    )
    def test_data_without_an_input_of_its_name_cannot_be_sent(self, argument, given):
        with pytest.raises(InvalidArgument, match=rf"{argument}\['other'\]: is not an input of the component"):
            job(**{argument: given})

    def test_own_tags_win_and_are_properties_too(self):
        found = job(tags={"team": "ml"})
        assert found["tags"] == {"team": "ml", **OWN}
        assert found["properties"] == OWN

    def test_without_a_description_the_submitter_is_named(self):
        by_task = {"airflow.dag_id": "d", "airflow.task_id": "t"}
        assert job(own_tags=by_task)["description"] == "Submitted by DAG d, task t"
        assert job(own_tags=by_task, description="mine")["description"] == "mine"
        assert "description" not in job()

    @pytest.mark.parametrize(
        ("compute", "sent"),
        [
            ("cpu", f"{WORKSPACE}/computes/cpu"),
            ("azureml:cpu", f"{WORKSPACE}/computes/cpu"),
            (f"{WORKSPACE}/computes/cpu", f"{WORKSPACE}/computes/cpu"),
            ("serverless", "serverless"),
        ],
    )
    def test_a_compute_is_named_by_its_id(self, compute, sent):
        assert job(compute=compute)["settings"]["default_compute"] == sent

    def test_the_deployments_settings_are_carried_over_in_the_types_of_a_job(self):
        settings = {
            "default_compute": "cpu",
            "default_datastore": "store",
            "continue_on_step_failure": "False",
            "force_rerun": "true",
            "other": "False",
        }
        assert job(target(settings=tuple(settings.items())))["settings"] == {
            "default_compute": f"{WORKSPACE}/computes/cpu",
            "default_datastore": f"{WORKSPACE}/datastores/store",
            "continue_on_step_failure": False,
            "force_rerun": True,
            "other": "False",
            "_source": "REMOTE.WORKSPACE.JOB",
        }

    def test_the_request_overrides_the_deployments_settings(self):
        deployment = target(settings=(("default_compute", "cpu"), ("continue_on_step_failure", "False")))
        settings = job(deployment, compute="gpu", continue_on_step_failure=True)["settings"]
        assert settings["default_compute"] == f"{WORKSPACE}/computes/gpu"
        assert settings["continue_on_step_failure"] is True


def order(reference, parent_run_id=None, **arguments):
    check_order(reference, RunRequest.of(**{"experiment_name": "scoring", **arguments}), parent_run_id)


class TestOrder:
    COMPONENT = PipelineReference(component_name="score")
    PIPELINE = PipelineReference(pipeline_name="score")

    @pytest.mark.parametrize("reference", [COMPONENT, PipelineReference(batch_endpoint_name="score")])
    def test_what_a_job_cannot_have_is_refused(self, reference):
        with pytest.raises(InvalidArgument, match="parent_run_id: cannot be used with component_name"):
            order(reference, parent_run_id="r")
        with pytest.raises(InvalidArgument, match=r"parameters\['a'\]: is an empty text"):
            order(reference, parameters={"a": ""})

    @pytest.mark.parametrize("asset", ["0f0c-11", "a:", ":1", "a:b:c", "azureml://x", "a b:1"])
    def test_a_dataset_is_a_name_and_a_version(self, asset):
        order(self.PIPELINE, datasets={"d": asset})
        with pytest.raises(InvalidArgument, match=r"datasets\['d'\]: is '.*'; a component takes a data asset"):
            order(self.COMPONENT, datasets={"d": asset})

    def test_a_published_pipeline_has_no_default_compute(self):
        order(self.COMPONENT, compute="cpu", datasets={"d": "a:1"}, parameters={"a": " "})
        order(self.PIPELINE, parameters={"a": ""}, parent_run_id="r")
        with pytest.raises(InvalidArgument, match="compute: goes with component_name or batch_endpoint_name only"):
            order(self.PIPELINE, compute="cpu")
