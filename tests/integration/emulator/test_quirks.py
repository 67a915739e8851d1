"""The effects of quirks on the services' replies, alone and combined."""

from __future__ import annotations

import contextlib
import random
import re
from dataclasses import fields
from pathlib import Path

import httpx
import pytest
from support.drivers.driving import DATASTORES, HISTORY, PIPELINES, SCOPE
from support.samples.quirks import JOB_QUIRKS, QUIRKS, TOGETHER

from aml_provider.emulator.quirks import Quirks
from aml_provider.emulator.server import EmulatorServer

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "emulator-details.md"
SEED = {
    "datastores": [{"name": "store", "account_name": "a", "account_key": "a2V5", "container": "c"}],
    "pipelines": [
        {"name": "one", "id": "one", "description": None, "steps": [{"name": "work", "run_seconds": 10}]},
        {"name": "two", "id": "two", "steps": [{"name": "work"}]},
        {"name": "off", "id": "off", "status": "Disabled", "steps": [{"name": "work"}]},
    ],
    "endpoints": [{"name": "door", "id": "door", "versions": {"0": "one"}, "status": "Disabled"}],
    "schedules": [
        {
            "name": "yearly",
            "id": "yearly",
            "pipeline_id": "one",
            "submission": {"experiment": "e"},
            "recurrence": {"frequency": "Month", "interval": 12},
        }
    ],
}
SUBMIT = f"{PIPELINES}/PipelineRuns/PipelineSubmit/one"
BODY = {"ExperimentName": "e", "tags": {"k": "v"}, "Properties": {"p": "q"}}


@contextlib.contextmanager
def serving(*quirks):
    with (
        EmulatorServer(SEED, quirks=quirks) as emulator,
        httpx.Client(base_url=emulator.url, headers={"Authorization": "Bearer t"}) as api,
    ):
        emulator.clock.hold()
        api.advance = emulator.clock.advance
        yield api


def submitted(api, **body):
    return api.post(SUBMIT, json={**BODY, **body}).json()["Id"]


def names(reply):
    return [item["Name"] for item in reply.json()]


class TestEveryQuirk:
    def test_has_a_sample_in_the_tests_of_the_client(self):
        sampled = {text.partition("=")[0] for text in (*QUIRKS, *JOB_QUIRKS)}
        assert [item.name for item in fields(Quirks) if item.name not in sampled] == []

    def test_is_in_the_documentation(self):
        table = DOCS.read_text().partition("## Quirks")[2].partition("\n## ")[0]
        documented = set(re.findall(r"`([a-z0-9_]+)[`=\[]", table))
        assert {item.name for item in fields(Quirks)} - documented == set()

    @pytest.mark.parametrize("number", range(5))
    def test_combines_with_others(self, number):
        choice = random.Random(number)
        quirks = [text for text in TOGETHER if choice.random() < 0.5]
        with serving(*quirks) as api:
            run_id = submitted(api)
            api.advance(60)
            for path in (
                f"{PIPELINES}/Pipelines",
                f"{PIPELINES}/PipelineRuns/{run_id}",
                f"{PIPELINES}/PipelineRuns/Pipeline/one",
                f"{PIPELINES}/Schedules/yearly",
                f"{PIPELINES}/DataTypes",
                f"{HISTORY}/runs/{run_id}/details",
                f"{HISTORY}/runs/{run_id}/children",
                f"{DATASTORES}/datastores",
                SCOPE,
            ):
                assert api.get(path).status_code == 200, (quirks, path)


class TestLists:
    @pytest.mark.parametrize(("quirks", "count"), [((), 3), (("active_only_default",), 2)])
    def test_lists_without_active_only(self, quirks, count):
        with serving(*quirks) as api:
            assert len(api.get(f"{PIPELINES}/Pipelines").json()) == count
            assert len(api.get(f"{PIPELINES}/Pipelines?activeOnly=false").json()) == 3
            assert len(api.get(f"{PIPELINES}/Pipelines?activeOnly=true").json()) == 2

    @pytest.mark.parametrize(
        ("form", "items", "token"),
        [("entity", "Entity", "ContinuationToken"), ("value", "value", "continuationToken")],
    )
    def test_lists_in_pages(self, form, items, token):
        with serving(f"list_envelope={form}", "page_size=2") as api:
            path = f"{PIPELINES}/Pipelines"
            first = api.get(path, params={"activeOnly": "false"}).json()
            second = api.get(path, params={"activeOnly": "false", "continuationToken": first[token]}).json()
            assert [item["Id"] for item in (*first[items], *second[items])] == ["one", "two", "off"]
            assert second[token] is None
            assert api.get(path, params={"continuationToken": "x"}).status_code == 400
            assert isinstance(api.get(f"{PIPELINES}/DataTypes").json(), list)
            assert api.get(f"{PIPELINES}/Pipelines/one").json()["Id"] == "one"


