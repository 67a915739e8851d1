"""The list of jobs, its filters and its pages."""

from __future__ import annotations

import pytest
from azure.core.exceptions import HttpResponseError
from helpers import call, submit, yaml_job

examines = pytest.mark.examines


@pytest.fixture
def three(ml):
    """Three jobs, with other tags and properties each."""
    for name, tags, properties in (
        ("one", {"team": "red"}, {"airflow.key": "k-1"}),
        ("two", {"team": "blue"}, {"airflow.key": "k-2"}),
        ("three", {"other": "red"}, {"color": "red"}),
    ):
        job = yaml_job(name)
        job.tags, job.properties = tags, properties
        ml.jobs.create_or_update(job)


def names(ml, **how):
    return [item.name for item in ml.jobs.list(**how)]


@examines("JobOperations.list")
def test_jobs_are_listed_newest_first(ml, three, emulator):
    emulator.advance(60)
    found = list(ml.jobs.list())
    assert [(item.name, item.status) for item in found] == [(name, "Completed") for name in ("three", "two", "one")]
    assert {item.type for item in found} == {"pipeline"}


@examines("JobOperations.list")
@pytest.mark.parametrize(
    ("how", "found"),
    [
        ({"tag": "team"}, ["two", "one"]),
        ({"tag": "nope"}, []),
        ({"properties": "airflow.key"}, ["two", "one"]),
        ({"properties": "airflow.key=k-1"}, ["one"]),
        ({"properties": "airflow.key=nope"}, []),
        ({"properties": "airflow.key=k-1", "tag": "team"}, ["one"]),
        ({"job_type": "Pipeline"}, ["three", "two", "one"]),
        ({"job_type": "Command"}, []),
        ({"schedule_defined": True}, []),
        ({"list_view_type": "All"}, ["three", "two", "one"]),
    ],
    ids=str,
)
def test_filters(ml, three, how, found):
    assert names(ml, **how) == found


@examines("JobOperations.list")
def test_a_list_has_pages(serve):
    emulator, ml = serve("--quirk", "page_size=2")
    for number in range(5):
        ml.jobs.create_or_update(yaml_job(f"job-{number}"))
    assert names(ml) == [f"job-{number}" for number in (4, 3, 2, 1, 0)]
    pages = [dict(item["query"]) for item in emulator.requests("GET") if item["path"].endswith("/jobs")]
    assert len(pages) == 3
    assert all("$skip" in page for page in pages[1:])


@examines("JobOperations.list")
def test_a_new_job_can_be_missing_from_the_list(serve):
    emulator, ml = serve("--quirk", "list_lag=600s")
    submit(ml)
    assert (names(ml), ml.jobs.get("score-1").name) == ([], "score-1")
    emulator.advance(600)
    assert names(ml) == ["score-1"]


@examines("JobOperations.list")
def test_a_service_can_refuse_the_filter(serve):
    _, ml = serve("--quirk", "properties_filter=refused")
    ml.jobs.create_or_update(call(ml))
    with pytest.raises(HttpResponseError, match="properties cannot be used"):
        names(ml, properties="airflow.key=k")
