"""Batch endpoints and their deployments: creating, changing, deleting."""

from __future__ import annotations

import pytest
from azure.ai.ml import Input, load_batch_endpoint, load_component
from azure.ai.ml.entities import BatchEndpoint, ModelBatchDeployment, PipelineComponentBatchDeployment
from azure.ai.ml.exceptions import MlException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from helpers import COMPUTE, FOLDER, inner_code, inputs_of
from identity import SCOPE

examines = pytest.mark.examines

# Longer than any of these operations takes.
_SECONDS = 60


def make(ml, name="new-batch", **fields):
    return ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name=name, **fields)).result(_SECONDS)


def deploy(ml, name="blue", endpoint="new-batch", component="azureml:score_files:2", **fields):
    fields = {"settings": {"default_compute": COMPUTE, "continue_on_step_failure": False}} | fields
    deployment = PipelineComponentBatchDeployment(name=name, endpoint_name=endpoint, component=component, **fields)
    return ml.batch_deployments.begin_create_or_update(deployment).result(_SECONDS)


def set_default(ml, name, endpoint="new-batch"):
    found = ml.batch_endpoints.get(endpoint)
    if found.defaults is None:
        found.defaults = {"deployment_name": name}
    else:
        found.defaults.deployment_name = name
    return ml.batch_endpoints.begin_create_or_update(found).result(_SECONDS)


def invoke(ml, endpoint="new-batch"):
    inputs = {"input_datapath": Input(type="uri_folder", path=FOLDER)}
    return ml.jobs.get(ml.batch_endpoints.invoke(endpoint, inputs=inputs).name)


def refused(how, *values):
    with pytest.raises(HttpResponseError) as raised:
        how(*values).result(_SECONDS)
    assert raised.value.status_code == 400
    return inner_code(raised.value)


@examines("BatchEndpointOperations.begin_create_or_update", "BatchEndpointOperations.get")
def test_an_endpoint_is_created(ml, emulator):
    made = make(ml, description="Scores.", tags={"team": "blue"}, properties={"k": "v"})
    found = ml.batch_endpoints.get("new-batch")
    for item in (made, found):
        assert (item.name, item.description, item.tags) == ("new-batch", "Scores.", {"team": "blue"})
        assert (item.properties["k"], str(item.auth_mode), item.defaults) == ("v", "aad_token", None)
        assert (item.location, item.provisioning_state) == ("koreacentral", "Succeeded")
        assert item.scoring_uri.startswith(f"{emulator.url}/")
    assert "new-batch" in {item.name for item in ml.batch_endpoints.list()}


@examines(
    "BatchEndpointOperations.begin_create_or_update", "BatchDeploymentOperations.begin_create_or_update",
    "BatchDeploymentOperations.get", "BatchEndpointOperations.invoke",
)  # fmt: skip
def test_from_nothing_to_a_job_of_the_default_deployment(ml, emulator):
    make(ml)
    made = deploy(ml, description="the first", tags={"a": "b"})
    component = f"{SCOPE}/components/score_files/versions/2"
    assert (made.name, made.endpoint_name, made.component, made.tags) == ("blue", "new-batch", component, {"a": "b"})
    assert made.settings == {"default_compute": COMPUTE, "continue_on_step_failure": "False"}
    found = ml.batch_deployments.get("blue", "new-batch")
    assert (found.description, found.provisioning_state) == ("the first", "Succeeded")
    assert [item.name for item in ml.batch_deployments.list("new-batch")] == ["blue"]
    assert set_default(ml, "blue").defaults.deployment_name == "blue"
    job = invoke(ml)
    assert (job.component, inputs_of(job)) == (component, {"input_datapath": FOLDER})
    emulator.advance(60)
    assert ml.jobs.get(job.name).status == "Completed"


@examines("BatchEndpointOperations.begin_create_or_update")
def test_an_endpoint_from_a_file_in_yaml(ml, tmp_path):
    file = tmp_path / "endpoint.yml"
    file.write_text("name: new-batch\ndescription: From a file.\nauth_mode: aad_token\n")
    made = ml.batch_endpoints.begin_create_or_update(load_batch_endpoint(file)).result(_SECONDS)
    assert made.description == "From a file."


