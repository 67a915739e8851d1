"""Operators of other providers, which do nothing, for examples that need a provider that is not installed here."""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Each may be named in an example; one that is installed is used as it is.
PROVIDERS = tuple(
    f"airflow.providers.{name}"
    for name in (
        "apache.livy",
        "apache.spark",
        "cncf.kubernetes",
        "databricks",
        "dbt.cloud",
        "microsoft.azure",
        "pagerduty",
        "slack",
        "smtp",
        "snowflake",
    )
)


@contextlib.contextmanager
def foreign_operators() -> Iterator[None]:
    """Let the providers of the list be imported meanwhile."""
    finder = _Finder()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name, module in sys.modules.items() if isinstance(module, _Module)]:
            del sys.modules[name]


class _Module(ModuleType):
    __path__: list[str]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = _made(name, self.__name__)
        setattr(self, name, made)
        return made


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Comes last: it finds only modules that are not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if not any(_is_of(fullname, name) for name in PROVIDERS):
            return None
        return importlib.util.spec_from_loader(fullname, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Module(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        pass


def _is_of(module: str, provider: str) -> bool:
    """Whether a module is part of a provider that is not installed, or one of its parents."""
    if f"{provider}.".startswith(f"{module}."):
        return True
    # A misspelt module of an installed provider is missing.
    return f"{module}.".startswith(f"{provider}.") and isinstance(sys.modules.get(provider), _Module)


def _made(name: str, module: str) -> Any:
    from airflow.sdk import BaseHook, BaseOperator

    def begin(self: Any, **arguments: Any) -> None:
        known = set(inspect.signature(BaseOperator.__init__).parameters)
        BaseOperator.__init__(self, **{key: value for key, value in arguments.items() if key in known})

    if name.endswith(("Operator", "Sensor")):
        members = {"__init__": begin, "__module__": module, "execute": lambda self, context: None}
        return type(name, (BaseOperator,), members)
    if name.endswith("Hook"):
        return type(name, (BaseHook,), {"__module__": module, "__init__": lambda self, *values, **names: None})
    return lambda *values, **names: lambda context: None
