"""Permanent errors are Airflow's own too: one exception, which code may catch by either class."""

from __future__ import annotations

import copy
import pickle
import traceback

import pytest

from aml_provider.client.errors import InvalidArgument, NotFound, RunCanceled, Throttled
from aml_provider.client.help import address_of
from aml_provider.compat import AirflowFailException
from aml_provider.connection import airflow_errors
from aml_provider.parsing.literals import InvalidTask

ERRORS = [
    InvalidArgument("parameters", "is 7", rendering=" (rendered)"),
    NotFound("read it", status=404, code="Gone", message="no such run", request_ids=["a=b"]),
    RunCanceled("Run r was cancelled.", run_id="r", link="https://x/y"),
]


def raised(error):
    with pytest.raises(AirflowFailException) as caught, airflow_errors():
        raise error
    return caught.value


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_it_has_both_classes_and_everything_of_the_error(error):
    found = raised(error)
    assert isinstance(found, type(error))
    assert (type(found).__name__, type(found).__module__) == (type(error).__name__, type(error).__module__)
    assert (str(found), found.text, vars(found)) == (str(error), error.text, vars(error))
    assert str(found).endswith(f" Help: {address_of(type(error))}")


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
@pytest.mark.parametrize("same", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
def test_its_copies_are_the_same(error, same):
    found = raised(error)
    other = same(found)
    assert (type(other), str(other), vars(other)) == (type(found), str(found), vars(found))


def test_one_traceback_is_shown_and_its_end_is_the_message():
    text = "".join(traceback.format_exception(raised(ERRORS[0])))
    assert text.count("Traceback") == 1
    assert text.endswith(f"InvalidArgument: {ERRORS[0]}\n")


def test_nested_edges_raise_it_once():
    with pytest.raises(AirflowFailException) as caught, airflow_errors("outer"), airflow_errors("inner"):
        raise ERRORS[0]
    assert caught.value.__context__ is ERRORS[0]


def test_a_mistake_in_a_dag_file_stays_what_it_is():
    error = InvalidTask("score", [": poll_interval: is -1", ": parameters: is 7"])
    assert raised(error) is error
    assert str(error) == (
        "Task 'score': poll_interval: is -1\nTask 'score': parameters: is 7\n" + f"Help: {address_of(InvalidTask)}"
    )


def test_an_error_that_a_retry_may_fix_keeps_its_retries():
    with pytest.raises(Throttled) as caught, airflow_errors():
        raise Throttled("read it", status=429)
    assert not isinstance(caught.value, AirflowFailException)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_airflow_can_pass_it_to_another_process(error):
    found = raised(error)
    path, arguments, options = found.serialize()
    module, _, name = path.rpartition(".")
    assert name == "AirflowFailException"
    made = getattr(__import__(module, fromlist=[name]), name)(*arguments, **options)
    assert str(made) == str(found)
