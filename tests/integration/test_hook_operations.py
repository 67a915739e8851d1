"""Each method of the hook against a local workspace, by both of its faces."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import re

import httpx
import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from support.recorder import Answer, Recorder

from aml_provider.client.entities import RunState
from aml_provider.client.errors import ReplyLost, ServerFault
from aml_provider.client.models import DataPath, Recurrence
from aml_provider.emulator.server import EmulatorServer
from aml_provider.hooks.azure_ml import AzureMLHook

TOKEN = "connection-secret"
SCORE = "10000000-0000-4000-8000-000000000001"
FAILS = "10000000-0000-4000-8000-000000000002"
RETIRED = "10000000-0000-4000-8000-000000000003"
TYPED = "10000000-0000-4000-8000-000000000006"
OLD = "10000000-0000-4000-8000-000000000007"
LONG = "10000000-0000-4000-8000-000000000008"
ENDPOINT = "20000000-0000-4000-8000-000000000001"


class Face:
    """A hook whose methods are called by their twins, each in an event loop of its own."""

    def __init__(self, hook):
        self._hook = hook

    def __getattr__(self, name):
        twin = getattr(self._hook, f"async_{name}")
        return lambda *args, **kwargs: asyncio.run(twin(*args, **kwargs))


@pytest.fixture(scope="module")
def running():
    with EmulatorServer(seed="demo") as running:
        yield running


@pytest.fixture
def emulator(running):
    """As new, and its time stands still."""
    running.reset()
    running.clock.hold()
    return running


def connect(monkeypatch, url):
    fields = {"subscription_id": "sub-1", "resource_group": "rg", "workspace_name": "ws", "endpoint": url}
    connection = {"conn_type": "azureml", "password": TOKEN, "extra": {**fields, "auth_method": "static_token"}}
    monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps(connection))
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0")
    monkeypatch.setenv("AIRFLOW__AZUREML__LOOKUP_GRACE", "0")
    return AzureMLHook("aml")


@pytest.fixture(params=["sync", "async"])
def face(request):
    """The way in which the hook's methods are called."""
    return (lambda hook: hook) if request.param == "sync" else Face


@pytest.fixture
def hook(emulator, monkeypatch, face):
    return face(connect(monkeypatch, emulator.url))


@pytest.fixture
def told(caplog, capsys):
    """What was logged: Airflow 3 writes it to standard output, Airflow 2 through Python's own logging."""
    return lambda: capsys.readouterr().out + caplog.text


@pytest.fixture
def finished(emulator, hook):
    run = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"team": "ml"})
    emulator.clock.advance(3600)
    return hook.get_run(run.id)


class TestPipelines:
    def test_list_get_and_find(self, hook):
        listed = hook.list_pipelines()
        assert {item.name for item in listed} >= {"score-files", "twins"}
        assert "retired" not in {item.name for item in listed}
        assert RETIRED in {item.id for item in hook.list_pipelines(active_only=False)}
        found = hook.get_pipeline(SCORE)
        assert (found.name, found.version, found.is_active) == ("score-files", "2.0", True)
        assert found.description.startswith("Counts the rows")
        assert hook.find_pipeline("score-files") == found

    def test_an_unknown_id_is_told_with_the_argument(self, hook):
        with pytest.raises(AirflowFailException, match="get published pipeline 'nothing': the service answered 404"):
            hook.get_pipeline("nothing")

    def test_the_interface_says_types_and_defaults(self, hook):
        interface = hook.get_pipeline_interface(TYPED)
        shown = {name: (item.type, item.default, item.required) for name, item in interface.parameters.items()}
        assert shown == {
            "count": ("Int", None, True),
            "rate": ("Double", "0.5", False),
            "verbose": ("Bool", "False", False),
            "label": ("String", None, False),
        }
        assert interface.datasets == {"input_dataset"}
        score = hook.get_pipeline_interface(SCORE)
        assert score.data_path_defaults == {"input_datapath": DataPath("workspaceblobstore", "incoming")}
        assert score.parameters["input_string"].documentation == "Files of the folder, separated by commas"

    def test_the_latest_run_comes_with_the_summary(self, emulator, hook, finished):
        summaries = {item.pipeline.id: item for item in hook.list_pipeline_summaries()}
        assert summaries[SCORE].last_run_id == finished.id
        assert summaries[SCORE].total_runs == 1
        assert (summaries[LONG].last_run_id, summaries[LONG].total_runs) == ("", 0)

    def test_disabling_disables_the_schedules_first(self, emulator, hook):
        schedule = hook.create_schedule(
            "nightly", pipeline_id=SCORE, experiment_name="x", recurrence=Recurrence("Day", 1, "2099-01-01T00:00:00")
        )
        assert hook.disable_pipeline(SCORE) is None
        assert not hook.get_pipeline(SCORE).is_active
        assert not hook.get_schedule(schedule.id).is_active
        order = [item["path"].rpartition("/v1.0")[2] for item in emulator.requests("PUT")]
        assert [path.rsplit("/", 2)[1] for path in order] == ["Schedules", SCORE]
        hook.enable_pipeline(SCORE)
        assert hook.get_pipeline(SCORE).is_active
        assert not hook.get_schedule(schedule.id).is_active


