"""Upload standard input into the container of the local workspace: ``python scripts/put.py PATH < FILE``.

The shell needs the connection of ``make workspace`` or ``make demo KEEP=1``; both print how to set it.
"""

from __future__ import annotations

import json
import os
import sys

from azure.storage.blob import BlobClient
from azurite import ACCOUNT_KEY
from story import CONTAINER


def main() -> int:
    """Upload; returns the exit code."""
    connection = os.environ.get("AIRFLOW_CONN_AZUREML_DEFAULT")
    if len(sys.argv) != 2 or connection is None:
        print("usage: . the file that `make workspace` names; python scripts/put.py PATH < FILE", file=sys.stderr)
        return 2
    endpoint = json.loads(connection)["extra"]["blob_endpoint"]
    with BlobClient(endpoint, CONTAINER, sys.argv[1], credential=ACCOUNT_KEY) as blob:
        blob.upload_blob(sys.stdin.buffer.read(), overwrite=True)
        print(f"{CONTAINER}/{sys.argv[1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
