"""Where sensors, the hook and the commands read datastores, while v1's service is there and when it is gone."""

from __future__ import annotations

import json
import re

import pytest
from support.drivers.command_line import CommandLine
from support.drivers.watching import look, sensor, variables_in_memory
from support.services.recorded_workspace import RecordedWorkspace

from aml_provider.client.flows import datastores
from aml_provider.client.models import Recurrence
from aml_provider.compat import AirflowFailException
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator, AzureMLDisableScheduleOperator

SERVICE = re.compile(r".*/(datastore)/v1.0/|.*(workspaces)/[^/]+/datastores")
SERVICES = {"datastore": "v1", "workspaces": "arm"}
RETIRED = "datastore service of Azure ML v1 has been shut down. With datastore_api=auto or arm"
MISSPELT = "has no datastore 'landin'; did you mean 'landing'"


@pytest.fixture(autouse=True)
def variables(monkeypatch):
    monkeypatch.setattr(datastores, "_CHANGED_OVER", set())
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    return variables_in_memory(monkeypatch)


@pytest.fixture
def landing(azurite):
    with azurite.container() as container:
        container.upload_blob("incoming/old.csv", b"x")
        yield container


@pytest.fixture
def serve(azurite, landing, monkeypatch, request):
    """Serve a workspace with one datastore, and make it the default connection."""
    store = {
        "name": "landing",
        "account_name": azurite.account_name,
        "account_key": azurite.account_key,
        "container": landing.container_name,
    }

    def start(api, *quirks):
        running = RecordedWorkspace({"datastores": [store], "default_datastore": "landing"}, quirks=quirks)
        running.__enter__()
        request.addfinalizer(lambda: running.__exit__(None, None, None))
        connection = running.connection()
        connection["extra"] |= {"datastore_api": api, "blob_endpoint": azurite.blob_endpoint}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        return running

    return start


def asked(workspace):
    """The services that were asked for datastores, without repetitions in a row."""
    found = [SERVICE.match(entry["path"]) for entry in workspace.requests()]
    names = [SERVICES[match[1] or match[2]] for match in found if match]
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


#: What is asked with each value of datastore_api, while v1 is there and after it.
WAYS = [
    ("auto", (), ["v1"]),
    ("v1", (), ["v1"]),
    ("arm", (), ["arm"]),
    ("auto", ("v1_gone",), ["v1", "arm"]),
    ("arm", ("v1_gone",), ["arm"]),
]


@pytest.mark.parametrize(("api", "quirks", "services"), WAYS)
def test_a_sensor_lists_the_folder_with_the_credential_from_the_service_that_is_there(
    serve, landing, api, quirks, services
):
    workspace = serve(api, *quirks)
    assert look(sensor(datastore="landing")) == []
    assert asked(workspace) == services
    landing.upload_blob("incoming/new.csv", b"1234")
    assert look(sensor(datastore="landing")) == [("incoming/new.csv", "added")]


@pytest.mark.parametrize(("api", "quirks", "services"), WAYS)
def test_the_hook_reads_them_there_too(serve, azurite, api, quirks, services):
    workspace = serve(api, *quirks)
    hook = AzureMLHook()
    for read in (lambda: hook.get_datastore("landing"), hook.get_default_datastore):
        store = read()
        assert (store.name, store.account_key) == ("landing", azurite.account_key)
    assert [store.name for store in hook.list_datastores()] == ["landing"]
    assert asked(workspace)[: len(services)] == services


async def test_the_hooks_twins_read_them_there_too(serve, azurite):
    serve("auto", "v1_gone")
    hook = AzureMLHook()
    assert (await hook.async_get_datastore("landing")).account_key == azurite.account_key
    assert (await hook.async_get_default_datastore()).account_key == azurite.account_key
    assert [store.credential_type for store in await hook.async_list_datastores()] == ["AccountKey"]


@pytest.mark.parametrize(("api", "quirks", "services"), WAYS)
def test_the_command_lists_them_there_too(serve, monkeypatch, capsys, azurite, api, quirks, services):
    workspace = serve(api, *quirks)
    answer = CommandLine(monkeypatch, capsys)("datastores", "list", "-o", "json")
    assert [(item["name"], item["credential_type"]) for item in answer.json] == [("landing", "AccountKey")]
    assert azurite.account_key not in answer.out + answer.err
    assert asked(workspace) == services


def test_the_change_over_is_reported_once(serve, caplog):
    serve("auto", "v1_gone")
    for _ in range(2):
        look(sensor(datastore="landing"))
        AzureMLHook().get_datastore("landing")
    assert len([said for said in caplog.messages if "so datastores of workspace 'local' are read there" in said]) == 1


def test_v1_alone_is_an_error_that_names_the_field_when_it_is_gone(serve, monkeypatch, capsys):
    serve("v1", "v1_gone")
    for read in (
        lambda: look(sensor(datastore="landing")),
        lambda: AzureMLHook().get_datastore("landing"),
        AzureMLHook().get_default_datastore,
        AzureMLHook().list_datastores,
    ):
        with pytest.raises(AirflowFailException, match=RETIRED):
            read()
    answer = CommandLine(monkeypatch, capsys)("datastores", "list")
    assert answer.code == 1
    assert RETIRED in answer.err


@pytest.mark.parametrize(("api", "quirks"), [(api, quirks) for api, quirks, _ in WAYS])
def test_a_misspelt_datastore_costs_the_error_that_says_so(serve, api, quirks):
    serve(api, *quirks)
    for read in (lambda: look(sensor(datastore="landin")), lambda: AzureMLHook().get_datastore("landin")):
        with pytest.raises(AirflowFailException, match=MISSPELT):
            read()


def test_v1s_schedules_say_that_their_service_is_gone_and_what_succeeds_them(serve):
    serve("auto", "v1_gone")
    yearly = Recurrence("Month", 12, start_time="2099-01-01T00:00:00")
    context = {"ti": None}
    create = AzureMLCreateScheduleOperator(
        task_id="create", name="yearly", pipeline_name="quick", experiment_name="exp", recurrence=yearly
    )
    disable = AzureMLDisableScheduleOperator(task_id="disable", schedule_name="yearly")
    hook = AzureMLHook()
    for act in (
        lambda: create.execute(context),
        lambda: disable.execute(context),
        hook.list_schedules,
        lambda: hook.create_schedule("yearly", experiment_name="exp", pipeline_id="quick", recurrence=yearly),
    ):
        with pytest.raises(AirflowFailException, match=r"v1 has been shut down.*AzureMLCreateJobSchedule"):
            act()


def test_the_test_of_the_connection_says_what_is_gone_and_passes(serve):
    serve("auto", "v1_gone")
    works, message = AzureMLHook().test_connection()
    assert works
    assert "0 registered components; the pipelines service of Azure ML v1 is gone." in message
