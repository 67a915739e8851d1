"""The hook's methods for datastores."""

from __future__ import annotations

import pytest
from support.drivers.hook_faces import connect

from aml_provider.compat import AirflowFailException
from aml_provider.emulator.server import EmulatorServer


def test_list_get_and_the_default_one(hook, emulator):
    listed = hook.list_datastores()
    assert [store.name for store in listed] == ["workspaceblobstore"]
    assert hook.get_datastore("workspaceblobstore") == hook.get_default_datastore() == listed[0]
    assert listed[0].account_key
    assert listed[0].account_key not in repr(listed)


def test_another_default(monkeypatch, face):
    seed = {"datastores": [{"name": name, "account_name": "a", "container": name} for name in ("one", "two")]}
    with EmulatorServer(seed) as two:
        hook = face(connect(monkeypatch, two.url))
        assert hook.set_default_datastore("two") is None
        assert hook.get_default_datastore().name == "two"
        hook.delete_datastore("one")
        assert [store.name for store in hook.list_datastores()] == ["two"]
        with pytest.raises(AirflowFailException, match="404"):
            hook.set_default_datastore("three")
