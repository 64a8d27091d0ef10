"""What the screen of a restore plan says of servers' disks and of quotas (2.5, 2.6)."""

from __future__ import annotations

from typing import Any

from refloat.cli.restore_screen import plan_text
from refloat.graph import Graph, Resource
from refloat.operations.restoreplan import RestorePlan
from refloat.resources.base import Planned

IMAGE = Resource("OS::Glance::Image", "i1", "guest")
DISKS = Planned(
    "create",
    name="app-web (disk), app-db (disk)",
    reason="the servers' disks as they were, not the image they were booted from",
)


def shown(planned: dict[Resource, Planned], **needs: int) -> list[str]:
    graph = Graph()
    for resource in planned:
        graph.add(resource)
    sizes = {IMAGE.key: 3 << 20}
    plan = RestorePlan(graph, {resource.key: each for resource, each in planned.items()}, needs, (), sizes)
    data: dict[str, Any] = plan.to_json()
    return list(plan_text(data))


def test_2_5_what_is_needed_has_units() -> None:
    needs = {"cores": 2, "floating_ips": 1, "gigabytes": 1, "ram": 256, "servers": 1}
    (line,) = (line for line in shown({IMAGE: DISKS}, **needs) if line.startswith("It needs"))
    assert line == "It needs: 2 cores, 1 floating IP, 1 GiB of storage, 256 MiB of ram, 1 server."


def test_2_6_each_server_whose_disk_is_made_is_named() -> None:
    lines = shown({IMAGE: DISKS})
    assert "create  image guest (i1) as app-web (disk), app-db (disk), 3.0 MiB" in "\n".join(lines)
