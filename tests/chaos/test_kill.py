"""``kill -9`` at five moments of a protect and of a restore, each time ``refloat operation resume``.

The result is that of an undisturbed run, and the project holds exactly what it must: nothing twice.
The moments are taken from the steps that the command shows on a terminal, so none can pass unseen.
"""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import openstack
import pytest

from demo.application import Application
from demo.command import Command
from demo.inventory import counts, difference, inventory
from tests.fullstack.small import SHORT, Small
from tests.projects import project_of

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

CLOUD = project_of(__file__)
MOMENTS = (0.0, 0.2, 0.4, 0.6, 0.8)
"""Kill when this part of the steps is done."""
RUN_SECONDS = 300
STEPS = re.compile(rb"(\d+)/(\d+) steps")

COUNTED = ("volumes", "snapshots", "backups", "images", "ports", "servers", "networks", "security groups")


@pytest.fixture(scope="module")
def small() -> Iterator[Small]:
    """The small application, in a project of its own."""
    made = Small(openstack.connect(cloud=CLOUD, api_timeout=180), Application("kill-"))
    try:
        made.build()
        made.contents()
        yield made
    finally:
        made.lose()


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> Command:
    """The command, with a bank of its own."""
    return Command(tmp_path_factory.mktemp("kill"), CLOUD)


class Killed(Exception):
    """The command was killed, as was wanted."""


def run_until(command: Command, part: float | None, *words: str) -> bytes:
    """Run the command on a terminal of its own; kill it when this part of its steps is done.

    :raises Killed: it was killed; the number of steps that were done.
    """
    terminal, end = pty.openpty()
    process = command.start(*words, "-f", "json", stdout=subprocess.PIPE, stderr=end, start_new_session=True)
    os.close(end)
    shown = b""
    deadline = time.monotonic() + RUN_SECONDS
    try:
        while process.poll() is None:
            assert time.monotonic() < deadline, f"{words} did not end: {shown[-500:]!r}"
            if not select.select([terminal], [], [], 0.05)[0]:
                continue
            with contextlib.suppress(OSError):  # the other end is closed
                shown += os.read(terminal, 65536)
            steps = STEPS.findall(shown)
            if part is not None and steps and int(steps[-1][0]) >= part * int(steps[-1][1]):
                os.killpg(process.pid, signal.SIGKILL)
                raise Killed(f"{steps[-1][0].decode()} of {steps[-1][1].decode()}")
        assert process.stdout is not None
        assert process.returncode == 0, shown[-1000:]
        return process.stdout.read().encode()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        os.close(terminal)


def run_with_kills(command: Command, kind: str, *words: str) -> tuple[Any, list[str]]:
    """Run, kill, resume, kill, resume... to the end; what the last run printed, and when it was killed."""
    import json

    moments: list[str] = []
    for part in MOMENTS:
        with pytest.raises(Killed) as killed:
            run_until(command, part, *words)
        moments.append(str(killed.value))
        found = [item for item in command.json("operation", "list") if item["kind"] == kind]
        assert found[0]["state"] == "interrupted"
        words = ("operation", "resume", found[0]["id"])
    return json.loads(run_until(command, None, *words)), moments


def test_protect_and_restore(small: Small, command: Command, record_property: Any) -> None:
    cloud = small.cloud
    contents = small.contents()
    before = inventory(cloud)
    command.run("plan", "create", "small", "--resource", f"server={small.app.name(SHORT)}")

    made, moments = run_with_kills(command, "protect", "protect", "small")
    record_property("protect killed after steps", moments)
    assert made["status"] == "available"
    after = inventory(cloud)
    new = difference(before, after)
    assert len(new) == 1, new
    assert new[0].startswith("new in backups: ")
    assert command.json("verify", made["id"])["status"] == "good"
    assert [item["status"] for item in command.json("checkpoint", "list")] == ["available"]

    small.lose()
    restored, moments = run_with_kills(command, "restore", "restore", made["id"])
    record_property("restore killed after steps", moments)
    images = tuple(
        item["new_id"]
        for item in restored["resources"]
        if item["type"] == "OS::Glance::Image" and item["status"] == "created"
    )
    try:
        assert restored["status"] == "succeeded"
        assert len(images) == 1
        found, wanted = counts(inventory(cloud)), counts(after)
        wanted["images"] += 1
        assert {kind: found[kind] for kind in COUNTED} == {kind: wanted[kind] for kind in COUNTED}
        assert small.contents() == contents
        (volume,) = (v for v in cloud.block_storage.volumes() if v.name == small.app.name("data"))
        assert volume.metadata == {"kept": "yes"}
    finally:
        small.lose(images)
    command.run("checkpoint", "delete", made["id"])
    assert counts(inventory(cloud))["backups"] == 0
