"""The hook's methods for experiments."""

from __future__ import annotations

import pytest

from aml_provider.compat import AirflowFailException


def test_from_its_creation_to_its_deletion(hook):
    made = hook.create_experiment("trials")
    assert (made.name, made.is_archived) == ("trials", False)
    assert hook.create_experiment("trials") == made, "it is there"
    changed = hook.update_experiment("trials", description="first ones", tags={"team": "ml", "year": 2026})
    assert (changed.description, changed.tags) == ("first ones", {"team": "ml", "year": "2026"})
    assert hook.untag_experiment("trials", ["year"]).tags == {"team": "ml"}
    assert hook.update_experiment("trials", new_name="tries").name == "tries"
    assert hook.get_experiment("tries").id == made.id
    assert hook.archive_experiment("tries").is_archived
    assert "tries" not in {item.name for item in hook.list_experiments()}
    assert [item.name for item in hook.list_experiments("ArchivedOnly")] == ["tries"]
    assert not hook.reactivate_experiment("tries").is_archived
    hook.delete_experiment("tries")
    with pytest.raises(AirflowFailException, match="404"):
        hook.get_experiment("tries")


def test_experiments_are_listed_by_tags_view_and_limit(hook):
    for number in range(3):
        hook.create_experiment(f"e{number}")
    hook.update_experiment("e1", tags={"team": "ml"})
    assert {item.name for item in hook.list_experiments()} == {"e0", "e1", "e2"}
    assert len(hook.list_experiments(limit=2)) == 2
    assert [item.name for item in hook.list_experiments(tags={"team": "ml"})] == ["e1"]
    assert [item.name for item in hook.list_experiments(tags={"team": None})] == ["e1"]
    with pytest.raises(AirflowFailException, match=r"^view: is 'Some'"):
        hook.list_experiments("Some")


def test_a_name_that_cannot_be(emulator, hook):
    with pytest.raises(AirflowFailException, match=r"^experiment_name: "):
        hook.create_experiment("a b")
    with pytest.raises(AirflowFailException, match=r"^new_name: "):
        hook.update_experiment("a", new_name="-")
    assert emulator.requests() == []


def test_a_lost_reply_makes_no_second_one(emulator, hook):
    emulator.faults.add("drop", method="POST", path="*/experiments/trials")
    assert hook.create_experiment("trials").name == "trials"
    assert len(emulator.requests("POST", "/experiments/trials")) == 1
