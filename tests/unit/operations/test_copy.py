"""Copying checkpoints from bank to bank: complete, shared, taken up again, undone, refused."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest

from refloat.bank import Bank, BankKey, data_references, with_references
from refloat.bank.filesystem import FileSystemStore
from refloat.cloud import Cloud
from refloat.engine.engine import Engine
from refloat.engine.program import Ended
from refloat.errors import BankDamaged, BankError, Cancelled, RefloatError
from refloat.graph import Graph, Resource
from refloat.operations.copy import CopyProgram
from refloat.operations.delete import DeleteProgram
from refloat.operations.programs import Services
from refloat.providers.provider import Providers, plugins_for, stand_in
from refloat.records.database import Database
from refloat.records.journal import SqlJournal
from refloat.resources.base import CopyData, Hooks, PlanContext, Planned, ProtectionPlugin, Section
from refloat.resources.context import HookContext
from refloat.testing.stores import Locked
from tests.unit.support.bank_helpers import CHUNK, NOW, files, hasty, noise, objects
from tests.unit.support.engine_helpers import open_engine, start

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

LONG = 60.0
DISK, BACKUP = "Test::Disk", "Test::Backup"
HERE, AWAY = BankKey(bytes(32)), BankKey(bytes(range(32)))
CONTENT = {"a": noise(3 * CHUNK + 5) + bytes(CHUNK), "b": b"text " * 300_000, "c": b""}


class DiskPlugin(ProtectionPlugin):
    """Its data is in the bank."""

    name = "test-disk"
    resource_type = DISK

    def plan_restore(self, context: PlanContext) -> Planned:
        return Planned("create")


class Deleted(Hooks):
    """Deletes what is in the cloud."""

    def on_main(self, context: HookContext) -> None:
        context.parameters  # noqa: B018


class BackupPlugin(DiskPlugin):
    """Its data is in the cloud."""

    name = "test-backup"
    resource_type = BACKUP
    delete = Deleted

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        return (f"the backup {section['backup']}",)


class Site:
    """An installation with two banks, each with a key of its own, and an engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.banks = {
            "default": Bank.open(str(folder / "here"), HERE, create=True),
            "away": Bank.open(str(folder / "away"), AWAY, create=True),
        }
        self.plugins: dict[str, ProtectionPlugin] = {DISK: DiskPlugin(), BACKUP: BackupPlugin()}
        self.database = Database(f"sqlite:///{folder}/records.sqlite")
        self.engine = self.open_engine()

    @property
    def here(self) -> Bank:
        return self.banks["default"]

    @property
    def away(self) -> Bank:
        return self.banks["away"]

    def open_engine(self) -> Engine:
        engine = open_engine(self.database, workers=4)
        engine.register("copy", self.program)
        return engine

    def program(self, operation_id: str, payload: Any, kind: Any = CopyProgram) -> Any:
        services = Services(
            cloud=cast(Cloud, None),
            providers=Providers(noop=True),
            bank_for=self.bank_for,
            journal_of=partial(SqlJournal, self.database),
            copies_of=lambda _checkpoint, _project: (),
        )
        program = kind(operation_id, payload, services)
        program.plugins = self.plugins
        return program

    def bank_for(self, name: str, _create: bool) -> Bank:
        return self.banks[name]

    def protect(self, content: Mapping[str, bytes] = CONTENT, *, backup: str = "") -> str:
        graph = Graph()
        identity = str(uuid.uuid4())
        with self.here.writer(identity, "p1") as writer:
            sections: dict[str, Any] = {}
            for name, data in content.items():
                node = graph.add(Resource(DISK, name, f"disk {name}"))
                sections[str(node.key)] = {"size": len(data), "inner": [{"data": writer.put_data([data])}]}
            if backup:
                node = graph.add(Resource(BACKUP, "v", "volume"))
                sections[str(node.key)] = {"backup": backup}
            writer.commit(
                created_at=NOW,
                provider="default",
                plan={"name": "app"},
                extra={"cloud": {"name": "mycloud"}, "operation_id": "old"},
                graph=graph.to_json(),
                sections=sections,
            )
        return identity

    def start(self, checkpoint: str, to: str = "away", **more: Any) -> str:
        on_failure = more.pop("on_failure", "undo")
        payload = {"provider": "default", "checkpoint_id": checkpoint, "to": to, "parameters": {}, **more}
        operation_id = str(uuid.uuid4())
        start(self.engine, operation_id, "copy", payload, on_failure=on_failure)
        return operation_id

    def copy(self, checkpoint: str, to: str = "away", **more: Any) -> Ended:
        return self.engine.wait(self.start(checkpoint, to, **more), LONG)

    def left(self) -> list[str]:
        """What is in the other bank, besides what makes it one."""
        root = self.folder / "away"
        names = [str(path.relative_to(root)) for path in objects(root)]
        return [name for name in names if name != "bank" and not name.startswith("keys/")]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    site = Site(tmp_path)
    yield site
    site.engine.close(timeout=10)
    site.database.close()


