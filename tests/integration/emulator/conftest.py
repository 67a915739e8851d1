"""Datastores whose blobs are in Azurite, as a seed has them."""

from __future__ import annotations

import uuid

import pytest


@pytest.fixture
def container(azurite):
    """The container of the datastore ``store``."""
    return azurite.container()


@pytest.fixture
def stores(azurite, container):
    """The datastores ``store`` and ``absent``; the second one's container does not exist yet."""
    store = {
        "name": "store",
        "account_name": azurite.account_name,
        "account_key": azurite.account_key,
        "container": container.container_name,
    }
    # Azurite serves other tests too, and one of them makes this container.
    return [store, {**store, "name": "absent", "container": f"absent-{uuid.uuid4().hex}"}]
