"""A blob folder: one level of a container."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from aml_provider.blobs.wasb import account_of, without_side
from aml_provider.client.arguments import as_plain_address, wrong_type
from aml_provider.client.errors import InvalidArgument

_CONTAINER = re.compile(r"\$[a-z]{3,}|(?=.{3,63}\Z)[a-z0-9]+(?:-[a-z0-9]+)*")


class Folder(NamedTuple):
    """One folder level of a container. Make it with :meth:`at`, which checks its parts.

    Attributes:
        container_url: The container's address, without query and final slash.
        prefix: The beginning of all names in the folder: empty for the container's root; otherwise it ends in ``/``.
        datastore: The workspace datastore that the container belongs to, if the author named one.
    """

    container_url: str
    prefix: str
    datastore: str | None = None

    @classmethod
    def at(
        cls, container_url: str, path: str = "", datastore: str | None = None, *, allow_http: bool = False
    ) -> Folder:
        """Check an address and a path in it.

        Args:
            container_url: ``https://ACCOUNT.blob.core.windows.net/CONTAINER``, or Azurite's
                ``http://127.0.0.1:10000/devstoreaccount1/CONTAINER``.
            path: The folder in the container; empty for its root.
            datastore: Copied into the changes.
            allow_http: Accept plain http to hosts other than loopback.

        Raises:
            ValueError: ``container_url`` or ``path`` is not usable; the message names the argument, and never repeats
                a query string, since that may hold a SAS.
        """
        return cls(_checked_container(container_url, allow_http=allow_http), normalise_path(path), datastore)

    def is_same_as(self, other: Folder) -> bool:
        """Whether another object is the same folder, perhaps with another address.

        An account of Azure has several addresses: over a private link, as its secondary, behind a gateway that has the
        account in the path. Two servers that are not Azure's (two Azurites) are different, even if their accounts have
        the same name.
        """
        if self.prefix != other.prefix:
            return False
        (server, *one), (other_server, *two) = _account(self.container_url), _account(other.container_url)
        return one == two and (server == other_server or "" in {server, other_server})


def normalise_path(path: str, argument: str = "path") -> str:
    """Turn a folder's path into the prefix of the names in it: no leading slash, one final slash; empty for the root.

    Raises:
        ValueError: The path holds a backslash, or a segment that is empty, ``.`` or ``..``; or it is not a string. The
            message names ``argument``.
    """
    if not isinstance(path, str):
        raise wrong_type(argument, path, "text")
    if "\\" in path:
        raise InvalidArgument(argument, f"{path!r} has a backslash; folders are separated by /")
    try:
        path.encode()
    except UnicodeEncodeError:
        raise InvalidArgument(argument, f"{path!a} has half a character (a surrogate)") from None
    if path in {"", "/"}:
        return ""
    segments = path.removeprefix("/").removesuffix("/").split("/")
    if any(segment in {".", ".."} for segment in segments):
        raise InvalidArgument(argument, f"{path!r} has a segment . or .., which blob storage does not resolve")
    if "" in segments:
        # Blob storage takes it for a folder without a name, which is another folder than the one with a single slash.
        meant = "/".join(filter(None, segments))
        question = f"did you mean {meant!r}?" if meant else "for the container's root, leave it empty"
        raise InvalidArgument(argument, f"{path!r} has two slashes in a row; {question}")
    return f"{'/'.join(segments)}/"


def as_store_path(argument: str, value: Any) -> tuple[str, str]:
    """Split ``STORE/FOLDER`` into the datastore and the folder in it.

    Raises:
        ValueError: The text has another form, or the folder cannot be used; the message names ``argument``.
    """
    from aml_provider.client.specs.run import as_data_path  # noqa: PLC0415 - triggers do not need it

    if isinstance(value, str) and not value.partition("/")[0].strip():
        raise InvalidArgument(
            argument, f"{value!r} names no datastore; write a datastore and a folder in it: 'store/path'"
        )
    datastore, path = as_data_path(argument, value)
    normalise_path(path, argument)
    return datastore, path


def _checked_container(container_url: str, *, allow_http: bool) -> str:
    bare = as_plain_address("container_url", container_url)
    try:
        parts = urlsplit(bare)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        # The error repeats what is in the place of the port, which may be a password.
        raise InvalidArgument("container_url", "not a URL: its host or its port cannot be read") from None
    if parts.scheme not in {"http", "https"} or not host:
        raise InvalidArgument(
            "container_url", f"{bare!r} is not of the form https://ACCOUNT.blob.core.windows.net/CONTAINER"
        )
    path_style, loopback = _is_ip(host) or host == "localhost", is_loopback(host)
    if parts.scheme == "http" and not (loopback or allow_http):
        raise InvalidArgument("container_url", f"plain http to {host}; https is needed except for loopback addresses")
    if ".dfs." in host:
        raise InvalidArgument("container_url", f"{host} is the data lake endpoint; give the account's blob endpoint")
    segments = parts.path.strip("/").split("/")
    # The account is in the host name (Azure) or the first segment (Azurite, and any address without a name).
    expected = {2} if path_style else {1} if ".blob." in host else {1, 2}
    if len(segments) in expected and segments[-1] and not _CONTAINER.fullmatch(segments[-1]):
        raise InvalidArgument(
            "container_url",
            f"{bare!r} ends in {segments[-1]!r}, which is not a valid container name: 3 to 63 lower-case "
            "letters, digits and single hyphens",
        )
    if len(segments) not in expected or not segments[-1]:
        form = "http://HOST:PORT/ACCOUNT/CONTAINER" if path_style else "https://ACCOUNT.blob.core.windows.net/CONTAINER"
        raise InvalidArgument("container_url", f"{bare!r} is not of the form {form}; a folder in it goes into path")
    return f"{parts.scheme}://{parts.netloc}/{'/'.join(segments)}"


def _account(container_url: str) -> tuple[str, str, str]:
    """The server (empty if it is Azure's), the account and the container."""
    parts = urlsplit(container_url)
    host = (parts.hostname or "").rstrip(".")
    *before, container = unquote(parts.path).strip("/").split("/")
    if account := account_of(container_url):
        return "", account, container
    port = parts.port or {"http": 80, "https": 443}[parts.scheme]
    server = f"{'localhost' if is_loopback(host) else host}:{port}"
    return server, without_side(before[0].lower()) if before else server, container


def _is_ip(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Whether a host is this machine."""
    return host == "localhost" or (_is_ip(host) and ip_address(host).is_loopback)
