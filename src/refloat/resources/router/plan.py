"""Decides how a router comes back. Reads the cloud, changes nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from refloat.errors import NotFound
from refloat.graph import ResourceKey
from refloat.mappings import address_id
from refloat.resources.attributes import Change
from refloat.resources.base import PlanContext, Planned
from refloat.resources.draft import Draft
from refloat.resources.networking import (
    INTERFACE_OWNERS,
    NETWORK,
    NetworkPlace,
    external_network,
    external_proposals,
    given,
    left_alone,
    may,
    place_of,
    unset,
    zones_there,
)
from refloat.resources.router.section import ATTRIBUTES, router_section

_NOT_OWN = "the network belongs to another project: Neutron chooses the address"


@dataclass
class RouterDraft(Draft):
    """What is being decided about one router."""

    interfaces: list[dict[str, Any]] = field(default_factory=list)
    routes: list[dict[str, str]] = field(default_factory=list)


def plan(context: PlanContext) -> Planned:
    """Re-use the router if it is still there and can serve what is restored, or create it."""
    living = context.listed("router", context.resource.id)
    if living is None:
        return _create(context, "")
    if context.wants_new:
        return _create(context, "a new one beside the original, as asked for")
    doubled = _doubled_network(context, living)
    if doubled:
        # One router cannot serve two networks with the same addresses.
        return _create(
            context,
            f"a new one: network {doubled} is created anew while the original router serves the old one",
        )
    return _reuse(context, living)


def _doubled_network(context: PlanContext, living: Any) -> str:
    """The name of a network that is created anew although the living router still serves the original."""
    served = {p.network_id for p in _interface_ports(context, living.id)}
    for interface in context.section["interfaces"]:
        place = place_of(context, interface["network_id"])
        if place is not None and place.fresh and interface["network_id"] in served:
            return str(interface["network_name"] or interface["network_id"])
    return ""


def _create(context: PlanContext, reason: str) -> Planned:
    section, draft = context.section, RouterDraft.renamed(context, ATTRIBUTES)
    draft.changes = unset(ATTRIBUTES, section) | draft.changes
    body = given(section, "admin_state_up") | {"name": draft.name}
    zones, change = zones_there(context, section["availability_zone_hints"], "router")
    draft.changes.update(change)
    if zones:
        body["availability_zone_hints"] = zones
    if may(context.cloud, "admin"):
        kept = given(section, "distributed", "ha")
        body.update(kept)
        draft.changes.update({flag: Change(value, "exact", "") for flag, value in kept.items()})
    for interface in section["interfaces"]:
        _decide_interface(context, draft, interface)
    _tell_interfaces(draft, section)
    gateway = _decide_gateway(context, draft)
    _decide_routes(draft, section, gateway)
    draft.needs = {"routers": 1} | ({"ports": len(draft.interfaces)} if draft.interfaces else {})
    decided = {"interfaces": draft.interfaces, "gateway": gateway, "routes": draft.routes}
    draft.decisions = {"body": body} | decided
    return draft.planned(reason)


def _reuse(context: PlanContext, living: Any) -> Planned:
    """Leave it as it is, but give it back its interfaces in networks that had been lost; all that it has lost
    when it is repaired."""
    section = context.section
    if context.repairs:
        living = context.cloud.get("router", str(living.id))
    now = router_section(living, context.listing("port"), {}, {})
    draft = RouterDraft(context, ATTRIBUTES)
    lost = []
    for interface in section["interfaces"]:
        place = place_of(context, interface["network_id"])
        label = interface["network_name"] or interface["network_id"]
        if place is not None and place.fresh:
            _decide_interface(context, draft, interface)
            draft.conflicts.append(
                f"the router is still there, but not its network {label}: it is connected to the new one"
            )
        elif context.repairs and (fixed_ips := _lost_addresses(context, living.id, interface, place)):
            lost += fixed_ips
            before = len(draft.interfaces)
            _decide_interface(context, draft, {**interface, "fixed_ips": fixed_ips})
            if len(draft.interfaces) > before:
                draft.conflicts.append(f"it has lost its interface in network {label}: it is connected again")
    gateway = None
    if context.repairs and section["gateway"] and not now["gateway"]:
        gateway = _decide_gateway(context, draft)
        if gateway is not None:
            draft.conflicts.append("it has lost its gateway: it gets one again")
    again = [fixed["cidr"] for interface in draft.interfaces for fixed in interface["fixed_ips"]]
    _routes_back(context, draft, now["routes"], again, lost, bool(gateway or now["gateway"]))
    lacks = bool(draft.interfaces or gateway or draft.routes)
    back = _given_back(draft, section, gateway) if lacks and context.repairs else {}
    attributes, reason = left_alone(ATTRIBUTES, section, now, back)
    return Planned(
        context.using(lacks),
        name=str(living.name),
        reason=reason,
        new_id=str(living.id),
        attributes=attributes,
        needs={"ports": len(draft.interfaces)} if draft.interfaces else {},
        decisions={"interfaces": draft.interfaces, "gateway": gateway, "routes": draft.routes},
        conflicts=tuple(draft.conflicts),
    )


def _lost_addresses(
    context: PlanContext, router_id: str, interface: Mapping[str, Any], place: NetworkPlace | None
) -> list[dict[str, Any]]:
    """The addresses of an interface in whose subnets the router is no more. It is asked, not only listed."""
    cloud = context.cloud
    if place is None or cloud.find("router_interface", f"{router_id}:{interface['port_id']}") is not None:
        return []
    return [
        fixed
        for fixed in interface["fixed_ips"]
        if not (subnet := place.subnets.get(fixed["subnet_id"]))
        or cloud.find("router_subnet", f"{router_id}:{subnet}") is None
    ]


def _routes_back(
    context: PlanContext,
    draft: RouterDraft,
    there: Iterable[Mapping[str, str]],
    again: list[str],
    lost: Iterable[Mapping[str, Any]],
    leads_out: bool,
) -> None:
    """The routes through interfaces that are given back; when it is repaired, all that are gone and possible.

    What leads to the same place by another way was changed by somebody, and is not lost.
    """
    section, known = context.section, {route["destination"] for route in there}
    was = [fixed["cidr"] for interface in section["interfaces"] for fixed in interface["fixed_ips"]]
    served = [*again, *(cidr for cidr in was if cidr not in {fixed["cidr"] for fixed in lost})]
    for route in section["routes"]:
        inside = _within(route["nexthop"], was)
        possible = _within(route["nexthop"], served) or (not inside and leads_out)
        wanted = possible if context.repairs else _within(route["nexthop"], again)
        if wanted and route["destination"] not in known:
            draft.routes.append(dict(route))
            if context.repairs:
                draft.conflicts.append(
                    f"the route to {route['destination']} through {route['nexthop']} is added again"
                )


def _given_back(
    draft: RouterDraft, section: Mapping[str, Any], gateway: Mapping[str, Any] | None
) -> dict[str, Change]:
    """What becomes of the attributes that are given back."""
    names: list[str] = ["routes"] if draft.routes else []
    if draft.interfaces:
        names += ["interfaces", "interface_addresses", "interface_macs"]
    if gateway is not None:
        names += ["gateway.network", "gateway.enable_snat"]
    usual = {a.name: Change(a.read(section), "mapped", "given back") for a in ATTRIBUTES if a.name in names}
    return usual | draft.changes


def _decide_interface(context: PlanContext, draft: RouterDraft, interface: Mapping[str, Any]) -> None:
    """Where an interface will be and with which addresses; or that it cannot be."""
    label = f"network {interface['network_name'] or interface['network_id']}"
    place = place_of(context, interface["network_id"])
    if place is None:
        draft.conflicts.append(f"{label} is gone and not restored: the router will not serve it")
        return
    taken = set() if place.fresh else _taken(context, place.id)
    if place.instead and (problem := _served(context, place)):
        draft.conflicts.append(
            f"{label} is mapped to {place.id}, which {problem}: the router will not serve it"
        )
        return
    fixed_ips = []
    for fixed in interface["fixed_ips"]:
        where = place.subnet(context, fixed["subnet_id"], fixed["ip_address"])
        if where is None:
            draft.conflicts.append(f"a subnet of {label} is gone: the router will not serve {fixed['cidr']}")
            continue
        cidr = str(where[1].cidr) if where[1] is not None else fixed["cidr"]
        address = _address(context, draft, interface, fixed, where[1])
        if not place.own:
            address, why = "", _NOT_OWN
        elif address in taken:
            address, why = "", f"{address} in {label} is in use: the router gets another address there"
        else:
            why = ""
        if why and why not in draft.conflicts:
            draft.conflicts.append(why)
        # A port of ours would get an address in every SLAAC subnet of the network, too.
        by_subnet = bool(address and fixed["gateway"] and interface["automatic_network"])
        fixed_ips.append(
            {
                "source": fixed["subnet_id"],
                "subnet_id": where[0],
                "ip_address": address,
                "cidr": cidr,
                "automatic": fixed["automatic"],
                "by_subnet": by_subnet,
            }
        )
    if not fixed_ips:
        return
    by_subnet = any(fixed["by_subnet"] for fixed in fixed_ips)
    keeps_mac = place.own and not by_subnet and _mac_free(context, place.id, interface)
    mac = interface["mac_address"] if keeps_mac else ""
    draft.interfaces.append(
        {
            "source": interface["port_id"],
            "network": {"source": interface["network_id"], "id": place.id},
            "fixed_ips": fixed_ips,
            "mac_address": mac,
            "own": place.own,
        }
    )


def _address(
    context: PlanContext,
    draft: RouterDraft,
    interface: Mapping[str, Any],
    fixed: Mapping[str, Any],
    instead: Any | None,
) -> str:
    """The address of an interface in a subnet: the old one, the one that is asked for, or the gateway's.

    :param instead: the subnet that was asked for in the place of the old one, if any.
    """
    was = str(fixed["ip_address"])
    cidr = str(instead.cidr) if instead is not None else fixed["cidr"]
    asked = context.mapping("address", address_id(interface["network_id"], was), was)
    if asked is not None:
        draft.change("interface_addresses", None, "mapped", f"{was} becomes {asked.new}, as asked for")
        place = place_of(context, interface["network_id"])
        taken = _taken(context, place.id) if place is not None and not place.fresh else ()
        if place is None or not place.own or asked.new in taken or not _within(asked.new, [cidr]):
            draft.problems.append(f"{asked.new} is asked for, and is not to be had in {cidr}")
        return asked.new
    if instead is None or _within(was, [cidr]):
        return was
    return str(instead.gateway_ip or "") if fixed["gateway"] else ""


def _served(context: PlanContext, place: NetworkPlace) -> str:
    """Why no router is connected to a network that was asked for."""
    if not place.own:
        return "belongs to another project"
    owners = (port.device_owner for port in context.listing("port") if port.network_id == place.id)
    return "has a router" if any(owner in INTERFACE_OWNERS for owner in owners) else ""


def _taken(context: PlanContext, network_id: str) -> set[str]:
    """The addresses in use in a network, as far as the project can see."""
    ports = (port for port in context.listing("port") if port.network_id == network_id)
    return {fixed["ip_address"] for port in ports for fixed in port.fixed_ips or ()}


def _mac_free(context: PlanContext, network_id: str, interface: Mapping[str, Any]) -> bool:
    """A MAC address is unique within its network only."""
    ports = (port for port in context.listing("port") if network_id and port.network_id == network_id)
    return all(port.mac_address != interface["mac_address"] for port in ports)


def _tell_interfaces(draft: RouterDraft, section: Mapping[str, Any]) -> None:
    """The changes that the decisions about the interfaces amount to."""
    made = {
        (interface["source"], fixed["source"])
        for interface in draft.interfaces
        for fixed in interface["fixed_ips"]
    }
    wanted = [(i["port_id"], f["subnet_id"]) for i in section["interfaces"] for f in i["fixed_ips"]]
    addresses = [fixed["ip_address"] for interface in draft.interfaces for fixed in interface["fixed_ips"]]
    if len(made) < len(wanted):
        count = len(wanted) - len(made)
        restored = [{"subnet_id": subnet} for port, subnet in wanted if (port, subnet) in made]
        draft.changes["interfaces"] = Change(restored, "degraded", f"{count} of {len(wanted)} cannot be made")
    if not all(addresses) or len(made) < len(wanted):
        draft.changes["interface_addresses"] = Change(
            addresses,
            "degraded",
            "those that are in use, gone or not for this project to choose become others",
        )
    macs = [interface["mac_address"] for interface in draft.interfaces]
    if not all(macs) or len(macs) < len(section["interfaces"]):
        draft.changes["interface_macs"] = Change(
            macs,
            "degraded",
            "Neutron chooses some: in networks with SLAAC subnets, and where the old one is taken",
        )


def _decide_gateway(context: PlanContext, draft: RouterDraft) -> dict[str, Any] | None:
    saved = context.section["gateway"]
    if not saved:
        return None
    gateway: dict[str, Any] = {}
    asked = context.mapping("external-network", saved["network_id"], saved["network_name"])
    restored = asked is None and ResourceKey(NETWORK, saved["network_id"]) in context.graph
    place = place_of(context, saved["network_id"]) if restored else None
    if place is not None and place.fresh:
        gateway["network"] = {"source": saved["network_id"], "id": ""}
        draft.changes["gateway.network"] = Change(saved["network_id"], "mapped", "the restored network")
    else:
        try:
            network, why = external_network(context, saved["network_id"], saved["network_name"])
        except NotFound as exc:
            draft.conflicts.append(f"{exc.message}: the router will have no gateway")
            old = saved["network_name"] or saved["network_id"]
            draft.propose("external-network", old, external_proposals(context))
            for name in ("gateway.network", "gateway.address", "gateway.enable_snat"):
                draft.changes[name] = Change(None, "lost", exc.message)
            return None
        gateway["network"] = {"source": saved["network_id"], "id": network}
        if why:
            draft.conflict("gateway.network", network, "mapped", why, "it is used")
    if may(context.cloud, "admin"):
        gateway["addresses"] = saved["addresses"] if asked is None else []
        gateway["enable_snat"] = saved["enable_snat"]
        if asked is None:
            said = "asked for, as an administrator may; another one if it is taken"
            draft.changes["gateway.address"] = Change(saved["addresses"], "exact", said)
    else:
        addresses = ", ".join(saved["addresses"])
        draft.changes["gateway.address"] = Change(
            [], "degraded", f"another one than {addresses}: only an administrator may ask for a given one"
        )
        if not saved["enable_snat"]:
            said = "source NAT will be on: only an administrator may switch it off"
            draft.conflict("gateway.enable_snat", True, "degraded", said)
    return gateway


def _decide_routes(draft: RouterDraft, section: Mapping[str, Any], gateway: Mapping[str, Any] | None) -> None:
    """Leave out the routes through what the router will not be connected to: Neutron would refuse them."""
    served = [fixed["cidr"] for interface in draft.interfaces for fixed in interface["fixed_ips"]]
    was = [fixed["cidr"] for interface in section["interfaces"] for fixed in interface["fixed_ips"]]
    for route in section["routes"]:
        inside = _within(route["nexthop"], was)
        if _within(route["nexthop"], served) or (not inside and gateway is not None):
            draft.routes.append(dict(route))
    if len(draft.routes) < len(section["routes"]):
        kept = {(route["destination"], route["nexthop"]) for route in draft.routes}
        lost = [r for r in section["routes"] if (r["destination"], r["nexthop"]) not in kept]
        said = "no route " + ", ".join(f"to {r['destination']} through {r['nexthop']}" for r in lost)
        draft.changes["routes"] = Change(list(draft.routes), "degraded", f"{said}: not connected to that")
        draft.conflicts.append(f"{said}: the router will not be connected to that")


def _within(address: str, ranges: Iterable[str]) -> bool:
    number = ipaddress.ip_address(address)
    return any(number in ipaddress.ip_network(cidr) for cidr in ranges if cidr)


def _interface_ports(context: PlanContext, router_id: str) -> list[Any]:
    return [
        port
        for port in context.listing("port")
        if port.device_id == router_id and port.device_owner in INTERFACE_OWNERS
    ]
