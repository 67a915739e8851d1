"""Every command and its arguments, in Airflow's own terms.

Airflow 3.2 and later calls :func:`get_azureml_cli_commands` whenever ``airflow`` starts, whichever command is run. So
this module imports only what ``airflow`` has already imported; a command's own code is imported when it runs.
"""

from __future__ import annotations

from argparse import ArgumentTypeError

from airflow.cli.cli_config import (
    ARG_OUTPUT,
    ARG_VERBOSE,
    ARG_YES,
    ActionCommand,
    Arg,
    GroupCommand,
    lazy_load_command,
    positive_int,
)


def assignment(text: str) -> tuple[str, str]:
    """Read ``name=value``; the value may be empty and may hold further equals signs.

    Raises:
        ArgumentTypeError: There is no name, or no equals sign.
    """
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise ArgumentTypeError(f"{text!r} is not of the form name=value")
    return name, value


def seconds(text: str) -> float:
    """Read a positive number of seconds.

    Raises:
        ArgumentTypeError: It is not a positive number.
    """
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"{text!r} is not a positive number of seconds")
    return value


# The values of client.entities.RunState, whose module is too slow to import here.
STATUSES = ("NotStarted", "Queued", "Running", "Finished", "Failed", "Canceled")

# The keys of client.rights.USES, and the same holds.
USES = ("submit", "submit-and-watch", "schedules", "sensor", "run-events", "manage")

_CONN_ID = Arg(
    ("--conn-id",), help="The Airflow connection of the workspace (default: azureml_default)", default="azureml_default"
)
_COMMON = (_CONN_ID, ARG_OUTPUT, ARG_VERBOSE)
_ALL = Arg(("--all",), help="Include the inactive ones", action="store_true")
_PIPELINE = Arg(("pipeline",), help="Id or name of the published pipeline")
_ENDPOINT = Arg(("endpoint",), help="Id or name of the pipeline endpoint")
_COMPONENT = Arg(("component",), help="Name of the registered component")
_BATCH_ENDPOINT = Arg(("batch_endpoint",), help="Name of the batch endpoint")
_SCHEDULE = Arg(("schedule",), help="Id or name of the native schedule")
_NAME = Arg(("name",), help="Name of the job schedule")
_RUN_ID = Arg(("run_id",), help="Id of the pipeline run")
_JOB_ID = Arg(("run_id",), help="Id of the pipeline job", metavar="job_id")
_AS_DAG = Arg(
    ("--as-dag",),
    help="Print the call of the run operator for a DAG file instead, with every parameter, its type and its default",
    action="store_true",
)
_STEP = Arg(("--step",), help="Only this step (name or run id)")
_POLL_INTERVAL = Arg(("--poll-interval",), help="Seconds between two polls (default: 5)", type=seconds, default=5.0)
_TIMEOUT = Arg(("--timeout",), help="Seconds after which to stop; the run continues", type=seconds)
_FOLLOWING = (
    Arg(("-f", "--follow"), help="Continue to print what is new, until the run ends", action="store_true"),
    Arg(("--poll-interval",), help="With --follow: seconds between two polls (default: 5)", type=seconds, default=5.0),
    Arg(("--timeout",), help="With --follow: seconds after which to stop; the run continues", type=seconds),
)
_WATCH = (
    "On a terminal, the steps are shown with their statuses and durations; elsewhere, each change is a line. Ctrl-C "
    "stops the command and not the run. Exit codes: 0 finished, 3 failed, 4 cancelled, 5 still active after --timeout."
)
_LIMIT = Arg(("--limit",), help="At most N runs (default: 25)", type=positive_int(allow_zero=False), default=25)
_COMPONENT_VERSION = Arg(("--component-version",), help="Version of the component (default: the newest one)")
_PIPELINE_OPTION = Arg(("--pipeline",), help="Id or name of a published pipeline")
_ENDPOINT_OPTION = Arg(("--endpoint",), help="Id or name of a pipeline endpoint")


def _command(name: str, function: str, summary: str, *arguments: Arg, description: str | None = None) -> ActionCommand:
    return ActionCommand(
        name=name,
        help=summary,
        description=description,
        func=lazy_load_command(f"aml_provider.cli.{function}"),
        args=(*arguments, *_COMMON),
    )


def _assignments(*flags: str, form: str, summary: str) -> Arg:
    return Arg(flags, help=f"{summary}; may be repeated", metavar=form, type=assignment, action="append", default=[])


