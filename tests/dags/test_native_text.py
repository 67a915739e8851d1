"""Literal text reaches the run as it is written, also where Airflow evaluates it as Python.

github.com/apache/airflow/issues/35987
"""

from __future__ import annotations

import pytest
from support.airflow.run_operator_dags import load_dags


@pytest.fixture
def play(airflow_db, workspace, monkeypatch):
    dags = load_dags(monkeypatch)

    def to_its_end(dag_id):
        dag_run = dags[dag_id].test()
        assert str(dag_run.state) == "success"
        return workspace.only_run()

    return to_its_end


@pytest.mark.parametrize("dag_id", ["native_text", "native_text_deferred", "native_text_mapped"])
def test_literal_text_is_sent_as_it_is_written(play, dag_id):
    run = play(dag_id)
    assert run.parameters["count"] == "+21"
    assert run.history_tags["version"] == "1.10"
    assert run.history_tags["nothing"] == "None"
    assert run.history_tags["flags"] == "[1]"
    assert run.history_tags["rendered"] == "2"
    assert run.history_tags["number"] == "1.5"
    assert run.description == "1e5"


def test_a_decorated_function_wins_over_literal_text(play):
    run = play("native_text_decorated")
    assert run.history_tags["version"] == "1.1"
    assert run.history_tags["nothing"] == "None"
    assert run.parameters["count"] == "+21"
