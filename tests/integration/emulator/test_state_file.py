"""A workspace with a state file is the same after a restart."""

from __future__ import annotations

import json
import re

from support.services.workspace_api import DATASTORES, HISTORY, METRICS, PIPELINES, serving

GRAPH = {"ModuleNodes": [{"Id": "n", "Comment": "load"}], "Edges": []}
INTERFACE = {"DataPathParameterList": [{"Name": "t", "DefaultValue": {"LiteralValue": {"DataStoreName": "store"}}}]}


def change_everything(api):
    """Use every operation that changes the workspace, and return the addresses whose replies show the changes."""
    api.ask("POST", f"{PIPELINES}/DataTypes", json={"Id": "New", "ParentDataTypeIds": ["AnyFile"]})
    body = {"Name": "new", "Graph": GRAPH, "GraphInterface": INTERFACE, "tags": {"a": None}, "EnableNotification": True}
    pipeline = api.ask("POST", f"{PIPELINES}/Pipelines/Create", json=body)
    endpoint = {"Name": "gate", "PipelineId": pipeline["Id"], "tags": {"a": "b"}}
    api.ask("POST", f"{PIPELINES}/PipelineEndpoints/Create", json=endpoint)
    first = api.finished(tags={"emulator.fail_at": "fit", "emulator.fail_with": "no memory"})
    archived = api.run(first)["experimentId"]
    api.ask("PATCH", f"{HISTORY}/experimentids/{archived}", json={"archive": True, "tags": {"a": None}})
    second = api.finished()
    renamed = api.run(second)["experimentId"]
    api.ask("PATCH", f"{HISTORY}/experimentids/{renamed}", json={"name": "renamed", "description": "d"})
    deleted = api.ask("POST", f"{HISTORY}/experiments/deleted")["experimentId"]
    api.ask("DELETE", f"{HISTORY}/experimentids/{deleted}")
    step = api.steps(second)[0]["runId"]
    for run_id in (second, step):
        changes = {"tags": {"t": None}, "properties": {"p": "1"}, "displayName": "shown", "description": "d"}
        api.ask("PATCH", f"{HISTORY}/runs/{run_id}", json=changes)
        metric = {"name": "m", "columns": {"m": "int"}, "value": [{"data": {"m": 1}}]}
        api.ask("POST", f"{METRICS}/runs/{run_id}/batch", json={"values": [metric]})
    section = {"serverName": "s", "databaseName": "d", "userPassword": "p"}
    store = {"name": "sql", "dataStoreType": "AzureMySql", "azureMySqlSection": section, "tags": {"a": "b"}}
    api.ask("POST", f"{DATASTORES}/datastores", json=store)
    api.ask("PUT", f"{DATASTORES}/default/files")
    return [
        f"{PIPELINES}/DataTypes",
        f"{PIPELINES}/Pipelines/View",
        f"{PIPELINES}/Graphs/{pipeline['GraphId']}",
        f"{PIPELINES}/Graphs/{pipeline['GraphId']}/Interface",
        f"{PIPELINES}/PipelineEndpoints",
        f"{PIPELINES}/PipelineRuns/Pipeline/train",
        f"{HISTORY}/experiments?viewType=All",
        *(f"{HISTORY}/runs/{run_id}{part}" for run_id in (first, second) for part in ("", "/children")),
        *(f"{METRICS}/runs/{run_id}/full" for run_id in (second, step)),
        f"{DATASTORES}/datastores",
        f"{DATASTORES}/default",
    ]


def answers(api, addresses):
    def ask(path):
        if path.endswith("/full"):
            return api.ask("POST", path, json={"metricName": "m"})
        # The port, and the time and ids of errors, differ each time.
        text = json.dumps(api.ask("GET", path)).replace(api.emulator.url, "")
        return re.sub(r'"(time|operation|request)": "[^"]*"', "", text)

    return {path: ask(path) for path in addresses}


def test_everything_that_can_be_changed_survives(tmp_path):
    file = tmp_path / "workspace.json"
    with serving(state_file=file) as api:
        addresses = change_everything(api)
        before = answers(api, addresses)
    with serving(state_file=file) as api:
        assert answers(api, addresses) == before
        # Its name can be used again, its id cannot.
        assert api.ask("POST", f"{HISTORY}/experiments/deleted")["experimentId"] not in before
        assert "was not found" in api.ask("GET", f"{HISTORY}/experiments/exp/runs/x", 404)


def test_a_seed_can_contain_datastores_and_experiments():
    section = {"serverName": "s", "databaseName": "d"}
    seed = {
        "datastores": [
            {"name": "a", "account_name": "x", "container": "c"},
            {"name": "b", "type": "AzureSqlDatabase", "section": section, "tags": {"k": "v"}},
        ],
        "default_datastore": "b",
        "experiments": [{"name": "known", "tags": {"a": "b"}}],
    }
    with serving(seed) as api:
        found = api.ask("GET", f"{DATASTORES}/default")
        assert (found["name"], found["azureSqlDatabaseSection"], found["tags"]) == ("b", section, {"k": "v"})
        assert api.ask("GET", f"{HISTORY}/experiments/known")["tags"] == {"a": "b"}
