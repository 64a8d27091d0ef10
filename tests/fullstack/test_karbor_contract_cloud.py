"""What Karbor's clients rely on, on a real cloud, and what a restored server leaves when it is deleted.

Findings of the first user: 6.1 (images of restored servers stay for good, and are protected), 6.2 (ports).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from demo.service import SECONDS, Caller
from refloat.resources.image.section import ITSELF, PURPOSE
from tests.projects import project_of

pytestmark = pytest.mark.timeout(900)

INFRA = "cf56bd3e-97a7-4078-b6d5-f36246333fd9"
PROJECT, SERVER, VOLUME = "OS::Keystone::Project", "OS::Nova::Server", "OS::Cinder::Volume"
IMAGE, NETWORK = "OS::Glance::Image", "OS::Neutron::Network"
NAME = "karbors"


@pytest.fixture
def user(deployed: str) -> Iterator[Caller]:
    """A user of the service; all that is called as in these tests is removed."""
    member = Caller(deployed, project_of(__file__))
    cloud = member.cloud
    yield member
    for server in cloud.compute.servers(name=NAME):
        cloud.compute.delete_server(server)
        cloud.compute.wait_for_delete(server, wait=SECONDS)
    for backup in cloud.block_storage.backups(name=NAME):
        cloud.block_storage.delete_backup(backup)
        cloud.block_storage.wait_for_delete(backup, wait=SECONDS)
    for volume in cloud.block_storage.volumes(name=NAME):
        cloud.block_storage.delete_volume(volume)
    for image in cloud.image.images():
        if image.name.startswith(NAME):
            cloud.image.delete_image(image)
    for network in cloud.network.networks(name=NAME):
        for port in cloud.network.ports(network_id=network.id):
            if not port.device_owner:
                cloud.network.delete_port(port)
        cloud.network.delete_network(network)


def below(member: Caller, kind: str, identity: str) -> list[tuple[str, str]]:
    """What a resource depends on, as the service tells it."""
    found = member.ok("GET", f"protectables/{kind}/instances/{identity}")["dependent_resources"]
    return [(each["type"], each["id"]) for each in found]


def protected(member: Caller, resource: dict[str, str], **parameters: Any) -> Any:
    """A checkpoint of one resource."""
    plan = {"name": NAME, "provider_id": INFRA, "resources": [resource], "parameters": parameters}
    made = member.ok("POST", "plans", {"plan": plan})
    path = f"providers/{INFRA}/checkpoints"
    checkpoint = member.ok("POST", path, {"checkpoint": {"plan_id": made["id"]}})
    done = member.until(f"{path}/{checkpoint['id']}", "available", "error")
    assert done["status"] == "available", done
    return done


def test_a_server_as_karbors_clients_protect_and_restore_it(user: Caller) -> None:
    cloud = user.cloud
    network = cloud.network.create_network(name=NAME)
    cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.79.0.0/24")
    volume = cloud.block_storage.create_volume(name=NAME, size=1)
    server = cloud.compute.create_server(
        name=NAME,
        image_id=next(iter(cloud.image.images(name="guest"))).id,
        flavor_id=cloud.compute.find_flavor("tiny").id,
        networks=[{"uuid": network.id}],
    )
    server = cloud.compute.wait_for_server(server, wait=SECONDS)
    cloud.block_storage.wait_for_status(volume, "available", wait=SECONDS)
    cloud.compute.create_volume_attachment(server, volume_id=volume.id)
    cloud.block_storage.wait_for_status(volume, "in-use", wait=SECONDS)

    needs = below(user, SERVER, server.id)
    assert [kind for kind, _ in needs[:2]] == [IMAGE, VOLUME]
    assert needs[1][1] == volume.id

    resource = {"type": SERVER, "id": server.id, "name": NAME}
    words = {
        VOLUME: {"backup_mode": "full", "container": "here", "force": False},
        f"{VOLUME}#{volume.id}": {"backup_name": NAME},
        IMAGE: {"backup_name": "nightly"},
    }
    checkpoint = protected(user, resource, **words)
    (backup,) = cloud.block_storage.backups(details=True, volume_id=volume.id)
    assert (backup.name, backup.container) == (NAME, "here")

    auth = cloud.config.auth
    login = {"type": "password", "username": auth["username"], "password": auth["password"]}
    wanted = {
        "provider_id": INFRA,
        "checkpoint_id": checkpoint["id"],
        "parameters": {},
        "restore_target": f"{auth['auth_url'].removesuffix('/v3')}/v3/",
        "restore_auth": login,
    }
    done = user.restored(wanted)
    (new,) = (cloud.compute.get_server(i) for k, i in keys(done) if k == SERVER)
    assert new.project_id == cloud.current_project_id

    # It says what it leaves behind.
    left = {each["kind"]: each for each in done["stays"]}
    assert set(left) == {"image", "port"}
    assert all(each["needed_by"] == NAME for each in left.values())
    image = cloud.image.get_image(left["image"]["id"])
    assert left["image"]["remove"] == f"openstack image delete {image.id}"
    assert left["port"]["remove"] == f"openstack port delete {left['port']['id']}"
    assert new.image.id == image.id
    assert image.properties[ITSELF] == image.id
    assert NAME in image.properties[PURPOSE]
    assert checkpoint["id"] in image.properties[PURPOSE]
    assert image.properties["backup_name"] == "nightly"

    # It stands for the server's disk, and is nothing of its own; an image that somebody makes of it is.
    mine = cloud.compute.create_server_image(new, f"{NAME} by hand", wait=True)
    whole = below(user, PROJECT, cloud.current_project_id)
    assert (IMAGE, image.id) not in whole
    assert (IMAGE, mine.id) in whole
    assert (IMAGE, image.id) in below(user, SERVER, new.id)

    # Both stay when the server goes.
    cloud.compute.delete_server(new)
    cloud.compute.wait_for_delete(new, wait=SECONDS)
    assert cloud.network.find_port(left["port"]["id"], ignore_missing=False)
    cloud.image.delete_image(left["image"]["id"])

    # The image goes, if it may.
    go = {SERVER: {"keep_image": False}}
    done = user.restored({**wanted, "parameters": go, "restore_target": None, "restore_auth": None})
    assert [each["kind"] for each in done["stays"]] == ["port"]
    (new,) = (cloud.compute.get_server(i) for k, i in keys(done) if k == SERVER)
    assert new.status == "ACTIVE"
    assert cloud.image.find_image(new.image.id) is None
    assert IMAGE not in dict(keys(done))
    needs = below(user, SERVER, new.id)  # the image that is gone stands for its disk
    assert [kind for kind, _ in needs[:2]] == [IMAGE, VOLUME]


def keys(done: Any) -> list[tuple[str, str]]:
    """What a restore made: types and ids."""
    return [tuple(key.split("#")) for key in done["resources_status"]]


def test_karbors_only_network(user: Caller) -> None:
    cloud = user.cloud
    network = cloud.network.create_network(name=NAME)
    group = cloud.network.create_security_group(name=NAME)
    try:
        whole = cloud.current_project_id
        first = user.ok("GET", f"protectables/{NETWORK}/instances")[0]
        assert (first["id"], first["name"]) == (whole, "Network Topology")
        assert (NETWORK, network.id) in below(user, NETWORK, whole)
        checkpoint = protected(user, {"type": NETWORK, "id": whole, "name": "Network Topology"})
        assert network.id in checkpoint["resource_graph"]
        assert group.id in checkpoint["resource_graph"]
        cloud.network.delete_network(network)
        done = user.restored({"provider_id": INFRA, "checkpoint_id": checkpoint["id"], "parameters": {}})
        assert [found.name for found in cloud.network.networks(name=NAME)] == [NAME]
        assert (NETWORK, network.id) not in keys(done)
    finally:
        cloud.network.delete_security_group(group)
