"""The workspace over https, which Microsoft's v2 SDK needs."""

from __future__ import annotations

import ssl
import subprocess
import sys

import httpx
import pytest
import trustme
from support.services.workspace_api import SCOPE, SEED

from aml_provider.emulator.server import EmulatorServer


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A certificate of this machine's address, its key, and the certificate to trust."""
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(folder / "certificate.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    authority.cert_pem.write_to_path(folder / "trusted.pem")
    return folder


def client(files, url):
    context = ssl.create_default_context(cafile=files / "trusted.pem")
    return httpx.Client(base_url=url, headers={"Authorization": "Bearer t"}, verify=context)


@pytest.mark.parametrize(("certificate", "key"), [("certificate.pem", "key.pem"), ("both.pem", None)])
def test_all_links_are_https(files, certificate, key):
    names = {"certificate": files / certificate, "key": key and files / key}
    with EmulatorServer(SEED, quirks=["page_size=1"], **names) as emulator, client(files, emulator.url) as api:
        assert emulator.url.startswith("https://127.0.0.1:")
        workspace = api.get(SCOPE).json()
        assert workspace["properties"]["discoveryUrl"].startswith("https://")
        assert set(api.get("/discovery").json().values()) == {emulator.url}
        page = api.get(f"{SCOPE}/components").json()
        assert page["nextLink"].startswith(emulator.url)
        assert api.get(page["nextLink"]).status_code == 200
        assert api.get("/runs").status_code == 200


def test_faults_work_over_https(files):
    names = {"certificate": files / "certificate.pem", "key": files / "key.pem"}
    with EmulatorServer(SEED, **names) as emulator, client(files, emulator.url) as api:
        for kind in ("drop", "cut"):
            emulator.faults.add(kind)
            with pytest.raises(httpx.TransportError):
                api.get(SCOPE)
        assert api.get(SCOPE).status_code == 200


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        (None, "key.pem", "a key needs its certificate"),
        ("key.pem", None, "not a certificate and its key"),
        ("trusted.pem", "key.pem", "not a certificate and its key"),
        ("missing.pem", None, "missing.pem: No such file"),
    ],
)
def test_wrong_files_are_named_at_the_start(files, certificate, key, message):
    options = [f"--{name}={files / file}" for name, file in (("certificate", certificate), ("key", key)) if file]
    command = [sys.executable, "-m", "aml_provider.emulator", "--port", "0", *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert (result.returncode, message in result.stderr) == (2, True), result.stderr