def contents(bank: Bank, checkpoint_id: str) -> dict[str, bytes]:
    found = {}
    for key, section in bank.checkpoint(checkpoint_id).sections.items():
        for item in section.get("inner", ()):
            with bank.open_data(item["data"]) as reader:
                found[key.partition("#")[2]] = reader.read()
    return found


def succeeded(ended: Ended) -> dict[str, Any]:
    assert (ended.state, ended.error) == ("succeeded", None)
    return dict(ended.result)


def test_copies_from_and_into_banks_under_object_lock(site: Site) -> None:
    here, away = (FileSystemStore(site.folder / name) for name in ("here", "away"))
    site.banks = {"default": Bank.open(Locked(here), HERE), "away": Bank.open(Locked(away), AWAY)}
    for number in range(2):
        copy = succeeded(site.copy(site.protect({**CONTENT, "more": bytes([number]) * 3000})))
        site.away.verify(copy["id"])
        sections = site.away.checkpoint(copy["id"]).sections
        with site.away.open_data(sections[f"{DISK}#more"]["inner"][0]["data"]) as reader:
            assert reader.read() == bytes([number]) * 3000
    assert len(site.away.checkpoints()) == 2


def test_copy_is_a_checkpoint_by_itself_and_says_what_it_is(site: Site) -> None:
    source = site.protect()
    result = succeeded(site.copy(source))
    assert (result["status"], result["existed"], result["complete"]) == ("available", False, True)
    assert result["size"] == sum(map(len, CONTENT.values()))
    assert 3 * CHUNK < result["stored"] < 4 * CHUNK
    assert {line["status"] for line in result["resources"]} == {"complete"}

    # Neither the first bank nor its key is needed any more.
    site.here.delete(source)
    away = Bank.open(str(site.folder / "away"), AWAY)
    away.verify(result["id"])
    assert contents(away, result["id"]) == CONTENT
    with pytest.raises(BankError, match="key does not open the bank"):
        Bank.open(str(site.folder / "away"), HERE)

    kept = away.checkpoint(result["id"])
    assert kept.info.id != source
    assert (kept.info.created_at, kept.info.plan, kept.info.project_id) == (NOW, {"name": "app"}, "p1")
    assert kept.info.provider == "away"
    assert kept.info.extra["cloud"] == {"name": "mycloud"}
    assert kept.info.extra["plugins"] == {DISK: "test-disk"}
    said = kept.info.extra["copied_from"]
    assert (said["checkpoint_id"], said["provider"], said["bank_id"]) == (source, "default", site.here.id)
    assert [node["id"] for node in kept.graph["nodes"]] == ["a", "b", "c"]


