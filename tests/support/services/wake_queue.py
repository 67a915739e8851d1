"""Storage queues for tests: Azurite's, and events as Event Grid writes them."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import escape

import azurite
import httpx
from azure.storage.blob import generate_account_sas

from aml_provider.testing.azurite import Azurite

STORAGE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/"


def event(
    path: str,
    kind: str = "BlobCreated",
    *,
    container: str = "landing",
    account: str = "acc",
    schema: str = "cloud",
    **data: Any,
) -> dict[str, Any]:
    """One event about a blob or directory, in the schema ``cloud`` (CloudEvents 1.0) or ``grid`` (Event Grid's own)."""
    facts = {"api": "PutBlob", "url": f"https://{account}.blob.core.windows.net/{container}/{quote(path)}", **data}
    common = {
        "id": str(uuid.uuid4()),
        "subject": f"/blobServices/default/containers/{container}/blobs/{path}",
        "data": facts,
    }
    if schema == "cloud":
        return {"specversion": "1.0", "type": f"Microsoft.Storage.{kind}", "source": f"{STORAGE}{account}", **common}
    return {"eventType": f"Microsoft.Storage.{kind}", "topic": f"{STORAGE}{account}", "dataVersion": "", **common}


def as_text(content: Any, *, plain: bool = False) -> str:
    """The text of a message: JSON, in base64 as Event Grid writes it."""
    text = json.dumps(content)
    return text if plain else base64.b64encode(text.encode()).decode()


class AzuriteQueues(Azurite):
    """Azurite's queue service on loopback; its account and key are those of the blob service."""

    def __init__(self, **options: Any) -> None:
        node, blob = azurite.Azurite()._program
        super().__init__((node, str(Path(blob).parents[1] / "queue/main.js")), **options)

    def _command(self) -> list[str]:
        return [option.replace("--blob", "--queue") for option in super()._command()]

    def queue(self, name: str | None = None) -> Queue:
        """Make a queue; without a name a new one."""
        return Queue(f"{self.blob_endpoint}/{name or f'q{uuid.uuid4().hex}'}", self.account_name, self.account_key)


class Queue:
    """A queue for the test's own writes and reads, which are not counted."""

    def __init__(self, url: str, account: str, key: str) -> None:
        self.url = url
        until = datetime.now(UTC) + timedelta(hours=1)
        self._sas = generate_account_sas(account, key, "sco", "rwdlacup", until, services="q")
        httpx.put(f"{url}?{self._sas}").raise_for_status()

    def put(self, *contents: Any, plain: bool = False) -> None:
        """Write messages: events, lists of events, or any text."""
        for content in contents:
            text = content if isinstance(content, str) else as_text(content, plain=plain)
            body = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>"
            httpx.post(f"{self.url}/messages?{self._sas}", content=body.encode()).raise_for_status()

    def count(self) -> int:
        """How many messages there are."""
        reply = httpx.get(f"{self.url}?comp=metadata&{self._sas}")
        return int(reply.raise_for_status().headers["x-ms-approximate-messages-count"])

    def clear(self) -> None:
        """Delete all messages."""
        httpx.delete(f"{self.url}/messages?{self._sas}").raise_for_status()
