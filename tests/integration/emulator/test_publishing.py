"""Publishing pipelines, their graphs and summaries, and the older names of the same calls."""

from __future__ import annotations

import pytest
from support.services.workspace_api import PIPELINES, serving

CREATE = f"{PIPELINES}/Pipelines/Create"
GRAPH = {
    "ModuleNodes": [{"Id": "last"}, {"Id": "first", "Comment": "load"}],
    "Edges": [{"SourceOutputPort": {"NodeId": "first"}, "DestinationInputPort": {"NodeId": "last"}}],
}
INTERFACE = {
    "Parameters": [
        {"Name": "count", "Type": "Int", "DefaultValue": 3},
        {"Name": "label", "Type": 3, "IsOptional": True, "Documentation": "what it is called"},
    ],
    "DataPathParameters": [{"Name": "input", "DefaultValue": {"DataStoreName": "store", "RelativePath": "in"}}],
    "DataPathParameterList": [{"Name": "table", "DefaultValue": {"SavedDataSetReference": {"Id": "d"}}}],
}


@pytest.fixture
def api():
    with serving() as running:
        yield running


class TestFromAGraph:
    def test_it_can_be_listed_submitted_and_run(self, api):
        body = {"Name": "new", "Description": "d", "Version": "3", "Graph": GRAPH, "GraphInterface": INTERFACE}
        entity = api.ask("POST", CREATE, json=body)
        assert (entity["Name"], entity["Description"], entity["Version"]) == ("new", "d", "3")
        assert (entity["EntityStatus"], entity["TotalRunSteps"]) == ("Active", 2)
        assert entity["ParameterAssignments"] == {"count": "3"}
        assert entity["DataSetDefinitionValueAssignments"] == {"table": {"SavedDataSetReference": {"Id": "d"}}}
        listed = api.ask("GET", f"{PIPELINES}/Pipelines?activeOnly=true")
        assert [item["Id"] for item in listed if item["Name"] == "new"] == [entity["Id"]]
        assert entity["Url"].endswith(f"{PIPELINES}/PipelineRuns/PipelineSubmit/{entity['Id']}")

        run_id = api.finished(pipeline=entity["Id"])
        assert [step["name"] for step in api.steps(run_id)] == ["load", "last"]
        assert api.run(run_id)["status"] == "Completed"

    def test_its_graph_and_interface_are_what_was_sent(self, api):
        entity = api.ask("POST", CREATE, json={"Name": "new", "Graph": GRAPH, "GraphInterface": INTERFACE})
        graph = api.ask("GET", f"{PIPELINES}/Graphs/{entity['GraphId']}")
        assert (graph["ModuleNodes"], graph["Edges"]) == (GRAPH["ModuleNodes"], GRAPH["Edges"])
        assert graph["Id"] == entity["GraphId"]
        interface = api.ask("GET", f"{PIPELINES}/Graphs/{entity['GraphId']}/Interface")
        assert [(item["Name"], item["Type"], item["DefaultValue"]) for item in interface["Parameters"]] == [
            ("count", "Int", "3"),
            ("label", "String", None),
        ]
        assert interface["DataPathParameters"][0]["DefaultValue"] == {"DataStoreName": "store", "RelativePath": "in"}
        assert interface["DataPathParameterList"][0]["DefaultValue"] == {"SavedDataSetReference": {"Id": "d"}}

    def test_assignments_become_defaults(self, api):
        body = {
            "Name": "new",
            "Graph": GRAPH,
            "GraphInterface": INTERFACE,
            "ParameterAssignments": {"count": 7},
            "DataPathAssignments": {"input": {"DataStoreName": "files", "RelativePath": "x"}},
            "ContinueRunOnStepFailure": True,
            "tags": {"a": "b"},
            "Properties": {"c": "d"},
        }
        entity = api.ask("POST", CREATE, json=body)
        assert entity["ParameterAssignments"] == {"count": "7"}
        assert (entity["ContinueRunOnStepFailure"], entity["Properties"]) == (True, {"c": "d"})
        (path,) = api.ask("GET", f"{PIPELINES}/Graphs/{entity['GraphId']}/Interface")["DataPathParameters"]
        assert path["DefaultValue"] == {"DataStoreName": "files", "RelativePath": "x"}

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"Name": None}, "Name is required"),
            ({"Graph": None}, "Graph with its ModuleNodes"),
            ({"Graph": {"ModuleNodes": []}}, "ModuleNodes is empty"),
            ({"Graph": {"ModuleNodes": [{"Id": "a"}, {"Id": "a"}]}}, "Two ModuleNodes have the Id a"),
            ({"Graph": {"ModuleNodes": [{}]}}, "Id is required"),
            ({"Graph": {**GRAPH, "Edges": [*GRAPH["Edges"], {
                "SourceOutputPort": {"NodeId": "last"}, "DestinationInputPort": {"NodeId": "first"}}]}}, "a cycle"),
            ({"GraphInterface": {"Parameters": [{"Name": "a", "Type": "Long"}]}}, "'Long' is not a Type"),
            ({"GraphInterface": {"Parameters": [{"Name": "a"}, {"Name": "a"}]}}, "names these parameters twice: a"),
            ({"ParameterAssignments": {"x": "1"}}, "no parameter x"),
        ],
    )  # fmt: skip
    def test_invalid_pipelines_are_refused(self, api, change, said):
        body = {"Name": "new", "Graph": GRAPH, "GraphInterface": INTERFACE, **change}
        assert said in api.ask("POST", CREATE, 400, json=body)
        assert len(api.emulator.state.pipelines) == 3


