"""The provider's metrics, by the component of the demo's Airflow that sent them."""

from __future__ import annotations

import contextlib
import re
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Self

from statsd_server import StatsdServer
from watched_dag import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from statsd_server import Sample

_DOCS = Path(__file__).resolve().parents[1] / "docs" / "reference" / "metrics.md"
_ROW = re.compile(r"^\| `azureml\.(\S+)` \|(?:[^|]*\|){3} ([^|]*) \|", re.MULTILINE)
_PREFIX = "airflow.azureml."
# Who sends them, as the documentation calls it, and the component whose environment names its server. LocalExecutor
# starts the processes of the tasks, our worker, from the scheduler's, and they have the same environment.
_SENDERS = {"worker": "scheduler", "triggerer": "triggerer", "API server": "api-server"}
# A metric is sent before what it counts is visible, except a cancel: that is sent once the workspace has accepted it.
_TIMEOUT = 15


class ComponentMetrics:
    """A context manager with a StatsD server of its own for each component, as plain UDP does not show who sends.

    Attributes:
        settings: Airflow's options that send to these servers, by component.
    """

    def __init__(self) -> None:
        self._servers = {sender: StatsdServer() for sender in _SENDERS}
        self._stack = contextlib.ExitStack()
        self.settings: dict[str, dict[str, dict[str, object]]] = {}

    def __enter__(self) -> Self:
        for server in self._servers.values():
            self._stack.enter_context(server)
        self.settings = {
            component: {"metrics": self._servers[sender].settings} for sender, component in _SENDERS.items()
        }
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def check(self, counted: Mapping[str, Mapping[str, float]], *, sent: Mapping[str, tuple[str, ...]]) -> None:
        """Make sure that each metric has arrived, from a component that the documentation names for it.

        Args:
            counted: The sums of counters that are known, by sender and name.
            sent: More metrics that must have arrived, with any value, by sender.

        Raises:
            StoryError: A metric is missing, has another sum, or came from another component.
        """
        deadline = time.monotonic() + _TIMEOUT
        while wrong := [*self._missing(counted, sent)]:
            require(time.monotonic() < deadline, f"the metrics are not as they should be: {', '.join(wrong)}")
            time.sleep(0.2)
        senders = {_pattern(name): sent_by for name, sent_by in _ROW.findall(_DOCS.read_text(encoding="utf-8"))}
        for sender, samples in self._samples().items():
            for name in samples:
                named = [sent_by for pattern, sent_by in senders.items() if re.fullmatch(pattern, name)]
                require(
                    any(sent_by == "all" or sender in sent_by for sent_by in named),
                    f"the {sender} sent azureml.{name}, and {_DOCS.name} does not name it as a sender",
                )

    def lines(self) -> Iterator[str]:
        """A table of what has arrived: metrics, and what each component has sent."""
        sent = self._samples()
        names = sorted({name for samples in sent.values() for name in samples})
        width = max(map(len, names), default=0)
        yield f"{'azureml.':{width}}" + "".join(f"  {sender:>12}" for sender in sent)
        for name in names:
            cells = "".join(f"  {_told(samples.get(name, [])):>12}" for samples in sent.values())
            yield f"{name:{width}}{cells}".rstrip()

    def _missing(
        self, counted: Mapping[str, Mapping[str, float]], sent: Mapping[str, tuple[str, ...]]
    ) -> Iterator[str]:
        found = self._samples()
        for sender, sums in counted.items():
            for name, expected in sums.items():
                number = sum(sample.value for sample in found[sender].get(name, ()))
                if number != expected:
                    yield f"azureml.{name} of the {sender} is {number:g}, not {expected:g}"
        for sender, names in sent.items():
            for name in names:
                if not any(sample.value for sample in found[sender].get(name, ())):
                    yield f"azureml.{name} of the {sender} has not arrived"

    def _samples(self) -> dict[str, dict[str, list[Sample]]]:
        """What each component has sent, by the names of the metrics."""
        found: dict[str, dict[str, list[Sample]]] = {}
        for sender, server in self._servers.items():
            found[sender] = defaultdict(list)
            for sample in server.samples(_PREFIX):
                found[sender][sample.name.removeprefix(_PREFIX)].append(sample)
        return found


def _pattern(name: str) -> str:
    """A pattern for the metrics of a row of the documentation, which may end with a variable part."""
    return re.sub("<.*>", r"\\w+", re.escape(name))


def _told(samples: list[Sample]) -> str:
    if not samples:
        return ""
    values = [sample.value for sample in samples]
    match samples[0].kind:
        case "c":
            return f"{sum(values):g}"
        case "g":
            return f"up to {max(values):.3g}"
    return f"{sum(values) / len(values):.0f} ms"
