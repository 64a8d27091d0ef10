"""Restores a router: creates it, connects it, leads it out and gives it its routes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.base import HookBody, HookContext, Hooks, Waiting
from refloat.resources.networking import NETWORK, SUBNET, dress

INTERFACE_TIMEOUT = 300.0
"""Seconds until a new interface must be up."""


class RouterRestore(Hooks):
    """Creates the router, connects it when its networks are there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        planned = context.planned
        if planned.uses:
            return {"router_id": str(context.cloud.get("router", planned.new_id).id)}
        router_id = context.ensure(
            "router",
            "router",
            lambda marker: context.cloud.network.create_router(
                description=marker.text, **planned.decisions["body"]
            ),
            what=f"create the router {planned.name}",
            unmarked={"description": context.section["description"]},
        )
        dress(context, "router", router_id)
        return {"router_id": router_id}

    def on_complete(self, context: HookContext) -> HookBody:
        """Its interfaces, its gateway, and the routes through them."""
        planned = context.planned
        router_id = planned.new_id or context.created("router")
        notes = [planned.reason] if planned.reason else []
        for decided in planned.decisions["interfaces"]:
            yield from _connect(context, router_id, decided)
        if planned.decisions["gateway"]:
            notes += _lead_out(context, router_id, planned.decisions["gateway"])
        for route in planned.decisions["routes"]:
            _route(context, router_id, route)
        return context.restored(router_id, reason="; ".join(notes))


def _connect(context: HookContext, router_id: str, decided: Mapping[str, Any]) -> Waiting:
    """One interface, which may have addresses in several subnets."""
    saved = next(i for i in context.section["interfaces"] if i["port_id"] == decided["source"])
    label = saved["network_name"] or saved["network_id"]
    ports, made = [], ""
    if not all(fixed["by_subnet"] for fixed in decided["fixed_ips"]):
        made = _connect_port(context, router_id, decided, saved, label)
        ports.append(made)
    for fixed in decided["fixed_ips"]:
        if fixed["by_subnet"]:
            ports.append(_connect_subnet(context, router_id, fixed, label))
    for port_id in dict.fromkeys(ports):
        with explained(f"describe the port {port_id}", context.resource):
            own = {} if port_id == made else {"description": saved["description"]}
            context.cloud.network.update_port(port_id, name=saved["name"], **own)
        port = context.cloud.get("port", port_id)
        # Ports of distributed routers come up only when servers do.
        if port.device_owner == "network:router_interface" and context.section["admin_state_up"]:
            yield context.cloud.wait(
                "port",
                port_id,
                ("active",),
                timeout=INTERFACE_TIMEOUT,
                text=f"the router's interface in network {label} to be up",
            )


def _connect_port(
    context: HookContext, router_id: str, decided: Mapping[str, Any], saved: Mapping[str, Any], label: str
) -> str:
    """The port first, so that its address is ours to choose, then the router into it."""
    proxy, source = context.cloud.network, decided["source"]

    def create(marker: Marker) -> Any:
        return proxy.create_port(**_port_body(context, decided, saved) | {"description": marker.text})

    what = f"create the router's port in network {label}"
    unmarked = {"description": saved["description"]}
    port_id = context.ensure("port", f"port-{source}", create, what=what, unmarked=unmarked)
    _connected(context, "router_interface", f"interface-{source}", router_id, label, port=port_id)
    return port_id


def _connect_subnet(context: HookContext, router_id: str, fixed: Mapping[str, Any], label: str) -> str:
    """Neutron makes the port, with the gateway's address: see ``plan`` for when ours would not do."""
    both = _connected(
        context,
        "router_subnet",
        f"subnet-{fixed['source']}",
        router_id,
        label,
        subnet=_subnet_id(context, fixed),
    )
    return str(context.cloud.get("router_subnet", both).id)


def _connected(context: HookContext, kind: str, role: str, router_id: str, label: str, **by: str) -> str:
    """Connect the router by a port or a subnet; returns what identifies the interface."""
    (identity,) = by.values()
    both = f"{router_id}:{identity}"

    def add(_marker: Marker) -> str:
        context.cloud.network.add_interface_to_router(router_id, **by)
        return both

    what = f"connect the router to network {label}"
    return context.ensure(kind, role, add, what=what, clue={"id": both})


def _port_body(context: HookContext, decided: Mapping[str, Any], saved: Mapping[str, Any]) -> dict[str, Any]:
    fixed_ips = []
    for fixed in decided["fixed_ips"]:
        if fixed["by_subnet"]:
            continue
        subnet = _subnet_id(context, fixed)
        # In a SLAAC subnet the address follows from the MAC address, and must not be asked for.
        asked = fixed["ip_address"] and not fixed["automatic"]
        address = {"ip_address": fixed["ip_address"]} if asked else {}
        fixed_ips.append({"subnet_id": subnet, **address})
    network = decided["network"]["id"] or _restored(context, NETWORK, decided["network"]["source"])
    body = {"network_id": network, "name": saved["name"], "fixed_ips": fixed_ips, "security_groups": []}
    if decided["mac_address"]:
        body["mac_address"] = decided["mac_address"]
    if decided["own"] and saved["port_security_enabled"] is not None:
        body["port_security_enabled"] = saved["port_security_enabled"]
    return body


def _lead_out(context: HookContext, router_id: str, decided: Mapping[str, Any]) -> list[str]:
    """The gateway; what is to be said about it."""
    network = decided["network"]["id"] or _restored(context, NETWORK, decided["network"]["source"])
    notes: list[str] = []
    context.give(
        "router_gateway",
        "gateway",
        f"{router_id}:{network}",
        lambda: notes.extend(_set_gateway(context, router_id, network, decided)),
        f"lead the router out to network {network}",
    )
    return notes


def _set_gateway(context: HookContext, router_id: str, network: str, decided: Mapping[str, Any]) -> list[str]:
    info: dict[str, Any] = {"network_id": network}
    if "enable_snat" in decided:
        info["enable_snat"] = decided["enable_snat"]
    addresses = decided.get("addresses") or []
    what = f"lead the router out to network {network}"
    try:
        with explained(what, context.resource):
            fixed = {"external_fixed_ips": [{"ip_address": address} for address in addresses]}
            context.cloud.network.update_router(
                router_id, external_gateway_info=info | (fixed if addresses else {})
            )
        return []
    except CloudError as exc:
        if not addresses or status_of(exc) not in (400, 409):
            raise
        note = f"the gateway has another address: {exc.reason}"
    with explained(what, context.resource):
        context.cloud.network.update_router(router_id, external_gateway_info=info)
    return [note]


def _route(context: HookContext, router_id: str, route: Mapping[str, str]) -> None:
    """One static route, by itself: an interface cannot be taken away again while a route needs it."""
    identity = f"{router_id}|{route['destination']}|{route['nexthop']}"

    def create(_marker: Marker) -> str:
        body = {"router": {"routes": [dict(route)]}}
        context.cloud.network.add_extra_routes_to_router(router_id, body)
        return identity

    role = f"route {route['destination']} {route['nexthop']}"
    what = f"add the route to {route['destination']}"
    context.ensure("router_route", role, create, what=what, clue={"id": identity})


def _subnet_id(context: HookContext, fixed: Mapping[str, Any]) -> str:
    return fixed["subnet_id"] or _restored(context, SUBNET, fixed["source"])


def _restored(context: HookContext, resource_type: str, source: str) -> str:
    found = context.new_id(resource_type, source)
    if found is None:
        raise CloudError(
            "could not connect the router",
            resource=str(context.resource),
            reason=f"{resource_type} {source} has not been restored",
        )
    return found
