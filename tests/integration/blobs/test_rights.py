"""Datastores with every kind of credential, and the record in a blob, against a blob service that checks who asks."""

from __future__ import annotations

import base64
import json
import threading
import time

import aiohttp
import jwt
import pytest
import trustme
from azure.storage.blob import ContainerClient, generate_container_sas
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from support.drivers.watching import context_of, deferred, fire, look, sensor
from support.services.authority import CLIENT, TENANT, Authority

from aml_provider.client.http import routes
from aml_provider.compat import AirflowFailException
from aml_provider.durable.handover import CursorMoved
from aml_provider.emulator.workspace.models import Datastore
from aml_provider.hooks.blob_location import BlobLocation
from aml_provider.state.cursor_stores import BlobCursorStore

SECRET = "the-application's-secret"
LONG_AGO = "2020-01-01T00:00:00Z"


class StorageAuthority(Authority):
    """Issues tokens that Azurite reads: it checks audience, issuer and time, and no signature."""

    def _issue(self):
        return {**super()._issue(), "access_token": self.token()}

    def token(self, valid=3600):
        now = int(time.time())
        claims = {
            "aud": "https://storage.azure.com",
            "iss": f"https://sts.windows.net/{TENANT}/",
            "iat": now - 60,
            "nbf": now - 60,
            "exp": now + valid,
            "jti": str(time.time_ns()),
        }
        self.issued.append(jwt.encode(claims, "k" * 32))
        return self.issued[-1]


pytestmark = pytest.mark.usefixtures("variables", "no_retries")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    with StorageAuthority(tmp_path_factory.mktemp("authority")) as running:
        # aiohttp made its default context when it was imported, from SSL_CERT_FILE as it was then.
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(running.ca_file)
        yield running


@pytest.fixture(scope="module")
def https(authority, tmp_path_factory):
    from azurite import Azurite

    pem = tmp_path_factory.mktemp("tls") / "azurite.pem"
    authority.ca.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(pem))
    with Azurite(tls=pem) as running:
        yield running


@pytest.fixture
def landing(https, authority):
    name = f"landing{time.time_ns()}"
    with ContainerClient(
        https.blob_endpoint, name, credential=https.account_key, connection_verify=str(authority.ca_file)
    ) as container:
        container.create_container()
        yield container


