"""Which steps use the outputs of which."""

from __future__ import annotations

import pytest

from aml_provider.emulator.workspace.component_models import Component
from aml_provider.emulator.workspace.components import Components
from aml_provider.emulator.workspace.dependencies import component_edges, job_edges, pipeline_edges
from aml_provider.emulator.workspace.errors import ServiceError
from aml_provider.emulator.workspace.models import Pipeline, Step


def steps(*names):
    return [Step(name, node_id=name) for name in names]


def edge(source, target):
    return {"SourceOutputPort": {"NodeId": source}, "DestinationInputPort": {"NodeId": target}}


def uses(*nodes, **more):
    """A node with an input that is bound to an output of each of some nodes."""
    inputs = {name: {"value": f"${{{{ parent.jobs.{name}.outputs.result }}}}"} for name in nodes}
    return {"inputs": inputs, **more}


class TestPipeline:
    def test_without_a_graph_each_step_follows_the_one_before_it(self):
        assert pipeline_edges(Pipeline("p", steps=steps("a", "b", "c"))) == [(0, 1), (1, 2)]
        assert pipeline_edges(Pipeline("p", steps=steps("a"))) == []

    def test_a_graph_has_its_own_edges(self):
        graph = {"Edges": [edge("a", "c"), edge("b", "c"), edge("a", "c")]}
        assert pipeline_edges(Pipeline("p", steps=steps("a", "b", "c"), graph=graph)) == [(0, 2), (1, 2)]

    def test_steps_of_a_graph_without_edges_are_independent(self):
        assert pipeline_edges(Pipeline("p", steps=steps("a", "b"), graph={"ModuleNodes": []})) == []

    def test_edges_of_other_nodes_are_left_out(self):
        graph = {"Edges": [edge("dataset", "a"), edge("a", "b"), {"SourceOutputPort": {"NodeId": "a"}}]}
        assert pipeline_edges(Pipeline("p", steps=steps("a", "b"), graph=graph)) == [(0, 1)]


class TestComponent:
    def test_without_a_specification_each_step_follows_the_one_before_it(self):
        assert component_edges(Component("c", steps=steps("a", "b"))) == [(0, 1)]

    def test_a_specification_binds_inputs_to_outputs(self):
        jobs = {"b": uses("a"), "a": {}, "c": uses("a", "b", "nothing", "c")}
        component = Component("c", steps=steps(*jobs), spec={"jobs": jobs})
        assert component_edges(component) == [(0, 2), (1, 0), (1, 2)]


class TestJob:
    @pytest.fixture
    def components(self):
        found = Components()
        found.load(Component("pair", steps=steps("first", "second")))
        found.load(Component("cook", type="command"))
        return found

    def test_nodes_are_steps(self, components):
        assert job_edges({"a": {}, "b": uses("a"), "c": {"componentId": "cook:1"}}, components) == [(0, 1)]

    def test_the_steps_of_a_component_come_between_its_neighbours(self, components):
        nodes = {"a": {}, "pair": uses("a", componentId="pair:1"), "z": uses("pair")}
        assert job_edges(nodes, components) == [(0, 1), (1, 2), (2, 3)]

    def test_a_node_that_is_not_an_object_is_refused(self, components):
        with pytest.raises(ServiceError, match="The job a"):
            job_edges({"a": 5}, components)
