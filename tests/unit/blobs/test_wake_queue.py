"""The requests to a wake queue, and what happens to its messages."""

from __future__ import annotations

import pytest
from support.models.queue_model import QueueModel
from support.services.wake_queue import as_text, event

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.queue_address import check_wake_queue
from aml_provider.blobs.wake_event import Interest
from aml_provider.blobs.wake_queue import WakeQueue, ask_queue
from aml_provider.blobs.wake_state import MOST_MESSAGES, Reason, WakeState
from aml_provider.client.errors import InvalidArgument

URL = "https://acc.queue.core.windows.net/events"
FOLDER = Folder.at("https://acc.blob.core.windows.net/landing", "in")
INTEREST = Interest.of(FOLDER)
KEY = ContainerAccess(account_name="acc", account_key="a2V5")
SAS = ContainerAccess(sas="sig=x")
IDENTITY = ContainerAccess()


def at(name, access=IDENTITY, url=FOLDER.container_url):
    return WakeQueue.at(name, Location(Folder.at(url, "in", allow_http=True), access)).url


@pytest.mark.parametrize(
    ("name", "url", "expected"),
    [
        ("events", "https://acc.blob.core.windows.net/landing", URL),
        (URL, "https://acc.blob.core.windows.net/landing", URL),
        (f"{URL}/", "https://acc.blob.core.windows.net/landing", URL),
        ("events", "https://acc.z1.blob.core.windows.net/landing", "https://acc.z1.queue.core.windows.net/events"),
        (
            "https://other.queue.core.windows.net/events",
            FOLDER.container_url,
            "https://other.queue.core.windows.net/events",
        ),
        ("events", "https://ACC.Blob.core.windows.net/landing", URL),
        ("events", "http://127.0.0.1:10000/acc/landing", "http://127.0.0.1:10001/acc/events"),
        (
            "http://127.0.0.1:10001/acc/events",
            "http://127.0.0.1:10000/acc/landing",
            "http://127.0.0.1:10001/acc/events",
        ),
    ],
)
def test_a_queue_is_named_by_its_address_or_within_the_folders_account(name, url, expected):
    assert at(name, url=url) == expected


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Events", "neither the name of a queue"),
        ("ab", "neither the name of a queue"),
        ("store/events", "neither the name of a queue"),
        ("", "neither the name of a queue"),
        (f"{URL}?sig=hidden", "has a query string"),
        ("events?sig=hidden", "has a query string"),
        ("https://me:hidden@acc.queue.core.windows.net/events", "user name or password"),
        ("https:/me:hidden@acc.queue.core.windows.net/events", "user name or password"),
        ("https://me:hidden#1@acc.queue.core.windows.net/events", "user name or password"),
        ("https://me:hidden%40acc.queue.core.windows.net/events", "user name or password"),
        ("https://me:hidden/events", "not a URL"),
        ("https://acc.blob.core.windows.net/events", "that is acc.queue.core.windows.net"),
        ("https://acc.queue.core.windows.net", "is not of the form"),
        ("https://acc.queue.core.windows.net/a/events", "is not of the form"),
        ("ftp://acc.queue.core.windows.net/events", "is not of the form"),
        ("https://[x/events", "not a URL"),
        (7, "text"),
    ],
)
def test_a_name_that_cannot_be_a_queue_is_refused_without_its_secrets(name, problem):
    with pytest.raises(InvalidArgument, match=problem) as refused:
        check_wake_queue("wake_queue", name)
    assert refused.value.argument == "wake_queue"
    assert "hidden" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "access", "url", "problem"),
    [
        ("events", KEY, "https://blobs.example/acc/landing", "give the address"),
        ("https://other.queue.core.windows.net/events", KEY, FOLDER.container_url, "an account key of 'acc'"),
        ("https://other.queue.core.windows.net/events", SAS, FOLDER.container_url, "a SAS of 'acc'"),
        ("https://acc.queue.elsewhere.example/events", SAS, FOLDER.container_url, "a SAS of 'acc'"),
        ("https://elsewhere.example/events", KEY, FOLDER.container_url, "an account key of 'acc'"),
        ("http://acc.queue.core.windows.net/events", KEY, FOLDER.container_url, "plain http"),
    ],
)
def test_a_queue_that_the_folders_credential_cannot_read_is_refused(name, access, url, problem):
    with pytest.raises(InvalidArgument, match=problem):
        at(name, access, url)


