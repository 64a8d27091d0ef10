"""What the kinds that Neutron holds have in common: finding, re-using, dressing what was created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_address, ip_network
from typing import Any

from refloat.cloud import Cloud, explained
from refloat.cloud.retries import ensure_done
from refloat.errors import Conflict, NotFound
from refloat.graph import ResourceKey
from refloat.resources.attributes import STILL_THERE, Attribute, AttributeOutcome, Change, outcomes
from refloat.resources.base import RESTORE_NAME, HookContext, PlanContext
from refloat.resources.declared import Declared
from refloat.resources.listed import ListedProtectable
from refloat.resources.options import Option

NETWORK = "OS::Neutron::Network"
SUBNET = "OS::Neutron::Subnet"
TOPOLOGY = (NETWORK, "OS::Neutron::Router", "OS::Neutron::SecurityGroup")
"""What belongs to Karbor's network: it has one for each project."""
SERVER = "OS::Nova::Server"

DUPLICATE = Option(
    "duplicate", "Create a new one even when the original is still there and could be re-used", bool, False
)
RESTORE_OPTIONS = (RESTORE_NAME, DUPLICATE)

INTERFACE_OWNERS = frozenset(
    {
        "network:router_interface",
        "network:router_interface_distributed",
        "network:ha_router_replicated_interface",
    }
)
"""What Neutron writes into the ports by which a router serves a network."""


AUTOMATIC_MODES = frozenset({"slaac", "dhcpv6-stateless"})
"""IPv6 modes of subnets in which addresses follow from MAC addresses."""


def automatic(subnet: Any) -> bool:
    """Whether addresses follow from MAC addresses in a subnet: they cannot be asked for then.

    Every port in its network that is not a router's gets such an address, wanted or not; the gateway's
    is the only other one there is.
    """
    return not AUTOMATIC_MODES.isdisjoint({subnet.ipv6_address_mode, subnet.ipv6_ra_mode})


def neutron_kind(**fields: Any) -> Declared:
    """A kind of Neutron's, which servers may need."""
    usual = {"parents": {SERVER: None}, "selectors": ("tag",), "options": RESTORE_OPTIONS}
    return Declared(**(usual | fields))


class NeutronProtectable(ListedProtectable):
    """Finds what a project owns of one kind; each subclass says how servers depend on it."""

    def problem(self, thing: Any) -> Conflict | None:
        if thing.project_id == self.cloud.project_id:
            return None
        return Conflict(
            "only what belongs to the project can be protected",
            resource=str(self.node(thing)),
            reason="it belongs to another project",
        )

    @cached_property
    def ports(self) -> Sequence[Any]:
        return self.cloud.list("port")


def wire(thing: Any) -> dict[str, Any]:
    """A thing under the names that Neutron's API uses."""
    raw: dict[str, Any] = thing.to_dict(original_names=True, computed=False)
    return raw


