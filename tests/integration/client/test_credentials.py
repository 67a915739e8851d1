"""Every auth_method against a local Microsoft Entra, for workers and for event loops.

The settings are those of production, the login hosts of all three clouds included; see support/services/authority.py.
"""

from __future__ import annotations

import subprocess
import sys
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from support.drivers.sign_in import KUBERNETES_TOKEN, both, default_chain_of_today, token
from support.services.authority import CLIENT, SECRET, TENANT, application, settings

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.settings import CLOUDS

AZ_TOKEN = """echo '{"accessToken": "token-of-az", "expires_on": 4102444800, "tokenType": "Bearer"}'"""

clouds = pytest.mark.parametrize("cloud", list(CLOUDS.values()), ids=list(CLOUDS))


def asked(authority):
    """The one request for a token."""
    [request] = [seen for seen in authority.seen if not seen.path.endswith("openid-configuration")]
    return request


def assert_entra(authority, cloud):
    """Only the cloud's own host was asked, for the cloud's own audience."""
    host = urlsplit(cloud.authority).hostname
    assert set(authority.tunnels) == {host}
    request = asked(authority)
    assert (request.host, request.path) == (host, f"/{TENANT}/oauth2/v2.0/token")
    assert request.values["client_id"] == CLIENT
    assert request.values["scope"].split()[0] == f"{cloud.management}/.default"


@both
@clouds
async def test_client_secret(authority, kind, cloud):
    authority.secrets[CLIENT] = SECRET
    assert await token(kind, application(cloud=cloud)) == authority.issued[0]
    assert_entra(authority, cloud)


@both
@clouds
@pytest.mark.parametrize("password", [None, "certificate-password"])
async def test_client_certificate(authority, kind, *, cloud, password, certificate, tmp_path):
    from cryptography.hazmat.primitives import serialization as s

    authority.certificates[CLIENT] = certificate.cert_chain_pems[0].bytes()
    key = s.load_pem_private_key(certificate.private_key_pem.bytes(), None)
    lock = s.BestAvailableEncryption(password.encode()) if password else s.NoEncryption()
    path = tmp_path / "app.pem"
    path.write_bytes(
        key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, lock) + certificate.cert_chain_pems[0].bytes()
    )
    connection = settings(
        "client_certificate",
        tenant_id=TENANT,
        client_id=CLIENT,
        cloud=cloud,
        certificate_path=str(path),
        certificate_password=password,
    )
    assert await token(kind, connection) == authority.issued[0]
    assert_entra(authority, cloud)


@both
@clouds
@pytest.mark.parametrize("where", ["connection", "environment"])
async def test_workload_identity(authority, kind, *, cloud, where, monkeypatch, tmp_path):
    authority.federated[CLIENT] = KUBERNETES_TOKEN
    (tmp_path / "token").write_text(KUBERNETES_TOKEN)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    # The webhook sets the public cloud's unless told otherwise; the connection knows better.
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://elsewhere.example/")
    fields = {"tenant_id": TENANT, "client_id": CLIENT}
    if where == "environment":
        for name, value in fields.items():
            monkeypatch.setenv(f"AZURE_{name.upper()}", value)
        fields = {}
    assert await token(kind, settings("workload_identity", cloud=cloud, **fields)) == authority.issued[0]
    assert_entra(authority, cloud)


@pytest.fixture
def binding(authority, monkeypatch, tmp_path):
    """The environment of a pod with an identity binding of AKS (github.com/Azure/azure-sdk-for-go/issues/26399)."""
    authority.federated[CLIENT] = KUBERNETES_TOKEN
    (tmp_path / "token").write_text(KUBERNETES_TOKEN)
    for name, value in {
        "AZURE_FEDERATED_TOKEN_FILE": str(tmp_path / "token"),
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": CLIENT,
        "AZURE_KUBERNETES_TOKEN_PROXY": f"https://127.0.0.1:{authority.tls_port}",
        "AZURE_KUBERNETES_CA_FILE": str(authority.ca_file),
        "AZURE_KUBERNETES_SNI_NAME": "login.microsoftonline.com",
    }.items():
        monkeypatch.setenv(name, value)
    # Only the variables of the binding lead there.
    monkeypatch.delenv("SSL_CERT_FILE")
    return authority


@both
@pytest.mark.skipif(
    tuple(int(part) for part in metadata.version("azure-identity").split(".")[:2]) < (1, 27),
    reason="azure-identity supports identity bindings since 1.27",
)
async def test_a_pod_with_an_identity_binding_asks_the_cluster(binding, kind):
    assert await token(kind, settings("workload_identity")) == binding.issued[0]
    assert asked(binding).host == f"127.0.0.1:{binding.tls_port}"
    assert binding.tunnels == [], "it was reached through the proxy of the environment"


