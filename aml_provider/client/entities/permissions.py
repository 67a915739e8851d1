"""The permissions of an identity."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from aml_provider.client.portable import Portable


@dataclass(frozen=True, slots=True)
class Permission(Portable):
    """The actions of one role that an identity has on the workspace, as Azure Resource Manager lists them.

    Attributes:
        actions: Patterns of the actions that the role grants; ``*`` stands for any letters.
        not_actions: Patterns of the actions that it does not grant after all.
    """

    actions: tuple[str, ...]
    not_actions: tuple[str, ...] = ()

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Permission:
        """Read it from Azure Resource Manager's JSON."""
        return cls(_patterns(wire["actions"]), _patterns(wire.get("notActions")))

    def grants(self, action: str) -> bool:
        """Whether the role grants an action. Another role of the identity may grant what this one does not."""
        return _matches(action, self.actions) and not _matches(action, self.not_actions)


def _patterns(wire: Any) -> tuple[str, ...]:
    if not isinstance(wire, list | None):
        raise TypeError(f"a list of actions was expected, not {type(wire).__name__}")
    return tuple(str(item) for item in wire or ())


def _matches(action: str, patterns: tuple[str, ...]) -> bool:
    return any(covers(pattern, action) for pattern in patterns)


def covers(pattern: str, action: str) -> bool:
    """Whether a pattern of actions matches an action, or all that another pattern matches.

    Letter case does not matter. ``a/*/read`` matches ``a/read`` too: the built-in role *AzureML Data Scientist* is
    documented not to create computes, and excludes ``computes/*/write`` for that.
    """
    # A bracket is not one of Azure's wildcards.
    glob, name = pattern.lower().replace("[", "[[]"), action.lower()
    return fnmatchcase(name, glob) or fnmatchcase(name, glob.replace("/*/", "/"))
