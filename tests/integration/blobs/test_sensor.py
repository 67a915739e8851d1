"""The blob sensor's folders and rights: datastores, containers, connections, and secrets that must never be shown."""

from __future__ import annotations

import base64
import json
import re
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from azure.storage.blob import AccountSasPermissions, ResourceTypes, generate_account_sas
from support.drivers.watching import context_of, deferred, fire, look, sensor
from support.services.authority import CLIENT, TENANT, Authority
from support.services.folder import ContainerServer

from aml_provider.compat import AirflowFailException
from aml_provider.durable.handover import Commit, Owner
from aml_provider.emulator.workspace.models import Datastore
from aml_provider.hooks.blob_location import BlobLocation, WasbRights
from aml_provider.state.cursor_stores import variable_key

OTHER_KEY = base64.b64encode(b"another account's key, 64 bytes long as they are; not this one's").decode()

pytestmark = pytest.mark.usefixtures("variables", "no_retries")


@pytest.fixture
def landing(azurite):
    with azurite.container() as container:
        yield container


@pytest.fixture
def sas(azurite):
    return generate_account_sas(
        azurite.account_name,
        azurite.account_key,
        ResourceTypes(container=True, object=True),
        AccountSasPermissions(read=True, list=True),
        datetime.now(UTC) + timedelta(hours=1),
    )


@pytest.fixture
def datastore(emulator, landing, azureml_default):
    """Register the test's container under a name."""

    def register(name="landing", **fields):
        values = {"name": name, "account_name": "devstoreaccount1", "container": landing.container_name, **fields}
        emulator.state.datastores[name] = Datastore(**values)
        return name

    return register


@pytest.fixture
def server():
    with ContainerServer() as running:
        yield running


@pytest.fixture
def connection(monkeypatch):
    def define(conn_id, **fields):
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(fields))
        return conn_id

    return define


@pytest.fixture
def workspace(connection):
    """A connection whose workspace nobody serves; its blobs are where the test says."""

    def define(blob_endpoint, **extra):
        names = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w", "region": "westeurope"}
        more = {"auth_method": "static_token", "blob_endpoint": blob_endpoint}
        return connection("azureml_default", conn_type="azureml", password="static-token", extra=names | more | extra)

    return define


def rights_of(kind, azurite, sas):
    """A datastore's own credential."""
    return {"account_key": azurite.account_key} if kind == "account key" else {"sas_token": sas}


@pytest.mark.parametrize("kind", ["account key", "SAS"])
def test_a_datastore_is_listed_with_its_own_credential(kind, datastore, landing, azurite, sas):
    watched = {"datastore": datastore(**rights_of(kind, azurite, sas))}
    landing.upload_blob("incoming/old.csv", b"x")
    assert look(sensor(**watched)) == []
    trigger = deferred(sensor(**watched, deferrable=True), context_of("run2"))
    landing.upload_blob("incoming/new.csv", b"1234")

    assert fire(trigger)["look"]
    context = context_of("run2")
    [change] = sensor(**watched).execute_complete(context, {"look": True})
    properties = landing.get_blob_client("incoming/new.csv").get_blob_properties()
    assert change == {
        "datastore": "landing",
        "container_url": f"{azurite.blob_endpoint}/{landing.container_name}",
        "path": "incoming/new.csv",
        "name": "new.csv",
        "etag": properties.etag.strip('"'),
        "last_modified": properties.last_modified.isoformat(),
        "size": 4,
        "change": "added",
    }


def test_a_datastore_without_a_credential_is_listed_as_the_connections_identity(
    emulator, datastore, server, azureml_default, workspace
):
    workspace(server.url, endpoint=emulator.url)
    container = server.container("landing")
    container.write("incoming/old.csv")
    watched = {"datastore": datastore(container="landing")}
    assert look(sensor(**watched)) == []
    trigger = deferred(sensor(**watched, deferrable=True), context_of("run2"))
    container.write("incoming/a.csv")
    fire(trigger)

    assert len(container.asked) == 3
    for asked in container.asked:
        assert asked.headers["authorization"] == "Bearer static-token"
        assert not asked.query.keys() & {"sig", "se", "sp"}


@pytest.mark.parametrize("kind", ["AzureFile", "AzureDataLake", "AzureSqlDatabase"])
def test_a_datastore_that_holds_no_blobs_is_refused(kind, datastore):
    with pytest.raises(AirflowFailException, match=f"'landing' is of kind {kind}; only AzureBlob and AzureData"):
        look(sensor(datastore=datastore(type=kind)))


def test_a_data_lake_datastore_is_listed_through_its_blob_endpoint(datastore, landing, azurite):
    watched = {"datastore": datastore(type="AzureDataLakeGen2", account_key=azurite.account_key)}
    assert look(sensor(**watched)) == []
    landing.upload_blob("incoming/a.csv", b"x")
    assert look(sensor(**watched)) == [("incoming/a.csv", "added")]


