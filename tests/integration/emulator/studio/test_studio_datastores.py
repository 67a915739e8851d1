"""The pages of datastores, and what a trigger last saw, with real blobs in Azurite."""

from __future__ import annotations

import httpx
import pytest
from support.drivers.studio_page import Page
from support.samples.studio import HOSTILE

from aml_provider.emulator.server import EmulatorServer
from aml_provider.emulator.studio.documents import utc
from aml_provider.emulator.studio.words import distance

SECRET = "sig=c2VjcmV0"


@pytest.fixture
def seed(stores):
    return {
        "datastores": [
            *stores,
            {"name": "signed", "account_name": "a", "sas_token": f"sv=2021&{SECRET}", "container": "c"},
            {"name": "files", "type": "AzureFile", "account_name": "a", "sas_token": SECRET, "container": "share"},
        ],
        "pipelines": [{"name": "p", "id": "p", "data_paths": [{"name": "data"}]}],
        "schedules": [
            {
                "name": name,
                "id": name,
                "pipeline_id": "p",
                "submission": {"experiment": "e"},
                "trigger": {"datastore": store, "path": "in", "data_path_parameter": "data"},
            }
            for name, store in (("reactive", "store"), ("lost", "signed"))
        ],
    }


@pytest.fixture
def options(azurite):
    return {"blob_endpoint": azurite.blob_endpoint}


@pytest.fixture
def emulator(emulator):
    emulator.clock.hold()
    return emulator


class TestDatastores:
    def test_all_are_listed_with_their_triggers(self, open_page, azurite, container):
        page = open_page("/datastores")
        place = ["AzureBlob", azurite.account_name, container.container_name]
        assert page.row("store (default)") == [*place, "1 schedule"]
        assert page.row("files") == ["AzureFile", "a", "share", "0 schedules"]
        assert {"/datastores/store", "/datastores/files"} <= set(page.links)

    def test_the_first_blobs(self, open_page, azurite, container):
        for number in range(25):
            container.upload_blob(f"in/{number:02}.csv", b"x" * number)
        page = open_page("/datastores/store")
        names = [row[0] for row in page.cells if row and row[0].startswith("in/")]
        assert names == [f"in/{number:02}.csv" for number in range(20)]
        assert page.row("in/01.csv")[0] == "1 byte"
        assert page.row("in/02.csv")[0] == "2 bytes"
        assert "These are the first 20 by name. There are more." in page.text
        assert (
            page.fact("Container as this workspace reaches it") == f"{azurite.blob_endpoint}/{container.container_name}"
        )

    def test_an_empty_container_says_what_to_do(self, open_page, container):
        page = open_page("/datastores/store")
        assert "The container is empty." in page.text
        assert f"--container-name {container.container_name} --name incoming/new.csv" in page.text
        container.upload_blob("one", b"1")
        assert "There are more" not in open_page("/datastores/store").text

    def test_the_schedules_that_poll_it(self, open_page):
        assert "/schedules/reactive" in open_page("/datastores/store").links
        assert "/schedules/reactive" not in open_page("/datastores/absent").links
        assert "None. A schedule with a datastore" in open_page("/datastores/absent").text
        assert "/datastores/store" in open_page("/schedules/reactive").links

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("absent", "The specified container does not exist."), ("files", "type AzureFile cannot be listed")],
    )
    def test_why_it_cannot_be_listed(self, open_page, name, reason):
        page = open_page(f"/datastores/{name}")
        assert page.status == 200
        assert reason in page.text

    def test_without_a_blob_service_the_page_says_how_to_reach_one(self, seed):
        with EmulatorServer(seed) as emulator:
            page = Page(httpx.get(f"{emulator.url}/datastores/store"))
        assert "started without --blob-endpoint" in page.text
        assert "python -m aml_provider.emulator --blob-endpoint http://127.0.0.1:10000/devstoreaccount1" in page.text

    def test_hostile_names_of_blobs_are_escaped(self, open_page, container):
        container.upload_blob("in/<img src=x>&{{ 7*7 }}", b"")
        page = open_page("/datastores/store")
        assert "in/<img src=x>&{{ 7*7 }}" in page.text
        assert "img" not in {tag for tag, _ in page.tags}

    @pytest.mark.parametrize("name", ["store", "signed", "files", "absent"])
    def test_no_page_contains_a_secret(self, emulator, seed, azurite, name):
        # Nothing listens at that address.
        with EmulatorServer(seed, blob_endpoint="http://127.0.0.1:9/a") as unreachable:
            for running in (emulator, unreachable):
                for path in (f"/datastores/{name}", "/schedules/lost", "/schedules", "/_emulator/schedules"):
                    text = httpx.get(running.url + path).text
                    assert "c2VjcmV0" not in text, path
                    assert azurite.account_key not in text, path

    def test_a_missing_one_is_a_404(self, open_page):
        assert open_page("/datastores/nobody").status == 404


