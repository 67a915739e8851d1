"""The link to a run, as Airflow asks for it."""

from __future__ import annotations

import inspect

import pytest

from aml_provider import links
from aml_provider.compat import BaseOperatorLink
from aml_provider.links import AzureMLPipelineRunLink
from aml_provider.operators.pipeline import AzureMLRunPipelineOperator


class Stored:
    """Stands for Airflow's XCom, which needs a database or a supervisor."""

    value: object = None
    asked: object = None

    @classmethod
    def get_value(cls, *, ti_key, key):
        cls.asked = (ti_key, key)
        return cls.value


@pytest.fixture
def stored(monkeypatch):
    monkeypatch.setattr(links, "XCom", Stored)
    return Stored


@pytest.mark.parametrize("value", [None, 5, {}, b"x"])
def test_before_there_is_a_run_it_is_empty(stored, value):
    stored.value = value
    assert AzureMLPipelineRunLink().get_link(object(), ti_key="key") == ""


def test_the_link_is_the_one_that_the_operator_stored(stored):
    stored.value = "https://ml.azure.com/runs/r"
    link = AzureMLPipelineRunLink()
    assert link.get_link(object(), ti_key="key") == "https://ml.azure.com/runs/r"
    assert stored.asked == ("key", link.xcom_key)


def test_the_links_key_is_the_one_that_airflow_itself_would_choose():
    """Else Airflow 3 would store the link a second time."""
    link = AzureMLPipelineRunLink()
    assert link.xcom_key == "_link_AzureMLPipelineRunLink"
    if hasattr(BaseOperatorLink, "xcom_key"):
        assert BaseOperatorLink.xcom_key.fget(link) == link.xcom_key


def test_the_operator_shows_it_and_airflows_signature_fits():
    (link,) = AzureMLRunPipelineOperator.operator_extra_links
    assert isinstance(link, AzureMLPipelineRunLink)
    assert link.name == "Azure ML pipeline run"
    ours = list(inspect.signature(AzureMLPipelineRunLink.get_link).parameters)
    assert ours == list(inspect.signature(BaseOperatorLink.get_link).parameters)
