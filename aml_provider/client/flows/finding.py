"""Finding an item by its name or id, and the errors if that fails, which suggest what was meant."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from unicodedata import normalize

from aml_provider.client import calls
from aml_provider.client.errors import (
    AmbiguousName,
    AmbiguousSchedule,
    AzureMLError,
    InvalidArgument,
    NotFound,
    PipelineError,
    ScheduleError,
)
from aml_provider.client.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aml_provider.client.calls import Call
    from aml_provider.client.http.messages import Flow

T = TypeVar("T")

# Random ids share half of their digits by chance; mistyped ones nearly all.
_NEAR_ID = 0.85


class Kind(NamedTuple):
    """A kind of item in the workspace.

    Args:
        noun: The kind's name in messages.
        argument: The first word of the arguments that name an item, such as ``pipeline_id`` and ``pipeline_name``.
            Empty: items of this kind have only a name.
        listing: Lists all items, inactive ones included.
        missing: The class of the error that no item has the wanted name or id.
        ambiguous: The class of the error that several items have the wanted name.
    """

    noun: str
    argument: str
    listing: Callable[[], Call[Any]]
    missing: type[AzureMLError] = PipelineError
    ambiguous: type[AzureMLError] = AmbiguousName


PIPELINE = Kind("published pipeline", "pipeline", lambda: calls.list_pipelines(active_only=False))
ENDPOINT = Kind("pipeline endpoint", "endpoint", lambda: calls.list_endpoints(active_only=False, batch_size=1000))
SCHEDULE = Kind(
    "schedule", "schedule", lambda: calls.list_schedules(active_only=False), ScheduleError, AmbiguousSchedule
)
JOB_SCHEDULE = Kind("job schedule", "", lambda: calls.list_job_schedules(active_only=False), ScheduleError)
DATASTORE = Kind("datastore", "", lambda: calls.list_datastores(secrets=False), InvalidArgument)
COMPONENT = Kind("component", "", lambda: calls.list_components(active_only=False))
BATCH_ENDPOINT = Kind("batch endpoint", "", calls.list_batch_endpoints)
EXPERIMENT = Kind("experiment", "", lambda: calls.query_experiments(limit=1000))


def only_named(kind: Kind, name: str, listed: Iterable[T], argument: str | None = None) -> T | None:
    """Find the one listed item with this name, or None. An active item takes precedence over inactive ones.

    All items have ``id``, ``name``, ``status`` and ``is_active``. An error names the ``argument`` that holds the name;
    the argument is None if a person typed the name.

    Raises:
        AmbiguousName: Several have the name; the message lists them. For schedules, AmbiguousSchedule.
    """
    named: list[Any] = [item for item in listed if item.name == name]  # type: ignore[attr-defined]
    found = [item for item in named if item.is_active] or named
    if len(found) > 1:
        way_out = f"Give {'the id' if argument in {None, 'name'} else f'{kind.argument}_id'}"
        if argument == "name":
            way_out = f"{way_out} or another name"
        if found[0].is_active:
            way_out = f"{way_out}, or disable all but one"
        several = some_of([describe(item) for item in found])
        text = f"{len(found)} {kind.noun}s are named {name!r}: {several}. {way_out}."
        raise kind.ambiguous(f"{argument}: {text}" if argument else text)
    return found[0] if found else None


def describe(item: Any) -> str:
    """Describe an item by its id and the facts that distinguish it from others with the same name."""
    facts = [item.status]
    if version := getattr(item, "version", ""):
        facts.append(f"version {version}")
    for subject in ("endpoint", "pipeline"):
        # A schedule of an endpoint may have a pipeline_id too.
        if subject_id := getattr(item, f"{subject}_id", ""):
            facts.append(f"of {subject} {subject_id}")
            break
    if created := getattr(item, "created", None):
        facts.append(f"created {created:%Y-%m-%d %H:%M} UTC")
    return f"{item.id} ({', '.join(facts)})"


def no_such_name(kind: Kind, name: str, listed: Iterable[Any], argument: str | None = None) -> AzureMLError:
    """The error that no item is called ``name``; it suggests similar names from the list of all items.

    It names the ``argument`` that holds the name. The argument is None if a person typed the name; then the name may be
    an id.
    """
    listed = list(listed)
    hint = advice(kind, name, listed, otherwise=_how_many(len(listed)))
    if argument is None:
        return kind.missing(f"The workspace has no {kind.noun} with the id or name {name!r}; {hint}")
    return missing(kind, argument, f"named {name!r}", hint)


def missing(kind: Kind, subject: str, which: str, hint: str) -> AzureMLError:
    """The error that the workspace does not have an item; ``which`` describes the item, such as ``named 'x'``.

    The message begins with ``subject``: an argument, or the item that refers to the missing one.
    """
    problem = f"the workspace has no {kind.noun} {which}{f'; {hint}' if hint else '.'}"
    if issubclass(kind.missing, InvalidArgument):
        return kind.missing(subject, problem)
    return kind.missing(f"{subject}: {problem}")


def read_by_id(kind: Kind, call: Call[T], wanted: str, subject: str = "") -> Flow[T]:
    """Read one item, active or not, by its id, or by its name if the name is the id.

    Args:
        kind: Its kind.
        call: Reads the item.
        wanted: Its id.
        subject: The beginning of the error: the argument, or what refers to the item. Empty: the argument of the kind's
            id.

    Raises:
        PipelineError: It does not exist; the message suggests similar ids, or says that a name was given.
            For schedules ScheduleError.
    """
    try:
        found: T = yield call
    except NotFound:
        hint = yield from _advice_on_missing(kind, wanted)
        raise missing(kind, subject or f"{kind.argument}_id", repr(wanted), hint) from None
    return found


def same_letters(name: str) -> str:
    """A form of a name that is equal for names that differ in case or Unicode form only."""
    return normalize("NFKC", name).casefold()


def similar(wanted: str, names: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Find up to three names that are similar to the wanted one, nearest first; case and Unicode form do not matter."""
    folded = {same_letters(name): name for name in sorted(names, reverse=True)}
    return [folded[found] for found in difflib.get_close_matches(same_letters(wanted), folded, n=3, cutoff=cutoff)]


