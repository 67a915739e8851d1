"""What a DAG file pays when it imports an operator, sensor, trigger or hook: nothing but Airflow and our own words."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest

from aml_provider.compat import AIRFLOW_V_3_3_PLUS
from aml_provider.get_provider_info import get_provider_info

MODULES = [
    "aml_provider.links",
    *(
        module
        for kind in ("hooks", "operators", "sensors", "triggers")
        for group in get_provider_info()[kind]
        for module in group["python-modules"]
    ),
]
# What any DAG file has loaded before it comes to us.
BASELINE = """
import airflow.triggers.base
from airflow.providers.common.compat.sdk import (
    BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, Context, XCom, conf
)
"""
PROGRAM = """
import importlib, json, sys
{baseline}
before = set(sys.modules)
for module in {modules!r}:
    importlib.import_module(module)
print("LOADED", json.dumps(sorted(set(sys.modules) - before)))
"""
# They load when a task runs: dataclasses cost time, clients and credentials a lot of it.
AT_RUN_TIME = {
    "aml_provider.blobs.folder",
    "aml_provider.blobs.listing",
    "aml_provider.client.calls",
    "aml_provider.client.auth.credentials",
    "aml_provider.client.entities",
    "aml_provider.client.flows.runs",
    "aml_provider.client.http.protocol",
    "aml_provider.client.http.clients",
    "aml_provider.client.polling.round",
    "aml_provider.client.polling.queries",
    "aml_provider.client.polling.waits",
    "aml_provider.metrics",
    "aml_provider.metric_sender",
    "aml_provider.worker.argument_files",
    "aml_provider.worker.returned_arguments",
    "aml_provider.worker.run_pipeline",
    "aml_provider.durable.submission",
    "aml_provider.triggerer.shared_clients",
    "aml_provider.triggerer.run_poller",
}


def loaded_by(modules, baseline=BASELINE):
    program = PROGRAM.format(baseline=baseline, modules=list(modules))
    command = [sys.executable, "-W", "ignore", "-c", program]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return set(json.loads(output.split("LOADED ")[1]))


def foreign(modules):
    """Modules that are neither ours nor Airflow's nor Python's."""
    known = {"aml_provider", "airflow", *sys.stdlib_module_names}
    return {name for name in modules if name.partition(".")[0] not in known}


@pytest.fixture(scope="module")
def loaded():
    return loaded_by(MODULES)


def test_our_modules_are_loaded(loaded):
    assert set(MODULES) <= loaded


@pytest.mark.parametrize("module", MODULES)
def test_each_alone_loads_nothing_of_azure(module):
    assert not {name for name in loaded_by([module]) if name.partition(".")[0] in {"azure", "httpx", "msal"}}


def test_no_other_package_is(loaded):
    assert foreign(loaded) == set()


def test_the_decorator_costs_nothing_more_where_airflows_own_are_loaded():
    baseline = f"{BASELINE}\nfrom airflow.providers.common.compat.sdk import DecoratedOperator, task"
    loaded = loaded_by(["aml_provider.decorators.pipeline"], baseline)
    assert foreign(loaded) == set()
    assert loaded & AT_RUN_TIME == set()


def test_what_only_a_run_needs_is_not(loaded):
    assert loaded & AT_RUN_TIME == set()
    assert not {name for name in loaded if name.startswith("aml_provider.emulator")}


def test_who_uses_no_hook_does_not_pay_for_it():
    """It has a hundred methods in eight modules."""
    modules = [name for name in MODULES if not name.startswith("aml_provider.hooks.")]
    assert "aml_provider.hooks.azure_ml" in MODULES
    assert not {name for name in loaded_by(modules) if name.startswith("aml_provider.hooks.azure_ml")}


@pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")
def test_a_retry_policy_costs_only_the_errors():
    loaded = loaded_by(["aml_provider.retry_policies"], baseline=f"{BASELINE}from airflow.sdk import RetryPolicy")
    assert loaded - {name for name in loaded if name.startswith("airflow.")} <= {
        "aml_provider",
        "aml_provider.client",
        "aml_provider.client.errors",
        "aml_provider.client.help",
        "aml_provider.client.text",
        "aml_provider.compat",
        "aml_provider.retry_policies",
    }


@pytest.mark.parametrize("module", sorted(AT_RUN_TIME))
def test_the_modules_that_load_at_run_time_exist(module):
    """Else the test above would show nothing."""
    assert importlib.util.find_spec(module) is not None


def test_modules_of_other_packages_are_found():
    loaded = loaded_by(["azure.core", "httpx"], baseline="")
    assert {"azure.core", "httpx"} <= foreign(loaded)


def test_a_client_loads_nothing_of_azure_before_it_is_built():
    loaded = loaded_by(["aml_provider.client.http.clients", "aml_provider.client.flows.runs"], baseline="")
    assert not {name for name in loaded if name.partition(".")[0] == "azure"}
    assert not {name for name in loaded if name.partition(".")[0] == "airflow"}