def picked(raw: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    """Some fields; tags sorted, an absent description empty: how sections keep them."""
    section = {field: raw.get(field) for field in fields}
    if "description" in section:
        section["description"] = section["description"] or ""
    if "tags" in section:
        section["tags"] = sorted(section["tags"] or ())
    return section


def given(values: Mapping[str, Any], *fields: str) -> dict[str, Any]:
    """Those of the fields that have a value other than None."""
    return {field: values[field] for field in fields if values.get(field) is not None}


def exists(context: PlanContext, noun: str, identity: str) -> bool:
    """Whether Neutron has a thing of which Refloat makes none: a QoS policy, a subnet pool..."""
    try:
        with explained(f"read the {noun} {identity}", context.resource):
            getattr(context.cloud.network, f"get_{noun.lower().replace(' ', '_')}")(identity)
    except NotFound:
        return False
    return True


def may(cloud: Cloud, *roles: str) -> bool:
    """Whether the user has one of these roles."""
    return not cloud.roles.isdisjoint(roles)


def unset(table: Iterable[Attribute], section: Mapping[str, Any]) -> dict[str, Change]:
    """What the original did not have needs no restoring, whatever the table says of it."""
    changes = {}
    for attribute in table:
        source = attribute.read(section)
        if attribute.fidelity in ("lost", "degraded") and not source:
            changes[attribute.name] = Change(source, "exact", "")
    return changes


def left_alone(
    table: tuple[Attribute, ...],
    saved: Mapping[str, Any],
    now: Mapping[str, Any],
    back: Mapping[str, Change] | None = None,
) -> tuple[tuple[AttributeOutcome, ...], str]:
    """What re-using the living original means: the outcome of each attribute, and the reason to tell.

    :param back: what it gets back.
    """
    changes: dict[str, Change] = {}
    different = []
    for attribute in table:
        was, current = attribute.read(saved), attribute.read(now)
        if was == current:
            changes[attribute.name] = Change(current, "exact", "")
        elif back and attribute.name in back:
            changes[attribute.name] = back[attribute.name]
        else:
            different.append(attribute.name)
            changes[attribute.name] = Change(current, "degraded", f"{STILL_THERE} and left as it is")
    reason = STILL_THERE
    if different:
        reason += f", and left as it is though changed since: {', '.join(different)}"
    return outcomes(table, saved, changes), reason


def dress(context: HookContext, kind: str, identity: str, section: Mapping[str, Any] | None = None) -> None:
    """Give something created the tags of the original. Its description is the mark's place as yet.

    :param section: what it was; None: it is the resource itself.
    """
    section = context.section if section is None else section
    proxy = context.cloud.network
    with explained(f"describe the {kind.replace('_', ' ')} {identity}", context.resource):
        if section.get("tags"):
            proxy.set_tags(getattr(proxy, f"get_{kind}")(identity), section["tags"])


def zones_there(context: PlanContext, was: list[str], resource: str) -> tuple[list[str], dict[str, Change]]:
    """Those availability zones that there are, in the place of the hints, and the change that this is."""
    if not was:
        return [], {}
    with explained("list the availability zones of the network service", context.resource):
        zones = {
            str(zone.name)
            for zone in context.cloud.network.availability_zones()
            if zone.resource == resource and zone.state == "available"
        }
    asked = {hint: mapped.new for hint in was if (mapped := context.mapping("zone", hint, hint))}
    hints = [new if (new := asked.get(hint, "")) in zones else hint for hint in was]
    kept = [hint for hint in hints if hint in zones]
    if kept == hints:
        said = Change(kept, "mapped", "as asked for")
        return kept, {"availability_zone_hints": said} if kept != was else {}
    lost = ", ".join(hint for hint in hints if hint not in zones)
    return kept, {"availability_zone_hints": Change(kept, "degraded", f"no such availability zone: {lost}")}


@dataclass(frozen=True, slots=True)
class NetworkPlace:
    """Where a network of the checkpoint will be.

    :param id: its id, when it is there already.
    :param fresh: this restore creates it: nothing in it is taken.
    :param own: the project owns it.
    :param subnets: new ids of its subnets by their old ones; empty for those that will be created.
    :param instead: the subnets of a network that was asked for in its place.
    :param ranges: of the subnets that will be created, by their old ids.
    """

    id: str
    fresh: bool
    own: bool
    subnets: Mapping[str, str]
    instead: tuple[Any, ...] = ()
    ranges: Mapping[str, str] = field(default_factory=dict)

    def subnet(self, context: PlanContext, identity: str, address: str) -> tuple[str, Any] | None:
        """Where an address of an old subnet will be; None: nowhere.

        :return: the subnet's new id (empty: it will be created), and the subnet in its place, if another.
        """
        mapped = context.mapping("subnet", identity)
        if mapped is not None and self.id == mapped.thing.network_id:
            return mapped.new, mapped.thing
        if not self.instead:
            return (self.subnets[identity], None) if identity in self.subnets else None
        found = subnet_instead(self.instead, address)
        return (str(found.id), found) if found is not None else None


def subnet_instead(there: Iterable[Any], inside: str) -> Any | None:
    """The one of a network's subnets that has an address, or else has addresses of that version."""
    address = ip_address(inside)
    same = [subnet for subnet in there if ip_network(subnet.cidr).version == address.version]
    around = [subnet for subnet in same if address in ip_network(subnet.cidr)]
    return next(iter(around or same), None)


def misplaced(context: PlanContext, subnet_id: str, place_id: str) -> str:
    """Why a subnet cannot be the one that is asked for; empty: it can, or none is.

    :param place_id: the network that there will be; empty: a new one.
    """
    mapped = context.mapping("subnet", subnet_id)
    if mapped is None or mapped.thing.network_id == place_id:
        return ""
    return (
        f"the subnet {mapped.name} is asked for, which is in the network {mapped.thing.network_id}: "
        "map the network to that one, too"
    )


def subnets_of(context: PlanContext, network: Any) -> list[Any]:
    """The subnets of a network, also those that an administrator made in it for another project."""
    listed = {
        str(subnet.id): subnet for subnet in context.listing("subnet") if subnet.network_id == network.id
    }
    for identity in network.subnet_ids or ():
        if identity not in listed:
            found = context.cloud.find("subnet", identity)
            if found is not None:
                listed[identity] = found
    return list(listed.values())


def place_in(context: PlanContext, network: Any) -> NetworkPlace:
    """What a network is that was asked for in the place of another."""
    own = network.project_id == context.cloud.project_id
    return NetworkPlace(str(network.id), False, own, {}, tuple(subnets_of(context, network)))


def place_of(context: PlanContext, network_id: str) -> NetworkPlace | None:
    """Where a network will be that this resource refers to; None: it is gone and not restored."""
    if (mapped := context.mapped("network", network_id, "")) is not None:
        return place_in(context, mapped.thing)
    planned = context.planned(ResourceKey(NETWORK, network_id))
    if planned is not None and planned.action != "impossible":
        subnets = {item["source"]: str(item.get("id", "")) for item in planned.decisions["subnets"]}
        bodies = {item["source"]: item["body"] for item in planned.decisions["subnets"] if "body" in item}
        ranges = {source: body["cidr"] for source, body in bodies.items() if "cidr" in body}
        return NetworkPlace(planned.new_id, planned.action == "create", True, subnets, ranges=ranges)
    found = context.there("network", network_id)
    if found is None:
        return None
    own = found.project_id == context.cloud.project_id
    return NetworkPlace(network_id, False, own, {identity: identity for identity in found.subnet_ids or ()})


def external_network(context: PlanContext, network_id: str, name: str) -> tuple[str, str]:
    """The external network to use in the place of one of the checkpoint: its id, and why it is another.

    :raises NotFound: there is none of this id or name.
    """
    if (mapped := context.mapping("external-network", network_id, name)) is not None:
        return mapped.new, mapped.said
    found = context.cloud.find("network", network_id)
    if found is not None and found.is_router_external:
        return network_id, ""
    with explained("list the external networks", context.resource):
        networks = list(context.cloud.network.networks(is_router_external=True))
    named = [network for network in networks if name and network.name == name]
    if len(named) == 1:
        return str(named[0].id), f"the external network {network_id} is gone; another is called '{name}'"
    problem = "several are" if named else "none is"
    raise NotFound(f"the external network {network_id} is gone, and {problem} called '{name}'")


def external_proposals(context: PlanContext) -> Iterable[tuple[str, str]]:
    """The external networks that may be asked for: those with the most free addresses first.

    How many are free is told to administrators alone.
    """
    networks, free = list(context.listing("external_network")), {}
    if may(context.cloud, "admin"):
        with explained("read how many addresses are free", context.resource):
            told = list(context.cloud.network.network_ip_availabilities())
        free = {each.network_id: int(each.total_ips) - int(each.used_ips) for each in told}
    for network in sorted(networks, key=lambda network: -free.get(network.id, 1)):
        if free.get(network.id, 1) > 0 and (network.subnet_ids or network.id in free):
            count = f"{free[network.id]} addresses are free" if network.id in free else ""
            yield str(network.name or network.id), count


def projects_instead(context: PlanContext) -> dict[str, str]:
    """The projects that are to use a thing in the place of those that could, by the old ones' ids."""
    named = (policy["target_project_id"] for policy in context.section["rbac_policies"])
    return {was: mapped.new for was in named if (mapped := context.mapping("project", was))}


def grants(context: HookContext, kind: str, identity: str) -> list[dict[str, str]]:
    """Which other projects may use a thing, as a section keeps it.

    Grants for everybody are left out: they are how Neutron says that a thing is shared or external.
    """
    with explained(f"list who may use the {kind.replace('_', ' ')} {identity}", context.resource):
        found = list(context.cloud.network.rbac_policies(object_type=kind, object_id=identity))
    return sorted(
        (
            {"action": str(policy.action), "target_project_id": str(policy.target_project_id)}
            for policy in found
            if policy.target_project_id != "*"
        ),
        key=lambda policy: (policy["action"], policy["target_project_id"]),
    )


def grant(context: HookContext, kind: str, identity: str) -> None:
    """Let the projects use something created that could use the original. Goes away with the thing."""
    instead = context.planned.decisions.get("projects", {})
    for saved in context.section["rbac_policies"]:
        target = saved["target_project_id"]
        policy = {**saved, "target_project_id": instead.get(target, target)}

        def granted(policy: Mapping[str, str] = policy) -> bool:
            return policy in grants(context, kind, identity)

        def create(policy: Mapping[str, str] = policy) -> None:
            with explained(f"let project {policy['target_project_id']} use it", context.resource):
                context.cloud.network.create_rbac_policy(
                    object_type=kind,
                    object_id=identity,
                    action=policy["action"],
                    target_tenant=policy["target_project_id"],
                )

        ensure_done(granted, create)
