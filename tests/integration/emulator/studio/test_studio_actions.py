"""What the buttons of the pages do, over HTTP; in a browser they are pressed in ``test_studio_buttons.py``."""

from __future__ import annotations

import re

import httpx
import pytest
from support.drivers.studio_page import Page, every_page
from support.samples.studio import HOSTILE, HOSTILE_ID, HOSTILE_SEED, populate_hostile
from support.services.workspace_api import job_body

from aml_provider.emulator.studio.addresses import is_action
from aml_provider.emulator.workspace.submission import Submission

# As Chromium sends them with a form of a page of the same site.
OWN = {"Sec-Fetch-Site": "same-origin", "Accept": "text/html"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
TRIGGER = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1}
ALL = [
    "/runs/{run}/cancel",
    "/pipelines/breaks/disable",
    "/pipelines/twin-2/enable",
    "/endpoints/door/disable",
    "/schedules/often/disable",
    "/schedules/often/run",
    "/schedules/paused/enable",
    "/schedules/reactive/poll",
]


@pytest.fixture
def client(emulator):
    with httpx.Client(base_url=emulator.url) as running:
        yield running


@pytest.fixture
def press(client):
    """Presses a button, and opens the page to which the reply leads."""

    def press(path, **options):
        reply = client.post(path, headers=OWN, **options)
        assert reply.status_code == 303, reply.text
        return Page(client.get(reply.headers["Location"]))

    return press


@pytest.fixture
def refused(client):
    """Presses a button, and opens the page with the refusal."""

    def refused(path, status, headers=OWN, **options):
        reply = client.post(path, headers=headers, **options)
        assert reply.status_code == status, reply.text
        return Page(reply)

    return refused


def snapshot(emulator):
    """What buttons can change."""
    state = emulator.state
    return (
        len(state.runs),
        [run.id for run in state.runs.values() if run.canceled],
        {item.id: item.status for item in (*state.pipelines.values(), *state.endpoints.values())},
        {item.id: (item.status, item.last_polled) for item in state.schedules.all()},
        {item.name: item.enabled for item in state.job_schedules.all()},
    )


def status_of(page):
    return re.search(r'<h1>.*?data-status="(\w+)"', page.source)[1]


class TestRuns:
    def test_cancel(self, press, ids):
        page = press(f"/runs/{ids['running']}/cancel")
        assert status_of(page) == "Canceled"
        assert not [path for path in page.actions if is_action(path)]

    @pytest.mark.parametrize("options", [{"quirks": ["slow_cancel=10s"]}], ids=["slow"])
    def test_a_cancellation_is_offered_once(self, client, press, ids):
        assert f"/runs/{ids['running']}/cancel" in Page(client.get(f"/runs/{ids['running']}")).actions
        page = press(f"/runs/{ids['running']}/cancel")
        assert status_of(page) == "CancelRequested"
        assert page.actions == []

    def test_a_run_that_has_ended_stays_as_it_is(self, press, ids):
        assert status_of(press(f"/runs/{ids['finished']}/cancel")) == "Finished"


class TestPipelinesAndEndpoints:
    def test_disable_and_enable(self, press):
        assert status_of(press("/pipelines/breaks/disable")) == "Disabled"
        assert status_of(press("/pipelines/breaks/enable")) == "Active"

    def test_a_pipeline_with_active_schedules_says_what_to_do_first(self, refused, emulator):
        page = refused("/pipelines/good/disable", 400)
        assert "has active schedules: reactive. Disable them first." in page.text
        assert "/pipelines/good" in page.links
        assert emulator.state.pipeline("good").status == "Active"

    def test_an_endpoint(self, press, emulator):
        before = emulator.state.endpoint("door")
        assert status_of(press("/endpoints/door/disable")) == "Disabled"
        assert emulator.state.endpoint("door").versions == before.versions
        assert emulator.state.endpoint("door").tags == before.tags
        assert status_of(press("/endpoints/door/enable")) == "Active"

    def test_only_what_would_change_something_is_offered(self, client, emulator):
        assert Page(client.get("/pipelines/twin-2")).actions == ["/pipelines/twin-2/enable"]
        assert Page(client.get("/pipelines/good")).actions == ["/pipelines/good/disable"]
        emulator.state.set_endpoint_status("door", "Deprecated")
        assert Page(client.get("/endpoints/door")).actions == ["/endpoints/door/disable", "/endpoints/door/enable"]


