"""The runs that a watcher waits for, as its author names them. It is read when a DAG file is parsed, so it is light."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from aml_provider.blobs.rules import ON_FIRST_POLL
from aml_provider.client.arguments import as_choice, as_name, shown, wrong_type
from aml_provider.client.errors import InvalidArgument

if TYPE_CHECKING:
    from aml_provider.durable.run_facts import EndedRun

# The words of both services for the states in which a run ends.
_STATES = {"finished": "Finished", "completed": "Finished", "failed": "Failed", "canceled": "Canceled"}


class RunsKey(NamedTuple):
    """Identifies the watchers that share a query, because they need the same runs at the same times.

    Attributes:
        azureml_conn_id: The connection.
        kind: What is named: an argument of the trigger, such as ``experiment_name``.
        name: Its name or id; empty for ``component_name``, as all components share one list.
        poll_interval: Seconds between two polls.
    """

    azureml_conn_id: str
    kind: str
    name: str
    poll_interval: float

    def __str__(self) -> str:
        return f"Runs of {self.kind} {self.name!r}" if self.name else "Jobs of components"


class WantedRuns(NamedTuple):
    """The runs that a watcher fires events for, of those that its source has.

    Build it with :meth:`of`, which checks what a DAG author may write.

    Attributes:
        states: The states in which a run has ended: values of :class:`~aml_provider.client.entities.RunState`.
        tags: Tags that a run must have, ordered by name; None as a value means any value.
        pipeline_id: The published pipeline; None: any.
        pipeline_name: The published pipeline's name; None: any.
        component_name: The component's name; None: any.
        report_first: Whether the very first poll reports runs that have ended.
    """

    states: frozenset[str]
    tags: tuple[tuple[str, str | None], ...] = ()
    pipeline_id: str | None = None
    pipeline_name: str | None = None
    component_name: str | None = None
    report_first: bool = False

    @classmethod
    def of(
        cls,
        *,
        statuses: str | Iterable[str] = ("Finished",),
        tags: Mapping[str, str | None] | None = None,
        pipeline_id: str | None = None,
        pipeline_name: str | None = None,
        component_name: str | None = None,
        on_first_poll: str = "remember",
    ) -> WantedRuns:
        """Check a watcher's arguments.

        Raises:
            InvalidArgument: A value cannot be used; the message names the argument.
        """
        as_choice("on_first_poll", on_first_poll, ON_FIRST_POLL)
        return cls(
            _states(statuses), _tags(tags), pipeline_id, pipeline_name, component_name, on_first_poll == "report"
        )

    def wants(self, ended: EndedRun) -> bool:
        """Whether a run that has ended is one of them."""
        run = ended.run
        if run.state.value not in self.states:
            return False
        if self.pipeline_id is not None and run.pipeline_id.lower() != self.pipeline_id.lower():
            return False
        if self.pipeline_name is not None and (ended.is_job or ended.pipeline_name != self.pipeline_name):
            return False
        if self.component_name is not None and not (ended.is_job and ended.pipeline_name == self.component_name):
            return False
        return all(name in run.tags and value in {None, run.tags[name]} for name, value in self.tags)


def _states(statuses: Any) -> frozenset[str]:
    words = (statuses,) if isinstance(statuses, str) else statuses
    if isinstance(words, (bytes, Mapping)) or not isinstance(words, Iterable):
        raise wrong_type("statuses", statuses, "a list of statuses")
    found = set()
    for word in words:
        state = _STATES.get(word.lower()) if isinstance(word, str) else None
        if state is None:
            raise InvalidArgument(
                "statuses",
                f"has {shown(word)}; use Finished, Failed and Canceled, the statuses in which a run ends",
            )
        found.add(state)
    if not found:
        raise InvalidArgument("statuses", "is empty; use one or several of Finished, Failed and Canceled")
    return frozenset(found)


def _tags(tags: Any) -> tuple[tuple[str, str | None], ...]:
    if tags is None:
        return ()
    if not isinstance(tags, Mapping):
        raise wrong_type("tags", tags, "a mapping")
    for name, value in tags.items():
        as_name("tags", name)
        if value is not None and not isinstance(value, str):
            raise wrong_type(f"tags[{name!r}]", value, "text, or None for any value")
    return tuple(sorted(tags.items()))
