"""Each error, raised as a user would meet it: the message that the page shows, and the address at its end."""

from __future__ import annotations

import json
import re
import traceback
from datetime import timedelta
from pathlib import Path

import pytest
from support.airflow.schedule_tasks import Disable, create
from support.airflow.task import RunPipeline, Task, TaskStateStore
from support.drivers.command_line import CommandLine
from support.drivers.watching import context_of
from support.services.local_workspace import serving

from aml_provider.cli.execution import UsageError
from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, InvalidArgument, RunFailed
from aml_provider.client.help import ERRORS, SITE, Helped, address_of, anchor
from aml_provider.compat import AirflowFailException, AirflowNotFoundException, AirflowSensorTimeout
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.operators.job_schedule import (
    AzureMLDeleteJobScheduleOperator,
    AzureMLDisableJobScheduleOperator,
    AzureMLEnableJobScheduleOperator,
)
from aml_provider.operators.pipeline import AzureMLDisablePipelineOperator, AzureMLEnablePipelineOperator
from aml_provider.operators.schedule import AzureMLDisableScheduleOperator, AzureMLEnableScheduleOperator
from aml_provider.parsing.literals import InvalidTask
from aml_provider.sensors.pipeline import AzureMLPipelineRunSensor
from aml_provider.state import variables

PAGE = (Path(__file__).parents[3] / "docs/troubleshooting/errors.md").read_text()
SUBMIT = "*/PipelineRuns/PipelineSubmit/*"
NOWHERE = {"auth_method": "static_token", "endpoint": "http://127.0.0.1:1"}


class World:
    """A workspace, a task, and ways to connect."""

    def __init__(self, workspace, task, monkeypatch):
        self.workspace = workspace
        self.task = task
        self.monkeypatch = monkeypatch

    def run(self, **arguments):
        return RunPipeline(**arguments).execute(self.task.context)

    def answers(self, status, **how):
        self.workspace.faults.add("status", status=status, times=1000, **how)
        AzureMLHook().get_pipeline("quick")

    def connect(self, **extra):
        connection = self.workspace.connection()
        connection["extra"] = {**connection["extra"], **extra}
        self.monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        return AzureMLHook()

    def under(self, *quirks):
        return serving(self.monkeypatch, quirks=quirks)


@pytest.fixture
def world(workspace, task, kept_in_memory, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "0")
    task.store = Store()
    return World(workspace, task, monkeypatch)


def invalid_argument(world):
    world.run(pipeline_id="quick", parameters="{{ 7 }}")


class Store(TaskStateStore):
    """Airflow's task state store, as far as the operators for schedules use it."""

    def delete(self, key):
        self.pop(key, None)


def invalid_task(world):
    RunPipeline(task_id="score", pipeline_id="quick", poll_interval=-1)


def credential_error(world):
    world.monkeypatch.setenv("PATH", "")
    world.monkeypatch.setenv("AIRFLOW__AZUREML__TRUSTED_ENDPOINTS", "127.0.0.1")
    world.connect(auth_method="azure_cli").list_pipelines()


def unreachable(world):
    world.connect(**NOWHERE).get_pipeline("quick")


def reply_lost(world):
    world.workspace.faults.add("drop", times=1000)
    AzureMLHook().get_pipeline("quick")


def malformed_reply(world):
    world.workspace.faults.add("html", status=200, times=1000)
    AzureMLHook().get_pipeline("quick")


def not_found(world):
    AzureMLHook().get_run("no-such-run")


def run_canceled(world):
    run_id = world.run(pipeline_id="long", wait_for_completion=False)
    world.workspace.state.cancel(run_id)
    sensor(run_id=run_id).poke(context_of())


def sensor(**arguments):
    return AzureMLPipelineRunSensor(task_id="watch", **arguments)


def sensor_timeout(world):
    run_id = world.run(pipeline_id="long", wait_for_completion=False)
    sensor(run_id=run_id, timeout=0, deferrable=True).execute(context_of())