class Asked:
    """A reader of a queue in memory."""

    def __init__(self):
        self.model, self.state = QueueModel(), WakeState()
        self.queue = WakeQueue(URL, ContainerAccess(sas="sig=x"))

    def ask(self, *, lists=True):
        """Ask once; if the folder has to be listed, list it."""
        began = self.model.now
        answer = self.model.run(ask_queue(self.state, self.queue, INTEREST, 3600, began))
        if answer.reason is None or answer.trouble:
            self.state = answer.state
        if answer.reason and lists:
            self.state = answer.listed(began, waits=False)
        self.model.now += 60
        return answer

    def write(self, count, path="in/x", seconds=1):
        for _ in range(count):
            self.model.put(as_text(event(path)))
            self.model.now += seconds


@pytest.fixture
def asked():
    return Asked()


def test_an_idle_poll_is_one_request_and_changes_nothing_in_the_queue(asked):
    asked.write(5)
    assert asked.ask().reason is Reason.FIRST
    for _ in range(3):
        assert asked.ask().reason is None
    assert asked.model.asked == ["peek"] * 4
    assert len(asked.model.messages) == 5


def test_many_messages_are_deleted_after_the_listing_that_covers_them_except_the_latest(asked):
    asked.write(20)
    asked.ask(lists=False)
    assert len(asked.model.messages) == 20
    asked.ask()
    latest = asked.model.messages[-1].key
    assert len(asked.model.messages) == 20
    assert asked.ask().reason is None
    assert [held.key for held in asked.model.messages] == [latest]
    # And the reader knows where it is.
    assert asked.ask().reason is None
    asked.write(1)
    assert asked.ask().reason is Reason.EVENT


def test_a_burst_is_deleted_in_a_few_polls(asked):
    asked.write(3000, seconds=0.01)
    reasons = [asked.ask().reason for _ in range(8)]
    assert reasons[:2] == [Reason.FIRST, Reason.FULL]
    assert reasons[-1] is None
    assert len(asked.model.messages) == 1


def test_a_message_that_no_listing_covers_is_never_deleted(asked):
    asked.write(31)
    asked.ask()
    asked.write(40)
    young = {held.key for held in asked.model.messages[31:]}
    asked.ask()
    assert young <= {held.key for held in asked.model.messages}


def test_a_reader_that_may_not_delete_reads_anyway(asked):
    asked.model.refuses_deletes = True
    asked.write(20)
    asked.ask()
    answer = asked.ask()
    assert answer.reason is None
    assert "Storage Queue Data Message Processor" in answer.kept.text


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_queue_that_fails_is_a_reason_to_list(asked, status):
    asked.ask()
    asked.model.failure = status
    answer = asked.ask()
    assert (answer.reason, answer.trouble.status) == (Reason.FAILED, status)
    asked.model.now -= 60
    requests = len(asked.model.asked)
    assert asked.ask().reason is Reason.FAILED
    assert len(asked.model.asked) == requests, "it is not asked during the pause"
    asked.model.failure = 0
    asked.write(1)
    answer = asked.ask()
    assert answer.works_again
    assert answer.reason in {Reason.GAP, Reason.EVENT}


