"""Data put back in place on a real cloud: the same volumes, the same server, with what they held."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openstack.exceptions import NotFoundException

from demo.command import Command
from refloat.bank import Bank
from refloat.graph import Graph
from refloat.operations.data import BankData
from refloat.resources.declared import Declared
from refloat.resources.volume import BACKUPS, IN_BANK
from refloat.resources.volume.protectable import TYPE
from refloat.resources.volume.section import describe
from tests.fullstack.storagerig import Operation, Yard
from tests.fullstack.test_server import PREFIX, Bench, bench

GIB = 1 << 30

__all__ = ["bench"]
pytestmark = pytest.mark.timeout(900)


def written_over(yard: Yard, volume: Any) -> None:
    """Somebody has destroyed what was in it."""
    image = yard.image(os.urandom(4096))
    body = {"os-reimage": {"image_id": image}}
    path = f"/volumes/{volume.id}/action"
    assert yard.cloud.block_storage.post(path, json=body, microversion="3.68").status_code == 202
    yard.cloud.wait("volume", volume.id, {"available"}, timeout=120).result()
    yard.cloud.remove("image", image)


@pytest.mark.parametrize("kind", [IN_BANK, BACKUPS], ids=lambda kind: kind.name)
def test_the_data_comes_back_into_the_same_volume(yard: Yard, bank: Bank, kind: Declared) -> None:
    """Cut off at its waits; its settings, of today, stay, and nothing else is left."""
    data = os.urandom(1 << 20)
    image = yard.image(data)
    volume = yard.volume(image_id=image, metadata={"tier": "db"})
    yard.cloud.remove("image", image)
    graph, plugins = Graph(), {TYPE: kind.plugin()}
    key = graph.add(kind.protectable(yard.cloud).show(volume.id)).key

    def operation(*, writing: bool = False, **given: Any) -> Operation:
        store = BankData(bank, str(uuid.uuid4()), yard.cloud.project_id, writing=writing)
        return Operation(yard.cloud, graph, plugins, Path(), data=store, **given)

    protecting = operation(writing=True)
    sections = protecting.run("protect")
    if kind is IN_BANK:
        protecting.data.writer.commit(
            created_at="2026-11-24T12:00:00Z",
            graph=graph.to_json(),
            sections={str(key): section for key, section in sections.items()},
        )
    before = describe(yard.cloud, yard.cloud.get("volume", volume.id))
    written_over(yard, volume)
    there = yard.count()
    restoring = operation(sections=sections, parameters={"volume_id": volume.id})
    planned = restoring.plan()[key]
    assert (planned.action, planned.new_id, planned.needs) == ("replace", volume.id, {})
    (line,) = restoring.run("restore", (1, 2))[key]["restored"]
    assert (line["new_id"], line["status"]) == (volume.id, "replaced")
    now = describe(yard.cloud, yard.cloud.get("volume", volume.id))
    assert {name: (before[name], now[name]) for name in before if before[name] != now[name]} == {}
    assert yard.count() == there
    assert yard.content(volume.id) == (GIB, hashlib.sha256(data + bytes(GIB - len(data))).hexdigest())


THREE = ("vdb", "vdc", "vdd")


class Shop:
    """A server that boots from an image, with three volumes."""

    def __init__(self, bench: Bench, yard: Yard) -> None:
        self.bench, self.yard, self.cloud = bench, yard, bench.cloud
        net = bench.network("replace", "10.93.0.0/24")
        self.port = bench.port(net)
        data = [os.urandom(4096) + bytes(4096) for _disk in THREE]
        self.good = {disk: first_mebibyte(each) for disk, each in zip(THREE, data, strict=True)}
        images = [yard.image(each) for each in data]
        self.volumes = [bench.volume(disk, image_id=image) for disk, image in zip(THREE, images, strict=True)]
        for image in images:
            self.cloud.remove("image", image)
        self.server = bench.server([self.port])
        assert self.boots() == 1  # what is plugged in before may come before its own disk
        self._attach()

    def _attach(self) -> None:
        for volume in self.volumes:
            self.cloud.compute.create_volume_attachment(self.server.id, volume.id)
            self.cloud.wait("volume", volume.id, ("in-use",), timeout=120).result()

    def disks(self) -> dict[str, str]:
        """What the guest, which has just been started, finds on its volumes."""
        deadline = time.monotonic() + 200
        while True:
            output = self.cloud.compute.get_server_console_output(self.server.id)["output"] or ""
            found = dict(re.findall(r"GUEST disk (vd[bcd]) .*sha256_1M=(\S+)", output))
            if set(found) == set(THREE) or time.monotonic() > deadline:
                return found
            time.sleep(1)

    def boots(self, least: int = 1) -> int:
        """How often its own disk has been booted from, as that says; it waits for ``least``."""
        deadline = time.monotonic() + 200
        while True:
            output = ""
            with contextlib.suppress(NotFoundException):  # it is just being started
                output = self.cloud.compute.get_server_console_output(self.server.id)["output"] or ""
            found = [int(each) for each in re.findall(r"GUEST root marker=.* boot-count=(\d+)", output)]
            if (found and found[-1] >= least) or time.monotonic() > deadline:
                return found[-1] if found else 0
            time.sleep(1)

    def destroy(self) -> None:
        """Other data on all three, and on its own disk."""
        self.cloud.compute.reboot_server(self.server.id, "HARD")
        assert self.boots(2) == 2
        for volume in self.volumes:
            self.cloud.compute.delete_volume_attachment(self.server.id, volume.id)
        image = self.yard.image(os.urandom(4096) + bytes(4096))
        for volume in self.volumes:
            self.cloud.wait("volume", volume.id, ("available",), timeout=120).result()
            body = {"os-reimage": {"image_id": image}}
            self.cloud.block_storage.post(f"/volumes/{volume.id}/action", json=body, microversion="3.68")
        for volume in self.volumes:
            self.cloud.wait("volume", volume.id, ("available",), timeout=180).result()
        self.cloud.remove("image", image)
        self._attach()

    def ids(self) -> dict[str, Any]:
        attachments = self.cloud.compute.volume_attachments(self.server.id)
        return {
            "ports": [port.id for port in self.cloud.network.ports(device_id=self.server.id)],
            "volumes": {attached.device: attached.volume_id for attached in attachments},
        }

    def statuses(self) -> list[str]:
        return [self.cloud.get("volume", volume.id).status for volume in self.volumes]

    def moments(self) -> list[tuple[str, Callable[[], bool]]]:
        """Five of a replacement, in their order."""

        def server() -> Any:
            return self.cloud.get("server", self.server.id)

        return [
            ("the safety checkpoint is made", lambda: "backing-up" in self._backups()),
            ("it is switched off", lambda: server().status == "SHUTOFF"),
            ("it lets go of its volumes", lambda: "available" in self.statuses()),
            ("data is put back", lambda: "restoring-backup" in self.statuses()),
            ("it is made anew", lambda: server().status == "REBUILD"),
        ]

    def _backups(self) -> list[str]:
        states = [volume.status for volume in self.cloud.list("volume")]
        return [*states, *("backing-up" for b in self.cloud.list("backup") if b.status == "creating")]


@pytest.fixture
def forgetful(fresh: Command, bench: Bench) -> Iterator[Command]:
    """A command whose checkpoints, and the images that its restores have made, go at the end."""
    yield fresh
    for checkpoint in fresh.json("checkpoint", "list"):
        fresh.answer("checkpoint", "delete", checkpoint["id"])
    for image in bench.cloud.list("image"):
        if image.name == f"{PREFIX}-server (disk)":
            bench.made.append(("image", image.id))


def first_mebibyte(data: bytes) -> str:
    return hashlib.sha256(data + bytes((1 << 20) - len(data))).hexdigest()


def killed_at(command: Command, words: tuple[str, ...], moment: Callable[[], bool]) -> bool:
    """Kill the command when it is so far; false: it came to its end before."""
    running = command.start(*words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while running.poll() is None and not moment():
        assert time.monotonic() < deadline
        time.sleep(0.2)
    ended = running.poll() is not None
    running.kill()
    running.wait()
    return not ended


@pytest.mark.timeout(1500)
def test_a_running_server_gets_its_disks_back_though_killed_at_five_moments(
    bench: Bench, yard: Yard, forgetful: Command
) -> None:
    """The same server, ports and volumes. Cancelled, it says how to come back, and that does it."""
    fresh, shop = forgetful, Shop(bench, yard)
    ids = shop.ids()
    fresh.run("plan", "create", "shop", "--resource", f"server={shop.server.id}")
    checkpoint = fresh.json("protect", "shop")["id"]
    shop.destroy()

    words = ("restore", checkpoint, "--existing", "replace", "--yes")
    plan = fresh.json(*words[:-1], "--dry-run")
    assert plan["safety"]
    told = {item["source_id"]: item["action"] for item in plan["resources"]}
    replaced = {shop.server.id, *(volume.id for volume in shop.volumes)}
    assert {identity for identity, action in told.items() if action == "replace"} == replaced

    def operation() -> str:
        listed = fresh.json("operation", "list")
        return str(next(item["id"] for item in listed if item["kind"] == "restore"))

    for what, moment in shop.moments():
        assert killed_at(fresh, words, moment), what
        words = ("operation", "resume", operation())
    answer = fresh.json(*words)
    assert answer["status"] == "succeeded", answer
    assert shop.cloud.get("server", shop.server.id).status == "ACTIVE"
    assert shop.ids() == ids
    assert shop.disks() == shop.good
    assert shop.boots() == 2  # for the second time, as it was protected after the first
    named = fresh.json("checkpoint", "list")
    (safety,) = (item for item in named if item["id"] != checkpoint)
    assert safety["name"] == f"before the replacement of {shop.server.name}"

    # And back to how it was destroyed: cancelled half way, then as the message says.
    words = ("restore", safety["id"], "--existing", "replace", "--yes")
    assert killed_at(fresh, words, shop.moments()[3][1])
    told_off = fresh.answer("operation", "cancel", operation())
    assert "Bring it back: refloat restore" in told_off.stderr, told_off
    (back,) = re.findall(r"refloat (restore \S+ --existing replace --no-safety)", told_off.stderr)
    assert shop.ids() == ids
    assert shop.cloud.get("server", shop.server.id).status == "SHUTOFF"
    assert fresh.json(*back.split(), "--yes")["status"] == "succeeded"
    shop.cloud.compute.start_server(shop.server.id)
    shop.cloud.wait("server", shop.server.id, ("ACTIVE",), timeout=120).result()
    assert shop.disks() == shop.good
    assert shop.ids() == ids
