"""The local workspace as a separate process, and its control API."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import TYPE_CHECKING, Any

import requests
from processes import ServiceError, stop

if TYPE_CHECKING:
    from processes import Guard

_ROOT = Path(__file__).resolve().parents[2]
_PYTHON = _ROOT / ".venv/bin/python"
_LISTENS = "listening on "
_START_SECONDS = 60


class LocalService:
    """A process that prints ``listening on …`` when it is ready.

    Args:
        guard: Starts the process, and ends it if this process dies.
        name: Its name in messages.
        command: The arguments of the project's Python.
        log: The file for its standard error.
        **environment: Variables in addition to ours.

    Attributes:
        addresses: The addresses on which it listens.

    Raises:
        ServiceError: It ended, or printed nothing for a minute.
    """

    def __init__(self, guard: Guard, name: str, command: list[str], log: Path, **environment: str) -> None:
        self._service = guard.start(
            name, [str(_PYTHON), *command], log=log, env={**os.environ, **environment}, piped=True
        )
        output = self._service.process.stdout
        assert output is not None
        ready, _, _ = select.select([output], [], [], _START_SECONDS)
        line = output.readline().decode() if ready else ""
        if not line.startswith(_LISTENS):
            self.stop()
            errors = log.read_text(encoding="utf-8", errors="replace")
            raise ServiceError(f"{name} did not start; its output:\n{line}{errors}", log)
        self.addresses = line.removeprefix(_LISTENS).split()

    def stop(self) -> None:
        """End the process."""
        stop([self._service], timeout=10)


class LocalEmulator(LocalService):
    """A running local workspace.

    Args:
        guard: Starts the process, and ends it.
        log: The file that gets its output.
        *options: Its command line.
        trusted: The certificate of the authority that signed the workspace's, if it serves https.

    Attributes:
        url: Its address.
    """

    def __init__(self, guard: Guard, log: Path, *options: str, trusted: Path | None = None) -> None:
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = True if trusted is None else str(trusted)
        super().__init__(guard, "the workspace", ["-m", "aml_provider.emulator", "--port", "0", *options], log)
        (self.url,) = self.addresses

    def stop(self) -> None:
        """End the process."""
        self._session.close()
        super().stop()

    def reset(self) -> None:
        """Return to the seed."""
        self._control("POST", "reset")

    def requests(self, method: str | None = None, path_contains: str | None = None) -> list[dict[str, Any]]:
        """The requests since the last reset, oldest first."""
        query = {"method": method, "path_contains": path_contains}
        return list(self._control("GET", "requests", params=query)["requests"])

    def jobs(self) -> dict[str, dict[str, Any]]:
        """All jobs by id, newest first, as runs with details that the services do not show."""
        return {name: run for name, run in self.runs().items() if run.get("job")}

    def forget_requests(self) -> None:
        """Clear the request log."""
        self._control("DELETE", "requests")

    def runs(self) -> dict[str, dict[str, Any]]:
        """All pipeline runs by id, newest first, with details that the services do not show."""
        return {run["id"]: run for run in self._control("GET", "runs")["runs"]}

    def schedules(self) -> dict[str, dict[str, Any]]:
        """All schedules by id, with details that the services do not show."""
        return {item["id"]: item for item in self._control("GET", "schedules")["schedules"]}

    def advance(self, seconds: float) -> None:
        """Move the clock; everything that is due meanwhile has happened when this returns."""
        self._control("POST", "clock", json={"advance": seconds})

    def set_speed(self, speed: float) -> None:
        """Set the workspace seconds per real second."""
        self._control("POST", "clock", json={"speed": speed})

    def hold(self) -> None:
        """Stop the clock."""
        self._control("POST", "clock", json={"held": True})

    def release(self) -> None:
        """Let time continue."""
        self._control("POST", "clock", json={"held": False})

    def refuse(self, status: int, **fault: Any) -> None:
        """Answer the next request with a ``method`` and a ``path`` with an error."""
        self._control("POST", "faults", json={"kind": "status", "status": status, **fault})

    def call(self, method: str, path: str, **arguments: Any) -> requests.Response:
        """Send a request that the SDK itself never sends."""
        return self._session.request(method, f"{self.url}{path}", timeout=30, **arguments)

    def _control(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        response = self.call(method, f"/_emulator/{path}", **arguments)
        response.raise_for_status()
        return dict(response.json())
