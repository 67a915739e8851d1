"""Every result of every method: it passes between tasks, and takes no secret along, wherever it is written."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle

import pytest
from support.airflow.masker import fresh_masker
from support.airflow.xcom import read, stored
from support.drivers.hook_faces import TOKEN, connect
from support.samples.hook_samples import CERTIFICATE, CLIENT_SECRET, KEY, PASSWORD, PLANTED, SAMPLES, SAS, a_world

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.secret import Secret
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import WorkspaceHook
from aml_provider.masking import mask


@pytest.fixture
def world(emulator, hook):
    return a_world(emulator, hook)


OPERATIONS = {
    name
    for name in set(dir(AzureMLHook)) - set(dir(WorkspaceHook))
    if not name.startswith(("_", "async_")) and callable(getattr(AzureMLHook, name))
}


def test_every_operation_has_a_sample():
    assert set(SAMPLES) == OPERATIONS


def without_tuples(value):
    """Airflow 2.11 makes lists of tuples in maps and lists."""
    if isinstance(value, (list, tuple)):
        return [without_tuples(item) for item in value]
    if isinstance(value, dict):
        return {key: without_tuples(item) for key, item in value.items()}
    return value


def shown(value, caplog):
    """Whatever somebody may write of it."""
    logging.getLogger("user").warning("%s %r", value, value)
    texts = [
        repr(value),
        str(value),
        f"{value}",
        caplog.text,
        repr(pickle.dumps(value)),
        repr(value.__getstate__()),
        json.dumps(value, default=str),
    ]
    for item in value if isinstance(value, (list, tuple)) else (value,):
        if dataclasses.is_dataclass(item):
            texts += [repr(dataclasses.asdict(item)), json.dumps(dataclasses.asdict(item), default=str)]
    return "\n".join(texts)


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_what_leaves_the_hook_passes_between_tasks_without_secrets(world, name, caplog):
    arguments, options = SAMPLES[name](world)
    result = getattr(world.hook, name)(*arguments, **options)
    text = stored(result)
    everything = text + shown(result, caplog)
    assert [secret for secret in PLANTED if secret in everything] == []
    again = read(text)
    if "datastore" in name:
        result, again = without_secrets(result), without_secrets(again)
    assert without_tuples(again) == without_tuples(result)
    assert stored(read(text)) == text
    if not isinstance(result, dict):
        assert type(again) is type(result)


def without_secrets(value):
    if isinstance(value, (list, tuple)):
        return tuple(map(without_secrets, value))
    return value and [getattr(value, item.name) for item in dataclasses.fields(value)][:-3]


def test_what_its_values_are_passes_too(world):
    run = world.hook.get_run(world.run_id)
    for value in (run.state, run.created, run.tags, [run.state, None]):
        assert read(stored(value)) == value
    assert read(stored(run)).state.is_final


def test_settings_pass_without_secrets(world, caplog):
    settings = AzureMLHook("aml").settings()
    assert settings.secret.reveal() == TOKEN
    assert TOKEN not in stored(settings) + shown(settings, caplog) + repr(vars(settings))
    again = read(stored(settings))
    assert (again.endpoint, again.cloud, again.auth_method) == (settings.endpoint, settings.cloud, "static_token")
    with pytest.raises(InvalidArgument, match="is not passed between tasks"):
        again.secret.reveal()


@pytest.mark.parametrize("carry", [lambda value: read(stored(value)), lambda value: pickle.loads(pickle.dumps(value))])
def test_a_secret_that_stayed_behind_says_how_to_get_it(world, carry):
    store = carry(world.hook.get_datastore("keyed"))
    assert (store.name, store.account, store.credential_type) == ("keyed", "a", "AccountKey")
    with pytest.raises(InvalidArgument, match=r"AzureMLHook\(\).get_datastore\(name\).account_key"):
        _ = store.account_key
    assert store.sas_token == "", "it never had one"


def test_clients_are_no_results(world):
    with AzureMLHook("aml").client() as client, pytest.raises(TypeError):
        stored(client)
    assert TOKEN not in repr(client)


def test_airflows_masker_knows_every_secret(world, hidden):
    world.hook.list_datastores()
    text = " ".join(["x", KEY, SAS, CLIENT_SECRET, CERTIFICATE, PLANTED[4], TOKEN, "y"])
    assert hidden(text) == "x *** *** *** *** *** *** y"
    assert hidden(f"AccountKey={KEY.replace('+', '%2B').replace('/', '%2F').replace('=', '%3D')}") == "AccountKey=***"
    assert hidden("?sig=cGxhbnRlZC1zYXM/sig=") == "?sig=***"


def test_a_client_of_the_hooks_tells_the_masker_too(world, hidden):
    from aml_provider.client import calls

    with AzureMLHook("aml").client() as client:
        client.call(calls.get_datastore("keyed"))
    assert hidden(KEY) == "***"


def test_the_masker_knows_the_signed_address_of_an_output(hidden):
    from aml_provider.client import calls

    address = "https://a.blob.core.windows.net/c/out?sv=1&sig=cGxhbnRlZC1vdXRwdXQ%2F"
    plain = "https://a.blob.core.windows.net/c/out"
    for call, wire in (
        (calls.get_pipeline_output("r", "o"), {"DataLocation": {"Uri": address}}),
        (
            calls.list_step_outputs("r", "n"),
            {name: {"DataLocation": {"Uri": uri}} for name, uri in {"o": address, "p": plain}.items()},
        ),
    ):
        mask(call.secrets(call.parse(wire)))
        assert hidden(f"{address} cGxhbnRlZC1vdXRwdXQ/ {plain}") == f"*** *** {plain}"


def test_a_secret_has_no_state_to_be_read():
    assert KEY not in repr(Secret(KEY).__getstate__())


def test_the_masker_takes_what_is_no_text(hidden):
    mask([Secret("\ud800-planted-half"), Secret(b"\xff-planted-bytes"), Secret("")])
    assert hidden("?-planted-half") == "***"


@pytest.fixture
def hidden():
    """What Airflow's masker leaves of a text; at first it knows nothing."""
    with fresh_masker() as masker:
        yield masker.redact


def test_connecting_by_certificate_tells_its_password(monkeypatch, hidden):
    connect(monkeypatch, "https://westeurope.api.azureml.ms")
    extra = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w", "certificate_password": PASSWORD}
    connection = {"conn_type": "azureml", "login": "me", "extra": {**extra, "auth_method": "client_certificate"}}
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps(connection))
    AzureMLHook("aml").settings()
    assert hidden(PASSWORD) == "***"
