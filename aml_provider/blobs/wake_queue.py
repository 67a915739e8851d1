"""Reads a wake queue: a storage queue to which Event Grid writes the blob events of an account."""

from __future__ import annotations

import html
import itertools
import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from aml_provider.blobs.access import PROCESS, ask
from aml_provider.blobs.folder import is_loopback
from aml_provider.blobs.queue_address import check_wake_queue, is_of_account, queues_of
from aml_provider.blobs.refusal import refusal
from aml_provider.blobs.wake_state import MOST_MESSAGES, READ_QUEUE, TRIM_QUEUE, Message, MessagePage, Reason
from aml_provider.blobs.wasb import account_of
from aml_provider.client.errors import AzureMLError, InvalidArgument, MalformedReply
from aml_provider.client.http.exchange import MIB
from aml_provider.client.http.messages import Request

if TYPE_CHECKING:
    from aml_provider.blobs.access import ContainerAccess, Location
    from aml_provider.blobs.wake_event import Interest
    from aml_provider.blobs.wake_state import WakeState
    from aml_provider.client.http.messages import Flow
    from aml_provider.client.http.reply import Reply

_VERSION = "2021-12-02"
_MESSAGE = re.compile(r"<QueueMessage>(.*?)</QueueMessage>", re.DOTALL)
# Ids have 36 characters; they are stored, and logged.
_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_COUNT = re.compile(r"[0-9]{1,18}")
_FIELD = re.compile(r"<(MessageId|InsertionTime|PopReceipt|DequeueCount|MessageText)>([^<]*)</\1>")
# Of 64 KiB each, and every character may be escaped.
_MOST_BYTES = 16 * MIB
# Batches of 32 that one poll deletes at most.
_MOST_BATCHES = 32
# Seconds for which other readers do not see the messages that this one gets in order to delete them: the shortest time.
_HIDDEN = 1


class WakeQueue(NamedTuple):
    """A wake queue and the right to it. Make it with :meth:`at`, which checks its parts.

    Attributes:
        url: The queue's address, without query and final slash.
        access: The right, the same as for the folder.
    """

    url: str
    access: ContainerAccess

    @classmethod
    def at(cls, name: str, location: Location) -> WakeQueue:
        """Find a queue by its address, or by its name in the account of a folder.

        Raises:
            InvalidArgument: The name cannot be used, or the folder's credential is for another account.
        """
        url, access = location.folder.container_url, location.access
        check_wake_queue("wake_queue", name)
        if "://" not in name:
            return cls(f"{queues_of(url, name)}/{name}", access)
        address = name.rstrip("/")
        if (
            address.startswith("http://")
            and not url.startswith("http://")
            and not is_loopback(urlsplit(address).hostname or "")
        ):
            raise InvalidArgument("wake_queue", f"{address} is plain http; use https")
        own = account_of(url) or access.account_name
        if own and not access.uses_identity and not is_of_account(address, own, url):
            raise InvalidArgument(
                "wake_queue",
                f"{address} is not in the account of the folder, which is read with {access.kind} of {own!r}. Let "
                "Event Grid write to a queue of that account, or use an identity",
            )
        return cls(address, access)


class Answer(NamedTuple):
    """The result of asking the wake queue once.

    Attributes:
        reason: Why the folder has to be listed; None: it need not be listed.
        state: The state after the page; if the folder is listed, see :meth:`listed`.
        page: The page that was read; None if it could not be read.
        trouble: The error of reading it; None if it was read, or not asked because of an earlier error.
        works_again: Whether it was read after it could not be read.
        unreadable: The ids of new messages that cannot be read.
        is_trimmed: Whether messages were deleted.
        kept: The error that kept old messages from being deleted, if there was one.
    """

    reason: Reason | None
    state: WakeState
    page: MessagePage | None = None
    trouble: AzureMLError | None = None
    works_again: bool = False
    unreadable: tuple[str, ...] = ()
    is_trimmed: bool = False
    kept: AzureMLError | None = None

    def listed(self, began: float, *, waits: bool) -> WakeState:
        """The state after the folder was listed because of this answer, and the result was committed."""
        return self.state.listed(self.page, began, waits=waits)


