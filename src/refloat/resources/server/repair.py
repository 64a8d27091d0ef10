"""Gives a server that is kept what it has lost: cards, security groups, volumes, floating IPs.

Only what the checkpoint says that it had, and what is free now. Nothing that it has is taken away.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from functools import partial
from typing import Any

from refloat.cloud import cloud_knows
from refloat.errors import CloudError
from refloat.graph import ResourceKey
from refloat.resources.attributes import STILL_THERE, Change
from refloat.resources.base import HookBody, HookContext, PlanContext, Planned, Waiting
from refloat.resources.draft import Draft
from refloat.resources.networking import left_alone, place_of
from refloat.resources.server.plan_ports import FLOATING_IP, SECURITY_GROUP, PortsPlanner
from refloat.resources.server.ports import lead_floating_ips, make_port
from refloat.resources.server.protectable import unfit
from refloat.resources.server.reach import reaches
from refloat.resources.server.section import ATTRIBUTES, server_section

VOLUME = "OS::Cinder::Volume"

_NO_VOLUMES = frozenset({"SUSPENDED", "RESCUE"})
_NO_CARDS = _NO_VOLUMES | {"SHELVED", "SHELVED_OFFLOADED", "VERIFY_RESIZE"}
"""States of servers to which Nova attaches no volumes, or no cards."""

_BACK = {
    "volumes": ("volumes", "volume_tags", "delete_on_termination", "device_names"),
    "ports": (
        *("nic_order", "port_ids", "networks", "mac_addresses", "fixed_ips", "security_groups", "nic_tags"),
        *("allowed_address_pairs", "port_security", "port_names", "port_descriptions", "port_tags"),
        *("port_admin_states", "vnic_types", "extra_dhcp_opts", "dns_names", "qos_policies", "floating_ips"),
    ),
    "groups": ("security_groups",),
    "floating_ips": ("floating_ips",),
}
"""The attributes that are given back with what."""


def plan_repair(context: PlanContext) -> Planned:
    """Decide what a server that is there gets back; it is kept as it is when it lacks nothing."""
    server = context.cloud.get("server", context.resource.id)
    if problem := unfit(server):
        said = f"{STILL_THERE}, and cannot be repaired: {problem.reason or problem.message}"
        return Planned("keep", server.name, said, new_id=server.id)
    now = server_section(context.cloud, server.id)
    draft = Draft(context, ATTRIBUTES)
    draft.decisions = {"volumes": list(lost_volumes(context, draft, now)), "ports": [], "groups": []}
    draft.decisions["floating_ips"] = []
    _plan_ports(context, draft, now)
    names = {name for what, given in _BACK.items() if draft.decisions[what] for name in given}
    back = {a.name: Change(a.read(context.section), "mapped", "given back") for a in ATTRIBUTES}
    back = {name: draft.changes.get(name, change) for name, change in back.items() if name in names}
    attributes, reason = left_alone(ATTRIBUTES, context.section, now, back)
    return Planned(
        "repair" if names else "keep",
        *(server.name, reason, server.id, attributes, draft.needs, draft.decisions),
        conflicts=tuple(draft.conflicts),
    )


def lost_volumes(context: PlanContext, draft: Draft, now: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Those that it has no more, and that are free or made anew."""
    has = {volume["id"] for volume in now["volumes"]}
    for volume in context.section["volumes"]:
        planned = context.planned(ResourceKey(VOLUME, volume["id"]))
        if volume["id"] in has or planned is None:
            continue
        name = f"the volume {planned.name or volume['id']} ({volume['device']})"
        live = None if planned.action == "create" else context.cloud.find("volume", volume["id"])
        if volume["root"]:
            draft.conflicts.append(f"it does not boot from {name} any more: that cannot be given back")
        elif live is None and planned.action != "create":
            draft.conflicts.append(f"{name} is not there: it is not attached")
        elif live is not None and not _is_free(live):
            draft.conflicts.append(f"{name} is {live.status}: it is not attached again")
        elif why := _refuses(context, now, _NO_VOLUMES):
            draft.conflicts.append(f"it has lost {name}, and {why}: that is not attached")
        else:
            again = "again" if live is not None else "when it is made anew"
            draft.conflicts.append(f"it has lost {name}: that is attached {again}")
            yield dict(volume)


def _refuses(context: PlanContext, now: Mapping[str, Any], states: Container[str]) -> str:
    """Why Nova attaches nothing to a server as it is now; empty: it does."""
    if now["locked"] and "admin" not in context.cloud.roles:
        return "it is locked"
    return f"it is in state {now['status']}" if now["status"] in states else ""


def _is_free(volume: Any) -> bool:
    return volume.status == "available" or (volume.status == "in-use" and bool(volume.is_multiattach))


def _plan_ports(context: PlanContext, draft: Draft, now: Mapping[str, Any]) -> None:
    by_id = {port["id"]: port for port in now["ports"]}
    by_mac = {port["mac_address"]: port for port in now["ports"]}
    planner = PortsPlanner(context, draft)
    for place, port in enumerate(context.section["ports"]):
        live = by_id.get(port["id"]) or by_mac.get(port["mac_address"])
        if live is not None:
            draft.decisions["groups"] += _lost_groups(context, draft, port, live)
            floating = list(_lost_addresses(context, draft, port, live))
            if floating:
                given = {"place": place, "port": live["id"], "floating_ips": floating}
                draft.decisions["floating_ips"].append(given)
            continue
        card = f"its card {port['mac_address']}"
        found = context.cloud.find("port", port["id"])
        if found is not None and found.device_id:
            draft.conflicts.append(f"{card} is used by {found.device_id} now: it is left there")
        elif place_of(context, port["network_id"]) is None:
            draft.conflicts.append(f"the network of {card} is gone and not restored: it does without")
        elif why := _refuses(context, now, _NO_CARDS):
            draft.conflicts.append(f"it has lost {card}, and {why}: it does not get it again")
        else:
            decided = planner.decide(port)
            draft.conflicts.append(f"it has lost {card}: it gets it again")
            draft.decisions["ports"].append({"place": place, **decided})
            if not decided["reuse"]:
                draft.needs["ports"] = draft.needs.get("ports", 0) + 1


