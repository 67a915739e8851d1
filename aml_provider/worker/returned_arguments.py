"""The arguments of a run that a decorated function returned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aml_provider.client.arguments import MAPPINGS, shown, wrong_type
from aml_provider.client.errors import InvalidArgument
from aml_provider.connection import airflow_errors

_RESULT = "the function's result"


def apply(returned: object, operator: Any) -> None:
    """Merge what a function returned into the arguments of its operator, and log the names that it gave.

    Raises:
        AirflowFailException: The function returned something that cannot be used, or the operator has something other
            than a mapping where the function gave entries of one.
    """
    with airflow_errors():
        given = read(returned)
        merged = {name: merge(name, getattr(operator, name), values) for name, values in given.items()}
    for name, values in merged.items():
        setattr(operator, name, values)
    # Without the values, which can be long. Airflow shows them in Rendered Templates.
    names = "; ".join(f"{name}: {', '.join(map(shown, values))}" for name, values in given.items() if values)
    operator.log.info("The function returned %s.", names or "nothing")


def read(returned: object) -> dict[str, Mapping[str, Any]]:
    """Check what a function returned.

    Returns:
        The arguments that it gave, by their names; None counts as not given.

    Raises:
        InvalidArgument: It is something other than None or a mapping, or a mapping with other keys or values; the
            message says what it is, and what it may be.
    """
    if returned is None:
        return {}
    known = ", ".join(MAPPINGS)
    if not isinstance(returned, Mapping):
        raise InvalidArgument(_RESULT, f"is {_kind(returned)}; return None, or a mapping with some of {known}")
    unknown = [shown(key) for key in returned if key not in MAPPINGS]
    if unknown:
        raise InvalidArgument(_RESULT, f"has the keys {', '.join(unknown)}; it may have {known}")
    given = {name: values for name, values in returned.items() if values is not None}
    for name, values in given.items():
        if not isinstance(values, Mapping):
            raise InvalidArgument(
                _RESULT, f"has {_kind(values)} as {name}; return a mapping from names to values, or None"
            )
    return given


def merge(argument: str, value: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """Merge a rendered argument of the decorator with the function's entries, which win.

    Raises:
        InvalidArgument: The decorator's argument is not a mapping.
    """
    if value is not None and not isinstance(value, Mapping):
        raise wrong_type(argument, value, "a mapping from names to values")
    return {**(value or {}), **values}


def _kind(value: object) -> str:
    kind = type(value).__name__
    return f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind} ({shown(value)})"
