"""The local workspace as a separate process, and its control API."""

from __future__ import annotations

import os
import re
import secrets
import select
import sys
from datetime import datetime
from typing import TYPE_CHECKING, Any, Self

import httpx
from processes import ServiceError, stop

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from processes import Guard

_LISTENS = re.compile(r"listening on (http://\S+)")


class LocalWorkspace:
    """A context manager that runs ``python -m aml_provider.emulator`` with the demo's pipelines.

    Args:
        guard: Starts the process.
        blob_endpoint: The blob service of its datastores.
        log: The file for its output.
        port: The port on loopback; 0 uses a free one.
        token: The bearer token that it accepts; None: a new one.
        quirks: The other possibilities of the service that it shows.
        start_timeout: Seconds within which it must start to listen.

    Attributes:
        url: Its address.
        token: The bearer token that it accepts.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        blob_endpoint: str,
        log: Path,
        port: int = 0,
        token: str | None = None,
        quirks: Sequence[str] = (),
        start_timeout: float = 60,
    ) -> None:
        self.url = ""
        self.token = token or secrets.token_urlsafe(24)
        self._port = port
        self._guard = guard
        self._blob_endpoint = blob_endpoint
        self._quirks = quirks
        self._log = log
        self._start_timeout = start_timeout

    def __enter__(self) -> Self:
        options = ["--port", str(self._port), "--seed", "demo", "--blob-endpoint", self._blob_endpoint]
        options += [option for quirk in self._quirks for option in ("--quirk", quirk)]
        self._service = self._guard.start(
            "the workspace",
            [sys.executable, "-m", "aml_provider.emulator", *options],
            log=self._log,
            # Every user of the machine can read a command line. The control API is only for this machine.
            env={**os.environ, "AML_EMULATOR_TOKEN": self.token, "AML_EMULATOR_CONTROL_TOKEN": ""},
            piped=True,
        )
        try:
            self.url = self._wait()
        except BaseException:
            stop([self._service], timeout=0)
            raise
        self._client = httpx.Client(base_url=f"{self.url}/_emulator", timeout=30, trust_env=False)
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        stop([self._service], timeout=10)

    def connection(self) -> dict[str, Any]:
        """An Airflow connection that leads here."""
        return {
            "conn_type": "azureml",
            "password": self.token,
            "extra": {
                "subscription_id": "00000000-0000-0000-0000-000000000000",
                "resource_group": "local",
                "workspace_name": "local",
                "auth_method": "static_token",
                "endpoint": self.url,
                "blob_endpoint": self._blob_endpoint,
            },
        }

    def runs(self) -> list[dict[str, Any]]:
        """All runs, oldest first."""
        runs: list[dict[str, Any]] = self._client.get("/runs").raise_for_status().json()["runs"]
        return runs[::-1]

    def schedules(self, kind: str = "schedules") -> list[dict[str, Any]]:
        """All native schedules, or all ``job_schedules``, oldest first, each with its next instants and its runs."""
        schedules: list[dict[str, Any]] = self._client.get("/schedules").raise_for_status().json()[kind]
        return schedules

    def requests(self) -> list[dict[str, Any]]:
        """All logged requests, oldest first."""
        requests: list[dict[str, Any]] = self._client.get("/requests").raise_for_status().json()["requests"]
        return requests

    def forget_requests(self) -> None:
        """Remove the logged requests."""
        self._client.delete("/requests").raise_for_status()

    def drop_next_reply(self, *, method: str, path: str) -> None:
        """Carry out the next matching request, but close its connection without a reply."""
        self.add_fault("drop", method=method, path=path)

    def add_fault(self, kind: str, **fault: Any) -> None:
        """Add a fault, which matching requests meet; docs/reference/emulator.md lists kinds and filters."""
        self._client.post("/faults", json={"kind": kind, **fault}).raise_for_status()

    def clear_faults(self) -> None:
        """Remove all faults."""
        self._client.delete("/faults").raise_for_status()

    def hold_clock(self, *, held: bool) -> None:
        """Stop the workspace's clock, or let it run."""
        self._client.post("/clock", json={"held": held}).raise_for_status()

    def move_clock(self, seconds: float) -> None:
        """Move the clock; everything that is due meanwhile has happened when this returns."""
        self._client.post("/clock", json={"advance": seconds}).raise_for_status()

    def now(self) -> datetime:
        """The workspace's time."""
        return datetime.fromisoformat(self._client.get("/clock").raise_for_status().json()["now"])

    def _wait(self) -> str:
        output = self._service.process.stdout
        assert output is not None
        # It writes one line to standard output, and flushes it.
        ready, _, _ = select.select([output], [], [], self._start_timeout)
        listens = _LISTENS.search(output.readline().decode()) if ready else None
        if listens is None:
            raise ServiceError("the workspace did not start", self._log)
        return listens[1]
