"""Components of the v2 API: lists of names and versions, the newest one, the interface."""

from __future__ import annotations

import pytest
from support.services.workspace_api import SCOPE, serving

COMPONENTS = f"{SCOPE}/components"


@pytest.fixture
def api():
    with serving() as running:
        yield running


def test_components_have_their_newest_and_next_version(api):
    found = {item["name"]: item["properties"] for item in api.ask("GET", f"{COMPONENTS}?listViewType=All")["value"]}
    assert {name: (item["latestVersion"], item["nextVersion"]) for name, item in found.items()} == {
        "fit_files": ("2", "3"),
        "cook": ("1", "2"),
    }
    assert api.ask("GET", f"{COMPONENTS}/cook")["properties"] == found["cook"]


def test_the_newest_version_comes_first(api):
    assert api.listed("/components/fit_files/versions") == ["2", "1"]
    page = api.ask("GET", f"{COMPONENTS}/fit_files/versions", params={"$orderBy": "createdtime desc", "$top": "1"})
    assert [item["name"] for item in page["value"]] == ["2"]
    assert [item["name"] for item in api.ask("GET", page["nextLink"])["value"]] == ["1"]
    assert api.listed("/components/fit_files/versions?$orderBy=createdtime asc") == ["1", "2"]
    assert "createdtime" in api.ask("GET", f"{COMPONENTS}/fit_files/versions?$orderBy=name", 400)


def test_the_interface_of_a_version(api):
    version = api.ask("GET", f"{COMPONENTS}/fit_files/versions/1")
    assert version["id"] == f"{COMPONENTS}/fit_files/versions/1"
    spec = version["properties"]["componentSpec"]
    assert spec["inputs"] == {
        "rate": {"type": "number", "optional": False, "default": "0.5"},
        "label": {"type": "string", "optional": True},
        "input": {"type": "uri_folder", "optional": False},
        "table": {"type": "mltable", "optional": True},
    }
    assert (spec["type"], spec["outputs"], list(spec["jobs"])) == (
        "pipeline",
        {"scores": {"type": "uri_folder"}},
        ["prepare", "fit"],
    )


@pytest.mark.parametrize("path", ["/none", "/none/versions", "/fit_files/versions/9"])
def test_unknown_ones(api, path):
    assert "was not found" in api.ask("GET", f"{COMPONENTS}{path}", 404)


def test_archived_versions_are_listed_apart():
    seed = {"components": [{"name": "a", "version": "1", "archived": True}, {"name": "a", "version": "2"}]}
    with serving(seed) as api:
        assert api.listed("/components") == ["a"]
        assert api.listed("/components?listViewType=ArchivedOnly") == []
        assert api.listed("/components/a/versions") == ["2"]
        assert api.listed("/components/a/versions?listViewType=ArchivedOnly") == ["1"]


def test_bounds_and_enumerations_are_texts():
    inputs = [{"name": "n", "type": "integer", "min": 1, "max": 9, "default": 5}, {"name": "s", "enum": ["a", "b"]}]
    with serving({"components": [{"name": "a", "inputs": inputs}]}) as api:
        spec = api.ask("GET", f"{COMPONENTS}/a/versions/1")["properties"]["componentSpec"]
        assert spec["inputs"] == {
            "n": {"type": "integer", "optional": False, "default": "5", "min": "1", "max": "9"},
            "s": {"type": "string", "optional": False, "enum": ["a", "b"]},
        }
