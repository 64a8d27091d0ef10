"""The main job: protected, lost, restored, equal. What ``make demo`` shows, asserted."""

from __future__ import annotations

from typing import Any

import pytest

from demo.command import Command
from demo.compare import broken
from demo.inventory import inventory
from demo.mainjob import MainJob
from tests.fullstack.conftest import Built

pytestmark = pytest.mark.timeout(1200)

PROMISED = {
    "server web": {
        *("name", "flavor", "metadata", "tags", "key pair", "server group", "macs", "fixed ips", "nics"),
        *("volumes", "boot source", "power state", "security groups"),
    },
    "volume db-data2": {"name", "size", "type", "metadata", "attached to"},
    "floating ips of web": {"addresses"},
    "security group web-sg": {"rules"},
}
DISKS = ("web vda", "web vdb", "db vda", "db vdb", "db vdc")


def test_what_comes_back_is_what_was_lost(
    built: Built, command: Command, checkpoint: str, member: Any, manager: Any
) -> None:
    told: list[str] = []
    job = MainJob(member, manager, command, "demo-manager", built.app, say=told.append)
    # the checkpoint is there already, and stays
    job.empty = {**built.empty, "backups": inventory(member)["backups"]}
    job.before = built.description
    job.checkpoint = checkpoint
    job.lose()
    job.plan_restore()
    job.restore()
    try:
        rows = job.compare()
        assert [f"{row.resource} {row.attribute}" for row in broken(rows)] == []
        compared = {(row.resource, row.attribute) for row in rows if row.promised}
        for resource, attributes in PROMISED.items():
            assert attributes <= {attribute for name, attribute in compared if name == resource}
        assert {f"contents of {disk}" for disk in DISKS} <= {name for name, _ in compared}
        assert any("only a project manager may" in line for line in told)
        assert any("It is possible" in line and "create  server web " in line for line in told)
    finally:
        job.checkpoint = ""
        job.clean_up()
    assert job.problems == []
