"""Commands for a terminal that pages show. Names come from the workspace, so each is quoted for the shell."""

from __future__ import annotations

import json
import shlex
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from aml_provider.emulator.workspace.models import Pipeline

_SAMPLES = {"Int": "1", "Double": "0.5", "Bool": "true"}
_SCOPE = {"subscription_id": "local", "resource_group": "local", "workspace_name": "local"}


def connection_command(address: str) -> str:
    """The command that defines the connection to the workspace at an address."""
    extra = {**_SCOPE, "auth_method": "static_token", "endpoint": address}
    connection = json.dumps({"conn_type": "azureml", "password": "any", "extra": extra})
    return f"export AIRFLOW_CONN_AZUREML_DEFAULT={shlex.quote(connection)}"


def submit_command(pipeline: Pipeline, name: str, stores: Iterable[str]) -> str:
    """The command that runs a published pipeline, with a sample for each value that it needs.

    Args:
        pipeline: The pipeline.
        name: Its name, or its id if other pipelines have the same name.
        stores: The names of the datastores; the samples of data paths are in the first one.
    """
    values: Mapping[str, list[str]] = {
        "--parameter": [
            f"{item.name}={_SAMPLES.get(item.type, 'VALUE')}" for item in pipeline.parameters if item.required
        ],
        "--data-path": [
            f"{item.name}={next(iter(stores), 'DATASTORE')}/incoming/" for item in pipeline.data_paths if item.required
        ],
        "--dataset": [f"{item.name}=ID" for item in pipeline.datasets if item.required],
    }
    words = ["python", "-m", "aml_provider", "submit", "--pipeline", name, "--experiment", "first", "--wait"]
    given = [word for option, texts in values.items() for text in texts for word in (option, text)]
    return shlex.join([*words, *given])
