"""Every result of every method: it passes between tasks, and takes no secret along, wherever it is written."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
from typing import Any, NamedTuple

import pytest
from support.airflow.xcom import read, stored
from support.drivers.hook_faces import ENDPOINT, SCORE, TOKEN, TYPED, connect

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.secret import Secret
from aml_provider.emulator.workspace.models import Datastore
from aml_provider.hooks.azure_ml import AzureMLHook
from aml_provider.hooks.workspace import WorkspaceHook
from aml_provider.masking import mask

KEY = "cGxhbnRlZC1hY2NvdW50LWtleS8rLz0="
SAS = "sv=2021-12-02&sr=c&sp=rl&sig=cGxhbnRlZC1zYXM%2Fsig%3D"
CLIENT_SECRET = "planted~client.secret"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\ncGxhbnRlZC1jZXJ0aWZpY2F0ZS1saW5l\n-----END CERTIFICATE-----"
PASSWORD = "planted-certificate-password"
PLANTED = [KEY, SAS, "cGxhbnRlZC1zYXM", CLIENT_SECRET, "cGxhbnRlZC1jZXJ0aWZpY2F0ZS1saW5l", PASSWORD, TOKEN]


class World(NamedTuple):
    hook: Any
    run_id: str
    active_id: str
    schedule_id: str


@pytest.fixture
def world(emulator, hook, finished):
    for store in (
        Datastore("keyed", "a", "c", account_key=KEY),
        Datastore("signed", "a", "c", sas_token=SAS),
        Datastore(
            "principal",
            "a",
            "c",
            section={
                "credentialType": "ClientCredentials",
                "clientCredentials": {
                    "tenantId": "t",
                    "clientId": "c",
                    "clientSecret": CLIENT_SECRET,
                    "certificate": CERTIFICATE,
                },
            },
        ),
    ):
        emulator.state.datastores[store.name] = store
    schedule = hook.create_schedule(
        "nightly",
        pipeline_id=SCORE,
        experiment_name="scoring",
        recurrence={"frequency": "Day", "interval": 1},
        description="each night",
        wait_for_provisioning=False,
    )
    emulator.state.runs[finished.id].steps[1].blobs.append(("workspaceblobstore", "results/a.json", 3))
    hook.create_experiment("empty")
    active = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"__classname__": "x", "__type": "y"})
    return World(hook, finished.id, active.id, schedule.id)


# Each operation of the hook, with arguments that the world knows.
SAMPLES = {
    "add_endpoint_version": lambda w: ((ENDPOINT, TYPED), {}),
    "archive_endpoint": lambda w: ((ENDPOINT,), {}),
    "archive_experiment": lambda w: (("empty",), {}),
    "cancel_run": lambda w: ((w.active_id,), {}),
    "create_endpoint": lambda w: (("new", SCORE), {"description": "a door"}),
    "create_experiment": lambda w: (("another",), {}),
    "create_schedule": lambda w: (
        ("hourly",),
        {
            "pipeline_id": SCORE,
            "experiment_name": "scoring",
            "recurrence": {"frequency": "Hour", "interval": 1},
            "wait_for_provisioning": False,
        },
    ),
    "delete_datastore": lambda w: (("keyed",), {}),
    "delete_experiment": lambda w: (("empty",), {}),
    "disable_endpoint": lambda w: ((ENDPOINT,), {}),
    "disable_pipeline": lambda w: ((TYPED,), {}),
    "disable_schedule": lambda w: ((w.schedule_id,), {}),
    "enable_endpoint": lambda w: ((ENDPOINT,), {}),
    "enable_pipeline": lambda w: ((SCORE,), {}),
    "enable_schedule": lambda w: ((w.schedule_id,), {}),
    "find_endpoint": lambda w: (("score-endpoint",), {}),
    "find_pipeline": lambda w: (("score-files",), {}),
    "find_schedule": lambda w: (("nightly",), {}),
    "get_datastore": lambda w: (("principal",), {}),
    "get_default_datastore": lambda w: ((), {}),
    "get_endpoint": lambda w: ((ENDPOINT,), {}),
    "get_experiment": lambda w: (("scoring",), {}),
    "get_last_run_of_schedule": lambda w: ((w.schedule_id,), {}),
    "get_pipeline": lambda w: ((SCORE,), {}),
    "get_pipeline_interface": lambda w: ((SCORE,), {}),
    "get_pipeline_output": lambda w: ((w.run_id, next(iter(w.hook.get_run_outputs(w.run_id))).partition("/")[2]), {}),
    "get_run": lambda w: ((w.run_id,), {}),
    "get_run_logs": lambda w: ((w.run_id,), {}),
    "get_run_metrics": lambda w: ((w.run_id,), {}),
    "get_run_outputs": lambda w: ((w.run_id,), {}),
    "get_schedule": lambda w: ((w.schedule_id,), {}),
    "list_datastores": lambda w: ((), {}),
    "list_endpoints": lambda w: ((), {}),
    "list_experiments": lambda w: ((), {}),
    "list_pipeline_summaries": lambda w: ((), {}),
    "list_pipelines": lambda w: ((), {"active_only": False}),
    "list_pipelines_of_endpoint": lambda w: ((ENDPOINT,), {}),
    "list_runs": lambda w: ((), {"experiment_name": "scoring"}),
    "list_schedules": lambda w: ((), {}),
    "list_steps": lambda w: ((w.run_id,), {}),
    "reactivate_experiment": lambda w: (("empty",), {}),
    "set_default_datastore": lambda w: (("keyed",), {}),
    "set_default_endpoint_version": lambda w: ((ENDPOINT, "0"), {}),
    "set_run_description": lambda w: ((w.run_id, "a text"), {}),
    "set_run_display_name": lambda w: ((w.run_id, "a name"), {}),
    "set_run_properties": lambda w: ((w.run_id, {"property": "1"}), {}),
    "submit_endpoint": lambda w: ((ENDPOINT,), {"experiment_name": "scoring"}),
    "submit_pipeline": lambda w: ((SCORE,), {"experiment_name": "scoring"}),
    "tag_run": lambda w: ((w.run_id, {"tag": "1"}), {}),
    "untag_experiment": lambda w: (("scoring", ["tag"]), {}),
    "untag_run": lambda w: ((w.run_id, ["tag"]), {}),
    "update_endpoint": lambda w: ((ENDPOINT,), {"description": "a text"}),
    "update_experiment": lambda w: (("scoring",), {"tags": {"tag": "1"}}),
    "wait_for_run": lambda w: ((w.run_id,), {}),
}
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
    try:
        from airflow.sdk._shared.secrets_masker import _secrets_masker
    except ImportError:
        from airflow.utils.log.secrets_masker import _secrets_masker
    masker = _secrets_masker()
    patterns, replacer = set(masker.patterns), masker.replacer
    masker.patterns.clear()
    masker.replacer = None
    yield masker.redact
    masker.patterns, masker.replacer = patterns, replacer


def test_connecting_by_certificate_tells_its_password(monkeypatch, hidden):
    connect(monkeypatch, "https://westeurope.api.azureml.ms")
    extra = {"subscription_id": "s", "resource_group": "r", "workspace_name": "w", "certificate_password": PASSWORD}
    connection = {"conn_type": "azureml", "login": "me", "extra": {**extra, "auth_method": "client_certificate"}}
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps(connection))
    AzureMLHook("aml").settings()
    assert hidden(PASSWORD) == "***"
