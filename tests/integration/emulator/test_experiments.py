"""Experiments of the emulator's run history."""

from __future__ import annotations

import httpx
import pytest
from support.services.workspace_api import HISTORY, serving

EXPERIMENTS, BY_ID = f"{HISTORY}/experiments", f"{HISTORY}/experimentids"


@pytest.fixture
def api():
    with serving() as running:
        yield running


def create(api, name):
    return api.ask("POST", f"{EXPERIMENTS}/{name}")["experimentId"]


def named(api, **body):
    reply = api.ask("POST", f"{EXPERIMENTS}:query", json=body)
    return [item["name"] for item in reply["value"]]


def patch(api, experiment_id, status=200, **body):
    return api.ask("PATCH", f"{BY_ID}/{experiment_id}", status, json=body)


class TestFinding:
    def test_by_name_and_by_id(self, api):
        assert "Experiment new was not found" in api.ask("GET", f"{EXPERIMENTS}/new", 404)
        created = api.ask("POST", f"{EXPERIMENTS}/new")
        assert (created["name"], created["archivedTime"], created["tags"]) == ("new", None, {})
        assert api.ask("GET", f"{EXPERIMENTS}/new") == created
        assert api.ask("GET", f"{BY_ID}/{created['experimentId']}") == created
        assert api.ask("POST", f"{EXPERIMENTS}/new") == created
        assert "Invalid experiment name" in api.ask("POST", f"{EXPERIMENTS}/-new", 400)
        assert "Experiment x was not found" in api.ask("GET", f"{BY_ID}/x", 404)

    def test_filters(self, api):
        patch(api, create(api, "one"), tags={"team": "red", "flag": None})
        patch(api, create(api, "two"), tags={"team": "blue"})
        assert named(api, filter="(name eq two)") == ["two"]
        assert named(api, filter="(Tags/team eq red)") == ["one"]
        assert named(api, filter="(Tags/flag ne null or Tags/flag eq null)") == ["one"]
        assert named(api, orderby="name desc") == ["two", "one"]
        assert "Invalid filter" in api.ask("POST", f"{EXPERIMENTS}:query", 400, json={"filter": "("})
        assert "'x' is not a viewType" in api.ask("POST", f"{EXPERIMENTS}:query", 400, json={"viewType": "x"})

    def test_views(self, api):
        create(api, "active")
        patch(api, create(api, "gone"), archive=True)
        assert named(api) == named(api, viewType="ActiveOnly") == ["active"]
        assert named(api, viewType="ArchivedOnly") == ["gone"]
        assert named(api, viewType="All") == ["active", "gone"]

    def test_plain_list(self, api):
        for name in ("a", "b", "c"):
            create(api, name)
        first = api.ask("GET", f"{EXPERIMENTS}?api-version=2022-05-01&$top=2&$orderby=name desc")
        assert [item["name"] for item in first["value"]] == ["c", "b"]
        rest = api.ask(
            "GET", EXPERIMENTS, params={"$orderby": "name desc", "$continuationToken": first["continuationToken"]}
        )
        assert ([item["name"] for item in rest["value"]], rest["continuationToken"]) == (["a"], None)

    def test_pages_of_two(self):
        with serving(quirks=["page_size=2"]) as api:
            for name in ("a", "b", "c", "d", "e"):
                create(api, name)
            found, token = [], None
            for _ in range(3):
                reply = api.ask("POST", f"{EXPERIMENTS}:query", json={"continuationToken": token} if token else {})
                found += [item["name"] for item in reply["value"]]
                token = reply["continuationToken"]
            assert (found, token) == (["a", "b", "c", "d", "e"], None)
            assert "continuationToken" in api.ask(
                "POST", f"{EXPERIMENTS}:query", 400, json={"continuationToken": "nonsense"}
            )


