"""Plans the restore of a server."""

from __future__ import annotations

from typing import Any

from refloat.cloud import explained
from refloat.graph import ResourceKey
from refloat.resources.attributes import outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.server.flavors import choose_flavor
from refloat.resources.server.plan_builder import PlanBuilder
from refloat.resources.server.plan_disks import plan_disks
from refloat.resources.server.plan_ports import PortsPlanner
from refloat.resources.server.section import ATTRIBUTES, cloud_knows
from refloat.resources.server.states import power_restore

KEYPAIR = "OS::Nova::KeyPair"
SERVER_GROUP = "OS::Nova::ServerGroup"

_MAY_BE_UNSET = ("trusted_image_certificates", "trunks", "ephemeral_disks", "swap_disk", "scheduler_hints")
"""What cannot be restored, but is no loss when the server had none."""


def plan_server(context: PlanContext) -> Planned:
    """Decide what a restore of the server will do. A server is always made anew."""
    plan = PlanBuilder(needs={"servers": 1})
    name, plan.changes = context.renamed(str(context.section["name"]))
    _plan_flavor(context, plan)
    _plan_zone(context, plan)
    _plan_key(context, plan)
    _plan_group(context, plan)
    _plan_words(context, plan)
    _plan_power(context, plan)
    PortsPlanner(context, plan).plan()
    plan_disks(context, plan)
    return Planned(
        "impossible" if plan.problems else "create",
        name=name,
        reason="; ".join(plan.problems or plan.conflicts),
        attributes=outcomes(ATTRIBUTES, context.section, plan.changes),
        needs=plan.needs,
        decisions=plan.decisions,
        conflicts=tuple(plan.conflicts),
    )


def _plan_flavor(context: PlanContext, plan: PlanBuilder) -> None:
    wanted = str(context.parameters.get("restore_flavor_id") or "")
    was = context.section["flavor"]
    choice = choose_flavor(was, context.listing("flavor"), wanted, bool(context.section["image_id"]))
    if choice.flavor is None:
        plan.problems.append(choice.problem)
        return
    flavor = choice.flavor
    plan.decisions["flavor"] = flavor.id
    plan.needs |= {"cores": int(flavor.vcpus), "ram": int(flavor.ram)}
    if choice.difference and wanted:
        plan.change("flavor", flavor.name, "mapped", choice.difference)
    elif choice.difference:
        plan.conflict("flavor", flavor.name, "mapped", choice.difference)


def _plan_zone(context: PlanContext, plan: PlanBuilder) -> None:
    """The zone that was asked for; where Nova does not tell whether one was, the one the server was in."""
    section = context.section
    zone = section["pinned_availability_zone"] if section["knows_pinned"] else section["availability_zone"]
    plan.decisions["availability_zone"] = None
    if not zone:
        if section["availability_zone"]:
            plan.change(
                "availability_zone", None, "mapped", "no zone was asked for: Nova chooses one, as it did"
            )
        return
    with explained("list the availability zones"):
        usable = {str(item.name) for item in context.cloud.compute.availability_zones() if _is_up(item)}
    if zone in usable:
        plan.decisions["availability_zone"] = zone
    else:
        plan.conflict(
            "availability_zone", None, "degraded", f"the availability zone {zone} is gone: Nova chooses one"
        )


def _is_up(zone: Any) -> bool:
    return bool((zone.state or {}).get("available", True))


def _plan_key(context: PlanContext, plan: PlanBuilder) -> None:
    """The key pair by its source name, or None."""
    key_name = context.section["key_name"]
    plan.decisions["key_name"] = None
    if not key_name:
        return
    mine = context.section["user_id"] == context.cloud.user_id
    if ResourceKey(KEYPAIR, key_name) in context.graph or (
        mine and any(keypair.name == key_name for keypair in context.listing("keypair"))
    ):
        plan.decisions["key_name"] = key_name
        planned = context.planned(ResourceKey(KEYPAIR, key_name))
        if planned is not None and planned.name != key_name:
            plan.change("key_name", planned.name, "mapped", "; ".join(planned.conflicts))
        return
    whose = "is gone" if mine else "belongs to another user, and only that user can read it"
    plan.conflict(
        "key_name",
        None,
        "lost",
        f"the key pair {key_name} {whose}: the server is made without; keys on its disk stay",
    )


def _plan_group(context: PlanContext, plan: PlanBuilder) -> None:
    """The server group by its source id, or None."""
    groups = context.section["server_groups"]
    plan.decisions["server_group"] = None
    if not groups:
        return
    group = groups[0]
    if ResourceKey(SERVER_GROUP, group) in context.graph or context.listed("server_group", group):
        plan.decisions["server_group"] = group
        return
    plan.conflict(
        "server_groups", None, "lost", f"the server group {group} is gone and not part of the restore"
    )


def _plan_words(context: PlanContext, plan: PlanBuilder) -> None:
    """Attributes whose fate depends on what Nova shows or takes."""
    section = context.section
    for name in _MAY_BE_UNSET:
        value = next(attribute.read(section) for attribute in ATTRIBUTES if attribute.name == name)
        if not any(value) if isinstance(value, list) else not value:
            plan.change(name, value, "exact", "")
    if section["user_data_readable"]:
        plan.change("user_data", section["user_data"], "exact", "")
    plan.decisions["hostname"] = bool(section["hostname"]) and cloud_knows(context.cloud, "2.90")
    if section["hostname"] and not plan.decisions["hostname"]:
        plan.change("hostname", None, "degraded", "this Nova makes the host name from the name")


def _plan_power(context: PlanContext, plan: PlanBuilder) -> None:
    wanted = str(context.parameters.get("power_state") or "as_was")
    power = power_restore(context.section["status"], wanted)
    plan.decisions["power"] = power.state
    if power.reason:
        plan.change("status", power.state, "degraded", power.reason)
    elif power.state != context.section["status"]:
        plan.change("status", power.state, "mapped", "what it was on its way to")
