"""Checks of a DAG author's arguments, after their templates are rendered."""

from __future__ import annotations

import re
import reprlib
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Literal, TypeGuard, get_args
from unicodedata import normalize
from urllib.parse import unquote

from aml_provider.client.errors import InvalidArgument

# Remarks on rendering: why a template's text became another type, and what it needs to become one.
_NATIVE = (
    "A DAG with render_template_as_native_obj=True renders text that reads like a number, a list or None to that; a "
    "second pair of quotes keeps it text: \"'20260101'\""
)
_NOT_NATIVE = "a template renders to something else than text only in a DAG with render_template_as_native_obj=True"

#: The statuses that a schedule, pipeline or endpoint can be set to.
Status = Literal["Active", "Disabled"]
STATUSES: tuple[Status, ...] = get_args(Status)
ACTIVE, DISABLED = STATUSES
#: What happens to a schedule that already has the name.
IfExists = Literal["update", "reuse", "fail"]
IF_EXISTS: tuple[IfExists, ...] = get_args(IfExists)
#: What happens to a run when the task's ``execution_timeout`` passes.
OnTimeout = Literal["cancel", "leave"]
ON_TIMEOUT: tuple[OnTimeout, ...] = get_args(OnTimeout)
#: The arguments of a run that are mappings from names to values.
MAPPINGS = ("parameters", "data_paths", "datasets", "tags")
#: The endings of files that may stand for such a mapping.
FILE_ENDINGS = (".json", ".yaml", ".yml")


def is_file_name(value: Any) -> TypeGuard[str]:
    """Whether a value that stands where a mapping is expected is the name of a file that holds the mapping."""
    return isinstance(value, str) and value.endswith(FILE_ENDINGS)


def as_name(argument: str, value: Any) -> str:
    """Check that a value is a text that names something.

    Raises:
        InvalidArgument: It is not text, or is blank; the message names ``argument``.
    """
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text")
    if not value.strip():
        raise InvalidArgument(argument, f"is {value!r}; it must name something")
    return value


def as_plain_address(argument: str, value: Any) -> str:
    """Check that an address holds no secret, before any other check: the messages of those repeat it.

    Raises:
        InvalidArgument: It is not text, or it has a login, a query string or a fragment. The message names
            ``argument``, and repeats neither.
    """
    if not isinstance(value, str):
        raise wrong_type(argument, value, "text", secret=True)
    # Anywhere, in any form: with a slash or the scheme left out, or with a ? in the password, the login is in another
    # part of the address.
    if "@" in normalize("NFKC", unquote(value)):
        raise InvalidArgument(argument, "it contains a user name or password; secrets belong in the connection")
    if re.search("[?#]", value):
        raise InvalidArgument(argument, "it has a query string; a SAS or key belongs in the connection")
    return value


def as_choice(argument: str, value: Any, choices: tuple[str, ...]) -> str:
    """Check that a value is one of several words.

    Raises:
        InvalidArgument: It is not one of them; the message names ``argument`` and the words.
    """
    if value not in choices:
        *first, last = map(repr, choices)
        raise InvalidArgument(argument, f"is {shown(value)}; use {', '.join(first)} or {last}")
    return str(value)


def as_flag(argument: str, value: Any) -> bool:
    """Check that a value is True or False; text such as "True" is refused.

    Raises:
        InvalidArgument: The value is neither True nor False; the message names ``argument``.
    """
    if not isinstance(value, bool):
        raise InvalidArgument(argument, f"is {shown(value)}; use True or False")
    return value


def as_version(argument: str, value: Any) -> str:
    """Read an endpoint's version: text, or a whole number.

    Raises:
        InvalidArgument: It is something else; the message names ``argument``.
    """
    wanted = "text, or a whole number"
    if isinstance(value, (bool, float)):
        raise wrong_type(argument, value, wanted)
    return as_plain(argument, value, wanted)


def as_moment(argument: str, value: Any) -> datetime:
    """Read a point in time: a datetime or ISO 8601 text; without a zone it is in UTC.

    Raises:
        InvalidArgument: It is something else; the message names ``argument``.
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value.strip())
        except ValueError:
            raise InvalidArgument(argument, f"is {value!r}; use a datetime, or ISO 8601 text") from None
    if not isinstance(value, datetime):
        raise wrong_type(argument, value, "a datetime, or ISO 8601 text")
    return value if value.tzinfo is not None else value.replace(tzinfo=UTC)


def as_plain(argument: str, value: Any, wanted: str = "text, a number or a bool") -> str:
    """Convert a plain value (text, a number, a bool or an enum of these) to text, in Python's ``str`` form.

    Raises:
        InvalidArgument: The value is not plain; the message names ``argument``.
    """
    if isinstance(value, Enum):
        value = value.value
    if not isinstance(value, (str, bool, int, float)):
        raise wrong_type(argument, value, wanted)
    try:
        return str(value)
    except ValueError:
        raise InvalidArgument(argument, f"is {shown(value)}") from None


def wrong_type(argument: str, value: Any, wanted: str, *, verb: str = "is", secret: bool = False) -> InvalidArgument:
    """The error for a value whose type cannot be used.

    A number is not converted to text here. If it was the name ``"007"`` or ``"1e5"`` before rendering, the text would
    differ from that name.

    Args:
        argument: The argument's name.
        value: The rendered value.
        wanted: The types that can be used, in words.
        verb: The verb between the argument and the value, for the message.
        secret: The value may hold a secret, and is not shown.
    """
    kind = type(value).__name__
    if value is None:
        found = f"{verb} None"
    else:
        article = "an" if kind[0] in "aeiouAEIOU" else "a"
        found = f"{verb} {article} {kind}" + ("" if secret else f" ({shown(value)})")
    rendering = f" ({_NOT_NATIVE})" if isinstance(value, str) else f". {_NATIVE}"
    return InvalidArgument(argument, f"{found}; use {wanted}", rendering=rendering)


def shown(value: Any) -> str:
    """A value for a message: its repr, shortened."""
    try:
        return reprlib.repr(value)
    except ValueError:
        return "a number too long to show"  # Python refuses to format an integer of more than 4300 digits


def given_once(task: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Read rendered arguments of which exactly one must be given.

    Args:
        task: The task; its attributes are the arguments.
        names: The arguments' names.

    Returns:
        All of these arguments, by name.

    Raises:
        InvalidArgument: Several or none are given, or the given one is not text, or is blank.
    """
    arguments = {name: getattr(task, name) for name in names}
    given = {name: value for name, value in arguments.items() if value is not None}
    if len(given) != 1:
        raise InvalidArgument(
            ", ".join(names),
            f"{' and '.join(given)} are given after rendering; give only one of them"
            if given
            else "none of them is given after rendering; give one of them",
            rendering=f". {_NATIVE}",
        )
    for name, value in given.items():
        as_name(name, value)
    return arguments
