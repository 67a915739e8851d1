"""The pages of runs in the local workspace, over HTTP."""

from __future__ import annotations

import httpx
import pytest
from support.drivers.studio_page import Page
from support.samples.studio import SEED, populate

from aml_provider.emulator.server import EmulatorServer
from aml_provider.emulator.studio.documents import utc
from aml_provider.emulator.workspace.submission import Submission


class TestRun:
    def test_a_finished_run(self, open_page, ids):
        page = open_page(f"/runs/{ids['finished']}")
        assert (page.fact("Pipeline"), page.fact("Experiment"), page.fact("Duration")) == ("good", "scoring", "40 s")
        assert page.fact("Submitted by") == "DAG score_new_files, task score [3] DAG run manual__7"
        assert page.fact("Description") == "All of Monday&#39;s files"
        assert page.row("team") == ["fraud"]
        assert page.row("flag") == ["no value"]

    def test_parameters_next_to_their_defaults(self, open_page, ids):
        page = open_page(f"/runs/{ids['finished']}")
        assert page.row("count") == ["Int", "5", "required"]
        assert page.row("label") == ["String", "not given", "red"]
        assert page.row("extra") == ["String", "not given", "none"]
        assert page.row("input") == ["DataPath", "store/in/f.csv", "store/in"]
        assert "Default of the pipeline" in page.text
        assert open_page(f"/runs/{ids['running']}").row("input") == ["DataPath", "not given", "store/in"]

    def test_a_description_that_only_repeats_the_experiment_is_left_out(self, emulator, open_page):
        for text, shown in (("exp", None), ("Monday", "Monday"), (None, None)):
            run = emulator.state.submit("twin-1", Submission("exp", description=text))
            assert open_page(f"/runs/{run.id}").fact("Description") == shown

    @pytest.mark.parametrize("field", ["tags", "properties"])
    def test_a_run_of_the_command_line_names_it(self, emulator, open_page, field):
        origin = {"airflow.submitted_by": "the command line"}
        run = emulator.state.submit("twin-1", Submission("exp", run_source="SDK", **{field: origin}))
        assert open_page(f"/runs/{run.id}").fact("Submitted by") == "the command line"

    def test_outputs_are_json(self, open_page, ids):
        page = open_page(f"/runs/{ids['finished']}")
        assert page.row("rows") == ["3"]
        assert page.row("text") == ['"3"']
        assert page.row("inputs") == ['["in/f.csv"]']

    def test_times_of_a_run(self, emulator, open_page, ids):
        page = open_page(f"/runs/{ids['canceled']}")
        run = emulator.state.runs[ids["canceled"]]
        for name, instant in (("Created", run.created), ("Ended", run.canceled)):
            assert page.fact(name).startswith(utc(instant))

    def test_a_failing_step_shows_its_error(self, emulator, open_page, ids):
        page = open_page(f"/runs/{ids['failed']}")
        step = emulator.state.runs[ids["failed"]].steps[1]
        assert "Step score failed: row 2 is empty" in page.text
        assert f"#step-{step.id}" in page.links
        (unfolded,) = [attrs for tag, attrs in page.tags if tag == "details" and attrs.get("id") == f"step-{step.id}"]
        assert "open" in unfolded
        assert "loading row 2: oh no" in page.text
        assert page.row("score Failed") == ["", "10 s"]
        assert page.row("publish NotStarted") == ["", ""]

    def test_the_timeline(self, open_page, ids):
        page = open_page(f"/runs/{ids['running']}")
        bars = [attrs for tag, attrs in page.tags if tag == "rect" and "data-status" in attrs]
        assert [bar["data-status"] for bar in bars] == ["Queued", "Finished", "Queued", "Running"]
        ends = [float(bar["x"].rstrip("%")) + float(bar["width"].rstrip("%")) for bar in bars]
        assert ends == sorted(ends)
        assert ends[-1] == pytest.approx(100)

    def test_the_graph_has_the_status_of_each_step_and_leads_to_its_log(self, emulator, open_page, ids):
        page = open_page(f"/runs/{ids['failed']}")
        found = [attrs for tag, attrs in page.tags if tag == "a" and "data-status" in attrs]
        assert [item["aria-label"] for item in found] == ["read, Finished", "score, Failed", "publish, NotStarted"]
        assert [item["data-status"] for item in found] == ["Finished", "Failed", "NotStarted"]
        steps = emulator.state.runs[ids["failed"]].steps
        assert [item["href"] for item in found] == [f"#step-{step.id}" for step in steps]
        assert {f"step-{step.id}" for step in steps} <= set(page.ids)
        assert len([1 for tag, attrs in page.tags if tag == "path"]) == 2

    def test_a_run_of_one_step_has_no_graph(self, open_page, ids):
        page = open_page(f"/runs/{ids['parent']}")
        assert not [1 for tag, attrs in page.tags if attrs.get("class") == "graph"]

    def test_parent_and_child(self, open_page, ids):
        assert f"/runs/{ids['parent']}" in open_page(f"/runs/{ids['child']}").links
        assert open_page(f"/runs/{ids['parent']}").runs == [ids["child"]]

    def test_a_slow_cancellation_is_shown(self):
        with EmulatorServer(SEED, quirks=["slow_cancel=10s"]) as emulator:
            run_id = populate(emulator)["running"]
            emulator.state.cancel(run_id)
            page = Page(httpx.get(f"{emulator.url}/runs/{run_id}"))
        assert ("span", {"class": "status", "data-status": "CancelRequested"}) in page.tags

    def test_a_scheduled_run(self, emulator, open_page, ids):
        (run, *_) = [run for run in emulator.state.runs.values() if run.schedule_id == "often"]
        page = open_page(f"/runs/{run.id}")
        assert page.fact("Submitted by") == "schedule often"
        assert page.fact("Endpoint") == "door"
        assert {"/schedules/often", "/endpoints/door", "/pipelines/twin-1"} <= set(page.links)

    def test_a_long_log_is_cut_on_the_page_and_whole_as_text(self, emulator, open_page, ids):
        run = emulator.state.runs[ids["finished"]]
        run.steps[0].log = [f"<b>{n}</b>" for n in range(2000)]
        page = open_page(f"/runs/{run.id}")
        assert "<b>1999</b>" in page.text
        assert "<b>1499</b>" not in page.text
        assert f"/runs/{run.steps[0].id}/log" in page.links
        whole = httpx.get(f"{emulator.url}/runs/{run.steps[0].id}/log")
        assert whole.headers["Content-Type"] == "text/plain; charset=utf-8"
        assert whole.headers["X-Content-Type-Options"] == "nosniff"
        assert whole.text.splitlines() == run.steps[0].log

    def test_a_line_without_an_end_is_cut_too(self, emulator, open_page, ids):
        run = emulator.state.runs[ids["finished"]]
        run.steps[0].log = ["x" * 10_000_000]
        assert len(open_page(f"/runs/{run.id}").source) < 200_000

    def test_the_log_of_the_whole_run(self, emulator, ids):
        text = httpx.get(f"{emulator.url}/runs/{ids['failed']}/log").text
        assert "step score failed" in text

    def test_lone_surrogates(self, emulator, open_page, ids):
        run = emulator.state.runs[ids["finished"]]
        run.parameters["label"] = "half \ud83d of"
        assert open_page(f"/runs/{run.id}").row("label") == ["String", "half ? of", "red"]


