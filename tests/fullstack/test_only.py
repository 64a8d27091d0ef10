"""Parts of a checkpoint of a project, restored while the originals live, without Refloat's memory."""

from __future__ import annotations

import re
from typing import Any

import pytest

from demo.build import console, hear
from demo.command import Command
from demo.guests import known_hash
from demo.inventory import difference, inventory
from demo.waiting import wait_for
from tests.fullstack.conftest import Built
from tests.fullstack.restored import IMAGE, NETWORK, SERVER, VOLUME, created, remove, reused

pytestmark = pytest.mark.timeout(600)


def test_a_checkpoint_of_a_project_holds_all_of_it_and_leaves_only_backups(
    built: Built, command: Command, checkpoint: str, member: Any
) -> None:
    shown = command.json("checkpoint", "show", checkpoint)
    assert shown["status"] == "available"
    held = {(item["type"], item["id"]) for item in shown["resources"]}
    kinds = {
        "servers": SERVER,
        "volumes": VOLUME,
        "networks": NETWORK,
        "routers": "OS::Neutron::Router",
        "security groups": "OS::Neutron::SecurityGroup",
        "floating ips": "OS::Neutron::FloatingIP",
        "server groups": "OS::Nova::ServerGroup",
        "key pairs": "OS::Nova::KeyPair",
    }
    for kind, type_name in kinds.items():
        wanted = set(built.whole[kind]) - set(built.empty[kind])
        assert wanted
        assert wanted <= {identity for held_type, identity in held if held_type == type_name}
    new = difference(built.whole, inventory(member))
    assert len(new) == len(built.whole["volumes"])
    assert all(line.startswith("new in backups:") for line in new)


def test_without_database_and_state_the_checkpoint_is_still_listed(command: Command, checkpoint: str) -> None:
    assert [item["id"] for item in command.json("checkpoint", "list")] == [checkpoint]
    assert command.json("plan", "list") == []
    assert command.json("operation", "list") == []


@pytest.mark.usefixtures("tidy")
def test_only_one_volume(built: Built, command: Command, checkpoint: str, member: Any) -> None:
    name = built.app.name("db-data1")
    answer = command.json(
        "restore", checkpoint, "--only", f"volume={name}", "--parameter", "volume:restore_name={name} again"
    )
    try:
        assert [item["type"] for item in answer["resources"]] == [VOLUME]
        (identity,) = created(answer).values()
        volume = member.block_storage.get_volume(identity)
        original = built.description["volume db-data1"]
        assert volume.name == f"{name} again"
        assert (volume.size, volume.volume_type) == (original["size"], original["type"])
        assert volume.metadata == original["metadata"]
        assert volume.is_bootable == original["bootable"]
        assert _first_mebibyte(built, member, identity) == known_hash("db", "vdb 0")
    finally:
        remove(member, answer)


def _first_mebibyte(built: Built, cloud: Any, volume: str) -> str:
    """Attach a volume to the web server and hear what its guest finds on it."""
    server = built.description["server web"]["id"]
    before = len(console(cloud, server))
    attachment = cloud.compute.create_volume_attachment(server, volume_id=volume)

    def heard() -> str:
        text = console(cloud, server)[before - 1 :]
        found = re.findall(r"GUEST disk vdc bytes=1073741824 .*sha256_1M=(\S+)", text)
        return found[-1] if found else ""

    try:
        return wait_for("the guest to see the volume", heard, 60)
    finally:
        cloud.compute.delete_volume_attachment(server, attachment.volume_id)
        wait_for(
            "the volume to be detached",
            lambda: cloud.block_storage.get_volume(volume).status == "available",
            120,
        )


@pytest.mark.usefixtures("tidy")
def test_only_one_server_with_all_that_it_needs(
    built: Built, command: Command, checkpoint: str, member: Any
) -> None:
    name = built.app.name("web")
    answer = command.json(
        "restore", checkpoint, "--only", f"server={name}", "--parameter", "server:restore_name=copy-of-{name}"
    )
    try:
        (server,) = created(answer, SERVER).values()
        assert member.compute.get_server(server).name == f"copy-of-{name}"
        assert len(created(answer, VOLUME)) == 1
        assert len(created(answer, IMAGE)) == 1
        original = built.description["server web"]["id"]
        assert list(created(answer, SERVER)) == [original]
        assert built.description["network app-net"]["id"] in reused(answer, NETWORK)
        assert "server db" not in {f"server {item['name']}" for item in answer["resources"]}
        spoken = hear(member, built.app, "web", server)
        for disk in ("vda", "vdb"):
            assert dict(spoken.disks[disk]) == built.description[f"contents of web {disk}"]
    finally:
        remove(member, answer)


@pytest.mark.usefixtures("tidy")
def test_only_one_network_is_used_again_while_it_is_there(
    built: Built, command: Command, checkpoint: str
) -> None:
    answer = command.json("restore", checkpoint, "--only", f"network={built.app.name('db-net')}")
    original = built.description["network db-net"]["id"]
    assert reused(answer, NETWORK) == {original: original}
    assert created(answer) == {}


@pytest.mark.usefixtures("tidy")
def test_only_one_network_is_made_anew_on_request(
    built: Built, command: Command, checkpoint: str, member: Any
) -> None:
    answer = command.json(
        "restore",
        checkpoint,
        *("--only", f"network={built.app.name('db-net')}"),
        *("--parameter", "network:duplicate=true"),
        *("--parameter", "network:restore_name=second-{name}"),
    )
    try:
        (identity,) = created(answer, NETWORK).values()
        network = member.network.get_network(identity)
        (subnet,) = member.network.subnets(network_id=identity)
        original = built.description["subnet of db-net"]
        assert network.name == f"second-{built.app.name('db-net')}"
        assert network.description == built.description["network db-net"]["description"]
        assert (subnet.cidr, subnet.gateway_ip) == (original["cidr"], original["gateway"])
        assert subnet.allocation_pools == original["pools"]
        assert subnet.host_routes == original["routes"]
    finally:
        remove(member, answer)
