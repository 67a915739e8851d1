"""The package is the built one, and everything that it needs is there."""

from __future__ import annotations

import importlib
import importlib.util
import os
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import airflow
import pytest
from packaging.requirements import Requirement

import aml_provider
from aml_provider.compat import AIRFLOW_V_3_3_PLUS

NAME = "airflow-provider-azureml"
CHECKOUT = Path(__file__).resolve().parents[2]
# Its table of public names is read, but its tests are not run: they need the checkout.
SPEC = importlib.util.spec_from_file_location("public_names", CHECKOUT / "tests" / "unit" / "test_public_names.py")
PUBLIC_NAMES = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(PUBLIC_NAMES)


def test_this_is_the_airflow_of_the_cell():
    assert airflow.__version__ == os.environ["MATRIX_AIRFLOW"]


def test_the_package_comes_from_the_environment_and_not_from_the_checkout():
    assert Path(aml_provider.__file__).is_relative_to(sysconfig.get_path("purelib"))
    assert CHECKOUT not in {Path(place).resolve() for place in [*sys.path, os.curdir]}
    script = "import sys, aml_provider; print(aml_provider.__file__); print(*sys.path, sep='\\n')"
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    file, *path = shown.splitlines()
    assert Path(file) == Path(aml_provider.__file__)
    assert CHECKOUT not in {Path(place).resolve() for place in path}


def test_what_it_needs_is_installed_in_a_version_that_it_takes():
    wrong = []
    for line in metadata.requires(NAME):
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": "emulator"}):
            continue
        version = metadata.version(requirement.name)
        if not requirement.specifier.contains(version, prereleases=True):
            wrong.append(f"{requirement}, but {version} is installed")
    assert wrong == []


@pytest.mark.parametrize("module", PUBLIC_NAMES.PUBLIC)
def test_each_public_module_can_be_imported_and_has_its_names(module):
    if module == "retry_policies" and not AIRFLOW_V_3_3_PLUS:
        with pytest.raises(ImportError, match="needs Airflow 3"):
            importlib.import_module(f"aml_provider.{module}")
        return
    imported = importlib.import_module(f"aml_provider.{module}")
    # StepFunction exists for type checkers only.
    assert [name for name in PUBLIC_NAMES.PUBLIC[module].split() if not hasattr(imported, name)] in (
        [],
        ["StepFunction"],
    )
