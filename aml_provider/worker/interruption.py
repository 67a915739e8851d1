"""Handles an interruption by Airflow: either the task was ended, or Airflow only has trouble.

A task's process gets the same signal when a person clears its task or sets its state, and when Airflow has trouble:
heartbeats fail, a worker is shut down, a node is drained, a worker is considered dead. Only the task instance's state
shows the difference. A signal handler must not read it: the code that it interrupts may hold the lock of Airflow's
client, which would then never be released.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from aml_provider.client.help import text_of
from aml_provider.durable.handover import Owner
from aml_provider.state import other_tasks
from aml_provider.state.task_end import leaves_failed, was_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.durable.log import Log


class Interruption:
    """One such signal. A thread asks Airflow for the task's state; if the task has ended, the thread ends the run.

    Args:
        ti: The task instance.
        durable: Whether the task has a submission record.
        fails_fast: Whether the DAG has ``fail_fast``: if one task fails, Airflow fails those that are running.
        end_run: Ends the run; raises nothing.
        log: The task's log.
    """

    def __init__(self, ti: Any, *, durable: bool, fails_fast: bool, end_run: Callable[[], None], log: Log) -> None:
        self._ti = ti
        self._fails_fast = fails_fast
        self._leaves_failed = leaves_failed(durable=durable)
        self._end_run = end_run
        self._log = log
        self._ended = False
        self._answered = threading.Event()
        self._handled = threading.Event()
        # Airflow ends the process without waiting for threads, so the try waits for this one.
        threading.Thread(target=self._handle, name="azureml-interruption", daemon=True).start()

    def ends_the_task(self, timeout: float) -> bool:
        """Whether Airflow answers within ``timeout`` seconds that the task has ended."""
        self._answered.wait(timeout)
        return self._ended

    def wait(self, timeout: float) -> None:
        """Wait until the signal has been handled, at most ``timeout`` seconds."""
        self._handled.wait(timeout)

    def _handle(self) -> None:
        try:
            self._ended = self._task_has_ended()
        except Exception as error:  # noqa: BLE001 - without an answer the run continues, whatever the reason
            self._log.warning("Airflow interrupted this task and gave no reason. The run continues. %s", text_of(error))
        finally:
            self._answered.set()
        try:
            if self._ended:
                self._end_run()
        finally:
            self._handled.set()

    def _task_has_ended(self) -> bool:
        owner = Owner.of(self._ti)
        state = other_tasks.owner_state(owner)
        ended = was_ended(state, leaves_failed=self._leaves_failed)
        if state == "failed" and not ended and self._fails_fast:
            # Airflow notifies nobody that it has stopped the DAG run, not even the listeners of its API server.
            ended = other_tasks.other_task_failed(owner)
        if not ended:
            self._log.warning("Airflow interrupted this task, whose state is %s. The run continues.", state)
        return ended
