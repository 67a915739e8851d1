"""Celery's workers are killed, shut down and frozen, and tasks are delivered to two of them: one run for each task."""

from __future__ import annotations

import signal

import pytest


@pytest.fixture
def lost_worker(world):
    """The name of the worker that the test ends; another one of this name is started after the test."""
    lost = []
    yield lost
    for name in lost:
        world.airflow.kill_what_remains(name)
        world.start(name)


def until_gone(world, worker):
    world.airflow.wait(lambda: world.airflow.is_gone(worker), f"{worker} is gone", timeout=600)


def test_a_task_is_delivered_twice(world, cases):
    """It waits longer than the visibility timeout, so Celery starts a second process of the same try."""
    waiting = cases(on_worker=["waiting"])["waiting"]
    before = world.refusals()
    waiting.until(lambda: world.refusals() > before, "another worker was given it too")
    assert waiting.statuses() == ["Running"]
    waiting.finish()
    waiting.check("success", ["Finished"])
    # The first process has waited to the end, not a retry.
    assert waiting.info["try_number"] == 1


def test_a_worker_is_killed(world, cases, lost_worker):
    made = cases(deferred=["deferred"], on_worker=["waiting", "ended"])
    submitting = world.case("worker-killed-submitting", deferred=False)
    held = submitting.hold("submit")
    submitting.start()
    submitting.until_met(held)
    worker = world.worker_of(submitting)
    lost_worker.append(worker)
    tasks = [*made.values(), submitting]
    killed = [case for case in tasks if not case.is_deferred and world.worker_of(case) == worker]
    world.kill(worker)
    made["ended"].finish()
    for case in killed:
        if case is not made["ended"]:
            case.until_tried_again()
    submitting.until_waiting()
    for case in tasks:
        if case is not made["ended"]:
            case.finish()
        case.check("success", ["Finished"])
    assert submitting in killed


def test_a_worker_is_shut_down_and_its_task_ends_in_time(world, cases, lost_worker):
    """Celery's warm shutdown waits for its tasks."""
    case = cases(on_worker=["waiting"])["waiting"]
    worker = world.worker_of(case)
    lost_worker.append(worker)
    world.shut_down(worker, signal.SIGTERM)
    later = world.case("warm-shutdown-later", deferred=False)
    later.start_and_wait()
    assert world.worker_of(later) != worker
    assert case.state == "running"
    case.finish()
    case.check("success", ["Finished"])
    assert case.info["try_number"] == 1
    until_gone(world, worker)
    later.finish()
    later.check("success", ["Finished"])


def test_a_worker_is_shut_down_and_killed_before_its_task_ends(world, cases, lost_worker):
    """As Kubernetes does after ``terminationGracePeriodSeconds``."""
    case = cases(on_worker=["waiting"])["waiting"]
    worker = world.worker_of(case)
    lost_worker.append(worker)
    case.note_try()
    world.shut_down(worker, signal.SIGTERM)
    world.airflow.kill_what_remains(worker)
    case.until_tried_again()
    assert world.worker_of(case) != worker
    assert case.statuses() == ["Running"]
    case.finish()
    case.check("success", ["Finished"])


def test_a_worker_is_shut_down_cold(world, cases, lost_worker):
    """Celery interrupts its tasks, and others are given them; a task that waits for its run continues, on Airflow 3."""
    case = cases(on_worker=["waiting"])["waiting"]
    worker = world.worker_of(case)
    lost_worker.append(worker)
    before = world.refusals()
    world.shut_down(worker, signal.SIGQUIT)
    case.until(lambda: world.refusals() > before, "another worker was given it too")
    case.until(lambda: case.said("Airflow interrupted this task"), "it was interrupted")
    assert case.statuses() == ["Running"]
    case.finish()
    case.check("success", ["Finished"])
    assert case.info["try_number"] == 1
    until_gone(world, worker)


def test_a_worker_stands_still_while_its_task_waits(world, cases):
    """Celery delivers the task to another worker, Airflow begins another try, and then the first process goes on."""
    case = cases(on_worker=["waiting"])["waiting"]
    worker = world.worker_of(case)
    case.note_try()
    first = world.processes_of(case)
    with world.frozen(worker):
        case.until_tried_again()
        assert world.worker_of(case) != worker
        case.until_waiting()
    # Its supervisor notices that another try runs, and ends it.
    case.until(lambda: not world.lives(first.task), "the first process has ended")
    assert case.statuses() == ["Running"]
    case.finish()
    case.check("success", ["Finished"])


def test_a_worker_stands_still_while_it_submits(world):
    case = world.case("frozen-submitting", deferred=False)
    held = case.hold("submit")
    case.start()
    case.until_met(held)
    worker = world.worker_of(case)
    case.note_try()
    first = world.processes_of(case)
    with world.frozen(worker):
        case.until_tried_again()
        case.until_waiting()
    case.until(lambda: not world.lives(first.task), "the first process has ended")
    assert case.statuses() == ["Running"]
    case.finish()
    case.check("success", ["Finished"])


def test_a_worker_stands_still_and_is_given_tasks(world):
    """The broker gives tasks to a worker that stands still; others run them meanwhile, then the first one would too."""
    worker = "worker-2"
    made = [world.case(f"given-to-frozen-{number}", deferred=True) for number in range(3)]
    with world.frozen(worker):
        for case in made:
            case.start()
        for case in made:
            case.until_waiting()
    world.airflow.wait(lambda: worker in world.airflow.workers(), f"{worker} answers", timeout=600)
    for case in made:
        assert case.statuses() == ["Running"]
        case.finish()
        case.check("success", ["Finished"])
