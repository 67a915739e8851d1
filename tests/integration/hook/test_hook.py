"""The hook against a local workspace: what its methods do, and what the form's Test button says."""

from __future__ import annotations

import asyncio
import json
import logging
import os

import pytest
from support.services.authority import CLIENT, TENANT, Authority
from support.services.recorder import Answer, Recorder

from aml_provider.client import calls
from aml_provider.client.entities import RunState
from aml_provider.client.errors import ServerFault, Unreachable
from aml_provider.compat import AirflowFailException, AirflowNotFoundException
from aml_provider.emulator.server import EmulatorServer
from aml_provider.hooks.azure_ml import AzureMLHook

SECRET = "connection-secret"
PIPELINES = "*/pipelines/v1.0/*/Pipelines"


def test_a_variable_with_a_typo_is_not_called_missing(monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_AML", f'{{"conn_type": "azureml", "password": "{SECRET}", "extra": {{broken')
    hook = AzureMLHook("aml")
    for read in (hook.settings, lambda: asyncio.run(hook.async_settings())):
        with pytest.raises(
            AirflowNotFoundException, match=r"AIRFLOW_CONN_AML is set, but is not JSON: .* column "
        ) as found:
            read()
        assert SECRET not in str(found.value)


def test_what_is_missing_is_called_missing():
    with pytest.raises(AirflowNotFoundException, match="isn't defined") as found:
        AzureMLHook("nobody").settings()
    assert "AIRFLOW_CONN" not in str(found.value)


@pytest.fixture(scope="module")
def running():
    """Without blobs; the hook does not touch them."""
    with EmulatorServer(seed="demo") as running:
        yield running


@pytest.fixture
def emulator(running):
    """As new, and its time stands still."""
    running.reset()
    running.clock.hold()
    return running


@pytest.fixture
def connect(emulator, monkeypatch):
    """Make the connection ``aml`` lead to the emulator and return a hook."""

    def connect(*, login=None, password=SECRET, **extra):
        fields = {
            "subscription_id": "sub-1",
            "resource_group": "rg",
            "workspace_name": "ws",
            "auth_method": "static_token",
            "endpoint": emulator.url,
            **extra,
        }
        connection = {"conn_type": "azureml", "login": login, "password": password, "extra": fields}
        monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps(connection))
        monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
        monkeypatch.setenv("AIRFLOW__AZUREML__TRUSTED_ENDPOINTS", "127.0.0.1")
        return AzureMLHook("aml")

    return connect


def pipeline_id(emulator):
    return next(item.id for item in emulator.state.pipelines.values() if item.status == "Active")


