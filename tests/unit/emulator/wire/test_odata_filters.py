"""The filter language of run history."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aml_provider.emulator.wire.history import EXPERIMENT_FIELDS, RUN_FIELDS
from aml_provider.emulator.wire.odata_filters import FilterError, parse, values_of

RUN = {
    **dict.fromkeys(RUN_FIELDS),
    "runId": "r1",
    "rootRunId": "r1",
    "status": "Completed",
    "runType": "azureml.PipelineRun",
    "target": "cpu-cluster",
    "createdUtc": "2024-05-01T12:00:00.1234567Z",
    "tags": {"k": "v", "flag": None, "quoted": 'say "hi"', "OperationId": "8a7c"},
    "properties": {"azureml.runsource": "azureml.PipelineRun", "trigger": "x1", "airflow.key": "two words"},
}


@pytest.mark.parametrize(
    "text",
    [
        "(ParentRunId eq null)",
        "(RunType eq azureml.PipelineRun or Properties/azureml.runsource eq azureml.PipelineRun)",
        "(Tags/k ne null or Tags/k eq null)",
        "(Tags/flag ne null or Tags/flag eq null)",
        '(Tags/k eq "v")',
        "Tags/k eq 'v'",
        "Tags/OperationId eq 8a7c",
        "Tags/OperationId eq 8a7c and Tags/k eq v",
        '(Tags/quoted eq "say ""hi""")',
        '(Properties/trigger eq "x1")',
        '((ParentRunId eq null) and (Properties/airflow.key eq "two words"))',
        "Properties/airflow.key eq two words and RunId eq r1",
        "(Status eq Completed)",
        "status EQ Completed",
        "(RootRunId eq r1 and RunId ne r2)",
        "RunId eq a or RunId eq r1 or RunId eq b",
        "(CreatedUtc ge 2024-01-01 00:00:00)",
        "(CreatedUtc ge 2024-05-01 12:00:00 and CreatedUtc lt 2024-05-01T12:00:01Z)",
        '(CreatedUtc le "2024-05-01T12:00:00.5+00:00")',
        "(Target eq cpu-cluster)",
        # "and" binds more tightly than "or".
        "RunId eq r1 or RunId eq r1 and Status eq Failed",
    ],
)
def test_matches(text):
    assert parse(text, RUN_FIELDS).matches(RUN)


@pytest.mark.parametrize(
    "text",
    [
        "(Tags/nothing ne null or Tags/nothing eq null)",
        "Tags/nothing ne v",
        "Tags/flag ne null",
        "Tags/K eq v",
        "Tags/k eq V",
        "ParentRunId eq r1",
        "(RunId eq r1 or RunId eq r1) and Status eq Failed",
        "(CreatedUtc ge 2024-05-02)",
        "EndTimeUtc ge 2024-01-01",
        "Status eq completed",
    ],
)
def test_does_not_match(text):
    assert not parse(text, RUN_FIELDS).matches(RUN)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a field"),
        ("(RunId eq r1", r"expected \)"),
        ("RunId eq r1)", "expected the end"),
        ("RunId like r1", "unknown operator"),
        ("RunId", "expected an operator"),
        ("RunId eq", "expected a value"),
        ("Color eq red", "unknown field"),
        ("Tags/ eq x", "unknown field"),
        ('Tags/k eq "v', "unbalanced quote"),
        ("CreatedUtc ge yesterday", "not a date"),
        ("RunId eq r1 and", "expected a field"),
    ],
)
def test_the_error_says_what_is_wrong(text, problem):
    with pytest.raises(FilterError, match=problem):
        parse(text, RUN_FIELDS)


def test_experiments_are_filtered_by_name():
    record = {**dict.fromkeys(EXPERIMENT_FIELDS), "name": "MyExp"}
    assert parse("(name eq MyExp)", EXPERIMENT_FIELDS).matches(record)


@given(st.text())
def test_any_quoted_value_is_found(value):
    record = {"tags": {"k": value}}
    quoted = value.replace('"', '""')
    assert parse(f'(ParentRunId eq null or Tags/k eq "{quoted}")', RUN_FIELDS).matches({**RUN, **record})


@given(st.text())
def test_arbitrary_text_is_parsed_or_refused(text):
    with contextlib.suppress(FilterError):
        parse(text, RUN_FIELDS).matches(RUN)


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("RunId eq r1", {"r1"}),
        ("RunId eq r1 or RunId eq r2", {"r1", "r2"}),
        ("RunId eq r1 and Status eq Failed", {"r1"}),
        ("(RunId eq r1 or RunId eq r2) and (RunId eq r2 or RunId eq r3)", {"r2"}),
        ("RunId eq r1 or (RunId eq r2 and Status eq Failed)", {"r1", "r2"}),
        ("RunId eq r1 or Status eq Failed", None),
        ("RunId ne r1", None),
        ("Tags/runId eq r1", None),
        ("ParentRunId eq r1", None),
    ],
)
def test_the_values_of_a_field_that_a_filter_can_select(text, values):
    assert values_of(parse(text, RUN_FIELDS), "runId") == values


CONDITIONS = st.recursive(
    st.builds(
        lambda field, sign, value: f"{field} {sign} {value}",
        st.sampled_from(["RunId", "Status", "Tags/runId"]),
        st.sampled_from(["eq", "ne", "lt"]),
        st.sampled_from(["a", "b", "c"]),
    ),
    lambda inner: st.builds(
        lambda word, parts: f"({f' {word} '.join(parts)})",
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=4),
    ),
)


@given(CONDITIONS, st.sampled_from("abc"), st.sampled_from("abc"), st.sampled_from("abc"))
def test_a_filter_selects_no_other_values_of_a_field(text, run_id, status, tag):
    condition = parse(text, RUN_FIELDS)
    values = values_of(condition, "runId")
    if condition.matches({**RUN, "runId": run_id, "status": status, "tags": {"runId": tag}}):
        assert values is None or run_id in values