@pytest.mark.parametrize(
    "body",
    [
        "<html>Sign in</html>",
        "",
        "<QueueMessagesList><QueueMessage><MessageText>e30=</MessageText></QueueMessage></QueueMessagesList>",
        f"<QueueMessagesList><QueueMessage><MessageId>{'x' * 99}</MessageId></QueueMessage></QueueMessagesList>",
    ],
)
def test_a_reply_that_is_no_list_of_messages_is_a_failure(body, asked):
    asked.ask()
    asked.model.answer = lambda request: asked.model._reply(200, body)
    assert asked.ask().reason is Reason.FAILED


def test_a_message_without_a_time_or_a_text_costs_one_listing(asked):
    asked.ask()
    body = "<QueueMessagesList><QueueMessage><MessageId>a</MessageId></QueueMessage></QueueMessagesList>"
    asked.model.answer = lambda request: asked.model._reply(200, body)
    answer = asked.ask()
    assert (answer.reason, answer.unreadable) == (Reason.UNREADABLE, ("a",))


def test_a_reader_that_dies_while_it_deletes_leaves_no_position_before_deleted_messages(asked):
    """What it has got, another one does not see, and so deletes later messages first."""
    dies, other = Asked(), Asked()
    asked.write(32, path="other/x")
    asked.model.now += 60
    asked.ask()
    asked.write(30)
    asked.write(2, path="other/x")
    asked.model.now += 60
    for one in (dies, other):
        one.model = asked.model
        one.ask()
    flow = ask_queue(dies.state, dies.queue, INTEREST, 3600, asked.model.now)
    request = next(flow)
    for _ in range(12):
        request = flow.send(asked.model.answer(request))
    other.ask()
    left = [held.key for held in asked.model.messages]
    assert left[:21] == [f"id-{number}" for number in range(11, 32)], "these were hidden"
    assert len(left) < MOST_MESSAGES
    asked.state = asked.state._replace(position="id-20@0")
    assert asked.ask().reason is Reason.GAP


def test_in_a_queue_that_is_out_of_order_a_later_message_is_never_deleted_before_an_earlier_one(asked):
    asked.write(20)
    asked.ask()
    asked.model.messages[0].visible_from = asked.model.now - 1
    asked.ask()
    assert [held.key for held in asked.model.messages] == [f"id-{number}" for number in range(1, 21)]
    for _ in range(3):
        asked.ask()
    assert [held.key for held in asked.model.messages] == ["id-20"]


def test_a_message_that_arrives_while_others_are_deleted_is_still_news(asked):
    asked.write(20, path="other/x")
    asked.ask()
    flow = ask_queue(asked.state, asked.queue, INTEREST, 3600, asked.model.now)
    page = asked.model.answer(next(flow))
    # Another reader deletes some, so that the next request gets more than the page had.
    del asked.model.messages[:5]
    asked.write(3)
    request = flow.send(page)
    while True:
        try:
            request = flow.send(asked.model.answer(request))
        except StopIteration as stop:
            asked.state = stop.value.state
            break
    asked.model.now += 60
    assert asked.ask().reason is Reason.EVENT


def test_a_reader_that_deletes_does_not_hide_the_queue_from_others(asked):
    """A reader for which the queue was empty cannot recognise that messages are hidden."""
    other = Asked()
    other.model = asked.model
    asked.ask()
    other.ask()
    for _ in range(3):
        asked.write(20, seconds=0)
        asked.ask()
        asked.model.now += 10
        began = asked.model.now
        asked.ask()
        asked.model.now = began
        assert other.ask(lists=False).reason is not None


def test_readers_of_one_queue_do_not_take_messages_from_each_other(asked):
    """The other one sees each message, or sees that some are gone."""
    other = Asked()
    other.model = asked.model
    for reader in (asked, other):
        reader.ask()
    for _ in range(6):
        asked.write(20)
        assert asked.ask().reason in {Reason.EVENT, Reason.GAP, Reason.FULL}
        asked.ask()
        assert other.ask().reason in {Reason.EVENT, Reason.GAP, Reason.FULL}
    asked.ask()
    other.ask()
    assert (asked.ask().reason, other.ask().reason) == (None, None)
