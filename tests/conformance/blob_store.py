"""Azurite with a container and a file in it, as a separate process.

Run with the project's Python. Prints ``listening on ENDPOINT CONTAINER``, where the container is an address with a
signature, and serves until it is terminated.
"""

from __future__ import annotations

import sys
import threading
from datetime import UTC, datetime, timedelta

from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azurite import Azurite

CONTAINER = "conformance"


def main() -> None:
    """Serve."""
    with Azurite() as azurite:
        client = azurite.container(CONTAINER)
        client.upload_blob("incoming/f.csv", b"amount\n1\n2\n")
        signature = generate_container_sas(
            azurite.account_name,
            CONTAINER,
            account_key=azurite.account_key,
            permission=ContainerSasPermissions(read=True, write=True, list=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        sys.stdout.write(f"listening on {azurite.blob_endpoint} {client.url}?{signature}\n")
        sys.stdout.flush()
        threading.Event().wait()


if __name__ == "__main__":
    main()
