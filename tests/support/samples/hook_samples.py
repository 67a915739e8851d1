"""Each operation of the hook with a sample of its arguments, and the workspace in which they mean something."""

from __future__ import annotations

from typing import Any, NamedTuple

from support.drivers.hook_faces import ENDPOINT, SCORE, TOKEN, TYPED

from aml_provider.emulator.workspace.models import Datastore

KEY = "cGxhbnRlZC1hY2NvdW50LWtleS8rLz0="
SAS = "sv=2021-12-02&sr=c&sp=rl&sig=cGxhbnRlZC1zYXM%2Fsig%3D"
CLIENT_SECRET = "planted~client.secret"
CERTIFICATE = "-----BEGIN CERTIFICATE-----\ncGxhbnRlZC1jZXJ0aWZpY2F0ZS1saW5l\n-----END CERTIFICATE-----"
PASSWORD = "planted-certificate-password"
PLANTED = [KEY, SAS, "cGxhbnRlZC1zYXM", CLIENT_SECRET, "cGxhbnRlZC1jZXJ0aWZpY2F0ZS1saW5l", PASSWORD, TOKEN]


YEARLY = {"cron": "0 7 * * *", "start_time": "2099-01-01T00:00:00", "data_paths": {"input_datapath": "keyed/in"}}


class World(NamedTuple):
    hook: Any
    run_id: str
    active_id: str
    schedule_id: str
    job_id: str


def a_world(emulator, hook):
    """Fill the demo's workspace, whose clock is held, and the names of what is in it."""
    finished = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"team": "ml"})
    emulator.clock.advance(3600)
    for store in (
        Datastore("keyed", "a", "c", account_key=KEY),
        Datastore("signed", "a", "c", sas_token=SAS),
        Datastore(
            "principal",
            "a",
            "c",
            section={
                "credentialType": "ClientCredentials",
                "clientCredentials": {
                    "tenantId": "t",
                    "clientId": "c",
                    "clientSecret": CLIENT_SECRET,
                    "certificate": CERTIFICATE,
                },
            },
        ),
    ):
        emulator.state.datastores[store.name] = store
    schedule = hook.create_schedule(
        "nightly",
        pipeline_id=SCORE,
        experiment_name="scoring",
        recurrence={"frequency": "Day", "interval": 1},
        description="each night",
        wait_for_provisioning=False,
    )
    emulator.state.runs[finished.id].steps[1].blobs.append(("workspaceblobstore", "results/a.json", 3))
    for name in ("jobs-nightly", "jobs-old"):
        hook.create_job_schedule(
            name, component_name="score_files", experiment_name="scoring", wait_for_provisioning=False, **YEARLY
        )
    hook.create_experiment("empty")
    active = hook.submit_pipeline(SCORE, experiment_name="scoring", tags={"__classname__": "x", "__type": "y"})
    job = hook.submit_job(
        component_name="long_running", experiment_name="scoring", tags={"__classname__": "x"}, compute="cpu-cluster"
    )
    return World(hook, finished.id, active.id, schedule.id, job.id)


