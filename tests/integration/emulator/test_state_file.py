"""A workspace with a state file is the same after a restart."""

from __future__ import annotations

from support.samples.whole_workspace import answers, change_everything
from support.services.workspace_api import DATASTORES, HISTORY, serving


def test_everything_that_can_be_changed_survives(tmp_path):
    file = tmp_path / "workspace.json"
    with serving(state_file=file) as api:
        addresses = change_everything(api)
        before = answers(api, addresses)
    with serving(state_file=file) as api:
        assert answers(api, addresses) == before
        # Its name can be used again, its id cannot.
        assert api.ask("POST", f"{HISTORY}/experiments/deleted")["experimentId"] not in before
        assert "was not found" in api.ask("GET", f"{HISTORY}/experiments/exp/runs/x", 404)


def test_a_seed_can_contain_datastores_and_experiments():
    section = {"serverName": "s", "databaseName": "d"}
    seed = {
        "datastores": [
            {"name": "a", "account_name": "x", "container": "c"},
            {"name": "b", "type": "AzureSqlDatabase", "section": section, "tags": {"k": "v"}},
        ],
        "default_datastore": "b",
        "experiments": [{"name": "known", "tags": {"a": "b"}}],
    }
    with serving(seed) as api:
        found = api.ask("GET", f"{DATASTORES}/default")
        assert (found["name"], found["azureSqlDatabaseSection"], found["tags"]) == ("b", section, {"k": "v"})
        assert api.ask("GET", f"{HISTORY}/experiments/known")["tags"] == {"a": "b"}
