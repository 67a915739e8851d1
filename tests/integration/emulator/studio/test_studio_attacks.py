"""Hostile text in the pages of the local workspace, and hostile pages of other sites, in a real browser."""

from __future__ import annotations

import httpx
import pytest
from playwright.sync_api import expect
from support.drivers.browser import NEEDS_BROWSER, every_page, new_page, refresh, wait_until
from support.samples.studio import HOSTILE, HOSTILE_SEED, populate_hostile
from support.services.elsewhere import Elsewhere

pytestmark = NEEDS_BROWSER


class TestHostileText:
    @pytest.fixture
    def seed(self):
        return HOSTILE_SEED

    @pytest.fixture
    def run_id(self, emulator):
        return populate_hostile(emulator)

    def test_it_is_shown_as_text_and_runs_nothing(self, page, run_id):
        shown = []

        def visit(address):
            if page.evaluate("text => document.body.textContent.includes(text)", HOSTILE):
                shown.append(address)
            assert page.evaluate("window.ran") is None
            assert page.locator("script").count() == 1
            assert page.locator("img, i, main svg[onload]").count() == 0

        visited = every_page(page, visit)
        assert f"/runs/{run_id}" in shown
        assert sorted(visited - set(shown)) == []

    def test_text_that_arrives_while_the_page_is_open_runs_nothing(self, page, emulator, run_id):
        page.goto(f"/runs/{run_id}")
        run = emulator.state.runs[run_id]
        run.steps[0].log.append(f"new {HOSTILE}")
        run.history_tags[f"new {HOSTILE}"] = f"new {HOSTILE}"
        run.outputs[f"new {HOSTILE}"] = f"new {HOSTILE}"
        refresh(page)
        expect(page.locator("pre").first).to_contain_text(f"new {HOSTILE}")
        assert page.evaluate("window.ran") is None
        assert page.locator("script").count() == 1
        assert page.locator("img").count() == 0

    def test_the_policy_blocks_injected_content(self, browser, emulator, run_id):
        with new_page(browser, base_url=emulator.url) as page:
            page.goto(f"/runs/{run_id}")
            page.evaluate(
                """() => {
                    document.querySelector("main").insertAdjacentHTML(
                        "beforeend", "<img src='/x' onerror=\\"window.ran='img'\\"><b style='color: red'>b</b>");
                    const script = document.createElement("script");
                    script.textContent = "window.ran = 'script'";
                    document.body.append(script);
                }"""
            )
            page.wait_for_function("document.images[0].complete")
            assert page.evaluate("window.ran") is None
            refused = [text for text in page.troubles if "Content Security Policy" in text]
            assert len(refused) >= 3


# Ways in which a page makes a browser send a request; each returns what the page could read, if anything.
SENDS = {
    "fetch": """async ([url, method, type, body]) => {
      try {
        const reply = await fetch(url, {method, body, headers: type ? {"Content-Type": type} : {}});
        return await reply.text();
      } catch { return ""; }
    }""",
    "fetch without reading": """async ([url, method, type, body]) => {
      try {
        // No page may send another method so; a Blob without a type has no Content-Type.
        const how = {method: method === "GET" ? "GET" : "POST", mode: "no-cors"};
        const reply = await fetch(url, body ? {...how, body: new Blob([body], {type: type ?? ""})} : how);
        return await reply.text();
      } catch { return ""; }
    }""",
    "form": """async ([url, method, type, body]) => {
      const form = document.createElement("form"), field = document.createElement("input");
      const frame = document.createElement("iframe");
      frame.name = form.target = "f" + Math.random();
      [field.name, field.value] = [(body ?? "").replace(/}$/, ', "x": "'), '"}'];
      [form.action, form.method, form.enctype] = [url, method === "GET" ? "get" : "post", "text/plain"];
      form.append(field);
      const loaded = new Promise((done) => { frame.onload = done; });
      document.body.append(form, frame);
      form.submit();
      await loaded;
      try { return frame.contentDocument?.body.textContent ?? ""; } catch { return ""; }
    }""",
    "script": """async ([url]) => {
      const script = document.createElement("script");
      script.src = url;
      const over = new Promise((done) => { script.onload = () => done("it ran"); script.onerror = () => done(""); });
      document.body.append(script);
      return await over;
    }""",
    "beacon": """async ([url, method, type, body]) => {
      navigator.sendBeacon(url, body && new Blob([body], {type: "text/plain"}));
      return "";
    }""",
}
ASKED = [
    ("GET", "/_emulator/requests", None, None),
    ("GET", "/runs", None, None),
    ("POST", "/_emulator/reset", "text/plain", "{}"),
    ("POST", "/_emulator/reset", None, None),
    ("POST", "/_emulator/clock", "text/plain", '{"advance": 60}'),
    ("POST", "/_emulator/clock", "application/json", '{"advance": 60}'),
    ("POST", "/_emulator/clock", None, '{"advance": 60}'),
    ("DELETE", "/_emulator/requests", None, None),
]