def run_unwatched(world):
    world.workspace.faults.add("status", status=503, method="GET", path="*/PipelineRuns/*", times=1000)
    world.run(pipeline_id="long")


def run_still_active(world):
    world.run(pipeline_id="long", wait_for_completion=False)
    world.task.next_try()
    world.monkeypatch.setattr("sys.argv", ["airflow", "tasks", "test", "dag", "run", "manual__1"])
    world.run(pipeline_id="long", wait_for_completion=False)


def foreign_run(world):
    world.run(pipeline_id="long", wait_for_completion=False)
    world.monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "another")
    world.task.next_try()
    world.run(pipeline_id="long")


def submission_unsettled(world):
    other = Task()
    other.ti.dag_id = "other"
    RunPipeline(pipeline_id="quick", wait_for_completion=False).execute(other.context)
    world.workspace.faults.add("drop", method="POST", path=SUBMIT)
    world.workspace.faults.add("status", status=503, path="*runs:query", times=100)
    world.workspace.faults.add("status", status=503, path="*/PipelineRuns/Pipeline/*", times=100)
    world.run(pipeline_id="quick")


def submission_unknown(world):
    world.workspace.faults.add("status", status=503, method="POST", path=SUBMIT)
    world.run(pipeline_id="quick")


def two_schedules(world):
    body = {
        "Name": "nightly",
        "PipelineId": "quick",
        "PipelineSubmissionInfo": {"ExperimentName": "exp", "Properties": {}},
        "Recurrence": {"Frequency": "Hour", "Interval": 1, "TimeZone": "UTC"},
        "ScheduleType": "0",
    }
    with AzureMLHook().client() as client:
        for _ in range(2):
            client.call(calls.create_schedule(body))
    Disable(schedule_name="nightly").execute({})


def schedule_exists(world):
    create(world.task)
    AzureMLHook().create_schedule(
        "nightly",
        experiment_name="exp",
        pipeline_id="quick",
        recurrence={"frequency": "Day", "interval": 1},
    )
    create(world.task, if_exists="fail")


def schedule_started_run(world):
    with world.under("disabled_creation=ignored", "first_job_at_once"):
        AzureMLHook().create_job_schedule(
            "hourly",
            experiment_name="exp",
            component_name="quick",
            recurrence={"frequency": "Hour", "interval": 1},
            status="Disabled",
        )


def provisioning_failed(world):
    with world.under("provisioning_fails=no quota"):
        create(world.task)


def provisioning_unsettled(world):
    with world.under("provisioning=36000s"):
        create(world.task, execution_timeout=timedelta(seconds=0))


def stored_record_damaged(world):
    world.run(pipeline_id="long", wait_for_completion=False)
    world.task.record["ordinal"] = "first"
    world.run(pipeline_id="long")


def storage_error(world):
    class OldTask(Task):
        """A task of an Airflow without a task state store."""

        @property
        def context(self):
            return {"ti": self.ti}

    world.monkeypatch.setattr(variables, "read", lambda _: None)
    RunPipeline(pipeline_id="quick").execute(OldTask().context)


