"""Reads a connection of Airflow's type ``wasb`` in the same way as ``WasbHook`` and Azure's SDK together.

``docs/reference/blob-sensor.md`` lists the forms. This reader is more tolerant of blanks and letter case.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import SplitResult, parse_qsl, urlsplit

from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Mapping

_AZURITE = "devstoreaccount1"
# Not a secret: it is in Microsoft's documentation, and every installation of Azurite has it.
_AZURITE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
# Suffixes of an account's other names.
_SIDE_NAMES = re.compile(r"(-secondary|-ipv6|-dualstack|-microsoftrouting|-internetrouting)+$")


class Rights(NamedTuple):
    """The rights in a connection: a SAS, a key, or a service principal; none if all are empty.

    Attributes:
        sas: A SAS, as it was given.
        key: An account's key.
        account: The account, if the connection names it.
        tenant_id: The tenant of the service principal; its id and secret are the connection's login and password.
    """

    sas: str = ""
    key: str = ""
    account: str = ""
    tenant_id: str = ""

    def __repr__(self) -> str:
        return f"Rights(account={self.account!r}, tenant_id={self.tenant_id!r})"


def rights_of(login: str, password: str, host: str, fields: Mapping[str, Any]) -> Rights:
    """Find the rights in a connection, in the same order as Airflow's provider.

    The host may be an address with a SAS. The names of the extra fields have no prefix.

    Raises:
        InvalidArgument: The connection string cannot be read; the message shows nothing of it.
    """

    def text(name: str) -> str:
        return str(fields.get(name) or "").strip()

    if text("connection_string"):
        return _of_string(text("connection_string"))
    if text("tenant_id"):
        return Rights(tenant_id=text("tenant_id"))
    account = _named_by(host) or login.strip().lower()
    for name, secret in {
        "shared_access_key": text("shared_access_key"),
        "sas_token": text("sas_token"),
        "password": password.strip(),
        "account_key": text("account_key"),
    }.items():
        # The SDK also accepts a SAS in place of a key.
        if secret and (name == "sas_token" or _is_sas(secret)):
            return Rights(sas=_checked_sas(name, secret), account=account)
        if secret and "accountkey=" in secret.lower():
            raise InvalidArgument(name, "is a connection string, which goes into the extra field 'connection_string'")
        if secret:
            return Rights(key=secret, account=account)
    return Rights(sas=_checked_sas("host", host) if _is_sas(host) else "", account=account)


def account_of(url: str) -> str:
    """The storage account in the host name of an address (or of a host alone); empty if there is none."""
    host = _parts(url).hostname or ""
    return without_side(host.partition(".")[0]) if ".blob." in host else ""


def without_side(name: str) -> str:
    """Turn any name of an account into its primary name."""
    return _SIDE_NAMES.sub("", name)


def _named_by(url: str) -> str:
    """The account in an account's address; Azurite's address has it in the path."""
    return account_of(url) or _parts(url).path.strip("/")


def _parts(url: str) -> SplitResult:
    try:
        return urlsplit(url if "://" in url else f"//{url}")
    except ValueError:
        return urlsplit("")


def _of_string(text: str) -> Rights:
    pieces = [piece.partition("=") for piece in text.split(";") if piece.strip()]
    if not pieces or not all(equals for _, equals, _ in pieces):
        raise InvalidArgument(
            "connection_string",
            "is not of the form NAME=VALUE;NAME=VALUE; copy it whole from the account's access keys",
        )
    values = {name.strip().lower(): value.strip() for name, _, value in pieces}
    if values.get("usedevelopmentstorage", "").lower() == "true":
        return Rights(key=_AZURITE_KEY, account=_AZURITE)
    endpoint = values.get("blobendpoint", "")
    account = values.get("accountname", "").lower() or _named_by(endpoint)
    if values.get("accountkey"):
        return Rights(key=values["accountkey"], account=account)
    if values.get("sharedaccesssignature"):
        return Rights(sas=_checked_sas("connection_string", values["sharedaccesssignature"]), account=account)
    return Rights(sas=_checked_sas("connection_string", endpoint) if _is_sas(endpoint) else "", account=account)


def _is_sas(text: str) -> bool:
    return "sig" in dict(parse_qsl(text.rpartition("?")[2]))


def _checked_sas(name: str, text: str) -> str:
    """The SAS in a text that is a SAS, or an address that ends with one."""
    if not _is_sas(text):
        raise InvalidArgument(name, "is a SAS without a signature (sig=); was it cut off?")
    return text.rpartition("?")[2]
