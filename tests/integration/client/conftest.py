"""A driver of each kind, a server that records, a workspace there, and a Microsoft Entra."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme
from support.drivers.driving import DRIVERS, workspace
from support.services.authority import CLIENT, TENANT, Authority
from support.services.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Iterator

AZ = """#!/bin/sh
echo "$@" >> "$AZ_LOG"
{answer}
"""


@pytest.fixture(params=list(DRIVERS))
def drive(request):
    return DRIVERS[request.param]


@pytest.fixture
def recorder():
    with Recorder() as running:
        yield running


@pytest.fixture
def settings(recorder):
    return workspace(endpoint=recorder.url)


@pytest.fixture(scope="module")
def running_authority(tmp_path_factory) -> Iterator[Authority]:
    import aiohttp.connector

    with Authority(tmp_path_factory.mktemp("authority")) as authority:
        # aiohttp made its default context when it was imported, from SSL_CERT_FILE; a fresh process has its own test.
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(authority.ca_file)
        yield authority


@pytest.fixture
def authority(running_authority: Authority, monkeypatch) -> Authority:
    running_authority.reset()
    monkeypatch.setenv("SSL_CERT_FILE", str(running_authority.ca_file))
    # No test may ask the identity endpoint of the machine that it runs on.
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", running_authority.identity_url)
    for name, value in running_authority.proxy.items():
        monkeypatch.setenv(name, value)
    return running_authority


@pytest.fixture
def pod(authority, monkeypatch, tmp_path):
    """The environment of a pod as the webhook leaves it, whose token its identity trusts."""
    path = tmp_path / "azure-identity-token"
    path.write_text("token of the service account")
    authority.federated[CLIENT] = path.read_text()
    monkeypatch.setenv("AZURE_FEDERATED_TOKEN_FILE", str(path))
    monkeypatch.setenv("AZURE_TENANT_ID", TENANT)
    monkeypatch.setenv("AZURE_CLIENT_ID", CLIENT)
    return monkeypatch


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> trustme.LeafCert:
    return trustme.CA(key_type=trustme.KeyType.RSA).issue_cert("app.example", key_type=trustme.KeyType.RSA)


@pytest.fixture
def az(monkeypatch, tmp_path):
    """Put an ``az`` on the path that does what it is told, and return how often and with what it was called."""
    log = tmp_path / "az.log"
    monkeypatch.setenv("AZ_LOG", str(log))
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")

    def install(answer):
        program = tmp_path / "az"
        program.write_text(AZ.replace("{answer}", answer))
        program.chmod(0o755)
        return lambda: log.read_text().splitlines()

    return install
