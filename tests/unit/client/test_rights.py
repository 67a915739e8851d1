"""The table of permissions in docs/connection.md has the actions that the calls need, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from support.samples.call_samples import any_calls

from aml_provider.client.calls.call import RIGHTS

SECTION = (Path(__file__).parents[3] / "docs/connection.md").read_text().partition("## Permissions\n")[2]
#: The actions and the role of each row.
ROWS = [
    (frozenset(re.findall(r"`([\w/]+)`", f"{first} {second}")), role.strip(" *"))
    for _, _, first, second, role, _ in (line.split("|") for line in SECTION.splitlines() if line.count("|") == 5)
]


def actions_of(call):
    return frozenset(right.removeprefix(f"{RIGHTS}/") for right in call.right.split(" and "))


def test_each_call_has_a_row_with_its_actions_and_its_role():
    missing = {
        (call.operation, call.right, call.role)
        for call in any_calls()
        if not any(actions_of(call) <= actions and role == call.role for actions, role in ROWS)
    }
    assert missing == set()


def test_each_action_in_the_table_is_needed_by_a_call():
    needed = frozenset[str]().union(*map(actions_of, any_calls()))
    assert {action for actions, _ in ROWS for action in actions} == needed
