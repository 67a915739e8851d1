"""The pages of the local workspace, over HTTP."""

from __future__ import annotations

import base64
import hashlib
import re
from urllib.parse import urljoin

import httpx
import pytest
from support.drivers.studio_page import Page, every_page
from support.samples.studio import HOSTILE, HOSTILE_ID, HOSTILE_SEED, SEED, populate_hostile

from aml_provider.client.settings import WorkspaceSettings
from aml_provider.emulator.server import EmulatorServer
from aml_provider.emulator.studio.documents import utc
from aml_provider.emulator.workspace.publishing import published

WSID = "?wsid=/subscriptions/s/resourcegroups/rg/workspaces/ws&tid=t"


class TestEveryPage:
    def test_all_links_lead_somewhere(self, open_page, ids):
        pages = every_page(open_page)
        assert [address for address, page in pages.items() if page.status != 200] == []
        assert {"/", "/runs", "/pipelines", "/endpoints", "/schedules", "/experiments"} <= pages.keys()
        assert {f"/runs/{run_id}" for run_id in ids.values()} <= pages.keys()
        assert {"/pipelines/twin-2", "/endpoints/door", "/schedules/paused"} <= pages.keys()

    def test_pages_are_accessible(self, open_page, ids):
        for address, page in every_page(open_page).items():
            names = [tag for tag, _ in page.tags]
            assert names.count("h1") == names.count("main") == 1, address
            assert ("html", {"lang": "en"}) in page.tags
            assert all("scope" in attrs for tag, attrs in page.tags if tag == "th"), address
            assert len(page.ids) == len(set(page.ids)), address

    def test_nothing_but_the_pages_own_style_and_script_is_allowed(self, open_page, ids):
        for page in every_page(open_page).values():
            rules = dict(rule.split(" ", 1) for rule in page.headers["Content-Security-Policy"].split("; "))
            assert rules["default-src"] == rules["base-uri"] == rules["frame-ancestors"] == "'none'"
            for tag in ("style", "script"):
                (own,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page.source, re.DOTALL)
                digest = base64.b64encode(hashlib.sha256(own.encode()).digest()).decode()
                assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
            assert page.headers["X-Content-Type-Options"] == "nosniff"
            assert page.headers["Cache-Control"] == "no-store"
            assert not any(name == "style" or name.startswith("on") for _, attrs in page.tags for name in attrs)

    def test_counts_of_one_are_singular(self, emulator, open_page, ids):
        for state in (emulator.state.endpoints, emulator.state.datastores):
            assert len(state) == 1
        run = emulator.state.runs[ids["finished"]]
        run.steps[0].blobs.append(("store", "result", 1))
        texts = [page.text for page in every_page(open_page).values()]
        texts.append(open_page("/runs?experiment=none").text)
        for one, many in (("1 endpoint", "0 runs"), ("(1 byte)", "4 schedules"), ("1 run", "4 pipelines")):
            assert any(one in text for text in texts), one
            assert any(many in text for text in texts), many
        # Ids are random: a run's id can end with 1, followed by the name of its pipeline, breaks.
        wrong = re.compile(r"(?<![\w.])1 [a-z]+s\b(?! ago)")
        assert wrong.search("1 runs")
        assert [found for text in texts for found in wrong.findall(text)] == []

    def test_pages_load_nothing_from_other_hosts(self, open_page, ids):
        for page in every_page(open_page).values():
            assert all(link.startswith(("/", "#")) for link in page.links)
            assert not any({"src", "srcset", "action"} & attrs.keys() - {"action"} for _, attrs in page.tags)
            assert [attrs["href"] for tag, attrs in page.tags if tag == "link"] == ["data:,"]

    def test_pages_use_up_no_fault_and_are_not_logged(self, emulator, open_page, ids):
        fault = emulator.faults.add("status", status=503)
        for page in every_page(open_page).values():
            assert page.status == 200
        assert emulator.requests() == []
        assert [waiting["id"] for waiting in emulator.faults.pending()] == [fault.id]

    @pytest.mark.parametrize(
        "kind", ["runs", "pipelines", "endpoints", "schedules", "datastores", "experiments", "experiments/id"]
    )
    def test_missing_things_are_a_404(self, open_page, kind):
        page = open_page(f"/{kind}/nobody")
        assert page.status == 404
        assert "nobody" in page.text
        assert "reset" in page.text

    def test_an_empty_workspace(self):
        with EmulatorServer("none") as emulator, httpx.Client(base_url=emulator.url) as client:
            pages = every_page(lambda path: Page(client.get(path)))
        assert [page.status for page in pages.values()] == [200] * 8
        assert "No runs yet." in pages["/"].text


