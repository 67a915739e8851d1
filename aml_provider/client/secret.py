"""Secrets: values that are never shown by accident."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Callable

V = TypeVar("V", str, bytes)


class Secret(Generic[V]):
    """A key, token or signed address: ``reveal()`` returns it, and nothing else does.

    Neither ``repr``, ``str`` and ``format`` nor ``dataclasses.asdict``, :mod:`json`, :mod:`pickle` and Airflow's XCom
    show it. Pickle and XCom transport only a placeholder; a task that needs the value reads it again.

    It equals a text or bytes with the same value, and is false if its value is empty.
    """

    __slots__ = ("_value",)
    __version__ = 1

    def __init__(self, value: V | Secret[V]) -> None:
        self._value: V | None = value if not isinstance(value, Secret) else value._value  # noqa: SLF001

    def reveal(self) -> V:
        """Return the value.

        Raises:
            InvalidArgument: It was lost when this was pickled or passed through XCom, or it was never read.
        """
        if self._value is None:
            raise InvalidArgument(
                "secret",
                "it is not passed between tasks, and a list may lack it; read its owner with AzureMLHook in the task "
                "that needs it, for example AzureMLHook().get_datastore(name).account_key",
            )
        return self._value

    @staticmethod
    def withheld() -> Secret[Any]:
        """A secret that exists, but whose value is not here."""
        return _travelled()

    @property
    def is_withheld(self) -> bool:
        """Whether the value is missing."""
        return self._value is None

    def __repr__(self) -> str:
        return "***" if self else "''"

    def __str__(self) -> str:
        return "***" if self else ""

    def __format__(self, spec: str) -> str:
        return format(str(self), spec)

    def __bool__(self) -> bool:
        return self._value is None or bool(self._value)

    def __eq__(self, other: object) -> bool:
        return self._value == (other._value if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return hash(self._value)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Callable[[], Secret[V]], tuple[()]]:
        return _travelled if self else _empty, ()

    def __getstate__(self) -> None:
        """Return nothing, so that code that does not use ``__reduce__`` cannot get the value."""

    def serialize(self) -> str:
        """Return the placeholder for Airflow's XCom, which shows only whether there is a value."""
        return str(self)

    @classmethod
    def deserialize(cls, data: str, _version: int) -> Secret[Any]:
        """Read the placeholder from Airflow's XCom."""
        return _travelled() if data else _empty()


def _travelled() -> Secret[Any]:
    secret: Secret[Any] = Secret("")
    secret._value = None  # noqa: SLF001
    return secret


def _empty() -> Secret[Any]:
    return Secret("")