def ask_queue(
    state: WakeState,
    queue: WakeQueue,
    interest: Interest,
    resync: float,
    now: float,
    page: MessagePage | None = None,
) -> Flow[Answer]:
    """Peek at the queue, and decide whether the folder has to be listed. An error of the queue is a reason to list.

    Messages that an earlier listing covers are deleted, if there are many.

    Args:
        state: What this reader knows.
        queue: The queue.
        interest: The folder.
        resync: The most seconds between two listings.
        now: The time in seconds since the epoch.
        page: A page that another reader has just read; None: this reader reads one.
    """
    if now < state.ask_from:
        return Answer(Reason.FAILED, state)
    if page is None:
        try:
            page = yield from _peek(queue)
        except AzureMLError as error:
            return Answer(Reason.FAILED, state.failed(now), trouble=error)
    reason = state.reason(page, interest, resync, now)
    answer = Answer(reason, state, page, works_again=state.failures > 0, unreadable=tuple(state.unreadable(page)))
    if state.can_trim(page):
        try:
            page = yield from _trim(state, queue, page)
            answer = answer._replace(page=page, is_trimmed=True)
        except AzureMLError as error:
            answer = answer._replace(kept=error)
    return answer._replace(state=state.after(page))


def _peek(queue: WakeQueue) -> Flow[MessagePage]:
    reply = yield from _send(READ_QUEUE, queue, "GET", ("peekonly", "true"), ("numofmessages", str(MOST_MESSAGES)))
    return MessagePage(tuple(_messages(reply)), _date(reply))


def _trim(state: WakeState, queue: WakeQueue, page: MessagePage) -> Flow[MessagePage]:
    """Delete the messages that the state covers, the oldest first, but not the latest message.

    A message that is got to be deleted is hidden from others for a moment. The latest message is never got, so that
    no other reader takes the queue for empty.

    Returns:
        The page as it is afterwards, without messages that nobody has judged yet.
    """
    first, left = page, {message.id: message for message in page.messages}
    for _ in range(_MOST_BATCHES):
        old = list(itertools.takewhile(state.covers, page.messages))
        if len(old) < 2:
            break
        *_, latest = old
        left[latest.id] = latest
        count, hidden = ("numofmessages", str(len(old) - 1)), ("visibilitytimeout", str(_HIDDEN))
        reply = yield from _send(TRIM_QUEUE, queue, "GET", count, hidden)
        got = {message.id: message for message in _messages(reply)}
        left.update((key, message) for key, message in got.items() if key in left)
        # A later message never goes before an earlier one, also if the queue's order is another one.
        stays = [message.inserted for message in page.messages if message.id not in got]
        until = min(stays, default=0.0)
        for message in sorted(got.values(), key=lambda message: message.inserted):
            if message.inserted <= until and state.covers(message):
                yield from _delete(queue, message)
                left.pop(message.id, None)
        if len(old) < MOST_MESSAGES:
            break
        page = yield from _peek(queue)
    return first._replace(messages=tuple(left.values()))


def _delete(queue: WakeQueue, message: Message) -> Flow[None]:
    try:
        yield from _send(TRIM_QUEUE, queue, "DELETE", ("popreceipt", message.receipt), path=f"/{message.id}")
    except AzureMLError as error:
        # Another reader got the message meanwhile, or has deleted it.
        if getattr(error, "code", "") not in {"MessageNotFound", "PopReceiptMismatch"}:
            raise


def _send(operation: str, queue: WakeQueue, method: str, *query: tuple[str, str], path: str = "") -> Flow[Reply]:
    request = Request(
        operation=operation,
        method=method,
        url=f"{queue.url}/messages{path}",
        query=(*query, *queue.access.signature(queue.url, PROCESS)),
        headers=(("x-ms-version", _VERSION), ("Accept", "application/xml")),
        # The next poll asks again; until then the folder is listed.
        repeatable=False,
        most=_MOST_BYTES,
    )
    reply = yield from ask(queue.access, request)
    if not reply.is_success:
        raise refusal(operation, queue.url, queue.access, PROCESS, reply)
    return reply


def _messages(reply: Reply) -> list[Message]:
    body = reply.body.decode("utf-8-sig", "replace")
    if "<QueueMessagesList" not in body[:512]:
        raise MalformedReply(READ_QUEUE, status=reply.status, message="the reply is not a list of messages")
    found = []
    for block in _MESSAGE.findall(body):
        fields = {name: html.unescape(value) for name, value in _FIELD.findall(block)}
        key = fields.get("MessageId", "")
        if not _ID.fullmatch(key):
            raise MalformedReply(READ_QUEUE, status=reply.status, message="a message has no usable id")
        inserted = _seconds(fields.get("InsertionTime", ""))
        count = fields.get("DequeueCount", "")
        gets = int(count) if _COUNT.fullmatch(count) else 0
        found.append(Message(key, inserted, fields.get("MessageText", ""), fields.get("PopReceipt", ""), gets))
    return found


def _date(reply: Reply) -> float:
    date = reply.date()
    # Without a date no message is old enough to be a position, so the next poll lists.
    return 0.0 if date is None else date.timestamp()


def _seconds(text: str) -> float:
    try:
        return parsedate_to_datetime(text).timestamp()
    except (ValueError, TypeError, OverflowError):
        # Never old enough to be deleted unread.
        return float("inf")
