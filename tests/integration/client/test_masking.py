"""Secrets in replies are masked before anything else can show them, also when the flow that read them fails."""

from __future__ import annotations

import pytest
from support.drivers.driving import DRIVERS, workspace
from support.services.recorder import Answer, Recorder

from aml_provider.blobs.access import locate_datastore
from aml_provider.client import calls
from aml_provider.client.errors import InvalidArgument

KEY = "cGxhbnRlZC1hY2NvdW50LWtleQ=="
KEYED = {"accountName": "acc", "containerName": "c", "credentialType": "AccountKey", "accountKey": KEY}


def read_and_return():
    return (yield calls.get_datastore("store"))


def refuse_the_kind():
    return (yield from locate_datastore(workspace(), "store", ""))


def fail_for_a_bug():
    yield calls.get_datastore("store")
    raise KeyError("a bug")


@pytest.mark.parametrize("name", DRIVERS)
@pytest.mark.parametrize(
    ("flow", "error"), [(read_and_return, None), (refuse_the_kind, InvalidArgument), (fail_for_a_bug, KeyError)]
)
def test_secrets_of_a_reply_are_masked_however_the_flow_ends(name, flow, error):
    masked = []

    async def async_hide(secrets):
        masked.extend(secret.reveal() for secret in secrets)

    def hide(secrets):
        masked.extend(secret.reveal() for secret in secrets)

    with Recorder() as recorder:
        recorder.answer(
            "GET", "*", Answer(json={"name": "store", "dataStoreType": "AzureFile", "azureStorageSection": KEYED})
        )
        settings = workspace(endpoint=recorder.url)
        hook = async_hide if name == "async" else hide
        if error is None:
            DRIVERS[name](settings, flow(), hide=hook)
        else:
            with pytest.raises(error):
                DRIVERS[name](settings, flow(), hide=hook)
    assert masked == [KEY]
