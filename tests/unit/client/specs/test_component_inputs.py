"""The check of a request against a component's inputs: everything that does not fit, in one message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.client.entities import ComponentVersion
from aml_provider.client.errors import InvalidParameters
from aml_provider.client.specs.component_inputs import check_inputs
from aml_provider.client.specs.run import RunRequest

INPUTS = {
    "folder": {"type": "uri_folder", "optional": False},
    "table": {"type": "mltable", "optional": True},
    "mode": {"type": "string", "default": "append", "enum": ["append", "replace"]},
    "rows": {"type": "integer", "optional": "true", "min": "1", "max": "100"},
    "threshold": {"type": "number", "optional": True, "min": "0.0", "max": "0.9"},
    "factor": {"type": "number", "optional": True, "min": "0", "max": "10"},
    "scale": {"type": "number", "optional": True, "enum": ["0.5", "1.0"]},
    "dry_run": {"type": "boolean", "optional": True, "enum": ["True"]},
    "label": {"type": "string"},
}


def component(inputs):
    spec = {"name": "score", "type": "pipeline", "inputs": inputs}
    return ComponentVersion.from_wire(
        {"id": "/w/components/score/versions/2", "name": "2", "properties": {"componentSpec": spec}}
    )


def check(inputs=INPUTS, **arguments):
    check_inputs(RunRequest.of(experiment_name="e", **arguments), component(inputs))


def problem_of(**arguments):
    """What is wrong with arguments that are added to ones that fit."""
    fits = {"data_paths": {"folder": "store/in"}, "parameters": {"label": "x"}}
    with pytest.raises(InvalidParameters) as caught:
        check(**{name: {**fits.get(name, {}), **arguments.get(name, {})} for name in {*fits, *arguments}})
    return str(caught.value).removeprefix("component 'score' version 2: ").partition(". It accepts ")[0]


def test_what_fits_is_accepted():
    check(
        parameters={"label": "", "mode": "replace", "rows": 100, "threshold": "1e-3", "scale": "0.50", "dry_run": True},
        data_paths={"folder": "store/in"},
        datasets={"table": "t:1"},
    )


@pytest.mark.parametrize(
    ("parameters", "problem"),
    [
        ({"other": 1}, "there is no parameter 'other'"),
        ({"table": "x"}, "'table' is not a parameter, but takes data (mltable)"),
        ({"mode": "Append"}, "parameter 'mode' is 'Append', but it must be one of 'append', 'replace'"),
        ({"rows": "2.0"}, "parameter 'rows' is '2.0', but its type is integer"),
        ({"rows": 0}, "parameter 'rows' is '0', but it must be at least 1"),
        ({"rows": 101}, "parameter 'rows' is '101', but it must be at most 100"),
        ({"rows": "9" * 5000}, f"parameter 'rows' is '{'9' * 5000}', but it must be at most 100"),
        ({"threshold": 0.91}, "parameter 'threshold' is '0.91', but it must be at most 0.9"),
        ({"threshold": "nan"}, "parameter 'threshold' is 'nan', but it must be at least 0.0"),
        ({"factor": "nan"}, "parameter 'factor' is 'nan', but it must be at least 0"),
        ({"factor": "-inf"}, "parameter 'factor' is '-inf', but it must be at least 0"),
        ({"threshold": "1e9999"}, "parameter 'threshold' is '1e9999', but it must be at most 0.9"),
        ({"threshold": "x"}, "parameter 'threshold' is 'x', but its type is number"),
        ({"scale": 2}, "parameter 'scale' is '2', but it must be one of '0.5', '1.0'"),
        ({"dry_run": "yes"}, "parameter 'dry_run' is 'yes', but its type is boolean"),
        ({"dry_run": False}, "parameter 'dry_run' is 'False', but it must be one of 'True'"),
    ],
)
def test_a_parameter_that_does_not_fit(parameters, problem):
    assert problem_of(parameters=parameters) == problem


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"data_paths": {"other": "s/x"}}, "there is no data path 'other'"),
        ({"datasets": {"other": "a:1"}}, "there is no dataset 'other'"),
        ({"data_paths": {"mode": "s/x"}}, "'mode' is not a data path, but a parameter (string)"),
        ({"datasets": {"rows": "a:1"}}, "'rows' is not a dataset, but a parameter (integer)"),
        ({"datasets": {"folder": "a:1"}}, "input 'folder' is given 2 times"),
    ],
)
def test_data_that_does_not_fit(arguments, problem):
    assert problem_of(**arguments) == problem


def test_all_that_does_not_fit_is_in_one_message_with_what_is_accepted():
    with pytest.raises(InvalidParameters) as caught:
        check(parameters={"rows": "x", "other": 1}, datasets={"unknown": "a:1"})
    assert caught.value.text == (
        "component 'score' version 2: there is no dataset 'unknown'; parameter 'rows' is 'x', but its type is integer; "
        "there is no parameter 'other'; data path 'folder' has no default and is not given; "
        "parameter 'label' has no default and is not given. It accepts parameters: "
        "mode (string, one of append | replace, optional), rows (integer, at least 1, at most 100, optional), "
        "threshold (number, at least 0.0, at most 0.9, optional), "
        "factor (number, at least 0, at most 10, optional), scale (number, one of 0.5 | 1.0, optional), "
        "dry_run (boolean, one of True, optional), label (string); data paths or datasets: folder (uri_folder), "
        "table (mltable, optional). Nothing was submitted."
    )


def test_an_input_of_an_unknown_type_takes_any_literal_and_no_data():
    inputs = {"mode": {"type": "enum", "enum": ["a", "b"]}, "bare": None, "Rows": {"type": "Integer", "max": "3"}}
    check(inputs, parameters={"mode": "a", "bare": "x", "Rows": 3})
    with pytest.raises(InvalidParameters) as caught:
        check(inputs, parameters={"mode": "c", "Rows": 4}, data_paths={"bare": "store/in"})
    assert caught.value.text == (
        "component 'score' version 2: 'bare' is not a data path, but a parameter (any type); parameter 'mode' is 'c', "
        "but it must be one of 'a', 'b'; parameter 'Rows' is '4', but it must be at most 3. It accepts parameters: "
        "mode (enum, one of a | b), bare (any type), Rows (integer, at most 3); data paths or datasets: none. Nothing "
        "was submitted."
    )


def test_a_component_without_inputs_says_so():
    check({})
    with pytest.raises(InvalidParameters, match="parameters: none; data paths or datasets: none"):
        check({}, parameters={"a": 1})


def test_a_limit_that_cannot_be_read_is_left_to_the_service():
    check({"n": {"type": "integer", "min": "low", "max": "high"}}, parameters={"n": 5})
    check({"n": {"type": "number", "min": "nan"}}, parameters={"n": 5})


@given(st.integers())
def test_whole_numbers_are_compared_exactly(number):
    limits = {"n": {"type": "integer", "min": str(number), "max": str(number)}}
    check(limits, parameters={"n": number})
    for other in (number - 1, number + 1):
        with pytest.raises(InvalidParameters):
            check(limits, parameters={"n": other})


@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_numbers_are_compared_as_python_compares_them(value, limit):
    inputs = {"n": {"type": "number", "min": str(limit)}}
    if value >= limit:
        check(inputs, parameters={"n": value})
    else:
        with pytest.raises(InvalidParameters):
            check(inputs, parameters={"n": value})
