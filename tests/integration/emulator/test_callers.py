"""Access: programs and the workspace's own pages are answered, pages of other sites under any name are not."""

from __future__ import annotations

import socket

import httpx
import pytest
from support.services.workspace_api import DATASTORES, PIPELINES, SCOPE, SEED, Api, serving

from aml_provider.emulator.server import EmulatorServer

KEY = "a2V5"
STORE = f"{DATASTORES}/datastores/store"
SUBMIT = f"{PIPELINES}/PipelineRuns/PipelineSubmit/train"
FOREIGN = "http://evil.example"
# Headers of requests that pages of other sites can cause, also in old browsers without Sec-Fetch.
CROSS_SITE = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "script"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
    # A page of another port of this machine.
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Origin": "http://127.0.0.1:9"},
    {"Sec-Fetch-Site": "something-new"},
    {"Origin": FOREIGN},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://[oops"},
    {"Referer": f"{FOREIGN}/page"},
]
FALSE_NAMES = [
    "evil.example",
    "evil.example:{port}",
    "localhost.evil.example:{port}",
    "127.0.0.1.evil.example:{port}",
    "127.0.0.1:{port}@evil.example",
    "2130706433:{port}",
    "host.docker.internal:{port}",
    "[::1].evil.example",
    "<script>:{port}",
    "",
]
BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
PAGES = ["/", "/runs", "/pipelines/train"]
READS = [
    STORE,
    "/_emulator/requests",
    "/_emulator/runs",
    "/_emulator/clock",
    "/discovery",
    SCOPE,
    "/_content/c/p?sig=x",
]
CHANGES = [("POST", SUBMIT), ("POST", "/_emulator/reset"), ("DELETE", "/_emulator/requests"), ("OPTIONS", SUBMIT)]


@pytest.fixture
def api():
    with serving() as client:
        yield client


def state(api):
    """Everything that a request could change."""
    emulator = api.emulator
    return (
        list(emulator.state.runs),
        emulator.clock.now(),
        emulator.clock.held,
        [fault["id"] for fault in emulator.faults.pending()],
        len(emulator.requests()),
    )


def browse(api, path, **headers):
    """The page that a person sees who enters an address."""
    return httpx.get(api.base_url.join(path), headers={**BROWSER, **headers}, trust_env=False)


def refused(reply, status):
    assert reply.status_code == status, reply.text
    assert KEY not in reply.text
    assert "Access-Control-Allow-Origin" not in reply.headers


