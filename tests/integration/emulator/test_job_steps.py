"""The steps of a job: those of its component, copies of them, and those of a job without a component."""

from __future__ import annotations

import pytest
from support.services.workspace_api import DATA, SCOPE, SEED, serving

JOBS = f"{SCOPE}/jobs"


@pytest.fixture
def api():
    with serving() as running:
        yield running


STEPS = {"fit": {"type": "command", "componentId": f"{SCOPE}/components/fit_step/versions/1", "inputs": {}}}


class TestCopiedSteps:
    def test_the_steps_that_the_sdk_copies_from_the_component_are_dropped(self, api):
        api.put_job(jobs=STEPS)
        assert api.job()["jobs"] == {}
        # The same request again, with and without them.
        api.put_job(status=200, jobs=STEPS)
        api.put_job(status=200, jobs={})

    def test_the_steps_of_a_job_without_a_component_stay(self, api):
        api.ask("PUT", f"{JOBS}/job-1", 201, json={"properties": {"jobType": "Pipeline", "jobs": STEPS}})
        assert api.job()["jobs"] == STEPS

    def test_what_only_replies_have_is_ignored_if_it_is_sent_back(self, api):
        read = api.put_job()["properties"]
        read |= {"status": "Completed", "services": {"Studio": None}, "parentJobName": "x"}
        api.ask("PUT", f"{JOBS}/job-1", json={"properties": read})
        api.ask("PUT", f"{JOBS}/job-2", 201, json={"properties": read})
        assert api.job("job-2")["status"] == "NotStarted"


def node(component="fit_files:1", **inputs):
    name, _, version = component.partition(":")
    reference = f"{SCOPE}/components/{name}/versions/{version}"
    return {"type": "pipeline", "componentId": reference, "inputs": inputs}


def literal(value):
    return {"job_input_type": "literal", "value": value}


PLACE = {"job_input_type": "uri_folder", "uri": "azureml://datastores/store/paths/other/"}
BOUND = {"input": literal("${{parent.inputs.folder}}")}


class TestInlineSteps:
    def put(self, api, status=201, **jobs):
        inputs = {
            "folder": {"jobInputType": "uri_folder", "uri": DATA},
            "word": {"jobInputType": "literal", "value": "w"},
        }
        given = {"jobType": "Pipeline", "inputs": inputs, "jobs": jobs}
        return api.ask("PUT", f"{JOBS}/job-1", status, json={"properties": given})

    def steps(self, api):
        return [
            (step.step.name, step.parameters, step.data_paths and {k: v.path for k, v in step.data_paths.items()})
            for step in api.emulator.state.runs["job-1"].steps
        ]

    def test_a_job_of_steps_without_a_component(self, api):
        jobs = {
            "first": node(input=PLACE),
            "last": {"type": "command", "componentId": f"{SCOPE}/components/unknown/versions/1"},
        }
        api.put_job(component=None, inputs={}, jobs=jobs)
        api.emulator.clock.advance(60)
        assert [step["name"] for step in api.steps("job-1")] == ["prepare", "fit", "last"]
        assert "job-1" in api.get("/runs/job-1", headers={"Authorization": ""}).text

    def test_each_step_has_the_inputs_of_its_node(self, api):
        first = node(**BOUND, label=literal("-${{ parent.inputs.word }}-"))
        self.put(api, one=first, two=node(input=PLACE, rate=literal("0.25")), three={"type": "command"})
        assert self.steps(api) == [
            ("prepare", {"rate": "0.5", "label": "-w-"}, {"input": "in/"}),
            ("fit", {"rate": "0.5", "label": "-w-"}, {"input": "in/"}),
            ("prepare", {"rate": "0.25"}, {"input": "other/"}),
            ("fit", {"rate": "0.25"}, {"input": "other/"}),
            ("three", None, None),
        ]

    def test_an_output_of_another_node_counts_as_given(self, api):
        self.put(api, one=node(**BOUND), two=node(input=literal("${{parent.jobs.one.outputs.scores}}")))
        assert self.steps(api)[-1] == ("fit", {"rate": "0.5", "input": "${{parent.jobs.one.outputs.scores}}"}, {})

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [({}, "The required input input of one"), ({**BOUND, "other": literal("x")}, "of one has no input other")],
    )
    def test_inputs_that_a_component_lacks_or_needs_are_refused(self, api, inputs, message):
        assert message in self.put(api, 400, one=node(**inputs))

    def test_a_step_function_gets_the_inputs_of_its_node(self, tmp_path):
        steps = [{"name": "tell", "function": f"{__name__}:tell"}]
        seed = {"datastores": SEED["datastores"], "components": [{**SEED["components"][0], "steps": steps}]}
        state = tmp_path / "state.json"
        with serving(seed, state_file=state) as api:
            api.emulator.clock.hold()
            self.put(api, one=node(**BOUND), two=node(input=PLACE, rate=literal("0.25")))
        # The inputs survive a restart.
        with serving(seed, state_file=state) as api:
            api.emulator.clock.advance(60)
            assert api.job()["status"] == "Completed"
            assert api.emulator.state.runs["job-1"].outputs == {"told": [["0.5", "in/"], ["0.25", "other/"]]}


def tell(context):
    told = context.outputs.setdefault("told", [])
    context.outputs["told"] = [*told, [context.parameters["rate"], context.data_paths["input"].path]]
