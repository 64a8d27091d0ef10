"""Protects networks and their subnets by their settings; restores them by creating them through Neutron."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.base import Hooks, OperationKind, PlanContext, Planned, ProtectionPlugin, Restored
from refloat.resources.context import HookContext
from refloat.resources.network.attributes import ATTRIBUTES, NETWORK_FIELDS
from refloat.resources.network.plan import plan
from refloat.resources.network.section import read_section
from refloat.resources.network.serviceports import settle_service_ports
from refloat.resources.networking import NETWORK, RESTORE_OPTIONS, SUBNET, SectionComplete, dress, grant
from refloat.resources.options import Option

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": RESTORE_OPTIONS}


class NetworkProtect(Hooks):
    """Reads the network and its subnets."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        return read_section(context.cloud, context.resource.id, context.resource)


class NetworkVerify(SectionComplete):
    """All that is protected of a network is in its section."""

    fields = ("id", *NETWORK_FIELDS, "subnets")


class NetworkRestore(Hooks):
    """Creates the network and its subnets, or uses those that are still there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Make it so that the network is there with all its subnets."""
        planned = context.planned
        reused = planned.action == "reuse"
        notes = [planned.reason] if planned.reason else []
        if reused:
            network_id = str(context.cloud.get("network", planned.new_id).id)
        else:
            network_id = context.ensure("network", "network", lambda marker: _create(context, marker))
        subnets = [self._subnet(context, network_id, decided) for decided in planned.decisions["subnets"]]
        if not reused:
            made = {subnet.source_id: subnet.new_id for subnet in subnets}
            notes += settle_service_ports(context, network_id, made)
            grant(context, "network", network_id)
            notes += _differences(context, network_id)
            dress(context.cloud, "network", network_id, context.section, context.resource)
        network = Restored(NETWORK, context.resource.id, network_id, planned.name, reused, "; ".join(notes))
        return {"restored": [network.to_json(), *(subnet.to_json() for subnet in subnets)]}

    def _subnet(self, context: HookContext, network_id: str, decided: Mapping[str, Any]) -> Restored:
        source = decided["source"]
        if "id" in decided:
            return Restored(SUBNET, source, decided["id"], decided["name"], True, decided["reason"])
        body = decided["body"]

        def create(marker: Marker) -> Any:
            with explained(f"create the subnet {body['name'] or body['cidr']}", context.resource):
                return context.cloud.network.create_subnet(
                    network_id=network_id, description=marker.text, **body
                )

        subnet_id = context.ensure("subnet", f"subnet-{source}", create)
        saved = next(subnet for subnet in context.section["subnets"] if subnet["id"] == source)
        dress(context.cloud, "subnet", subnet_id, saved, context.resource)
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


class NetworkPlugin(ProtectionPlugin):
    """Networks and their subnets, by their settings."""

    name = "network"
    resource_type = NETWORK
    description = "Keeps the settings of a network and its subnets and creates them again"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = NetworkProtect
    restore = NetworkRestore
    verify = NetworkVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Re-use the network if it is still there, or create it."""
        return plan(context)
