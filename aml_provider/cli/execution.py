"""The frame of all commands: output, messages, errors and exit codes."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from airflow.utils.cli import suppress_logs_and_warning

from aml_provider.cli.output import render
from aml_provider.cli.terminal import write
from aml_provider.client.errors import AzureMLError
from aml_provider.client.help import CONNECTION_NOT_FOUND, SITE, Helped, text_of, with_address
from aml_provider.client.text import printable
from aml_provider.compat import AirflowException, AirflowNotFoundException
from aml_provider.hooks.azure_ml import AzureMLHook

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Sequence
    from typing import TextIO

    from aml_provider.cli.output import Record

# Seconds that a person waits for "it cannot be reached"; the option's default of 120 seconds suits tasks.
_RETRY_BUDGET = "10"
_CONNECTIONS = f"{SITE}set-up/connection.html"


class CommandError(Helped):
    """The command could not do what was requested; the message gives the reason and the next step.

    Args:
        message: The message for the person.
        answer: An answer that is printed anyway, such as the run that has failed.
        exit_code: The exit code of the command.
    """

    def __init__(self, message: str, *, answer: Answer | None = None, exit_code: int = 1) -> None:
        super().__init__(message)
        self.answer = answer
        self.exit_code = exit_code


class UsageError(CommandError):
    """The command's arguments do not fit together."""

    def __init__(self, message: str) -> None:
        super().__init__(message, exit_code=2)


class Prose(NamedTuple):
    """An answer that is text for people and rows for programs."""

    records: Record | Sequence[Record]
    text: str


#: What a command prints.
Answer: TypeAlias = "Record | Sequence[Record] | Prose"
_LiveBody: TypeAlias = "Callable[[Namespace, AzureMLHook, TextIO], Answer | None]"


def say(message: str) -> None:
    """Write a message for the person to standard error; programs read standard output."""
    write(sys.stderr, f"{printable(message.expandtabs(), lines=True)}\n")


def confirm(question: str, *, yes: bool) -> None:
    """Ask the person to confirm, unless ``--yes`` was given.

    Raises:
        CommandError: A person refused, or standard input is closed.
    """
    if yes:
        return
    write(sys.stderr, f"{printable(question, lines=True)} Proceed? (y/n) ")
    answer = sys.stdin.readline()
    if not answer:
        say("")
        raise CommandError("Nobody answered, so nothing was done. Add --yes to run this command unattended.")
    if answer.strip().lower() not in {"y", "yes"}:
        raise CommandError("Cancelled; nothing was done.")


def command(body: Callable[[Namespace, AzureMLHook], Answer]) -> Callable[[Namespace], None]:
    """Make a command from a function that returns its answer: one row, a list of rows, or prose.

    The exit code is 1 if ``body`` raises, 2 for a :class:`UsageError`, 130 for Ctrl-C, and 141 if the reader of the
    output has gone. Standard output gets only the answer, and only when it is complete.
    """
    return _framed(
        lambda options, hook, _: body(options, hook), body, waits=lambda options: getattr(options, "wait", False)
    )


def live_command(*, waits: Callable[[Namespace], bool]) -> Callable[[_LiveBody], Callable[[Namespace], None]]:
    """Make a command from a function that writes to standard output while it runs; see :func:`command`.

    The function gets the stream of standard output as its third argument. It may return None instead of an answer.

    Args:
        waits: Whether the command waits for a run, and so has to survive what an operator's wait survives.
    """
    return lambda body: _framed(body, body, waits=waits)


def _framed(
    body: _LiveBody, described: Callable[..., object], *, waits: Callable[[Namespace], bool]
) -> Callable[[Namespace], None]:
    @functools.wraps(described)
    @suppress_logs_and_warning
    def run(options: Namespace) -> None:
        output = sys.stdout
        # With this, Airflow also reads connections from its database, as its own commands do.
        os.environ["_AIRFLOW_PROCESS_CONTEXT"] = "server"
        if not waits(options):
            for budget in ("RETRY_BUDGET", "THROTTLED_BUDGET"):
                os.environ.setdefault(f"AIRFLOW__AZUREML__{budget}", _RETRY_BUDGET)
        with _errors_reported(verbose=options.verbose), _logs_elsewhere():
            hook = AzureMLHook(options.conn_id)
            # Airflow's commands turn logging off.
            hook.log_retry = lambda _, text: say(text)
            try:
                answer = body(options, hook, output)
            except CommandError as error:
                if error.answer is not None:
                    _write(error.answer, options.output, output)
                raise
            if answer is not None:
                _write(answer, options.output, output)

    return run


@contextlib.contextmanager
def _logs_elsewhere() -> Iterator[None]:
    """Redirect Airflow's log lines from standard output to standard error."""
    for handler in logging.getLogger().handlers:
        # Airflow 2 has a handler of its own, which follows the redirected standard output.
        if type(handler) is logging.StreamHandler and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)
    with contextlib.redirect_stdout(sys.stderr):
        yield


@contextlib.contextmanager
def _errors_reported(*, verbose: bool) -> Iterator[None]:
    """Turn an error into one message and an exit code, after its traceback if ``verbose``."""
    try:
        yield
    except KeyboardInterrupt:
        say("Interrupted.")
        raise SystemExit(130) from None
    except Exception as error:  # noqa: BLE001 - any error must become a message for the person
        if verbose:
            traceback.print_exc()
        say(_message_of(error))
        raise SystemExit(getattr(error, "exit_code", 1)) from None


def _message_of(error: Exception) -> str:
    if isinstance(error, AirflowNotFoundException):
        text = (
            f"{text_of(error).rstrip('.')}. Name another connection with --conn-id, or add this connection, as "
            f"{_CONNECTIONS} describes. `airflow connections list` lists the existing ones."
        )
        return with_address(text, CONNECTION_NOT_FOUND)
    if isinstance(error, (CommandError, AzureMLError, AirflowException)):
        return str(error)
    return f"{type(error).__name__}: {text_of(error)}. This error is unexpected; --verbose shows where it happened."


def _write(answer: Answer, form: str, stream: TextIO) -> None:
    if isinstance(answer, Prose):
        text = answer.text if form in {"table", "plain"} else render(answer.records, form, stream)
        if stream.isatty() and form in {"table", "plain"}:
            # Other people's text must not steer the terminal. Through a pipe it goes unchanged.
            text = printable(text.expandtabs(), lines=True)
    else:
        text = render(answer, form, stream)
    if not text:
        say("Nothing found.")
    write(stream, text)
