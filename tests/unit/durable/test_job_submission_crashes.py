"""Exactly one job: the enumeration of interrupted tries as for runs of published pipelines, without any doubt left.

A job's id is the client's choice, so nothing here depends on how soon a run is listed, or on evidence.
"""

from __future__ import annotations

import itertools

import pytest
from support.models.crashes import Fuse, crashes, outcome
from support.models.service_model import ACTIVE, Service
from support.models.submissions import DOUBT, MEANWHILE, NEXT, POLICY, QUIET, World, end_tries_after

from aml_provider.client.calls import Call
from aml_provider.client.errors import (
    BadRequest,
    Conflict,
    ForeignRun,
    NotFound,
    PermissionDenied,
    PipelineError,
    ReplyLost,
    RunCanceled,
    ServerFault,
    SubmissionUnsettled,
    Throttled,
)
from aml_provider.client.http.messages import ON_ITS_WAY

WORLDS = {
    "the same request again is accepted": {"drop_tags": True},
    "the same request again is refused": {"put_again": 400},
    "properties are dropped": {"drop_properties": True},
}
MOVE = {"retry of the other kind": lambda world: world.move()}
#: What becomes of the first requests, and by how many seconds a late one is late: before the second request, or after.
FATES = [
    (("done",), 0.0),
    *(((fate,), 30.0) for fate in DOUBT),
    (("done late",), 0.3),
    (("done late", "not done"), 0.7),
]


def world_of(quirks, fates=(), late_by=30.0, **more):
    world = World(learnt=False, **{"jobs": True} | more, **quirks)
    world.log = QUIET
    world.service.fates, world.service.late_by = list(fates), late_by
    return world


def histories(quirks, acts=NEXT, make=world_of, fates=FATES):
    """All histories: a first try that ends anywhere, what happens then, and a second one that ends anywhere."""
    for (first_fates, late_by), meanwhile, then in itertools.product(fates, MEANWHILE, acts):

        def first_try(fuse, first_fates=first_fates, late_by=late_by):
            world = make(quirks, first_fates, late_by)
            world.ends = [outcome(lambda: world.obtain(fuse))]
            return world

        for first, _, probe in crashes(first_try):
            if meanwhile != "nothing" and not probe.service.active():
                continue

            def two_tries(fuse, first=first, meanwhile=meanwhile, then=then, first_try=first_try):
                world = first_try(Fuse(first))
                MEANWHILE[meanwhile](world)
                acts[then](world)
                world.ends.append(outcome(lambda: world.obtain(fuse)))
                return world

            for second, _, world in crashes(two_tries):
                yield world, (first_fates, late_by, first, meanwhile, then, second)


def check(world, history):
    ends = [outcome(world.obtain) for _ in range(2)]
    history = (*history, world.ends, ends)
    last = ends[-1]
    # After a permanent error Airflow retries nothing, whatever the next try could have found.
    for end in world.ends:
        assert isinstance(end, RunCanceled) or not getattr(end, "permanent", False), history
    if isinstance(last, str):
        run = next(run for run in world.service.runs if run.id == last)
        assert run.generation == world.service.generation, history
        assert run.status in {*ACTIVE, "Finished"}, history
        assert ends[0] == last or not isinstance(ends[0], str), history
    else:
        assert isinstance(last, RunCanceled), history
        assert "cancelled in the workspace" in history, history
    try:
        world.check()
    except AssertionError as error:
        raise AssertionError(f"{error} in {history}") from error


@pytest.mark.parametrize("quirks", WORLDS.values(), ids=WORLDS)
def test_whatever_crashes_and_happens_there_is_exactly_one_job(quirks):
    count = 0
    for world, history in histories(quirks):
        check(world, history)
        assert not world.service.calls("query|PipelineRuns"), history
        assert world.known.reads == 0, history
        count += 1
    assert count > 500


@pytest.mark.parametrize("jobs", [True, False], ids=["from v2 to v1", "from v1 to v2"])
def test_a_retry_may_move_to_the_other_kind_of_pipeline(jobs):
    learnt = World(lag=20.0)

    def make(quirks, fates, late_by):
        world = world_of(quirks, fates, late_by, jobs=jobs)
        world.shelf = list(learnt.shelf)
        return world

    for world, history in histories({"lag": 20.0, "put_again": 400}, MOVE, make):
        check(world, history)


