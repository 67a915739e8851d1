"""What all commands share: the two streams, the exit code, how errors are told."""

from __future__ import annotations

import io
import json
import logging
import os
import subprocess
import sys
from argparse import Namespace

import pytest

from aml_provider.cli.execution import CommandError, Prose, UsageError, command, confirm, say
from aml_provider.client.errors import InvalidArgument
from aml_provider.client.help import ERRORS


@pytest.fixture(autouse=True)
def _restored(monkeypatch):
    """Restore what a command sets for its process."""
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    monkeypatch.setenv("AIRFLOW__AZUREML__RETRY_BUDGET", "0.1")
    monkeypatch.setenv("AIRFLOW__AZUREML__THROTTLED_BUDGET", "0.1")


@pytest.fixture
def run(capsys):
    """Run a body as a command; return the exit code and what it wrote."""

    def run(body, **options):
        code = 0
        try:
            command(body)(Namespace(**{"conn_id": "x", "output": "json", "verbose": False, **options}))
        except SystemExit as ending:
            code = ending.code
        return code, *capsys.readouterr()

    return run


def raising(error):
    def body(options, hook):
        raise error

    return body


@pytest.mark.parametrize(("output", "text"), [("json", '[\n  {\n    "id": "1"\n  }\n]\n'), ("plain", "id\n1\n")])
def test_an_answer_is_all_that_is_on_standard_output(run, output, text):
    def body(options, hook):
        sys.stdout.write("a library's chatter\n")
        logging.getLogger("somebody").warning("a log line")
        say("a message")
        return [{"id": "1"}]

    code, out, err = run(body, output=output)
    assert (code, out) == (0, text)
    assert "a library's chatter\n" in err
    assert "a message\n" in err
    assert "a log line" not in err


@pytest.mark.parametrize("output", ["table", "plain"])
def test_nothing_is_said_where_nothing_is(run, output):
    assert run(lambda options, hook: [], output=output) == (0, "", "Nothing found.\n")


def test_for_programs_nothing_is_an_empty_list(run):
    assert run(lambda options, hook: []) == (0, "[]\n", "")


@pytest.mark.parametrize(("output", "text"), [("table", "some text\n"), ("json", '[\n  {\n    "a": 1\n  }\n]\n')])
def test_prose_is_text_for_people_and_rows_for_programs(run, output, text):
    assert run(lambda options, hook: Prose([{"a": 1}], "some text\n"), output=output) == (0, text, "")


def help_on(name):
    return f"Help: {ERRORS}#{name}"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (CommandError("It cannot. Do this."), 1, f"It cannot. Do this. {help_on('command-error')}\n"),
        (UsageError("Not like this."), 2, f"Not like this. {help_on('usage-error')}\n"),
        (InvalidArgument("name", "is bad"), 1, f"name: is bad. {help_on('invalid-argument')}\n"),
        (KeyboardInterrupt(), 130, "Interrupted.\n"),
        (KeyError("x"), 1, "KeyError: 'x'. This error is unexpected; --verbose shows where it happened.\n"),
    ],
)
def test_an_error_is_one_message_and_an_exit_code(run, error, code, message):
    assert run(raising(error)) == (code, "", message)


def test_the_traceback_comes_with_verbose(run):
    code, out, err = run(raising(CommandError("It cannot.")), verbose=True)
    assert (code, out) == (1, "")
    assert "Traceback" in err
    assert "raise error" in err
    assert err.endswith(f"\nIt cannot. {help_on('command-error')}\n")


def test_an_error_may_have_an_answer_too(run):
    message = f"It failed. {help_on('command-error')}\n"
    assert run(raising(CommandError("It failed.", answer={"id": "1"}))) == (1, '{\n  "id": "1"\n}\n', message)


def test_a_missing_connection_comes_with_the_next_step(run):
    code, out, err = run(lambda options, hook: hook.settings(), conn_id="nowhere")
    assert (code, out) == (1, "")
    assert "nowhere" in err
    assert "--conn-id" in err
    assert "Traceback" not in err


def test_a_bad_connection_is_named_with_its_field(run, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_BAD", json.dumps({"conn_type": "azureml", "extra": {"cloud": "moon"}}))
    code, _, err = run(lambda options, hook: hook.settings(), conn_id="bad")
    assert code == 1
    assert err.startswith("connection 'bad', cloud: is 'moon'")


@pytest.fixture
def typed(monkeypatch):
    return lambda text: monkeypatch.setattr(sys, "stdin", io.StringIO(text))


@pytest.mark.parametrize("answer", ["y\n", "Y\n", "yes\n", " y \n"])
def test_a_yes_is_a_yes(typed, capsys, answer):
    typed(answer)
    confirm("This ends it.", yes=False)
    assert capsys.readouterr() == ("", "This ends it. Proceed? (y/n) ")


@pytest.mark.parametrize("answer", ["n\n", "\n", "maybe\n"])
def test_any_answer_but_yes_cancels(typed, answer):
    typed(answer)
    with pytest.raises(CommandError, match="Cancelled; nothing was done"):
        confirm("This ends it.", yes=False)


def test_nobody_there_is_a_no_that_names_the_option(typed):
    typed("")
    with pytest.raises(CommandError, match="--yes"):
        confirm("This ends it.", yes=False)


def test_nobody_is_asked_who_has_said_yes(typed, capsys):
    typed("")
    confirm("This ends it.", yes=True)
    assert capsys.readouterr() == ("", "")


READER_GONE = """
import sys
from argparse import Namespace
from aml_provider.cli.execution import command
command(lambda options, hook: [{"id": "x" * 100} for _ in range(10_000)])(
    Namespace(conn_id="x", output="json", verbose=False)
)
"""


def test_a_reader_that_has_seen_enough_gets_no_traceback():
    # When it is loaded, Airflow logs to standard output in its test mode, and 3.1 logs Alembic's plugins.
    changed = os.environ | {"AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}
    environment = {name: value for name, value in changed.items() if name != "AIRFLOW__CORE__UNIT_TEST_MODE"}
    command = [sys.executable, "-W", "ignore", "-c", READER_GONE]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=environment) as process:
        assert process.stdout.readline() == "[\n"
        process.stdout.close()
        assert process.stderr.read() == ""
        assert process.wait(240) == 141
