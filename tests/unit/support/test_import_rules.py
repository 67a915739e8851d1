"""Each import that a rule forbids is found, however it is written, and what is allowed is not."""

from __future__ import annotations

import pytest
from support.oracles.import_rules import (
    CLIENT,
    LATE,
    MODULES,
    ROOMS,
    Module,
    breaches,
    circles,
    early,
    foreign,
)


@pytest.mark.parametrize(
    "source",
    [
        "import airflow",
        "import airflow.models as models",
        "import os, airflow.sdk",
        "from airflow import DAG",
        "from airflow.sdk import DAG",
        "def run():\n    from airflow.sdk import DAG",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from airflow.sdk import DAG",
        "try:\n    import airflow\nexcept ImportError:\n    pass",
        "import importlib\nimportlib.import_module('airflow.sdk')",
        "__import__('airflow')",
    ],
)
def test_airflow_is_found_where_it_may_not_be(source):
    for room in ("client.new", "blobs", "durable.submission", "stored", "durations", "emulator.wire.new"):
        assert foreign({f"aml_provider.{room}": Module(source)}) != []
    assert foreign({"aml_provider.hooks.new": Module(source)}) == []


@pytest.mark.parametrize(
    "source", ["import os", "import urllib.parse", "from http import HTTPStatus", "'import airflow'"]
)
def test_the_standard_library_may_be_imported(source):
    assert foreign({"aml_provider.client.new": Module(source)}) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("client.new", "import airflows"),
        ("client.new", "import yaml"),
        ("client.http.protocol", "from httpx import URL"),
        ("client.new", "from urllib.request import urlopen"),
        ("client.new", "import http.client"),
        ("hooks.new", "import httpx"),
        ("hooks.new", "import requests"),
        ("hooks.new", "import azure.identity"),
        ("hooks.new", "import pytest"),
        ("hooks.new", "from support.services.recorder import Recorder"),
        ("durable.new", "import sqlalchemy"),
    ],
)
def test_a_library_is_found_where_it_may_not_be(module, source):
    assert foreign({f"aml_provider.{module}": Module(source)}) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("hooks.new", "from aml_provider import emulator"),
        ("hooks.new", "from ..emulator.server import X"),
        ("links", "from . import emulator"),
        ("hooks.new", "from aml_provider import state"),
        ("client.new", "from aml_provider.blobs import listing"),
        ("durable.new", "from aml_provider.state.variables import read"),
        ("durable.new", "def run():\n    from aml_provider.hooks.azure_ml import AzureMLHook"),
        ("state.new", "from aml_provider.hooks.azure_ml import AzureMLHook"),
        ("triggers.new", "import aml_provider.operators.pipeline"),
        ("triggerer.new", "from aml_provider.triggers.pipeline import AzureMLPipelineRunTrigger"),
        ("worker.new", "if TYPE_CHECKING:\n    from aml_provider.operators.pipeline import X"),
        ("worker.new", "if TYPE_CHECKING:\n    from aml_provider.sensors.blob import X"),
        ("parsing.new", "if TYPE_CHECKING:\n    from aml_provider.operators.pipeline import X"),
        ("parsing.new", "from aml_provider.worker import deadlines"),
        ("operators.new", "from aml_provider.sensors.pipeline import X"),
        ("operators.new", "def run():\n    from aml_provider.api_server import cancel"),
        ("api_server.new", "from aml_provider.operators.pipeline import X"),
        ("cli.new", "from aml_provider.worker import run_pipeline"),
        ("get_provider_info", "from aml_provider import cli"),
        ("hooks.new", "import_module('aml_provider.worker.run_pipeline')"),
        ("hooks.new", "async def f():\n    await load('aml_provider.worker.run_pipeline')"),
        ("emulator.new", "from aml_provider.client import errors"),
    ],
)
def test_a_room_is_found_that_imports_what_it_may_not(module, source):
    assert breaches(ROOMS, "aml_provider", {f"aml_provider.{module}": Module(source)}) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("calls.new", "from aml_provider.client.http.clients import Client"),
        ("calls.new", "from aml_provider.client.flows import runs"),
        ("entities.new", "from aml_provider.client import calls"),
        ("entities.new", "from aml_provider.client.specs.run import X"),
        ("specs.new", "from aml_provider.client.http.messages import Request"),
        ("flows.new", "from aml_provider.client.http.clients import Client"),
        ("flows.new", "from aml_provider.client.http.protocol import X"),
        ("flows.new", "if TYPE_CHECKING:\n    from aml_provider.client.polling.waits import X"),
        ("polling.new", "from aml_provider.client.http import clients"),
        ("auth.new", "from aml_provider.client.http.clients import Client"),
        ("http.messages", "from aml_provider.client.http.clients import Client"),
        ("http.retry", "from aml_provider.client.flows import runs"),
        ("errors", "from aml_provider.client.entities import Run"),
    ],
)
def test_a_part_of_the_client_is_found_that_imports_what_it_may_not(module, source):
    assert breaches(CLIENT, "aml_provider.client", {f"aml_provider.client.{module}": Module(source)}) != []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("flows.new", "from aml_provider.client.http.messages import Request"),
        ("http.clients", "from aml_provider.client.http import protocol"),
        ("http.clients", "from aml_provider.client.http.retry import X"),
        ("calls.new", "from aml_provider.client.calls.call import Call"),
        ("calls.new", "import aml_provider"),
    ],
)
def test_a_part_of_the_client_may_import_what_its_row_says(module, source):
    assert breaches(CLIENT, "aml_provider.client", {f"aml_provider.client.{module}": Module(source)}) == []


