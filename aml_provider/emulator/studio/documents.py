"""Templates rendered to documents that run nothing but their own script."""

from __future__ import annotations

import base64
import hashlib
import json
import shlex
from http import HTTPStatus
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import Response

from aml_provider.emulator.studio.words import counted, distance, duration, glyph, noun
from aml_provider.emulator.workspace.times import wire_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aml_provider.emulator.workspace.errors import ServiceError

_LONGEST_LINE = 80


class Documents:
    """Writes pages. Names, logs and parameters are not trusted, so everything is escaped."""

    def __init__(self) -> None:
        # Escape everything, whatever the template's name.
        self._templates = Environment(
            loader=PackageLoader(__package__),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {
            "counted": counted,
            "distance": distance,
            "duration": duration,
            "noun": noun,
            "iso": wire_time,
            "utc": utc,
            "json": _json,
            "glyph": glyph,
            "shell": shlex.quote,
        }
        style, script = _own_file("studio.css"), _own_file("live.js")
        self._templates.globals |= {"style": style, "script": script}
        rules = {
            "default-src": "'none'",
            "style-src": _hash(style),
            "script-src": _hash(script),
            "connect-src": "'self'",
            "form-action": "'self'",
            # The empty icon, without which browsers request one.
            "img-src": "data:",
            "base-uri": "'none'",
            "frame-ancestors": "'none'",
        }
        self._headers = {
            "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in rules.items()),
            # With no-referrer, the Origin of the pages' own forms would be null.
            "Referrer-Policy": "same-origin",
        }

    def page(self, template: str, values: Mapping[str, Any], status: int = 200) -> Response:
        """A page: a template filled with values."""
        return self._reply(self._templates.get_template(template).render(values), "text/html", status)

    def refusal(self, error: ServiceError, back: str | None = None) -> Response:
        """A refusal as a page; ``back`` is the address of the page whose button was pressed."""
        title = HTTPStatus(error.status).phrase.capitalize() if back is None else "Not done"
        values = {"title": title, "message": error.message, "back": back}
        return self.page("refusal.html", values, error.status)

    def token_form(self, *, wrong: bool, back: str) -> Response:
        """The page that asks for the control token, and then sends the same request again with it."""
        return self.page("token.html", {"title": "Control token", "wrong": wrong, "back": back}, 401)

    def text(self, text: str) -> Response:
        """A plain text."""
        return self._reply(text, "text/plain", 200)

    def _reply(self, text: str, media_type: str, status: int) -> Response:
        # Texts from JSON can contain lone surrogates, which cannot be encoded.
        content = text.encode("utf-8", errors="replace")
        return Response(content, status, self._headers, f"{media_type}; charset=utf-8")


def utc(instant: float) -> str:
    """An instant for people, to the second."""
    return wire_time(instant)[:19].replace("T", " ")


def _json(value: object) -> str:
    line = json.dumps(value, ensure_ascii=False)
    return line if len(line) <= _LONGEST_LINE else json.dumps(value, ensure_ascii=False, indent=2)


def _own_file(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
