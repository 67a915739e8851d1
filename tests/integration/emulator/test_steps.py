"""Step functions, including those of the demo on real blobs in Azurite."""

from __future__ import annotations

import json
import threading

import httpx
import pytest

from aml_provider.emulator.server import EmulatorServer

SCOPE = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
SUBMIT = f"/pipelines/v1.0{SCOPE}/PipelineRuns/PipelineSubmit"
SCORE = "10000000-0000-4000-8000-000000000001"
GATE = threading.Event()
SEEN = []


def collect(context):
    SEEN.append((context.run_id, context.step, dict(context.parameters), dict(context.outputs)))
    context.log(f"step {context.step}")
    context.outputs[context.step] = len(context.outputs)


def wait_for_gate(context):
    assert GATE.wait(240)


def seed(*functions):
    steps = [{"name": f"s{n}", "function": f"{__name__}:{function.__name__}"} for n, function in enumerate(functions)]
    parameters = [{"name": "a", "default": "1"}, {"name": "b", "optional": True}]
    return {"pipelines": [{"name": "p", "id": "p", "parameters": parameters, "steps": steps}]}


def submit(emulator, pipeline="p", **body):
    reply = httpx.post(
        f"{emulator.url}{SUBMIT}/{pipeline}",
        json={"ExperimentName": "exp", **body},
        headers={"Authorization": "Bearer t"},
    )
    assert reply.status_code == 200, reply.text
    return reply.json()["Id"]


def described(emulator, run_id):
    found = httpx.get(f"{emulator.url}/_emulator/runs").json()["runs"]
    return next(run for run in found if run["id"] == run_id)


@pytest.fixture(autouse=True)
def nothing_seen():
    SEEN.clear()
    GATE.clear()


def test_functions_run_when_their_step_starts():
    with EmulatorServer(seed(collect, collect)) as emulator:
        emulator.clock.hold()
        run_id = submit(emulator, ParameterAssignments={"b": "2"})
        emulator.clock.advance(0.3)
        assert SEEN == []
        emulator.clock.advance(0.2)
        assert [(run_id, "s0", {"a": "1", "b": "2"}, {})] == SEEN
        emulator.clock.advance(60)
        assert SEEN[1:] == [(run_id, "s1", {"a": "1", "b": "2"}, {"s0": 0})]
        run = described(emulator, run_id)
        assert (run["status"], run["outputs"]) == ("Finished", {"s0": 0, "s1": 1})


def test_functions_run_in_real_time():
    with EmulatorServer(seed(collect), speed=1000) as emulator:
        run_id = submit(emulator)
        while described(emulator, run_id)["status"] != "Finished":
            pass
        assert len(SEEN) == 1


def test_a_step_lasts_until_its_function_returns():
    with EmulatorServer(seed(wait_for_gate), speed=1000) as emulator:
        run_id = submit(emulator)
        while described(emulator, run_id)["steps"][0]["status"] != "Running":
            pass
        # Much longer than the step's own second.
        emulator.clock.set(held=True)
        assert described(emulator, run_id)["status"] == "Running"
        GATE.set()
        emulator.clock.advance(10)
        assert described(emulator, run_id)["status"] == "Finished"


def test_a_missing_function_fails_the_step():
    steps = [{"name": "s", "function": "no_such_module:f"}]
    with EmulatorServer({"pipelines": [{"name": "p", "id": "p", "steps": steps}]}) as emulator:
        emulator.clock.hold()
        run_id = submit(emulator)
        emulator.clock.advance(60)
        run = described(emulator, run_id)
        assert run["status"] == "Failed"
        assert "no_such_module" in run["steps"][0]["error"]


def test_a_run_continues_after_a_restart(tmp_path):
    path = tmp_path / "state.json"
    with EmulatorServer(seed(collect), state_file=path) as emulator:
        emulator.clock.hold()
        run_id = submit(emulator)
    with EmulatorServer(state_file=path) as emulator:
        emulator.clock.advance(60)
        assert described(emulator, run_id)["status"] == "Finished"
        assert len(SEEN) == 1


def test_the_demo_without_blobs_logs_it():
    with EmulatorServer() as emulator:
        emulator.clock.hold()
        run_id = submit(emulator, SCORE)
        emulator.clock.advance(60)
        assert described(emulator, run_id)["status"] == "Finished"
        assert "no blob endpoint given: nothing read" in httpx.get(f"{emulator.url}/runs/{run_id}").text


@pytest.mark.parametrize(
    ("path", "chosen", "inputs", "rows"),
    [
        ("incoming/a.csv", "", ["incoming/a.csv"], 2),
        ("incoming", "", ["incoming/a.csv", "incoming/b.csv"], 3),
        ("incoming/", " b.csv ,other.csv", ["incoming/b.csv"], 1),
    ],
)
def test_the_demo_scores_blobs(azurite, path, chosen, inputs, rows):
    container = azurite.container("azureml-blobstore-demo")
    for name, text in {
        "incoming/a.csv": "city,amount\nOslo,1.5\nRiga,2\n",
        "incoming/b.csv": "city,amount\nTurku,4\n",
        "incoming/deeper/c.csv": "city,amount\nX,100\n",
    }.items():
        container.upload_blob(name, text, overwrite=True)
    with EmulatorServer(blob_endpoint=azurite.blob_endpoint) as emulator:
        emulator.clock.hold()
        run_id = submit(
            emulator,
            SCORE,
            ParameterAssignments={"input_string": chosen},
            DataPathAssignments={"input_datapath": {"DataStoreName": "workspaceblobstore", "RelativePath": path}},
        )
        emulator.clock.advance(60)
        run = described(emulator, run_id)
        assert run["status"] == "Finished", run["steps"]
        result = json.loads(container.download_blob(f"results/{run_id}.json").readall())
        assert (result["run_id"], result["input_string"]) == (run_id, chosen)
        assert (result["inputs"], result["rows"]) == (inputs, rows)
        node = run["steps"][1]["node_id"]
        outputs = httpx.post(
            f"{emulator.url}/pipelines/v1.0{SCOPE}/PipelineRuns/{run_id}/Outputs",
            json=[node],
            headers={"Authorization": "Bearer t"},
        ).json()
        reference = outputs[f"{run_id}.json"]["DataLocation"]["DataReference"]["AzureBlobReference"]
        assert (reference["Container"], reference["RelativePath"]) == (
            container.container_name,
            f"results/{run_id}.json",
        )


def test_the_demo_fails_if_the_blob_does_not_exist(azurite):
    azurite.container("azureml-blobstore-demo")
    with EmulatorServer(blob_endpoint=azurite.blob_endpoint) as emulator:
        emulator.clock.hold()
        path = {"DataStoreName": "workspaceblobstore", "RelativePath": "missing.csv"}
        run_id = submit(emulator, SCORE, DataPathAssignments={"input_datapath": path})
        emulator.clock.advance(60)
        run = described(emulator, run_id)
        assert [step["status"] for step in run["steps"]] == ["Failed", "NotStarted"]
        error = run["steps"][0]["error"]
        assert error.startswith("FileNotFoundError: there is no blob ")
        assert error.endswith("(BlobNotFound)")
        assert "<?xml" not in json.dumps(run)


def test_a_reset_discards_pending_functions():
    with EmulatorServer(seed(collect)) as emulator:
        emulator.clock.hold()
        submit(emulator)
        emulator.reset()
        emulator.clock.hold()
        emulator.clock.advance(60)
        assert SEEN == []
