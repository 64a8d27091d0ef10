"""Floating IP addresses. To which port one leads is the business of the server that needs it.

Holding on to the address matters more than the object: an ordinary user cannot ask for a given one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from refloat.cloud import Cloud, Marker, explained
from refloat.cloud.errors import status_of
from refloat.cloud.kinds import KINDS
from refloat.errors import CloudError, NotFound
from refloat.graph import Resource
from refloat.mappings import Mapped
from refloat.resources.attributes import Attribute, exact, instead
from refloat.resources.base import HookContext, PlanContext, Planned, Section
from refloat.resources.draft import Draft
from refloat.resources.networking import (
    DUPLICATE,
    SERVER,
    NeutronProtectable,
    dress,
    external_network,
    external_proposals,
    left_alone,
    may,
    neutron_kind,
    picked,
    unset,
    wire,
)
from refloat.resources.verifying import section_has

FLOATING_IP = "OS::Neutron::FloatingIP"

FLOATING_IP_FIELDS = (
    "floating_ip_address",
    "floating_network_id",
    "description",
    "tags",
    "dns_name",
    "dns_domain",
    "qos_policy_id",
    "port_id",
    "fixed_ip_address",
)
"""What a section keeps of a floating IP, under Neutron's own names."""

ATTRIBUTES = (
    Attribute("id", "mapped", "Neutron chooses ids; the same one while the project still holds it"),
    *exact("floating_ip_address", "floating_network_id", "description", "tags", "dns_name", "dns_domain"),
    Attribute("port_id", "mapped", "leads to the restored server, which sees to that"),
    Attribute("fixed_ip_address", "mapped", "leads to the restored server, which sees to that"),
    Attribute("qos_policy_id", "lost", "set it again"),
    Attribute("port_forwardings", "lost", "make them again"),
)

_REFUSED = frozenset({400, 403, 409})
"""What Neutron answers when a given address is not to be had: outside its pools, not allowed, taken."""


class FloatingIPProtectable(NeutronProtectable):
    """The floating IPs of the project; their addresses are their names."""

    def needed_by(self, parent: Resource) -> Iterable[str]:
        return self._of_server[parent.id]

    def node(self, thing: Any) -> Resource:
        return Resource(self.type, str(thing.id), str(thing.floating_ip_address))

    @cached_property
    def _of_server(self) -> dict[str, list[str]]:
        servers = {port.id: str(port.device_id) for port in self.ports}
        found: dict[str, list[str]] = defaultdict(list)
        for identity, address in self.by_id.items():
            if address.port_id in servers:
                found[servers[address.port_id]].append(identity)
        return found


def floating_ip_section(address: Any, network_name: str) -> dict[str, Any]:
    raw = wire(address)
    section = picked(raw, FLOATING_IP_FIELDS)
    section["id"] = str(address.id)
    section["floating_network_name"] = network_name
    section["dns_name"] = section["dns_name"] or ""
    section["dns_domain"] = section["dns_domain"] or ""
    section["port_forwardings"] = list(raw.get("port_forwardings") or ())
    return section


def _read(cloud: Cloud, address: Any) -> Section:
    network = cloud.find("network", address.floating_network_id)
    return floating_ip_section(address, str(network.name) if network else "")


def _plan(context: PlanContext) -> Planned:
    """Use the address if the project still has it and nothing else needs it, or ask for one."""
    wanted, network = (str(context.section[f"floating_{name}"]) for name in ("ip_address", "network_id"))
    if (asked := context.mapping("address", wanted)) is not None:
        return _asked_for(context, asked)
    if context.mapping("external-network", network, context.section["floating_network_name"]) is not None:
        return _ask_for(context, "another external network is asked for", taken=True)
    living = context.listed("floating_ip", context.resource.id)
    if living is not None:
        if context.parameters.get("duplicate"):
            return _ask_for(context, f"{wanted} is left as it is, as asked for", taken=True)
        if any(
            context.existing(parent.key) == "beside" for parent in context.graph.parents(context.resource.key)
        ):
            return _ask_for(context, f"{wanted} is left to the original server", taken=True)
        use = _in_use(context, living)
        if not use:
            return _reuse(context, living, "")
        return _ask_for(context, f"{wanted} is in use by {use}", taken=True)
    again = _held_again(context, wanted)
    if again is None:
        return _ask_for(context, "", taken=False)
    use = _in_use(context, again)
    if not use:
        return _reuse(context, again, "the project holds the same address again, under another id")
    return _ask_for(context, f"{wanted} is in use by {use}", taken=True)