class TestTestConnection:
    def failed(self, hook, step):
        success, message = hook.test_connection()
        assert success is False
        assert message.startswith(f"Step {step!r} failed: ")
        assert SECRET not in message
        return message

    def test_success_says_what_was_found(self, connect):
        success, message = connect().test_connection()
        assert success is True
        assert message.startswith("Connected: workspace 'ws' in ")
        assert "active published pipelines" in message
        assert "https://ml.azure.com is optional: pipeline jobs are submitted without one (auth_method" in message
        assert SECRET not in message

    def test_a_connection_that_does_not_exist_is_named(self):
        assert "missing_conn" in self.failed(AzureMLHook("missing_conn"), "settings")

    @pytest.mark.parametrize(
        ("extra", "field"),
        [
            ({"workspace_name": ""}, "workspace_name"),
            ({"cloud": "mars"}, "cloud"),
            ({"endpoint": "http://emulator:8700"}, "endpoint"),
            ({"config_json": "{"}, "config_json"),
            ({"auth_method": "client_secret"}, "login|tenant_id"),
            ({"auth_method": "workload_identity"}, "auth_method"),
        ],
    )
    def test_a_field_that_cannot_be_used(self, connect, emulator, extra, field):
        message = self.failed(connect(**extra), "settings")
        assert any(name in message for name in field.split("|"))
        assert emulator.requests() == []

    def test_airflows_own_id_for_the_test_is_not_shown(self, connect, emulator, monkeypatch):
        """The form's *Test* puts what is typed into a connection of a random id, which nobody can find."""
        connect()
        stored = json.loads(os.environ["AIRFLOW_CONN_AML"])
        for extra in ({"workspace_name": ""}, {"config_json": "{"}, {"auth_method": "client_secret"}, {"cloud": "x"}):
            monkeypatch.setenv("AIRFLOW_CONN_QXZJWKVB", json.dumps(stored | {"extra": stored["extra"] | extra}))
            assert "qxzjwkvb" not in self.failed(AzureMLHook("qxzjwkvb"), "settings").lower()

    def test_an_endpoint_is_trusted_as_everywhere_else(self, connect, monkeypatch):
        """The form must not send the host's own token to where no operator or sensor would send it."""
        hook = connect(auth_method="azure_cli", password="")
        monkeypatch.setenv("PATH", "")
        self.failed(hook, "token")
        monkeypatch.delenv("AIRFLOW__AZUREML__TRUSTED_ENDPOINTS")
        assert "trusted_endpoints" in self.failed(hook, "settings")

    def test_a_static_token_that_is_missing(self, connect):
        assert "password" in self.failed(connect(password=""), "settings")

    def test_credentials_that_the_identity_provider_refuses(self, connect, emulator, tmp_path, monkeypatch):
        with Authority(tmp_path) as authority:
            authority.secrets = {CLIENT: "another-secret"}
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
            for name, value in authority.proxy.items():
                monkeypatch.setenv(name, value)
            hook = connect(auth_method="client_secret", login=CLIENT, tenant_id=TENANT)
            message = self.failed(hook, "token")
            assert "AADSTS7000215" in message
            assert "password" in message, "it says which field to change"
            authority.secrets = {CLIENT: SECRET}
            assert hook.test_connection()[0] is True
            assert emulator.requests()[0]["method"] == "GET"

    def test_an_identity_provider_that_is_away(self, connect, emulator, tmp_path, monkeypatch):
        with Authority(tmp_path) as authority:
            authority.outage = 503
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
            for name, value in authority.proxy.items():
                monkeypatch.setenv(name, value)
            hook = connect(auth_method="client_secret", login=CLIENT, tenant_id=TENANT)
            assert "identity provider did not answer" in self.failed(hook, "token")
        assert emulator.requests() == []

    def test_a_token_that_the_workspace_does_not_take(self, monkeypatch):
        with EmulatorServer(seed="demo", token="the-right-one") as emulator:
            extra = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w", "endpoint": emulator.url}
            connection = {"password": SECRET, "extra": {**extra, "auth_method": "static_token"}}
            monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps({"conn_type": "azureml", **connection}))
            message = self.failed(AzureMLHook("aml"), "workspace")
        assert "401" in message
        assert (
            "The request has no valid bearer token. With auth_method 'static_token' the connection's password"
            in message
        )
        assert "tenant_id" not in message

    @pytest.mark.parametrize(
        ("status", "parts"),
        [
            (404, ["404", "workspace 'ws' of resource group 'rg'"]),
            (403, ["403", "Microsoft.MachineLearningServices/workspaces/read", "'Reader'"]),
            (500, ["500"]),
            (429, ["429"]),
        ],
    )
    def test_a_workspace_that_cannot_be_read(self, connect, emulator, status, parts):
        emulator.faults.add("status", path="/subscriptions/*", status=status, times=9)
        message = self.failed(connect(), "workspace")
        for part in [*parts, "get the workspace", "x-ms-client-request-id="]:
            assert part in message

    def test_a_person_who_waits_for_it_does_not_wait_for_the_retry_budget(self, connect, emulator, monkeypatch):
        hook = connect()
        monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "600")
        emulator.faults.add("status", path="/subscriptions/*", status=500, times=1000)
        assert "500" in self.failed(hook, "workspace")
        assert len(emulator.requests()) <= 5, "they fit into two seconds; six hundred hold more than twenty"

    def test_pipelines_that_may_not_be_read(self, connect, emulator):
        emulator.faults.add("status", path=PIPELINES, status=403)
        message = self.failed(connect(), "pipelines")
        assert "Microsoft.MachineLearningServices/workspaces/endpoints/pipelines/read" in message

    def test_a_host_where_nobody_listens(self, connect, closed_port):
        url = f"http://127.0.0.1:{closed_port}"
        message = self.failed(connect(endpoint=url), "workspace")
        assert url.removeprefix("http://") in message
        assert "region or endpoint" in message

    @pytest.mark.parametrize("body", [b"<html><body>Sign in to continue</body></html>", b"", b"OK"])
    def test_a_page_in_place_of_an_answer(self, connect, body):
        with Recorder() as proxy:
            proxy.answer("GET", "*", Answer(body=body))
            message = self.failed(connect(endpoint=proxy.url), "workspace")
        assert body.decode() in message
        assert "no proxy answers instead" in message

    def test_a_reply_that_is_cut_off(self, connect, emulator):
        emulator.faults.add("broken_json", path=PIPELINES, times=9)
        assert "published pipelines" in self.failed(connect(), "pipelines")

    def test_a_slip_is_forgiven(self, connect, emulator):
        emulator.faults.add("drop", path="/subscriptions/*")
        assert connect().test_connection()[0] is True


