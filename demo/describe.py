"""What the application is, attribute by attribute, as OpenStack's services tell it.

Ids of things that a restore makes anew are told by the things' names, so that two descriptions
can be compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from demo.application import Application
from demo.build import find_server
from demo.guests import Spoken

Description = Mapping[str, Mapping[str, Any]]
"""For each resource (``server web``) its attributes."""

NEW_BY_NATURE = frozenset({"id", "image", "port ids", "boots"})
"""Attributes that a new resource cannot share with the old; told, never promised."""


class Describer:
    """Describes one application.

    :param owner: the connection of the user who owns the key pair, if not ``cloud``.
    """

    def __init__(self, cloud: Any, app: Application, owner: Any = None) -> None:
        self.cloud = cloud
        self.app = app
        self.owner = owner or cloud

    def describe(self, spoken: Mapping[str, Spoken]) -> Description:
        """All of it.

        :param spoken: what the guests said.
        """
        result: dict[str, dict[str, Any]] = {}
        for short in ("app-net", "db-net"):
            result.update(self._network(short))
        result["router app-router"] = self._router()
        for short in ("web-sg", "db-sg"):
            result[f"security group {short}"] = self._group(short)
        result["key pair app-key"] = self._keypair()
        for spec in self.app.volumes:
            result[f"volume {spec.name}"] = self._volume(spec.name)
        for short in self.app.servers:
            result[f"server {short}"] = self._server(short, spoken[short].macs if short in spoken else ())
            if addresses := self._addresses(short):
                result[f"floating ips of {short}"] = addresses
        for short, said in spoken.items():
            result[f"guest {short}"] = {
                "marker": said.marker,
                "boots": said.boots,
                "addresses": said.addresses,
                "uuid is the server's": said.uuid == find_server(self.cloud, self.app.name(short)).id,
            }
            for disk, places in sorted(said.disks.items()):
                result[f"contents of {short} {disk}"] = dict(places)
        return result

    # --- networks

    def _one(self, things: Iterable[Any], what: str) -> Any:
        found = list(things)
        if len(found) != 1:
            raise LookupError(f"there are {len(found)} {what}")
        return found[0]

    def _network(self, short: str) -> dict[str, dict[str, Any]]:
        name = self.app.name(short)
        net = self._one(self.cloud.network.networks(name=name), f"networks called {name}")
        subnet = self._one(self.cloud.network.subnets(network_id=net.id), f"subnets of {name}")
        return {
            f"network {short}": {
                "id": net.id,
                "name": net.name,
                "description": net.description,
                "admin state": net.is_admin_state_up,
                "mtu": net.mtu,
                "port security": net.is_port_security_enabled,
                "tags": sorted(net.tags),
            },
            f"subnet of {short}": {
                "id": subnet.id,
                "name": subnet.name,
                "description": subnet.description,
                "cidr": subnet.cidr,
                "gateway": subnet.gateway_ip,
                "pools": subnet.allocation_pools,
                "dhcp": subnet.is_dhcp_enabled,
                "dns": subnet.dns_nameservers,
                "routes": subnet.host_routes,
                "tags": sorted(subnet.tags),
            },
        }

    def _router(self) -> dict[str, Any]:
        name = self.app.name("app-router")
        router = self._one(self.cloud.network.routers(name=name), f"routers called {name}")
        gateway = router.external_gateway_info or {}
        interfaces = [
            (self._network_name(port.network_id), address["ip_address"])
            for port in self.cloud.network.ports(device_id=router.id, device_owner="network:router_interface")
            for address in port.fixed_ips
        ]
        return {
            "id": router.id,
            "name": router.name,
            "description": router.description,
            "admin state": router.is_admin_state_up,
            "gateway": self._network_name(gateway["network_id"]) if gateway else None,
            "interfaces": sorted(interfaces),
            "routes": router.routes,
            "tags": sorted(router.tags),
        }

    def _network_name(self, identity: str) -> str:
        return self.app.short(str(self.cloud.network.get_network(identity).name))

    def _group(self, short: str) -> dict[str, Any]:
        name = self.app.name(short)
        group = self._one(self.cloud.network.security_groups(name=name), f"security groups called {name}")
        rules = sorted(self._rule(rule) for rule in group.security_group_rules)
        return {
            "id": group.id,
            "name": group.name,
            "description": group.description,
            "stateful": group.stateful,
            "tags": sorted(group.tags),
            "rules": rules,
        }

    def _rule(self, rule: Mapping[str, Any]) -> str:
        low, high = rule["port_range_min"], rule["port_range_max"]
        remote = rule["remote_ip_prefix"] or (
            self._group_name(rule["remote_group_id"]) if rule["remote_group_id"] else "anyone"
        )
        ports = "" if low is None else f" {low}-{high}"
        text = f"{rule['direction']} {rule['ethertype']} {rule['protocol'] or 'any'}{ports} {remote}"
        return f"{text} '{rule['description']}'" if rule["description"] else text

    def _group_name(self, identity: str) -> str:
        return self.app.short(str(self.cloud.network.get_security_group(identity).name))

    # --- volumes and key pairs

    def _keypair(self) -> dict[str, Any]:
        pair = self.owner.compute.get_keypair(self.app.name("app-key"))
        return {
            "name": pair.name,
            "type": pair.type,
            "fingerprint": pair.fingerprint,
            "public key": pair.public_key,
        }

    def _volume(self, short: str) -> dict[str, Any]:
        name = self.app.name(short)
        found = [v for v in self.cloud.block_storage.volumes(name=name) if v.name == name]
        volume = self._one(found, f"volumes called {name}")
        servers = [
            (self.app.short(self.cloud.compute.get_server(a["server_id"]).name), a["device"])
            for a in volume.attachments
        ]
        return {
            "id": volume.id,
            "name": volume.name,
            "description": volume.description,
            "size": volume.size,
            "type": volume.volume_type,
            "zone": volume.availability_zone,
            "metadata": volume.metadata,
            "bootable": volume.is_bootable,
            "multi-attach": volume.is_multiattach,
            "status": volume.status,
            "attached to": servers,
        }

    # --- servers

    def _server(self, short: str, macs: Sequence[str]) -> dict[str, Any]:
        server = find_server(self.cloud, self.app.name(short))
        compute = self.cloud.compute
        volumes = {v.id: self.app.short(v.name or "") for v in self.cloud.block_storage.volumes()}
        attached = sorted(compute.volume_attachments(server.id), key=lambda a: a.device)
        image = (server.image or {}).get("id")
        groups = [
            group.name
            for group in compute.server_groups()
            if server.id in (compute.get_server_group(group.id).member_ids or ())
        ]
        root = next((volumes.get(a.volume_id) for a in attached if a.device == "/dev/vda"), None)
        return {
            "id": server.id,
            "name": server.name,
            "description": server.description,
            "hostname": server.hostname,
            "flavor": server.flavor.get("original_name") or server.flavor.get("name"),
            "metadata": server.metadata,
            "tags": sorted(compute.get_server(server.id).tags or []),
            "key pair": server.key_name,
            "config drive": bool(server.has_config_drive),
            "zone": server.availability_zone,
            "server group": groups,
            "power state": (server.status, server.power_state),
            "boot source": "image" if image else f"volume {root}",
            "image": image,
            "volumes": [
                (a.device, volumes.get(a.volume_id), a.tag or "", bool(a.delete_on_termination))
                for a in attached
            ],
            **self._nics(server, macs),
        }

    def _nics(self, server: Any, macs: Sequence[str]) -> dict[str, Any]:
        # in the order in which its guest sees them, which no service tells a member
        ports = sorted(
            self.cloud.network.ports(device_id=server.id),
            key=lambda port: (
                macs.index(port.mac_address) if port.mac_address in macs else -1,
                port.mac_address,
            ),
        )
        return {
            "port ids": [port.id for port in ports],
            "port names": [self.app.short(port.name) for port in ports],
            "nics": [self._network_name(port.network_id) for port in ports],
            "macs": [port.mac_address for port in ports],
            "fixed ips": [[a["ip_address"] for a in port.fixed_ips] for port in ports],
            "security groups": [
                sorted(self._group_name(identity) for identity in port.security_group_ids) for port in ports
            ],
        }

    def _addresses(self, short: str) -> dict[str, Any]:
        server = find_server(self.cloud, self.app.name(short))
        ports = {port.id for port in self.cloud.network.ports(device_id=server.id)}
        found = sorted(
            (
                ip
                for ip in self.cloud.network.ips(project_id=self.cloud.current_project_id)
                if ip.port_id in ports
            ),
            key=lambda ip: str(ip.floating_ip_address),
        )
        if not found:
            return {}
        return {
            "addresses": [ip.floating_ip_address for ip in found],
            "inside": [ip.fixed_ip_address for ip in found],
            "network": [self._network_name(ip.floating_network_id) for ip in found],
            "description": [ip.description for ip in found],
            "tags": [sorted(ip.tags) for ip in found],
        }