class TestPagesOfOtherSites:
    """Pages on another port of this machine, or under a name that resolves to it."""

    @pytest.fixture
    def elsewhere(self):
        with Elsewhere() as site:
            yield site

    def unchanged(self, emulator):
        return len(emulator.state.runs), emulator.clock.now(), len(emulator.requests()), emulator.faults.pending()

    @pytest.fixture(autouse=True)
    def _something_to_lose(self, emulator, ids):
        emulator.clock.hold()
        httpx.get(f"{emulator.url}/subscriptions", headers={"Authorization": "Bearer t"})
        emulator.faults.add("status")

    @pytest.mark.parametrize("how", SENDS)
    @pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
    def test_can_neither_read_nor_change_anything(self, browser, emulator, elsewhere, caplog, how, name):
        def refused():
            return caplog.text.count("does not answer pages of other sites")

        with new_page(browser) as page:
            page.goto(elsewhere.url.replace("127.0.0.1", name))
            for method, path, kind, body in ASKED:
                before, count = self.unchanged(emulator), refused()
                assert page.evaluate(SENDS[how], [emulator.url + path, method, kind, body]) == ""
                # The browser sends a beacon at a time of its choice.
                wait_until(page, lambda count=count: refused() > count)
                assert self.unchanged(emulator) == before, (method, path, kind, body)

    def test_a_rebound_name_can_neither_read_nor_change_anything(self, browser, emulator):
        evil = emulator.url.replace("127.0.0.1", "evil.example")
        with new_page(browser) as page:
            assert page.goto(f"{evil}/runs").status == 421
            expect(page.locator("main")).to_contain_text("--allowed-host evil.example")
            before = self.unchanged(emulator)
            for method, path, kind, body in ASKED:
                page.evaluate(SENDS["fetch"], [evil + path, method, kind, body])
            assert self.unchanged(emulator) == before
            key = page.evaluate(
                """async (url) => (await fetch(url, {headers: {Authorization: "Bearer t"}})).text()""",
                f"{evil}/datastore/v1.0/subscriptions/s/resourceGroups/r/providers/"
                "Microsoft.MachineLearningServices/workspaces/w/datastores/store",
            )
            assert "a2V5" not in key

    def test_cannot_embed_the_pages(self, browser, emulator, elsewhere):
        with new_page(browser) as page:
            page.goto(elsewhere.url)
            with page.expect_response(f"{emulator.url}/runs") as reply:
                page.set_content(f"<iframe src='{emulator.url}/runs'></iframe>")
            assert reply.value.status == 403

    def test_can_link_to_the_pages(self, browser, emulator, elsewhere):
        with new_page(browser) as page:
            page.goto(elsewhere.url)
            page.set_content(f"<a href='{emulator.url}/runs' target='_blank'>the run, in the studio</a>")
            with page.expect_popup() as opened:
                page.get_by_role("link").click()
            expect(opened.value.get_by_role("heading", level=1)).to_have_text("Runs")
            # And its script works: it reloads the page.
            with opened.value.expect_event("requestfinished", lambda request: request.resource_type == "fetch"):
                pass
            expect(opened.value.locator("#connection")).to_be_empty()
