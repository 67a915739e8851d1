"""The hook's methods for published pipelines."""

from __future__ import annotations

import pytest
from support.drivers.hook_faces import LONG, RETIRED, SCORE, TYPED

from aml_provider.client.models import DataPath, Recurrence
from aml_provider.compat import AirflowFailException


def test_list_get_and_find(hook):
    listed = hook.list_pipelines()
    assert {item.name for item in listed} >= {"score-files", "twins"}
    assert "retired" not in {item.name for item in listed}
    assert RETIRED in {item.id for item in hook.list_pipelines(active_only=False)}
    found = hook.get_pipeline(SCORE)
    assert (found.name, found.version, found.is_active) == ("score-files", "2.0", True)
    assert found.description.startswith("Counts the rows")
    assert hook.find_pipeline("score-files") == found


def test_an_unknown_id_is_told_with_the_argument(hook):
    with pytest.raises(AirflowFailException, match="get published pipeline 'nothing': the service answered 404"):
        hook.get_pipeline("nothing")


def test_the_interface_says_types_and_defaults(hook):
    interface = hook.get_pipeline_interface(TYPED)
    shown = {name: (item.type, item.default, item.required) for name, item in interface.parameters.items()}
    assert shown == {
        "count": ("Int", None, True),
        "rate": ("Double", "0.5", False),
        "verbose": ("Bool", "False", False),
        "label": ("String", None, False),
    }
    assert interface.datasets == {"input_dataset"}
    score = hook.get_pipeline_interface(SCORE)
    assert score.data_path_defaults == {"input_datapath": DataPath("workspaceblobstore", "incoming")}
    assert score.parameters["input_string"].documentation == "Files of the folder, separated by commas"


def test_the_latest_run_comes_with_the_summary(emulator, hook, finished):
    summaries = {item.pipeline.id: item for item in hook.list_pipeline_summaries()}
    assert summaries[SCORE].last_run_id == finished.id
    assert summaries[SCORE].total_runs == 1
    assert (summaries[LONG].last_run_id, summaries[LONG].total_runs) == ("", 0)


def test_disabling_disables_the_schedules_first(emulator, hook):
    schedule = hook.create_schedule(
        "nightly", pipeline_id=SCORE, experiment_name="x", recurrence=Recurrence("Day", 1, "2099-01-01T00:00:00")
    )
    assert hook.disable_pipeline(SCORE) is None
    assert not hook.get_pipeline(SCORE).is_active
    assert not hook.get_schedule(schedule.id).is_active
    order = [item["path"].rpartition("/v1.0")[2] for item in emulator.requests("PUT")]
    assert [path.rsplit("/", 2)[1] for path in order] == ["Schedules", SCORE]
    hook.enable_pipeline(SCORE)
    assert hook.get_pipeline(SCORE).is_active
    assert not hook.get_schedule(schedule.id).is_active
