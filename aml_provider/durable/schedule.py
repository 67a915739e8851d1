"""One native schedule, kept as its author wants it: made once, updated in place, replaced only where it has to be.

The service has no idempotency key for a creation and does not mind two schedules of one name. So each creation carries
a key, and an intent is written down before it is sent: whoever finds one looks for the schedule before making another.
"""

from __future__ import annotations

import hashlib
import json
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from aml_provider.client import calls
from aml_provider.client.arguments import DISABLED
from aml_provider.client.errors import AmbiguousSchedule, AzureMLError, NotFound, ScheduleExists, ScheduleStartedRun
from aml_provider.client.flows.finding import describe
from aml_provider.client.flows.schedules import (
    CREATING,
    RETIRED,
    STATE,
    change,
    check_provisioning,
    only_one,
    set_status,
)
from aml_provider.client.http.messages import Flow, Pause
from aml_provider.client.specs.recurrence import park
from aml_provider.client.specs.schedule import with_properties, with_status
from aml_provider.durable.arrival import patience_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun, Schedule
    from aml_provider.client.specs.schedule import ScheduleRequest
    from aml_provider.client.specs.target import Target

#: The property that names a schedule's keeper, so that it is found again.
KEY = "airflow.schedule_key"
_DEPLOYMENT = "airflow.schedule_deployment"
_DAG = "airflow.schedule_dag_id"
_TASK = "airflow.schedule_task_id"
_RUN = "airflow.schedule_run_id"
_MAP_INDEX = "airflow.schedule_map_index"

_LOOK_EVERY = 5.0
_LATER = datetime.max.replace(tzinfo=UTC)


class Keeper(NamedTuple):
    """Who keeps a schedule: a task of a DAG, through all its runs.

    Args:
        deployment: Names this Airflow.
        dag_id: The DAG.
        task_id: The task.
        run_id: The DAG run at hand; it tells what this very task instance has made.
        map_index: The index of a mapped task, else -1.
    """

    deployment: str
    dag_id: str
    task_id: str
    run_id: str
    map_index: int = -1

    def key(self, name: str) -> str:
        """The key of the schedule of this name: the same in every run of the DAG."""
        text = json.dumps([self.deployment, self.dag_id, self.task_id, name])
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def marks(self, name: str) -> dict[str, str]:
        """The properties by which the schedule is known as this keeper's."""
        return {KEY: self.key(name), _DEPLOYMENT: self.deployment, _DAG: self.dag_id, _TASK: self.task_id}

    def birth_marks(self) -> dict[str, str]:
        """The properties that say which task instance made it."""
        return {_RUN: self.run_id, _MAP_INDEX: str(self.map_index)}


class Intent(NamedTuple):
    """A creation that was sent, or was about to be.

    Args:
        key: The schedule's key.
        at: When, in seconds since the epoch.
        schedule_id: What came of it; None while that is not known.
    """

    key: str
    at: float
    schedule_id: str | None = None


class Intents(Protocol):
    """Keeps one intent through crashes and retries."""

    def load(self) -> Intent | None:
        """Read the intent."""

    def save(self, intent: Intent) -> None:
        """Replace the intent; when this returns, it is stored."""

    def clear(self) -> None:
        """Forget the intent."""


