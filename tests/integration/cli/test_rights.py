"""``check --rights``: what the identity has and lacks, and the commands that grant it."""

from __future__ import annotations

import base64
import json
import re
import shlex

import pytest
from support.drivers.command_line import CommandLine

from aml_provider.client.calls.call import RIGHTS
from aml_provider.client.help import ERRORS
from aml_provider.client.rights import APIS, READ_PERMISSIONS, USES, needed, role_definition
from aml_provider.emulator.workspace.models import Permission
from aml_provider.testing.workspace import LocalWorkspace

GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local"
SCOPE = f"{GROUP}/providers/Microsoft.MachineLearningServices/workspaces/local"
READER = Permission(["*/read"])
NOBODY = Permission([])


@pytest.fixture
def cli(workspace, monkeypatch, capsys):
    return CommandLine(monkeypatch, capsys)


def signed(claims):
    """A token of Microsoft Entra, as far as this reads it."""
    parts = ({"alg": "none"}, claims)
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in (*parts, "signature")
    )


def options(line):
    """The options of a command line, after its words."""
    words = shlex.split(line)
    first = next(index for index, word in enumerate(words) if word.startswith("--"))
    return " ".join(words[:first]), dict(zip(words[first::2], words[first + 1 :: 2], strict=True))


def test_an_identity_that_may_do_everything_lacks_nothing(cli):
    answer = cli("check", "--rights", "-o", "json")
    assert (answer.code, answer.err) == (0, "")
    assert [(row["use"], row["api"]) for row in answer.json] == [(use, api) for use in USES for api in APIS]
    for row in answer.json:
        assert row["needs"] == row["has"] == list(needed(row["use"], row["api"]))
        assert row["lacks"] == row["fix"] == []


def test_a_reader_lacks_what_changes_something(cli, workspace):
    workspace.state.permissions = [READER]
    answer = cli("check", "--rights", "-o", "json")
    assert answer.code == 0, "without the name of a use, it is a list"
    for row in answer.json:
        assert row["lacks"] == [action for action in row["needs"] if not action.endswith("/read")]
        assert sorted(row["has"] + row["lacks"]) == sorted(row["needs"])


def test_the_list_for_people_says_how_to_get_the_commands(cli, workspace):
    workspace.state.permissions = [READER, Permission([f"{RIGHTS}/endpoints/pipelines/write"])]
    answer = cli("check", "--rights")
    assert f"Identity of auth_method 'static_token' in {SCOPE}" in answer.out
    assert re.search(r"^schedules \(v1\): has all of 5 actions$", answer.out, re.MULTILINE)
    assert f"sensor (v2): lacks 1 of 3 actions\n    {RIGHTS}/datastores/listsecrets/action\n" in answer.out
    assert "With the name of a use, such as --rights submit" in answer.out
    assert "az role" not in answer.out


@pytest.mark.parametrize("api", APIS)
@pytest.mark.parametrize("use", USES)
def test_the_commands_that_are_printed_mend_it(cli, workspace, use, api):
    workspace.state.permissions = [NOBODY]
    answer = cli("check", "--rights", use, "--api", api, "-o", "json")
    assert answer.code == 1
    assert answer.err == f"The identity lacks actions for {use} ({api}). Help: {ERRORS}#permission-denied\n"
    (row,) = answer.json
    assert row["lacks"] == row["needs"]
    create, assign, built_in = map(options, row["fix"])
    assert create[0] == "az role definition create"
    role = json.loads(create[1]["--role-definition"])
    assert role == role_definition(use, api, GROUP)
    assert assign == (
        "az role assignment create",
        {"--assignee": "OBJECT_ID_OF_THE_IDENTITY", "--scope": SCOPE, "--role": role["Name"]},
    )
    assert built_in[1]["--role"] == ("Reader" if use == "run-events" else "AzureML Data Scientist")
    # Now the role is assigned.
    workspace.state.permissions = [NOBODY, Permission(role["Actions"], role["NotActions"])]
    assert cli("check", "--rights", use, "--api", api).code == 0


def test_several_uses_are_checked_and_the_output_for_people_has_the_commands(cli, workspace):
    workspace.state.permissions = [READER]
    answer = cli("check", "--rights", "sensor", "manage", "--api", "v2")
    assert answer.code == 1
    assert "lacks actions for sensor (v2), manage (v2)." in answer.err
    assert len(re.findall(r"^    az role definition create ", answer.out, re.MULTILINE)) == 2
    assert len(re.findall(r"^    az role assignment create ", answer.out, re.MULTILINE)) == 4


def test_nothing_but_the_list_is_requested(cli, workspace):
    before = len(workspace.requests())
    cli("check", "--rights")
    (request,) = workspace.requests()[before:]
    assert (request["method"], request["path"]) == (
        "GET",
        f"{SCOPE}/providers/Microsoft.Authorization/permissions",
    )
    assert request["query"] == [["api-version", "2022-04-01"]]


def test_an_identity_that_may_not_list_its_permissions_is_told_how_an_owner_can(cli, workspace):
    workspace.faults.add("status", status=403, path="*/Microsoft.Authorization/permissions")
    answer = cli("check", "--rights")
    assert (answer.code, answer.out) == (1, "")
    assert f"needs the action {READ_PERMISSIONS}" in answer.err
    assert "the role 'Reader' there grants it" in answer.err
    assert (
        f"az role assignment list --assignee OBJECT_ID_OF_THE_IDENTITY --scope {SCOPE} --include-inherited "
        "--output table" in answer.err
    )


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        (
            {"oid": "8d5b-1", "appid": "a", "idtyp": "app"},
            "--assignee-object-id 8d5b-1 --assignee-principal-type ServicePrincipal",
        ),
        ({"oid": "8d5b-1", "idtyp": "user"}, "--assignee-object-id 8d5b-1 --assignee-principal-type User"),
        ({"oid": "$(rm -rf)"}, "--assignee client-1"),
        ({}, "--assignee client-1"),
    ],
)
def test_the_commands_name_the_identity_that_the_token_is_for(monkeypatch, capsys, claims, expected):
    with LocalWorkspace({"permissions": [{"actions": []}]}, token=signed(claims)) as workspace:
        monkeypatch.setenv("AIRFLOW_CONN_AML", json.dumps(workspace.connection() | {"login": "client-1"}))
        answer = CommandLine(monkeypatch, capsys)("check", "--conn-id", "aml", "--rights", "submit", "-o", "json")
        assert workspace.token not in answer.out + answer.err
    for row in answer.json:
        assert all(f"create {expected} --scope" in line for line in row["fix"][1:])


@pytest.mark.parametrize("arguments", [["--api", "v1"], ["--rights", "everything"], ["--rights", "--api", "v3"]])
def test_wrong_usage(cli, arguments):
    answer = cli("check", *arguments)
    assert (answer.code, answer.out) == (2, "")
