"""Restores a network: creates it and its subnets through Neutron, or uses those that are still there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.base import HookContext, Restored, restored
from refloat.resources.network.serviceports import settle_service_ports
from refloat.resources.networking import SUBNET, dress, grant


def restore(context: HookContext) -> Mapping[str, Any]:
    """Create the network and its subnets, or use those that are still there."""
    planned = context.planned
    reused = planned.uses
    notes = [planned.reason] if planned.reason else []
    if reused:
        network_id = str(context.cloud.get("network", planned.new_id).id)
    else:
        network_id = context.ensure(
            "network",
            "network",
            lambda marker: _create(context, marker),
            unmarked={"description": context.section["description"]},
        )
    subnets = [_subnet(context, network_id, decided) for decided in planned.decisions["subnets"]]
    if not reused:
        made = {subnet.source_id: subnet.new_id for subnet in subnets}
        notes += settle_service_ports(context, network_id, made)
        grant(context, "network", network_id)
        notes += _differences(context, network_id)
        dress(context, "network", network_id)
    network = context.restored(network_id, reason="; ".join(notes))["restored"]
    return {"restored": [*network, *restored(*subnets)["restored"]]}


def _subnet(context: HookContext, network_id: str, decided: Mapping[str, Any]) -> Restored:
    source = decided["source"]
    if "id" in decided:
        return Restored(SUBNET, source, decided["id"], decided["name"], True, decided["reason"])
    body = decided["body"]
    saved = next(subnet for subnet in context.section["subnets"] if subnet["id"] == source)
    subnet_id = context.ensure(
        "subnet",
        f"subnet-{source}",
        lambda marker: context.cloud.network.create_subnet(
            network_id=network_id, description=marker.text, **body
        ),
        what=f"create the subnet {body['name'] or body['cidr']}",
        unmarked={"description": saved["description"]},
    )
    dress(context, "subnet", subnet_id, saved)
    return Restored(SUBNET, source, subnet_id, body["name"])


def _create(context: HookContext, marker: Marker) -> Any:
    body = {**context.planned.decisions["body"], "description": marker.text}
    what = f"create the network {body['name']}"
    try:
        with explained(what, context.resource):
            return context.cloud.network.create_network(**body)
    except CloudError as exc:
        # The largest MTU depends on the cloud's networks and cannot be asked for beforehand.
        if status_of(exc) != 400 or "mtu" not in exc.reason.lower() or "mtu" not in body:
            raise
        del body["mtu"]
    with explained(what, context.resource):
        return context.cloud.network.create_network(**body)


def _differences(context: HookContext, network_id: str) -> list[str]:
    """What Neutron made different from what was asked for."""
    wanted = context.planned.decisions["body"].get("mtu")
    got = context.cloud.get("network", network_id).mtu
    return [] if wanted in (None, got) else [f"this cloud's networks allow an MTU of {got}, not of {wanted}"]
