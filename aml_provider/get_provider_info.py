"""The provider's description, which Airflow's provider discovery reads at every start: plain data, no heavy imports."""

from __future__ import annotations

from typing import Any

from aml_provider import __version__

_NAME = "Azure Machine Learning"
# Under the key of Airflow 3 and that of Airflow 2, like the providers of Airflow.
_ASSET_URIS = [
    {
        "schemes": ["azureml"],
        "handler": "aml_provider.assets.sanitize_uri",
        "factory": "aml_provider.assets.create_asset",
        "to_openlineage_converter": "aml_provider.assets.convert_asset_to_openlineage",
    }
]


def _field(label: str, description: str, kind: str = "string", **schema: Any) -> dict[str, Any]:
    return {"label": label, "description": description, "schema": {"type": [kind, "null"], **schema}}


_CONNECTION_FIELDS = {
    "config_json": _field(
        "config.json",
        "The workspace's config.json, pasted, instead of the next three fields; also the old form with the single key "
        "Scope. Filled-in fields win.",
        format="multiline",
    ),
    "subscription_id": _field(
        "Subscription id", "The Azure subscription of the workspace. Not needed if config.json is pasted."
    ),
    "resource_group": _field("Resource group", "The resource group of the workspace."),
    "workspace_name": _field("Workspace name", "The Azure Machine Learning workspace."),
    "region": _field(
        "Region", "The workspace's region, such as westeurope. If empty, it is read from Azure Resource Manager."
    ),
    "auth_method": _field(
        "Authentication",
        "How tokens are obtained. client_secret: login = client id, password = secret. client_certificate: login = "
        "client id. managed_identity: login = client id of a user-assigned identity, or empty. workload_identity: "
        "login = client id. static_token: password = the token. default: DefaultAzureCredential of azure-identity.",
        enum=[
            "default",
            "client_secret",
            "client_certificate",
            "managed_identity",
            "workload_identity",
            "azure_cli",
            "static_token",
        ],
        default="default",
    ),
    "tenant_id": _field("Tenant id", "The Microsoft Entra tenant. Needed for client_secret and client_certificate."),
    "cloud": _field("Cloud", "The Azure cloud of the workspace.", enum=["public", "usgov", "china"], default="public"),
    "certificate_path": _field(
        "Certificate path",
        "For client_certificate: a PEM or PKCS12 file with the private key, on workers and triggerers.",
    ),
    "certificate_password": _field(
        "Certificate password", "For client_certificate: the password of that file, if it has one.", format="password"
    ),
    "endpoint": _field(
        "Own endpoint",
        "The base URL of the workspace API, if it is not the region's: a private link, or the local emulator "
        "(http://127.0.0.1:8700).",
    ),
    "blob_endpoint": _field(
        "Blob endpoint",
        "The base URL of the datastores' storage account, if it is not the public one: a private link, or Azurite "
        "(http://127.0.0.1:10000/devstoreaccount1).",
    ),
    "datastore_api": _field(
        "Datastore API",
        "Where datastores and their credentials are read: v1 (its datastore service), arm (Azure Resource Manager), or "
        "auto (v1 while that exists).",
        enum=["auto", "v1", "arm"],
        default="auto",
    ),
    "allow_http": _field(
        "Allow plain http",
        "Only with static_token: allows a plain http endpoint that is not on this host.",
        kind="boolean",
        default=False,
    ),
}


def _modules(*names: str) -> list[dict[str, Any]]:
    return [{"integration-name": _NAME, "python-modules": [f"aml_provider.{name}" for name in names]}]


