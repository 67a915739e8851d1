"""A workspace with something of everything that it can hold, and what it answers when it is asked."""

from __future__ import annotations

import json
import re

from support.services.workspace_api import DATA, DATASTORES, HISTORY, METRICS, PIPELINES, SCOPE

GRAPH = {"ModuleNodes": [{"Id": "n", "Comment": "load"}], "Edges": []}
INTERFACE = {"DataPathParameterList": [{"Name": "t", "DefaultValue": {"LiteralValue": {"DataStoreName": "store"}}}]}


def change_everything(api):
    """Use every operation that changes the workspace, and name the questions whose answers tell of it."""
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
    change_everything_of_v2(api)
    return [
        f"{SCOPE}/components",
        f"{SCOPE}/components/fit_files/versions",
        f"{SCOPE}/batchEndpoints",
        f"{SCOPE}/batchEndpoints/gate/deployments",
        f"{SCOPE}/datastores",
        f"{SCOPE}/jobs?listViewType=All",
        f"{SCOPE}/jobs?scheduleId=daily",
        f"/mferp/managementfrontend{SCOPE}/batchEndpoints/gate/jobs",
        f"{SCOPE}/schedules?listViewType=All",
        "/_emulator/schedules",
        f"{HISTORY}/runs/job-1/children",
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


def change_everything_of_v2(api):
    api.put_job(tags={"a": None}, properties={"k": "v"})
    data = {"jobInputType": "UriFolder", "uri": DATA}
    body = {"properties": {"inputData": {"input": data}}}
    path = f"/inference/v1.0{SCOPE}/batchEndpoints/gate/jobs"
    api.ask("POST", path, 201, json=body, headers={"repeatability_request-id": "again"})
    defaults = {"authMode": "AADToken", "description": "d", "defaults": {"deploymentName": "green"}}
    api.ask("PUT", f"{SCOPE}/batchEndpoints/gate", json={"location": "x", "properties": defaults})
    reference = {"componentId": {"referenceType": "Id", "assetId": "fit_files:1"}, "settings": {"default_compute": "c"}}
    configuration = {"deploymentConfigurationType": "PipelineComponent", "tags": {"a": "b"}, **reference}
    given = {"location": "x", "tags": {"c": "d"}, "properties": {"deploymentConfiguration": configuration}}
    api.ask("PUT", f"{SCOPE}/batchEndpoints/gate/deployments/white", 201, json=given)
    api.ask("DELETE", f"{SCOPE}/batchEndpoints/gate/deployments/blue")
    principal = {"credentialsType": "ServicePrincipal", "clientId": "i", "tenantId": "t"}
    store = {
        "datastoreType": "AzureDataLakeGen2",
        "accountName": "a",
        "filesystem": "f",
        "description": "d",
        "credentials": {**principal, "secrets": {"secretsType": "ServicePrincipal", "clientSecret": "s"}},
    }
    api.ask("PUT", f"{SCOPE}/datastores/lake", 201, json={"properties": store})
    api.put_schedule(tags={"a": "b"})
    api.put_schedule("off", isEnabled=False, unknown={"x": 1})
    api.emulator.clock.advance(60)
    api.ask("PATCH", f"{HISTORY}/runs/job-1", json={"hidden": True})


def answers(api, questions):
    def ask(path):
        if path.endswith("/full"):
            return api.ask("POST", path, json={"metricName": "m"})
        # Where the emulator listens, and when and as what an error is asked for, is another each time.
        text = json.dumps(api.ask("GET", path)).replace(api.emulator.url, "")
        return re.sub(r'"(time|operation|request)": "[^"]*"', "", text)

    return {path: ask(path) for path in questions}