def did_you_mean(found: list[str]) -> str:
    """A question that suggests these names; empty if there are no names."""
    return f"did you mean {' or '.join(map(repr, found))}?" if found else ""


def _how_many(count: int) -> str:
    """The number of other items, for a message that cannot suggest a similar name."""
    if count == 0:
        return "it has none at all."
    return "there is 1 other." if count == 1 else f"there are {count} others."


def advice(kind: Kind, wanted: str, items: Iterable[Any], *, otherwise: str = "") -> str:
    """A hint about a name or id that no item of a kind has; ``otherwise`` if there is no hint."""
    items = list(items)
    if kind.argument:
        for item in items:
            if item.id.casefold() == wanted.casefold():
                return f"that is the id of {kind.noun} {item.name!r}: give it as {kind.argument}_id."
        named = [item for item in items if item.name == wanted]
        if named:
            if len(named) > 1:
                ids = some_of([item.id for item in named], ", ")
                return f"that is the name of {len(named)} {kind.noun}s ({ids}): give the id of one of them."
            return f"that is the name of {kind.noun} {named[0].id}: give that id, or the name as {kind.argument}_name."
    near = similar(wanted, {item.name for item in items})
    if not near and kind.argument:
        near = similar(wanted, {item.id for item in items}, _NEAR_ID)
    return did_you_mean(near) or otherwise


def _advice_on_missing(kind: Kind, wanted: str) -> Flow[str]:
    """List all things of the kind and give a hint; empty if they cannot be listed, since the error matters more."""
    try:
        items = yield kind.listing()
    except AzureMLError:
        return ""
    return advice(kind, wanted, items)


def advised(call: Call[T], kind: Kind, wanted: str) -> Flow[T]:
    """Carry out a call; if the service does not find the item, the error also suggests similar ones.

    Raises:
        NotFound: There is no such item.
    """
    try:
        found: T = yield call
    except NotFound as error:
        hint = yield from _advice_on_missing(kind, wanted)
        if not hint:
            raise
        raise error.with_hint(f"{hint[0].upper()}{hint[1:]}") from None
    return found
