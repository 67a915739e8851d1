"""Files that hold arguments: what can be wrong with them. ``tests/dags`` has whole DAGs."""

from __future__ import annotations

from datetime import datetime

import pytest
from airflow.providers.common.compat.sdk import DAG

from aml_provider.client.errors import InvalidArgument
from aml_provider.compat import AirflowFailException
from aml_provider.operators.job_schedule import AzureMLCreateJobScheduleOperator
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator
from aml_provider.operators.schedule import AzureMLCreateScheduleOperator
from aml_provider.worker.argument_files import parse, read_files


def operator_in(folder, **arguments):
    """A task of a DAG whose templates are in this folder."""
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1), template_searchpath=str(folder)):  # noqa: DTZ001
        return AzureMLRunPipelineOperator(task_id="run", pipeline_id="quick", experiment_name="exp", **arguments)


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("a.json", '{"a": secret}', r"names the file 'a.json', which cannot be parsed after rendering: .*column 7"),
        ("a.json", '{"a": ' + "9" * 5000 + "}", "cannot be parsed"),
        ("a.json", '{"a": ' + "[" * 100_000, "it is nested too deeply"),
        ("a.yaml", "a: [secret", "cannot be parsed after rendering: .*line 1, column 11"),
        ("a.yaml", "b: 1\na: @secret", "line 2, column 4 is not valid YAML"),
        ("a.yaml", "b: 1\na: *secret", "line 2, column 4 has an anchor that is unknown"),
        ("a.yaml", "b: 1\na: !secret x", "line 2, column 4 has a name, a value or a tag that cannot be read"),
        ("a.yaml", "b: 1\na: !!int secret", "line 2, column 4 has a name, a value or a tag"),
        ("a.yaml", "b: 1\na: !!timestamp secret", "line 2, column 4 has a name, a value or a tag"),
        ("a.yaml", "b: 1\n<<: secret", "line 2, column 5 has a name, a value or a tag"),
        ("a.yaml", "b: 1\n? [secret]\n: x", "line 2, column 3 has a name, a value or a tag"),
        ("a.yaml", "a: " + "[" * 100_000, "it is nested too deeply"),
        ("a.yml", "b: 1\na: x\x00secret", "line 2, column 5 has a character that YAML does not allow"),
        ("a.json", "[1]", "names the file 'a.json', which is not a mapping from names to values"),
        ("a.yaml", "secret", "is not a mapping"),
        ("a.yaml", "", "is not a mapping"),
    ],
)
def test_a_file_that_is_not_a_mapping_is_refused_without_showing_what_is_in_it(name, text, problem):
    with pytest.raises(InvalidArgument, match=problem) as refused:
        parse("parameters", name, text)
    assert "secret" not in str(refused.value)
    assert refused.value.argument == "parameters"


@pytest.mark.parametrize(
    "text",
    ["007", "1.10", "1e3", "0x1F", "1_000", "12:30:45", "2026-12-01", "2026-13-45", "yes", "no", "on", "off", "="],
)
def test_yaml_is_text_as_it_is_written(text):
    assert parse("parameters", "a.yaml", f"{text}: {text}") == {text: text}


def test_bools_null_and_merged_mappings_are_what_yaml_says():
    text = "base: &base {a: true}\nb: {<<: *base, c: False, d: null, e: ~, f: , g: 'true'}"
    assert parse("parameters", "a.yaml", text)["b"] == {
        "a": True,
        "c": False,
        "d": None,
        "e": None,
        "f": None,
        "g": "true",
    }


def test_a_name_of_the_file_that_is_not_text_is_refused_as_in_a_dag_file(tmp_path):
    (tmp_path / "a.yaml").write_text("true: x")
    operator = operator_in(tmp_path, parameters="a.yaml")
    operator.render_template_fields({})
    assert operator.parameters == {True: "x"}
    with pytest.raises(ValueError, match="parameters: has the name True; use text"):
        operator_in(tmp_path, parameters=operator.parameters)


def test_a_missing_file_fails_the_try_and_says_where_it_was_searched(tmp_path):
    operator = operator_in(tmp_path, data_paths="none/a.json")
    # A task that resumes after a deferral does not need the file.
    operator.render_template_fields({})
    with pytest.raises(FileNotFoundError, match=r"data_paths: is 'none/a\.json', but none/a\.json is neither in"):
        read_files(operator, {})


def test_a_file_cannot_be_outside_of_the_folders(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    (tmp_path / "dags").mkdir()
    with pytest.raises(FileNotFoundError):
        read_files(operator_in(tmp_path / "dags", tags="../a.json"), {})


def test_a_file_that_cannot_be_parsed_fails_without_a_retry(tmp_path):
    (tmp_path / "a.json").write_text("{")
    operator = operator_in(tmp_path, datasets="a.json")
    with pytest.raises(AirflowFailException, match=r"datasets: names the file 'a\.json'"):
        read_files(operator, {})


def test_a_text_that_is_no_file_is_still_a_mistake_of_the_dag_file(tmp_path):
    with pytest.raises(ValueError, match="parameters: is a str"):
        operator_in(tmp_path, parameters="a.txt")


@pytest.mark.parametrize(
    ("kind", "mappings"),
    [
        (AzureMLRunPipelineOperator, {"parameters", "data_paths", "datasets", "tags"}),
        (AzureMLCreateScheduleOperator, {"parameters", "data_paths", "datasets", "recurrence"}),
        (AzureMLCreateJobScheduleOperator, {"parameters", "data_paths", "datasets", "tags", "recurrence"}),
    ],
)
def test_airflow_shows_mappings_as_json(kind, mappings):
    assert kind.template_fields_renderers == dict.fromkeys(mappings, "json")
    assert mappings <= set(kind.template_fields)
    # Airflow would apply it to every text in every argument (decision 43).
    assert tuple(kind.template_ext) == ()