class TestChanging:
    def test_description_and_tags(self, api):
        experiment_id = create(api, "exp")
        patch(api, experiment_id, description="d", tags={"a": "1", "b": None})
        found = patch(api, experiment_id, tags={"a": "2"})
        assert (found["description"], found["tags"]) == ("d", {"a": "2", "b": None})
        reply = api.ask("POST", f"{BY_ID}/{experiment_id}/tags:delete", json={"tags": ["a", "missing"]})
        assert reply == {"errors": {}}
        assert api.ask("GET", f"{BY_ID}/{experiment_id}")["tags"] == {"b": None}
        assert "tags is required" in api.ask("POST", f"{BY_ID}/{experiment_id}/tags:delete", 400, json={})

    def test_renaming_applies_to_the_runs(self, api):
        run_id = api.submit(experiment="old")
        experiment_id = api.run(run_id)["experimentId"]
        patch(api, experiment_id, name="new")
        assert api.ask("GET", f"{HISTORY}/experiments/new/runs/{run_id}")["runId"] == run_id
        assert "was not found" in api.ask("GET", f"{HISTORY}/experiments/old/runs/{run_id}", 404)
        # The old name can be used for a new experiment.
        assert create(api, "old") != experiment_id

    def test_a_name_belongs_to_one_active_experiment(self, api):
        create(api, "taken")
        other = create(api, "other")
        assert "taken already exists" in patch(api, other, 409, name="taken")
        assert "Invalid experiment name" in patch(api, other, 400, name="not one")

    def test_submitting_to_an_archived_experiment_creates_a_new_one(self, api):
        first = api.submit()
        old = api.run(first)["experimentId"]
        assert patch(api, old, archive=True)["archivedTime"] is not None
        assert api.ask("GET", f"{EXPERIMENTS}/exp")["experimentId"] == old
        second = api.submit()
        new = api.run(second)["experimentId"]
        assert new != old
        assert api.ask("GET", f"{EXPERIMENTS}/exp")["experimentId"] == new
        for experiment_id, run_id in ((old, first), (new, second)):
            found = api.ask("POST", f"{BY_ID}/{experiment_id}/runs:query", json={})["value"]
            assert [record["runId"] for record in found] == [run_id]
        assert "exp already exists" in patch(api, old, 409, archive=False)
        patch(api, new, archive=True)
        assert patch(api, old, archive=False)["archivedTime"] is None
        # Runs of the archived one are still found by the shared name.
        assert api.ask("GET", f"{EXPERIMENTS}/exp/runs/{second}")["runId"] == second

    @pytest.mark.parametrize("body", [[], {"archive": "x"}, {"tags": 1}, {"name": 1}, {"tags": {"a": {}}}])
    def test_invalid_changes_are_refused(self, api, body):
        assert "must be" in api.ask("PATCH", f"{BY_ID}/{create(api, 'exp')}", 400, json=body)


class TestDeleting:
    def test_deletion_is_immediate(self, api):
        experiment_id = create(api, "exp")
        api.ask("DELETE", f"{BY_ID}/{experiment_id}")
        assert "was not found" in api.ask("GET", f"{BY_ID}/{experiment_id}", 404)
        assert named(api, viewType="All") == []
        assert create(api, "exp") != experiment_id

    def test_deletion_can_take_time(self):
        with serving(quirks=["slow_delete=30s"]) as api:
            experiment_id = create(api, "exp")
            reply = api.delete(f"{BY_ID}/{experiment_id}")
            assert (reply.status_code, reply.content) == (202, b"")
            assert named(api) == []
            location = reply.headers["Location"]
            assert api.get(location).status_code == 202
            api.emulator.clock.advance(30)
            assert api.get(location).status_code == 200
            assert "was not found" in api.ask("GET", f"{BY_ID}/x/deletion", 404)

    def test_an_experiment_with_runs_cannot_be_deleted(self, api):
        experiment_id = api.run(api.submit())["experimentId"]
        assert "has runs" in api.ask("DELETE", f"{BY_ID}/{experiment_id}", 400)
        assert named(api) == ["exp"]

    def test_deletion_needs_a_token(self, api):
        assert httpx.delete(f"{api.emulator.url}{BY_ID}/x").status_code == 401


def test_run_counts_by_status(api):
    api.finished()
    api.submit()
    counts = api.ask("GET", f"{EXPERIMENTS}/exp/runcounts")
    assert {key: value for key, value in counts.items() if value} == {"completed": 1, "notStarted": 1}
    assert set(counts) >= {"running", "failed", "canceled", "queued", "preparing", "notResponding"}
