"""Refloat's own clients against the deployed service, as processes of an ordinary member.

Each goes from a plan to a checkpoint, loses a network and a security group, restores them and deletes the
checkpoint.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from demo.command import Command
from tests.fullstack.shells import OpenStackClient, User
from tests.projects import project_of

NETWORK, GROUP = "OS::Neutron::Network", "OS::Neutron::SecurityGroup"
CLOUD = project_of(__file__)
CIDR, PORT = "10.79.0.0/24", 4711
SECONDS = 300


@dataclass
class Things:
    """A network with a subnet, and a security group with a rule."""

    cloud: Any
    name: str = field(default_factory=lambda: f"clients-{secrets.token_hex(4)}")
    network: str = ""
    group: str = ""

    def build(self) -> None:
        """Make them."""
        net = self.cloud.network
        self.network = net.create_network(name=self.name).id
        net.create_subnet(network_id=self.network, name=self.name, cidr=CIDR, ip_version=4)
        self.group = net.create_security_group(name=self.name).id
        net.create_security_group_rule(
            security_group_id=self.group,
            direction="ingress",
            protocol="tcp",
            port_range_min=PORT,
            port_range_max=PORT,
        )

    @property
    def wanted(self) -> list[str]:
        """As clients name them."""
        return [f"{NETWORK}={self.network}", f"{GROUP}={self.group}"]

    def lose(self) -> None:
        """Delete them, and whatever else has their name."""
        net = self.cloud.network
        for network in list(net.networks(name=self.name)):
            net.delete_network(network)
        for group in list(net.security_groups(name=self.name)):
            net.delete_security_group(group)

    def check(self) -> None:
        """They are there again, once, and others than before."""
        net = self.cloud.network
        (network,), (group,) = net.networks(name=self.name), net.security_groups(name=self.name)
        assert network.id != self.network
        assert group.id != self.group
        assert [subnet.cidr for subnet in net.subnets(network_id=network.id)] == [CIDR]
        ports = {rule["port_range_min"] for rule in group.security_group_rules} - {None}
        assert ports == {PORT}


@pytest.fixture
def things(deployed: str) -> Iterator[Things]:
    """In the member's project."""
    things = Things(User(CLOUD).cloud)
    try:
        things.build()
        yield things
    finally:
        things.lose()


def test_the_command(things: Things, tmp_path: Path) -> None:
    here = Command(tmp_path, CLOUD)

    def refloat(*words: str) -> Any:
        return here.json("--service", *words)

    named = [word for text in things.wanted for word in ("--resource", text)]
    plan = refloat("plan", "create", things.name, *named)
    assert {item["name"] for item in plan["resources"]} == {things.name}
    made = refloat("protect", things.name)
    assert made["status"] == "available"
    (row,) = refloat("checkpoint", "list", "--plan", things.name)
    assert (row["id"], row["operation_id"]) == (made["id"], made["operation_id"])
    shown = refloat("checkpoint", "show", made["id"])
    assert {NETWORK, GROUP} <= {item["type"] for item in shown["resources"]}
    things.lose()
    restored = refloat("restore", made["id"])
    assert restored["status"] == "succeeded"
    things.check()
    trigger = refloat("trigger", "create", things.name, "--cron", "30 2 * * *")
    schedule = refloat("schedule", "create", things.name, "--trigger", trigger["id"], "--plan", things.name)
    assert schedule["next_run_at"] == trigger["next_run_at"] != ""
    here.run("--service", "schedule", "delete", things.name)
    here.run("--service", "trigger", "delete", things.name)
    (deleted,) = refloat("checkpoint", "delete", made["id"])
    assert deleted["status"] == "deleted"
    here.run("--service", "plan", "delete", things.name)
    assert not here.bank.exists()  # nothing was done here
    assert not list(here.state.iterdir())


class Shell:
    """``openstack data protection`` with Refloat's plugin."""

    def __init__(self) -> None:
        self._client = OpenStackClient(Path(sys.executable).parent, User(CLOUD).env)
        self.close = self._client.close

    def __call__(self, command: str) -> Any:
        """What a command prints as JSON; nothing when it prints nothing."""
        printed, _failed = self._client.type(command)
        try:
            return json.loads(printed) if printed.strip() else None
        except ValueError:
            raise AssertionError(f"{command}: {printed}") from None

    def until(self, command: str, *wanted: str) -> Any:
        """Ask until the status is one of some."""
        deadline = time.monotonic() + SECONDS
        while (found := self(command))["status"] not in wanted:
            assert time.monotonic() < deadline, found
            time.sleep(0.3)
        return found


def test_the_plugin_of_the_openstack_client(things: Things) -> None:
    shell = Shell()
    try:
        (provider,) = [row["Id"] for row in shell("provider list -f json") if row["Name"] == "default"]
        resources = f"{things.network}={NETWORK}={things.name},{things.group}={GROUP}={things.name}"
        plan = shell(f"plan create {things.name} {provider} {resources} -f json")
        made = shell(f"checkpoint create {provider} {plan['id']} -f json")
        checkpoint = f"{provider} {made['id']}"
        done = shell.until(f"checkpoint show {checkpoint} -f json", "available", "error")
        assert done["status"] == "available", done
        assert done["protection_plan"]["name"] == things.name
        assert made["id"] in {row["Id"] for row in shell(f"checkpoint list {provider} -f json")}
        operation = shell(f"operation show {done['operation_id']} -f json")
        assert (operation["type"], operation["status"]) == ("protect", "succeeded")
        things.lose()
        restore = shell(f"restore create {checkpoint} -f json")
        restored = shell.until(f"restore show {restore['id']} -f json", "success", "fail")
        assert restored["status"] == "success", restored
        assert {key.partition("#")[0] for key in restored["resources_status"]} >= {NETWORK, GROUP}
        things.check()
        assert shell(f"checkpoint delete {checkpoint}") is None
        shell.until(f"checkpoint show {checkpoint} -f json", "deleted")
        assert shell(f"plan delete {things.name}") is None
        assert plan["id"] not in {row["Id"] for row in shell("plan list -f json")}
    finally:
        shell.close()


def program(*words: str) -> Any:
    """What the program prints."""
    file = Path(__file__).with_name("sdk_program.py")
    done = subprocess.run(
        [sys.executable, file, CLOUD, *words], capture_output=True, text=True, timeout=2 * SECONDS
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_program_with_the_sdk(things: Things) -> None:
    made = program("protect", *things.wanted)
    assert {NETWORK, GROUP} <= set(made["types"])
    things.lose()
    restored = program("restore", made["id"])
    assert {key.partition("#")[0] for key in restored["resources"]} >= {NETWORK, GROUP}
    things.check()
