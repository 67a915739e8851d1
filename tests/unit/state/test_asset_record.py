"""The watcher record in an asset's state store: readers that take over, stall, and wake up late."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aml_provider.durable.handover import CursorMoved
from aml_provider.state.asset_record import AssetRecord


class Store:
    """A state store whose requests are carried out when the test says so."""

    def __init__(self):
        self.kept = {}
        self.claims = []

    async def aget(self, key):
        await Gate()
        return self.kept.get(key)

    async def aset(self, key, value):
        await Gate()
        self.kept[key] = value
        if key == "key owner":
            self.claims.append(value)


class Gate:
    def __await__(self):
        yield


class Reader:
    """A watcher that loads the record, and adds a number to it whenever it saves."""

    def __init__(self, store, world):
        self._store = store
        self._record = AssetRecord(store, "key")
        self._world = world
        self._steps = self._live()
        self.is_over = False

    async def _live(self):
        data = await self._record.load()
        known = [] if data is None else data["numbers"]
        while True:
            number = self._world.number()
            known = [*known, number]
            try:
                await self._record.save({"numbers": known})
            except CursorMoved:
                return
            self._world.fired(number, known)

    @property
    def has_claimed(self):
        return self._record._me in self._store.claims

    @property
    def is_too_late(self):
        """Two others have taken over since."""
        return self.has_claimed and self._record._me not in self._store.claims[-2:]

    def step(self):
        """Let its request be carried out, and go on until the next one."""
        try:
            self._steps.send(None)
        except StopIteration:
            self.is_over = True


class World:
    def __init__(self):
        self.store = Store()
        self._numbers = 0
        self._fired = []
        self.readers = []

    def number(self):
        self._numbers += 1
        return self._numbers

    def fired(self, number, known):
        """What was fired before is known to who fires."""
        assert set(self._fired) <= set(known), f"{set(self._fired) - set(known)} would be fired again"
        self._fired.append(number)

    def start(self):
        """Another reader comes, once the latest one has made its claim."""
        if all(reader.has_claimed for reader in self.readers[-1:]):
            self.readers.append(Reader(self.store, self))
        self.readers[-1].step()

    def check(self):
        last = asyncio.run(AssetRecord(self.store, "key").load())
        assert set(self._fired) <= set([] if last is None else last["numbers"])


@settings(max_examples=3000, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["latest", "before", "another"]), st.integers(1, 12)), max_size=16))
def test_events_that_were_fired_are_known_to_later_readers(turns):
    """In each turn one of the two latest readers goes on by some requests; one that gets none stalls, or is dead."""
    world = World()
    world.start()
    for turn, requests in turns:
        if turn == "another":
            world.start()
        reader = world.readers[-2:][0 if turn == "before" else -1]
        for _ in range(requests):
            if not (reader.is_over or reader.is_too_late):
                reader.step()
    world.check()


def run(*steps):
    async def each():
        return [await step for step in steps]

    return asyncio.run(each())[-1]


async def finished(begun):
    """The result of a coroutine that somebody has begun."""
    while True:
        try:
            begun.send(None)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize("before", [0, 1, 4])
@pytest.mark.parametrize("others", [1, 2, 3])
@pytest.mark.parametrize("requests", range(1, 6))
def test_a_reader_that_stalls_before_its_claim_finds_what_others_have_saved(before, others, requests):
    store = Store()

    def live(n):
        record = AssetRecord(store, "key")
        run(record.load(), record.save({"n": n}))

    for n in range(before):
        live(n)
    record = AssetRecord(store, "key")
    loading = record.load()
    for _ in range(requests):
        loading.send(None)
    for n in range(before, before + others):
        live(n)
    assert run(finished(loading))["n"] == before + others - 1
    run(record.save({"n": "late"}))
    assert run(AssetRecord(store, "key").load())["n"] == "late"


def test_the_latest_record_is_found_without_the_claim():
    store = Store()
    for n in range(5):
        record = AssetRecord(store, "key")
        run(record.load(), record.save({"n": n}))
    del store.kept["key owner"]
    record = AssetRecord(store, "key")
    assert run(record.load(), record.save({"n": 5})) is None
    assert run(AssetRecord(store, "key").load())["n"] == 5


def test_a_damaged_record_is_not_skipped_for_an_older_one():
    store = Store()
    for n in range(2):
        record = AssetRecord(store, "key")
        run(record.load(), record.save({"n": n}))
    (latest,) = [place for place, data in store.kept.items() if data.get("n") == 1]
    store.kept[latest] = "damaged"
    assert run(AssetRecord(store, "key").load()) == "damaged"


def test_a_late_write_of_the_previous_owner_is_not_read():
    store = Store()
    late, later = AssetRecord(store, "key"), AssetRecord(store, "key")
    run(late.load(), late.save({"n": 1}), later.load(), later.save({"n": 2}))
    with pytest.raises(CursorMoved, match=r"The watcher record key of .* was taken over by another watcher"):
        run(late.save({"n": 3}))
    assert run(AssetRecord(store, "key").load())["n"] == 2


def test_a_record_of_an_earlier_version_is_taken_over():
    store = Store()
    store.kept["key"] = {"n": 1}
    record = AssetRecord(store, "key")
    assert run(record.load()) == {"n": 1}
    run(record.save({"n": 2}))
    assert store.kept["key"] == {"n": 1}, "its late write would come there"
    assert run(AssetRecord(store, "key").load())["n"] == 2


def test_a_watcher_whose_keys_a_person_deletes_starts_again():
    store = Store()
    record = AssetRecord(store, "key")
    run(record.load(), record.save({"n": 1}))
    store.kept.clear()
    with pytest.raises(CursorMoved):
        run(record.save({"n": 2}))
    assert run(AssetRecord(store, "key").load()) is None


@pytest.mark.parametrize("damaged", ["text", [1], {"epoch": 1}])
def test_damaged_data_is_returned_as_it_is(damaged):
    store = Store()
    store.kept["key"] = damaged
    assert run(AssetRecord(store, "key").load()) == damaged
