"""Workspaces for tests of the pages: one with ordinary things, one with hostile names, logs and parameters."""

from __future__ import annotations

from aml_provider.emulator.workspace.models import DataPath, Experiment
from aml_provider.emulator.workspace.submission import Submission

HOSTILE = (
    "<script>window.ran='script'</script><img src=x onerror=\"window.ran='img'\"><svg onload=window.ran='svg'>"
    "{{ 7*7 }}{% raw %}</title></pre></td></style><!-- \"'`&amp;&lt; ${1} javascript:alert(1)"
)
# An id is part of addresses too; no id can contain a slash.
HOSTILE_ID = "\"><i x='&quot;?#%41;{{7*7}}\\"
LONG = "a-name-that-nobody-should-choose-but-somebody-will-" * 4
STORE = "store"
SEED = {
    "datastores": [{"name": STORE, "account_name": "account", "account_key": "a2V5", "container": "container"}],
    "pipelines": [
        {
            "name": "good",
            "id": "good",
            "description": "Two steps.",
            "parameters": [
                {"name": "count", "type": "Int"},
                {"name": "label", "default": "red", "documentation": "A colour"},
                {"name": "extra", "optional": True},
            ],
            "data_paths": [{"name": "input", "default": {"datastore": STORE, "path": "in"}}],
            "steps": [
                {"name": "read", "run_seconds": 10, "log": "\n".join(f"line {n}" for n in range(400))},
                {"name": "score", "run_seconds": 30},
            ],
        },
        {
            "name": "breaks",
            "id": "breaks",
            "steps": [
                {"name": "read", "run_seconds": 10},
                {"name": "score", "run_seconds": 10, "log": "loading\nrow 2: oh no", "fails": "row 2 is empty"},
                {"name": "publish"},
            ],
        },
        {"name": "twins", "id": "twin-1", "steps": [{"name": "work"}]},
        {"name": "twins", "id": "twin-2", "status": "Disabled", "steps": [{"name": "work"}]},
    ],
    "endpoints": [
        {
            "name": "door",
            "id": "door",
            "default_version": "1",
            "versions": {"0": "good", "1": "twin-1"},
            "tags": {"team": "fraud"},
        }
    ],
    "schedules": [
        {
            "name": "nightly",
            "id": "nightly",
            "pipeline_id": "twin-1",
            "submission": {
                "experiment": "nights",
                "properties": {"airflow.schedule_dag_id": "owner", "airflow.schedule_task_id": "create"},
            },
            "recurrence": {
                "frequency": "Day",
                "start_time": "2100-01-01T00:00:00",
                "time_zone": "Korea Standard Time",
                "hours": [2],
                "minutes": [30],
            },
        },
        {
            "name": "often",
            "id": "often",
            "endpoint_id": "door",
            "submission": {"experiment": "often"},
            "recurrence": {"frequency": "Minute", "interval": 10},
        },
        {
            "name": "reactive",
            "id": "reactive",
            "pipeline_id": "good",
            "submission": {"experiment": "reactions", "parameters": {"count": "1"}},
            "trigger": {"datastore": STORE, "path": "in", "data_path_parameter": "input"},
        },
        {
            "name": "paused",
            "id": "paused",
            "status": "Disabled",
            "pipeline_id": "twin-1",
            "submission": {"experiment": "never"},
            "recurrence": {"frequency": "Hour"},
        },
    ],
}
HOSTILE_SEED = {
    "components": [
        {
            "name": HOSTILE_ID,
            "display_name": HOSTILE,
            "description": HOSTILE,
            "inputs": [
                {"name": HOSTILE, "default": HOSTILE, "description": HOSTILE, "enum": [HOSTILE], "min": HOSTILE}
            ],
            "outputs": {HOSTILE: HOSTILE},
            "tags": {HOSTILE: HOSTILE},
            "steps": [{"name": HOSTILE, "log": HOSTILE, "fails": HOSTILE}],
        }
    ],
    "batch_endpoints": [
        {
            "name": HOSTILE,
            "description": HOSTILE,
            "default_deployment": HOSTILE,
            "deployments": [{"name": HOSTILE, "component": f"{HOSTILE_ID}:1"}],
        }
    ],
    "datastores": [{"name": HOSTILE, "account_name": HOSTILE, "account_key": "a2V5", "container": HOSTILE}],
    "pipelines": [
        {
            "name": HOSTILE,
            "id": HOSTILE_ID,
            "description": HOSTILE,
            "version": HOSTILE,
            "parameters": [{"name": HOSTILE, "default": HOSTILE, "documentation": HOSTILE}],
            "data_paths": [{"name": HOSTILE + "2", "default": {"datastore": HOSTILE, "path": HOSTILE}}],
            "datasets": [{"name": HOSTILE + "3", "optional": True, "documentation": HOSTILE}],
            "properties": {HOSTILE: HOSTILE},
            "steps": [
                {"name": HOSTILE, "log": HOSTILE, "run_seconds": 1},
                {"name": HOSTILE, "log": HOSTILE, "fails": HOSTILE, "run_seconds": 1},
            ],
        }
    ],
    "endpoints": [
        {
            "name": HOSTILE,
            "id": HOSTILE_ID,
            "description": HOSTILE,
            "default_version": HOSTILE,
            "versions": {HOSTILE: HOSTILE_ID},
            "tags": {HOSTILE: HOSTILE},
            "properties": {HOSTILE: HOSTILE},
        }
    ],
    "schedules": [
        {
            "name": HOSTILE,
            "id": HOSTILE_ID,
            "pipeline_id": HOSTILE_ID,
            "submission": {
                "experiment": "exp",
                "description": HOSTILE,
                "parameters": {HOSTILE: HOSTILE},
                "tags": {HOSTILE: HOSTILE},
                "properties": {"airflow.schedule_dag_id": HOSTILE, "airflow.schedule_task_id": HOSTILE},
            },
            "trigger": {"datastore": HOSTILE, "path": HOSTILE, "data_path_parameter": HOSTILE + "2"},
        }
    ],
    "job_schedules": [
        {
            "name": HOSTILE_ID,
            "properties": {
                "isEnabled": False,
                "trigger": {"triggerType": "Cron", "expression": "0 7 * * *", HOSTILE: HOSTILE},
                "action": {
                    "actionType": "CreateJob",
                    "jobDefinition": {"jobType": "Pipeline", "displayName": HOSTILE, "jobs": {HOSTILE: {}, "last": {}}},
                },
            },
        }
    ],
}


