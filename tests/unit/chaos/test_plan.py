"""A storm's plan is a function of its seed and scale, and holds what its scale asks for."""

from __future__ import annotations

from collections import Counter
from itertools import chain

import pytest
from chaos.pipeline_load import LONG, TASKS, runs_jobs
from chaos.plan import REQUESTS, TASK_KILLS, Freeze, Kill, Outage, Plan, Shutdown
from chaos.scales import SCALES

from aml_provider.emulator.faults import KINDS, Faults
from aml_provider.emulator.quirks import Quirks


@pytest.fixture(params=SCALES)
def scale(request):
    return request.param


@pytest.fixture(params=range(5))
def plan(request, scale):
    return Plan.draw(request.param, scale)


def test_the_same_seed_is_the_same_plan(scale):
    assert Plan.draw(7, scale) == Plan.draw(7, scale)
    assert Plan.draw(7, scale).fingerprint == Plan.draw(7, scale).fingerprint


def test_another_seed_is_another_plan(scale):
    plans = [Plan.draw(seed, scale) for seed in range(20)]
    assert len({plan.fingerprint for plan in plans}) == 20
    assert len({plan.starts for plan in plans}) == 20
    assert len({repr(plan.troubles) for plan in plans}) == 20


def test_an_unknown_scale_is_refused():
    with pytest.raises(KeyError, match="huge"):
        Plan.draw(1, "huge")


def test_everything_is_due_in_its_order_and_within_the_time(plan):
    for acts in (plan.starts, plan.task_kills, plan.breaks, plan.troubles, plan.stories):
        moments = [act.at for act in acts]
        assert moments == sorted(moments)
        assert moments[0] >= 0
        # A story begins when its task waits.
        assert moments[-1] <= plan.size.seconds + 40


def test_the_scale_is_what_is_drawn(plan):
    size = plan.size

    def drawn(kind):
        return Counter(act.what for act in (*plan.task_kills, *plan.breaks) if isinstance(act, kind))

    assert drawn(Kill) == size.kills
    assert drawn(Freeze) == size.freezes
    assert drawn(Shutdown) == size.shutdowns
    assert drawn(Outage) == size.outages
    assert {kill.what for kill in plan.task_kills} <= set(TASK_KILLS)
    assert len(plan.troubles) == size.faults + size.job_faults
    assert Counter(start.dag_id.replace("jobs_", "pipelines_") for start in plan.starts) == size.dag_runs


def test_a_fixed_share_of_the_dag_runs_runs_components_and_the_seed_decides_which(scale):
    plans = [Plan.draw(seed, scale) for seed in range(20)]
    chosen = [{start.run_id for start in plan.starts if runs_jobs(start.dag_id)} for plan in plans]
    assert {len(runs) for runs in chosen} == {round(0.4 * len(plans[0].starts))}
    assert len(set(map(frozenset, chosen))) > 10
    assert {start.dag_id for plan in plans for start in plan.starts} == set(TASKS)
    assert {quirk for plan in plans for quirk in plan.quirks} >= {"put_again=400", "put_again=409"}
    assert any("put_again" not in "".join(plan.quirks) for plan in plans)


def test_a_plan_holds_more_than_a_storm_must_have_done(plan):
    tasks = list(chain.from_iterable(start.tasks for start in plan.starts))
    kills = sum(isinstance(act, Kill) for act in (*plan.task_kills, *plan.breaks))
    assert len(set(tasks)) == len(tasks) >= plan.size.at_least["pipeline task instances"]
    assert kills >= plan.size.at_least["kills"]
    assert sum(trouble.details.get("times", 1) for trouble in plan.troubles) >= plan.size.at_least["faults"]


def test_each_fault_is_one_that_the_workspace_has():
    faults = Faults()
    kinds = set()
    for seed in range(10):
        for trouble in Plan.draw(seed, "full").troubles:
            method, path = REQUESTS[trouble.where]
            kinds.add(faults.add(trouble.kind, method=method, path=path, **trouble.details).kind)
    assert kinds == set(KINDS)


def test_each_quirk_is_one_that_the_workspace_has():
    drawn = {Plan.draw(seed, "small").quirks for seed in range(100)}
    assert len(drawn) > 5
    for quirks in drawn:
        Quirks.parse(quirks)


def test_a_run_that_goes_on_for_ever_is_ended_by_somebody(plan):
    ended = {story.task for story in plan.stories if story.steps[-1] in {"mark_success", "mark_failed", "cancel"}}
    for_ever = {task for start in plan.starts if start.dag_id in LONG for task in start.tasks}
    assert for_ever <= ended
    # A clear of the whole DAG run would begin what somebody has ended.
    assert not any(story.task in for_ever and "clear_dag_run" in story.steps for story in plan.stories)


def test_each_task_instance_has_its_lengths(plan):
    for start in plan.starts:
        assert len(start.lengths) == len(TASKS[start.dag_id])
        for lengths in start.lengths:
            *_, last = lengths.split(",")
            assert float(last) > 0
