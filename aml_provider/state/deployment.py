"""The identity of this Airflow: its deployment id, and its address."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from aml_provider.durable.identity import Deployment, place_of
from aml_provider.state import variables
from aml_provider.stored import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable


#: The Variable with the random name of an Airflow for which none is configured.
DEPLOYMENT_VARIABLE = "azureml_deployment_id"


def this_deployment(read: Callable[[str], str | None] | None = None) -> Deployment:
    """This Airflow, by its configured name, else by a random name in a Variable.

    Args:
        read: Reads a Variable. The API server passes this, because it cannot read Variables as a task does; in that
            case no name is created. None: read Variables as a task does.

    Raises:
        StorageError: The Variable cannot be read, or is empty; or it does not exist, and Airflow has teams.
    """
    from aml_provider.compat import conf

    configured = conf.get("azureml", "deployment_id", fallback=None)
    if configured:
        return Deployment(configured)
    stored = variables.read(DEPLOYMENT_VARIABLE) if read is None else read(DEPLOYMENT_VARIABLE)
    if stored is None and conf.getboolean("core", "multi_team", fallback=False):
        # Another team may have this Variable. Its tasks would get the value that is written here, and these would not.
        raise StorageError(
            f"The Variable {DEPLOYMENT_VARIABLE} cannot be found. Airflow has teams ([core] multi_team), and the "
            "Variables of one team are hidden from the others. Set the option [azureml] deployment_id to a name for "
            "this Airflow, the same one for all its components and teams"
        )
    if stored is None and read is None:
        variables.write(
            DEPLOYMENT_VARIABLE,
            uuid.uuid4().hex[:12],
            "Azure ML: names this Airflow in its runs' keys; never change it",
        )
        # Two first tasks may both write: the value that remains counts.
        stored = variables.read(DEPLOYMENT_VARIABLE)
    if not stored:
        raise StorageError(
            f"The Variable {DEPLOYMENT_VARIABLE} {'cannot be found' if stored is None else 'is empty'}; set the option "
            "[azureml] deployment_id to a name for this Airflow, the same one for all its components"
        )
    return Deployment(stored, airflow_url())


def airflow_url() -> str | None:
    """The address of this Airflow; None if it is not set, or is valid on one machine only."""
    from aml_provider.compat import AIRFLOW_V_3_0_PLUS, conf

    url = conf.get("api" if AIRFLOW_V_3_0_PLUS else "webserver", "base_url", fallback=None) or ""
    place = place_of(url)
    if place is None:
        return None
    parts = urlsplit(url.strip())
    # Everybody who may read a run can read its tags, so the password of a proxy must not be there.
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/").lower()
