"""A service that means harm, or is broken badly: every exchange ends, takes bounded memory, and says what happened."""

from __future__ import annotations

import contextlib
import functools
import gzip
import itertools
import json
import socket
import ssl
import threading
import tracemalloc
import zlib
from base64 import b64encode
from urllib.parse import quote, urlencode

import pytest
import trustme
from support.drivers.driving import one, workspace
from support.services.hostile import Hostile, head

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.client import calls
from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    InvalidArgument,
    MalformedReply,
    ReplyLost,
    ServerFault,
    Unreachable,
)
from aml_provider.client.http import routes
from aml_provider.client.http.exchange import MIB, Body, TooLarge, Unreadable
from aml_provider.client.http.messages import Request
from aml_provider.client.http.retry import RetryPolicy

CALL = calls.get_pipeline("p")


def failure(drive, server, **options):
    settings = workspace(endpoint=server.url)
    with pytest.raises(AzureMLError) as caught:
        drive(settings, one(CALL), policy=RetryPolicy(budget=0), **options)
    return caught.value


@functools.cache
def bomb(size):
    """So many zeros, gzipped; it takes seconds."""
    packer, zeros = zlib.compressobj(9, wbits=31), bytes(MIB)
    return b"".join([packer.compress(zeros) for _ in range(size // MIB)]) + packer.flush()


def fetch(**options):
    """A flow of one bare request."""

    def flow(url):
        return (yield Request("fetch", "GET", url, repeatable=False, **options))

    return flow


@pytest.mark.parametrize("chunked", [True, False])
def test_a_bomb_is_given_up_early(drive, chunked):
    body = bomb(1200 * MIB)
    assert len(body) < 2 * MIB, "it fits into a few pieces from the network"
    sent = (
        [
            head(Content_Encoding="gzip", Transfer_Encoding="chunked"),
            f"{len(body):x}\r\n".encode(),
            body,
            b"\r\n0\r\n\r\n",
        ]
        if chunked
        else [head(Content_Encoding="gzip", Content_Length=str(len(body))), body]
    )
    with Hostile(lambda: sent) as server:
        tracemalloc.start()
        error = failure(drive, server)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert isinstance(error, MalformedReply)
    assert "more than 16,777,216 bytes" in str(error)
    assert peak < 60 * MIB


def test_a_body_without_end_is_given_up(drive):
    def send():
        yield head()
        while True:
            yield bytes(MIB)

    with Hostile(send) as server:
        assert "more than 16,777,216 bytes" in str(failure(drive, server))
        assert server.sent < 40 * MIB


def test_of_a_refusal_without_end_the_beginning_counts(drive):
    def send():
        yield head("500 Broken", Content_Type="application/json")
        yield b'{"error": {"code": "X", "message": "'
        while True:
            yield b"x" * 65536

    with Hostile(send) as server:
        error = failure(drive, server)
    assert isinstance(error, ServerFault)
    assert len(str(error)) < 4000


def test_of_a_log_without_end_no_more_than_its_tail_is_kept(drive):
    lines = b"".join(b"line %d\n" % number for number in range(2_000_000))
    packed = gzip.compress(lines)
    with Hostile(lambda: [head(Content_Encoding="gzip", Content_Length=str(len(packed))), packed]) as server:
        tracemalloc.start()
        reply = drive(workspace(endpoint=server.url), fetch(tail=1000, most=64 * MIB)(server.url))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert reply.body == lines[-1000:]
    assert peak < 20 * MIB


@pytest.mark.parametrize(
    "send",
    [
        lambda: (bytes([byte]) for byte in itertools.chain(b"HTTP/1.1 200 OK\r\nx-slow: ", itertools.repeat(97))),
        lambda: itertools.chain([head()], itertools.repeat(b" ")),
        lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n"),
        lambda: itertools.chain([head(Transfer_Encoding="chunked")], itertools.repeat(b"1\r\n \r\n")),
    ],
    ids=["a head", "a body", "interim replies", "a body in chunks"],
)
def test_what_trickles_in_without_end_is_given_up(drive, send):
    """Each byte comes long before the timeout for reading, which counts from byte to byte."""
    with Hostile(send, pause=0.02) as server:
        error = failure(drive, server, timeout=1.0)
        assert server.sent < 10_000, "it was not read on"
    assert isinstance(error, ReplyLost)
    assert error.in_doubt


@pytest.fixture
def tls_proxy(monkeypatch, tmp_path):
    """A proxy that has TLS itself; what it is given to send follows its consent to a tunnel."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    routes.tls_context.cache_clear()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ended = threading.Event()

    def serve(server, send):
        with contextlib.suppress(OSError), context.wrap_socket(server.accept()[0], server_side=True) as tunnel:
            tunnel.recv(65536)
            tunnel.sendall(head())
            tunnel.recv(65536)
            for piece in send:
                tunnel.sendall(piece)
                if ended.wait(0.02):
                    return

    @contextlib.contextmanager
    def proxy(send):
        with socket.create_server(("127.0.0.1", 0)) as server:
            monkeypatch.setenv("HTTPS_PROXY", f"https://127.0.0.1:{server.getsockname()[1]}")
            thread = threading.Thread(target=serve, args=(server, send))
            thread.start()
            yield
            ended.set()
            thread.join()

    yield proxy
    routes.tls_context.cache_clear()


def test_tls_that_trickles_in_through_the_tls_of_a_proxy_is_given_up(drive, tls_proxy):
    hello = itertools.chain([b"\x16\x03\x03\x40\x00"], itertools.repeat(b"\x02"))
    with tls_proxy(hello), pytest.raises(Unreachable, match=r"through the proxy 127\.0\.0\.1"):
        # Ten seconds in all: enough for the rest, however busy the machine is.
        drive(workspace(), one(CALL), policy=RetryPolicy(budget=0), timeout=2.0)


def test_what_is_no_tls_within_the_tls_of_a_proxy_is_told(drive, tls_proxy):
    with tls_proxy([b"no TLS at all"]), pytest.raises(Unreachable, match=r"through the proxy 127\.0\.0\.1"):
        drive(workspace(), one(CALL), policy=RetryPolicy(budget=0))


@pytest.mark.parametrize(
    ("sent", "kind", "says"),
    [
        ([head(Content_Encoding="br", Content_Length="2"), b"{}"], ReplyLost, "'br', which was not requested"),
        ([head(Content_Encoding="gzip, gzip"), gzip.compress(gzip.compress(b"{}"))], ReplyLost, "not requested"),
        ([head(Content_Encoding="gzip"), b"no gzip"], ReplyLost, "does not match its Content-Encoding"),
        ([head(Content_Encoding="gzip"), gzip.compress(b'{"Id": "p"}' * 99)[:30]], ReplyLost, "end of its body"),
        ([head(Content_Encoding="gzip"), gzip.compress(b"{}")[:5]], ReplyLost, "end of its body"),
        (
            [head(Content_Encoding="gzip"), gzip.compress(b"{}") + b"more"],
            ReplyLost,
            "does not match its Content-Encoding",
        ),
        ([head("503 Busy", Content_Encoding="br"), b"x"], ServerFault, "503"),
        ([head("503 Busy", Content_Encoding="gzip"), b"no gzip"], ServerFault, "503"),
        ([b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 100_000], ReplyLost, "broke"),
        ([b"\x00\xff" * 5000], ReplyLost, "broke"),
        ([head(Content_Length="9" * 30), b"{}"], ReplyLost, "broke"),
        ([head(Content_Length="2", Content_length="3"), b"{}"], ReplyLost, "broke"),
        ([head(), b"[" * 100_000], MalformedReply, "answers"),
        ([head(), b'{"Id": ' * 50_000], MalformedReply, "answers"),
        ([head(), b'{"Id": ' + b"9" * 100_000 + b"}"], MalformedReply, "answers"),
        ([head(), b'{"Id": NaN}'], MalformedReply, "answers"),
        ([head(), b'{"Id": "\xff\xfe"}'], MalformedReply, "answers"),
        ([head(), b'{"Id": "p", "Id": 1}'], MalformedReply, "answers"),
        ([head("302 Found", Location="http://127.0.0.1:1/"), b""], AzureMLError, "Redirects are not followed"),
        ([head("400 No"), b'{"error": {"message": ' + b"[" * 900 + b"]" * 900 + b"}}"], AzureMLError, "400"),
        ([head("400 No"), b'{"error": {"message": {"a": 1}, "code": [1]}}'], AzureMLError, "400"),
    ],
)
def test_a_reply_that_makes_no_sense_is_refused_with_the_reason(drive, sent, kind, says):
    with Hostile(lambda: sent) as server:
        error = failure(drive, server)
    assert isinstance(error, kind)
    assert says in str(error)
    assert len(str(error)) < 4000


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "x-gzip", "deflate", "identity", ""])
def test_a_reply_in_each_encoding_that_was_asked_for_is_read(drive, encoding):
    text = b'{"Id": "p", "Name": "score"}'
    body = {"deflate": zlib.compress(text), "identity": text, "": text}.get(encoding, gzip.compress(text))
    packed = {"Content_Encoding": encoding} if encoding else {}
    with Hostile(lambda: [head(**packed, Content_Length=str(len(body))), body]) as server:
        assert drive(workspace(endpoint=server.url), one(CALL)).name == "score"


@pytest.mark.parametrize("size", [1, 7, 65536])
def test_pieces_of_any_size_make_one_body(size):
    text = bytes(range(256)) * 5000
    packed = gzip.compress(text)
    body = Body("gzip", len(text))
    assert all(body.add(packed[start : start + size]) for start in range(0, len(packed), size))
    assert body.end() == text
    with pytest.raises(TooLarge):
        Body("gzip", len(text) - 1).add(packed)
    parts = Body("gzip", 2 * len(text))
    twice = packed * 2
    assert all(parts.add(twice[start : start + size]) for start in range(0, len(twice), size))
    assert parts.end() == text * 2
    cut = Body("gzip", 100, cut=True)
    assert not cut.add(packed)
    assert cut.end() == text[:100]
    with pytest.raises(Unreadable):
        Body("zstd", 1)


def test_what_stands_for_nothing_is_bounded_too():
    nothing = gzip.compress(b"") * 1000
    body = Body("gzip", 100)
    with pytest.raises(TooLarge):
        all(body.add(nothing) for _ in range(1000))
    assert not all(cut.add(nothing) for cut in [Body("gzip", 100, cut=True)] for _ in range(1000))


SIG = "k3/Jx+9Qm2Zr7Wc1Tn5Ys8Vd0Bg4Hf6LpAeUiOo="
SENT = "planted-static-token-4711"
ECHOES = {
    "a code": lambda s: [head("400 No"), json.dumps({"error": {"code": s, "message": "m"}}).encode()],
    "a message": lambda s: [head("403 No"), json.dumps({"error": {"code": "c", "message": f"got {s}"}}).encode()],
    "a page": lambda s: [head("500 No", Content_Type="text/html"), f"<html>{s}</html>".encode()],
    "a storage error": lambda s: [head("403 No"), f"<Error><Code>{s}</Code><Message>{s}</Message></Error>".encode()],
    "an id": lambda s: [head("409 No", x_ms_request_id=f"got {s}"), b"{}"],
    "a redirect": lambda s: [head("302 Found", Location=f"http://evil.test/?{s}"), s.encode()],
    "a broken head": lambda s: [f"HTTP/1.1 200 OK\r\n{s}\r\n\r\n".encode()],
    "a success that is none": lambda s: [head(), f"hello {s}".encode()],
    "an id that is none": lambda s: [head(), json.dumps({"Id": [s]}).encode()],
    "a name of an encoding": lambda s: [head(Content_Encoding=s), b"{}"],
}


@pytest.mark.parametrize(
    "form", [str, str.lower, lambda s: quote(s, safe=""), lambda s: b64encode(s.encode()).decode()]
)
@pytest.mark.parametrize("where", ECHOES)
def test_no_echo_leads_what_was_sent_into_a_message(drive, where, form):
    def listing(url):
        access = ContainerAccess(sas=urlencode({"sv": "1", "sig": SIG}))
        return poll_folder(FolderState(Folder.at(f"{url}/container", "", allow_http=True), Rules()), access)

    for secret, flow in ((SENT, lambda _: one(CALL)), (SIG, listing)):
        with Hostile(lambda secret=secret: ECHOES[where](form(secret))) as server:
            settings = workspace(endpoint=server.url, secret=SENT)
            with pytest.raises(AzureMLError) as caught:
                drive(settings, flow(server.url), policy=RetryPolicy(budget=0))
        shown = [getattr(caught.value, "message", ""), *every_text(caught.value)]
        for text in shown:
            assert form(secret) not in text
            assert secret not in text


def every_text(error):
    """What a log shows of an error and of what led to it."""
    while error is not None:
        yield from (str(error), repr(error), *map(str, error.args))
        error = error.__cause__ or error.__context__


@pytest.mark.parametrize("wire", [{"Id": ["x" * 10**6]}, "x" * 10**6])
def test_neither_an_error_nor_its_cause_repeats_a_long_answer(drive, wire):
    with Hostile(lambda: [head(), json.dumps(wire).encode()]) as server:
        error = failure(drive, server)
    assert all(len(text) < 4000 for text in every_text(error))


def test_a_strangers_answer_is_not_in_what_led_to_the_error(drive, monkeypatch):
    """Whoever may edit a connection must not read any server's answers with it."""
    monkeypatch.setattr("aml_provider.client.settings.WorkspaceSettings.knows", lambda *_: False)
    for body in (b'{"Id": ["internal-4711"]}', b'{"internal-4711": 1}', b'["internal-4711"]'):
        with Hostile(lambda body=body: [head(), body]) as server:
            error = failure(drive, server)
        assert not [text for text in every_text(error) if "internal-4711" in text]


@pytest.mark.parametrize("date", [f"1 Jan {'9' * 20} 00:00 GMT", f"1 Jan 2026 00:00 +{'9' * 30}"])
def test_an_answer_of_another_age_is_told_like_any_other(drive, date):
    with Hostile(lambda: [head("401 No", Date=date), b"{}"]) as server:
        assert isinstance(failure(drive, server), AuthenticationRefused)


@pytest.mark.parametrize("token", ["\ud800", "x" * 40_000, "é" * 20_000])
@pytest.mark.parametrize(
    "wire", [lambda t: {"continuationToken": t}, lambda t: {"nextLink": f"https://h?skipToken={t}"}]
)
def test_a_token_that_no_address_can_hold_is_no_answer(drive, token, wire):
    body = json.dumps({"value": [], **wire(token)}).encode()
    with Hostile(lambda: [head(), body]) as server, pytest.raises(MalformedReply):
        drive(workspace(endpoint=server.url), one(calls.list_artifacts("c")), policy=RetryPolicy(budget=0))


@pytest.mark.parametrize(
    "link",
    [
        "https://a..blob.core.windows.net/x?sig=1", "https://xn--.blob.core.windows.net/?sig=1", "https://\ud800.x/?sig=1",
        f"https://{'a' * 64}.blob.core.windows.net/?sig=1", "https://a.blob.core.windows.net/\ud800?sig=1",
        f"https://a.blob.core.windows.net/{'a' * 70_000}?sig=1",
    ],
)  # fmt: skip
def test_a_link_that_is_no_address_is_refused(drive, link):
    with pytest.raises(InvalidArgument) as caught:
        drive(workspace(), fetch(is_link=True)(link))
    assert "sig" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_name_with_half_a_character_is_named():
    with pytest.raises(InvalidArgument, match=r"^run_id: "):
        calls.list_run_artifacts("e", "\ud800")


def test_control_characters_reach_no_message(drive):
    evil = "\x1b[31mred\x1b]0;owned\x07\r\n[2026] INFO - all is well\u202e"
    body = json.dumps({"error": {"code": evil, "message": evil}}).encode()
    with Hostile(lambda: [head("400 No"), body]) as server:
        text = str(failure(drive, server))
    assert text.isprintable()
    assert r"\x1b[31mred" in text
