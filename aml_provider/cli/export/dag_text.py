"""The text of a DAG file that replaces a native schedule.

Names and values come from the workspace. They cannot become code or templates: all of them are written as Python
literals, a text that Jinja would read as a template is written as one that renders to it, and each line of a comment
begins with a hash sign.
"""

from __future__ import annotations

import ast
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from unicodedata import combining, east_asian_width

from aml_provider.cli.export.timing import Crons
from aml_provider.client.models import DataPath
from aml_provider.client.text import unsigned
from aml_provider.operator_call import comment_line, literal_text, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import timedelta

    from aml_provider.cli.export.native_times import NativeTimes
    from aml_provider.cli.export.run_arguments import RunArguments
    from aml_provider.cli.export.timing import Every

#: The task that waits for changed blobs.
WAIT_TASK = "wait_for_blobs"

_INDENT = "    "
# The default of ruff and Black; in a project with longer lines, the text is formatted too.
_WIDTH = 88
_LONGEST_COMMENT = 800
_LONGEST_WAIT = 10 * 365 * 86400  # seconds
_START = re.compile(r"^    start_date=datetime\(([0-9, ]+), tzinfo=UTC\),$", re.MULTILINE)
_WAITING = "    schedule=None,  # TIMES after `schedules export --disable`\n"
_STARTED = "    schedule=TIMES,\n"
_DOC_OF_TIMES = '''"""Start a run at the times of a native schedule of Azure ML, which this DAG replaces.

Until `schedules export --disable` hands over, this DAG has no schedule and can be tried by
hand. The handover sets the schedule and the start date, and disables the native schedule:
each run is started by one of the two. Runs that are due while this DAG is paused, or
Airflow is down, are started later.
"""
'''
_DOC_OF_CHANGES = '''"""Start a run of Azure ML for each blob that is added or modified, as a native schedule did.

A DAG run is always waiting for blobs. The first one only remembers the blobs that exist.
While the native schedule is active, both start a run for each changed blob.
"""
'''


@dataclass(frozen=True, kw_only=True)
class Imports:
    """Where Airflow's names are, for the Airflow that will read the file."""

    dag: str = "airflow.sdk"
    timetables: str = "airflow.sdk"


@dataclass(frozen=True, kw_only=True)
class DagPlan:
    """A DAG that replaces a native schedule.

    Attributes:
        dag_id: Its id.
        subject: The native schedule, for people.
        when: When the native schedule fires, in the service's words.
        run: What it runs.
        conn_id: The connection; None: the default one.
        timing: When it starts runs; None: when blobs change.
        blobs: The sensor's arguments, if it starts runs when blobs change.
        data_path: The data path that gets the changed blob; None: none does.
        start: The start date.
        is_started: Whether the schedule is handed over, if it does not start runs when blobs change.
        end: The last instant at which a run may be started.
        notes: Sentences about what is not certain, or not carried over.
        times: The times of the native schedule, if it does not start runs when blobs change.
    """

    dag_id: str
    subject: str
    when: str
    run: RunArguments
    start: datetime
    is_started: bool = False
    conn_id: str | None = None
    timing: Crons | Every | None = None
    blobs: Mapping[str, Any] = field(default_factory=dict)
    data_path: str | None = None
    end: datetime | None = None
    notes: tuple[str, ...] = ()
    times: NativeTimes | None = None


def dag_text(plan: DagPlan, imports: Imports) -> str:
    """Write a DAG file, without the line that identifies it."""
    body = _blobs(plan) if plan.timing is None else _task(plan)
    parts = [
        _DOC_OF_CHANGES if plan.timing is None else _DOC_OF_TIMES,
        "from __future__ import annotations\n",
        _imports(plan, imports, uses_data_path="DataPath(" in body),
        _comments(plan) + ("" if plan.timing is None else _times(plan.timing)) + _dag(plan) + body,
    ]
    return "\n".join(parts)


def start_of(text: str) -> datetime | None:
    """The start date that a DAG file has; None: none in the form that this module writes, or more than one."""
    found = _START.findall(text)
    try:
        (numbers,) = found
        year, month, day, hour, minute, second = [*map(int, numbers.split(",")), 0, 0, 0][:6]
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def is_started(text: str) -> bool:
    """Whether a DAG file for times has its schedule."""
    return text.count(_STARTED) == 1


def can_start(text: str) -> bool:
    """Whether :func:`with_start` can write the start date into a DAG file."""
    return start_of(text) is not None and text.count(_STARTED) + text.count(_WAITING) == 1


