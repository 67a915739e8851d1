"""``schedules export``: writes a DAG file for each native schedule, and hands the schedules over to the DAGs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from aml_provider.cli.execution import CommandError, Prose, UsageError, command, confirm, say
from aml_provider.cli.export.airflow_times import HAS_SEVERAL_CRONS, airflow_times
from aml_provider.cli.export.dag_files import DagFolder, FileChanged, create, digest_of, key_of
from aml_provider.cli.export.dag_files import replace as replace_file
from aml_provider.cli.export.dag_text import Imports, dag_text, is_started, times_in
from aml_provider.cli.export.native_times import NotExpressible, counted_from
from aml_provider.cli.export.planning import Planner
from aml_provider.client.arguments import DISABLED
from aml_provider.client.errors import AzureMLError
from aml_provider.client.flows.job_schedules import set_job_schedule_status
from aml_provider.client.flows.schedules import is_replaced, set_status
from aml_provider.client.help import sentence, text_of
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
_AGAIN = "The DAG is paused. Run this command again with --all: it says whether the native schedule is disabled."
_CHANGED = "The native schedule, or what is generated for it, has changed since this file was written"
# A run is listed within this time of its fire.
_OF_A_RUN = timedelta(minutes=2)


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
        _hand_over(exports, DagFolder(path), plan, hook, yes=options.yes)
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

        def of(set_up: datetime | None) -> DagPlan:
            return planner.of_schedule(
                schedule, dag_id, pipelines=pipelines, endpoints=endpoints, set_up=set_up, file=file
            )

        if not schedule.wire.get("Recurrence") or schedule.wire["Recurrence"].get("StartTime"):
            return of(schedule.created)
        last = hook.get_last_run_of_schedule(schedule.id)
        set_up = schedule.created if last is None or last.created is None else last.created
        return (None if file is None else _as_before(file, of, set_up)) or of(set_up)

    return plan


def _as_before(file: DagFile, of: Callable[[datetime], DagPlan], set_up: datetime | None) -> DagPlan | None:
    """The plan from which a file was made, which counts from an earlier run; None: it is not right any more."""
    earlier = counted_from(file.text)
    if earlier is None or set_up is None:
        return None
    try:
        plan = of(earlier)
    except NotExpressible:
        return None
    is_same = digest_of(dag_text(plan, installed_imports())) == file.digest
    is_near = plan.times is not None and plan.times.between(set_up - _OF_A_RUN, set_up + _OF_A_RUN)
    return plan if is_same and is_near else None


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
    item.path = folder.path / f"{dag_id}.py" if file is None else file.path
    item.text = dag_text(item.plan, installed_imports())
    item.notes += item.plan.notes
    item.is_done = True
    if file is None and not item.schedule.is_active and item.plan.timing is not None:
        item.notes.append(
            "The native schedule is disabled, and this DAG has no schedule: neither of them starts runs. For runs, "
            "set schedule to TIMES and start_date to the moment from which runs are due."
        )
    try:
        item.result = _write(item, file, options)
    except (FileChanged, OSError) as error:
        item.fail(_NOT_EXPORTED, str(error))


def _write(item: _Export, file: DagFile | None, options: Namespace) -> str:
    """Write the file of a schedule, and return the result."""
    assert item.path is not None
    dry_run = options.dry_run
    if file is None:
        if not dry_run:
            create(item.path, item.key, item.text)
        return "would be written" if dry_run else "written"
    if file.is_edited:
        again = "" if is_started(file.text) else " Delete it to have it written again."
        item.notes.append(f"Somebody has edited the file, so it stays as it is.{again}")
        if digest_of(item.text) != file.digest:
            item.is_done = not item.schedule.is_active
            item.notes.append(
                f"{_CHANGED}. Export into an empty folder, and take over the changes and the first line from there."
            )
        elif options.disable and item.plan is not None and item.plan.times is not None:
            item.is_done = times_in(file.text) == times_in(item.text)
            if not item.is_done:
                item.notes.append("TIMES in the file are not those of the native schedule, so it is not disabled.")
        return "edited"
    if file.text == item.text:
        return "unchanged"
    if not dry_run:
        replace_file(file, item.text)
    return "would be updated" if dry_run else "updated"


def _hand_over(
    exports: Sequence[_Export], folder: DagFolder, plan: Callable[..., DagPlan], hook: AzureMLHook, *, yes: bool
) -> None:
    """Disable the native schedules whose DAGs are in Airflow."""
    # It loads Airflow's models, which an export does not need.
    from aml_provider.cli.export.airflow_dags import why_not_readable  # noqa: PLC0415
    from aml_provider.cli.export.handover import NotHandedOver, hand_over  # noqa: PLC0415

    if (reason := why_not_readable()) is not None:
        raise CommandError(f"{sentence(reason)} No native schedule was disabled.")
    for item in exports:
        if item.is_done and not item.schedule.is_active:
            item.notes.append(f"The native schedule is disabled already.{_after(folder.find(item.key))}")
    ready = [item for item in exports if item.is_done and item.schedule.is_active]
    if ready:
        names = "".join(f"\n  {item.schedule.name}" for item in ready)
        confirm(f"This disables each of these native schedules, if its DAG is in Airflow:{names}\n", yes=yes)
    for item in ready:
        file = folder.find(item.key)
        assert file is not None
        if item.is_managed:
            item.fail("not disabled", "The task that manages the schedule would enable it again. Remove that task.")
            continue
        try:
            done = hand_over(
                file,
                lambda item=item, file=file: _plan_again(item, file, plan, hook),  # type: ignore[misc]
                lambda item=item: _disable(item, hook),  # type: ignore[misc]
            )
            item.notes += done.notes
            item.result, item.is_done = "disabled", done.is_certain
        except (NotHandedOver, FileChanged, OSError) as error:
            item.fail("not disabled", str(error))
        except (AzureMLError, AirflowException) as error:
            item.fail("not disabled", f"{text_of(error)} {_AGAIN}")


def _after(file: DagFile | None) -> str:
    """What is to be done with the file of a schedule that is disabled."""
    is_handed_over = file is not None and is_started(file.text)
    return f" Deploy the file, and unpause DAG {file.dag_id!r}." if file is not None and is_handed_over else ""


def _plan_again(item: _Export, file: DagFile, plan: Callable[..., DagPlan], hook: AzureMLHook) -> DagPlan:
    """Read the schedule again, and check that the file is still right for it."""
    # Only a handover needs it.
    from aml_provider.cli.export.handover import NotHandedOver  # noqa: PLC0415

    v1 = item.api == "v1"
    schedule = hook.get_schedule(item.schedule.id) if v1 else hook.get_job_schedule(item.schedule.name)
    if not schedule.is_active:
        raise NotHandedOver(
            "Somebody else has disabled the native schedule since this command began. Ask whether its runs are to "
            "stop; if the DAG is to start them, enable the schedule, and run this command again."
        )
    try:
        found = plan(replace(item, schedule=schedule), file.dag_id, file)
    except NotExpressible as error:
        raise NotHandedOver(f"Somebody else has changed the native schedule: it {error}") from None
    if digest_of(dag_text(found, installed_imports())) != file.digest:
        raise NotHandedOver(f"{_CHANGED}. Run this command again.")
    return found


def _disable(item: _Export, hook: AzureMLHook) -> bool:
    """Disable a schedule, and return whether it was active."""
    schedule = item.schedule
    flow = set_status(schedule.id, DISABLED) if item.api == "v1" else set_job_schedule_status(schedule.name, DISABLED)
    with hook.client() as client:
        return client.run(flow)[1]


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
