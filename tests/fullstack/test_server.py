"""Servers on a real cloud: protected, lost, restored, compared; beside living ones; cut off and run again."""

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.cloud.removal import removal
from refloat.errors import CloudError, Impossible, NotFound
from refloat.graph import Graph, ResourceKey
from refloat.resources.server import SERVERS
from refloat.resources.server.protectable import TYPE
from refloat.resources.server.section import server_section
from tests.fullstack.hookrig import Rig, finish
from tests.fullstack.storagerig import Files

PREFIX = "srv-test"
WAIT = 280
"""Seconds: machines that run tests are slow."""
WRITE = (
    "for d in vdb vdc; do while [ ! -e /dev/$d ]; do sleep 1; done; echo text-on-$d > /dev/$d; done; "
    "mkdir -p /root/data; echo after boot > /root/data/late; sync"
)


class Bench:
    """Makes things in the project, and removes them, and what rigs restored, in the end."""

    def __init__(self, cloud: Cloud, folder: Path) -> None:
        self.cloud = cloud
        self.folder = folder
        self.image = next(image for image in cloud.image.images() if image.name == "guest")
        self.flavor = next(flavor for flavor in cloud.list("flavor") if flavor.name == "tiny")
        self.made: list[tuple[str, str]] = []
        self.rigs: list[Rig] = []

    def keep(self, kind: str, thing: Any) -> Any:
        """Remember that a thing is to be removed."""
        self.made.append((kind, str(thing.id)))
        return thing

    def network(self, name: str, cidr: str) -> Any:
        name = f"{PREFIX}-{name}"
        network = self.keep("network", self.cloud.network.create_network(name=name))
        self.cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr=cidr, name=name)
        return network

    def port(self, network: Any, **fields: Any) -> Any:
        return self.keep("port", self.cloud.network.create_port(network_id=network.id, **fields))

    def volume(self, name: str, **fields: Any) -> Any:
        volume = self.cloud.block_storage.create_volume(name=f"{PREFIX}-{name}", size=1, **fields)
        self.keep("volume", volume)
        return self.cloud.wait("volume", volume.id, ("available",), timeout=WAIT).result()

    def server(self, ports: list[Any], **fields: Any) -> Any:
        body = {
            "name": f"{PREFIX}-server",
            "image_id": self.image.id,
            "flavor_id": self.flavor.id,
            "networks": [{"port": port.id} for port in ports] or "none",
        }
        wanted = {name: value for name, value in (body | fields).items() if value is not None}
        server = self.keep("server", self.cloud.compute.create_server(**wanted))
        return self.cloud.wait("server", server.id, ("ACTIVE",), timeout=WAIT).result()

    def alone(self, server_id: str) -> tuple[Rig, ResourceKey]:
        """A rig with just a server: everything that it needs is to be used as it is in the cloud."""
        rig = self.rig()
        rig.graph = Graph()
        node = rig.graph.add(SERVERS.protectable(self.cloud).show(server_id))
        rig.sections = {node.key: server_section(self.cloud, server_id)}
        return rig, node.key

    def rig(self) -> Rig:
        rig = Rig(self.cloud)
        rig.data = Files(self.folder)
        self.rigs.append(rig)
        return rig

    def servers(self) -> set[str]:
        """The servers of these tests."""
        return {server.id for server in self.cloud.list("server") if server.name.startswith(PREFIX)}

    def ports(self, network: Any) -> set[str]:
        """The ports of servers on a network."""
        ports = self.cloud.network.ports(network_id=network.id)
        return {port.id for port in ports if not str(port.device_owner).startswith("network:")}

    def wipe(self, *kinds: str) -> None:
        """Remove what was made of some kinds, or everything."""
        if not kinds:
            for rig in self.rigs:
                rig.undo()
        for kind in kinds or KINDS:
            for identity in [identity for made, identity in self.made if made == kind]:
                if kind == "router":
                    self._clear_router(identity)
                finish(removal(self.cloud, kind, identity))

    def _clear_router(self, identity: str) -> None:
        for port in self.cloud.network.ports(device_id=identity, device_owner="network:router_interface"):
            self.cloud.network.remove_interface_from_router(identity, port=port.id)


KINDS = (
    "server",
    "floating_ip",
    "backup",
    "volume",
    "image",
    "port",
    "router",
    "network",
    "security_group",
    "keypair",
    "server_group",
)