class TestPagesOfOtherSites:
    @pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
    def test_read_nothing(self, api, headers):
        api.emulator.faults.add("status", status=500)
        before = state(api)
        for path in READS:
            refused(api.get(path, headers=headers), 403)
        if "Referer" not in headers:
            for path in PAGES:
                refused(api.get(path, headers=headers), 403)
        assert state(api) == before

    @pytest.mark.parametrize("headers", CROSS_SITE, ids=str)
    @pytest.mark.parametrize("kind", ["application/json", "text/plain", "application/x-www-form-urlencoded"])
    def test_change_nothing(self, api, headers, kind):
        api.submit()
        api.emulator.faults.add("status", status=500)
        before = state(api)
        for method, path in CHANGES:
            body = b'{"ExperimentName": "exp"}'
            refused(api.request(method, path, headers={**headers, "Content-Type": kind}, content=body), 403)
        assert state(api) == before

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_can_link_to_pages(self, api, site):
        link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        link |= {"Accept": "text/html,*/*;q=0.8", "Referer": f"{FOREIGN}/"}
        assert [api.get(path, headers=link).status_code for path in PAGES] == [200] * 3
        assert browse(api, "/nothing", **link).status_code == 404
        for path in READS:
            refused(api.get(path, headers=link), 403)
        refused(api.post("/runs", headers=link), 403)

    def test_can_link_to_pages_if_the_browser_sends_no_sec_fetch(self, api):
        # Browsers send Sec-Fetch only to https, localhost and 127.0.0.1.
        assert api.get("/runs", headers={"Referer": f"{FOREIGN}/"}).status_code == 200

    def test_the_workspaces_own_pages_are_answered(self, api):
        own = str(api.base_url).rstrip("/")
        for headers in (
            {"Sec-Fetch-Site": "same-origin", "Referer": f"{own}/runs"},
            {"Sec-Fetch-Site": "same-origin", "Origin": own},
            {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
            {"Sec-Fetch-Site": "none", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
            {"Origin": own},
            {"Referer": f"{own}/runs"},
        ):
            assert api.get("/runs", headers=headers).status_code == 200
            assert api.get("/_emulator/clock", headers=headers).status_code == 200
            assert api.post(SUBMIT, headers=headers, json={"ExperimentName": "exp"}).status_code == 200

    def test_the_refusal_is_in_the_reply_and_in_the_log(self, api, caplog):
        with caplog.at_level("WARNING", "aml_provider.emulator.serving.middleware"):
            reply = api.post(SUBMIT, headers={"Origin": FOREIGN}, json={})
        assert "other sites" in reply.json()["Error"]["Message"]
        assert f"POST {SUBMIT} 403: The workspace does not answer pages of other sites" in caplog.text
        page = browse(api, "/_emulator/runs", Origin=FOREIGN)
        assert (page.status_code, page.headers["Content-Type"]) == (403, "text/html; charset=utf-8")
        assert "other sites" in page.text


class TestNames:
    @pytest.mark.parametrize("name", FALSE_NAMES)
    def test_a_name_that_any_site_can_use_is_refused(self, api, name):
        before = state(api)
        host = {"Host": name.format(port=api.base_url.port)}
        for path in (*READS, *PAGES):
            refused(api.get(path, headers=host), 421)
        for method, path in CHANGES:
            refused(api.request(method, path, headers=host, json={"ExperimentName": "exp"}), 421)
        assert state(api) == before

    @pytest.mark.parametrize(
        "name",
        ["localhost", "LOCALHOST:8700", "localhost.:1", "ws.localhost:1", "127.0.0.1", "127.8.9.1:1", "[::1]:8700",
         "[::1]", "0.0.0.0:8700", "192.168.7.7:8700", "[fd00::7]:1"],
    )  # fmt: skip
    def test_an_address_or_local_name_is_answered(self, api, name):
        assert api.get(STORE, headers={"Host": name}).status_code == 200
        assert set(api.get("/discovery", headers={"Host": name}).json().values()) == {f"http://{name}"}

    def test_more_names_can_be_allowed(self):
        names = ["host.docker.internal", "Aml_Workspace"]
        with EmulatorServer(SEED, allowed_hosts=names) as emulator, Api(emulator) as api:
            for name in ("host.docker.internal", "HOST.docker.internal:8700", "aml_workspace:8700"):
                assert api.get(STORE, headers={"Host": name}).status_code == 200
            for name in ("x.host.docker.internal", "docker.internal", "aml_workspace.evil.example"):
                refused(api.get(STORE, headers={"Host": name}), 421)

    def test_the_listening_host_is_allowed(self):
        name = socket.gethostname()
        try:
            with EmulatorServer(SEED, host=name) as emulator, httpx.Client(trust_env=False) as client:
                assert client.get(f"{emulator.url}/runs").status_code == 200
        except OSError:
            pytest.skip("this machine does not know its own name")

    @pytest.mark.parametrize("name", ["http://a", "a:1", "a/b", "*", "", "a b", ".", "-a"])
    def test_an_invalid_name_is_refused_at_the_start(self, name):
        with pytest.raises(ValueError, match="is not the name or address of a machine"):
            EmulatorServer(SEED, allowed_hosts=[name])

    def test_the_refusal_says_what_to_do(self, api):
        reply = api.get(STORE, headers={"Host": "workspace:8700"})
        assert "start the workspace with --allowed-host workspace." in reply.json()["error"]["message"]
        page = browse(api, "/", Host="workspace:8700")
        assert "--allowed-host workspace." in page.text
        assert "<script" not in page.text
        hostile = browse(api, "/", Host="<script>alert(1)</script>")
        assert "<script" not in hostile.text
        assert "--allowed-host NAME." in hostile.text


class TestBodies:
    @pytest.mark.parametrize(
        "kind",
        [None, "text/plain", "text/plain; charset=utf-8", "application/x-www-form-urlencoded",
         "multipart/form-data; boundary=x", "application/octet-stream", "text/json", "application/jsonp", "", "json"],
    )  # fmt: skip
    @pytest.mark.parametrize(("method", "path"), CHANGES[:3])
    def test_must_be_declared_as_json(self, api, method, path, kind):
        api.submit()
        before = state(api)[:4]
        headers = {} if kind is None else {"Content-Type": kind}
        reply = api.request(method, path, headers=headers, content=b'{"ExperimentName": "exp"}')
        assert reply.status_code == 415, reply.text
        assert "application/json" in reply.text
        assert state(api)[:4] == before

    @pytest.mark.parametrize(
        "kind", ["application/json", "Application/JSON;charset=utf-8", "application/json-patch+json"]
    )
    def test_json_bodies_of_programs_are_accepted(self, api, kind):
        reply = api.post(SUBMIT, headers={"Content-Type": kind}, content=b'{"ExperimentName": "exp"}')
        assert reply.status_code == 200

    def test_a_request_without_a_body_is_accepted(self, api):
        assert api.post("/_emulator/reset").status_code == 200
        assert api.post("/_emulator/reset", headers={"Content-Type": "text/plain"}).status_code == 415


class TestReplies:
    @pytest.mark.parametrize("path", [*PAGES, *READS, "/nothing", "/runs/nobody"])
    def test_all_have_protective_headers(self, api, path):
        headers = api.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        # With no-referrer, a browser would hide the origin of the pages' own forms.
        assert headers["Referrer-Policy"] == (
            "same-origin" if "text/html" in headers["Content-Type"] else "no-referrer"
        )
        assert headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert "default-src 'none'" in headers["Content-Security-Policy"]

    @pytest.mark.parametrize("kind", ["html", "status", "cut", "slow", "content_type", "redirect"])
    def test_faulty_replies_have_protective_headers(self, api, kind):
        api.emulator.faults.add(kind)
        with api.stream("GET", f"{PIPELINES}/Pipelines", follow_redirects=False) as reply:
            assert reply.headers["X-Content-Type-Options"] == "nosniff"


class TestPeople:
    @pytest.mark.parametrize("path", ["/nothing", "/runs/a/b/c", "/favicon.ico", "/models", "/<script>x</script>"])
    def test_get_a_page_at_an_unknown_address(self, api, path):
        reply = browse(api, path)
        assert (reply.status_code, reply.headers["Content-Type"]) == (404, "text/html; charset=utf-8")
        assert "There is nothing at" in reply.text
        assert 'href="/"' in reply.text
        assert "<script" not in reply.text
        # Faults do not apply to it, and it is not in the request log.
        assert api.emulator.requests() == []

    def test_get_a_page_for_a_refusal(self, api):
        for path, status in ((STORE, 401), (SCOPE, 401), ("/_content/c/p", 403), (f"{PIPELINES}/nothing", 401)):
            reply = browse(api, path)
            assert (reply.status_code, reply.headers["Content-Type"]) == (status, "text/html; charset=utf-8")

    @pytest.mark.parametrize(
        "accept", ["*/*", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"], ids=["all", "Java"]
    )
    def test_programs_get_json(self, api, accept):
        reply = api.get("/nothing", headers={"Accept": accept})
        assert (reply.status_code, reply.headers["Content-Type"]) == (501, "application/json; charset=utf-8")
        assert reply.json()["error"]["message"] == "The emulator does not have GET /nothing"


class TestTokens:
    @pytest.mark.parametrize("options", [{"token": ""}, {"control_token": ""}])
    def test_an_empty_token_is_refused_at_the_start(self, options):
        with pytest.raises(ValueError, match="must be ASCII letters"):
            EmulatorServer(SEED, **options)

    @pytest.mark.parametrize("given", ["control", "Basic control", "Bearer contro", "Bearer", ""])
    def test_the_control_token_is_a_bearer_token(self, given):
        with EmulatorServer(SEED, control_token="control") as emulator, Api(emulator) as api:
            assert api.get("/_emulator/runs", headers={"Authorization": given}).status_code == 401
            assert api.get("/_emulator/runs", headers={"Authorization": "bearer control"}).status_code == 200

    @pytest.mark.parametrize("caller", ["192.0.2.1", "nobody", "::ffff:192.0.2.1", "127.0.0.1, 192.0.2.1"])
    def test_a_caller_through_a_proxy_is_not_this_machine(self, api, caller):
        assert api.get("/_emulator/runs", headers={"X-Forwarded-For": caller}).status_code == 403

    def test_the_control_api_accepts_the_ipv4_loopback_address(self):
        try:
            server = EmulatorServer(SEED, host="::ffff:127.0.0.1")
        except OSError:
            pytest.skip("this machine has no such addresses")
        with server as emulator, httpx.Client(trust_env=False) as client:
            port = emulator.url.rpartition(":")[2]
            assert client.get(f"http://127.0.0.1:{port}/_emulator/runs").status_code == 200

    def test_an_idle_connection_is_kept_for_longer_than_callers_use_it(self):
        """Else a request that is sent at that moment fails."""
        with EmulatorServer(SEED) as emulator, httpx.Client(trust_env=False) as client:
            used_for = client._transport._pool._keepalive_expiry
            assert emulator._server.config.timeout_keep_alive > 2 * used_for
