"""A server with volumes on Ceph goes into the bank through Glance and straight from RBD, and comes back."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from demo.command import Command
from refloat.cloud import Cloud
from refloat.cloud.removal import removal
from tests.fullstack.hookrig import finish
from tests.fullstack.storagerig import Yard

pytestmark = pytest.mark.timeout(1200)

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"
READER = Path(__file__).parents[2] / "tools/read_bank.py"
STRAIGHT = """[provider]
name = straight
id = 5a0e7e3c-8a4e-4c3e-9f0f-0d2c8f1d7b11
enabled = True
plugin = volume-bank
movers = rbd, glance
"""
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


def section(fresh: Command, checkpoint: str, volume_id: str) -> dict[str, Any]:
    """What a checkpoint in the bank keeps of a volume."""
    reader = (sys.executable, READER, "--bank", fresh.home / "bank", "--key", fresh.home / "bank.key")
    shown = json.loads(subprocess.check_output([*reader, "show", checkpoint], timeout=60))
    found: dict[str, Any] = shown["sections"][f"{VOLUME}#{volume_id}"]
    return found


def test_a_server_on_ceph_goes_into_the_bank_and_comes_back(
    yard: Yard, fresh: Command, tmp_path: Path
) -> None:
    """By Glance, and by RBD, the second time only what has changed; nothing temporary stays."""
    (tmp_path / "providers.d").mkdir()
    (tmp_path / "providers.d/straight.conf").write_text(STRAIGHT)
    server_id = stopped_server(yard)
    before = contents(yard.cloud, server_id)
    data = yard.cloud.compute.volume_attachments(server_id)
    volume_id = max((each.device, each.volume_id) for each in data)[1]

    made: dict[str, str] = {}
    for name, provider in (("glance", "bank"), ("all", "straight"), ("changed", "straight")):
        if name == "changed":
            image = f"rbd:volumes/volume-{volume_id}"
            write = ("qemu-io", "-f", "raw", "-c", "write -P 0xa5 3M 64k", image)
            subprocess.run(write, check=True, timeout=60, stdout=subprocess.DEVNULL)
        else:
            fresh.json(
                "plan", "create", provider, "--resource", f"server={server_id}", "--provider", provider
            )
        checkpoint = fresh.json("protect", provider)
        assert checkpoint["status"] == "available"
        made[name] = str(checkpoint["id"])
    after = contents(yard.cloud, server_id)
    assert after != before
    kept = {name: section(fresh, checkpoint, volume_id) for name, checkpoint in made.items()}
    assert kept["glance"]["data"]["digest"] == kept["all"]["data"]["digest"]
    assert (kept["all"]["mover"]["name"], kept["changed"]["mover"]["name"]) == ("rbd", "rbd")
    assert kept["changed"]["mover"]["changes_since"] == made["all"]
    assert kept["changed"]["data"]["stored"] < 2 << 20

    for name, expected in (("changed", after), ("glance", before)):
        lose(yard)
        answer = fresh.json("restore", made[name])
        assert answer["status"] == "succeeded"
        new = {item["type"]: item["new_id"] for item in answer["resources"]}
        assert contents(yard.cloud, new[SERVER]) == expected, name
        assert yard.cloud.get("server", new[SERVER]).status == "SHUTOFF"
        assert yard.count()["snapshot"] == 0
        assert not [each.name for each in yard.cloud.list("image") if "temporary" in each.name]
