"""Datastores are read in v1's datastore service or in Azure Resource Manager, as the connection wants it."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from support.models.service import Service, carry_out

from aml_provider.client.entities import Datastore
from aml_provider.client.errors import BadRequest, InvalidArgument, NotFound, PermissionDenied, ServerFault, Unreachable
from aml_provider.client.flows.datastores import (
    check_datastores,
    find_datastore,
    find_default_datastore,
    list_datastores,
)

STORES = "GET /datastores"
DEFAULT = "GET /default"
V1 = "GET /datastores/store"
SECRETS = "POST /datastores/store/listSecrets"
MISSING = NotFound("x", status=404)
GONE = (BadRequest("x", status=410), ServerFault("x", status=501))
KEY = {"secretsType": "AccountKey", "key": "k"}


class Store(NamedTuple):
    name: str


def in_arm(kind="None", name="store"):
    properties = {"accountName": "a", "containerName": "c", "credentials": {"credentialsType": kind}}
    return Datastore.from_arm({"name": name, "properties": properties})


IN_V1 = Datastore.from_wire({"name": "store"})


class Workspace:
    """Both services: each has an answer for one datastore, and a list."""

    def __init__(self, api, v1, arm, *, secrets=KEY, v1_list=(), arm_list=()):
        answers = {
            V1: lambda call: arm if call.service == "arm" else v1,
            DEFAULT: v1,
            STORES: lambda call: arm_list if call.service == "arm" else v1_list,
            SECRETS: secrets if isinstance(secrets, Exception) else lambda call: call.parse(secrets),
        }
        self._service = Service(answers, datastore_api=api)

    def find(self):
        return self._service.carry_out(find_datastore("store"))

    def carry_out(self, flow):
        return self._service.carry_out(flow)

    @property
    def asked(self):
        return [call.service for call in self._service.steps]


def test_v1_is_asked_first_and_alone_if_it_answers():
    for api in ("v1", "auto"):
        workspace = Workspace(api, IN_V1, None)
        assert workspace.find() == IN_V1
        assert workspace.asked == ["datastore"]


@pytest.mark.parametrize(
    ("kind", "secrets", "credential"),
    [
        ("AccountKey", KEY, "k"),
        ("Sas", {"secretsType": "Sas", "sasToken": "s"}, "s"),
        ("ServicePrincipal", {"secretsType": "ServicePrincipal", "clientSecret": "p"}, "p"),
        ("Certificate", {"secretsType": "Certificate", "certificate": "pem"}, "pem"),
    ],
)
def test_azure_resource_manager_returns_the_secrets_separately(kind, secrets, credential):
    workspace = Workspace("arm", None, in_arm(kind), secrets=secrets)
    found = workspace.find()
    assert workspace.asked == ["arm", "arm"]
    assert [secret.reveal() for secret in found.secrets] == [credential]
    assert found.credential_type == {"AccountKey": "AccountKey", "Sas": "Sas"}.get(kind, "ClientCredentials")


def test_a_datastore_without_a_credential_has_no_secrets_to_read():
    workspace = Workspace("arm", None, in_arm())
    assert workspace.find() == in_arm()
    assert workspace.asked == ["arm"]


@pytest.mark.parametrize("gone", [*GONE, MISSING])
def test_auto_changes_over_when_v1_is_gone_and_says_so_once_per_workspace(gone, caplog):
    workspace, other = (Workspace("auto", gone, in_arm(), arm_list=(in_arm(),)) for _ in range(2))
    for _ in range(3):
        assert workspace.find().name == "store"
    assert workspace.asked == ["datastore", "arm"] * 3
    assert workspace.carry_out(find_default_datastore()) == in_arm()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "are read there. With datastore_api=arm in the connection" in caplog.text
    other.find()
    assert len(caplog.records) == 2


@pytest.mark.parametrize("second", [PermissionDenied("x", status=403), Unreachable("away")])
def test_a_name_that_v1_does_not_know_is_missing_and_the_other_answer_is_named(second):
    with pytest.raises(InvalidArgument, match=rf"no datastore 'store'\. Nor .* Azure Resource Manager: {second.text}"):
        Workspace("auto", MISSING, second).find()


@pytest.mark.parametrize("api", ["v1", "auto", "arm"])
def test_a_misspelt_name_costs_one_error_with_its_neighbour(api):
    workspace = Workspace(api, MISSING, MISSING, v1_list=(Store("stores"),), arm_list=(in_arm(name="stores"),))
    with pytest.raises(
        InvalidArgument, match=r"^datastore: the workspace '.+' has no datastore 'store'; did you mean 's"
    ):
        workspace.find()
    assert len(workspace.asked) == (3 if api == "auto" else 2)


def test_a_misspelt_name_has_a_neighbour_also_when_v1_is_gone():
    gone = GONE[0]
    workspace = Workspace("auto", gone, MISSING, v1_list=gone, arm_list=(in_arm(name="stores"),))
    with pytest.raises(InvalidArgument, match="has no datastore 'store'; did you mean 'stores'"):
        workspace.find()


@pytest.mark.parametrize("failure", [PermissionDenied("x", status=403), ServerFault("x", status=500)])
def test_without_a_list_the_error_is_raised_anyway(failure):
    with pytest.raises(InvalidArgument, match=r"has no datastore 'store'\. Help: "):
        Workspace("v1", MISSING, None, v1_list=failure).find()


@pytest.mark.parametrize("error", [PermissionDenied("x", status=403), ServerFault("x", status=503)])
def test_another_failure_of_v1_is_not_its_end(error):
    with pytest.raises(type(error)):
        Workspace("auto", error, in_arm()).find()


@pytest.mark.parametrize("gone", GONE)
def test_if_v1_is_gone_the_failure_of_the_other_service_counts(gone):
    with pytest.raises(PermissionDenied):
        Workspace("auto", gone, PermissionDenied("x", status=403)).find()


def test_secrets_that_may_not_be_read_are_not_a_missing_datastore():
    with pytest.raises(PermissionDenied):
        Workspace("auto", MISSING, in_arm("AccountKey"), secrets=PermissionDenied("x", status=403)).find()


@pytest.mark.parametrize("gone", GONE)
def test_v1_alone_is_asked_if_the_connection_says_so(gone):
    with pytest.raises(type(gone)):
        Workspace("v1", gone, in_arm()).find()


@pytest.mark.parametrize("api", ["auto", "arm"])
def test_the_default_one_is_read_with_its_credential(api):
    workspace = Workspace(api, GONE[0], None, arm_list=(in_arm("AccountKey"),))
    assert workspace.carry_out(find_default_datastore()).account_key == "k"


def test_a_workspace_without_a_default_one_says_so():
    with pytest.raises(NotFound, match="the workspace has no default datastore"):
        Workspace("arm", None, None).carry_out(find_default_datastore())


def test_a_list_of_azure_resource_manager_withholds_credentials():
    (store,) = Workspace("arm", None, None, arm_list=(in_arm("AccountKey"),)).carry_out(list_datastores())
    assert (store.credential_type, store.secrets) == ("AccountKey", ())
    with pytest.raises(InvalidArgument, match=r"a list may lack it; .*get_datastore\(name\)"):
        _ = store.account_key


class TestCheckBeforeARun:
    @pytest.mark.parametrize(("of_job", "service"), [(False, "datastore"), (True, "arm")])
    def test_all_there(self, of_job, service):
        known = set()
        two = Service({STORES: (Store("one"), Store("two"))})
        two.carry_out(check_datastores([("a", "one"), ("b", "Two")], known, of_job=of_job))
        assert [call.service for call in two.steps] == [service]
        # Nothing is asked for what was found before.
        carry_out(check_datastores([("a", "two")], known, of_job=of_job), {})

    def test_one_is_missing(self):
        with pytest.raises(InvalidArgument, match=r"^b: the workspace has no datastore 'tow'; did you mean 'two'"):
            carry_out(
                check_datastores([("a", "one"), ("b", "tow")], set(), of_job=False),
                {STORES: (Store("one"), Store("two"))},
            )

    def test_who_may_not_list_them_lets_the_service_decide(self):
        carry_out(check_datastores([("a", "one")], set(), of_job=True), {STORES: PermissionDenied("x", status=403)})
