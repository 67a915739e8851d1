"""The pages of components and jobs, over HTTP."""

from __future__ import annotations

from contextlib import contextmanager

import httpx
import pytest
from support.drivers.studio_page import Page, every_page
from support.samples.studio import HOSTILE, HOSTILE_ID, HOSTILE_SEED
from support.services.workspace_api import SCOPE, serving

from aml_provider.emulator.server import EmulatorServer

LITERAL = {"jobInputType": "literal", "value": HOSTILE}


@contextmanager
def opening(emulator):
    """Opens pages."""
    with httpx.Client(base_url=emulator.url, follow_redirects=True) as client:
        yield lambda path: Page(client.get(path))


@pytest.fixture
def api():
    with serving() as running:
        running.put_job(tags={"airflow.dag_id": "d", "airflow.task_id": "t"})
        running.put_schedule()
        running.emulator.clock.advance(60)
        yield running


@pytest.fixture
def open_page(api):
    with opening(api.emulator) as open_page:
        yield open_page


def test_all_links_lead_somewhere(open_page):
    pages = every_page(open_page)
    assert [address for address, page in pages.items() if page.status != 200] == []
    assert {"/components", "/components/fit_files%3A1", "/components/fit_files%3A2", "/runs/job-1"} <= pages.keys()


def test_a_component_has_its_interface_and_its_jobs(api, open_page):
    page = open_page("/components/fit_files:1")
    for text in ("component_name", "rate", "uri_folder", "required", "gate", "job-1", "prepare, fit"):
        assert text in page.text, text
    assert open_page("/components/none:1").status == 404
    (listed,) = (run for run in api.emulator.state.runs.values() if run.id == "job-1")
    assert listed.id in open_page("/runs?component=fit_files:1").text
    assert "No matching runs" in open_page("/runs?component=fit_files:2").text


def test_a_job_names_its_component_and_who_submitted_it(open_page):
    page = open_page("/runs/job-1").text
    assert "fit_files:1" in page
    assert "DAG d, task t" in page
    assert "schedule daily" in open_page("/runs").text


def graph_of(page):
    """The steps of the graph with their statuses, and the number of its edges."""
    steps = [attrs["aria-label"] for tag, attrs in page.tags if tag == "a" and "data-status" in attrs]
    return steps, len([tag for tag, _ in page.tags if tag == "path"])


def test_the_graph_of_a_job_has_the_bindings_of_its_steps(api, open_page):
    bound = {"inputs": {"data": {"job_input_type": "literal", "value": "${{parent.jobs.read.outputs.rows}}"}}}
    jobs = {"read": {}, "left": bound, "right": bound}
    api.put_job("job-2", component=None, inputs={}, jobs=jobs)
    assert graph_of(open_page("/runs/job-2")) == (["read, NotStarted", "left, NotStarted", "right, NotStarted"], 2)
    assert graph_of(open_page("/runs/job-1")) == (["prepare, Finished", "fit, Finished"], 1)
    (drawn,) = [attrs for _, attrs in open_page("/components/fit_files:1").tags if attrs.get("class") == "graph"]
    assert drawn["aria-label"] == "Steps: prepare; fit after prepare"


def test_a_job_has_the_defaults_of_its_component(api, open_page):
    page = open_page("/runs/job-1")
    assert page.row("rate") == ["number", "not given", "0.5"]
    assert page.row("input") == ["uri_folder", "store/in/", "required"]
    assert "Default of the component" in page.text
    api.put_job("job-2", component=None, inputs={"word": {"jobInputType": "literal", "value": "w"}}, jobs={"a": {}})
    assert open_page("/runs/job-2").row("word") == ["", "w", "none"]


def test_endpoints_and_schedules_of_both_apis(open_page):
    assert "blue" in open_page("/endpoints").text
    schedules = open_page("/schedules").text
    assert "daily" in schedules
    assert "Recurrence" in schedules


def test_hostile_texts_stay_texts():
    with EmulatorServer(HOSTILE_SEED) as emulator:
        emulator.clock.hold()
        properties = {
            "jobType": "Pipeline",
            "componentId": f"{HOSTILE_ID}:1",
            "displayName": HOSTILE,
            "description": HOSTILE,
            "inputs": {HOSTILE: LITERAL},
            "tags": {HOSTILE: HOSTILE},
        }
        emulator.state.jobs.put("job", properties)
        trigger = {"triggerType": "Cron", "expression": "* * * * *", HOSTILE: HOSTILE}
        action = {"actionType": "CreateJob", "jobDefinition": properties}
        emulator.state.job_schedules.put("s", {"trigger": trigger, "action": action})
        emulator.clock.advance(61)
        with opening(emulator) as open_page:
            pages = every_page(open_page)
        assert len(pages) > 8
        for address, page in pages.items():
            assert page.status == 200, address
            assert "<script>window" not in page.source, address
            assert "<img src=x" not in page.source, address
        assert any("window.ran='script'" in page.text for page in pages.values())


def test_the_demo_has_one_line_between_the_two_apis():
    with EmulatorServer("demo") as emulator:
        pipeline = next(item for item in emulator.state.pipelines.values() if item.name == "score-files")
        names = {item.name for item in (*pipeline.parameters, *pipeline.data_paths)}
        versions = emulator.state.components.versions("score_files")
        assert [{item.name for item in version.inputs} for version in versions] == [names, names]
        (endpoint,) = emulator.state.batch_endpoints.all()
        assert emulator.state.batch_endpoints.default_component(endpoint) is versions[-1]
        (schedule,) = emulator.state.job_schedules.all()
        assert not schedule.enabled
        assert len(emulator.state.runs) == 0


def test_batch_endpoints_and_deployments_that_are_not_ready_yet():
    body = {"location": "eastus", "properties": {"authMode": "AADToken"}}
    reference = {"referenceType": "Id", "assetId": "fit_files:1"}
    configuration = {"deploymentConfigurationType": "PipelineComponent", "componentId": reference}
    deployment = {"location": "eastus", "properties": {"deploymentConfiguration": configuration}}
    with serving(quirks=["provisioning=5s"]) as api, opening(api.emulator) as open_page:
        api.ask("PUT", f"{SCOPE}/batchEndpoints/door", 201, json=body)
        api.ask("PUT", f"{SCOPE}/batchEndpoints/door/deployments/white", 201, json=deployment)
        text = open_page("/endpoints").text
        assert text.count("Creating") == 2
        assert "white (Creating)" in text
        api.emulator.clock.advance(5)
        assert "Creating" not in open_page("/endpoints").text