def test_an_unknown_datastore_is_named(datastore, variables):
    with pytest.raises(AirflowFailException, match="the workspace 'local' has no datastore 'no-such-store'"):
        look(sensor(datastore="no-such-store"))
    assert variables == {}


def test_a_datastore_that_was_moved_is_followed_by_worker_and_trigger(datastore, emulator, landing, azurite):
    """As in practice: the blobs were copied, and the datastore now leads to the copy."""
    key = azurite.account_key
    watcher = sensor(datastore=datastore(account_key=key), deferrable=True)
    context = context_of()
    trigger = deferred(watcher, context)
    trigger._session_seconds = 0.0  # read the connection and the datastore again before each poll
    with azurite.container() as moved:
        datastore(account_key=key, container=moved.container_name)
        assert watcher._wait[1].poll() is None
        moved.upload_blob("incoming/a.csv", b"x")
        assert fire(trigger)["look"]
        [change] = watcher._wait[1].poll()
    assert change["container_url"].endswith(moved.container_name)


WASB = {
    "a key as password": lambda key, sas: {"login": "devstoreaccount1", "password": key},
    "a shared access key": lambda key, sas: {"login": "devstoreaccount1", "extra": {"shared_access_key": key}},
    "a key in extra": lambda key, sas: {"login": "devstoreaccount1", "extra": {"account_key": key}},
    "a SAS": lambda key, sas: {"extra": {"sas_token": sas}},
    "a SAS with its question mark": lambda key, sas: {"extra": {"sas_token": f"?{sas}"}},
    "a URL with a SAS": lambda key, sas: {"extra": {"sas_token": f"https://devstoreaccount1.blob.x/?{sas}"}},
    "a SAS of Airflow 2's form": lambda key, sas: {"extra": {"extra__wasb__sas_token": sas}},
    "a connection string with a key": lambda key, sas: {
        "extra": {
            "connection_string": f"DefaultEndpointsProtocol=https; AccountName=devstoreaccount1;AccountKey={key};"
            "EndpointSuffix=core.windows.net",
            # Airflow's own provider takes the string first, too.
            "tenant_id": TENANT,
        },
    },
    "a connection string with a SAS": lambda key, sas: {
        "extra": {"connection_string": f"BlobEndpoint=https://x/;SharedAccessSignature={sas}"}
    },
}


@pytest.mark.parametrize("right", WASB)
def test_a_container_is_listed_with_what_a_wasb_connection_holds(
    right, connection, landing, azurite, sas, azureml_default, variables, said
):
    connection("storage", conn_type="wasb", **WASB[right](azurite.account_key, sas))
    watched = {"container_url": landing.url, "wasb_conn_id": "storage"}
    assert look(sensor(**watched)) == []
    trigger = deferred(sensor(**watched, deferrable=True), context_of("run2"))
    landing.upload_blob("incoming/a.csv", b"x")
    fire(trigger)
    [change] = sensor(**watched).poke(context_of("run2")).xcom_value
    assert (change["datastore"], change["container_url"], change["name"]) == (None, landing.url, "a.csv")
    hidden(said, trigger, trigger.serialize(), variables, azurite=azurite, sas=sas)


def hidden(said, *shown, azurite, sas):
    """No log line, stored text or shown value has a secret in it."""
    signature = sas.partition("sig=")[2].partition("&")[0]
    text = "\n".join([str(said), *map(repr, shown)])
    for secret in (azurite.account_key, signature, "static-token", "local-token"):
        assert secret not in text
    assert not re.search(r"sig=[^*]", text)


def test_a_wasb_service_principal_lists_as_itself(
    connection, workspace, server, tmp_path, monkeypatch, variables, said
):
    container = server.container("landing")
    container.write("incoming/old.csv")
    workspace(server.url)
    connection("storage", conn_type="wasb", login=CLIENT, password="app-secret", extra={"tenant_id": TENANT})
    with Authority(tmp_path) as authority:
        authority.secrets[CLIENT] = "app-secret"
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.ca_file))
        for name, value in authority.proxy.items():
            monkeypatch.setenv(name, value)
        assert look(sensor(container_url=f"{server.url}/landing", wasb_conn_id="storage")) == []
        [token] = authority.issued
    [asked] = container.asked
    assert asked.headers["authorization"] == f"Bearer {token}"
    for secret in ("app-secret", token, "static-token"):
        assert secret not in f"{said}{variables}"


