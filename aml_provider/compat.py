"""Airflow's names whose places differ between its versions, from 2.11 to 3.3.

Airflow's own package for this, ``apache-airflow-providers-common-compat``, is not used: the constraints of each
Airflow pin the version of that package that was current then, and the versions for 3.0 and 2.11 have few of these
names. See decision 34.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from airflow import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow.sdk import (
        Asset,
        BaseHook,
        BaseOperator,
        BaseOperatorLink,
        BaseSensorOperator,
        Connection,
        Context,
        PokeReturnValue,
        Variable,
        XComArg,
        get_current_context,
    )
    from airflow.sdk._shared.listeners import hookimpl
    from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory
    from airflow.sdk.configuration import conf
    from airflow.sdk.definitions.context import context_merge, render_template_to_string
    from airflow.sdk.exceptions import (
        AirflowException,
        AirflowFailException,
        AirflowNotFoundException,
        AirflowSensorTimeout,
        AirflowSkipException,
        AirflowTaskTimeout,
        TaskDeferred,
    )
    from airflow.sdk.execution_time.xcom import XCom
    from airflow.sdk.log import mask_secret
    from airflow.sdk.plugins_manager import AirflowPlugin
    from airflow.triggers.base import BaseEventTrigger
    from airflow.utils.net import get_hostname

__all__ = [
    "AIRFLOW_V_3_0_PLUS",
    "AIRFLOW_V_3_3_PLUS",
    "TRIGGERS_WRITE_VARIABLES",
    "AirflowException",
    "AirflowFailException",
    "AirflowNotFoundException",
    "AirflowPlugin",
    "AirflowSensorTimeout",
    "AirflowSkipException",
    "AirflowTaskTimeout",
    "Asset",
    "BaseEventTrigger",
    "BaseHook",
    "BaseOperator",
    "BaseOperatorLink",
    "BaseSensorOperator",
    "Connection",
    "Context",
    "DecoratedOperator",
    "PokeReturnValue",
    "TaskDeferred",
    "Variable",
    "XCom",
    "XComArg",
    "conf",
    "context_merge",
    "determine_kwargs",
    "get_async_connection",
    "get_async_extra_dejson",
    "get_current_context",
    "get_hostname",
    "hookimpl",
    "in_thread",
    "is_tasks_test",
    "mask_secret",
    "render_template_to_string",
    "stats",
    "task_decorator_factory",
]

P = ParamSpec("P")
R = TypeVar("R")

# Without what marks a pre-release: 3.0.5rc1.
_VERSION = tuple(int(part) for part in re.findall(r"\d+", __version__)[:3])
AIRFLOW_V_3_0_PLUS = _VERSION >= (3, 0)
AIRFLOW_V_3_3_PLUS = _VERSION >= (3, 3)
#: Whether triggers can write Variables.
TRIGGERS_WRITE_VARIABLES = _VERSION >= (3, 0, 5)

_EXCEPTIONS = ("airflow.sdk.exceptions", "airflow.exceptions")
_DECORATOR = ("airflow.sdk.bases.decorator", "airflow.decorators.base")
# The places of each name, the newest one first. If the name is different there, a colon and that name follow.
_PLACES = {
    "AirflowException": _EXCEPTIONS,
    "AirflowFailException": _EXCEPTIONS,
    "AirflowNotFoundException": _EXCEPTIONS,
    "AirflowPlugin": ("airflow.sdk.plugins_manager", "airflow.plugins_manager"),
    "AirflowSensorTimeout": _EXCEPTIONS,
    "AirflowSkipException": _EXCEPTIONS,
    "AirflowTaskTimeout": _EXCEPTIONS,
    "Asset": ("airflow.sdk", "airflow.datasets:Dataset"),
    # Airflow 2 has no asset watchers.
    "BaseEventTrigger": ("airflow.triggers.base", "airflow.triggers.base:BaseTrigger"),
    "BaseHook": ("airflow.sdk", "airflow.sdk.bases.hook", "airflow.hooks.base"),
    "BaseOperator": ("airflow.sdk", "airflow.models.baseoperator"),
    "BaseOperatorLink": ("airflow.sdk", "airflow.models.baseoperatorlink"),
    "BaseSensorOperator": ("airflow.sdk", "airflow.sdk.bases.sensor", "airflow.sensors.base"),
    "Connection": ("airflow.sdk", "airflow.models.connection"),
    "Context": ("airflow.sdk", "airflow.utils.context"),
    "DecoratedOperator": _DECORATOR,
    "PokeReturnValue": ("airflow.sdk", "airflow.sdk.bases.sensor", "airflow.sensors.base"),
    "Stats": ("airflow.sdk.observability.stats", "airflow.stats"),
    "TaskDeferred": _EXCEPTIONS,
    "Variable": ("airflow.sdk", "airflow.models.variable"),
    "XCom": ("airflow.sdk.execution_time.xcom", "airflow.models.xcom"),
    "XComArg": ("airflow.sdk", "airflow.models.xcom_arg"),
    "conf": ("airflow.sdk.configuration", "airflow.configuration"),
    "context_merge": ("airflow.sdk.definitions.context", "airflow.utils.context"),
    "determine_kwargs": ("airflow.sdk.bases.decorator", "airflow.utils.operator_helpers"),
    "get_current_context": ("airflow.sdk", "airflow.operators.python"),
    "get_hostname": ("airflow.utils.net",),
    "hookimpl": ("airflow.sdk._shared.listeners", "airflow.listeners"),
    "mask_secret": (
        "airflow.sdk.log",
        "airflow.sdk.execution_time.secrets_masker",
        "airflow.utils.log.secrets_masker",
    ),
    "render_template_to_string": ("airflow.sdk.definitions.context", "airflow.utils.helpers"),
    "task_decorator_factory": _DECORATOR,
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used, because most of these imports take too long for a DAG file."""
    for place in _PLACES.get(name, ()):
        module, _, renamed = place.partition(":")
        try:
            found = getattr(import_module(module), renamed or name)
        except ModuleNotFoundError as missing:
            if missing.name is None or not f"{module}.".startswith(f"{missing.name}."):
                # Airflow has the place, but its installation is broken.
                raise
            continue
        except AttributeError:
            continue
        globals()[name] = found
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}, or Airflow {__version__} does not have it")


