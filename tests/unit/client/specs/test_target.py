"""How an author names what is run: exactly one form, and a text for each that never changes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aml_provider.client.errors import InvalidArgument
from aml_provider.client.specs.target import ONE_OF, PipelineReference, Target

V1 = dict.fromkeys(("pipeline_id", "pipeline_name", "endpoint_id", "endpoint_name", "endpoint_version"))


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ({"pipeline_id": "p"}, '["p", null, null, null, null]'),
        ({"endpoint_name": "e", "endpoint_version": "7"}, '[null, null, null, "e", "7"]'),
        ({"component_name": "c"}, '{"component_name": "c"}'),
        ({"component_name": "c", "component_version": "2"}, '{"component_name": "c", "component_version": "2"}'),
        (
            {"batch_endpoint_name": "b", "deployment_name": "blue"},
            '{"batch_endpoint_name": "b", "deployment_name": "blue"}',
        ),
    ],
)
def test_the_text_of_a_form_is_the_one_that_stored_records_hold(reference, text):
    assert PipelineReference(**reference).check().to_text() == text


@pytest.mark.parametrize("name", ["component_version", "endpoint_version"])
def test_a_version_may_be_a_number(name):
    reference = PipelineReference(**{name.replace("version", "name"): "x", name: 3}).check()
    assert getattr(reference, name) == "3"
    with pytest.raises(InvalidArgument, match=name):
        PipelineReference(**{name.replace("version", "name"): "x", name: 1.5}).check()


@pytest.mark.parametrize("given", [{}, {"component_name": "c", "pipeline_id": "p"}, {"component_name": " "}])
def test_exactly_one_is_given(given):
    with pytest.raises(InvalidArgument, match="component_name"):
        PipelineReference(**given).check()


def test_a_blank_deployment_is_refused():
    with pytest.raises(InvalidArgument, match="deployment_name"):
        PipelineReference(batch_endpoint_name="b", deployment_name=" ").check()


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [
        ("component_version", "batch_endpoint_name", "component_name"),
        ("deployment_name", "component_name", "batch_endpoint_name"),
        ("endpoint_version", "pipeline_id", "endpoint_name"),
    ],
)
def test_what_would_be_ignored_is_refused(name, wrong, right):
    assert getattr(PipelineReference(**{right: "x", name: "y"}).check(), name) == "y"
    with pytest.raises(InvalidArgument, match=rf"{name}: can be used only with .*{right}"):
        PipelineReference(**{wrong: "x", name: "y"}).check()


@pytest.mark.parametrize(
    "name", ["azureml:score:2", "score@latest", "azureml://registries/shared/components/score/versions/2"]
)
def test_a_component_with_its_version_or_registry_in_the_name_is_refused_with_what_to_do(name):
    with pytest.raises(InvalidArgument, match=r"component_version.*register it in the workspace"):
        PipelineReference(component_name=name).check()


def test_an_object_without_the_forms_of_v2_is_not_asked_for_them():
    with pytest.raises(InvalidArgument) as caught:
        PipelineReference.of(SimpleNamespace(**V1))
    assert str(caught.value).startswith(", ".join(ONE_OF))
    assert "component" not in str(caught.value)
    assert PipelineReference.of(SimpleNamespace(**V1 | {"pipeline_id": "p"})) == PipelineReference("p")


def test_an_object_with_the_forms_of_v2_is_read():
    more = {"component_name": "c", "component_version": 2, "batch_endpoint_name": None, "deployment_name": None}
    reference = PipelineReference.of(SimpleNamespace(**V1, **more))
    assert reference == PipelineReference(component_name="c", component_version="2")
    assert reference.is_v2
    assert not PipelineReference("p").is_v2


def test_a_version_of_a_component_is_shown_by_its_name():
    assert str(Target("component", "/subscriptions/s/…", "2", name="score")) == "component score version 2"
