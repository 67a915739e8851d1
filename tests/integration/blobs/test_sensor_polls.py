"""The changes that the blob sensor takes, poll by poll: rules, faults, and records."""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import timedelta

import pytest
from airflow.exceptions import AirflowRescheduleException
from support.drivers.ending import end
from support.drivers.watching import (
    context_of,
    deferred,
    fire,
    look,
)

from aml_provider.client.errors import AzureMLError
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowFailException
from aml_provider.durable.handover import Commit
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.state.cursor_stores import VariableCursorStore

pytestmark = pytest.mark.usefixtures("variables", "no_retries")


def names(taken):
    return [path for path, _ in taken]


@pytest.mark.parametrize("path", ["a/b", "/a/b", "a/b/", "/a/b/"])
def test_a_path_is_the_same_folder_with_and_without_outer_slashes(path, watch, container, variables):
    assert look(watch(path="a/b")) == []
    for name in ("a/b/x", "a/b/c/x", "a/bc/x", "a/x", "x", "a/b-old/x"):
        container.write(name)
    assert names(look(watch(path=path))) == ["a/b/x"]
    assert len(variables) == 1


@pytest.mark.parametrize("path", ["", "/"])
def test_no_path_means_the_containers_root(path, watch, container):
    assert look(watch(path=path)) == []
    for name in ("x", "a/x", "ä b.csv"):
        container.write(name)
    assert names(look(watch(path=path))) == ["x", "ä b.csv"]


@pytest.mark.parametrize("path", ["a\\b", "a/../b", "./a", "dbl//", 7])
def test_a_path_that_blob_storage_would_not_understand_is_refused(path, watch, container):
    with pytest.raises(AirflowFailException, match="path: "):
        look(watch(path=path))
    assert container.asked == []


def test_two_folders_have_two_records(watch, container, variables):
    assert look(watch(path="a")) == look(watch(path="b")) == []
    container.write("a/x")
    assert names(look(watch(path="a"))) == ["a/x"]
    assert look(watch(path="b")) == []
    assert len(variables) == 2


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        (None, ["a.csv", "b.CSV", "c.json", "d[1].csv", "sub.csv.tmp"]),
        ("*.csv", ["a.csv", "d[1].csv"]),
        (["*.json", "?.CSV"], ["b.CSV", "c.json"]),
        ("[a-c].*", ["a.csv", "b.CSV", "c.json"]),
        ("d[[]1].csv", ["d[1].csv"]),
    ],
)
def test_a_pattern_matches_the_last_part_of_the_name_and_case_matters(pattern, taken, watch, container):
    assert look(watch()) == []
    for name in ("a.csv", "b.CSV", "c.json", "d[1].csv", "sub.csv.tmp", "deep/a.csv"):
        container.write(f"incoming/{name}")
    assert names(look(watch(pattern=pattern))) == [f"incoming/{name}" for name in taken]


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("caf\u00e9.csv", "nfc"),
        ("cafe\u0301.csv", "nfd"),
        ("caf?*.csv", "nfc nfd"),
        (["caf\u00e9*", "cafe\u0301*"], "nfc nfd"),
    ],
)
def test_a_pattern_matches_the_unicode_form_in_which_it_is_written(pattern, taken, watch, container):
    forms = {"nfc": "incoming/caf\u00e9.csv", "nfd": "incoming/cafe\u0301.csv"}
    assert look(watch(pattern=pattern)) == []
    for name in forms.values():
        container.write(name)
    assert sorted(names(look(watch(pattern=pattern)))) == sorted(forms[form] for form in taken.split())


def test_another_pattern_does_not_bring_back_refused_blobs(watch, container):
    assert look(watch(pattern="*.csv")) == []
    container.write("incoming/a.txt")
    assert look(watch(pattern="*.csv")) == []
    assert look(watch()) == []
    container.write("incoming/a.txt")
    assert look(watch()) == [("incoming/a.txt", "modified")]


