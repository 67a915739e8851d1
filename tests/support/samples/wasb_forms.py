"""Connections of type ``wasb``, in the forms that people write them.

Each form is made of an account's key, a SAS and the address of the account, and says whether Airflow's own
``WasbHook`` (apache-airflow-providers-microsoft-azure 15.2.1, with azure-storage-blob 12.31.1) lists a container of
Azurite with it. That was recorded once by trying it: the provider cannot be installed beside what the tests need.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

ACCOUNT = "devstoreaccount1"
OTHER_KEY = "b3RoZXI="
LISTS, FAILS = True, False


class Form(NamedTuple):
    """One way to write a connection.

    Attributes:
        fields: The connection's fields, made of key, SAS and address.
        wasb: Whether WasbHook lists with it.
        ours: What is made of it here: ``key``, ``SAS``, or a part of the sentence that refuses it.
    """

    fields: Callable[[str, str, str], dict[str, Any]]
    wasb: bool
    ours: str


def _string(text: str) -> dict[str, Any]:
    return {"extra": {"connection_string": text}}


def _swapped(sas: str) -> str:
    """The same SAS as nobody encoded it."""
    return sas.replace("%2B", "+").replace("%3A", ":").replace("%3D", "=")


FORMS: dict[str, Form] = {
    "key as password": Form(lambda key, sas, url: {"host": url, "login": ACCOUNT, "password": key}, LISTS, "key"),
    "key as password, other login": Form(
        lambda key, sas, url: {"host": url, "login": "whoever", "password": key}, LISTS, "key"
    ),
    "key as password, no login": Form(lambda key, sas, url: {"host": url, "password": key}, LISTS, "key"),
    "key with a line break": Form(
        lambda key, sas, url: {"host": url, "login": ACCOUNT, "password": f"{key}\n"}, LISTS, "key"
    ),
    "SAS as password": Form(lambda key, sas, url: {"host": url, "password": sas}, LISTS, "SAS"),
    "key in shared_access_key": Form(
        lambda key, sas, url: {"host": url, "extra": {"shared_access_key": key}}, LISTS, "key"
    ),
    "SAS in shared_access_key": Form(
        lambda key, sas, url: {"host": url, "extra": {"shared_access_key": sas}}, LISTS, "SAS"
    ),
    "key in account_key": Form(lambda key, sas, url: {"host": url, "extra": {"account_key": key}}, LISTS, "key"),
    "fields of Airflow 2's form": Form(
        lambda key, sas, url: {"host": url, "extra": {"extra__wasb__shared_access_key": key}}, LISTS, "key"
    ),
    "empty field beside Airflow 2's form": Form(
        lambda key, sas, url: {
            "host": url,
            "extra": {"shared_access_key": "", "extra__wasb__shared_access_key": key},
        },
        FAILS,
        "key",
    ),
    "SAS": Form(lambda key, sas, url: {"host": url, "extra": {"sas_token": sas}}, LISTS, "SAS"),
    "SAS with its question mark": Form(
        lambda key, sas, url: {"host": url, "extra": {"sas_token": f"?{sas}"}}, LISTS, "SAS"
    ),
    "SAS with a line break": Form(
        lambda key, sas, url: {"host": url, "extra": {"sas_token": f"{sas}\n"}}, FAILS, "SAS"
    ),
    "SAS with blanks around": Form(
        lambda key, sas, url: {"host": url, "extra": {"sas_token": f"  {sas} "}}, FAILS, "SAS"
    ),
    "SAS that nobody encoded": Form(
        lambda key, sas, url: {"host": url, "extra": {"sas_token": _swapped(sas)}}, FAILS, "SAS"
    ),
    "SAS with an empty parameter": Form(
        lambda key, sas, url: {"host": url, "extra": {"sas_token": f"{sas}&sip="}}, LISTS, "SAS"
    ),
    "SAS before the password": Form(
        lambda key, sas, url: {"host": url, "password": OTHER_KEY, "extra": {"sas_token": sas}}, LISTS, "SAS"
    ),
    "key before the SAS": Form(
        lambda key, sas, url: {"host": url, "extra": {"shared_access_key": key, "sas_token": "sig=x"}}, LISTS, "key"
    ),
    "SAS without a signature": Form(
        lambda key, sas, url: {"host": url, "extra": {"sas_token": "sv=2022-11-02&sp=l"}}, FAILS, "without a signature"
    ),
    "SAS in the host": Form(lambda key, sas, url: {"host": f"{url}?{sas}"}, FAILS, "SAS"),
    "string with a key": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={key}"), LISTS, "key"
    ),
    "string in small letters": Form(
        lambda key, sas, url: _string(f"blobendpoint={url};accountname={ACCOUNT};accountkey={key}"), LISTS, "key"
    ),
    "string in capitals": Form(
        lambda key, sas, url: _string(f"BLOBENDPOINT={url};ACCOUNTNAME={ACCOUNT};ACCOUNTKEY={key}"), LISTS, "key"
    ),
    "string that ends in semicolons": Form(
        lambda key, sas, url: _string(f"AccountName={ACCOUNT};AccountKey={key};BlobEndpoint={url};;"), LISTS, "key"
    ),
    "string with a line break": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={key}\n"), LISTS, "key"
    ),
    "string with blanks": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url}; AccountName={ACCOUNT}; AccountKey={key}"), FAILS, "key"
    ),
    "string with an empty piece": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};;AccountName={ACCOUNT};AccountKey={key}"), FAILS, "key"
    ),
    "string with a key, no name": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};AccountKey={key}"), FAILS, "key"
    ),
    "string with a SAS": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};SharedAccessSignature={sas}"), LISTS, "SAS"
    ),
    "string with a SAS and its question mark": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};SharedAccessSignature=?{sas}"), LISTS, "SAS"
    ),
    "string with a SAS and a name": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url};AccountName={ACCOUNT};SharedAccessSignature={sas}"),
        LISTS,
        "SAS",
    ),
    "string with a SAS in its endpoint": Form(lambda key, sas, url: _string(f"BlobEndpoint={url}?{sas}"), LISTS, "SAS"),
    "string of Airflow 2's form": Form(
        lambda key, sas, url: {
            "extra": {
                "extra__wasb__connection_string": f"BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={key}",
            }
        },
        LISTS,
        "key",
    ),
    "string before all others": Form(
        lambda key, sas, url: {
            "password": OTHER_KEY,
            "extra": {
                "connection_string": f"BlobEndpoint={url};AccountName={ACCOUNT};AccountKey={key}",
                "tenant_id": "t",
                "sas_token": "sig=x",
            },
        },
        LISTS,
        "key",
    ),
    "string without equals signs": Form(lambda key, sas, url: _string(key.rstrip("=")), FAILS, "is not of the form"),
    "string with only an endpoint": Form(
        lambda key, sas, url: _string(f"BlobEndpoint={url}"), FAILS, "leave wasb_conn_id"
    ),
    "nothing": Form(lambda key, sas, url: {"host": url, "login": ACCOUNT}, FAILS, "leave wasb_conn_id out"),
    "key that was cut off": Form(
        lambda key, sas, url: {"host": url, "login": ACCOUNT, "password": key[:-3]}, FAILS, "is not base64 text"
    ),
}
