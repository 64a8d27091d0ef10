"""Protects routers by their settings; restores them by creating them through Neutron."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any

from refloat.cloud import CloudWait, Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.base import (
    HookBody,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
)
from refloat.resources.context import HookContext
from refloat.resources.networking import NETWORK, RESTORE_OPTIONS, SUBNET, SectionComplete, dress
from refloat.resources.options import Option
from refloat.resources.router.attributes import ATTRIBUTES, ROUTER_FIELDS
from refloat.resources.router.plan import plan
from refloat.resources.router.protectable import ROUTER
from refloat.resources.router.section import read_section

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": RESTORE_OPTIONS}

INTERFACE_TIMEOUT = 300.0
"""Seconds until a new interface must be up."""


class RouterProtect(Hooks):
    """Reads the router, its interfaces and its gateway."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        return read_section(context.cloud, context.resource.id, context.resource)


class RouterVerify(SectionComplete):
    """All that is protected of a router is in its section."""

    fields = ("id", *ROUTER_FIELDS, "interfaces", "gateway")


class RouterRestore(Hooks):
    """Creates the router, connects it when its networks are there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The router by itself."""
        planned = context.planned
        if planned.action == "reuse":
            return {"router_id": str(context.cloud.get("router", planned.new_id).id)}

        def create(marker: Marker) -> Any:
            with explained(f"create the router {planned.name}", context.resource):
                return context.cloud.network.create_router(
                    description=marker.text, **planned.decisions["body"]
                )

        router_id = context.ensure("router", "router", create)
        dress(context.cloud, "router", router_id, context.section, context.resource)
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
        restored = Restored(
            ROUTER, context.resource.id, router_id, planned.name, planned.action == "reuse", "; ".join(notes)
        )
        return {"restored": [restored.to_json()]}


def _connect(
    context: HookContext, router_id: str, decided: Mapping[str, Any]
) -> Generator[CloudWait, Any, None]:
    """One interface, which may have addresses in several subnets."""
    saved = next(i for i in context.section["interfaces"] if i["port_id"] == decided["source"])
    label = saved["network_name"] or saved["network_id"]
    ports = []
    if not all(fixed["by_subnet"] for fixed in decided["fixed_ips"]):
        ports.append(_connect_port(context, router_id, decided, saved, label))
    for fixed in decided["fixed_ips"]:
        if fixed["by_subnet"]:
            ports.append(_connect_subnet(context, router_id, fixed, label))
    for port_id in dict.fromkeys(ports):
        with explained(f"describe the port {port_id}", context.resource):
            context.cloud.network.update_port(port_id, name=saved["name"], description=saved["description"])
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
        body = _port_body(context, decided, saved) | {"description": marker.text}
        with explained(f"create the router's port in network {label}", context.resource):
            return proxy.create_port(**body)

    port_id = context.ensure("port", f"port-{source}", create)
    both = f"{router_id}:{port_id}"

    def add(_marker: Marker) -> str:
        with explained(f"connect the router to network {label}", context.resource):
            proxy.add_interface_to_router(router_id, port=port_id)
        return both

    context.ensure("router_interface", f"interface-{source}", add, clue={"id": both})
    return port_id


def _connect_subnet(context: HookContext, router_id: str, fixed: Mapping[str, Any], label: str) -> str:
    """Neutron makes the port, with the gateway's address: see ``plan`` for when ours would not do."""
    subnet = _subnet_id(context, fixed)
    both = f"{router_id}:{subnet}"

    def add(_marker: Marker) -> str:
        with explained(f"connect the router to network {label}", context.resource):
            context.cloud.network.add_interface_to_router(router_id, subnet=subnet)
        return both

    context.ensure("router_subnet", f"subnet-{fixed['source']}", add, clue={"id": both})
    return str(context.cloud.get("router_subnet", both).id)


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
    """The gateway. It needs no undoing: it goes away with the router."""
    network = decided["network"]["id"] or _restored(context, NETWORK, decided["network"]["source"])
    present = context.cloud.get("router", router_id).external_gateway_info or {}
    if present.get("network_id") == network:
        return []
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
        with explained(f"add the route to {route['destination']}", context.resource):
            body = {"router": {"routes": [dict(route)]}}
            context.cloud.network.add_extra_routes_to_router(router_id, body)
        return identity

    role = f"route {route['destination']} {route['nexthop']}"
    context.ensure("router_route", role, create, clue={"id": identity})


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


class RouterPlugin(ProtectionPlugin):
    """Routers, by their settings."""

    name = "router"
    resource_type = ROUTER
    description = "Keeps a router's settings, interfaces, gateway and routes and creates them again"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = RouterProtect
    restore = RouterRestore
    verify = RouterVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Re-use the router if it is still there and can serve what is restored, or create it."""
        return plan(context)