def _asked_for(context: PlanContext, asked: Mapped) -> Planned:
    """Another one of the project's; or, for whoever may, one that Neutron is asked for."""
    held = (t for t in context.listing("floating_ip") if t.floating_ip_address == asked.new)
    if (thing := next(held, None)) is not None:
        if use := _in_use(context, thing):
            return Planned("impossible", asked.new, f"{asked.new} is asked for, and is in use by {use}")
        return _reuse(context, thing, f"{asked.new} is asked for", asked=True)
    if may(context.cloud, "manager", "admin"):
        return _ask_for(context, "", taken=False, address=asked.new)
    return Planned(
        "impossible",
        asked.new,
        f"{asked.new} is asked for, and the project does not hold it; only a project manager may ask for a "
        "given one",
    )


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
    port = context.there("port", living.port_id)
    if port is None:
        return ""
    if not port.device_id:
        # A port that outlived its server; any other port without one may be a virtual address.
        same = living.port_id == context.section["port_id"]
        return "" if same else f"port {port.name or port.id}"
    if str(port.device_owner).startswith("compute:"):
        server = context.listed("server", port.device_id)
        return f"server {server.name} ({server.id}), which is still there" if server else ""
    return f"{port.device_owner} {port.device_id}"


def _reuse(context: PlanContext, living: Any, why: str, *, asked: bool = False) -> Planned:
    section = context.section
    now = floating_ip_section(living, section["floating_network_name"])
    # Where it leads to now is no difference: the server sees to that.
    now |= {"port_id": section["port_id"], "fixed_ip_address": section["fixed_ip_address"]}
    attributes, reason = left_alone(ATTRIBUTES, section, now)
    if asked:
        attributes = instead(ATTRIBUTES, section, now, why)
    return Planned(
        "reuse",
        name=str(living.floating_ip_address),
        reason=why or reason,
        new_id=str(living.id),
        attributes=attributes,
    )


def _ask_for(context: PlanContext, conflict: str, *, taken: bool, address: str = "") -> Planned:
    section = context.section
    draft = Draft(context, ATTRIBUTES, changes=unset(ATTRIBUTES, section))
    wanted = str(section["floating_ip_address"])
    try:
        network, why = external_network(
            context, section["floating_network_id"], section["floating_network_name"]
        )
    except NotFound as exc:
        old = section["floating_network_name"] or section["floating_network_id"]
        draft.propose("external-network", old, external_proposals(context))
        draft.name, draft.problems = wanted, [exc.message]
        return draft.planned()
    if why:
        draft.conflict("floating_network_id", network, "mapped", why, "it is used")
    asked, address = address, "" if taken else wanted
    if asked:
        address, reason = asked, ""
        draft.change("floating_ip_address", asked, "mapped", f"{asked} is asked for")
    elif taken:
        reason = f"{conflict}: a new address"
    elif may(context.cloud, "manager", "admin"):
        reason = ""
    else:
        address = ""
        reason = (
            f"{wanted} is no longer held: a new address, for only a project manager may ask for a given one"
        )
    if reason:
        draft.conflict("floating_ip_address", "", "degraded", reason)
    body = {name: section[name] for name in ("dns_name", "dns_domain") if section[name]}
    draft.name, draft.needs = address, {"floating_ips": 1}
    draft.decisions = {"body": body | {"floating_network_id": network}, "address": address}
    return draft.planned(reason)


def _restore(context: HookContext) -> Mapping[str, Any]:
    """Make it so that there is a floating IP. The server that needs it makes it lead there."""
    planned = context.planned
    if planned.uses:
        found = context.cloud.get("floating_ip", planned.new_id)
        return context.restored(str(found.id), name=str(found.floating_ip_address))
    identity = context.ensure(
        "floating_ip",
        "floating-ip",
        lambda marker: _create(context, marker),
        unmarked={"description": context.section["description"]},
    )
    dress(context, "ip", identity)
    got = str(context.cloud.get("floating_ip", identity).floating_ip_address)
    wanted, reason = planned.decisions["address"], planned.reason
    if wanted and got != wanted:
        reason = f"Neutron refused {wanted}: it is taken, or not for this user to ask for"
    return context.restored(identity, name=got, reason=reason)


def _create(context: HookContext, marker: Marker) -> Any:
    decisions = context.planned.decisions
    body = {**decisions["body"], "description": marker.text}
    what, proxy = "get a floating IP", context.cloud.network
    if decisions["address"]:
        try:
            with explained(what, context.resource):
                return proxy.create_ip(floating_ip_address=decisions["address"], **body)
        except CloudError as exc:
            if status_of(exc) not in _REFUSED:
                raise
            # Another address is better than none; what became of it is told.
    with explained(what, context.resource):
        return proxy.create_ip(**body)


FLOATING_IPS = neutron_kind(
    type=FLOATING_IP,
    name="floating-ip",
    noun="floating IP",
    description="Holds on to a floating IP that is still there; otherwise gets one",
    kind=KINDS["floating_ip"],
    finder=FloatingIPProtectable,
    attributes=ATTRIBUTES,
    serves_others=True,
    repairs=True,
    options=(DUPLICATE,),
    read=_read,
    plan=_plan,
    restore=_restore,
    verify=section_has("id", *FLOATING_IP_FIELDS, "floating_network_name"),
)
