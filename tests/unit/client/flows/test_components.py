"""Finding the version of a component, directly or through a batch endpoint, and what is read of it."""

from __future__ import annotations

import pytest
from support.models.service import Service

from aml_provider.client.entities import BatchDeployment, BatchEndpoint, Component, ComponentVersion, Datastore
from aml_provider.client.errors import (
    InvalidArgument,
    InvalidParameters,
    NotFound,
    PermissionDenied,
    PipelineError,
    ServerFault,
)
from aml_provider.client.flows.targets import Known, find_target_for
from aml_provider.client.specs.run import RunRequest
from aml_provider.client.specs.target import PipelineReference, Target

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
VERSIONS = "GET /components/score/versions"
ENDPOINT = "GET /batchEndpoints/door"
BLUE = "GET /batchEndpoints/door/deployments/blue"
DEPLOYMENTS = "GET /batchEndpoints/door/deployments"
MISSING = NotFound("x", status=404)
BY_NAME = {"component_name": "score"}
THROUGH = {"batch_endpoint_name": "door"}


def container(name):
    return Component.from_wire({"id": f"{WORKSPACE}/components/{name}", "name": name, "properties": {}})


def version(number="2", kind="pipeline", archived=False):
    inputs = {"folder": {"type": "uri_folder", "optional": True}, "rows": {"type": "integer", "optional": True}}
    return ComponentVersion.from_wire(
        {
            "id": f"{WORKSPACE}/components/score/versions/{number}",
            "name": number,
            "properties": {"componentSpec": {"type": kind, "inputs": inputs}, "isArchived": archived},
        }
    )


def endpoint(name="door", default="blue"):
    defaults = {"deploymentName": default} if default else None
    return BatchEndpoint.from_wire({"id": "/e", "name": name, "properties": {"defaults": defaults}})


def deployment(name="blue", component=None, kind="PipelineComponent", state="Succeeded", **more):
    configuration = {
        "deploymentConfigurationType": kind,
        "componentId": {"referenceType": "Id", "assetId": component or target().id},
        "settings": {"default_compute": "cpu"},
        **more,
    }
    properties = {"deploymentConfiguration": configuration, "provisioningState": state}
    return BatchDeployment.from_wire({"id": "/d", "name": name, "properties": properties})


def target(number="2", settings=(), data_inputs=(("folder", "uri_folder"),)):
    version_id = f"{WORKSPACE}/components/score/versions/{number}"
    return Target("component", version_id, number, version_id, "score", settings, data_inputs)


def find(answers, known=None, *, validate=True, request=None, **reference):
    """The target, and the requests that it took to find it."""
    service = Service(answers)
    asked = RunRequest.of(experiment_name="e", **(request or {}))
    known = known or Known(workspace=WORKSPACE)
    found = service.carry_out(find_target_for(asked, PipelineReference(**reference), known, validate=validate))
    return found, service.asked


def refused(answers, **arguments):
    with pytest.raises(PipelineError) as caught:
        find(answers, **arguments)
    return caught.value.text


