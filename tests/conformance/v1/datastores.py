"""Datastores: what the SDK reads and registers, for each type."""

from __future__ import annotations

import pytest
from azureml.core import Datastore
from azureml.exceptions import UserErrorException
from msrest.exceptions import HttpOperationError

examines = pytest.mark.examines


@examines(
    "Datastore.get", "AzureBlobDatastore.name", "AzureBlobDatastore.datastore_type", "AzureBlobDatastore.is_sas",
    "AzureBlobDatastore.workspace",
)  # fmt: skip
def test_a_datastore_is_read_by_its_name(workspace):
    found = Datastore.get(workspace, "workspaceblobstore")
    assert (found.name, found.datastore_type, found.is_sas) == ("workspaceblobstore", "AzureBlob", False)
    assert (found.account_name, found.container_name) == ("devstoreaccount1", "conformance")
    assert found.account_key.startswith("Eby8")
    assert found.workspace.name == workspace.name


@examines("Datastore.get")
def test_get_of_an_unknown_datastore_says_which(workspace):
    with pytest.raises(UserErrorException, match="nosuchstore"):
        Datastore.get(workspace, "nosuchstore")


@pytest.mark.parametrize("status", [401, 403])
@examines("Datastore.get")
def test_a_refusal_reaches_the_user(workspace, emulator, status):
    emulator.refuse(status, method="GET", path="*/datastores/*")
    with pytest.raises((UserErrorException, HttpOperationError)):
        Datastore.get(workspace, "workspaceblobstore")


@examines("Workspace.datastores")
def test_a_workspace_lists_its_datastores(workspace):
    kinds = {name: item.datastore_type for name, item in workspace.datastores.items()}
    assert kinds == {"workspaceblobstore": "AzureBlob", "workspacefilestore": "AzureFile"}


@examines("Datastore.get_default", "Workspace.get_default_datastore")
def test_the_default_datastore_is_found_by_both_calls(workspace):
    assert Datastore.get_default(workspace).name == "workspaceblobstore"
    assert workspace.get_default_datastore().name == "workspaceblobstore"


@examines("AzureBlobDatastore.set_as_default", "Workspace.set_default_datastore")
def test_another_datastore_becomes_the_default(workspace):
    other = Datastore.register_azure_blob_container(workspace, "other", "container", "account", account_key="a2V5")
    other.set_as_default()
    assert workspace.get_default_datastore().name == "other"
    workspace.set_default_datastore("workspaceblobstore")
    assert workspace.get_default_datastore().name == "workspaceblobstore"


@examines("Workspace.set_default_datastore")
def test_a_datastore_that_does_not_exist_cannot_become_the_default(workspace):
    with pytest.raises(UserErrorException, match="nosuchstore"):
        workspace.set_default_datastore("nosuchstore")
    assert workspace.get_default_datastore().name == "workspaceblobstore"


@examines("Datastore.register_azure_blob_container")
def test_register_a_blob_container_with_a_key(workspace):
    made = Datastore.register_azure_blob_container(
        workspace, "inbox", "container", "account", account_key="a2V5", protocol="https", endpoint="core.windows.net"
    )
    again = Datastore.get(workspace, "inbox")
    assert (made.datastore_type, again.account_key, again.sas_token) == ("AzureBlob", "a2V5", None)
    assert (again.account_name, again.container_name, again.is_sas) == ("account", "container", False)
    assert (again.protocol, again.endpoint) == ("https", "core.windows.net")


@examines("Datastore.register_azure_blob_container", "AzureBlobDatastore.is_sas")
def test_register_a_blob_container_with_a_signature(workspace):
    Datastore.register_azure_blob_container(workspace, "inbox", "container", "account", sas_token="sv=1&sig=abc")
    again = Datastore.get(workspace, "inbox")
    assert (again.is_sas, again.sas_token, again.account_key) == (True, "sv=1&sig=abc", None)


@examines("Datastore.register_azure_blob_container")
def test_register_refuses_a_name_that_is_taken(workspace):
    Datastore.register_azure_blob_container(workspace, "inbox", "container", "account", account_key="a2V5")
    with pytest.raises(UserErrorException, match="already exists"):
        Datastore.register_azure_blob_container(workspace, "inbox", "other", "account", account_key="a2V5")
    assert Datastore.get(workspace, "inbox").container_name == "container"


@examines("Datastore.register_azure_blob_container")
def test_register_overwrites_on_demand(workspace, emulator):
    Datastore.register_azure_blob_container(workspace, "inbox", "container", "account", account_key="a2V5")
    Datastore.register_azure_blob_container(
        workspace, "inbox", "container", "account", account_key="bmV3", overwrite=True
    )
    assert Datastore.get(workspace, "inbox").account_key == "bmV3"
    assert len(emulator.requests("PUT", "/datastores/inbox")) == 1


