"""Finding a run by its key."""

from __future__ import annotations

import pytest
from support.models.service_model import Service
from support.models.submissions import submit

from aml_provider.client.errors import AzureMLError, NotFound, ServerFault
from aml_provider.durable.lookup import WAYS, Search, arrival_timeout, look_up, search

LONGEST = 60.0 + 60.0


def find(service, way, key="k1", pipeline_id="pipe"):
    return service.drive(look_up(way, key, "exp", pipeline_id))


def search_for(service, key="k1", *, timeout, pipeline_id="pipe"):
    return service.drive(search(key, "exp", pipeline_id, timeout=timeout, now=service.now))


@pytest.mark.parametrize("way", WAYS)
def test_a_run_is_found_in_each_way_by_its_own_key_only(way):
    service = Service()
    submit(service, "k1")
    submit(service, "k2")
    assert find(service, way, "k2") == ("run-2",)
    assert find(service, way, "k3") == ()


@pytest.mark.parametrize(
    ("quirks", "expected"),
    [
        ({"drop_tags": True}, [(), ("run-1",), ("run-1",)]),
        ({"drop_properties": True}, [("run-1",), (), ("run-1",)]),
        ({"drop_tags": True, "drop_properties": True}, [(), (), ()]),
        ({"lag": 5.0}, [(), (), ()]),
    ],
)
def test_which_way_finds_a_run_depends_on_what_the_workspace_keeps(quirks, expected):
    service = Service(**quirks)
    submit(service)
    assert [find(service, way) for way in WAYS] == expected


@pytest.mark.parametrize("way", ["tag", "property"])
def test_an_experiment_that_does_not_exist_has_no_runs(way):
    service = Service()
    service.refusals = {"runs:query": NotFound("query", status=404)}
    assert find(service, way) == ()


def test_a_pipeline_that_is_not_known_gives_no_answer():
    with pytest.raises(AzureMLError, match="not known"):
        find(Service(), "pipeline", pipeline_id=None)


class UnfilteredService(Service):
    """A run history that does not understand the filter and lets every run through, the newest first."""

    def _answer(self, call):
        if call.path.endswith("runs:query"):
            return {"value": [self._history_wire(run) for run in self._listed()[: call.body["top"]]]}
        return super()._answer(call)


def test_a_filter_that_is_ignored_finds_what_is_on_the_page_and_is_no_answer_otherwise():
    service = UnfilteredService()
    submit(service, "k1")
    assert find(service, "tag", "k1") == ("run-1",)
    for number in range(20):
        submit(service, f"other-{number}")
    with pytest.raises(AzureMLError, match="does not filter by Tags"):
        find(service, "tag", "k1")
    assert search_for(service, timeout=0.0).answered == {"pipeline"}


def test_a_search_ends_with_the_first_find():
    service = Service()
    submit(service)
    assert search_for(service, timeout=60.0) == Search(("run-1",), "tag", frozenset({"tag"}))
    assert len(service.calls("runs:query|Pipeline/pipe")) == 1


@pytest.mark.parametrize(("lag", "found"), [(59.0, ("run-1",)), (60.0, ("run-1",)), (61.0, ())])
def test_the_last_round_begins_when_the_timeout_has_passed(lag, found):
    service = Service(lag=lag)
    submit(service)
    began = service.time
    assert search_for(service, timeout=60.0).run_ids == found
    assert service.time - began <= 60.0


def test_a_search_without_a_timeout_asks_once():
    service = Service()
    assert search_for(service, timeout=0.0) == Search((), "", frozenset(WAYS))
    assert len(service.log) == 3


class SlowService(Service):
    """Answers only after 20 seconds."""

    def _answer(self, call):
        self.wait(20.0)
        return super()._answer(call)


def test_time_spent_on_answers_counts_towards_the_timeout():
    service = SlowService()
    search_for(service, timeout=60.0)
    assert len(service.log) == 6


def test_a_search_says_who_answered_and_why_others_did_not():
    service = Service()
    problem = ServerFault("query", status=503)
    service.refusals = {"runs:query": problem}
    assert search_for(service, timeout=0.0) == Search((), "", frozenset({"pipeline"}), problem)
    assert search_for(service, timeout=0.0, pipeline_id=None).answered == frozenset()


@pytest.mark.parametrize("off", [0.0, -600.0, 600.0], ids=["agree", "other behind", "other ahead"])
@pytest.mark.parametrize("ago", [0.0, 30.0, 119.0])
def test_whatever_the_other_clock_says_what_may_be_on_its_way_is_looked_for_to_the_end(off, ago):
    now = 1_000_000.0
    assert arrival_timeout(now - ago + off, 60.0, now, 0.0) >= LONGEST - ago


def test_there_is_an_upper_bound():
    assert arrival_timeout(2_000_000.0, 60.0, 1_000_000.0, 0.0) == LONGEST


def test_of_what_was_sent_long_ago_once_is_enough():
    assert arrival_timeout(1_000_000.0 - 3600, 60.0, 1_000_000.0, 0.0) == 0.0


def test_what_other_tries_have_looked_up_already_is_not_looked_up_again():
    now = 1_000_000.0
    assert arrival_timeout(now, 60.0, now, 45.0) == LONGEST - 45
    assert arrival_timeout(now - LONGEST - 900 + 20, 60.0, now, 45.0) == 20
    assert arrival_timeout(now, 60.0, now, 500.0) == 0.0


def test_a_search_stores_how_long_it_has_lasted_before_each_pause():
    service, kept = SlowService(), []
    service.drive(search("k1", "exp", "pipe", timeout=150.0, now=service.now, keep=kept.append))
    assert kept == [60.0, 121.0, 183.0]