class TestEndpoints:
    def test_list_get_and_find(self, hook):
        (found,) = hook.list_endpoints()
        assert (found.id, found.name, found.default_version) == (ENDPOINT, "score-endpoint", "1")
        assert found.versions == {"0": OLD, "1": SCORE}
        assert hook.get_endpoint(ENDPOINT) == hook.find_endpoint("score-endpoint") == found
        assert {item.id for item in hook.list_pipelines_of_endpoint(ENDPOINT)} == {OLD, SCORE}
        with pytest.raises(AirflowFailException, match="did you mean 'score-endpoint'"):
            hook.find_endpoint("score-endpoin")

    def test_all_endpoints_are_listed_though_the_service_gives_as_many_as_it_is_asked_for(self, emulator, hook):
        for number in range(100):
            known = emulator.state.endpoints[ENDPOINT]
            emulator.state.endpoints[f"e{number}"] = dataclasses.replace(known, id=f"e{number}", name=f"e{number}")
        assert len(hook.list_endpoints()) == 101
        asked = emulator.requests("GET", "PipelineEndpoints")
        sizes = [{name.lower(): value for name, value in item["headers"].items()}["batchsize"] for item in asked]
        assert sizes == ["100", "1000"]

    def test_from_its_creation_to_the_archive(self, emulator, hook):
        made = hook.create_endpoint("door", OLD, description="of the house")
        assert (made.versions, made.default_version, made.description) == ({"0": OLD}, "0", "of the house")
        more = hook.add_endpoint_version(made.id, SCORE)
        assert (more.versions, more.default_version) == ({"0": OLD, "1": SCORE}, "0")
        assert hook.add_endpoint_version(made.id, SCORE) == more, "once is enough"
        last = hook.add_endpoint_version(made.id, TYPED, set_default=True)
        assert (last.versions["2"], last.default_version) == (TYPED, "2")
        assert hook.set_default_endpoint_version(made.id, "1").default_version == "1"
        with pytest.raises(AirflowFailException, match="has no version '9'; it has 0, 1, 2"):
            hook.set_default_endpoint_version(made.id, "9")
        renamed = hook.update_endpoint(made.id, name="gate", description="of the garden")
        assert (renamed.name, renamed.description, len(renamed.versions)) == ("gate", "of the garden", 3)
        assert hook.disable_endpoint(made.id).status == "Disabled"
        assert made.id not in {item.id for item in hook.list_endpoints()}
        assert made.id in {item.id for item in hook.list_endpoints(active_only=False)}
        assert hook.enable_endpoint(made.id).is_active
        archived = hook.archive_endpoint(made.id)
        assert archived.status == "Disabled"
        assert archived.name not in {"door", "gate"}
        assert hook.create_endpoint("gate", SCORE).id != made.id, "its name is free"

    def test_a_name_that_is_taken(self, emulator, hook):
        with pytest.raises(AirflowFailException, match=rf"named 'score-endpoint' already \({ENDPOINT}, Active"):
            hook.create_endpoint("score-endpoint", SCORE)
        assert emulator.requests("POST") == []

    def test_a_lost_reply_makes_no_second_one(self, emulator, hook):
        emulator.faults.add("drop", method="POST", path="*/PipelineEndpoints/Create")
        made = hook.create_endpoint("door", OLD)
        assert made.name == "door"
        assert len(emulator.requests("POST", "Create")) == 1

    def test_a_creation_that_never_arrived_is_told(self, emulator, hook):
        emulator.faults.add("refuse", method="POST", path="*/PipelineEndpoints/Create")
        with pytest.raises(ReplyLost):
            hook.create_endpoint("door", OLD)

    def test_what_others_have_set_stays(self, emulator, hook):
        emulator.state.endpoints[ENDPOINT].tags["team"] = "red"
        emulator.state.endpoints[ENDPOINT].properties["p"] = "q"
        hook.disable_endpoint(ENDPOINT)
        stored = emulator.state.endpoint(ENDPOINT)
        assert (stored.status, stored.tags, stored.properties) == ("Disabled", {"team": "red"}, {"p": "q"})
        assert stored.versions == {"0": OLD, "1": SCORE}

    def test_a_status_that_is_so_already_costs_no_write(self, emulator, hook):
        assert hook.enable_endpoint(ENDPOINT).is_active
        assert emulator.requests("PUT") == []

    @pytest.mark.parametrize("value", ["", " ", None, 5])
    def test_a_name_that_is_none(self, emulator, hook, value):
        for argument, call in (
            ("name", lambda: hook.create_endpoint(value, SCORE)),
            ("pipeline_id", lambda: hook.create_endpoint("door", value)),
            ("pipeline_id", lambda: hook.add_endpoint_version(ENDPOINT, value)),
            ("version", lambda: hook.set_default_endpoint_version(ENDPOINT, value)),
        ):
            with pytest.raises(AirflowFailException, match=f"^{argument}: "):
                call()
        assert emulator.requests() == []