class TestFromAnother:
    def test_by_the_id_of_its_graph(self, api):
        graph_id = api.ask("GET", f"{PIPELINES}/Pipelines/train")["GraphId"]
        for body in ({"GraphId": graph_id}, {"Graph": {"Id": graph_id}}):
            entity = api.ask("POST", CREATE, json={"Name": "copy", "ParameterAssignments": {"rate": "1"}, **body})
            assert entity["ParameterAssignments"] == {"rate": "1"}
            run_id = api.finished(pipeline=entity["Id"])
            assert [step["name"] for step in api.steps(run_id)] == ["prepare", "fit"]
        # The original is unchanged.
        assert api.ask("GET", f"{PIPELINES}/Pipelines/train")["ParameterAssignments"] == {"rate": "0.5"}

    def test_the_steps_of_a_copied_graph_behave_the_same(self, api):
        graph_id = api.ask("GET", f"{PIPELINES}/Pipelines/train")["GraphId"]
        graph = api.ask("GET", f"{PIPELINES}/Graphs/{graph_id}")
        interface = api.ask("GET", f"{PIPELINES}/Graphs/{graph_id}/Interface")
        entity = api.ask("POST", CREATE, json={"Name": "copy", "Graph": graph, "GraphInterface": interface})
        run_id = api.finished(pipeline=entity["Id"])
        node = api.steps(run_id)[1]["tags"]["azureml.nodeid"]
        log = api.post(f"{PIPELINES}/PipelineRuns/{run_id}/Graph/Shareable/STDOUT", json=[node])
        assert log.text == "fitting\n"

    def test_an_unknown_graph(self, api):
        assert "Graph x was not found" in api.ask("POST", CREATE, 404, json={"Name": "copy", "GraphId": "x"})
        assert "Graph x was not found" in api.ask("GET", f"{PIPELINES}/Graphs/x", 404)

    def test_the_modules_of_a_graph_have_names(self, api):
        graph_id = api.ask("GET", f"{PIPELINES}/Pipelines/train")["GraphId"]
        nodes = api.ask("GET", f"{PIPELINES}/Graphs/{graph_id}")["ModuleNodes"]
        found = [api.ask("GET", f"{PIPELINES}/Modules/{node['ModuleId']}") for node in nodes]
        assert [item["Data"]["Name"] for item in found] == ["prepare", "fit"]
        assert "Module x was not found" in api.ask("GET", f"{PIPELINES}/Modules/x", 404)


