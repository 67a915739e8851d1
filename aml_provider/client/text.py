"""Text from outside, as it may be shown: on one line, bounded, steering no terminal, without secrets.

Names, statuses, messages and logs are other people's. What they write goes through here on its way into an error, a log
or a terminal; what a program reads stays as it is.
"""

from __future__ import annotations

import base64
import html
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: The most letters of a text from outside in a message.
LONGEST = 2000
# Any so many letters of a secret in a row are masked: it may be cut off, wrapped, or taken apart.
_PIECE = 12
# Shorter than this, a secret is a word.
_WORD = 8
_NAMES = r"[\w.-]*(?:token|secret|password|passwd|pwd|sig|signature|key|assertion|credential)"
_VALUE = r"[^\s&\"'<>,;\\]+"
# The bare word in "no valid bearer token." is none.
_PATTERNS = (
    re.compile(rf"(?i)\b((?:bearer|sharedkey|sharedaccesssignature)\s+(?!token(?:[\s.,;:]|$))){_VALUE}"),
    re.compile(rf"(?i)\b({_NAMES}(?:=|%3D|%253D|\\u003d|&#61;)[\"']?){_VALUE}"),
    re.compile(rf"(?i)(\b{_NAMES}\\?[\"']\s*:\s*\\?[\"']){_VALUE}"),
    # A JSON web token, also a part of one.
    re.compile(r"()\beyJ[\w-]{10,}(?:\.[\w-]*)*"),
)


def printable(text: str, *, lines: bool = False) -> str:
    """A text without what would steer a terminal or look like another line: such letters become escapes.

    Args:
        text: The text.
        lines: Keep its line breaks.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or (lines and letter == "\n") else letter.encode("unicode_escape").decode()
        for letter in text
    )


def one_line(text: str, longest: int = LONGEST) -> str:
    """A printable text on one line, cut where it is too long."""
    text = printable(text[: longest + 1])
    return text if len(text) <= longest else f"{text[:longest]}…"


def some_of(items: Sequence[str], separator: str = "; ", most: int = 10) -> str:
    """The first of several texts for a message, and how many more there are."""
    more = [f"and {len(items) - most} more"] if len(items) > most else []
    return separator.join([*items[:most], *more])


def quoted(text: str) -> str:
    """Lines of a log inside a message, each marked, so that none passes for a line of our own."""
    return "\n".join(f"  | {printable(line.expandtabs())}" for line in text.splitlines())


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """A text without the secrets that it may echo, in whatever form, nor what is called a token, key or the like.

    Args:
        text: The text.
        secrets: What was sent.
    """
    hidden = bytearray(len(text))
    folded = text.lower()
    if len(folded) != len(text):
        # A few letters become two, which would shift the places of what follows.
        folded = "".join(letter if len(letter.lower()) > 1 else letter.lower() for letter in text)
    for secret in secrets:
        for form in _forms(secret):
            _mark(folded, form.lower(), hidden)
    text = _cut_out(text, hidden)
    for pattern in _PATTERNS:
        text = pattern.sub(r"\1***", text)
    return text


def _forms(secret: str) -> Iterator[str]:
    """How an echo may write a secret."""
    if len(secret) < _WORD:
        return
    raw = secret.encode("utf-8", "replace")
    yield secret
    once = quote(secret, safe="")
    yield from {once, quote_plus(secret), quote(once, safe=""), html.escape(secret), json.dumps(secret)[1:-1]}
    yield secret.replace("/", "\\/")
    for shift in range(3):
        # In base64 it looks different by where it begins; its first and last letters depend on what is around it.
        packed = base64.b64encode(bytes(shift) + raw).decode().rstrip("=")[4 if shift else 0 : -1]
        yield packed
        yield packed.replace("+", "-").replace("/", "_")
    yield raw.hex()


def _mark(text: str, form: str, hidden: bytearray) -> None:
    size = min(_PIECE, len(form))
    pieces = {form[start : start + size] for start in range(len(form) - size + 1)}
    for start in range(len(text) - size + 1):
        if text[start : start + size] in pieces:
            hidden[start : start + size] = b"\1" * size


def _cut_out(text: str, hidden: bytearray) -> str:
    if not any(hidden):
        return text
    kept, before = [], 0
    for letter, hide in zip(text, hidden, strict=True):
        if hide and not before:
            kept.append("***")
        elif not hide:
            kept.append(letter)
        before = hide
    return "".join(kept)
