"""What a refused sign-in says, for each auth_method, and what no log holds."""

from __future__ import annotations

import asyncio
import dataclasses
import logging

import pytest
import trustme
from azure.core.exceptions import ClientAuthenticationError
from support.drivers.sign_in import KUBERNETES_TOKEN, both, default_chain_of_today, token
from support.services.authority import CLIENT, SECRET, TENANT, Authority, application, settings

from aml_provider.client.auth import credentials
from aml_provider.client.calls import get_run
from aml_provider.client.errors import CredentialError, Unreachable
from aml_provider.client.http.clients import AsyncClient, Client
from aml_provider.client.settings import CLOUDS


async def refusal(kind, connection, error=CredentialError):
    with pytest.raises(error) as caught:
        await token(kind, connection)
    text = str(caught.value)
    for secret in (SECRET, KUBERNETES_TOKEN, "wrong-secret"):
        assert secret not in text
    return caught.value


@both
async def test_a_wrong_secret_is_reported_with_what_to_put_in_its_place(authority, kind):
    authority.secrets[CLIENT] = SECRET
    error = await refusal(kind, application(secret="wrong-secret", cloud=CLOUDS["usgov"]))
    assert error.text == (
        f"auth_method client_secret, tenant_id {TENANT}, login {CLIENT}, cloud usgov: no token: "
        f"AADSTS7000215: Invalid client secret provided for app '{CLIENT}'. Trace ID: t-1 Correlation ID: c-1 "
        "Timestamp: now. Put a current client secret of the application, its value and not its id, into the "
        "connection's password."
    )
    assert error.permanent


@both
async def test_an_unknown_application_is_reported_with_the_fields_to_check(authority, kind):
    error = await refusal(kind, application())
    assert "AADSTS700016" in str(error)
    assert "Check login (the application's client id) and tenant_id." in str(error)


@both
async def test_an_unknown_tenant_is_reported_with_the_fields_to_check(authority, kind):
    error = await refusal(kind, application(tenant_id="nobody.example"))
    assert "tenant_id nobody.example" in str(error)
    assert "no token: AADSTS90002: Tenant 'nobody.example' not found. Trace ID: t-1" in str(error)
    assert "Check tenant_id, and cloud: each cloud has tenants of its own." in str(error)
    assert error.permanent


@both
async def test_a_certificate_that_is_not_the_applications(authority, kind, certificate, tmp_path):
    other = trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("app.example", key_type=trustme.KeyType.RSA)
    authority.certificates[CLIENT] = other.cert_chain_pems[0].bytes()
    path = tmp_path / "app.pem"
    certificate.private_key_and_cert_chain_pem.write_to_path(str(path))
    fields = {"tenant_id": TENANT, "client_id": CLIENT, "certificate_path": str(path)}
    error = await refusal(kind, settings("client_certificate", **fields))
    assert "AADSTS700027" in str(error)
    assert "Upload the certificate in certificate_path" in str(error)


@both
async def test_a_pod_that_is_not_federated(authority, kind, monkeypatch, tmp_path):
    authority.federated[CLIENT] = "the token of another pod"
    path = tmp_path / "token"
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(path))
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    connection = settings("workload_identity", client_id=CLIENT)
    error = await refusal(kind, connection)
    assert str(path) in str(error)
    path.write_text(KUBERNETES_TOKEN)
    error = await refusal(kind, connection)
    assert f"auth_method workload_identity, tenant_id {TENANT}, login {CLIENT}" in str(error)
    assert "issuer, subject and audience" in str(error)


@both
async def test_a_host_without_that_identity(authority, kind):
    error = await refusal(kind, settings("managed_identity", client_id=CLIENT))
    assert "Check that this host has a managed identity, and that login is its client id" in str(error)
    assert error.permanent


@both
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "Azure CLI not found on path. Install the Azure CLI where workers and triggerers run."),
        ("echo 'Please run az login' >&2; exit 1", "Please run 'az login' to set up an account."),
        ("echo 'ERROR: AADSTS700082: too old' >&2; exit 1", "ERROR: AADSTS700082: too old."),
    ],
)
async def test_an_azure_cli_that_cannot_help(kind, answer, said, az):
    if answer:
        az(answer)
    error = await refusal(kind, settings("azure_cli"))
    assert said in str(error)
    assert "Run `az login` as the user of workers and triggerers." in str(error)
    assert error.permanent


@default_chain_of_today
@both
async def test_default_lists_what_it_tried_a_line_each(authority, kind, az):
    az("echo 'Please run az login' >&2; exit 1")
    error = await refusal(kind, settings("default"))
    first, *tried, step = error.text.splitlines()
    assert first.startswith("auth_method default, cloud public: no token: DefaultAzureCredential failed")
    names = [line.strip().partition(":")[0] for line in tried]
    assert names[:3] == ["EnvironmentCredential", "WorkloadIdentityCredential", "ManagedIdentityCredential"]
    assert "AzureCliCredential" in names
    assert "aka.ms/azsdk" not in str(error)
    assert step == "Give one of these what it lacks, or set auth_method to the one that you want."
    # An outage would read the same.
    assert not error.permanent


