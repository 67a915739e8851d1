"""One wait of a sensor: its polls on a worker, and the trigger that polls for it. Loaded on the worker only."""

from __future__ import annotations

import json
import time
from abc import ABC, abstractmethod
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from aml_provider import metrics
from aml_provider.client.errors import AzureMLError, InvalidArgument, RunError
from aml_provider.client.poll_log import Lines, PollLog
from aml_provider.client.trouble import pause_after
from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.connection import airflow_errors
from aml_provider.durable.handover import BatchReturned, CursorMoved, Replay, TakeOver, WaitFor
from aml_provider.durations import in_seconds
from aml_provider.state.slots import TaskStateSlot
from aml_provider.stored import CursorUnreadable, damaged, reading

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow.triggers.base import BaseTrigger

    from aml_provider.compat import BaseSensorOperator, Context
    from aml_provider.durable.handover import Handover
    from aml_provider.stored import Slot

T = TypeVar("T")

# The key in the task state store.
_LINES = "azureml_poll_log"


def deadline_of_sensor(sensor: BaseSensorOperator, context: Context) -> float:
    """The instant at which a sensor's ``timeout`` ends in Airflow's own loop, in seconds since the epoch.

    In reschedule mode each poll is a process of its own, and the time starts with the first process of the first try.

    Raises:
        AirflowFailException: The timeout cannot be used.
    """
    with airflow_errors():
        timeout = in_seconds("timeout", sensor.timeout)
    began = _first_start(sensor, context) if sensor.reschedule else None
    return timeout + (time.time() if began is None else began.timestamp())


def continues_wait(sensor: BaseSensorOperator, context: Context) -> bool:
    """Whether an earlier process of this try has polled already, in reschedule mode."""
    if not sensor.reschedule:
        return False
    if AIRFLOW_V_3_0_PLUS:
        return bool(context.get("task_reschedule_count"))
    ti: Any = context["ti"]
    return _first_reschedule(ti, ti.try_number) is not None


def lines_store(sensor: BaseSensorOperator, context: Context) -> Slot | None:
    """Where a sensor in reschedule mode remembers what it has logged; None before Airflow 3.3, which has no such place.

    A Variable would cost a request to the secrets backend for each poll, and would be left behind by a killed task.
    """
    store: Any = context.get("task_state_store")
    return TaskStateSlot(store, _LINES) if sensor.reschedule and store is not None else None


def _first_start(sensor: BaseSensorOperator, context: Context) -> Any:
    ti: Any = context["ti"]
    if AIRFLOW_V_3_0_PLUS:
        return ti.get_first_reschedule_date(context)
    return _first_reschedule(ti, (ti.max_tries or 0) - (sensor.retries or 0) + 1)


def _first_reschedule(ti: Any, try_number: int) -> Any:
    """When the first process of this try, or of a later one, has started; None if there was none."""
    from airflow.sensors.base import _orig_start_date  # type: ignore[import-not-found, unused-ignore]

    return _orig_start_date(
        dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index, try_number=try_number
    )


