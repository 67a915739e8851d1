"""The command line of the local workspace: ``python -m aml_provider.emulator``."""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

try:
    from aml_provider.emulator.server import EmulatorServer
except ModuleNotFoundError as error:
    if str(error.name).startswith("aml_provider"):
        raise
    sys.exit(f"{error}: install this package with its extra 'emulator'")

if TYPE_CHECKING:
    from collections.abc import Sequence

# Every user of the machine can read a secret on the command line.
TOKEN_VARIABLE = "AML_EMULATOR_TOKEN"  # noqa: S105 - the name of a variable
CONTROL_TOKEN_VARIABLE = "AML_EMULATOR_CONTROL_TOKEN"  # noqa: S105 - the name of a variable
HOSTS_VARIABLE = "AML_EMULATOR_ALLOWED_HOSTS"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    # Its request log would contain every blob that a step reads.
    logging.getLogger("azure").setLevel(logging.WARNING)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        server = EmulatorServer(
            options.seed,
            host=options.host,
            port=options.port,
            blob_endpoint=options.blob_endpoint,
            state_file=options.state,
            speed=options.speed,
            quirks=options.quirk,
            token=options.token,
            control_token=options.control_token,
            certificate=options.certificate,
            key=options.key,
            allowed_hosts=options.allowed_host or os.environ.get(HOSTS_VARIABLE, "").replace(",", " ").split(),
        )
    except (OSError, ValueError) as error:
        sys.stderr.write(f"{_message(error, options)}\n")
        return 2
    with server:
        sys.stdout.write(f"listening on {server.url}\n")
        sys.stdout.flush()
        stop.wait()
    return 0


def _message(error: OSError | ValueError, options: argparse.Namespace) -> str:
    if not isinstance(error, OSError):
        return str(error)
    if error.errno == errno.EADDRINUSE:
        return f"port {options.port} of {options.host} is in use; --port 0 uses a free one"
    if error.filename is None:
        return f"cannot listen on port {options.port} of {options.host!r}: {error.strerror}"
    return f"{error.filename}: {error.strerror}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m aml_provider.emulator", description="A local Azure ML workspace.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8700, help="0 uses a free one")
    parser.add_argument(
        "--allowed-host",
        action="append",
        metavar="NAME",
        help="another name under which it answers, such as host.docker.internal or a container's; can be repeated; "
        f"default: the names in ${HOSTS_VARIABLE}",
    )
    parser.add_argument("--seed", default="demo", metavar="demo|none|FILE", help="the contents at the start")
    parser.add_argument("--blob-endpoint", metavar="URL", help="where step functions reach blobs")
    parser.add_argument("--state", metavar="FILE", help="a file for the workspace; if it exists, it replaces the seed")
    parser.add_argument("--speed", type=float, default=1.0, metavar="N", help="workspace seconds per real second")
    parser.add_argument("--quirk", action="append", default=[], metavar="NAME[=VALUE]", help="can be repeated")
    parser.add_argument(
        "--token",
        default=os.environ.get(TOKEN_VARIABLE) or None,
        help=f"the bearer token that API calls must send; default: ${TOKEN_VARIABLE}, else any token is accepted",
    )
    parser.add_argument(
        "--control-token",
        default=os.environ.get(CONTROL_TOKEN_VARIABLE) or None,
        help=f"the control API's bearer token; default: ${CONTROL_TOKEN_VARIABLE}, else this machine only",
    )
    parser.add_argument("--certificate", metavar="FILE", help="a PEM file; serves https instead of http")
    parser.add_argument("--key", metavar="FILE", help="the PEM file of its private key, if it is another")
    return parser


if __name__ == "__main__":
    sys.exit(main())
