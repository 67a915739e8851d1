"""The frame of a program that starts services, plays a story on them, and stops everything however it ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import threading
import time
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

from azurite import AzuriteError
from processes import Guard, ServiceError
from task_log import tail
from watched_dag import StoryError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_ROOT = Path(__file__).resolve().parents[1]
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
# Variables that would lead Airflow or the Azure libraries away from the services that we start.
_FOREIGN = ("AIRFLOW_", "AZURE_", "ARM_", "AZUREML_", "IDENTITY_", "IMDS_", "MSI_")
_PROXIES = {"ALL_PROXY", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"}


class _Interrupted(KeyboardInterrupt):
    """The process was asked to stop.

    Args:
        number: The signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Program:
    """A program of this folder.

    Args:
        name: Its name for messages; the folder of its logs in ``.cache`` has it too.

    Attributes:
        keep: Whether everything is left up until Ctrl-C (``KEEP=1``).
        home: The folder of this start; known while it runs.
    """

    home: Path

    def __init__(self, name: str) -> None:
        self.keep = bool(os.environ.get("KEEP"))
        self._name = name
        self._started = time.monotonic()

    def main(self, play: Callable[[], None]) -> int:
        """Play the story; returns the exit code."""
        for name in list(os.environ):
            if name.upper().startswith(_FOREIGN) or name.upper() in _PROXIES:
                del os.environ[name]
        self.home = _make_home(_ROOT / ".cache" / self._name)
        for number in _SIGNALS:
            # A shell without job control starts background processes with these signals ignored.
            signal.signal(number, _interrupt)
        try:
            play()
        except _Interrupted as interrupted:
            self.say(f"stopped by {signal.Signals(interrupted.number).name}; no process is left")
            return 128 + interrupted.number
        except (AzuriteError, ServiceError, StoryError) as error:
            log = getattr(error, "log", None)
            if log is not None:
                print(f"\nThe end of {shown(log)}:\n\n{tail(log)}")
            print(f"\nThe {self._name} failed: {error}")
            print(f"All logs: {shown(self.home)}")
            return 1
        except Exception:  # noqa: BLE001 - whatever it is, the user needs the place of the logs
            traceback.print_exc()
            print(f"\nThe {self._name} failed. All logs: {shown(self.home)}")
            return 1
        return 0

    @contextlib.contextmanager
    def services(self) -> Iterator[tuple[contextlib.ExitStack, Guard]]:
        """A stack for services, and what starts their processes; in the end all of them are stopped."""
        with contextlib.ExitStack() as resources:
            guard = resources.enter_context(Guard())
            try:
                yield resources, guard
            finally:
                # Only stopping remains, and its time is limited.
                _ignore_signals()
                self.say("stopping everything")

    def say(self, what: str) -> None:
        """Print the progress."""
        print(f"{time.monotonic() - self._started:4.0f} s  {what}", flush=True)

    def wait_for_interrupt(self, *lines: str) -> None:
        """Print how to use what is up, and wait until Ctrl-C."""
        print("\n".join(lines), flush=True)
        with contextlib.suppress(_Interrupted):
            threading.Event().wait()


def shown(path: Path) -> str:
    """A path as a person would type it here."""
    return os.path.relpath(path)


def _make_home(homes: Path) -> Path:
    """Make a folder for this start and remove those of earlier ones that have ended."""
    for home in homes.glob("*-*"):
        if not Path("/proc", home.name.rpartition("-")[2]).exists():
            shutil.rmtree(home, ignore_errors=True)
    home = homes / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    home.mkdir(parents=True)
    return home


def _interrupt(number: int, _frame: object) -> None:
    _ignore_signals()
    raise _Interrupted(number)


def _ignore_signals() -> None:
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
