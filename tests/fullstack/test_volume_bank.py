"""Volumes whose data leaves the cloud: protected, lost, restored, compared; cut off; undone."""

from __future__ import annotations

import hashlib
import os
import uuid
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank
from refloat.cloud.removal import removal
from refloat.graph import Graph, Resource
from refloat.operations.data import BankData
from refloat.resources.base import PROJECT
from refloat.resources.image import IMAGES
from refloat.resources.volume import IN_BANK
from refloat.resources.volume.capture import told_about
from refloat.resources.volume.protectable import COPY, TYPE
from refloat.resources.volume.section import describe
from refloat.resources.volume.temporary import IMAGE
from tests.fullstack.hookrig import finish
from tests.fullstack.storagerig import Operation, Sections, Yard

GIB = 1 << 30
MIB = 1 << 20
NEW = {"id", "created_at", "snapshots"}
ALONE = {"server": 0, "backup": 0, "snapshot": 0, "volume": 1, "image": 0}


class Case:
    """One volume and a bank."""

    def __init__(self, yard: Yard, volume_id: str, bank: Bank) -> None:
        self.yard, self.bank = yard, bank
        self.graph = Graph()
        self.key = self.graph.add(IN_BANK.protectable(yard.cloud).show(volume_id)).key

    def operation(self, data: BankData, sections: Sections | None = None) -> Operation:
        plugins = {TYPE: IN_BANK.plugin()}
        return Operation(self.yard.cloud, self.graph, plugins, Path(), sections=sections, data=data)

    def data(self, *, writing: bool) -> BankData:
        return BankData(self.bank, str(uuid.uuid4()), self.yard.cloud.project_id, writing=writing)

    def protect(self, *cuts: int) -> Sections:
        data = self.data(writing=True)
        sections = self.operation(data).run("protect", cuts)
        data.writer.commit(
            created_at="2026-11-24T12:00:00Z",
            graph=self.graph.to_json(),
            sections={str(key): section for key, section in sections.items()},
        )
        return sections

    def restore(self, sections: Sections, *cuts: int) -> tuple[Operation, str]:
        operation = self.operation(self.data(writing=False), sections)
        operation.plan()
        (entry,) = operation.run("restore", cuts)[self.key]["restored"]
        assert (entry["source_id"], entry["status"], entry["reason"]) == (self.key.id, "created", "")
        return operation, str(entry["new_id"])

    def verify(self, sections: Sections) -> dict[str, Any]:
        return self.operation(self.data(writing=False), sections).run("verify")[self.key]

    def settings(self, volume_id: str) -> dict[str, Any]:
        found = describe(self.yard.cloud, self.yard.cloud.get("volume", volume_id))
        return {key: value for key, value in found.items() if key not in NEW}

    def left(self) -> list[str]:
        """What is there of the temporary things of any operation on this volume."""
        images = [i.name for i in self.yard.cloud.list("image") if self.key.id in (i.name or "")]
        marked = [v.name for v in self.yard.cloud.list("volume") if self.key.id in str(v.metadata)]
        return images + marked


