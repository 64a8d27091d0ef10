"""Networks, routers, groups and addresses for tests, made by hand and removed again."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping
from typing import Any

from openstack.exceptions import ConflictException

from refloat.cloud import Cloud
from refloat.graph import Resource, ResourceKey
from refloat.resources.networking import INTERFACE_OWNERS
from tests.fullstack.hookrig import Rig

NETWORK = "OS::Neutron::Network"
SUBNET = "OS::Neutron::Subnet"
ROUTER = "OS::Neutron::Router"
GROUP = "OS::Neutron::SecurityGroup"
ADDRESS = "OS::Neutron::FloatingIP"

COUNTED = ("network", "subnet", "port", "router", "security_group", "security_group_rule", "floating_ip")


class NetBench:
    """What one test makes: everything has the bench's name, and goes when the bench does."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.neutron = cloud.network
        self.name = f"net-test-{uuid.uuid4().hex[:6]}"
        self.public = next(iter(self.neutron.networks(is_router_external=True)))
        self.default = next(g for g in cloud.list("security_group") if g.name == "default")
        self.rules_before = {rule["id"] for rule in self.default.security_group_rules}

    def mine(self, kind: str) -> list[Any]:
        """What the bench or a restore has made of a kind."""
        return [thing for thing in self.cloud.list(kind) if str(thing.name).startswith(self.name)]

    def inventory(self) -> dict[str, int]:
        """How many there are of each kind."""
        networks = {network.id for network in self.mine("network")}
        groups = {group.id for group in self.mine("security_group")}
        return {
            "networks": len(networks),
            "subnets": sum(s.network_id in networks for s in self.cloud.list("subnet")),
            "ports": sum(p.network_id in networks for p in self.cloud.list("port")),
            "routers": len(self.mine("router")),
            "groups": len(groups),
            "rules": sum(r.security_group_id in groups for r in self.cloud.list("security_group_rule")),
        }

    def wipe_routers(self) -> None:
        for router in self.mine("router"):
            self.neutron.update_router(router, routes=[])
            for port in list(self.neutron.ports(device_id=router.id)):
                if port.device_owner in INTERFACE_OWNERS:
                    self.neutron.remove_interface_from_router(router, port=port.id)
            self.neutron.delete_router(router)

    def _remove_network(self, network: Any) -> None:
        """Nova takes a moment to remove the ports of a server that is gone."""
        deadline = time.monotonic() + 60
        while True:
            try:
                self.neutron.delete_network(network)
                return
            except ConflictException:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)

    def wipe(self) -> None:
        """Remove all of it."""
        self.wipe_routers()
        for network in self.mine("network"):
            for port in list(self.neutron.ports(network_id=network.id)):
                if not port.device_owner:
                    self.neutron.delete_port(port)
            self._remove_network(network)
        groups = self.mine("security_group")
        for group in groups:
            for rule in group.security_group_rules:
                if rule["remote_group_id"] not in (None, group.id):
                    self.neutron.delete_security_group_rule(rule["id"])
        for group in groups:
            self.neutron.delete_security_group(group)
        for rule in self.neutron.get_security_group(self.default.id).security_group_rules:
            if rule["id"] not in self.rules_before and (rule["description"] or "").startswith(self.name):
                self.neutron.delete_security_group_rule(rule["id"])


def again(rig: Rig, restored: Mapping[tuple[str, str], Mapping[str, Any]]) -> dict[ResourceKey, Any]:
    """The sections of what was restored, with the old ids in the place of the new ones."""
    new_to_old = {line["new_id"]: source for (_type, source), line in restored.items()}
    fresh = Rig(rig.cloud)
    roots = [Resource(t, line["new_id"]) for (t, _source), line in restored.items() if t != SUBNET]
    text = json.dumps(
        {f"{key.type}#{key.id}": value for key, value in fresh.protect(*roots).items()}, sort_keys=True
    )
    for new, old in new_to_old.items():
        text = text.replace(new, old)
    return {ResourceKey.parse(key): value for key, value in json.loads(text).items()}


def different(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The fields in which two sections differ."""
    return {field: (one[field], other[field]) for field in one if one[field] != other[field]}
