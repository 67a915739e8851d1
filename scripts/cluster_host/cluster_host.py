"""The name of a cluster's machine, for ``[core] hostname_callable``: here all machines are this one.

The folder is on the path of Airflow's processes only, and has nothing else.
"""

from __future__ import annotations

import os


def name() -> str:
    """The machine that this process would have for itself in a real cluster."""
    return os.environ["CLUSTER_HOST"]
