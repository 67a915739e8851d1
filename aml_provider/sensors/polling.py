"""The base of the sensors, which poll, defer and are skipped in the same way in all modes."""

from __future__ import annotations

import time
from abc import abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aml_provider.client.help import SENSOR_TIMEOUT, sentence, with_address
from aml_provider.compat import (
    AirflowException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    BaseSensorOperator,
    PokeReturnValue,
)

try:
    from airflow.sdk.exceptions import TaskDeferralError
except ImportError:  # Airflow 2
    from airflow.exceptions import TaskDeferralError  # type: ignore[no-redef]

from aml_provider.client.errors import AzureMLError
from aml_provider.connection import airflow_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from aml_provider.compat import Context, XComArg
    from aml_provider.worker.poke import Poke


class PollingSensor(BaseSensorOperator):
    """Airflow's own sensor, which can also defer between two polls.

    It defers from ``poke``, so that ``soft_fail`` and similar arguments have the same meaning in all modes: Airflow's
    loop around ``poke`` handles them. With ``never_fail`` it is skipped in all modes when its time is up. Airflow
    itself skips it only if ``poke`` raises, not when the time ends in Airflow's own loop; Airflow 2 does not skip it
    after a deferral either.
    """

    def __init__(self, *, deferrable: bool, azureml_conn_id: str | XComArg, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.deferrable = deferrable
        # A rendered value can be anything.
        self.azureml_conn_id: Any = azureml_conn_id
        self._wait: tuple[Context, Poke[Any]] | None = None
        self._is_wait_logged = False
        # From the deferral that this process resumes: its deadline, and how far the triggerer's clock is ahead.
        self._deadline: float | None = None
        self._ahead = 0.0
        # Why the triggerer could not read what is waited for; None if it could.
        self._unread: str | None = None

    def execute(self, context: Context) -> Any:
        """Poll until there is a result, in Airflow's own loop."""
        try:
            with _never_failing(self):
                return _unguarded(BaseSensorOperator)(self, context)
        except AzureMLError as error:
            if error.permanent:
                # A person has to act, and the message says how: our own frames would only be in the way.
                raise error.with_traceback(None) from None
            raise

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Resume after a deferral; if no triggerer has answered in time, poll a last time, as in the other modes."""
        # Airflow 2: "Trigger/execution timeout".
        if next_method == "__fail__" and "timeout" in str((next_kwargs or {}).get("error")):
            next_method, next_kwargs = "execute_complete", {"deadline": time.time()}
        with _never_failing(self):
            return super().resume_execution(next_method, next_kwargs, context)

    def execute_complete(
        self, context: Context, event: Mapping[str, Any] | None = None, deadline: float | None = None
    ) -> Any:
        """Poll again. The worker decides and commits; from the event it reads only times and an error."""
        from aml_provider.deadlines import clock_ahead, trigger_deadline

        # dag.test() loses the arguments of defer(). The event has the trigger's deadline, which is by its own clock.
        self._deadline = deadline if deadline is not None else trigger_deadline(event or {})
        self._ahead = clock_ahead(event)
        if event and event.get("outcome") == "unwatched":
            self._unread = str(event.get("message") or "The triggerer gives no reason.")
        return _unguarded(type(self))(self, context)

    def poke(self, context: Context) -> PokeReturnValue:
        """Poll once; in deferrable mode defer when there is no result yet."""
        with _errors_logged(self):
            # One for each wait.
            if self._wait is None or self._wait[0] is not context:
                from aml_provider.worker.poke import continues_wait, deadline_of_sensor, lines_store

                deadline = deadline_of_sensor(self, context) if self._deadline is None else self._deadline
                self._wait = (context, self._new_wait(context, deadline))
                # A process that resumes a deferral, or a rescheduled one, continues a wait that has been logged.
                continues = continues_wait(self, context)
                self._is_wait_logged = continues or self._deadline is not None
                if (store := lines_store(self, context)) is not None:
                    self._wait[1].remember_lines(store, continues=continues)
            wait = self._wait[1]
            result = wait.poll()
            if result is None and not self._is_wait_logged:
                from aml_provider.deadlines import in_words

                self._is_wait_logged = True
                where = " in the triggerer" if self.deferrable else ""
                self.log.info(
                    "Waiting for %s. Polls every %g s%s, until %s at the latest.%s",
                    wait.purpose,
                    self.poke_interval,
                    where,
                    in_words(wait.deadline),
                    f" See {wait.link}" if wait.link else "",
                )
            if result is None and self.deferrable:
                self._defer(wait)
            if result is not None:
                self._announce(result, context)
            return PokeReturnValue(is_done=result is not None, xcom_value=result)

    @abstractmethod
    def _new_wait(self, context: Context, deadline: float) -> Poke[Any]:
        """Check the rendered arguments, and prepare the polls until the deadline, in seconds since the epoch."""

    def _announce(self, result: Any, context: Context) -> None:
        """Announce the result before the sensor returns it; by default, do nothing."""

    def _defer(self, wait: Poke[Any]) -> None:
        from aml_provider.deadlines import deferral_timeout
        from aml_provider.durations import in_seconds

        if time.time() >= wait.deadline:
            raise AirflowSensorTimeout(
                with_address(
                    f"Nothing was found within the sensor's timeout of {self.timeout:g} seconds.", SENSOR_TIMEOUT
                )
            )
        with airflow_errors():
            interval = in_seconds("poke_interval", self.poke_interval, minimum=0.1)
        if self._unread is not None:
            # The next deferral may end as quickly as the last one, so an interval on the worker comes first.
            self.log.warning(
                "The triggerer could not read what this sensor waits for: %s The next poll is on the worker, in %g s; "
                "then the sensor defers again.",
                sentence(self._unread),
                interval,
            )
            self._unread = None
            return
        trigger = wait.trigger(interval, wait.deadline + self._ahead)
        if trigger is not None:
            self.defer(
                trigger=trigger,
                method_name="execute_complete",
                kwargs={"deadline": wait.deadline},
                timeout=deferral_timeout(wait.deadline),
            )

    def _get_next_poke_interval(self, *args: Any, **kwargs: Any) -> float:
        """Airflow's own interval, or longer if the service asked for a longer pause."""
        interval: float = super()._get_next_poke_interval(*args, **kwargs)
        return interval if self._wait is None else self._wait[1].pause(interval)


def _unguarded(kind: type[BaseSensorOperator]) -> Callable[..., Any]:
    """The class's ``execute`` without Airflow's guard.

    Airflow 2's guard treats a call by ``super()`` or from another method as a call from outside the task: it warns, and
    with ``allow_nested_operators=False`` it refuses the call.
    """
    method: Callable[..., Any] = kind.execute
    return getattr(method, "__wrapped__", method)


@contextmanager
def _never_failing(sensor: BaseSensorOperator) -> Iterator[None]:
    try:
        yield
    except (AirflowSensorTimeout, TaskDeferralError) as error:
        if sensor.never_fail:
            # As with soft_fail.
            raise AirflowSkipException(str(error)) from error
        raise


@contextmanager
def _errors_logged(sensor: BaseSensorOperator) -> Iterator[None]:
    """Log the errors of a sensor's ``poke`` before Airflow may turn them into a skip.

    With ``soft_fail`` or ``never_fail`` Airflow logs "Skipping due to …" and nothing about the error itself. The error
    is raised unchanged: Airflow decides whether the task is skipped. All modes poll through ``poke``.
    """
    may_be_hidden = sensor.soft_fail or sensor.never_fail
    try:
        yield
    except AirflowSkipException:
        raise
    except (AirflowSensorTimeout, AirflowTaskTimeout) as timeout:
        # The author wants a skip then.
        if may_be_hidden:
            sensor.log.info("%s", timeout)
        raise
    except Exception as error:
        if may_be_hidden:
            known = isinstance(error, (AirflowException, AzureMLError))
            sensor.log.error(  # noqa: TRY400 - the traceback of an expected error has no news
                "The sensor failed, although %s may show the task as skipped: %s",
                "soft_fail" if sensor.soft_fail else "never_fail",
                error if known and str(error) else repr(error),
                exc_info=None if known else error,
            )
        raise
