"""The listing and its comparison against a real blob service."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from azure.storage.blob import ContainerClient, ContainerSasPermissions, generate_container_sas
from support.drivers.breaths import answer

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.errors import ServiceError
from aml_provider.client.http.reply import Reply


class Landing:
    """A container of its own, written through the SDK and listed by us."""

    def __init__(self, azurite):
        name = f"landing-{uuid.uuid4().hex[:12]}"
        self.url = f"{azurite.blob_endpoint}/{name}"
        # The SDK's newest service version is too new for Azurite.
        self.sdk = ContainerClient.from_container_url(self.url, azurite.account_key, api_version="2021-12-02")
        self.sdk.create_container()
        sas = generate_container_sas(
            azurite.account_name,
            name,
            account_key=azurite.account_key,
            permission=ContainerSasPermissions(list=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        self.access = ContainerAccess(sas=sas)
        self.http = httpx.Client()
        self.page_size = 5000

    def write(self, name, content=b"x", **options):
        self.sdk.upload_blob(name, content, overwrite=True, **options)

    def watch(self, path="in", cursor=None, **arguments):
        return FolderState(Folder.at(self.url, path), Rules.of(**arguments), cursor)

    def poll(self, state):
        flow = poll_folder(state, self.access)
        request = next(flow)
        try:
            while True:
                query = dict(request.query) | {"maxresults": str(self.page_size)}
                reply = self.http.get(request.url, params=query, headers=dict(request.headers))
                request = answer(flow, Reply(reply.status_code, reply.headers, reply.content, "id"))
        except StopIteration as stop:
            return stop.value

    def take(self, state):
        detection = self.poll(state)
        state.accept(detection)
        return [(change["path"], change["change"]) for change in detection.changes]


@pytest.fixture
def landing(azurite):
    made = Landing(azurite)
    try:
        yield made
    finally:
        made.http.close()
        made.sdk.delete_container()
        made.sdk.close()


def test_only_changes_directly_in_the_folder_are_reported(landing):
    landing.write("in/old.csv")
    state = landing.watch()
    assert landing.take(state) == []
    for name in ("in/new.csv", "in/sub/deep.csv", "other/x.csv", "in.csv", "top.csv"):
        landing.write(name)
    landing.write("in/old.csv")

    detection = landing.poll(state)
    assert [(change["path"], change["change"]) for change in detection.changes] == [
        ("in/new.csv", "added"),
        ("in/old.csv", "modified"),
    ]
    assert str(detection.counts) == "listed 2: 1 new, 1 modified, 0 unchanged; 1 sub-folders ignored"
    properties = landing.sdk.get_blob_client("in/new.csv").get_blob_properties()
    assert detection.changes[0]["etag"] == properties.etag.strip('"')
    assert datetime.fromisoformat(detection.changes[0]["last_modified"]) == properties.last_modified
    assert detection.changes[0]["size"] == 1


def test_the_containers_root(landing):
    state = landing.watch("")
    landing.take(state)
    landing.write("a.csv")
    landing.write("in/b.csv")
    assert landing.take(state) == [("a.csv", "added")]


def test_what_counts_as_a_new_version(landing):
    blob = landing.sdk.get_blob_client("in/a")
    landing.write("in/a")
    state = landing.watch()
    landing.take(state)

    blob.set_blob_metadata({"k": "v"})
    assert landing.take(state) == [("in/a", "modified")]
    blob.set_standard_blob_tier("Cool")
    assert landing.take(state) == []
    blob.stage_block("MQ==", b"more")
    assert landing.take(state) == []
    blob.commit_block_list(["MQ=="])
    assert landing.take(state) == [("in/a", "modified")]
    blob.delete_blob()
    assert landing.take(state) == []
    landing.write("in/a")
    assert landing.take(state) == [("in/a", "modified")]


@pytest.mark.parametrize("ignore_empty", [True, False])
def test_markers_and_empty_blobs(landing, ignore_empty):
    state = landing.watch(ignore_empty=ignore_empty)
    landing.take(state)
    landing.write("in/", b"")
    landing.write("in/sub", b"", metadata={"hdi_isfolder": "true"})
    landing.write("in/sub/deep.csv")
    landing.write("in/alone", b"", metadata={"hdi_isfolder": "true"})
    landing.write("in/empty", b"")

    detection = landing.poll(state)
    state.accept(detection)
    assert [change["path"] for change in detection.changes] == ([] if ignore_empty else ["in/empty"])
    landing.write("in/empty", b"filled")
    assert landing.take(state) == [("in/empty", "added" if ignore_empty else "modified")]


def test_odd_names(landing):
    state = landing.watch("in & out/ü")
    landing.take(state)
    odd = ["a b", "{{ 1+1 }}.csv", "q&a<1>'\".csv", "漢字 😀", "100%25", "a\ttab", "plus+?#", "..."]
    for name in odd:
        landing.write(f"in & out/ü/{name}")

    assert landing.take(state) == [(f"in & out/ü/{name}", "added") for name in sorted(odd, key=str.encode)]
    assert landing.take(state) == []


def test_settle_waits_by_the_servers_clock(landing):
    hour, none = landing.watch(settle=3600), landing.watch()
    landing.take(hour)
    landing.take(none)
    landing.write("in/a")

    detection = landing.poll(hour)
    assert detection.changes == []
    assert detection.counts.unsettled == 1
    assert landing.take(none) == [("in/a", "added")]


def test_several_pages(landing):
    landing.page_size = 2
    for number in range(7):
        landing.write(f"in/{number}")
    state = landing.watch(on_first_poll="report")
    assert [path for path, _ in landing.take(state)] == [f"in/{number}" for number in range(7)]
    landing.write("in/3")
    landing.sdk.get_blob_client("in/6").delete_blob()
    landing.write("in/00")
    assert landing.take(state) == [("in/00", "added"), ("in/3", "modified")]
    assert landing.take(state) == []


def test_a_missing_container_is_an_error(landing, azurite):
    missing = FolderState(Folder.at(f"{azurite.blob_endpoint}/no-such-container"), Rules(), None)
    with pytest.raises(ServiceError) as caught:
        landing.poll(missing)
    assert caught.value.status in {403, 404}