def test_no_token_goes_to_a_container_that_is_not_the_connections(workspace, server, variables):
    workspace("https://elsewhere.example")
    server.container("landing")
    with pytest.raises(AirflowFailException, match=r"no token is sent to '127\.0\.0\.1:"):
        look(sensor(container_url=f"{server.url}/landing"))
    assert server.containers["landing"].asked == []


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({}, "'storage' has no SAS, account key, connection string or service principal"),
        ({"login": "someone"}, "leave wasb_conn_id out"),
        ({"password": "a2V5"}, "no account name as login"),
        ({"login": "devstoreaccount1", "password": "cut-off-key"}, "is not base64 text; was it cut off"),
    ],
)
def test_an_unusable_wasb_connection_is_explained(fields, problem, connection, landing, azureml_default):
    connection("storage", conn_type="wasb", **fields)
    with pytest.raises(AirflowFailException, match=problem) as caught:
        look(sensor(container_url=landing.url, wasb_conn_id="storage"))
    assert fields.get("password", "?") not in str(caught.value)


def test_a_datastore_needs_no_wasb_connection(datastore):
    with pytest.raises(AirflowFailException, match="wasb_conn_id: can be used only with container_url"):
        look(sensor(datastore=datastore(), wasb_conn_id="storage"))


def test_the_author_gives_either_a_datastore_or_a_container():
    with pytest.raises(ValueError, match=r"'watch' needs either datastore or container_url; it was given both"):
        sensor(datastore="a", container_url="https://a.blob.core.windows.net/c")
    with pytest.raises(ValueError, match="it was given neither"):
        sensor()


@pytest.mark.parametrize(
    "url",
    ["https://a.blob.core.windows.net/c?sv=1&sig=topsecret", "https://a.blob.core.windows.net/c#sig=topsecret"],
)
@pytest.mark.parametrize("stored", [False, True])
def test_a_url_with_a_secret_is_refused_before_it_is_stored_or_shown(url, stored, azureml_default, variables, said):
    """Also when the sensor only had to wait for somebody else's batch."""
    if stored:
        owner = Owner("dag", "another run", "watch")
        record = Commit(1, owner, [{"name": "a"}], "1.00000000.", "1.00000000. 1.00000000.").encode()
        variables[variable_key("azureml_default", url, "incoming/", "dag/watch")] = record
    before = dict(variables)
    with pytest.raises(AirflowFailException, match=r"container_url: .* has a query string") as caught:
        deferred(sensor(container_url=url, deferrable=True))
    assert variables == before
    assert "topsecret" not in f"{said}{caught.value}{variables}"


def test_a_missing_container_is_an_error(datastore, azurite):
    missing = f"missing-{uuid.uuid4().hex[:8]}"
    watched = {"datastore": datastore(container=missing, account_key=azurite.account_key)}
    with pytest.raises(AirflowFailException, match=f"answered 404.*Is there a container .*{missing}"):
        look(sensor(**watched))


def test_a_container_that_is_deleted_while_the_task_waits_is_an_error(datastore, azurite):
    """The trigger hands over, and the worker raises the error."""
    with azurite.container() as container:
        watcher = sensor(
            datastore=datastore(container=container.container_name, account_key=azurite.account_key), deferrable=True
        )
        trigger = deferred(watcher)
        container.delete_container()
    event = fire(trigger)
    with pytest.raises(AirflowFailException, match="Is there a container"):
        watcher.execute_complete(context_of(), event)


@pytest.mark.parametrize("kind", ["account key", "SAS", "identity"])
def test_a_refused_right_is_explained(kind, datastore, landing, sas, azurite, variables, said):
    rights, reason = {
        "account key": ({"account_key": OTHER_KEY}, "the key is not one of the account's current keys"),
        "SAS": ({"sas_token": sas.replace("sig=", "sig=A")}, "the SAS was changed after it was made"),
        "identity": ({}, "the token was not accepted"),
    }[kind]
    with pytest.raises(AirflowFailException, match=rf"answered 40\d.* was refused to .*: {reason}") as caught:
        look(sensor(datastore=datastore(**rights)))
    chain, errors = caught.value, []
    while chain is not None:
        errors.append(f"{chain!s}{chain!r}")
        chain = chain.__cause__ or chain.__context__
    hidden(said, errors, variables, azurite=azurite, sas=sas)
    assert OTHER_KEY not in f"{errors}{said}"
    assert variables == {}


def test_rights_show_no_secret(azurite, sas):
    rights = WasbRights("storage", "login", azurite.account_key, {"sas_token": sas})
    shown = f"{rights!r}{rights.access('https://a.blob.core.windows.net/c')!r}{[rights]}"
    assert azurite.account_key not in shown
    assert sas not in shown


@pytest.mark.parametrize("empty", ["datastore", "container_url"])
def test_an_argument_that_renders_to_nothing_is_named(empty, azureml_default):
    with pytest.raises(AirflowFailException, match=f"{empty}: "):
        look(sensor(**{empty: ""}))


def test_a_location_is_named_as_its_author_names_it():
    """The account may move: the record stays."""
    assert BlobLocation("store", None, "in", None, "c").name == "store"
    assert BlobLocation(None, "https://a.blob.core.windows.net/c", "in", None, "c").name.endswith("/c")
