"""None of the demo's processes outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import Guard, ServiceError, stop

# A service that has a child, which hides its environment as Airflow's processes do, and ignores what asks it to end.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], env={})
print(child.pid, flush=True)
time.sleep(600)
"""
OWNER = """
import sys, time
from pathlib import Path
from processes import Guard
with Guard() as guard:
    service = guard.start("stubborn", [sys.executable, "-c", sys.argv[1]], log=Path(sys.argv[2]), piped=True)
    print(service.process.pid, int(service.process.stdout.readline()), flush=True)
    time.sleep(600)
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 240
    while any(map(alive, pids)):
        assert time.monotonic() < deadline, f"{[pid for pid in pids if alive(pid)]} live on"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_process_survives_its_owner(tmp_path, number):
    scripts = str(Path(sys.modules["processes"].__file__).parent)
    owner = subprocess.Popen(
        [sys.executable, "-c", OWNER, STUBBORN, str(tmp_path / "log")],
        env={**os.environ, "PYTHONPATH": scripts},
        stdout=subprocess.PIPE,
        text=True,
    )
    with owner:
        pids = [int(pid) for pid in owner.stdout.readline().split()]
        assert all(map(alive, pids))
        owner.send_signal(number)
    wait_until_gone(pids)


def test_a_process_that_does_not_stop_is_killed_with_its_children(tmp_path):
    with Guard() as guard:
        service = guard.start("stubborn", [sys.executable, "-c", STUBBORN], log=tmp_path / "log", piped=True)
        child = int(service.process.stdout.readline())
        service.check()
        stop([service], timeout=0.1)
        assert not alive(service.process.pid)
        wait_until_gone([child])


def test_a_service_that_ends_by_itself_is_an_error_with_its_log(tmp_path):
    with Guard() as guard:
        service = guard.start("short", [sys.executable, "-c", "raise SystemExit('no')"], log=tmp_path / "log")
        service.process.wait()
        with pytest.raises(ServiceError, match="short ended by itself with code 1") as caught:
            service.check()
        assert caught.value.log.read_text() == "no\n"


def test_guards_can_be_nested(tmp_path):
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    with Guard() as outer:
        first = outer.start("first", sleeper, log=tmp_path / "log")
        with Guard() as inner:
            second = inner.start("second", sleeper, log=tmp_path / "log")
        assert second.process.wait() == -signal.SIGKILL
        first.check()
    assert first.process.wait() == -signal.SIGKILL