class Upkeep:
    """The way to one schedule that is as it is wanted.

    Args:
        wanted: What it shall be.
        target: What it shall run.
        keeper: Whose it is.
        if_exists: What becomes of one that exists already: ``update``, ``reuse`` or ``fail``.
        intents: Keeps the intent of a creation.
        grace: Seconds for which a creation whose reply was lost is looked for.
        say: Called with what was done.
        warn: Called with what was not as expected.
        now: The wall clock.
    """

    def __init__(
        self,
        *,
        wanted: ScheduleRequest,
        target: Target,
        keeper: Keeper,
        if_exists: str,
        intents: Intents,
        grace: float,
        say: Callable[[str], None],
        warn: Callable[[str], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._wanted = wanted
        self._target = target
        self._keeper = keeper
        self._key = keeper.key(wanted.name)
        self._if_exists = if_exists
        self._intents = intents
        self._grace = grace
        self._say = say
        self._warn = warn
        self._now = now

    def settle(self) -> Flow[Schedule]:
        """Come to the one schedule, and make it as it is wanted.

        Raises:
            AmbiguousSchedule: Several have the name; the message lists them.
            ScheduleExists: It exists and must not (``fail``), or another Airflow keeps it.
            ScheduleStartedRun: It was to be created as Disabled, and has started a run all the same.
            ProvisioningFailed: The service says at once that it cannot set it up.
            AzureMLError: The service refused, or could not be reached.
        """
        intent = self._intents.load()
        if intent is not None and intent.key == self._key:
            # An earlier try has made it, or may have, and came no further.
            made = yield from self._await_arrival(
                intent, self._now() + patience_for(intent.at, self._grace, self._now())
            )
            if made is not None:
                return (yield from self._complete(made))
        found = yield from self._look()
        if found is None:
            return (yield from self._make())
        if found.properties.get(KEY) == self._key and found.properties.get(STATE) == CREATING:
            return (yield from self._complete(found))
        if not self._is_our_own_making(found):
            if self._if_exists == "fail":
                raise ScheduleExists(
                    f"Schedule {self._wanted.name!r} exists already: {describe(found)} (if_exists='fail')."
                )
            if self._if_exists == "reuse":
                self._say(
                    f"Schedule {found.name!r} ({found.id}) exists, is {found.status} and is left as it is "
                    "(if_exists='reuse')."
                )
                return found
            self._check_keeper(found)
        if self._wanted.fits(found, self._target):
            return (yield from self._bring_about(found))
        return (yield from self._replace(found))

    def _look(self) -> Flow[Schedule | None]:
        """Our schedule: the one of our key, else the one of our name."""
        listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
        ours = [item for item in listed if item.properties.get(KEY) == self._key]
        ours = [item for item in ours if item.properties.get(STATE) != RETIRED]
        active = [item for item in ours if item.is_active]
        if len(active) > 1:
            raise AmbiguousSchedule(
                f"name: {len(active)} schedules have this task's key for {self._wanted.name!r}: "
                f"{'; '.join(map(describe, active))}. Disable all but one."
            )
        if ours:
            return _first(active or ours)
        named = [item for item in listed if item.name == self._wanted.name]
        if not any(item.is_active for item in named):
            # Without our marks, what we have replaced is known by what it was replaced for.
            named = [item for item in named if self._wanted.fits(item, self._target)] or named
        return only_one("name", self._wanted.name, named)

    def _await_arrival(self, intent: Intent, until: float) -> Flow[Schedule | None]:
        """What came of a creation; None where nothing has come of it by then."""
        if intent.schedule_id is not None:
            # A list may be behind; the id is not.
            try:
                made: Schedule = yield calls.get_schedule(intent.schedule_id)
            except NotFound:
                return None
            return None if made.properties.get(STATE) == RETIRED else made
        while True:
            listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
            # None that fits had our key or our name before, or there would have been no creation.
            found = [item for item in listed if self._is_it(item)]
            if found:
                return _first(found)
            if self._now() >= until:
                return None
            self._say(f"A creation of schedule {self._wanted.name!r} may still arrive; looking for it.")
            yield Pause(min(_LOOK_EVERY, until - self._now()))

    def _is_it(self, schedule: Schedule) -> bool:
        properties = schedule.properties
        known = properties.get(KEY, None if schedule.name != self._wanted.name else self._key)
        return known == self._key and properties.get(STATE) != RETIRED and self._wanted.fits(schedule, self._target)

    def _is_our_own_making(self, schedule: Schedule) -> bool:
        """Whether this very task instance has made it."""
        properties = schedule.properties
        if properties.get(KEY) != self._key or properties.get(_RUN) != self._keeper.run_id:
            return False
        if properties.get(_MAP_INDEX) != str(self._keeper.map_index):
            raise ScheduleExists(
                f"name: mapped task instance {properties.get(_MAP_INDEX)} of this DAG run has made a schedule of this "
                f"name, {describe(schedule)}; give each a name of its own."
            )
        return True

    def _check_keeper(self, schedule: Schedule) -> None:
        """Leave alone what another Airflow keeps; tell of a take-over from another task."""
        properties = schedule.properties
        if KEY not in properties or properties[KEY] == self._key:
            return
        other = f"DAG {properties.get(_DAG)!r}, task {properties.get(_TASK)!r}"
        deployment = properties.get(_DEPLOYMENT)
        if deployment != self._keeper.deployment:
            raise ScheduleExists(
                f"Schedule {describe(schedule)} of the name {schedule.name!r} is kept by another Airflow "
                f"(deployment_id {deployment!r}, {other}). Give this one another name; or, if that Airflow is no more, "
                f"set the option [azureml] deployment_id to {deployment!r}."
            )
        if not self._wanted.fits(schedule, self._target):
            raise ScheduleExists(
                f"Schedule {describe(schedule)} of the name {schedule.name!r} is kept by {other}, for something else "
                f"than {self._target}. Give this one another name, or disable that one."
            )
        self._warn(f"Schedule {schedule.name!r} ({schedule.id}) was kept by {other}; this task keeps it now.")

    def _make(self) -> Flow[Schedule]:
        """Create the schedule: at once as it is wanted, or, if it is to start no run, parked and then disabled."""
        properties = self._keeper.marks(self._wanted.name) | self._keeper.birth_marks()
        body = self._wanted.to_wire(self._target, properties)
        if self._wanted.status == DISABLED:
            moment = datetime.fromtimestamp(self._now(), UTC).replace(tzinfo=None)
            body = self._wanted.parked(with_properties(body, {STATE: CREATING}), lambda wire: park(wire, moment))
        # The intent first: from here on a crash means doubt, and doubt means a look-up.
        intent = Intent(self._key, self._now())
        self._intents.save(intent)
        try:
            made: Schedule = yield calls.create_schedule(body)
        except AzureMLError as error:
            if not error.in_doubt:
                self._intents.clear()
                raise
            self._warn(f"The reply to the schedule's creation was lost; looking for it. {error}")
            found = yield from self._await_arrival(intent, self._now() + self._grace)
            if found is None:
                # The intent stays: a retry goes on looking for as long as the request may be on its way.
                raise
            self._intents.save(intent._replace(schedule_id=found.id))
            return (yield from self._complete(found))
        parked = ", starts no run, and is disabled next" if self._wanted.status == DISABLED else ""
        self._say(
            f"Schedule {self._wanted.name!r} was created: {made.id}, for {self._target}; it is {made.status}{parked}."
        )
        self._intents.save(intent._replace(schedule_id=made.id))
        if self._wanted.status == DISABLED:
            return (yield from self._complete(made))
        yield from self._settle_intent(made)
        check_provisioning(made)
        return made

    def _complete(self, schedule: Schedule) -> Flow[Schedule]:
        """Bring a creation to its end, which for a Disabled schedule includes that it has started no run."""
        if not self._wanted.fits(schedule, self._target):
            # The arguments have changed since.
            return (yield from self._replace(schedule))
        schedule = yield from self._bring_about(schedule)
        run: PipelineRun | None = None
        if self._wanted.status == DISABLED:
            run = yield calls.get_last_run_of_schedule(schedule.id)
        yield from self._settle_intent(schedule)
        if run is not None:
            raise ScheduleStartedRun(
                f"Schedule {schedule.name!r} ({schedule.id}) is disabled, as it is wanted, but the service has started "
                f"run {run.id} of it ({run.status}). Cancel that run in the studio if it does harm, then clear this "
                "task."
            )
        return schedule

    def _settle_intent(self, schedule: Schedule) -> Flow[None]:
        """Forget the intent when the next look will find the schedule: a list may be behind what was created."""
        until = self._now() + self._grace
        while True:
            listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
            if any(item.id == schedule.id for item in listed):
                self._intents.clear()
                return
            if self._now() >= until:
                self._warn(f"Schedule {schedule.id} is there, but the service does not list it yet.")
                return
            yield Pause(min(_LOOK_EVERY, max(0.0, until - self._now())))

    def _bring_about(self, schedule: Schedule) -> Flow[Schedule]:
        """Write what differs, and nothing where nothing does."""
        if self._wanted.status == DISABLED and schedule.is_active:
            # Disabled first: what else is written could make an active one start a run.
            schedule, _ = yield from set_status(schedule.id, DISABLED)
        if self._edit(schedule) is None:
            self._say(f"Schedule {schedule.name!r} ({schedule.id}) is as it is wanted, and {schedule.status}.")
            return schedule
        differences = self._wanted.differences(schedule)
        schedule, _ = yield from change(schedule.id, self._edit)
        what = f"updated: {', '.join(differences)}" if differences else "written again"
        self._say(f"Schedule {schedule.name!r} ({schedule.id}) was {what}; it is {schedule.status}.")
        return schedule

    def _edit(self, schedule: Schedule) -> dict[str, Any] | None:
        """The entity as it is wanted; None where it is so already."""
        unfinished = schedule.properties.get(STATE) == CREATING
        if not self._wanted.differences(schedule) and not unfinished and schedule.provisioning != "Failed":
            return None
        marks: dict[str, str | None] = {**self._keeper.marks(self._wanted.name), STATE: None}
        return with_properties(self._wanted.merged(schedule), marks)

    def _replace(self, old: Schedule) -> Flow[Schedule]:
        """Disable a schedule of another pipeline or kind, which cannot be changed, and make a new one."""
        # Disabled first: two active ones would both start runs.
        yield from change(old.id, _retire)
        new = yield from self._make()
        self._say(
            f"Schedule {self._wanted.name!r} was replaced, because a schedule's pipeline and kind cannot be changed: "
            f"{old.id} is disabled, {new.id} is new and {new.status}."
        )
        return new


def _first(found: list[Schedule]) -> Schedule:
    return min(found, key=lambda item: (item.created or _LATER, item.id))


def _retire(schedule: Schedule) -> dict[str, Any] | None:
    if not schedule.is_active and schedule.properties.get(STATE) == RETIRED:
        return None
    return with_properties(with_status(schedule, DISABLED), {STATE: RETIRED})