class TestErrors:
    @pytest.mark.parametrize(("quirks", "keys"), [((), ["Error", "error"]), (("swapped_errors",), ["error", "Error"])])
    def test_swapped_casing_of_errors(self, quirks, keys):
        with serving(*quirks) as api:
            replies = [api.get(path) for path in (f"{PIPELINES}/Pipelines/x", f"{HISTORY}/runs/x")]
            assert [next(iter(reply.json())) for reply in replies] == keys
            unauthorized = httpx.get(f"{api.base_url}{PIPELINES}/Pipelines")
            assert next(iter(unauthorized.json())) == keys[0]

    def test_disabled_status(self):
        with serving("disabled_status=409") as api:
            pipeline = api.post(f"{PIPELINES}/PipelineRuns/PipelineSubmit/off", json=BODY)
            endpoint = api.post(f"{PIPELINES}/PipelineRuns/PipelineEndpointSubmit/Id/door", json=BODY)
            assert [pipeline.status_code, endpoint.status_code] == [409, 409]

    @pytest.mark.parametrize(("quirks", "status"), [((), 200), (("late_cancel_refused",), 400)])
    def test_cancelling_an_ended_run(self, quirks, status):
        with serving(*quirks) as api:
            run_id = submitted(api)
            assert api.delete(f"{PIPELINES}/PipelineRuns/{run_id}/Execution").status_code == 200
            assert api.delete(f"{PIPELINES}/PipelineRuns/{run_id}/Execution").status_code == status


