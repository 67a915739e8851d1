"""Lists for people: filtered runs, one page at a time."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Generic, TypeVar
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from aml_provider.emulator.workspace.models import Run
    from aml_provider.emulator.workspace.workspace import Workspace

T = TypeVar("T")
PAGE_SIZE = 50
STATUSES = ("NotStarted", "Running", "Finished", "Failed", "Canceled")


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """One page of a list; the first page has the number 1, and ``total`` counts the items on all pages."""

    items: Sequence[T]
    number: int
    pages: int
    total: int

    @classmethod
    def cut(cls, things: Sequence[T], query: Mapping[str, str], size: int = PAGE_SIZE) -> Slice[T]:
        """The page that a query's ``page`` names, or the nearest page that exists."""
        pages = max(1, -(-len(things) // size))
        text = query.get("page", "")
        # No number of pages has more digits.
        number = min(int(text), pages) if text.isdecimal() and len(text) < 10 else 1
        number = max(number, 1)
        return cls(things[(number - 1) * size : number * size], number, pages, len(things))


@dataclass(frozen=True, slots=True)
class RunFilter:
    """The conditions of a query for runs. ``find`` searches ids, descriptions and tags, ignoring case."""

    experiment: str = ""
    pipeline: str = ""
    component: str = ""
    endpoint: str = ""
    schedule: str = ""
    parent: str = ""
    status: str = ""
    find: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> RunFilter:
        """The conditions of a query; other names in it, such as ``wsid``, are ignored."""
        return cls(**{item.name: query.get(item.name, "").strip() for item in fields(cls)})

    def given(self) -> dict[str, str]:
        """The conditions that are set."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value}

    def url(self, *without: str) -> str:
        """The address of the list with these conditions, except for those that ``without`` names."""
        left = {name: value for name, value in self.given().items() if name not in without}
        return f"/runs?{urlencode(left)}" if left else "/runs"

    def of_workspace(self, workspace: Workspace) -> list[Run]:
        """The runs that satisfy all conditions, newest first."""
        runs: Iterable[Run] = reversed(workspace.runs.values())
        wanted = self.given()
        status, find = wanted.pop("status", None), wanted.pop("find", "").casefold()
        for name, value in wanted.items():
            runs = _with(runs, _FIELDS[name], value)
        if find:
            runs = (run for run in runs if any(find in text.casefold() for text in _texts(run)))
        if status:
            runs = (run for run in runs if workspace.view(run).status == status)
        return list(runs)


_FIELDS = {
    "experiment": "experiment_id",
    "pipeline": "pipeline_id",
    "component": "component_id",
    "endpoint": "endpoint_id",
    "schedule": "schedule_id",
    "parent": "parent_run_id",
}


def _with(runs: Iterable[Run], field: str, value: str) -> Iterable[Run]:
    return (run for run in runs if getattr(run, field) == value)


def _texts(run: Run) -> Iterable[str]:
    yield run.id
    yield run.description or ""
    for name, value in run.history_tags.items():
        yield name
        yield value or ""
