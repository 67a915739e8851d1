"""Makes clients from a connection; all methods of the hook use these clients."""

from __future__ import annotations

import asyncio
import importlib
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, TypeVar

from aml_provider.compat import BaseHook
from aml_provider.connection import CONN_TYPE, DEFAULT_CONN_ID, airflow_errors, explained_not_found

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from aml_provider.client.http.clients import AsyncClient, Client
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.client.settings import WorkspaceSettings

T = TypeVar("T")


class WorkspaceHook(BaseHook):
    """Reads a connection of type ``azureml`` and opens clients for its workspace.

    Args:
        azureml_conn_id: The connection.
    """

    conn_name_attr = "azureml_conn_id"
    default_conn_name = DEFAULT_CONN_ID
    conn_type = CONN_TYPE
    hook_name = "Azure Machine Learning"

    def __init__(self, azureml_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.azureml_conn_id = azureml_conn_id
        # Logs that requests are repeated; None: the module's logger does.
        self.log_retry: Callable[[int, str], None] | None = None

    def settings(self) -> WorkspaceSettings:
        """Read the connection.

        Raises:
            AirflowFailException: A field cannot be used; the message names it.
            AirflowNotFoundException: There is no such connection.
        """
        from aml_provider.client.arguments import as_name
        from aml_provider.connection import settings_of
        from aml_provider.masking import mask
        from aml_provider.xcom import allow_classes

        with airflow_errors(self.azureml_conn_id), explained_not_found(self.azureml_conn_id):
            settings = settings_of(self.get_connection(as_name("azureml_conn_id", self.azureml_conn_id)))
        mask(settings.secrets)
        allow_classes()
        return settings

    async def async_settings(self) -> WorkspaceSettings:
        """Read the connection from within an event loop; raises as :meth:`settings` does."""
        from aml_provider.client.arguments import as_name
        from aml_provider.compat import get_async_connection
        from aml_provider.connection import async_extra_of, settings_of
        from aml_provider.masking import async_mask
        from aml_provider.xcom import allow_classes

        with airflow_errors(self.azureml_conn_id):
            as_name("azureml_conn_id", self.azureml_conn_id)
        with explained_not_found(self.azureml_conn_id):
            connection = await get_async_connection(self.azureml_conn_id)
        extra = await async_extra_of(connection)
        with airflow_errors(self.azureml_conn_id):
            settings = settings_of(connection, extra=extra)
        await async_mask(settings.secrets)
        allow_classes()
        return settings

    @contextmanager
    def client(self, policy: RetryPolicy | None = None) -> Iterator[Client]:
        """Open a client for several requests; permanent errors are raised as ``AirflowFailException``.

        Args:
            policy: For how long requests are repeated; None: as configured.
        """
        from aml_provider import metrics
        from aml_provider.client.http.clients import Client
        from aml_provider.masking import mask

        settings = self.settings()
        policy = retry_policy() if policy is None else policy
        if self.log_retry is not None:
            policy = policy._replace(log=self.log_retry)
        observe = metrics.exchanges(self.azureml_conn_id)
        with (
            airflow_errors(self.azureml_conn_id),
            Client(settings, policy=policy, hide=mask, observe=observe) as client,
        ):
            yield client

    @asynccontextmanager
    async def async_client(self, policy: RetryPolicy | None = None) -> AsyncIterator[AsyncClient]:
        """The twin of :meth:`client` for an event loop."""
        # The first import takes longer than an event loop may be blocked.
        await asyncio.to_thread(importlib.import_module, "aml_provider.client.http.clients")
        from aml_provider import metrics
        from aml_provider.client.http.clients import AsyncClient
        from aml_provider.masking import async_mask

        settings = await self.async_settings()
        policy, observe = policy or retry_policy(), metrics.exchanges(self.azureml_conn_id)
        with airflow_errors(self.azureml_conn_id):
            async with AsyncClient(settings, policy=policy, hide=async_mask, observe=observe) as client:
                yield client

    def get_conn(self) -> Client:
        """Open a client; the caller closes it."""
        from aml_provider import metrics
        from aml_provider.client.http.clients import Client
        from aml_provider.masking import mask

        observe = metrics.exchanges(self.azureml_conn_id)
        return Client(self.settings(), policy=retry_policy(), hide=mask, observe=observe)

    def run(self, flow: Flow[T]) -> T:
        """Carry out one flow with a client of its own."""
        with self.client() as client:
            return client.run(flow)

    def test_connection(self) -> tuple[bool, str]:
        """Test the connection step by step: settings, token, workspace, pipelines (components, if v1 is gone).

        Returns:
            Whether it works, and a message that names the step that failed.
        """
        from aml_provider.client import calls
        from aml_provider.client.errors import InvalidArgument, ServiceError, is_gone
        from aml_provider.client.http.clients import Client
        from aml_provider.connection import settings_of
        from aml_provider.masking import mask

        steps = ["settings"]
        try:
            with explained_not_found(self.azureml_conn_id):
                connection = self.get_connection(self.azureml_conn_id)
            # Airflow's form tests a connection with a temporary id.
            settings = settings_of(connection, named=False)
            mask(settings.secrets)
            with Client(settings, policy=retry_policy(budget=2.0), hide=mask) as client:
                steps.append("token")
                client.authenticate()
                steps.append("workspace")
                workspace = client.call(calls.get_workspace())
                steps.append("pipelines")
                try:
                    pipelines = f"{len(client.call(calls.list_pipelines()))} active published pipelines"
                except ServiceError as error:
                    if not is_gone(error):
                        raise
                    steps.append("components")
                    components = len(client.call(calls.list_components()))
                    pipelines = f"{components} registered components; the pipelines service of Azure ML v1 is gone"
                problem = client.ml_problem()
                jobs = f"without one ({problem})" if problem else "with one"
                return True, (
                    f"Connected: workspace {workspace.name!r} in {workspace.location}, {pipelines}. A second token for "
                    f"{settings.cloud.ml_resource} is optional: pipeline jobs are submitted {jobs}."
                )
        except InvalidArgument as error:
            return False, f"Step 'settings' failed: {error}"
        except Exception as error:  # noqa: BLE001 - any error must reach the person at the form
            return False, f"Step {steps[-1]!r} failed: {error}"


def lookup_timeout() -> float:
    """The seconds after which a requested run or schedule counts as absent: ``[azureml] lookup_grace``."""
    from aml_provider.compat import conf

    seconds: float = conf.getfloat("azureml", "lookup_grace", fallback=60.0)
    return seconds


def retry_policy(budget: float | None = None) -> RetryPolicy:
    """For how long repeatable requests are repeated.

    Args:
        budget: Seconds, whatever the failure. None: as configured, by ``retry_budget`` and, after a 429,
            ``throttled_budget``.
    """
    from aml_provider.client.http.retry import RetryPolicy
    from aml_provider.compat import conf

    if budget is not None:
        return RetryPolicy(budget=budget)
    return RetryPolicy(
        budget=conf.getfloat("azureml", "retry_budget", fallback=120.0),
        throttled_budget=conf.getfloat("azureml", "throttled_budget", fallback=3600.0),
    )


def poll_policy(timeout: float | None = None) -> RetryPolicy:
    """For how long the requests of one poll are repeated, whatever the failure: there will be another poll.

    It is ``[azureml] retry_budget``, but at most ``timeout`` seconds.
    """
    budget = retry_policy().budget
    return retry_policy(budget if timeout is None else max(0.0, min(budget, timeout)))