class TestStatuses:
    def test_rest_statuses(self):
        with serving("rest_statuses") as api:
            created = api.post(SUBMIT, json=BODY)
            assert created.status_code == 201
            assert created.json()["Id"]
            assert api.post(f"{HISTORY}/experiments/new").status_code == 201
            canceled = api.delete(f"{PIPELINES}/PipelineRuns/{created.json()['Id']}/Execution")
            assert (canceled.status_code, canceled.content) == (204, b"")
            assert api.put(f"{PIPELINES}/Pipelines/two/status", json="Disabled").status_code == 204
            assert api.post(f"{HISTORY}/experiments/e/runs:query", json={}).status_code == 200

    @pytest.mark.parametrize(("quirks", "answer"), [((), (204, b"")), (("null_last_run",), (200, b"null"))])
    def test_null_last_run(self, quirks, answer):
        with serving(*quirks) as api:
            reply = api.get(f"{PIPELINES}/PipelineRuns/Schedule/yearly/Last")
            assert (reply.status_code, reply.content) == answer

    @pytest.mark.parametrize(("quirk", "code"), [("int_enums", 0), ("digit_enums", "0")])
    def test_enumerations(self, quirk, code):
        with serving(quirk) as api:
            run = api.get(f"{PIPELINES}/PipelineRuns/{submitted(api)}").json()
            assert (run["Status"]["StatusCode"], run["RunType"], run["EntityStatus"]) == (code, code, code)

    def test_odd_statuses(self):
        with serving("odd_statuses") as api:
            run_id = submitted(api)
            seen = [api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"]]
            for seconds in (1, 60):
                api.advance(seconds)
                seen.append(api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"])
            assert seen == ["Queued", "Unknown", "Finished"]

    def test_null_status(self):
        with serving("null_status") as api:
            run_id = submitted(api)
            assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"] is None
            api.advance(1)
            assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["Status"]["StatusCode"] == "Running"


class TestForms:
    @pytest.mark.parametrize(
        ("quirks", "pattern"),
        [
            ((), r"[-\d]{10}T[:\d]{8}\.\d{7}Z"),
            (("dates=offset",), r"[-\d]{10}T[:\d]{8}\.\d{7}\+00:00"),
            (("dates=seconds",), r"[-\d]{10}T[:\d]{8}Z"),
            (("dates=zoneless",), r"[-\d]{10}T[:\d]{8}\.\d{7}"),
        ],
    )
    def test_formats_of_instants(self, quirks, pattern):
        with serving(*quirks) as api:
            text = "2020-01-01T00:00:00.0000000Z"
            run_id = submitted(api, tags={"at": text})
            run = api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()
            record = api.get(f"{HISTORY}/runs/{run_id}").json()
            for value in (run["CreatedDate"], run["Status"]["CreationTime"], record["createdUtc"]):
                assert re.fullmatch(pattern, value)
            assert run["tags"]["at"] == record["tags"]["at"] == text, "what users write stays as it is"

    def test_epoch_dates(self):
        with serving("epoch_dates") as api:
            run = api.get(f"{PIPELINES}/PipelineRuns/{submitted(api)}").json()
            assert (run["CreatedDate"], run["LastModifiedDate"]) == ("1970-01-01T00:00:00", "1970-01-01T00:00:00")
            assert run["Status"]["CreationTime"] > "2020"

    def test_nulls_are_left_out_except_in_user_data(self):
        with serving("omit_nulls") as api:
            run_id = submitted(api, tags={"flag": None})
            record = api.get(f"{HISTORY}/runs/{run_id}").json()
            assert record["tags"]["flag"] is None
            assert "flag" in record["tags"]
            assert None not in {key: value for key, value in record.items() if key != "tags"}.values()
            assert "Description" not in api.get(f"{PIPELINES}/Pipelines/one").json()

    def test_keys_in_one_case_only(self):
        body = {"experimentname": "x", "ExperimentName": "e", "Tags": {"a": "b"}, "tags": {"k": "v"}}
        with serving("exact_keys") as api:
            run_id = api.post(SUBMIT, json=body).json()["Id"]
            assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").json()["tags"] == {"k": "v"}
            del body["tags"], body["ExperimentName"]
            assert api.post(SUBMIT, json=body).status_code == 400
            api.patch(f"{HISTORY}/experiments/e/runs/{run_id}", json={"DisplayName": "x"})
            assert api.get(f"{HISTORY}/runs/{run_id}").json()["displayName"] != "x"


class TestHistory:
    def test_history_finds_a_run_late(self):
        with serving("history_late=30s") as api:
            run_id = submitted(api)
            assert api.get(f"{PIPELINES}/PipelineRuns/{run_id}").status_code == 200
            for path in (f"/runs/{run_id}", f"/experiments/e/runs/{run_id}", f"/runs/{run_id}/details"):
                assert api.get(f"{HISTORY}{path}").status_code == 404
            assert api.post(f"{HISTORY}/experiments/e/runs:query", json={}).json()["value"] == []
            api.advance(30)
            assert api.get(f"{HISTORY}/runs/{run_id}").status_code == 200

    @pytest.mark.parametrize(("quirks", "status"), [((), 400), (("mutable_properties",), 200)])
    def test_an_existing_property_can_be_changed(self, quirks, status):
        with serving(*quirks) as api:
            path = f"{HISTORY}/experiments/e/runs/{submitted(api)}"
            assert api.patch(path, json={"properties": {"p": "other"}}).status_code == status
            assert api.get(path).json()["properties"]["p"] == ("other" if quirks else "q")

    @pytest.mark.parametrize(("bag", "good"), [("tag", '(Tags/k eq "v")'), ("property", '(Properties/p eq "q")')])
    def test_refused_and_ignored_filters(self, bag, good):
        query = f"{HISTORY}/experiments/e/runs:query"
        for choice, found in (("supported", 1), ("refused", None), ("ignored", 2)):
            with serving(f"{bag}_filters={choice}") as api:
                submitted(api)
                submitted(api, tags={}, Properties={})
                reply = api.post(query, json={"filter": good})
                assert reply.status_code == (400 if found is None else 200)
                if found is not None:
                    assert len(reply.json()["value"]) == found
                assert len(api.post(query, json={"filter": "(Status eq NotStarted)"}).json()["value"]) == 2
