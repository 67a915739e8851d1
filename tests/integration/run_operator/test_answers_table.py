"""Each answer of the service, in each phase of a run, leads to what ``docs/concepts/reliability-protocol.md`` says.

The table is generated here. If it differs from what happens, the test prints the table as it has to be.
"""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.airflow.task import Log, RunPipeline, Task
from support.drivers.held_loop import held, passed_until
from support.services.local_workspace import serving

from aml_provider.client.errors import Unreachable
from aml_provider.client.flows import runs
from aml_provider.client.http.clients import AsyncClient, Client, Clock
from aml_provider.client.http.messages import Request
from aml_provider.compat import TaskDeferred
from aml_provider.triggerer.run_poller import RunPoller
from aml_provider.worker import run_pipeline

DOCS = Path(__file__).resolve().parents[3] / "docs" / "concepts" / "reliability-protocol.md"
BEGIN, END = "<!-- made by tests/integration/run_operator/test_answers_table.py -->\n", "<!-- end -->"

ANSWERS = {
    "401": {"kind": "status", "status": 401},
    "403": {"kind": "status", "status": 403},
    "404": {"kind": "status", "status": 404},
    "404 without an error code of Azure": {"kind": "html", "status": 404},
    "409": {"kind": "status", "status": 409},
    "429": {"kind": "status", "status": 429},
    "500, 502, 503": {"kind": "status", "status": 503},
    "the same, with a `Retry-After` beyond the budget": {"kind": "status", "status": 503, "retry_after": 3600},
    "501": {"kind": "status", "status": 501},
    "a success that cannot be read": {"kind": "broken_json"},
    "no reply: the connection breaks": {"kind": "refuse"},
    "no connection": None,
}
#: Differs from all other pauses.
BUSY = 17.125
#: Requests for one run, by its id.
READ = {"method": "GET", "path": "*/PipelineRuns/????????-*"}
CANCEL = {"method": "*", "path": "*/PipelineRuns/*/Execution"}


class Case:
    """A task on a workspace that, from a chosen moment, gives one answer to certain requests."""

    def __init__(self, workspace, monkeypatch, logged, answer):
        self.workspace, self._monkeypatch, self.logged, self._answer = workspace, monkeypatch, logged, answer
        self.task = Task()
        self.said = Log()
        self.pauses = []
        self._pattern = None
        monkeypatch.setattr(Clock, "sleep", lambda _, seconds: self._sleep(seconds))

    def _sleep(self, seconds):
        self.pauses.append(seconds)
        if seconds == BUSY:
            raise KeyboardInterrupt  # else the wait would never end

    def operator(self, **how):
        made = RunPipeline(**{"pipeline_id": "long", "execution_timeout": timedelta(days=1)} | how)
        self.said = made.log
        return made

    def defer(self):
        with pytest.raises(TaskDeferred) as deferred:
            self.operator(deferrable=True).execute(self.task.context)
        return deferred.value.trigger

    def resume(self, outcome):
        if outcome == "deadline":
            self.task.ti.start_date -= timedelta(days=1)
        event = {
            "run_id": self.workspace.only_run().id,
            "experiment_name": "exp",
            "outcome": outcome,
            "message": "why",
            "deadline": time.time(),
        }
        self.operator(deferrable=True).execute_complete(self.task.context, event)

    def meet(self, pattern):
        """Give the answer to all requests that match the pattern from now on."""
        self._pattern = pattern
        if self._answer is not None:
            self.workspace.faults.add(**self._answer, **pattern, times=10_000)
            return
        act, async_act = Client._act, AsyncClient._act

        def refuse(step):
            if not isinstance(step, Request):
                return
            asked = {"method": step.method, "path": urlsplit(step.url).path}
            if all(fnmatchcase(asked[name], glob) for name, glob in pattern.items()):
                self.refused += 1
                raise Unreachable("no connection")

        def acts(client, step):
            refuse(step)
            return act(client, step)

        async def async_acts(client, step):
            refuse(step)
            return await async_act(client, step)

        # No host refuses connections for some addresses only.
        self.refused = 0
        self._monkeypatch.setattr(Client, "_act", acts)
        self._monkeypatch.setattr(AsyncClient, "_act", async_acts)

    @property
    def throttles(self):
        """Whether a wait would continue for ever under this answer."""
        return self._answer is not None and self._answer.get("status") == 429

    @property
    def met(self):
        """The number of requests that got the answer."""
        if self._answer is None:
            return self.refused
        return sum(
            fnmatchcase(entry["method"], self._pattern["method"]) and fnmatchcase(entry["path"], self._pattern["path"])
            for entry in self.workspace.requests()[self._before :]
        )

    def count_from_now(self):
        self._before = len(self.workspace.requests())
        self.logged.clear()


