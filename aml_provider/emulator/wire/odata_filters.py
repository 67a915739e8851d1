"""The filter language of run history: tokenizer, recursive-descent parser, evaluation.

expression = conjunction { "or" conjunction }
conjunction = term { "and" term }
term = "(" expression ")" | field operator value
operator = "eq" | "ne" | "ge" | "gt" | "le" | "lt"
value = quoted text | bare words up to "and", "or", ")" or the end
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.workspace.times import parse_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>\()|(?P<close>\))|"(?P<double>(?:[^"]|"")*)"|'(?P<single>(?:[^']|'')*)'|(?P<word>[^\s()"'][^\s()]*))"""
)
_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "ge": operator.ge,
    "gt": operator.gt,
    "le": operator.le,
    "lt": operator.lt,
}
_TIMES = frozenset({"createdutc", "starttimeutc", "endtimeutc", "archivedtime"})
_BAGS = frozenset({"tags", "properties"})
_MISSING = object()
# Far fewer than Python's stack allows, and far more than anyone needs.
_DEEPEST = 50


class FilterError(ValueError):
    """A filter that cannot be parsed."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Several conditions; ``rule`` is ``any`` or ``all``."""

    rule: Callable[[Iterable[bool]], bool]
    parts: tuple[Filter, ...]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether any, or all, of the conditions hold."""
        return self.rule(part.matches(record) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A comparison of a field with a value; ``bag`` is ``tags``, ``properties``, or empty for the item's own fields."""

    bag: str
    field: str
    sign: str
    value: str | float | None

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the comparison holds. It never holds for a missing tag or property.

        So ``ne null or eq null`` means "exists", and Microsoft's SDK uses it in this sense.
        """
        actual = _actual(record, self.bag, self.field)
        if actual is _MISSING:
            return False
        if self.sign in ("eq", "ne"):
            return _OPERATORS[self.sign](actual, self.value)
        return actual is not None and self.value is not None and _OPERATORS[self.sign](actual, self.value)


@dataclass(frozen=True, slots=True)
class OneOf:
    """Many ``eq`` comparisons of one field, joined by ``or``: clients list hundreds of ids like that."""

    bag: str
    field: str
    values: frozenset[str | float | None]

    def matches(self, record: Mapping[str, Any]) -> bool:
        """Whether the field has one of the values."""
        return _actual(record, self.bag, self.field) in self.values


Filter = Joined | Comparison | OneOf
"""A condition on an item of run history, as in the REST API: a run, step or experiment."""


def values_of(condition: Filter, field: str) -> frozenset[str | float | None] | None:
    """The values that a field of the item itself can have if the condition holds; None: the condition does not say."""
    if isinstance(condition, OneOf):
        return condition.values if (condition.bag, condition.field) == ("", field) else None
    if isinstance(condition, Comparison):
        named = (condition.bag, condition.field, condition.sign) == ("", field, "eq")
        return frozenset((condition.value,)) if named else None
    found = [values_of(part, field) for part in condition.parts]
    limits = [values for values in found if values is not None]
    if condition.rule is all:
        return frozenset.intersection(*limits) if limits else None
    return frozenset().union(*limits) if len(limits) == len(found) else None


def _actual(record: Mapping[str, Any], bag: str, field: str) -> Any:
    if bag:
        return (record.get(bag) or {}).get(field, _MISSING)
    value = record[field]
    if value is None:
        return None
    return parse_time(value) if field.lower() in _TIMES else str(value)


def _either(parts: list[Filter]) -> Filter:
    if len(parts) == 1:
        return parts[0]
    values: dict[tuple[str, str], set[str | float | None]] = {}
    rest: list[Filter] = []
    for part in parts:
        if isinstance(part, Comparison) and part.sign == "eq":
            values.setdefault((part.bag, part.field), set()).add(part.value)
        else:
            rest.append(part)
    return Joined(any, (*(OneOf(*key, frozenset(found)) for key, found in values.items()), *rest))


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int


def parse(text: str, fields: tuple[str, ...]) -> Filter:
    """Parse a filter into its condition; the letter case of the item's own ``fields`` does not matter.

    Raises:
        FilterError: The text is not a filter, or names an unknown field.
    """
    return _Parser(text, {name.lower(): name for name in fields}).parse()


def _tokens(text: str) -> list[_Token]:
    tokens: list[_Token] = []
    position = 0
    end = len(text.rstrip())
    while position < end:
        match = _TOKEN.match(text, position)
        if match is None:
            raise FilterError(f"unbalanced quote at position {position} of {text!r}")
        kind = match.lastgroup or ""
        body = match.group(kind)
        if kind == "double":
            body = body.replace('""', '"')
        elif kind == "single":
            body = body.replace("''", "'")
        tokens.append(_Token("text" if kind in ("double", "single") else kind, body, match.start(kind), match.end()))
        position = match.end()
    return tokens


class _Parser:
    def __init__(self, text: str, fields: Mapping[str, str]) -> None:
        self._text = text
        self._fields = fields
        self._tokens = _tokens(text)
        self._next = 0
        self._depth = 0

    def parse(self) -> Filter:
        found = self._expression()
        if self._next < len(self._tokens):
            raise self._error("the end")
        return found

    def _expression(self) -> Filter:
        parts = [self._conjunction()]
        while self._accept("or"):
            parts.append(self._conjunction())
        return _either(parts)

    def _conjunction(self) -> Filter:
        parts = [self._term()]
        while self._accept("and"):
            parts.append(self._term())
        return parts[0] if len(parts) == 1 else Joined(all, tuple(parts))

    def _term(self) -> Filter:
        if self._peek("open"):
            if self._depth == _DEEPEST:
                raise FilterError(f"parentheses nest more than {_DEEPEST} levels deep")
            self._next += 1
            self._depth += 1
            inner = self._expression()
            if not self._peek("close"):
                raise self._error(")")
            self._next += 1
            self._depth -= 1
            return inner
        return self._comparison()

    def _comparison(self) -> Comparison:
        bag, name = self._field(self._take("a field").text)
        sign = self._take("an operator").text.lower()
        if sign not in _OPERATORS:
            raise FilterError(f"unknown operator {sign!r} in {self._text!r}")
        return Comparison(bag, name, sign, self._value(name if not bag else ""))

    def _field(self, text: str) -> tuple[str, str]:
        head, slash, rest = text.partition("/")
        if slash and head.lower() in _BAGS and rest:
            return head.lower(), rest
        if text.lower() not in self._fields:
            raise FilterError(f"unknown field {text!r} in {self._text!r}")
        return "", self._fields[text.lower()]

    def _value(self, field: str) -> str | float | None:
        if self._peek("text"):
            value: str | None = self._tokens[self._next].text
            self._next += 1
        else:
            first = last = self._take("a value")
            # A bare date has a blank between day and time.
            while self._peek("word") and self._tokens[self._next].text.lower() not in ("and", "or"):
                last = self._tokens[self._next]
                self._next += 1
            value = self._text[first.start : last.end]
            if value.lower() == "null":
                value = None
        if value is None or field.lower() not in _TIMES:
            return value
        try:
            return parse_time(value)
        except ValueError as error:
            raise FilterError(f"{value!r} is not a date in {self._text!r}") from error

    def _peek(self, kind: str) -> bool:
        return self._next < len(self._tokens) and self._tokens[self._next].kind == kind

    def _accept(self, keyword: str) -> bool:
        if self._peek("word") and self._tokens[self._next].text.lower() == keyword:
            self._next += 1
            return True
        return False

    def _take(self, wanted: str) -> _Token:
        if not self._peek("word"):
            raise self._error(wanted)
        token = self._tokens[self._next]
        self._next += 1
        return token

    def _error(self, wanted: str) -> FilterError:
        found = repr(self._tokens[self._next].text) if self._next < len(self._tokens) else "the end"
        return FilterError(f"expected {wanted}, found {found} in {self._text!r}")
