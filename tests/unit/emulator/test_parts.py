"""Clock, quirks, faults, request log and seeds of the emulator."""

from __future__ import annotations

import json
import math
import queue
import re
import stat
from pathlib import Path

import pytest
import yaml

from aml_provider.emulator.clock import LAST_INSTANT, Clock
from aml_provider.emulator.engine.timer import Timer
from aml_provider.emulator.quirks import Quirks
from aml_provider.emulator.request_log import LoggedRequest, RequestLog
from aml_provider.emulator.seeds.reader import SeedError, dump, fill, read, save
from aml_provider.emulator.workspace.models import DataPath
from aml_provider.emulator.workspace.recurrence import Recurrence
from aml_provider.emulator.workspace.schedule_models import DatastoreTrigger
from aml_provider.emulator.workspace.schedule_request import schedule_from_wire
from aml_provider.emulator.workspace.submission import Submission
from aml_provider.emulator.workspace.times import parse_time, wire_time
from aml_provider.emulator.workspace.timetable import Timetable
from aml_provider.emulator.workspace.workspace import Workspace

PIPELINE = [{"name": "p", "id": "p"}]
SCHEDULE = {
    "name": "s",
    "pipeline_id": "p",
    "submission": {"experiment": "e"},
    "recurrence": {"frequency": "Day", "interval": 1},
}


def a_workspace(seed="demo") -> Workspace:
    workspace = Workspace(Clock(), Quirks())
    workspace.clock.hold()
    fill(workspace, read(seed))
    return workspace


DIGITS = "a number of more than 18 digits"


class TestClock:
    def test_a_held_clock_moves_by_hand_only(self):
        clock = Clock()
        clock.hold()
        start = clock.now()
        assert clock.now() == start
        clock.advance(60)
        assert clock.now() == start + 60

    def test_speed(self):
        clock = Clock(speed=1e6)
        start = clock.now()
        while clock.now() == start:
            pass
        assert clock.now() > start

    @pytest.mark.parametrize("before", [0.0, 3.0])
    def test_advancing_does_not_wait_for_work_after_the_clocks_end(self, before):
        class Late:
            asked = 0

            def next_due(self):
                self.asked += 1
                assert self.asked < 3, "it asks for ever"
                return LAST_INSTANT + 1

            def catch_up(self):
                """Nothing is due yet."""

            wake = catch_up

        clock = Clock()
        clock.not_before(LAST_INSTANT - before)
        clock.agendas = (Late(),)
        clock.advance(5)
        assert clock.now() == LAST_INSTANT

    def test_changing_the_speed_does_not_move_the_time(self):
        clock = Clock()
        clock.hold()
        start = clock.now()
        clock.set(speed=100)
        assert clock.now() == start
        assert clock.held

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_not_before_never_moves_time_back(self, seconds):
        with pytest.raises(ValueError, match="above 0"):
            Clock().advance(seconds)

    def test_advancing_stops_at_every_due_instant(self):
        clock = Clock()
        clock.hold()
        start = clock.now()
        seen = []

        class Agenda:
            def next_due(self):
                return start + 10 * (len(seen) + 1)

            def catch_up(self):
                if clock.now() > start:
                    seen.append(clock.now() - start)

            def wake(self):
                pass

        clock.agendas = (Agenda(),)
        clock.advance(25)
        assert seen == [10, 20]
        assert clock.now() == start + 25

    def test_several_agendas_act_as_one(self):
        clock = Clock()
        clock.hold()
        start = clock.now()
        seen = []

        class Every:
            def __init__(self, name, step):
                self.name, self.step, self.done = name, step, 0

            def next_due(self):
                return start + self.step * (self.done + 1)

            def catch_up(self):
                while self.next_due() <= clock.now():
                    self.done += 1
                    seen.append((self.name, clock.now() - start))

            def wake(self):
                seen.append(self.name)

        clock.agendas = (Every("a", 20), Every("b", 10))
        clock.advance(20)
        assert seen == [("b", 10), ("a", 20), ("b", 20), "a", "b"]


class TestTimetable:
    def test_the_earliest_of_several_series_is_first(self):
        table = Timetable()
        table.put("a", iter([5.0, 9.0]))
        table.put("b", iter([7.0]))
        table.put("empty", iter(()))
        assert table.next_due() == 5.0
        assert list(table.take(7.0)) == [(5.0, "a"), (7.0, "b")]
        assert table.next_due() == 9.0
        assert list(table.take(100.0)) == [(9.0, "a")]
        assert table.next_due() == math.inf

    def test_a_series_replaces_the_one_with_its_name(self):
        table = Timetable()
        table.put("a", iter([1.0]))
        table.put("a", iter([2.0]))
        assert table.next_due() == 2.0
        table.put("a", iter(()))
        assert table.next_due() == math.inf
        assert list(table.take(100.0)) == []
        table.put("a", iter([3.0]))
        assert list(table.take(100.0)) == [(3.0, "a")]


