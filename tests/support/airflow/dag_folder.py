"""A folder of DAG files that Airflow parses, as its DAG processor does, when the test says so."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from airflow.utils.session import create_session

from aml_provider.compat import AIRFLOW_V_3_0_PLUS

if TYPE_CHECKING:
    from pathlib import Path


class DagFolder:
    """A folder of DAG files.

    Args:
        path: The folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def parse(self) -> dict[str, Any]:
        """Parse all files, and write the result to Airflow's database.

        Returns:
            The DAGs by id. Files that cannot be imported have none.
        """
        from support.airflow.moved import DagBag

        if not AIRFLOW_V_3_0_PLUS:
            os.environ["AIRFLOW__CORE__EXECUTOR"] = "SequentialExecutor"
            bag = DagBag(str(self.path), include_examples=False)
            bag.sync_to_db()
            return dict(bag.dags)
        from airflow.dag_processing.bundles.manager import DagBundlesManager
        from support.airflow.moved import sync_bag_to_db

        DagBundlesManager().sync_bundles_to_db()
        bag = DagBag(str(self.path), bundle_path=self.path, bundle_name="dags-folder")
        sync_bag_to_db(bag, "dags-folder", None)
        return dict(bag.dags)

    def known(self, dag_id: str) -> Any:
        """A DAG in Airflow's database."""
        from airflow.models.dag import DagModel

        return DagModel.get_dagmodel(dag_id)

    def pause(self, dag_id: str, *, paused: bool) -> None:
        """Pause or unpause a DAG, as a person does."""
        from airflow.models.dag import DagModel

        with create_session() as session:
            session.get(DagModel, dag_id).is_paused = paused
