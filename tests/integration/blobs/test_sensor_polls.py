"""The changes that the blob sensor takes, poll by poll: rules, faults, records, and its trigger."""

from __future__ import annotations

import contextlib
import json
import logging
from datetime import timedelta

import pytest
from airflow.exceptions import AirflowRescheduleException
from support.drivers.ending import end
from support.drivers.watching import (
    Said,
    context_of,
    deferred,
    fire,
    fires_within,
    look,
    sensor,
    variables_in_memory,
)
from support.services.folder import ContainerServer

from aml_provider.client.errors import AzureMLError
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowFailException
from aml_provider.durable.handover import Commit
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.state.cursor_stores import VariableCursorStore


@pytest.fixture
def variables(monkeypatch):
    return variables_in_memory(monkeypatch)


@pytest.fixture
def container(monkeypatch, variables):
    """A container that lists what the test writes, and the connection that leads to it."""
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    with ContainerServer() as server:
        names = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "region": "westeurope"}
        extra = names | {"auth_method": "static_token", "blob_endpoint": server.url}
        connection = {"conn_type": "azureml", "password": "static-token", "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))
        running = server.container("landing")
        running.url = f"{server.url}/landing"
        yield running


@pytest.fixture
def states(monkeypatch):
    """The state of each run's sensor; tests/dags asks Airflow itself."""
    states = {}
    monkeypatch.setattr("aml_provider.worker.poke_folder.owner_state", lambda owner: states[owner.run_id])
    return states


@pytest.fixture
def watch(container):
    """A sensor of the container, each time as if new in its process."""

    def make(**arguments):
        return sensor(**{"container_url": container.url, **arguments})

    return make


@pytest.fixture
def said(caplog, capsys):
    return Said(caplog, capsys)


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


def test_the_trigger_carries_names_only_and_survives_being_stored(watch, container):
    trigger = deferred(watch(deferrable=True, pattern=("*.csv", "*.json"), settle=timedelta(seconds=5)))
    path, arguments = trigger.serialize()
    assert json.loads(json.dumps(arguments)) == arguments
    assert arguments["pattern"] == ["*.csv", "*.json"]
    assert arguments["settle"] == 5.0
    assert path.rpartition(".")[2] == type(trigger).__name__


def test_the_trigger_fires_for_what_the_sensor_would_take(watch, container):
    context = context_of()
    trigger = deferred(watch(deferrable=True, pattern="*.csv", settle=60), context)
    requests = len(container.asked)
    for name in ("incoming/a.txt", "incoming/sub/a.csv", "incoming-old/a.csv", "a.csv", "incoming/young.csv"):
        container.write(name, age=0 if "young" in name else 90)
    container.write("incoming/empty.csv", size=0, age=90)
    assert not fires_within(trigger, lambda: len(container.asked) >= requests + 3)

    container.now += timedelta(seconds=60)
    event = fire(trigger)
    [change] = watch(pattern="*.csv", settle=60).execute_complete(context, event)
    assert change["name"] == "young.csv"


def test_the_trigger_goes_on_after_a_failed_poll(watch, container, said):
    trigger = deferred(watch(deferrable=True))
    container.failures = [503, 0]
    container.write("incoming/a")
    fire(trigger)
    assert container.failures == []
    assert "was discarded" in str(said)


def test_the_trigger_hands_over_when_somebody_else_wrote_the_record(watch, container, states):
    """It may be started again much later; by then the record may hold a batch that must be taken over."""
    look(watch())
    context = context_of("second")
    trigger = deferred(watch(deferrable=True), context)
    container.write("incoming/a")
    assert names(look(watch(), context_of("first"))) == ["incoming/a"]
    states["first"] = "failed"
    requests = len(container.asked)
    event = fire(trigger)
    assert len(container.asked) == requests
    [change] = watch(deferrable=True).execute_complete(context, event)
    assert change["name"] == "a"


def test_the_trigger_hands_over_when_there_is_no_record(watch, container, variables):
    """The worker's first poll failed."""
    container.failures = [503]
    trigger = deferred(watch(deferrable=True))
    assert variables == {}
    requests = len(container.asked)
    fire(trigger)
    assert len(container.asked) == requests


@pytest.mark.parametrize("state", ["running", "failed"])
def test_the_trigger_only_waits_while_the_owner_of_the_batch_is_undecided(state, watch, container, states):
    """Its cursor includes the batch, so it would not notice a batch that must be taken over."""
    assert look(watch()) == []
    container.write("incoming/a")
    assert names(look(watch(), context_of("first"))) == ["incoming/a"]

    states["first"] = state
    context = context_of("second")
    container.failures = [503]  # met only by the task that takes over
    trigger = deferred(watch(deferrable=True), context)
    assert trigger.only_wait
    requests = len(container.asked)
    event = fire(trigger)
    assert len(container.asked) == requests

    states["first"] = "failed"
    container.failures = []
    [change] = watch(deferrable=True).execute_complete(context, event)
    assert change["name"] == "a"


def test_the_trigger_finds_a_batch_that_is_taken_over_and_must_settle_first(watch, container, states):
    assert look(watch()) == []
    container.write("incoming/a")
    assert names(look(watch(), context_of("first"))) == ["incoming/a"]

    states["first"] = "failed"
    context = context_of("second")
    trigger = deferred(watch(deferrable=True, settle=60), context)
    assert not trigger.only_wait
    container.now += timedelta(seconds=60)
    event = fire(trigger)
    [change] = watch(settle=60).execute_complete(context, event)
    assert change["name"] == "a"


def test_the_trigger_fires_when_the_time_is_up(watch, container):
    trigger = deferred(watch(deferrable=True, poke_interval=1000, timeout=2))
    # Its next poll would come long after the test has given up.
    assert fire(trigger)["deadline"] == trigger.deadline


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
