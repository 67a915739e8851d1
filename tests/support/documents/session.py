"""A page as a session: executes its blocks from top to bottom, and collects what fails."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sqlite3
import subprocess
import sys
import traceback
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from support.documents import dag_blocks, outputs, placeholders
from support.documents.blocks import (
    SHOWN,
    PageError,
    check_content,
    imported,
    only_defines,
    read_page,
    reason_not_to_run,
)
from support.documents.foreign import foreign_operators
from support.documents.shell import BLOB_ENDPOINT, WORKSPACE_URL, Command, CommandError, Shell, read_commands
from support.documents.workspace import CONTAINER, Visitor
from visit import write_connection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.documents.blocks import Block
    from support.documents.workspace import PageBlobs, PageWorkspace

_CONNECTION = "AIRFLOW_CONN_AZUREML_DEFAULT"
_AZURE_CONTAINER = re.compile(r"https://[\w<> -]+\.blob\.core\.windows\.net/[\w<> -]+(?=[\"'/])")
_CONFIG = {
    "subscription_id": placeholders.PLACEHOLDERS["subscription id"],
    "resource_group": placeholders.PLACEHOLDERS["resource group"],
    "workspace_name": placeholders.PLACEHOLDERS["workspace"],
}
# Tasks without dependencies are run in the order of the page.
_CHAINED = """
_dag.__exit__(None, None, None)
if not any(task.upstream_task_ids for task in _dag.tasks):
    from airflow.sdk import chain as _chain

    _chain(*_dag.tasks)
