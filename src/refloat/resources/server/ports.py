"""Makes the ports of a restored server, before the server, and leads its floating IPs to them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.errors import status_of
from refloat.errors import CloudError
from refloat.resources.context import HookContext
from refloat.resources.networking import NETWORK, SUBNET
from refloat.resources.server.plan_ports import FLOATING_IP, SECURITY_GROUP

_TAKEN = 409


def make_port(context: HookContext, place: int, decision: Mapping[str, Any], port: Mapping[str, Any]) -> Any:
    """Make the port of one card, or use the one that is still there; returns it as it is now."""
    if decision["reuse"]:
        return context.cloud.get("port", decision["reuse"])

    def create(marker: Marker) -> Any:
        body = _body(context, decision, port) | {"description": marker.text}
        for attempt in (body, _anywhere(body)):
            try:
                return _create(context, place, attempt)
            except CloudError as exc:
                if status_of(exc) != _TAKEN:
                    raise
        return _create(context, place, {**_anywhere(body), "mac_address": None})

    unmarked = {"description": port.get("description") or ""}
    port_id = context.ensure("port", f"port-{place}", create, unmarked=unmarked)
    with explained(f"set up the port of card {place}", context.resource):
        live = context.cloud.network.get_port(port_id)
        if port.get("tags"):
            context.cloud.network.set_tags(live, list(port["tags"]))
    return live


def _create(context: HookContext, place: int, body: Mapping[str, Any]) -> Any:
    with explained(f"create the port of card {place}", context.resource):
        return context.cloud.network.create_port(**{k: v for k, v in body.items() if v is not None})


def _anywhere(body: Mapping[str, Any]) -> dict[str, Any]:
    """The same port at any addresses of its subnets.

    Somebody may have taken an address since the restore was planned: another is better than none; it is told.
    """
    fixed_ips = body["fixed_ips"]
    return {**body, "fixed_ips": fixed_ips and [{"subnet_id": fixed["subnet_id"]} for fixed in fixed_ips]}


def not_as_planned(decision: Mapping[str, Any], live: Any) -> str:
    """Which planned addresses a port did not get after all; empty when it got them."""
    has = {live.mac_address, *(fixed["ip_address"] for fixed in live.fixed_ips)}
    wanted = [decision["mac_address"], *(fixed["ip_address"] for fixed in decision["fixed_ips"])]
    missed = [address for address in wanted if address and address not in has]
    if not missed:
        return ""
    got = ", ".join(sorted(has))
    return f"{', '.join(missed)} was taken after the restore had been planned: it has {got}"


def _body(context: HookContext, decision: Mapping[str, Any], port: Mapping[str, Any]) -> dict[str, Any]:
    """What Neutron is asked for; None: nothing is."""
    fixed_ips = [
        {"subnet_id": context.new_or_same(SUBNET, fixed["subnet"])}
        | ({"ip_address": fixed["ip_address"]} if fixed["ip_address"] else {})
        for fixed in decision["fixed_ips"]
    ]
    vnic_type = port.get("vnic_type", "normal")
    return {
        "network_id": decision["network"] or context.new_or_same(NETWORK, port["network_id"]),
        "name": port.get("name") or "",
        "is_admin_state_up": port.get("is_admin_state_up", True),
        "mac_address": decision["mac_address"],
        "fixed_ips": fixed_ips or None,
        "security_group_ids": _groups(context, decision, port),
        "qos_policy_id": decision["qos_policy_id"],
        "binding_vnic_type": vnic_type if vnic_type != "normal" else None,
        "propagate_uplink_status": port.get("propagate_uplink_status"),
        **{name: port.get(name) or None for name in ("extra_dhcp_opts", "dns_name", "dns_domain")},
        **(_for_owners(port) if decision["owned"] else {}),
    }


def _groups(context: HookContext, decision: Mapping[str, Any], port: Mapping[str, Any]) -> list[str] | None:
    if port.get("is_port_security_enabled") is False:
        # A card that has to be secured now, and was not, gets the default group.
        return [] if decision["owned"] else None
    if port.get("security_group_ids") is None:
        return None
    return [context.new_or_same(SECURITY_GROUP, group) for group in decision["security_groups"]]


def _for_owners(port: Mapping[str, Any]) -> dict[str, Any]:
    """What only the owner of a network may set."""
    return {
        "allowed_address_pairs": port.get("allowed_address_pairs") or None,
        "is_port_security_enabled": port.get("is_port_security_enabled"),
    }


def lead_floating_ips(
    context: HookContext, place: int, decision: Mapping[str, Any], port: Mapping[str, Any], live: Any
) -> None:
    """Associate a card's floating IPs, each with the address in the place that its old one had."""
    for floating in decision["floating_ips"]:
        floating_id = context.new_or_same(FLOATING_IP, floating["id"])
        address = _matching_address(live, port, floating["fixed_address"])
        what = f"associate the floating IP {floating['address']}"
        lead = partial(_lead, context, floating_id, str(live.id), address, what)
        role = f"floating-ip-{place}-{floating['id']}"
        context.ensure("floating_ip_association", role, lead, clue={"id": floating_id})
        if context.cloud.get("floating_ip", floating_id).port_id != live.id:
            # Written down but cut off before it was done: that the address exists proves nothing.
            lead(context.marker(role))


def _lead(
    context: HookContext, floating_id: str, port_id: str, address: str | None, what: str, _marker: Marker
) -> str:
    with explained(what, context.resource):
        context.cloud.network.update_ip(floating_id, port_id=port_id, fixed_ip_address=address)
    return floating_id


def _matching_address(live: Any, port: Mapping[str, Any], was: str | None) -> str | None:
    """The new port's address that stands for ``was``: the same, or the one in the same place."""
    new = [fixed["ip_address"] for fixed in live.fixed_ips]
    if was in new:
        return was
    old = [fixed["ip_address"] for fixed in port["fixed_ips"]]
    place = old.index(was) if was in old else 0
    return new[place] if place < len(new) else None