class TestLinks:
    """Addresses that other programs build open the right page."""

    @pytest.mark.parametrize("tenant", [None, "11111111-1111-1111-1111-111111111111"])
    def test_the_operators_link(self, emulator, open_page, ids, tenant):
        settings = WorkspaceSettings(
            subscription_id="s",
            resource_group="rg",
            workspace_name="ws",
            endpoint=emulator.url,
            auth_method="static_token",
            tenant_id=tenant,
        )
        page = open_page(settings.run_url(ids["failed"]))
        assert ids["failed"] in page.text
        assert page.fact("Pipeline") == "breaks"

    @pytest.mark.parametrize(
        ("path", "heading"),
        [
            ("/pipelines/good", "good"),
            ("/endpoints/pipeline/door", "door"),
            ("/endpoints/door", "door"),
            ("/experiments/scoring", "scoring"),
        ],
    )
    def test_links_of_microsofts_sdk_and_of_the_studio(self, open_page, ids, path, heading):
        page = open_page(path + WSID)
        assert page.status == 200
        assert re.search(rf"<h1>{heading}\b", page.source)

    def test_an_experiment_by_id(self, emulator, open_page, ids):
        experiment = emulator.state.experiments.named("scoring")
        page = open_page(f"/experiments/id/{experiment.id}{WSID}")
        assert page.runs == [ids["failed"], ids["finished"]]

    def test_a_step_opens_its_run_at_its_log(self, emulator, ids):
        step = emulator.state.runs[ids["failed"]].steps[1]
        reply = httpx.get(f"{emulator.url}/runs/{step.id}{WSID}")
        assert reply.is_redirect
        assert reply.headers["Location"] == f"/runs/{ids['failed']}#step-{step.id}"
        page = Page(httpx.get(urljoin(emulator.url, reply.headers["Location"])))
        assert f"step-{step.id}" in page.ids


