"""The public CI: it runs commands that exist, on the Pythons of the classifiers, with as few rights as it needs."""

from __future__ import annotations

import re
import tomllib
from itertools import product
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
GITHUB = ROOT / ".github"
OF_WORKFLOWS = sorted(GITHUB.glob("workflows/*.yml"))
OF_ACTIONS = sorted(GITHUB.glob("actions/*/action.yml"))
FILES = OF_WORKFLOWS + OF_ACTIONS
WORKFLOWS = {path.name: yaml.safe_load(path.read_text()) for path in OF_WORKFLOWS}
JOBS = {(file, name): job for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()}
# The job that calls another workflow has none.
STEPS = {where: job.get("steps", []) for where, job in JOBS.items()} | {
    ("actions", path.parent.name): yaml.safe_load(path.read_text())["runs"]["steps"] for path in OF_ACTIONS
}

CELLS = ROOT / "requirements" / "matrix" / "cells.toml"

# The rights beyond reading, and who needs them. A job of the release that has one must not run our code.
WRITES = {
    ("release.yml", "publish"): {"id-token", "attestations"},
    ("release.yml", "pages"): {"id-token", "pages"},
    ("release.yml", "notes"): {"contents"},
    ("locks.yml", "propose"): {"contents", "pull-requests", "actions"},
}


def combinations(job):
    """The values of a job's matrix, without those that it excludes, and with those that it includes."""
    matrix = dict(job.get("strategy", {}).get("matrix", {}))
    excluded, included = matrix.pop("exclude", []), matrix.pop("include", [])
    for values in product(*matrix.values()):
        one = dict(zip(matrix, values, strict=True))
        if not any(part.items() <= one.items() for part in excluded):
            yield one
    yield from included


def commands(job):
    """The shell lines of a job, for each combination of its matrix."""
    for values in combinations(job):
        for step in job.get("steps", []):
            filled = re.sub(r"\$\{\{ matrix\.(\w+) \}\}", lambda name: values[name[1]], step.get("run", ""))  # noqa: B023 - it is called here
            yield from filled.splitlines()


def made_by(line):
    """The targets of the Makefile that a shell line names."""
    words = re.match(r"\s*make\s+(.*)", line)
    return [word for word in words[1].split() if "=" not in word] if words else []


def targets():
    return set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def classified():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = [re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line) for line in project["classifiers"]]
    return [version[1] for version in found if version]


def test_every_command_is_one_of_the_makefile():
    named = {target for job in JOBS.values() for line in commands(job) for target in made_by(line)}
    assert named <= targets()
    assert named >= {"test", "compat", "conformance", "chaos", "coverage", "docs", "lint", "types", "lock"}


def test_what_has_to_pass_before_a_change_lands_has_to_pass_in_public():
    required = {
        tuple(line.split('" ')[1].split())
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line.startswith("step ") and "CELL" not in line
    }
    public = {tuple(line.split()) for line in commands(JOBS["ci.yml", "command"])} | {("make", "test")}
    together = {("make", name) for name in ("lint", "types")}
    assert ("make", "lint", "types") in public
    assert required - together <= public


@pytest.mark.parametrize("job", ["suite", "cell"])
def test_the_versions_of_python_are_those_of_the_classifiers(job):
    assert JOBS["ci.yml", job]["strategy"]["matrix"]["python"] == classified()


def test_each_cell_of_the_matrix_that_has_such_a_python_runs_in_public():
    locks = tomllib.loads(CELLS.read_text())
    cells = {(name, python) for name, lock in locks.items() for python in lock["pythons"] if python in classified()}
    assert {(cell["lock"], cell["python"]) for cell in combinations(JOBS["ci.yml", "cell"])} == cells


