"""A folder in memory whose pages a test can count, and what one look at it reports."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

from support.drivers.breaths import answer

from aml_provider.blobs.access import ContainerAccess
from aml_provider.blobs.folder import Folder
from aml_provider.blobs.folder_state import FolderState
from aml_provider.blobs.listing import poll_folder
from aml_provider.blobs.rules import Rules
from aml_provider.client.http.reply import Reply

START = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
FOLDER = Folder.at("https://acct.blob.core.windows.net/landing", "in", "store")
ACCESS = ContainerAccess(sas="sig=x")


def page_reply(body, date, status=200):
    """The reply that a page of a listing comes in."""
    return Reply(status, {} if date is None else {"date": date}, body, "id")


def http_date(seconds):
    return format_datetime(START + timedelta(seconds=seconds), usegmt=True)


class Container:
    """A folder that answers List Blobs, a few entries a page."""

    def __init__(self, page_size=3):
        self.blobs = {}
        self.deep = set()
        self.directories = set()
        self.now = 0
        self.writes = 0
        self.page_size = page_size

    def write(self, name, size=1):
        self.writes += 1
        self.blobs[name] = (f"0x{self.writes:X}", self.now, size)

    def metadata(self, name):
        return (
            "<Metadata><Hdi_isfolder>true</Hdi_isfolder></Metadata>" if name in self.directories else "<OrMetadata />"
        )

    def pages(self):
        entries = [
            (
                f"in/{name}",
                (
                    f"<Blob><Name>in/{name}</Name><Properties><Last-Modified>{http_date(modified)}</Last-Modified><Etag>{etag}"
                    f"</Etag><Content-Length>{size}</Content-Length></Properties>{self.metadata(name)}</Blob>"
                ),
            )
            for name, (etag, modified, size) in self.blobs.items()
        ]
        entries += [(f"in/{name}/", f"<BlobPrefix><Name>in/{name}/</Name></BlobPrefix>") for name in self.deep]
        texts = [text for _, text in sorted(entries)]
        chunks = [texts[i : i + self.page_size] for i in range(0, len(texts), self.page_size)] or [[]]
        for number, chunk in enumerate(chunks):
            marker = f">m{number}</NextMarker>" if number + 1 < len(chunks) else " />"
            yield (
                f'<?xml version="1.0"?><EnumerationResults ContainerName="landing"><Blobs>{"".join(chunk)}</Blobs>'
                f"<NextMarker{marker}</EnumerationResults>"
            ).encode()

    def poll(self, state, date=True):
        flow = poll_folder(state, ACCESS)
        next(flow)
        try:
            for body in self.pages():
                answer(flow, page_reply(body, http_date(self.now) if date else None))
        except StopIteration as stop:
            return stop.value
        raise AssertionError("the poll went on after the last page")


def take(container, state):
    """Poll and hand over."""
    detection = container.poll(state)
    state.accept(detection)
    return [(change["name"], change["change"]) for change in detection.changes]


def watch(container, cursor=None, **arguments):
    return FolderState(FOLDER, Rules.of(**arguments), cursor)
