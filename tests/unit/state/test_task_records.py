"""The record of a submission, kept and read back."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from support.models.service_model import Service, Store

from aml_provider.durable.record import SubmissionRecord
from aml_provider.state import slots, task_records
from aml_provider.state.task_records import TaskStateSubmissionStore, VariableSubmissionStore, open_submission_store
from aml_provider.stored import StoredRecordDamaged

RECORD = SubmissionRecord("g", 2, 1, 0, "k" * 32, "f" * 16, "exp", None, 1.5)


class KeptVariables:
    """Airflow's Variables, in memory."""

    def __init__(self):
        self.kept = {}
        # What a secrets backend answers, whatever is written.
        self.overrides = {}

    def read(self, key):
        return self.overrides.get(key, self.kept.get(key))

    def write(self, key, value, description):
        assert description
        self.kept[key] = value

    def delete(self, key):
        self.kept.pop(key, None)


def replace_variables(monkeypatch, kept):
    for module in (slots, task_records):
        monkeypatch.setattr(module, "variables", kept)


@pytest.fixture
def variables(monkeypatch):
    # Airflow's own need its database; tests/dags has them.
    kept = KeptVariables()
    replace_variables(monkeypatch, kept)
    return kept.kept


def task(**changes):
    fields = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "try_number": 1}
    return SimpleNamespace(**fields | changes)


def both(variables):
    return [TaskStateSubmissionStore(Store(Service())), open_submission_store({"ti": task()})]


def test_what_is_saved_is_loaded(variables):
    for store in both(variables):
        assert store.load() is None
        store.save(RECORD)
        assert store.load() == RECORD
        store.save(RECORD._replace(run_id="x", sent=False))
        assert store.load() == RECORD._replace(run_id="x", sent=False)


def test_the_task_state_store_keeps_a_finished_record_so_that_a_clear_is_noticed():
    store = TaskStateSubmissionStore(Store(Service()))
    store.save(RECORD)
    store.close(RECORD)
    assert store.load() == RECORD._replace(finished=True)


def test_the_variable_of_the_task_instance_goes_when_the_task_ends(variables):
    store = open_submission_store({"ti": task()})
    store.save(RECORD)
    (own,) = variables
    store.close(RECORD)
    store.close(RECORD)
    assert own not in variables
    (archive,) = variables
    assert archive.startswith("azureml_ended_")


@pytest.mark.parametrize("try_number", [2, 3])
def test_what_a_task_ended_with_is_known_to_its_later_tries(variables, try_number):
    store = open_submission_store({"ti": task()})
    store.save(RECORD)
    store.close(RECORD)
    assert open_submission_store({"ti": task(try_number=try_number)}).load() == RECORD._replace(finished=True)


def test_a_dag_run_that_was_deleted_and_created_again_starts_without_a_record(variables):
    open_submission_store({"ti": task(try_number=2)}).close(RECORD)
    assert open_submission_store({"ti": task(try_number=1)}).load() is None
    # And so do its later tries, if the first one came to nothing.
    assert open_submission_store({"ti": task(try_number=3)}).load() is None


def test_a_submission_under_way_counts_more_than_one_that_ended(variables):
    open_submission_store({"ti": task()}).close(RECORD)
    later = RECORD._replace(generation="h", max_tries=3)
    open_submission_store({"ti": task(try_number=2)}).save(later)
    assert open_submission_store({"ti": task(try_number=3)}).load() == later


def test_a_crash_while_the_record_moves_loses_nothing(variables):
    store = open_submission_store({"ti": task()})
    store.save(RECORD)
    stored = dict(variables)
    store.close(RECORD)
    variables.update(stored)  # the Variable was not deleted any more
    assert open_submission_store({"ti": task(try_number=2)}).load() == RECORD


def test_as_many_variables_as_map_indexes_stay_however_many_dag_runs_there_are(variables):
    for number in range(100):
        for index in range(3):
            store = open_submission_store({"ti": task(run_id=f"r{number}", map_index=index)})
            store.save(RECORD)
            store.close(RECORD._replace(run_id=f"x{number}"))
    assert len(variables) == 3
    assert max(map(len, variables.values())) < 10_000
    store = open_submission_store({"ti": task(run_id="r99", map_index=1, try_number=2)})
    assert store.load() == RECORD._replace(run_id="x99", finished=True)


def test_the_task_state_store_is_preferred_where_there_is_one(variables):
    store = Store(Service())
    open_submission_store({"ti": task(), "task_state_store": store}).save(RECORD)
    assert list(store) == ["azureml_submission"]
    assert not variables


def test_an_empty_store_is_a_store_too(variables):
    assert isinstance(
        open_submission_store({"ti": task(), "task_state_store": Store(Service())}), TaskStateSubmissionStore
    )


def after_upgrade(store, try_number):
    """The store of a try after Airflow got a task state store."""
    return open_submission_store({"ti": task(try_number=try_number), "task_state_store": store})


def test_a_retry_after_an_upgrade_of_airflow_finds_the_record_and_moves_it(variables):
    open_submission_store({"ti": task()}).save(RECORD)
    store = Store(Service())
    assert after_upgrade(store, 2).load() == RECORD
    assert not variables
    assert after_upgrade(store, 3).load() == RECORD