@examines("BatchDeploymentOperations.begin_create_or_update")
@pytest.mark.parametrize(
    "reference", ["azureml:score_files:2", "score_files@latest", f"{SCOPE}/components/score_files/versions/2"]
)
def test_the_forms_of_a_reference_to_a_component(ml, reference):
    make(ml)
    assert deploy(ml, component=reference).component.endswith("/components/score_files/versions/2")


@examines("BatchDeploymentOperations.begin_create_or_update", "BatchEndpointOperations.invoke")
def test_a_deployment_gets_another_component(ml):
    make(ml)
    deploy(ml, component="azureml:score_files:1")
    set_default(ml, "blue")
    assert deploy(ml, description="newer").component.endswith("score_files/versions/2")
    assert ml.batch_deployments.get("blue", "new-batch").description == "newer"
    assert [item.name for item in ml.batch_deployments.list("new-batch")] == ["blue"]
    assert invoke(ml).component.endswith("score_files/versions/2")


@examines("BatchEndpointOperations.begin_create_or_update")
def test_an_update_replaces_the_texts_and_the_default_but_no_deployment(ml):
    found = ml.batch_endpoints.get("score-batch")
    found.description, found.tags = "Scores more.", {"team": "green"}
    found.defaults.deployment_name = "previous"
    changed = ml.batch_endpoints.begin_create_or_update(found).result(_SECONDS)
    assert (changed.description, changed.tags) == ("Scores more.", {"team": "green"})
    assert [item.name for item in ml.batch_deployments.list("score-batch")] == ["current", "previous"]
    assert invoke(ml, "score-batch").component.endswith("score_files/versions/1")


@examines("BatchEndpointOperations.begin_create_or_update", "BatchEndpointOperations.begin_delete")
@pytest.mark.parametrize("name", ["ab", "a" * 33, "1abc", "a_bc", "abc-"])
def test_the_sdk_refuses_invalid_names_itself(ml, emulator, name):
    with pytest.raises(MlException, match="The name for an endpoint must"):
        make(ml, name)
    assert emulator.requests("PUT") == []
    # Without a check of its own: what cannot exist is not there.
    ml.batch_endpoints.begin_delete(name).result(_SECONDS)


@examines("BatchEndpointOperations.begin_create_or_update")
def test_endpoints_that_are_refused(ml):
    for fields, code in (
        ({"defaults": {"deployment_name": "nope"}}, "DeploymentNotFound"),
        ({"auth_mode": "key"}, "AuthMode"),
        ({"tags": {"team": ""}}, "TagValue"),
    ):
        assert refused(ml.batch_endpoints.begin_create_or_update, BatchEndpoint(name="new-batch", **fields)) == code
    with pytest.raises(ResourceNotFoundError):
        ml.batch_endpoints.get("new-batch")


@examines("BatchDeploymentOperations.begin_create_or_update")
def test_deployments_that_are_refused(ml):
    make(ml)
    with pytest.raises(ResourceNotFoundError, match="nope"):
        deploy(ml, endpoint="nope")
    for component, code in (("azureml:nope:1", "ComponentNotFound"), ("azureml:count_rows:1", "ComponentType")):
        deployment = PipelineComponentBatchDeployment(name="blue", endpoint_name="new-batch", component=component)
        assert refused(ml.batch_deployments.begin_create_or_update, deployment) == code
    model = ModelBatchDeployment(
        name="model", endpoint_name="new-batch", model="azureml:m:1", compute=COMPUTE, environment="azureml:e:1"
    )
    assert refused(ml.batch_deployments.begin_create_or_update, model) == "DeploymentKind"
    assert list(ml.batch_deployments.list("new-batch")) == []


@examines(
    "BatchDeploymentOperations.begin_create_or_update", "BatchEndpointOperations.invoke", "ComponentOperations.get"
)  # fmt: skip
@pytest.mark.parametrize("registered", [True, False])
def test_a_deployment_of_a_component_object(ml, emulator, tmp_path, registered):
    file = tmp_path / "component.yml"
    file.write_text(
        "type: pipeline\nname: fresh\nversion: '1'\ndescription: Counts rows.\ntags: {stage: test}\n"
        "inputs: {input_datapath: {type: uri_folder}}\n"
        f"jobs: {{count: {{type: command, component: azureml:count_rows:1, compute: azureml:{COMPUTE},\n"
        '  inputs: {data: "${{parent.inputs.input_datapath}}"}}}\n'
    )
    component = load_component(file)
    if registered:
        ml.components.create_or_update(component)
    make(ml)
    assert deploy(ml, component=component).component.endswith("/components/fresh/versions/1")
    assert ml.components.get("fresh", "1").description == "Counts rows."
    set_default(ml, "blue")
    job = invoke(ml)
    assert job.component.endswith("/components/fresh/versions/1")
    # The SDK sends these only with a component that it registers itself.
    sent = (None, None) if registered else ("Counts rows.", "test")
    found = emulator.jobs()[job.name]
    assert (found["description"], found["tags"].get("stage")) == sent