@both
async def test_an_identity_binding_needs_a_version_that_knows_it(binding, kind, monkeypatch):
    monkeypatch.setattr("azure.identity.__version__", "1.26.1")
    with pytest.raises(InvalidArgument, match=r"identity binding of AKS .* azure-identity 1\.26\.1 does not support"):
        await token(kind, settings("workload_identity"))
    assert binding.seen == []


@both
@clouds
@pytest.mark.parametrize("client_id", [None, CLIENT])
@pytest.mark.parametrize("host", ["virtual machine", "app service"])
async def test_managed_identity(authority, kind, *, cloud, client_id, host, monkeypatch):
    authority.assigned.add(client_id or "")
    if host == "app service":
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{authority.identity_url}/msi/token")
        monkeypatch.setenv("IDENTITY_HEADER", authority.identity_header)
    # A tenant in the connection, from config.json say, must not matter.
    connection = settings("managed_identity", client_id=client_id, tenant_id=TENANT, cloud=cloud)
    assert await token(kind, connection) == authority.issued[0]
    request = asked(authority)
    assert request.values.get("client_id") == client_id
    assert request.values["resource"] == cloud.management
    assert authority.tunnels == []


@both
@clouds
@pytest.mark.parametrize("tenant", [None, TENANT])
async def test_azure_cli(authority, kind, *, cloud, tenant, az):
    calls = az(AZ_TOKEN)
    assert await token(kind, settings("azure_cli", tenant_id=tenant, cloud=cloud)) == "token-of-az"
    [call] = calls()
    assert call.startswith(f"account get-access-token --output json --resource {cloud.management}")
    assert call.endswith(f" --tenant {TENANT}") == bool(tenant)
    assert authority.tunnels == []


@both
@clouds
async def test_default_with_an_application_in_the_environment(authority, kind, cloud, monkeypatch):
    authority.secrets[CLIENT] = SECRET
    for name, value in {"TENANT_ID": TENANT, "CLIENT_ID": CLIENT, "CLIENT_SECRET": SECRET}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    assert await token(kind, settings("default", cloud=cloud)) == authority.issued[0]
    assert_entra(authority, cloud)


@both
@pytest.mark.parametrize("where", ["connection", "environment", "nowhere"])
async def test_default_with_a_managed_identity(authority, kind, where, monkeypatch):
    authority.assigned.update({"", CLIENT})
    if where == "environment":
        monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    connection = settings("default", client_id=CLIENT if where == "connection" else None)
    assert await token(kind, connection) == authority.issued[-1]
    assert authority.seen[-1].values.get("client_id") == (None if where == "nowhere" else CLIENT)


@default_chain_of_today
@both
async def test_default_with_a_workload_identity_of_the_connection(authority, kind, monkeypatch, tmp_path):
    authority.federated[CLIENT] = KUBERNETES_TOKEN
    (tmp_path / "token").write_text(KUBERNETES_TOKEN)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    monkeypatch.setenv("AZURE_CLIENT_ID", "another")
    connection = settings("default", client_id=CLIENT, tenant_id=TENANT)
    assert await token(kind, connection) == authority.issued[0]
    assert_entra(authority, CLOUDS["public"])


@both
async def test_static_token_asks_nobody(authority, kind):
    assert await token(kind, settings("static_token", secret="static")) == "static"
    assert authority.seen == []
    assert authority.tunnels == []


def test_one_variable_makes_a_fresh_process_trust_a_private_authority(authority, tmp_path):
    authority.secrets[CLIENT] = SECRET
    script = Path(tmp_path / "ask.py")
    script.write_text(f"""
import asyncio
from aml_provider.client.auth.credentials import *
from aml_provider.client.settings import WorkspaceSettings

settings = WorkspaceSettings(subscription_id="s", resource_group="g", workspace_name="w", auth_method="client_secret",
    tenant_id={TENANT!r}, client_id={CLIENT!r}, secret={SECRET!r})

async def ask():
    async with build_async_credential(settings) as credential:
        print(await get_async_token(credential, settings, settings.token_scope))

credential = build_credential(settings)
print(get_token(credential, settings, settings.token_scope))
credential.close()
asyncio.run(ask())
""")
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert (done.stdout.splitlines(), done.stderr) == (authority.issued, "")
    assert len(authority.issued) == 2
