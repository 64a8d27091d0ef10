"""The application that is protected and restored through the fault proxy, and what a project holds of it.

One server with a disk from an image, a volume, a network, a router, a security group and a floating IP. Its
guest is not listened to: what is on disks is the matter of other tests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from openstack.exceptions import ConflictException, HttpException, NotFoundException

from demo.build import plug, wait_for_server
from demo.inventory import Inventory, difference
from demo.waiting import wait_for

PREFIX = "faulty-"
SERVER = f"{PREFIX}server"
GONE_SECONDS = 180.0


PARTS = (
    ("OS::Neutron::Network", "net"),
    ("OS::Neutron::Router", "router"),
    ("OS::Neutron::SecurityGroup", "group"),
    ("OS::Cinder::Volume", "data"),
)


SIZES = ("all", "no-server", "networks")
"""How much of it there is: ``no-server`` leaves out server and floating IP, ``networks`` the volume, too."""


def build(cloud: Any, size: str = "all") -> list[str]:
    """Build it; returns what a plan for it names.

    :param size: one of :data:`SIZES`.
    """
    network = cloud.network
    volume = None
    if size != "networks":
        volume = cloud.block_storage.create_volume(name=f"{PREFIX}data", size=1, metadata={"kept": "yes"})
    net = network.create_network(name=f"{PREFIX}net", description="a network")
    subnet = network.create_subnet(
        network_id=net.id, name=f"{PREFIX}subnet", cidr="10.41.0.0/24", ip_version=4
    )
    public = network.find_network("public", ignore_missing=False).id
    router = network.create_router(name=f"{PREFIX}router", external_gateway_info={"network_id": public})
    network.add_interface_to_router(router, subnet=subnet.id)
    group = network.create_security_group(name=f"{PREFIX}group", description="a group")
    network.create_security_group_rule(
        security_group_id=group.id, direction="ingress", ether_type="IPv4", protocol="icmp"
    )
    if size != "all" or volume is None:
        return [f"{kind}={PREFIX}{name}" for kind, name in PARTS if volume is not None or name != "data"]
    port = network.create_port(network_id=net.id, name=f"{PREFIX}port", security_groups=[group.id])
    network.create_ip(floating_network_id=public, port_id=port.id, description="an address")
    made = cloud.compute.create_server(
        name=SERVER,
        flavor_id=cloud.compute.find_flavor("tiny", ignore_missing=False).id,
        image_id=cloud.image.find_image("guest", ignore_missing=False).id,
        networks=[{"port": port.id}],
    )
    wait_for_server(cloud, made.id)
    plug(cloud, made.id, volume.id)
    return [f"server={SERVER}"]


def shape(cloud: Any) -> list[str]:
    """What the restored application must look like, a line for each thing; ids and addresses left out."""
    project = {"project_id": cloud.current_project_id}
    ports = {port.id: port for port in cloud.network.ports(**project)}
    lines = [f"server {s.name} {s.status} {sorted(a for a in s.addresses)}" for s in cloud.compute.servers()]
    lines += [
        f"volume {v.name} {v.size} {v.status} {v.metadata} {len(v.attachments)}"
        for v in cloud.block_storage.volumes()
    ]
    lines += [
        f"network {n.name} {n.description} {len(n.subnet_ids)}" for n in cloud.network.networks(**project)
    ]
    lines += [f"subnet {s.name} {s.cidr} {s.gateway_ip}" for s in cloud.network.subnets(**project)]
    lines += [
        f"router {r.name} {bool(r.external_gateway_info)} "
        f"{sum(1 for port in ports.values() if port.device_id == r.id)}"
        for r in cloud.network.routers(**project)
    ]
    lines += [
        f"group {g.name} {g.description} {len(g.security_group_rules)}"
        for g in cloud.network.security_groups(**project)
    ]
    lines += [
        f"port {p.name} {p.device_owner.partition(':')[0]} {len(p.fixed_ips)} {len(p.security_group_ids)}"
        for p in ports.values()
        if p.device_owner != "network:distributed"
    ]
    lines += [
        f"address {f.description} at {ports[f.port_id].name if f.port_id in ports else 'nothing'}"
        for f in cloud.network.ips(**project)
    ]
    lines += [
        f"image {i.name} {i.status} {i.tags}" for i in cloud.image.images(owner=cloud.current_project_id)
    ]
    return sorted(lines)


def purge(cloud: Any, before: Inventory, now: Inventory) -> None:
    """Delete all that was not there before."""

    def new(kind: str) -> list[str]:
        return [identity for identity in now[kind] if identity not in before[kind]]

    network, storage, compute = cloud.network, cloud.block_storage, cloud.compute
    _remove(new("floating ips"), network.delete_ip)
    _remove(new("servers"), compute.delete_server, compute.get_server)
    for identity in new("routers"):
        for port in network.ports(device_id=identity, device_owner="network:router_interface"):
            network.remove_interface_from_router(identity, port=port.id)
    _remove(new("routers"), network.delete_router)
    own = [port.id for port in network.ports() if not port.device_owner.startswith("network:")]
    _remove([identity for identity in new("ports") if identity in own], network.delete_port)
    _remove(new("networks"), network.delete_network)
    _remove(new("security groups"), network.delete_security_group)
    _remove(new("images"), cloud.image.delete_image)
    _remove(new("backups"), storage.delete_backup, storage.get_backup)
    _remove(new("snapshots"), storage.delete_snapshot, storage.get_snapshot)
    _remove(new("volumes"), storage.delete_volume, storage.get_volume)


def _remove(
    ids: Iterable[str], delete: Callable[[str], Any], look: Callable[[str], Any] | None = None
) -> None:
    """Delete things, and wait until they are gone when that takes time."""
    found = list(ids)
    for identity in found:
        wait_for(f"{identity} to be deleted", partial(_accepted, delete, identity), GONE_SECONDS)
    if look is not None:
        for identity in found:
            wait_for(f"{identity} to be gone", partial(_gone, look, identity), GONE_SECONDS)


def extra(before: Inventory, after: Inventory, allowed: Iterable[str] = ()) -> list[str]:
    """What came and went, but new things of these kinds."""
    starts = tuple(f"new in {kind}: " for kind in allowed)
    lines = difference(before, after)
    return [line for line in lines if not (starts and line.startswith(starts))]


def marked(cloud: Any) -> list[str]:
    """What still carries a mark of Refloat's that users should not see."""
    project = {"project_id": cloud.current_project_id}
    things = [
        *cloud.compute.servers(),
        *cloud.block_storage.volumes(),
        *cloud.network.networks(**project),
        *cloud.network.subnets(**project),
        *cloud.network.routers(**project),
        *cloud.network.ports(**project),
        *cloud.network.security_groups(**project),
        *cloud.network.ips(**project),
        *cloud.image.images(owner=cloud.current_project_id),
    ]
    found = []
    for thing in things:
        metadata = getattr(thing, "metadata", None) or {}
        said = [str(getattr(thing, "description", "") or ""), *(getattr(thing, "tags", None) or ())]
        if "refloat" in metadata or any(text.startswith("refloat:") for text in said):
            found.append(f"marked: {type(thing).__name__} {thing.name} ({thing.id})")
    return found


def _accepted(delete: Callable[[str], Any], identity: str) -> bool:
    try:
        delete(identity)
    except ConflictException:
        return False
    except NotFoundException:
        return True
    except HttpException as exc:
        if exc.status_code != 400:
            raise
        return False
    return True


def _gone(look: Callable[[str], Any], identity: str) -> bool:
    try:
        look(identity)
    except NotFoundException:
        return True
    return False