class TestRuns:
    def test_submission_of_an_endpoint(self, emulator, hook):
        run = hook.submit_endpoint(ENDPOINT, experiment_name="x", version="0", tags={"k": 1})
        assert run.pipeline_id == OLD
        assert hook.submit_endpoint(ENDPOINT, experiment_name="x").pipeline_id == SCORE
        assert emulator.requests("POST", "EndpointSubmit")[0]["body"]["tags"] == {"k": "1"}

    def test_a_run_below_another_one(self, hook, finished):
        child = hook.submit_pipeline(SCORE, experiment_name="scoring", parent_run_id=finished.id)
        assert hook.list_runs(experiment_name="scoring") == (hook.list_runs(experiment_name="scoring")[0],)
        assert child.id not in {run.id for run in hook.list_runs(experiment_name="scoring")}

    def test_waiting_and_cancelling(self, emulator, hook):
        run = hook.submit_pipeline(LONG, experiment_name="x")
        assert not hook.wait_for_run(run.id, timeout=0).state.is_final
        assert hook.cancel_run(run.id, reason="enough").state is RunState.CANCELED
        assert hook.wait_for_run(run.id).state is RunState.CANCELED

    def test_steps_by_the_run_or_its_id(self, hook, finished):
        steps = hook.list_steps(finished)
        assert [(step.name, step.status) for step in steps] == [("read", "Completed"), ("score", "Completed")]
        assert hook.list_steps(finished.id) == steps

    def test_lists_say_the_same_of_a_run(self, emulator, hook, finished):
        emulator.clock.advance(60)
        later = hook.submit_pipeline(SCORE, experiment_name="scoring")
        of_pipeline = hook.list_runs(pipeline_id=SCORE)
        of_experiment = hook.list_runs(experiment_name="scoring")
        for found in (of_pipeline, of_experiment):
            assert [run.id for run in found] == [later.id, finished.id], "newest first"
            assert [run.state for run in found] == [RunState.NOT_STARTED, RunState.FINISHED]
            assert {run.experiment_name for run in found} == {"scoring"}
            assert {run.pipeline_id for run in found} == {SCORE}
            assert found[1].tags["team"] == "ml"
            assert found[1].created == finished.created
        assert [run.id for run in hook.list_runs(experiment_name="scoring", limit=1)] == [later.id]
        assert [run.id for run in hook.list_runs(pipeline_id=SCORE, limit=1)] == [later.id]

    @pytest.mark.parametrize("where", [{"experiment_name": "scoring"}, {"pipeline_id": SCORE}])
    def test_lists_are_narrowed(self, hook, finished, where):
        later = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"flag": "on"})
        for status, wanted in (
            ("Finished", [finished.id]),
            ("Completed", [finished.id]),
            ("finished", [finished.id]),
            ("NotStarted", [later.id]),
            ("Failed", []),
        ):
            assert [run.id for run in hook.list_runs(**where, status=status)] == wanted
        for tags, wanted in (({"team": "ml"}, finished.id), ({"flag": None}, later.id)):
            assert [run.id for run in hook.list_runs(**where, tags=tags)] == [wanted]
        assert hook.list_runs(**where, tags={"team": "other"}) == ()

    @pytest.mark.parametrize(
        ("arguments", "named"),
        [
            ({}, "experiment_name"),
            ({"experiment_name": "x", "pipeline_id": "p"}, "experiment_name"),
            ({"experiment_name": "x", "status": "Perhaps"}, "status"),
            ({"experiment_name": "x", "limit": 0}, "limit"),
            ({"experiment_name": "x", "tags": {"a b": "c"}}, "tags"),
            ({"experiment_name": "x", "tags": {"a": 'b" or "a'}}, "tags"),
        ],
    )
    def test_a_list_that_cannot_be_asked_for(self, emulator, hook, arguments, named):
        with pytest.raises(AirflowFailException, match=f"^{named}"):
            hook.list_runs(**arguments)
        assert emulator.requests() == []

    def test_logs_of_all_steps_and_of_one(self, emulator, hook):
        run = hook.submit_pipeline(FAILS, experiment_name="x")
        emulator.clock.advance(3600)
        logs = hook.get_run_logs(run.id)
        assert [name.partition("/")[0] for name in logs] == sorted(name.partition("/")[0] for name in logs)
        assert {name.partition("/")[0] for name in logs} == {"read", "score"}
        (read,) = (text for name, text in logs.items() if name == "read/user_logs/std_log.txt")
        assert "reading\n3 rows" in read
        only = hook.get_run_logs(run.id, "score")
        assert only == {name: text for name, text in logs.items() if name.startswith("score/")}
        assert hook.get_run_logs(run.id, hook.list_steps(run.id)[1].id) == only
        with pytest.raises(AirflowFailException, match=r"step: is 'other', and .* it has read, score"):
            hook.get_run_logs(run.id, "other")
        assert hook.get_run_logs(run.id, "read", max_bytes=4) == {
            name: text.encode()[-4:].decode() for name, text in logs.items() if name.startswith("read/")
        }

    def test_no_token_goes_with_a_link_to_a_log(self, emulator, hook, finished):
        hook.get_run_logs(finished.id)
        links = [item for item in emulator.requests("GET") if "/_content/" in item["path"]]
        assert links
        for item in links:
            assert not {name.lower() for name in item["headers"]} & {"authorization"}

    def test_a_link_that_fails_is_left_out_and_told(self, emulator, hook, finished, told):
        emulator.faults.add("status", path="/_content/*", status=403, times=99)
        logs = hook.get_run_logs(finished.id)
        assert set(logs) == {"read/STDOUT", "score/STDOUT"}
        text = told()
        assert "the service answered 403" in text
        assert re.search(r"sig=(?!\*\*\*)", text) is None, "the links carry signatures"
        emulator.faults.add("status", path="*/Graph/Shareable/*", status=500, times=99)
        with pytest.raises(ServerFault):
            hook.get_run_logs(finished.id)

    def test_a_run_that_has_not_begun_has_no_logs(self, hook):
        assert hook.get_run_logs(hook.submit_pipeline(LONG, experiment_name="x").id) == {}

    def test_outputs_can_be_handed_on(self, emulator, hook, finished):
        emulator.state.runs[finished.id].steps[1].blobs.append(("workspaceblobstore", "results/a.json", 3))
        outputs = hook.get_run_outputs(finished.id)
        (name,) = outputs
        assert name.startswith("score/")
        assert outputs[name].data_path == DataPath("workspaceblobstore", "results/a.json")
        assert outputs[name].container == "azureml-blobstore-demo"
        assert hook.get_run_outputs(finished.id, "read") == {}
        assert hook.get_pipeline_output(finished.id, name.partition("/")[2]).path == "results/a.json"
        handed = hook.submit_pipeline(
            SCORE, experiment_name="x", data_paths={"input_datapath": outputs[name].data_path}
        )
        assert emulator.requests("POST", "PipelineSubmit")[-1]["body"]["DataPathAssignments"] == {
            "input_datapath": {"DataStoreName": "workspaceblobstore", "RelativePath": "results/a.json"}
        }
        assert handed.state is RunState.NOT_STARTED

    def test_metrics(self, emulator, hook, finished):
        step = hook.list_steps(finished)[1]
        for run_id, name, values in ((finished.id, "loss", [0.5, 0.25]), (step.id, "rows", [3])):
            rows = [{"data": {name: value}, "step": number} for number, value in enumerate(values)]
            body = {"values": [{"name": name, "columns": {name: "double"}, "value": rows}]}
            scope = "/subscriptions/s/resourceGroups/r/providers/Microsoft.MachineLearningServices/workspaces/w"
            url = f"{emulator.url}/metric/v2.0{scope}/runs/{run_id}/batch"
            assert httpx.post(url, json=body, headers={"Authorization": "Bearer x"}).json() == {"errors": []}
        metrics = hook.get_run_metrics(finished.id)
        assert {name: [item.value for item in values] for name, values in metrics.items()} == {
            "loss": [0.5, 0.25],
            "score/rows": [3],
        }
        assert [item.step for item in metrics["loss"]] == [0, 1]
        assert set(hook.get_run_metrics(finished.id, "score")) == {"score/rows"}

    def test_tags_come_and_go(self, emulator, hook, finished):
        tagged = hook.tag_run(finished.id, {"quality": "good", "seen": None})
        assert tagged.tags.items() >= {"team": "ml", "quality": "good", "seen": ""}.items()
        (patch,) = emulator.requests("PATCH")
        assert patch["body"]["tags"] == {"quality": "good", "seen": None}, "a tag without a value has none"
        left = hook.untag_run(finished.id, ["seen", "team"], experiment_name="scoring")
        assert "quality" in left.tags
        assert not {"seen", "team"} & set(left.tags)

    def test_a_step_is_tagged_as_well(self, hook, finished):
        step = hook.list_steps(finished)[0]
        assert hook.tag_run(step.id, {"seen": "yes"}).tags["seen"] == "yes"

    def test_properties_names_and_descriptions(self, hook, finished):
        assert hook.set_run_properties(finished.id, {"model": "m1"}).properties["model"] == "m1"
        assert hook.set_run_display_name(finished.id, "of Monday").name == "of Monday"
        assert hook.set_run_description(finished.id, "nice").description == "nice"

    def test_what_is_the_providers_own_is_refused(self, emulator, hook):
        for call in (
            lambda: hook.tag_run("r", {"airflow.cancel": "x"}),
            lambda: hook.untag_run("r", ["airflow.key"]),
            lambda: hook.untag_run("r", "airflow"),
        ):
            with pytest.raises(AirflowFailException, match=r"^(tags|names)"):
                call()
        assert emulator.requests() == []


