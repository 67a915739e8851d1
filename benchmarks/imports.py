"""What a DAG file pays for importing this provider, beside Airflow's own Azure provider."""

from __future__ import annotations

import json
import subprocess
import sys

from rows import Row

from aml_provider.get_provider_info import get_provider_info

_REPEATS = 7
# What any DAG file with a deferrable operator has loaded before.
_BASELINE = """
import airflow.sdk, airflow.triggers.base
from airflow.sdk import DAG, BaseHook, BaseOperator, BaseOperatorLink, BaseSensorOperator, Context
from airflow.providers.common.compat.sdk import XCom, conf
"""
_PROGRAM = """
import gc, importlib, json, sys, time
{baseline}
gc.collect()  # or what Airflow has left would be collected now or later
before = set(sys.modules)
began = time.process_time()
for module in {modules!r}:
    importlib.import_module(module)
took = time.process_time() - began
new = set(sys.modules) - before
azure = [name for name in new if name.partition(".")[0] in ("azure", "msrest", "msal")]
print(json.dumps([took * 1000, len(azure)]))
"""
_PEERS = {
    "Azure Data Factory": ("operators.data_factory", "sensors.data_factory", "triggers.data_factory"),
    "blob storage": ("sensors.wasb", "triggers.wasb"),
    "Batch and Container Instances": ("operators.batch", "operators.container_instances"),
}


def _cost(modules: list[str]) -> tuple[float, int]:
    """Milliseconds of CPU time beyond the baseline, and how many modules of Azure's SDK came along."""
    program = _PROGRAM.format(baseline=_BASELINE, modules=modules)
    command = [sys.executable, "-W", "ignore", "-c", program]
    found = []
    for _ in range(_REPEATS):
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        found.append(json.loads(output.splitlines()[-1]))
    # The least: what else a machine does only adds to it.
    return min(took for took, _ in found), max(azure for _, azure in found)


def rows() -> list[Row]:
    """The rows with their budgets."""
    info = get_provider_info()
    ours = [
        module
        for kind in ("operators", "sensors", "triggers")
        for group in info[kind]
        for module in group["python-modules"]
    ]
    print("imports", file=sys.stderr, flush=True)
    took, azure = _cost(ours)
    with_hook, _ = _cost([*ours, "aml_provider.links", "aml_provider.hooks.azure_ml"])
    peers = {
        name: _cost([f"airflow.providers.microsoft.azure.{module}" for module in modules])
        for name, modules in _PEERS.items()
    }
    beside = ", ".join(f"{name} {peer:.0f} ms" for name, (peer, _) in peers.items())
    modules = ", ".join(f"{name} {count}" for name, (_, count) in peers.items())
    return [
        Row("importing every operator, sensor and trigger module", took, 8, "ms", beside),
        Row("importing these modules, the hook and the links", with_hook, None, "ms"),
        Row("modules of Azure's SDK loaded by the operator, sensor and trigger modules", azure, 0, "", modules),
    ]
