"""Hints for names and ids that are not found."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.models.service import Service, carry_out

from aml_provider.client import calls
from aml_provider.client.entities import Datastore
from aml_provider.client.errors import BadRequest, InvalidArgument, NotFound, PermissionDenied, ServerFault
from aml_provider.client.flows.finding import (
    DATASTORE,
    PIPELINE,
    advice,
    advised,
    check_datastores,
    find_datastore,
    similar,
)

STORES = "GET /datastores"


class Thing(NamedTuple):
    id: str
    name: str


class Store(NamedTuple):
    name: str


THINGS = [
    Thing("0f9619ff-8b86-d011-b42d-00cf4fc964ff", "score-files"),
    Thing("7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5f", "train"),
]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("score-file", "did you mean 'score-files'?"),
        ("SCORE-FILES", "did you mean 'score-files'?"),
        ("\uff53\uff43\uff4f\uff52\uff45\uff0d\uff46\uff49\uff4c\uff45\uff53", "did you mean 'score-files'?"),
        ("0f9619ff-8b86-d011-b42d-00cf4fc964ff", "that is the id of published pipeline 'score-files'"),
        ("0F9619FF-8B86-D011-B42D-00CF4FC964FF", "give it as pipeline_id"),
        ("train", "that is the name of published pipeline 7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5f: give that id"),
        ("7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5e", "did you mean '7d4c1f2a-3b5e-4c6d-8e9f-0a1b2c3d4e5f'?"),
        ("ffffffff-0000-4c6d-1111-222222222222", "nothing"),
    ],
)
def test_the_hint_helps(wanted, said):
    assert said in advice(PIPELINE, wanted, THINGS, otherwise="nothing")


def test_a_name_that_hundreds_have_makes_no_endless_message():
    many = [Thing(f"{number:036}", "train") for number in range(500)]
    said = advice(PIPELINE, "train", many)
    assert said.startswith("that is the name of 500 published pipelines (")
    assert "and 490 more" in said
    assert len(said) < 1000


@given(st.text(), st.lists(st.text(), max_size=8))
def test_only_what_there_is_is_suggested(wanted, names):
    assert set(similar(wanted, names)) <= set(names)
    assert advice(DATASTORE, wanted, [Store(name) for name in names], otherwise="nothing")


def test_a_datastore_that_is_not_there_names_its_neighbour():
    answers = {f"{STORES}/workspaceblobstor": NotFound("x", status=404), STORES: (Store("workspaceblobstore"),)}
    with pytest.raises(InvalidArgument, match=r"^datastore: .* 'workspaceblobstor'; did you mean 'workspaceblobstore'"):
        carry_out(find_datastore("workspaceblobstor"), answers)


@pytest.mark.parametrize("failure", [PermissionDenied("x", status=403), ServerFault("x", status=500)])
def test_without_a_list_the_error_is_raised_anyway(failure):
    answers = {f"{STORES}/a": NotFound("x", status=404), STORES: failure}
    with pytest.raises(InvalidArgument, match=r"has no datastore 'a'\.$"):
        carry_out(find_datastore("a"), answers)
    with pytest.raises(NotFound):
        carry_out(advised(calls.get_datastore("a"), DATASTORE, "a"), answers)


@pytest.mark.parametrize(("there", "advice"), [("aa", " Did you mean 'aa'?"), ("zzz", "")])
def test_what_the_error_says_itself_stays(there, advice):
    missing = NotFound("read", status=404, message="No such store.", request_ids=["id=1"], hint="Looked for in x.")
    answers = {f"{STORES}/a": missing, STORES: (Store(there),)}
    with pytest.raises(NotFound) as caught:
        carry_out(advised(calls.get_datastore("a"), DATASTORE, "a"), answers)
    said = f"read: the service answered 404: No such store. Looked for in x.{advice} [id=1]"
    assert str(caught.value) == said


class TestCheckDatastores:
    def test_all_there(self):
        known = set()
        service = {STORES: (Store("one"), Store("two"))}
        carry_out(check_datastores([("a", "one"), ("b", "Two")], known), service)
        # Nothing is asked for what was found before.
        carry_out(check_datastores([("a", "two")], known), {})

    def test_one_is_missing(self):
        with pytest.raises(InvalidArgument, match=r"^b: the workspace has no datastore 'tow'; did you mean 'two'"):
            carry_out(check_datastores([("a", "one"), ("b", "tow")], set()), {STORES: (Store("one"), Store("two"))})

    def test_who_may_not_list_them_lets_the_service_decide(self):
        carry_out(check_datastores([("a", "one")], set()), {STORES: PermissionDenied("x", status=403)})


class TestWhereADatastoreIsRead:
    """In v1's datastore service, or in Azure Resource Manager."""

    V1 = "GET /datastores/store"
    SECRETS = "POST /datastores/store/listSecrets"
    GONE = (BadRequest("x", status=410), ServerFault("x", status=501))

    @staticmethod
    def stored(kind):
        properties = {"accountName": "a", "containerName": "c", "credentials": {"credentialsType": kind}}
        return Datastore.from_arm({"name": "store", "properties": properties})

    def find(self, api, v1, arm, secrets=None):
        """What is found, and the services that were asked: the two requests differ in their service only."""

        def read(call):
            return arm if call.service == "arm" else v1

        service = Service({self.V1: read, self.SECRETS: lambda call: call.parse(secrets), STORES: ()})
        found = service.carry_out(find_datastore("store", api=api))
        return found, [call.service for call in service.steps]

    def test_v1_is_asked_first_and_alone_if_it_answers(self):
        v1 = Datastore.from_wire({"name": "store"})
        for api in ("v1", "auto"):
            assert self.find(api, v1, None) == (v1, ["datastore"])

    @pytest.mark.parametrize(
        ("kind", "secrets", "credential"),
        [
            ("AccountKey", {"secretsType": "AccountKey", "key": "k"}, "k"),
            ("Sas", {"secretsType": "Sas", "sasToken": "s"}, "s"),
            ("ServicePrincipal", {"secretsType": "ServicePrincipal", "clientSecret": "p"}, "p"),
            ("Certificate", {"secretsType": "Certificate", "certificate": "pem"}, "pem"),
        ],
    )
    def test_azure_resource_manager_returns_the_secrets_separately(self, kind, secrets, credential):
        found, asked = self.find("arm", None, self.stored(kind), secrets)
        assert asked == ["arm", "arm"]
        assert [secret.reveal() for secret in found.secrets] == [credential]
        assert found.credential_type == {"AccountKey": "AccountKey", "Sas": "Sas"}.get(kind, "ClientCredentials")

    def test_a_datastore_without_a_credential_has_no_secrets_to_read(self):
        assert self.find("arm", None, self.stored("None")) == (self.stored("None"), ["arm"])

    @pytest.mark.parametrize("gone", GONE)
    def test_auto_changes_over_when_v1_is_gone_and_says_so(self, gone, caplog):
        found, asked = self.find("auto", gone, self.stored("None"))
        assert (found.name, asked) == ("store", ["datastore", "arm"])
        assert "its credential is read from Azure Resource Manager. With datastore_api=arm" in caplog.text

    def test_auto_changes_over_if_v1_does_not_know_what_is_there(self):
        found, asked = self.find("auto", NotFound("x", status=404), self.stored("None"))
        assert (found.name, asked) == ("store", ["datastore", "datastore", "arm"])

    @pytest.mark.parametrize("second", [NotFound("x", status=404), PermissionDenied("x", status=403)])
    def test_what_neither_knows_is_missing(self, second):
        with pytest.raises(InvalidArgument, match="the workspace has no datastore 'store'"):
            self.find("auto", NotFound("x", status=404), second)

    @pytest.mark.parametrize("error", [PermissionDenied("x", status=403), ServerFault("x", status=503)])
    def test_another_failure_of_v1_is_not_its_end(self, error):
        with pytest.raises(type(error)):
            self.find("auto", error, self.stored("None"))

    @pytest.mark.parametrize("gone", GONE)
    def test_v1_alone_is_asked_if_the_connection_says_so(self, gone):
        with pytest.raises(type(gone)):
            self.find("v1", gone, self.stored("None"))