def test_only_what_the_other_bank_lacks_is_stored(site: Site) -> None:
    succeeded(site.copy(site.protect()))
    changed = CONTENT["a"][:CHUNK] + noise(CHUNK, "new") + CONTENT["a"][2 * CHUNK :]
    second = succeeded(site.copy(site.protect({**CONTENT, "a": changed})))
    assert CHUNK < second["stored"] < CHUNK + 10_000
    assert contents(site.away, second["id"]) == {**CONTENT, "a": changed}


def test_copying_again_finds_the_copy(site: Site) -> None:
    source = site.protect()
    first = succeeded(site.copy(source))
    before = files(site.folder / "away")
    again = succeeded(site.copy(source))
    assert (again["id"], again["existed"], again["stored"]) == (first["id"], True, 0)
    assert files(site.folder / "away") == before
    # And that it is gone, when it was deleted.
    site.away.delete(first["id"])
    third = succeeded(site.copy(source))
    assert (third["id"], third["existed"]) == (first["id"], False)
    assert contents(site.away, first["id"]) == CONTENT


def test_copying_back_finds_the_original_or_makes_up_for_it(site: Site) -> None:
    source = site.protect()
    copy = succeeded(site.copy(source))["id"]
    back = succeeded(site.copy(copy, to="default", bank="away"))
    assert (back["id"], back["existed"]) == (source, True)

    site.here.delete(source)
    back = succeeded(site.copy(copy, to="default", bank="away"))
    assert (back["id"] == source, back["existed"]) == (False, False)
    assert contents(site.here, back["id"]) == CONTENT
    # Copies of copies are known by what was protected in the first place.
    again = succeeded(site.copy(back["id"]))
    assert (again["id"], again["existed"]) == (copy, True)


def test_two_providers_with_one_bank_have_nothing_to_copy(site: Site) -> None:
    site.banks["twin"] = site.here
    ended = site.copy(site.protect(), to="twin")
    assert ended.error is not None
    assert "in the bank that this one is in" in str(RefloatError.from_json(dict(ended.error)))


def test_what_stays_in_the_cloud_is_named_and_refused(site: Site) -> None:
    source = site.protect(backup="b1")
    ended = site.copy(source)
    assert (ended.state, (ended.error or {})["left_behind"]) == ("failed", "")
    said = str(RefloatError.from_json(dict(ended.error or {})))
    assert f"{BACKUP} volume (v): its data stays in the cloud mycloud: the backup b1" in said
    assert "--allow-incomplete" in said
    assert site.left() == []

    result = succeeded(site.copy(source, allow_incomplete=True))
    assert result["complete"] is False
    (line,) = [line for line in result["resources"] if line["type"] == BACKUP]
    assert line["status"] == "incomplete"
    assert line["reason"] == "its data stays in the cloud mycloud: the backup b1"
    kept = site.away.checkpoint(result["id"])
    assert kept.info.extra["incomplete"] == {f"{BACKUP}#v": line["reason"]}
    assert kept.sections[f"{BACKUP}#v"] == {"backup": "b1"}

    # Deleting the copy leaves the original's backup alone; deleting the original does not.
    def hooks(checkpoint: str, bank: str) -> list[str]:
        payload = {"provider": "default", "bank": bank, "checkpoint_id": checkpoint, "parameters": {}}
        program = site.program("o", payload, DeleteProgram)
        return [step.name for step in program.dag(program.prepare(cast(Any, None))) if "#" in step.name]

    assert hooks(result["id"], "away") == []
    assert hooks(source, "default") == [f"on_main {BACKUP}#v"]


def test_plan_says_the_same_and_changes_nothing(site: Site) -> None:
    source = site.protect(backup="b1")
    payload = {"provider": "default", "checkpoint_id": source, "to": "away", "parameters": {}}
    plan = site.program("o", payload).plan().to_json()
    assert (plan["exists"], plan["complete"], plan["copied_from"]) == (False, False, source)
    assert plan["size"] == sum(map(len, CONTENT.values()))
    assert site.left() == []
    assert succeeded(site.copy(source, allow_incomplete=True))["id"] == plan["id"]
    plan = site.program("o", payload).plan()
    assert plan.to_json()["exists"] is True
    plan.refuse_incomplete()  # which does not matter any more


