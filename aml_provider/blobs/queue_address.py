"""The address or name of a storage queue, as an author gives it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from aml_provider.blobs.folder import is_loopback
from aml_provider.blobs.wasb import without_side
from aml_provider.client.arguments import as_plain_address
from aml_provider.client.errors import InvalidArgument

_QUEUE = re.compile(r"(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")


def check_wake_queue(argument: str, value: object) -> str:
    """Check the address or name of a queue.

    Raises:
        InvalidArgument: It cannot be used; the message does not repeat a query string, which may hold a SAS.
    """
    value = as_plain_address(argument, value)
    if "://" not in value:
        if _QUEUE.fullmatch(value):
            return value
        raise InvalidArgument(
            argument,
            f"{value!r} is neither the name of a queue (3 to 63 lower-case letters, digits and single hyphens) nor an "
            "address https://ACCOUNT.queue.core.windows.net/QUEUE",
        )
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        # The error repeats what is in the place of the port, which may be a password.
        raise InvalidArgument(argument, "not a URL: its host or its port cannot be read") from None
    if ".blob." in host or ".dfs." in host:
        raise InvalidArgument(argument, f"{host} is not the queue endpoint; that is {_queue_host(host)}")
    segments = parts.path.strip("/").split("/")
    expected = {1} if ".queue." in host else {1, 2}
    if (
        parts.scheme not in {"http", "https"}
        or not host
        or len(segments) not in expected
        or not _QUEUE.fullmatch(segments[-1])
    ):
        raise InvalidArgument(argument, f"{value!r} is not of the form https://ACCOUNT.queue.core.windows.net/QUEUE")
    return value


def queues_of(container_url: str, name: str) -> str:
    """The address of the queues of a container's account."""
    parts = urlsplit(container_url)
    host, port = parts.hostname or "", parts.port
    if ".blob." in host:
        return f"{parts.scheme}://{parts.netloc.lower().replace('.blob.', '.queue.', 1)}"
    if is_loopback(host) and port is not None:
        # Azurite's queues are at the port after its blobs, with the account in the path.
        account = parts.path.strip("/").partition("/")[0]
        return f"{parts.scheme}://{parts.netloc.removesuffix(f':{port}')}:{port + 1}/{account}"
    raise InvalidArgument(
        "wake_queue",
        f"{name!r} is a name, and the queues' address cannot be derived from {container_url}; give the "
        "address of the queue",
    )


def is_of_account(address: str, account: str, container_url: str) -> bool:
    """Whether a queue is in an account, to whose container this address belongs; True if no address says so."""
    parts, blobs = urlsplit(address), urlsplit(container_url).hostname or ""
    host, segments = parts.hostname or "", parts.path.strip("/").split("/")
    name, is_azure, domain = host.partition(".queue.")
    if ".blob." in blobs:
        # A key or a SAS is sent to Azure's own hosts only, if the blobs are there.
        own_domain = blobs.partition(".blob.")[2]
        return bool(is_azure) and domain == own_domain and without_side(name.partition(".")[0]) == account
    found = without_side(name.partition(".")[0]) if is_azure else segments[0] if segments[1:] else ""
    return found in {"", account}


def _queue_host(host: str) -> str:
    return host.replace(".blob.", ".queue.").replace(".dfs.", ".queue.")