class TestSchedules:
    def test_disable_and_enable(self, press, emulator):
        before = emulator.state.schedules.get("often").recurrence
        page = press("/schedules/often/disable")
        assert status_of(page) == "Disabled"
        assert "None: it is Disabled." in page.text
        assert status_of(press("/schedules/often/enable")) == "Active"
        assert emulator.state.schedules.get("often").recurrence == before

    def test_a_schedule_of_a_disabled_pipeline_cannot_be_enabled(self, press, refused, emulator):
        press("/schedules/nightly/disable")
        press("/pipelines/twin-1/disable")
        assert "twins (twin-1) is Disabled" in refused("/schedules/paused/enable", 400).text
        assert emulator.state.schedules.get("paused").status == "Disabled"

    @pytest.mark.parametrize("name", ["often", "paused"])
    def test_run_now_starts_a_run_and_shows_it(self, press, emulator, name):
        emulator.clock.hold()
        due = emulator.state.schedules.upcoming(emulator.state.schedules.get(name), 2)
        page = press(f"/schedules/{name}/run")
        (run,) = emulator.state.runs.values()
        assert run.id in page.text
        assert page.fact("Submitted by") == f"schedule {name}"
        assert (run.schedule_id, run.run_type) == (name, "Schedule")
        assert run.created == pytest.approx(emulator.clock.now(), abs=0.001)
        assert emulator.state.schedules.upcoming(emulator.state.schedules.get(name), 2) == due

    def test_run_now_can_be_refused(self, refused, emulator):
        emulator.state.set_endpoint_status("door", "Disabled")
        assert "PipelineEndpoint door is Disabled." in refused("/schedules/often/run", 400).text
        assert len(emulator.state.runs) == 0

    def test_a_trigger_polls_and_does_not_run(self, press, refused, emulator):
        assert "starts a run for each changed blob" in refused("/schedules/reactive/run", 400).text
        emulator.clock.hold()
        emulator.clock.advance(100)
        page = press("/schedules/reactive/poll")
        assert emulator.state.schedules.get("reactive").last_polled == pytest.approx(emulator.clock.now(), abs=0.001)
        assert "without --blob-endpoint" in page.fact("Error")
        assert page.fact("Last poll").endswith("(0 s ago)")

    def test_what_does_not_poll_says_so(self, press, refused):
        assert "has a recurrence" in refused("/schedules/often/poll", 400).text
        assert press("/schedules/reactive/disable").actions == ["/schedules/reactive/enable"]
        assert "Enable it first" in refused("/schedules/reactive/poll", 400).text


class TestJobSchedules:
    @pytest.fixture(autouse=True)
    def schedule(self, emulator):
        properties = job_body(component=None, jobs={"work": {}})["properties"]
        action = {"actionType": "CreateJob", "jobDefinition": properties}
        emulator.clock.hold()
        emulator.state.job_schedules.put("daily", {"trigger": TRIGGER, "action": action, "isEnabled": False})
        return emulator.state.job_schedules.get("daily")

    def test_disable_and_enable(self, press, schedule):
        before = dict(schedule.properties)
        for action, status in (("enable", "Active"), ("disable", "Disabled")):
            (row,) = [row for row in press(f"/schedules/job/daily/{action}").cells if "daily" in row]
            assert row[0] == status
        assert schedule.properties == before

    def test_run_now_starts_a_job_and_shows_it(self, press, emulator):
        page = press("/schedules/job/daily/run")
        (run,) = emulator.state.runs.values()
        assert run.id in page.text
        assert page.fact("Submitted by") == "schedule daily"


