"""A reset while the schedule runner is at work."""

from __future__ import annotations

from aml_provider.emulator.emulation import Emulation


class BlobsThatReset:
    """Lists one new blob at each poll; the workspace is reset during the second listing."""

    def __init__(self, emulation):
        self._emulation = emulation
        self._polls = 0

    def versions(self, store, path):
        self._polls += 1
        if self._polls == 2:
            self._emulation.reset()
        return {f"blob-{self._polls}": "etag"}


def test_a_poll_in_progress_at_a_reset_starts_no_run():
    emulation = Emulation("demo")
    workspace, runner = emulation.workspace, emulation.schedule_runner
    store = next(name for name, store in workspace.datastores.items() if store.type == "AzureBlob")
    runner._blobs = BlobsThatReset(emulation)
    emulation.clock.hold()
    runner.create(
        {
            "Name": "watch",
            "PipelineId": next(iter(workspace.pipelines)),
            "PipelineSubmissionInfo": {"ExperimentName": "x"},
            "DataStoreTriggerInfo": {"DataStoreName": store, "PollingInterval": 5},
            "ScheduleType": "DataStore",
        }
    )
    emulation.clock.not_before(emulation.clock.now() + 301)
    runner.catch_up()
    assert workspace.schedules.all() == []
    assert not any(run.schedule_id for run in workspace.runs.values())
