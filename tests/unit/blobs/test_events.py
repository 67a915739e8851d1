"""Events made of changes: their ids and their size."""

from __future__ import annotations

import json
import random

import pytest

from aml_provider.blobs.events import EVENT_BYTES, event_id, split


def change(number, name=None, etag=None):
    name = name or f"{number:06}.csv"
    return {
        "datastore": None,
        "container_url": "https://acc.blob.core.windows.net/c",
        "path": f"in/{name}",
        "name": name,
        "etag": etag or f"0x{number:X}",
        "last_modified": "2026-11-01T12:00:00+00:00",
        "size": 1,
        "change": "added",
    }


def test_no_changes_make_no_event():
    assert split([]) == []


def test_the_id_depends_on_the_versions_only():
    changes = [change(1), change(2)]
    shown_otherwise = [{**item, "change": "modified", "datastore": "store", "size": 7} for item in changes]
    assert event_id(changes) == event_id(reversed(changes)) == event_id(shown_otherwise)
    assert len(event_id(changes)) == 64


@pytest.mark.parametrize("field", ["container_url", "path", "etag"])
def test_another_version_has_another_id(field):
    assert event_id([change(1)]) != event_id([{**change(1), field: "other"}])


def test_versions_with_equal_joined_parts_have_different_ids():
    assert event_id([change(1, "a", "bc")]) != event_id([change(1, "ab", "c")])


@pytest.mark.parametrize("seed", range(20))
def test_each_event_is_as_large_as_the_limit_allows(seed):
    dice = random.Random(seed)
    letters = 'aß\N{PILE OF POO}"\\'
    changes = [change(i, f"{i:05}" + "".join(dice.choices(letters, k=dice.randrange(200)))) for i in range(300)]
    limit = dice.choice([6_000, 20_000, EVENT_BYTES])
    events = split(changes, limit)
    assert [item for event in events for item in event["changes"]] == changes
    sizes = [len(json.dumps(event)) for event in events]
    assert max(sizes) <= limit
    firsts = [len(json.dumps(event["changes"][0])) for event in events[1:]]
    assert all(size + first + 2 > limit for size, first in zip(sizes, firsts, strict=False))
    assert len({event["id"] for event in events}) == len(events)


def test_a_change_that_is_larger_than_the_limit_is_an_event_of_its_own():
    events = split([change(1), change(2, "x" * 5000), change(3)], 2000)
    assert [[item["name"][:6] for item in event["changes"]] for event in events] == [["000001"], ["xxxxxx"], ["000003"]]


def test_as_many_changes_as_a_sensor_returns_by_default_fit_into_one_event():
    name = "2026-11-05T10-22-33Z-orders-of-the-day-0001.csv"
    container = "https://contosoanalytics.blob.core.windows.net/azureml-blobstore-12345678-1234-1234-1234-123456789012"
    usual = [
        {**change(i, name), "datastore": "workspaceblobstore", "container_url": container, "path": f"in/coming/{name}"}
        for i in range(1000)
    ]
    assert len(split(usual)) == 1
