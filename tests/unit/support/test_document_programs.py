"""The shell of a page: its state remains from command to command, and programs that cannot run are stood in for."""

from __future__ import annotations

import pytest
from support.documents.shell import Command, CommandError, Shell


@pytest.fixture
def shell(tmp_path):
    with Shell(tmp_path, {"GIVEN": "1"}, {}, {}) as shell:
        yield shell


def run(shell, text, **options):
    return shell.run(Command(1, text, ""), **options)


def test_variables_functions_folders_and_files_remain(shell, tmp_path):
    run(shell, 'mkdir a; cd a; own=2; export SHOWN=3; again() { echo "$own" "${@:2}"; }')
    run(shell, "echo $GIVEN$own$SHOWN > file")
    assert (tmp_path / "a" / "file").read_text() == "123\n"
    assert run(shell, "again 3 4 5") == "2 4 5\n"
    assert shell.variables()["SHOWN"] == "3"
    assert "own" not in shell.variables()
    shell.set("SHOWN", "it's")
    assert run(shell, "echo $SHOWN") == "it's\n"


def test_a_command_has_to_end_as_the_page_says(shell):
    assert run(shell, "echo a; false", exits=1) == "a\n"
    with pytest.raises(CommandError, match="the code 3, not with 0:\nno"):
        run(shell, "echo no; sh -c 'exit 3'")
    with pytest.raises(CommandError, match="the code 0, not with 1"):
        run(shell, "true", exits=1)


def test_programs_that_no_rule_names_are_not_found(shell):
    with pytest.raises(CommandError, match="command not found"):
        run(shell, "gcc --version")


@pytest.mark.parametrize(
    "command",
    [
        "az login --identity",
        "az role definition create --role-definition @role.json",
        "az role assignment create --role 'A (v2) in G' --scope /subscriptions/s",
        "az account show --query '{a:id}' -o json",
        'test -n "$(az identity show --name a --query clientId -o tsv)"',
        "kubectl apply -f pod.yaml",
        "printf 'a: 1' | kubectl apply -f -",
        "helm upgrade --install airflow apache-airflow/airflow --namespace a -f pod.yaml",
        "docker build -t a .",
        "pip install '.[emulator]' pytest",
        "pip install 'airflow-provider-azureml[openlineage]==1.0' -c https://example.com/constraints.txt",
        "uv pip install apache-airflow",
        "make demo KEEP=1",
        "curl -LO https://example.com/a.yaml && test -f a.yaml",
        "git clone https://example.com/a/b.git && cd b && cat role.json && make test",
        "kubectl exec statefulset/triggerer -- python -c 'pass'",
        "kubectl exec statefulset/triggerer -- psql -c 'select 1'",
        "az ml datastore create --file pod.yaml",
    ],
)
def test_these_are_well_formed(shell, tmp_path, command):
    (tmp_path / "role.json").write_text("{}")
    (tmp_path / "pod.yaml").write_text("a: 1")
    (tmp_path / "Dockerfile").write_text("FROM a")
    assert run(shell, command) is None, "its output is not compared"
    assert shell.stand_ins >= 1


@pytest.mark.parametrize(
    "command",
    [
        "az",
        "az role Definition create",
        "az role definition create --role-definition @missing.json",
        "az role definition create --role-definition '{a}'",
        "az role assignment create \N{EN DASH}scope a",
        "az account set --subscription …",
        "kubectl put -f pod.yaml",
        "kubectl apply -f missing.yaml",
        "kubectl apply -f broken.yaml",
        "kubectl exec statefulset/triggerer -- python -c 'raise SystemExit(2)'",
        "az ml datastore create --file broken.yaml",
        "helm upgrade --install a b -f missing.yaml",
        "docker build -t a .",
        "pip install '.[nothing]'",
        "pip install 'a b'",
        "pip install -r missing.txt",
        "make demmo",
        "make demo KEPT=1",
        "curl example",
    ],
)
def test_these_are_not(shell, tmp_path, command):
    (tmp_path / "broken.yaml").write_text("a: [1")
    with pytest.raises(CommandError, match="the code 2"):
        run(shell, command)