@pytest.fixture
def connect(emulator, https, authority, monkeypatch):
    """Make the default connection; its own token is good or bad."""
    authority.reset()

    def define(token):
        extra = {
            "subscription_id": "s",
            "resource_group": "g",
            "workspace_name": "w",
            "auth_method": "static_token",
            "endpoint": emulator.url,
            "blob_endpoint": https.blob_endpoint,
        }
        connection = {"conn_type": "azureml", "password": token, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_AZUREML_DEFAULT", json.dumps(connection))

    monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
    for name, value in {**authority.proxy, "NO_PROXY": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    # A process reads the trusted certificates once.
    routes.tls_context.cache_clear()
    define("a-token-that-storage-refuses")
    yield define
    routes.tls_context.cache_clear()


@pytest.fixture
def register(emulator, https, connect):
    def add(container, name="store", **fields):
        emulator.state.datastores[name] = Datastore(name, https.account_name, container.container_name, **fields)
        return name

    return add


def principal(**more):
    own = {"tenantId": TENANT, "clientId": CLIENT, "authorityUrl": "https://login.evil.example", **more}
    return {"clientCredentials": own}


def certificates(authority):
    """An application's certificate with its key, as PEM and as PKCS12 in base64."""
    issued = authority.ca.issue_cert("app.example", key_type=trustme.KeyType.RSA)
    certificate = x509.load_pem_x509_certificate(issued.cert_chain_pems[0].bytes())
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    authority.certificates[CLIENT] = issued.cert_chain_pems[0].bytes()
    content = pkcs12.serialize_key_and_certificates(b"app", key, certificate, None, serialization.NoEncryption())
    return issued.private_key_and_cert_chain_pem.bytes().decode(), base64.b64encode(content).decode()


def sas_of(container, https, permission="l", expiry="2099-01-01T00:00:00Z"):
    return generate_container_sas(
        https.account_name,
        container.container_name,
        account_key=https.account_key,
        permission=permission,
        expiry=expiry,
    )


KINDS = [
    "account key",
    "SAS",
    "client secret",
    "PEM certificate",
    "PKCS12 certificate",
    "identity",
    "workspace identity",
]


@pytest.mark.parametrize("store", ["AzureBlob", "AzureDataLakeGen2"])
@pytest.mark.parametrize("kind", KINDS)
def test_worker_and_trigger_list_with_every_kind_of_credential(
    kind, store, register, landing, https, authority, connect, said, variables
):
    fields = {"type": store}
    if kind == "account key":
        fields["account_key"] = https.account_key
    elif kind == "SAS":
        fields["sas_token"] = sas_of(landing, https)
    elif kind == "client secret":
        authority.secrets[CLIENT] = SECRET
        fields["section"] = principal(clientSecret=SECRET)
    elif "certificate" in kind:
        pem, base = certificates(authority)
        fields["section"] = principal(isCertAuth=True, certificate=pem if kind.startswith("PEM") else base)
    elif kind == "workspace identity":
        fields["section"] = {"serviceDataAccessAuthIdentity": "WorkspaceSystemAssignedIdentity"}
    if "identity" in kind:
        connect(authority.token())
    watched = {"datastore": register(landing, **fields)}

    assert look(sensor(**watched)) == []
    trigger = deferred(sensor(**watched, deferrable=True), context_of("run2"))
    landing.upload_blob("incoming/a.csv", b"x")
    assert fire(trigger)["look"]
    assert look(sensor(**watched), context_of("run2")) == [("incoming/a.csv", "added")]
    shown = f"{said}{trigger.serialize()}{variables}"
    for secret in (https.account_key, SECRET, "PRIVATE KEY", "sig=", *authority.issued):
        assert secret not in shown
    assert "login.evil.example" not in authority.tunnels


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"section": principal(clientSecret="wrong")},
            "the service principal of datastore 'store', not the connection",
        ),
        ({"section": principal(certificate="R0FSQkFHRQ==")}, "'store' has a service principal that cannot be used"),
        ({}, "refused to the connection's identity: the token was not accepted"),
    ],
    ids=["wrong secret", "no certificate", "identity"],
)
def test_a_credential_that_is_refused_names_whose_it_is(fields, message, register, landing, authority):
    authority.secrets[CLIENT] = SECRET
    with pytest.raises(AirflowFailException, match=message):
        look(sensor(datastore=register(landing, **fields)))


def test_a_rotated_sas_is_read_again(register, landing, https):
    """The trigger is refused and hands over; the worker reads the new one."""
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3600))
    watched = {"datastore": register(landing, sas_token=sas_of(landing, https, expiry=soon))}
    trigger = deferred(sensor(**watched, deferrable=True))
    register(landing, sas_token=sas_of(landing, https, expiry=LONG_AGO))
    assert fire(trigger)["look"]
    with pytest.raises(AirflowFailException, match="a SAS"):
        look(sensor(**watched))
    register(landing, sas_token=sas_of(landing, https))
    landing.upload_blob("incoming/a.csv", b"x")
    assert look(sensor(**watched)) == [("incoming/a.csv", "added")]


@pytest.fixture
def records(register, landing, https, authority, connect):
    """Where records are kept, by each right that can."""

    def keep(kind="account key"):
        if kind == "account key":
            return register(landing, "records", account_key=https.account_key)
        if kind == "SAS":
            return register(landing, "records", sas_token=sas_of(landing, https, "rcw"))
        connect(authority.token())
        return register(landing, "records")

    return keep


def store_in(name, key="record"):
    return BlobCursorStore(key, BlobLocation.of_cursor_store(f"{name}/cursors/é", "azureml_default"))


@pytest.mark.parametrize("kind", ["account key", "SAS", "identity"])
def test_a_record_is_written_once_and_then_replaced(kind, records, landing):
    name = records(kind)
    mine, other = store_in(name), store_in(name)
    assert (mine.load(), other.load()) == (None, None)
    mine.save("one")
    with pytest.raises(CursorMoved, match=r"blob records/cursors/é/record\.json has been changed since it was read"):
        other.save("two")
    mine.save("three")
    with pytest.raises(CursorMoved):
        other.save("two")
    assert other.load() == "three"
    other.save("four")
    assert landing.download_blob("cursors/é/record.json").readall() == b"four"
    landing.delete_blob("cursors/é/record.json")
    with pytest.raises(CursorMoved):
        other.save("five")