def _option(kind: str, description: str, default: str | None, example: str | None = None) -> dict[str, str | None]:
    return {"description": description, "version_added": "0.1.0", "type": kind, "example": example, "default": default}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider to Airflow.

    Returns:
        A dictionary that follows Airflow's ``provider_info.schema.json``. Since Airflow 3.2 the connection form is
        built from ``conn-fields`` and ``ui-field-behaviour``, before 3.2 by the hook's form methods. Registries also
        read ``versions``, and the paths of guides and logo, which begin at the repository's root.
    """
    return {
        "package-name": "airflow-provider-azureml",
        "name": "Azure Machine Learning pipelines",
        "description": "Run, watch and schedule Azure Machine Learning pipelines (v1 and v2).",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _NAME,
                "external-doc-url": "https://learn.microsoft.com/azure/machine-learning/",
                "how-to-guide": [
                    "/docs/start/tutorial.md",
                    "/docs/how-to/one-run-per-file.md",
                    "/docs/how-to/one-run-per-batch.md",
                    "/docs/how-to/blob-change-with-workload-identity.md",
                    "/docs/how-to/stage-between-spark-and-report.md",
                    "/docs/how-to/follow-native-schedules.md",
                    "/docs/how-to/many-active-runs.md",
                    "/docs/set-up/connection.md",
                    "/docs/reference/run-operator.md",
                    "/docs/reference/writing-dags.md",
                    "/docs/reference/hook.md",
                    "/docs/reference/command-line.md",
                    "/docs/reference/blob-sensor.md",
                    "/docs/reference/blob-watcher.md",
                    "/docs/reference/run-events.md",
                    "/docs/reference/schedules.md",
                    "/docs/reference/lineage.md",
                    "/docs/reference/metrics.md",
                    "/docs/how-to/alerting.md",
                    "/docs/reference/emulator.md",
                    "/docs/how-to/testing-your-dags.md",
                ],
                "logo": "/docs/integration-logos/azureml-pipelines.svg",
                "tags": ["azure", "machine-learning"],
            }
        ],
        "hooks": _modules("hooks.azure_ml"),
        "operators": _modules("operators.pipeline", "operators.schedule", "operators.job_schedule"),
        "sensors": _modules("sensors.pipeline", "sensors.schedule", "sensors.blob"),
        "triggers": _modules(
            "triggers.pipeline",
            "triggers.schedule",
            "triggers.schedule_run",
            "triggers.blob",
            "triggers.blob_change",
            "triggers.run_event",
        ),
        # @task.azureml_pipeline
        "task-decorators": [
            {"name": "azureml_pipeline", "class-name": "aml_provider.decorators.pipeline.azureml_pipeline_task"}
        ],
        "connection-types": [
            {
                "connection-type": "azureml",
                "hook-class-name": "aml_provider.hooks.azure_ml.AzureMLHook",
                "hook-name": _NAME,
                "ui-field-behaviour": {
                    # The provider does not use the port. But the *Test* button of Airflow 3.3.2 posts 0 for an empty
                    # port, and its API server rejects a port that differs from the stored one: store 0.
                    "hidden-fields": ["schema", "host"],
                    "relabeling": {
                        "login": "Client id",
                        "password": "Client secret or token",
                        "port": "Port (0, for Test)",
                    },
                    # Airflow 3 shows those of the standard fields only.
                    "placeholders": {
                        "login": "of the service principal, or of a user-assigned identity",
                        "password": "for client_secret and static_token only",
                        "port": "0, or Test in Airflow 3.3.2 reports that host or port differ",
                        "config_json": '{"subscription_id": "…", "resource_group": "…", "workspace_name": "…"}',
                        "subscription_id": "00000000-0000-0000-0000-000000000000",
                        "resource_group": "my-resource-group",
                        "workspace_name": "my-workspace",
                        "region": "westeurope",
                        "auth_method": "default",
                        "tenant_id": "00000000-0000-0000-0000-000000000000",
                        "cloud": "public",
                        "certificate_path": "/run/secrets/azureml.pem",
                        "certificate_password": "only if the file has one",
                        "endpoint": "https://westeurope.api.azureml.ms",
                        "blob_endpoint": "https://mystorageaccount.blob.core.windows.net",
                        "datastore_api": "auto",
                        "allow_http": "false",
                    },
                },
                "conn-fields": _CONNECTION_FIELDS,
            }
        ],
        # The commands of ``airflow azureml``, on Airflow 3.2 and later.
        "cli": ["aml_provider.cli.definition.get_azureml_cli_commands"],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,
        "extra-links": ["aml_provider.links.AzureMLPipelineRunLink"],
        "config": {
            "azureml": {
                "description": "Options of the Azure Machine Learning provider.",
                "options": {
                    "deployment_id": _option(
                        "string",
                        "Identifies this Airflow in the keys of its pipeline runs, so that two Airflows that share "
                        "a workspace never mistake each other's runs for their own. If unset, a random id is "
                        "created once and kept in the Variable azureml_deployment_id.",
                        default=None,
                        example="production-west",
                    ),
                    "lookup_grace": _option(
                        "float",
                        "Seconds for which a submission whose reply was lost is looked up before it is concluded "
                        "that there is no run.",
                        default="60",
                    ),
                    "retry_budget": _option(
                        "float",
                        "Seconds that one request may spend on retries, if it is safe to repeat (a submission "
                        "is not, except after a 429). For blobs, the limit is for a whole listing.",
                        default="120",
                    ),
                    "throttled_budget": _option(
                        "float",
                        "Seconds for which a request is sent again if the service refuses it with 429 because it "
                        "is too busy. This includes submissions, since a refused one was not carried out. Polls of "
                        "sensors use retry_budget instead.",
                        default="3600",
                    ),
                    "trusted_endpoints": _option(
                        "string",
                        "Hosts outside the Azure cloud that a connection may name as endpoint or blob_endpoint "
                        "with any auth_method: host, host:port or .suffix, separated by commas. Other hosts need "
                        "static_token: otherwise, anyone who can edit a connection could make workers send their "
                        "identity's tokens there.",
                        default="",
                        example="aml.example.com, .blob.example.com",
                    ),
                },
            }
        },
    }