class Held(CopyData):
    """Copies, and does not come to an end."""

    copied = threading.Event()

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        super().on_main(context)
        Held.copied.set()
        for _try in range(int(LONG * 100)):
            if context.cancelled():
                raise Cancelled("stopped")
            threading.Event().wait(0.01)
        raise AssertionError("nobody has cancelled it")


def test_cancelled_copy_leaves_nothing(site: Site) -> None:
    first = succeeded(site.copy(site.protect({"z": noise(CHUNK, "z")})))
    before = site.left()
    plugin = DiskPlugin()
    plugin.copy = Held  # type: ignore[misc]
    site.plugins[DISK] = plugin
    Held.copied.clear()
    operation_id = site.start(site.protect())
    assert Held.copied.wait(LONG)
    assert len(site.left()) > len(before)
    site.engine.cancel(operation_id)
    ended = site.engine.wait(operation_id, LONG)
    assert (ended.state, ended.error) == ("cancelled", None)
    assert site.left() == before
    site.away.verify(first["id"])


def failing_on(name: str, how: Callable[[], None], seen: list[str]) -> type[CopyData]:
    class Failing(CopyData):
        """Copies what comes before something goes wrong."""

        def on_main(self, context: HookContext) -> Mapping[str, Any]:
            result = super().on_main(context)
            seen.append(context.resource.id)
            if context.resource.id == name:
                how()
            return result

    return Failing


def test_copy_that_was_interrupted_goes_on_and_copies_nothing_twice(site: Site) -> None:
    source = site.protect()
    seen: list[str] = []

    def full() -> None:
        raise BankError("the bank is full")

    plugin = DiskPlugin()
    plugin.copy = failing_on("b", full, seen)  # type: ignore[misc]
    site.plugins[DISK] = plugin
    operation_id = site.start(source, on_failure="park")
    assert site.engine.wait(operation_id, LONG).state == "parked"
    before = set(seen)
    assert "b" in before

    # Another process: nothing is left but what is on the disk.
    site.engine.close(timeout=10)
    site.banks["away"] = Bank.open(str(site.folder / "away"), AWAY)
    plugin = DiskPlugin()
    seen.clear()
    plugin.copy = failing_on("", full, seen)  # type: ignore[misc]
    site.plugins[DISK] = plugin
    site.engine = site.open_engine()
    site.engine.resume(operation_id)
    result = succeeded(site.engine.wait(operation_id, LONG))
    assert set(seen) == {"a", "b", "c"} - (before - {"b"})
    assert contents(site.away, result["id"]) == CONTENT
    site.away.verify(result["id"])
    # Half of it was stored before: not stored again, and nothing superfluous stays.
    assert not [name for name in site.left() if name.startswith("writers/")]
    site.away.delete(result["id"])
    assert site.left() == []


def copy_and_hang(folder: str, checkpoint: str, operation_id: str) -> None:
    """What the process that is killed does."""
    site = Site(Path(folder))

    def hang() -> None:
        print("copied", flush=True)
        threading.Event().wait(LONG)

    plugin = DiskPlugin()
    plugin.copy = failing_on("b", hang, [])  # type: ignore[misc]
    site.plugins[DISK] = plugin
    payload = {"provider": "default", "checkpoint_id": checkpoint, "to": "away", "parameters": {}}
    start(site.engine, operation_id, "copy", payload)
    site.engine.wait(operation_id, LONG)


