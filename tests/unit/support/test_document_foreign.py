"""Providers that are not installed here have operators that do nothing; those that are installed stay as they are."""

from __future__ import annotations

import importlib

import pytest
from support.documents.foreign import foreign_operators

from aml_provider.compat import AIRFLOW_V_3_0_PLUS

pytestmark = pytest.mark.skipif(not AIRFLOW_V_3_0_PLUS, reason="documents import airflow.sdk")
SPARK = "airflow.providers.apache.spark.operators.spark_submit"


def test_an_operator_of_a_provider_in_the_list_takes_its_arguments_and_does_nothing():
    from airflow.sdk import BaseOperator

    with foreign_operators():
        operator = importlib.import_module(SPARK).SparkSubmitOperator(task_id="a", application="a.py", retries=2)
    assert isinstance(operator, BaseOperator)
    assert (operator.task_id, operator.retries, operator.execute({})) == ("a", 2, None)


def test_afterwards_it_is_missing_again():
    with foreign_operators():
        importlib.import_module(SPARK)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(SPARK)


@pytest.mark.parametrize(
    "name", ["airflow.providers.standard.operators_of_nobody", "airflow.providers.tibco", "airflow_of_nobody"]
)
def test_what_is_misspelt_stays_missing(name):
    with foreign_operators(), pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
