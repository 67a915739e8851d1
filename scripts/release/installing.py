"""The wheel in a fresh environment, and the bill of materials of what was installed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.building import BuildError

if TYPE_CHECKING:
    from release.building import Built
    from release.repository import Repository

#: The lock from which the wheel's dependencies are taken.
_LOCK = "requirements/airflow-3.3.txt"
_EXTRAS = "emulator,openlineage"

_IMPORT = """
import importlib, json, pkgutil
from importlib.metadata import entry_points, version

import aml_provider

failed, names = {}, []
for module in pkgutil.walk_packages(aml_provider.__path__, "aml_provider.", onerror=lambda name: None):
    # Only pytest loads its plugin; each cell of the matrix does.
    if not module.name.endswith((".__main__", ".pytest_plugin")):
        names.append(module.name)
for name in names:
    try:
        importlib.import_module(name)
    except Exception as error:
        failed[name] = repr(error)
points = [*entry_points(group="apache_airflow_provider"), *entry_points(group="airflow.plugins")]
print("RESULT", json.dumps({
    "failed": failed,
    "modules": len(names),
    "place": aml_provider.__file__,
    "version": version("airflow-provider-azureml"),
    "points": sorted(point.name for point in points if point.value.startswith("aml_provider.") and point.load()),
}))
"""


class Imported(NamedTuple):
    """The modules of the installed wheel.

    Attributes:
        modules: Their number.
        problems: What cannot be imported or started.
    """

    modules: int
    problems: list[str]


class Sbom(NamedTuple):
    """A bill of materials.

    Attributes:
        components: The number of its packages.
        problems: What is wrong with it.
    """

    components: int
    problems: list[str]


def install(built: Built, repository: Repository, scratch: Path) -> Path:
    """Install the wheel, with dependencies from the lock, each checked by its hash; returns the environment's Python.

    Raises:
        BuildError: It cannot be installed.
    """
    uv = repository.root / ".cache" / "uv" / "bin" / "uv"
    environment, wanted = scratch / "environment", scratch / "wanted.txt"
    # By name and hash, not by path: a path would be written into the environment, and from there into the SBOM.
    digest = hashlib.sha256(built.wheel.read_bytes()).hexdigest()
    wanted.write_text(f"{repository.name}[{_EXTRAS}]=={built.version} --hash=sha256:{digest}\n")
    python = environment / "bin" / "python"
    sources: list[str | Path] = [
        "--find-links",
        built.wheel.parent,
        "--constraints",
        repository.root / _LOCK,
        "--requirements",
        wanted,
    ]
    commands: list[list[str | Path]] = [
        ["venv", "--quiet", "--no-project", "--python", sys.executable, environment],
        ["pip", "install", "--quiet", "--python", python, "--require-hashes", *sources],
        ["pip", "check", "--quiet", "--python", python],
    ]
    for command in commands:
        # Few of the modules are imported, and only once: compiling all of them takes longer.
        environment_of_uv = {**os.environ, "UV_COMPILE_BYTECODE": "0"}
        result = subprocess.run([uv, *command], env=environment_of_uv, capture_output=True, text=True, check=False)
        if result.returncode:
            raise BuildError(f"the wheel cannot be installed: {result.stderr.strip()}")
    return python


def import_everything(python: Path, version: str, scratch: Path) -> Imported:
    """Import every module, load the entry points and start the programs, outside the checkout."""
    home = scratch / "home"
    home.mkdir()
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"AIRFLOW_HOME": str(home), "HOME": str(home)}

    def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)

    programs: dict[str, list[str | Path]] = {
        "python -m aml_provider": [python, "-m", "aml_provider"],
        "python -m aml_provider.emulator": [python, "-m", "aml_provider.emulator"],
        "airflow-azureml": [python.with_name("airflow-azureml")],
    }
    problems = [
        f"{name} --help fails: {result.stderr.strip()}"
        for name, program in programs.items()
        if (result := run(*program, "--help")).returncode
    ]
    result = run(python, "-c", _IMPORT)
    if "RESULT " not in result.stdout:
        return Imported(0, [*problems, f"the installed package cannot be imported: {result.stderr.strip()}"])
    found = json.loads(result.stdout.rpartition("RESULT ")[2])
    problems += [f"{module} cannot be imported: {error}" for module, error in found["failed"].items()]
    if not Path(found["place"]).is_relative_to(python.parents[1]):
        problems.append(f"not the installed package was imported, but {found['place']}")
    if found["version"] != version:
        problems.append(f"version {found['version']} was installed, not {version}")
    if found["points"] != ["azureml", "provider_info"]:
        problems.append(f"the entry points are {found['points']}")
    return Imported(found["modules"], problems)


def describe(python: Path, built: Built, repository: Repository, target: Path) -> Sbom:
    """Write the bill of materials of an environment, in CycloneDX's format.

    Raises:
        BuildError: It cannot be written.
    """
    command: list[str | Path] = [Path(sys.executable).parent / "cyclonedx-py", "environment", python]
    command += ["--output-reproducible", "--output-file", target]
    command += ["--pyproject", repository.root / "pyproject.toml", "--mc-type", "library"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": repository.time}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode:
        raise BuildError(f"there is no SBOM: {result.stderr.strip()}")
    sbom = json.loads(target.read_text())
    # The tool reads pyproject.toml, where the version is not written.
    sbom["metadata"]["component"] |= {
        "version": built.version,
        "purl": f"pkg:pypi/{repository.name}@{built.version}",
    }
    text = json.dumps(sbom, indent=2, ensure_ascii=False) + "\n"
    target.write_text(text)
    named = {canonicalize_name(component["name"]) for component in sbom["components"]}
    requirements = [Requirement(line) for line in built.metadata.get_all("Requires-Dist", [])]
    problems = [f"the SBOM lacks {item.name}" for item in requirements if canonicalize_name(item.name) not in named]
    if "file:" in text or str(repository.root) in text:
        problems.append("the SBOM names a path of this machine")
    return Sbom(len(sbom["components"]), problems)
