"""Commands for a terminal; whether they work is tested with the pages."""

from __future__ import annotations

import shlex

import pytest

from aml_provider.emulator.studio.commands import connection_command, submit_command
from aml_provider.emulator.workspace.models import DataParameter, DataPath, Parameter, Pipeline


def words(pipeline, name="p", stores=("store",)):
    return shlex.split(submit_command(pipeline, name, stores))[9:]


def test_only_required_values_are_given():
    pipeline = Pipeline(
        "p",
        parameters=[Parameter("count", "Int"), Parameter("label", default="red"), Parameter("more", optional=True)],
        data_paths=[DataParameter("input"), DataParameter("other", DataPath("store"))],
        datasets=[DataParameter("table")],
    )
    assert words(pipeline) == [
        *("--parameter", "count=1"),
        *("--data-path", "input=store/incoming/"),
        *("--dataset", "table=ID"),
    ]


def test_without_a_datastore_the_sample_is_a_placeholder():
    assert words(Pipeline("p", data_paths=[DataParameter("input")]), stores=())[-1] == "input=DATASTORE/incoming/"


@pytest.mark.parametrize("name", ["$(id)", "a b", "`id`", "'; id; '", "--help\n#"])
def test_names_are_quoted_for_the_shell(name):
    pipeline = Pipeline(name, parameters=[Parameter(name)])
    assert shlex.split(submit_command(pipeline, name, ()))[5] == name
    assert words(pipeline, name)[-1] == f"{name}=VALUE"
    assert shlex.split(connection_command(name))[1].startswith("AIRFLOW_CONN_AZUREML_DEFAULT={")
