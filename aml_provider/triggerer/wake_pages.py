"""The pages of wake queues that the triggers of one event loop share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aml_provider.blobs.wake_pages import Sharing, WakePages
from aml_provider.triggerer.per_loop import PerLoop

if TYPE_CHECKING:
    from aml_provider.hooks.blob_location import BlobLocation

_PAGES: PerLoop[WakePages] = PerLoop(lambda: WakePages(time.monotonic))


def sharing(location: BlobLocation, poll_interval: float) -> Sharing:
    """How a reader of a folder's wake queue shares pages in the running event loop.

    Args:
        location: The folder. Its credential reads the queue.
        poll_interval: Seconds between two polls. A page may be half as old.
    """
    identity = (location.azureml_conn_id, location.wasb_conn_id, location.datastore)
    return Sharing(_PAGES.here, identity, poll_interval / 2.0)