def test_another_pattern_says_how_many_blobs_it_passes_over(watch, container, said, states):
    assert look(watch(pattern="*.csv"), context_of("run1")) == []
    for name in ("a.txt", "b.txt", "c.csv", "d.json"):
        container.write(f"incoming/{name}")
    assert names(look(watch(pattern="*.csv"), context_of("run1"))) == ["incoming/c.csv"]
    assert "The pattern has changed" not in str(said)
    states["run1"] = "success"
    both = ["*.txt", "*.csv"]
    assert look(watch(pattern=both), context_of("run2")) == []
    assert "The pattern has changed from '*.csv' to '*.txt' or '*.csv'" in str(said)
    assert "Each of 2 blobs of the folder matches the new pattern and not the old one" in str(said)
    # The warning is not repeated, and the new pattern counts.
    warned = str(said).count("The pattern has changed")
    container.write("incoming/e.txt")
    assert names(look(watch(pattern=both), context_of("run2"))) == ["incoming/e.txt"]
    assert str(said).count("The pattern has changed") == warned


def test_a_pattern_that_passes_nothing_over_is_no_news(watch, container, said, states):
    assert look(watch(), context_of("run1")) == []
    container.write("incoming/a.txt")
    assert names(look(watch(), context_of("run1"))) == ["incoming/a.txt"]
    states["run1"] = "success"
    assert look(watch(pattern="*.csv"), context_of("run2")) == []
    assert "The pattern has changed" not in str(said)


@pytest.mark.parametrize("settle", [60, 60.0, timedelta(minutes=1)])
def test_settle_counts_by_the_services_clock(settle, watch, container, states):
    assert look(watch(settle=settle)) == []
    container.write("incoming/a")
    container.write("incoming/b", age=60)
    assert look(watch(settle=settle)) == [("incoming/b", "added")]
    states["run1"] = "success"
    container.now += timedelta(seconds=59)
    assert look(watch(settle=settle), context_of("run2")) == []
    container.now += timedelta(seconds=1)
    assert look(watch(settle=settle), context_of("run2")) == [("incoming/a", "added")]


def test_a_blob_that_is_written_again_and_again_waits_until_the_writes_end(watch, container):
    watcher, context = watch(settle=60), context_of()
    assert watcher.poke(context).xcom_value is None
    for _ in range(3):
        container.write("incoming/a")
        container.now += timedelta(seconds=40)
        assert watcher.poke(context).xcom_value is None
    container.now += timedelta(seconds=20)
    [change] = watcher.poke(context).xcom_value
    assert change["etag"] == "0x3"


@pytest.mark.parametrize("ignore_empty", [True, False])
def test_ignore_empty_decides_about_empty_blobs(ignore_empty, watch, container):
    watcher, context = watch(ignore_empty=ignore_empty), context_of()
    watcher.poke(context)
    container.write("incoming/", size=0)
    container.write("incoming/sub", size=0)
    container.write("incoming/sub/x")
    container.write("incoming/done", size=0)
    taken = watcher.poke(context).xcom_value
    assert [change["name"] for change in taken or ()] == ([] if ignore_empty else ["done", "sub"])


def test_a_result_has_at_most_max_changes_and_the_next_run_gets_the_rest(watch, container, states):
    assert look(watch(max_changes=2)) == []
    for number in range(5):
        container.write(f"incoming/{number}", age=number)
    taken = []
    for run in ("run2", "run3", "run4", "run5"):
        taken.append(names(look(watch(max_changes=2), context_of(run))))
        states[run] = "success"
    assert taken == [["incoming/3", "incoming/4"], ["incoming/1", "incoming/2"], ["incoming/0"], []]