"""
_PYTEST_OPTIONS = "-p no:cacheprovider -W error::pytest.PytestWarning -o asyncio_default_fixture_loop_scope=function"


class Session:
    """What a page has while its blocks are executed.

    Args:
        path: The page.
        folder: An empty folder.
        workspace: The page's workspace, which serves.
        blobs: Its container.
        log: The log of the blob service.
        database: An Airflow database, which the page's commands get a copy of.
        azurite: The JavaScript file of the blob service, for the page's tests, and the Node.js that runs it.

    Attributes:
        counts: How many blocks and commands were executed, by kind.
        failures: What failed, with the line of the page.
    """

    def __init__(
        self,
        path: Path,
        folder: Path,
        workspace: PageWorkspace,
        blobs: PageBlobs,
        *,
        log: Path,
        database: Path,
        azurite: tuple[Path, Path],
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.failures: list[str] = []
        self._path = path
        self._folder = folder
        self._workspace = workspace
        self._blobs = blobs
        self._visitor = Visitor(workspace, blobs, log)
        self._database = folder / "airflow" / "airflow.db"
        self._database.parent.mkdir()
        with (
            contextlib.closing(sqlite3.connect(database)) as own,
            contextlib.closing(sqlite3.connect(self._database)) as copy,
        ):
            # Not only the file: some of it may be in the log of the database.
            own.backup(copy)
        self._azurite, self._node = azurite
        self._names: dict[str, Any] = {}
        self._dag_runs: dict[str, Any] = {}
        self._printed = ""
        self._tests: list[Path] = []
        self._named_tests: list[Path] = []
        self._has_run_pytest = False
        self._before: list[str] = []
        self._connection = json.dumps(workspace.connection())
        write_connection(workspace.connection(), folder / ".cache" / "workspace" / "8700")
        # As the studio offers it for download.
        (folder / "config.json").write_text(json.dumps(_CONFIG, indent=4))

    def execute(self) -> None:
        """Execute the page."""
        try:
            blocks = read_page(self._path)
        except PageError as error:
            self.failures.append(str(error))
            return
        later = [block.code for block in blocks]
        addresses = {WORKSPACE_URL: self._workspace.url, BLOB_ENDPOINT: self._blobs.endpoint}
        programs = {"node": self._node}
        with (
            Shell(self._folder, self._environment(), addresses, programs) as shell,
            foreign_operators(),
            _own_path(),
            contextlib.chdir(self._folder),
        ):
            for block in blocks:
                if block.file is not None:
                    self._write(block.file, block)
            for number, block in enumerate(blocks):
                self._before = later[:number]
                try:
                    self._one(block, shell, later[number + 1 :])
                except Exception as error:  # noqa: BLE001 - all that a block may raise
                    self.failures.append(f"line {block.line}: {_text(error, self._path)}")
                    if block.language == "test":
                        # What it has not prepared, later blocks might wait for.
                        break
            if not self._has_run_pytest:
                self._tests += self._named_tests
            if self._tests:
                self._run_tests(shell)
            self.counts["stand-ins"] += shell.stand_ins

    def _one(self, block: Block, shell: Shell, later: list[str]) -> None:
        if block.language == "test":
            self._hidden(block)
            return
        if reason := reason_not_to_run(block):
            compile(block.code, str(self._path), "exec")
            self.counts[f"not run: {reason}"] += 1
            return
        check_content(block)
        if block.file is not None:
            # A later block may have replaced it.
            self._write(block.file, block)
            self.counts["files"] += block.language != "python"
        if block.language == "console":
            self._console(block, shell)
        elif block.language == "python":
            self._python(block, later)
        elif block.language == "text" and "output" in block.options:
            self._output(block)
        elif block.language not in SHOWN and block.file is None:
            self.counts["checked"] += 1

    def _write(self, name: str, block: Block) -> None:
        file = (self._folder / name).resolve()
        if not file.is_relative_to(self._folder.resolve()):
            raise PageError(block.line, f"{name} is not in the page's folder")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self._filled(block))

    def _python(self, block: Block, later: list[str]) -> None:
        self.counts["python"] += 1
        match block.kind:
            case "dag" | "tasks":
                self._dags(block, later)
            case "tests":
                self._keep_tests(block)
            case _ if block.file is not None:
                name = Path(block.file).stem
                if not any(re.search(rf"\b{name}\b", code) for code in (*later, *self._before)):
                    raise PageError(block.line, f"nothing else on the page uses {block.file}")
            case _:
                defined = only_defines(block.code)
                if defined and not any(re.search(rf"\b{name}\b", code) for name in defined for code in later):
                    raise PageError(block.line, f"nothing later on the page uses {sorted(defined)}")
                self._snippet(block)

    def _snippet(self, block: Block) -> None:
        # Its functions keep its imports; the next block does not get them.
        names = dict(self._names)
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(self._compiled(block), names)
        self._printed = printed.getvalue()
        self._keep(names, imported(block.code))

    def _hidden(self, block: Block) -> None:
        from aml_provider.hooks.azure_ml import AzureMLHook

        own = {
            "workspace": self._workspace,
            "blobs": self._blobs,
            "hook": AzureMLHook(),
            "dag_runs": self._dag_runs,
            "folder": self._folder,
        }
        names = {**own, **self._names}
        exec(self._compiled(block), names)
        # What it prepares is there for the blocks of the page; its own imports are not.
        self._keep(names, {*own, *imported(block.code)} - self._names.keys())
        self.counts["hidden"] += 1

    def _keep(self, names: dict[str, Any], without: set[str]) -> None:
        """Keep a block's variables for the next ones."""
        left_out = {"__builtins__", *without}
        self._names |= {name: value for name, value in names.items() if name not in left_out}

    def _dags(self, block: Block, later: list[str]) -> None:
        if block.file is not None:
            file = self._folder / block.file
        else:
            file = self._folder / f"block_{block.line}.py"
            # The lines of an error are those of the page.
            begin = "\n" * (block.line - 2)
            code = self._filled(block)
            if block.kind == "tasks":
                name = f"{self._path.stem}_{block.line}"
                begin += f"from airflow.sdk import DAG as _DAG; _dag = _DAG({name!r}, schedule=None); _dag.__enter__()"
                code += "\n" + _CHAINED
            file.write_text(f"{begin}\n{code}")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            dags = dag_blocks.load(file)
            if block.file is not None and any(
                re.search(rf"^(from|import) {file.stem}\b", code, re.MULTILINE) for code in later
            ):
                # The tests on the page run its DAGs, with a workspace of their own.
                return
            for dag_id, dag in dags.items():
                ends = block.options.get("ends", "success")
                self._dag_runs[dag_id] = dag_blocks.run_dag(dag, self._visitor, self._blobs, ends=ends)
                self.counts["DAG runs"] += 1
        self._printed = printed.getvalue()
        if block.file is None:
            # A later block may show the same DAG with more in it.
            file.unlink()

    def _keep_tests(self, block: Block) -> None:
        """Tests are run at the end, together; those in files of their own only if no command has run them."""
        if block.file is not None:
            self._named_tests.append(self._folder / block.file)
            return
        file = self._folder / ".tests" / f"test_block_{block.line}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text("\n" * (block.line - 1) + self._filled(block))
        self._tests.append(file)

    def _run_tests(self, shell: Shell) -> None:
        """Run the tests without a name; a block that only has fixtures has no test."""
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "--import-mode=importlib", "-q", *map(str, self._tests)],
            cwd=self._folder,
            env={**shell.environment, "PATH": str(shell.programs), "HOME": str(self._folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode not in {0, 5}:
            self.failures.append(f"the tests of the page:\n{done.stdout}{done.stderr}")

    def _output(self, block: Block) -> None:
        if problem := outputs.contains(block.code, self._printed):
            raise PageError(block.line, problem)
        self.counts["outputs"] += 1

    def _console(self, block: Block, shell: Shell) -> None:
        commands = read_commands(block.code, block.line)
        for command in commands:
            last = command is commands[-1]
            try:
                self._command(command, shell, int(block.options.get("exits", 0)) if last else 0)
            except (CommandError, LookupError) as error:
                self.failures.append(f"line {command.line}: $ {command.text}\n{error}")

    def _command(self, command: Command, shell: Shell, exits: int) -> None:
        self.counts["commands"] += 1
        if "…" in re.sub(r"\s#.*", "", command.text):
            raise CommandError("… is no value; use a placeholder")
        filled = Command(command.line, placeholders.fill(command.text, self._known()), command.shown)
        with contextlib.ExitStack() as happening:
            if "airflow dags test" in command.text:
                happening.enter_context(self._visitor.delivering())
            output = shell.run(filled, exits=exits)
        self._has_run_pytest |= bool(re.search(r"\bpytest\b", command.text)) and "install" not in command.text
        self._check_connections(command, shell)
        if command.shown and output is not None:
            self.counts["outputs"] += 1
            if problem := outputs.differences(command.shown, output):
                raise CommandError(problem)

    def _check_connections(self, command: Command, shell: Shell) -> None:
        """Read the connections that a command has made, and let those to Azure lead to the local workspace."""
        if "AIRFLOW_CONN_" in command.text or re.search(r"^\s*(\.|source) ", command.text):
            for name, value in shell.variables().items():
                if name.startswith("AIRFLOW_CONN_") and value != self._connection:
                    settings = _read_connection(name, value)
                    if name == _CONNECTION and (settings is None or settings.endpoint != self._workspace.url):
                        shell.set(name, self._connection)
                    self.counts["connections"] += 1
        if "airflow connections" in command.text:
            self.counts["connections"] += _read_stored(self._database)

    def _environment(self) -> dict[str, str]:
        from airflow.configuration import conf

        return {
            # So that the test can read what commands have encrypted.
            "AIRFLOW__CORE__FERNET_KEY": conf.get("core", "fernet_key"),
            "AIRFLOW_HOME": str(self._folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(self._folder / "dags"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self._database}",
            "AIRFLOW__DATABASE__LOAD_DEFAULT_CONNECTIONS": "False",
            "AIRFLOW__AZUREML__LOOKUP_GRACE": "1",
            "PYTEST_ADDOPTS": f"{_PYTEST_OPTIONS} -o azureml_azurite={self._azurite}",
            _CONNECTION: self._connection,
        }

    def _known(self) -> dict[str, str]:
        runs = self._workspace.runs()
        schedules = self._workspace.schedules()
        known = {"run id": runs[-1]["id"]} if runs else {}
        return known | ({"schedule id": schedules[-1]["id"]} if schedules else {})

    def _filled(self, block: Block) -> str:
        code = _AZURE_CONTAINER.sub(f"{self._blobs.endpoint}/{CONTAINER}", block.code)
        for shown, real in ((WORKSPACE_URL, self._workspace.url), (BLOB_ENDPOINT, self._blobs.endpoint)):
            code = code.replace(shown, real)
        return placeholders.fill(code, self._known(), strictly=False) if block.language == "python" else code

    def _compiled(self, block: Block) -> Any:
        return compile("\n" * (block.line - 1) + self._filled(block), str(self._path), "exec")


@contextlib.contextmanager
def _own_path() -> Iterator[None]:
    """Restore the path of imports afterwards: Airflow adds the folder of the DAGs."""
    before = list(sys.path)
    yield
    sys.path[:] = before


def _read_connection(name: str, value: str) -> Any:
    """Read a connection of an environment variable with the real hook; None for one of another type."""
    from unittest.mock import patch

    from airflow.sdk import BaseHook

    from aml_provider.connection import CONN_TYPE, settings_of

    with patch.dict(os.environ, {name: value}):
        connection = BaseHook.get_connection(name.removeprefix("AIRFLOW_CONN_").lower())
        return settings_of(connection) if connection.conn_type in {CONN_TYPE, "", None} else None


def _read_stored(database: Path) -> int:
    """Read the connections in the database of the page's commands; returns their number."""
    import sqlalchemy as sa
    from airflow.models.connection import Connection
    from sqlalchemy.orm import Session as DatabaseSession

    from aml_provider.connection import CONN_TYPE, settings_of

    engine = sa.create_engine(f"sqlite:///{database}")
    try:
        with DatabaseSession(engine) as session:
            stored = [item for item in session.scalars(sa.select(Connection)) if item.conn_type == CONN_TYPE]
            for connection in stored:
                settings_of(connection)
            return len(stored)
    finally:
        engine.dispose()


def _text(error: Exception, path: Path) -> str:
    """An error, with the lines of the page or of its files."""
    frames = [
        f"  {frame.filename}:{frame.lineno}: {frame.line or ''}"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == str(path)
    ]
    return "\n".join([f"{type(error).__name__}: {error}", *frames])