def looked_up(case):
    case.meet({"method": "GET", "path": "*/Pipelines/*"})
    case.operator(deferrable=True).execute(case.task.context)


def submitted(case):
    # In a workspace where another task has collected the evidence.
    other = Task()
    other.ti.dag_id = "other"
    RunPipeline(pipeline_id="quick", wait_for_completion=False).execute(other.context)
    case.workspace.reset()
    case.count_from_now()
    case.meet({"method": "POST", "path": "*/PipelineRuns/PipelineSubmit/*"})
    case.operator(deferrable=True).execute(case.task.context)


def waiting_in_a_worker(case):
    operator = case.operator()
    announce = run_pipeline.RunTry._announce

    def announced(*arguments):
        announce(*arguments)
        case.count_from_now()
        case.meet(READ)

    # The moment between the submission and the wait.
    case._monkeypatch.setattr(run_pipeline.RunTry, "_announce", announced)
    operator.execute(case.task.context)


def waiting_deferred(case):
    trigger = case.defer()
    case.count_from_now()
    case.meet(READ)
    wait = RunPoller.wait

    async def logged(poller, run_id, *, log, **arguments):
        return await wait(poller, run_id, log=lambda level, text: case.said.info(text), **arguments)

    case._monkeypatch.setattr(RunPoller, "wait", logged)

    events = []

    @held
    async def fire():
        event = asyncio.ensure_future(anext(trigger.run()))
        await passed_until(lambda: event.done() or (case.throttles and case.met > 3), step=0.5)
        if not event.done():
            event.cancel()
            await asyncio.wait([event])
            raise TimeoutError
        events.append(event.result().payload)

    fire()
    RunPipeline(pipeline_id="long", deferrable=True).execute_complete(case.task.context, events[0])


def resumed(case):
    case.defer()
    case.count_from_now()
    case.meet(READ)
    case.resume("ended")


def cancelled(case):
    case.defer()
    case.count_from_now()
    case.meet(CANCEL)
    case.resume("deadline")


PHASES = {
    "looking up the pipeline": looked_up,
    "the submission": submitted,
    "waiting in a worker": waiting_in_a_worker,
    "waiting, deferred": waiting_deferred,
    "the resumed task reads the run": resumed,
    "the cancel at `execution_timeout`": cancelled,
}


def cell(case, play):
    """The result in the words of the table."""
    case.count_from_now()
    try:
        play(case)
    except (TimeoutError, KeyboardInterrupt):
        return "keeps waiting"
    except TaskDeferred:
        return "the task continues"
    except Exception as error:  # noqa: BLE001 - the user sees it, whatever it is
        name, permanent = type(error).__name__, error.permanent
    else:
        return "the task continues"
    parts = ["tried again, then " if case.met > 1 else "", f"`{name}`", ", no retries" if permanent else ""]
    if case.met > 1 and play in {waiting_in_a_worker, waiting_deferred}:
        assert "It failed, and is tried again for up to 2 s" in f"{case.said}\n{case.logged.text}"
    status = {case.workspace.status(run.id) for run in case.workspace.runs()}
    if play is cancelled:
        parts.append("; the run continues" if status == {"Running"} else "; the run is cancelled")
    else:
        assert status <= {"Running"}, "an error never cancels"
    return "".join(parts)


@pytest.fixture(autouse=True)
def budget(kept_in_memory, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "2.0")
    monkeypatch.setattr(runs, "_BUSY_PAUSE", BUSY)


@pytest.fixture
def play_all(monkeypatch, caplog):
    def play_all(answers):
        rows = {}
        for name, answer in answers.items():
            for play in PHASES.values():
                with monkeypatch.context() as patch, serving(patch) as workspace:
                    rows.setdefault(name, []).append(cell(Case(workspace, patch, caplog, answer), play))
            assert rows[name][2] == rows[name][3], f"{name}: one answer in both modes"
        return "".join(f"| {' | '.join([name, *cells])} |\n" for name, cells in rows.items())

    return play_all


def stored_table():
    return DOCS.read_text().partition(BEGIN)[2].partition(END)[0]


def test_the_table_states_what_happens(play_all):
    head = ["the service answers", *PHASES]
    made = "".join(f"| {' | '.join(line)} |\n" for line in (head, ["---"] * len(head))) + play_all(ANSWERS)
    assert stored_table() == made, f"docs/concepts/reliability-protocol.md has to say:\n{BEGIN}{made}{END}"


def test_a_retry_after_within_the_budget_changes_when_but_not_what(play_all):
    answers = {
        name: {**answer, "retry_after": 1}
        for name, answer in ANSWERS.items()
        if answer is not None and answer["kind"] == "status" and "retry_after" not in answer
    }
    for row in play_all(answers).splitlines():
        assert row in stored_table().splitlines()