class Gullible(Service):
    """As if the client left out all GETs after a refused PUT: it learns that there is no job, without a request."""

    def __init__(self, **quirks):
        super().__init__(**quirks)
        self.has_refused = False

    def _act(self, step):
        if self.has_refused and isinstance(step, Call) and step.method == "GET":
            raise NotFound("get job", status=404)
        self.has_refused = self.has_refused and not isinstance(step, Call)
        try:
            return super()._act(step)
        except BadRequest:
            self.has_refused = step.method == "PUT"
            raise


def test_without_the_get_after_an_immutable_refusal_promises_are_broken():
    def make(quirks, fates, late_by):
        world = world_of(quirks, fates, late_by)
        service = Gullible(**quirks)
        service.fates, service.late_by = list(fates), late_by
        world.service, world.store.service = service, service
        return world

    def check_all():
        for world, history in histories({"put_again": 400}, make=make):
            check(world, history)

    with pytest.raises(AssertionError, match="BadRequest"):
        check_all()


def refused(**facts):
    return BadRequest("submit job", status=400, **facts)


def test_a_first_job_takes_one_request_and_no_look_up():
    world = World(learnt=False, jobs=True)
    run_id = world.obtain()
    assert world.service.log == [f"PUT /jobs/{run_id}"]
    assert not world.submission.must_learn
    run = world.only_run()
    assert run.tags["airflow.key"] == run.properties["airflow.key"] == world.record.key
    assert run.tags["airflow.component"] == "comp:1"
    assert world.record.pipeline_id == "comp/versions/1"


def test_a_lost_reply_is_resolved_by_one_read():
    world = World(learnt=False, jobs=True)
    world.service.fates = ["done, reply lost"]
    run_id = world.obtain()
    assert world.service.log == [f"PUT /jobs/{run_id}", f"GET /jobs/{run_id}"]


def test_a_lost_request_is_sent_again_under_the_same_id():
    world = World(learnt=False, jobs=True)
    world.service.fates = ["not done", "not done"]
    run_id = world.obtain()
    assert world.service.log == [f"PUT /jobs/{run_id}", f"GET /jobs/{run_id}"] * 2 + [f"PUT /jobs/{run_id}"]


def test_a_service_that_is_down_for_longer_than_the_retry_budget_is_left_to_the_next_try():
    world = World(learnt=False, jobs=True)
    world.service.fates = ["not done"] * 100
    began = world.service.time
    with pytest.raises(ReplyLost):
        world.obtain()
    assert POLICY.budget / 2 < world.service.time - began < POLICY.budget
    assert world.record.sent
    world.service.fates, world.service.log = [], []
    run_id = world.obtain()
    assert world.service.log == [f"GET /jobs/{run_id}", f"PUT /jobs/{run_id}"]


def test_a_task_that_is_not_durable_resolves_its_own_doubt():
    world = World(learnt=False, jobs=True)
    world.service.fates = ["done, reply lost"]
    assert world.obtain(store=None, evidence=None) == world.only_run().id


@pytest.mark.parametrize("error", [PermissionDenied("put", status=403), Throttled("put", status=429)])
def test_a_refusal_of_the_identity_or_of_the_rate_needs_no_read(error):
    world = World(learnt=False, jobs=True)
    world.service.refusals = {"PUT": error}
    with pytest.raises(type(error)):
        world.obtain(policy=POLICY._replace(throttled_budget=1.0))
    assert not world.service.calls("GET")
    assert not world.record.sent


@pytest.mark.parametrize("error", [refused(), Conflict("put", status=409), NotFound("put", status=404)])
def test_a_refusal_of_a_job_that_does_not_exist_is_the_error(error):
    world = World(learnt=False, jobs=True)
    world.service.refusals = {"PUT": error}
    assert outcome(world.obtain) is error
    assert len(world.service.log) == 2
    assert not world.record.sent


def gone():
    raise PipelineError("component_name: all versions are archived")
    yield


@pytest.mark.parametrize("fate", ["done late", "not done"])
@pytest.mark.parametrize("wants", ["a", "b"])
@pytest.mark.parametrize("error", [refused(), PermissionDenied("put", status=403), PipelineError("gone")], ids=str)
def test_a_refusal_says_nothing_about_an_earlier_request_that_is_on_its_way(fate, wants, error):
    world = World(learnt=False, jobs=True)
    world.service.wants = "a"
    world.service.fates = [fate]
    world.service.late_by = 20.0
    assert isinstance(outcome(lambda: world.obtain(policy=POLICY._replace(budget=0.0))), (ReplyLost, ServerFault))
    world.service.wants = wants
    # Either the request is refused, or there is none, as the component is gone.
    is_gone = isinstance(error, PipelineError)
    world.service.refusals = {} if is_gone else {"PUT": error}
    ended = outcome(lambda: world.obtain(find_target=gone if is_gone else None))
    if fate == "not done":
        assert type(ended) is type(error)
        assert not world.record.sent
    elif wants == "a":
        assert ended == world.only_run().id == world.record.run_id
    else:
        # It is not what this try asks for, and nothing else can be submitted.
        assert type(ended) is type(error)
        assert world.only_run().status == "Canceled"


