"""The public names of modules, which Sphinx describes by their docstrings."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger

from aml_provider.compat import BaseHook, BaseOperator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_PACKAGE = "aml_provider"
# Authors use these by their arguments; Airflow calls their methods.
_BY_ARGUMENTS = (BaseOperator, BaseTrigger, BaseHook)
_TWIN = "async_"


def markdown(module_name: str, *names: str) -> str:
    """Let Sphinx describe public names of a module.

    Args:
        module_name: The module, without the package.
        names: The names; none: all that are public, in the order of the source.

    Raises:
        AttributeError: There is no such name.
    """
    module = importlib.import_module(f"{_PACKAGE}.{module_name}")
    described = [_directive(module, name) for name in names or public_names(module)]
    return _restructured_text(described)


def module_text(name: str) -> str:
    """Let Sphinx show the docstring of a module, without its names."""
    return _restructured_text([f".. automodule:: {_PACKAGE}.{name}\n   :no-members:\n"])


def public_names(module: ModuleType) -> list[str]:
    """The names in ``__all__``, else the classes and functions of the module without a leading underscore."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    ]


def hook() -> str:
    """Let Sphinx describe the hook: the class, then its methods by subject."""
    from aml_provider.hooks.azure_ml import AzureMLHook  # noqa: PLC0415 - it takes longer than all others

    path = f"{_PACKAGE}.hooks.azure_ml.{AzureMLHook.__name__}"
    parts = [_restructured_text([f".. autoclass:: {path}\n"])]
    for kind in AzureMLHook.__mro__[1:]:
        if not kind.__module__.startswith(f"{_PACKAGE}."):
            continue
        first, _, _ = (inspect.getdoc(kind) or "").partition("\n\n")
        methods = [f".. automethod:: {path}.{name}\n" for name in methods_of(kind)]
        parts.append(f"## {_heading(kind.__name__)}\n\n{first}\n\n{_restructured_text(methods)}")
    return "\n".join(parts)


def methods_of(kind: type) -> Iterator[str]:
    """The public methods that a class of the hook defines, without the twins for event loops."""
    for name, value in vars(kind).items():
        if name.startswith("_") or not callable(value) or is_twin(kind, name):
            continue
        yield name


def is_twin(kind: type, name: str) -> bool:
    """Whether a method was made as the twin of another one."""
    of = getattr(kind, name.removeprefix(_TWIN), None)
    return name.startswith(_TWIN) and getattr(getattr(kind, name), "__wrapped__", 0) is getattr(of, "__wrapped__", 1)


def _heading(name: str) -> str:
    """A heading made of a class's name: ``RunRecordMethods`` becomes ``Run records``."""
    stem = name.removesuffix("Methods").removesuffix("Hook")
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in stem).strip()
    return words.capitalize() if stem == "Workspace" else f"{words.capitalize()}s"


def _directive(module: ModuleType, name: str) -> str:
    value: Any = getattr(module, name)
    path = f"{module.__name__}.{name}"
    if module.__name__ == f"{_PACKAGE}.pytest_plugin":
        # A fixture, whose arguments pytest finds.
        path += "()"
    if not isinstance(value, type):
        return f".. {'autofunction' if inspect.isroutine(value) else 'autodata'}:: {path}\n"
    directive = "autoexception" if issubclass(value, BaseException) else "autoclass"
    options = "" if issubclass(value, _BY_ARGUMENTS) else "   :members:\n"
    if directive == "autoexception":
        options += "   :show-inheritance:\n"
    return f".. {directive}:: {path}\n{options}"


def _restructured_text(parts: list[str]) -> str:
    lines = "\n".join(parts)
    return f"```{{eval-rst}}\n{lines}```\n"
