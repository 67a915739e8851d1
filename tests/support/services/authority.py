"""A local Microsoft Entra under the real hosts' names, and the identity endpoints that Azure puts on its own hosts.

Credentials are not told about it. They resolve no name: HTTPS_PROXY leads them here, and the proxy's tunnel ends at a
TLS server whose certificate, of a private authority, bears every cloud's login host. So what is tested is what users
have, and each host that anybody asked for is on record.
"""

from __future__ import annotations

import base64
import contextlib
import json
import select
import socket
import ssl
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit

import jwt
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from aml_provider.client.settings import WorkspaceSettings

if TYPE_CHECKING:
    from pathlib import Path

LOGIN_HOSTS = ("login.microsoftonline.com", "login.microsoftonline.us", "login.chinacloudapi.cn")
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
SECRET = "entra-client-secret"


def settings(auth_method: str, **fields: Any) -> WorkspaceSettings:
    return WorkspaceSettings(
        subscription_id="s", resource_group="g", workspace_name="w", auth_method=auth_method, **fields
    )


def application(auth_method: str = "client_secret", **fields: Any) -> WorkspaceSettings:
    return settings(auth_method, **{"tenant_id": TENANT, "client_id": CLIENT, "secret": SECRET, **fields})


class Seen(NamedTuple):
    """One request for a token or for what comes before it."""

    host: str
    method: str
    path: str
    values: dict[str, str]


class _Refusal(Exception):
    def __init__(self, status: int, error: str, description: str) -> None:
        self.status = status
        # The layout of learn.microsoft.com/entra/identity-platform/reference-error-codes.
        self.body = {
            "error": error,
            "error_description": f"{description}\r\nTrace ID: t-1\r\nCorrelation ID: c-1\r\nTimestamp: now",
        }
        super().__init__(description)