class TestExperiments:
    def test_from_its_creation_to_its_deletion(self, hook):
        made = hook.create_experiment("trials")
        assert (made.name, made.is_archived) == ("trials", False)
        assert hook.create_experiment("trials") == made, "it is there"
        changed = hook.update_experiment("trials", description="first ones", tags={"team": "ml", "year": 2026})
        assert (changed.description, changed.tags) == ("first ones", {"team": "ml", "year": "2026"})
        assert hook.untag_experiment("trials", ["year"]).tags == {"team": "ml"}
        assert hook.update_experiment("trials", new_name="tries").name == "tries"
        assert hook.get_experiment("tries").id == made.id
        assert hook.archive_experiment("tries").is_archived
        assert "tries" not in {item.name for item in hook.list_experiments()}
        assert [item.name for item in hook.list_experiments("ArchivedOnly")] == ["tries"]
        assert not hook.reactivate_experiment("tries").is_archived
        hook.delete_experiment("tries")
        with pytest.raises(AirflowFailException, match="404"):
            hook.get_experiment("tries")

    def test_lists(self, hook):
        for number in range(3):
            hook.create_experiment(f"e{number}")
        hook.update_experiment("e1", tags={"team": "ml"})
        assert {item.name for item in hook.list_experiments()} == {"e0", "e1", "e2"}
        assert len(hook.list_experiments(limit=2)) == 2
        assert [item.name for item in hook.list_experiments(tags={"team": "ml"})] == ["e1"]
        assert [item.name for item in hook.list_experiments(tags={"team": None})] == ["e1"]
        with pytest.raises(AirflowFailException, match=r"^view: is 'Some'"):
            hook.list_experiments("Some")

    def test_a_name_that_cannot_be(self, emulator, hook):
        with pytest.raises(AirflowFailException, match=r"^experiment_name: "):
            hook.create_experiment("a b")
        with pytest.raises(AirflowFailException, match=r"^new_name: "):
            hook.update_experiment("a", new_name="-")
        assert emulator.requests() == []

    def test_a_lost_reply_makes_no_second_one(self, emulator, hook):
        emulator.faults.add("drop", method="POST", path="*/experiments/trials")
        assert hook.create_experiment("trials").name == "trials"
        assert len(emulator.requests("POST", "/experiments/trials")) == 1


