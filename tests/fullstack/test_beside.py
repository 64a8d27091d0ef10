"""The application restored while the original still runs: conflicts are told before, and then happen so."""

from __future__ import annotations

from typing import Any

import pytest

from demo.build import hear
from demo.command import Command
from demo.inventory import inventory
from tests.fullstack.conftest import Built
from tests.fullstack.restored import ADDRESS, IMAGE, NETWORK, SERVER, VOLUME, created, remove, reused

pytestmark = pytest.mark.timeout(900)

PARAMETERS = (
    *("--parameter", "server:restore_name={name}-2"),
    *("--parameter", "volume:restore_name={name}-2"),
)


@pytest.mark.usefixtures("tidy")
def test_beside_the_living_original(built: Built, command: Command, checkpoint: str, member: Any) -> None:
    plan = command.json("restore", checkpoint, "--dry-run", *PARAMETERS)
    assert plan["possible"]
    told = {(item["type"], item["source_id"]): item for item in plan["resources"]}
    db, web = (built.description[f"server {short}"] for short in ("db", "web"))
    floating = built.description["floating ips of web"]["addresses"][0]
    conflicts = {key: " ".join(item["conflicts"]) for key, item in told.items()}
    for server in (db, web):
        for taken in (*(ip for ips in server["fixed ips"] for ip in ips), *server["macs"]):
            assert taken in conflicts[SERVER, server["id"]]
    assert [floating in text for (kind, _), text in conflicts.items() if kind == ADDRESS] == [True]
    assert not any(text for (kind, _), text in conflicts.items() if kind in (VOLUME, IMAGE, NETWORK))

    before = inventory(member)
    answer = command.json("restore", checkpoint, *PARAMETERS)
    try:
        _as_planned(told, answer)
        after = inventory(member)
        for kind, type_name in (("servers", SERVER), ("volumes", VOLUME), ("images", IMAGE)):
            assert set(after[kind]) - set(before[kind]) == set(created(answer, type_name).values())
        assert set(after["networks"]) == set(before["networks"])
        assert set(reused(answer, NETWORK)) == set(reused(answer, NETWORK).values())
        for short, original in (("db", db), ("web", web)):
            _a_twin(built, member, short, original, created(answer, SERVER)[original["id"]])
        (address,) = created(answer, ADDRESS).values()
        assert member.network.get_ip(address).floating_ip_address != floating
    finally:
        remove(member, answer)


def _as_planned(told: dict[tuple[str, str], Any], answer: Any) -> None:
    """What was planned for each resource is what became of it."""
    words = {"create": "created", "reuse": "reused"}
    became = {(item["type"], item["source_id"]): item for item in answer["resources"]}
    for key, item in told.items():
        if key not in became:
            continue  # not a thing of its own, as the project is none
        assert became[key]["status"] == words[item["action"]], key
        if item["new_id"]:
            assert became[key]["new_id"] == item["new_id"]
    names = {item["source_id"]: item["name"] for item in answer["resources"] if item["type"] == SERVER}
    assert all(name.endswith("-2") for name in names.values())


def _a_twin(built: Built, cloud: Any, short: str, original: Any, identity: str) -> None:
    """The second server has the first one's networks, groups and contents, and addresses of its own."""
    server = cloud.compute.get_server(identity)
    assert server.status == "ACTIVE"
    assert server.metadata == original["metadata"]
    ports = list(cloud.network.ports(device_id=identity))
    assert len(ports) == len(original["macs"])
    assert not {port.mac_address for port in ports} & set(original["macs"])
    taken = {ip for ips in original["fixed ips"] for ip in ips}
    assert not {ip["ip_address"] for port in ports for ip in port.fixed_ips} & taken
    spoken = hear(cloud, built.app, short, identity)
    for disk, places in spoken.disks.items():
        assert dict(places) == built.description[f"contents of {short} {disk}"]
