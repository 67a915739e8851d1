"""The package keeps the rules of its rooms, which are in ``tests/support/oracles/import_rules.py``."""

from __future__ import annotations

import graphlib

import pytest
from support.oracles.import_rules import (
    LIBRARIES,
    MODULES,
    TABLES,
    breaches,
    circles,
    early,
    foreign,
    imports,
    names_under,
    reached_from,
    under,
)


@pytest.mark.parametrize(("root", "room"), [(root, room) for root, table in TABLES.items() for room in table])
def test_a_room_imports_only_what_it_may(root, room):
    table = TABLES[root]
    of_the_room = {
        name: MODULES[name] for name, inner in names_under(root, MODULES).items() if under(inner, table) == room
    }
    assert of_the_room, f"{root}.{room} does not exist: take its row out of the table"
    assert breaches(table, root, of_the_room) == []


@pytest.mark.parametrize("root", TABLES)
def test_every_room_has_a_row(root):
    without = {inner for inner in names_under(root, MODULES).values() if under(inner, TABLES[root]) is None}
    assert without == set()


@pytest.mark.parametrize("root", TABLES)
def test_the_tables_allow_no_circle(root):
    table = {room: others.split() for room, others in TABLES[root].items()}
    graphlib.TopologicalSorter(table).prepare()
    assert {other for others in table.values() for other in others} <= set(table)


def test_third_party_packages_are_imported_only_where_they_may_be():
    assert foreign(MODULES) == []


def test_httpx_is_imported_by_these_modules_only():
    importers = {
        name for name, module in MODULES.items() if any(under(item.name, ("httpx",)) for item in imports(module, name))
    }
    assert importers == {f"aml_provider.{name}" for name in LIBRARIES["httpx"].split()}


def test_only_late_rooms_import_late_rooms_at_module_level():
    assert early(MODULES) == []


def test_no_modules_import_each_other():
    assert circles(MODULES) == []


def test_a_triggerer_does_not_load_the_methods_of_the_hook():
    """They are 800 objects, each of which counts for the full garbage collections that stall Airflow's triggerer."""
    reached = reached_from(("triggers", "triggerer"), MODULES)
    assert "aml_provider.hooks.workspace" in reached
    assert not {name for name in reached if name.startswith("aml_provider.hooks.azure_ml")}
