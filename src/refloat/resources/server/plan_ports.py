"""Plans the network cards of a restored server: which port, on which network, with which addresses.

A port that is still there and free is used again. Otherwise a new one is made as the old one was,
but for addresses that are taken. Only the owner of a network (or an administrator) may choose
addresses on it; on anybody else's Neutron chooses.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from refloat.cloud import explained
from refloat.graph import ResourceKey
from refloat.mappings import address_id, called
from refloat.resources.base import PlanContext
from refloat.resources.draft import Draft
from refloat.resources.networking import NetworkPlace, exists, misplaced, place_of
from refloat.resources.server.reach import reaches


class Holders:
    """Knows, for one restore plan, the ports of the project and what they have."""

    def __init__(self, context: PlanContext) -> None:
        self._context = context
        self._looked_at: set[str] = set()

    @cached_property
    def ports(self) -> dict[str, Any]:
        return {port.id: port for port in self._context.listing("port")}

    def of(self, network: Any, addresses: Iterable[str]) -> dict[str, str]:
        """Which of these addresses (IP and MAC) are taken on a network, and by whom, in words."""
        if network.is_shared and network.id not in self._looked_at:
            # Others may have ports on it, which are not among the project's.
            self._looked_at.add(network.id)
            with explained(f"list the ports of the network {network.name}"):
                for port in self._context.cloud.network.ports(network_id=network.id):
                    self._taken.update(_addresses_of(port))
        found = {address: self._taken.get((network.id, address)) for address in addresses}
        return {address: self.name(port) for address, port in found.items() if port is not None}

    def name(self, port: Any) -> str:
        if str(port.device_owner or "").startswith("compute:"):
            names = {server.id: server.name for server in self._context.listing("server")}
            name = names.get(port.device_id)
            return f"the server {name} ({port.device_id})" if name else f"the server {port.device_id}"
        what = {
            "network:dhcp": "the network's own DHCP port",
            "network:distributed": "the network's own port",
            "network:router_interface": f"the router {port.device_id}",
        }
        return what.get(port.device_owner, f"the port {port.name or port.id}")

    @cached_property
    def _taken(self) -> dict[tuple[str, str], Any]:
        return dict(pair for port in self.ports.values() for pair in _addresses_of(port))


def _addresses_of(port: Any) -> list[tuple[tuple[str, str], Any]]:
    addresses = [port.mac_address, *(fixed["ip_address"] for fixed in port.fixed_ips)]
    return [((port.network_id, address), port) for address in addresses]


SECURITY_GROUP = "OS::Neutron::SecurityGroup"
FLOATING_IP = "OS::Neutron::FloatingIP"
PORT = "OS::Neutron::Port"


class PortsPlanner:
    """Plans all cards of one server; ends in ``decisions["ports"]``."""

    def __init__(self, context: PlanContext, plan: Draft) -> None:
        self._context = context
        self._plan = plan
        self._cloud = context.cloud
        self._holders = Holders(context)
        self._demanded: set[str] = set()
        self._keep = bool(context.parameters.get("keep_addresses", True)) and not context.is_twin

    def plan(self) -> None:
        ports = list(self._context.section["ports"])
        if self._context.parameters.get("restore_net_id"):
            self._plan.decisions["ports"] = self._on_other_network(ports)
        else:
            self._plan.decisions["ports"] = [self.decide(port) for port in ports]
        self._tell_addresses()
        created = sum(1 for decision in self._plan.decisions["ports"] if not decision["reuse"])
        if created:
            self._plan.needs["ports"] = created
        if not self._context.section["nic_order_certain"]:
            self._plan.change(
                "nic_order",
                [port["id"] for port in ports],
                "degraded",
                "Nova tells only administrators how cards on different networks alternate: the order is "
                "the likely one, by date",
            )

    def _tell_addresses(self) -> None:
        """Which addresses are known beforehand; None: a new one."""
        made = self._plan.decisions["ports"]
        known = {
            "networks": [decision.get("network") or None for decision in made],
            "mac_addresses": [decision.get("mac_address") for decision in made],
            "fixed_ips": [
                [fixed["ip_address"] or None for fixed in decision.get("fixed_ips", ())] for decision in made
            ],
        }
        for attribute, restored in known.items():
            if attribute in self._plan.changes:
                change = self._plan.changes[attribute]
                self._plan.changes[attribute] = replace(change, restored=restored)

    def _on_other_network(self, ports: list[Any]) -> list[dict[str, Any]]:
        asked = self._context.mapping("network", "")
        assert asked is not None  # noqa: S101 - restore_net_id is given
        if asked.problem:
            self._plan.problems.append(asked.problem)
            return []
        network, other = asked.thing, asked.new
        said = f"restore_net_id asks for one card on the network {network.name or network.id}"
        for attribute in ("networks", "fixed_ips"):
            self._plan.change(attribute, None, "degraded", said)
        if len(ports) > 1:
            self._plan.conflicts.append(f"{said}: {len(ports) - 1} other cards are left out")
        first = dict(ports[0]) if ports else {"id": "", "network_id": other, "floating_ips": []}
        first["fixed_ips"] = []
        return [self._created(first, network, None)]

    def decide(self, port: Mapping[str, Any]) -> dict[str, Any]:
        """What is done about one card."""
        place = place_of(self._context, port["network_id"])
        if place is None:
            self._plan.problems.append(
                f"the network {port['network_id']} of its card {port['mac_address']} is not there, and not "
                "part of the restore; choose another with a mapping, or with restore_net_id"
            )
            others = [net for net in self._context.listing("any_network") if not net.is_router_external]
            others.sort(key=lambda net: bool(net.project_id != self._cloud.project_id))
            self._plan.propose("network", port["network_id"], called(others))
            return {"source": port["id"], "reuse": ""}
        network = None if place.fresh else self._context.there("network", place.id)
        if place.instead:
            said = f"{port['network_id']} is mapped to {getattr(network, 'name', '') or place.id}"
            self._plan.change("networks", None, "mapped", said)
        addresses = (port["mac_address"], *(fixed["ip_address"] for fixed in port["fixed_ips"]))
        if network is not None and self._keep and not any(self._wanted(port, each) for each in addresses):
            still = self._free_original(port, network)
            if still is not None:
                return self._reused(port, still)
        return self._created(port, network, place)

    def _free_original(self, port: Mapping[str, Any], network: Any) -> Any | None:
        live = self._holders.ports.get(port["id"])
        free = live is not None and not live.device_id and live.network_id == network.id
        return live if free else None

    def _reused(self, port: Mapping[str, Any], live: Any) -> dict[str, Any]:
        differing = [fixed["ip_address"] for fixed in live.fixed_ips]
        if sorted(differing) != sorted(fixed["ip_address"] for fixed in port["fixed_ips"]):
            self._plan.conflict(
                "fixed_ips",
                differing,
                "degraded",
                f"the port {port['id']} is still there and is used again, with its addresses of today "
                f"({', '.join(differing) or 'none'})",
            )
        return {
            "source": port["id"],
            "reuse": live.id,
            "tag": port["tag"],
            "floating_ips": self._floating(port),
        }

    def _created(
        self, port: Mapping[str, Any], network: Any | None, place: NetworkPlace | None
    ) -> dict[str, Any]:
        """Decide about a new port.

        :param network: None when that will be new, too: then no address in it is taken.
        :param place: where the old network will be; None: nowhere.
        """
        owned = network is None or self._may_choose(network)
        keep = self._keep
        decision: dict[str, Any] = {
            "source": port["id"],
            "reuse": "",
            "network": network.id if network is not None else "",
            "owned": owned,
            "mac_address": self._asked(port, str(port.get("mac_address")), owned)
            or (port.get("mac_address") if owned and keep else None),
            "fixed_ips": [
                decided
                for fixed in port.get("fixed_ips", ())
                if place is not None and (decided := self._fixed(port, fixed, place, owned))
            ],
            "security_groups": _groups(self._context, self._plan, port),
            "qos_policy_id": _qos(self._context, self._plan, port),
            "tag": port.get("tag"),
            "floating_ips": self._floating(port),
        }
        if not keep:
            why = "made beside the original" if self._context.is_twin else "keep_addresses is off"
            for attribute in ("fixed_ips", "mac_addresses"):
                self._plan.change(attribute, None, "degraded", f"{why}: new addresses")
        elif network is not None and not owned:
            self._foreign(port, network)
        elif network is not None:
            self._refuse_taken(decision, network)
        if port.get("trunk"):
            self._plan.conflicts.append(f"the trunk on the card {port['mac_address']} is not restored")
        return decision

    def _may_choose(self, network: Any) -> bool:
        return network.project_id == self._cloud.project_id or "admin" in self._cloud.roles

    def _foreign(self, port: Mapping[str, Any], network: Any) -> None:
        addresses = [fixed["ip_address"] for fixed in port["fixed_ips"]]
        self._plan.conflict(
            "fixed_ips",
            None,
            "degraded",
            f"the network {network.name} belongs to another project, where only its owner may choose "
            f"addresses: {', '.join([port['mac_address'], *addresses])} will be new ones",
        )
        self._plan.change("mac_addresses", None, "degraded", f"chosen by Neutron on {network.name}")
        if port["allowed_address_pairs"] or port["is_port_security_enabled"] is False:
            self._plan.conflict(
                "allowed_address_pairs",
                None,
                "lost",
                f"only the owner of the network {network.name} may set allowed address pairs or switch off "
                "port security",
            )

    def _fixed(
        self,
        port: Mapping[str, Any],
        fixed: Mapping[str, str],
        place: NetworkPlace,
        owned: bool,
    ) -> dict[str, str] | None:
        """One address: in which subnet, and which (empty: any).

        :param owned: whether addresses on the network may be chosen.
        """
        subnet, address = fixed["subnet_id"], fixed["ip_address"]
        if problem := misplaced(self._context, subnet, place.id):
            self._plan.problems.append(problem)
        where = place.subnet(self._context, subnet, address)
        if where is None:
            sentence = f"the subnet of {address} is gone and not restored: the card does without that address"
            self._plan.conflict("fixed_ips", None, "degraded", sentence)
            return None
        new_id, instead = where
        there = instead or (self._context.listed("subnet", new_id) if new_id else None)
        cidr = there.cidr if there is not None else place.ranges.get(subnet, "")
        keep = owned and self._keep and not _from_mac(address, port)
        if asked := self._asked(port, address, owned):
            if _from_mac(address, port):
                self._plan.problems.append(f"{address} is made of the MAC address: map {port['mac_address']}")
            elif not _inside(asked, cidr):
                self._plan.problems.append(f"{asked} is asked for, and is not in the subnet {cidr}")
            address, keep = asked, True
        elif instead is not None and keep and not _inside(address, cidr):
            said = f"{address} is not in the subnet {instead.name or new_id} ({cidr}): it becomes a new one"
            self._plan.conflict("fixed_ips", None, "degraded", said)
            keep = False
        return {"subnet": subnet if instead is None else new_id, "ip_address": address if keep else ""}

    def _wanted(self, port: Mapping[str, Any], address: str) -> str:
        """What the user wants in the place of an address; empty: nothing."""
        asked = self._context.mapping("address", address_id(port["network_id"], address), address)
        return asked.new if asked is not None else ""

    def _asked(self, port: Mapping[str, Any], address: str, owned: bool) -> str:
        """The same, and that it is said."""
        new = self._wanted(port, address)
        if new:
            attribute = "mac_addresses" if address == port["mac_address"] else "fixed_ips"
            self._plan.change(attribute, None, "mapped", f"{address} becomes {new}, as asked for")
            self._demanded.add(new)
            if not owned:
                said = f"{new} is asked for, and only the owner of the network may choose addresses on it"
                self._plan.problems.append(said)
        return new

    def _refuse_taken(self, decision: dict[str, Any], network: Any) -> None:
        """Take addresses out of the decision that somebody else has by now."""
        wanted = [fixed["ip_address"] for fixed in decision["fixed_ips"]] + [decision["mac_address"]]
        taken = self._holders.of(network, filter(None, wanted))
        for address in self._demanded & set(taken):
            self._plan.problems.append(f"{address} is asked for, and taken by {taken[address]}")
        by_holder: dict[str, list[str]] = {}
        for address, holder in taken.items():
            by_holder.setdefault(holder, []).append(address)
        for holder, addresses in by_holder.items():
            words = (
                (" and ".join(addresses), "are", "new ones")
                if addresses[1:]
                else (addresses[0], "is", "a new one")
            )
            which, verb, instead = words
            sentence = (
                f"{which} on the network {network.name} {verb} taken by {holder}: {instead} will be used"
            )
            self._plan.conflicts.append(sentence)
            for attribute, kind in (("mac_addresses", [decision["mac_address"]]), ("fixed_ips", wanted[:-1])):
                if any(address in kind for address in addresses):
                    self._plan.change(attribute, None, "degraded", sentence)
        if decision["mac_address"] in taken:
            decision["mac_address"] = None
        for fixed in decision["fixed_ips"]:
            if fixed["ip_address"] in taken:
                fixed["ip_address"] = ""

    def _floating(self, port: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The floating IPs that will lead to the card: those that are restored or are free."""
        decided = []
        for floating in port.get("floating_ips", ()):
            planned = self._context.planned(ResourceKey(FLOATING_IP, floating["id"]))
            live_id = planned.new_id if planned is not None and planned.new_id else floating["id"]
            live = self._context.listed("floating_ip", live_id)
            usable = live is not None and (
                not live.port_id or live.port_id == port["id"] == self._reusable(port)
            )
            leads = reaches(self._context, port, floating)
            if leads and (usable or (planned is not None and planned.action == "create")):
                decided.append(dict(floating))
                continue
            why = "is not there and not part of the restore"
            if not leads:
                why = "cannot lead to its card, which no router connects with the network of that"
            elif live is not None:
                port_of = self._holders.ports.get(live.port_id)
                why = f"still leads to {self._holders.name(port_of) if port_of else live.port_id}"
            self._plan.conflict(
                "floating_ips",
                None,
                "lost",
                f"the floating IP {floating['address']} {why}: the restored server does without",
            )
        return decided

    def _reusable(self, port: Mapping[str, Any]) -> str:
        live = self._holders.ports.get(port["id"])
        return str(live.id) if live is not None and not live.device_id else ""


