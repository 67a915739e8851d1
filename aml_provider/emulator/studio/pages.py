"""The overview and the page of a run. Every text that comes from outside is escaped."""

from __future__ import annotations

from html import escape
from importlib import resources
from string import Template
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from aml_provider.emulator.times import wire_time
from aml_provider.emulator.wire_history import step_log

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.models import Run, Schedule
    from aml_provider.emulator.timeline import RunView

_SHOWN_RUNS = 200


class StudioRoutes:
    """``/`` and ``/runs/{id}``, where the studio has them."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._page = Template((resources.files(__package__) / "page.html").read_text(encoding="utf-8"))

    def routes(self) -> list[Route]:
        """At the root."""
        return [Route("/", self.overview), Route("/runs/{run_id}", self.run)]

    async def overview(self, _request: Request) -> Response:
        """The latest runs, the schedules, and the pipelines."""
        runs = list(reversed(self._workspace.runs.values()))
        rows = [
            (
                _link(f"/runs/{run.id}", run.id),
                escape(self._workspace.pipeline(run.pipeline_id).name),
                escape(run.experiment),
                _status(_label(self._workspace.view(run))),
                escape(_when(run.created)),
            )
            for run in runs[:_SHOWN_RUNS]
        ]
        pipelines = [
            (escape(item.name), escape(item.id), _status(item.status), escape(item.description or ""))
            for item in self._workspace.pipelines.values()
        ]
        schedules = [
            (
                escape(item.name),
                escape(self._scheduled(item)),
                escape(self._when_due(item)),
                _status(item.status),
                escape(item.last_error or ""),
            )
            for item in self._workspace.schedules.all()
        ]
        hidden = len(runs) - len(rows)
        return self._reply(
            "Local workspace",
            "<h1>Local workspace</h1>",
            '<p class="note">An emulated Azure Machine Learning workspace.</p>',
            "<h2>Runs</h2>",
            _table(("Run", "Pipeline", "Experiment", "Status", "Created"), rows, "No run yet."),
            f'<p class="note">{hidden} older runs are not shown.</p>' if hidden else "",
            "<h2>Schedules</h2>",
            _table(("Name", "Pipeline or endpoint", "Next", "Status", "Last error"), schedules, "None."),
            "<h2>Published pipelines</h2>",
            _table(("Name", "Id", "Status", "Description"), pipelines, "None."),
        )

    async def run(self, request: Request) -> Response:
        """One run. A step's id leads to the page of its run."""
        run_id = request.path_params["run_id"]
        found = self._workspace.step_run(run_id)
        run = found[0] if found else self._workspace.runs.get(run_id)
        if run is None:
            return self._reply(
                "No such run", "<h1>No such run</h1>", f"<p>{escape(run_id)}</p>", _link("/", "All runs"), status=404
            )
        view = self._workspace.view(run)
        pipeline = self._workspace.pipeline(run.pipeline_id)
        facts = {
            "Status": _status(_label(view)),
            "Pipeline": f"{escape(pipeline.name)}<br>{escape(pipeline.id)}",
            "Experiment": escape(run.experiment),
            "Description": escape(run.description or ""),
            "Created": escape(_when(run.created)),
            "Started": escape(_when(view.started)),
            "Ended": escape(_when(view.ended)),
        }
        if run.schedule_id:
            facts["Schedule"] = f"{escape(self._workspace.schedules.get(run.schedule_id).name)}<br>{run.schedule_id}"
        if run.parent_run_id:
            facts["Parent run"] = _link(f"/runs/{run.parent_run_id}", run.parent_run_id)
        paths = {name: f"{path.datastore}/{path.path}" for name, path in run.data_paths.items()}
        return self._reply(
            f"Run {run.id}",
            f'<p class="note">{_link("/", "All runs")}</p>',
            f"<h1>Run {escape(run.id)}</h1>",
            _facts(facts),
            _section("Parameters", run.parameters),
            _section("Data paths", paths),
            _section("Datasets", {name: str(value) for name, value in run.datasets.items()}),
            _section("Outputs", {name: str(value) for name, value in run.outputs.items()}),
            _section("Tags", {name: value or "" for name, value in run.history_tags.items()}),
            _section("Properties", run.history_properties),
            "<h2>Steps</h2>",
            *self._steps(run, view),
        )

    def _scheduled(self, schedule: Schedule) -> str:
        if schedule.endpoint_id is not None:
            return self._workspace.endpoint(schedule.endpoint_id).name
        return self._workspace.pipeline(schedule.pipeline_id or "").name

    def _when_due(self, schedule: Schedule) -> str:
        upcoming = self._workspace.schedules.upcoming(schedule, 3 if schedule.recurrence else 1)
        times = ", ".join(_when(instant) for instant in upcoming)
        return f"polls {times}" if times and schedule.trigger else times

    def _steps(self, run: Run, view: RunView) -> Iterable[str]:
        for index, (step_run, step) in enumerate(zip(run.steps, view.steps, strict=True)):
            times = f"{_when(step.started)} to {_when(step.ended)}" if step.started is not None else ""
            yield f"<h3>{escape(step_run.step.name)} {_status(step.status)}</h3>"
            yield f'<p class="note">{escape(step_run.id)} {escape(times)}</p>'
            if step.error:
                yield f'<p class="Failed">{escape(step.error)}</p>'
            log = step_log(run, index, view)
            yield f"<pre>{escape(log)}</pre>" if log else '<p class="note">No log yet.</p>'

    def _reply(self, title: str, *parts: str, status: int = 200) -> Response:
        body = "\n".join(part for part in parts if part)
        return HTMLResponse(self._page.substitute(title=escape(title), body=body), status)


def _label(view: RunView) -> str:
    return "CancelRequested" if view.cancelling else view.status


def _status(name: str) -> str:
    return f'<span class="status {escape(name)}">{escape(name)}</span>'


def _when(instant: float | None) -> str:
    return "" if instant is None else f"{wire_time(instant)[:19].replace('T', ' ')} UTC"


def _link(target: str, text: str) -> str:
    return f'<a href="{escape(target)}">{escape(text)}</a>'


def _section(title: str, values: Mapping[str, str]) -> str:
    if not values:
        return ""
    return f"<h2>{escape(title)}</h2>" + _facts({name: escape(value) for name, value in values.items()})


def _facts(facts: Mapping[str, str]) -> str:
    rows = "".join(f'<tr><th scope="row">{escape(name)}</th><td>{value}</td></tr>' for name, value in facts.items())
    return f'<table class="facts">{rows}</table>'


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], empty: str) -> str:
    lines = ["<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows]
    if not lines:
        return f'<p class="note">{escape(empty)}</p>'
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
