"""One cluster for the whole suite: Celery's executor, PostgreSQL, and two or three of what may be more than one."""

from __future__ import annotations

import re

import pytest
from support.airflow.killed_cluster import Cluster


@pytest.fixture(scope="session")
def world(tmp_path_factory, figures):
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        # After it, a look-up that finds nothing proves something: no test depends on what has run before it.
        first = running.case("first-of-the-workspace", deferred=False)
        first.start_and_wait()
        first.finish()
        first.check("success", ["Finished"])
        yield running
        figures.extend(running.figures())


@pytest.fixture
def cases(world, request):
    """Makes task instances that are named after the test, and starts them; by name."""
    # Airflow allows no brackets in the id of a DAG run.
    test = re.sub(r"\W+", "-", request.node.name)

    def make(*, deferred=(), on_worker=()):
        made = {name: world.case(f"{test}-{name}", deferred=name in deferred) for name in (*deferred, *on_worker)}
        for case in made.values():
            case.start()
        for case in made.values():
            case.until_waiting()
        return made

    return make
