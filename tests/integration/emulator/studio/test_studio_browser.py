"""The pages of the local workspace in a real browser."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import expect
from support.drivers.browser import NEEDS_BROWSER, new_page, refresh
from support.samples.studio import LONG

from aml_provider.emulator.studio.documents import utc
from aml_provider.emulator.workspace.submission import Submission

pytestmark = NEEDS_BROWSER

# Text and its background as painted; the background is that of the nearest ancestor that is not transparent.
FAINT = """() => {
  const parts = (color) => color.match(/[\\d.]+/g).map(Number);
  const light = (color) => {
    const [r, g, b] = parts(color).slice(0, 3).map((c) => c / 255)
      .map((c) => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (element) => {
    for (; element; element = element.parentElement) {
      const color = getComputedStyle(element).backgroundColor;
      if ((parts(color)[3] ?? 1) > 0) return color;
    }
    return "rgb(255, 255, 255)";
  };
  const found = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement, style = getComputedStyle(element);
    if (!walker.currentNode.data.trim() || !element.getClientRects().length) continue;
    const [a, b] = [light(element instanceof SVGElement ? style.fill : style.color), light(behind(element))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(2)} ${walker.currentNode.data.trim()}`);
  }
  return found;
}"""


def one_of_each_kind(page, ids):
    """Open a page of each kind, and the pages of some runs, one after another."""
    lists = [
        "/",
        "/runs?status=Finished&find=a",
        "/pipelines",
        "/endpoints",
        "/schedules",
        "/datastores",
        "/experiments",
    ]
    things = [
        "/datastores/store",
        "/pipelines/good",
        "/endpoints/door",
        "/schedules/nightly",
        "/schedules/reactive",
        "/experiments/exp",
    ]
    for address in [*lists, *things, *(f"/runs/{run_id}" for run_id in ids.values()), "/runs/nobody"]:
        page.goto(address)
        yield address


class TestLive:
    def test_the_note_about_the_clock_appears_and_disappears(self, page, emulator):
        page.goto("/")
        note = page.get_by_role("note")
        expect(note).to_be_hidden()
        emulator.clock.advance(7200)
        refresh(page)
        expect(note).to_contain_text("which is 2 h ahead of real time")
        emulator.reset()
        refresh(page)
        expect(note).to_be_hidden()

    def test_the_page_of_a_run_follows_its_status(self, page, emulator, ids):
        page.goto(f"/runs/{ids['running']}")
        page.evaluate("window.loaded = true")
        heading = page.locator("h1 .status")
        expect(heading).to_have_text("Running")
        expect(page.locator(".timeline rect")).to_have_count(4)
        emulator.clock.advance(60)
        refresh(page)
        expect(heading).to_have_text("Finished")
        expect(page).to_have_title("Finished: good · Local workspace")
        expect(page.locator("#clock time")).to_contain_text(utc(emulator.clock.now()))
        assert page.evaluate("window.loaded")

    def test_scroll_position_selection_and_focus_stay(self, page, emulator, ids):
        run = emulator.state.runs[ids["running"]]
        page.goto(f"/runs/{run.id}")
        page.locator(f"[id='step-{run.steps[0].id}'] summary").click()
        page.locator(f"[id='step-{run.steps[1].id}'] summary").click()
        page.locator("summary", has_text="Properties").click()
        before = page.evaluate(
            """() => {
                const log = document.querySelector("pre");
                log.scrollTop = 500;
                scrollTo(0, 200);
                getSelection().setBaseAndExtent(log.firstChild, 5, log.firstChild, 30);
                window.kept = log.firstChild;
                return [log.scrollTop, scrollY, getSelection().toString()];
            }"""
        )
        assert before[0] == 500
        run.steps[0].log.append("one more line")
        emulator.clock.advance(5)
        refresh(page)
        expect(page.locator("pre").first).to_contain_text("one more line")
        after = page.evaluate("[document.querySelector('pre').scrollTop, scrollY, getSelection().toString()]")
        assert after == before
        assert page.evaluate("window.kept.isConnected")
        unfolded = page.eval_on_selector_all("details", "all => all.map((item) => item.open)")
        assert unfolded == [True, False, False, False, True]
        expect(page.locator("summary", has_text="Properties")).to_be_focused()

    def test_the_end_of_a_log_is_followed(self, page, emulator, ids):
        run = emulator.state.runs[ids["finished"]]
        page.goto(f"/runs/{run.id}#step-{run.steps[0].id}")
        log = page.locator("pre").first
        log.evaluate("log => log.scrollTop = log.scrollHeight")
        run.steps[0].log += [f"more {n}" for n in range(50)]
        refresh(page)
        expect(log).to_contain_text("more 49")
        assert log.evaluate("log => log.scrollTop + log.clientHeight >= log.scrollHeight - 2")

    def test_a_log_unfolds_when_its_step_fails(self, page, emulator):
        emulator.clock.hold()
        run = emulator.state.submit("breaks", Submission("exp"))
        page.goto(f"/runs/{run.id}")
        step = page.locator(f"[id='step-{run.steps[1].id}']")
        expect(step).not_to_have_attribute("open", "")
        emulator.clock.advance(60)
        refresh(page)
        expect(step).to_have_attribute("open", "")
        expect(step.locator(".error")).to_have_text("row 2 is empty")
        expect(page.get_by_role("alert")).to_have_text("Step score failed: row 2 is empty")

    def test_new_runs_appear_above_the_others(self, page, emulator, ids):
        page.goto("/runs")
        page.evaluate("window.row = document.querySelector('tbody tr')")
        first = page.evaluate("window.row.id")
        new = emulator.state.submit("twin-1", Submission("exp"))
        refresh(page)
        expect(page.locator("tbody tr").first).to_have_id(f"run-{new.id}")
        assert page.evaluate("[window.row.isConnected, window.row.id]") == [True, first]

    def test_typed_text_stays(self, page, emulator, ids):
        page.goto("/runs")
        page.get_by_label("Id, description or tag").fill("mon")
        emulator.state.submit("twin-1", Submission("exp"))
        refresh(page)
        expect(page.get_by_label("Id, description or tag")).to_have_value("mon")
        page.keyboard.type("day")
        page.keyboard.press("Enter")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert urlsplit(page.url).query == "status=&find=monday"

    def test_a_hidden_page_does_not_refresh(self, page, emulator, ids):
        page.goto("/")
        # Headless Chromium never hides a page, so simulate its event.
        hide = """hidden => {
            Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
            document.dispatchEvent(new Event("visibilitychange"));
        }"""
        page.evaluate(hide, True)  # noqa: FBT003
        asked = len(page.documents)
        page.clock.run_for(60_000)
        assert len(page.documents) == asked
        new = emulator.state.submit("twin-1", Submission("exp"))
        with page.expect_event("requestfinished"):
            page.evaluate(hide, False)  # noqa: FBT003
        expect(page.locator("tbody tr").first).to_have_id(f"run-{new.id}")

    def test_a_notice_says_that_the_workspace_does_not_answer(self, page, ids):
        page.goto("/")
        notice = page.get_by_role("status")
        expect(notice).to_be_hidden()
        page.context.set_offline(True)
        with page.expect_event("requestfailed"):
            page.clock.run_for(1000)
        expect(notice).to_have_text("The workspace does not answer. This page may be out of date.")
        page.context.set_offline(False)
        refresh(page)
        expect(notice).to_be_hidden()
        page.troubles[:] = [text for text in page.troubles if "ERR_INTERNET_DISCONNECTED" not in text]

    def test_a_run_removed_by_a_reset_is_not_found(self, page, emulator, ids):
        page.goto(f"/runs/{ids['running']}")
        emulator.reset()
        refresh(page)
        expect(page.locator("h1")).to_have_text("Not found")
        page.troubles[:] = [text for text in page.troubles if "404" not in text]


class TestEverybody:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    def test_text_has_enough_contrast(self, browser, emulator, ids, scheme):
        # So that the note about the clock appears too.
        emulator.clock.advance(7200)
        with new_page(browser, base_url=emulator.url, color_scheme=scheme) as page:
            faint = {address: page.evaluate(FAINT) for address in one_of_each_kind(page, ids)}
            page.goto("/nothing")
            faint["/nothing"] = page.evaluate(FAINT)
            background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert {address: texts for address, texts in faint.items() if texts} == {}
        assert (background == "rgb(255, 255, 255)") == (scheme == "light")

    def test_pages_fit_narrow_screens(self, browser, ids, emulator):
        state = emulator.state
        for pipeline in state.pipelines.values():
            pipeline.name, pipeline.description = LONG, LONG
            pipeline.steps = [step.__class__(name=LONG, fails=LONG, log=LONG * 5) for step in pipeline.steps]
        for schedule in state.schedules.all():
            schedule.name = LONG
        run = state.submit("twin-1", Submission("e" * 255, description=LONG, tags={LONG: LONG}))
        emulator.clock.advance(7200)
        with new_page(browser, base_url=emulator.url, viewport={"width": 320, "height": 640}) as page:
            widths = {
                address: page.evaluate("document.scrollingElement.scrollWidth")
                for address in one_of_each_kind(page, {**ids, "long": run.id})
            }
        assert {address: width for address, width in widths.items() if width > 320} == {}

    @pytest.mark.parametrize(("width", "share"), [(1280, 0.5), (400, 0.4)])
    def test_the_timeline_is_wide_enough(self, browser, emulator, ids, width, share):
        with new_page(browser, base_url=emulator.url, viewport={"width": width, "height": 800}) as page:
            page.goto(f"/runs/{ids['failed']}")
            lines = page.locator(".timeline tbody svg")
            table, first, second = (
                item.bounding_box() for item in (page.locator(".timeline"), lines.nth(0), lines.nth(1))
            )
            assert first["width"] > share * table["width"]
            # The bar of the second step begins where the first one's ends.
            done = lines.nth(0).locator("rect").last.bounding_box()
            waits = lines.nth(1).locator("rect").first.bounding_box()
            assert waits["x"] == pytest.approx(done["x"] + done["width"], abs=1)
            assert waits["y"] > done["y"]
            assert (first["x"], first["width"]) == (second["x"], second["width"])

    def test_pages_work_with_the_keyboard(self, page, ids):
        page.goto(f"/runs/{ids['finished']}")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("main")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("main").get_by_role("link").first).to_be_focused()
        # A log can be scrolled, so it must be reachable.
        assert page.eval_on_selector_all("pre", "all => all.every((log) => log.tabIndex === 0)")

    def test_pages_work_with_a_screen_reader(self, page, ids):
        page.goto("/runs")
        expect(page.get_by_role("navigation", name="Sections").get_by_role("link", name="Runs")).to_have_attribute(
            "aria-current", "page"
        )
        expect(page.get_by_role("columnheader", name="Submitted by")).to_be_visible()
        expect(page.get_by_role("rowheader", name=ids["failed"])).to_be_visible()
        page.goto(f"/runs/{ids['failed']}")
        expect(page.get_by_role("row", name="score Failed")).to_be_visible()
        expect(page.get_by_label("Log of score")).to_contain_text("row 2: oh no")

    def test_pages_are_complete_without_javascript(self, browser, emulator, ids):
        with new_page(browser, base_url=emulator.url, java_script_enabled=False) as page:
            page.goto("/")
            page.get_by_role("link", name="All 12").click()
            page.get_by_role("link", name=ids["failed"]).click()
            expect(page.get_by_role("heading", level=1)).to_have_text("breaks Failed")
            page.get_by_role("link", name="Step score failed").click()
            expect(page.get_by_text("row 2: oh no")).to_be_visible()
            page.locator("summary", has_text="Whole run").click()
            expect(page.get_by_label("Log of the run")).to_contain_text("step score failed")
            page.get_by_role("link", name="Runs", exact=True).click()
            page.get_by_label("Status").select_option("Canceled")
            page.get_by_role("button", name="Show").click()
            expect(page.locator("tbody tr")).to_have_count(1)
            assert page.troubles == []

    def test_a_link_to_a_step_unfolds_its_log(self, page, emulator, ids):
        step = emulator.state.runs[ids["finished"]].steps[0]
        page.goto(f"/runs/{step.id}?wsid=/subscriptions/s&tid=t")
        assert urlsplit(page.url).path == f"/runs/{ids['finished']}"
        expect(page.locator(f"[id='step-{step.id}'] pre")).to_be_in_viewport()
