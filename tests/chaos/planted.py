"""Known bugs that can be put into the provider, to see that the storm reports them.

Airflow's processes get one through their environment: Python imports ``sitecustomize`` from ``PYTHONPATH`` when it
starts, and that changes a method as soon as its module is imported. No production code knows of it.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.abc
import importlib.util
import os
import re
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path
    from types import ModuleType

Method = "Callable[..., Any]"


class Bug(NamedTuple):
    """A method, of one class or several, that does something wrong.

    Args:
        module: The module of the classes.
        method: The method.
        wrong: Makes the wrong one of the right one, by class.
        promise: The promise that the storm then finds broken.
        seed: That of a small storm that finds it.
    """

    module: str
    method: str
    wrong: Mapping[str, Callable[[Method], Method]]
    promise: str
    seed: int = 77

    def put_in(self, module: ModuleType) -> Iterator[Callable[[], None]]:
        """Change the methods; gives what takes each change back."""
        for name, wrong in self.wrong.items():
            owner = getattr(module, name)
            right = getattr(owner, self.method)
            setattr(owner, self.method, wrong(right))
            yield functools.partial(setattr, owner, self.method, right)


def _double_post(act: Method) -> Method:
    """The client sends each submission twice, as if it took POST for safe to repeat."""

    @functools.wraps(act)
    def twice(client: Any, step: Any) -> Any:
        if getattr(step, "method", "") == "POST" and "/PipelineSubmit/" in step.url:
            act(client, step)
        return act(client, step)

    return twice


def _second_id(act: Method) -> Method:
    """The client submits a job again under another id if it does not know what became of the first submission."""

    @functools.wraps(act)
    def again(client: Any, step: Any) -> Any:
        if getattr(step, "method", "") != "PUT" or "/jobs/" not in step.url:
            return act(client, step)
        try:
            reply = act(client, step)
        except Exception:  # noqa: BLE001 - whatever it is, this is what is wrong here
            reply = None
        if reply is None or reply.status >= 500:
            return act(client, step._replace(url=f"{step.url}0"))
        return reply

    return again


def _unread_id(find_job: Method) -> Method:
    """A job whose fate is in doubt counts as absent, as if the answer to a second submission told it all."""

    @functools.wraps(find_job)
    def nothing(*_: Any) -> Any:
        return None
        yield  # it is a generator

    return nothing


def _dropped_change(commit: Method) -> Method:
    """The cursor holds a version that the batch does not."""

    @functools.wraps(commit)
    def all_but_one(poke: Any, detection: Any, *more: Any) -> Any:
        changes = detection.changes[: max(1, len(detection.changes) - 1)]
        return commit(poke, detection._replace(changes=changes), *more)

    return all_but_one


def _cancel_on_poll_error(act: Method) -> Method:
    """A worker cancels a run that it cannot read, as if the run had failed."""

    @functools.wraps(act)
    def impatient(client: Any, step: Any) -> Any:
        reply = None
        try:
            reply = act(client, step)
            return reply
        finally:
            if reply is None or getattr(reply, "status", 200) >= 400:
                for run_id in _looked_at(step):
                    with contextlib.suppress(Exception):
                        client.call(_cancel(run_id))

    return impatient


def _cancel_on_failed_query(act: Method) -> Method:
    """A triggerer cancels the runs that it asked for in vain."""

    @functools.wraps(act)
    async def impatient(client: Any, step: Any) -> Any:
        reply = None
        try:
            reply = await act(client, step)
            return reply
        finally:
            if reply is None or getattr(reply, "status", 200) >= 400:
                for run_id in _looked_at(step):
                    with contextlib.suppress(Exception):
                        await client.call(_cancel(run_id))

    return impatient


def _looked_at(step: Any) -> list[str]:
    """The runs whose state a request asks for."""
    if getattr(step, "method", "") == "GET":
        return re.findall("/PipelineRuns/([^/]+)$", step.url)
    if getattr(step, "method", "") == "POST" and step.url.endswith("/runs:query"):
        return sorted(set(_RUN_ID.findall(step.content.decode())))
    return []


def _cancel(run_id: str) -> Any:
    from aml_provider.client import calls

    return calls.cancel_run(run_id)


_RUN_ID = re.compile("[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

BUGS = {
    "double_post": Bug("aml_provider.client.http.clients", "_act", {"Client": _double_post}, "at most one run active"),
    "second_id": Bug("aml_provider.client.http.clients", "_act", {"Client": _second_id}, "no submission twice"),
    # Found only where the same submission is refused when it comes again.
    "unread_id": Bug(
        "aml_provider.durable.lost_submission", "_find_job", {"RunFinder": _unread_id}, "each task ends right", seed=43
    ),
    "dropped_change": Bug(
        "aml_provider.worker.poke_folder", "_commit", {"FolderPoke": _dropped_change}, "no version lost"
    ),
    "cancel_on_poll_error": Bug(
        "aml_provider.client.http.clients",
        "_act",
        {"Client": _cancel_on_poll_error, "AsyncClient": _cancel_on_failed_query},
        "no cancel without a person's act",
    ),
}


def environment(bug: str, home: Path) -> dict[str, str]:
    """The variables that put a bug into each Python process that starts with them.

    Args:
        bug: A key of :data:`BUGS`.
        home: A folder, where the file is written that Python imports.
    """
    assert bug in BUGS, f"{bug} is no bug; known are {', '.join(BUGS)}"
    folder = home / "planted"
    folder.mkdir()
    text = f"""import importlib.util

spec = importlib.util.spec_from_file_location("planted", {__file__!r})
planted = importlib.util.module_from_spec(spec)
spec.loader.exec_module(planted)
planted.plant({bug!r})
"""
    (folder / "sitecustomize.py").write_text(text)
    paths = [str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(paths)}


@contextlib.contextmanager
def planted(bug: str) -> Iterator[Bug]:
    """Put a bug into this process for a while."""
    found = BUGS[bug]
    takes_back = [*found.put_in(importlib.import_module(found.module))]
    try:
        yield found
    finally:
        for take_back in takes_back:
            take_back()


def plant(bug: str) -> None:
    """Put a bug into this process for good, when the module is imported that it is in."""
    sys.meta_path.insert(0, _Finder(BUGS[bug]))


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the one module and changes it when it is loaded."""

    def __init__(self, bug: Bug) -> None:
        self._bug = bug

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> Any:
        if name != self._bug.module:
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            for _ in self._bug.put_in(module):
                pass

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
