"""Not finding a run proves something only where the workspace was seen to keep keys."""

from __future__ import annotations

import json

import pytest
from support.models.service_model import KnownEvidence, Service
from support.models.submissions import SETTINGS, submit

from aml_provider.client.errors import PermissionDenied, ServerFault
from aml_provider.client.settings import CLOUDS, WorkspaceSettings
from aml_provider.durable.evidence import Evidence
from aml_provider.durable.lookup import WAYS, Search

DAY = 86_400.0


def evidence(service, shelf):
    return KnownEvidence(SETTINGS, service, shelf)


def gather(service, shelf, key="k1"):
    service.drive(evidence(service, shelf).gather(key, "exp", "pipe", timeout=60.0))
    return json.loads(shelf[-1])


def nothing_by(*ways):
    return Search((), "", frozenset(ways))


def test_nothing_learnt_proves_nothing():
    known = evidence(Service(), [])
    assert not known.proves_absence(nothing_by(*WAYS))
    assert not known.may_yet_prove(nothing_by(*WAYS))
    assert known.may_yet_prove(nothing_by())


@pytest.mark.parametrize("way", WAYS)
def test_only_a_way_that_found_something_before_proves_absence(way):
    known = evidence(Service(), [json.dumps({"found": [way], "missed": {}})])
    others = tuple(other for other in WAYS if other != way)
    assert known.proves_absence(nothing_by(way))
    assert not known.proves_absence(nothing_by(*others))
    assert known.may_yet_prove(nothing_by(*others))
    assert not known.proves_absence(Search(("run-1",), way, frozenset({way})))


@pytest.mark.parametrize(
    ("quirks", "found"),
    [
        ({}, ["pipeline", "property", "tag"]),
        ({"drop_tags": True}, ["pipeline", "property"]),
        ({"drop_properties": True}, ["pipeline", "tag"]),
        ({"lag": 30.0}, ["pipeline", "property", "tag"]),
        ({"lag": 300.0}, []),
    ],
)
def test_one_run_proves_the_ways_that_found_it(quirks, found):
    service = Service(**quirks)
    submit(service)
    shelf = []
    learnt = gather(service, shelf)
    assert learnt["found"] == found
    assert sorted(learnt["missed"]) == sorted(set(WAYS) - set(found))
    assert evidence(service, shelf).due == ()


def test_a_way_that_missed_is_tried_again_after_a_day_without_waiting():
    service = Service(drop_tags=True)
    submit(service)
    shelf = []
    gather(service, shelf)
    service.time += DAY + 1
    service.drop_tags = False
    submit(service, "k2")
    assert evidence(service, shelf).due == ("tag",)
    before = service.time
    assert gather(service, shelf, "k2") == {"found": ["pipeline", "property", "tag"], "missed": {}}
    assert service.time == before


def test_a_way_that_gives_no_answer_is_not_asked_with_every_run():
    service = Service()
    submit(service)
    service.refusals = {"runs:query": PermissionDenied("query", status=403)}
    shelf = []
    assert gather(service, shelf)["found"] == ["pipeline"]
    assert evidence(service, shelf).due == ()


def test_two_tasks_that_learn_at_once_lose_nothing():
    service = Service()
    submit(service)
    shelf = []
    slow = evidence(service, shelf)
    assert slow.due == WAYS
    gather(service, shelf)
    service.refusals = {"runs:query|Pipeline/pipe": ServerFault("query", status=503)}
    service.drive(slow.gather("k1", "exp", "pipe", timeout=0.0))
    assert json.loads(shelf[-1]) == {"found": ["pipeline", "property", "tag"], "missed": {}}


@pytest.mark.parametrize("edited", ["", "{", "[]", "7", '{"found": 3}', '{"found": ["tag"], "missed": {"tag": "x"}}'])
def test_an_edited_variable_is_no_reason_to_fail(edited):
    known = evidence(Service(), [edited])
    assert set(known.due) <= set(WAYS)


def test_a_way_that_nobody_knows_is_no_evidence():
    known = evidence(Service(), ['{"found": ["magic"], "missed": {}}'])
    assert not known.proves_absence(nothing_by(*WAYS))


def test_workspaces_do_not_share_evidence():
    names = {
        KnownEvidence(settings, Service(), []).name
        for settings in (
            SETTINGS,
            WorkspaceSettings(**vars(SETTINGS) | {"workspace_name": "other"}),
            WorkspaceSettings(**vars(SETTINGS) | {"endpoint": "https://elsewhere"}),
            WorkspaceSettings(**vars(SETTINGS) | {"cloud": CLOUDS["china"]}),
        )
    }
    assert len(names) == 4
    same = WorkspaceSettings(**vars(SETTINGS) | {"workspace_name": "W"})
    assert KnownEvidence(same, Service(), []).name in names


def test_what_cannot_be_read_back_is_an_error():
    service = Service()
    submit(service)
    known = Evidence(
        SETTINGS, lambda name: "{}", lambda name, text, about: None, now=service.now, monotonic=service.now
    )
    with pytest.raises(RuntimeError, match=r"Variable azureml_evidence_.* does not read as written"):
        service.drive(known.gather("k1", "exp", "pipe", timeout=60.0))
