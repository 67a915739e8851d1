"""The names of what the blob sensor has found: the run that gets a change names it in the same way."""

from __future__ import annotations

import pytest
from support.airflow.task import RunPipeline, Task
from support.airflow.traced import NEEDS_OPENLINEAGE
from support.drivers.watching import context_of, look, sensor

from aml_provider.emulator.workspace.models import Datastore

pytestmark = [NEEDS_OPENLINEAGE, pytest.mark.usefixtures("variables", "kept_in_memory", "azureml_default")]

IN_WORKSPACE = "azureml://00000000-0000-0000-0000-000000000000/local/local/datastores/landing/paths"


@pytest.fixture
def landing(azurite):
    with azurite.container() as container:
        yield container


def names(dataset):
    symlinks = dataset.facets["symlinks"].identifiers
    return [f"{item.namespace}/{item.name}" for item in (dataset, *symlinks)]


@pytest.mark.parametrize(("kind", "host"), [("AzureBlob", "wasbs/blob"), ("AzureDataLakeGen2", "abfss/dfs")])
def test_the_sensor_and_the_run_name_a_blob_in_the_same_way(emulator, azurite, landing, kind, host, monkeypatch):
    monkeypatch.setenv("AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT", "120")
    emulator.state.datastores["landing"] = Datastore(
        "landing", azurite.account_name, landing.container_name, type=kind, account_key=azurite.account_key
    )
    landing.upload_blob("incoming/a.csv", b"four")
    watch = sensor(datastore="landing", on_first_poll="report")
    look(watch)
    (change,) = watch._found
    (found,) = watch.get_openlineage_facets_on_complete(None).inputs

    scheme, subdomain = host.split("/")
    storage = f"{scheme}://{landing.container_name}@{azurite.account_name}.{subdomain}.core.windows.net"
    assert names(found) == [f"{storage}/incoming/a.csv", f"{IN_WORKSPACE}/incoming/a.csv"]
    assert found.facets["version"].datasetVersion == change["etag"]
    assert found.inputFacets["inputStatistics"].size == 4

    run = RunPipeline(pipeline_name="score-files", data_paths={"input_datapath": change}, wait_for_completion=False)
    run.execute(Task().context)
    (used,) = run.get_openlineage_facets_on_complete(None).inputs
    assert names(used) == names(found)


def test_a_batch_that_is_returned_again_is_named_by_its_address(emulator, azurite, landing):
    """The datastore is not read again for that."""
    emulator.state.datastores["landing"] = Datastore(
        "landing", azurite.account_name, landing.container_name, account_key=azurite.account_key
    )
    landing.upload_blob("incoming/a.csv", b"four")
    first, again = (sensor(datastore="landing", on_first_poll="report") for _ in range(2))
    context = context_of()
    assert look(first, context) == look(again, context)
    (found,), (repeated,) = (watch.get_openlineage_facets_on_complete(None).inputs for watch in (first, again))
    assert (repeated.namespace, repeated.name) == (found.namespace, found.name)
    assert "symlinks" not in repeated.facets