class Authority:
    """The two servers, what they know, and what they saw.

    Attributes:
        ca: The private authority.
        ca_file: Its certificate, which is to be trusted.
        secrets: The client secret of each application.
        certificates: The certificate of each application, as PEM.
        federated: The Kubernetes token that each identity trusts.
        mismatch: The answer to any other Kubernetes token.
        assigned: The client ids that this host's identity endpoint answers for; empty is the system-assigned one.
        unknown_scopes: Audiences for which nobody gets a token.
        outage: A status that answers everything, as during an outage.
        pause: Headers of such an answer.
        lifetime: How long tokens hold.
        seen: The requests.
        tunnels: The hosts that were asked for, allowed or not.
        issued: The tokens.
    """

    identity_header = "identity-header-secret"

    def __init__(self, folder: Path) -> None:
        self.ca = trustme.CA()
        self.ca_file = folder / "ca.pem"
        self.ca.cert_pem.write_to_path(str(self.ca_file))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*LOGIN_HOSTS).configure_cert(self._context)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.secrets: dict[str, str] = {}
        self.certificates: dict[str, bytes] = {}
        self.federated: dict[str, str] = {}
        self.mismatch = "AADSTS700213: No matching federated identity record found for this subject."
        self.assigned: set[str] = set()
        self.unknown_scopes: set[str] = set()
        self.outage = 0
        self.pause: dict[str, str] = {}
        self.lifetime = 3600
        self.seen: list[Seen] = []
        self.tunnels: list[str] = []
        self.issued: list[str] = []

    def __enter__(self) -> Self:
        self._tls = _serve(self, self._context)
        self._plain = _serve(self, None)
        self.identity_url = f"http://127.0.0.1:{self._plain.server_port}"
        return self

    def __exit__(self, *_: object) -> None:
        for server in (self._plain, self._tls):
            server.shutdown()
            server.server_close()

    @property
    def proxy(self) -> dict[str, str]:
        """The environment that leads here."""
        return {"HTTPS_PROXY": self.identity_url, "https_proxy": self.identity_url}

    @property
    def tls_port(self) -> int:
        """Where tunnels end."""
        return self._tls.server_port

    def answer(self, seen: Seen, headers: dict[str, str]) -> dict[str, Any]:
        """Answer as Entra or the identity endpoints do, or raise a refusal."""
        self.seen.append(seen)
        if self.outage:
            raise _Refusal(self.outage, "temporarily_unavailable", "AADSTS90033: A transient error has occurred.")
        if seen.path == "/msi/token":
            if headers.get("x-identity-header") != self.identity_header:
                raise _Refusal(401, "unauthorized", "X-IDENTITY-HEADER is wrong")
            return self._identity(seen)
        if seen.path == "/metadata/identity/oauth2/token":
            if headers.get("metadata") != "true":
                raise _Refusal(400, "invalid_request", "Required metadata header not specified")
            return self._identity(seen)
        tenant, _, rest = seen.path.lstrip("/").partition("/")
        if tenant != TENANT:
            raise _Refusal(400, "invalid_tenant", f"AADSTS90002: Tenant '{tenant}' not found.")
        url = f"https://{seen.host}/{tenant}"
        if rest == "v2.0/.well-known/openid-configuration":
            return {
                "issuer": f"{url}/v2.0",
                "authorization_endpoint": f"{url}/oauth2/v2.0/authorize",
                "token_endpoint": f"{url}/oauth2/v2.0/token",
            }
        if rest == "oauth2/v2.0/token" and seen.method == "POST":
            self._authenticate(seen.values, f"{url}/oauth2/v2.0/token")
            if seen.values["scope"].split()[0] in self.unknown_scopes:
                raise _Refusal(400, "invalid_resource", "AADSTS500011: The resource principal was not found.")
            return self._issue()
        raise _Refusal(404, "not_found", seen.path)

    def _identity(self, seen: Seen) -> dict[str, Any]:
        if seen.values.get("client_id", "") not in self.assigned:
            raise _Refusal(400, "invalid_request", "Identity not found")
        token = self._issue()
        return {**token, "expires_on": str(int(time.time()) + self.lifetime), "resource": seen.values["resource"]}

    def _issue(self) -> dict[str, Any]:
        self.issued.append(f"issued-token-{len(self.issued)}-{time.time_ns()}")
        return {"access_token": self.issued[-1], "token_type": "Bearer", "expires_in": self.lifetime}

    def _authenticate(self, form: dict[str, str], audience: str) -> None:
        client = form["client_id"]
        if client not in {*self.secrets, *self.certificates, *self.federated}:
            raise _Refusal(
                400,
                "unauthorized_client",
                f"AADSTS700016: Application with identifier '{client}' was not found in the directory 'Contoso'.",
            )
        if "client_secret" in form:
            if form["client_secret"] != self.secrets.get(client):
                raise _Refusal(
                    401, "invalid_client", f"AADSTS7000215: Invalid client secret provided for app '{client}'."
                )
        elif client in self.certificates:
            self._verify(form["client_assertion"], client, audience)
        elif form["client_assertion"] != self.federated.get(client):
            raise _Refusal(400, "invalid_client", self.mismatch)

    def _verify(self, assertion: str, client: str, audience: str) -> None:
        certificate = x509.load_pem_x509_certificate(self.certificates[client])
        prints = {
            base64.urlsafe_b64encode(certificate.fingerprint(kind)).decode().rstrip("=")
            for kind in (hashes.SHA1(), hashes.SHA256())
        }
        header = jwt.get_unverified_header(assertion)
        sent = header.get("x5t") or header.get("x5t#S256") or ""
        try:
            claims = jwt.decode(
                assertion, certificate.public_key(), algorithms=["RS256", "PS256"], audience=audience, issuer=client
            )
        except jwt.InvalidTokenError as error:
            raise _Refusal(401, "invalid_client", f"AADSTS700027: {error}") from None
        if sent.rstrip("=") not in prints or claims["sub"] != client:
            raise _Refusal(401, "invalid_client", "AADSTS700027: The certificate with this thumbprint is not known.")


class _Handler(BaseHTTPRequestHandler):
    authority: Authority
    # aiohttp closes a connection of HTTP/1.0 in the background, and the test's event loop may end before that does.
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._answer(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._answer(dict(parse_qsl(body.decode())))

    def _answer(self, values: dict[str, str]) -> None:
        seen = Seen(self.headers["Host"], self.command, urlsplit(self.path).path, values)
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            status, body = 200, self.authority.answer(seen, headers)
        except _Refusal as refusal:
            status, body = refusal.status, refusal.body
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in self.authority.pause.items() if status == self.authority.outage else ():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def do_CONNECT(self) -> None:
        self.close_connection = True
        host, _, _ = self.path.rpartition(":")
        self.authority.tunnels.append(host)
        if host not in LOGIN_HOSTS:
            self.send_error(403)
            return
        self.send_response(200)
        self.end_headers()
        with socket.create_connection(("127.0.0.1", self.authority.tls_port)) as far:
            ends = {self.connection: far, far: self.connection}
            while True:
                for end in select.select(list(ends), [], [])[0]:
                    with contextlib.suppress(ConnectionError):
                        if piece := end.recv(65536):
                            ends[end].sendall(piece)
                            continue
                    return

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the standard library
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    context: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.context is not None:
            # The handshake is the handler's, at its first read: a client that stalls must not stop the others.
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        # A client that does not trust the certificate hangs up: for a test of that, it is no error here.
        pass


def _serve(authority: Authority, context: ssl.SSLContext | None) -> _Server:
    handler = type("Handler", (_Handler,), {"authority": authority})
    server = _Server(("127.0.0.1", 0), handler)
    server.context = context
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server
