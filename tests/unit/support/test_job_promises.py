"""The oracle for jobs reports an id that was not made of the key, and a look-up by the key; and it counts doubts."""

from __future__ import annotations

import pytest
from support.oracles.job_promises import figures, violations

KEY = "0123456789abcdef0123456789abcdef"
ID = f"airflow-{KEY}-0"
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w"
QUERY = f"/history/v1.0{WORKSPACE}/experiments/e/runs:query"


def run(name=ID, *, key=KEY, job=True):
    names = {"airflow.dag_id": "dag", "airflow.run_id": "one", "airflow.task_id": "run", "airflow.map_index": "-1"}
    if key is not None:
        names["airflow.key"] = key
    return {"id": name, "job": {"definition": {}} if job else None, "tags": {}, "properties": names}


def request(method="GET", job=ID, *, status=200, fault=None, path=None, body=None):
    path = f"{WORKSPACE}/jobs/{job}" if path is None else path
    return {"method": method, "path": path, "status": status, "fault": fault, "body": body, "time": "12:00"}


def query(text):
    return request("POST", path=QUERY, body={"filter": text})


POLL = query(f"(RunId eq {ID})")


@pytest.mark.parametrize(
    ("runs", "requests", "promises"),
    [
        ([run(), run(f"airflow-{KEY}-12"), run("r-1", job=False)], [POLL, request("PUT")], []),
        ([run("other", key=None)], [], []),
        ([run("other")], [], ["a job has the id of its key"]),
        ([run(f"airflow-{KEY}-0-again")], [], ["a job has the id of its key"]),
        ([run()], [POLL, query(f'(Tags/airflow.key eq "{KEY}")')], ["no job is looked up by its key"]),
    ],
    ids=["kept", "not ours", "another id", "a second id", "looked up"],
)
def test_what_differs_for_jobs(runs, requests, promises):
    assert [violation.promise for violation in violations(runs, requests)] == promises


@pytest.mark.parametrize(
    ("put", "read"),
    [
        (request("PUT", status=201), 0),
        (request("PUT", status=201, fault="delay"), 0),
        (request("PUT", status=None, fault="drop"), 1),
        (request("PUT", status=201, fault="cut"), 1),
        (request("PUT", status=503, fault="status"), 1),
        (request("PUT", status=400), 1),
    ],
)
def test_an_id_is_read_after_a_doubt(put, read):
    requests = [put, request(), request(), request("POST", path=f"{WORKSPACE}/jobs/{ID}/cancel")]
    assert figures([run(), run("r-1", job=False)], requests) == {
        "jobs": 1,
        "PUTs repeated": 0,
        "ids read after a doubt": read,
    }


def test_puts_are_counted_by_the_id():
    other = f"airflow-{KEY}-1"
    requests = [request("PUT", status=None), request("PUT"), request("PUT", other), request("GET")]
    assert figures([], requests) == {"jobs": 0, "PUTs repeated": 1, "ids read after a doubt": 0}
