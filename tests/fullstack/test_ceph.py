"""A server with volumes on Ceph: protected in both ways, lost twice, and back each time, byte for byte."""

from __future__ import annotations

import hashlib
import os
import subprocess
from typing import Any

import pytest

from demo.command import Command
from refloat.cloud import Cloud
from refloat.cloud.removal import removal
from tests.fullstack.hookrig import finish
from tests.fullstack.storagerig import Yard

pytestmark = pytest.mark.timeout(1200)

SERVER = "OS::Nova::Server"
WAIT = 280


def content(volume_id: str) -> str:
    """The hash of all bytes of a volume, as Ceph has them."""
    export = ("rbd", "export", "--no-progress", f"volumes/volume-{volume_id}", "-")
    digest = hashlib.sha256()
    with subprocess.Popen(export, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        while piece := running.stdout.read(1 << 20):
            digest.update(piece)
    assert running.returncode == 0
    return digest.hexdigest()


def stopped_server(yard: Yard) -> str:
    """A server that boots from one volume and has another one; nothing writes to them any more."""
    cloud = yard.cloud
    guest = next(image for image in cloud.image.images() if image.name == "guest")
    data = yard.image(os.urandom(1 << 20) + bytes(7 << 20) + os.urandom(100_001))
    kinds = {"volume_type": "ceph"}
    disks = [
        yard.volume(name=f"{yard.name} {number}", image_id=image, **kinds)
        for number, image in enumerate((guest.id, data))
    ]
    server = cloud.compute.create_server(
        name=yard.name,
        flavor_id=next(flavor for flavor in cloud.list("flavor") if flavor.name == "tiny0").id,
        networks="none",
        block_device_mapping=[
            {"uuid": disk.id, "source_type": "volume", "destination_type": "volume", "boot_index": order}
            for disk, order in zip(disks, (0, -1), strict=True)
        ],
    )
    cloud.wait("server", server.id, ("ACTIVE",), timeout=WAIT).result()
    cloud.compute.stop_server(server.id)
    cloud.wait("server", server.id, ("SHUTOFF",), timeout=WAIT).result()
    return str(server.id)


def contents(cloud: Cloud, server_id: str) -> list[str]:
    """What is on the disks of a server, and on Ceph, in their order."""
    attached = cloud.compute.volume_attachments(server_id)
    in_order = sorted((attachment.device, attachment.volume_id) for attachment in attached)
    assert {cloud.get("volume", volume).volume_type for _device, volume in in_order} == {"ceph"}
    return [content(volume) for _device, volume in in_order]


def lose(yard: Yard) -> None:
    """Delete the server and its volumes; Cinder's backups stay."""
    for kind in ("server", "volume"):
        for thing in [thing for made, thing in yard.mine() if made == kind]:
            finish(removal(yard.cloud, kind, thing.id))


def test_a_server_on_ceph_comes_back_from_backups_and_from_the_bank(yard: Yard, fresh: Command) -> None:
    server_id = stopped_server(yard)
    before = contents(yard.cloud, server_id)
    checkpoints: dict[str, str] = {}
    for provider in ("default", "bank"):
        resource = f"server={server_id}"
        fresh.json("plan", "create", provider, "--resource", resource, "--provider", provider)
        made = fresh.json("protect", provider)
        assert made["status"] == "available"
        checkpoints[provider] = str(made["id"])
    assert yard.count() == {"server": 1, "backup": 2, "snapshot": 0, "volume": 2, "image": 1}

    for provider in ("bank", "default"):
        lose(yard)
        answer = fresh.json("restore", checkpoints[provider])
        assert answer["status"] == "succeeded"
        new: dict[str, Any] = {item["type"]: item["new_id"] for item in answer["resources"]}
        assert new[SERVER] != server_id
        assert contents(yard.cloud, new[SERVER]) == before, provider
        assert yard.cloud.get("server", new[SERVER]).status == "SHUTOFF"
        assert yard.count()["snapshot"] == 0
        assert not [each.name for each in yard.cloud.list("image") if "temporary" in each.name]
    fresh.run("checkpoint", "delete", checkpoints["default"])
    assert yard.count()["backup"] == 0
