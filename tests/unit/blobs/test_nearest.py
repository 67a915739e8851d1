"""The hint for a folder whose name is misspelt: what exists instead, logged once."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from support.drivers.breaths import answer
from support.services.folder import Asked, FakeContainer

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.cursor import Cursor
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.nearest import nothing_there
from aml_provider.blobs.rules import Rules
from aml_provider.client.http.messages import Pause
from aml_provider.client.http.reply import Reply

ACCESS = ContainerAccess(sas="x=1")
URL = "https://a.blob.core.windows.net/landing"


def run(container, flow):
    try:
        request = next(flow)
        while True:
            status, headers, body = container.answer(Asked(urlsplit(request.url).path, dict(request.query), {}))
            request = answer(flow, Reply(status, headers, body, ""))
    except StopIteration as stop:
        return stop.value


def hint(container, path, cursor=None):
    """The warning, and how many requests it took."""
    folder = Folder.at(URL, path)
    detection = run(container, poll_folder(FolderState(folder, Rules(), cursor), ACCESS))
    before = len(container.asked)
    return run(container, nothing_there(folder, ACCESS, detection)), len(container.asked) - before


@pytest.fixture
def container():
    container = FakeContainer()
    folders = ("incoming/a", "incoming/2026/11/b", "Archive/x", "outgoing/y", "gr\u00fc\u00dfe/z", "quiet/")
    for name in (*folders, "readme.md"):
        container.write(name)
    return container


@pytest.mark.parametrize(
    ("path", "warning"),
    [
        ("incomming", "In the container there is no folder 'incomming'; similar ones: 'incoming'"),
        ("archive", "In the container there is 'Archive', which is not 'archive': case and Unicode form count"),
        ("gru\u0308\u00dfe", r"In the container there is 'gr\xfc\xdfe', which is not 'gru\u0308\xdfe': case"),
        ("zzz", "In the container there is no folder 'zzz'; folders there: 'Archive', "),
        ("incoming/2025", "In the folder 'incoming/' there is no folder '2025'; similar ones: '2026'"),
        ("incoming/2026/11/b", "In the folder 'incoming/2026/11/' there is a blob 'b': path is a folder"),
        ("incoming/2026/11/c", "In the folder 'incoming/2026/11/' there are blobs, but no folder 'c'"),
        ("incoming/*.csv", "In the folder 'incoming/' there is no folder '*.csv': path is a folder, pattern is for"),
    ],
)
def test_the_hint_for_a_missing_folder_names_similar_ones(container, path, warning):
    text, requests = hint(container, path)
    assert warning in text
    assert text.startswith(f"There is nothing in the folder {path + '/'!r} (yet)")
    assert requests == 1


def test_the_nearest_existing_parent_folder_is_listed(container):
    text, requests = hint(container, "incomming/2026/11")
    assert "no folder 'incomming'; similar ones: 'incoming'" in text
    assert requests == 3


def test_the_hint_for_an_empty_container():
    assert hint(FakeContainer(), "in")[0].endswith("nor anywhere else in the container")


@pytest.mark.parametrize("path", ["", "incoming", "incoming/2026", "quiet"])
def test_there_is_no_hint_for_a_folder_that_holds_something(container, path):
    assert hint(container, path) == ("", 0)


def test_there_is_no_hint_after_the_first_poll(container):
    assert hint(container, "incomming", Cursor()) == ("", 0)


@pytest.mark.parametrize("fault", [403, 500, 0])
def test_a_parent_folder_that_cannot_be_listed_gives_no_hint(container, fault):
    folder = Folder.at(URL, "incomming")
    detection = run(container, poll_folder(FolderState(folder, Rules(), None), ACCESS))
    container.failures = [fault]
    assert run(container, nothing_there(folder, ACCESS, detection)) == ""


def test_a_first_page_is_not_taken_for_the_whole_folder():
    container = FakeContainer(page_size=2)
    for name in ("a", "b", "zoo/x"):
        container.write(name)
    text, requests = hint(container, "zo")
    assert text.endswith("In the container there are blobs, but no folder 'zo'")
    assert requests == 1


def test_thousands_of_folders_are_compared_in_pieces():
    container = FakeContainer()
    for number in range(5000):
        container.write(f"{number}{'x' * 100}/a")
    folder = Folder.at(URL, f"4321{'x' * 99}y")
    detection = run(container, poll_folder(FolderState(folder, Rules(), None), ACCESS))
    flow = nothing_there(folder, ACCESS, detection)
    request = next(flow)
    assert not request.repeatable
    status, headers, body = container.answer(Asked(urlsplit(request.url).path, dict(request.query), {}))
    step, pauses, text = flow.send(Reply(status, headers, body, "")), 0, ""
    while step == Pause(0):
        pauses += 1
        try:
            step = flow.send(None)
        except StopIteration as stop:
            step, text = None, stop.value
    assert pauses == 50
    assert f"similar ones: '4321{'x' * 100}'" in text
