"""The unmodified python-karborclient against the deployed service: both of its shells, as an ordinary member.

A table for each shell, in karborcommands.py: what is typed, what it must print, what the service must have
afterwards. What the client breaks by itself, whatever the service does, stands in BROKEN with its own words.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from karborcommands import (
    BROKEN,
    KARBOR_PROTECT,
    KARBOR_REST,
    KARBOR_RESTORE,
    KARBOR_SCHEDULES,
    OPENSTACK_ADMIN,
    OPENSTACK_AFTER,
    OPENSTACK_PROTECT,
    OPENSTACK_RESTORE,
    OPENSTACK_SCHEDULES,
    Row,
)

from tests.fullstack.shells import SECONDS, OpenStackClient, User
from tests.projects import project_of

PROGRAMS = Path(__file__).parents[2] / ".venv-karborclient" / "bin"
INFRA = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"


class Karbor:
    """The shell ``karbor``: one process for each command."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = env

    def type(self, command: str) -> tuple[str, bool]:
        """What a command prints, and whether it failed."""
        words = [str(PROGRAMS / "karbor"), *shlex.split(command)]
        done = subprocess.run(words, env=self._env, capture_output=True, text=True, timeout=SECONDS)
        return done.stdout + done.stderr, done.returncode != 0


class Rig:
    """What the rows of a table work with."""

    def __init__(self) -> None:
        self.member, self.admin = User(project_of(__file__)), User("admin")
        tag = secrets.token_hex(4)
        self.known = {
            "infra": INFRA,
            "project": self.member.cloud.current_project_id,
            "key": f"karborclient-{tag}",
            "class": f"karborclient-{tag}",
            "service": str(self.admin.ask("GET", "os-services")[1][0]["id"]),
        }

    def run(self, client: Any, rows: Sequence[Row], *, admin: Any = None) -> None:
        """Type the commands of a table, one after the other."""
        for row in rows:
            command = row.command.format_map(self.known)
            printed, failed = (admin if row.admin else client).type(command)
            assert row.prints.format_map(self.known) in printed, f"{command}: {printed}"
            assert failed == row.fails, f"{command}: {printed}"
            if row.keep:
                found = re.search(r"^\| id +\| (\S+) ", printed, re.MULTILINE)
                assert found, f"{command}: {printed}"
                self.known[row.keep] = found[1]
            if row.path:
                self.until(row.path.format_map(self.known), self._filled(row.has))

    def until(self, path: str, wanted: Any) -> None:
        """Wait for what the service has to be so."""
        deadline = time.monotonic() + SECONDS
        while True:
            # The administrator's own quotas of another project are asked for in the administrator's project.
            user = self.admin if path.startswith("quota") else self.member
            status, found = user.ask("GET", path)
            there = found if status == 200 else {}
            if status == wanted if isinstance(wanted, int) else wanted.items() <= there.items():
                return
            assert there.get("status") not in ("error", "fail", "error-deleting"), f"{path}: {found}"
            assert time.monotonic() < deadline, f"{path}: {found}, not {wanted}"
            time.sleep(0.3)

    def _filled(self, value: Any) -> Any:
        if isinstance(value, str):
            return value.format_map(self.known)
        if not isinstance(value, dict):
            return value
        return {name.format_map(self.known): self._filled(inner) for name, inner in value.items()}


@pytest.fixture
def rig(deployed: str) -> Iterator[Rig]:
    """A member with a key pair, which is protected."""
    assert (PROGRAMS / "karbor").exists(), "python-karborclient is not installed: tools/karborclient.sh"
    rig = Rig()
    compute = rig.member.cloud.compute
    compute.create_keypair(name=rig.known["key"])
    try:
        yield rig
    finally:
        compute.delete_keypair(rig.known["key"], ignore_missing=True)
        rig.member.ask("DELETE", f"plans/{rig.known.get('plan')}")
        rig.admin.ask("DELETE", f"quotas/{rig.known['project']}")
        rig.admin.ask("PUT", f"os-services/{rig.known['service']}", {"status": "enabled"})


@contextmanager
def lost(rig: Rig) -> Iterator[None]:
    """The key pair is lost before, and there again, the same, after."""
    compute = rig.member.cloud.compute
    before = compute.get_keypair(rig.known["key"])
    compute.delete_keypair(before)
    yield
    assert compute.get_keypair(rig.known["key"]).fingerprint == before.fingerprint


def test_the_karbor_shell(rig: Rig) -> None:
    karbor = Karbor(rig.member.env)
    rig.run(karbor, KARBOR_PROTECT)
    with lost(rig):
        rig.run(karbor, KARBOR_RESTORE[:1])
    rig.run(karbor, KARBOR_SCHEDULES)
    rig.run(karbor, KARBOR_RESTORE[1:])
    rig.run(karbor, KARBOR_REST, admin=Karbor(rig.admin.env))


def test_the_openstack_client(rig: Rig) -> None:
    client = OpenStackClient(PROGRAMS, rig.member.env)
    try:
        rig.run(client, OPENSTACK_PROTECT)
        with lost(rig):
            rig.run(client, OPENSTACK_RESTORE[:1])
        rig.run(client, OPENSTACK_RESTORE[1:])
        properties = {"format": "crontab", "pattern": "0 3 * * *"}
        wanted = {"trigger_info": {"name": "nightly", "type": "time", "properties": properties}}
        rig.known["trigger"] = rig.member.ask("POST", "triggers", wanted)[1]["id"]
        rig.run(client, OPENSTACK_SCHEDULES)
        rig.run(client, BROKEN)
        rig.run(client, OPENSTACK_AFTER)
    finally:
        client.close()
    admin = OpenStackClient(PROGRAMS, rig.admin.env)
    try:
        rig.run(admin, OPENSTACK_ADMIN)
    finally:
        admin.close()


def words(rows: Sequence[Row], commands: set[str]) -> set[str]:
    """The commands that stand in a table."""
    return {
        max(found, key=len)
        for row in rows
        if (found := [c for c in commands if f"{row.command} ".startswith(f"{c} ")])
    }


def test_no_command_is_left_out() -> None:
    """Of those that python-karborclient has, in its own words."""
    program = [PROGRAMS / "python", "-c", EVERY]
    done = subprocess.run(program, capture_output=True, text=True, timeout=SECONDS, check=True)
    shell, plugin = (set(names) for names in json.loads(done.stdout))
    karbor = (*KARBOR_PROTECT, *KARBOR_RESTORE, *KARBOR_SCHEDULES, *KARBOR_REST)
    assert words(karbor, shell) == shell
    client = (
        *OPENSTACK_PROTECT,
        *OPENSTACK_RESTORE,
        *OPENSTACK_SCHEDULES,
        *OPENSTACK_AFTER,
        *OPENSTACK_ADMIN,
    )
    assert words((*client, *BROKEN), plugin) == plugin


EVERY = """
import json
from importlib.metadata import entry_points
from karborclient.v1 import shell
print(json.dumps([
    [name[3:].replace("_", "-") for name in dir(shell) if name.startswith("do_")],
    [e.name.removeprefix("data_protection_").replace("_", " ") for e in
     entry_points(group="openstack.data_protection.v1")],
]))
"""
