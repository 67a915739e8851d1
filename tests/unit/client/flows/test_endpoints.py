"""Changes of pipeline endpoints when replies are lost: written once, and what others write stays."""

from __future__ import annotations

import json

import pytest
from support.models.service import Service

from aml_provider.client.entities import PipelineEndpoint
from aml_provider.client.errors import BadRequest, Conflict, NotFound, ReplyLost, ServerFault, Unreachable
from aml_provider.client.flows import endpoints


class Stored:
    """One endpoint; each write meets the next fate, which is an error and whether the write is carried out."""

    def __init__(self, *fates):
        versions = [{"Version": "0", "PipelineId": "p-0"}, {"Version": "1", "PipelineId": "p-1"}]
        self.wire = {
            "Id": "e",
            "Name": "door",
            "DefaultVersion": "0",
            "EntityStatus": "Active",
            "tags": {"team": "red"},
        }
        self.wire["PipelineVersionList"] = versions
        self.fates = list(fates)
        self.writes = []
        self.service = Service({"GET /PipelineEndpoints/Id/e": self.read, "PUT /PipelineEndpoints/e": self.write})

    def read(self, _):
        return PipelineEndpoint.from_wire(json.loads(json.dumps(self.wire)))

    def write(self, call):
        self.writes.append(call.body)
        error, done = self.fates.pop(0) if self.fates else (None, True)
        if done:
            self.wire = json.loads(json.dumps(call.body))
        return error if error is not None else self.read(call)


@pytest.mark.parametrize(
    "error", [ReplyLost("lost"), ServerFault("x", status=500)], ids=lambda error: type(error).__name__
)
def test_a_write_that_arrived_is_not_repeated(error):
    stored = Stored((error, True))
    endpoint = stored.service.carry_out(endpoints.add_version("e", "p-2", set_default=True))
    assert endpoint.versions == {"0": "p-0", "1": "p-1", "2": "p-2"}
    assert endpoint.default_version == "2"
    assert len(stored.writes) == 1


@pytest.mark.parametrize(
    "error",
    [ReplyLost("lost"), ServerFault("x", status=500), Conflict("x", status=409), Unreachable("away")],
    ids=lambda error: type(error).__name__,
)
def test_one_that_did_not_is(error):
    stored = Stored((error, False))
    endpoint = stored.service.carry_out(endpoints.set_endpoint_status("e", "Disabled"))
    assert (endpoint.status, len(stored.writes)) == ("Disabled", 2)


def test_a_version_that_somebody_adds_meanwhile_stays():
    stored = Stored((Conflict("x", status=409), False))
    write = stored.write

    def meanwhile(call):
        answer = write(call)
        if len(stored.writes) == 1:
            stored.wire["PipelineVersionList"].append({"Version": "2", "PipelineId": "theirs"})
        return answer

    stored.service._answers["PUT /PipelineEndpoints/e"] = meanwhile
    endpoint = stored.service.carry_out(endpoints.add_version("e", "ours"))
    assert endpoint.versions == {"0": "p-0", "1": "p-1", "2": "theirs", "3": "ours"}


@pytest.mark.parametrize(
    "error", [BadRequest("x", status=400), NotFound("x", status=404)], ids=lambda error: error.status
)
def test_a_refusal_is_raised_immediately(error):
    stored = Stored((error, False))
    with pytest.raises(type(error)):
        stored.service.carry_out(endpoints.archive_endpoint("e"))
    assert (len(stored.writes), stored.service.pauses) == (1, [])


def test_the_archive_gives_one_name_though_the_reply_was_lost():
    stored = Stored((ReplyLost("lost"), True))
    endpoint = stored.service.carry_out(endpoints.archive_endpoint("e"))
    assert len(stored.writes) == 1
    assert (endpoint.name, endpoint.status) == (stored.writes[0]["Name"], "Disabled")
    assert endpoint.wire["tags"] == {"team": "red"}


def test_a_pipeline_is_known_whatever_the_case_of_its_id():
    stored = Stored()
    assert stored.service.carry_out(endpoints.add_version("e", "P-1", set_default=True)).default_version == "1"
    assert len(stored.writes[0]["PipelineVersionList"]) == 2


@pytest.mark.parametrize(("versions", "added"), [([], "0"), (["0", "7"], "8"), (["old", "2"], "3")])
def test_the_next_version_is_one_more_than_the_last(versions, added):
    stored = Stored()
    stored.wire["PipelineVersionList"] = [{"Version": item, "PipelineId": f"p{item}"} for item in versions]
    assert added in stored.service.carry_out(endpoints.add_version("e", "new")).versions
