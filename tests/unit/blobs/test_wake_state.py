"""Whether a poll lists, from the messages that the reader knows; what a reader stores."""

from __future__ import annotations

import json

import pytest
from support.services.wake_queue import as_text, event

from aml_provider.blobs.folder import Folder
from aml_provider.blobs.wake_event import Interest
from aml_provider.blobs.wake_state import MOST_MESSAGES, Message, MessagePage, Reason, WakeState

INTEREST = Interest.of(Folder.at("https://acc.blob.core.windows.net/landing", "in"))
NOW = 1_800_000_000.0
RESYNC = 3600.0


def page(*names, date=NOW, age=10.0, text=None):
    text = as_text(event("other/x")) if text is None else text
    return MessagePage(tuple(Message(name, date - age, text) for name in names), date)


def known(*names, **facts):
    """A reader that has just listed, and knows these messages."""
    return WakeState().listed(page(*names), NOW, waits=False)._replace(**facts)


def why(state, seen, now=NOW + 60):
    return state.reason(seen, INTEREST, RESYNC, now)


def test_a_reader_that_has_not_listed_lists():
    assert why(WakeState(), page()) is Reason.FIRST


def test_an_empty_queue_needs_no_listing_until_the_resync():
    assert why(known(), page()) is None
    assert why(known(), page(), NOW + RESYNC - 1) is None
    assert why(known(), page(), NOW + RESYNC) is Reason.RESYNC


def test_a_listing_in_the_future_is_of_another_clock_and_does_not_count():
    assert why(known(), page(), NOW - 1) is Reason.RESYNC


def test_known_messages_need_no_listing_and_new_ones_only_if_they_concern_the_folder():
    assert why(known("a", "b"), page("a", "b")) is None
    assert why(known("a"), page("a", "b")) is None
    assert why(known("a"), page("a", "b", text=as_text(event("in/x")))) is Reason.EVENT
    assert why(known("a", "b"), page("a", "b", text=as_text(event("in/x")))) is None


def test_one_event_of_a_batch_is_enough():
    batch = as_text([event("other/x"), event("in/x")])
    assert why(known("a"), page("a", "b", text=batch)) is Reason.EVENT


def test_a_message_that_cannot_be_read_costs_one_listing():
    assert why(known("a"), page("a", "b", text="?")) is Reason.UNREADABLE
    assert known("a").unreadable(page("a", "b", text="?")) == ["b"]
    assert why(known("a", "b"), page("a", "b", text="?")) is None


def test_if_the_latest_known_message_is_gone_later_ones_may_be_gone_too():
    assert why(known("a"), page()) is Reason.GAP
    assert why(known("a"), page("b")) is Reason.GAP
    assert why(known(), page("b")) is Reason.GAP


def test_if_somebody_has_got_the_latest_known_message_later_ones_may_be_gone():
    [message] = page("a").messages
    got = MessagePage((message._replace(gets=1),), NOW)
    assert why(known("a"), got) is Reason.GAP
    assert why(WakeState().listed(got, NOW, waits=False), got) is None


def test_if_known_messages_are_gone_that_were_too_young_for_a_position_others_may_be_gone():
    state = WakeState().listed(page("a", age=1.0), NOW, waits=False)
    assert why(state, page()) is Reason.GAP


def test_an_event_is_the_reason_that_is_logged_also_in_a_queue_that_was_empty():
    assert why(known(), page("a", text=as_text(event("in/x")))) is Reason.EVENT


def test_older_messages_may_go():
    state = WakeState().listed(MessagePage((Message("a", NOW - 20), Message("b", NOW - 10)), NOW), NOW, waits=False)
    assert why(state, page("b")) is None


def test_a_message_as_young_as_the_reply_is_not_a_position():
    """Another message with the same time may follow, and be deleted while this one is kept."""
    state = WakeState().listed(page("a", age=1.0), NOW, waits=False)
    assert why(state, page("a", age=1.0)) is Reason.GAP
    again = state.listed(page("a", age=30.0), NOW, waits=False)
    assert why(again, page("a", age=30.0)) is None


def test_a_page_that_may_hide_messages_is_a_reason_to_list():
    full = page(*map(str, range(MOST_MESSAGES)))
    assert why(WakeState().listed(full, NOW, waits=False), full) is Reason.FULL


def test_what_no_event_announces_is_listed_again():
    assert why(known(waits=True), page()) is Reason.WAITING


def test_a_queue_that_fails_is_asked_less_and_less():
    state, pauses = known("a"), []
    for _ in range(8):
        state = state.failed(NOW)
        pauses.append(state.ask_from - NOW)
    assert pauses == [60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert state.listed(None, NOW, waits=False).known == ("a",)
    works = state.after(page("a"))
    assert (works.failures, works.ask_from) == (0, 0.0)


def test_messages_are_covered_if_they_were_there_before_a_listing():
    state = known("a")
    assert state.covers(Message("a", NOW))
    assert state.covers(Message("unseen", NOW - 61))
    assert not state.covers(Message("young", NOW - 59))
    assert not state.covers(Message("without a time", float("inf")))
    assert not state.can_trim(page("a"))
    many = list(map(str, range(16)))
    assert known(*many).can_trim(page(*many))


def test_a_state_survives_being_stored():
    state = known("a", "b").failed(NOW)
    assert WakeState.from_json(json.loads(json.dumps(state.to_json()))) == state


@pytest.mark.parametrize(
    "damaged",
    [
        None,
        [],
        "x",
        {},
        {**known("a").to_json(), "listed_at": "now"},
        {**known("a").to_json(), "listed_at": 10**400},
        {**known("a").to_json(), "ask_from": float("nan")},
        {**known("a").to_json(), "known": 3},
        {**known("a").to_json(), "known": [3]},
        {**known("a").to_json(), "position": {}},
        {**known("a").to_json(), "covered": None},
        {key: value for key, value in known("a").to_json().items() if key != "position"},
    ],
)
def test_a_damaged_state_costs_a_listing(damaged):
    assert WakeState.from_json(damaged) == WakeState()
