"""The lower bound for the benchmark of restores: the calls that a restore cannot do without, and no others.

    python benchmarks/restore_bare.py APP.json

Each thing is made by one call, with all its settings. Everything begins as soon as what it needs is there;
each service has a few calls in hand all the time; one listing tells the states of all volumes, another those
of all servers. Nothing is written down, so nothing can be found again, undone or continued.
"""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openstack
from restore_app import CIDR, LIMIT, NAME, RULES, App, Server

INTERVAL = 0.5
THREADS = 4
COMPUTE = "2.90"


class Bare:
    """One run.

    :param cloud: an openstacksdk connection; its proxies send plain requests here.
    """

    def __init__(self, cloud: Any, app: App) -> None:
        self._cloud = cloud
        self._app = app
        self._volumes: dict[str, Future[str]] = {}
        self._ports: dict[str, Future[str]] = {}
        self._servers: dict[str, Future[str]] = {}
        self._available: set[str] = set()

    def run(self) -> None:
        """Make the application; returns when all servers are active."""
        with (
            ThreadPoolExecutor(THREADS) as cinder,
            ThreadPoolExecutor(THREADS) as neutron,
            ThreadPoolExecutor(THREADS) as nova,
        ):
            for server in self._app.servers:
                for place, disk in enumerate(server.disks):
                    self._volumes[disk.name] = cinder.submit(
                        self._volume, disk.name, disk.snapshot, place == 0
                    )
            group = neutron.submit(self._group)
            network, subnet = self._network()
            router = neutron.submit(self._router, subnet)
            for server in self._app.servers:
                self._ports[server.name] = neutron.submit(self._port, server, network, subnet, group)
            self._follow(nova)
            router.result()

    def _post(self, service: str, path: str, key: str, body: dict[str, Any], **options: Any) -> str:
        proxy = getattr(self._cloud, service)
        answer = proxy.post(path, json={key: body}, raise_exc=True, **options)
        return str(answer.json()[key]["id"])

    def _volume(self, name: str, snapshot: str, boots: bool) -> str:
        body = {"name": name, "size": 1} | ({"snapshot_id": snapshot} if snapshot else {})
        volume = self._post("block_storage", "/volumes", "volume", body)
        if boots and not snapshot:
            self._action(volume)
        return volume

    def _action(self, volume: str) -> None:
        body = {"os-set_bootable": {"bootable": True}}
        self._cloud.block_storage.post(f"/volumes/{volume}/action", json=body, raise_exc=True)

    def _group(self) -> str:
        group = self._post("network", "/security-groups", "security_group", {"name": NAME})
        rules = [
            {"security_group_id": group, "direction": "ingress", "ethertype": "IPv4", "protocol": protocol,
             "port_range_min": port, "port_range_max": port}
            for protocol, port in RULES
        ]  # fmt: skip
        self._cloud.network.post(
            "/security-group-rules", json={"security_group_rules": rules}, raise_exc=True
        )
        return group

    def _network(self) -> tuple[str, str]:
        network = self._post("network", "/networks", "network", {"name": NAME})
        subnet = {"network_id": network, "name": NAME, "cidr": CIDR, "ip_version": 4}
        return network, self._post("network", "/subnets", "subnet", subnet)

    def _router(self, subnet: str) -> None:
        body = {"name": NAME, "external_gateway_info": {"network_id": self._app.external}}
        router = self._post("network", "/routers", "router", body)
        path = f"/routers/{router}/add_router_interface"
        self._cloud.network.put(path, json={"subnet_id": subnet}, raise_exc=True)

    def _port(self, server: Server, network: str, subnet: str, group: Future[str]) -> str:
        body = {
            "network_id": network,
            "name": server.name,
            "mac_address": server.mac,
            "fixed_ips": [{"subnet_id": subnet, "ip_address": server.address}],
            "security_groups": [group.result()],
        }
        return self._post("network", "/ports", "port", body)

    def _server(self, server: Server) -> str:
        devices = [
            {"uuid": self._volumes[disk.name].result(), "source_type": "volume", "destination_type": "volume",
             "boot_index": 0 if place == 0 else -1, "delete_on_termination": False}
            for place, disk in enumerate(server.disks)
        ]  # fmt: skip
        body = {
            "name": server.name,
            "flavorRef": self._app.flavor,
            "networks": [{"port": self._ports[server.name].result()}],
            "block_device_mapping_v2": devices,
        }
        return self._post("compute", "/servers", "server", body, microversion=COMPUTE)

    def _follow(self, nova: ThreadPoolExecutor) -> None:
        """Make each server when what it needs is there; return when all are active."""
        deadline = time.monotonic() + LIMIT
        looks = 0
        while True:
            begun = time.monotonic()
            if not all(made.done() and made.result() in self._available for made in self._volumes.values()):
                # (those seen available before are in use by now)
                self._available |= self._ids("block_storage", "/volumes", "volumes", "available")
            for server in self._app.servers:
                if server.name not in self._servers and self._ready(server):
                    self._servers[server.name] = nova.submit(self._server, server)
            active = self._ids("compute", "/servers", "servers", "ACTIVE") if self._servers else set()
            if len(active) == len(self._app.servers):
                break
            for made in (*self._volumes.values(), *self._ports.values(), *self._servers.values()):
                if made.done():
                    made.result()
            looks += 1
            if looks % 10 == 0:
                self._refuse_errors()
            if begun > deadline:
                raise TimeoutError(f"not all is there after {LIMIT:.0f} s")
            # The services work on the same cores: looking must not take much of their time.
            time.sleep(max(INTERVAL, 2 * (time.monotonic() - begun)))

    def _refuse_errors(self) -> None:
        """:raises RuntimeError: something was not made."""
        failed = self._ids("compute", "/servers", "servers", "ERROR")
        failed |= self._ids("block_storage", "/volumes", "volumes", "error")
        if failed:
            raise RuntimeError(f"in status error: {', '.join(failed)}")

    def _ready(self, server: Server) -> bool:
        needed = [self._volumes[disk.name] for disk in server.disks]
        if not all(made.done() for made in (self._ports[server.name], *needed)):
            return False
        return all(made.result() in self._available for made in needed)

    def _ids(self, service: str, path: str, key: str, status: str) -> set[str]:
        answer = getattr(self._cloud, service).get(
            path, params={"status": status, "limit": 1000}, raise_exc=True
        )
        return {str(thing["id"]) for thing in answer.json()[key]}


def main() -> None:
    """Make the application of a file."""
    with Path(sys.argv[1]).open() as file:
        app = App.from_json(json.load(file))
    Bare(openstack.connect(api_timeout=300), app).run()


if __name__ == "__main__":
    main()
