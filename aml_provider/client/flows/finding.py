"""What a message says of a name or id that leads nowhere: the nearest ones, or that the two were mixed up."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar
from unicodedata import normalize

from aml_provider.client import calls
from aml_provider.client.errors import AzureMLError, InvalidArgument, NotFound
from aml_provider.client.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from aml_provider.client.calls import Call
    from aml_provider.client.entities import Datastore
    from aml_provider.client.http.messages import Flow

T = TypeVar("T")

# Random ids share half of their digits by chance; mistyped ones nearly all.
_NEAR_ID = 0.85


class Kind(NamedTuple):
    """A kind of thing in the workspace.

    Args:
        noun: What messages call it.
        argument: The arguments that name it begin so: ``pipeline_id``, ``pipeline_name``. Empty: it has one name only.
        listing: Lists all of them, also those that are not active.
    """

    noun: str
    argument: str
    listing: Callable[[], Call[Any]]


PIPELINE = Kind("published pipeline", "pipeline", lambda: calls.list_pipelines(active_only=False))
ENDPOINT = Kind("pipeline endpoint", "endpoint", lambda: calls.list_endpoints(active_only=False, batch_size=1000))
SCHEDULE = Kind("schedule", "schedule", lambda: calls.list_schedules(active_only=False))
DATASTORE = Kind("datastore", "", lambda: calls.list_datastores(secrets=False))
EXPERIMENT = Kind("experiment", "", lambda: calls.query_experiments(limit=1000))


def same_letters(name: str) -> str:
    """What is equal for names that differ in case or Unicode form alone."""
    return normalize("NFKC", name).casefold()


def similar(wanted: str, names: Iterable[str], cutoff: float = 0.6) -> list[str]:
    """Up to three names that look like the wanted one, the nearest first; case and Unicode form do not count."""
    folded = {same_letters(name): name for name in sorted(names, reverse=True)}
    return [folded[found] for found in difflib.get_close_matches(same_letters(wanted), folded, n=3, cutoff=cutoff)]


def did_you_mean(wanted: str, names: Iterable[str], *, otherwise: str = "") -> str:
    """The question that a message ends with, without a capital letter.

    Args:
        wanted: What was given.
        names: What there is.
        otherwise: What to say where nothing looks like it.
    """
    return _question(similar(wanted, names)) or otherwise


def _question(found: list[str]) -> str:
    return f"did you mean {' or '.join(map(repr, found))}?" if found else ""


def how_many(count: int) -> str:
    """How many things there are whose names are of no help."""
    if count == 0:
        return "it has none at all."
    return "there is 1 other." if count == 1 else f"there are {count} others."


def advice(kind: Kind, wanted: str, items: Iterable[Any], *, otherwise: str = "") -> str:
    """What to say of a name or id that none of these has where it was looked for.

    Args:
        kind: What was looked for.
        wanted: The name or id that was given.
        items: All that there are, with ``name`` and, if the kind has any, ``id``.
        otherwise: What to say where nothing helps.
    """
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
    return _question(near) or otherwise


def with_advice(sentence: str, hint: str) -> str:
    """A sentence, and what helps, where anything does."""
    return f"{sentence}; {hint}" if hint else f"{sentence}."


def advice_on_missing(kind: Kind, wanted: str) -> Flow[str]:
    """List what there is, and advise; empty where that cannot be listed, since the error itself matters more."""
    try:
        items = yield kind.listing()
    except AzureMLError:
        return ""
    return advice(kind, wanted, items)


def advised(call: Call[T], kind: Kind, wanted: str) -> Flow[T]:
    """Carry out a call; where the service does not find what it asks for, the error also names what is near.

    Raises:
        NotFound: There is no such thing.
    """
    try:
        found: T = yield call
    except NotFound as error:
        hint = yield from advice_on_missing(kind, wanted)
        if not hint:
            raise
        raise _with_hint(error, f"{hint[0].upper()}{hint[1:]}") from error
    return found


def _with_hint(error: NotFound, hint: str) -> NotFound:
    """The same error, which says one thing more."""
    return NotFound(
        error.operation,
        status=error.status,
        code=error.code,
        message=error.message,
        request_ids=error.request_ids,
        retry_after=error.retry_after,
        hint=" ".join(filter(None, (error.hint, hint))),
    )


def find_datastore(name: str, *, workspace: str = "the workspace") -> Flow[Datastore]:
    """Read the datastore that an argument of this name names.

    Raises:
        InvalidArgument: There is none of that name; the message names similar ones.
    """
    try:
        found: Datastore = yield calls.get_datastore(name)
    except NotFound as error:
        hint = yield from advice_on_missing(DATASTORE, name)
        raise _no_datastore("datastore", name, hint, workspace) from error
    return found


def check_datastores(wanted: Iterable[tuple[str, str]], known: set[str]) -> Flow[None]:
    """Make sure that datastores exist before a run is submitted that needs them.

    Args:
        wanted: Pairs of an argument and the datastore that it names.
        known: Names that were found before; new ones are added. The service is asked only about others.

    Raises:
        InvalidArgument: One of them does not exist. Where the workspace's datastores cannot be listed, whatever the
            reason, the service itself decides.
    """
    # The service takes upper and lower case as equal.
    asked = [(argument, name) for argument, name in wanted if name.casefold() not in known]
    if not asked:
        return
    try:
        listed: tuple[Any, ...] = yield DATASTORE.listing()
    except AzureMLError:
        return
    names = {item.name for item in listed}
    known.update(name.casefold() for name in names)
    for argument, name in asked:
        if name.casefold() not in known:
            raise _no_datastore(argument, name, did_you_mean(name, names))


def _no_datastore(argument: str, name: str, hint: str, workspace: str = "the workspace") -> InvalidArgument:
    return InvalidArgument(argument, with_advice(f"{workspace} has no datastore {name!r}", hint))
