"""Decides how a network comes back. Reads the cloud, changes nothing."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

from refloat.mappings import Mapped
from refloat.resources.attributes import Change, instead
from refloat.resources.base import PlanContext, Planned
from refloat.resources.draft import Draft
from refloat.resources.network.section import ATTRIBUTES, network_section
from refloat.resources.networking import (
    exists,
    given,
    left_alone,
    may,
    misplaced,
    projects_instead,
    subnet_instead,
    subnets_of,
    unset,
    zones_there,
)

_SUBNET_BODY = (
    "name",
    "ip_version",
    "cidr",
    "allocation_pools",
    "enable_dhcp",
    "dns_nameservers",
    "host_routes",
    "ipv6_address_mode",
    "ipv6_ra_mode",
)


def plan(context: PlanContext) -> Planned:
    mapped = context.mapping("network", context.resource.id, context.section["name"])
    if mapped is not None:
        return _mapped(context, mapped)
    living = context.listed("network", context.resource.id)
    if living is not None and not context.wants_new:
        return _reuse(context, living)
    return _create(context, beside=living is not None)


def _mapped(context: PlanContext, mapped: Mapped) -> Planned:
    """Use another network, as it is, in the place of the original."""
    section, there = context.section, subnets_of(context, mapped.thing)
    conflicts, problems = list[str](), list[str]()
    now = network_section(mapped.thing, there, ()) | {"rbac_policies": (), "service_addresses": {}}
    decided = []
    for subnet in section["subnets"]:
        label = f"subnet {subnet['name'] or subnet['id']} ({subnet['cidr']})"
        if problem := misplaced(context, subnet["id"], mapped.new):
            problems.append(problem)
        asked = context.mapping("subnet", subnet["id"])
        found = asked.thing if asked is not None else subnet_instead(there, subnet["cidr"].split("/")[0])
        if found is None:
            conflicts.append(f"the network {mapped.name} has no subnet in the place of the {label}")
            continue
        why = f"in the place of the {label}"
        decided.append({"source": subnet["id"], "id": str(found.id), "name": found.name, "reason": why})
    return Planned(
        "impossible" if problems else "reuse",
        name=mapped.name,
        reason="; ".join(problems or [mapped.said]),
        new_id="" if problems else mapped.new,
        attributes=instead(ATTRIBUTES, section, now, mapped.said),
        decisions={"subnets": decided},
        conflicts=tuple(conflicts),
    )


def _create(context: PlanContext, *, beside: bool) -> Planned:
    section, draft = context.section, Draft.renamed(context, ATTRIBUTES)
    changes = draft.changes
    changes.update(unset(ATTRIBUTES, section))
    body = given(section, "admin_state_up", "mtu", "port_security_enabled") | {"name": draft.name}
    body.update(
        {field: section[field] for field in ("dns_domain", "vlan_transparent", "qinq") if section[field]}
    )
    zones, change = zones_there(context, section["availability_zone_hints"], "network")
    changes.update(change)
    if zones:
        body["availability_zone_hints"] = zones
    if may(context.cloud, "admin"):
        body.update({flag: True for flag in ("shared", "router:external") if section[flag]})
        changes.update({flag: Change(section[flag], "exact", "") for flag in ("shared", "router:external")})
    changes.update(_qos(context, body))
    pools, change = _pools(context, section["subnets"])
    changes.update(change)
    subnets = [_subnet_to_create(subnet, pools) for subnet in section["subnets"]]
    draft.problems += [problem for s in subnets if (problem := misplaced(context, s["source"], ""))]
    count = len(subnets)
    # Neutron's own port for metadata or DHCP counts, too.
    draft.needs = {"networks": 1} | ({"subnets": count, "ports": 1} if count else {})
    draft.decisions = {"body": body, "subnets": subnets, "zones": zones}
    draft.share_with(projects_instead(context))
    draft.conflicts = sorted({c.reason for n, c in changes.items() if n.startswith("subnets.") and c.reason})
    return draft.planned(
        "a new one beside the original, as asked for" if beside and not draft.problems else ""
    )


def _reuse(context: PlanContext, living: Any) -> Planned:
    section = context.section
    there = subnets_of(context, living)
    now = network_section(living, there, context.listing("port"))
    now["rbac_policies"] = section["rbac_policies"]
    attributes, reason = left_alone(ATTRIBUTES, section, now)
    decided: list[dict[str, Any]] = []
    conflicts = []
    pools, _ = _pools(context, section["subnets"])
    for subnet in section["subnets"]:
        label = f"subnet {subnet['name'] or subnet['id']} ({subnet['cidr']})"
        same = next((s for s in there if s.id == subnet["id"]), None)
        if problem := misplaced(context, subnet["id"], str(living.id)):
            return Planned("impossible", name=str(living.name), reason=problem, attributes=attributes)
        if (asked := context.mapping("subnet", subnet["id"])) is not None:
            said = {"id": asked.new, "name": asked.name, "reason": asked.said}
            decided.append({"source": subnet["id"], **said})
            continue
        equal = same or next((s for s in there if s.cidr == subnet["cidr"]), None)
        if equal is not None:
            why = "" if same else f"the {label} is gone; the network has another one with the same range"
            decided.append({"source": subnet["id"], "id": str(equal.id), "name": equal.name, "reason": why})
            conflicts.extend([why] if why else [])
        elif any(_overlap(subnet["cidr"], s.cidr) for s in there):
            return Planned(
                "impossible",
                name=str(living.name),
                reason=f"the network is still there, but instead of its {label} it has one that overlaps it; "
                "restore it with duplicate=true to get a new network",
                attributes=attributes,
                conflicts=(f"the {label} cannot be created in its network, which is still there",),
            )
        else:
            decided.append(_subnet_to_create(subnet, pools))
            conflicts.append(f"the network is still there, but its {label} is gone and will be created in it")
    count = sum(1 for subnet in decided if "body" in subnet)
    return Planned(
        context.using(count > 0),
        name=str(living.name),
        reason=reason,
        new_id=str(living.id),
        attributes=attributes,
        needs={"subnets": count} if count else {},
        decisions={"subnets": decided},
        conflicts=tuple(conflicts),
    )


def _subnet_to_create(subnet: Mapping[str, Any], pools: Mapping[int, str]) -> dict[str, Any]:
    body = given(subnet, *_SUBNET_BODY)
    # None is said in so many words: left out, Neutron would choose the first address.
    body["gateway_ip"] = subnet["gateway_ip"]
    if subnet["dns_publish_fixed_ip"]:
        body["dns_publish_fixed_ip"] = True
    pool = pools.get(subnet["ip_version"])
    if pool:
        body["subnetpool_id"] = pool
    return {"source": subnet["id"], "body": body}


def _qos(context: PlanContext, body: dict[str, Any]) -> dict[str, Change]:
    """The policy itself is not protected: its id is used again while there is such a policy."""
    policy = context.section["qos_policy_id"]
    if not policy:
        return {}
    if not exists(context, "QoS policy", policy):
        return {"qos_policy_id": Change(None, "lost", f"there is no QoS policy {policy} any more")}
    body["qos_policy_id"] = policy
    return {}


def _pools(
    context: PlanContext, subnets: Sequence[Mapping[str, Any]]
) -> tuple[dict[int, str], dict[str, Change]]:
    """The subnet pool of each IP version, where it can be used again, and the change that this is.

    Neutron wants all subnets of a network and IP version from one pool, so it is all of them or none.
    """
    usable: dict[int, str] = {}
    problems = []
    for version in (4, 6):
        pooled = [s for s in subnets if s["ip_version"] == version and s["subnetpool_id"]]
        if not pooled:
            continue
        pool = str(pooled[0]["subnetpool_id"])
        problem = _pool_problem(context, pool, [str(s["cidr"]) for s in pooled])
        if problem:
            problems.append(problem)
        else:
            usable[version] = pool
    if not problems:
        return usable, {}
    restored = [usable.get(s["ip_version"]) if s["subnetpool_id"] else None for s in subnets]
    return usable, {"subnets.subnetpool_id": Change(restored, "degraded", "; ".join(problems))}


def _pool_problem(context: PlanContext, pool: str, ranges: Sequence[str]) -> str:
    if not exists(context, "subnet pool", pool):
        return f"the subnet pool {pool} is gone: the same addresses are used without it"
    for other in context.listing("subnet"):
        if other.subnet_pool_id == pool and any(_overlap(cidr, other.cidr) for cidr in ranges):
            return (
                f"the addresses {other.cidr} of the subnet pool {pool} are in use: "
                "the same addresses are used without the pool"
            )
    return ""


def _overlap(one: str, other: str) -> bool:
    first, second = ipaddress.ip_network(one), ipaddress.ip_network(other)
    return first.version == second.version and first.overlaps(second)
