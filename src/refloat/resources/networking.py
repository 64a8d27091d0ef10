"""What the kinds that Neutron holds have in common: finding, re-using, dressing what was created."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from refloat.cloud import Cloud, explained
from refloat.cloud.retries import ensure_done
from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.graph import Resource, ResourceKey
from refloat.resources.attributes import Attribute, AttributeOutcome, Change, outcomes
from refloat.resources.base import PROJECT, RESTORE_NAME, Hooks, PlanContext, Protectable
from refloat.resources.context import HookContext
from refloat.resources.options import Option

NETWORK = "OS::Neutron::Network"
SUBNET = "OS::Neutron::Subnet"
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


class NeutronProtectable(Protectable):
    """Finds what a project owns of one kind; each subclass says how servers depend on it."""

    kind: ClassVar[str]
    """Its name in ``refloat.cloud.kinds``."""

    def list(self) -> list[Resource]:
        """All of the project."""
        return [self.resource(thing) for thing in self.own.values()]

    def show(self, identity: str) -> Resource:
        """One of them by id. :raises Conflict: it belongs to another project."""
        thing = self.own.get(identity) or self.cloud.get(self.kind, identity)
        if thing.project_id != self.cloud.project_id:
            raise Conflict(
                "only what belongs to the project can be protected",
                resource=str(self.resource(thing)),
                reason="it belongs to another project",
            )
        return self.resource(thing)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All for the project; for others what :meth:`needed_by` says, of what the project owns."""
        if parent.type == PROJECT:
            return self.list()
        own = self.own
        return [self.resource(own[identity]) for identity in self.needed_by(parent) if identity in own]

    def needed_by(self, parent: Resource) -> Iterable[str]:
        """The ids of what a parent other than the project needs."""
        raise NotImplementedError

    def select(self, selector: str) -> Sequence[Resource]:
        """All that carry a tag (``tag:NAME``)."""
        word, _, tag = selector.partition(":")
        if word != "tag" or not tag:
            raise InvalidInput(
                f"resources of type {self.type} can be chosen by tag:NAME, not by '{selector}'"
            )
        return [self.resource(thing) for thing in self.own.values() if tag in (thing.tags or ())]

    def resource(self, thing: Any) -> Resource:
        """The node for a thing."""
        return Resource(self.type, str(thing.id), str(thing.name or ""))

    @cached_property
    def own(self) -> dict[str, Any]:
        """All of the project by id."""
        return {str(thing.id): thing for thing in self.cloud.list(self.kind)}

    @cached_property
    def ports(self) -> Sequence[Any]:
        """The ports of the project."""
        return self.cloud.list("port")


class SectionComplete(Hooks):
    """Verifies a kind of which nothing is kept but its section."""

    fields: ClassVar[tuple[str, ...]] = ()

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the section has all that a restore reads."""
        missing = [field for field in self.fields if field not in context.section]
        reason = f"the checkpoint lacks {', '.join(missing)}" if missing else ""
        return {"ok": not missing, "reason": reason}


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


def may(cloud: Cloud, *roles: str) -> bool:
    """Whether the user has one of these roles."""
    return not cloud.roles.isdisjoint(roles)


def still_there(context: PlanContext, kind: str) -> Any | None:
    """The original, when the project still has it."""
    return next((thing for thing in context.listing(kind) if thing.id == context.resource.id), None)


def wants_new(context: PlanContext) -> bool:
    """Whether the user asked for a new one beside the original."""
    return bool(context.parameters.get("restore_name") or context.parameters.get("duplicate"))


def renamed(context: PlanContext, original: str) -> tuple[str, dict[str, Change]]:
    """The name of what is created, and the change that this is."""
    name = context.restored_name(original)
    if name == original:
        return name, {}
    return name, {"name": Change(name, "mapped", "as asked for with restore_name")}


def unset(table: Iterable[Attribute], section: Mapping[str, Any]) -> dict[str, Change]:
    """What the original did not have needs no restoring, whatever the table says of it."""
    changes = {}
    for attribute in table:
        source = attribute.read(section)
        if attribute.fidelity in ("lost", "degraded") and not source:
            changes[attribute.name] = Change(source, "exact", "")
    return changes


def left_alone(
    table: tuple[Attribute, ...], saved: Mapping[str, Any], now: Mapping[str, Any]
) -> tuple[tuple[AttributeOutcome, ...], str]:
    """What re-using the living original means: the outcome of each attribute, and the reason to tell."""
    changes: dict[str, Change] = {}
    different = []
    for attribute in table:
        was, current = attribute.read(saved), attribute.read(now)
        if was == current:
            changes[attribute.name] = Change(current, "exact", "")
        else:
            different.append(attribute.name)
            changes[attribute.name] = Change(current, "degraded", "it is still there and left as it is")
    reason = "it is still there"
    if different:
        reason += f", and left as it is though changed since: {', '.join(different)}"
    return outcomes(table, saved, changes), reason


def dress(cloud: Cloud, kind: str, identity: str, section: Mapping[str, Any], resource: Resource) -> None:
    """Give something created its own description in the place of the mark, and its tags."""
    with explained(f"describe the {kind.replace('_', ' ')} {identity}", resource):
        update = getattr(cloud.network, f"update_{kind}")
        thing = update(identity, description=section["description"])
        if section.get("tags"):
            cloud.network.set_tags(thing, section["tags"])


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
    key = ResourceKey(NETWORK, network_id)
    planned = context.planned(key) if key in context.graph else None
    if planned is not None and planned.action != "impossible":
        subnets = {item["source"]: str(item.get("id", "")) for item in planned.decisions["subnets"]}
        return NetworkPlace(planned.new_id, planned.action == "create", True, subnets)
    found = next((thing for thing in context.listing("network") if thing.id == network_id), None)
    found = found or context.cloud.find("network", network_id)
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


def grants(cloud: Cloud, kind: str, identity: str, resource: Resource) -> list[dict[str, str]]:
    """Which other projects may use a thing, as a section keeps it.

    Grants for everybody are left out: they are how Neutron says that a thing is shared or external.
    """
    with explained(f"list who may use the {kind.replace('_', ' ')} {identity}", resource):
        found = list(cloud.network.rbac_policies(object_type=kind, object_id=identity))
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
            return policy in grants(context.cloud, kind, identity, context.resource)

        def create(policy: Mapping[str, str] = policy) -> None:
            with explained(f"let project {policy['target_project_id']} use it", context.resource):
                context.cloud.network.create_rbac_policy(
                    object_type=kind,
                    object_id=identity,
                    action=policy["action"],
                    target_tenant=policy["target_project_id"],
                )

        ensure_done(granted, create)
