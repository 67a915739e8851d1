"""Who writes blobs while the storm goes on, and remembers each version."""

from __future__ import annotations

import random
import threading
import time
from typing import TYPE_CHECKING, Literal, NamedTuple

from support.oracles.blob_promises import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from azure.storage.blob import ContainerClient

Action = Literal["write", "metadata", "delete", "rename"]

#: Names that must be quoted, escaped or left alone on the way.
_NAMES = ("plain", "with space & more", "ümläut", "{{ 1 + 1 }}", "50% off", "a+b=c", "it's #1", "日本")
_ENDINGS = (".csv", ".csv", ".txt")
_TWICE = 0.25
"""How often a write is followed at once by another one of the same blob."""


class Scale(NamedTuple):
    """How much is written.

    Args:
        versions: At least so many in the watched folders, about the same number in each.
        bursts: In so many bursts for each folder.
        seconds: Within so many seconds.
    """

    versions: int
    bursts: int
    seconds: float


SCALES = {"small": Scale(300, 4, 50.0), "full": Scale(5000, 16, 1400.0), "cluster": Scale(1200, 6, 320.0)}


class Step(NamedTuple):
    """One thing that the writer does.

    Args:
        at: When at the earliest, in seconds since the beginning.
        action: What; each but ``delete`` makes a version.
        path: The blob.
        old: What it was called before a rename.
    """

    at: float
    action: Action
    path: str
    old: str = ""