@pytest.mark.parametrize("changed", [{"airflow.key": "other"}, {}])
def test_a_job_of_somebody_else_is_neither_taken_over_nor_overwritten(changed):
    world = World(learnt=False, jobs=True)
    world.service.fates = ["done, reply lost"]
    outcome(lambda: world.obtain(Fuse(4)))
    run = world.only_run()
    run.tags = run.properties = run.history_tags = changed
    run.generation = "somebody else's"
    world.service.log = []
    with pytest.raises(ForeignRun, match=r"was not submitted by this task.*Clear this task"):
        world.obtain()
    assert not world.service.calls("PUT|POST")
    world.clear()
    assert world.obtain() != run.id
    assert run.status == "Running"


def test_a_copy_of_the_database_cancels_no_job_of_the_original():
    world = World(learnt=False, jobs=True)
    world.identity = world.identity._replace(url="https://a.example")
    world.obtain()
    world.identity = world.identity._replace(url="https://b.example")
    world.service.wants = "b"
    with pytest.raises(ForeignRun, match=r"submitted by the Airflow at https://a\.example"):
        world.obtain()
    assert world.only_run().status == "Running"


def test_a_copy_under_a_name_of_its_own_submits_under_other_ids():
    world = World(learnt=False, jobs=True)
    first = world.obtain()
    world.identity = world.identity._replace(deployment="staging")
    with pytest.raises(ForeignRun, match="was not made under this Airflow's deployment_id"):
        world.obtain()
    world.only_run().generation = "the original's"
    world.clear()
    assert world.obtain() != first
    assert [run.status for run in world.service.runs] == ["Running", "Running"]


def test_a_job_that_cannot_be_read_leaves_the_decision_to_the_next_try():
    world = World(learnt=False, jobs=True)
    world.service.fates = ["done, reply lost"]
    world.service.refusals = {"GET": PermissionDenied("get job", status=403)}
    with pytest.raises(SubmissionUnsettled, match="is not known yet"):
        world.obtain()
    assert not SubmissionUnsettled.permanent
    assert isinstance(outcome(world.obtain), SubmissionUnsettled)
    world.service.refusals = {}
    assert world.obtain() == world.only_run().id


@pytest.mark.parametrize("lasts", [15.0, 50.0])
def test_tries_that_are_shorter_than_a_request_may_be_on_its_way_wait_for_it_together(lasts):
    """A cleared task: nothing but reading its id finds the old job, and nothing else could stop it."""
    world = World(learnt=False, jobs=True)
    world.service.fates, world.service.late_by = ["done late"], 55.0
    outcome(lambda: world.obtain(Fuse(4)))
    world.clear()
    tries = 0
    while world.service.active(world.service.generation) == []:
        tries += 1
        assert tries < 2 + ON_ITS_WAY / lasts
        end_tries_after(lasts, world)
        outcome(world.obtain)
    world.service.listener = lambda: None
    assert [run.status for run in world.service.runs] == ["Canceled", "Running"]
    world.check()


def test_after_a_clear_nothing_is_read_once_a_request_can_no_longer_arrive():
    world = World(learnt=False, jobs=True)
    world.service.fates = ["not done"]
    outcome(lambda: world.obtain(Fuse(4)))
    world.service.wait(3600.0)
    world.clear()
    world.service.log = []
    world.obtain()
    assert len(world.service.calls("GET /jobs")) == 1


def test_a_late_request_that_asked_for_something_else_is_replaced_within_the_try():
    world = World(learnt=False, jobs=True)
    world.service.fates, world.service.late_by = ["done late"], 0.3
    outcome(lambda: world.obtain(Fuse(4)))
    world.service.wants = "b"

    def find_target():
        world.service.wait(1.0)
        return (yield from world.find_target())

    run_id = world.obtain(find_target=find_target)
    first, second = world.service.runs
    assert (first.status, second.id, second.wanted) == ("Canceled", run_id, "b")
    assert world.record.ordinal == 1
    world.check()
