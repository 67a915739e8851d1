"""The storm of tests/unit/sensors/test_blob_storm.py, smaller, on a real blob service with the real sensor."""

from __future__ import annotations

import random

import pytest
from support.drivers.watching import context_of, fire, sensor, variables_in_memory

from aml_provider.compat import TaskDeferred
from aml_provider.emulator.workspace.models import Datastore
from aml_provider.sensors.blob import AzureBlobChangeSensor
from aml_provider.triggers.blob import AzureBlobLookTrigger

NAMES = ["a.csv", "b & c.csv", "ü.csv", "{{ d }}.csv"]


class Dies(AzureBlobChangeSensor):
    """Dies on demand, after its batch was committed and before any task has it."""

    doomed = False

    def poke(self, context):
        answer = super().poke(context)
        if self.doomed and answer.is_done:
            raise OSError("killed")
        return answer


@pytest.fixture
def landing(emulator, azurite, azureml_default):
    with azurite.container() as container:
        emulator.state.datastores["landing"] = Datastore(
            "landing", azurite.account_name, container.container_name, account_key=azurite.account_key
        )
        yield container


class World:
    """Runs of one DAG, whose sensor works in one mode."""

    def __init__(self, mode, seed, landing, states):
        self.random = random.Random(seed)
        self.mode = mode
        self.landing = landing
        self.states = states
        self.sensors = {}
        self.consumers = {}
        self.look(self.start())

    def start(self):
        self.states[f"run{len(self.states)}"] = "running"
        return list(self.states)[-1]

    def waiting(self):
        return [run for run, state in self.states.items() if state not in {"success", "failed", "skipped"}]

    def look(self, run, *, doomed=False, then="failed"):
        """One poll, in the sensor's mode; a deferred one is resumed by its trigger, made from what Airflow stores."""
        if run not in self.sensors or self.mode != "poke":
            made = sensor(datastore="landing", max_changes=3, deferrable=self.mode == "deferrable", poke_interval=0.1)
            made.__class__ = Dies
            self.sensors[run] = (made, context_of(run))
        task, context = self.sensors[run]
        task.doomed = doomed
        self.states[run] = "running"
        try:
            taken = task.poke(context).xcom_value
        except TaskDeferred as deferral:
            self.states[run] = "deferred"
            self.asleep = AzureBlobLookTrigger(**deferral.trigger.serialize()[1])
            return []
        except OSError:
            del self.sensors[run]
            self.states[run] = then
            return []
        if taken is None:
            self.states[run] = "up_for_reschedule"
            return []
        self.states[run] = "success"
        for change in taken:
            self.consumers.setdefault((change["path"], change["etag"]), set()).add(run)
        return taken

    def step(self):
        action = self.random.choice(["write", "write", "metadata", "delete", "look", "look", "die", "start", "clear"])
        name = f"incoming/{self.random.choice(NAMES)}"
        blob = self.landing.get_blob_client(name)
        waiting = self.waiting()
        if action == "write":
            self.landing.upload_blob(name, b"x", overwrite=True)
            self.landing.upload_blob(f"incoming/sub/{self.random.choice(NAMES)}", b"x", overwrite=True)
        elif action == "metadata" and blob.exists():
            blob.set_blob_metadata({"n": str(self.random.random())})
        elif action == "delete" and blob.exists():
            blob.delete_blob()
        elif action == "look" and waiting:
            self.look(self.random.choice(waiting))
        elif action == "die" and waiting:
            self.landing.upload_blob(name, b"y", overwrite=True)
            then = self.random.choice(["failed", "skipped", "up_for_retry"])
            self.look(self.random.choice(waiting), doomed=True, then=then)
        elif action == "start" and len(waiting) < 3:
            self.start()
        elif action == "clear" and (ended := sorted(set(self.states) - set(waiting))):
            run = self.random.choice(ended)
            self.states[run] = "no_status"
            for runs in self.consumers.values():
                runs.discard(run)

    def calm_down(self):
        quiet = 0
        while quiet < 2:
            looks = [self.look(run) for run in self.waiting() or [self.start()]]
            quiet = 0 if any(looks) else quiet + 1


@pytest.mark.parametrize("mode", ["poke", "reschedule", "deferrable"])
@pytest.mark.parametrize("seed", range(4))
def test_every_version_reaches_exactly_one_consumer(seed, mode, landing, monkeypatch):
    variables_in_memory(monkeypatch)
    states = {}
    monkeypatch.setattr("aml_provider.worker.poke_folder.owner_state", lambda owner: states.get(owner.run_id))
    world = World(mode, seed, landing, states)
    for _ in range(25):
        world.step()
    world.calm_down()
    assert {version: runs for version, runs in world.consumers.items() if len(runs) > 1} == {}
    there = {(blob.name, blob.etag) for blob in landing.walk_blobs("incoming/") if hasattr(blob, "etag")}
    assert there <= world.consumers.keys()
    if mode == "deferrable":
        landing.upload_blob("incoming/last.csv", b"x")
        assert fire(world.asleep)["look"], "the last trigger wakes its worker"
