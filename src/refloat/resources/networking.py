"""What the kinds that Neutron holds have in common: finding, re-using, dressing what was created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
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


def zones_there(context: PlanContext, hints: list[str], resource: str) -> tuple[list[str], dict[str, Change]]:
    """Those availability zones of the hints that (still) exist, and the change that this is."""
    if not hints:
        return [], {}
    with explained("list the availability zones of the network service", context.resource):
        zones = {
            str(zone.name)
            for zone in context.cloud.network.availability_zones()
            if zone.resource == resource and zone.state == "available"
        }
    kept = [hint for hint in hints if hint in zones]
    if kept == hints:
        return kept, {}
    lost = ", ".join(hint for hint in hints if hint not in zones)
    return kept, {"availability_zone_hints": Change(kept, "degraded", f"no such availability zone: {lost}")}


@dataclass(frozen=True, slots=True)
class NetworkPlace:
    """Where a network of the checkpoint will be.

    :param id: its id, when it is there already.
    :param fresh: this restore creates it: nothing in it is taken.
    :param own: the project owns it.
    :param subnets: new ids of its subnets by their old ones; empty for those that will be created.
    """

    id: str
    fresh: bool
    own: bool
    subnets: Mapping[str, str]


def place_of(context: PlanContext, network_id: str) -> NetworkPlace | None:
    """Where a network will be that this resource refers to; None: it is gone and not restored."""
    planned = context.planned(ResourceKey(NETWORK, network_id))
    if planned is not None and planned.action != "impossible":
        subnets = {item["source"]: str(item.get("id", "")) for item in planned.decisions["subnets"]}
        return NetworkPlace(planned.new_id, planned.action == "create", True, subnets)
    found = context.there("network", network_id)
    if found is None:
        return None
    own = found.project_id == context.cloud.project_id
    return NetworkPlace(network_id, False, own, {identity: identity for identity in found.subnet_ids or ()})


def external_network(context: PlanContext, network_id: str, name: str) -> tuple[str, str]:
    """The external network to use in the place of one of the checkpoint: its id, and why it is another.

    :raises NotFound: there is none of this id or name.
    """
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
    for policy in context.section["rbac_policies"]:

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
