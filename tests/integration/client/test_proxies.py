"""Proxies and certificates that the environment names."""

from __future__ import annotations

import contextlib
import logging
import socket
import ssl
import traceback
from threading import Thread

import pytest
import trustme
from support.drivers.driving import failure, one, workspace
from support.services.recorder import Answer, Recorder

from aml_provider.blobs.access import ContainerAccess, ask
from aml_provider.client import calls
from aml_provider.client.errors import InvalidArgument, Unreachable
from aml_provider.client.http import routes
from aml_provider.client.http.messages import Request
from aml_provider.client.specs.run import RunRequest

SUBMIT = calls.submit_pipeline("p", RunRequest.of(experiment_name="x").to_wire(own_tags={}, notification=True))
GET = calls.get_run("r")
RUN = Answer(json={"Id": "r"})


@contextlib.contextmanager
def refusing(answer):
    """A proxy with this answer to everybody."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        connection.recv(65536)
                        connection.sendall(answer)

        thread = Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            with contextlib.suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)
            thread.join(120)


@contextlib.contextmanager
def tls_listener(authority):
    """Whoever shakes hands with it learns its certificate, and no more."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve():
            with contextlib.suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True):
                pass

        thread = Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_proxy_that_refuses_means_that_nothing_was_sent(drive, recorder, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", recorder.url)
    error = failure(drive, workspace(), SUBMIT)
    assert type(error) is Unreachable
    assert not error.in_doubt
    assert recorder.tunnels == ["koreacentral.api.azureml.ms:443"]
    assert recorder.seen == []


def test_what_is_for_this_host_goes_through_no_proxy(drive, recorder, settings, monkeypatch):
    """Plain http is allowed to loopback only because the token stays on this host."""
    recorder.answer("GET", "*", RUN)
    with Recorder() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert drive(settings, one(GET)).id == "r"
        assert proxy.seen == []


def test_what_docker_sets_for_others_breaks_nothing(drive, recorder, settings, monkeypatch):
    recorder.answer("GET", "*", RUN)
    monkeypatch.setenv("NO_PROXY", "::1,fd07:b51a:cc66:f0::/64,[::1]:8080,*.corp, ,10.0.0.0/8")
    assert drive(settings, one(GET)).id == "r"
    # With a proxy too, which blobs are reached through as well.
    monkeypatch.setenv("http_proxy", recorder.url)
    foreign = workspace(endpoint="http://ws.example:8700", allow_http=True)
    assert drive(foreign, one(GET)).id == "r"
    assert recorder.seen[-1].path.startswith("http://ws.example:8700/")
    access, request = ContainerAccess(sas="sig=x"), Request("list blobs", "GET", "http://blobs.example/container")
    recorder.answer("GET", "http://blobs.example/*", Answer(body=b"blobs"))
    assert drive(foreign, ask(access, request)).body == b"blobs"


@pytest.mark.parametrize("value", ["socks5://user:s3cret@127.0.0.1:1", "http://user:s3cret@", "ftp://s3cret:1"])
def test_a_proxy_that_cannot_be_used_is_named_when_it_is_needed(drive, recorder, settings, monkeypatch, value):
    variable = "ALL_PROXY" if value.startswith("socks5") else "https_proxy"
    monkeypatch.setenv(variable, value)
    error = failure(drive, workspace(), SUBMIT)
    assert type(error) is InvalidArgument
    assert str(error).startswith(f"{variable}: the environment variable ")
    assert "s3cret" not in str(error)
    recorder.answer("GET", "*", RUN)
    assert drive(settings, one(GET)).id == "r"


def test_a_failure_names_the_proxy(drive, recorder, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", recorder.url.replace("//", "//user:s3cret@"))
    error = failure(drive, workspace(), SUBMIT)
    place = recorder.url.removeprefix("http://")
    assert f"no connection to koreacentral.api.azureml.ms through the proxy {place} (HTTPS_PROXY)" in str(error)
    assert "s3cret" not in str(error)


def test_a_proxy_that_refuses_a_sign_in_is_named_and_its_password_shown_nowhere(drive, recorder, monkeypatch, caplog):
    """An error of aiohttp has the proxy's whole address, and azure-identity would log it."""
    monkeypatch.setenv("HTTPS_PROXY", recorder.url.replace("//", "//user:s3cret@"))
    application = {"auth_method": "client_secret", "tenant_id": "t", "client_id": "c", "secret": "value-of-it"}
    error = failure(drive, workspace(**application), GET)
    assert type(error) is Unreachable
    place = recorder.url.removeprefix("http://")
    assert f"the identity provider did not answer through the proxy {place} (HTTPS_PROXY): " in str(error)
    assert "s3cret" not in str(error) + caplog.text


def test_no_level_of_the_log_shows_the_password_of_a_proxy(drive, recorder, monkeypatch, caplog):
    """Within a chain of credentials, azure-identity logs failures as DEBUG, which is set to find out about a proxy."""
    monkeypatch.setenv("HTTPS_PROXY", recorder.url.replace("//", "//user:s3cret@"))
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.setenv(f"AZURE_{name}", "value")
    with caplog.at_level(logging.DEBUG):
        error = failure(drive, workspace(auth_method="default"), GET)
    assert recorder.tunnels
    assert "azure.identity" in {record.name.partition("._")[0].removesuffix(".aio") for record in caplog.records}
    assert "s3cret" not in str(error) + caplog.text


def test_what_a_proxy_says_of_its_password_is_not_repeated(drive, monkeypatch):
    with refusing(b"HTTP/1.1 407 user:s3cret dXNlcjpzM2NyZXQ= is wrong\r\n\r\n") as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:s3cret@127.0.0.1:{port}")
        error = failure(drive, workspace(), GET)
    assert "407 *** *** is wrong. Nothing was sent; check HTTPS_PROXY (its address, user name" in str(error)
    assert "s3cret" not in "".join(traceback.format_exception(error))


def test_where_keys_cannot_be_logged_is_named(drive, settings, monkeypatch):
    monkeypatch.setenv("SSLKEYLOGFILE", "/missing/keys.log")
    routes.tls_context.cache_clear()
    error = failure(drive, settings, GET)
    assert type(error) is InvalidArgument
    assert str(error).startswith("SSLKEYLOGFILE: the environment variable names '/missing/keys.log', which ")


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"])
def test_missing_certificates_are_named(drive, settings, monkeypatch, variable):
    monkeypatch.setenv(variable, "/missing/ca")
    routes.tls_context.cache_clear()
    error = failure(drive, settings, GET)
    assert str(error).startswith(f"{variable}: the environment variable names '/missing/ca', which ")


def test_a_certificate_that_nobody_trusts_leads_to_whose_are_trusted(drive, monkeypatch, tmp_path):
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    routes.tls_context.cache_clear()
    try:
        with tls_listener(theirs) as port:
            error = failure(drive, workspace(endpoint=f"https://127.0.0.1:{port}"), GET)
    finally:
        routes.tls_context.cache_clear()
    assert f"the authorities in {tmp_path}/ca.pem are trusted, as REQUESTS_CA_BUNDLE says" in str(error)