def test_the_last_job_waits_for_all_others():
    *others, last = WORKFLOWS["ci.yml"]["jobs"]
    assert JOBS["ci.yml", last]["needs"] == others
    assert ",".join(["success"] * len(others)) in JOBS["ci.yml", last]["steps"][0]["run"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_no_secret_is_used(path):
    """Not in the release either: PyPI trusts the workflow."""
    assert "secrets" not in re.findall(r"\b\w+\b", " ".join(re.findall(r"\$\{\{(.*?)\}\}", path.read_text())))
    assert "secrets:" not in path.read_text()


@pytest.mark.parametrize("where", JOBS, ids="/".join)
def test_a_token_is_used_only_where_something_is_written(where):
    assert ("github.token" in str(JOBS[where])) == bool(WRITES.get(where, set()) & {"contents"})


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_may_only_read(file):
    assert WORKFLOWS[file]["permissions"] == {"contents": "read"}


@pytest.mark.parametrize("where", JOBS, ids="/".join)
def test_a_job_has_these_rights_and_no_others(where):
    assert JOBS[where].get("permissions", {}) == dict.fromkeys(WRITES.get(where, ()), "write")


@pytest.mark.parametrize("where", JOBS, ids="/".join)
def test_a_job_that_may_write_runs_none_of_our_code(where):
    if where in WRITES:
        assert [target for line in commands(JOBS[where]) for target in made_by(line)] == []
        assert not any("./" in step.get("uses", "") for step in JOBS[where]["steps"])


def test_the_upload_takes_what_was_built_in_an_environment_of_its_own():
    publish = JOBS["release.yml", "publish"]
    assert publish["environment"]["name"] == "pypi"
    assert publish["needs"] == ["ci", "build"]
    assert [step["uses"].partition("@")[0] for step in publish["steps"]] == [
        "actions/download-artifact",
        "actions/attest-build-provenance",
        "pypa/gh-action-pypi-publish",
    ]


def test_what_is_published_is_built_without_caches():
    for job in ("build", "site"):
        assert not any("set-up" in step.get("uses", "") for step in JOBS["release.yml", job]["steps"])


def test_the_site_is_published_after_the_release_as_it_was_built_and_checked():
    built = JOBS["release.yml", "site"]
    folder = next(step["with"]["path"] for step in built["steps"] if "upload-pages-artifact" in step.get("uses", ""))
    assert [target for line in commands(built) for target in made_by(line)] == ["docs"]
    assert folder == ".cache/docs/html"
    assert set(JOBS["release.yml", "pages"]["needs"]) == {"publish", "site"}
    assert [step["uses"].partition("@")[0] for step in JOBS["release.yml", "pages"]["steps"]] == [
        "actions/deploy-pages"
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_an_action_is_named_by_its_commit_with_its_version(path):
    """A tag can be moved to other code."""
    used = re.findall(r"uses: (?!\./)(.*)", path.read_text())
    assert [line for line in used if not re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_an_action_has_one_version():
    used = {line for path in FILES for line in re.findall(r"uses: (?!\./)(.*)", path.read_text())}
    assert len(used) == len({line.partition("@")[0] for line in used})


@pytest.mark.parametrize("where", STEPS, ids="/".join)
def test_a_checkout_leaves_no_credentials(where):
    checkouts = [step for step in STEPS[where] if step.get("uses", "").startswith("actions/checkout@")]
    assert all(step["with"] == {"persist-credentials": False} for step in checkouts)


@pytest.mark.parametrize("where", STEPS, ids="/".join)
def test_no_shell_line_contains_what_an_outsider_may_write(where):
    """A branch's name or a pull request's title would become part of the command."""
    for step in STEPS[where]:
        inserted = re.findall(r"\$\{\{\s*(.*?)\s*\}\}", step.get("run", ""))
        assert [value for value in inserted if not value.startswith("matrix.")] == []


@pytest.mark.parametrize("where", JOBS, ids="/".join)
def test_a_job_ends(where):
    assert "timeout-minutes" in JOBS[where] or JOBS[where].get("uses", "").startswith("./")


def test_the_folders_of_dependabot_exist():
    updates = yaml.safe_load((GITHUB / "dependabot.yml").read_text())["updates"]
    for update in updates:
        for folder in update.get("directories", [update.get("directory")]):
            assert list(ROOT.parent.glob(f"{ROOT.name}{folder}"))


FORMS = sorted(path for path in GITHUB.glob("ISSUE_TEMPLATE/*.yml") if path.name != "config.yml")


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_asks_for_everything_once(path):
    fields = [part for part in yaml.safe_load(path.read_text())["body"] if part["type"] != "markdown"]
    assert len({part["id"] for part in fields}) == len({part["attributes"]["label"] for part in fields}) == len(fields)


def test_a_bug_comes_with_the_facts_that_we_need():
    fields = {
        part.get("id"): part for part in yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "bug.yml").read_text())["body"]
    }
    assert fields.keys() >= {"versions", "executor", "mode", "log", "run"}
    for name in ("versions", "executor", "mode", "log"):
        assert fields[name]["validations"]["required"]


def test_security_reports_and_questions_are_led_elsewhere():
    config = yaml.safe_load((GITHUB / "ISSUE_TEMPLATE" / "config.yml").read_text())
    assert config["blank_issues_enabled"] is False
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert [link["url"] for link in config["contact_links"]] == [
        f"{urls['Repository']}/security/advisories/new",
        f"{urls['Repository']}/discussions/new?category=q-a",
        urls["Documentation"],
    ]
