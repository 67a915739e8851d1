"""The local workspace and the container of a page."""

from __future__ import annotations

import base64
import contextlib
import json
import re
import threading
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import unquote

from aml_provider.emulator.server import EmulatorServer
from aml_provider.testing.blobs import Blobs
from aml_provider.testing.workspace import LocalWorkspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from azurite import Azurite

# As one of Microsoft Entra, which names the identity.
TOKEN = ".".join(
    base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
    for part in ({"alg": "none"}, {"oid": "8d5b0000-0000-4000-8000-000000000000", "idtyp": "app"}, "signature")
)
CONTAINER = "azureml-blobstore-demo"
CSV = "order,amount\n1001,19.90\n1002,5.10\n"
# A minute of the workspace takes 0.06 seconds.
SPEED = 1000.0
_LISTING = re.compile(rf'"GET /\w+/{CONTAINER}\?(\S*comp=list\S*) ')
_STEP = 6 * 3600


class PageBlobs(Blobs):
    """The container of the demo's workspace: the same for all pages of a process, and emptied after each."""

    def __init__(self, azurite: Azurite) -> None:
        self.endpoint = azurite.blob_endpoint
        self.account_name = azurite.account_name
        self.account_key = azurite.account_key
        self.client = azurite.open_container(CONTAINER)

    def __enter__(self) -> Self:
        self._empty()
        for name in ("orders", "2026-01-01"):
            self.write(f"incoming/{name}.csv", CSV)
        return self

    def __exit__(self, *_: object) -> None:
        with self.client:
            self._empty()

    def _empty(self) -> None:
        for name in self.names():
            self.delete(name)


class PageWorkspace(LocalWorkspace):
    """The demo's workspace, for which any token is good, as it is without options."""

    def __init__(self, blobs: PageBlobs) -> None:
        self.token = TOKEN
        self._blobs = blobs
        EmulatorServer.__init__(self, "demo", blob_endpoint=blobs.endpoint, speed=SPEED)


class Visitor:
    """Does what waiting tasks wait for, while they wait.

    Args:
        workspace: The page's workspace.
        blobs: Its container.
        log: The log of the blob service.
    """

    def __init__(self, workspace: PageWorkspace, blobs: PageBlobs, log: Path) -> None:
        self._workspace = workspace
        self._blobs = blobs
        self._log = log

    @contextlib.contextmanager
    def delivering(self, name: str = "new.csv") -> Iterator[None]:
        """Write a file into each folder that is listed meanwhile, after its first listing."""
        begin = self._log.stat().st_size
        delivered: set[str] = set()

        def deliver() -> None:
            with self._log.open() as log:
                log.seek(begin)
                text = log.read()
            for query in _LISTING.findall(text):
                prefix = re.search(r"\bprefix=([^&]*)", query)
                folder = unquote(prefix[1]) if prefix else ""
                if folder not in delivered:
                    delivered.add(folder)
                    self._blobs.write(folder + name, CSV)

        with _repeated(deliver):
            yield

    @contextlib.contextmanager
    def passing_time(self) -> Iterator[None]:
        """Let the time of the workspace pass, so that its schedules fire."""
        with _repeated(lambda: self._workspace.clock.advance(_STEP)):
            yield


@contextlib.contextmanager
def _repeated(action: Any) -> Iterator[None]:
    ended = threading.Event()
    errors: list[Exception] = []

    def repeat() -> None:
        while not ended.wait(0.2):
            try:
                action()
            except Exception as error:  # noqa: BLE001 - raised below
                errors.append(error)
                return

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
    if errors:
        raise errors[0]