class TestSchedules:
    def create(self, hook, name="nightly", **options):
        options = {"pipeline_id": SCORE, "recurrence": Recurrence("Day", 1, "2099-01-01T00:00:00")} | options
        return hook.create_schedule(name, experiment_name="x", **options)

    def test_a_recurrence(self, emulator, hook):
        made = self.create(hook, description="by night", parameters={"input_string": "a"})
        assert (made.name, made.kind, made.status, made.pipeline_id) == ("nightly", "Recurrence", "Active", SCORE)
        assert (made.description, made.experiment_name) == ("by night", "x")
        assert hook.get_schedule(made.id) == hook.find_schedule("nightly") == made
        (sent,) = emulator.requests("POST", "Create")
        assert sent["body"]["PipelineSubmissionInfo"]["Properties"] == {}, "nobody's marks"
        assert hook.list_schedules(pipeline_id=SCORE) == hook.list_schedules() == (made,)
        assert hook.get_last_run_of_schedule(made.id) is None

    def test_a_folder_and_an_endpoint(self, emulator, hook):
        made = self.create(
            hook,
            pipeline_id=None,
            endpoint_id=ENDPOINT,
            recurrence=None,
            datastore="workspaceblobstore",
            path_on_datastore="incoming",
            polling_interval=10,
            data_path_parameter_name="input_datapath",
        )
        assert (made.kind, made.endpoint_id) == ("DataStore", ENDPOINT)
        assert hook.list_schedules(endpoint_id=ENDPOINT) == (made,)

    def test_its_runs(self, emulator, hook):
        made = self.create(hook, recurrence=Recurrence("Hour", 1))
        emulator.clock.advance(2 * 3600 + 1)
        runs = hook.list_runs(schedule_id=made.id)
        assert len(runs) == 3
        assert {run.schedule_id for run in runs} == {made.id}
        assert hook.get_last_run_of_schedule(made.id) == runs[0]
        assert runs[0].created > runs[1].created > runs[2].created

    def test_one_that_is_to_be_disabled_starts_nothing(self, emulator, hook):
        made = self.create(hook, recurrence=Recurrence("Hour", 1), status="Disabled")
        assert made.status == "Disabled"
        assert made.wire["Recurrence"]["Interval"] == 1
        emulator.clock.advance(7200)
        assert hook.list_runs(schedule_id=made.id) == ()
        assert hook.enable_schedule(made.id).is_active
        assert hook.disable_schedule(made.id).status == "Disabled"

    def test_one_of_the_name(self, emulator, hook):
        made = self.create(hook)
        with pytest.raises(AirflowFailException, match="exists already"):
            self.create(hook)
        every_other = Recurrence("Day", 2, "2099-01-01T00:00:00")
        assert self.create(hook, recurrence=every_other, if_exists="reuse") == made
        updated = self.create(hook, recurrence=every_other, if_exists="update")
        assert (updated.id, updated.wire["Recurrence"]["Interval"]) == (made.id, 2)
        assert len(emulator.requests("POST", "Create")) == 1

    def test_a_lost_reply_makes_no_second_one(self, emulator, hook):
        emulator.faults.add("drop", method="POST", path="*/Schedules/Create")
        made = self.create(hook)
        assert hook.list_schedules(active_only=False) == (made,)
        assert len(emulator.requests("POST", "Create")) == 1

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"pipeline_id": None}, "pipeline_id"),
            ({"endpoint_id": ENDPOINT}, "pipeline_id"),
            ({"if_exists": "perhaps"}, "if_exists"),
            ({"recurrence": None}, "recurrence"),
            ({"recurrence": Recurrence("Second", 1)}, "recurrence.frequency"),
            ({"status": "Off"}, "status"),
            ({"name": ""}, "name"),
            ({"parameters": {"a": object()}}, "parameters"),
        ],
    )
    def test_what_cannot_be_asked_for_costs_no_request(self, emulator, hook, options, named):
        with pytest.raises(AirflowFailException, match=f"^{named}"):
            self.create(hook, **options)
        assert emulator.requests() == []

    def test_names_and_types_are_checked_before_it_is_created(self, emulator, hook):
        with pytest.raises(AirflowFailException, match="there is no parameter 'nonsense'"):
            self.create(hook, parameters={"nonsense": "1"})
        assert emulator.requests("POST") == []

    def test_setting_up_is_waited_for(self, monkeypatch, face):
        with EmulatorServer(seed="demo", quirks=["provisioning=3600"]) as slow:
            slow.clock.hold()
            hook = face(connect(monkeypatch, slow.url))
            assert self.create(hook, wait_for_provisioning=False).is_provisioning
            with pytest.raises(Exception, match="was still Provisioning"):
                self.create(hook, "other", timeout=0)
            slow.clock.advance(3600)
            assert not self.create(hook, "other", if_exists="reuse").is_provisioning


