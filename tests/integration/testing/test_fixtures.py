"""The fixtures of the pytest plugin, used here as users do."""

from __future__ import annotations

import json
import os

import pytest

from aml_provider.client.errors import ServiceError
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import lookup_timeout
from aml_provider.testing.workspace import LocalWorkspace

STEPS = [{"name": "work", "run_seconds": 3600}]


class TestTheDemo:
    def test_the_default_seed_is_the_demo(self, azureml_workspace):
        assert "score-files" in {pipeline.name for pipeline in azureml_workspace.state.pipelines.values()}

    def test_without_blobs_the_datastores_are_those_of_the_seed(self, azureml_workspace, azureml_connection):
        (store,) = AzureMLHook().list_datastores()
        assert store.container == "azureml-blobstore-demo"

    def test_it_answers_its_own_token_only(self, azureml_workspace, monkeypatch):
        with LocalWorkspace("none") as other:
            monkeypatch.setenv(
                "AIRFLOW_CONN_MIXED", json.dumps(other.connection() | {"password": azureml_workspace.token})
            )
            with pytest.raises(Exception, match="401"):
                AzureMLHook("mixed").list_pipelines()


class TestASeedOfOnesOwn:
    @pytest.fixture(params=["pipeline", "component"])
    def kind(self, request):
        return request.param

    @pytest.fixture
    def azureml_seed(self, kind):
        return {f"{kind}s": [{"name": "train", "steps": STEPS}]}

    def submit(self, kind, hook):
        if kind == "component":
            return hook.submit_job(component_name="train", experiment_name="work", tags={"a": "b"})
        return hook.submit_pipeline(hook.find_pipeline("train").id, experiment_name="work", tags={"a": "b"})

    def test_runs_of_both_apis_are_listed_as_the_clock_moves(self, azureml_workspace, azureml_connection, kind):
        azureml_workspace.clock.hold()
        run = self.submit(kind, AzureMLHook(azureml_connection))
        (shown,) = azureml_workspace.runs()
        assert (shown["id"], shown["experiment"], shown["tags"]["a"]) == (run.id, "work", "b")
        assert azureml_workspace.runs("elsewhere") == []
        azureml_workspace.clock.advance(3700)
        assert [run["status"] for run in azureml_workspace.runs("work")] == ["Finished"]

    def test_requests_are_logged_and_faults_apply(self, azureml_workspace, azureml_connection, kind, monkeypatch):
        monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
        azureml_workspace.faults.add("status", status=403, method="GET")
        with pytest.raises(Exception, match="403") as refused:
            AzureMLHook().list_pipelines()
        assert isinstance(refused.value, ServiceError)
        assert [request["fault"] for request in azureml_workspace.requests("GET")] == ["status"]


class TestAnotherConnection:
    @pytest.fixture
    def azureml_conn_id(self):
        return "aml_production"

    def test_it_has_the_id_that_the_dags_use(self, azureml_connection):
        assert azureml_connection == "aml_production"
        assert "AIRFLOW_CONN_AML_PRODUCTION" in os.environ
        assert AzureMLHook("aml_production").test_connection()[0]


class TestTheTimeOfALookUp:
    def test_it_is_short(self, azureml_connection):
        assert lookup_timeout() == 1

    @pytest.fixture
    def own_setting(self, monkeypatch):
        monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "7")

    def test_ones_own_setting_stays(self, own_setting, azureml_connection):
        assert lookup_timeout() == 7


class TestBlobs:
    def test_they_are_the_default_datastore_also_after_a_reset(
        self, azureml_blobs, azureml_workspace, azureml_connection
    ):
        for _ in range(2):
            store = AzureMLHook().get_default_datastore()
            assert (store.name, store.container) == ("workspaceblobstore", azureml_blobs.container)
            azureml_workspace.reset()

    def test_they_are_written_read_and_deleted(self, azureml_blobs):
        azureml_blobs.write("in/b.csv", b"bytes")
        azureml_blobs.write("in/b.csv", "text")
        azureml_blobs.write("a.csv")
        assert azureml_blobs.names() == ["a.csv", "in/b.csv"]
        assert azureml_blobs.names("in/") == ["in/b.csv"]
        assert azureml_blobs.read("in/b.csv") == b"text"
        azureml_blobs.delete("in/b.csv")
        assert azureml_blobs.names() == ["a.csv"]

    def test_each_test_has_a_container_of_its_own(self, azureml_blobs):
        assert azureml_blobs.names() == []

    @pytest.fixture
    def azureml_seed(self, azureml_blobs):
        return {"datastores": [azureml_blobs.datastore("landing")]}

    def test_a_seed_can_name_the_container_once_more(self, azureml_workspace, azureml_connection, azureml_blobs):
        stores = AzureMLHook().list_datastores()
        assert {store.name for store in stores} == {"landing", "workspaceblobstore"}
        assert {store.container for store in stores} == {azureml_blobs.container}


class TestSchedules:
    @pytest.fixture
    def azureml_seed(self):
        return {
            "pipelines": [{"name": "train", "id": "train", "steps": STEPS}],
            "components": [{"name": "train", "steps": STEPS}],
        }

    def test_those_of_both_apis_are_listed(self, azureml_workspace, azureml_connection):
        hook = AzureMLHook()
        daily = {"frequency": "Day", "interval": 1}
        hook.create_schedule("nightly", pipeline_id="train", experiment_name="e", recurrence=daily)
        hook.create_job_schedule(
            "weekly", component_name="train", experiment_name="e", cron="0 7 * * 1", start_time="2099-01-01T00:00:00"
        )
        assert [schedule["name"] for schedule in azureml_workspace.schedules()] == ["nightly"]
        assert [schedule["name"] for schedule in azureml_workspace.job_schedules()] == ["weekly"]
