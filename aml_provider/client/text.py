"""Text from outside in a form that may be shown: on one line, bounded, without control characters and secrets.

Names, statuses, messages and logs are written by other people. They pass through here on their way into an error, a log
or a terminal; text for programs stays unchanged.
"""

from __future__ import annotations

import base64
import re
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

#: The most characters of a text from outside in a message.
LONGEST = 2000
# The most texts of a list in a message.
_MOST = 10
# Any N consecutive letters and digits of a secret are masked: an echo may cut, wrap or split it.
_PIECE = 12
# A shorter secret could be an ordinary word.
_WORD = 8
# A character as it is, the last group; or escaped in URLs, JSON, Python, XML and HTML, also several times. What has no
# group stands for no letter and no digit.
_LETTER = (
    r"(?is)%(?:25)*([0-9a-f]{2})|\\+(?:u([0-9a-f]{4})|x([0-9a-f]{2})|[bfnrt])?"
    r"|&(?:amp;)*(?:#x([0-9a-f]{1,6});|#([0-9]{1,7});|[a-z]{2,8};)?|(.)"
)
_DECIMAL, _ITSELF = 5, 6
# The ends of names. No pattern may begin with a repetition: it would be tried from each letter of a long text.
_NAMES = r"(?:token|secret|password|passwd|pwd|sig|signature|key|assertion|credential)"
_VALUE = r"[^\s&\"'<>,;\\]+"
# Not compiled here: each DAG file's parse would pay for it. The bare word in "no valid bearer token." is not a token.
_PATTERNS = (
    rf"(?i)\b((?:bearer|sharedkey|sharedaccesssignature)\s+(?!token(?:[\s.,;:]|$))){_VALUE}",
    rf"(?i)({_NAMES}(?:=|%3D|%253D|\\u003d|&#61;)[\"']?){_VALUE}",
    rf"(?i)({_NAMES}\\?[\"']\s*:\s*\\?[\"']){_VALUE}",
    # A JSON web token, also a part of one.
    r"()\beyJ[\w-]{10,}(?:\.[\w-]*)*",
)

# For paths, whose folders may have such names without secrets: customer_key=7. A SAS has its version (sv) next to the
# signature, or follows a question mark. Each may be escaped for a URL, also several times.
_SAS = r"(?i)\?|%(?:25)*3f|(?<![a-z_])sv(?:=|%(?:25)*3d)"
_SIGNATURE = r"(?i)((?:(?<![a-z_])|%(?:25)*3f)sig(?:=|%(?:25)*3d))[^&]*"


def printable(text: str, *, lines: bool = False) -> str:
    """Escape the control characters of a text, and its line breaks too, except with ``lines``."""
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() or (lines and letter == "\n") else letter.encode("unicode_escape").decode()
        for letter in text
    )


def one_line(text: str, longest: int = LONGEST) -> str:
    """Make a text printable, on one line, and cut it if it is too long."""
    text = printable(text[: longest + 1])
    return text if len(text) <= longest else f"{text[:longest]}…"


def some_of(items: Sequence[str], separator: str = "; ") -> str:
    """The first few of several texts, for a message, and the number of the others."""
    more = [f"and {len(items) - _MOST} more"] if len(items) > _MOST else []
    return separator.join([*items[:_MOST], *more])


def quoted(text: str) -> str:
    """Put a prefix before each line of a log in a message, so that none looks like a line of our own."""
    return "\n".join(f"  | {printable(line.expandtabs())}" for line in text.splitlines())


def masked(text: str, secrets: Iterable[str] = ()) -> str:
    """Mask the given secrets in a text, which may echo them in any form, and all values named token or similar."""
    secrets = [secret for secret in secrets if len(secret) >= _WORD]
    if secrets:
        letters, places = _plain(text)
        hidden = bytearray(len(text))
        for secret in secrets:
            for form in _forms(secret):
                _mark(letters, places, form, hidden)
        text = _cut_out(text, hidden)
        for secret in secrets:
            # A secret that has too few letters and digits.
            text = text.replace(secret, "***")
    for pattern in _PATTERNS:
        text = re.sub(pattern, r"\1***", text)
    return text


def unsigned(path: str) -> str:
    """Mask the signature if a path has a SAS; other paths stay as they are, also those like ``customer_key=7``."""
    return re.sub(_SIGNATURE, r"\1***", path) if re.search(_SAS, path) else path


def _plain(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The letters and digits of a text, in lower case and without escapes, and the place of each in the text.

    Echoes change the other characters: blanks for plus signs, line breaks, dashes for slashes in URLs.
    """
    letters, places = [], []
    for found in re.finditer(_LETTER, text):
        if found.lastindex is None:
            continue
        letter = found[found.lastindex]
        if found.lastindex < _ITSELF:
            number = int(letter, 10 if found.lastindex == _DECIMAL else 16)
            letter = chr(number) if number <= sys.maxunicode else ""
        # A few letters become two: İ is a small i and a dot.
        small = letter.lower()[:1]
        if small.isalnum():
            letters.append(small)
            places.append(found.span())
    return "".join(letters), places


def _forms(secret: str) -> Iterator[str]:
    """The letters and digits of a secret, in the forms that an echo may have."""
    raw = secret.encode("utf-8", "replace")
    forms = {secret, raw.decode("latin-1"), raw.hex()}
    for shift in range(3):
        # Its base64 depends on its offset; the first and last letters also depend on the text around it.
        forms.add(base64.b64encode(bytes(shift) + raw).decode().rstrip("=")[4 if shift else 0 : -1])
    for form in forms:
        letters, _ = _plain(form)
        if len(letters) >= _WORD:
            yield letters


def _mark(letters: str, places: list[tuple[int, int]], form: str, hidden: bytearray) -> None:
    size = min(_PIECE, len(form))
    pieces = {form[start : start + size] for start in range(len(form) - size + 1)}
    for start in range(len(letters) - size + 1):
        if letters[start : start + size] in pieces:
            begin, end = places[start][0], places[start + size - 1][1]
            hidden[begin:end] = b"\1" * (end - begin)


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