class TestPipelinesAndEndpoints:
    def test_the_interface(self, open_page, ids):
        page = open_page("/pipelines/good")
        assert page.row("count") == ["Int", "required", ""]
        assert page.row("label") == ["String", '"red"', "A colour"]
        assert page.row("extra") == ["String", "optional", ""]
        assert page.row("input") == ["DataPath", "store/in", ""]

    def test_a_published_graph_has_its_own_edges(self, emulator, open_page):
        nodes = [{"Id": name, "Comment": name} for name in ("read", "left", "right", "join")]
        pairs = [("read", "left"), ("read", "right"), ("left", "join"), ("right", "join")]
        edges = [{"SourceOutputPort": {"NodeId": a}, "DestinationInputPort": {"NodeId": b}} for a, b in pairs]
        body = {"Name": "branches", "Graph": {"ModuleNodes": nodes, "Edges": edges}}
        pipeline = published(emulator.state, body)
        emulator.state.publish(pipeline)
        page = open_page(f"/pipelines/{pipeline.id}")
        (drawn,) = [attrs for tag, attrs in page.tags if attrs.get("class") == "graph"]
        assert drawn["aria-label"] == "Steps: read; left after read; right after read; join after left and right"
        assert len([tag for tag, _ in page.tags if tag == "path"]) == 4

    def test_the_graph_of_a_pipeline_is_described(self, open_page):
        (drawn,) = [attrs for tag, attrs in open_page("/pipelines/breaks").tags if attrs.get("class") == "graph"]
        assert (drawn["role"], drawn["aria-label"]) == ("img", "Steps: read; score after read; publish after score")

    def test_the_argument_to_copy_into_a_dag(self, open_page):
        assert 'pipeline_id="good",' in open_page("/pipelines/good").text
        assert 'pipeline_name="good",' in open_page("/pipelines/good").text
        assert 'endpoint_id="door",' in open_page("/endpoints/door").text
        assert 'endpoint_name="door",' in open_page("/endpoints/door").text

    def test_an_ambiguous_name_is_not_offered(self, open_page):
        page = open_page("/pipelines/twin-2")
        assert 'pipeline_id="twin-2",' in page.text
        assert "pipeline_name" not in page.text

    def test_what_belongs_to_a_pipeline(self, open_page, ids):
        page = open_page("/pipelines/good")
        assert page.runs == [ids["running"], ids["canceled"], ids["finished"]]
        assert {"/endpoints/door", "/schedules/reactive"} <= set(page.links)

    def test_the_versions_of_an_endpoint(self, open_page):
        page = open_page("/endpoints/door")
        assert page.row("0") == ["good", "Active", "good"]
        assert page.row("1 (default)") == ["twins", "Active", "twin-1"]
        assert "/schedules/often" in page.links

    def test_lists_with_the_last_runs(self, open_page, ids):
        (row,) = [row for row in open_page("/pipelines").cells if "breaks" in row]
        assert row[-1] == f"Failed {ids['failed']}"
        (row,) = [row for row in open_page("/endpoints").cells if "door" in row]
        assert row[3] == "1: twins"

    def test_properties_of_an_endpoint_are_json(self, emulator, open_page):
        emulator.state.endpoint("door").properties["limits"] = {"runs": None}
        assert open_page("/endpoints/door").row("limits") == ['{"runs": null}']

    def test_pages_contain_no_account_key(self, open_page):
        for path in ("/datastores", "/datastores/store"):
            page = open_page(path)
            assert "account" in page.text
            assert "a2V5" not in page.source


