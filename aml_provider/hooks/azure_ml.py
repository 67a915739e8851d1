"""The hook for an Azure Machine Learning workspace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aml_provider.hooks.components import ComponentMethods
from aml_provider.hooks.datastores import DatastoreMethods
from aml_provider.hooks.endpoints import EndpointMethods
from aml_provider.hooks.experiments import ExperimentMethods
from aml_provider.hooks.job_schedules import JobScheduleMethods
from aml_provider.hooks.jobs import JobMethods
from aml_provider.hooks.pipelines import PipelineMethods
from aml_provider.hooks.run_records import RunRecordMethods
from aml_provider.hooks.runs import RunMethods
from aml_provider.hooks.schedules import ScheduleMethods
from aml_provider.hooks.workspace import retry_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AzureMLHook", "retry_policy"]


class AzureMLHook(
    PipelineMethods,
    EndpointMethods,
    ComponentMethods,
    RunMethods,
    JobMethods,
    RunRecordMethods,
    ExperimentMethods,
    ScheduleMethods,
    JobScheduleMethods,
    DatastoreMethods,
):
    """Use the workspace of one Airflow connection.

    Each method has a twin for event loops, with the same arguments, result and errors. The name of the twin is
    ``async_`` followed by the name of the method.

    Nothing is read or opened before a method is called. Each method opens a connection pool and closes it; use
    :meth:`client` or :meth:`async_client` to make several requests with one pool.

    All errors are of the classes of :class:`~aml_provider.client.errors.AzureMLError`. A permanent one, which a retry
    would not fix, is an ``AirflowFailException`` of Airflow too.

    Args:
        azureml_conn_id: The connection, of type ``azureml``.
    """

    # Airflow 2 finds these two in the hook's own class only.

    @staticmethod
    def get_ui_field_behaviour() -> dict[str, Any]:
        """The connection form's standard fields on Airflow before 3.2."""
        from aml_provider.get_provider_info import get_provider_info

        behaviour = get_provider_info()["connection-types"][0]["ui-field-behaviour"]
        return {name.replace("-", "_"): value for name, value in behaviour.items()}

    @staticmethod
    def get_connection_form_widgets() -> dict[str, Any]:
        """The connection form's own fields on Airflow before 3.2, from the same description as on later versions."""
        from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextAreaFieldWidget, BS3TextFieldWidget
        from wtforms import BooleanField, PasswordField, StringField

        from aml_provider.get_provider_info import get_provider_info

        def field_of(description: Mapping[str, Any]) -> Any:
            schema = description["schema"]
            label, help_text = description["label"], description["description"]
            if "enum" in schema:
                help_text = f"One of {', '.join(schema['enum'])}. {help_text}"
            if "boolean" in schema["type"]:
                return BooleanField(label, description=help_text)
            kinds = {
                "password": (PasswordField, BS3PasswordFieldWidget),
                # Airflow does not know TextAreaField, and would leave out the whole form.
                "multiline": (StringField, BS3TextAreaFieldWidget),
            }
            kind, widget = kinds.get(schema.get("format", ""), (StringField, BS3TextFieldWidget))
            return kind(label, widget=widget(), description=help_text)

        fields = get_provider_info()["connection-types"][0]["conn-fields"]
        return {name: field_of(description) for name, description in fields.items()}
