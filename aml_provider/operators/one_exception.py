"""Permanent errors appear in a task's log as one exception, without frames of this package."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from aml_provider.client.errors import AzureMLError

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def as_one_exception(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """Wrap a method that Airflow calls on a worker, such as ``execute``."""

    def wrapper(self: S, /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return method(self, *args, **kwargs)
        except AzureMLError as error:
            if error.permanent:
                # A person has to act, and the message says how: our own frames would only be in the way.
                raise error.with_traceback(None) from None
            raise

    functools.update_wrapper(wrapper, method)
    return wrapper
