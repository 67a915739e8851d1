"""The watcher's trigger on an Airflow that cannot run it."""

from __future__ import annotations

import pytest

from aml_provider.compat import AIRFLOW_V_3_0_PLUS
from aml_provider.triggers import asset_watcher, blob_change


@pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="Airflow 2 has no asset watchers")
def test_before_airflow_3_0_5_a_watcher_is_an_import_error_that_names_the_sensor(monkeypatch):
    monkeypatch.setattr(asset_watcher, "TRIGGERS_WRITE_VARIABLES", False)
    trigger = blob_change.AzureBlobChangeTrigger(datastore="landing")
    with pytest.raises(RuntimeError, match=r"since Airflow 3\.0\.5; upgrade Airflow, or use AzureBlobChangeSensor"):
        trigger.serialize()
