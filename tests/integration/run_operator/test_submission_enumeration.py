"""Exactly one run, enumerated on the emulator's record.

Every action of a try of the real operator, found by watching an undisturbed one, is interrupted in every way that it
can be; then the task is retried or cleared until it ends.
"""

from __future__ import annotations

import itertools
import random

import pytest
from support.drivers.interrupted import Life, World, interruptions

from aml_provider.client.errors import SubmissionUnknown
from aml_provider.compat import AIRFLOW_V_3_3_PLUS as HAS_STORE
from aml_provider.compat import AirflowFailException

QUIRKS = {
    "none": [],
    "late history": ["history_lag=20s"],
    "dropped tags": ["drop_tags"],
    "dropped properties": ["drop_properties", "history_lag=20s"],
    "slow cancel": ["slow_cancel=8s"],
    "integer enums": ["int_enums"],
    "nothing is found": ["drop_tags", "drop_properties"],
}
#: For jobs, whose ids are the client's choice, so that nothing depends on how runs are found by their key.
JOB_QUIRKS = {
    "put again": ["put_again=400"],
    "dropped tags": ["drop_tags", "put_replaces_tags"],
    "slow cancel": ["slow_cancel=8s", "history_lag=20s"],
}
# A retry may have to wait for a run that is being cancelled, or for the reply to its look-up.
MOST_TRIES = 4
THEN = ("retry", "clear")
SEED = 20261122
PAIRS = 100


@pytest.fixture(autouse=True)
def options(monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__DEPLOYMENT_ID", "tests")


@pytest.fixture
def world(quirks, monkeypatch):
    with World(QUIRKS[quirks], monkeypatch) as served:
        served.teach()
        yield served


def finish(life):
    """Try until the task ends; returns the outcome of each try."""
    results = []
    for _ in range(MOST_TRIES):
        results.append(life.attempt())
        if isinstance(results[-1], str | AirflowFailException):
            break
        life.retry()
    return results


def live_through(life, interrupted, quirks):
    """Interrupt the first tries, let the others end as they do, and check what the workspace has seen."""
    history = [quirks]
    first = None
    for interruption, then in interrupted:
        first = life.attempt(interruption)
        history += [interruption, first, then]
        (life.retry if then == "retry" else life.clear_by_a_person)()
    results = finish(life)
    history += results
    if isinstance(results[-1], str):
        assert life.generations[results[-1]] == life.generation, history
        assert not isinstance(first, str) or (results[-1] == first) == (then == "retry"), history
    else:
        assert quirks == "nothing is found", history
        assert isinstance(results[-1], SubmissionUnknown), history
        assert len(life.generations) <= 1, history
    life.check(history)


@pytest.mark.parametrize("deferrable", [False, True], ids=["waits on the worker", "defers"])
@pytest.mark.parametrize(("quirks", "store"), sorted({*((quirks, HAS_STORE) for quirks in QUIRKS), ("none", False)}))
def test_whatever_interrupts_a_try_there_is_one_run(quirks, world, store, deferrable, record_testsuite_property):
    def new():
        return Life(world, store=store, deferrable=deferrable)

    histories = 0
    for interruption, then in itertools.product(list(interruptions(new)), THEN):
        live_through(new(), [(interruption, then)], quirks)
        histories += 1
    record_testsuite_property(f"histories, {quirks}, {store=}, {deferrable=}", histories)
    assert histories > 30


@pytest.mark.parametrize("deferrable", [False, True], ids=["waits on the worker", "defers"])
@pytest.mark.parametrize("quirks", JOB_QUIRKS)
def test_whatever_interrupts_a_try_there_is_one_job(quirks, monkeypatch, deferrable, record_testsuite_property):
    with World(JOB_QUIRKS[quirks], monkeypatch) as world:

        def new():
            return Life(world, store=HAS_STORE, deferrable=deferrable, component_name="quick")

        histories = 0
        for interruption, then in itertools.product(list(interruptions(new)), THEN):
            live_through(new(), [(interruption, then)], quirks)
            histories += 1
    record_testsuite_property(f"histories of jobs, {quirks}, {deferrable=}", histories)
    assert histories > 30


@pytest.mark.parametrize("deferrable", [False, True], ids=["waits on the worker", "defers"])
@pytest.mark.parametrize("quirks", ["late history", "slow cancel"])
def test_whatever_interrupts_one_try_after_the_other_there_is_one_run(quirks, world, deferrable):
    def new():
        return Life(world, store=HAS_STORE, deferrable=deferrable)

    choices = list(itertools.product(interruptions(new), THEN))
    draw = random.Random(SEED)
    for _ in range(PAIRS):
        live_through(new(), [draw.choice(choices), draw.choice(choices)], quirks)