class TestTimer:
    def test_it_waits_until_the_next_due_instant(self):
        clock = Clock(speed=1e6)
        timer = Timer(clock, lambda: math.inf, "timer")
        assert timer.wait_seconds(clock.now() - 1) == 0
        # A hundred seconds, less what has passed meanwhile.
        assert 0 < timer.wait_seconds(clock.now() + 1e8) <= 100
        clock.set(speed=1e-6)
        assert timer.wait_seconds(clock.now() + 60) == 3600
        assert timer.wait_seconds(math.inf) is None
        clock.hold()
        assert timer.wait_seconds(clock.now() + 60) is None

    def test_it_waits_for_no_instant_after_the_clocks_end(self):
        clock = Clock(speed=1e6)
        clock.not_before(LAST_INSTANT)
        timer = Timer(clock, lambda: math.inf, "timer")
        assert timer.wait_seconds(LAST_INSTANT) == 0
        # Otherwise it would check again and again, forever.
        assert timer.wait_seconds(LAST_INSTANT + 0.001) is None

    def test_it_works_at_due_instants_and_after_every_change(self):
        clock = Clock(speed=1000)
        clock.hold()
        begin, calls = clock.now(), queue.SimpleQueue()

        def work():
            passed = clock.now() - begin
            calls.put(passed)
            return begin + 100 if passed < 100 else math.inf

        timer = Timer(clock, work, "timer")
        timer.start()
        try:
            assert calls.get(timeout=240) == 0
            clock.set(held=False)
            timer.wake()
            while calls.get(timeout=240) < 100:
                pass
            timer.wake()
            calls.get(timeout=240)
        finally:
            timer.stop()
        assert calls.empty()


class TestTimes:
    def test_wire_format(self):
        assert wire_time(0) == "1970-01-01T00:00:00.0000000Z"

    @pytest.mark.parametrize(
        "text",
        ["2024-01-01T00:00:00.1234567Z", "2024-01-01 00:00:00.123456", "2024-01-01T01:00:00.1234567+01:00"],
    )
    def test_parsing_accepts_all_common_forms(self, text):
        assert parse_time(text) == 1704067200.123456


class TestSchedules:
    def test_a_run_due_before_an_update_is_not_lost(self):
        # No schedule runner runs here: this is the moment before its thread has noticed.
        workspace = a_workspace({"pipelines": PIPELINE})
        body = {"Name": "s", "PipelineId": "p", "PipelineSubmissionInfo": {"ExperimentName": "e"}}
        recurrence = {"Frequency": "Hour", "Interval": 1}
        schedule = workspace.schedules.create(
            schedule_from_wire({**body, "Recurrence": recurrence}, creates=True), None, None
        )
        workspace.clock.advance(3600)
        disabled = {**body, "Recurrence": recurrence, "EntityStatus": "Disabled"}
        workspace.schedules.update(schedule.id, schedule_from_wire(disabled), None, None)
        first, second = (run.created for run in workspace.runs.values())
        assert second - first == 3600


class TestRequestLog:
    def test_secrets_are_masked(self):
        log = RequestLog()
        request = LoggedRequest(
            time="now",
            method="PUT",
            path="/x",
            query=[("sig", "SECRET"), ("url", "https://h/?sv=1&sig=SECRET&x=1"), ("n", "1")],
            headers={"authorization": "Bearer SECRET", "accept": "*/*"},
            body={"accountKey": "SECRET", "a": [{"credential": "SECRET", "b": "sig=SECRET"}], "sasToken": None},
            status=200,
            fault=None,
        )
        log.add(request)
        (entry,) = log.find()
        assert "SECRET" not in json.dumps(entry)
        assert entry["query"] == [["sig", "***"], ["url", "https://h/?sv=1&sig=***&x=1"], ["n", "1"]]
        assert entry["headers"] == {"authorization": "Bearer ***", "accept": "*/*"}
        assert entry["body"] == {"accountKey": "***", "a": [{"credential": "***", "b": "sig=***"}], "sasToken": None}