def test_an_archived_record_is_not_used_after_an_upgrade_as_its_dag_run_may_have_been_deleted(variables):
    open_submission_store({"ti": task()}).close(RECORD)
    store = Store(Service())
    assert after_upgrade(store, 1).load() is None
    assert after_upgrade(store, 2).load() is None


def test_a_record_in_the_task_state_store_counts_more_than_an_earlier_one(variables):
    open_submission_store({"ti": task()}).save(RECORD)
    store = Store(Service())
    later = RECORD._replace(run_id="later")
    after_upgrade(store, 2).save(later)
    assert after_upgrade(store, 3).load() == later


def test_a_first_try_does_not_look_for_an_earlier_record(variables):
    open_submission_store({"ti": task()}).save(RECORD)
    assert after_upgrade(Store(Service()), 1).load() is None


def test_a_schedule_s_intent_survives_an_upgrade_of_airflow(variables):
    slots.intent_slot({"ti": task()}).save('{"a": 1}')
    store = Store(Service())

    def slot(try_number):
        return slots.intent_slot({"ti": task(try_number=try_number), "task_state_store": store})

    assert slot(1).load() is None
    assert json.loads(slot(2).load()) == {"a": 1}
    assert not variables
    assert json.loads(slot(3).load()) == {"a": 1}


@pytest.mark.parametrize("change", [{"dag_id": "e"}, {"run_id": "s"}, {"task_id": "u"}, {"map_index": 0}])
def test_each_task_instance_has_a_variable_of_its_own(variables, change):
    open_submission_store({"ti": task()}).save(RECORD)
    assert open_submission_store({"ti": task(**change)}).load() is None


def test_a_variable_s_name_is_short_whatever_the_task_s_is(variables):
    open_submission_store({"ti": task(task_id="t" * 250, run_id="é" * 250)}).save(RECORD)
    open_submission_store({"ti": task(task_id="t" * 250, run_id="é" * 250)}).close(RECORD)
    open_submission_store({"ti": task(task_id="t" * 250, run_id="é" * 250)}).save(RECORD)
    assert len(variables) == 2
    assert all(len(name) < 60 and name.isascii() for name in variables)


def test_what_a_later_version_stored_is_read(variables):
    variables["key"] = json.dumps({**RECORD._asdict(), "something": "new"})
    assert VariableSubmissionStore("key", "archive", "r", 1).load() == RECORD


@pytest.mark.parametrize("damaged", ["", "{", "[]", '"text"', "{}", '{"generation": "g"}'])
def test_a_damaged_record_is_an_error_and_not_taken_for_absent(variables, damaged):
    variables["key"] = damaged
    with pytest.raises(StoredRecordDamaged, match="delete the Variable key"):
        VariableSubmissionStore("key", "archive", "r", 1).load()


@pytest.mark.parametrize("shadow", ["null", json.dumps(RECORD._replace(key="o" * 32)._asdict())])
def test_a_record_that_cannot_be_read_back_is_noticed_when_it_is_written(monkeypatch, shadow):
    kept = KeptVariables()
    replace_variables(monkeypatch, kept)
    kept.overrides["key"] = shadow
    with pytest.raises(RuntimeError, match="Variable key was written, but does not read as written: a secrets backend"):
        VariableSubmissionStore("key", "archive", "r", 1).save(RECORD)


def test_a_record_that_cannot_move_to_those_that_ended_stays_where_it_is(monkeypatch, caplog):
    kept = KeptVariables()
    replace_variables(monkeypatch, kept)
    kept.overrides["archive"] = "{}"
    store = VariableSubmissionStore("key", "archive", "r", 1)
    store.save(RECORD)
    store.close(RECORD)
    assert VariableSubmissionStore("key", "archive", "r", 2).load() == RECORD._replace(finished=True)
    assert "Variable archive was written, but does not read as written" in caplog.text


@pytest.mark.parametrize(
    "archive", ["null", "[]", "{", '{"other": 5}', '{"other": [1, "ab"]}', '{"other": [1e999, {}]}']
)
def test_a_task_that_has_ended_does_not_fail_for_a_damaged_archive(variables, caplog, archive):
    """Somebody edits it while the run goes on."""
    store = VariableSubmissionStore("key", "archive", "r", 1)
    store.save(RECORD)
    variables["archive"] = archive
    store.close(RECORD)
    assert VariableSubmissionStore("key", "archive", "r", 2).load() == RECORD._replace(finished=True)
    assert "delete the Variable archive" in caplog.text
    assert variables["archive"] == archive


def test_of_two_dag_runs_that_end_at_the_same_moment_neither_loses_its_record(monkeypatch):
    class Raced(KeptVariables):
        def write(self, key, value, description):
            super().write(key, value, description)
            if key == "archive" and "other" not in value and not raced:
                # The other one has read before this write, and writes after it.
                raced.append(value)
                self.kept[key] = json.dumps({"other": [1, RECORD._asdict()]})

    raced = []
    kept = Raced()
    replace_variables(monkeypatch, kept)
    VariableSubmissionStore("key", "archive", "r", 1).close(RECORD)
    assert raced
    assert json.loads(kept.kept["archive"]).keys() == {"other", "r"}