class TestWhoMayPress:
    @pytest.mark.parametrize("path", ALL)
    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"Sec-Fetch-Site": "none"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "null"},
            {"Origin": "http://evil.example"},
            {"Origin": "http://127.0.0.1:1"},
            {"Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
            {"Referer": "http://evil.example/"},
            {"Authorization": "Bearer t"},
        ],
        ids=str,
    )
    def test_only_pages_of_this_workspace(self, emulator, client, ids, path, headers):
        before = snapshot(emulator)
        for more in ({}, FORM, {"Content-Type": "text/plain"}, {"Content-Type": "application/json"}):
            reply = client.post(path.format(run=ids["running"]), headers={**headers, **more})
            assert reply.status_code == 403
        assert snapshot(emulator) == before

    def test_over_plain_http_the_origin_is_enough(self, emulator, client):
        assert client.post("/pipelines/breaks/disable", headers={"Origin": emulator.url}).status_code == 303

    @pytest.mark.parametrize("path", ALL)
    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
    def test_no_other_method_does_anything(self, emulator, client, ids, path, method):
        before = snapshot(emulator)
        assert client.request(method, path.format(run=ids["running"]), headers=OWN).status_code == 404
        assert snapshot(emulator) == before

    def test_a_caller_on_another_machine_is_refused_and_sees_no_buttons(self, emulator, client, refused):
        elsewhere = {"X-Forwarded-For": "192.0.2.1"}
        before = snapshot(emulator)
        assert "only to this machine" in refused("/pipelines/breaks/disable", 403, {**OWN, **elsewhere}).text
        assert snapshot(emulator) == before
        assert Page(client.get("/pipelines/breaks", headers=elsewhere)).actions == []
        assert Page(client.get("/pipelines/breaks")).actions == ["/pipelines/breaks/disable"]

    def test_buttons_use_up_no_fault_and_are_not_logged(self, emulator, press):
        emulator.faults.add("status")
        press("/pipelines/breaks/disable")
        assert emulator.requests() == []
        assert len(emulator.faults.pending()) == 1

    @pytest.mark.parametrize("path", ["/runs/x/cancel", "/pipelines/x/enable", "/schedules/x/run", "/schedules/x/poll"])
    def test_what_does_not_exist_is_a_404(self, refused, path):
        assert "x was not found" in refused(path, 404).text


class TestControlToken:
    @pytest.fixture
    def options(self):
        return {"control_token": "secret"}

    @pytest.mark.parametrize("token", [None, "", "wrong", "🦆"])
    def test_the_page_asks_for_the_token(self, emulator, refused, token):
        before = snapshot(emulator)
        page = refused("/pipelines/breaks/disable", 401, data={} if token is None else {"control_token": token})
        assert snapshot(emulator) == before
        (field,) = [attrs for tag, attrs in page.tags if tag == "input"]
        assert (field["type"], field["name"]) == ("password", "control_token")
        # The form has no address of its own, so it repeats the request.
        assert [attrs for tag, attrs in page.tags if tag == "form"] == [{"method": "post"}]
        assert "secret" not in page.source
        assert ("This is not the control token." in page.text) == bool(token)

    @pytest.mark.parametrize("more", [{}, {"X-Forwarded-For": "192.0.2.1"}])
    def test_with_the_token_the_button_works_from_every_machine(self, client, emulator, more):
        reply = client.post("/pipelines/breaks/disable", headers={**OWN, **more}, data={"control_token": "secret"})
        assert reply.status_code == 303
        assert emulator.state.pipeline("breaks").status == "Disabled"
        assert "secret" not in str(reply.headers)

    def test_the_token_in_a_body_that_is_not_a_form_does_not_count(self, client, refused):
        refused("/pipelines/breaks/disable", 401, json={"control_token": "secret"})
        refused("/pipelines/breaks/disable", 401, {**OWN, "Authorization": "Bearer secret"})

    def test_the_token_does_not_replace_the_proof_of_a_page(self, client):
        reply = client.post("/pipelines/breaks/disable", data={"control_token": "secret"})
        assert reply.status_code == 403


class TestHostileText:
    @pytest.fixture
    def seed(self):
        return HOSTILE_SEED

    def test_every_button_leads_to_a_page(self, emulator, client):
        run_id = populate_hostile(emulator)
        emulator.state.submit(HOSTILE_ID, Submission("exp", parameters={HOSTILE: HOSTILE}))
        pages = every_page(lambda path: Page(client.get(path)))
        found = sorted({path for page in pages.values() for path in page.actions if is_action(httpx.URL(path).path)})
        assert len(found) > 6
        assert f"/runs/{run_id}" in pages
        for path in found:
            reply = client.post(path, headers=OWN)
            page = Page(client.get(reply.headers["Location"]) if reply.is_redirect else reply)
            assert page.status in {200, 400}, path
            names = [tag for tag, _ in page.tags]
            assert names.count("title") == names.count("style") == 1, path
            assert not {"img", "i", "b><i"} & set(names), path