@examines("BatchDeploymentOperations.begin_delete", "BatchDeploymentOperations.list")
def test_a_deployment_is_deleted_but_not_the_default_one(ml):
    ml.batch_deployments.begin_delete("previous", "score-batch").result(_SECONDS)
    assert [item.name for item in ml.batch_deployments.list("score-batch")] == ["current"]
    assert refused(ml.batch_deployments.begin_delete, "current", "score-batch") == "IsDefault"
    found = ml.batch_endpoints.get("score-batch")
    found.defaults = None
    ml.batch_endpoints.begin_create_or_update(found).result(_SECONDS)
    ml.batch_deployments.begin_delete("current", "score-batch").result(_SECONDS)
    assert list(ml.batch_deployments.list("score-batch")) == []
    assert ml.batch_endpoints.get("score-batch").defaults is None
    for names in (("current", "score-batch"), ("current", "nope")):
        ml.batch_deployments.begin_delete(*names).result(_SECONDS)


@examines("BatchEndpointOperations.begin_delete", "BatchEndpointOperations.list")
def test_an_endpoint_is_deleted_with_its_deployments_but_not_its_jobs(ml):
    job = invoke(ml, "score-batch")
    ml.batch_endpoints.begin_delete("score-batch").result(_SECONDS)
    assert [item.name for item in ml.batch_endpoints.list()] == ["typed-batch", "empty-batch"]
    for read in (ml.batch_endpoints.get, lambda name: list(ml.batch_deployments.list(name))):
        with pytest.raises(ResourceNotFoundError, match="score-batch"):
            read("score-batch")
    assert ml.jobs.get(job.name).component.endswith("score_files/versions/2")
    make(ml, "score-batch")
    assert list(ml.batch_deployments.list("score-batch")) == []


@examines(
    "BatchEndpointOperations.begin_create_or_update", "BatchEndpointOperations.begin_delete",
    "BatchDeploymentOperations.begin_create_or_update", "BatchDeploymentOperations.begin_delete",
)  # fmt: skip
def test_operations_that_take_time(serve):
    emulator, ml = serve("--quirk", "provisioning=5s", "--quirk", "slow_delete=5s")
    poller = ml.batch_endpoints.begin_create_or_update(BatchEndpoint(name="new-batch"))
    assert poller.result(_SECONDS).provisioning_state == "Succeeded"
    assert deploy(ml).component.endswith("score_files/versions/2")
    assert ml.batch_deployments.get("blue", "new-batch").provisioning_state == "Succeeded"
    ml.batch_deployments.begin_delete("blue", "new-batch").result(_SECONDS)
    ml.batch_endpoints.begin_delete("new-batch").result(_SECONDS)
    with pytest.raises(ResourceNotFoundError):
        ml.batch_endpoints.get("new-batch")
    polled = [item["path"].rpartition("/")[2] for item in emulator.requests("GET", "/operations/")]
    assert (set(polled[:2]), set(polled[-2:])) == ({"status"}, {"location"})


@examines("BatchEndpointOperations.begin_create_or_update", "BatchDeploymentOperations.begin_create_or_update")
def test_an_operation_that_fails(serve):
    _, ml = serve("--quirk", "provisioning=5s", "--quirk", "provisioning_fails=no quota")
    with pytest.raises(HttpResponseError, match="no quota"):
        make(ml)
    assert ml.batch_endpoints.get("new-batch").provisioning_state == "Failed"
    with pytest.raises(HttpResponseError, match="no quota"):
        deploy(ml)
    assert ml.batch_deployments.get("blue", "new-batch").provisioning_state == "Failed"
