"""The step functions of the demo pipelines."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

from aml_provider.emulator.studio.words import counted

if TYPE_CHECKING:
    from aml_provider.emulator.steps import ResolvedPath, StepContext


def read(context: StepContext) -> None:
    """Count the rows and add up the numeric columns of the CSV files at ``input_datapath``.

    In a folder it reads the files that ``input_string`` names, separated by commas, or all files if it names none.
    Without a blob endpoint it reads nothing, and the log says so.
    """
    path = context.data_paths["input_datapath"]
    if not context.blob_endpoint:
        context.log("no blob endpoint given: nothing read")
        context.outputs.update(inputs=[path.path], rows=0, sums={})
        return
    inputs = _inputs(path, _chosen(context))
    rows = 0
    sums: dict[str, float] = {}
    for item in inputs:
        count, columns = _summary(item.read_bytes())
        context.log(f"{item.datastore}/{item.path}: {counted(count, 'rows')}")
        rows += count
        for name, total in columns.items():
            sums[name] = sums.get(name, 0.0) + total
    context.log(f"{counted(len(inputs), 'files')}, {counted(rows, 'rows')}")
    context.outputs.update(inputs=[item.path for item in inputs], rows=rows, sums=sums)


def score(context: StepContext) -> None:
    """Write the outputs of ``read`` to ``results/<run id>.json`` in the same datastore."""
    result: dict[str, Any] = {
        "run_id": context.run_id,
        "input_string": _chosen(context),
        **context.outputs,
    }
    if not context.blob_endpoint:
        context.log("no blob endpoint given: nothing written")
        return
    target = f"results/{context.run_id}.json"
    context.write_blob(context.data_paths["input_datapath"].datastore, target, json.dumps(result, indent=1).encode())
    context.log(f"wrote {target}: {counted(result['rows'], 'rows')} of {counted(len(result['inputs']), 'files')}")


def reject(context: StepContext) -> None:
    """Fail, with a log of several lines."""
    context.log("loading the model")
    context.log("scoring 3 rows")
    context.log("row 1: ok")
    context.log("row 2: the column 'amount' is empty")
    raise ValueError("row 2 cannot be scored: the column 'amount' is empty")


def _chosen(context: StepContext) -> str:
    """The names of files; a job of the v2 API may leave the input out, as it cannot have an empty text."""
    return context.parameters.get("input_string", "")


def _inputs(path: ResolvedPath, chosen: str) -> list[ResolvedPath]:
    names = path.list_names()
    if not names:
        return [path]
    wanted = [name.strip() for name in chosen.split(",") if name.strip()]
    return [path.child(name) for name in names if not wanted or name in wanted]


def _summary(content: bytes) -> tuple[int, dict[str, float]]:
    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig", errors="replace"))))
    sums: dict[str, float] = {}
    for column in rows[0] if rows else ():
        try:
            sums[column] = sum(float(row[column]) for row in rows)
        except (TypeError, ValueError):
            continue
    return len(rows), sums
