"""Airflow interrupts a try: has the task ended, or only its worker?

A task's process gets the same signal when a person clears or marks its task and when Airflow has troubles of its own:
heartbeats fail, a worker is shut down, a node is drained, a worker is taken for dead. Only the task instance's state
tells which. A signal handler must not ask for that: the lock of Airflow's client may be taken by what it interrupts,
and would never come free.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from aml_provider.durable.handover import Owner
from aml_provider.state import task_states
from aml_provider.triggerer.failover import leaves_failed, was_ended

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.durable.log import Log


class Interruption:
    """One such signal; asks Airflow in a thread, and ends the run there if the task has ended.

    Args:
        ti: The task instance.
        durable: Whether it keeps a submission record.
        fails_fast: Its DAG has ``fail_fast``: the first task that fails makes Airflow fail those that run.
        end_run: Ends the run; raises nothing.
        log: Where it is told what Airflow says.
    """

    def __init__(self, ti: Any, *, durable: bool, fails_fast: bool, end_run: Callable[[], None], log: Log) -> None:
        self._ti = ti
        self._fails_fast = fails_fast
        self._leaves_failed = leaves_failed(durable=durable)
        self._end_run = end_run
        self._log = log
        self._ended = False
        self._answered = threading.Event()
        self._settled = threading.Event()
        # Airflow leaves the process without waiting for threads; who has to wait for this one does.
        threading.Thread(target=self._settle, name="azureml-interruption", daemon=True).start()

    def ends_the_task(self, timeout: float) -> bool:
        """Whether Airflow says, within so many seconds, that the task has ended."""
        self._answered.wait(timeout)
        return self._ended

    def wait(self, timeout: float) -> None:
        """Wait until the run has been seen to, for so many seconds."""
        self._settled.wait(timeout)

    def _settle(self) -> None:
        try:
            self._ended = self._ask()
        except Exception as error:  # noqa: BLE001 - whatever it is, no answer is no reason to end a run
            self._log.warning("Airflow interrupts this task and does not say why, so its run goes on. %s", error)
        finally:
            self._answered.set()
        try:
            if self._ended:
                self._end_run()
        finally:
            self._settled.set()

    def _ask(self) -> bool:
        ti = self._ti
        owner = Owner(ti.dag_id, ti.run_id, ti.task_id, ti.map_index)
        state = task_states.owner_state(owner)
        ended = was_ended(state, leaves_failed=self._leaves_failed)
        if state == "failed" and not ended and self._fails_fast:
            # Airflow tells nobody that it has stopped the DAG run, its API server's listeners included.
            ended = task_states.other_task_failed(owner)
        if not ended:
            self._log.warning("Airflow interrupts this task, which is %s; its run goes on.", state)
        return ended
