import pytest
from score_files import dag

pytestmark = pytest.mark.usefixtures("azureml_connection")


@pytest.fixture
def workspace(azureml_workspace, azureml_blobs):
    azureml_blobs.write("incoming/orders.csv", "order,amount\n1001,19.90\n")
    # An hour of the workspace is over in a moment.
    azureml_workspace.clock.set(speed=1_000_000)
    return azureml_workspace


def test_the_file_is_scored(workspace, azureml_blobs):
    assert dag.test().state == "success"
    (run,) = workspace.runs()
    assert (run["experiment"], run["status"]) == ("scoring", "Finished")
    assert azureml_blobs.read("scores/rows.txt") == b"2"


def test_without_the_file_each_try_fails(workspace, azureml_blobs):
    azureml_blobs.delete("incoming/orders.csv")
    assert dag.test().state == "failed"
    assert ["BlobNotFound" in run["steps"][0]["error"] for run in workspace.runs()] == [True] * 3


def test_a_reply_that_is_lost_starts_no_second_run(workspace):
    workspace.faults.add("drop", method="POST", path="*/PipelineSubmit/*")
    assert dag.test().state == "success"
    assert len(workspace.runs()) == 1
    assert [request["fault"] for request in workspace.requests("POST", "PipelineSubmit")] == ["drop"]
