"""The same world and the same polls give the same batches, whatever the sensor's mode.

The watch, the trigger, the record, the cursor and the listing are the real ones; only the wire and the Variable are in
memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.drivers.breaths import answer
from support.drivers.watching import variables_in_memory
from support.services.folder import Asked, FakeContainer

from aml_provider.blobs.access import ContainerAccess, Location
from aml_provider.blobs.changes import _MOST_GONE
from aml_provider.blobs.cursor import Cursor, undone
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.http.reply import Reply
from aml_provider.durable.handover import Commit, Handover, Owner
from aml_provider.state.cursor_stores import VariableCursorStore
from aml_provider.triggers.blob import AzureBlobLookTrigger
from aml_provider.worker.poke_folder import FolderPoke

FOLDER = Folder("https://a.blob.core.windows.net/c", "in/")
QUIET = logging.getLogger("modes")
QUIET.disabled = True
MODES = ("poke", "reschedule", "deferrable")


@pytest.fixture(autouse=True, scope="module")
def variables():
    with pytest.MonkeyPatch.context() as monkeypatch:
        yield variables_in_memory(monkeypatch)


class Place:
    """A location whose clients list the container, the one of a trigger only when it is let."""

    name = "store"
    azureml_conn_id = "azureml_default"

    def __init__(self, container):
        self.container = container
        self.turn = asyncio.Event()
        self.waits = asyncio.Event()

    def _asdict(self):
        return {"datastore": "store", "path": "in"}

    @contextlib.contextmanager
    def open(self, patience):
        yield self, Location(FOLDER, ContainerAccess(sas="x=1"))

    @contextlib.asynccontextmanager
    async def async_open(self):
        yield AsyncClient(self), Location(FOLDER, ContainerAccess(sas="x=1"))

    def run(self, flow):
        try:
            request = next(flow)
            while True:
                status, headers, body = self.container.answer(Asked("", dict(request.query), {}))
                request = answer(flow, Reply(status, headers, body, ""))
        except StopIteration as stop:
            return stop.value


class AsyncClient:
    def __init__(self, place):
        self.place = place

    async def run(self, flow):
        self.place.waits.set()
        await self.place.turn.wait()
        self.place.turn.clear()
        return self.place.run(flow)


class Sensors:
    """One DAG run after the other, each with a sensor that waits in some mode, over a container of their own."""

    def __init__(self, mode, rules, key):
        self.mode, self.rules, self.key = mode, rules, key
        self.container = FakeContainer(page_size=3)
        self.place = Place(self.container)
        self.number = 1
        self.watch = None
        self.trigger = None

    async def poll(self):
        """Poll once; the batch, if there is one."""
        if self.trigger is not None:
            self.place.waits.clear()
            self.place.turn.set()
            await self._until_waiting()
            if not self.trigger.done():
                return None
            self.trigger.result()
            self.trigger = None
        return await self.work()

    async def work(self):
        if self.watch is None or self.mode != "poke":
            me = Owner("dag", f"run{self.number}", "watch")
            handover = Handover(me, VariableCursorStore(self.key), lambda owner: "success", undone)
            self.watch = FolderPoke(handover, self.place, self.rules, QUIET, deadline=float("inf"))
        taken = self.watch.poll()
        if taken is not None:
            self.number += 1
            self.watch = None
        elif self.mode == "deferrable":
            await self.defer()
        return None if taken is None else [(change["name"], change["etag"], change["change"]) for change in taken]

    async def defer(self):
        path, arguments = self.watch.trigger(0.0, float("inf")).serialize()
        assert path == "aml_provider.triggers.blob.AzureBlobLookTrigger"
        assert not arguments["only_wait"]
        trigger = AzureBlobLookTrigger(**arguments)
        self.place.waits.clear()
        state = trigger._state()
        self.trigger = asyncio.ensure_future(trigger._until_news(lambda: trigger._open(self.place, state, None)))
        await self._until_waiting()

    async def _until_waiting(self):
        """Until the trigger waits for its next poll, or has ended."""
        waits = asyncio.ensure_future(self.place.waits.wait())
        await asyncio.wait([self.trigger, waits], return_when=asyncio.FIRST_COMPLETED)
        waits.cancel()

    async def close(self):
        if self.trigger is not None:
            self.trigger.cancel()
            await asyncio.wait([self.trigger])


class World:
    """What happens to a container; what is deleted can come back as it was."""

    def __init__(self, container):
        self.container = container
        self.bin = {}

    def write(self, name, size=1):
        self.container.write(f"in/{name}", size=size)

    def delete(self, name):
        if blob := self.container.blobs.pop(f"in/{name}", None):
            self.bin[f"in/{name}"] = blob

    def restore(self, name):
        if blob := self.bin.get(f"in/{name}"):
            self.container.blobs[f"in/{name}"] = blob

    def wait(self, seconds):
        self.container.now += timedelta(seconds=seconds)


async def play(histories, rules, variables):
    """Play one history of steps, each a list of deeds and then one poll, in each mode; the batches of each mode."""
    await asyncio.to_thread(importlib.import_module, "aml_provider.blobs.listing")
    batches = {}
    for mode in MODES:
        variables.clear()
        sensors = Sensors(mode, rules, mode)
        world = World(sensors.container)
        batches[mode] = []
        for deeds in histories:
            for deed, *arguments in deeds:
                getattr(world, deed)(*arguments)
            batches[mode].append(await sensors.poll())
        await sensors.close()
    return batches


def same(histories, rules, variables):
    batches = asyncio.run(play(histories, rules, variables))
    assert batches["poke"] == batches["reschedule"] == batches["deferrable"]
    return batches["poke"]


NAMES = st.sampled_from(["a.csv", "b.csv", "c.txt", "d.csv", "e.csv"])
DEEDS = st.one_of(
    st.tuples(st.just("write"), NAMES, st.sampled_from([0, 1, 1, 1])),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("restore"), NAMES),
    st.tuples(st.just("wait"), st.sampled_from([1, 5])),
)
RULES = st.builds(
    Rules.of,
    settle=st.sampled_from([0, 3]),
    ignore_empty=st.booleans(),
    pattern=st.sampled_from([None, "*.csv"]),
    max_changes=st.sampled_from([1, 2, 1000]),
    on_first_poll=st.sampled_from(["remember", "report"]),
)


@settings(max_examples=300, deadline=None)
@given(histories=st.lists(st.lists(DEEDS, max_size=4), min_size=2, max_size=14), rules=RULES)
def test_each_mode_takes_the_same_batches(histories, rules, variables):
    taken = [(name, etag) for batch in same(histories, rules, variables) for name, etag, _ in batch or ()]
    assert len(taken) == len(set(taken)), "a version was returned twice"


@pytest.mark.parametrize("between", [[], [[("write", "other.csv")]], [[("write", "other.txt")]], [[], [], []]])
def test_a_version_that_returns_is_not_a_change(between, variables):
    histories = [[], [("write", "a.csv")], [("delete", "a.csv")], *between, [("restore", "a.csv")], []]
    batches = same(histories, Rules.of(pattern="*.csv"), variables)
    assert [batch for batch in batches if batch] == [
        [("a.csv", "0x1", "added")],
        *([[("other.csv", "0x2", "added")]] if "other.csv" in str(between) else []),
    ]


def test_a_version_that_was_written_again_is_a_change(variables):
    histories = [[], [("write", "a.csv")], [("delete", "a.csv")], [("write", "a.csv")]]
    assert same(histories, Rules.of(), variables)[-1] == [("a.csv", "0x2", "modified")]


def test_a_version_that_was_deleted_before_it_was_taken_is_a_change_when_it_returns(variables):
    histories = [[], [("write", "a.csv")], [("delete", "a.csv")], [("restore", "a.csv"), ("wait", 9)]]
    assert same(histories, Rules.of(settle=5), variables)[-1] == [("a.csv", "0x1", "added")]


def test_all_of_a_folder_may_be_gone_for_a_while(variables):
    """As long as nothing is written meanwhile, however many there are."""
    names = [f"{number}" for number in range(_MOST_GONE + 500)]
    histories = [
        [("write", name) for name in names],
        [("delete", name) for name in names],
        [],
        [("restore", name) for name in names],
    ]
    assert same(histories, Rules.of(), variables) == [None] * 4


def test_a_record_keeps_the_latest_of_those_that_are_gone(variables):
    async def story():
        sensors = Sensors("reschedule", Rules.of(max_changes=5000), "gone")
        world = World(sensors.container)
        await sensors.poll()
        for part in range(3):
            for number in range(_MOST_GONE // 2):
                world.write(f"{part}-{number}")
            assert len(await sensors.poll()) == _MOST_GONE // 2
            for number in range(_MOST_GONE // 2):
                world.delete(f"{part}-{number}")
        world.write("last")
        assert len(await sensors.poll()) == 1
        assert len(Cursor.decode(Commit.decode(variables["gone"]).cursor_text)) == _MOST_GONE + 1
        for part in (1, 2):
            world.restore(f"{part}-7")
        assert await sensors.poll() is None
        world.restore("0-7")
        assert [name for name, *_ in await sensors.poll()] == ["0-7"]

    asyncio.run(story())
