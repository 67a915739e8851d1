from __future__ import annotations

import asyncio
import sys

import pytest

from aml_provider.triggerer import turns
from aml_provider.triggerer.loading import load

MODULE = """
import builtins
builtins.imports_of_slow.append(1)
if builtins.imports_of_slow == [1] and {fails}:
    raise RuntimeError("the disk is away")
"""


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """A module that counts its imports; the first one fails if the test asks for that."""
    import builtins

    name = f"slow_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE.format(fails=getattr(request, "param", False)))
    monkeypatch.syspath_prepend(tmp_path)
    builtins.imports_of_slow = []
    yield name
    sys.modules.pop(name, None)
    del builtins.imports_of_slow


def imports():
    import builtins

    return len(builtins.imports_of_slow)


async def test_many_callers_share_one_import_and_continue_a_few_at_a_time(module):
    continued, most = [], 0

    async def start(name):
        await load(module)
        continued.append(name)

    tasks = [asyncio.create_task(start(name)) for name in range(95)]
    while not all(task.done() for task in tasks):
        before = len(continued)
        await asyncio.sleep(0)
        most = max(most, len(continued) - before)
    assert imports() == 1
    assert continued == list(range(95))
    # This task's own place in the loop's turn may change.
    assert most <= 2 * turns._AT_ONCE


async def test_a_caller_that_is_cancelled_leaves_the_import_to_the_others(module):
    first, second = asyncio.create_task(load(module)), asyncio.create_task(load(module))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert imports() == 1


@pytest.mark.parametrize("module", [True], indirect=True)
async def test_an_import_that_fails_is_reported_to_each_caller_and_is_tried_again(module):
    failed = await asyncio.gather(load(module), load(module), return_exceptions=True)
    assert [str(error) for error in failed] == ["the disk is away"] * 2
    await load(module)
    assert imports() == 2