def test_the_sensors_first_poll_remembers_or_reports(watch, container):
    container.write("incoming/old")
    assert look(watch()) == []
    assert names(look(watch(cursor_key="all", on_first_poll="report"))) == ["incoming/old"]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("settle", -1),
        ("settle", "5"),
        ("pattern", []),
        ("pattern", "incoming/*"),
        ("max_changes", 0),
        ("on_first_poll", "ignore"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_before_any_request(argument, value, watch, container):
    with pytest.raises(AirflowFailException, match=f"{argument}: "):
        look(watch(**{argument: value}))
    assert container.asked == []


def test_two_sensors_with_one_key_share_the_changes(watch, container, states):
    states["run1"] = "success"
    one, other = context_of(), context_of(map_index=3)
    assert look(watch(cursor_key="shared"), one) == look(watch(cursor_key="shared"), other) == []
    container.write("incoming/a")
    assert names(look(watch(cursor_key="shared"), other)) == ["incoming/a"]
    assert look(watch(cursor_key="shared"), one) == []
    assert look(watch(), one) == [], "its own key begins with a first poll"


@pytest.mark.parametrize(
    ("fault", "page"),
    [(503, 1), (503, 2), (0, 1), (0, 2), (-200, 1), (-200, 2), (408, 2), (403, 2)],
    ids=lambda n: f"{n or 'cut'}",
)
def test_a_page_that_fails_voids_the_poll_and_nothing_moves(fault, page, watch, container, variables, said):
    watcher, context = watch(), context_of()
    watcher.poke(context)
    container.page_size = 2
    for name in "abcd":
        container.write(f"incoming/{name}")
    before = dict(variables)
    container.failures = [200] * (page - 1) + [fault]
    assert watcher.poke(context).xcom_value is None
    assert variables == before
    assert "This poll failed and was discarded" in str(said)
    assert [change["name"] for change in watcher.poke(context).xcom_value] == ["a", "b", "c", "d"]


def test_a_service_that_cannot_be_reached_voids_the_poll(watch, variables):
    url = "http://127.0.0.1:9/account/landing"
    with pytest.MonkeyPatch.context() as environment:
        extra = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "auth_method": "static_token"}
        connection = {"conn_type": "azureml", "extra": extra | {"blob_endpoint": "http://127.0.0.1:9"}, "password": "t"}
        environment.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        assert look(watch(container_url=url)) == []
    assert variables == {}


@pytest.mark.parametrize("when", ["_read", "_write"])
def test_a_store_that_fails_fails_the_try_and_nothing_is_lost(when, watch, container, monkeypatch):
    def fail(*_):
        raise RuntimeError("the database is away")

    assert look(watch()) == []
    container.write("incoming/a")
    with monkeypatch.context() as broken:
        broken.setattr(VariableCursorStore, when, fail)
        with pytest.raises(RuntimeError, match="database"):
            look(watch())
    assert names(look(watch())) == ["incoming/a"]


def test_a_batch_that_was_written_though_its_writer_failed_is_returned_again(watch, container, monkeypatch, variables):
    assert look(watch()) == []
    container.write("incoming/a")

    def write_and_fail(store, text):
        variables[store.key] = text
        raise RuntimeError("the answer was lost")

    with monkeypatch.context() as broken:
        broken.setattr(VariableCursorStore, "_write", write_and_fail)
        with pytest.raises(RuntimeError, match="lost"):
            look(watch())
    container.write("incoming/b")
    assert names(look(watch())) == ["incoming/a"]


@pytest.mark.parametrize("damage", ["record", "cursor"])
def test_a_damaged_record_is_never_taken_for_an_absent_one(damage, watch, container, variables):
    trigger = deferred(watch(deferrable=True))
    [key] = variables
    if damage == "record":
        variables[key] = variables[key][:-20]
    else:
        record = Commit.decode(variables[key])
        variables[key] = record._replace(cursor_text=f"{record.cursor_text[:-4]}AAAA").encode()
    refused = pytest.raises(
        AirflowFailException, match=f"delete the Variable {key}, and the next poll starts a new one"
    )
    with refused:
        look(watch())
    event = fire(trigger)
    with refused:
        watch(deferrable=True).execute_complete(context_of(), event)


def test_after_a_person_deletes_the_record_the_sensor_starts_again(watch, container, variables, said):
    watcher, context = watch(), context_of()
    watcher.poke(context)
    container.write("incoming/a")
    variables.clear()
    assert [watcher.poke(context).xcom_value for _ in range(3)] == [None, None, None]
    assert "Starting over" in str(said)
    container.write("incoming/b")
    assert [change["name"] for change in watcher.poke(context).xcom_value] == ["b"]


