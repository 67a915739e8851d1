"""The text of an operator's call: valid Python whose values Airflow renders to the workspace's own texts."""

from __future__ import annotations

import ast
from datetime import datetime
from itertools import pairwise

import pytest
from airflow.providers.common.compat.sdk import DAG
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aml_provider.operator_call import Input, operator_call


def evaluate(text, params=None):
    """The operator that the text makes in a DAG, with the values that its arguments are rendered to."""
    program = ast.parse(text)
    *imports, call = program.body
    assert isinstance(call, ast.Expr)
    names = {}
    with DAG("dag", schedule=None, start_date=datetime(2026, 1, 1)):  # noqa: DTZ001
        exec(compile(ast.Module(imports, []), "text", "exec"), names)
        operator = eval(compile(ast.Expression(call.value), "text", "eval"), names)
    operator.render_template_fields({"params": params or {}})
    return operator


NASTY = [
    "{{ 1+1 }}",
    "{% raw %}",
    "{# no comment #}",
    "}}",
    'it\'s "quoted"',
    "back\\slash\\n",
    "line\nbreak\n",
    "line\r\nbreak\rx",
    "#: ,)",
    "'''\"\"\"",
    "\u202eright to left\u2028",
    "\x00\x1b[31m",
    "Grüße 😀",
    "007",
    "True",
    "-0",
    "1e400",
    "in/a.json",
    "",
]
texts = st.text() | st.sampled_from(NASTY) | st.text("{}%#'\"\\ \n", max_size=8)
kinds = st.sampled_from(["String", "Int", "Double", "Bool", "Undefined", "string", "integer", "number", "boolean"])


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(texts.filter(bool), st.tuples(kinds, texts), max_size=4), texts, texts)
@example({name: ("Int", text) for name, text in pairwise(NASTY)}, "{{ 2 }}\n", "\n# code\n")
def test_every_text_is_rendered_to_itself(parameters, name, note):
    inputs = [Input(key, kind, default, note=note) for key, (kind, default) in parameters.items()]
    text = operator_call(name, {"pipeline_id": f"id {name}"}, parameters=inputs)
    operator = evaluate(text)
    assert operator.pipeline_id == f"id {name}"
    assert {key: str(value) for key, value in (operator.parameters or {}).items()} == {
        key: default for key, (_, default) in parameters.items()
    }


@pytest.mark.parametrize("name", ["limit", "items", "my-param", "it's", "{{ x }}"])
def test_a_value_without_a_default_is_a_param_of_the_dag(name):
    text = operator_call("p", {"pipeline_name": "p"}, parameters=[Input(name, "Int", required=True)])
    assert evaluate(text, {name: "given"}).parameters == {name: "given"}


def test_what_is_optional_is_a_comment():
    text = operator_call(
        "p",
        {"component_name": "p"},
        parameters=[Input("a", "string"), Input("b", "string", "", omitted=True), Input("c", "string", "x")],
        datasets=[Input("d", "id of a saved dataset")],
    )
    operator = evaluate(text)
    assert operator.parameters == {"c": "x"}
    assert operator.datasets == {}
    assert '        # "a": "",  # string, optional\n' in text
    assert '        # "d": "",  # id of a saved dataset, optional\n' in text


def test_the_whole_text():
    text = operator_call(
        "score files",
        {"pipeline_name": "score files"},
        parameters=[
            Input("name", "String", "a", note="The file's name."),
            Input("limit", "Int", "10"),
            Input("share", "Double", "0.5"),
            Input("full", "Bool", "True"),
            Input("code", "Int", "007"),
            Input("day", "String", required=True),
        ],
        data_paths=[Input("input", "DataPath", "store/in")],
    )
    assert (
        text
        == """\
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator

AzureMLRunPipelineOperator(
    task_id="score-files",
    pipeline_name="score files",
    experiment_name="score-files",  # created if it does not exist
    parameters={
        "name": "a",  # String, its default: The file's name.
        "limit": 10,  # Int, its default
        "share": 0.5,  # Double, its default
        "full": True,  # Bool, its default
        "code": "007",  # Int, its default
        "day": "{{ params['day'] }}",  # String, no default
    },
    data_paths={
        "input": "store/in",  # DataPath, its default
    },
    deferrable=True,  # waits in the triggerer, not on a worker
    retries=2,  # a retry takes over the run and does not start another one
)
"""
    )