class TestDatastores:
    def test_list_get_and_the_default_one(self, hook, emulator):
        listed = hook.list_datastores()
        assert [store.name for store in listed] == ["workspaceblobstore"]
        assert hook.get_datastore("workspaceblobstore") == hook.get_default_datastore() == listed[0]
        assert listed[0].account_key
        assert listed[0].account_key not in repr(listed)

    def test_another_default(self, monkeypatch, face):
        seed = {"datastores": [{"name": name, "account_name": "a", "container": name} for name in ("one", "two")]}
        with EmulatorServer(seed) as two:
            hook = face(connect(monkeypatch, two.url))
            assert hook.set_default_datastore("two") is None
            assert hook.get_default_datastore().name == "two"
            hook.delete_datastore("one")
            assert [store.name for store in hook.list_datastores()] == ["two"]
            with pytest.raises(AirflowFailException, match="404"):
                hook.set_default_datastore("three")


def test_the_host_of_a_link_never_sees_the_token(monkeypatch, face):
    """What a reply says decides where a log is fetched, and must not decide who gets the token."""
    with Recorder() as service, Recorder() as elsewhere:
        elsewhere.answer("GET", "*", Answer(body=b"a log"))
        run = {"Id": "r", "RunHistoryExperimentName": "x", "Status": {"StatusCode": "Failed"}}
        step = {"runId": "s", "name": "one", "status": "Failed", "dataContainerId": "dcid.s"}
        service.answer("GET", "*/PipelineRuns/r", Answer(json=run))
        service.answer("GET", "*/children", Answer(json={"value": [step]}))
        files = {"user_logs/std_log.txt": f"{elsewhere.url}/a?sig=secret"}
        service.answer("GET", "*/details", Answer(json={"logFiles": files}))
        found = [{"path": "user_logs/more.txt", "contentUri": f"{elsewhere.url}/b?sig=secret"}]
        service.answer("GET", "*/contentinfo/*", Answer(json={"value": found}))
        logs = face(connect(monkeypatch, service.url)).get_run_logs("r")
        assert logs == {"one/user_logs/more.txt": "a log", "one/user_logs/std_log.txt": "a log"}
        assert len(elsewhere.seen) == 2
        for seen in elsewhere.seen:
            assert "authorization" not in seen.headers
            assert TOKEN not in str(seen)
        assert all(seen.headers["authorization"] == f"Bearer {TOKEN}" for seen in service.seen)


def test_a_redirect_of_a_link_is_not_followed(monkeypatch, face, told):
    with Recorder() as service, Recorder() as elsewhere:
        run = {"Id": "r", "RunHistoryExperimentName": "x", "Status": {"StatusCode": "Failed"}}
        service.answer("GET", "*/PipelineRuns/r", Answer(json=run))
        step = {"runId": "s", "name": "one", "status": "Failed", "tags": {"azureml.nodeid": "n"}}
        service.answer("GET", "*/children", Answer(json={"value": [step]}))
        service.answer("GET", "*/details", Answer(json={"logFiles": {"a.txt": f"{service.url}/moved"}}))
        service.answer("GET", "/moved", Answer(302, headers=(("Location", elsewhere.url),)))
        service.answer("POST", "*/STDOUT", Answer(body=b"said"))
        assert face(connect(monkeypatch, service.url)).get_run_logs("r") == {"one/STDOUT": "said"}
        assert elsewhere.seen == []
    assert "A log is left out" in told()