class TestSchedules:
    def test_when_it_fires(self, emulator, open_page, ids):
        page = open_page("/schedules/nightly")
        assert page.fact("When") == "Every day at 02:30, starting 2100-01-01 00:00:00"
        assert page.fact("Time zone") == "Korea Standard Time"
        described = httpx.get(f"{emulator.url}/_emulator/schedules").json()["schedules"][0]
        fires = [text[:19].replace("T", " ") for text in described["next_fires"]]
        assert len(fires) == 5
        assert [row[0] for row in page.cells if row[0] in fires] == fires
        assert page.row("2099-12-31 17:30:00")[0] == "Fri 2100-01-01 02:30:00"

    def test_the_page_lists_the_runs_of_a_schedule(self, emulator, open_page, ids):
        page = open_page("/schedules/often")
        started = [run.id for run in reversed(emulator.state.runs.values()) if run.schedule_id]
        assert page.runs == started
        assert page.fact("Last fired") == utc(emulator.state.schedules.get("often").last_fired)
        assert "/endpoints/door" in page.links

    def test_the_page_says_why_a_schedule_starts_nothing(self, open_page, ids):
        page = open_page("/schedules/reactive")
        assert "without --blob-endpoint" in page.text
        assert page.fact("Blob goes to") == "input"
        assert page.fact("Last fired") == "never"
        (row,) = [row for row in open_page("/schedules").cells if "reactive" in row]
        assert row[0] == "Active Error"

    def test_the_page_names_the_task_that_manages_a_schedule(self, open_page):
        assert open_page("/schedules/nightly").fact("Managed by") == "DAG owner, task create"

    def test_a_disabled_schedule_has_no_next_run(self, open_page):
        assert "None: it is Disabled." in open_page("/schedules/paused").text

    @pytest.mark.parametrize(
        ("quirk", "provisioning", "error"),
        [("provisioning=60s", "Provisioning", None), ("provisioning_fails=no quota", "Failed", "no quota")],
    )
    def test_provisioning(self, quirk, provisioning, error):
        with EmulatorServer(SEED, quirks=[quirk]) as emulator:
            emulator.clock.hold()
            scope = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.MachineLearningServices/workspaces/ws"
            body = {
                "Name": "new",
                "PipelineId": "twin-1",
                "PipelineSubmissionInfo": {"ExperimentName": "exp"},
                "ScheduleType": "0",
                "Recurrence": {"Frequency": "Day", "Interval": 1},
            }
            address = f"{emulator.url}/pipelines/v1.0{scope}/Schedules/Create"
            created = httpx.post(address, json=body, headers={"Authorization": "Bearer t"}).json()
            page = Page(httpx.get(f"{emulator.url}/schedules/{created['Id']}"))
        assert page.fact("Provisioning") == provisioning
        assert (error or "") in page.text

    @pytest.mark.parametrize("path", ["/", "/runs", "/schedules/nightly", "/runs/nobody"])
    def test_a_clock_that_is_not_real_time_is_explained(self, emulator, open_page, path):
        assert "real time" not in open_page(path).text
        emulator.clock.advance(5 * 3600 + 20)
        assert (
            "its own clock, which is 5 h ahead of real time, because it was moved or ran faster" in open_page(path).text
        )
        emulator.reset()
        assert "real time" not in open_page(path).text

    @pytest.mark.parametrize("settings", [{"held": True}, {"held": False}, {"held": False, "speed": 0.5}])
    def test_a_clock_that_is_behind_is_explained(self, emulator, open_page, monkeypatch, settings):
        emulator.clock.set(**settings)
        # The real clock cannot be moved.
        monkeypatch.setattr(emulator.clock, "ahead", lambda: -7100)
        assert "which is 1 h 58 min behind real time, because it was held or ran more slowly" in open_page("/").text

    def test_the_overview_lists_what_is_due_next(self, open_page, ids):
        page = open_page("/")
        names = [name.removeprefix("schedule-") for name in page.ids if name.startswith("schedule-")]
        assert names == ["reactive", "often", "nightly"]


class TestHostileText:
    """Text that looks like markup, a template or an attribute stays text; also tested in a real browser."""

    @pytest.fixture
    def seed(self):
        return HOSTILE_SEED

    def test_hostile_text_adds_no_tags(self, emulator, open_page):
        plain = every_page(open_page).keys()
        run_id = populate_hostile(emulator)
        pages = every_page(open_page)
        assert {page.status for page in pages.values()} == {200}
        assert plain < pages.keys()
        for address, page in pages.items():
            names = [tag for tag, _ in page.tags]
            assert names.count("script") == names.count("style") == names.count("title") == 1, address
            assert not {"img", "b><i", "i"} & set(names), address
            assert not any(name.startswith("on") for _, attrs in page.tags for name in attrs), address
        assert " ".join(HOSTILE.split()) in pages[f"/runs/{run_id}"].text

    def test_a_hostile_condition_survives_its_own_link(self, emulator, open_page):
        populate_hostile(emulator)
        page = open_page(httpx.URL("/runs", params={"pipeline": HOSTILE_ID, "find": HOSTILE}).raw_path.decode())
        (field,) = [attrs for tag, attrs in page.tags if attrs.get("name") == "find"]
        (hidden,) = [attrs for tag, attrs in page.tags if attrs.get("name") == "pipeline"]
        assert (field["value"], hidden["value"]) == (HOSTILE, HOSTILE_ID)
        assert len(page.runs) == 1