class TestTriggers:
    def test_what_the_trigger_last_saw(self, emulator, open_page, container):
        page = open_page("/schedules/reactive")
        assert page.fact("Blobs that it found") == "0"
        assert page.fact("Last change") == "none yet"
        assert "Blobs that exist when a trigger is created start no runs." in page.text
        container.upload_blob("in/a.csv", b"1")
        emulator.clock.advance(300)
        container.upload_blob("in/a.csv", b"2", overwrite=True)
        container.upload_blob("in/b.csv", b"1")
        emulator.clock.advance(300)
        emulator.clock.advance(360)
        page = open_page("/schedules/reactive")
        assert page.fact("Last poll").endswith("(1 min ago)")
        assert page.fact("Last change").endswith("(6 min ago)")
        assert page.fact("Blobs that it found") == "2"
        assert page.fact("Changed blobs") == "in/a.csv, in/b.csv"
        assert page.fact("Error") == "none"
        assert len(page.runs) == 3

    def test_poll_now_starts_the_runs_of_changed_blobs(self, emulator, open_page, container):
        due = emulator.state.schedules.upcoming(emulator.state.schedules.get("reactive"), 2)
        container.upload_blob("in/a.csv", b"1")
        for _ in range(2):
            reply = httpx.post(f"{emulator.url}/schedules/reactive/poll", headers={"Sec-Fetch-Site": "same-origin"})
            assert reply.status_code == 303
        page = open_page(reply.headers["Location"])
        (run,) = emulator.state.runs.values()
        assert page.runs == [run.id]
        assert run.data_paths["data"].path == "in/a.csv"
        assert emulator.state.schedules.upcoming(emulator.state.schedules.get("reactive"), 2) == due

    def test_an_error_stays_visible_until_a_poll_succeeds(self, open_page, emulator):
        emulator.clock.advance(300)
        page = open_page("/schedules/lost")
        assert page.fact("Error") != "none"
        assert page.fact("Blobs that it found") == "never listed"
        # It was due some time before: the clock ran while the workspace was made.
        polled = emulator.state.schedules.get("lost").last_polled
        assert page.fact("Last poll") == f"{utc(polled)} ({distance(polled - emulator.clock.now())})"

    def test_many_changed_blobs_are_counted(self, emulator, open_page):
        schedule = emulator.state.schedules.get("reactive")
        schedule.changed_blobs, schedule.last_change = [f"in/{n}" for n in range(12)] + [HOSTILE], emulator.clock.now()
        assert open_page("/schedules/reactive").fact("Changed blobs").endswith("in/9 and 3 more")

    def test_it_survives_a_restart(self, emulator, seed, container, azurite, tmp_path):
        file = tmp_path / "state.json"
        with EmulatorServer(seed, blob_endpoint=azurite.blob_endpoint, state_file=file) as first:
            first.clock.hold()
            container.upload_blob("in/a.csv", b"1")
            first.clock.advance(300)
            before = first.state.schedules.get("reactive")
        with EmulatorServer(seed, blob_endpoint=azurite.blob_endpoint, state_file=file) as second:
            after = second.state.schedules.get("reactive")
            assert (after.last_change, after.changed_blobs) == (before.last_change, ["in/a.csv"])
            assert after.last_polled == before.last_polled
