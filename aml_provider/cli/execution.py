"""What all commands share: where output and messages go, how errors are told, and the exit code."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

from airflow.providers.common.compat.sdk import AirflowException, AirflowNotFoundException
from airflow.utils.cli import suppress_logs_and_warning

from aml_provider.cli.output import render
from aml_provider.client.errors import AzureMLError
from aml_provider.client.text import printable
from aml_provider.hooks.azure_ml import AzureMLHook

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from aml_provider.cli.output import Record

# What a person waits for before "it cannot be reached"; the option's own 120 seconds suit tasks.
_PATIENCE = "10"


class CommandError(Exception):
    """The command could not do what was asked; the message says why, and what to do.

    Args:
        message: What a person is told.
        answer: What is printed all the same, such as the run that has failed.
    """

    exit_code = 1

    def __init__(self, message: str, *, answer: Record | None = None) -> None:
        super().__init__(message)
        self.answer = answer


class UsageError(CommandError):
    """What was asked for makes no sense."""

    exit_code = 2


class Prose(NamedTuple):
    """An answer that people read as text and programs as records."""

    records: Sequence[Record]
    text: str


def say(message: str) -> None:
    """Tell a person something; programs read the other stream."""
    sys.stderr.write(f"{printable(message.expandtabs(), lines=True)}\n")
    sys.stderr.flush()


def confirm(question: str, *, yes: bool) -> None:
    """Ask for a yes, unless it was given with ``--yes``.

    Raises:
        CommandError: The answer was no, or nobody is there to answer.
    """
    if yes:
        return
    sys.stderr.write(f"{printable(question, lines=True)} Proceed? (y/n) ")
    sys.stderr.flush()
    answer = sys.stdin.readline()
    if not answer:
        say("")
        raise CommandError("Nobody answered, so nothing was done. Give --yes where nobody can.")
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError("Cancelled; nothing was done.")


def command(
    body: Callable[[Namespace, AzureMLHook], Record | Sequence[Record] | Prose],
) -> Callable[[Namespace], None]:
    """Make a command of a function that returns what is to be printed: a record, a list of them, or prose.

    The command ends with exit code 1 where ``body`` raises, with 2 for a :class:`UsageError`, and with 130 for Ctrl-C.
    Standard output gets the answer alone, and only when it is complete.
    """

    @functools.wraps(body)
    @suppress_logs_and_warning
    def run(options: Namespace) -> None:
        output = sys.stdout
        # Airflow then asks its database for the connection too, as its own commands do.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        if not getattr(options, "wait", False):
            for budget in ("RETRY_BUDGET", "THROTTLED_BUDGET"):
                os.environ.setdefault(f"AIRFLOW__AZUREML__{budget}", _PATIENCE)
        with _errors_told(verbose=options.verbose), _logs_elsewhere():
            hook = AzureMLHook(options.conn_id)
            # Airflow's commands switch logs off.
            hook.tell = lambda _, text: say(text)
            try:
                answer = body(options, hook)
            except CommandError as error:
                if error.answer is not None:
                    _write(error.answer, options.output, output)
                raise
            _write(answer, options.output, output)

    return run


@contextlib.contextmanager
def _logs_elsewhere() -> Iterator[None]:
    """Move to standard error what Airflow would log to standard output."""
    for handler in logging.getLogger().handlers:
        # Airflow 2's own kind of handler takes whatever standard output is.
        if type(handler) is logging.StreamHandler and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _errors_told(*, verbose: bool) -> Iterator[None]:
    """Turn an error into one message and an exit code; with ``verbose`` its traceback comes first."""
    try:
        yield
    except KeyboardInterrupt:
        say("Interrupted.")
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - whatever it is, a person must read it
        if verbose:
            traceback.print_exc()
        say(_message_of(error))
        raise SystemExit(getattr(error, "exit_code", 1)) from None


def _message_of(error: Exception) -> str:
    if isinstance(error, AirflowNotFoundException):
        return (
            f"{error}. Name another connection with --conn-id, or add this one: docs/connection.md of this provider "
            "says how, `airflow connections list` shows those that are there."
        )
    if isinstance(error, (CommandError, AzureMLError, AirflowException)):
        return str(error)
    return f"{type(error).__name__}: {error}. This was not foreseen; --verbose shows where it happened."


def _write(answer: Record | Sequence[Record] | Prose, form: str, stream: TextIO) -> None:
    if isinstance(answer, Prose):
        text = answer.text if form in {"table", "plain"} else render(answer.records, form, stream)
        if stream.isatty() and form in {"table", "plain"}:
            # It is other people's. Through a pipe it goes as it is.
            text = printable(text.expandtabs(), lines=True)
    else:
        text = render(answer, form, stream)
    if not text:
        say("Nothing found.")
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        # The reader has seen enough (`| head`). Python would complain when it flushes at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