class TestByName:
    def test_the_newest_version_is_read_with_one_request(self):
        assert find({VERSIONS: (version(),)}, **BY_NAME) == (target(), [VERSIONS])

    def test_a_given_version_is_read_once(self):
        known = Known(workspace=WORKSPACE)
        given = {**BY_NAME, "component_version": "7"}
        assert find({f"{VERSIONS}/7": version("7")}, known, **given) == (target("7"), [f"{VERSIONS}/7"])
        assert find({}, known, **given) == (target("7"), [])

    def test_a_given_version_without_a_check_costs_no_request(self):
        found, asked = find({}, validate=False, component_version="7", **BY_NAME)
        assert (found, asked) == (target("7", data_inputs=None), [])

    @pytest.mark.parametrize("data", [{"data_paths": {"folder": "store/in"}}, {"datasets": {"folder": "a:1"}}])
    def test_data_needs_the_types_of_the_inputs_also_without_a_check(self, data):
        answers = {f"{VERSIONS}/7": version("7")}
        found, asked = find(answers, validate=False, request=data, component_version="7", **BY_NAME)
        assert (found, asked) == (target("7"), [f"{VERSIONS}/7"])

    def test_the_newest_version_is_requested_again_each_time(self):
        known = Known(workspace=WORKSPACE)
        assert find({VERSIONS: (version(),)}, known, **BY_NAME)[0] == target()
        assert find({VERSIONS: (version("3"),)}, known, **BY_NAME) == (target("3"), [VERSIONS])

    def test_an_archived_version_is_not_the_newest_even_if_the_service_lists_it(self):
        archived = version("3", archived=True)
        answers = {VERSIONS: [(archived,), (archived, version(), version("1"))]}
        assert find(answers, **BY_NAME) == (target(), [VERSIONS, VERSIONS])

    @pytest.mark.parametrize("nothing", [(), MISSING])
    def test_a_missing_name_lists_similar_ones(self, nothing):
        answers = {VERSIONS: nothing, "GET /components": (container("scores"), container("other"))}
        said = refused(answers, **BY_NAME)
        assert said == "component_name: the workspace has no component named 'score'; did you mean 'scores'?"

    def test_archived_components_are_listed_too_where_none_has_the_name(self):
        service = Service({VERSIONS: (), "GET /components": ()})
        flow = find_target_for(RunRequest.of(experiment_name="e"), PipelineReference(component_name="score"), Known())
        with pytest.raises(PipelineError, match="it has none at all"):
            service.carry_out(flow)
        assert dict(service.steps[-1].query)["listViewType"] == "All"

    def test_a_component_of_archived_versions_says_so(self):
        said = refused({VERSIONS: (), "GET /components": (container("score"),)}, **BY_NAME)
        assert said == (
            "component_name: all versions of component 'score' are archived; restore one, or give component_version"
        )

    def test_a_missing_version_lists_those_that_there_are(self):
        answers = {f"{VERSIONS}/9": MISSING, VERSIONS: (version("2"), version("1"))}
        said = refused(answers, component_version="9", **BY_NAME)
        assert said == "component_version: component 'score' has no version '9'; it has 2, 1"

    def test_a_missing_version_of_a_missing_component_is_a_missing_component(self):
        answers = {f"{VERSIONS}/9": MISSING, VERSIONS: MISSING, "GET /components": ()}
        said = refused(answers, component_version="9", **BY_NAME)
        assert "has no component named 'score'; it has none at all" in said

    @pytest.mark.parametrize("error", [PermissionDenied("x", status=403), ServerFault("x", status=500)])
    def test_another_failure_is_not_a_missing_component(self, error):
        with pytest.raises(type(error)):
            find({VERSIONS: error}, **BY_NAME)

    def test_a_component_that_is_only_a_step_cannot_be_run(self):
        said = refused({VERSIONS: (version(kind="command"),)}, **BY_NAME)
        assert said.startswith("component_name: component 'score' version 2 is of type command; only a pipeline")

    def test_a_request_that_does_not_fit_is_refused_before_the_datastores_are_listed(self):
        request = {"parameters": {"rows": "many"}, "data_paths": {"folder": "nowhere/in"}}
        with pytest.raises(InvalidParameters, match="'rows' is 'many', but its type is integer"):
            find({VERSIONS: (version(),)}, request=request, **BY_NAME)

    def test_a_datastore_that_does_not_exist_is_refused(self):
        answers = {VERSIONS: (version(),), "GET /datastores": (Datastore.from_wire({"name": "store"}),)}
        with pytest.raises(InvalidArgument, match=r"data_paths\['folder'\]: the workspace has no datastore 'stor'"):
            find(answers, request={"data_paths": {"folder": "stor/in"}}, **BY_NAME)


