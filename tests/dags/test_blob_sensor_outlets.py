"""A sensor's asset event: what it carries, on both Airflows and in each mode."""

from __future__ import annotations

import uuid

import pytest
from airflow.providers.common.compat.sdk import DAG, AssetAlias
from airflow.utils.session import create_session
from support.airflow import dags
from support.airflow.blob_dags import DAY, MODES
from support.airflow.moved import AssetEvent, AssetModel
from support.drivers.watching import Said

from aml_provider.blobs.events import EVENT_BYTES, event_id
from aml_provider.compat import AIRFLOW_V_3_0_PLUS, Asset
from aml_provider.sensors.blob import AzureBlobChangeSensor

KEY = "asset_id" if AIRFLOW_V_3_0_PLUS else "dataset_id"


@pytest.fixture
def said(caplog, capsys):
    return Said(caplog, capsys)


def announced(outlets, **arguments):
    """Run a sensor until it has found something; its result and its state."""
    with DAG(f"announces_{uuid.uuid4().hex[:8]}", schedule=None, start_date=DAY) as dag:
        AzureBlobChangeSensor(
            task_id="watch",
            datastore="landing",
            path="incoming",
            on_first_poll="report",
            poke_interval=0.1,
            outlets=outlets,
            **arguments,
        )
    dag_run = dags.run(dag, DAY)
    assert dags.states(dag_run) == {"watch": "success"}
    return dag_run.get_task_instance("watch").xcom_pull(task_ids="watch")


def events(asset):
    """What the database has of an asset's events."""
    with create_session() as session:
        found = session.query(AssetEvent.extra).join(AssetModel, AssetModel.id == getattr(AssetEvent, KEY))
        return [extra for (extra,) in found.filter(AssetModel.uri == asset.uri).all()]


def asset():
    """An asset that Airflow knows; a test's run itself makes it known on Airflow 3."""
    made = Asset(f"azureml://subscription/group/workspace/datastores/landing/paths/{uuid.uuid4().hex}")
    if KEY == "dataset_id":
        with create_session() as session:
            session.add(AssetModel(uri=made.uri))
    return made


@pytest.mark.parametrize("mode", MODES)
def test_the_asset_event_carries_the_changes_and_their_id(mode, landing):
    for name in ("a.csv", "ü & {{ 1+1 }}.csv"):
        landing.upload_blob(f"incoming/{name}", b"x")
    outlet = asset()
    changes = announced([outlet], **MODES[mode])
    assert [change["name"] for change in changes] == ["a.csv", "ü & {{ 1+1 }}.csv"]
    assert events(outlet) == [{"id": event_id(changes), "count": 2, "changes": changes}]


def test_every_asset_among_the_outlets_gets_it_and_an_alias_does_not(landing):
    landing.upload_blob("incoming/a.csv", b"x")
    one, other = asset(), asset()
    announced([one, AssetAlias(f"alias-{uuid.uuid4().hex}"), other])
    (event,) = events(one)
    assert events(other) == [event]
    assert event["count"] == 1


def test_what_does_not_fit_is_not_carried_in_part(landing, said):
    names = [f"incoming/{number:03}{'ß' * 300}.csv" for number in range(EVENT_BYTES // 3500)]
    for name in names:
        landing.upload_blob(name, b"x")
    outlet = asset()
    changes = announced([outlet])
    assert len(changes) == len(names)
    assert events(outlet) == [{"id": event_id(changes), "count": len(names)}]
    assert "A smaller max_changes makes smaller events" in str(said)
