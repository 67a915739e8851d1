"""The hook for an Azure Machine Learning workspace."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import BaseHook

from aml_provider.connection import CONN_TYPE, DEFAULT_CONN_ID, airflow_errors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    from aml_provider.client.entities import Datastore, HistoryRun, PipelineRun, PublishedPipeline, Schedule
    from aml_provider.client.protocol import Flow, RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings
    from aml_provider.client.transport import AsyncClient, Client

T = TypeVar("T")


class AzureMLHook(BaseHook):
    """Talk to the workspace of one Airflow connection.

    Nothing is looked up or opened before a method is called. Each method opens a connection pool and closes it; to make
    several requests with one, use :meth:`client`.

    Args:
        azureml_conn_id: The connection, of type ``azureml``.
    """

    conn_name_attr = "azureml_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Azure Machine Learning"

    def __init__(self, azureml_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.azureml_conn_id = azureml_conn_id

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """The connection form's standard fields on Airflow before 3.2."""
        from aml_provider.get_provider_info import get_provider_info

        behaviour = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
        return {
            "hidden_fields": behaviour["hidden-fields"],
            "relabeling": behaviour["relabeling"],
            "placeholders": {},
        }

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """The connection form's own fields on Airflow before 3.2, from the same description as on later ones."""
        from flask_appbuilder.fieldwidgets import (
            BS3PasswordFieldWidget,
            BS3TextAreaFieldWidget,
            BS3TextFieldWidget,
        )
        from wtforms import BooleanField, PasswordField, StringField

        from aml_provider.get_provider_info import get_provider_info

        def field_of(description: Mapping[str, Any]) -> Any:
            schema = description["schema"]
            label, help_text = description["label"], description["description"]
            if "enum" in schema:
                help_text = f"One of {', '.join(schema['enum'])}. {help_text}"
            if "boolean" in schema["type"]:
                return BooleanField(label, description=help_text)
            kinds = {
                "password": (PasswordField, BS3PasswordFieldWidget),
                # A TextAreaField would be no field that Airflow knows: it then leaves out the whole form.
                "multiline": (StringField, BS3TextAreaFieldWidget),
            }
            kind, widget = kinds.get(schema.get("format", ""), (StringField, BS3TextFieldWidget))
            return kind(label, widget=widget(), description=help_text)

        fields = get_provider_info()["connection-types"][0]["conn-fields"]
        return {name: field_of(description) for name, description in fields.items()}

    def settings(self) -> WorkspaceSettings:
        """Read the connection.

        Raises:
            AirflowFailException: A field cannot be used; the message names it.
            AirflowNotFoundException: There is no such connection.
        """
        from aml_provider.connection import settings_of

        with airflow_errors():
            return settings_of(self.get_connection(self.azureml_conn_id))

    async def async_settings(self) -> WorkspaceSettings:
        """Read the connection from within an event loop; raises as :meth:`settings` does."""
        from airflow.providers.common.compat.connection import (
            get_async_connection,
            get_async_extra_dejson,
        )

        from aml_provider.connection import settings_of

        connection = await get_async_connection(self.azureml_conn_id)
        extra = await get_async_extra_dejson(connection)
        with airflow_errors():
            return settings_of(connection, extra=extra)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Open a client for several requests; permanent errors leave it as ``AirflowFailException``."""
        from aml_provider.client.transport import Client

        settings = self.settings()
        with airflow_errors(), Client(settings, policy=retry_policy()) as client:
            yield client

    @asynccontextmanager
    async def async_client(self) -> AsyncIterator[AsyncClient]:
        """The twin of :meth:`client` for an event loop."""
        from aml_provider.client.transport import AsyncClient

        settings = await self.async_settings()
        policy = retry_policy()
        with airflow_errors():
            async with AsyncClient(settings, policy=policy) as client:
                yield client

    def get_conn(self) -> Client:
        """Open a client; the caller closes it."""
        from aml_provider.client.transport import Client

        return Client(self.settings(), policy=retry_policy())

    def run(self, flow: Flow[T]) -> T:
        """Carry out one flow of :mod:`aml_provider.client.flows` with a client of its own."""
        with self.client() as client:
            return client.run(flow)

    def test_connection(self) -> tuple[bool, str]:
        """Walk from a token to the workspace and to its pipelines.

        Returns:
            Whether all of it works, and a message that names the step that failed.
        """
        from aml_provider.client.errors import InvalidArgument
        from aml_provider.client.flows import check_connection
        from aml_provider.client.transport import Client
        from aml_provider.connection import settings_of

        steps = ["settings"]
        try:
            settings = settings_of(self.get_connection(self.azureml_conn_id))
            with Client(settings, policy=retry_policy(budget=2.0)) as client:
                steps.append("token")
                client.authenticate()
                return True, f"Connected: {client.run(check_connection(steps.append))}."
        except InvalidArgument as error:
            return False, f"Step 'settings' failed: {error}"
        except Exception as error:  # noqa: BLE001 - whatever it is, the person at the form must read it
            return False, f"Step {steps[-1]!r} failed: {error}"

    def list_pipelines(self, *, active_only: bool = True) -> tuple[PublishedPipeline, ...]:
        """List the workspace's published pipelines."""
        from aml_provider.client import calls

        with self.client() as client:
            return client.call(calls.list_pipelines(active_only=active_only))

    def find_pipeline(self, name: str) -> PublishedPipeline:
        """Find the one active published pipeline of this name."""
        from aml_provider.client.flows import find_pipeline

        return self.run(find_pipeline(name))

    def submit_pipeline(
        self,
        pipeline_id: str,
        *,
        experiment_name: str,
        parameters: Mapping[str, Any] | None = None,
        data_paths: Mapping[str, Any] | None = None,
        datasets: Mapping[str, str] | None = None,
        tags: Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> PipelineRun:
        """Submit one run of a published pipeline, once.

        Unlike the operator this keeps no record: after a lost reply it is for the caller to find out whether the run
        exists (``AzureMLError.in_doubt``).

        Args:
            pipeline_id: The published pipeline.
            experiment_name: The experiment that the run belongs to.
            parameters: Plain parameters.
            data_paths: DataPath parameters; see :class:`aml_provider.client.models.DataPath`.
            datasets: Ids of saved datasets, by parameter.
            tags: Tags of the run.
            description: The run's description.
        """
        from aml_provider.client import calls
        from aml_provider.client.run_request import RunRequest

        with self.client() as client:
            request = RunRequest.of(
                experiment_name=experiment_name,
                parameters=parameters,
                data_paths=data_paths,
                datasets=datasets,
                tags=tags,
                description=description,
            )
            return client.call(calls.submit_pipeline(pipeline_id, request.to_wire(marks={}, notification=True)))

    def get_run(self, run_id: str) -> PipelineRun:
        """Read a pipeline run and its status."""
        from aml_provider.client import calls

        with self.client() as client:
            return client.call(calls.get_run(run_id))

    def list_steps(self, run: PipelineRun) -> tuple[HistoryRun, ...]:
        """List the steps of a run, in the order of their creation."""
        from aml_provider.client.flows import list_steps

        return self.run(list_steps(run.experiment_name, run.id))

    def wait_for_run(self, run_id: str, *, poll_interval: float = 30.0, timeout: float | None = None) -> PipelineRun:
        """Wait until a run ends.

        Args:
            run_id: The pipeline run.
            poll_interval: Seconds between two looks.
            timeout: Seconds after which to stop; None waits for ever.

        Returns:
            The run as it was seen last: final, unless the timeout passed. Look at its ``state``.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows import wait_for_run

        with self.client() as client:
            run = client.call(calls.get_run(run_id))
            return client.run(
                wait_for_run(
                    run_id,
                    run.experiment_name,
                    poll_interval=poll_interval,
                    deadline=None if timeout is None else time.time() + timeout,
                    report=lambda progress: self.log.info("Run %s: %s", run_id, progress),
                )
            )

    def cancel_run(self, run_id: str, *, reason: str = "cancelled from Airflow") -> PipelineRun:
        """Cancel a run and watch it end, for a minute at most.

        Returns:
            The run as it was seen last.
        """
        from aml_provider.client import calls
        from aml_provider.client.flows import cancel_run

        with self.client() as client:
            run = client.call(calls.get_run(run_id))
            return client.run(cancel_run(run_id, run.experiment_name, reason=reason, note=self.log.warning))

    def get_datastore(self, name: str) -> Datastore:
        """Read a datastore; its credentials are in the record and stay out of its repr."""
        from aml_provider.client import calls

        with self.client() as client:
            return client.call(calls.get_datastore(name))

    def list_datastores(self) -> tuple[Datastore, ...]:
        """List the workspace's datastores."""
        from aml_provider.client.flows import list_datastores

        return self.run(list_datastores())

    def list_schedules(
        self, *, active_only: bool = True, pipeline_id: str | None = None, endpoint_id: str | None = None
    ) -> tuple[Schedule, ...]:
        """List native schedules: all, or those of one published pipeline or pipeline endpoint."""
        from aml_provider.client.schedule_flows import list_schedules

        return self.run(list_schedules(active_only=active_only, pipeline_id=pipeline_id, endpoint_id=endpoint_id))

    def find_schedule(self, name: str) -> Schedule:
        """Find the one native schedule of this name: the active one, else the disabled one."""
        from aml_provider.client.schedule_flows import find_schedule

        return self.run(find_schedule(name))

    def disable_schedule(self, schedule_id: str) -> Schedule:
        """Disable a native schedule, and leave everything else of it as it is."""
        from aml_provider.client.schedule_flows import set_status

        return self.run(set_status(schedule_id, "Disabled"))[0]

    def enable_schedule(self, schedule_id: str) -> Schedule:
        """Enable a native schedule, and leave everything else of it as it is."""
        from aml_provider.client.schedule_flows import set_status

        return self.run(set_status(schedule_id, "Active"))[0]

    def get_last_run_of_schedule(self, schedule_id: str) -> PipelineRun | None:
        """Read the run that a native schedule started last; None if it has started none."""
        from aml_provider.client import schedules

        with self.client() as client:
            return client.call(schedules.get_last_run(schedule_id))

    def disable_pipeline(self, pipeline_id: str, *, disable_schedules: bool = True) -> None:
        """Disable a published pipeline, its native schedules first."""
        from aml_provider.client.pipeline_status import disable_pipeline

        self.run(disable_pipeline(pipeline_id=pipeline_id, disable_schedules=disable_schedules, note=self.log.info))

    def enable_pipeline(self, pipeline_id: str) -> None:
        """Enable a published pipeline; its native schedules stay as they are."""
        from aml_provider.client.pipeline_status import enable_pipeline

        self.run(enable_pipeline(pipeline_id=pipeline_id, note=self.log.info))


def retry_policy(budget: float | None = None) -> RetryPolicy:
    """How long repeatable requests are repeated.

    Args:
        budget: Seconds, whatever the failure; None: as ``[azureml] retry_budget`` says, and under throttling as
            ``[azureml] throttled_budget`` says.
    """
    from airflow.providers.common.compat.sdk import conf

    from aml_provider.client.protocol import RetryPolicy

    if budget is not None:
        return RetryPolicy(budget=budget)
    return RetryPolicy(
        budget=conf.getfloat("azureml", "retry_budget", fallback=120.0),
        throttled_budget=conf.getfloat("azureml", "throttled_budget", fallback=3600.0),
    )
