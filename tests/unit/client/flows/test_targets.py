"""Finding the pipeline or endpoint that an author names, and reading what it declares."""

from __future__ import annotations

import pytest
from support.models.service import Service, carry_out

from aml_provider.client.entities import (
    PipelineEndpoint,
    PipelineInterface,
    PublishedPipeline,
)
from aml_provider.client.errors import (
    AmbiguousName,
    NotFound,
    PipelineDisabled,
    PipelineError,
    ServerFault,
)
from aml_provider.client.flows import targets
from aml_provider.client.specs.target import PipelineReference, Target

EMPTY = PipelineInterface({}, frozenset(), frozenset())


def pipeline(name="train", pipeline_id="p-1", status="Active", **wire):
    return PublishedPipeline.from_wire(
        {"Id": pipeline_id, "Name": name, "EntityStatus": status, "GraphId": "g-1", **wire}
    )


def endpoint(status="Active", versions=("0", "1"), default="1"):
    return PipelineEndpoint.from_wire(
        {
            "Id": "e-1",
            "Name": "score",
            "EntityStatus": status,
            "DefaultVersion": default,
            "PipelineVersionList": [{"Version": version, "PipelineId": f"p-{version}"} for version in versions],
        }
    )


class TestFindPipeline:
    LIST = "GET /Pipelines"

    def test_the_one_of_that_name(self):
        found = carry_out(targets.find_pipeline("train"), {self.LIST: (pipeline("other", "p-2"), pipeline())})
        assert found.id == "p-1"

    def test_a_disabled_one_does_not_count(self):
        listed = (pipeline("train", "p-old", "Disabled"), pipeline(), pipeline("train", "p-older", "Deprecated"))
        assert carry_out(targets.find_pipeline("train"), {self.LIST: listed}).id == "p-1"

    def test_two_of_one_name_are_listed_with_their_differences(self):
        listed = (pipeline(Version="1.0", CreatedDate="2026-11-22T11:18:28Z"), pipeline(pipeline_id="p-2"))
        with pytest.raises(AmbiguousName) as caught:
            carry_out(targets.find_pipeline("train"), {self.LIST: listed})
        assert caught.value.text == (
            "pipeline_name: 2 published pipelines are named 'train': "
            "p-1 (Active, version 1.0, created 2026-11-22 11:18 UTC); p-2 (Active). "
            "Give pipeline_id, or disable all but one."
        )

    def test_a_missing_name_lists_similar_ones(self):
        listed = (pipeline("train-nightly"), pipeline("score"))
        with pytest.raises(PipelineError, match=r"no published pipeline named 'train-nightl'; did you mean"):
            carry_out(targets.find_pipeline("train-nightl"), {self.LIST: listed})

    @pytest.mark.parametrize(
        ("listed", "said"),
        [
            ((), "it has none at all"),
            ((pipeline("something else"),), "there is 1 other"),
            ((pipeline("something else"), pipeline("unlike")), "there are 2 others"),
        ],
    )
    def test_a_missing_name_says_how_many_others_there_are(self, listed, said):
        with pytest.raises(PipelineError, match=said):
            carry_out(targets.find_pipeline("train"), {self.LIST: listed})

    def test_a_disabled_one_is_not_suggested_as_itself(self):
        with pytest.raises(PipelineError) as caught:
            carry_out(targets.find_pipeline("train"), {self.LIST: (pipeline(status="Disabled"),)})
        assert "did you mean" not in str(caught.value)

    def test_names_are_compared_exactly(self):
        for name in ("Train", "train ", "trai"):
            with pytest.raises(PipelineError):
                carry_out(targets.find_pipeline(name), {self.LIST: (pipeline(),)})


def find_target(**reference):
    return targets.find_target(PipelineReference(**reference), targets.Known())


class TestFindTarget:
    BY_NAME = "GET /PipelineEndpoints/Name"

    def test_an_id_costs_no_request(self):
        assert carry_out(find_target(pipeline_id="p"), {}) == Target("pipeline", "p", None, "p")
        assert carry_out(find_target(endpoint_id="e"), {}) == Target("endpoint", "e")
        assert carry_out(find_target(endpoint_id="e", endpoint_version="3"), {}).version == "3"

    def test_a_pipelines_name(self):
        target = carry_out(find_target(pipeline_name="train"), {"GET /Pipelines": (pipeline(),)})
        assert target == Target("pipeline", "p-1", None, "p-1")

    @pytest.mark.parametrize(("version", "behind"), [(None, "p-1"), ("0", "p-0"), ("1", "p-1")])
    def test_an_endpoints_name(self, version, behind):
        target = carry_out(
            find_target(endpoint_name="score", endpoint_version=version),
            {self.BY_NAME: endpoint()},
        )
        assert target == Target("endpoint", "e-1", version, behind)

    MANY = tuple(map(str, range(300)))

    @pytest.mark.parametrize(
        ("versions", "known"),
        [
            (("0", "1"), r"it has 0, 1\. Help: "),
            ((), "it has none"),
            (MANY, r"it has 290 earlier ones and 290, 291, 292, 293, 294, 295, 296, 297, 298, 299\. Help: "),
        ],
    )
    def test_a_version_that_is_missing(self, versions, known):
        with pytest.raises(PipelineError, match=f"endpoint 'score' has no version 'x'; {known}"):
            carry_out(
                find_target(endpoint_name="score", endpoint_version="x"),
                {self.BY_NAME: endpoint(versions=versions)},
            )

    def test_a_default_version_that_is_missing(self):
        with pytest.raises(PipelineError, match="no version '9'"):
            carry_out(find_target(endpoint_name="score"), {self.BY_NAME: endpoint(default="9")})

    def test_an_endpoint_that_is_missing(self):
        with pytest.raises(PipelineError, match=r"endpoint_name: .* no pipeline endpoint named 'score'"):
            carry_out(
                find_target(endpoint_name="score"),
                {self.BY_NAME: NotFound("x", status=404), "GET /PipelineEndpoints": ()},
            )

    @pytest.mark.parametrize("status", ["Disabled", "Deprecated"])
    def test_a_disabled_endpoint_is_reported_before_anything_is_submitted(self, status):
        """The SDK refuses it, so whether the service does is not known."""
        with pytest.raises(PipelineDisabled, match=f"endpoint_name: .*'score'.* is {status}"):
            carry_out(find_target(endpoint_name="score"), {self.BY_NAME: endpoint(status)})

    def test_other_errors_are_not_turned_into_a_missing_endpoint(self):
        with pytest.raises(ServerFault):
            carry_out(
                find_target(endpoint_name="score"),
                {self.BY_NAME: ServerFault("x", status=500)},
            )