@both
async def test_default_stops_where_entra_refuses(authority, kind, monkeypatch):
    authority.secrets[CLIENT] = SECRET
    for name, value in {"TENANT_ID": TENANT, "CLIENT_ID": CLIENT, "CLIENT_SECRET": "wrong-secret"}.items():
        monkeypatch.setenv(f"AZURE_{name}", value)
    error = await refusal(kind, settings("default"))
    assert "AADSTS7000215" in str(error)
    assert error.permanent


@both
@pytest.mark.parametrize("status", [429, 503])
async def test_an_outage_is_not_a_refusal(authority, kind, status):
    authority.outage = status
    error = await refusal(kind, application(), Unreachable)
    assert not error.permanent
    assert not error.in_doubt
    assert len(authority.seen) == 2, "one repeat, the rest is the caller's"


@both
@pytest.mark.parametrize("name", ["Retry-After", "retry-after-ms", "x-ms-retry-after-ms"])
@pytest.mark.parametrize("value", ["Fri, 31 Dec 9999 23:59:59 GMT", "1e9", "inf", "nan", "soon"])
async def test_no_answer_makes_sign_in_wait_for_long_or_fail_for_good(authority, kind, name, value, monkeypatch):
    """azure-core sleeps for as long as an answer says; in the triggerer, that stopped every wait."""
    monkeypatch.setattr(credentials, "_LONGEST_PAUSE", 0.05)
    authority.outage = 503
    authority.pause = {name: value}
    error = await asyncio.wait_for(refusal(kind, application(), Unreachable), 240)
    assert not error.permanent


@both
async def test_a_closed_port_of_the_identity_provider_is_unreachable(authority, kind, monkeypatch, closed_port):
    for name in authority.proxy:
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port}")
    error = await refusal(kind, application(), Unreachable)
    assert str(error).startswith("auth_method client_secret, tenant_id")
    assert "the identity provider did not answer" in str(error)


@both
async def test_a_certificate_that_nobody_trusts(authority, kind, tmp_path, monkeypatch):
    with Authority(tmp_path) as stranger:
        for name, value in stranger.proxy.items():
            monkeypatch.setenv(name, value)
        error = await refusal(kind, application(), Unreachable)
        assert stranger.seen == []
    assert "CERTIFICATE_VERIFY_FAILED" in str(error)


@both
async def test_no_log_holds_a_secret(authority, kind, *, caplog, monkeypatch, tmp_path):
    authority.secrets[CLIENT] = SECRET
    authority.federated["pod"] = KUBERNETES_TOKEN
    authority.assigned.add("")
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{authority.identity_url}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", authority.identity_header)
    (tmp_path / "token").write_text(KUBERNETES_TOKEN)
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(tmp_path / "token"))
    wrong = application(secret="wrong-secret")
    with caplog.at_level(logging.DEBUG):
        await token(kind, application())
        await refusal(kind, wrong)
        await token(kind, settings("managed_identity"))
        await token(kind, dataclasses.replace(wrong, auth_method="workload_identity", client_id="pod"))
    assert len(authority.issued) == 3
    assert caplog.records
    everything = "\n".join(f"{record.getMessage()} {record.exc_text}" for record in caplog.records)
    for secret in (SECRET, "wrong-secret", KUBERNETES_TOKEN, authority.identity_header, *authority.issued):
        assert secret not in everything


@both
async def test_what_a_program_says_of_a_proxy_is_in_no_log(authority, kind, *, caplog, monkeypatch, az):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:s3cret@127.0.0.1:3128")
    az("echo 'ERROR: no connection through http://user:s3cret@127.0.0.1:3128' >&2; exit 1")
    if kind == "sync":
        with Client(settings("azure_cli")) as client, pytest.raises(CredentialError) as refused:
            client.authenticate()
    else:
        async with AsyncClient(settings("azure_cli")) as client:
            with pytest.raises(CredentialError) as refused:
                await client.call(get_run("r"))
    assert "no connection through http://***@127.0.0.1:3128" in str(refused.value)
    assert "s3cret" not in str(refused.value) + caplog.text


@both
async def test_only_our_own_sign_in_keeps_azure_identity_silent(authority, kind, caplog):
    """Other hooks in this process use azure-identity too, and need its warnings."""
    import azure.identity
    import azure.identity.aio

    authority.secrets[CLIENT] = SECRET
    wrong = application(secret="wrong-secret")
    if kind == "sync":
        with Client(wrong) as client, pytest.raises(CredentialError):
            client.authenticate()
    else:
        async with AsyncClient(wrong) as client:
            with pytest.raises(CredentialError):
                await client.call(get_run("r"))
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    options = {"disable_instance_discovery": True, "connection_verify": str(authority.ca_file)}
    if kind == "sync":
        with (
            azure.identity.ClientSecretCredential(TENANT, CLIENT, "wrong-secret", **options) as credential,
            pytest.raises(ClientAuthenticationError),
        ):
            credential.get_token(wrong.token_scope)
    else:
        async with azure.identity.aio.ClientSecretCredential(TENANT, CLIENT, "wrong-secret", **options) as credential:
            with pytest.raises(ClientAuthenticationError):
                await credential.get_token(wrong.token_scope)
    [warning] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert "ClientSecretCredential.get_token failed" in warning.getMessage()