CASES = {
    "InvalidArgument": invalid_argument,
    "InvalidTask": invalid_task,
    "CredentialError": credential_error,
    "Unreachable": unreachable,
    "ReplyLost": reply_lost,
    "BadRequest": lambda world: world.answers(400),
    "AuthenticationRefused": lambda world: world.answers(401),
    "PermissionDenied": lambda world: world.answers(403),
    "NotFound": not_found,
    "Conflict": lambda world: world.answers(409),
    "Throttled": lambda world: world.answers(429),
    "ServerFault": lambda world: world.answers(503),
    "MalformedReply": malformed_reply,
    "PipelineError": lambda world: world.run(pipeline_name="quik"),
    "AmbiguousName": lambda world: world.run(pipeline_name="twins"),
    "PipelineDisabled": lambda world: world.run(pipeline_name="retired"),
    "InvalidParameters": lambda world: world.run(pipeline_id="quick", parameters={"cuont": 1}),
    "RunFailed": lambda world: world.run(pipeline_id="fails"),
    "RunCanceled": run_canceled,
    "RunTimedOut": lambda world: world.run(pipeline_id="long", execution_timeout=timedelta(seconds=0.3)),
    "RunUnwatched": run_unwatched,
    "RunStillActive": run_still_active,
    "ForeignRun": foreign_run,
    "SubmissionUnsettled": submission_unsettled,
    "SubmissionUnknown": submission_unknown,
    "ScheduleError": lambda _: Disable(schedule_name="weekly").execute({}),
    "AmbiguousSchedule": two_schedules,
    "ScheduleExists": schedule_exists,
    "ScheduleStartedRun": schedule_started_run,
    "ProvisioningFailed": provisioning_failed,
    "ProvisioningUnsettled": provisioning_unsettled,
    "StoredRecordDamaged": stored_record_damaged,
    "StorageError": storage_error,
}
# These need something else than a call that fails.
ELSEWHERE = {"AzureMLError", "ServiceError", "RunError", "CommandError", "UsageError", "UnsupportedAirflow"}


def examples(name):
    """The pattern of the page's messages of a class; an ellipsis stands for any text."""
    section = PAGE.partition(f"`{name}`")[2]
    messages = re.search(r"```text\n(.*?)\n```", section, re.DOTALL)[1].splitlines()
    return "|".join(".*".join(map(re.escape, message.split("…"))) for message in messages)


def only_address(text, address):
    assert text.endswith(f"Help: {address}"), text
    assert text.count(SITE) == 1, text


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize("name", CASES)
def test_a_message_is_that_of_the_page_and_ends_with_its_address(world, name):
    with pytest.raises(Helped) as caught:
        CASES[name](world)
    error = caught.value
    assert type(error).__name__ == name
    only_address(str(error), address_of(type(error)))
    assert address_of(type(error)) == f"{ERRORS}#{anchor(name)}"
    assert re.search(examples(name), error.text, re.DOTALL), error.text
    if isinstance(error, AzureMLError):
        assert isinstance(error, AirflowFailException) == error.permanent
    # One exception in the log: nothing above it that Python would print first.
    assert error.__cause__ is None or name in {"SubmissionUnsettled", "SubmissionUnknown"}
    assert error.__suppress_context__ or error.__context__ is None


def delete_without_a_right(world):
    world.workspace.faults.add("status", status=403, times=1000)
    AzureMLDeleteJobScheduleOperator(task_id="t", name="x").execute(Task().context)


