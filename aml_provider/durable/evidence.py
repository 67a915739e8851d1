"""What not finding a run proves about a submission whose reply was lost."""

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


# A way that did not find a run of ours is asked again after a day: the service may have learnt it.
_MISS_LASTS = 86_400.0


class Evidence:
    """Which ways of looking have found a run of ours in this workspace, within the grace time.

    That keys reach the run history and are found at once is likely, but not established for every workspace. So "not
    found" proves absence only for a way that found one before. The evidence is kept in one Variable per workspace.

    Args:
        settings: The workspace.
        load: Reads a Variable; None where there is none.
        save: Writes a Variable: its name, its value, its description.
        now: The wall clock.
        monotonic: The clock for waiting.
    """

    def __init__(
        self,
        settings: WorkspaceSettings,
        load: Callable[[str], str | None],
        save: Callable[[str, str, str], None],
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        name = "|".join([settings.cloud.name, settings.endpoint or "", settings.scope_path.lower()])
        self._name = f"azureml_evidence_{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self._load = load
        self._save = save
        self._now = now
        self._monotonic = monotonic
        self._found: set[str] = set()
        self._missed: dict[str, float] = {}
        self._read()

    def _read(self) -> str | None:
        """Add what is stored, and return it: another task may have learnt something meanwhile."""
        text = self._load(self._name)
        try:
            with reading(ValueError):
                stored = parse(text or "{}")
                found = set(WAYS).intersection(stored.get("found", ()))
                missed = {way: float(moment) for way, moment in dict(stored.get("missed", {})).items()}
        except ValueError:
            # Somebody edited it. Nothing learnt is the safe reading, and the next run teaches it again.
            return text
        self._found |= found
        for way, moment in missed.items():
            if isfinite(moment):
                self._missed[way] = max(moment, self._missed.get(way, 0.0))
        for way in self._found:
            self._missed.pop(way, None)
        return text

    @property
    def due(self) -> tuple[str, ...]:
        """The ways that wait to be tried."""
        now = self._now()
        return tuple(way for way in WAYS if way not in self._found and now - self._missed.get(way, 0.0) > _MISS_LASTS)

    def proves_absence(self, result: Search) -> bool:
        """Whether a search that found nothing shows that there is nothing."""
        return not result.run_ids and bool(self._found & result.answered)

    def may_yet_prove(self, result: Search) -> bool:
        """Whether a later search could show more: what would be proof, or everything, gave no answer this time."""
        return not result.answered or bool(self._found - result.answered)

    def gather(self, key: str, experiment: str, pipeline_id: str | None, *, timeout: float) -> Flow[None]:
        """Learn which of the ways that are due find a run that was submitted just now.

        Just now, because it is the time until it is found that counts: an older one proves nothing. This waits only
        while no way at all is known to work: that happens once for a workspace.

        Raises:
            RuntimeError: What was learnt cannot be read back, and would be learnt with every run.
        """
        due = self.due
        if not self._found:
            yield from search(key, experiment, pipeline_id, timeout=timeout, now=self._monotonic)
        for way in due:
            try:
                found = yield from look_up(way, key, experiment, pipeline_id)
            except AzureMLError:
                # Also one that would answer tomorrow: asking again with every run would cost every run.
                found = ()
            if found:
                self._found.add(way)
            else:
                self._missed[way] = self._now()
        before = self._read()
        text = json.dumps({"found": sorted(self._found), "missed": self._missed})
        self._save(self._name, text, "Azure ML: the ways in which runs are found by their key in this workspace")
        # Another task may have written something else: what that loses is learnt again.
        if self._load(self._name) == before != text:
            raise overridden(self._name)