@pytest.mark.timeout(900)
def test_volume_comes_back_when_nothing_of_it_is_left_in_the_cloud(yard: Yard, bank: Bank) -> None:
    # A bootable volume with data at its beginning, a hole and a long tail of zeros, and with every setting.
    data = os.urandom(3 * MIB) + bytes(5 * MIB) + os.urandom(MIB + 5)
    content = hashlib.sha256(data + bytes(GIB - len(data))).hexdigest()
    image_id = yard.image(data, hw_disk_bus="virtio", os_distro="debian")
    types = [t.name for t in yard.cloud.list("volume_type") if not t.name.startswith("__")]
    made = yard.volume(
        image_id=image_id,
        volume_type=types[-1],
        description="what matters",
        metadata={"tier": "db", "empty": "", "readonly": "my own word"},
    )
    yard.cloud.remove("image", image_id)
    yard.cloud.block_storage.set_volume_readonly(made.id, True)
    case = Case(yard, made.id, bank)
    before = case.settings(made.id)
    assert (before["bootable"], before["readonly"]) == (True, True)

    # Cut off while the copy and the image are being made, and while the copy is being removed.
    sections = case.protect(1, 2, 2)
    assert (yard.count(), case.left()) == (ALONE, [])
    first = sections[case.key]["data"]
    assert first["size"] == GIB
    assert sections[case.key]["hash"]["os_hash_value"] == content
    assert 4 * MIB < first["stored"] < 5 * MIB
    assert case.verify(sections) == {"ok": True, "reason": ""}

    finish(removal(yard.cloud, "volume", made.id))
    assert sum(yard.count().values()) == 0
    operation, new_id = case.restore(sections, 0, 1)
    assert yard.count() == ALONE
    assert case.settings(new_id) == before
    operation.run("restore")  # once more, when all is done
    assert (yard.count(), case.left()) == (ALONE, [])

    # All of it is what it was, as Glance reads it; the bank has it, and takes only what says where it is.
    restored = Case(yard, new_id, bank)
    again = restored.protect()[restored.key]
    assert again["hash"]["os_hash_value"] == content
    assert again["data"]["digest"] == first["digest"]
    assert again["data"]["stored"] < 200_000

    case.operation(case.data(writing=False), sections).run("delete")
    operation.undo()
    assert sum(yard.count().values()) == 0


@pytest.mark.timeout(900)
def test_empty_volume_of_a_running_server(yard: Yard, bank: Bank) -> None:
    cloud = yard.cloud
    volume = yard.volume()
    image = next(i for i in cloud.image.images() if i.name == "guest")
    flavor = next(f for f in cloud.compute.flavors() if f.name == "tiny")
    server = cloud.compute.create_server(
        name=yard.name, flavor_id=flavor.id, image_id=image.id, networks="none"
    )
    cloud.wait("server", server.id, {"active"}, timeout=180).result()
    cloud.compute.create_volume_attachment(server.id, volume_id=volume.id)
    cloud.wait("volume", volume.id, {"in-use"}, timeout=120).result()

    case = Case(yard, volume.id, bank)
    sections = case.protect()
    assert (yard.count(), case.left()) == ({**ALONE, "server": 1}, [])
    section = sections[case.key]
    assert section["attachments"] == [server.id]
    assert (section["data"]["size"], section["data"]["stored"] < 200_000) == (GIB, True)
    _operation, new_id = case.restore(sections)
    restored = case.settings(new_id)
    assert (restored["bootable"], restored["image_metadata"], restored["metadata"]) == (False, {}, {})
    assert yard.cloud.get("volume", new_id).size == 1


@pytest.mark.timeout(600)
def test_what_was_begun_is_removed_and_never_taken_for_the_projects_own(yard: Yard, bank: Bank) -> None:
    volume = yard.volume()
    case = Case(yard, volume.id, bank)
    operation = case.operation(case.data(writing=True))
    plugin = operation.plugins[TYPE]
    context = operation.context("protect", plugin, case.key)
    hooks: Any = plugin.hooks("protect")
    operation.results[case.key] = finish(hooks.on_prepare_finish(context))
    body = hooks.on_main(context)
    wait = next(body)
    while "uploaded" not in wait.text or not context.created(IMAGE):
        wait = body.send(wait.result())
    body.close()

    # What a protection of the whole project finds meanwhile.
    copy, image = context.created(COPY), context.created(IMAGE)
    assert yard.cloud.get("volume", copy).status == "uploading"
    assert yard.cloud.get("image", image).status in {"queued", "saving"}
    project = Resource(PROJECT, yard.cloud.project_id)
    kinds = (IN_BANK.protectable(yard.cloud), IMAGES.protectable(yard.cloud))
    found = {resource.id for kind in kinds for resource in kind.dependants(project)}
    assert volume.id in found
    assert not found & {copy, image}

    operation.undo()
    assert (yard.count(), case.left()) == (ALONE, [])
    assert told_about(yard.cloud, volume.id) == ""