def test_one_of_many_writers_wins(records):
    name = records()
    stores = [store_in(name) for _ in range(6)]
    for store in stores:
        store.load()
    start, won = threading.Barrier(len(stores)), []

    def write(number, store):
        start.wait()
        try:
            store.save(f"{number}")
        except CursorMoved:
            return
        won.append(f"{number}")

    threads = [threading.Thread(target=write, args=pair) for pair in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [stores[0].load()]


@pytest.mark.parametrize(
    ("sas", "message"),
    [("r", "Storage Blob Data Contributor.*read, create and write"), ("l", "Storage Blob Data Contributor")],
)
def test_a_right_that_is_not_enough_for_records_is_an_error(sas, message, register, landing, https):
    register(landing, "records", sas_token=sas_of(landing, https, sas))
    register(landing, account_key=https.account_key)
    with pytest.raises(AirflowFailException, match=message):
        look(sensor(datastore="store", cursor_store="records/cursors"))


@pytest.mark.parametrize("deferrable", [False, True])
def test_a_sensor_keeps_its_record_in_a_blob(deferrable, records, register, landing, https, variables):
    watched = {"datastore": register(landing, account_key=https.account_key), "cursor_store": f"{records()}/cursors"}
    if deferrable:
        trigger = deferred(sensor(**watched, deferrable=True))
        assert trigger.cursor_store == "records/cursors"
        landing.upload_blob("incoming/a.csv", b"x")
        assert fire(trigger)["look"]
    else:
        assert look(sensor(**watched)) == []
        landing.upload_blob("incoming/a.csv", b"x")
    assert look(sensor(**watched)) == [("incoming/a.csv", "added")]
    assert look(sensor(**watched)) == [("incoming/a.csv", "added")], "its own batch, again"
    assert variables == {}
    [blob] = landing.list_blob_names(name_starts_with="cursors/")
    assert blob.startswith("cursors/azureml_cursor_dag_watch_")


def test_a_damaged_record_names_the_blob_to_delete(records, register, landing, https):
    watched = {"datastore": register(landing, account_key=https.account_key), "cursor_store": f"{records()}/cursors"}
    look(sensor(**watched))
    [blob] = landing.list_blob_names(name_starts_with="cursors/")
    landing.upload_blob(blob, b"damaged", overwrite=True)
    with pytest.raises(AirflowFailException, match=f"delete the blob records/{blob}, and the next poll starts"):
        look(sensor(**watched))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("store/incoming/", "cursor_store: is the watched folder"),
        ("", "cursor_store: "),
        ("https://a.blob.core.windows.net/c", "cursor_store: .*not an address"),
        ("store/../x", r"segment \. or \.\."),
        (7, "cursor_store: "),
        ("nosuchstore/x", "has no datastore 'nosuchstore'"),
    ],
)
def test_an_unusable_cursor_store_is_named(value, message, register, landing, https):
    register(landing, account_key=https.account_key)
    with pytest.raises(AirflowFailException, match=message):
        look(sensor(datastore="store", cursor_store=value))


def test_the_watched_folder_by_another_name_is_refused_before_anything_is_written(
    register, landing, https, monkeypatch
):
    key = {"conn_type": "wasb", "login": https.account_name, "password": https.account_key}
    monkeypatch.setenv("AIRFLOW_CONN_BLOBS", json.dumps(key))
    register(landing, account_key=https.account_key)
    register(landing, "StoreByAnotherName", account_key=https.account_key)
    for watched in ({"datastore": "StoreByAnotherName"}, {"container_url": landing.url, "wasb_conn_id": "blobs"}):
        with pytest.raises(AirflowFailException, match=r"^cursor_store: is the watched folder, http"):
            look(sensor(**watched, cursor_store="store/incoming"))
    assert [*landing.list_blob_names()] == []


def test_a_folder_of_records_may_be_watched_and_holds_nothing_new(records, register, landing, https, variables):
    """By a sensor that keeps its own record elsewhere, or in a folder below."""
    register(landing, account_key=https.account_key)
    kept = f"{records()}/cursors"
    watched = {"datastore": "records", "path": "cursors", "on_first_poll": "report"}
    for name in ("a", "b"):
        look(sensor(datastore="store", cursor_store=kept, cursor_key=name))
        assert look(sensor(**watched)) == []
    landing.upload_blob("cursors/file.csv", b"x")
    assert look(sensor(**watched)) == [("cursors/file.csv", "added")]