def test_a_lost_race_is_logged_and_nothing_is_lost(watch, container, states, said):
    """Two active runs of a DAG poll at the same time; one is faster."""
    states["fast"] = "running"
    slow, context = watch(), context_of("slow")
    slow.poke(context)
    container.write("incoming/a")
    assert names(look(watch(), context_of("fast"))) == ["incoming/a"]
    container.write("incoming/b")
    assert slow.poke(context).xcom_value is None
    assert "more than one DAG run" in str(said)
    assert slow.poke(context).xcom_value is None
    assert "taken by dag.watch of run fast, which is running" in str(said)
    states["fast"] = "success"
    assert [change["name"] for change in slow.poke(context).xcom_value] == ["b"]


def test_a_batch_whose_owner_fails_while_the_next_run_pokes_comes_with_the_next_change(watch, container, states, said):
    """As in the other modes, in which each poll of a worker is a process of its own and asks again."""
    container.write("incoming/a")
    assert names(look(watch(on_first_poll="report"), context_of("run1"))) == ["incoming/a"]
    states["run1"] = "success"
    waiting, context = watch(), context_of("run2")
    assert waiting.poke(context).xcom_value is None
    # A person clears it.
    states["run1"] = "running"
    container.write("incoming/b")
    assert waiting.poke(context).xcom_value is None
    assert "dag.watch of run run1, which took the last batch, is now running" in str(said)
    assert waiting.poke(context).xcom_value is None
    states["run1"] = "failed"
    assert [change["name"] for change in waiting.poke(context).xcom_value] == ["a", "b"]


@pytest.fixture
def warnings_of(monkeypatch):
    """Runs a sensor to its end, and returns its warnings."""
    if not AIRFLOW_V_3_0_PLUS:
        # It reads Airflow's database.
        monkeypatch.setattr("airflow.sensors.base._orig_start_date", lambda **_: None)

    def run(caplog, **arguments):
        # Airflow 3 does not log through the standard library.
        logged = type("Logged", (AzureBlobChangeSensor,), {"log": logging.getLogger("tests.sensor")})
        context = context_of()
        context["ti"].get_first_reschedule_date = lambda _: None

        def once():
            task = logged(**{"task_id": "watch", "poke_interval": 0.1, "timeout": 60, **arguments})
            return task.execute(context) if arguments.get("mode") == "reschedule" else end(task)[0]

        while True:
            with contextlib.suppress(AirflowRescheduleException):
                [change] = once()
                assert change["name"] == "a"
                break
        return [
            record.getMessage()
            for record in caplog.records
            if (record.name, record.levelno) == ("tests.sensor", logging.WARNING)
        ]

    return run


@pytest.mark.parametrize(
    ("mode", "requests"), [({}, 4), ({"mode": "reschedule"}, 4), ({"deferrable": True}, 5)], ids=str
)
def test_the_hint_for_a_misspelt_folder_is_logged_once(mode, requests, container, warnings_of, caplog):
    container.write("incoming/b")
    container.arrivals = {4: "incomming/a"}  # the third poll's, after one request for the hint
    [warning] = warnings_of(caplog, container_url=container.url, path="incomming", **mode)
    assert "no folder 'incomming'; similar ones: 'incoming'" in warning
    assert len(container.asked) == requests


def test_the_hint_is_logged_once_also_if_the_first_poll_cannot_be_stored(container, warnings_of, caplog, monkeypatch):
    """A Variable cannot fail in this way, and a cursor in a blob is stored elsewhere."""
    save, failures = VariableCursorStore.save, [AzureMLError("the store is away")]

    def once_away(store, text):
        if failures:
            raise failures.pop()
        save(store, text)

    monkeypatch.setattr(VariableCursorStore, "save", once_away)
    container.write("incoming/b")
    container.arrivals = {6: "incomming/a"}
    hint, away = "similar ones: 'incoming'", "This poll failed and was discarded"
    warnings = warnings_of(caplog, container_url=container.url, path="incomming")
    assert [(hint in warning, away in warning) for warning in warnings] == [(False, True), (True, False)]
