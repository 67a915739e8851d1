"""The buttons of the pages, pressed in a real browser, and pages of other sites that try to press them."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from support.drivers.browser import NEEDS_BROWSER, new_page, refresh, wait_until
from support.samples.studio import SEED, populate
from support.services.elsewhere import Elsewhere
from support.services.workspace_api import job_body

from aml_provider.emulator.server import EmulatorServer

pytestmark = NEEDS_BROWSER

WORK = {"actionType": "CreateJob", "jobDefinition": job_body(component=None, jobs={"work": {}})["properties"]}
DAILY = {"triggerType": "Recurrence", "frequency": "Day", "interval": 1}
# The page, the button on it, and the button that takes its place.
SWITCHES = [
    ("/pipelines/breaks", "Disable", "Enable"),
    ("/pipelines/twin-2", "Enable", "Disable"),
    ("/endpoints/door", "Disable", "Enable"),
    ("/schedules/nightly", "Disable", "Enable"),
    ("/schedules/reactive", "Disable", "Enable"),
    ("/schedules/paused", "Enable", "Disable"),
]
STATUS = {"Disable": "Disabled", "Enable": "Active"}


@pytest.fixture(params=[True, False], ids=["script", "no script"])
def page(browser, emulator, request):
    """A page, with and without JavaScript."""
    with new_page(browser, base_url=emulator.url, java_script_enabled=request.param) as opened:
        yield opened
        assert opened.troubles == []


def button(page, name):
    return page.get_by_role("button", name=name, exact=True)


def heading(page):
    return page.locator("h1")


class TestEveryButton:
    @pytest.mark.parametrize(("address", "first", "second"), SWITCHES, ids=[item[0] for item in SWITCHES])
    def test_disable_and_enable(self, page, emulator, ids, address, first, second):
        page.goto(address)
        for name in (first, second):
            button(page, name).click()
            expect(heading(page)).to_contain_text(STATUS[name])
            expect(page).to_have_url(f"{emulator.url}{address}")
            expect(button(page, name)).to_have_count(0)

    def test_cancel_a_run(self, page, ids):
        page.goto(f"/runs/{ids['running']}")
        button(page, "Cancel the run").click()
        expect(heading(page)).to_have_text("good Canceled")
        expect(page.get_by_role("button")).to_have_count(0)

    def test_run_a_schedule_now(self, page, emulator, ids):
        page.goto("/schedules/nightly")
        count = len(emulator.state.runs)
        button(page, "Run now").click()
        expect(heading(page)).to_have_text("twins NotStarted")
        assert len(emulator.state.runs) == count + 1
        # The address is that of the run: a reload starts no other one.
        page.reload()
        expect(heading(page)).to_have_text("twins NotStarted")
        assert len(emulator.state.runs) == count + 1

    def test_let_a_trigger_poll_now(self, page, emulator, ids):
        page.goto("/schedules/reactive")
        emulator.clock.advance(30)
        button(page, "Poll now").click()
        expect(page.get_by_text("(0 s ago)")).to_be_visible()
        assert emulator.state.schedules.get("reactive").last_polled == pytest.approx(emulator.clock.now(), abs=0.001)

    def test_a_job_schedule(self, page, emulator, ids):
        emulator.state.job_schedules.put("daily", {"trigger": DAILY, "action": WORK, "isEnabled": False})
        page.goto("/schedules")
        row = page.get_by_role("row", name="daily")
        for name in ("Enable", "Disable"):
            button(page, f"{name} daily").click()
            expect(row).to_contain_text(STATUS[name])
        button(page, "Run now daily").click()
        expect(page.get_by_text("schedule daily")).to_be_visible()

    def test_a_refusal_leads_back(self, page, ids):
        page.goto("/pipelines/good")
        button(page, "Disable").click()
        expect(page.get_by_role("main")).to_contain_text("has active schedules: reactive. Disable them first.")
        page.get_by_role("link", name="Back").click()
        expect(heading(page)).to_have_text("good Active")
        page.troubles[:] = [text for text in page.troubles if "400" not in text]


class TestControlToken:
    @pytest.fixture
    def options(self):
        return {"control_token": "secret"}

    def test_a_button_asks_for_the_token(self, page, emulator, ids):
        page.goto("/pipelines/breaks")
        button(page, "Disable").click()
        field = page.get_by_label("Control token")
        expect(field).to_be_focused()
        field.fill("wrong")
        field.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This is not the control token.")
        assert emulator.state.pipeline("breaks").status == "Active"
        page.get_by_label("Control token").fill("secret")
        button(page, "Continue").click()
        expect(heading(page)).to_have_text("breaks Disabled")
        assert "secret" not in page.url
        assert page.context.cookies() == []
        page.troubles[:] = [text for text in page.troubles if "401" not in text]


class TestEverybody:
    @pytest.fixture
    def page(self, browser, emulator):
        with new_page(browser, base_url=emulator.url) as opened:
            opened.clock.install()
            yield opened
            assert opened.troubles == []

    def test_buttons_work_with_the_keyboard(self, page, ids):
        page.goto(f"/runs/{ids['running']}")
        page.get_by_role("main").focus()
        page.keyboard.press("Tab")
        expect(button(page, "Cancel the run")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(heading(page)).to_have_text("good Canceled")

    def test_steps_of_the_graph_work_with_the_keyboard(self, page, emulator, ids):
        run = emulator.state.runs[ids["failed"]]
        page.goto(f"/runs/{run.id}")
        page.get_by_role("group", name="Graph of the steps").get_by_role("link", name="score, Failed").focus()
        width = "getComputedStyle(document.activeElement.querySelector('rect')).strokeWidth"
        assert page.evaluate(width) == "3px"
        page.keyboard.press("Enter")
        expect(page.locator(f"[id='step-{run.steps[1].id}'] pre")).to_be_in_viewport()

    def test_a_button_follows_the_state_while_the_page_is_open(self, page, emulator, ids):
        page.goto("/pipelines/breaks")
        button(page, "Disable").focus()
        emulator.state.set_pipeline_status("breaks", "Disabled")
        refresh(page)
        expect(button(page, "Enable")).to_be_visible()
        expect(button(page, "Disable")).to_have_count(0)

    def test_the_graph_follows_the_run(self, page, emulator, ids):
        page.goto(f"/runs/{ids['running']}")
        step = page.get_by_role("link", name="score, Running")
        expect(step).to_be_visible()
        before = step.locator("rect").evaluate("box => getComputedStyle(box).fill")
        emulator.clock.advance(60)
        refresh(page)
        finished = page.get_by_role("link", name="score, Finished")
        expect(finished).to_contain_text("✓ Finished, 30 s")
        assert finished.locator("rect").evaluate("box => getComputedStyle(box).fill") != before

    @pytest.mark.parametrize("width", [400, 1280])
    def test_a_wide_graph_scrolls_in_its_own_box(self, browser, emulator, width):
        pipeline = emulator.state.pipelines["good"]
        pipeline.steps = [pipeline.steps[0].__class__(f"step {number}", node_id=str(number)) for number in range(12)]
        with new_page(browser, base_url=emulator.url, viewport={"width": width, "height": 800}) as page:
            page.goto("/pipelines/good")
            assert page.evaluate("document.scrollingElement.scrollWidth") <= width
            box = page.locator(".scroll")
            assert box.evaluate("box => box.scrollWidth > box.clientWidth")
            # A box that scrolls must be reachable with the keyboard.
            assert box.evaluate("box => box.tabIndex") == 0


# Ways in which a page makes a browser send a form or a request with its content type.
FORGED = {
    "form": """([url, body]) => {
      const form = document.createElement("form");
      [form.action, form.method] = [url, "post"];
      for (const [name, value] of new URLSearchParams(body)) {
        const field = document.createElement("input");
        [field.name, field.value] = [name, value];
        form.append(field);
      }
      document.body.append(form);
      form.submit();
    }""",
    "fetch": """([url, body]) => {
      fetch(url, {method: "POST", mode: "no-cors", body: new URLSearchParams(body)}).catch(() => {});
    }""",
    "frame": """([url, body]) => {
      const frame = document.createElement("iframe");
      frame.sandbox = "allow-forms allow-scripts";
      frame.srcdoc = `<form method="post" action="${url}"></form><script>document.forms[0].submit()</script>`;
      document.body.append(frame);
    }""",
}


class TestPagesOfOtherSites:
    @pytest.fixture(params=["control token", "none"])
    def emulator(self, request):
        token = None if request.param == "none" else "secret"
        with EmulatorServer(SEED, control_token=token) as running:
            yield running

    @pytest.mark.parametrize("how", FORGED)
    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_cannot_press_a_button(self, browser, emulator, caplog, how, name):
        ids = populate(emulator)
        pressed = [
            f"/runs/{ids['running']}/cancel",
            "/pipelines/breaks/disable",
            "/endpoints/door/disable",
            "/schedules/often/disable",
            "/schedules/often/run",
        ]
        count = len(emulator.state.runs)
        with Elsewhere() as elsewhere, new_page(browser) as page:
            for number, path in enumerate(pressed, 1):
                page.goto(elsewhere.url.replace("127.0.0.1", name))
                # The body has the token, as if the other site knew it.
                page.evaluate(FORGED[how], [emulator.url + path, "control_token=secret"])
                if how == "form":
                    page.wait_for_url(emulator.url + path)
                wait_until(
                    page, lambda number=number: caplog.text.count("does not answer pages of other sites") >= number
                )
        state = emulator.state
        assert len(state.runs) == count
        assert state.runs[ids["running"]].canceled is None
        assert state.pipeline("breaks").status == state.endpoint("door").status == "Active"
        assert state.schedules.get("often").status == "Active"