class TestMethods:
    def test_pipelines(self, connect, emulator):
        hook = connect()
        listed = hook.list_pipelines()
        assert listed
        assert all(pipeline.is_active for pipeline in listed)
        assert len(hook.list_pipelines(active_only=False)) >= len(listed)
        assert hook.find_pipeline(listed[0].name) == listed[0]
        with pytest.raises(AirflowFailException, match="no published pipeline named 'nothing like it'"):
            hook.find_pipeline("nothing like it")

    def test_a_run_from_submission_to_its_end(self, connect, emulator, caplog):
        hook = connect()
        run = hook.submit_pipeline(
            pipeline_id(emulator),
            experiment_name="x",
            parameters={"input_string": 5},
            data_paths={"input_datapath": "workspaceblobstore/in/a.csv"},
            tags={"team": "ml"},
            description="by hand",
        )
        assert run.state in {RunState.NOT_STARTED, RunState.RUNNING}
        (sent,) = emulator.requests("POST", "PipelineSubmit")
        assert sent["body"]["ParameterAssignments"] == {"input_string": "5"}
        assert sent["body"]["tags"] == {"team": "ml"}
        emulator.clock.advance(3600)
        with caplog.at_level(logging.INFO):
            ended = hook.wait_for_run(run.id)
        assert ended.state is RunState.FINISHED
        assert hook.get_run(run.id) == ended
        assert [step.status for step in hook.list_steps(ended)] == ["Completed", "Completed"]

    def test_waiting_stops_at_its_timeout_and_cancelling_ends_the_run(self, connect, emulator):
        hook = connect()
        run = hook.submit_pipeline(pipeline_id(emulator), experiment_name="x")
        assert not hook.wait_for_run(run.id, timeout=0).state.is_final
        assert hook.cancel_run(run.id, reason="by hand").state is RunState.CANCELED
        assert hook.cancel_run(run.id).state is RunState.CANCELED
        assert len(emulator.requests("DELETE")) == 1
        (mark,) = emulator.requests("PATCH")
        assert mark["body"]["tags"] == {"airflow.cancel": "by hand"}

    def test_datastores(self, connect):
        hook = connect()
        names = [store.name for store in hook.list_datastores()]
        assert "workspaceblobstore" in names
        assert hook.get_datastore("workspaceblobstore").container
        with pytest.raises(AirflowFailException, match="no datastore 'missing'"):
            hook.get_datastore("missing")

    def test_a_lost_submission_is_not_repeated_and_says_that_it_is_in_doubt(self, connect, emulator):
        emulator.faults.add("drop", method="POST", path="*PipelineSubmit*", times=9)
        with pytest.raises(Exception, match="broke before the reply arrived") as caught:
            connect().submit_pipeline(pipeline_id(emulator), experiment_name="x")
        assert caught.value.in_doubt
        assert len(emulator.requests("POST", "PipelineSubmit")) == 1
        assert len(emulator.state.runs) == 1, "it was carried out"

    @pytest.mark.parametrize("field", ["experiment_name", "parameters", "data_paths"])
    def test_a_bad_argument_costs_no_request(self, connect, emulator, field):
        arguments = {"experiment_name": "x", field: ["bad"]}
        with pytest.raises(AirflowFailException, match=field):
            connect().submit_pipeline("p", **arguments)
        assert emulator.requests() == []

    def test_a_client_for_several_requests(self, connect, emulator):
        with connect().client() as client:
            client.call(calls.list_pipelines())
            client.call(calls.list_datastores())
        assert len(emulator.requests()) == 2

    def test_get_conn_is_closed_by_its_caller(self, connect):
        client = connect().get_conn()
        try:
            assert client.call(calls.list_pipelines())
        finally:
            client.close()

    def test_a_client_for_an_event_loop(self, connect):
        async def names():
            async with connect().async_client() as client:
                return [item.name for item in await client.call(calls.list_pipelines())]

        assert asyncio.run(names()) == [item.name for item in connect().list_pipelines()]

    def test_permanent_errors_become_airflows_in_both(self, connect, emulator):
        hook = connect()

        async def fail():
            async with hook.async_client() as client:
                await client.call(calls.get_run("missing"))

        with pytest.raises(AirflowFailException, match="'missing'"):
            hook.get_run("missing")
        with pytest.raises(AirflowFailException, match="'missing'"):
            asyncio.run(fail())

    def test_others_stay_what_they_are_in_both(self, connect, emulator):
        hook = connect()
        emulator.faults.add("status", status=503, times=99)

        async def fail():
            async with hook.async_client() as client:
                await client.call(calls.get_run("r"))

        with pytest.raises(ServerFault):
            hook.get_run("r")
        with pytest.raises(ServerFault):
            asyncio.run(fail())


def test_the_retry_budget_is_a_config_option(connect, emulator, monkeypatch):
    hook = connect()
    emulator.faults.add("refuse", times=1)
    with pytest.raises(Exception, match="broke before"):
        hook.get_run("r")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "5")
    emulator.faults.add("refuse", times=1)
    with pytest.raises(AirflowFailException, match="404"):
        hook.get_run("r")


def test_nothing_is_looked_up_before_a_method_is_called():
    assert AzureMLHook("there_is_none").azureml_conn_id == "there_is_none"


def test_unreachable_is_no_permanent_error(connect, closed_port):
    with pytest.raises(Unreachable):
        connect(endpoint=f"http://127.0.0.1:{closed_port}").get_run("r")
