"""Trigger rows of other versions of this package, and arguments that an author misspelt."""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pkgutil

import pytest
from airflow.triggers.base import BaseTrigger
from support.drivers.watching import Said

from aml_provider import triggers
from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger

REQUIRED = {
    "AzureMLPipelineRunTrigger": {"run_id": "r", "experiment_name": "e"},
    "AzureBlobLookTrigger": {"cursor_variable": "v", "datastore": "d"},
    "AzureBlobChangeTrigger": {"datastore": "d"},
    "AzureMLPipelineRunEventTrigger": {"experiment_name": "e"},
    "AzureMLScheduleProvisioningTrigger": {"schedule_id": "s", "deadline": 1.0},
    "AzureMLScheduleLookTrigger": {"cursor_variable": "v"},
}


def trigger_classes():
    for module in sorted(module.name for module in pkgutil.iter_modules(triggers.__path__, "aml_provider.triggers.")):
        for value in vars(importlib.import_module(module)).values():
            is_trigger = isinstance(value, type) and issubclass(value, BaseTrigger) and not inspect.isabstract(value)
            if is_trigger and value.__module__ == module:
                yield value


CLASSES = list(trigger_classes())
WATCHERS = {"AzureBlobChangeTrigger", "AzureMLPipelineRunEventTrigger"}
MADE = [one for one in CLASSES if AIRFLOW_V_3_0_PLUS or one.__name__ not in WATCHERS]


def row(trigger):
    """What Airflow stores of it."""
    path, arguments = trigger.serialize()
    module, _, name = path.rpartition(".")
    assert getattr(importlib.import_module(module), name, type(trigger)) is type(trigger)
    return json.loads(json.dumps(arguments))


def test_every_trigger_is_here():
    assert {one.__name__ for one in CLASSES} == REQUIRED.keys()


@pytest.mark.parametrize("kind", MADE)
def test_each_argument_is_stored(kind):
    assert row(kind(**REQUIRED[kind.__name__])).keys() == inspect.signature(kind).parameters.keys()


@pytest.mark.parametrize("kind", MADE)
def test_an_argument_of_another_version_is_ignored_with_a_warning_that_names_it(kind, caplog):
    stored = row(kind(**REQUIRED[kind.__name__]))
    again = kind(**stored, new_option=5, another="x")
    assert row(again) == stored
    (said,) = caplog.records
    assert said.levelname == "WARNING"
    assert f"{kind.__name__} has arguments" in said.getMessage()
    assert "another, new_option" in said.getMessage()


@pytest.mark.parametrize("kind", MADE)
def test_a_row_of_a_version_that_knew_less_takes_the_defaults(kind, caplog):
    stored = row(kind(**REQUIRED[kind.__name__]))
    older = {name: stored[name] for name in REQUIRED[kind.__name__]}
    assert row(kind(**older)) == stored
    assert not caplog.records


@pytest.mark.parametrize("kind", MADE)
def test_an_argument_that_an_author_misspelt_is_an_error(kind):
    with pytest.raises(TypeError, match="patern"):
        kind(**REQUIRED[kind.__name__], patern="*.csv")


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="no asset watchers")
def test_a_row_that_cannot_be_made_is_the_error_that_airflow_survives():
    from aml_provider.triggers.blob import AzureBlobChangeTrigger

    with pytest.raises(TypeError, match="either datastore or container_url"):
        AzureBlobChangeTrigger(**row(AzureBlobChangeTrigger(datastore="d")) | {"datastore": None, "newer_place": "x"})
    with pytest.raises(ValueError, match="either datastore or container_url"):
        AzureBlobChangeTrigger()


def test_a_subclass_with_arguments_of_its_own_is_the_same():
    class Watched(AzureMLPipelineRunTrigger):
        def __init__(self, *, why: str = "", **kwargs):
            super().__init__(**kwargs)
            self.why = why

        def serialize(self):
            _, arguments = super().serialize()
            return f"{__name__}.Watched", {**arguments, "why": self.why}

    stored = row(Watched(run_id="r", experiment_name="e", why="so"))
    again = Watched(**stored, new_option=5)
    assert row(again) == stored
    with pytest.raises(TypeError):
        Watched(run_id="r", experiment_name="e", new_option=5)


@pytest.mark.parametrize("interval", ["1", 0, -1.0, float("nan"), None])
@pytest.mark.parametrize("kind", MADE)
async def test_a_stored_poll_interval_that_makes_no_sense_polls_nothing(kind, interval, caplog, capsys):
    """Without a pause it polled as fast as it could."""
    trigger = kind(**row(kind(**REQUIRED[kind.__name__])) | {"poll_interval": interval})
    if kind.__name__ in WATCHERS:
        with pytest.raises(ValueError, match="poll_interval: is "):
            await anext(aiter(trigger.run()))
        return
    event = (await asyncio.wait_for(anext(aiter(trigger.run())), 120)).payload
    assert "poll_interval: is " in event.get("message", str(Said(caplog, capsys)))


@pytest.mark.parametrize("deadline", ["tomorrow", float("nan")])
@pytest.mark.parametrize("kind", [one for one in MADE if "deadline" in inspect.signature(one).parameters])
async def test_a_stored_deadline_that_makes_no_sense_polls_nothing(kind, deadline, caplog, capsys):
    trigger = kind(**row(kind(**REQUIRED[kind.__name__])) | {"deadline": deadline})
    event = (await asyncio.wait_for(anext(aiter(trigger.run())), 120)).payload
    assert "deadline: is " in event.get("message", str(Said(caplog, capsys)))
