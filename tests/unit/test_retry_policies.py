"""What the ready-made retry policy decides about each failure (Airflow 3.3 and later)."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest

from aml_provider.client.errors import (
    AuthenticationRefused,
    AzureMLError,
    RunFailed,
    RunUnwatched,
    ServerFault,
    SubmissionUnsettled,
    Throttled,
    Unreachable,
)
from aml_provider.compat import AIRFLOW_V_3_3_PLUS, AirflowFailException, BaseOperator

needs_policies = pytest.mark.skipif(not AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")


def caused(error, *causes):
    """An exception with a chain of causes, as ``raise … from`` makes it."""
    outer = error
    for cause in causes:
        error.__cause__ = error = cause
    return outer


def replaced(error, cause):
    """An error of this package that was raised ``from None`` in place of another one, for a short log."""
    error.__context__, error.__suppress_context__ = cause, True
    return error


def throttled(seconds):
    return Throttled("submit", status=429, retry_after=seconds)


def decide(error, **arguments):
    """The decision for a task with these arguments; without any, for a caller that does not say which task it is."""
    from aml_provider.retry_policies import AzureMLRetryPolicy

    context = {"ti": SimpleNamespace(task=BaseOperator(task_id="t", **arguments))} if arguments else None
    return AzureMLRetryPolicy().evaluate(exception=error, try_number=1, max_tries=3, context=context)


@needs_policies
@pytest.mark.parametrize(
    "error",
    [
        AuthenticationRefused("submit", status=401),
        caused(ValueError("of my own"), AuthenticationRefused("submit", status=401)),
        caused(
            ValueError("of my own"),
            AirflowFailException("as the hook raises it"),
            AuthenticationRefused("x", status=401),
        ),
    ],
    ids=["itself", "cause", "cause of the hook's"],
)
def test_a_permanent_error_is_not_retried(error):
    decision = decide(error)
    assert decision.action.value == "fail"
    assert decision.reason.startswith("AuthenticationRefused is permanent: ")


@needs_policies
@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (throttled(90.0), 90.0),
        (throttled(0.0), 1.0),
        (caused(RunUnwatched("not read", run_id="r"), throttled(40.0)), 40.0),
        (replaced(RunUnwatched("not read", run_id="r"), throttled(30.0)), 30.0),
        (caused(KeyError("of my own"), throttled(20.0)), 20.0),
    ],
    ids=["throttled", "zero", "unwatched", "unwatched in the log", "of a task of mine"],
)
def test_the_next_try_begins_when_the_service_accepts_it(error, asked):
    decision = decide(error)
    assert decision.action.value == "retry"
    assert asked <= decision.retry_delay.total_seconds() <= 1.2 * asked
    assert "asked to wait for" in decision.reason


@needs_policies
@pytest.mark.parametrize(
    "failed",
    [
        lambda seconds: ServerFault("read", status=503, retry_after=seconds),
        lambda seconds: caused(SubmissionUnsettled("?"), ServerFault("x", status=503, retry_after=seconds)),
    ],
    ids=["itself", "cause"],
)
def test_a_service_that_fails_makes_no_try_begin_before_the_tasks_own_delay(failed):
    """If it names a second, as gateways do, all retries would pass within its outage."""
    minutes = timedelta(minutes=5)
    assert decide(failed(1.0), retry_delay=minutes).action.value == "default"
    assert decide(failed(1800.0), retry_delay=minutes, retry_exponential_backoff=True).action.value == "default"
    assert decide(failed(1800.0)).action.value == "default"
    later = decide(failed(1800.0), retry_delay=minutes)
    assert 1800 <= later.retry_delay.total_seconds() <= 1.2 * 1800


@needs_policies
def test_tasks_do_not_all_return_at_the_same_time():
    assert len({decide(throttled(60.0)).retry_delay for _ in range(20)}) > 15


def while_handling(error):
    """An exception that was raised while another one was handled, without being caused by it."""
    other = KeyError("of my own")
    other.__context__ = error
    return other


@needs_policies
@pytest.mark.parametrize(
    "error",
    [
        throttled(None),
        Unreachable("no route"),
        RunFailed("Run r failed.", run_id="r"),
        AzureMLError("nothing was submitted"),
        caused(RunUnwatched("not read", run_id="r"), AuthenticationRefused("read", status=401)),
        ValueError("of my own"),
        KeyboardInterrupt(),
        while_handling(AuthenticationRefused("x", status=401)),
        replaced(KeyError("of my own"), throttled(20.0)),
    ],
    ids=[
        "throttled",
        "unreachable",
        "run failed",
        "root",
        "unwatched",
        "foreign",
        "interrupt",
        "context only",
        "foreign in place",
    ],
)
def test_all_else_follows_the_tasks_own_settings(error):
    decision = decide(error)
    assert (decision.action.value, decision.retry_delay) == ("default", None)


@needs_policies
def test_a_reason_fits_into_airflows_column():
    assert len(decide(AuthenticationRefused("x", status=401, message="m" * 2000)).reason) == 500


@needs_policies
def test_a_policy_can_be_stored_and_read_back():
    from aml_provider.retry_policies import AzureMLRetryPolicy

    stored = AzureMLRetryPolicy().serialize()
    assert isinstance(AzureMLRetryPolicy.deserialize(stored), AzureMLRetryPolicy)


@pytest.mark.skipif(AIRFLOW_V_3_3_PLUS, reason="Airflow has retry policies since 3.3")
def test_the_import_names_the_airflow_that_it_needs():
    with pytest.raises(ImportError, match=r"needs Airflow 3\.3 or later.*this is Airflow \d.*Leave retry_policy out"):
        import aml_provider.retry_policies  # noqa: F401
