from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from urllib.parse import quote

import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.identity import CredentialUnavailableError
from support.models.credential import Inner
from support.services.authority import settings

from aml_provider.client.auth import diagnosis
from aml_provider.client.auth.credentials import get_token
from aml_provider.client.auth.tokens import Credential
from aml_provider.client.errors import CredentialError, Unreachable

SECRET = {"tenant_id": "contoso.com", "client_id": "app", "secret": "s3cret"}
SCOPE = "https://management.azure.com/.default"


def test_every_module_of_azure_identity_that_logs_a_failed_sign_in_is_known():
    """Its text may hold a proxy's password, and a filter has to be on the logger of the module itself."""
    package = Path(importlib.util.find_spec("azure.identity").origin).parent
    warning = {
        ".".join(path.relative_to(package).with_suffix("").parts).removeprefix("aio.")
        for path in package.rglob("*.py")
        if re.search(r"logging\.WARNING|_LOGGER\.warning\(|_LOGGER\.error\(", path.read_text())
    }
    # One opens a browser, which we never do; the other one names variables that are missing.
    assert warning - {"_internal.interactive", "_credentials.environment"} <= set(diagnosis._WARNING)


@pytest.mark.parametrize(
    ("said", "next_step"),
    [
        ("AADSTS7000222: The provided client secret keys for app 'x' are expired.", "into the connection's password"),
        ("AADSTS700027: Client assertion failed signature validation.", "Upload the certificate in certificate_path"),
        ("AADSTS700024: Client assertion is not within its valid time range.", "Check the clock of this host."),
        ("AADSTS7002138: No matching federated identity record found.", "issuer, subject and audience"),
        ("AADSTS70025: The client has no configured federated identity credentials.", "issuer, subject and audience"),
        ("AADSTS90061: Request to External OIDC endpoint failed.", "must be reachable from the internet"),
        ("AADSTS900382: Confidential Client is not supported in Cross Cloud request.", "Check tenant_id, and cloud"),
        ("AADSTS53003: Access has been blocked by Conditional Access policies.", "Conditional Access policy"),
        ("AADSTS7000112: Application 'x' is disabled.", "The application is disabled"),
        ("AADSTS999999: Something new.", "Something new."),
    ],
)
def test_what_entra_says_leads_to_the_next_step(said, next_step):
    inner = Inner()
    inner.failure = ClientAuthenticationError(message=f"Authentication failed: {said}\r\nTrace ID: t")
    secret = settings("client_secret", **SECRET)
    with pytest.raises(CredentialError) as caught:
        get_token(Credential(inner.sync()), secret, SCOPE)
    text = str(caught.value)
    assert text.startswith(
        f"auth_method client_secret, tenant_id contoso.com, login app, cloud public: no token: {said} Trace ID: t"
    )
    assert next_step in text
    assert caught.value.permanent
    assert caught.value.__cause__ is None, "azure-identity's text would be repeated below"


def test_a_secret_that_comes_back_is_hidden():
    inner = Inner()
    inner.failure = ClientAuthenticationError(message="Unexpected response: {'echo': 's3cret'}")
    with pytest.raises(CredentialError, match=r"Unexpected response: {'echo': '\*\*\*'}"):
        get_token(Credential(inner.sync()), settings("client_secret", **SECRET), SCOPE)


@pytest.mark.parametrize("form", [str, lambda s: quote(s, safe="")])
def test_a_secret_that_comes_back_in_another_form_is_hidden(form):
    secret = "Q8~planted/secret+of~an.application_4711"
    inner = Inner()
    inner.failure = ClientAuthenticationError(
        message=f"Unexpected response: {{'got': '{form(secret)}'}}{' x' * 100_000}"
    )
    fields = {**SECRET, "secret": secret}
    with pytest.raises(CredentialError) as caught:
        get_token(Credential(inner.sync()), settings("client_secret", **fields), SCOPE)
    assert "planted" not in str(caught.value)
    assert len(str(caught.value)) < 4000


def test_an_identity_endpoint_that_is_silent_may_answer_later():
    # For real it takes azure-identity's five seconds of patience.
    inner = Inner()
    inner.failure = CredentialUnavailableError(
        message="ManagedIdentityCredential authentication unavailable, no response"
    )
    inner.failure.__cause__ = ServiceRequestError("connection refused")
    with pytest.raises(Unreachable, match=r"did not answer: no response\. Check that this host has a managed identity"):
        get_token(Credential(inner.sync()), settings("managed_identity"), SCOPE)
