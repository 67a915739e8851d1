"""What people do in a storm: they clear and mark tasks, and cancel runs in the workspace."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, NamedTuple

from processes import ServiceError
from support.oracles.promises import Act, Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from chaos.journal import Journal
    from chaos.plan import Story
    from chaos.workspace import StormWorkspace
    from local_airflow import LocalAirflow
    from task_instances import TaskInstances

ENDED = ("success", "failed")
# Between two looks at all that people wait for.
_INTERVAL = 1.0


class _Scene(NamedTuple):
    """The next step of a story: not before ``at``, and at ``until`` whatever the task does then (monotonic seconds)."""

    story: Story
    step: int
    at: float
    until: float


class People:
    """Plays stories, all at once.

    Args:
        airflow: Airflow.
        tasks: Its task instances.
        workspace: The workspace.
        journal: Told what was done.
        siblings: The task instances of the same DAG run.

    Attributes:
        acts: What was done, for the oracle.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        tasks: TaskInstances,
        workspace: StormWorkspace,
        journal: Journal,
        siblings: Callable[[Task], Iterable[Task]],
    ) -> None:
        self.acts: list[Act] = []
        self._airflow = airflow
        self._tasks = tasks
        self._workspace = workspace
        self._journal = journal
        self._siblings = siblings

    def play(self, stories: Iterable[Story], begun: float, sleep: Callable[[float], None]) -> None:
        """Play all stories to their ends.

        Args:
            stories: What to do.
            begun: When the storm began, in monotonic seconds.
            sleep: Waits for some seconds; raises if the storm is over before its time.
        """
        scenes = [_Scene(story, 0, begun + story.at, begun + story.at + story.patience) for story in stories]
        while scenes:
            now = time.monotonic()
            scenes = [later for scene in scenes if (later := self._look_at(scene, now)) is not None]
            sleep(_INTERVAL)

    def clear(self, task: Task) -> None:
        """Clear a task instance.

        Raises:
            ServiceError: Airflow did not answer, or refused; it may have been cleared all the same.
        """
        self._act("clear", task)

    def _look_at(self, scene: _Scene, now: float) -> _Scene | None:
        """What is left of a scene's story."""
        story, step = scene.story, scene.story.steps[scene.step]
        if now < scene.at:
            return scene
        try:
            state = self._state(story.task)
            if not (now > scene.until or self._is_the_moment(scene, state)):
                return scene
            if step == "cancel" and state not in ENDED and not self._active(story.task):
                # Its run is still to come.
                return scene
            if step == f"mark_{state}":
                self._journal.note("found it marked already", str(story.task))
            else:
                self._act(step, story.task)
        except ServiceError:
            # Airflow is away, or the DAG run has not begun; a person tries again.
            return scene._replace(at=now + 3)
        if scene.step + 1 == len(story.steps):
            return None
        return _Scene(story, scene.step + 1, now + 2, now + story.patience)

    def _is_the_moment(self, scene: _Scene, state: str | None) -> bool:
        """Whether the task does what the step is meant to interrupt, or has done what it follows."""
        step = scene.story.steps[scene.step]
        if step == "clear" and scene.step > 0 and scene.story.steps[scene.step - 1] != "clear":
            return state in ENDED
        return state in {"running", "deferred"} and bool(self._active(scene.story.task))

    def _act(self, step: str, task: Task) -> None:
        if step == "cancel":
            self.cancel(task)
            return
        meant = [*self._siblings(task)] if step == "clear_dag_run" else [task]
        begun, done = self._workspace.clock.now(), math.inf
        try:
            if step == "clear":
                self._tasks.clear(*task)
            elif step == "clear_dag_run":
                self._tasks.clear_dag_run(task.dag_id, task.run_id)
            else:
                self._tasks.mark(*task, state=step.removeprefix("mark_"))
            done = self._workspace.clock.now()
        finally:
            # Where the reply is lost it may have happened, or yet happen.
            kind = "clear" if step == "clear_dag_run" else step
            self.acts += [Act(begun, kind, one, done) for one in meant]
        self._journal.note(step.replace("_", " "), str(task))

    def cancel(self, task: Task) -> None:
        """Cancel a task instance's active runs in the workspace."""
        for run_id in self._active(task):
            begun = self._workspace.clock.now()
            self._workspace.cancel(run_id)
            self.acts.append(Act(begun, "cancel", task, self._workspace.clock.now()))
            self._journal.note("cancel in the workspace", f"{task}: {run_id}")

    def _active(self, task: Task) -> list[str]:
        return self._workspace.active("/".join(map(str, task)))

    def _state(self, task: Task) -> str | None:
        path = f"/dags/{task.dag_id}/dagRuns/{task.run_id}/taskInstances/{task.task_id}"
        found = self._airflow.get(path if task.map_index < 0 else f"{path}/{task.map_index}")
        state: str | None = found["state"]
        return state
