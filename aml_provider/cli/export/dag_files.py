"""The DAG files of an export in a folder: found again, never written over what somebody else has written.

The first line of such a file identifies the native schedule, and has a digest of the rest as it was generated, without
what the handover writes. It shows whether somebody has edited the file, and whether the same text would be generated
today.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from aml_provider.cli.export.dag_text import without_start

_FIRST_LINE = "# Exported by airflow-provider-azureml from a native schedule: {key} {digest}\n"
_FORM = re.compile(_FIRST_LINE.strip().format(key="([0-9a-f]{16})", digest="([0-9a-f]{32})"))
_DAG_ID = re.compile(r'^    dag_id="([A-Za-z0-9_.-]+)",$', re.MULTILINE)
_LONGEST_NAME = 100
# Of file systems without links, such as SMB shares.
_NO_LINKS = frozenset({errno.EOPNOTSUPP, errno.ENOTSUP, errno.EPERM, errno.ENOSYS})


class FileChanged(Exception):
    """The file on the disk is not what it was when it was read; the message says what to do."""


@dataclass(frozen=True)
class DagFile:
    """A file that an export has written.

    Attributes:
        path: Its path.
        key: The key of its native schedule.
        text: Its text, without the first line.
        digest: The digest of the text that was generated.
    """

    path: Path
    key: str
    text: str
    digest: str

    @property
    def is_edited(self) -> bool:
        """Whether somebody has edited it since."""
        return digest_of(self.text) != self.digest

    @property
    def dag_id(self) -> str:
        """The DAG's id: that in the text, also if the file was renamed; else the file's name."""
        found = _DAG_ID.search(self.text)
        return self.path.stem if found is None else found[1]


class DagFolder:
    """A folder for DAG files.

    Attributes:
        path: The folder, which must exist.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[str, DagFile] = {}
        self._taken: set[str] = set()
        for entry in sorted(path.iterdir()):
            # File systems may ignore the case of names.
            self._taken.add(entry.name.casefold())
            file = _read(entry) if entry.suffix == ".py" else None
            if file is not None:
                self._found.setdefault(file.key, file)

    def find(self, key: str) -> DagFile | None:
        """The file of the native schedule with this key."""
        return self._found.get(key)

    def new_path(self, name: str, key: str) -> Path:
        """The path of a new file.

        Args:
            name: The native schedule's name. Only its ASCII letters and digits get into the path.
            key: The native schedule's key, which distinguishes schedules with the same name.
        """
        slug = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_LONGEST_NAME].strip("_") or "schedule"
        plain = f"azureml_{slug}"
        stems = (plain, f"{plain}_{key[:8]}", *(f"{plain}_{key}_{number}" for number in range(len(self._taken))))
        file_name = next(f"{stem}.py" for stem in stems if f"{stem}.py" not in self._taken)
        self._taken.add(file_name)
        return self.path / file_name


def is_of_same_schedule(content: str, file: DagFile) -> bool:
    """Whether the content of a file is that of an export of the same native schedule."""
    found = _FORM.fullmatch(content.partition("\n")[0].rstrip("\r"))
    return found is not None and found[1] == file.key


def key_of(workspace: str, api: str, schedule_id: str) -> str:
    """The key of a native schedule: the same for each export from the same workspace."""
    return hashlib.sha256(f"{workspace.lower()}\n{api}\n{schedule_id}".encode(errors="replace")).hexdigest()[:16]


def create(path: Path, key: str, text: str) -> None:
    """Write a new file.

    Raises:
        FileChanged: There is such a file now.
    """
    temporary = _temporary(path, key, text)
    try:
        # Unlike a rename, a link never replaces a file.
        os.link(temporary, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _copy(temporary, path)
    finally:
        temporary.unlink()


def _copy(temporary: Path, path: Path) -> None:
    """Write a new file without a link: for a moment, it is incomplete."""
    try:
        stream = path.open("xb")
    except FileExistsError:
        raise _exists(path) from None
    try:
        with stream:
            stream.write(temporary.read_bytes())
    except OSError:
        path.unlink()
        raise


def _exists(path: Path) -> FileChanged:
    return FileChanged(f"{path} exists by now, so it was not written. Run the command again.")


def replace(file: DagFile, text: str) -> None:
    """Replace the text of a file. An edited file stays one: its first line keeps the digest.

    Raises:
        FileChanged: Somebody has changed the file since it was read.
    """
    if _read(file.path) != file:
        raise FileChanged(f"{file.path} was changed at the same moment, so it was not written. Run the command again.")
    with file.path.open(encoding="utf-8", newline="") as stream:
        first = stream.readline() if file.is_edited else None
    temporary = _temporary(file.path, file.key, text, first)
    try:
        temporary.chmod(file.path.stat().st_mode & 0o777)
        temporary.replace(file.path)
    except OSError:
        temporary.unlink()
        raise


def _temporary(path: Path, key: str, text: str, first: str | None = None) -> Path:
    """A complete file in the same folder, under a name that Airflow does not read."""
    first = first or _FIRST_LINE.format(key=key, digest=digest_of(text))
    number, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8", newline="") as stream:
            stream.write(first + text)
            stream.flush()
            os.fsync(stream.fileno())
        # As a file that a person writes; the temporary one can be read by its owner only.
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
    except OSError:
        temporary.unlink()
        raise
    return temporary


def _read(path: Path) -> DagFile | None:
    """The file at a path, if an export has written it."""
    with suppress(OSError, UnicodeDecodeError), path.open(encoding="utf-8", newline="") as stream:
        found = _FORM.fullmatch(stream.readline(200).rstrip("\r\n"))
        if found is not None:
            text = stream.read()
            return DagFile(path, found[1], text, found[2])
    return None


def digest_of(text: str) -> str:
    """The digest of the text of a DAG file: the same before and after the handover."""
    # Version control may change the ends of lines.
    return hashlib.sha256(without_start(text.replace("\r\n", "\n")).encode()).hexdigest()[:32]
