"""What a project holds: every id of every kind, read by code that shares nothing with Refloat's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Inventory = Mapping[str, Mapping[str, str]]
"""For each kind the things' names by their ids."""

KINDS = (
    "servers",
    "volumes",
    "snapshots",
    "backups",
    "images",
    "networks",
    "subnets",
    "ports",
    "routers",
    "security groups",
    "security group rules",
    "floating ips",
    "server groups",
    "key pairs",
)


def inventory(cloud: Any) -> Inventory:
    """All that the project of a connection holds (key pairs: all that its user holds)."""
    project = {"project_id": cloud.current_project_id}
    network, compute, volume = cloud.network, cloud.compute, cloud.block_storage
    things = {
        "servers": compute.servers(details=False),
        "volumes": volume.volumes(details=False),
        "snapshots": volume.snapshots(details=False),
        "backups": volume.backups(details=False),
        "images": cloud.image.images(owner=cloud.current_project_id),
        "networks": network.networks(**project),
        "subnets": network.subnets(**project),
        "ports": network.ports(**project),
        "routers": network.routers(**project),
        "security groups": network.security_groups(**project),
        "security group rules": network.security_group_rules(**project),
        "floating ips": network.ips(**project),
        "server groups": compute.server_groups(),
        "key pairs": compute.keypairs(),
    }
    return {kind: {str(thing.id): str(thing.name or "") for thing in found} for kind, found in things.items()}


def counts(found: Inventory) -> dict[str, int]:
    """How many of each kind."""
    return {kind: len(things) for kind, things in found.items()}


def difference(before: Inventory, after: Inventory) -> list[str]:
    """What came and what went, a line each."""
    lines = []
    for kind in before:
        for identity, name in after[kind].items():
            if identity not in before[kind]:
                lines.append(f"new in {kind}: {name} ({identity})")
        for identity, name in before[kind].items():
            if identity not in after[kind]:
                lines.append(f"gone from {kind}: {name} ({identity})")
    return lines