class TestRunList:
    def test_newest_first_with_what_they_belong_to(self, emulator, open_page, ids):
        page = open_page("/runs")
        assert page.runs == [run.id for run in reversed(emulator.state.runs.values())]
        (row,) = [row for row in page.cells if ids["failed"] in row]
        assert row[0] == "Failed"
        assert row[2:5] == ["breaks", "scoring", "DAG score_new_files, task score [3]"]
        assert row[6] == "20 s"

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("pipeline=good", ["running", "canceled", "finished"]),
            ("pipeline=good&status=Finished", ["finished"]),
            ("status=Canceled", ["canceled"]),
            ("status=Running", ["running"]),
            ("find=FRAUD", ["finished"]),
            ("find=monday", ["finished"]),
            ("find=team&pipeline=breaks", []),
            ("pipeline=nobody", []),
            ("schedule=reactive", []),
        ],
    )
    def test_conditions_select_runs(self, open_page, ids, query, names):
        page = open_page(f"/runs?{query}")
        assert page.runs == [ids[name] for name in names]
        assert (f" {len(names)} runs" if len(names) != 1 else " 1 run ") in page.text

    def test_of_an_experiment_of_a_parent_and_by_id(self, emulator, open_page, ids):
        experiment = emulator.state.experiments.named("scoring").id
        assert open_page(f"/runs?experiment={experiment}").runs == [ids["failed"], ids["finished"]]
        assert open_page(f"/runs?parent={ids['parent']}").runs == [ids["child"]]
        assert open_page(f"/runs?find={ids['child'][:13]}").runs == [ids["child"]]

    def test_of_a_schedule_and_of_an_endpoint(self, emulator, open_page, ids):
        started = [run.id for run in reversed(emulator.state.runs.values()) if run.schedule_id]
        assert len(started) == 6
        assert open_page("/runs?schedule=often").runs == started
        assert open_page("/runs?endpoint=door").runs == started

    def test_a_condition_can_be_removed(self, open_page, ids):
        page = open_page("/runs?pipeline=good&status=Finished&find=monday")
        assert "Pipeline: good" in page.text
        assert {"/runs?status=Finished&find=monday", "/runs?pipeline=good&find=monday"} <= set(page.links)

    def test_the_list_has_pages(self, emulator, open_page):
        emulator.clock.hold()
        runs = [emulator.state.submit("twin-1", Submission("exp")).id for _ in range(120)][::-1]
        first = open_page("/runs?pipeline=twin-1")
        assert first.runs == runs[:50]
        assert "120 runs, page 1 of 3" in first.text
        (following,) = [link for link in first.links if "page=" in link]
        assert open_page(following).runs == runs[50:100]
        assert open_page("/runs?pipeline=twin-1&page=3").runs == runs[100:]
        assert open_page("/runs?pipeline=twin-1&page=99").runs == runs[100:]

    def test_pages_stay_short_with_thousands_of_runs(self, emulator, open_page):
        emulator.clock.hold()
        for _ in range(5000):
            emulator.state.submit("twin-1", Submission("exp"))
        emulator.clock.advance(60)
        for path in ("/", "/runs", "/runs?status=Finished", "/pipelines/twin-1", "/experiments/exp", "/experiments"):
            page = open_page(path)
            assert len(page.runs) <= 50
            assert "5000" in page.text
            assert len(page.source) < 100_000