def _lost_groups(
    context: PlanContext, draft: Draft, port: Mapping[str, Any], live: Mapping[str, Any]
) -> Iterator[dict[str, str]]:
    """The security groups of the restore that a card of the server is in no more."""
    if live["is_port_security_enabled"] is False:
        return
    for group in port["security_group_ids"] or ():
        planned = context.planned(ResourceKey(SECURITY_GROUP, group))
        there = live["security_group_ids"] or ()
        if planned is not None and planned.action != "impossible" and (planned.new_id or group) not in there:
            name = planned.name or group
            draft.conflicts.append(
                f"its card {port['mac_address']} is not in security group {name}: it joins it"
            )
            yield {"port": live["id"], "group": group}


def _lost_addresses(
    context: PlanContext, draft: Draft, port: Mapping[str, Any], live: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    """The floating IPs of the restore that lead to a card of the server no more, and nowhere else."""
    there = {floating["address"] for floating in live["floating_ips"]}
    for floating in port["floating_ips"]:
        planned = context.planned(ResourceKey(FLOATING_IP, floating["id"]))
        if planned is None or planned.action == "impossible" or floating["address"] in there:
            continue
        said = f"the floating IP {floating['address']}"
        found = context.cloud.find("floating_ip", planned.new_id) if planned.new_id else None
        if found is not None and found.port_id:
            draft.conflicts.append(f"{said} leads to port {found.port_id} now: it is left there")
        elif not reaches(context, port, floating):
            draft.conflicts.append(f"it has lost {said}, and no router connects its card with that")
        else:
            draft.conflicts.append(f"it has lost {said}: it gets {'it' if found else 'one'} again")
            yield dict(floating)


def repair(context: HookContext) -> HookBody:
    """Give the server what was decided, each thing once."""
    cloud, decisions, server_id = context.cloud, context.planned.decisions, context.planned.new_id
    saved = context.section["ports"]
    for item in decisions["groups"]:
        _join(context, item["port"], context.new_or_same(SECURITY_GROUP, item["group"]))
    text = f"server {context.planned.name} to finish its task"
    yield cloud.wait("server", server_id, lambda server: not server.task_state, failed=(), text=text)
    for decided in decisions["ports"]:
        port = make_port(context, decided["place"], decided, saved[decided["place"]])
        _plug(context, server_id, str(port.id), decided)
        lead_floating_ips(context, decided["place"], decided, saved[decided["place"]], port)
    for volume in decisions["volumes"]:
        yield from attach(context, server_id, volume, context.new_or_same(VOLUME, volume["id"]))
    for item in decisions["floating_ips"]:
        port = cloud.get("port", item["port"])
        lead_floating_ips(context, item["place"], item, saved[item["place"]], port)
    return context.restored(server_id, reason="; ".join(context.planned.conflicts))


def _join(context: HookContext, port_id: str, group: str) -> None:
    def join() -> None:
        there = list(context.cloud.get("port", port_id).security_group_ids or ())
        context.cloud.network.update_port(port_id, security_group_ids=[*there, group])

    what = f"put the port {port_id} into security group {group}"
    context.give("port_group", f"group-{port_id}-{group}", f"{port_id}:{group}", join, what)


def _plug(context: HookContext, server_id: str, port_id: str, decided: Mapping[str, Any]) -> None:
    tag = {"tag": decided["tag"]} if decided["tag"] else {}
    plug = partial(context.cloud.compute.create_server_interface, server_id, port_id=port_id, **tag)
    role, both = f"server-port-{decided['place']}", f"{server_id}:{port_id}"
    context.give("server_port", role, both, plug, f"attach the port {port_id}")


def attach(context: HookContext, server_id: str, volume: Mapping[str, Any], volume_id: str) -> Waiting:
    """Attach a volume as it was attached."""
    how = {"tag": volume["tag"]} if volume["tag"] else {}
    if volume["delete_on_termination"] and cloud_knows(context.cloud, "2.79"):
        how["delete_on_termination"] = True
    give = partial(context.cloud.compute.create_volume_attachment, server_id, volume_id, **how)
    both = f"{server_id}:{volume_id}"
    context.give(
        "volume_attachment", f"attachment-{volume['id']}", both, give, f"attach the volume {volume_id}"
    )
    yield from attached(context, volume_id)


def attached(context: HookContext, volume_id: str) -> Waiting:
    """Wait until a volume is attached. :raises CloudError: Nova did not manage to attach it."""
    found = yield context.cloud.wait(
        "volume",
        volume_id,
        lambda thing: thing.status not in ("reserved", "attaching"),
        text=f"the volume {volume_id} to be attached",
    )
    if found.status != "in-use":
        raise CloudError(
            f"the volume {volume_id} could not be attached",
            resource=str(context.resource),
            reason=f"its status became '{found.status}'",
        )
