"""The permissions that Azure Resource Manager lists for the caller."""

from __future__ import annotations

import pytest
from support.services.workspace_api import PIPELINES, SCOPE, serving

from aml_provider.emulator.seeds.shape import SeedError
from aml_provider.emulator.server import EmulatorServer

PERMISSIONS = f"{SCOPE}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01"
LIMITED = {"permissions": [{"actions": ["a/*/read"], "not_actions": ["a/b/read"]}, {"actions": ["c/write"]}]}


def listed(api):
    return [(item["actions"], item["notActions"]) for item in api.ask("GET", PERMISSIONS)["value"]]


def test_by_default_the_caller_may_do_everything():
    with serving() as api:
        assert listed(api) == [(["*"], [])]


def test_a_seed_limits_what_is_listed_but_not_what_is_done():
    with serving(LIMITED) as api:
        assert listed(api) == [(["a/*/read"], ["a/b/read"]), (["c/write"], [])]
        assert api.get(f"{PIPELINES}/Pipelines").status_code == 200


def test_nobody_has_any():
    with serving({"permissions": []}) as api:
        assert listed(api) == []


def test_a_null_is_as_if_left_out():
    with serving({"permissions": None}) as api:
        assert listed(api) == [(["*"], [])]


def test_they_survive_a_restart(tmp_path):
    file = tmp_path / "workspace.json"
    for seed in (LIMITED, {}):
        with serving(seed, state_file=file) as api:
            assert listed(api) == [(["a/*/read"], ["a/b/read"]), (["c/write"], [])]


def test_a_token_is_needed():
    with serving() as api:
        assert api.get(PERMISSIONS, headers={"Authorization": ""}).status_code == 401


@pytest.mark.parametrize("item", [{"actions": "x"}, {}, {"actions": [], "notActions": []}])
def test_a_mistake_in_a_seed_is_reported(item):
    with pytest.raises(SeedError, match=r"permissions\[0\]"):
        EmulatorServer({"permissions": [item]})
