"""Runs whose facts, names or rows cannot be read for a time: they are fired later, and hold up no other run."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from support.models.run_history import SETTINGS, START
from support.models.run_world import World

from aml_provider.client.entities import PipelineRun
from aml_provider.client.errors import NotFound, PermissionDenied, Throttled
from aml_provider.client.http.clients import AsyncClient
from aml_provider.client.secret import Secret
from aml_provider.durable import ended_runs, run_events
from aml_provider.durable.ended_runs import LEAST_WINDOW, WINDOW, SeenRuns
from aml_provider.durable.run_events import RunRules, SharedRuns
from aml_provider.durable.run_facts import SURE_OF_HISTORY
from aml_provider.durable.run_sources import ExperimentRuns, JobRuns, PipelineRuns
from aml_provider.durable.wanted_runs import WantedRuns

HOUR = 3600.0
# What is answered for a fact.
REFUSALS = (200, 400, 403, 404, 500)

# A watcher that needs a fact, the source of its runs, and where the fact is read.
NAME = {"pipeline_name": "score"}, lambda: ExperimentRuns("exp"), "/Pipelines/p", "p"
JOB = {"component_name": "train"}, lambda: ExperimentRuns("exp"), "/jobs/*", ""
HISTORY = {"tags": {"a": "1"}}, lambda: PipelineRuns("p", None), "/runs/*", "p"
LISTED_JOB = {"component_name": "train"}, JobRuns, "/runs/*", "p"
facts = pytest.mark.parametrize("fact", [NAME, JOB, HISTORY, LISTED_JOB], ids=["name", "job", "history", "listed job"])


def ended(world, pipeline="p", **options):
    world.history.now += 60
    run = world.history.submit(pipeline=pipeline, tags={"a": "1"}, **options)
    world.history.now += 60
    world.history.end(run)
    return run.id


@facts
@pytest.mark.parametrize("status", REFUSALS)
def test_a_run_is_fired_once_its_facts_can_be_read(fact, status):
    wanted, source, path, pipeline = fact
    world = World(source=source, **wanted)
    world.poll()
    before = ended(world, pipeline)
    for _ in range(3):
        world.poll()
    world.history.refused[path] = status
    meanwhile = ended(world, pipeline)
    if path == "/Pipelines/p":
        world.restart()  # the name is not known
    world.poll()
    assert world.fired() == [before]
    assert meanwhile in world.shared.source.problems[0]
    assert [error.status for error in world.shared.source.errors] == [status]
    world.poll()
    assert len(world.shared.source.problems) == 1, "a failure that lasts is logged once"
    assert len(world.shared.source.errors) == 2, "each failure is counted"
    world.restart()
    world.poll()
    world.history.refused.clear()
    after = ended(world, pipeline)
    world.poll()
    assert world.fired() == [before, meanwhile, after]


@pytest.mark.parametrize("status", REFUSALS)
def test_a_run_that_can_never_be_read_stops_no_other(status):
    world = World()
    world.poll()
    bad = ended(world, "")
    world.history.refused[f"/jobs/{bad}"] = status
    for _ in range(2):
        good = ended(world, "")
        world.poll()
        assert world.fired()[-1] == good
        assert world.detection().unread == 1
    assert world.distinct() == set(world.history.runs) - {bad}


def test_a_run_that_waits_for_its_facts_is_found_when_the_window_has_passed_it():
    world = World()
    world.poll()
    bad = ended(world, "")
    world.history.refused["/jobs/*"] = 403
    world.poll()
    for _ in range(3):
        world.history.now += WINDOW
        ended(world)
        world.poll()
    assert world.seen.floor > world.history.runs[bad].created
    world.restart()
    world.history.refused.clear()
    world.poll()
    assert world.fired().count(bad) == 1


@facts
def test_a_404_that_lasts_is_final(fact):
    """The history may be late; but what nobody has need not be waited for."""
    _, source, path, pipeline = fact
    world = World(source=source)
    world.poll()
    run = ended(world, pipeline)
    world.history.refused[path] = 404
    patience = SURE_OF_HISTORY if path == "/runs/*" else 300
    world.poll()
    world.history.now += patience - 1
    world.poll()
    assert world.fired() == []
    world.history.now += 1
    world.poll()
    assert world.fired() == [run]
    assert "could not be read" in world.shared.source.problems[-1]


def test_a_pipeline_that_has_no_name_for_a_time_gets_it_later():
    world = World(WantedRuns.of(), WantedRuns.of(pipeline_name="score"))
    world.poll()
    world.history.refused["/Pipelines/p"] = 404
    nameless = ended(world)
    world.poll()
    world.history.now += 300
    world.poll()
    at_once = ended(world)
    world.poll()
    assert world.fired(0) == [nameless, at_once]
    world.history.refused.clear()
    named = ended(world)
    world.poll()
    assert world.fired(1) == [named]


@pytest.mark.parametrize("lag", [0, 300])
def test_a_run_of_another_run_is_not_fired_when_the_history_is_late(lag):
    world = World(source=lambda: PipelineRuns("p", None))
    world.poll()
    ended(world, lag=lag, parent="x")
    own = ended(world, lag=lag)
    for _ in range(4):
        world.poll()
        world.history.now += 150
    assert world.fired() == [own]


def test_many_runs_that_cannot_be_read_delay_no_others(monkeypatch):
    """Also if there are more of them than one poll reports, and each failure takes as long as requests are repeated."""
    monkeypatch.setattr(run_events, "find_endings", _at_most(10))
    world = World()
    world.poll()
    bad = [ended(world, "") for _ in range(60)]
    for run_id in bad:
        world.history.refused[f"/jobs/{run_id}"] = 403
    for _ in range(6):
        world.poll()
    for _ in range(3):
        good = [ended(world, "") for _ in range(5)]
        before = len(world.history.asked)
        world.poll()
        assert world.fired()[-5:] == good
        assert not world.polls[-1].is_partial
        assert len(world.history.asked) - before <= 1 + 5 + ended_runs.MOST_AGAIN
    # All of them are tried in turns.
    del world.history.refused[f"/jobs/{bad[7]}"]
    for _ in range(3):
        world.poll()
    assert world.fired()[-1] == bad[7]


def test_a_service_that_fails_is_not_asked_for_each_run():
    world = World()
    world.poll()
    runs = [ended(world, "") for _ in range(50)]
    world.history.refused["/jobs/*"] = 500
    for _ in range(2):
        before = len(world.history.asked)
        world.poll()
        assert len(world.history.asked) - before == 1 + 3
    world.history.refused.clear()
    world.poll()
    world.poll()
    assert sorted(world.fired()) == sorted(runs)


def test_a_service_that_wants_a_pause_gets_it():
    world = World()
    world.poll()
    run = ended(world, "")
    world.history.refused["/jobs/*"] = 429
    with pytest.raises(Throttled):
        world.poll()
    world.history.refused.clear()
    world.poll()
    assert world.fired() == [run]


@pytest.mark.parametrize("status", [403, 500])
def test_an_active_job_that_cannot_be_read_stops_no_other(status):
    world = World(source=JobRuns, component_name="train")
    world.poll()
    bad = [world.history.submit() for _ in range(5)]
    good = world.history.submit()
    world.poll()
    for run in (*bad, good):
        run.is_listed = False
        world.history.end(run)
    for run in bad:
        world.history.refused[f"/jobs/{run.id}"] = status
    for _ in range(3):
        world.poll()
    assert world.fired() == [good.id]
    assert {error.status for error in world.shared.source.errors} == {status}
    world.history.refused.clear()
    world.poll()
    assert world.distinct() == set(world.history.runs)


@pytest.mark.parametrize("status", [403, 500])
def test_one_old_active_run_whose_row_cannot_be_read_stops_no_other(status):
    world = World()
    world.poll()
    old = world.history.submit()
    world.poll()
    world.history.now += 3 * WINDOW
    ended(world)
    world.poll()
    world.history.refused[f"/experiments/exp/runs/{old.id}"] = status
    world.history.end(old)
    good = ended(world)
    world.poll()
    assert world.fired()[-1] == good
    world.history.refused.clear()
    world.poll()
    assert world.fired()[-1] == old.id


def test_a_wrong_workspace_is_no_first_poll():
    world = World()
    for hours in range(5):
        world.history.end(world.history.submit(created=START - hours * HOUR))
    world.history.refused["*"] = 404
    for _ in range(2):
        with pytest.raises(NotFound):
            world.poll()
        assert world.records[0].cursor_text is None
    world.history.refused.clear()
    world.history.now += HOUR
    world.poll()
    assert world.fired() == []


def test_a_workspace_that_becomes_wrong_while_an_experiment_is_waited_for_is_an_error():
    world = World()
    world.history.exists = False
    world.poll()
    world.poll()
    world.history.refused["*"] = 404
    with pytest.raises(NotFound):
        world.poll()


def test_an_identity_that_may_not_list_experiments_waits_for_one():
    world = World()
    world.history.exists = False
    world.history.refused["/experiments:query"] = 403
    world.poll()
    assert "There is no such experiment yet" in world.shared.source.problems[0]


class Named(World):
    def __init__(self):
        super().__init__(source=lambda: PipelineRuns(None, "score"))
        self.poll()

    def looked_up(self):
        return sum(path == "/Pipelines" for path, _ in self.history.asked)


def test_pipelines_of_a_name_are_found_again_before_the_window_can_pass_a_new_one():
    world = Named()
    for _ in range(60):
        world.history.now += 60
        world.poll()
    assert world.looked_up() == 1 + 2
    world.history.pipelines["new"] = "score"
    run = ended(world, "new")
    world.history.now += LEAST_WINDOW / 2
    world.poll()
    assert world.fired() == [run]
    world.history.now += 3 * HOUR
    world.poll()
    assert world.looked_up() == 1 + 4


def test_pipelines_of_a_name_are_found_again_after_a_failure():
    world = Named()
    world.history.pipelines = {"new": "score"}
    world.history.refused["/PipelineRuns/Pipeline/p"] = 403
    with pytest.raises(PermissionDenied):
        world.poll()
    run = ended(world, "new")
    world.poll()
    assert world.fired() == [run]


def test_an_outage_in_which_thousands_of_runs_ended_is_caught_up_in_small_steps():
    world = World()
    world.poll()
    active = [world.history.submit(run_id=f"{number:036}") for number in range(300)]
    world.poll()
    for number in range(3000):
        world.history.now += 7
        world.history.end(world.history.submit(run_id=f"{number + 10**6:036}"))
    world.history.now += 2 * WINDOW
    for run in active:
        world.history.end(run)
    sizes, requests = [], []
    while not sizes or world.polls[-1].is_partial:
        before = len(world.history.asked)
        world.poll()
        requests.append(len(world.history.asked) - before)
        sizes.append(len(world.records[0].cursor_text))
    assert len(requests) <= 3300 / 200 + 2
    assert world.distinct() == set(world.history.runs)
    # Each run of the window takes 16 bytes, and each that was active before it 48; only pages are read.
    assert max(sizes) < 16 * 3300 + 48 * 300 + 100
    assert max(requests) <= 7 + 2 + 1
    assert len(sizes) > 10
    assert len(world.seen.active) == 0


def test_runs_that_wait_for_their_facts_are_bounded(monkeypatch):
    monkeypatch.setattr(ended_runs, "MOST_ACTIVE", 5)
    world = World()
    world.poll()
    world.history.refused["/jobs/*"] = 403
    for _ in range(40):
        ended(world, "")
        world.poll()
    world.history.now += 3 * WINDOW
    ended(world)
    world.poll()
    assert "are not waited for" in str(world.detection())
    world.poll()
    assert len(world.detection().cursor.active) <= 5 + ended_runs.MOST_AGAIN


class Listed(PipelineRuns):
    """A list that notes who compares it."""

    def __init__(self, count):
        super().__init__("p", None)
        self.count = count
        self.threads = []

    def read(self, since, active):
        yield from ()
        threads = self.threads

        class Runs(tuple):
            __slots__ = ()

            def __iter__(self):
                threads.append(threading.current_thread())
                return super().__iter__()

        row = {"Status": {"StatusCode": "Running", "CreationTime": "2026-05-28T20:27:40Z"}}
        return Runs([PipelineRun.from_wire({"Id": f"run-{number}", **row}) for number in range(self.count)])

    def read_active(self):
        raise AssertionError("not at the first poll")


@pytest.mark.parametrize(("count", "in_thread"), [(10, False), (2000, True)])
async def test_many_runs_are_compared_in_a_thread(count, in_thread):
    """The event loop of a triggerer must not wait for it."""
    source = Listed(count)
    shared = SharedRuns(source)
    knowledge = shared.join(RunRules(report_first=False), SeenRuns(int(START), {}, {}).encode())
    settings = replace(SETTINGS, auth_method="static_token", secret=Secret("t"))
    async with AsyncClient(settings) as client:
        poll = await client.run(shared.poll(START))
    assert [thread is not threading.current_thread() for thread in source.threads] == [in_thread]
    assert len(poll.steps[knowledge].detection.cursor.active) == count


def _at_most(number):
    real = ended_runs.find_endings
    return lambda *positional, **named: real(*positional, **named, most=number)
