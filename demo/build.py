"""Builds the application, as an ordinary user of the project would."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from demo.application import (
    APP_CIDR,
    APP_GATEWAY,
    DB_ADDRESSES,
    DB_CIDR,
    DB_MACS,
    PUBLIC_KEY,
    SERVERS,
    Application,
    VolumeSpec,
)
from demo.guests import Spoken, listen, unknown, user_data
from demo.waiting import wait_for

SERVER_SECONDS = 180
VOLUME_SECONDS = 120
GUEST_SECONDS = 180


class NotBuilt(Exception):
    """The application could not be built as it should be."""


class Builder:
    """Builds one application.

    :param cloud: an openstacksdk connection.
    """

    def __init__(self, cloud: Any, app: Application) -> None:
        self.cloud = cloud
        self.app = app
        self.networks: dict[str, Any] = {}
        self.groups: dict[str, Any] = {}
        self.volumes: dict[str, Any] = {}
        self.servers: dict[str, Any] = {}

    def build(self) -> dict[str, Spoken]:
        """Build all of it and wait until the guests have written to their disks; what they then say."""
        self._refuse_what_is_there()
        self._create_volumes()
        self._create_networks()
        self._create_router()
        self._create_groups()
        self._create_small_things()
        self._wait_for_volumes()
        self._create_web()
        if "db" in self.app.servers:
            self._create_db()
        self._finish_servers()
        return wait_for_guests(self.cloud, self.app)

    def _refuse_what_is_there(self) -> None:
        wanted = {self.app.name(name) for name in (*SERVERS, "app-net", "db-net", "app-router")}
        there = [
            thing.name
            for things in (
                self.cloud.compute.servers(),
                self.cloud.network.networks(),
                self.cloud.network.routers(),
            )
            for thing in things
            if thing.name in wanted
        ]
        if there:
            raise NotBuilt(f"the project has {', '.join(there)} already: python -m demo destroy")

    # --- networks

    def _create_networks(self) -> None:
        network = self.cloud.network
        for short, cidr, gateway in (("app-net", APP_CIDR, APP_GATEWAY), ("db-net", DB_CIDR, None)):
            made = network.create_network(
                name=self.app.name(short), description=f"the demo's {short}", is_port_security_enabled=True
            )
            network.set_tags(made, ["demo", short])
            prefix = cidr.rpartition(".")[0]
            subnet = network.create_subnet(
                network_id=made.id,
                name=self.app.name(short.replace("-net", "-subnet")),
                description=f"addresses of {short}",
                ip_version=4,
                cidr=cidr,
                gateway_ip=gateway,
                dns_nameservers=["192.0.2.53", "192.0.2.54"] if gateway else [],
                host_routes=[{"destination": "198.51.100.0/24", "nexthop": f"{prefix}.50"}],
                allocation_pools=[{"start": f"{prefix}.10", "end": f"{prefix}.99"}],
            )
            network.set_tags(subnet, ["demo"])
            self.networks[short] = made
            self.networks[f"{short} subnet"] = subnet

    def _create_router(self) -> None:
        network = self.cloud.network
        public = network.find_network(self.app.public, ignore_missing=False)
        router = network.create_router(
            name=self.app.name("app-router"),
            description="the way out",
            external_gateway_info={"network_id": public.id},
        )
        network.set_tags(router, ["demo", "edge"])
        network.add_interface_to_router(router, subnet=self.networks["app-net subnet"].id)
        self._public = public

    def _create_groups(self) -> None:
        network = self.cloud.network
        for short in ("web-sg", "db-sg"):
            made = network.create_security_group(
                name=self.app.name(short), description=f"who may talk to {short}"
            )
            network.set_tags(made, ["demo"])
            self.groups[short] = made
        web, db = self.groups["web-sg"], self.groups["db-sg"]
        for rule in db.security_group_rules:  # no IPv6 out of the database tier
            if rule["ethertype"] == "IPv6":
                network.delete_security_group_rule(rule["id"])
        anyone = "0.0.0.0/0"
        for group, values in (
            (
                web,
                {"protocol": "tcp", "port_range_min": 80, "port_range_max": 80, "remote_ip_prefix": anyone},
            ),
            (web, {"protocol": "icmp", "remote_ip_prefix": anyone, "description": "ping"}),
            (
                web,
                {"protocol": "tcp", "port_range_min": 8080, "port_range_max": 8090, "remote_group_id": db.id},
            ),
            (
                db,
                {
                    "protocol": "tcp",
                    "port_range_min": 5432,
                    "port_range_max": 5432,
                    "remote_group_id": web.id,
                },
            ),
            (db, {"protocol": "udp", "remote_group_id": db.id, "description": "among databases"}),
        ):
            network.create_security_group_rule(
                security_group_id=group.id, direction="ingress", ether_type="IPv4", **values
            )

    # --- volumes

    def _create_volumes(self) -> None:
        image = self.cloud.image.find_image(self.app.image, ignore_missing=False)
        types = {kind.name for kind in self.cloud.block_storage.types()}
        for spec in self.app.volumes:
            self.volumes[spec.name] = self.cloud.block_storage.create_volume(
                name=self.app.name(spec.name),
                description=f"disk {spec.device} of {spec.server}",
                size=spec.size,
                volume_type=spec.type if spec.type in types else None,
                image_id=image.id if spec.is_root else None,
                metadata=dict(spec.metadata),
            )

    def _wait_for_volumes(self) -> None:
        for spec in self.app.volumes:
            identity = self.volumes[spec.name].id
            self._wait_for_volume(spec, identity)
            if spec.bootable and not spec.is_root:
                self.cloud.block_storage.set_volume_bootable_status(identity, True)

    def _wait_for_volume(self, spec: VolumeSpec, identity: str) -> None:
        def available() -> bool:
            status = self.cloud.block_storage.get_volume(identity).status
            if status.startswith("error"):
                raise NotBuilt(f"volume {spec.name} is in {status}")
            return bool(status == "available")

        wait_for(f"volume {spec.name} to be available", available, VOLUME_SECONDS)

    # --- servers

    def _create_small_things(self) -> None:
        self.cloud.compute.create_keypair(name=self.app.name("app-key"), public_key=PUBLIC_KEY, type="ssh")
        self._group = self.cloud.compute.create_server_group(
            name=self.app.name("app-group"), policy="soft-anti-affinity"
        )

    def _create_server(self, short: str, **values: Any) -> None:
        disks = {device: self.app.size(short, device) for device in self.app.disks(short)}
        self.servers[short] = self.cloud.compute.create_server(
            name=self.app.name(short),
            description=f"the {short} tier",
            key_name=self.app.name("app-key"),
            metadata={"tier": short, "app": "shop"},
            tags=["demo", f"tier-{short}"],
            scheduler_hints={"group": self._group.id},
            user_data=base64.b64encode(user_data(short, disks).encode()).decode(),
            **values,
        )

    def _create_web(self) -> None:
        self._create_server(
            "web",
            flavor_id=self.cloud.compute.find_flavor(self.app.web_flavor, ignore_missing=False).id,
            image_id=self.cloud.image.find_image(self.app.image, ignore_missing=False).id,
            networks=[{"uuid": self.networks["app-net"].id}],
            security_groups=[{"name": self.groups["web-sg"].id}],
        )

    def _create_db(self) -> None:
        ports = []
        for short in ("app-net", "db-net"):
            ports.append(
                self.cloud.network.create_port(
                    name=self.app.name(f"db-{short}"),
                    network_id=self.networks[short].id,
                    mac_address=DB_MACS[short],
                    fixed_ips=[
                        {"subnet_id": self.networks[f"{short} subnet"].id, "ip_address": DB_ADDRESSES[short]}
                    ],
                    security_group_ids=[self.groups["db-sg"].id],
                )
            )
        roots = {"db-root": 0}
        self._create_server(
            "db",
            flavor_id=self.cloud.compute.find_flavor(self.app.db_flavor, ignore_missing=False).id,
            image_id="",
            networks=[{"port": port.id} for port in ports],
            has_config_drive=True,
            block_device_mapping=[
                {
                    "uuid": self.volumes[spec.name].id,
                    "source_type": "volume",
                    "destination_type": "volume",
                    "boot_index": roots.get(spec.name, -1),
                    "delete_on_termination": False,
                    "tag": spec.name,
                }
                for spec in self.app.volumes
                if spec.server == "db"
            ],
        )

    def _finish_servers(self) -> None:
        for short in self.app.servers:
            wait_for_server(self.cloud, self.servers[short].id)
        web = self.servers["web"].id
        plug(self.cloud, web, self.volumes["web-data"].id)
        port = next(iter(self.cloud.network.ports(device_id=web)))
        address = self.cloud.network.create_ip(
            floating_network_id=self._public.id, port_id=port.id, description="where customers come"
        )
        self.cloud.network.set_tags(address, ["demo", "entry"])


def wait_for_server(cloud: Any, identity: str, status: str = "ACTIVE") -> Any:
    """Wait until a server is in a status. :raises NotBuilt: it is in error."""

    def ready() -> Any:
        server = cloud.compute.get_server(identity)
        if server.status == "ERROR":
            raise NotBuilt(f"server {server.name} is in ERROR: {(server.fault or {}).get('message', '')}")
        return server if server.status == status else None

    return wait_for(f"server {identity} to be {status}", ready, SERVER_SECONDS)


def plug(cloud: Any, server_id: str, volume_id: str) -> None:
    """Attach a volume to a running guest, as one that is plugged in later.

    Only once the guest has found its root disk, or it may take the new disk for the first one.
    """
    wait_for(
        f"the guest of server {server_id} to find its root disk",
        lambda: "GUEST root" in console(cloud, server_id) or None,
        GUEST_SECONDS,
    )
    cloud.compute.create_volume_attachment(server_id, volume_id=volume_id)


def find_server(cloud: Any, name: str) -> Any:
    """The one server of a name. :raises NotBuilt: there is none, or several."""
    found = [server for server in cloud.compute.servers(name=f"^{name}$") if server.name == name]
    if len(found) != 1:
        raise NotBuilt(f"there are {len(found)} servers called {name}")
    return found[0]


def wait_for_guests(
    cloud: Any, app: Application, servers: Iterable[str] = (), seconds: float = GUEST_SECONDS
) -> dict[str, Spoken]:
    """Wait until the guests have said all about their disks; what they said.

    :param servers: of these servers; none: of all that the application has.
    :raises NotBuilt: a disk does not hold what was written there.
    """
    result = {}
    for short in servers or app.servers:
        identity = find_server(cloud, app.name(short)).id
        result[short] = hear(cloud, app, short, identity, seconds)
    return result


def hear(cloud: Any, app: Application, short: str, identity: str, seconds: float = GUEST_SECONDS) -> Spoken:
    """Wait until one guest has said all about its disks; what it said."""
    disks = {device: app.size(short, device) for device in app.disks(short)}

    def all_said() -> Spoken | None:
        spoken = listen(console(cloud, identity))
        return spoken if {"vda", *disks} <= spoken.ended else None

    spoken = wait_for(f"guest {short} to tell what its disks hold", all_said, seconds, every=2)
    missing = unknown(short, spoken, disks)
    if missing:
        raise NotBuilt("; ".join(missing))
    return spoken


def console(cloud: Any, identity: str) -> str:
    """A server's console, whole."""
    return str(cloud.compute.get_server_console_output(identity).get("output") or "")
