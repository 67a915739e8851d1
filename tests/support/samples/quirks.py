"""A sample of every quirk of the local workspace, for tests that must hold under each of them."""

from __future__ import annotations

#: How the service may be, one at a time. Durations count in a clock that runs a hundred times as fast.
QUIRKS = (
    "active_only_default",
    "dates=offset",
    "dates=seconds",
    "dates=zoneless",
    "digit_enums",
    "disable_with_schedules",
    "disabled_status=409",
    "drop_properties",
    "drop_tags",
    "epoch_dates",
    "exact_keys",
    "history_lag=20s",
    "history_late=20s",
    "int_enums",
    "late_cancel_refused",
    "list_envelope=entity",
    "list_envelope=value",
    "minute_zero",
    "mutable_properties",
    "null_last_run",
    "null_status",
    "odd_statuses",
    "omit_nulls",
    "one_run_per_poll",
    "page_size=2",
    "property_filters=ignored",
    "property_filters=refused",
    "provisioning=5s",
    "provisioning_fails",
    "rest_statuses",
    "slow_cancel=10s",
    "slow_delete=5s",
    "swapped_errors",
    "tag_filters=ignored",
    "tag_filters=refused",
    "update_fires=always",
    "update_fires=never",
)

#: The same for the API of Azure Resource Manager (v2) only.
JOB_QUIRKS = (
    "disabled_creation=ignored",
    "first_job_at_once",
    "iana_zones_refused",
    "job_token_required",
    "list_lag=20s",
    "properties_filter=ignored",
    "properties_filter=names",
    "properties_filter=refused",
    "put_again=400",
    "put_again=409",
    "put_replaces_tags",
    "schedule_filter=ignored",
    "schedule_filter=refused",
    "v1_gone",
)

#: Quirks of v1 and run history that also change jobs and job schedules.
SHARED_QUIRKS = (
    "drop_properties",
    "drop_tags",
    "history_lag=20s",
    "history_late=20s",
    "late_cancel_refused",
    "omit_nulls",
    "page_size=2",
    "provisioning=5s",
    "slow_cancel=10s",
)

#: What may all be so at once with the v2 API.
JOBS_TOGETHER = (
    "disabled_creation=ignored",
    "history_lag=20s",
    "iana_zones_refused",
    "late_cancel_refused",
    "list_lag=20s",
    "omit_nulls",
    "page_size=2",
    "properties_filter=refused",
    "provisioning=5s",
    "put_again=400",
    "put_replaces_tags",
    "schedule_filter=refused",
    "slow_cancel=10s",
    "v1_gone",
)

#: What may all be so at once.
TOGETHER = (
    "active_only_default",
    "dates=zoneless",
    "digit_enums",
    "disable_with_schedules",
    "epoch_dates",
    "exact_keys",
    "late_cancel_refused",
    "minute_zero",
    "mutable_properties",
    "null_last_run",
    "null_status",
    "odd_statuses",
    "omit_nulls",
    "page_size=2",
    "property_filters=refused",
    "rest_statuses",
    "slow_cancel=10s",
    "slow_delete=5s",
    "swapped_errors",
)

#: Kinds of workspaces with several at once. The last two also take away ways in which a run is found again.
COMBINATIONS = {
    "many together": TOGETHER,
    "without tags": (
        "drop_tags",
        "history_lag=20s",
        "int_enums",
        "list_envelope=value",
        "property_filters=ignored",
    ),
    "without properties": (
        "dates=offset",
        "drop_properties",
        "history_late=20s",
        "list_envelope=entity",
        "page_size=1",
    ),
}