def is_tasks_test(ti: Any = None) -> bool:
    """Whether a person tests the task of this process (``airflow tasks test``).

    Airflow 2 says so in the task instance, Airflow 3.3 in the environment. The versions between them say so only if the
    command has ``--env-vars``, so the command line is read too.
    """
    said = bool(getattr(ti, "test_mode", False)) or os.environ.get("AIRFLOW_TEST_MODE") == "True"
    return said or sys.argv[1:3] == ["tasks", "test"]


@functools.cache
def stats() -> Any:
    """Find Airflow's stats, which send metrics as its configuration says.

    Since Airflow 3.2, the SDK and Airflow's own components have one each, which sends nothing before it is initialised.
    Airflow initialises the SDK's where a task runs, and wherever it loads its serialiser, which our plugin does in all
    processes.
    """
    with contextlib.suppress(ModuleNotFoundError):  # before 3.2
        import_module("airflow.sdk.serde")
    return __getattr__("Stats")


async def get_async_connection(conn_id: str) -> Connection:
    """Look up a connection on an event loop.

    Before Airflow 3.3.2, the asynchronous look-up masks secrets with a synchronous call, which raises a deadlock error
    while another call of the loop is under way. In these versions the synchronous look-up is used, in a thread.
    """
    hook: type[BaseHook] = __getattr__("BaseHook")
    if hasattr(__getattr__("Connection"), "aextra_dejson"):
        return await hook.aget_connection(conn_id)
    return await in_thread(hook.get_connection, conn_id)


async def get_async_extra_dejson(connection: Connection) -> dict[str, Any]:
    """Parse a connection's extra on an event loop. Here too, no synchronous call may mask the secrets."""
    if hasattr(connection, "aextra_dejson"):
        return await connection.aextra_dejson()
    return await in_thread(lambda: connection.extra_dejson)


async def in_thread(function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Run, in a thread, a function that calls Airflow.

    Airflow 3.0 and 3.1 answer in the triggerer's own event loop, which only asgiref's threads can reach. An answer that
    nobody reads ends the whole triggerer there, so the thread continues if the caller is cancelled.
    """
    import asyncio

    from asgiref.sync import sync_to_async

    return await asyncio.shield(asyncio.ensure_future(sync_to_async(function, thread_sensitive=False)(*args, **kwargs)))
