"""The command in processes of its own: stopped, killed, detached, followed."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from tests.unit.support.cli_helpers import Command, Ran

SIZE = 64
SLOW = 1.5
"""Seconds in each resource, of which 16 are worked on at once."""


@pytest.fixture
def busy(refloat: Command) -> Command:
    """A user with a large plan."""
    ran = refloat("plan", "create", "big", "--resource", f"noop=tree:{SIZE}", "--provider", "noop")
    assert ran.status == 0, ran.err
    return refloat


def until(what: Callable[[], object], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.2)


def operation(refloat: Command) -> dict[str, str]:
    """The newest one."""
    found = refloat("operation", "list", "-f", "json").json
    return dict(found[0]) if found else {"state": ""}


def running(refloat: Command) -> bool:
    """Whether it is in the middle of its work."""
    now = operation(refloat)
    if now["state"] != "running":
        return False
    shown = refloat("operation", "show", now["id"], "-f", "json").json
    return any("working" in text for text in shown["running"])


def ended(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=120)
    return Ran(process.returncode, out, err)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_cleanly_and_says_how_to_go_on(busy: Command, number: int) -> None:
    process = busy.start("protect", "big", "-f", "json", slow=SLOW)
    until(lambda: running(busy))
    process.send_signal(number)
    ran = ended(process)
    identity = operation(busy)["id"]
    assert (ran.status, ran.out) == (130, "")
    assert "Ctrl-C again leaves at once" in ran.err
    assert f"refloat operation resume {identity}" in ran.err
    assert f"refloat operation cancel {identity}" in ran.err
    assert "Traceback" not in ran.err
    assert operation(busy)["state"] == "parked"
    assert [row["status"] for row in busy("checkpoint", "list", "-f", "json").json] == ["parked"]

    resumed = busy("operation", "resume", identity, "-f", "json")
    assert (resumed.status, resumed.json["status"]) == (0, "available")
    assert len(resumed.json["resources"]) == SIZE


def test_a_second_signal_leaves_at_once(busy: Command) -> None:
    process = busy.start("protect", "big", slow=300)
    until(lambda: running(busy))
    process.send_signal(signal.SIGINT)
    time.sleep(2)
    assert process.poll() is None, "it waits for what runs"
    process.send_signal(signal.SIGINT)
    ran = ended(process)
    now = operation(busy)
    assert (ran.status, ran.out) == (130, "")
    assert f"operation {now['id']} is interrupted" in ran.err
    assert f"refloat operation cancel {now['id']}" in ran.err
    assert now["state"] == "interrupted"
    cancelled = busy("operation", "cancel", now["id"], "-f", "json")
    assert (cancelled.status, cancelled.json["status"]) == (0, "cancelled")
    assert busy("checkpoint", "list", "-f", "json").json == []


def test_a_killed_one_is_interrupted_and_resumes(busy: Command) -> None:
    process = busy.start("protect", "big", slow=SLOW)
    until(lambda: running(busy))
    process.kill()
    ended(process)
    now = operation(busy)
    assert now["state"] == "interrupted"
    watched = busy("operation", "watch", now["id"])
    assert (watched.status, watched.out) == (1, "")
    assert f"refloat operation resume {now['id']}" in watched.err
    resumed = busy("operation", "resume", now["id"], "--no-wait", "-f", "json")
    assert resumed.status == 0
    until(lambda: operation(busy)["state"] == "succeeded")
    assert [row["status"] for row in busy("checkpoint", "list", "-f", "json").json] == ["available"]


def test_no_wait_goes_on_without_us(busy: Command) -> None:
    ran = busy.run("protect", "big", "--no-wait", "-f", "json")
    assert (ran.status, ran.json["status"]) == (0, "protecting")
    assert f"refloat operation watch {ran.json['operation_id']}" in ran.err
    identity = ran.json["operation_id"]
    assert operation(busy)["state"] in {"starting", "running"}
    taken = busy("operation", "resume", identity)
    if taken.status:  # else the worker had not begun yet
        assert "is run by" in taken.err
    watched = busy("operation", "watch", identity, "-f", "json")
    assert (watched.status, watched.json["status"]) == (0, "available")
    assert watched.json["id"] == ran.json["id"]


def test_another_process_cancels(busy: Command) -> None:
    process = busy.start("protect", "big", "-f", "json", slow=SLOW)
    until(lambda: running(busy))
    identity = operation(busy)["id"]
    cancelled = busy("operation", "cancel", identity, "-f", "json")
    assert (cancelled.status, cancelled.json["status"]) == (0, "cancelled")
    ran = ended(process)
    assert (ran.status, ran.json["status"]) == (1, "cancelled")
    assert "was cancelled" in ran.err
    assert operation(busy)["state"] == "cancelled"


def test_a_terminal_sees_progress_and_a_pipe_only_the_result(busy: Command) -> None:
    master, slave = pty.openpty()
    argv = ("protect", "big", "-f", "value", "-c", "status")
    process = busy.start(*argv, slow=SLOW, stderr=slave, TERM="xterm")
    os.close(slave)
    shown = b""
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:  # all that could write is closed
            break
        if not data:
            break
        shown += data
    os.close(master)
    assert process.communicate(timeout=60)[0] == "available\n"
    assert b"Protecting" in shown
    assert f"/{SIZE * 4} steps".encode() in shown


def test_a_reader_that_has_read_enough_is_no_error(refloat: Command) -> None:
    line = f"{sys.executable} -m refloat.cli.main provider show default -f json | head -1"
    done = subprocess.run(
        ["/bin/sh", "-c", line], env=refloat.environ, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("{\n", "")