class TestInspectTarget:
    def inspect(self, target, answers, known=None):
        service = Service(answers)
        return service.carry_out(targets.inspect_target(target, known or targets.Known())), service

    def test_a_pipeline_costs_two_requests_and_then_one(self):
        answers = {"GET /Pipelines/p-1": pipeline(), "GET /Graphs/g-1/Interface": EMPTY}
        known = targets.Known()
        target = Target("pipeline", "p-1", pipeline_id="p-1")
        (_, found, interface), first = self.inspect(target, answers, known)
        _, second = self.inspect(target, answers, known)
        assert (found.id, interface) == ("p-1", EMPTY)
        assert first.asked == ["GET /Pipelines/p-1", "GET /Graphs/g-1/Interface"]
        assert second.asked == ["GET /Pipelines/p-1"]

    def test_a_default_may_stand_in_the_published_pipeline_in_place_of_its_interface(self):
        strict = PipelineInterface.from_wire({"Parameters": [{"Name": "a"}, {"Name": "b"}]})
        answers = {"GET /Pipelines/p-1": pipeline(ParameterAssignments={"a": "1"}), "GET /Graphs/g-1/Interface": strict}
        (_, _, interface), _ = self.inspect(Target("pipeline", "p-1", pipeline_id="p-1"), answers)
        assert {item.name: item.required for item in interface.parameters.values()} == {"a": False, "b": True}

    def test_an_endpoint_leads_to_its_pipeline(self):
        answers = {
            "GET /PipelineEndpoints/Id/e-1": endpoint(),
            "GET /Pipelines/p-0": pipeline(pipeline_id="p-0"),
            "GET /Graphs/g-1/Interface": EMPTY,
        }
        (target, found, _), _ = self.inspect(Target("endpoint", "e-1", "0"), answers)
        assert target == Target("endpoint", "e-1", "0", "p-0")
        assert found.id == "p-0"

    @pytest.mark.parametrize("status", ["Disabled", "Deprecated", ""])
    def test_a_pipeline_that_is_not_active(self, status):
        with pytest.raises(PipelineDisabled, match="Nothing was submitted"):
            self.inspect(Target("pipeline", "p-1", pipeline_id="p-1"), {"GET /Pipelines/p-1": pipeline(status=status)})

    def test_an_endpoint_that_is_not_active(self):
        with pytest.raises(PipelineDisabled, match=r"endpoint_id: .* is Disabled"):
            self.inspect(Target("endpoint", "e-1"), {"GET /PipelineEndpoints/Id/e-1": endpoint("Disabled")})

    @pytest.mark.parametrize(
        ("target", "answers", "argument"),
        [
            (
                Target("endpoint", "e-1"),
                {
                    "GET /PipelineEndpoints/Id/e-1": NotFound("x", status=404),
                    "GET /PipelineEndpoints": ServerFault("x", status=500),
                },
                "endpoint_id",
            ),
            (
                Target("pipeline", "p-1", pipeline_id="p-1"),
                {"GET /Pipelines/p-1": NotFound("x", status=404), "GET /Pipelines": ()},
                "pipeline_id",
            ),
            (Target("endpoint", "e-1", "7"), {"GET /PipelineEndpoints/Id/e-1": endpoint()}, "endpoint_version"),
        ],
    )
    def test_what_is_missing_is_named_as_the_argument_is(self, target, answers, argument):
        with pytest.raises(PipelineError, match=f"^{argument}: ") as caught:
            self.inspect(target, answers)
        assert caught.value.permanent

    def test_a_failure_is_not_kept_as_an_interface(self):
        known = targets.Known()
        answers = {"GET /Pipelines/p-1": pipeline(), "GET /Graphs/g-1/Interface": ServerFault("x", status=500)}
        with pytest.raises(ServerFault):
            self.inspect(Target("pipeline", "p-1", pipeline_id="p-1"), answers, known)
        assert known == targets.Known()
