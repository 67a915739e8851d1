"""What Microsoft's SDKs sent and were answered, and the calls of ours that send the same."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path

import pytest
from support.drivers.driving import one, workspace
from support.services.recorder import Answer


class Captures:
    """The captured exchanges of one SDK.

    Args:
        folder: The folder of the captures, below ``tests``.
        routes: One of our calls for each kind of request that the SDK makes, by its method and path, where ``{}``
            stands for a segment. A call takes the segments, and by their names the ``query``, the ``body`` and the JSON
            that was answered ``before``.
        not_ours: What the SDK sends and we do not, each with its reason; a path that ends with a slash is a beginning.
        scope: A pattern of what comes before the path of a route.
        skipped: Captures that have no exchanges.
    """

    def __init__(self, folder, routes, not_ours, scope, skipped=()):
        self._folder = Path(__file__).parents[2] / folder
        self._routes = routes
        self._known = [*routes, *not_ours]
        self._scope = scope
        self._skipped = skipped

    def of(self, name):
        """The exchanges of a capture."""
        return json.loads((self._folder / f"{name}.json").read_text())["exchanges"]

    def route_of(self, request):
        """The route that a request belongs to, None where it belongs to none, and what its segments are."""
        asked = f"{request['method']} {re.sub(self._scope, '', request['path'])}"
        found = []
        for route in self._known:
            pattern = re.escape(route).replace(r"\{\}", "([^/]+)") + (".*" if route.endswith("/") else "")
            match = re.fullmatch(pattern, asked)
            if match:
                found.append((route.count("{}"), route, match.groups()))
        # A fixed word goes before a segment of any name.
        return min(found)[1:] if found else (None, (asked,))

    def exchanges(self):
        """The exchanges that we should have too, each with what was answered before it; of a list, its first page."""
        return [
            pytest.param(item, before, id=name)
            for name, item, before in self._all()
            if self.route_of(item["request"])[0] in {*self._routes, None}
            and "$skip" not in dict(item["request"]["query"])
        ]

    def check_tables(self):
        """Check that every route and every reason is needed."""
        assert {self.route_of(item["request"])[0] for _, item, _ in self._all()} == set(self._known)
        assert all((self._folder / f"{name}.json").exists() for name in self._skipped)

    def call_for(self, request, before=None):
        """Our call for what the SDK sent."""
        route, segments = self.route_of(request)
        assert route is not None, f"the SDK sends {segments}, and no call of ours does"
        make = self._routes[route]
        known = {"query": dict(request["query"]), "body": request["json"], "before": before}
        wanted = [name for name in inspect.signature(make).parameters if name in known]
        return make(*segments, **{name: known[name] for name in wanted})

    def _all(self):
        for path in sorted(self._folder.glob("*.json")):
            before = None
            for number, item in enumerate(self.of(path.stem) if path.stem not in self._skipped else ()):
                yield f"{path.stem}-{number}", item, before
                before = item["response"]["json"]


def carry_out(drive, recorder, captured, call):
    """Carry out a call against the reply that the SDK got, whose links lead to no further page."""
    request, response = captured["request"], captured["response"]
    answer = response["json"]
    if isinstance(answer, dict):
        answer = {key: value for key, value in answer.items() if key != "nextLink"}
    recorder.answer(request["method"], request["path"], Answer(response["status"], answer))
    return drive(workspace(region=None, endpoint=recorder.url), one(call))


def literal(text):
    """The Python value that an author may have written for a text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
