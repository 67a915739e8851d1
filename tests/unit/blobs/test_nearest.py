"""A folder whose name is misspelt: what is there instead, told once."""

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


def told(container, path, cursor=None):
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
        ("archive", "tells 'archive' from 'Archive', which is in the container: case and Unicode form count"),
        ("gru\u0308\u00dfe", r"tells 'gru\u0308\xdfe' from 'gr\xfc\xdfe', which is in the container"),
        ("zzz", "In the container there is no folder 'zzz'; folders there: 'Archive', "),
        ("incoming/2025", "In the folder 'incoming/' there is no folder '2025'; similar ones: '2026'"),
        ("incoming/2026/11/b", "In the folder 'incoming/2026/11/' there is a blob 'b': path is a folder"),
        ("incoming/2026/11/c", "In the folder 'incoming/2026/11/' there are blobs, but no folder 'c'"),
        ("incoming/*.csv", "In the folder 'incoming/' there is no folder '*.csv': path is a folder, pattern is for"),
    ],
)
def test_a_folder_that_is_not_there_is_told_with_its_nearest(container, path, warning):
    text, requests = told(container, path)
    assert warning in text
    assert text.startswith(f"There is nothing in the folder {path + '/'!r} (yet)")
    assert requests == 1


def test_the_nearest_folder_above_that_is_there_is_asked(container):
    text, requests = told(container, "incomming/2026/11")
    assert "no folder 'incomming'; similar ones: 'incoming'" in text
    assert requests == 3


def test_an_empty_container_is_told():
    assert told(FakeContainer(), "in")[0].endswith("nor anywhere else in the container")


@pytest.mark.parametrize("path", ["", "incoming", "incoming/2026", "quiet"])
def test_there_is_no_warning_where_there_is_something(container, path):
    assert told(container, path) == ("", 0)


def test_an_empty_folder_is_nothing_special_later(container):
    assert told(container, "incomming", Cursor()) == ("", 0)


@pytest.mark.parametrize("fault", [403, 500, 0])
def test_a_hint_that_cannot_be_had_is_left_out(container, fault):
    folder = Folder.at(URL, "incomming")
    detection = run(container, poll_folder(FolderState(folder, Rules(), None), ACCESS))
    container.failures = [fault]
    assert run(container, nothing_there(folder, ACCESS, detection)) == ""


def test_a_page_of_many_is_not_taken_for_all_there_is():
    container = FakeContainer(page_size=2)
    for name in ("a", "b", "zoo/x"):
        container.write(name)
    text, requests = told(container, "zo")
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
