"""The links that Airflow shows on a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.compat import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.sdk.types import TaskInstanceKey

    from aml_provider.compat import BaseOperator


class AzureMLPipelineRunLink(BaseOperatorLink):
    """The run's page in the Azure Machine Learning studio.

    On Airflow 3 the link is an XCom that is written when a try ends or defers; the operator writes it itself as soon as
    the run exists, so that the button is there during a long run too.
    """

    name = "Azure ML pipeline run"

    @property
    def xcom_key(self) -> str:
        """The name of the XCom that holds the link: the name that Airflow uses, so that nothing is written twice."""
        return f"_link_{type(self).__name__}"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:  # noqa: ARG002 - Airflow's signature
        """Read the link; it is empty before the run exists."""
        value: Any = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return value if isinstance(value, str) else ""