@pytest.fixture
def bench(cloud: Cloud, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(cloud, tmp_path)
    try:
        yield bench
    finally:
        bench.wipe()


def console(cloud: Cloud, server_id: str, until: str = "GUEST ready", seconds: float = 120) -> list[str]:
    """What a guest has said, once it has said a certain thing."""
    deadline = time.monotonic() + seconds
    while True:
        output = cloud.compute.get_server_console_output(server_id)["output"] or ""
        lines = [
            line.removeprefix("GUEST ").strip() for line in output.splitlines() if line.startswith("GUEST ")
        ]
        if until in output or time.monotonic() > deadline:
            assert until in output, lines
            return lines
        time.sleep(2)


def macs_in_guest(lines: list[str]) -> list[str]:
    return [line.partition("mac=")[2] for line in lines if line.startswith("net eth") and "mac=" in line]


def disk_texts(lines: list[str]) -> dict[str, str]:
    return {
        line.split()[1]: line.partition("text='")[2].rstrip("'")
        for line in lines
        if line.startswith("disk ") and "text='" in line
    }


SAME = (
    "name",
    "description",
    "hostname",
    "flavor",
    "pinned_availability_zone",
    "metadata",
    "tags",
    "config_drive",
    "key_name",
    "locked",
    "locked_reason",
    "access_ipv4",
    "access_ipv6",
    "disk_config",
    "status",
)
SAME_OF_PORTS = (
    "name",
    "description",
    "mac_address",
    "allowed_address_pairs",
    "is_port_security_enabled",
    "is_admin_state_up",
    "extra_dhcp_opts",
    "tags",
    "vnic_type",
    "tag",
    "qos_policy_id",
)


def addresses(section: dict[str, Any]) -> list[list[str]]:
    return [[fixed["ip_address"] for fixed in port["fixed_ips"]] for port in section["ports"]]


def compare(before: dict[str, Any], after: dict[str, Any], except_for: tuple[str, ...] = ()) -> None:
    for name in SAME:
        if name not in except_for:
            assert after[name] == before[name], name
    assert len(after["ports"]) == len(before["ports"])
    for old, new in zip(before["ports"], after["ports"], strict=True):
        for name in SAME_OF_PORTS:
            if name not in except_for:
                assert new[name] == old[name], name
    if "fixed_ips" not in except_for:
        assert addresses(after) == addresses(before)
    for name in ("tag", "delete_on_termination", "root", "device"):
        assert [volume[name] for volume in after["volumes"]] == [volume[name] for volume in before["volumes"]]


def test_an_image_booted_server_comes_back_with_everything(bench: Bench) -> None:
    cloud, compute, network = bench.cloud, bench.cloud.compute, bench.cloud.network
    front, back = bench.network("front", "10.81.0.0/24"), bench.network("back", "10.82.0.0/24")
    public = next(net for net in network.networks(is_router_external=True))
    gateway = {"network_id": public.id}
    router = bench.keep(
        "router", network.create_router(name=f"{PREFIX}-router", external_gateway_info=gateway)
    )
    network.add_interface_to_router(router, subnet_id=network.get_network(front.id).subnet_ids[0])
    group = bench.keep("security_group", network.create_security_group(name=f"{PREFIX}-group"))
    ports = [
        bench.port(
            front,
            name="first",
            description="the way in",
            security_group_ids=[group.id],
            fixed_ips=[{"ip_address": "10.81.0.50"}, {"ip_address": "10.81.0.51"}],
            allowed_address_pairs=[{"ip_address": "10.81.0.200", "mac_address": "00:00:5e:00:01:0a"}],
            mac_address="fa:16:3e:81:00:01",
        ),
        bench.port(back, name="second", mac_address="fa:16:3e:81:00:03"),
        bench.port(
            back,
            name="third",
            mac_address="fa:16:3e:81:00:02",
            is_port_security_enabled=False,
            security_group_ids=[],
            extra_dhcp_opts=[{"opt_name": "tftp-server", "opt_value": "10.82.0.9", "ip_version": 4}],
        ),
    ]
    network.set_tags(ports[1], ["blue"])
    floating = network.create_ip(
        floating_network_id=public.id, port_id=ports[0].id, fixed_ip_address="10.81.0.51"
    )
    bench.keep("floating_ip", floating)
    public_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0hVxkz1Vy5zQnB2Vd0m0e0c8f5oV7w1c1g3Yp8n2aV someone"
    bench.keep("keypair", compute.create_keypair(name=f"{PREFIX} key", public_key=public_key))
    together = compute.create_server_group(name=f"{PREFIX}-together", policy="soft-affinity")
    bench.keep("server_group", together)
    volumes = [bench.volume("data-b", metadata={"use": "b"}), bench.volume("data-a")]
    server = bench.server(
        ports,
        networks=[{"port": port.id, "tag": f"nic{place}"} for place, port in enumerate(ports)],
        name=f"{PREFIX} web",
        description="the web server",
        hostname="webhost",
        metadata={"tier": "web", "owner": "someone"},
        tags=["blue", "web"],
        config_drive=True,
        key_name=f"{PREFIX} key",
        scheduler_hints={"group": together.id},
        availability_zone="nova",
        access_ipv4="192.0.2.7",
        user_data=base64.b64encode(WRITE.encode()).decode(),
        disk_config="MANUAL",
    )
    # A disk that is plugged in while the system is starting may come before the root disk.
    console(cloud, server.id, "user-data begin")
    for volume, tag in zip(volumes, ("logs", None), strict=True):
        extra = {"tag": tag} if tag else {}
        compute.create_volume_attachment(
            server.id, volume_id=volume.id, delete_on_termination=bool(tag), **extra
        )
        cloud.wait("volume", volume.id, ("in-use",)).result()
    console(cloud, server.id, "user-data rc=0")

    rig = bench.rig()
    rig.protect(SERVERS.protectable(cloud).show(server.id))
    bench.made += [(entry.kind, entry.id) for entry in rig.journal.entries()]
    key = ResourceKey(TYPE, server.id)
    before = rig.sections[key]
    kinds = {node.type.rpartition(":")[2] for node in rig.graph}
    assert kinds >= {
        "Server",
        "Volume",
        "Image",
        "KeyPair",
        "ServerGroup",
        "Network",
        "SecurityGroup",
        "FloatingIP",
    }
    assert before["nic_order_certain"]
    assert [port["name"] for port in before["ports"]] == ["first", "second", "third"]
    assert [volume["tag"] for volume in before["volumes"]] == ["logs", None]
    assert all(said["ok"] for node, said in rig.verify().items() if node.type == TYPE)

    bench.wipe("server", "volume", "port", "router", "network", "security_group", "keypair", "server_group")

    plan = rig.plan()
    assert plan.problems == ()
    fidelity = {outcome.name: outcome.fidelity for outcome in plan.planned[key].attributes}
    assert plan.planned[key].conflicts == ()
    for name in ("mac_addresses", "fixed_ips", "nic_order", "floating_ips", "flavor", "availability_zone"):
        assert fidelity[name] == "exact", name
    restored = rig.restore(plan)
    new_id = restored[TYPE, server.id]["new_id"]
    after = server_section(cloud, new_id)
    compare(before, after)
    assert after["user_data_readable"] is False
    assert fidelity["user_data"] == "lost"
    assert after["ports"][0]["floating_ips"] == [
        {"id": floating.id, "address": floating.floating_ip_address, "fixed_address": "10.81.0.51"}
    ]
    new = {line["source_id"]: line["new_id"] for line in restored.values()}
    assert [volume["id"] for volume in after["volumes"]] == [new[volume.id] for volume in volumes]
    assert after["server_groups"] == [new[together.id]]
    assert [port["network_id"] for port in after["ports"]] == [new[front.id], new[back.id], new[back.id]]
    assert after["ports"][0]["security_group_ids"] == [new[group.id]]
    assert new[ports[2].id] == after["ports"][2]["id"]

    lines = console(cloud, new_id)
    assert macs_in_guest(lines) == [port["mac_address"] for port in before["ports"]]
    texts = disk_texts(lines)
    assert (texts["vdb"], texts["vdc"]) == ("text-on-vdb", "text-on-vdc")
    assert any("file /data/late" in line and "after boot" in line for line in lines)
    assert not any("user-data" in line for line in lines)


def test_a_server_alone_comes_back_beside_the_living_one_and_is_undone(bench: Bench) -> None:
    cloud = bench.cloud
    front = bench.network("front", "10.83.0.0/24")
    port = bench.port(front)
    server = bench.server([port], description="first")
    rig, key = bench.alone(server.id)
    plan = rig.plan({TYPE: {"restore_name": "{name} again"}})
    planned = plan.planned[key]
    address = port.fixed_ips[0]["ip_address"]
    assert planned.name == f"{PREFIX}-server again"
    said = next(sentence for sentence in planned.conflicts if address in sentence)
    assert port.mac_address in said
    assert server.id in said
    assert dict(plan.needs) == {"servers": 1, "cores": 1, "ram": 128, "ports": 1}
    restored = rig.restore(plan)
    after = server_section(cloud, restored[TYPE, server.id]["new_id"])
    assert after["name"] == f"{PREFIX}-server again"
    assert after["description"] == "first"
    assert after["metadata"] == {}
    assert addresses(after)[0][0] != address
    assert after["hostname"] == server_section(cloud, server.id)["hostname"]
    rig.undo()
    assert bench.servers() == {server.id}
    assert bench.ports(front) == {port.id}


def test_a_volume_booted_locked_and_stopped_server_comes_back_in_order(bench: Bench) -> None:
    cloud, compute = bench.cloud, bench.cloud.compute
    # All three are made from an image, thus bootable: only the order tells which one is the root disk.
    volumes = [bench.volume(name, image_id=bench.image.id) for name in ("z-root", "m-data", "a-data")]
    devices = [
        {
            "uuid": volume.id,
            "source_type": "volume",
            "destination_type": "volume",
            "boot_index": 0 if place == 0 else -1,
            "delete_on_termination": place == 1,
        }
        | ({"tag": "first-data"} if place == 1 else {})
        for place, volume in enumerate(volumes)
    ]
    front = bench.network("front", "10.84.0.0/24")
    ports = [bench.port(front, name=name) for name in ("one", "two")]
    server = bench.server(ports, image_id=None, block_device_mapping=devices)
    compute.stop_server(server.id)
    cloud.wait("server", server.id, ("SHUTOFF",)).result()
    compute.lock_server(server.id, locked_reason="do not touch")
    rig, key = bench.alone(server.id)
    before = rig.sections[key]
    assert [(volume["id"], volume["root"]) for volume in before["volumes"]] == [
        (volumes[0].id, True),
        (volumes[1].id, False),
        (volumes[2].id, False),
    ]
    with pytest.raises(Impossible, match=r"z-root.* is in-use"):
        rig.restore()
    compute.unlock_server(server.id)
    compute.update_volume_attachment(
        server.id, volume=volumes[1].id, volume_id=volumes[1].id, delete_on_termination=False
    )
    bench.wipe("server")
    restored = rig.restore()
    # The ports were made before the server: Nova left them there, so they are used again.
    assert [restored["OS::Neutron::Port", port.id]["status"] for port in ports] == ["reused", "reused"]
    after = server_section(cloud, restored[TYPE, server.id]["new_id"])
    compare(before, after)
    assert [volume["id"] for volume in after["volumes"]] == [volume.id for volume in volumes]
    assert (after["status"], after["locked"], after["locked_reason"]) == ("SHUTOFF", True, "do not touch")
    rig.undo()
    assert bench.servers() == set()


def test_a_restore_that_is_cut_off_makes_nothing_twice(bench: Bench) -> None:
    cloud = bench.cloud
    # After the first port was made but not written down; again when it was found; when the second was to be
    # made; after the server was made but not written down.
    cuts = (1, 0, 1, 2)
    front = bench.network("front", "10.85.0.0/24")
    ports = [bench.port(front, description="mine"), bench.port(front)]
    server = bench.server(ports, description=None)
    rig, _key = bench.alone(server.id)
    restored = rig.restore(cuts=cuts)
    new_id = restored[TYPE, server.id]["new_id"]
    assert bench.servers() == {server.id, new_id}
    after = server_section(cloud, new_id)
    assert after["description"] is None
    assert [port["description"] for port in after["ports"]] == ["mine", ""]
    assert len(bench.ports(front)) == 4


def test_what_nova_says_is_told(bench: Bench) -> None:
    cloud = bench.cloud
    server = bench.server([], metadata={"find": "me"}, tags=["findme"])
    rig, key = bench.alone(server.id)
    assert rig.sections[key]["ports"] == []
    found = SERVERS.protectable(cloud)
    assert [resource.id for resource in found.select("tag:findme")] == [server.id]
    assert [resource.id for resource in found.select("metadata:find=me")] == [server.id]
    assert found.select("metadata:find=you") == []
    # Nova refuses what was planned: the flavor is gone by then.
    plan = rig.plan()
    plan.planned[key].decisions["flavor"] = "no-such-flavor"  # type: ignore[index]
    with pytest.raises(CloudError, match=r"create the server .*no-such-flavor.*req-"):
        rig.restore(plan)
    bench.wipe("server")
    # Nova may say for a moment that it is deleted, before it knows it no more.
    with pytest.raises(NotFound, match=r"read the server|the server is deleted"):
        SERVERS.protectable(cloud).show(server.id)
    with pytest.raises(NotFound):
        server_section(cloud, server.id)


def test_an_address_that_is_taken_after_planning_becomes_another_and_is_told(bench: Bench) -> None:
    cloud = bench.cloud
    front = bench.network("front", "10.86.0.0/24")
    server = bench.server([bench.port(front, fixed_ips=[{"ip_address": "10.86.0.9"}])])
    rig, key = bench.alone(server.id)
    mac = rig.sections[key]["ports"][0]["mac_address"]
    bench.wipe("server", "port")
    plan = rig.plan()
    assert not any("10.86.0.9" in sentence for sentence in plan.planned[key].conflicts)
    bench.port(front, fixed_ips=[{"ip_address": "10.86.0.9"}])
    restored = rig.restore(plan)
    after = server_section(cloud, restored[TYPE, server.id]["new_id"])
    assert after["ports"][0]["mac_address"] == mac
    assert addresses(after)[0][0] != "10.86.0.9"
    told = restored["OS::Neutron::Port", rig.sections[key]["ports"][0]["id"]]["reason"]
    assert "10.86.0.9 was taken after the restore had been planned" in told
