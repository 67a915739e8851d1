"""The record of a submission, kept and read back."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from support.service_model import Service, Store

from aml_provider.state import ledger
from aml_provider.state.ledger import Record, TaskStateLedger, VariableLedger, open_ledger

RECORD = Record("g", 2, 1, 0, "k" * 32, "f" * 16, "exp", None, 1.5)


class KeptVariables:
    """Airflow's Variables, in memory."""

    def __init__(self):
        self.kept = {}

    def read(self, key):
        return self.kept.get(key)

    def write(self, key, value, description):
        assert description
        self.kept[key] = value

    def delete(self, key):
        self.kept.pop(key, None)


@pytest.fixture
def variables(monkeypatch):
    # Airflow's own need its database; tests/dags has them.
    kept = KeptVariables()
    monkeypatch.setattr(ledger, "variables", kept)
    return kept.kept


def task(**changes):
    fields = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1}
    return SimpleNamespace(**fields | changes)


def both(variables):
    return [TaskStateLedger(Store(Service())), open_ledger({"ti": task()})]


def test_what_is_saved_is_loaded(variables):
    for book in both(variables):
        assert book.load() is None
        book.save(RECORD)
        assert book.load() == RECORD
        book.save(RECORD._replace(run_id="x", sent=False))
        assert book.load() == RECORD._replace(run_id="x", sent=False)


def test_the_task_state_store_keeps_a_finished_record_so_that_a_clear_is_noticed():
    book = TaskStateLedger(Store(Service()))
    book.save(RECORD)
    book.close(RECORD)
    assert book.load() == RECORD._replace(finished=True)


def test_the_variable_goes_when_the_task_ends(variables):
    book = open_ledger({"ti": task()})
    book.save(RECORD)
    assert len(variables) == 1
    book.close(RECORD)
    book.close(RECORD)
    assert not variables


def test_the_task_state_store_is_preferred_where_there_is_one(variables):
    store = Store(Service())
    open_ledger({"ti": task(), "task_state_store": store}).save(RECORD)
    assert list(store) == ["azureml_submission"]
    assert not variables


def test_an_empty_store_is_a_store_all_the_same(variables):
    assert isinstance(open_ledger({"ti": task(), "task_state_store": Store(Service())}), TaskStateLedger)


@pytest.mark.parametrize("change", [{"dag_id": "e"}, {"run_id": "s"}, {"task_id": "u"}, {"map_index": 0}])
def test_each_task_instance_has_a_variable_of_its_own(variables, change):
    open_ledger({"ti": task()}).save(RECORD)
    assert open_ledger({"ti": task(**change)}).load() is None


def test_a_variable_s_name_is_short_whatever_the_task_s_is(variables):
    open_ledger({"ti": task(task_id="t" * 250, run_id="é" * 250)}).save(RECORD)
    (name,) = variables
    assert len(name) < 60
    assert name.isascii()


def test_what_a_later_version_stored_is_read(variables):
    variables["key"] = json.dumps({**RECORD._asdict(), "something": "new"})
    assert VariableLedger("key").load() == RECORD


@pytest.mark.parametrize("damaged", ["", "{", "[]", '"text"', "{}", '{"generation": "g"}'])
def test_a_damaged_record_is_an_error_and_not_taken_for_none(variables, damaged):
    variables["key"] = damaged
    with pytest.raises((ValueError, TypeError, AttributeError)):
        VariableLedger("key").load()