def with_start(text: str, start: datetime) -> str:
    """The text of a DAG file for times, with its schedule and another start date."""
    return _START.sub(lambda _: f"{_INDENT}start_date={moment_text(start)},", text.replace(_WAITING, _STARTED))


def without_start(text: str) -> str:
    """The text of a DAG file as it would be for a fixed start date, and before the handover.

    Two texts that differ here differ in more than the handover.
    """
    return _START.sub(f"{_INDENT}start_date=…", text.replace(_STARTED, _WAITING))


def times_in(text: str) -> str | None:
    """The timetable in a DAG file, in one form for all ways of writing it; None: there is none, or more than one."""
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError):
        return None
    assigned = [item for item in statements if isinstance(item, ast.Assign)]
    found = [item.value for item in assigned if [ast.unparse(target) for target in item.targets] == ["TIMES"]]
    return ast.unparse(found[0]) if len(found) == 1 else None


def _imports(plan: DagPlan, imports: Imports, *, uses_data_path: bool) -> str:
    names = {imports.dag: ["DAG"]}
    of_datetime = ["UTC", "datetime"]
    if isinstance(plan.timing, Crons):
        names.setdefault(imports.timetables, []).append(_timetable_of(plan.timing))
    elif plan.timing is not None:
        names.setdefault(imports.timetables, []).append("DeltaTriggerTimetable")
        of_datetime.append("timedelta")
    if uses_data_path:
        names["aml_provider.client.models"] = ["DataPath"]
    names["aml_provider.operators.pipeline"] = ["AzureMLRunPipelineOperator"]
    if plan.timing is None:
        names["aml_provider.sensors.blob"] = ["AzureBlobChangeSensor"]
    others = [f"from {module} import {', '.join(found)}\n" for module, found in sorted(names.items())]
    return f"from datetime import {', '.join(of_datetime)}\n\n{''.join(others)}"


def _comments(plan: DagPlan) -> str:
    lines = [f"{plan.subject}: {plan.run.subject}", plan.when, *(f"To check: {note}" for note in plan.notes)]
    wrapped = (
        textwrap.fill(
            comment_line(unsigned(line), _LONGEST_COMMENT), _WIDTH, initial_indent="# ", subsequent_indent="#   "
        )
        for line in lines
        if line
    )
    return "".join(f"{comment}\n" for comment in wrapped)


def _dag(plan: DagPlan) -> str:
    changes = plan.timing is None
    lines = [
        f"dag_id={quoted(plan.dag_id)},",
        f"description={quoted(comment_line(unsigned(plan.subject), _WIDTH))},",
        *(['schedule="@continuous",'] if changes else [(_STARTED if plan.is_started else _WAITING).strip()]),
        f"start_date={moment_text(plan.start)},",
    ]
    if plan.end is not None:
        lines.append(f"end_date={moment_text(plan.end)},")
    lines += (
        ["catchup=False,", "max_active_runs=1,  # two would wait for the same blobs"] if changes else ["catchup=True,"]
    )
    lines += [
        "is_paused_upon_creation=True,",
        "# A retry takes over the run and does not start another one.",
        'default_args={"retries": 2},',
        'tags=["azureml", "native-schedule"],',
        "doc_md=__doc__,",
    ]
    return f"with DAG(\n{_indented(lines, 1)}):\n"


def _times(timing: Crons | Every) -> str:
    """The timetable, as a constant of the module."""
    if isinstance(timing, Crons):
        function, arguments = (
            _timetable_of(timing),
            [*map(quoted, timing.expressions), f"timezone={quoted(timing.zone)}"],
        )
        line = f"TIMES = {function}({', '.join(arguments)})"
        return f"{line if _width(line) <= _WIDTH else _exploded(f'TIMES = {function}', arguments)}\n\n"
    return (
        "# It counts from the start date, so keep the start date and catchup=True.\n"
        f"TIMES = DeltaTriggerTimetable({_length(timing.step)})\n\n"
    )


def _exploded(function: str, arguments: Iterable[str]) -> str:
    return "\n".join([f"{function}(", *(f"{_INDENT}{argument}," for argument in arguments), ")"])


def _timetable_of(crons: Crons) -> str:
    return "CronTriggerTimetable" if len(crons.expressions) == 1 else "MultipleCronTriggerTimetable"


