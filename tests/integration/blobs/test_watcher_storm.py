"""The storm of tests/unit/blobs/test_outbox.py, smaller, on a real blob service with triggerers that are killed."""

from __future__ import annotations

import asyncio
import fnmatch
import random

import airflow
import pytest

from aml_provider.emulator.workspace.models import Datastore
from aml_provider.triggers.blob import AzureBlobChangeTrigger

if tuple(map(int, airflow.__version__.split(".")[:2])) < (3, 3):
    pytest.skip("Airflow shares streams from 3.3 on", allow_module_level=True)

from support.airflow.triggerer import Database, Triggerer

NAMES = ["a.csv", "b & c.csv", "ü.csv", "{{ d }}.csv", "e.txt"]
# Of each asset: what its watcher wants, and the life of the triggerer in which it comes.
WATCHERS = {"every": ("*", 0), "csv": ("*.csv", 0), "late": ("*", 2)}
LIVES = 5


@pytest.fixture
def landing(emulator, azurite, azureml_default, monkeypatch):
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    with azurite.container() as container:
        emulator.state.datastores["landing"] = Datastore(
            "landing", azurite.account_name, container.container_name, account_key=azurite.account_key
        )
        yield container


def change_something(landing, dice):
    name = dice.choice(NAMES)
    blob = landing.get_blob_client(f"incoming/{name}")
    action = dice.choice(["write", "write", "metadata", "delete"])
    if action == "write":
        blob.upload_blob(b"x", overwrite=True)
        landing.upload_blob(f"incoming/sub/{name}", b"x", overwrite=True)
        landing.upload_blob(f"incoming-old/{name}", b"x", overwrite=True)
    elif blob.exists():
        if action == "metadata":
            blob.set_blob_metadata({"n": str(dice.random())})
        else:
            blob.delete_blob()


def start(triggerer, life):
    for asset, (pattern, since) in WATCHERS.items():
        if life >= since:
            trigger = AzureBlobChangeTrigger(
                datastore="landing", path="incoming", pattern=pattern, poll_interval=0.1, on_first_poll="report"
            )
            triggerer.start(trigger, asset)


def ids(database, asset):
    """Of each version in an asset's events: their ids."""
    found = {}
    for event in database.events.get(asset, ()):
        for change in event["changes"]:
            found.setdefault((change["path"], change["etag"]), set()).add(event["id"])
    return found


def survivors(landing, pattern):
    there = [blob for blob in landing.walk_blobs("incoming/") if hasattr(blob, "etag")]
    return {(blob.name, blob.etag) for blob in there if fnmatch.fnmatchcase(blob.name.rpartition("/")[2], pattern)}


@pytest.mark.parametrize("seed", range(4))
async def test_every_version_is_in_an_event_of_each_asset_under_one_id(seed, landing, monkeypatch):
    dice, database = random.Random(seed), Database(monkeypatch)
    for life in range(LIVES):
        # An event that is not stored when it dies is lost; it does not know of one that was stored just before.
        storing = dice.random() < 0.5
        async with Triggerer(database, storing=storing) as triggerer:
            start(triggerer, life)
            for _ in range(dice.randrange(1, 8)):
                await asyncio.to_thread(change_something, landing, dice)
                await asyncio.sleep(dice.choice([0, 0, 0.1, 0.3]))
                if not storing and dice.random() < 0.3:
                    triggerer.store()
                assert not any(task.done() for task in triggerer.tasks)
            if dice.random() < 0.5:
                triggerer.store()
    wanted = {asset: survivors(landing, pattern) for asset, (pattern, _) in WATCHERS.items()}
    async with Triggerer(database) as triggerer:
        start(triggerer, LIVES)
        await triggerer.until(lambda: all(wanted[asset] <= ids(database, asset).keys() for asset in WATCHERS))
        # The outboxes are empty: no event can come again.
        await triggerer.until(lambda: not any('"name"' in text for text in database.states.values()))
    for asset, (pattern, _) in WATCHERS.items():
        found = ids(database, asset)
        assert {version: names for version, names in found.items() if len(names) > 1} == {}
        assert all(path.count("/") == 1 and fnmatch.fnmatchcase(path, f"incoming/{pattern}") for path, _ in found)
