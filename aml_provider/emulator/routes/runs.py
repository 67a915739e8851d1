"""Pipeline runs: submitting, status, cancelling, steps and their logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aml_provider.emulator.routes.http import read_json, reply
from aml_provider.emulator.wire.pipelines import PipelinesWire, node_outputs
from aml_provider.emulator.workspace.body import text_list
from aml_provider.emulator.workspace.errors import bad_request, not_found
from aml_provider.emulator.workspace.files import step_log
from aml_provider.emulator.workspace.submission import Submission

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.requests import Request

    from aml_provider.emulator.emulation import Emulation
    from aml_provider.emulator.workspace.models import Run


class RunRoutes:
    """``/PipelineRuns``."""

    def __init__(self, emulation: Emulation) -> None:
        self._workspace = emulation.workspace
        self._wire = PipelinesWire(emulation.workspace.quirks)

    def routes(self) -> list[Route]:
        """Under the pipelines service."""
        endpoint = "/PipelineRuns/PipelineEndpointSubmit/Id/{endpoint_id}"
        return [
            Route(endpoint, self.submit_endpoint, methods=["POST"]),
            Route(f"{endpoint}/{{version}}", self.submit_endpoint, methods=["POST"]),
            *self._routes("/PipelineRuns", ("PipelineSubmit",)),
            # The service's older names for the same resource, which old clients still use.
            *self._routes("/Experiments", ("PipelineSubmit", "PublishedPipelineSubmit", "TemplateSubmit")),
        ]

    def _routes(self, runs: str, submits: Iterable[str]) -> list[Route]:
        run = f"{runs}/{{run_id}}"
        return [
            *(Route(f"{runs}/{name}/{{pipeline_id}}", self.submit, methods=["POST"]) for name in submits),
            Route(f"{runs}/Pipeline/{{pipeline_id}}", self.of_pipeline),
            Route(run, self.get),
            Route(f"{run}/Execution", self.cancel, methods=["DELETE"]),
            Route(f"{run}/Cancel", self.cancel, methods=["POST"]),
            Route(f"{run}/Graph/AllNodes/Status", self.all_statuses, methods=["POST"]),
            Route(f"{run}/Graph/AllNodes/StatusCode", self.all_codes, methods=["POST"]),
            Route(f"{run}/Graph/Node/Status", self.node_status, methods=["POST"]),
            Route(f"{run}/Graph/Node/StatusCode", self.node_code, methods=["POST"]),
            Route(f"{run}/Graph/Shareable/STDOUT", self.node_log, methods=["POST"]),
            Route(f"{run}/Graph/Shareable/STDERR", self.node_error, methods=["POST"]),
            Route(f"{run}/Graph/Shareable/JobLog", self.node_log, methods=["POST"]),
            Route(f"{run}/Outputs", self.node_outputs, methods=["POST"]),
            Route(f"{run}/PipelineRunOutputs/{{name:path}}", self.output),
        ]

    async def submit(self, request: Request) -> Response:
        """Submit a run of a published pipeline."""
        submission = Submission.from_wire(await read_json(request))
        parent = request.query_params.get("parentRunId")
        return self._reply(self._workspace.submit(request.path_params["pipeline_id"], submission, parent))

    async def submit_endpoint(self, request: Request) -> Response:
        """Submit a run of an endpoint's default version, or of the version in the path or query."""
        submission = Submission.from_wire(await read_json(request))
        version = request.path_params.get("version") or request.query_params.get("pipelineVersion")
        parent = request.query_params.get("parentRunId")
        endpoint_id = request.path_params["endpoint_id"]
        return self._reply(self._workspace.submit_endpoint(endpoint_id, version, submission, parent))

    async def get(self, request: Request) -> Response:
        """One run."""
        return self._reply(self._run(request))

    async def of_pipeline(self, request: Request) -> Response:
        """The runs of a published pipeline, newest first; a bare array."""
        pipeline = self._workspace.pipeline(request.path_params["pipeline_id"])
        found = [run for run in self._workspace.listed_runs() if run.pipeline_id == pipeline.id]
        return reply([self._wire.run(run, self._workspace.view(run)) for run in reversed(found)])

    async def cancel(self, request: Request) -> Response:
        """Request the cancellation of a run."""
        self._workspace.cancel(self._run(request).id)
        return reply()

    async def all_statuses(self, request: Request) -> Response:
        """The status of each step."""
        return reply(self._statuses(self._run(request)))

    async def all_codes(self, request: Request) -> Response:
        """The status code of each step."""
        statuses = self._statuses(self._run(request))
        return reply({node: status["StatusCode"] for node, status in statuses.items()})

    async def node_status(self, request: Request) -> Response:
        """The status of one step."""
        run, index = await self._node(request)
        return reply(self._statuses(run)[run.steps[index].step.node_id])

    async def node_code(self, request: Request) -> Response:
        """The status code of one step."""
        run, index = await self._node(request)
        return reply(self._statuses(run)[run.steps[index].step.node_id]["StatusCode"])

    async def node_log(self, request: Request) -> Response:
        """The log of one step, as the raw body."""
        run, index = await self._node(request)
        return PlainTextResponse(step_log(run, index, self._workspace.view(run)))

    async def node_error(self, request: Request) -> Response:
        """The error output of one step: why it failed."""
        run, index = await self._node(request)
        return PlainTextResponse(self._workspace.view(run).steps[index].error or "")

    async def node_outputs(self, request: Request) -> Response:
        """The blobs that one step wrote."""
        run, index = await self._node(request)
        return reply(node_outputs(run.steps[index], self._workspace.datastores))

    async def output(self, request: Request) -> Response:
        """One output of the run: the blob with this name that a step wrote last."""
        run, name = self._run(request), request.path_params["name"]
        for step_run in reversed(run.steps):
            outputs = node_outputs(step_run, self._workspace.datastores)
            if name in outputs:
                return reply(outputs[name])
        raise not_found(f"Output {name} of PipelineRun {run.id}")

    def _run(self, request: Request) -> Run:
        return self._workspace.run(request.path_params["run_id"])

    def _reply(self, run: Run) -> Response:
        return reply(self._wire.run(run, self._workspace.view(run)))

    def _statuses(self, run: Run) -> dict[str, dict[str, Any]]:
        view = self._workspace.view(run)
        return {
            step_run.step.node_id: self._wire.task_status(run, step_run, step)
            for step_run, step in zip(run.steps, view.steps, strict=True)
        }

    async def _node(self, request: Request) -> tuple[Run, int]:
        # The body is the path to a node, one id per level; here there is only one level.
        path = await read_json(request)
        run = self._run(request)
        if len(text_list(path)) != 1:
            raise bad_request("The body must be an array with one node id.")
        return self._workspace.node(run.id, path[0])
