"""Which steps use the outputs of which: the edges of the graph of a pipeline, a component or a job."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from aml_provider.emulator.workspace.body import Body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aml_provider.emulator.workspace.component_models import Component
    from aml_provider.emulator.workspace.components import Components
    from aml_provider.emulator.workspace.models import Pipeline

Edge = tuple[int, int]
"""The positions of two steps; the second one uses outputs of the first one, or begins after it."""

_OUTPUT = re.compile(r"\$\{\{\s*parent\.jobs\.(?P<node>[^\s.}]+)\.outputs\.")


def graph_edges(graph: Body) -> list[tuple[str, str]]:
    """The ids of the two nodes of each edge of a published graph. A node can also be a data set."""
    found = []
    for edge in graph.objects("Edges"):
        ports = (edge.object(key) for key in ("SourceOutputPort", "DestinationInputPort"))
        source, target = (port.text("NodeId") if port else None for port in ports)
        if source is not None and target is not None:
            found.append((source, target))
    return found


def pipeline_edges(pipeline: Pipeline) -> list[Edge]:
    """The edges of a published pipeline. Without a published graph, each step begins after the one before it."""
    if pipeline.graph is None:
        return _chain(len(pipeline.steps))
    places = {step.node_id: index for index, step in enumerate(pipeline.steps)}
    edges = graph_edges(Body(pipeline.graph))
    return sorted(
        {(places[source], places[target]) for source, target in edges if source in places and target in places}
    )


def component_edges(component: Component) -> list[Edge]:
    """The edges of a component. Without a specification, each step begins after the one before it."""
    nodes = {} if component.spec is None else Body(component.spec).mapping("jobs")
    if [step.name for step in component.steps] != list(nodes):
        return _chain(len(component.steps))
    return _joined(nodes, [(1, []) for _ in nodes])


def job_edges(nodes: Mapping[str, object], components: Components) -> list[Edge]:
    """The edges of a job with ``jobs`` of its own, each of which is a step or the steps of a component."""
    parts: list[tuple[int, list[Edge]]] = []
    for name, value in nodes.items():
        component = components.referred(Body(value, f"The job {name}").text("componentId") or "")
        if component is None or not component.steps:
            parts.append((1, []))
        else:
            parts.append((len(component.steps), component_edges(component)))
    return _joined(nodes, parts)


def _chain(count: int) -> list[Edge]:
    return [(index, index + 1) for index in range(count - 1)]


def _joined(nodes: Mapping[str, object], parts: Sequence[tuple[int, list[Edge]]]) -> list[Edge]:
    """The edges within the nodes and between them. A node has a number of steps, and edges between these steps."""
    found: set[Edge] = set()
    first: dict[str, list[int]] = {}
    last: dict[str, list[int]] = {}
    begin = 0
    for name, (size, edges) in zip(nodes, parts, strict=True):
        found |= {(begin + source, begin + target) for source, target in edges}
        sources, targets = {source for source, _ in edges}, {target for _, target in edges}
        first[name] = [begin + index for index in range(size) if index not in targets]
        last[name] = [begin + index for index in range(size) if index not in sources]
        begin += size
    for name, value in nodes.items():
        inputs = json.dumps(Body(value, f"The job {name}").mapping("inputs"), ensure_ascii=False)
        for match in _OUTPUT.finditer(inputs):
            source = match["node"]
            if source in last and source != name:
                found |= {(before, after) for before in last[source] for after in first[name]}
    return sorted(found)
