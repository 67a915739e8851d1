"""Reconciles one native schedule with its author's arguments: created once, updated in place, replaced only if needed.

The service has no idempotency key for a creation and allows two schedules with the same name. So each creation carries
a key, and an intent is stored before the creation is sent. A try that finds an intent searches for the schedule before
it creates one.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
from aml_provider.client.help import text_of
from aml_provider.client.http.messages import Flow, Pause
from aml_provider.client.specs.schedule import with_properties, with_status
from aml_provider.durable.late_request import store_before_request
from aml_provider.durable.lookup import arrival_timeout
from aml_provider.durable.schedule_intent import Intent
from aml_provider.durable.schedule_owner import KEY

if TYPE_CHECKING:
    from collections.abc import Callable

    from aml_provider.client.entities import PipelineRun, Schedule
    from aml_provider.client.specs.schedule import ScheduleRequest
    from aml_provider.client.specs.target import Target
    from aml_provider.durable.log import Log
    from aml_provider.durable.schedule_owner import ScheduleOwner
    from aml_provider.stored import Slot

_POLL_INTERVAL = 5.0
_LATER = datetime.max.replace(tzinfo=UTC)


class ScheduleReconciler:
    """Makes one schedule match what is wanted.

    Args:
        target: The pipeline or endpoint that the schedule should run.
        if_exists: What to do if the schedule exists already: ``update``, ``reuse`` or ``fail``.
        intent_slot: The place where the intent to create the schedule is stored.
        lookup_timeout: Seconds for which the schedule is searched for if the reply to its creation was lost.
    """

    def __init__(
        self,
        *,
        wanted: ScheduleRequest,
        target: Target,
        owner: ScheduleOwner,
        if_exists: str,
        intent_slot: Slot,
        lookup_timeout: float,
        log: Log,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wanted = wanted
        self._target = target
        self._owner = owner
        self._key = owner.key(wanted.name)
        self._if_exists = if_exists
        self._intent_slot = intent_slot
        self._lookup_timeout = lookup_timeout
        self._log = log
        self._now = now
        self._monotonic = monotonic

    def reconcile(self) -> Flow[Schedule]:
        """Find or create the schedule, and make it match what is wanted.

        Raises:
            AmbiguousSchedule: Several have the name; the message lists them.
            ScheduleExists: It exists although it must not (``fail``), or another Airflow or task owns it.
            ScheduleStartedRun: It should have been created as disabled, but it has started a run.
            ProvisioningFailed: The service reports immediately that it cannot set it up.
            AzureMLError: The service refused, or could not be reached.
        """
        intent = Intent.load(self._intent_slot)
        if intent is not None and intent.key == self._key:
            # An earlier try has created it, or may have, and got no further.
            timeout = arrival_timeout(intent.at, self._lookup_timeout, self._now(), intent.looked_up)
            made = yield from self._await_arrival(intent, timeout)
            if made is not None:
                return (yield from self._complete(made))
        found = yield from self._find()
        if found is None:
            return (yield from self._create())
        if found.properties.get(KEY) == self._key and found.properties.get(STATE) == CREATING:
            return (yield from self._complete(found))
        if not self._owner.has_created(found.properties, self._key, describe(found)):
            if self._if_exists == "fail":
                raise ScheduleExists(
                    f"Schedule {self._wanted.name!r} exists already: {describe(found)} (if_exists='fail')."
                )
            if self._if_exists == "reuse":
                self._log.info(
                    f"Schedule {found.name!r} ({found.id}) exists, is {found.status} and is not changed "
                    "(if_exists='reuse')."
                )
                return found
            self._owner.check(
                found.properties,
                self._key,
                described=f"{describe(found)} of the name {found.name!r}",
                other_target=None if self._wanted.fits(found, self._target) else str(self._target),
                warn=self._log.warning,
            )
        if self._wanted.fits(found, self._target):
            return (yield from self._update(found))
        return (yield from self._replace(found))

    def _find(self) -> Flow[Schedule | None]:
        """The schedule with our key, else the one with our name."""
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
            # A schedule that we replaced may have lost our properties. We replaced it because it did not fit.
            named = [item for item in named if self._wanted.fits(item, self._target)] or named
        return only_one("name", self._wanted.name, named)

    def _await_arrival(self, intent: Intent, timeout: float) -> Flow[Schedule | None]:
        """The schedule that a creation has made; None if there is none when ``timeout`` seconds have passed."""
        if intent.schedule_id is not None:
            # A list may be out of date; a look-up by id is not.
            try:
                made: Schedule = yield calls.get_schedule(intent.schedule_id)
            except NotFound:
                return None
            return None if made.properties.get(STATE) == RETIRED else made
        start = self._monotonic()
        while True:
            listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
            # Before the creation, no fitting schedule had our key or our name: else none would have been created.
            found = [item for item in listed if self._is_it(item)]
            if found:
                return _first(found)
            passed = self._monotonic() - start
            if passed >= timeout:
                return None
            self._keep(intent._replace(looked_up=intent.looked_up + passed))
            self._log.info(f"Schedule {self._wanted.name!r} may still be created by a lost request; searching for it.")
            yield Pause(min(_POLL_INTERVAL, timeout - passed))

    def _keep(self, intent: Intent) -> None:
        """Store how long the search has lasted: an ``execution_timeout`` may be shorter, and the next try continues."""
        try:
            intent.save(self._intent_slot)
        except Exception as error:  # noqa: BLE001 - without it the next try only searches for longer
            self._log.warning(f"How long the search has lasted could not be stored: {text_of(error)}")

    def _is_it(self, schedule: Schedule) -> bool:
        properties = schedule.properties
        known = properties.get(KEY, None if schedule.name != self._wanted.name else self._key)
        return known == self._key and properties.get(STATE) != RETIRED and self._wanted.fits(schedule, self._target)

    def _create(self) -> Flow[Schedule]:
        """Create the schedule. One that must not start runs gets a far-future start, and is disabled afterwards."""
        properties = self._owner.owner_properties(self._wanted.name) | self._owner.created_by_properties()
        body = self._wanted.to_wire(self._target, properties)
        if self._wanted.status == DISABLED:
            moment = datetime.fromtimestamp(self._now(), UTC).replace(tzinfo=None)
            body = self._wanted.parked(with_properties(body, {STATE: CREATING}), moment)
        # The intent first: after a crash from here on, the next try looks for the schedule.
        intent = store_before_request(
            lambda now: Intent(self._key, now),
            lambda intent: intent.save(self._intent_slot),
            lambda intent: Intent.load(self._intent_slot) == intent,
            withdraw=lambda _: self._intent_slot.delete(),
            overtaken=AzureMLError,
            now=self._now,
            log=self._log,
        )
        try:
            made: Schedule = yield calls.create_schedule(body)
        except AzureMLError as error:
            if not error.in_doubt:
                self._intent_slot.delete()
                raise
            self._log.warning(
                f"The reply to the schedule's creation was lost; searching for the schedule. {error.text}"
            )
            found = yield from self._await_arrival(intent, self._lookup_timeout)
            if found is None:
                # The intent stays: a retry continues to search for as long as the request may still arrive.
                raise
            intent._replace(schedule_id=found.id).save(self._intent_slot)
            return (yield from self._complete(found))
        note = ", starts no run, and is disabled next" if self._wanted.status == DISABLED else ""
        self._log.info(
            f"Schedule {self._wanted.name!r} was created: {made.id}, for {self._target}; it is {made.status}{note}."
        )
        intent._replace(schedule_id=made.id).save(self._intent_slot)
        if self._wanted.status == DISABLED:
            return (yield from self._complete(made))
        yield from self._delete_intent(made)
        check_provisioning(made)
        return made

    def _complete(self, schedule: Schedule) -> Flow[Schedule]:
        """Finish a creation; for a Disabled schedule, also check that it has started no run."""
        if not self._wanted.fits(schedule, self._target):
            # The arguments have changed since then.
            return (yield from self._replace(schedule))
        schedule = yield from self._update(schedule)
        run: PipelineRun | None = None
        if self._wanted.status == DISABLED:
            run = yield calls.get_last_run_of_schedule(schedule.id)
        yield from self._delete_intent(schedule)
        if run is not None:
            raise ScheduleStartedRun(
                f"Schedule {schedule.name!r} ({schedule.id}) is disabled, as requested, but the service has started "
                f"run {run.id} of it ({run.status}). Cancel that run in the studio if it does harm, then clear this "
                "task."
            )
        return schedule

    def _delete_intent(self, schedule: Schedule) -> Flow[None]:
        """Delete the intent once the service lists the schedule, so that the next run of the DAG finds it."""
        until = self._monotonic() + self._lookup_timeout
        while True:
            listed: tuple[Schedule, ...] = yield calls.list_schedules(active_only=False)
            if any(item.id == schedule.id for item in listed):
                self._intent_slot.delete()
                return
            if self._monotonic() >= until:
                self._log.warning(f"Schedule {schedule.id} exists, but the service does not list it yet.")
                return
            yield Pause(min(_POLL_INTERVAL, max(0.0, until - self._monotonic())))

    def _update(self, schedule: Schedule) -> Flow[Schedule]:
        """Write what differs, if anything does."""
        if self._wanted.status == DISABLED and schedule.is_active:
            # Disabled first: any other write could make an active schedule start a run.
            schedule, _ = yield from set_status(schedule.id, DISABLED)
        if self._edit(schedule) is None:
            self._log.info(f"Schedule {schedule.name!r} ({schedule.id}) needs no change; it is {schedule.status}.")
            return schedule
        differences = self._wanted.differences(schedule)
        schedule, _ = yield from change(schedule.id, self._edit)
        what = f"updated: {', '.join(differences)}" if differences else "written again"
        self._log.info(f"Schedule {schedule.name!r} ({schedule.id}) was {what}; it is {schedule.status}.")
        return schedule

    def _edit(self, schedule: Schedule) -> dict[str, Any] | None:
        """The entity as it is wanted; None if it needs no change."""
        unfinished = schedule.properties.get(STATE) == CREATING
        if not self._wanted.differences(schedule) and not unfinished and schedule.provisioning != "Failed":
            return None
        properties: dict[str, str | None] = {**self._owner.owner_properties(self._wanted.name), STATE: None}
        return with_properties(self._wanted.merged(schedule), properties)

    def _replace(self, old: Schedule) -> Flow[Schedule]:
        """Disable a schedule whose pipeline or kind cannot be changed, and create a new one."""
        # Disabled first: two active ones would both start runs.
        yield from change(old.id, _retire)
        new = yield from self._create()
        self._log.info(
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