TYPOS = {
    "a name": lambda world: world.run(pipeline_name="quik"),
    "a value": invalid_argument,
    "a parameter": lambda world: world.run(pipeline_id="quick", parameters={"cuont": 1}),
    "a run": lambda _: sensor(run_id="no-such-run").execute(context_of()),
    "a schedule to disable": lambda _: AzureMLDisableScheduleOperator(task_id="t", schedule_name="x").execute({}),
    "a schedule to enable": lambda _: AzureMLEnableScheduleOperator(task_id="t", schedule_name="x").execute({}),
    "a pipeline to disable": lambda _: AzureMLDisablePipelineOperator(task_id="t", pipeline_name="x").execute({}),
    "a pipeline to enable": lambda _: AzureMLEnablePipelineOperator(task_id="t", pipeline_name="x").execute({}),
    "a job schedule to disable": lambda _: AzureMLDisableJobScheduleOperator(task_id="t", name="x").execute({}),
    "a job schedule to enable": lambda _: AzureMLEnableJobScheduleOperator(task_id="t", name="x").execute({}),
    "a job schedule to delete": delete_without_a_right,
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_typo_is_one_traceback_that_ends_with_the_message(world, typo):
    with pytest.raises(AirflowFailException) as caught:
        TYPOS[typo](world)
    # What Airflow's log shows of it.
    text = "".join(traceback.format_exception(caught.value))
    assert text.count("Traceback (most recent call last)") == 1
    assert text.endswith(f"{caught.value}\n")
    files = [frame.filename for frame in traceback.extract_tb(caught.value.__traceback__)]
    ours = [name for name in files if "/aml_provider/" in name]
    assert len(ours) == 1, "only the operator's or the sensor's own frame"


def test_every_leaf_is_raised_here():
    def leaves(kind):
        for child in kind.__subclasses__():
            if child.__module__.startswith("aml_provider") and child.__qualname__ == child.__name__:
                yield child.__name__
                yield from leaves(child)

    # Nothing else here imports them.
    assert issubclass(InvalidTask, InvalidArgument)
    assert issubclass(UsageError, Helped)
    assert set(leaves(Helped)) == CASES.keys() | ELSEWHERE


def test_a_message_of_several_lines_has_the_address_on_a_line_of_its_own(world):
    with pytest.raises(RunFailed) as caught:
        world.run(pipeline_id="fails")
    *lines, last = str(caught.value).splitlines()
    assert last == f"Help: {address_of(RunFailed)}"
    assert lines[-1].startswith("See ")
    assert "  | row 2: oh no" in lines


def test_a_connection_that_does_not_exist():
    with pytest.raises(AirflowNotFoundException) as caught:
        AzureMLHook("azureml_default").settings()
    only_address(str(caught.value), f"{ERRORS}#connection-not-found")


def test_a_sensor_whose_time_is_up(world):
    with pytest.raises(AirflowSensorTimeout) as caught:
        sensor_timeout(world)
    only_address(str(caught.value), f"{ERRORS}#sensor-timeout")


def test_the_result_of_the_connections_test_ends_with_the_address(world):
    works, message = world.connect(workspace_name="").test_connection()
    assert not works
    only_address(message, f"{ERRORS}#invalid-argument")
    world.workspace.faults.add("status", status=403, times=1000)
    works, message = world.connect().test_connection()
    assert not works
    only_address(message, f"{ERRORS}#permission-denied")
    works, message = AzureMLHook("no_such_connection").test_connection()
    assert not works
    only_address(message, f"{ERRORS}#connection-not-found")


@pytest.mark.parametrize(
    ("arguments", "code", "name"),
    [
        (["pipelines", "show", "quik"], 1, "pipeline-error"),
        (["runs", "show", "no-such-run"], 1, "not-found"),
        (["submit", "--pipeline", "quick", "--experiment", "x", "--parameter", "cuont=1"], 1, "invalid-parameters"),
        (["submit", "--pipeline", "fails", "--experiment", "x", "--wait", "--poll-interval", "0.02"], 3, "run-failed"),
        (["submit", "--experiment", "x"], 2, "usage-error"),
        (["pipelines", "list", "--conn-id", "nobody"], 1, "connection-not-found"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_commands_message_ends_with_the_address(world, capsys, arguments, code, name):
    answer = CommandLine(world.monkeypatch, capsys)(*arguments)
    assert answer.code == code
    message = answer.err.rstrip("\n")
    assert message.endswith(f"Help: {ERRORS}#{name}"), message
    assert message.count(ERRORS) == 1


def test_a_refused_command_has_the_address_of_its_class(world, capsys):
    run_id = world.run(pipeline_id="long", wait_for_completion=False)
    answer = CommandLine(world.monkeypatch, capsys)("runs", "cancel", run_id, typed="no\n")
    assert answer.err.rstrip("\n").endswith(f"Cancelled; nothing was done. Help: {ERRORS}#command-error")


def test_a_secret_stays_masked_in_the_message(world):
    world.workspace.faults.add("status", status=400, times=1000)
    with pytest.raises(AzureMLError) as caught:
        AzureMLHook().get_pipeline("https://a.blob.core.windows.net/c?sv=1&sig=verysecretsignature")
    assert "verysecretsignature" not in str(caught.value)
    assert str(caught.value).endswith(address_of(type(caught.value)))
