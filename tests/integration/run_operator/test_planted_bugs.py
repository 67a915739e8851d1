"""With a known bug put in, the oracles of the storm report it; without it they are silent.

``make chaos-oracle`` shows the same with the storm itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys

import pytest
from chaos.planted import BUGS, environment, planted
from support.airflow.task import RunPipeline
from support.drivers.watching import context_of, sensor, variables_in_memory
from support.oracles import blob_promises, promises
from support.oracles.blob_promises import Handover, Reader, Version
from support.services.local_workspace import serving

from aml_provider.client.errors import ReplyLost, RunUnwatched
from aml_provider.compat import AirflowFailException, TaskDeferred
from aml_provider.emulator.workspace.models import Datastore

READER = Reader("dag", "incoming", "watch")


def with_and_without(bug):
    """The bug put in, or left out, with the promises that are to be found broken."""
    return pytest.mark.parametrize(
        ("bug", "broken"),
        [(lambda: planted(bug), {BUGS[bug].promise}), (contextlib.nullcontext, set())],
        ids=[bug, "nothing"],
    )


def broken_by_runs(workspace, state=None):
    """The promises that the workspace's record shows to be broken; ``state``: that in which the only task has ended."""
    runs = workspace.record()
    endings = None if state is None else {promises.task_of(runs[0]): state}
    return {violation.promise for violation in promises.violations(runs, endings=endings)}


@with_and_without("double_post")
def test_a_submission_that_is_sent_twice(workspace, task, kept_in_memory, bug, broken):
    with bug():
        RunPipeline(pipeline_id="long", wait_for_completion=False).execute(task.context)
    assert len(workspace.runs()) == (2 if broken else 1)
    assert broken_by_runs(workspace) >= broken
    assert bool(broken_by_runs(workspace)) == bool(broken)


@with_and_without("second_id")
def test_a_job_that_is_submitted_again_under_another_id(workspace, task, kept_in_memory, bug, broken):
    workspace.faults.add("drop", method="PUT", path="*/jobs/*")
    with bug():
        RunPipeline(component_name="long", wait_for_completion=False).execute(task.context)
    assert len(workspace.runs()) == (2 if broken else 1)
    assert broken_by_runs(workspace) >= broken
    assert bool(broken_by_runs(workspace)) == bool(broken)


@with_and_without("unread_id")
def test_a_job_whose_id_is_not_read_after_a_doubt(monkeypatch, task, kept_in_memory, bug, broken):
    with serving(monkeypatch, quirks=["put_again=400"]) as workspace:
        workspace.faults.add("drop", method="PUT", path="*/jobs/*")
        state = "success"
        with bug():
            try:
                # A retry, where the try has ended with its doubt.
                with contextlib.suppress(ReplyLost):
                    RunPipeline(component_name="quick").execute(task.context)
                RunPipeline(component_name="quick").execute(task.context)
            except AirflowFailException:
                state = "failed"
        workspace.clock.advance(60)
        assert broken_by_runs(workspace, state) == broken


@with_and_without("cancel_on_poll_error")
def test_a_run_that_is_cancelled_because_it_cannot_be_read(workspace, task, kept_in_memory, bug, broken):
    workspace.faults.add("status", method="GET", path="*/PipelineRuns/*", times=100, status=503)
    with bug(), pytest.raises(RunUnwatched):
        RunPipeline(pipeline_id="long").execute(task.context)
    assert (workspace.only_run().canceled is not None) == bool(broken)
    assert broken_by_runs(workspace) == broken


@with_and_without("cancel_on_poll_error")
async def test_a_deferred_run_that_is_cancelled_because_it_cannot_be_read(workspace, task, kept_in_memory, bug, broken):
    with pytest.raises(TaskDeferred) as deferral:
        RunPipeline(pipeline_id="long", deferrable=True).execute(task.context)
    workspace.faults.add("status", method="GET", path="*/PipelineRuns/*", status=503)
    with bug():
        waiting = asyncio.create_task(anext(aiter(deferral.value.trigger.run())))
        # What it waits for is on another thread.
        while workspace.only_run().canceled is None and not waiting.done():  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.wait([waiting])
    assert (workspace.only_run().canceled is not None) == bool(broken)
    assert broken_by_runs(workspace) == broken


@with_and_without("dropped_change")
def test_a_change_that_the_cursor_holds_and_the_batch_does_not(
    emulator, azurite, azureml_default, monkeypatch, bug, broken
):
    variables_in_memory(monkeypatch)
    written, handed = [], []
    with azurite.container() as container, bug():
        emulator.state.datastores["landing"] = Datastore(
            "landing", azurite.account_name, container.container_name, account_key=azurite.account_key
        )
        watcher = sensor(datastore="landing", on_first_poll="report")
        for number in range(3):
            answer = container.upload_blob(f"incoming/{number}.csv", b"x").get_blob_properties()
            written.append(Version(answer.name, answer.etag.strip('"'), 0.0))
        for _ in range(2):
            taken = watcher.poke(context_of()).xcom_value or []
            versions = tuple((change["path"], change["etag"].strip('"')) for change in taken)
            handed.append(Handover(1.0, promises.Task("dag", "run1", "watch"), versions))
            watcher._wait = None
    assert {violation.promise for violation in blob_promises.violations(READER, written, handed)} == broken
    assert len(handed[0].versions) == (2 if broken else 3)


@pytest.mark.parametrize("bug", BUGS)
def test_a_process_gets_a_bug_from_its_environment(bug, tmp_path):
    found = BUGS[bug]
    wrong = [f"hasattr(module.{owner}.{found.method}, '__wrapped__')" for owner in found.wrong]
    text = f"import {found.module} as module; print(' '.join(map(str, [{', '.join(wrong)}])), module.__name__)"
    for variables, is_wrong in ((environment(bug, tmp_path), True), ({}, False)):
        ran = subprocess.run(
            [sys.executable, "-c", text], env={**os.environ, **variables}, capture_output=True, text=True, check=True
        )
        assert ran.stdout.splitlines()[-1].split() == [*[str(is_wrong)] * len(wrong), found.module]


def test_a_bug_is_put_in_for_a_while_only():
    for bug in BUGS:
        with planted(bug) as found:
            pass
        for owner in found.wrong:
            assert not hasattr(getattr(getattr(sys.modules[found.module], owner), found.method), "__wrapped__")