def plan(seed: int, scale: str, folders: Sequence[str]) -> list[Step]:
    """What is written, in order; the same for the same seed.

    Each folder gets bursts of new blobs, overwrites (some twice within the same second), new metadata, deletions,
    blobs that are made again, and renames within the folder, into it and out of it. What is written beside it and
    below it nobody may be told of.

    Args:
        seed: Draws it.
        scale: A key of :data:`SCALES`.
        folders: The watched folders, in the container's root.
    """
    dice = random.Random(seed)
    size = SCALES[scale]
    steps: list[Step] = []
    for number, folder in enumerate(folders):
        blobs = _Blobs(folder, dice)
        each = -(-size.versions // (len(folders) * size.bursts))
        for burst in range(size.bursts):
            begin = size.seconds * (burst + (number + dice.random()) / (len(folders) + 1)) / size.bursts
            steps += blobs.burst(begin, each)
    return sorted(steps, key=lambda step: step.at)


class _Blobs:
    """The blobs of one folder and around it, as the plan makes them.

    Args:
        folder: The folder.
        dice: Decides.
    """

    def __init__(self, folder: str, dice: random.Random) -> None:
        self._folder = folder
        self._dice = dice
        self._there: list[str] = []
        self._gone: list[str] = []
        self._beside: list[str] = []
        self._count = 0

    def burst(self, begin: float, versions: int) -> list[Step]:
        """So many versions in the folder, within a few seconds, and some more around it."""
        steps: list[Step] = []
        at, made = begin, 0
        while made < versions:
            new = self._some(at)
            steps += new
            made += sum(step.action != "delete" and step.path.rpartition("/")[0] == self._folder for step in new)
            at += self._dice.choice((0.0, 0.01, 0.05, 0.2))
        return steps

    def _some(self, at: float) -> list[Step]:
        kinds = {self._new: 8, self._around: 2}
        if self._there:
            kinds |= {self._again: 6, self._metadata: 1, self._delete: 2, self._rename: 2, self._away: 1}
        if self._gone:
            kinds[self._back] = 1
        if self._beside:
            kinds[self._into] = 1
        (kind,) = self._dice.choices(list(kinds), weights=list(kinds.values()))
        return [Step(at, *rest) for rest in kind()]

    def _name(self) -> str:
        self._count += 1
        return f"{self._dice.choice(_NAMES)} {self._count}{self._dice.choice(_ENDINGS)}"

    def _twice(self, path: str) -> list[tuple[Action, str]]:
        return [("write", path)] * (2 if self._dice.random() < _TWICE else 1)

    def _new(self) -> list[tuple[Action, str]]:
        path = f"{self._folder}/{self._name()}"
        self._there.append(path)
        return self._twice(path)

    def _again(self) -> list[tuple[Action, str]]:
        return self._twice(self._dice.choice(self._there))

    def _metadata(self) -> list[tuple[Action, str]]:
        return [("metadata", self._dice.choice(self._there))]

    def _delete(self) -> list[tuple[Action, str]]:
        path = self._take(self._there)
        self._gone.append(path)
        # Some are made again at once, so that no look sees them missing.
        if self._dice.random() < 0.3:
            return [("delete", path), *self._back(path)]
        return [("delete", path)]

    def _back(self, path: str = "") -> list[tuple[Action, str]]:
        path = path or self._dice.choice(self._gone)
        self._gone.remove(path)
        self._there.append(path)
        return self._twice(path)

    def _rename(self) -> list[tuple[Action, str, str]]:
        old, new = self._take(self._there), f"{self._folder}/{self._name()}"
        self._gone.append(old)
        self._there.append(new)
        return [("rename", new, old)]

    def _around(self) -> list[tuple[Action, str]]:
        name = self._name()
        beside = f"{self._folder}-old/{name}"
        self._beside.append(beside)
        return [("write", f"{self._folder}/sub/{name}"), ("write", beside), ("write", f"{self._folder}{name}")]

    def _away(self) -> list[tuple[Action, str, str]]:
        old, new = self._take(self._there), f"{self._folder}/sub/{self._name()}"
        self._gone.append(old)
        return [("rename", new, old)]

    def _into(self) -> list[tuple[Action, str, str]]:
        old, new = self._take(self._beside), f"{self._folder}/{self._name()}"
        self._there.append(new)
        return [("rename", new, old)]

    def _take(self, paths: list[str]) -> str:
        return paths.pop(self._dice.randrange(len(paths)))


class Writer:
    """Carries a plan out in a thread of its own, and keeps the record of every version.

    Args:
        container: Where to write.
        steps: The plan.
        now: The workspace's clock.
    """

    def __init__(self, container: ContainerClient, steps: Sequence[Step], now: Callable[[], float]) -> None:
        self._container = container
        self._steps = steps
        self._now = now
        self._lock = threading.Lock()
        self._past: list[Version] = []
        self._there: dict[str, Version] = {}
        self._hurry = threading.Event()
        self._given_up = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="blob-writer", daemon=True)

    @property
    def versions(self) -> list[Version]:
        """All versions that were ever written."""
        with self._lock:
            return [*self._past, *self._there.values()]

    @property
    def is_done(self) -> bool:
        """Whether the whole plan is carried out."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Write the rest without waiting, and come back when all of it is written.

        Raises:
            Exception: The blob service refused something.
        """
        self._hurry.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def give_up(self) -> None:
        """End, whatever is left of the plan."""
        self._given_up = True
        self._hurry.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            for step in self._steps:
                if self._given_up:
                    return
                self._hurry.wait(max(0.0, begun + step.at - time.monotonic()))
                self._do(step)
        except Exception as error:  # noqa: BLE001 - raised again where somebody waits
            self._error = error

    def _do(self, step: Step) -> None:
        blob = self._container.get_blob_client(step.path)
        before = self._now()
        if step.action == "delete":
            blob.delete_blob()
            self._note(step.path, None)
            return
        if step.action == "metadata":
            answer = blob.set_blob_metadata({"at": str(before)})
        elif step.action == "rename":
            answer = self._copy(step)
        else:
            answer = blob.upload_blob(f"{step.path}\n{before}\n".encode(), overwrite=True)
        self._note(step.path, Version(step.path, answer["etag"].strip('"'), before))
        if step.action == "rename":
            self._container.delete_blob(step.old)
            self._note(step.old, None)

    def _copy(self, step: Step) -> dict[str, str]:
        blob = self._container.get_blob_client(step.path)
        answer = blob.start_copy_from_url(self._container.get_blob_client(step.old).url)
        # The service may go on copying after its answer, and then the ETag is another one.
        if answer["copy_status"] != "success":
            raise RuntimeError(f"the copy of {step.old} is {answer['copy_status']}")
        return answer

    def _note(self, path: str, version: Version | None) -> None:
        with self._lock:
            if (old := self._there.pop(path, None)) is not None:
                self._past.append(old._replace(gone=self._now()))
            if version is not None:
                self._there[path] = version
