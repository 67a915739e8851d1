"""``schedules export``: writes a DAG file for each native schedule, and hands the schedules over to the DAGs."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, Prose, UsageError, command, confirm, say
from aml_provider.cli.export.airflow_times import HAS_SEVERAL_CRONS, airflow_times
from aml_provider.cli.export.dag_files import DagFolder, FileChanged, create, key_of, replace
from aml_provider.cli.export.dag_text import Imports, dag_text
from aml_provider.cli.export.native_times import NotExpressible
from aml_provider.cli.export.planning import Planner
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.schedules import is_replaced
from aml_provider.client.help import text_of
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, AirflowException
from aml_provider.connection import DEFAULT_CONN_ID
from aml_provider.durable import schedule_owner

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence

    from aml_provider.cli.export.dag_files import DagFile
    from aml_provider.cli.export.dag_text import DagPlan
    from aml_provider.cli.output import Record
    from aml_provider.client.entities import JobSchedule, Schedule
    from aml_provider.hooks.azure_ml import AzureMLHook

_NOT_EXPORTED = "not exported"
_AGAIN = (
    "The DAG is paused. Run this command again: if it does not list the schedule any more, the schedule is disabled, "
    "and you can unpause the DAG."
)


@dataclass
class _Export:
    """A native schedule, and what has become of it."""

    api: str
    schedule: Schedule | JobSchedule
    key: str
    result: str = _NOT_EXPORTED
    notes: list[str] = field(default_factory=list)
    is_done: bool = False
    plan: DagPlan | None = None
    path: Path | None = None
    text: str = ""

    @property
    def is_managed(self) -> bool:
        """Whether a task of this provider manages the schedule."""
        return schedule_owner.KEY in self.schedule.properties

    def fail(self, result: str, note: str) -> None:
        """Note why it was not done."""
        self.result, self.is_done = result, False
        self.notes.append(note)

    def record(self) -> Record:
        """The row that the command prints."""
        return {
            "name": self.schedule.name,
            "id": self.schedule.id,
            "api": self.api,
            "result": self.result,
            "dag_id": None if self.plan is None else self.plan.dag_id,
            "file": None if self.path is None else str(self.path),
            "notes": list(self.notes),
        }


@command
def export(options: Namespace, hook: AzureMLHook) -> Prose:
    """Export native schedules."""
    path = Path(options.dag_dir)
    if not path.is_dir():
        raise UsageError(f"--dag-dir: {options.dag_dir!r} is not a folder.")
    if options.dry_run and options.disable:
        raise UsageError("Give --dry-run or --disable, not both.")
    exports = _selected(options, hook)
    folder = DagFolder(path)
    planner = Planner(
        now=datetime.now(UTC).replace(microsecond=0),
        airflow_times=airflow_times,
        several_crons=HAS_SEVERAL_CRONS,
        conn_id=None if options.conn_id == DEFAULT_CONN_ID else options.conn_id,
        accepts_clock_changes=options.accept_clock_changes,
    )
    plan = _planning(hook, planner, exports)
    for item in exports:
        _export(item, folder, plan, options)
    if options.disable:
        _hand_over(exports, DagFolder(path), hook, yes=options.yes)
    return _answer(exports, options)


def _selected(options: Namespace, hook: AzureMLHook) -> list[_Export]:
    workspace, wanted = hook.settings().identity, options.schedule
    active_only = not options.all and wanted is None
    found: list[_Export] = []
    if options.api in (None, "v1"):
        found += [
            _Export("v1", item, key_of(workspace, "v1", item.id))
            for item in hook.list_schedules(active_only=active_only)
            if not is_replaced(item)
        ]
    if options.api in (None, "v2"):
        found += [
            _Export("v2", item, key_of(workspace, "v2", item.id))
            for item in hook.list_job_schedules(active_only=active_only)
        ]
    if wanted is None:
        return found
    chosen = [item for item in found if wanted.casefold() == item.schedule.id.casefold()]
    chosen = chosen or [item for item in found if wanted == item.schedule.name]
    if not chosen:
        raise CommandError(
            f"There is no native schedule {wanted!r}. The commands `schedules list --all` and "
            "`job-schedules list --all` list them."
        )
    return [item for item in chosen if item.schedule.is_active] or chosen


def _planning(hook: AzureMLHook, planner: Planner, exports: Sequence[_Export]) -> Callable[..., DagPlan]:
    """A function that plans the DAG of a schedule."""
    has_v1 = any(item.api == "v1" for item in exports)
    pipelines = {item.id: item for item in hook.list_pipelines(active_only=False)} if has_v1 else {}
    endpoints = {item.id: item for item in hook.list_endpoints(active_only=False)} if has_v1 else {}

    def plan(item: _Export, dag_id: str, file: DagFile | None) -> DagPlan:
        if item.api == "v2":
            workspace = hook.settings().arm_id
            return planner.of_job_schedule(item.schedule, dag_id, workspace=workspace, file=file)  # type: ignore[arg-type]
        schedule: Schedule = item.schedule  # type: ignore[assignment]
        set_up = schedule.created
        if not (schedule.wire.get("Recurrence") or {}).get("StartTime"):
            last = hook.get_last_run_of_schedule(schedule.id)
            set_up = set_up if last is None or last.created is None else last.created
        return planner.of_schedule(schedule, dag_id, pipelines=pipelines, endpoints=endpoints, set_up=set_up, file=file)

    return plan


def _export(item: _Export, folder: DagFolder, plan: Callable[..., DagPlan], options: Namespace) -> None:
    """Plan and write the DAG file of one schedule."""
    if item.is_managed and options.schedule is None:
        properties = item.schedule.properties
        item.fail(
            _NOT_EXPORTED,
            f"It is managed by task {properties.get(schedule_owner.TASK)!r} of DAG "
            f"{properties.get(schedule_owner.DAG)!r}, which would create it again. Export it by its name if that task "
            "is removed.",
        )
        return
    file = folder.find(item.key)
    try:
        dag_id = folder.new_path(item.schedule.name, item.key).stem if file is None else file.dag_id
        item.plan = plan(item, dag_id, file)
    except NotExpressible as error:
        item.fail(_NOT_EXPORTED, f"It {error}")
        return
    item.path = folder.path / f"{dag_id}.py"
    item.text = dag_text(item.plan, installed_imports())
    item.notes += item.plan.notes
    item.is_done = True
    try:
        item.result = _write(item, file, dry_run=options.dry_run)
    except (FileChanged, OSError) as error:
        item.fail(_NOT_EXPORTED, str(error))


def _write(item: _Export, file: DagFile | None, *, dry_run: bool) -> str:
    """Write the file of a schedule, and return the result."""
    assert item.path is not None
    if file is None:
        if not dry_run:
            create(item.path, item.key, item.text)
        return "would be written" if dry_run else "written"
    if file.is_edited:
        item.notes.append("Somebody has edited the file, so it stays as it is. Delete it to have it written again.")
        return "edited"
    if file.text == item.text:
        return "unchanged"
    if not dry_run:
        replace(file, item.text)
    return "would be updated" if dry_run else "updated"


def _hand_over(exports: Sequence[_Export], folder: DagFolder, hook: AzureMLHook, *, yes: bool) -> None:
    """Disable the native schedules whose DAGs are in Airflow."""
    # It loads Airflow's models, which an export does not need.
    from aml_provider.cli.export.airflow_dags import why_not_readable  # noqa: PLC0415
    from aml_provider.cli.export.handover import NotHandedOver, hand_over  # noqa: PLC0415

    if (reason := why_not_readable()) is not None:
        raise CommandError(f"{reason} No native schedule was disabled.")
    ready = [item for item in exports if item.is_done and item.schedule.is_active]
    if ready:
        names = "".join(f"\n  {item.schedule.name}" for item in ready)
        confirm(f"This disables each of these native schedules, if its DAG is in Airflow:{names}\n", yes=yes)
    for item in ready:
        file = folder.find(item.key)
        assert file is not None
        assert item.plan is not None
        if item.is_managed:
            item.fail("not disabled", "The task that manages the schedule would enable it again. Remove that task.")
            continue
        try:
            item.notes += hand_over(file, item.plan, lambda item=item: _disable(item, hook))  # type: ignore[misc]
            item.result = "disabled"
        except (NotHandedOver, FileChanged, OSError) as error:
            item.fail("not disabled", str(error))
        except (AzureMLError, AirflowException) as error:
            item.fail("not disabled", f"{text_of(error)} {_AGAIN}")


def _disable(item: _Export, hook: AzureMLHook) -> None:
    if item.api == "v1":
        hook.disable_schedule(item.schedule.id)
    else:
        hook.disable_job_schedule(item.schedule.name)


def installed_imports() -> Imports:
    """The places of Airflow's names in the installed Airflow."""
    if not AIRFLOW_V_3_0_PLUS:
        return Imports(dag="airflow", timetables="airflow.timetables.trigger")
    has_timetables = hasattr(import_module("airflow.sdk"), "MultipleCronTriggerTimetable")
    return Imports(timetables="airflow.sdk" if has_timetables else "airflow.timetables.trigger")


def _answer(exports: Sequence[_Export], options: Namespace) -> Prose:
    records = [item.record() for item in exports]
    if options.dry_run:
        records = [{**record, "text": item.text or None} for record, item in zip(records, exports, strict=True)]
    lines = []
    for item in exports:
        place = f" {item.path}" if item.path is not None else ""
        lines.append(f"{item.result}:{place} ({item.schedule.label}, {item.api})")
        lines += [f"  {note}" for note in item.notes]
        if options.dry_run and item.text:
            lines += ["", item.text]
    answer = Prose(records, "".join(f"{line}\n" for line in lines))
    if not options.disable and not options.dry_run and any(item.is_done for item in exports):
        say(
            "The next step: check and deploy the files. When Airflow has parsed them, hand the schedules over with the "
            "same command and --disable."
        )
    if not all(item.is_done for item in exports):
        raise CommandError("Some schedules were not exported or not disabled; the reasons are above.", answer=answer)
    return answer
