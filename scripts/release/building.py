"""The package, built twice."""

from __future__ import annotations

import email
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from email.message import Message
    from pathlib import Path

    from release.repository import Repository


class BuildError(Exception):
    """Nothing was built, or nothing that can be examined."""


class Built(NamedTuple):
    """A wheel and an sdist.

    Args:
        wheel: The wheel.
        sdist: The sdist.
    """

    wheel: Path
    sdist: Path

    @property
    def version(self) -> str:
        """The version in the wheel's metadata."""
        return self.metadata["Version"]

    @property
    def versions(self) -> dict[str, str]:
        """The version in each place of them, by place."""
        with tarfile.open(self.sdist) as archive:
            info = archive.extractfile(f"{self.sdist.name.removesuffix('.tar.gz')}/PKG-INFO")
            assert info
            source = email.message_from_bytes(info.read())
        return {
            "the wheel's metadata": self.version,
            "the wheel's name": self.wheel.name.split("-")[1],
            "the sdist's metadata": source["Version"],
            "the sdist's name": self.sdist.name.removesuffix(".tar.gz").rpartition("-")[2],
        }

    @property
    def dist_info(self) -> str:
        """The wheel's folder of metadata."""
        return f"{self.wheel.name.split('-')[0]}-{self.version}.dist-info"

    @property
    def metadata(self) -> Message[str, str]:
        """The wheel's metadata."""
        with zipfile.ZipFile(self.wheel) as archive:
            (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
            return email.message_from_bytes(archive.read(path))

    @property
    def description(self) -> str:
        """The long description, in Markdown."""
        payload = self.metadata.get_payload(decode=True)
        assert isinstance(payload, bytes)
        return payload.decode()

    @property
    def wheel_files(self) -> frozenset[str]:
        """The paths in the wheel."""
        with zipfile.ZipFile(self.wheel) as archive:
            return frozenset(archive.namelist())

    @property
    def sdist_files(self) -> frozenset[str]:
        """The paths in the sdist, below its folder."""
        with tarfile.open(self.sdist) as archive:
            return frozenset(member.name.partition("/")[2] for member in archive if not member.isdir())


def build_twice(repository: Repository, scratch: Path, target: Path) -> Built:
    """Build from two copies of the repository, and compare the bytes.

    Only files that Git tracks are copied, so that nothing which lies about in the checkout is published. The second
    build differs in everything that must not matter: folder, times, permissions, and that the wheel is not built from
    the sdist.

    Raises:
        BuildError: A build failed, or the bytes differ.
    """
    first, second = scratch / "first", scratch / "again in another folder"
    for folder in (first, second):
        for path in repository.files:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(repository.root / path, folder / path)
    for path in repository.files:
        os.utime(second / path, (1, 1))
        (second / path).chmod((second / path).stat().st_mode & 0o700)
    built = _build(repository, first, target, hash_seed="1")
    again = _build(repository, second, scratch / "dist", "--sdist", "--wheel", hash_seed="2")
    for one, other in zip(built, again, strict=True):
        if one.read_bytes() != other.read_bytes():
            raise BuildError(f"two builds of {one.name} differ; build it twice with SOURCE_DATE_EPOCH and compare them")
    return built


def _build(repository: Repository, folder: Path, target: Path, *arguments: str, hash_seed: str) -> Built:
    uv = repository.root / ".cache" / "uv" / "bin" / "uv"
    command: list[str | Path] = [uv, "build", "--quiet", "--no-build-isolation", "--python", sys.executable]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": repository.time, "PYTHONHASHSEED": hash_seed}
    result = subprocess.run(
        [*command, "--out-dir", target, *arguments, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise BuildError(f"the build failed:\n{result.stderr or result.stdout}")
    return Built(_only(target, "*.whl"), _only(target, "*.tar.gz"))


def _only(folder: Path, pattern: str) -> Path:
    (path,) = folder.glob(pattern)
    return path
