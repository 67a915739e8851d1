"""The actions that the client needs: those of its calls, of the documentation, and of Azure's own list are the same."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from support.samples.azure_operations import OPERATIONS
from support.samples.call_samples import any_calls

from aml_provider.client.calls.call import RIGHTS, WRITER
from aml_provider.client.entities import Permission
from aml_provider.client.entities.permissions import covers
from aml_provider.client.rights import (
    APIS,
    NEEDS,
    READ_PERMISSIONS,
    READER,
    USES,
    built_in_role,
    lacking,
    needed,
    role_definition,
)

DOCS = Path(__file__).parents[3] / "docs"
SECTION = (DOCS / "set-up" / "connection.md").read_text().partition("## Permissions\n")[2].partition("\n## ")[0]
ROLES_PAGE = (DOCS / "set-up" / "roles.md").read_text()
#: The cells of each row of the table.
ROWS = [
    [cell.strip() for cell in line.split("|")[1:-1]]
    for line in SECTION.splitlines()
    if line.startswith("|") and not line.startswith(("|---", "| in order to"))
]
NOTHING = "\N{EN DASH}"
#: The rows that are not about the workspace's own actions.
OTHER_ROWS = [
    ["list the identity's own permissions (`check --rights`)", *[f"`{READ_PERMISSIONS}`"] * 2, "*Reader*"],
    ["list blobs with the connection's identity", NOTHING, NOTHING, "*Storage Blob Data Reader* on the container"],
]
GROUP = "/subscriptions/SUBSCRIPTION/resourceGroups/GROUP"
OF_REQUESTS = [need for need in NEEDS if not need.by_service]
EVERY_USE = [(use, api) for use in USES for api in APIS]
#: The built-in roles (Microsoft Learn, "Azure built-in roles for AI + machine learning").
BUILT_IN = {
    READER: Permission(("*/read",)),
    WRITER: Permission(
        tuple(f"{RIGHTS}/*/{kind}" for kind in ("read", "action", "delete", "write")),
        (f"{RIGHTS}/delete", f"{RIGHTS}/write", f"{RIGHTS}/computes/*/write", f"{RIGHTS}/computes/*/delete"),
    ),
}


def actions_of(call):
    return frozenset(right.removeprefix(f"{RIGHTS}/") for right in call.right.split(" and "))


def test_each_call_has_a_need_with_its_actions_and_its_role():
    missing = {
        (call.operation, call.right, call.role)
        for call in any_calls()
        if call.right != READ_PERMISSIONS
        and not any(actions_of(call) <= {*need.v1, *need.v2} and need.role == call.role for need in OF_REQUESTS)
    }
    assert missing == set()


def test_each_action_of_a_need_is_needed_by_a_call():
    by_calls = frozenset[str]().union(*map(actions_of, any_calls())) - {READ_PERMISSIONS}
    assert {action for need in OF_REQUESTS for action in (*need.v1, *need.v2)} == by_calls


def test_every_use_has_needs_and_every_need_has_a_use():
    assert {use for need in NEEDS for use in need.uses} == set(USES)
    assert all(need.uses for need in NEEDS)


def test_azure_knows_every_action():
    actions = {action for need in NEEDS for action in (*need.v1, *need.v2)}
    assert {action for action in actions if "*" not in action} <= OPERATIONS
    for pattern in actions - OPERATIONS:
        assert any(covers(pattern, action) for action in OPERATIONS), pattern


@pytest.mark.parametrize("need", NEEDS, ids=lambda need: need.purpose)
def test_the_built_in_role_of_a_need_grants_it(need):
    assert lacking([f"{RIGHTS}/{action}" for action in (*need.v1, *need.v2)], [BUILT_IN[need.role]]) == ()


@pytest.mark.parametrize(("use", "api"), EVERY_USE)
def test_the_built_in_role_of_a_use_grants_it(use, api):
    assert lacking(needed(use, api), [BUILT_IN[built_in_role(use, api)]]) == ()


def test_data_scientists_cannot_do_what_they_are_documented_not_to_do():
    scientist = BUILT_IN[WRITER]
    assert scientist.grants(f"{RIGHTS}/read")
    for action in (f"{RIGHTS}/computes/write", f"{RIGHTS}/write", READ_PERMISSIONS):
        assert not scientist.grants(action)


@pytest.mark.parametrize(
    ("pattern", "action", "is_covered"),
    [
        ("*", "a/b/read", True),
        ("*/read", "a/b/read", True),
        ("*/read", "a/b/write", False),
        ("a/*/read", "a/b/c/read", True),
        ("a/*/read", "a/read", True),
        ("a/*/read", "ab/read", False),
        ("a/b/*", "a/b/read", True),
        ("A/B/READ", "a/b/Read", True),
        ("a/b/read", "a/*/read", False),
        ("a/[b]/read", "a/b/read", False),
        ("", "a/read", False),
    ],
)
def test_a_pattern_covers_what_azure_s_wildcard_stands_for(pattern, action, is_covered):
    assert covers(pattern, action) is is_covered


def test_what_one_role_excludes_another_may_grant():
    reads = Permission(("a/*/read",), ("a/secret/read",))
    assert lacking(["a/b/read", "a/secret/read"], [reads]) == ("a/secret/read",)
    assert lacking(["a/b/read", "a/secret/read"], [reads, Permission(("a/secret/*",))]) == ()
    assert lacking(["a/b/read"], []) == ("a/b/read",)


@pytest.mark.parametrize("wire", [{}, {"actions": "*"}, {"actions": None, "notActions": {}}])
def test_permissions_in_another_form_do_not_count_as_none(wire):
    with pytest.raises((LookupError, TypeError)):
        Permission.from_wire(wire)


def test_null_is_an_empty_list_of_actions():
    assert Permission.from_wire({"actions": None, "notActions": None}) == Permission(())


@pytest.mark.parametrize(("use", "api"), EVERY_USE)
def test_a_role_grants_its_use_and_nothing_that_could_be_left_out(use, api):
    role = role_definition(use, api, GROUP)
    wanted = [*needed(use, api), READ_PERMISSIONS]
    assert lacking(wanted, [Permission(tuple(role["Actions"]))]) == ()
    for left_out in role["Actions"]:
        rest = tuple(action for action in role["Actions"] if action != left_out)
        assert lacking(wanted, [Permission(rest)]) != ()
    assert role["AssignableScopes"] == [GROUP]


def test_the_table_of_permissions_has_the_needs():
    def cell(actions):
        return ", ".join(f"`{action}`" for action in actions) or NOTHING

    rows = [[need.purpose, cell(need.v1), cell(need.v2), f"*{need.role}*"] for need in NEEDS]
    assert rows + OTHER_ROWS == ROWS


@pytest.mark.parametrize(("use", "api"), [(use, api) for use, api in EVERY_USE if use != "manage"])
def test_the_page_has_the_role_of_each_use(use, api):
    blocks = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", ROLES_PAGE, re.DOTALL)]
    assert role_definition(use, api, GROUP) in blocks


def test_the_page_lists_the_uses():
    assert dict(re.findall(r"^\| `([\w-]+)` \| (.+?) \|$", ROLES_PAGE, re.MULTILINE)) == USES
