"""The names of datasets: those of their storage, without secrets."""

from __future__ import annotations

import pytest

from aml_provider.client.entities import Datastore, Output
from aml_provider.client.settings import CLOUDS, WorkspaceSettings
from aml_provider.worker.lineage.names import (
    DatasetName,
    of_address,
    of_blob,
    of_data_asset,
    of_data_path,
    of_output,
    of_saved_dataset,
)

SETTINGS = WorkspaceSettings(subscription_id="SUB-1", resource_group="Rg", workspace_name="Ws", region="westeurope")
WORKSPACE = "azureml://sub-1/rg/ws"
SIGNED = "?sv=2021-12-02&sig=pl4nted%3D"


def store(kind="AzureBlob", **section):
    section = {"accountName": "acc", "containerName": "con", "accountKey": "pl4nted", **section}
    return Datastore.from_wire({"name": "Store", "dataStoreType": kind, "azureStorageSection": section})


KNOWN = {"store": store()}


def own(path):
    return DatasetName(WORKSPACE, f"datastores/store/paths/{path}")


@pytest.mark.parametrize(
    ("described", "namespace"),
    [
        (store(), "wasbs://con@acc.blob.core.windows.net"),
        (store("AzureDataLakeGen2"), "abfss://con@acc.dfs.core.windows.net"),
        (store(endpoint="core.chinacloudapi.cn"), "wasbs://con@acc.blob.core.chinacloudapi.cn"),
    ],
)
def test_data_in_a_datastore_has_the_name_of_its_storage_and_a_symlink(described, namespace):
    found = of_data_path(SETTINGS, "STORE", "in/A b.csv", {"store": described})
    assert found.name == DatasetName(namespace, "in/A b.csv")
    assert found.symlink == own("in/A b.csv")


@pytest.mark.parametrize("known", [{}, {"store": store("AzureFile")}, {"store": store(accountName="")}])
def test_where_the_storage_is_not_known_the_name_is_the_workspaces(known):
    found = of_data_path(SETTINGS, "store", "in/", known)
    assert (found.name, found.symlink) == (own("in"), None)


def test_the_root_of_a_container_has_a_name():
    assert of_data_path(SETTINGS, "store", "", KNOWN).name.name == "/"
    assert of_blob("https://acc.blob.core.windows.net/con", "").name.name == "/"


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://acc.blob.core.windows.net/con", "acc.blob.core.windows.net"),
        ("https://acc.privatelink.blob.core.windows.net/con", "acc.blob.core.windows.net"),
        ("https://acc.z6.blob.storage.azure.net/con", "acc.z6.blob.storage.azure.net"),
        ("https://acc-secondary.z6.blob.storage.azure.net/con", "acc.z6.blob.storage.azure.net"),
        ("https://acc.z6.privatelink.blob.storage.azure.net/con", "acc.z6.blob.storage.azure.net"),
        ("https://acc-secondary.blob.core.windows.net/con", "acc.blob.core.windows.net"),
        ("https://acc.blob.core.usgovcloudapi.net/con", "acc.blob.core.usgovcloudapi.net"),
        ("http://127.0.0.1:10000/acc/con", "acc.blob.core.windows.net"),
        ("https://blobs.example.com/con", "blobs.example.com"),
    ],
)
def test_a_blob_is_named_by_its_account_whichever_address_leads_there(address, host):
    assert of_blob(address, "in/a.csv").name == DatasetName(f"wasbs://con@{host}", "in/a.csv")


def wire(kind="AzureBlob", key="AzureBlobReference", **place):
    reference = {"Container": "con", "Account": "acc", "RelativePath": "out/a.csv", "AmlDataStoreName": "store"}
    place = {**reference, "Uri": f"https://acc.blob.core.windows.net/con/out/a.csv{SIGNED}", **place}
    return {"PhysicalSizeInBytes": 7, "DataLocation": {"DataReference": {"Type": kind, key: place}}}


def test_an_output_of_a_step_is_named_by_its_place_and_not_by_its_signed_address():
    found = of_output(SETTINGS, Output.from_wire(wire()))
    assert found.name == DatasetName("wasbs://con@acc.blob.core.windows.net", "out/a.csv")
    assert (found.symlink, found.size) == (own("out/a.csv"), 7)
    assert "pl4nted" not in repr(found)