def _task(plan: DagPlan) -> str:
    lines = ['task_id="run",', *_run(plan.run.arguments, plan.conn_id)]
    return f"{_INDENT}AzureMLRunPipelineOperator(\n{_indented(lines, 2)}{_INDENT})\n"


def _blobs(plan: DagPlan) -> str:
    wait = [f"task_id={quoted(WAIT_TASK)},"]
    for name, value in plan.blobs.items():
        wait.append(f"{name}={_literal(value)},")
    wait += [
        "# Ten years: after Airflow's default, a week without blobs, the task would fail.",
        f"timeout={_LONGEST_WAIT},",
    ]
    wait += ["deferrable=True,  # waits in the triggerer, not on a worker", *_connection(plan.conn_id)]
    arguments = dict(plan.run.arguments)
    if plan.data_path is None:
        # Without a data path, the runs have the same arguments, and the tag shows which blob a run is for.
        argument, key, item = "tags", "blob", 'change["path"]'
    else:
        argument, key, item = "data_paths", plan.data_path, "change"
    # The results of a function are not rendered, so the values are written as they are.
    others = {name: value for name, value in arguments.pop(argument, {}).items() if name != key}
    mapped = _mapped(argument, others, f"{quoted(key)}: {item}")
    run = [
        'task_id="run",',
        *_run(arguments, plan.conn_id),
        "max_active_tis_per_dag=10,  # runs at the same time",
    ]
    return (
        f"{_INDENT}{WAIT_TASK} = AzureBlobChangeSensor(\n{_indented(wait, 2)}{_INDENT})\n\n"
        f"{_INDENT}AzureMLRunPipelineOperator.partial(\n{_indented(run, 2)}{_INDENT}).expand(\n"
        f"{_indented(mapped, 2)}{_INDENT})\n"
    )


def _mapped(argument: str, others: Mapping[str, str | DataPath], last: str) -> list[str]:
    start = f"{argument}={WAIT_TASK}.output.map("
    line = f"{start}lambda change: {{{last}}}),"
    if not others and _width(line) + 2 * len(_INDENT) <= _WIDTH:
        return [line]
    entries = [line for name, value in others.items() for line in _entry(name, value, quoted, 4)]
    return [
        start,
        f"{_INDENT}lambda change: {{",
        *(f"{2 * _INDENT}{entry}" for entry in [*entries, f"{last},"]),
        f"{_INDENT}}},",
        "),",
    ]


def _run(arguments: Mapping[str, Any], conn_id: str | None) -> list[str]:
    """The arguments of the run operator, in lines that are indented twice."""
    lines: list[str] = []
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            lines.append(f"{name}={{")
            for key, item in value.items():
                lines += [f"{_INDENT}{line}" for line in _entry(key, item, literal_text, 3)]
            lines.append("},")
        else:
            lines.append(f"{name}={_literal(value)},")
    return [*lines, "deferrable=True,  # waits in the triggerer, not on a worker", *_connection(conn_id)]


def _entry(key: str, item: str | DataPath, write: Callable[[str], str], depth: int) -> list[str]:
    """An entry of a mapping, in lines that are indented ``depth`` times."""
    if not isinstance(item, DataPath):
        return [f"{quoted(key)}: {write(item)},"]
    arguments = [write(text) for text in item if text]
    line = f"{quoted(key)}: DataPath({', '.join(arguments)}),"
    if _width(line) + depth * len(_INDENT) <= _WIDTH:
        return [line]
    return f"{_exploded(f'{quoted(key)}: DataPath', arguments)},".splitlines()


def _connection(conn_id: str | None) -> list[str]:
    return [] if conn_id is None else [f"azureml_conn_id={literal_text(conn_id)},"]


def _literal(value: str | float) -> str:
    return literal_text(value) if isinstance(value, str) else repr(value)


def _indented(lines: Iterable[str], depth: int) -> str:
    return "".join(f"{depth * _INDENT}{line}\n" for line in lines)


def moment_text(moment: datetime) -> str:
    """An instant in UTC, as the files have it."""
    parts = [moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second]
    while len(parts) > 3 and not parts[-1]:
        parts.pop()
    return f"datetime({', '.join(map(str, parts))}, tzinfo=UTC)"


def _length(step: timedelta) -> str:
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        number, rest = divmod(int(step.total_seconds()), length)
        if not rest:
            return f"timedelta({unit}={number})"
    return repr(step)


def _width(text: str) -> int:
    """The columns that a line takes, as formatters count them."""
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in text if not combining(char))
