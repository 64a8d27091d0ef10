"""Whether a floating IP can lead to a card, by the routers that there will be: else Neutron refuses it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from refloat.graph import ResourceKey
from refloat.resources.base import PlanContext
from refloat.resources.networking import INTERFACE_OWNERS, place_of

FLOATING_IP, ROUTER = "OS::Neutron::FloatingIP", "OS::Neutron::Router"


def reaches(context: PlanContext, port: Mapping[str, Any], floating: Mapping[str, Any]) -> bool:
    """Whether a router connects a card with the network of a floating IP. True where that is not to be known.

    :param port: the card, as its section has it.
    """
    fixed = floating.get("fixed_address") or ""
    sources = [f["subnet_id"] for f in port["fixed_ips"] if fixed in ("", f["ip_address"])]
    place, outside = place_of(context, port["network_id"]), _outside(context, str(floating["id"]))
    if place is None or place.instead or not sources or not outside:
        return True
    return any(_serves(context, source, place.subnets.get(source, ""), outside) for source in sources)


def _outside(context: PlanContext, floating_ip: str) -> str:
    """The external network that it is of; empty: that is not known."""
    planned = context.planned(ResourceKey(FLOATING_IP, floating_ip))
    if planned is not None and planned.action == "create":
        return str(planned.decisions.get("body", {}).get("floating_network_id", ""))
    live = context.listed("floating_ip", (planned.new_id if planned else "") or floating_ip)
    return str(live.floating_network_id) if live is not None else ""


def _serves(context: PlanContext, source: str, subnet: str, outside: str) -> bool:
    """Whether a router leads from a subnet to an external network.

    :param source: the subnet in the checkpoint.
    :param subnet: the one that is there; empty: it will be made.
    """
    living = {str(router.id): router for router in context.listing("router")}
    there = {
        str(port.device_id)
        for port in context.listing("port")
        if port.device_owner in INTERFACE_OWNERS and any(f["subnet_id"] == subnet for f in port.fixed_ips)
    }
    if there - living.keys():  # another project's: where that leads is not told
        return True
    restored = dict(_restored(context, source))
    gateways = {identity: _gateway(router) for identity, router in living.items()}
    for key, (connects, gateway) in restored.items():
        there |= {key} if connects else set()
        gateways[key] = gateway or gateways.get(key, "")
    return any(gateways.get(router) == outside for router in there)


def _restored(context: PlanContext, source: str) -> Iterator[tuple[str, tuple[bool, str]]]:
    """The routers of the restore: whether it connects them to a subnet, and which gateway they get."""
    for node in context.graph:
        planned = context.planned(node.key) if node.type == ROUTER else None
        if planned is None or planned.action == "impossible" or "interfaces" not in planned.decisions:
            continue
        interfaces = planned.decisions["interfaces"]
        connects = any(fixed["source"] == source for each in interfaces for fixed in each["fixed_ips"])
        gateway = (planned.decisions["gateway"] or {}).get("network", {})
        leads_to = str(gateway.get("id") or gateway.get("source", ""))
        yield planned.new_id or str(node.key), (connects, leads_to)


def _gateway(router: Any) -> str:
    return str((router.external_gateway_info or {}).get("network_id") or "")