def test_an_output_elsewhere_is_named_by_what_is_known_of_it():
    lake = wire("AzureDataLakeGen2", "AzureDataLakeGen2Reference")
    assert of_output(SETTINGS, Output.from_wire(lake)).name.namespace == "abfss://con@acc.dfs.core.windows.net"
    files = of_output(SETTINGS, Output.from_wire(wire("AzureFiles", "AzureFilesReference")))
    assert (files.name, files.symlink) == (own("out/a.csv"), None)
    loose = of_output(SETTINGS, Output.from_wire(wire(AmlDataStoreName=None)))
    assert (loose.name.name, loose.symlink) == ("out/a.csv", None)
    assert of_output(SETTINGS, Output.from_wire({})) is None


def test_the_storage_of_an_output_is_in_the_clouds_own_domain():
    china = WorkspaceSettings(
        subscription_id="s", resource_group="r", workspace_name="w", region="x", cloud=CLOUDS["china"]
    )
    assert of_output(china, Output.from_wire(wire())).name.namespace == "wasbs://con@acc.blob.core.chinacloudapi.cn"


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("azureml://datastores/store/paths/out/a/", ("wasbs://con@acc.blob.core.windows.net", "out/a")),
        ("azureml://datastores/store/paths/out/a#1", ("wasbs://con@acc.blob.core.windows.net", "out/a#1")),
        (f"azureml://datastores/store/paths/out/a{SIGNED}", ("wasbs://con@acc.blob.core.windows.net", "out/a")),
        (
            "azureml://datastores/store/paths/${{name}}/${{output_name}}",
            ("wasbs://con@acc.blob.core.windows.net", "job-1/scores"),
        ),
        (
            "azureml://subscriptions/sub-1/resourcegroups/RG/workspaces/ws/datastores/store/paths/out",
            ("wasbs://con@acc.blob.core.windows.net", "out"),
        ),
        (
            "azureml://subscriptions/sub-2/resourcegroups/rg/workspaces/ws/datastores/store/paths/out",
            ("azureml://sub-2/rg/ws", "datastores/store/paths/out"),
        ),
        (
            f"https://acc.blob.core.windows.net/con/out/a%20b{SIGNED}",
            ("wasbs://con@acc.blob.core.windows.net", "out/a b"),
        ),
        ("azureml://datastores/${{default_datastore}}/paths/out", None),
        ("https://example.com/con/out", None),
        ("azureml:prices:3", None),
    ],
)
def test_an_output_of_a_job_is_named_by_its_address_without_a_query(address, name):
    found = of_address(SETTINGS, address, KNOWN, job="job-1", output="scores")
    assert (None if found is None else found.name) == name
    assert "pl4nted" not in repr(found)


def test_data_assets_and_saved_datasets_are_named_in_the_workspace():
    found = of_data_asset(SETTINGS, "prices:3")
    assert (found.name, found.version) == (DatasetName(WORKSPACE, "data/prices"), "3")
    assert of_saved_dataset(SETTINGS, "5aa1").name == DatasetName(WORKSPACE, "datasets/5aa1")


@pytest.mark.parametrize("path", ["a/../b", "./a", "a\\b"])
def test_data_has_a_name_also_where_no_asset_can_be(path):
    found = of_data_path(SETTINGS, "store", path, KNOWN)
    assert found.name == DatasetName("wasbs://con@acc.blob.core.windows.net", path)
    assert of_data_path(SETTINGS, "store", path, {}).name == found.symlink == own(path)
    output = of_output(SETTINGS, Output.from_wire(wire(RelativePath=path)))
    assert (output.name, output.symlink) == (found.name, found.symlink)


def everywhere(path):
    """The names of one path as data of a run, as an output of a run and as a changed blob."""
    data = of_data_path(SETTINGS, "store", path, KNOWN)
    output = of_output(SETTINGS, Output.from_wire(wire(RelativePath=path)))
    blob = of_blob("https://acc.blob.core.windows.net/con", path)
    return {data.name.name, output.name.name, blob.name.name, *(found.symlink.name for found in (data, output))}


@pytest.mark.parametrize("signed", [SIGNED, SIGNED.replace("=", "%3D").replace("&", "%26").replace("?", "%3F")])
def test_a_signature_in_a_path_is_masked(signed):
    """An author may write an address where a path belongs."""
    assert "pl4nted" not in repr(everywhere(f"in/a.csv{signed}"))


@pytest.mark.parametrize("folder", ["customer_key=7", "token=7", "password=7", "sig=7", "key=7&day=1", "Bearer 7"])
def test_a_folder_that_is_called_like_a_secret_is_none(folder):
    """Hive and Spark name the folders of a partitioned table like this."""
    path = f"sales/{folder}/day=1/part.csv"
    assert everywhere(path) == {path, f"datastores/store/paths/{path}"}