class TestThroughABatchEndpoint:
    SETTINGS = (("default_compute", "cpu"),)

    def test_its_default_deployment_names_the_component_and_its_settings(self):
        answers = {ENDPOINT: endpoint(), BLUE: deployment(), f"{VERSIONS}/2": version()}
        assert find(answers, **THROUGH) == (target(settings=self.SETTINGS), [ENDPOINT, BLUE, f"{VERSIONS}/2"])

    def test_a_given_deployment_needs_no_endpoint(self):
        found, asked = find({BLUE: deployment()}, validate=False, deployment_name="blue", **THROUGH)
        assert (found, asked) == (target(settings=self.SETTINGS, data_inputs=None), [BLUE])

    def test_a_deployment_without_settings_has_none(self):
        answers = {BLUE: deployment(settings=None)}
        found, _ = find(answers, validate=False, deployment_name="blue", **THROUGH)
        assert found == target(data_inputs=None)

    def test_a_setting_without_a_value_is_none(self):
        answers = {BLUE: deployment(settings={"default_compute": "", "default_datastore": None, "force_rerun": "True"})}
        found, _ = find(answers, validate=False, deployment_name="blue", **THROUGH)
        assert found == target(settings=(("force_rerun", "True"),), data_inputs=None)

    @pytest.mark.parametrize("prefix", ["", "azureml:"])
    def test_the_workspace_is_recognised_in_any_case(self, prefix):
        lower = f"{prefix}{WORKSPACE.lower()}/components/score/versions/2"
        found, _ = find({BLUE: deployment(component=lower)}, validate=False, deployment_name="blue", **THROUGH)
        assert found.id == target().id

    @pytest.mark.parametrize(
        "component",
        [
            "azureml://registries/shared/components/score/versions/2",
            f"{WORKSPACE}x/components/score/versions/2",
            f"{WORKSPACE}/data/score/versions/2",
        ],
    )
    def test_a_component_of_elsewhere_cannot_be_read(self, component):
        said = refused({BLUE: deployment(component=component)}, deployment_name="blue", **THROUGH)
        assert component in said
        assert "not one of this workspace's" in said

    def test_a_missing_endpoint_lists_similar_ones(self):
        answers = {ENDPOINT: MISSING, "GET /batchEndpoints": (endpoint("doors"),)}
        said = "batch_endpoint_name: the workspace has no batch endpoint 'door'; did you mean 'doors'?"
        assert refused(answers, **THROUGH) == said
        assert refused({**answers, BLUE: MISSING}, deployment_name="blue", **THROUGH) == said

    def test_a_missing_deployment_lists_those_that_there_are(self):
        answers = {ENDPOINT: endpoint(), BLUE: MISSING, DEPLOYMENTS: (deployment("green"), deployment("red"))}
        assert refused(answers, deployment_name="blue", **THROUGH) == (
            "deployment_name: batch endpoint 'door' has no deployment 'blue'; it has green, red"
        )
        assert "has no deployment 'blue', which is its default one; it has green, red" in refused(answers, **THROUGH)

    @pytest.mark.parametrize(("deployments", "known"), [([("green")], "green"), ([], "none")])
    def test_an_endpoint_without_a_default_deployment_says_what_to_do(self, deployments, known):
        answers = {ENDPOINT: endpoint(default=None), DEPLOYMENTS: tuple(map(deployment, deployments))}
        assert refused(answers, **THROUGH) == (
            "batch_endpoint_name: batch endpoint 'door' has no default deployment; give deployment_name "
            f"(it has {known}), or set a default deployment in the studio"
        )

    @pytest.mark.parametrize("more", [{"kind": "Model"}, {"componentId": None}])
    def test_a_deployment_of_a_model_is_not_run(self, more):
        answers = {ENDPOINT: endpoint(), BLUE: deployment(**more)}
        assert "runs a model, not a pipeline component" in refused(answers, **THROUGH)

    @pytest.mark.parametrize("state", ["Failed", "Canceled", "Deleting"])
    def test_a_broken_deployment_is_not_run(self, state):
        said = refused({ENDPOINT: endpoint(), BLUE: deployment(state=state)}, **THROUGH)
        assert f"deployment 'blue' of batch endpoint 'door' is {state}; deploy it again" in said

    @pytest.mark.parametrize("state", ["Creating", "Updating", "Scaling", "Something"])
    def test_a_deployment_in_another_state_says_what_is_run(self, state):
        answers = {ENDPOINT: endpoint(), BLUE: deployment(state=state), f"{VERSIONS}/2": version()}
        assert find(answers, **THROUGH)[0] == target(settings=self.SETTINGS)
