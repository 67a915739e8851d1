"""Evidence that a submission whose reply was lost was not carried out."""

from __future__ import annotations

import hashlib
import json
import time
from math import isfinite
from typing import TYPE_CHECKING

from aml_provider.client.errors import AzureMLError
from aml_provider.durable.lookup import WAYS, Search, look_up, search
from aml_provider.stored import overridden, parse, reading

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.http.messages import Flow
    from aml_provider.client.settings import WorkspaceSettings


# Seconds after which a way that did not find a run of ours is tried again: the service may support it by then.
_MISS_LASTS = 86_400.0


class Evidence:
    """The ways to look up a run by its key that work in this workspace: each has found one of our runs soon enough.

    Keys probably reach the run history and are found immediately, but that is not established for every workspace. So
    "not found" proves absence only for a way that has found a run before. One Variable for each workspace holds these
    ways. It is read when it is needed for the first time; submissions of jobs never need it.

    Args:
        load: Reads a Variable; returns None if there is no such Variable.
        save: Writes a Variable: its name, its value, its description.
        monotonic: The clock for waiting.

    Attributes:
        name: The Variable.
    """

    def __init__(
        self,
        settings: WorkspaceSettings,
        load: Callable[[str], str | None],
        save: Callable[[str, str, str], None],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = f"azureml_evidence_{hashlib.sha256(settings.identity.encode()).hexdigest()[:16]}"
        self._load = load
        self._save = save
        self._now = now
        self._monotonic = monotonic
        self._found: set[str] = set()
        self._missed: dict[str, float] = {}
        self._is_read = False

    def _read(self) -> str | None:
        """Read the Variable, add its evidence to ours, and return its text: another task may have added some."""
        text = self._load(self.name)
        self._is_read = True
        try:
            with reading(ValueError):
                stored = parse(text or "{}")
                found = set(WAYS).intersection(stored.get("found", ()))
                missed = {way: float(moment) for way, moment in dict(stored.get("missed", {})).items()}
        except ValueError:
            # Somebody edited it. It is safe to start without evidence, and the next run provides it again.
            return text
        self._found |= found
        for way, moment in missed.items():
            if isfinite(moment):
                self._missed[way] = max(moment, self._missed.get(way, 0.0))
        for way in self._found:
            self._missed.pop(way, None)
        return text

    @property
    def _proven(self) -> set[str]:
        if not self._is_read:
            self._read()
        return self._found

    @property
    def due(self) -> tuple[str, ...]:
        """The ways that have to be tried."""
        now, proven = self._now(), self._proven
        return tuple(way for way in WAYS if way not in proven and now - self._missed.get(way, 0.0) > _MISS_LASTS)

    def proves_absence(self, result: Search) -> bool:
        """Whether a search that found nothing shows that there is nothing."""
        return not result.run_ids and bool(self._proven & result.answered)

    def may_yet_prove(self, result: Search) -> bool:
        """Whether a later search could prove more: either no look-up was answered, or one that has evidence was not."""
        return not result.answered or bool(self._proven - result.answered)

    def gather(self, key: str, experiment: str, pipeline_id: str | None, *, timeout: float) -> Flow[None]:
        """Test which of the ways that are due find a run that was just submitted.

        The run must be new, because the time until it is found matters: an old run proves nothing. This waits only
        while no way is known to work, which happens once for a workspace.

        Raises:
            StorageError: The evidence cannot be read back, so each run would have to provide it again.
        """
        due = self.due
        if not self._found:
            yield from search(key, experiment, pipeline_id, timeout=timeout, now=self._monotonic)
        for way in due:
            try:
                found = yield from look_up(way, key, experiment, pipeline_id)
            except AzureMLError:
                # It may answer tomorrow, but each attempt before that would delay a run.
                found = ()
            if found:
                self._found.add(way)
            else:
                self._missed[way] = self._now()
        before = self._read()
        text = json.dumps({"found": sorted(self._found), "missed": self._missed})
        self._save(self.name, text, "Azure ML: the ways in which runs are found by their key in this workspace")
        # Another task may have written something else; what that overwrites is learnt again.
        if self._load(self.name) == before != text:
            raise overridden(self.name)