@pytest.mark.parametrize("then", ["resume", "cancel"])
def test_killed_process_leaves_what_can_be_finished_or_removed(tmp_path: Path, then: str) -> None:
    site = Site(tmp_path)
    source, operation_id = site.protect(), str(uuid.uuid4())
    site.engine.close(timeout=10)
    code = f"from tests.unit.operations.test_copy import copy_and_hang; copy_and_hang({str(tmp_path)!r}, "
    code += f"{source!r}, {operation_id!r})"
    child = subprocess.Popen(
        [sys.executable, "-c", code], cwd=Path(__file__).parents[3], stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "copied\n"
    finally:
        child.kill()
        child.communicate(timeout=LONG)
    assert site.left()
    with sqlite3.connect(tmp_path / "records.sqlite") as database:
        database.execute("UPDATE operations SET expires = 0")  # as if it had been dead for long

    site = Site(tmp_path)
    getattr(site.engine, then)(operation_id)
    ended = site.engine.wait(operation_id, LONG)
    if then == "resume":
        copy = succeeded(ended)["id"]
        assert contents(site.away, copy) == CONTENT
        site.away.verify(copy)
        site.away.delete(copy)
    assert ((ended.error or {}).get("left_behind", ""), site.left()) == ("", [])
    site.engine.close(timeout=10)


def test_wrong_key_is_refused_and_nothing_is_touched(site: Site) -> None:
    source = site.protect()

    def refused(name: str, _create: bool) -> Bank:
        if name == "away":
            return Bank.open(str(site.folder / "away"), HERE)
        return site.here

    site.bank_for = refused  # type: ignore[method-assign]
    before = files(site.folder / "away")
    ended = site.copy(source)
    assert (ended.state, (ended.error or {})["left_behind"]) == ("failed", "")
    assert "the key does not open the bank" in str((ended.error or {})["message"])
    assert files(site.folder / "away") == before


def test_damage_is_noticed_and_never_copied(site: Site) -> None:
    source = site.protect()
    pack = max(objects(site.folder / "here", ".pack"), key=lambda path: path.stat().st_size)
    blob = bytearray(pack.read_bytes())
    blob[len(blob) // 2] ^= 1
    pack.chmod(0o600)
    pack.write_bytes(blob)
    ended = site.copy(source)
    assert ended.state == "failed"
    assert isinstance(RefloatError.from_json(dict(ended.error or {})), BankDamaged)
    assert site.left() == []


def test_references_are_found_and_replaced_wherever_they_are(site: Site) -> None:
    section = site.here.checkpoint(site.protect()).sections[f"{DISK}#a"]
    (ref,) = data_references({"deep": [{"er": (section, section)}]})
    new = with_references(section, {ref["object"]: {"object": "new"}})
    assert new == {"size": section["size"], "inner": [{"data": {"object": "new"}}]}
    assert data_references({"object": "not of a bank", "size": 1, "digest": ""}) == []


def test_checkpoints_are_read_by_the_plugins_that_made_them() -> None:
    default = Providers().find("default")
    kind = "OS::Cinder::Volume"
    assert plugins_for(default, {})[kind].name == "volume-cinder-backup"
    assert plugins_for(default, {kind: "volume-bank"})[kind].name == "volume-bank"
    assert plugins_for(default, {kind: "image-bank", "x": "unknown"})[kind].name == "volume-cinder-backup"


def test_unknown_provider_is_stood_in_for() -> None:
    made_by = {"Refloat::Noop": "noop", "OS::Cinder::Volume": "volume-bank", "x": "unknown"}
    provider = stand_in("elsewhere", made_by)
    assert provider.name == "elsewhere"
    assert provider.plugin("OS::Cinder::Volume").name == "volume-bank"
    assert provider.plugin("OS::Nova::Server").name == "server"


def test_hooks_of_other_operations_copy_nothing() -> None:
    fields = dict.fromkeys(HookContext.__dataclass_fields__)
    with pytest.raises(BankError, match="copies nothing"):
        HookContext(**cast(Any, fields)).copied({"size": 0}, lambda _done: None)
