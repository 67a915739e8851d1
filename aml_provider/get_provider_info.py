"""What Airflow's provider discovery reads at every start: plain data, no imports."""

from __future__ import annotations

from typing import Any

_CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "config_json": {
        "label": "config.json",
        "description": "The workspace's config.json, pasted, in place of the next three, which win if given too.",
        "schema": {"type": ["string", "null"], "format": "multiline"},
    },
    "subscription_id": {
        "label": "Subscription id",
        "description": "The Azure subscription of the workspace. Not needed when config.json is pasted.",
        "schema": {"type": ["string", "null"]},
    },
    "resource_group": {
        "label": "Resource group",
        "description": "The resource group of the workspace.",
        "schema": {"type": ["string", "null"]},
    },
    "workspace_name": {
        "label": "Workspace name",
        "description": "The Azure Machine Learning workspace.",
        "schema": {"type": ["string", "null"]},
    },
    "region": {
        "label": "Region",
        "description": "The workspace's region, such as westeurope. Empty: it is asked of Azure Resource Manager once.",
        "schema": {"type": ["string", "null"]},
    },
    "auth_method": {
        "label": "Authentication",
        "description": (
            "How tokens are got. client_secret: login = client id, password = secret. client_certificate: login = "
            "client id. managed_identity: login = client id of a user-assigned identity, or empty. workload_identity: "
            "login = client id. static_token: password = the token. default: azure-identity's chain."
        ),
        "schema": {
            "type": ["string", "null"],
            "enum": [
                "default",
                "client_secret",
                "client_certificate",
                "managed_identity",
                "workload_identity",
                "azure_cli",
                "static_token",
            ],
            "default": "default",
        },
    },
    "tenant_id": {
        "label": "Tenant id",
        "description": "The Microsoft Entra tenant. Needed for client_secret and client_certificate.",
        "schema": {"type": ["string", "null"]},
    },
    "cloud": {
        "label": "Cloud",
        "description": "The Azure cloud that the workspace lives in.",
        "schema": {"type": ["string", "null"], "enum": ["public", "usgov", "china"], "default": "public"},
    },
    "certificate_path": {
        "label": "Certificate path",
        "description": "client_certificate: a PEM or PKCS12 file with its private key, on workers and triggerer.",
        "schema": {"type": ["string", "null"]},
    },
    "certificate_password": {
        "label": "Certificate password",
        "description": "client_certificate: the password of that file, if it has one.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
    "endpoint": {
        "label": "Own endpoint",
        "description": (
            "The base URL of the workspace API where it is not the region's: private link, or the local emulator "
            "(http://127.0.0.1:8700)."
        ),
        "schema": {"type": ["string", "null"]},
    },
    "blob_endpoint": {
        "label": "Blob endpoint",
        "description": (
            "The base URL of the datastores' storage account where it is not the public one: private link, or Azurite "
            "(http://127.0.0.1:10000/devstoreaccount1)."
        ),
        "schema": {"type": ["string", "null"]},
    },
    "allow_http": {
        "label": "Allow plain http",
        "description": "Only with static_token: lets the token go to a plain http endpoint that is not on loopback.",
        "schema": {"type": ["boolean", "null"], "default": False},
    },
}


def get_provider_info() -> dict[str, Any]:
    """Describe the provider to Airflow.

    Returns:
        A dictionary after Airflow's ``provider_info.schema.json``; ``conn-fields`` and ``ui-field-behaviour`` build the
        connection form on Airflow 3.2 and later, the hook's form methods on older versions.
    """
    return {
        "package-name": "airflow-provider-azureml",
        "name": "Azure Machine Learning pipelines",
        "description": "Run, watch and schedule Azure Machine Learning published pipelines (v1).",
        "integrations": [
            {
                "integration-name": "Azure Machine Learning",
                "external-doc-url": "https://learn.microsoft.com/azure/machine-learning/",
                "tags": ["azure"],
            }
        ],
        "hooks": [{"integration-name": "Azure Machine Learning", "python-modules": ["aml_provider.hooks.azure_ml"]}],
        "operators": [
            {
                "integration-name": "Azure Machine Learning",
                "python-modules": ["aml_provider.operators.pipeline", "aml_provider.operators.schedule"],
            }
        ],
        "sensors": [
            {
                "integration-name": "Azure Machine Learning",
                "python-modules": [
                    "aml_provider.sensors.pipeline",
                    "aml_provider.sensors.schedule",
                    "aml_provider.sensors.blob",
                ],
            }
        ],
        "triggers": [
            {
                "integration-name": "Azure Machine Learning",
                "python-modules": [
                    "aml_provider.triggers.pipeline",
                    "aml_provider.triggers.schedule",
                    "aml_provider.triggers.schedule_run",
                    "aml_provider.triggers.blob",
                    "aml_provider.triggers.blob_change",
                ],
            }
        ],
        "connection-types": [
            {
                "connection-type": "azureml",
                "hook-class-name": "aml_provider.hooks.azure_ml.AzureMLHook",
                "hook-name": "Azure Machine Learning",
                "ui-field-behaviour": {
                    # Nothing here uses the port. But the *Test* button of Airflow 3.3.2 posts 0 for an empty one, and
                    # its API server refuses what differs from the stored one: 0 has to be stored.
                    "hidden-fields": ["schema", "host"],
                    "relabeling": {
                        "login": "Client id",
                        "password": "Client secret or token",
                        "port": "Port (0, for Test)",
                    },
                    "placeholders": {"port": "0: else Test of Airflow 3.3.2 says that host or port differs"},
                },
                "conn-fields": _CONNECTION_FIELDS,
            }
        ],
        # The commands of ``airflow azureml``, on Airflow 3.2 and later.
        "cli": ["aml_provider.cli.definition.get_azureml_cli_commands"],
        "extra-links": ["aml_provider.links.AzureMLPipelineRunLink"],
        "config": {
            "azureml": {
                "description": "Options of the Azure Machine Learning provider.",
                "options": {
                    "deployment_id": {
                        "description": (
                            "Names this Airflow in the keys of its pipeline runs, so that two Airflows on one "
                            "workspace never take each other's runs for their own. Unset: a random id is made "
                            "once and kept in the Variable azureml_deployment_id."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "production-west",
                        "default": None,
                    },
                    "lookup_grace": {
                        "description": (
                            "Seconds for which a submission whose reply was lost is looked up before its run counts "
                            "as absent."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "60",
                    },
                    "retry_budget": {
                        "description": (
                            "Seconds that one request that is safe to repeat (never a submission) may spend on "
                            "retries; of blobs, one listing."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "120",
                    },
                    "throttled_budget": {
                        "description": (
                            "Seconds for which a request is sent again that the service refuses with 429, because it "
                            "is too busy; also a submission, since a refused one was not carried out. Sensors' looks "
                            "keep to retry_budget."
                        ),
                        "version_added": "0.1.0",
                        "type": "float",
                        "example": None,
                        "default": "3600",
                    },
                    "trusted_endpoints": {
                        "description": (
                            "Hosts outside the Azure cloud that may be a connection's endpoint or blob_endpoint "
                            "whatever its auth_method: host, host:port or .suffix, separated by commas. Without it, "
                            "only static_token may go there, since whoever may edit a connection would otherwise get "
                            "the workers' identity."
                        ),
                        "version_added": "0.1.0",
                        "type": "string",
                        "example": "aml.example.com, .blob.example.com",
                        "default": "",
                    },
                },
            }
        },
    }
