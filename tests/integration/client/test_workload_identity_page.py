"""Each mistake that docs/set-up/workload-identity.md lists is made, and leads to the error that the page quotes."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.services.authority import CLIENT, settings

from aml_provider.client.auth.credentials import build_credential, get_token
from aml_provider.client.errors import AzureMLError, CredentialError

PAGE = Path(__file__).parents[3] / "docs" / "set-up" / "workload-identity.md"
# The image of the pod is an old one.
BEFORE_SIGN_IN = "No module named aml_provider"
# The identity signs in, and then lacks a role: the workspace or a storage account refuses it, not Microsoft Entra.
AFTER_SIGN_IN = {"403", "AuthorizationPermissionMismatch"}


def quoted() -> set[str]:
    """The first code in each row of the page's table of mistakes."""
    _, _, section = PAGE.read_text().partition("## What a mistake does\n")
    section, _, _ = section.partition("\n## ")
    return set(re.findall(r"^\| `([^`]+)`", section, re.MULTILINE))


def sign_in(method="workload_identity"):
    connection = settings(method)
    return get_token(build_credential(connection), connection, connection.token_scope)


def no_label(pod, _):
    pod.delenv("AZURE_FEDERATED_TOKEN_FILE")


def no_annotation(pod, _):
    # The webhook sets the variable anyway.
    pod.setenv("AZURE_CLIENT_ID", "")


def another_client_id(pod, _):
    pod.setenv("AZURE_CLIENT_ID", "33333333-3333-3333-3333-333333333333")


def no_file(pod, _):
    pod.setenv("AZURE_FEDERATED_TOKEN_FILE", "/var/run/secrets/azure/tokens/missing")


def no_network(_, authority):
    authority.outage = 503


def answer(code):
    def mistake(_, authority):
        authority.federated[CLIENT] = "token of another service account"
        authority.mismatch = f"{code}: The token of this service account is not accepted."

    return mistake


MISTAKES = {
    "workload_identity needs AZURE_FEDERATED_TOKEN_FILE": (no_label, "label the pods of workers and triggerers"),
    "is empty, and so is AZURE_CLIENT_ID": (no_annotation, "login"),
    "AADSTS700211": (answer("AADSTS700211"), "issuer, subject and audience"),
    "AADSTS700212": (answer("AADSTS700212"), "issuer, subject and audience"),
    "AADSTS700213": (answer("AADSTS700213"), "issuer, subject and audience"),
    "AADSTS70021": (answer("AADSTS70021"), "issuer, subject and audience"),
    "AADSTS70025": (answer("AADSTS70025"), "issuer, subject and audience"),
    "AADSTS700016": (another_client_id, "login 33333333-3333-3333-3333-333333333333"),
    "AADSTS90061": (answer("AADSTS90061"), "reachable from the internet"),
    # github.com/Azure/azure-sdk-for-python/issues/44488
    "AADSTS700024": (answer("AADSTS700024"), "a new pod gets a new token"),
    # github.com/Azure/azure-workload-identity/issues/665
    "No such file or directory": (no_file, "tokens/missing and renews it"),
    "the identity provider did not answer": (no_network, f"login {CLIENT}"),
}


def test_without_a_mistake_the_pod_signs_in(authority, pod):
    assert sign_in() == authority.issued[0]


@pytest.mark.parametrize("said", MISTAKES)
def test_a_mistake_leads_to_the_error_on_the_page(said, authority, pod):
    mistake, next_step = MISTAKES[said]
    mistake(pod, authority)
    with pytest.raises(AzureMLError) as caught:
        sign_in()
    assert re.search(rf"{re.escape(said)}\b", str(caught.value))
    assert next_step in str(caught.value)


@pytest.mark.parametrize("method", ["workload_identity", "default"])
@pytest.mark.parametrize("said", ["AADSTS700024", "No such file or directory"])
def test_a_retry_helps_where_another_pod_has_a_valid_token(said, method, authority, pod):
    pod.setenv("AZURE_TOKEN_CREDENTIALS", "WorkloadIdentityCredential")
    mistake, next_step = MISTAKES[said]
    mistake(pod, authority)
    with pytest.raises(CredentialError) as caught:
        sign_in(method)
    assert said in str(caught.value)
    assert next_step in str(caught.value)
    assert not caught.value.permanent


def test_a_python_without_this_provider_says_what_is_on_the_page():
    command = [sys.executable, "-I", "-S", "-m", "aml_provider", "check"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stderr
    assert BEFORE_SIGN_IN in said


def test_the_page_lists_these_mistakes_and_no_others():
    assert quoted() == {BEFORE_SIGN_IN, *MISTAKES, *AFTER_SIGN_IN}
