"""A workspace of runs that never end, whose replies are put together beforehand: its cost does not hide a client's.

Its records are those of the local workspace. It serves Azure Data Factory's pipeline runs too, for the peer, and counts
what it was asked: ``GET /_counts``.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import sys
from collections import Counter
from typing import Any

import httpx

from aml_provider.client import calls
from aml_provider.client.http.clients import Client
from aml_provider.client.secret import Secret
from aml_provider.client.settings import WorkspaceSettings
from aml_provider.emulator.server import EmulatorServer

# In a template, where the run's id comes in.
_ID = "11111111-2222-3333-4444-555555555555"
_MARK = b"@RUN@"
_ASKED = re.compile(rb"\b(Parent)?RunId eq ([0-9A-Za-z-]+)")
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")

# https://learn.microsoft.com/rest/api/datafactory/pipeline-runs/get
_FACTORY_RUN: dict[str, Any] = {
    "runId": _ID,
    "debugRunId": None,
    "runGroupId": _ID,
    "pipelineName": "examplePipeline",
    "parameters": {"OutputBlobNameList": '["exampleoutput.csv"]'},
    "invokedBy": {"id": "80a01654a9d34ad18b3fcac5d5d76b67", "name": "Manual", "invokedByType": "Manual"},
    "runStart": "2026-06-16T00:37:44.6257014Z",
    "runEnd": None,
    "durationInMs": None,
    "status": "InProgress",
    "message": "",
    "lastUpdated": "2026-06-16T00:38:12.7314495Z",
    "annotations": [],
    "runDimension": {},
    "isLatest": True,
}


def record_answers() -> dict[str, bytes]:
    """What the local workspace answers about a run that is under way, by kind, with a mark for its id."""
    seed = {
        "pipelines": [
            {
                "name": "long",
                "id": "long",
                "steps": [{"name": "prepare", "run_seconds": 1}, {"name": "train", "run_seconds": 10**6}],
            }
        ]
    }
    with EmulatorServer(seed) as workspace:
        settings = WorkspaceSettings(
            subscription_id="s",
            resource_group="g",
            workspace_name="w",
            auth_method="static_token",
            endpoint=workspace.url,
            secret=Secret("t"),
        )
        with Client(settings) as client:
            run_id = client.call(calls.submit_pipeline("long", {"ExperimentName": "exp", "tags": {"team": "a"}})).id
        workspace.clock.advance(60)
        with httpx.Client(base_url=workspace.url, headers={"Authorization": "Bearer t"}, trust_env=False) as plain:
            history = f"/history/v1.0{settings.scope_path}/experiments/exp/runs/{run_id}"
            answers = {
                "run": plain.get(history).json(),
                "record": plain.get(f"/pipelines/v1.0{settings.scope_path}/PipelineRuns/{run_id}").json(),
                "steps": plain.get(f"{history}/children").json()["value"],
            }
    marked = {kind: json.dumps(answer).replace(run_id, _MARK.decode()).encode() for kind, answer in answers.items()}
    # Without their brackets, to be joined.
    marked["steps"] = marked["steps"].strip(b"[]")
    marked["factory"] = json.dumps(_FACTORY_RUN).replace(_ID, _MARK.decode()).encode()
    return marked


class Connection(asyncio.Protocol):
    """One connection of a client."""

    answers: dict[str, bytes]
    asked: Counter[str]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that has arrived whole."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            head = self._received[:end]
            length = _LENGTH.search(head)
            whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._received) < whole:
                return
            body = self._received[end + 4 : whole]
            self._received = self._received[whole:]
            answer = self._answer(head.split(b" ", 2)[1].partition(b"?")[0], body)
            self._transport.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (len(answer), answer)
            )

    def _answer(self, path: bytes, body: bytes) -> bytes:
        last = path.rpartition(b"/")[2]
        if path == b"/_counts":
            return json.dumps(self.asked).encode()
        if last == b"runs:query":
            asked = _ASKED.findall(body)
            kind = "steps" if asked[0][0] else "run"
            self.asked[f"query of {kind}s".replace("ss", "s")] += 1
            return self._page(kind, [run_id for _, run_id in asked])
        if last == b"children":
            self.asked["list of steps"] += 1
            return self._page("steps", [path.split(b"/")[-2]])
        kind = "factory" if b"/pipelineruns/" in path else "record"
        self.asked[kind] += 1
        return self.answers[kind].replace(_MARK, last)

    def _page(self, kind: str, run_ids: list[bytes]) -> bytes:
        records = b",".join(self.answers[kind].replace(_MARK, run_id) for run_id in run_ids)
        return b'{"value":[%b],"continuationToken":null}' % records


async def serve() -> None:
    """Serve until standard input ends."""
    Connection.answers = record_answers()
    Connection.asked = Counter()
    # Only for sockets that name their protocol does asyncio set TCP_NODELAY.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Connection, sock=listener, backlog=8192)
    print(f"listening on http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
