"""Schedules of the v2 API: one PUT makes them as they should be, and they start jobs as time passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from support.services.workspace_api import DATA, SCOPE, job_body, serving

from aml_provider.emulator.workspace.times import parse_time

SCHEDULES = f"{SCOPE}/schedules"
HOURLY = {"triggerType": "Recurrence", "frequency": "Hour", "interval": 1}
CRON = {"triggerType": "Cron", "expression": "0 7 * * *", "timeZone": "Korea Standard Time"}


@pytest.fixture
def api():
    with serving() as running:
        yield running


def jobs(api, name="daily"):
    """The jobs that a schedule started, oldest first."""
    found = api.ask("GET", f"{SCOPE}/jobs?listViewType=All&scheduled=true&scheduleId={name}")["value"]
    return found[::-1]


def stored(api, name="daily"):
    return api.ask("GET", f"{SCHEDULES}/{name}")["properties"]


def action(**changes):
    return {"actionType": "CreateJob", "jobDefinition": {**job_body()["properties"], **changes}}


class TestPut:
    def test_the_steps_that_the_sdk_copies_from_the_component_are_dropped(self, api):
        steps = {"fit": {"type": "command", "componentId": f"{SCOPE}/components/fit_step/versions/1"}}
        given = action(jobs=steps, notificationSetting={"emails": ["x"]})
        api.put_schedule(action=given)
        kept = stored(api)["action"]["jobDefinition"]
        assert kept == {**given["jobDefinition"], "jobs": {}}
        # Without a component they are the job itself.
        inline = action(jobs=steps, componentId=None, inputs={})
        api.put_schedule("other", action=inline)
        assert stored(api, "other")["action"] == inline

    def test_everything_comes_back_unknown_keys_too(self, api):
        given = {
            "displayName": "d",
            "description": "why",
            "tags": {"a": "b"},
            "properties": {"k": "v"},
            "isEnabled": False,
            "trigger": CRON,
            "action": action(notificationSetting={"emails": ["x"]}),
            "somethingNew": {"x": 1},
        }
        found = api.put_schedule(**given)
        assert found["properties"] == {**given, "provisioningState": "Succeeded"}
        assert stored(api) == found["properties"]
        assert api.put_schedule(status=200, **found["properties"])["properties"] == found["properties"]

    def test_a_put_replaces_everything(self, api):
        api.put_schedule(tags={"a": "b"}, description="why")
        api.put_schedule(status=200, trigger=CRON)
        found = stored(api)
        assert (found["tags"], found["trigger"], found["isEnabled"]) == ({}, CRON, True)
        assert "description" not in found

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"trigger": None}, "trigger must be"),
            ({"trigger": {"triggerType": "Cron", "expression": "0 7 * *"}}, "five fields"),
            ({"trigger": {**HOURLY, "startTime": "2026-12-01T00:00:00+09:00"}}, "StartTime"),
            ({"action": {"actionType": "InvokeBatchEndpoint"}}, "only CreateJob"),
            ({"action": action(componentId="none:1")}, "was not found"),
            ({"action": action(inputs={})}, "required input"),
            ({"action": {"actionType": "CreateJob"}}, "jobDefinition"),
        ],
    )
    def test_wrong_bodies_are_refused(self, api, changes, message):
        assert message in api.put_schedule(status=400, **changes)
        assert api.listed("/schedules?listViewType=All") == []

    def test_invalid_names(self, api):
        assert "Invalid schedule name" in api.put_schedule("a b", 400)

    def test_lists(self, api):
        api.put_schedule("on")
        api.put_schedule("off", isEnabled=False)
        for view_type, names in (("EnabledOnly", ["on"]), ("DisabledOnly", ["off"]), ("All", ["on", "off"])):
            assert api.listed(f"/schedules?listViewType={view_type}") == names
        assert api.listed("/schedules") == ["on"]


class TestFiring:
    def test_its_jobs_carry_the_marks_and_are_named_after_their_instants(self, api):
        api.put_schedule(trigger=HOURLY, action=action(properties={"k": "v"}, tags={"t": "u"}, displayName="x"))
        api.emulator.clock.advance(2 * 3600)
        found = jobs(api)
        assert len(found) == 3
        for job in found:
            properties = job["properties"]
            due = parse_time(job["systemData"]["createdAt"])
            assert properties["displayName"] == f"daily-{datetime.fromtimestamp(due, UTC):%Y%m%dT%H%M%SZ}"
            assert (properties["properties"]["k"], properties["tags"]) == ("v", {"t": "u"})
            assert api.run(job["name"])["displayName"] == properties["displayName"]
        assert [item["name"] for item in api.ask("GET", f"{SCOPE}/jobs?properties=k=v")["value"]] == [
            job["name"] for job in reversed(found)
        ]

    def test_local_times_of_a_cron_expression(self, api):
        api.put_schedule(trigger=CRON)
        api.emulator.clock.advance(3 * 86400)
        # 07:00 in Korea is 22:00 UTC of the day before.
        assert {job["systemData"]["createdAt"][11:19] for job in jobs(api)} == {"22:00:00"}
        assert len(jobs(api)) == 3

    def test_start_and_end(self, api):
        now = datetime.fromtimestamp(api.emulator.clock.now(), UTC).replace(microsecond=0)
        start, end = now + timedelta(hours=5), now + timedelta(hours=7)
        trigger = {**HOURLY, "startTime": f"{start:%Y-%m-%dT%H:%M:%S}", "endTime": f"{end:%Y-%m-%d %H:%M:%S}"}
        api.put_schedule(trigger=trigger)
        api.emulator.clock.advance(86400)
        assert [job["systemData"]["createdAt"][:19] for job in jobs(api)] == [
            f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%S}" for hour in (0, 1, 2)
        ]

    def test_one_that_is_created_disabled_starts_nothing_until_it_is_enabled(self, api):
        api.put_schedule(trigger=HOURLY, isEnabled=False)
        api.emulator.clock.advance(7200)
        assert jobs(api) == []
        api.put_schedule(status=200, **{**stored(api), "isEnabled": True})
        assert jobs(api) == []
        api.emulator.clock.advance(7200)
        assert len(jobs(api)) == 2

    def test_a_disabled_one_starts_nothing_more(self, api):
        api.put_schedule(trigger=HOURLY)
        api.put_schedule(status=200, **{**stored(api), "isEnabled": False})
        api.emulator.clock.advance(7200)
        assert len(jobs(api)) == 1

    def test_another_trigger_counts_from_its_change(self, api):
        api.put_schedule(trigger=CRON)
        api.put_schedule(status=200, trigger=HOURLY)
        assert len(jobs(api)) == 1

    def test_a_copy_of_another_job(self, api):
        api.put_job()
        definition = {"jobType": "Pipeline", "sourceJobId": f"{SCOPE}/jobs/job-1", "experimentName": ""}
        api.put_schedule(trigger=HOURLY, action={"actionType": "CreateJob", "jobDefinition": definition})
        (job,) = jobs(api)
        assert job["properties"]["componentId"] == api.job()["componentId"]

    def test_a_job_that_cannot_be_started_is_lost_and_says_why(self, api):
        api.put_job()
        api.emulator.clock.advance(60)
        definition = {"jobType": "Pipeline", "sourceJobId": f"{SCOPE}/jobs/job-1"}
        api.put_schedule(trigger=CRON, action={"actionType": "CreateJob", "jobDefinition": definition})
        api.ask("DELETE", f"{SCOPE}/jobs/job-1")
        api.emulator.clock.advance(86400)
        assert jobs(api) == []
        (shown,) = api.get("/_emulator/schedules").json()["job_schedules"]
        assert "was not found" in shown["last_error"]
        assert len(shown["next_fires"]) == 5

    def test_macros(self, api):
        inputs = {
            "input": {"jobInputType": "uri_folder", "uri": DATA},
            "label": {"jobInputType": "literal", "value": "${{creation_context.trigger_time}}"},
        }
        outputs = {"scores": {"jobOutputType": "uri_folder", "uri": f"{DATA}${{{{name}}}}/"}}
        api.put_schedule(trigger=HOURLY, action=action(inputs=inputs, outputs=outputs))
        (job,) = jobs(api)
        assert job["properties"]["inputs"]["label"]["value"] == job["systemData"]["createdAt"]
        assert job["properties"]["outputs"]["scores"]["uri"] == f"{DATA}{job['name']}/"

    def test_it_can_be_triggered_at_any_time(self, api):
        api.put_schedule(isEnabled=False)
        body = {"scheduleTime": "2026-11-29T12:02:09.700449+00:00"}
        reply = api.ask("POST", f"{SCHEDULES}/daily/trigger", json=body)
        assert reply["scheduleActionType"] == "CreateJob"
        assert api.job(reply["submissionId"])["displayName"] == "daily-20261129T120209Z"
        assert "not an instant" in api.ask("POST", f"{SCHEDULES}/daily/trigger", 400, json={"scheduleTime": "x"})


class TestDelete:
    def test_only_a_disabled_one(self, api):
        api.put_schedule()
        assert "disable it first" in api.ask("DELETE", f"{SCHEDULES}/daily", 400)
        api.put_schedule(status=200, isEnabled=False)
        assert api.delete(f"{SCHEDULES}/daily").status_code == 200
        assert "was not found" in api.ask("GET", f"{SCHEDULES}/daily", 404)
        assert api.delete(f"{SCHEDULES}/daily").status_code == 204
        api.put_schedule()

    def test_with_an_address_to_poll(self):
        with serving(quirks=["slow_delete=5s"]) as api:
            api.put_schedule(isEnabled=False)
            reply = api.delete(f"{SCHEDULES}/daily")
            assert (reply.status_code, api.get(reply.headers["Location"]).status_code) == (202, 202)
            api.emulator.clock.advance(5)
            assert api.get(reply.headers["Location"]).status_code == 204


class TestQuirks:
    def test_provisioning_has_an_address_to_poll_and_starts_nothing(self):
        with serving(quirks=["provisioning=5s"]) as api:
            body = {"properties": {"trigger": HOURLY, "action": action()}}
            reply = api.put(f"{SCHEDULES}/daily", json=body)
            assert (reply.status_code, reply.json()["properties"]["provisioningState"]) == (201, "Creating")
            status = reply.headers["Azure-AsyncOperation"]
            assert api.ask("GET", status) == {"status": "InProgress"}
            assert jobs(api) == []
            api.emulator.clock.advance(5)
            assert api.ask("GET", status)["status"] == "Succeeded"
            assert stored(api)["provisioningState"] == "Succeeded"
            assert len(jobs(api)) == 1
            api.emulator.clock.advance(1)
            assert api.put_schedule(status=200)["properties"]["provisioningState"] == "Updating"

    def test_provisioning_can_fail(self):
        with serving(quirks=["provisioning=5s", "provisioning_fails=no quota"]) as api:
            body = {"properties": {"trigger": HOURLY, "action": action()}}
            status = api.put(f"{SCHEDULES}/daily", json=body).headers["Azure-AsyncOperation"]
            api.emulator.clock.advance(7200)
            assert api.ask("GET", status)["error"]["message"] == "no quota"
            assert stored(api)["provisioningState"] == "Failed"
            assert jobs(api) == []

    def test_a_disabled_creation_can_be_ignored(self):
        with serving(quirks=["disabled_creation=ignored"]) as api:
            assert api.put_schedule(isEnabled=False)["properties"]["isEnabled"] is True
            assert len(jobs(api)) == 1
            assert api.put_schedule(status=200, isEnabled=False)["properties"]["isEnabled"] is False

    @pytest.mark.parametrize(("quirks", "count"), [((), 0), (("first_job_at_once",), 1)])
    def test_the_first_job_of_a_cron_expression(self, quirks, count):
        with serving(quirks=quirks) as api:
            api.put_schedule(trigger=CRON)
            assert len(jobs(api)) == count

    @pytest.mark.parametrize(("quirks", "status"), [((), 201), (("iana_zones_refused",), 400)])
    def test_iana_zones(self, quirks, status):
        with serving(quirks=quirks) as api:
            api.put_schedule(status=status, trigger={**CRON, "timeZone": "Asia/Seoul"})

    def test_the_filter_by_schedule(self):
        for quirks, status, count in (((), 200, 1), (("schedule_filter=ignored",), 200, 2)):
            with serving(quirks=quirks) as api:
                api.put_job()
                api.put_schedule()
                assert len(jobs(api, f"{SCHEDULES}/daily")) == len(jobs(api)) == count
                assert len(api.ask("GET", f"{SCOPE}/jobs?scheduled=true", status)["value"]) == count
        with serving(quirks=["schedule_filter=refused"]) as api:
            assert "Invalid filter" in api.ask("GET", f"{SCOPE}/jobs?scheduleId=daily", 400)

    @pytest.mark.parametrize(("choice", "count"), [("always", 3), ("changed", 1), ("never", 1)])
    def test_which_updates_fire(self, choice, count):
        with serving(quirks=[f"update_fires={choice}"]) as api:
            for number, status in enumerate((201, 200, 200)):
                api.put_schedule(status=status, trigger=HOURLY, tags={"n": str(number)})
                api.emulator.clock.advance(1)
            assert len(jobs(api)) == count