def _groups(context: PlanContext, plan: Draft, port: Mapping[str, Any]) -> list[str]:
    """The source ids of the security groups that there will be."""
    kept = []
    for group in port.get("security_group_ids") or ():
        key = ResourceKey(SECURITY_GROUP, group)
        if (asked := context.mapping("security-group", group)) is not None:
            kept.append(group if key in context.graph else asked.new)
            plan.change("security_groups", None, "mapped", asked.said)
        elif key in context.graph or context.there("security_group", group):
            kept.append(group)
        else:
            plan.conflict(
                "security_groups",
                None,
                "degraded",
                f"the security group {group} is not there and not part of the restore: the card "
                f"{port['mac_address']} does without",
            )
            groups = context.listing("security_group")
            plan.propose("security-group", group, called(groups))
    return kept


def _qos(context: PlanContext, plan: Draft, port: Mapping[str, Any]) -> str | None:
    policy = port.get("qos_policy_id")
    if not policy:
        return None
    if exists(context, "QoS policy", policy):
        return str(policy)
    said = f"the QoS policy {policy} is gone: the card does without"
    plan.conflict("qos_policies", None, "lost", said)
    return None


def _inside(address: str, cidr: str) -> bool:
    """Whether an address is in a range, as far as that is known."""
    return not cidr or ipaddress.ip_address(address) in ipaddress.ip_network(cidr)


def _from_mac(address: str, port: Mapping[str, Any]) -> bool:
    """Whether an IPv6 address is made of the MAC address: Neutron does that, none may be asked for."""
    parsed = ipaddress.ip_address(address)
    if parsed.version == 4:
        return False
    octets = bytearray.fromhex(str(port["mac_address"]).replace(":", ""))
    octets[0] ^= 2
    host = bytes(octets[:3]) + b"\xff\xfe" + bytes(octets[3:])
    return parsed.packed[8:] == host
