"""The layout of a graph of steps."""

from __future__ import annotations

import itertools
import re

import pytest

from aml_provider.emulator.studio.graph import HEIGHT, WIDTH, graph

CHAIN = [(0, 1), (1, 2)]
DIAMOND = [(0, 1), (0, 2), (1, 3), (2, 3)]
SHORT_CUT = [*CHAIN, (0, 2)]


def place(drawn):
    return [(node.x, node.y) for node in drawn.nodes]


def ends(path):
    """The first and the last point of an edge."""
    numbers = [float(text) for text in re.findall(r"[\d.]+", path)]
    return (numbers[0], numbers[1]), (numbers[-2], numbers[-1])


class TestPlaces:
    def test_a_chain_is_a_row(self):
        (x1, y1), (x2, y2), (x3, y3) = place(graph("abc", CHAIN))
        assert y1 == y2 == y3
        assert x2 - x1 == x3 - x2 > WIDTH

    def test_parallel_steps_are_a_column_between_their_neighbours(self):
        (x0, y0), (x1, y1), (x2, y2), (x3, y3) = place(graph("abcd", DIAMOND))
        assert x0 < x1 == x2 < x3
        assert y2 - y1 > HEIGHT
        assert y0 == y3 == (y1 + y2) / 2

    def test_a_step_stands_to_the_right_of_all_steps_before_it(self):
        (x0, _), (x1, _), (x2, _) = place(graph("abc", SHORT_CUT))
        assert x0 < x1 < x2

    @pytest.mark.parametrize("edges", [[], CHAIN, DIAMOND, SHORT_CUT, [(3, 0), (2, 0), (1, 0)]])
    def test_steps_do_not_overlap_and_are_inside(self, edges):
        drawn = graph("abcd", edges)
        for (x1, y1), (x2, y2) in itertools.combinations(place(drawn), 2):
            assert abs(x1 - x2) >= WIDTH or abs(y1 - y2) >= HEIGHT
        assert all(x > 0 and x + WIDTH < drawn.width for x, _ in place(drawn))
        assert all(y > 0 and y + HEIGHT < drawn.height for _, y in place(drawn))

    def test_no_steps_are_an_empty_graph(self):
        assert graph([], []).nodes == graph([], []).edges == []


class TestEdges:
    @pytest.mark.parametrize("edges", [CHAIN, DIAMOND, SHORT_CUT])
    def test_an_edge_leads_from_the_right_side_to_the_left_side(self, edges):
        drawn = graph("abcd", edges)
        for (source, target), path in zip(edges, drawn.edges, strict=True):
            before, after = drawn.nodes[source], drawn.nodes[target]
            assert ends(path) == (
                (before.x + WIDTH, before.y + HEIGHT / 2),
                (after.x, after.y + HEIGHT / 2),
            )

    def test_an_edge_does_not_pass_through_a_step(self):
        drawn = graph("abc", SHORT_CUT)
        (level,) = {float(y) for y in re.findall(r"([\d.]+)H", drawn.edges[2])}
        middle = drawn.nodes[1]
        assert not middle.y <= level <= middle.y + HEIGHT

    def test_an_edge_that_closes_a_cycle_is_left_out(self):
        drawn = graph("abc", [*CHAIN, (2, 0)])
        assert len(drawn.edges) == 2
        assert place(drawn) == place(graph("abc", CHAIN))


class TestWords:
    def test_the_graph_in_words(self):
        assert graph("abcd", DIAMOND).words == "a; b after a; c after a; d after b and c"

    def test_a_long_name_is_shortened(self):
        assert [node.name for node in graph(["x" * 20, "y" * 21], []).nodes] == ["x" * 20, "y" * 19 + "…"]