_PIPELINES = GroupCommand(
    name="pipelines",
    help="Published pipelines",
    subcommands=(
        _command("list", "pipelines.list_", "List the active published pipelines", _ALL),
        _command(
            "show",
            "pipelines.show",
            "Show a published pipeline and its parameters, data paths and datasets",
            _PIPELINE,
            _AS_DAG,
        ),
        _command(
            "disable",
            "pipelines.disable",
            "Disable the native schedules of a published pipeline, then the pipeline",
            _PIPELINE,
            ARG_YES,
        ),
        _command("enable", "pipelines.enable", "Enable a published pipeline; its schedules are not changed", _PIPELINE),
    ),
)
_ENDPOINTS = GroupCommand(
    name="endpoints",
    help="Pipeline endpoints",
    subcommands=(
        _command("list", "endpoints.list_", "List the active pipeline endpoints", _ALL),
        _command("show", "endpoints.show", "Show a pipeline endpoint and its versions", _ENDPOINT, _AS_DAG),
    ),
)
_EXPERIMENTS = GroupCommand(
    name="experiments",
    help="Experiments",
    subcommands=(
        _command(
            "list",
            "workspace.list_experiments",
            "List the experiments",
            Arg(("--all",), help="Include the archived ones", action="store_true"),
        ),
    ),
)
_DATASTORES = GroupCommand(
    name="datastores",
    help="Datastores",
    subcommands=(_command("list", "workspace.list_datastores", "List the datastores, without their credentials"),),
)
_SCHEDULES = GroupCommand(
    name="schedules",
    help="Native schedules",
    subcommands=(
        _command(
            "list",
            "schedules.list_",
            "List the active native schedules",
            _ALL,
            Arg(("--pipeline",), help="Only schedules of this published pipeline (id or name)"),
            Arg(("--endpoint",), help="Only schedules of this pipeline endpoint (id or name)"),
        ),
        _command(
            "show", "schedules.show", "Show a native schedule: what it runs and when, and its last run", _SCHEDULE
        ),
        _command("disable", "schedules.disable", "Disable a native schedule", _SCHEDULE, ARG_YES),
        _command("enable", "schedules.enable", "Enable a native schedule", _SCHEDULE),
        _command(
            "export",
            "export.command.export",
            "Write a DAG file for each active native schedule, of v1 and of v2",
            Arg(("--dag-dir",), help="The folder for the DAG files", metavar="DIR", required=True),
            Arg(("--schedule",), help="Only this schedule (id or name), even if it is inactive"),
            Arg(("--api",), help="Only native schedules (v1) or job schedules (v2)", choices=("v1", "v2")),
            _ALL,
            Arg(("--dry-run",), help="Print the DAG files and write nothing", action="store_true"),
            Arg(
                ("--accept-clock-changes",),
                help="Also export schedules whose DAG fires at other times around clock changes",
                action="store_true",
            ),
            Arg(
                ("--disable",),
                help="Disable each native schedule whose DAG is in Airflow, and set the DAG's start date",
                action="store_true",
            ),
            ARG_YES,
            description=(
                "A file is never written over one that somebody else has written or edited. Until --disable has "
                "disabled the native schedule, the DAG of a time-based one starts no runs."
            ),
        ),
    ),
)
_JOB_SCHEDULES = GroupCommand(
    name="job-schedules",
    help="Job schedules (Azure ML v2)",
    subcommands=(
        _command("list", "job_schedules.list_", "List the active job schedules", _ALL),
        _command("show", "job_schedules.show", "Show a job schedule: what it runs and when, and its last job", _NAME),
        _command("disable", "job_schedules.disable", "Disable a job schedule", _NAME, ARG_YES),
        _command("enable", "job_schedules.enable", "Enable a job schedule", _NAME),
        _command("trigger", "job_schedules.trigger", "Start a job of a job schedule now", _NAME),
        _command("delete", "job_schedules.delete", "Disable and delete a job schedule", _NAME, ARG_YES),
    ),
)
_RUNS = GroupCommand(
    name="runs",
    help="Pipeline runs",
    subcommands=(
        _command(
            "list",
            "runs.list_",
            "List the latest runs of an experiment, a published pipeline or a native schedule",
            Arg(("--experiment",), help="Name of the experiment"),
            _PIPELINE_OPTION,
            Arg(("--schedule",), help="Id or name of a native schedule"),
            Arg(("--status",), help="Only runs with this status", choices=STATUSES),
            _LIMIT,
            description="Give one of --experiment, --pipeline and --schedule. The newest run comes first.",
        ),
        _command("show", "runs.show", "Show a run, its steps and, if it failed, the reason", _RUN_ID),
        _command(
            "logs",
            "runs.logs",
            "Print the full logs of a run's steps",
            _RUN_ID,
            _STEP,
            *_FOLLOWING,
        ),
        _command(
            "watch",
            "runs.watch",
            "Show the steps of a run until it ends; the exit code is 0 only on success",
            _RUN_ID,
            _POLL_INTERVAL,
            _TIMEOUT,
            description=_WATCH,
        ),
        _command("cancel", "runs.cancel", "Cancel a run and wait up to a minute for its end", _RUN_ID, ARG_YES),
    ),
)
_COMPONENTS = GroupCommand(
    name="components",
    help="Registered components (Azure ML v2)",
    subcommands=(
        _command(
            "list",
            "components.list_",
            "List the registered components",
            Arg(("--all",), help="Include the archived ones", action="store_true"),
        ),
        _command(
            "show",
            "components.show",
            "Show a version of a component and its inputs",
            _COMPONENT,
            _COMPONENT_VERSION,
            _AS_DAG,
        ),
    ),
)
_BATCH_ENDPOINTS = GroupCommand(
    name="batch-endpoints",
    help="Batch endpoints (Azure ML v2)",
    subcommands=(
        _command("list", "batch_endpoints.list_", "List the batch endpoints"),
        _command(
            "show",
            "batch_endpoints.show",
            "Show a batch endpoint, its deployments and their components",
            _BATCH_ENDPOINT,
            _AS_DAG,
        ),
    ),
)
_JOBS = GroupCommand(
    name="jobs",
    help="Pipeline jobs (Azure ML v2)",
    subcommands=(
        _command(
            "list",
            "jobs.list_",
            "List pipeline jobs",
            Arg(("--tag",), help="Only jobs that have a tag of this name"),
            _assignments("--property", form="NAME=VALUE", summary="Only jobs that have this property"),
            _LIMIT,
            description="`runs list --experiment` lists the jobs of one experiment, the newest first.",
        ),
        _command("show", "runs.show", "Show a job, its steps and, if it failed, the reason", _JOB_ID),
        _command("logs", "runs.logs", "Print the full logs of a job's steps", _JOB_ID, _STEP, *_FOLLOWING),
        _command(
            "watch",
            "runs.watch",
            "Show the steps of a job until it ends; the exit code is 0 only on success",
            _JOB_ID,
            _POLL_INTERVAL,
            _TIMEOUT,
            description=_WATCH,
        ),
        _command("cancel", "runs.cancel", "Cancel a job and wait up to a minute for its end", _JOB_ID, ARG_YES),
    ),
)
_SUBMIT = _command(
    "submit",
    "submission.submit",
    "Submit a run of a published pipeline, a pipeline endpoint or a component",
    _PIPELINE_OPTION,
    _ENDPOINT_OPTION,
    Arg(("--endpoint-version",), help="Version of the endpoint (default: its default version)"),
    Arg(("--component",), help="Name of a registered pipeline component"),
    _COMPONENT_VERSION,
    Arg(("--batch-endpoint",), help="Name of a batch endpoint, whose deployment names a component"),
    Arg(("--deployment",), help="Deployment of the batch endpoint (default: its default deployment)"),
    Arg(("--compute",), help="Compute for the steps that name no compute (default: that of the deployment's settings)"),
    Arg(("--experiment",), help="Experiment that the run belongs to; created if it does not exist", required=True),
    _assignments("-p", "--parameter", form="NAME=VALUE", summary="A plain parameter"),
    _assignments("--data-path", form="NAME=DATASTORE/PATH", summary="A data path parameter"),
    _assignments(
        "--dataset",
        form="NAME=ID",
        summary="A dataset parameter, with the id of a saved dataset; or a component's input, with ASSET:VERSION",
    ),
    _assignments("--tag", form="NAME=VALUE", summary="A tag of the run"),
    Arg(
        ("--description",),
        help="Description of the run (default: Submitted by the command line)",
    ),
    Arg(
        ("--dry-run",),
        help="Check everything and print the request that would be sent; submit nothing",
        action="store_true",
    ),
    Arg(("--wait",), help="Wait until the run ends; the exit code is 0 only on success", action="store_true"),
    Arg(("--poll-interval",), help="With --wait: seconds between two polls (default: 10)", type=seconds, default=10.0),
    Arg(("--timeout",), help="With --wait: seconds after which to stop waiting; the run continues", type=seconds),
    description=(
        "Give one of --pipeline, --endpoint, --component and --batch-endpoint. Names and types are checked against the "
        "interface before anything is submitted."
    ),
)
_CHECK = _command(
    "check",
    "workspace.check",
    "Test the connection and report what is wrong with it",
    Arg(
        ("--rights",),
        help=(
            "List instead what the identity may do in the workspace, what it lacks and the command that grants it; "
            f"with names of uses, fail if it lacks something for one of them ({', '.join(USES)})"
        ),
        metavar="USE",
        nargs="*",
        choices=USES,
    ),
    Arg(("--api",), help="With --rights: only for published pipelines (v1) or components (v2)", choices=("v1", "v2")),
)


def get_azureml_cli_commands() -> list[GroupCommand]:
    """Describe the commands to Airflow: one group, ``azureml``."""
    return [
        GroupCommand(
            name="azureml",
            help="Inspect and manage an Azure Machine Learning workspace",
            subcommands=(
                _PIPELINES,
                _ENDPOINTS,
                _COMPONENTS,
                _BATCH_ENDPOINTS,
                _EXPERIMENTS,
                _DATASTORES,
                _SCHEDULES,
                _JOB_SCHEDULES,
                _RUNS,
                _JOBS,
                _SUBMIT,
                _CHECK,
            ),
        )
    ]