def populate(emulator):
    """Create a run of each kind and runs of schedules; returns the ids of the former by their status."""
    emulator.clock.hold()
    state = emulator.state
    origin = {
        "airflow.dag_id": "score_new_files",
        "airflow.task_id": "score",
        "airflow.map_index": "3",
        "airflow.run_id": "manual__7",
    }
    finished = state.submit(
        "good",
        Submission(
            "scoring",
            description="All of Monday's files",
            parameters={"count": "5"},
            data_paths={"input": DataPath(STORE, "in/f.csv")},
            tags={**origin, "team": "fraud", "flag": None},
        ),
    )
    finished.outputs |= {"rows": 3, "inputs": ["in/f.csv"], "text": "3"}
    failed = state.submit("breaks", Submission("scoring", properties=origin))
    emulator.clock.advance(3600)
    parent = state.submit("twin-1", Submission("exp", run_source="SDK"))
    child = state.submit("twin-1", Submission("exp"), parent_run_id=parent.id)
    canceled = state.submit("good", Submission("exp", parameters={"count": "1"}))
    emulator.clock.advance(5)
    state.cancel(canceled.id)
    running = state.submit("good", Submission("exp", parameters={"count": "1"}))
    emulator.clock.advance(15)
    names = ("finished", "failed", "parent", "child", "canceled", "running")
    return dict(zip(names, (run.id for run in (finished, failed, parent, child, canceled, running)), strict=True))


def populate_hostile(emulator):
    """Create a run with hostile text in every field, and a hostile error of the schedule; returns the run's id."""
    emulator.clock.hold()
    state = emulator.state
    origin = {f"airflow.{name}": HOSTILE for name in ("dag_id", "task_id", "map_index", "run_id")}
    run = state.submit(
        HOSTILE_ID,
        Submission(
            "exp",
            description=HOSTILE,
            parameters={HOSTILE: HOSTILE},
            data_paths={HOSTILE + "2": DataPath(HOSTILE, HOSTILE)},
            datasets={HOSTILE + "3": {HOSTILE: HOSTILE}},
            tags={HOSTILE: HOSTILE, **origin},
            properties={HOSTILE: HOSTILE},
        ),
        endpoint_id=HOSTILE_ID,
    )
    state.submit(HOSTILE_ID, Submission("exp"), parent_run_id=run.id)
    run.display_name = HOSTILE
    run.outputs |= {HOSTILE: {HOSTILE: [HOSTILE]}}
    run.steps[0].blobs.append((HOSTILE, HOSTILE, 1))
    emulator.clock.advance(5)
    schedule = state.schedules.get(HOSTILE_ID)
    state.schedules.failed(schedule, emulator.clock.now(), HOSTILE)
    schedule.seen, schedule.last_change, schedule.changed_blobs = {HOSTILE: "1"}, emulator.clock.now(), [HOSTILE]
    state.experiments.load(
        Experiment(HOSTILE, HOSTILE_ID, emulator.clock.now(), description=HOSTILE, tags={HOSTILE: HOSTILE})
    )
    return run.id
