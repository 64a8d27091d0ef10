"""Images and disks of servers on a real cloud: protected, lost, restored, compared; cut off; undone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.graph import Graph, Resource, ResourceKey, discover
from refloat.resources.glance import read_image
from refloat.resources.image import IMAGES
from refloat.resources.image.protectable import SERVER, TYPE
from refloat.resources.image.section import describe
from refloat.resources.image_data import Body
from tests.fullstack.storagerig import Operation, Sections, Yard

NEW = {"id", "created_at"}
PATCH = {"Content-Type": "application/openstack-images-v2.1-json-patch"}


@pytest.fixture
def source(yard: Yard) -> str:
    """An image of bytes that are no text, with every setting."""
    other = Cloud("demo2" if yard.cloud.name == "demo" else "demo")
    image_id = yard.image(
        bytes(range(256)) * 4096 + os.urandom(3_000_001),
        min_disk=3,
        min_ram=64,
        tags=["golden", "web"],
        visibility="shared",
        hw_disk_bus="scsi",
        hw_vif_multiqueue_enabled="true",
        os_distro="debian",
        the_owner="us",
    )
    response = yard.cloud.image.post(f"/images/{image_id}/members", json={"member": other.project_id})
    assert response.status_code == 200
    change = [{"op": "replace", "path": "/protected", "value": True}]
    assert yard.cloud.image.patch(f"/images/{image_id}", json=change, headers=PATCH).status_code == 200
    return image_id


class Case:
    """One image, with the servers that were booted from it."""

    def __init__(self, yard: Yard, folder: Path, *roots: Resource) -> None:
        self.yard, self.folder = yard, folder
        images = IMAGES.protectable(yard.cloud)
        self.graph: Graph = discover(
            roots,
            lambda r: images.dependants(r) if r.type in images.parents else (),
            lambda _resource: (),
        )
        (self.key,) = (node.key for node in self.graph if node.type == TYPE)

    def operation(self, sections: Sections | None = None, **parameters: Any) -> Operation:
        return Operation(
            self.yard.cloud, self.graph, {TYPE: IMAGES.plugin()}, self.folder, parameters, sections
        )

    def protect(self, *cuts: int) -> Sections:
        return self.operation().run("protect", cuts)


def test_lost_image_comes_back_with_all_it_had(yard: Yard, source: str, tmp_path: Path) -> None:
    cloud = yard.cloud
    case = Case(yard, tmp_path, IMAGES.protectable(cloud).show(source))
    before = describe(cloud, source)
    assert before is not None
    sections = case.protect()
    assert sections[case.key]["data"]["size"] == before["size"]

    # Still there: used again.
    alive = case.operation(sections)
    assert alive.plan()[case.key].action == "reuse"
    (entry,) = alive.run("restore")[case.key]["restored"]
    assert (entry["new_id"], entry["status"]) == (source, "reused")
    assert alive.journal.entries() == []

    # Still there, but another one is asked for.
    twin = case.operation(sections, restore_name="{name} twin")
    assert twin.plan()[case.key].action == "create"
    (entry,) = twin.run("restore")[case.key]["restored"]
    assert entry["new_id"] != source
    assert entry["name"] == f"{yard.name} twin"
    twin.undo()  # although it is protected

    cloud.image.patch(
        f"/images/{source}", json=[{"op": "replace", "path": "/protected", "value": False}], headers=PATCH
    )
    cloud.remove("image", source)
    operation = case.operation(sections)
    assert operation.plan()[case.key].action == "create"
    (entry,) = operation.run("restore")[case.key]["restored"]
    after = describe(cloud, entry["new_id"])
    assert after is not None
    assert {k: v for k, v in after.items() if k not in NEW} == {
        k: v for k, v in before.items() if k not in NEW
    }
    operation.run("restore")
    assert yard.count()["image"] == 1
    assert case.operation(sections).run("verify")[case.key] == {"ok": True, "reason": ""}
    operation.undo()
    assert yard.count()["image"] == 0

    kept = tmp_path / sections[case.key]["data"]["file"]
    kept.write_bytes(kept.read_bytes()[:-1] + b"!")
    assert case.operation(sections).run("verify")[case.key]["ok"] is False


def test_upload_that_broke_off_is_taken_up_again(
    yard: Yard, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case(yard, tmp_path, IMAGES.protectable(yard.cloud).show(source))
    sections = case.protect()
    operation = case.operation(sections, restore_name="{name} twin")
    operation.plan()

    def broken(self: Body) -> Iterator[bytes]:
        yield b"x" * (1 << 20)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Body, "__iter__", broken)
        with pytest.raises(KeyboardInterrupt):
            operation.run("restore")
    assert yard.count()["image"] == 2
    (entry,) = operation.run("restore")[case.key]["restored"]
    assert yard.count()["image"] == 2
    assert (
        read_image(yard.cloud, entry["new_id"])["os_hash_value"]
        == read_image(yard.cloud, source)["os_hash_value"]
    )
    operation.undo()
    change = [{"op": "replace", "path": "/protected", "value": False}]
    yard.cloud.image.patch(f"/images/{source}", json=change, headers=PATCH)


@pytest.mark.timeout(600)
def test_disk_of_a_server_whose_image_was_deleted(yard: Yard, tmp_path: Path) -> None:
    cloud = yard.cloud
    pristine = next(i for i in cloud.image.images() if i.name == "guest")
    data = cloud.image.get(f"/images/{pristine.id}/file").content
    boot_id = yard.image(data, disk_format="qcow2", hw_disk_bus="virtio", hw_vif_model="virtio")
    flavor = next(f for f in cloud.compute.flavors() if f.name == "tiny")
    server = cloud.compute.create_server(
        name=yard.name, flavor_id=flavor.id, image_id=boot_id, networks="none"
    )
    cloud.wait("server", server.id, {"active"}, timeout=180).result()
    cloud.remove("image", boot_id)

    case = Case(yard, tmp_path, Resource(SERVER, server.id, yard.name))
    assert case.key == ResourceKey(TYPE, boot_id)
    sections = case.protect(0, 1, 2)
    section = sections[case.key]
    assert (section["image"], section["data"]) == (None, None)
    disk = section["disks"][server.id]
    assert disk["properties"]["hw_vif_model"] == "virtio"
    assert "instance_uuid" not in disk["properties"]
    assert yard.count()["image"] == 0
    assert not [i for i in cloud.list("image") if server.id in (i.name or "")]

    operation = case.operation(sections)
    assert operation.plan()[case.key].action == "create"
    result = operation.run("restore", cuts=(0,))[case.key]
    new_id = result["disks"][server.id]
    assert [entry["source_id"] for entry in result["restored"]] == [boot_id]
    image = read_image(cloud, new_id)
    assert (image["name"], image["tags"]) == (f"{yard.name} (disk)", [])
    assert image["os_hash_value"] == disk["os_hash_value"]
    assert image["hw_disk_bus"] == "virtio"
    assert yard.count()["image"] == 1
    operation.undo()
    assert yard.count()["image"] == 0

    # A protection that fails half way leaves no temporary image.
    failing = case.operation()
    plugin = failing.plugins[TYPE]
    for _wait in plugin.hooks("protect").on_prepare_finish(failing.context("protect", plugin, case.key)):  # type: ignore[attr-defined]
        break
    failing.undo()
    assert not [i for i in cloud.list("image") if server.id in (i.name or "")]