class TestViews:
    def test_the_last_run_of_each_pipeline(self, api):
        assert api.ask("GET", f"{PIPELINES}/Pipelines/train/View")["LastRunId"] is None
        api.finished()
        run_id = api.submit()
        view = api.ask("GET", f"{PIPELINES}/Pipelines/train/View")
        assert view["PipelineEntity"] == api.ask("GET", f"{PIPELINES}/Pipelines/train")
        assert (view["LastRunId"], view["LastRunStatus"], view["TotalRuns"]) == (run_id, "NotStarted", 2)
        views = api.ask("GET", f"{PIPELINES}/Pipelines/View?activeOnly=true")
        assert [(item["PipelineEntity"]["Id"], item["TotalRuns"]) for item in views] == [("train", 2), ("score", 0)]
        assert len(api.ask("GET", f"{PIPELINES}/Pipelines/View?activeOnly=false")) == 3
        assert "Pipeline x was not found" in api.ask("GET", f"{PIPELINES}/Pipelines/x/View", 404)


class TestOlderNames:
    @pytest.mark.parametrize("name", ["PublishedPipelines", "Templates"])
    def test_older_names_of_pipelines(self, api, name):
        assert api.ask("GET", f"{PIPELINES}/{name}") == api.ask("GET", f"{PIPELINES}/Pipelines")
        assert api.ask("GET", f"{PIPELINES}/{name}/train") == api.ask("GET", f"{PIPELINES}/Pipelines/train")
        api.ask("PUT", f"{PIPELINES}/{name}/train/status", json="Disabled")
        assert api.ask("GET", f"{PIPELINES}/Pipelines/train")["EntityStatus"] == "Disabled"

    def test_publishing_from_a_run(self, api):
        run_id = api.finished()
        entity = api.ask("POST", f"{PIPELINES}/Templates/Create", json={"Name": "again", "ExperimentId": run_id})
        assert [step["name"] for step in api.steps(api.finished(pipeline=entity["Id"]))] == ["prepare", "fit"]

    @pytest.mark.parametrize("name", ["PipelineSubmit", "PublishedPipelineSubmit", "TemplateSubmit"])
    def test_older_names_of_runs(self, api, name):
        run_id = api.ask("POST", f"{PIPELINES}/Experiments/{name}/train", json={"ExperimentName": "exp"})["Id"]
        entity = api.ask("GET", f"{PIPELINES}/Experiments/{run_id}")
        assert entity == api.ask("GET", f"{PIPELINES}/PipelineRuns/{run_id}")
        assert api.ask("GET", f"{PIPELINES}/Experiments/Pipeline/train") == [entity]
        api.ask("DELETE", f"{PIPELINES}/Experiments/{run_id}/Execution")
        assert api.ask("GET", f"{PIPELINES}/Experiments/{run_id}")["Status"]["StatusCode"] == "Canceled"


class TestDataTypes:
    def test_a_registered_data_type_is_listed_unchanged(self, api):
        new = {
            "Id": "New",
            "Name": "A new one",
            "Description": "d",
            "IsDirectory": True,
            "ParentDataTypeIds": ["AnyDirectory"],
        }
        entity = api.ask("POST", f"{PIPELINES}/DataTypes", json=new)
        assert {key: entity[key] for key in new} == new
        assert entity in api.ask("GET", f"{PIPELINES}/DataTypes")
        assert "already exists" in api.ask("POST", f"{PIPELINES}/DataTypes", 409, json=new)
        assert "Id is required" in api.ask("POST", f"{PIPELINES}/DataTypes", 400, json={"Name": "x"})
