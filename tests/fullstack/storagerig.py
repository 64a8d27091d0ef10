"""Runs the hooks of volumes and images on a real cloud, with data in plain files, cut off at will."""

from __future__ import annotations

import hashlib
import itertools
import json
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from refloat.cloud import Cloud, Marker
from refloat.cloud.create_once import find_created
from refloat.cloud.removal import removal
from refloat.errors import BankDamaged
from refloat.graph import Graph, ResourceKey
from refloat.resources.base import HOOKS, OperationKind, PlanContext, Planned, ProtectionPlugin
from refloat.resources.context import HookContext
from refloat.resources.creations import Creations
from refloat.resources.options import settle
from tests.fullstack.hookrig import Cut, MemoryJournal, finish

Sections = dict[ResourceKey, dict[str, Any]]


class Files:
    """A data store in plain files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(
        self,
        stream: Iterable[bytes],
        size: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        name, digest, done = uuid.uuid4().hex, hashlib.sha256(), 0
        with (self.folder / name).open("wb") as out:
            for piece in stream:
                out.write(piece)
                digest.update(piece)
                done += len(piece)
                progress(done, size or 0)
        return {"size": done, "digest": digest.hexdigest(), "file": name}

    def open(self, ref: Mapping[str, Any]) -> Any:
        return (self.folder / ref["file"]).open("rb")

    def verify(self, ref: Mapping[str, Any], *_told: Any) -> None:
        if hashlib.sha256((self.folder / ref["file"]).read_bytes()).hexdigest() != ref["digest"]:
            raise BankDamaged("not what was written")


def until(body: Generator[Any, Any, Any], waits: int) -> None:
    """Run a hook up to its wait of this number, then drop it as a process that dies does."""
    sent = None
    for _number in range(waits):
        try:
            sent = body.send(sent).result()
        except StopIteration:
            return
    with suppress(StopIteration):
        body.send(sent)
    body.close()


class Operation:
    """One operation on a graph."""

    def __init__(
        self,
        cloud: Cloud,
        graph: Graph,
        plugins: Mapping[str, ProtectionPlugin],
        folder: Path,
        parameters: Mapping[str, Any] | None = None,
        sections: Sections | None = None,
        data: Any = None,
    ) -> None:
        self.cloud, self.graph, self.plugins = cloud, graph, plugins
        self.id, self.journal, self.data = str(uuid.uuid4()), MemoryJournal(), data or Files(folder)
        self.parameters, self.sections = parameters or {}, sections or {}
        self.results: Sections = {}
        self.planned: dict[ResourceKey, Planned] = {}

    def plan(self) -> dict[ResourceKey, Planned]:
        for node in self.graph.bottom_up():
            if node.type in self.plugins:
                plugin = self.plugins[node.type]
                context = PlanContext(
                    node,
                    self.sections[node.key],
                    self.graph,
                    settle(plugin.options.get("restore", ()), self.parameters, node.type),
                    self.cloud,
                    self.planned.get,
                    self.cloud.list,
                )
                planned = plugin.plan_restore(context)
                self.planned[node.key] = Planned.from_json(json.loads(json.dumps(planned.to_json())))
        return self.planned

    def run(self, kind: OperationKind, cuts: Iterable[int] = ()) -> Sections:
        """All hooks, each one cut off at its waits of the given numbers and run again."""
        for hook in HOOKS:
            for node in self.graph.bottom_up():
                plugin = self.plugins.get(node.type)
                body = getattr(plugin.hooks(kind), hook, None) if plugin else None
                if plugin is None or body is None:
                    continue
                context = self.context(kind, plugin, node.key)
                for cut in cuts:
                    outcome = body(context)
                    if isinstance(outcome, Generator):
                        until(outcome, cut)
                outcome = body(context)
                result = finish(outcome) if isinstance(outcome, Generator) else outcome
                self.results.setdefault(node.key, {}).update(json.loads(json.dumps(result or {})))
        assert Creations(self.cloud, self.id, self.journal).hand_over() == []
        return self.results

    def context(self, kind: OperationKind, plugin: ProtectionPlugin, key: ResourceKey) -> HookContext:
        return HookContext(
            operation_id=self.id,
            checkpoint_id=f"checkpoint-of-{self.id}",
            resource=self.graph[key],
            graph=self.graph,
            parameters=settle(plugin.options.get(kind, ()), self.parameters, key.type),
            cloud=self.cloud,
            journal=self.journal,
            data=self.data,
            results=lambda wanted: self.results.get(wanted, {}),
            mapping=lambda _type, _id: None,
            section=self.sections.get(key, {}),
            decided=lambda: self.planned.get(key, Planned("create")),
            progress=lambda _done, _total: None,
            cancelled=lambda: False,
        )

    def undo(self) -> None:
        for entry in reversed(self.journal.entries()):
            marker = Marker(self.id, ResourceKey.parse(entry.source).id, entry.role)
            identity = entry.id or find_created(self.cloud, entry.kind, marker, entry.clue)
            if identity:
                finish(removal(self.cloud, entry.kind, identity))
            self.journal.forget(entry.source, entry.role)


class Yard:
    """Makes things for a test and removes them, and everything else the test left, at its end."""

    KINDS = ("server", "backup", "snapshot", "volume", "image")

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.name = f"stor-{uuid.uuid4().hex[:8]}"
        self.numbers = itertools.count(1)

    def image(self, data: bytes, **fields: Any) -> str:
        body = {"name": self.name, "disk_format": "raw", "container_format": "bare", **fields}
        response = self.cloud.image.post("/images", json=body)
        assert response.status_code == 201, response.text
        identity = str(response.json()["id"])
        headers = {"Content-Type": "application/octet-stream"}
        response = self.cloud.image.put(f"/images/{identity}/file", data=data, headers=headers)
        assert response.status_code == 204, response.text
        return identity

    def volume(self, **fields: Any) -> Any:
        volume = self.cloud.block_storage.create_volume(**{"size": 1, "name": self.name, **fields})
        return self.cloud.wait("volume", volume.id, {"available"}, timeout=120).result()

    def content(self, volume_id: str) -> tuple[int, str]:
        """Size and hash of all bytes of a volume, as Glance reads them."""
        name = f"{self.name}-content-{next(self.numbers)}"
        storage = self.cloud.block_storage
        made = storage.upload_volume_to_image(volume_id, name, disk_format="raw", container_format="bare")
        image = self.cloud.wait("image", made["image_id"], {"active"}, timeout=180).result()
        self.cloud.wait("volume", volume_id, {"available", "in-use"}, timeout=60).result()
        self.cloud.remove("image", image.id)
        return int(image.size), str(image.hash_value)

    def mine(self) -> Iterator[tuple[str, Any]]:
        """What there is that belongs to this test."""
        for kind in self.KINDS:
            for thing in self.cloud.list(kind):
                if self.name in f"{thing.name} {getattr(thing, 'volume_name', '')}":
                    yield kind, thing

    def count(self) -> dict[str, int]:
        """How many of each kind there are."""
        counted: dict[str, int] = dict.fromkeys(self.KINDS, 0)
        for kind, _thing in self.mine():
            counted[kind] += 1
        return counted

    def clear(self) -> None:
        for _round in range(3):  # incremental backups go before what they build on
            for kind, thing in list(self.mine()):
                if getattr(thing, "has_dependent_backups", False):
                    continue
                finish(removal(self.cloud, kind, thing.id))


__all__ = ["Cut", "Files", "Operation", "Sections", "Yard", "until"]
