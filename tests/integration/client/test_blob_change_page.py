"""Each error that docs/how-to/blob-change-with-workload-identity.md quotes is caused, and has this text."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.services.authority import CLIENT, settings

from aml_provider.blobs.access import LIST, ContainerAccess
from aml_provider.blobs.refusal import refusal
from aml_provider.client.auth.credentials import build_credential, get_token
from aml_provider.client.errors import AzureMLError
from aml_provider.client.http.reply import Reply
from aml_provider.hooks.azure_ml import AzureMLHook

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "blob-change-with-workload-identity.md"
URL = "https://mystorageaccount.blob.core.windows.net/incoming"


def quoted() -> dict[str, str]:
    """The error below each heading of the page's last part."""
    _, _, section = PAGE.read_text().partition("## If it does not work\n")
    return dict(re.findall(r"^### (.+)\n\n```text\n(.+)\n```$", section, re.MULTILINE))


def sign_in():
    connection = settings("workload_identity")
    get_token(build_credential(connection), connection, connection.token_scope)


def no_label(request):
    request.getfixturevalue("pod").delenv("AZURE_FEDERATED_TOKEN_FILE")
    sign_in()


def no_annotation(request):
    # The webhook sets the variable anyway.
    request.getfixturevalue("pod").setenv("AZURE_CLIENT_ID", "")
    sign_in()


def another_subject(request):
    request.getfixturevalue("pod")
    authority = request.getfixturevalue("authority")
    authority.federated[CLIENT] = "token of another service account"
    authority.mismatch = (
        "AADSTS700213: No matching federated identity record found for presented assertion subject "
        "'system:serviceaccount:airflow:airflow-worker'."
    )
    sign_in()


def no_role_on_the_workspace(request):
    conn_id = request.getfixturevalue("azureml_default")
    request.getfixturevalue("emulator").faults.add("status", status=403, method="GET", path="*")
    works, message = AzureMLHook(conn_id).test_connection()
    assert not works
    raise AzureMLError(message)


def refused(code, *, key=False):
    def list_blobs(_):
        access = ContainerAccess(account_name="mystorageaccount", account_key="a2V5") if key else ContainerAccess()
        body = f"<Error><Code>{code}</Code><Message>This request is not permitted.</Message></Error>"
        raise refusal("list blobs", URL, access, LIST, Reply(403, {}, body.encode(), "id"))

    return list_blobs


CAUSES = {
    "The pod has no label": no_label,
    "The pod has another service account": no_annotation,
    "The subject of the federated credential is wrong": another_subject,
    "The role on the workspace is missing": no_role_on_the_workspace,
    "The role on the container is missing": refused("AuthorizationPermissionMismatch"),
    "The firewall of the storage account refuses the cluster": refused("AuthorizationFailure"),
    "The storage account refuses keys": refused("KeyBasedAuthenticationNotPermitted", key=True),
}


def test_the_page_quotes_an_error_for_each_cause():
    assert quoted().keys() == CAUSES.keys()


@pytest.mark.parametrize("heading", CAUSES)
def test_a_cause_has_the_error_on_the_page(heading, request):
    with pytest.raises(AzureMLError) as caught:
        CAUSES[heading](request)
    text = ".+".join(map(re.escape, quoted()[heading].split("…")))
    assert re.search(text, str(caught.value)), str(caught.value)
