"""Volumes on a real cloud: protected, lost, restored, compared; cut off in the middle; undone."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from refloat.cloud.removal import removal
from refloat.errors import Conflict
from refloat.graph import Graph, Resource
from refloat.operations.rollback import rollback
from refloat.resources.base import ProtectionPlugin
from refloat.resources.volume import BACKUPS, SNAPSHOTS
from refloat.resources.volume.protectable import TYPE
from refloat.resources.volume.section import describe
from tests.fullstack.hookrig import finish
from tests.fullstack.storagerig import Operation, Yard, until

GIB = 1 << 30
NEW = {"id", "created_at", "snapshots"}


@pytest.fixture
def source(yard: Yard) -> Any:
    """A volume with data at its beginning, a hole and a long tail of zeros, and with every setting."""
    data = os.urandom(3 << 20) + bytes(5 << 20) + os.urandom(1 << 20)
    image_id = yard.image(data, hw_disk_bus="virtio", os_distro="debian")
    volume = yard.volume(
        image_id=image_id,
        description="what matters",
        metadata={"tier": "db", "empty": "", "readonly": "my own word"},
    )
    yard.cloud.remove("image", image_id)
    yard.cloud.block_storage.set_volume_readonly(volume.id, True)
    return yard.cloud.get("volume", volume.id)


class Case:
    """One volume with one plugin."""

    def __init__(self, yard: Yard, volume: Any, plugin: type[ProtectionPlugin], folder: Path) -> None:
        self.yard, self.folder, self.plugin = yard, folder, plugin
        self.graph = Graph()
        self.key = self.graph.add(BACKUPS.protectable(yard.cloud).show(volume.id)).key

    def operation(self, sections: Any = None, **parameters: Any) -> Operation:
        plugins = {TYPE: self.plugin()}
        return Operation(self.yard.cloud, self.graph, plugins, self.folder, parameters, sections)

    def restore(self, sections: Any, cuts: tuple[int, ...] = (), **parameters: Any) -> tuple[Operation, str]:
        operation = self.operation(sections, **parameters)
        operation.plan()
        (entry,) = operation.run("restore", cuts)[self.key]["restored"]
        assert entry["source_id"] == self.key.id
        assert entry["status"] == "created"
        return operation, str(entry["new_id"])

    def verify(self, sections: Any) -> dict[str, Any]:
        return self.operation(sections).run("verify")[self.key]

    def drop_original(self) -> None:
        finish(removal(self.yard.cloud, "volume", self.key.id))


@pytest.mark.timeout(600)
def test_backup_comes_back_after_the_loss_of_the_volume(yard: Yard, source: Any, tmp_path: Path) -> None:
    case = Case(yard, source, BACKUPS.plugin, tmp_path)
    before, content = describe(yard.cloud, source), yard.content(source.id)
    assert before["metadata"]["readonly"] == "my own word"
    assert before["readonly"] is True
    assert content[0] == GIB

    sections = case.operation().run("protect", cuts=(0, 1))
    assert yard.count() == {"server": 0, "backup": 1, "snapshot": 0, "volume": 1, "image": 0}
    assert sections[case.key]["backup"]["mode"] == "full"
    case.drop_original()

    # Given up while the backup is restored into the new volume, and before that has its settings: Cinder
    # replaces the metadata, and with it the mark, at the end.
    for waits in (2, 3):
        operation = case.operation(sections)
        operation.plan()
        hooks = operation.plugins[TYPE].hooks("restore")
        until(hooks.on_main(operation.context("restore", operation.plugins[TYPE], case.key)), waits)
        assert yard.count()["volume"] == 1
        finish(rollback(yard.cloud, operation.id, operation.journal))
        assert yard.count()["volume"] == 0
        assert yard.cloud.find("keypair", f"refloat-{operation.id}") is None

    # Cut off while the new volume is being made, while the backup is restored into it, and after that.
    operation, new_id = case.restore(sections, cuts=(0, 1, 2, 3))
    assert yard.count()["volume"] == 1
    assert yard.content(new_id) == content
    after = describe(yard.cloud, yard.cloud.get("volume", new_id))
    assert {k: v for k, v in after.items() if k not in NEW} == {
        k: v for k, v in before.items() if k not in NEW
    }
    operation.run("restore")  # once more, when all is done
    assert yard.count()["volume"] == 1
    assert case.verify(sections)["ok"] is True

    operation.undo()
    assert yard.count()["volume"] == 0
    for _time in range(2):
        case.operation(sections).run("delete")
    assert yard.count()["backup"] == 0
    assert "is gone" in case.verify(sections)["reason"]
    gone = case.operation(sections)
    assert gone.plan()[case.key].action == "impossible"


@pytest.mark.timeout(600)
def test_incremental_backups_form_a_chain(yard: Yard, tmp_path: Path) -> None:
    volume = yard.volume()
    case = Case(yard, volume, BACKUPS.plugin, tmp_path)
    first = case.operation(backup_mode="incremental").run("protect")
    assert first[case.key]["backup"]["mode"] == "full"
    assert "no earlier backup" in first[case.key]["backup"]["reason"]
    second = case.operation(backup_mode="incremental").run("protect")
    backup = second[case.key]["backup"]
    assert (backup["mode"], backup["reason"]) == ("incremental", "")
    assert backup["parent_id"] == first[case.key]["backup"]["id"]

    with pytest.raises(Conflict) as refused:
        case.operation(first).run("delete")
    assert backup["id"] in str(refused.value)
    assert "checkpoint-of-" in str(refused.value)
    assert yard.count()["backup"] == 2

    content = yard.content(volume.id)
    _operation, new_id = case.restore(second, restore_name="again {name}")
    assert yard.content(new_id) == content
    assert yard.cloud.get("volume", new_id).name == f"again {yard.name}"
    case.operation(second).run("delete")
    case.operation(first).run("delete")
    assert yard.count()["backup"] == 0


@pytest.mark.timeout(600)
def test_snapshot_restores_beside_the_living_volume(yard: Yard, source: Any, tmp_path: Path) -> None:
    case = Case(yard, source, SNAPSHOTS.plugin, tmp_path)
    before, content = describe(yard.cloud, source), yard.content(source.id)
    sections = case.operation(snapshot_name="{name} kept").run("protect", cuts=(0,))
    assert yard.count() == {"server": 0, "backup": 0, "snapshot": 1, "volume": 1, "image": 0}
    assert "lives and dies" in case.verify(sections)["reason"]

    operation, new_id = case.restore(sections, cuts=(0, 1))
    assert yard.count()["volume"] == 2
    assert yard.content(new_id) == content
    after = describe(yard.cloud, yard.cloud.get("volume", new_id))
    assert {k: v for k, v in after.items() if k not in NEW} == {
        k: v for k, v in before.items() if k not in NEW
    }
    operation.undo()
    for _time in range(2):
        case.operation(sections).run("delete")
    assert yard.count() == {"server": 0, "backup": 0, "snapshot": 0, "volume": 1, "image": 0}
    assert case.verify(sections)["ok"] is False


@pytest.mark.timeout(600)
def test_failed_protection_leaves_nothing(yard: Yard, tmp_path: Path) -> None:
    volume = yard.volume()
    for plugin in (BACKUPS.plugin, SNAPSHOTS.plugin):
        operation = Case(yard, volume, plugin, tmp_path).operation()
        operation.run("protect")
        operation.undo()
        assert yard.count() == {"server": 0, "backup": 0, "snapshot": 0, "volume": 1, "image": 0}


@pytest.mark.timeout(900)
def test_volume_of_a_running_server_is_backed_up_from_a_temporary_snapshot(
    yard: Yard, tmp_path: Path
) -> None:
    cloud = yard.cloud
    volume = yard.volume()
    content = yard.content(volume.id)
    image = next(i for i in cloud.image.images() if i.name == "guest")
    flavor = next(f for f in cloud.compute.flavors() if f.name == "tiny")
    server = cloud.compute.create_server(
        name=yard.name, flavor_id=flavor.id, image_id=image.id, networks="none"
    )
    cloud.wait("server", server.id, {"active"}, timeout=180).result()
    cloud.compute.create_volume_attachment(server.id, volume_id=volume.id)
    cloud.wait("volume", volume.id, {"in-use"}, timeout=120).result()
    found = BACKUPS.protectable(cloud).dependants(Resource("OS::Nova::Server", server.id))
    assert [resource.id for resource in found] == [volume.id]

    case = Case(yard, volume, BACKUPS.plugin, tmp_path)
    sections = case.operation().run("protect", cuts=(0, 1))
    assert yard.count() == {"server": 1, "backup": 1, "snapshot": 0, "volume": 1, "image": 0}
    assert sections[case.key]["attachments"] == [server.id]
    _operation, new_id = case.restore(sections)
    assert yard.content(new_id) == content
