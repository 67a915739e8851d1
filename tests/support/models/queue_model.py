"""A storage queue in memory, whose clock the test sets: it peeks, gets and deletes messages as the service does."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote
from xml.sax.saxutils import escape

from aml_provider.client.http.messages import Pause, Request
from aml_provider.client.http.reply import Reply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aml_provider.client.http.messages import Flow


class Held:
    """One message."""

    def __init__(self, key: str, text: str, inserted: float) -> None:
        self.key, self.text, self.inserted = key, text, inserted
        self.visible_from, self.receipt, self.gets = inserted, "", 0


class QueueModel:
    """One queue.

    Attributes:
        now: The time in seconds since the epoch.
        failure: The status of each reply, instead of an answer; 0: none.
        refuses_deletes: Whether readers may only peek.
        asked: The method and the kind of each request.
    """

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        self.failure = 0
        self.refuses_deletes = False
        self.asked: list[str] = []
        self.messages: list[Held] = []
        self._written = 0

    def put(self, text: str) -> str:
        """Write a message; its id."""
        self._written += 1
        key = f"id-{self._written}"
        self.messages.append(Held(key, text, self.now))
        return key

    def answer(self, request: Request) -> Reply:
        query = dict(request.query)
        kind = "peek" if "peekonly" in query else "get" if request.method == "GET" else "delete"
        self.asked.append(kind)
        if self.failure:
            return self._reply(self.failure, f"<Error><Code>Fault{self.failure}</Code></Error>")
        if kind != "peek" and self.refuses_deletes:
            return self._reply(403, "<Error><Code>AuthorizationPermissionMismatch</Code></Error>")
        if kind == "delete":
            return self._delete(unquote(request.url.rpartition("/")[2]), query["popreceipt"])
        visible = sorted(
            (held for held in self.messages if held.visible_from <= self.now), key=lambda held: held.visible_from
        )[: int(query["numofmessages"])]
        if kind == "get":
            for held in visible:
                held.visible_from = self.now + float(query["visibilitytimeout"])
                held.gets += 1
                held.receipt = f"{held.key}@{self.now}"
        found = "".join(self._entry(held, receipt=kind == "get") for held in visible)
        return self._reply(200, f"<?xml version='1.0'?><QueueMessagesList>{found}</QueueMessagesList>")

    def _delete(self, key: str, receipt: str) -> Reply:
        found = [held for held in self.messages if held.key == key]
        if not found:
            return self._reply(404, "<Error><Code>MessageNotFound</Code></Error>")
        if found[0].receipt != receipt:
            return self._reply(400, "<Error><Code>PopReceiptMismatch</Code></Error>")
        self.messages.remove(found[0])
        return self._reply(204, "")

    def _entry(self, held: Held, *, receipt: bool) -> str:
        given = f"<PopReceipt>{held.receipt}</PopReceipt>" if receipt else ""
        return (
            f"<QueueMessage><MessageId>{held.key}</MessageId><InsertionTime>{_date(held.inserted)}</InsertionTime>"
            f"{given}<DequeueCount>{held.gets}</DequeueCount><MessageText>{escape(held.text)}</MessageText></QueueMessage>"
        )

    def _reply(self, status: int, body: str) -> Reply:
        return Reply(status, {"date": _date(self.now)}, body.encode(), "id")

    def run(self, flow: Flow[Any]) -> Any:
        """Run a flow that only sends requests to the queue; its result."""
        return self.run_together([flow])[0]

    def run_together(self, flows: Sequence[Flow[Any]], choose: Callable[[list[int]], int] = min) -> list[Any]:
        """Run flows of several processes at the same time; ``choose`` says whose request is answered next."""
        results: dict[int, Any] = {}
        answers: dict[int, Reply | None] = dict.fromkeys(range(len(flows)))
        while answers:
            at = choose(list(answers))
            try:
                step = flows[at].send(answers[at])
                answers[at] = None if isinstance(step, Pause) else self.answer(step)
            except StopIteration as stop:
                results[at] = stop.value
                del answers[at]
        return [results[at] for at in range(len(flows))]


def _date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)
