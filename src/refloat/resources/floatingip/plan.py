"""Decides how a floating IP comes back. Reads the cloud, changes nothing.

Holding on to the address matters more than the object: an ordinary user cannot ask for a given one.
"""

from __future__ import annotations

from typing import Any

from refloat.errors import NotFound
from refloat.resources.attributes import Change, outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.floatingip.attributes import ATTRIBUTES
from refloat.resources.floatingip.section import floating_ip_section
from refloat.resources.networking import SERVER, external_network, left_alone, may, unset


def plan(context: PlanContext) -> Planned:
    """Use the address if the project still has it and nothing else needs it, or ask for one."""
    wanted = str(context.section["floating_ip_address"])
    living = context.listed("floating_ip", context.resource.id)
    if living is not None:
        if context.parameters.get("duplicate"):
            return _create(context, f"{wanted} is left as it is, as asked for", taken=True)
        use = _in_use(context, living)
        if not use:
            return _reuse(context, living, "")
        return _create(context, f"{wanted} is in use by {use}", taken=True)
    again = _held_again(context, wanted)
    if again is None:
        return _create(context, "", taken=False)
    use = _in_use(context, again)
    if not use:
        return _reuse(context, again, "the project holds the same address again, under another id")
    return _create(context, f"{wanted} is in use by {use}", taken=True)


def _held_again(context: PlanContext, address: str) -> Any | None:
    """A floating IP that the project got after the original was released, with the same address."""
    network = context.section["floating_network_id"]
    return next(
        (
            thing
            for thing in context.listing("floating_ip")
            if thing.floating_ip_address == address and thing.floating_network_id == network
        ),
        None,
    )


def _in_use(context: PlanContext, living: Any) -> str:
    """What lives and needs the address, in words; empty when the restore may have it."""
    if not living.port_id:
        return ""
    wanted_by_server = any(node.type == SERVER for node in context.graph.parents(context.resource.key))
    if not wanted_by_server and living.id == context.resource.id:
        return ""  # nobody in this restore wants it moved
    port = next((port for port in context.listing("port") if port.id == living.port_id), None)
    port = port or context.cloud.find("port", living.port_id)
    if port is None:
        return ""
    if not port.device_id:
        # A port that outlived its server; any other port without one may be a virtual address.
        same = living.port_id == context.section["port_id"]
        return "" if same else f"port {port.name or port.id}"
    if str(port.device_owner).startswith("compute:"):
        server = next((thing for thing in context.listing("server") if thing.id == port.device_id), None)
        return f"server {server.name} ({server.id}), which is still there" if server else ""
    return f"{port.device_owner} {port.device_id}"


def _reuse(context: PlanContext, living: Any, why: str) -> Planned:
    section = context.section
    now = floating_ip_section(living, section["floating_network_name"])
    # Where it leads to now is no difference: the server sees to that.
    now |= {"port_id": section["port_id"], "fixed_ip_address": section["fixed_ip_address"]}
    attributes, reason = left_alone(ATTRIBUTES, section, now)
    return Planned(
        "reuse",
        name=str(living.floating_ip_address),
        reason=why or reason,
        new_id=str(living.id),
        attributes=attributes,
    )


def _create(context: PlanContext, conflict: str, *, taken: bool) -> Planned:
    section, changes = context.section, unset(ATTRIBUTES, context.section)
    conflicts = []
    wanted = str(section["floating_ip_address"])
    try:
        network, why = external_network(
            context, section["floating_network_id"], section["floating_network_name"]
        )
    except NotFound as exc:
        return Planned("impossible", wanted, exc.message)
    if why:
        changes["floating_network_id"] = Change(network, "mapped", why)
        conflicts.append(f"{why}: it is used")
    address = "" if taken else wanted
    if taken:
        reason = f"{conflict}: a new address"
    elif may(context.cloud, "manager", "admin"):
        reason = ""
    else:
        address = ""
        reason = (
            f"{wanted} is no longer held: a new address, for only a project manager may ask for a given one"
        )
    if reason:
        changes["floating_ip_address"] = Change("", "degraded", reason)
        conflicts.append(reason)
    body = {name: section[name] for name in ("dns_name", "dns_domain") if section[name]}
    return Planned(
        "create",
        name=address,
        reason=reason,
        attributes=outcomes(ATTRIBUTES, section, changes),
        needs={"floating_ips": 1},
        decisions={"body": body | {"floating_network_id": network}, "address": address},
        conflicts=tuple(conflicts),
    )
