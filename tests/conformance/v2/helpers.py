"""Helpers for several tests."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from azure.ai.ml import Input, load_job

FOLDER = "azureml://datastores/workspaceblobstore/paths/incoming/"
FILE = f"{FOLDER}f.csv"
COMPUTE = "cpu-cluster"


def call(ml, name="score-1", component="score_files", version="2", **inputs):
    """A job of a component, made by calling the component in Python."""
    if component == "score_files" and not inputs:
        inputs = {"input_datapath": Input(type="uri_folder", path=FOLDER)}
    job = ml.components.get(component, version)(**inputs)._to_job()
    job.name, job.experiment_name = name, "scoring"
    job.settings.default_compute = COMPUTE
    return job


def submit(ml, name="score-1", component="score_files", version="2", **inputs):
    """Submit such a job."""
    return ml.jobs.create_or_update(call(ml, name, component, version, **inputs))


def written(text):
    """A job from a file in YAML."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "job.yml"
        file.write_text(text)
        return load_job(file)


def yaml_job(name="yaml-1", component="score_files:1", more=""):
    """A job of a component that YAML names."""
    return written(
        f"""
type: pipeline
name: {name}
experiment_name: scoring
component: azureml:{component}
inputs:
  input_datapath: {{type: uri_folder, path: "{FOLDER}"}}
settings: {{default_compute: azureml:{COMPUTE}}}
{more}"""
    )


def inputs_of(job):
    """The values of a job's inputs: texts, or the addresses of data."""
    values = {name: value._data for name, value in job.inputs.items()}
    return {name: getattr(value, "path", value) for name, value in values.items()}


def inner_code(error):
    """The innermost code of a refusal."""
    (inner,) = [item.info["value"] for item in error.error.additional_info if item.type == "InnerError"]
    while "innerError" in inner:
        inner = inner["innerError"]
    return inner["code"]
