"""Ways in which the real service may differ from what the emulator does by default."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.clock import LONGEST_MOVE, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

_FILTERS = ("supported", "refused", "ignored")
_CHOICES = {
    "disabled_creation": ("honoured", "ignored"),
    "dates": ("precise", "offset", "seconds", "zoneless"),
    "list_envelope": ("none", "entity", "value"),
    "properties_filter": ("supported", "names", "refused", "ignored"),
    "property_filters": _FILTERS,
    "schedule_filter": _FILTERS,
    "tag_filters": _FILTERS,
    "update_fires": ("changed", "always", "never"),
}
_TEXTS = {"provisioning_fails": "The schedule could not be provisioned."}
_RANGES = {"disabled_status": (400, 499), "page_size": (1, 1_000_000), "put_again": (400, 499)}


@dataclass(frozen=True, slots=True)
class Quirks:
    """One field per quirk; its default is the emulator's normal behaviour.

    Attributes:
        active_only_default: A list of the pipelines service without ``activeOnly`` contains only active entities.
        dates: How replies write instants: with seven fractional digits and a Z (``precise``), with ``+00:00`` in place
            of the Z (``offset``), in whole seconds (``seconds``), or without a zone (``zoneless``).
        digit_enums: The pipelines service writes enumerations as digits in quotes.
        disable_with_schedules: A pipeline with active schedules can be disabled; the schedules then start nothing.
        disabled_creation: Whether a job schedule that is created with ``isEnabled`` false is disabled; with ``ignored``
            it is enabled.
        disabled_status: The HTTP status that refuses a submission to a disabled pipeline or endpoint.
        drop_properties: The properties of a submission do not reach the run.
        drop_tags: The tags of a submission do not reach the run.
        epoch_dates: The dates of pipeline runs are in 1970; only their ``Status`` has the real times.
        exact_keys: The keys of a body count only in the case that Microsoft's SDK uses.
        first_job_at_once: A new job schedule without a start time starts a job immediately, even with lists or a cron
            expression.
        history_lag: Seconds until ``runs:query`` and a pipeline's list of runs contain a new run.
        history_late: Seconds during which run history answers 404 to a GET of a new run by its id.
        iana_zones_refused: A job schedule with an IANA time zone, such as ``Asia/Seoul``, is refused.
        int_enums: The pipelines service writes enumerations as numbers, as it did until about 2020.
        late_cancel_refused: Cancelling a run that has ended is a 400.
        job_token_required: The PUT of a job without the header ``x-azureml-token`` is refused.
        list_envelope: Lists of the pipelines service come in pages: ``entity`` as ``{Entity, ContinuationToken}``,
            ``value`` as ``{value, continuationToken, nextLink}``; the next request sends the token in its query.
        list_lag: Seconds until the list of jobs contains a new job.
        minute_zero: A recurrence with hours and without minutes fires at minute 0.
        mutable_properties: A property of a run can be changed.
        null_last_run: The last run of a schedule without runs is a 200 with ``null``.
        null_status: A pipeline run has no ``Status`` before it starts.
        odd_statuses: A pipeline run is Queued instead of NotStarted, and Unknown instead of Running.
        omit_nulls: Replies leave out null values.
        one_run_per_poll: A datastore trigger starts one run for all changed blobs, with the folder as its data path.
        page_size: The most items in a page.
        properties_filter: How ``properties=`` filters the list of jobs: by names and values (``supported``), by names
            only (``names``), or not at all (``ignored``); with ``refused`` it is a 400.
        property_filters: Whether filters can use properties other than ``azureml.…``: with ``refused`` they are a 400,
            with ``ignored`` they match everything.
        provisioning: Seconds for which a schedule is provisioned after each change.
        provisioning_fails: The message with which provisioning fails; empty: it succeeds.
        put_again: The HTTP status with which a second PUT of a job is refused as immutable even if nothing differs;
            by default it is accepted.
        put_replaces_tags: A second PUT of a job removes the tags that it does not contain.
        rest_statuses: Creations and submissions answer 201, and replies without content 204, except on ARM.
        schedule_filter: Whether ``scheduleId=`` filters the list of jobs; values as for ``property_filters``.
        slow_cancel: Seconds between the request to cancel a run and its end.
        slow_delete: Seconds that deleting an experiment takes; the DELETE then answers 202 with a ``Location`` to poll.
        swapped_errors: The pipelines service writes errors in camelCase, the others in PascalCase.
        tag_filters: Whether filters can use tags; values as for ``property_filters``.
        update_fires: Which updates of an active schedule without a start time start a run immediately: those that
            change the recurrence (``changed``), all (``always``) or none (``never``).
        v1_gone: The pipelines and datastore services answer every request with a 410; the v2 API and run history work.
    """

    active_only_default: bool = False
    dates: str = "precise"
    digit_enums: bool = False
    disable_with_schedules: bool = False
    disabled_creation: str = "honoured"
    disabled_status: int = 400
    drop_properties: bool = False
    drop_tags: bool = False
    epoch_dates: bool = False
    exact_keys: bool = False
    first_job_at_once: bool = False
    history_lag: float = 0.0
    history_late: float = 0.0
    iana_zones_refused: bool = False
    int_enums: bool = False
    late_cancel_refused: bool = False
    job_token_required: bool = False
    list_envelope: str = "none"
    list_lag: float = 0.0
    minute_zero: bool = False
    mutable_properties: bool = False
    null_last_run: bool = False
    null_status: bool = False
    odd_statuses: bool = False
    omit_nulls: bool = False
    one_run_per_poll: bool = False
    page_size: int = 500
    properties_filter: str = "supported"
    property_filters: str = "supported"
    provisioning: float = 0.0
    provisioning_fails: str = ""
    put_again: int = 200
    put_replaces_tags: bool = False
    rest_statuses: bool = False
    schedule_filter: str = "supported"
    slow_cancel: float = 0.0
    slow_delete: float = 0.0
    swapped_errors: bool = False
    tag_filters: str = "supported"
    update_fires: str = "changed"
    v1_gone: bool = False

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Quirks:
        """Quirks from ``NAME`` or ``NAME=VALUE``; durations are seconds and may end in ``s``.

        Raises:
            ValueError: A name is unknown, or a value is invalid.
        """
        known: dict[str, type] = {field.name: type(field.default) for field in fields(cls)}
        values: dict[str, Any] = {}
        for text in texts:
            name, has_value, value = text.partition("=")
            if name not in known:
                raise ValueError(f"unknown quirk {name!r}; known are {', '.join(sorted(known))}")
            values[name] = _value(name, known[name], value if has_value else None)
        if {"int_enums", "digit_enums"} <= values.keys():
            raise ValueError("quirks int_enums and digit_enums exclude each other")
        return cls(**values)


def _value(name: str, kind: type, text: str | None) -> Any:
    if kind is bool:
        if text is not None:
            raise ValueError(f"quirk {name} takes no value")
        return True
    if text is None and name not in _TEXTS:
        raise ValueError(f"quirk {name} needs a value")
    if kind is not str:
        return _number(name, kind, text or "")
    if name in _CHOICES and text not in _CHOICES[name]:
        raise ValueError(f"quirk {name} is one of {', '.join(_CHOICES[name])}, not {text!r}")
    return text or _TEXTS[name]


def _number(name: str, kind: type, text: str) -> Any:
    least, most = _RANGES.get(name, (0, LONGEST_MOVE))
    try:
        number = kind(text if kind is int else text.removesuffix("s"))
    except ValueError:
        number = math.nan
    if not least <= number <= most:
        wanted = f"a {'number of seconds' if kind is float else 'whole number'} from {least} to {most:.0f}"
        raise ValueError(f"quirk {name} is {wanted}, not {shown(text)}")
    return number
