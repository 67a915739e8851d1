"""Every public operation is examined, or excused with a reason in the documentation."""

from __future__ import annotations

from operations import excused_operations, public_operations


def test_every_public_operation_is_examined_or_excused(claims):
    assert set(public_operations()) - set(claims) - set(excused_operations()) == set()


def test_examined_operations_are_not_excused(claims):
    assert set(claims) & set(excused_operations()) == set()


def test_excused_operations_exist_in_this_version_of_the_sdk():
    assert set(excused_operations()) - set(public_operations()) == set()


def test_every_excuse_has_a_reason():
    assert all(excused_operations().values())