class Poke(ABC, Generic[T]):
    """Polls for one wait of a task instance.

    Args:
        log: The task's log.
        deadline: The instant at which the wait ends, in seconds since the epoch.

    Attributes:
        link: The page in the studio of what is waited for; empty if there is none, or before the first poll.
    """

    link = ""

    def __init__(self, log: Any, deadline: float) -> None:
        self._log = log
        self.deadline = deadline
        self._failure: AzureMLError | None = None
        self._lines = PollLog()
        self._lines_store: Slot | None = None

    def poll(self) -> T | None:
        """Poll once.

        Returns:
            The sensor's result; None if there is no result yet, or the poll failed.

        Raises:
            AirflowFailException: An error that waiting longer cannot fix.
            RunError: The run that is waited for did not end in success.
        """
        self._failure = None
        try:
            with airflow_errors():
                return self._poll()
        except AzureMLError as error:
            if error.permanent or isinstance(error, RunError):
                raise
            # Nothing has moved: the next poll sees everything that this one would have seen.
            self._failure = error
            self._log.warning("This poll failed and was discarded; the sensor polls again. %s", error.text)
            return None

    @property
    @abstractmethod
    def purpose(self) -> str:
        """The event that is waited for, in words, for the log."""

    def remember_lines(self, store: Slot, *, continues: bool) -> None:
        """Remember in a store what is logged, because the next poll is in another process.

        Args:
            store: The place.
            continues: Whether an earlier process of this try has stored its lines there.
        """
        self._lines_store = store
        if continues:
            with self._unless_it_fails("read"):
                stored = store.load()
                self._lines = PollLog(None if stored is None else Lines(*json.loads(stored)))

    def _log_poll(self, text: str) -> None:
        """Log what a poll has found, unless the poll before has found the same."""
        # The clock that does not jump begins again with each start of a machine.
        now = time.monotonic() if self._lines_store is None else time.time()
        if (line := self._lines.line(text, now)) is None:
            return
        self._log.info("%s", line)
        if self._lines_store is not None:
            with self._unless_it_fails("stored"):
                self._lines_store.save(json.dumps(self._lines.lines))

    @contextmanager
    def _unless_it_fails(self, done: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - a wait must not end because of its log
            self._log.debug("What this sensor has logged could not be %s: %r", done, error)

    def pause(self, interval: float) -> float:
        """Seconds until the next poll: the interval, or longer if the service asked for that, within the deadline."""
        pause = interval if self._failure is None else pause_after(self._failure, interval)
        return max(interval, min(pause, self.deadline - time.time()))

    @abstractmethod
    def _poll(self) -> T | None: ...

    @abstractmethod
    def trigger(self, poll_interval: float, deadline: float) -> BaseTrigger | None:
        """The trigger that continues to poll; None if the worker must poll again itself.

        Args:
            poll_interval: Seconds between two polls.
            deadline: The instant at which the trigger stops, by its own clock, in seconds since the epoch.
        """


class HandoverPoke(Poke[T]):
    """Polls for batches, each of which the handover passes to one task instance."""

    _watched: str  # for messages: the kind of place that is polled
    _argument: str  # the argument to blame for a record that cannot be read

    def __init__(self, handover: Handover, conn_id: str, log: Any, deadline: float) -> None:
        super().__init__(log, deadline)
        self._handover = handover
        self._metrics = metrics.TaskMetrics(conn_id, handover.me.dag_id, handover.me.task_id)

    def _poll(self) -> T | None:
        try:
            if not self._handover.is_decided:
                decision = self._handover.begin()
                if isinstance(decision, Replay):
                    with reading(damaged):
                        result = self._result(decision.batch)
                    self._log.info(
                        "This task has already taken %s; it returns the same result again.", self._named(decision.batch)
                    )
                    self._handover.replay()
                    self._metrics.delivered_again()
                    return result
                if isinstance(decision, WaitFor):
                    self._log_poll(
                        f"The last batch was taken by {decision.owner}, which is {decision.state}; waiting for that "
                        "task instance to end"
                    )
                    return None
                if isinstance(decision, TakeOver):
                    self._log.warning(
                        "Taking over %s that %s had taken; that task instance is %s.",
                        self._named(decision.batch),
                        decision.owner,
                        decision.state or "gone",
                    )
                    self._metrics.delivered_again()
                self._begin()
            return self._take()
        except CursorMoved as moved:
            self._handover.restart()
            self._log.warning("%s. Does more than one DAG run wait for this %s? Starting over.", moved, self._watched)
            return None
        except BatchReturned as returned:
            self._handover.restart()
            self._log.info("%s. Starting over.", returned)
            return None
        except CursorUnreadable as error:
            raise InvalidArgument(
                self._argument,
                f"{error}. What was taken from this {self._watched} is no longer known: delete the "
                f"{self._handover.store}, and the next poll starts a new one",
            ) from None

    def _begin(self) -> None:
        """Prepare the first poll that may take a batch; by default, do nothing."""

    @abstractmethod
    def _take(self) -> T | None:
        """Poll, and commit the batch that is found."""

    @abstractmethod
    def _result(self, batch: list[Any]) -> T:
        """The result of the sensor for a stored batch; any error means that the batch is damaged."""

    @abstractmethod
    def _named(self, batch: list[Any]) -> str:
        """The description of a batch, for the log."""
