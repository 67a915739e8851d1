"""Calls to Airflow from an event loop, in which Airflow 3.0 and 3.1 answer; and how a test of a task is recognised."""

from __future__ import annotations

import asyncio
import threading
from types import SimpleNamespace

import pytest
from asgiref.sync import async_to_sync

from aml_provider.compat import in_thread, is_tasks_test


async def answering_loop():
    return asyncio.get_running_loop()


async def test_a_threads_request_is_answered_in_the_loop_that_started_it():
    assert await in_thread(async_to_sync(answering_loop)) is asyncio.get_running_loop()


async def test_the_function_runs_in_another_thread_and_its_errors_are_raised():
    assert await in_thread(threading.get_ident) != threading.get_ident()
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 1, 0)


async def test_two_functions_run_at_the_same_time():
    both = threading.Barrier(2)
    assert sorted(await asyncio.gather(in_thread(both.wait, timeout=30), in_thread(both.wait, timeout=30))) == [0, 1]


async def test_a_cancelled_caller_leaves_the_thread_running():
    asked, answered = asyncio.Event(), asyncio.Event()
    ended = threading.Event()

    async def ask():
        asked.set()
        await answered.wait()

    def question():
        async_to_sync(ask)()
        ended.set()

    asking = asyncio.create_task(in_thread(question))
    await asked.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert not ended.is_set()
    answered.set()
    async with asyncio.timeout(120):
        assert await asyncio.to_thread(ended.wait, 20)


@pytest.mark.parametrize(
    ("tested", "mode", "line", "expected"),
    [
        (True, None, "airflow scheduler", True),
        (False, "True", "airflow scheduler", True),
        (False, None, "airflow tasks test dag task", True),
        (False, None, "airflow tasks run dag task", False),
        (False, None, "airflow dags test dag", False),
        (False, None, "", False),
    ],
)
def test_a_test_of_a_task_is_recognised(tested, mode, line, expected, monkeypatch):
    """Airflow 2 shows it in the task instance, 3.3 in the environment, and all others only by the command."""
    monkeypatch.delenv("AIRFLOW_TEST_MODE", raising=False)
    if mode is not None:
        monkeypatch.setenv("AIRFLOW_TEST_MODE", mode)
    monkeypatch.setattr("sys.argv", line.split())
    assert is_tasks_test(SimpleNamespace(test_mode=tested)) is expected