@pytest.mark.parametrize("room", LATE)
@pytest.mark.parametrize("importer", ["operators.new", "sensors.new", "triggers.new", "plugin", "hooks.new"])
def test_a_late_room_is_found_at_module_level(importer, room):
    name = f"aml_provider.{importer}"
    for line in (f"from aml_provider.{room} import x", f"import aml_provider.{room}.x"):
        assert early({name: Module(line)}) != []
        assert early({name: Module(f"class X:\n    {line}")}) != []
        assert early({name: Module(f"if TYPE_CHECKING:\n    pass\nelse:\n    {line}")}) != []
        assert early({name: Module(f"def run():\n    {line}")}) == []
        assert early({name: Module(f"if TYPE_CHECKING:\n    {line}")}) == []
    assert early({name: Module("from aml_provider.triggerer.loading import load")}) == []


@pytest.mark.parametrize(
    "back",
    [
        "from aml_provider.client.flows.runs import x",
        "import aml_provider.client.flows.runs",
        "from .flows import runs",
        "from aml_provider.client.flows import runs",
        "def x():\n    from aml_provider.client.flows import runs",
        "if TYPE_CHECKING:\n    from aml_provider.client.flows.runs import x",
        "async def x():\n    await asyncio.to_thread(import_module, 'aml_provider.client.flows.runs')",
    ],
)
def test_a_circle_is_found_that_is_put_into_the_package(back):
    """``flows.runs`` imports ``errors``; now ``errors`` imports ``flows.runs``."""
    errors = "aml_provider.client.errors"
    changed = MODULES | {errors: Module(f"{MODULES[errors].source}\n{back}\n")}
    assert any(f"{errors} -> aml_provider.client.flows.runs" in circle for circle in circles(changed))


def test_circles_of_any_length_are_found_one_by_one():
    found = circles(
        {
            "a": Module("import b"),
            "b": Module("import c"),
            "c": Module("import a, d"),
            "d": Module("import e"),
            "e": Module("def f():\n    import d"),
            "f": Module("import a, f"),
        }
    )
    assert found == ["a -> b; b -> c; c -> a", "d -> e; e -> d"]