# Each operation of the hook, with arguments that the world knows.
SAMPLES = {
    "add_endpoint_version": lambda w: ((ENDPOINT, TYPED), {}),
    "archive_endpoint": lambda w: ((ENDPOINT,), {}),
    "archive_experiment": lambda w: (("empty",), {}),
    "cancel_job": lambda w: ((w.job_id,), {}),
    "cancel_run": lambda w: ((w.active_id,), {}),
    "create_endpoint": lambda w: (("new", SCORE), {"description": "a door"}),
    "create_experiment": lambda w: (("another",), {}),
    "create_job_schedule": lambda w: (
        ("jobs-hourly",),
        {
            "component_name": "score_files",
            "experiment_name": "scoring",
            "wait_for_provisioning": False,
            **YEARLY,
        },
    ),
    "create_schedule": lambda w: (
        ("hourly",),
        {
            "pipeline_id": SCORE,
            "experiment_name": "scoring",
            "recurrence": {"frequency": "Hour", "interval": 1},
            "wait_for_provisioning": False,
        },
    ),
    "delete_datastore": lambda w: (("keyed",), {}),
    "delete_experiment": lambda w: (("empty",), {}),
    "delete_job_schedule": lambda w: (("jobs-old",), {}),
    "disable_endpoint": lambda w: ((ENDPOINT,), {}),
    "disable_job_schedule": lambda w: (("jobs-nightly",), {}),
    "disable_pipeline": lambda w: ((TYPED,), {}),
    "disable_schedule": lambda w: ((w.schedule_id,), {}),
    "enable_endpoint": lambda w: ((ENDPOINT,), {}),
    "enable_job_schedule": lambda w: (("jobs-nightly",), {}),
    "enable_pipeline": lambda w: ((SCORE,), {}),
    "enable_schedule": lambda w: ((w.schedule_id,), {}),
    "find_endpoint": lambda w: (("score-endpoint",), {}),
    "find_pipeline": lambda w: (("score-files",), {}),
    "find_schedule": lambda w: (("nightly",), {}),
    "get_batch_endpoint": lambda w: (("score-batch",), {}),
    "get_component": lambda w: (("typed_inputs",), {}),
    "get_datastore": lambda w: (("principal",), {}),
    "get_default_datastore": lambda w: ((), {}),
    "get_endpoint": lambda w: ((ENDPOINT,), {}),
    "get_experiment": lambda w: (("scoring",), {}),
    "get_job": lambda w: ((w.job_id,), {}),
    "get_job_schedule": lambda w: (("jobs-nightly",), {}),
    "get_last_run_of_schedule": lambda w: ((w.schedule_id,), {}),
    "get_pipeline": lambda w: ((SCORE,), {}),
    "get_pipeline_interface": lambda w: ((SCORE,), {}),
    "get_pipeline_output": lambda w: ((w.run_id, next(iter(w.hook.get_run_outputs(w.run_id))).partition("/")[2]), {}),
    "get_run": lambda w: ((w.run_id,), {}),
    "get_run_logs": lambda w: ((w.run_id,), {}),
    "get_run_metrics": lambda w: ((w.run_id,), {}),
    "get_run_outputs": lambda w: ((w.run_id,), {}),
    "get_schedule": lambda w: ((w.schedule_id,), {}),
    "list_batch_deployments": lambda w: (("score-batch",), {}),
    "list_batch_endpoints": lambda w: ((), {}),
    "list_components": lambda w: ((), {}),
    "list_datastores": lambda w: ((), {}),
    "list_endpoints": lambda w: ((), {}),
    "list_experiments": lambda w: ((), {}),
    "list_job_schedules": lambda w: ((), {}),
    "list_jobs": lambda w: ((), {"limit": None}),
    "list_jobs_of_job_schedule": lambda w: (("jobs-nightly",), {}),
    "list_pipeline_summaries": lambda w: ((), {}),
    "list_pipelines": lambda w: ((), {"active_only": False}),
    "list_pipelines_of_endpoint": lambda w: ((ENDPOINT,), {}),
    "list_runs": lambda w: ((), {"experiment_name": "scoring"}),
    "list_schedules": lambda w: ((), {}),
    "list_steps": lambda w: ((w.run_id,), {}),
    "reactivate_experiment": lambda w: (("empty",), {}),
    "set_default_datastore": lambda w: (("keyed",), {}),
    "set_default_endpoint_version": lambda w: ((ENDPOINT, "0"), {}),
    "set_run_description": lambda w: ((w.run_id, "a text"), {}),
    "set_run_display_name": lambda w: ((w.run_id, "a name"), {}),
    "set_run_properties": lambda w: ((w.run_id, {"property": "1"}), {}),
    "submit_endpoint": lambda w: ((ENDPOINT,), {"experiment_name": "scoring"}),
    "submit_job": lambda w: (
        (),
        {
            "batch_endpoint_name": "score-batch",
            "experiment_name": "scoring",
            "data_paths": {"input_datapath": "workspaceblobstore/in"},
        },
    ),
    "submit_pipeline": lambda w: ((SCORE,), {"experiment_name": "scoring"}),
    "tag_run": lambda w: ((w.run_id, {"tag": "1"}), {}),
    "trigger_job_schedule": lambda w: (("jobs-nightly",), {}),
    "untag_experiment": lambda w: (("scoring", ["tag"]), {}),
    "untag_run": lambda w: ((w.run_id, ["tag"]), {}),
    "update_endpoint": lambda w: ((ENDPOINT,), {"description": "a text"}),
    "update_experiment": lambda w: (("scoring",), {"tags": {"tag": "1"}}),
    "wait_for_run": lambda w: ((w.run_id,), {}),
}
