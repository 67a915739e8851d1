"""One real Airflow, with a workspace whose requests and runs can be held, for the whole suite."""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec

import pytest
from support.airflow.killing import World, at_once

# A cluster needs an environment of its own.
collect_ignore = [] if find_spec("celery") else ["cluster"]

FIGURES = pytest.StashKey[list[str]]()


# Real processes on a machine that has much else to do: a wait ends with its event, seldom with its timeout.
TIMEOUT = 900


def pytest_collection_modifyitems(items):
    """Give each test of a real Airflow more time than one in a process needs."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT))


@pytest.fixture(scope="session")
def figures(request):
    """What was done, for the last lines of the output."""
    return request.config.stash.setdefault(FIGURES, [])


@pytest.fixture(scope="session")
def world(tmp_path_factory, figures):
    with World(tmp_path_factory.mktemp("airflow")) as running:
        # After it, a look that finds nothing proves something: no test depends on what has run before it.
        first = running.case("first-of-the-workspace", deferred=False)
        first.start_and_wait()
        first.finish()
        first.check("success", ["Finished"])
        yield running
        figures.extend(running.figures())


@pytest.fixture(scope="module")
def broken_world(tmp_path_factory, figures):
    """An Airflow of its own, whose components may end by themselves, and whose tasks have the time to outlast that."""
    with World(tmp_path_factory.mktemp("airflow"), retries=20, retry_delay=10, breaks=True) as running:
        yield running
        figures.extend(running.figures())


@pytest.fixture(scope="module")
def outcomes(world, request):
    """Start the chosen ``SCRIPTS`` of a module all together, as each waits much and does little; futures by name."""
    chosen = {item.callspec.params["name"] for item in request.session.items if item.module is request.module}
    return at_once(
        {
            name: partial(script, world.case(name, **options))
            for name, (options, script) in request.module.SCRIPTS.items()
            if name in chosen
        }
    )


def pytest_terminal_summary(terminalreporter, config):
    """Tell what was done."""
    for line in config.stash.get(FIGURES, ()):
        terminalreporter.write_line(line)
