"""The thing that a person means by an id or a name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

import pytest
from support.models.service import a_run

from aml_provider.cli.lookup import find_schedule, pick, pipeline_names
from aml_provider.client.entities import Schedule
from aml_provider.client.errors import AmbiguousName, PipelineError
from aml_provider.client.flows.finding import Kind
from aml_provider.client.flows.schedules import RETIRED, STATE
from aml_provider.hooks.azure_ml import AzureMLHook


class Thing(NamedTuple):
    id: str
    name: str
    status: str = "Active"
    version: str = ""
    created: datetime | None = None

    @property
    def is_active(self):
        return self.status == "Active"


THING = Kind("thing", "thing", NotImplemented)
CREATED = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
OLD = Thing("1", "score", "Disabled", "1.0", CREATED)
NEW = Thing("2", "score", "Active", "2.0", CREATED)
TRAP = Thing("3", "1")
THINGS = [TRAP, OLD, NEW, Thing("4", "twins"), Thing("5", "twins"), Thing("6", "gone", "Disabled")]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("2", "2"), ("1", "1"), ("score", "2"), ("gone", "6")],
    ids=["id", "id before a name like it", "the active one of a name", "the only one of a name"],
)
def test_an_id_or_a_name_is_found(wanted, found):
    assert pick(THING, wanted, THINGS).id == found


def test_several_of_one_name_are_all_listed():
    with pytest.raises(AmbiguousName) as caught:
        pick(THING, "twins", THINGS)
    told = "2 things are named 'twins': 4 (Active); 5 (Active). Give the id, or disable all but one."
    assert caught.value.text == told


def test_several_of_one_name_are_listed_with_their_differences():
    with pytest.raises(
        AmbiguousName, match=r": 1 \(Disabled, version 1\.0, created 2026-01-02 03:04 UTC\); .*id\. Help"
    ):
        pick(THING, "score", [OLD, OLD._replace(id="9")])


@pytest.mark.parametrize(("wanted", "hint"), [("scor", "did you mean 'score'?"), ("xyz", "there are 6 others.")])
def test_a_missing_name_is_answered_with_similar_ones(wanted, hint):
    with pytest.raises(PipelineError) as caught:
        pick(THING, wanted, THINGS)
    assert caught.value.text == f"The workspace has no thing with the id or name {wanted!r}; {hint}"


def test_an_empty_workspace_is_reported_as_that():
    with pytest.raises(PipelineError, match=r"; it has none at all\. Help: "):
        pick(THING, "x", [])


class TwoSchedules(AzureMLHook):
    """A workspace where one schedule has replaced another of its name, and was disabled later."""

    def list_schedules(self, *, active_only=True):
        assert not active_only
        disabled = {"Name": "daily", "EntityStatus": "Disabled"}
        return (
            Schedule.from_wire({**disabled, "Id": "old", "PipelineSubmissionInfo": {"Properties": {STATE: RETIRED}}}),
            Schedule.from_wire({**disabled, "Id": "new", "PipelineSubmissionInfo": {"Properties": {}}}),
        )


@pytest.mark.parametrize(("wanted", "found"), [("daily", "new"), ("new", "new"), ("old", "old")])
def test_a_schedule_that_was_replaced_is_found_by_its_id_alone(wanted, found):
    assert find_schedule(TwoSchedules(), wanted).id == found


def test_components_have_their_names_in_their_ids():
    hook = AzureMLHook("nobody-asks")
    version = "/subscriptions/s/resourceGroups/g/providers/P/workspaces/w/components/score-files/versions/2"
    assert pipeline_names(hook, [a_run(PipelineId=version), a_run()]) == {version: "score-files"}
    assert pipeline_names(hook, []) == {}