@examines("Datastore.register_azure_file_share")
def test_register_a_file_share(workspace):
    Datastore.register_azure_file_share(workspace, "shared", "share", "account", account_key="a2V5")
    again = Datastore.get(workspace, "shared")
    assert (again.datastore_type, again.container_name, again.account_key) == ("AzureFile", "share", "a2V5")


@examines("Datastore.register_azure_data_lake")
def test_register_a_data_lake(workspace):
    Datastore.register_azure_data_lake(
        workspace, "lake", "store", tenant_id="t-1", client_id="c-1", client_secret="s-1", resource_group="rg"
    )
    again = Datastore.get(workspace, "lake")
    assert (again.datastore_type, again.store_name) == ("AzureDataLake", "store")
    assert (again.tenant_id, again.client_id, again.client_secret) == ("t-1", "c-1", "s-1")


@examines("Datastore.register_azure_data_lake_gen2")
def test_register_a_data_lake_of_the_second_generation(workspace):
    Datastore.register_azure_data_lake_gen2(
        workspace, "lake2", "files", "account", tenant_id="t-1", client_id="c-1", client_secret="s-1"
    )
    again = Datastore.get(workspace, "lake2")
    assert (again.datastore_type, again.container_name, again.account_name) == (
        "AzureDataLakeGen2",
        "files",
        "account",
    )
    assert (again.tenant_id, again.client_id, again.client_secret) == ("t-1", "c-1", "s-1")


@examines("Datastore.register_azure_sql_database")
def test_register_a_sql_database(workspace):
    Datastore.register_azure_sql_database(workspace, "sql", "server", "db", username="u-1", password="p-1")
    again = Datastore.get(workspace, "sql")
    assert (again.datastore_type, again.server_name, again.database_name) == ("AzureSqlDatabase", "server", "db")
    assert (again.username, again.password) == ("u-1", "p-1")


@examines("Datastore.register_azure_postgre_sql")
def test_register_a_postgresql_database(workspace):
    Datastore.register_azure_postgre_sql(workspace, "pg", "server", "db", "u-1", "p-1", port_number="5432")
    again = Datastore.get(workspace, "pg")
    assert (again.datastore_type, again.server_name, again.database_name) == ("AzurePostgreSql", "server", "db")
    assert (again.user_id, again.user_password, str(again.port_number)) == ("u-1", "p-1", "5432")


@examines("Datastore.register_azure_my_sql")
def test_register_a_mysql_database(workspace):
    Datastore.register_azure_my_sql(workspace, "my", "server", "db", "u-1", "p-1", port_number="3306")
    again = Datastore.get(workspace, "my")
    assert (again.datastore_type, again.server_name, again.database_name) == ("AzureMySql", "server", "db")
    assert (again.user_id, again.user_password, str(again.port_number)) == ("u-1", "p-1", "3306")


@examines("Datastore.register_dbfs")
def test_register_databricks(workspace):
    Datastore.register_dbfs(workspace, "bricks")
    assert Datastore.get(workspace, "bricks").datastore_type == "DBFS"


@examines("Datastore.register_hdfs")
def test_register_hdfs(workspace):
    Datastore.register_hdfs(
        workspace, "hadoop", "http", "10.0.0.1:50070", None, "REALM", "10.0.0.2", "me@REALM", kerberos_password="p-1"
    )
    again = Datastore.get(workspace, "hadoop")
    assert (again.datastore_type, again.namenode_address) == ("Hdfs", "10.0.0.1:50070")
    assert (again.kerberos_realm, again.kerberos_principal) == ("REALM", "me@REALM")


@examines("AzureBlobDatastore.unregister")
def test_an_unregistered_datastore_is_gone(workspace):
    made = Datastore.register_azure_blob_container(workspace, "inbox", "container", "account", account_key="a2V5")
    made.unregister()
    assert "inbox" not in workspace.datastores
    with pytest.raises(UserErrorException, match="inbox"):
        Datastore.get(workspace, "inbox")


@examines("Datastore.set_as_default", "Datastore.unregister")
def test_a_datastore_of_unknown_type_can_be_the_default_and_be_removed(workspace):
    Datastore.register_azure_blob_container(workspace, "inbox", "container", "account", account_key="a2V5")
    found = Datastore.get(workspace, "inbox")
    Datastore.set_as_default(found)
    assert Datastore.get_default(workspace).name == "inbox"
    workspace.set_default_datastore("workspaceblobstore")
    Datastore.unregister(found)
    assert "inbox" not in workspace.datastores