class TestSeed:
    def test_a_workspace_is_the_same_after_saving_and_reading(self, tmp_path):
        workspace = a_workspace()
        body = {
            "ExperimentName": "e",
            "DataPathAssignments": {"input_datapath": {"DataStoreName": "workspaceblobstore", "RelativePath": "x"}},
        }
        workspace.submit("10000000-0000-4000-8000-000000000001", Submission.from_wire(body))
        score = {"Name": "s", "PipelineId": "10000000-0000-4000-8000-000000000001", "PipelineSubmissionInfo": body}
        for when in (
            {"Recurrence": {"Frequency": "Week", "Interval": 2, "Schedule": {"Hours": [9], "WeekDays": ["Friday"]}}},
            {"DataStoreTriggerInfo": {"DataStoreName": "workspaceblobstore"}},
        ):
            workspace.schedules.create(schedule_from_wire(score | when, creates=True), {"in/a": "1"}, None)
        path = tmp_path / "state.json"
        save(workspace, path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        again = Workspace(workspace.clock, Quirks())
        fill(again, read(path))
        assert dump(again) == dump(workspace)
        assert again.schedules.all() == workspace.schedules.all()
        run, scheduled = again.runs.values()
        assert scheduled.schedule_id == again.schedules.all()[0].id
        assert run.data_paths == {"input_datapath": DataPath("workspaceblobstore", "x")}
        assert again.step_run(run.steps[1].id) == (run, 1)

    def test_none_is_an_empty_workspace(self):
        workspace = a_workspace("none")
        assert not workspace.pipelines
        assert len(workspace.data_types) == 11

    def test_the_seed_in_the_documentation_is_valid(self):
        text = (Path(__file__).parents[3] / "docs" / "reference" / "emulator.md").read_text()
        workspace = a_workspace(yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1]))
        (pipeline,) = workspace.pipelines.values()
        assert [step.name for step in pipeline.steps] == ["prepare", "train", "publish"]
        nightly, reactive = workspace.schedules.all()
        assert nightly.recurrence == Recurrence("Day", 1, None, "Korea Standard Time", (2,), (30,))
        assert reactive.trigger == DatastoreTrigger("workspaceblobstore", "incoming", 5, "input_datapath")

    def test_derived_ids_are_stable(self):
        seed = {"pipelines": [{"name": "p", "steps": [{"name": "s"}]}]}
        first, second = a_workspace(seed), a_workspace(seed)
        assert list(first.pipelines) == list(second.pipelines)

    @pytest.mark.parametrize(
        "seed",
        [
            {"pipeline": []},
            {"pipelines": [{"name": "p", "colour": "red"}]},
            {"pipelines": [{"name": "p", "steps": [{}]}]},
            {"pipelines": [{"name": "p", "id": "1"}, {"name": "q", "id": "1"}]},
            {"endpoints": [{"name": "e", "versions": {"0": "missing"}}]},
            {"schedules": [{"name": "s"}]},
            {"schedules": [{**SCHEDULE, "pipeline_id": "missing"}], "pipelines": PIPELINE},
            {"schedules": [{**SCHEDULE, "pipeline_id": None}], "pipelines": PIPELINE},
            {"schedules": [{**SCHEDULE, "recurrence": None}], "pipelines": PIPELINE},
            {"schedules": [{**SCHEDULE, "recurrence": {"frequency": "Never"}}], "pipelines": PIPELINE},
            {
                "schedules": [{**SCHEDULE, "recurrence": None, "trigger": {"datastore": "missing"}}],
                "pipelines": PIPELINE,
            },
            {"schedules": [SCHEDULE, SCHEDULE], "pipelines": PIPELINE},
        ],
    )
    def test_invalid_seeds_are_refused(self, seed):
        with pytest.raises(SeedError):
            a_workspace(seed)

    @pytest.mark.parametrize(
        ("seed", "message"),
        [
            ({"pipeline": []}, "pipeline is not a known key; known keys are batch_endpoints, clock"),
            ({"pipelines": {}}, "pipelines is a mapping, not a list"),
            ({"pipelines": ["p"]}, "pipelines[0] is a text, not a mapping"),
            ({"pipelines": [{"id": "p"}]}, "pipelines[0] has no name"),
            ({"pipelines": [{"name": "p", "colour": "red"}]}, "pipelines[0].colour is not a known key; known keys are"),
            ({"pipelines": [{"name": "p", "steps": [{"nam": "s"}]}]}, "pipelines[0].steps[0].nam is not a known key"),
            ({"pipelines": [{"name": "p", "steps": 5}]}, "pipelines[0].steps is 5, not a list"),
            ({"pipelines": [{"name": "p", "version": 1.0}]}, "pipelines[0].version is 1.0, not a text; write it in"),
            ({"pipelines": [{"name": "p", "status": "Off"}]}, "pipelines[0].status is a text, not one of Active, "),
            (
                {"pipelines": [{"name": "p", "steps": [{"name": "s", "run_seconds": "1"}]}]},
                "pipelines[0].steps[0].run_seconds is a text, not a number",
            ),
            *(
                (
                    {"pipelines": [{"name": "p", "steps": [{"name": "s", "run_seconds": value}]}]},
                    f"pipelines[0].steps[0].run_seconds is {says}, not a number from 0 to 1e+10",
                )
                for value, says in (
                    (math.inf, "inf"),
                    (math.nan, "nan"),
                    (-1, "-1"),
                    (10**5000, "a number of more than 18 digits"),
                )
            ),
            ({"clock": 1e300}, "clock is 1e+300, not a number from 0 to 1e+10"),
            ({"clock": 7258118401}, "clock is 7258118401, which is after the year 2199, where the clock ends"),
            (
                {"pipelines": [{"name": "p", "data_paths": [{"name": "d", "default": {"store": "x"}}]}]},
                "pipelines[0].data_paths[0].default.store is not a known key; known keys are datastore, path",
            ),
            (
                {"endpoints": [{"name": "e", "versions": {0: "p"}}]},
                "endpoints[0].versions[0] is a key that is not a text",
            ),
            (
                {"schedules": [{**SCHEDULE, "recurrence": {"frequency": "Day", "hours": ["9"]}}]},
                "schedules[0].recurrence.hours[0] is a text, not a whole number",
            ),
            (
                {"schedules": [{**SCHEDULE, "recurrence": {"frequency": "Daily"}}], "pipelines": PIPELINE},
                "schedules[0] (s): Frequency must be one of",
            ),
            ({"datastores": [{"name": "s", "account_key": 5}]}, "datastores[0].account_key is 5, not a text"),
        ],
    )
    def test_the_error_names_the_wrong_key(self, seed, message):
        with pytest.raises(SeedError, match=re.escape(message)):
            a_workspace(seed)

    def test_the_error_names_the_line_in_a_file(self, tmp_path):
        path = tmp_path / "seed.yaml"
        path.write_text("location: here\npipelines:\n  - name: p\n    steps:\n      - name: s\n        fails: 5\n")
        with pytest.raises(
            SeedError, match=re.escape("seed.yaml, line 6: pipelines[0].steps[0].fails is 5, not a text")
        ):
            read(path)

    def test_the_error_contains_no_secret(self, tmp_path):
        path = tmp_path / "seed.yaml"
        path.write_text("datastores:\n  - {name: s, account_key: [SECRET], container: c}\n")
        with pytest.raises(SeedError) as caught:
            read(path)
        assert "SECRET" not in str(caught.value)

    def test_a_file_that_is_not_yaml_is_refused(self, tmp_path):
        path = tmp_path / "seed.yaml"
        path.write_text("pipelines: [\n")
        with pytest.raises(SeedError, match="line 2"):
            read(path)

    def test_changes_to_the_workspace_do_not_change_the_seed(self):
        seed = {"experiments": [{"name": "e", "tags": {"a": "b"}}], "endpoints": [{"name": "d", "tags": {"a": "b"}}]}
        before = json.dumps(seed)
        workspace = a_workspace(seed | {"pipelines": PIPELINE, "endpoints": [{"name": "d", "versions": {"0": "p"}}]})
        for record in (*workspace.experiments.records(), *workspace.endpoints.values()):
            record.tags["a"] = "changed"
        assert json.dumps(seed) == before

    def test_a_pipeline_with_another_interface_has_another_graph_as_a_graph_never_changes(self):
        def graph(**interface):
            return a_workspace({"pipelines": [{"name": "p", "id": "p", **interface}]}).pipelines["p"].graph_id

        kept = [graph(), graph(parameters=[{"name": "a"}]), graph(data_paths=[{"name": "a"}])]
        assert len(set(kept)) == 3
        assert kept[1] == graph(parameters=[{"name": "a"}])

    def test_a_file_that_is_not_a_mapping_is_refused(self, tmp_path):
        path = tmp_path / "seed.yaml"
        path.write_text("- 1\n")
        with pytest.raises(SeedError, match="mapping"):
            read(path)
