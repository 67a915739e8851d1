"""Which events of Event Grid concern a folder: if in doubt, they do."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.services.wake_queue import as_text, event

from aml_provider.blobs.folder import Folder
from aml_provider.blobs.wake_event import Interest, read_events

FOLDER = Folder.at("https://acc.blob.core.windows.net/landing", "in/daily")


def concerns(one, patterns=None, folder=FOLDER):
    return Interest.of(folder, patterns).concerns(one)


@pytest.mark.parametrize("schema", ["cloud", "grid"])
@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("in/daily/a.csv", True),
        ("in/daily/b & c.csv", True),
        ("in/daily/{{ d }}.csv", True),
        ("in/daily/ü.csv", True),
        ("in/daily/%C3%BC.csv", True),
        ("in%2Fdaily%2Fa.csv", True),
        ("in/daily/deep/a.csv", False),
        ("in/daily-old/a.csv", False),
        ("in/a.csv", False),
        ("a.csv", False),
        ("in/daily", False),
    ],
)
def test_a_new_blob_concerns_its_own_folder_only(schema, path, expected):
    assert concerns(event(path, schema=schema)) is expected


@pytest.mark.parametrize(("path", "expected"), [("a.csv", True), ("in/a.csv", False)])
def test_the_containers_root_is_a_folder_too(path, expected):
    root = Folder.at("https://acc.blob.core.windows.net/landing")
    assert concerns(event(path), folder=root) is expected


@pytest.mark.parametrize(
    ("path", "expected"), [("in/daily/a.csv", True), ("in/daily/a.txt", False), ("in/daily/A.CSV", False)]
)
def test_a_blob_that_the_pattern_refuses_concerns_nobody(path, expected):
    assert concerns(event(path), ["*.csv"]) is expected


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("BlobCreated", True),
        ("BlobDeleted", False),
        ("BlobTierChanged", False),
        ("DirectoryCreated", False),
        ("DirectoryDeleted", False),
        ("BlobInventoryPolicyCompleted", False),
        ("BlobReborn", True),
    ],
)
@pytest.mark.parametrize("api", ["PutBlob", "PutBlockList", "CopyBlob", "FlushWithClose", "CreateFile", "SftpCommit"])
def test_an_event_counts_by_its_type_and_not_by_the_operation_behind_it(kind, api, expected):
    assert concerns(event("in/daily/a.csv", kind, api=api)) is expected


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("out/a.csv", "in/daily/a.csv", True),
        ("in/daily/b.csv", "in/daily/a.csv", True),
        ("out/a.csv", "out/b.csv", False),
    ],
)
@pytest.mark.parametrize("subject", ["old", "new"])
def test_a_renamed_blob_concerns_the_folder_that_it_comes_into(old, new, subject, expected):
    """Which of the names is the subject does not matter."""
    base = "https://acc.dfs.core.windows.net/landing/"
    renamed = event({"old": old, "new": new}[subject], "BlobRenamed", sourceUrl=base + old, destinationUrl=base + new)
    assert concerns(renamed) is (expected or (subject == "old" and old.startswith("in/daily/")))


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ("in", True),
        ("in/daily", True),
        ("in/daily/", True),
        ("in/daily/deep", False),
        ("in/dai", False),
        ("out", False),
    ],
)
def test_a_renamed_directory_concerns_the_folders_that_it_brings(new, expected):
    renamed = event(
        "old",
        "DirectoryRenamed",
        destinationUrl=f"https://acc.dfs.core.windows.net/landing/{new}",
        api="RenameDirectory",
    )
    assert concerns(renamed) is expected


@pytest.mark.parametrize("folder", ["a#b", "a?b", "50%", "a b", "a\tb", "ü"])
@pytest.mark.parametrize("write", [str, quote, lambda path: f"{quote(path)}?sv=2021"])
def test_a_new_name_counts_however_it_is_written_in_an_address(folder, write):
    address = f"https://acc.dfs.core.windows.net/landing/{write(f'{folder}/a.csv')}"
    place = Folder.at("https://acc.blob.core.windows.net/landing", folder)
    assert concerns(event("old", "BlobRenamed", destinationUrl=address), ["*.csv"], place)


def test_the_address_of_an_emulator_has_the_account_in_its_path():
    renamed = event("old", "BlobRenamed", destinationUrl="http://127.0.0.1:10000/acc/landing/in/daily/a%20b.csv")
    assert concerns(renamed)


@pytest.mark.parametrize("schema", ["cloud", "grid"])
def test_another_container_or_account_does_not_concern_the_folder(schema):
    assert not concerns(event("in/daily/a.csv", container="landing-old", schema=schema))
    assert not concerns(event("in/daily/a.csv", account="other", schema=schema))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("acc.privatelink.blob.core.windows.net", False),
        ("acc-secondary.blob.core.windows.net", False),
        ("ACC.Blob.Core.UsGovCloudApi.net", False),
        ("acc.z12.blob.storage.azure.net", False),
        ("blobs.example.org", True),
        ("data.blob.example.org", True),
        ("127.0.0.1:10000/devstoreaccount1", True),
    ],
)
def test_with_an_address_that_is_not_azures_own_any_account_may_be_meant(host, expected):
    folder = Folder.at(f"https://{host}/landing", "in/daily")
    assert concerns(event("in/daily/a.csv"), folder=folder)
    assert concerns(event("in/daily/a.csv", account="other"), folder=folder) is expected


@pytest.mark.parametrize(
    "odd",
    [
        {},
        {"type": "Microsoft.Storage.BlobCreated", "specversion": "1.0"},
        {"eventType": 7, "subject": ["in"]},
        {**event("in/daily/a.csv", "BlobRenamed"), "data": None},
        {**event("old", "DirectoryRenamed"), "data": {"destinationUrl": 3}},
        {**event("old", "DirectoryRenamed"), "data": {"destinationUrl": "https://[bad/landing/x"}},
        {"eventType": "Microsoft.EventGrid.SubscriptionDeletedEvent", "subject": "/subscriptions/s"},
    ],
)
def test_an_event_that_is_not_understood_concerns_the_folder(odd):
    assert concerns(odd)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("schema", ["cloud", "grid"])
def test_a_message_holds_one_event_or_several(plain, schema):
    one, two = event("in/a", schema=schema), event("in/ü", schema=schema)
    assert read_events(as_text(one, plain=plain)) == [one]
    assert read_events(as_text([one, two], plain=plain)) == [one, two]
    assert read_events(f" {as_text(one, plain=plain)}\n") == [one]


@pytest.mark.parametrize("text", ["", "x", "{", "[]", "[1]", "3", "bnVsbA==", "[" * 60_000, "{}x", "\ud800", "e30"])
def test_anything_else_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match=r"^the message (is not JSON|has no events)") as refused:
        read_events(text)
    assert refused.value.__cause__ is None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "eventType", "specversion", "subject", "data", "destinationUrl", "source", "topic"]
                ),
                inner,
            )
        ),
    )
)
def test_whatever_a_message_holds_there_is_an_answer(content):
    try:
        events = read_events(json.dumps(content))
    except ValueError:
        return
    assert all(type(concerns(one)) is bool for one in events)
