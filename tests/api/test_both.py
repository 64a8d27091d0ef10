"""The contract of what the commands stand on: the same for Refloat on this machine and behind the service."""

from __future__ import annotations

import os

import pytest
from served import Roles

from tests.unit.support.cli_helpers import FAILED, PROJECT, REFUSED, Command


@pytest.fixture
def checkpoint(refloat: Command) -> str:
    make_plan(refloat)
    ran = refloat("protect", "app", "-f", "json")
    assert ran.status == 0, ran.err
    return str(ran.json["id"])


def make_plan(refloat: Command, size: int = 12, *more: str) -> None:
    ran = refloat("plan", "create", "app", "--resource", f"noop=tree:{size}", "--provider", "noop", *more)
    assert ran.status == 0, ran.err


def test_plans(refloat: Command) -> None:
    make_plan(refloat, 12, "--description", "the shop", "--objective", "26")
    made = refloat("plan", "show", "app", "-f", "json").json
    assert list(made) == [
        "id", "name", "description", "provider", "resources", "parameters", "objective", "unfit", "exclude",
        "project_id", "created_at", "updated_at",
    ]  # fmt: skip
    assert made["resources"] == [{"type": "Refloat::Noop", "id": "tree-12", "name": "tree:12"}]
    assert (made["provider"], made["project_id"], made["updated_at"]) == ("noop", PROJECT, "")
    assert made["objective"] == 26
    assert refloat("plan", "set", "app", "--description", "the shop", "-f", "json").json["objective"] == 26
    assert refloat("plan", "set", "app", "--objective", "0", "-f", "json").json["objective"] is None
    assert refloat("plan", "set", "app", "--objective", "-1").status == 2
    changed = refloat("plan", "set", "app", "--name", "web", "--resource", "noop=tree:3", "-f", "json").json
    assert (changed["name"], changed["description"], changed["id"]) == ("web", "the shop", made["id"])
    assert [item["id"] for item in changed["resources"]] == ["tree-3"]
    assert refloat("plan", "list", "-f", "value", "-c", "name").out == "web\n"
    assert refloat("plan", "delete", "web", "missing").status == 1
    assert refloat("plan", "list", "-f", "value", "-c", "name").out == "web\n"
    assert refloat("plan", "delete", "web").status == 0
    assert refloat("plan", "list", "-f", "json").json == []


def test_types_trees_and_providers(refloat: Command) -> None:
    types = refloat("protectable", "list", "-f", "json")
    assert {"type": "Refloat::Noop", "short_name": "noop"} in types.json
    assert refloat("protectable", "list", "noop", "-f", "json").json == []
    ran = refloat("protectable", "show", "noop", "tree:12")
    assert ran.out.splitlines()[:3] == [
        "noop tree:12 (tree-12)",
        "├── noop server-1 (tree-12-1)",
        "│   ├── noop disk-2 (tree-12-2)",
    ]
    names = {row["name"] for row in refloat("provider", "list", "-f", "json").json}
    assert names - {"noop"} == {"default", "snapshot", "bank"}  # what keeps nothing is for administrators
    shown = refloat("provider", "show", "default", "-f", "json").json
    assert list(shown) == ["id", "name", "description", "bank", "bank_key", "file", "notes", "plugins"]
    volume = next(plugin for plugin in shown["plugins"] if plugin["type"] == "OS::Cinder::Volume")
    assert "backup_mode" in [option["name"] for option in volume["parameters"]["protect"]]
    assert {"exact", "lost"} <= {item["fidelity"] for item in volume["attributes"]}
    assert "backup_mode" in refloat("provider", "show", "default").out


def test_protect_look_verify_restore_delete(refloat: Command) -> None:
    make_plan(refloat)
    ran = refloat("protect", "app", "-f", "json")
    assert ran.status == 0, ran.err
    assert list(ran.json) == ["id", "status", "operation_id", "plan", "provider", "resources"]
    assert (ran.json["status"], ran.json["plan"], ran.json["provider"]) == ("available", "app", "noop")
    assert len(ran.json["resources"]) == 12
    assert ran.json["resources"][0] == {"type": "Refloat::Noop", "id": "tree-12", "name": "tree:12"}
    made = ran.json["id"]

    (row,) = refloat("checkpoint", "list", "-f", "json", "--plan", "app").json
    assert (row["id"], row["status"], row["plan"], row["provider"]) == (made, "available", "app", "noop")
    assert row["operation_id"] == ran.json["operation_id"]
    assert refloat("checkpoint", "list", "-f", "json", "--plan", "other").json == []
    shown = refloat("checkpoint", "show", made[:8], "-f", "json").json
    assert {tuple(item.items()) for item in shown["resources"]} == {
        tuple(item.items()) for item in ran.json["resources"]
    }
    assert shown["cloud"]["auth_url"].startswith("http://127.0.0.1:")

    verified = refloat("verify", made[:8], "-f", "json")
    assert (verified.status, verified.json["status"]) == (0, "good"), verified.err
    assert {line["status"] for line in verified.json["resources"]} == {"good"}

    restored = refloat(
        "restore", made, "--only", "noop=server-9",
        "--parameter", "noop#server-9:restore_name=new {name}", "-f", "json",
    )  # fmt: skip
    assert (restored.status, restored.json["status"]) == (0, "succeeded"), restored.err
    assert restored.json["checkpoint_id"] == made
    lines = {line["source_id"]: line for line in restored.json["resources"]}
    assert lines["tree-12-9"]["name"] == "new server-9"
    assert set(lines["tree-12-9"]) == {"type", "source_id", "new_id", "name", "status", "reason"}
    assert set(lines) == {f"tree-12-{n}" for n in (8, 9, 10, 11)}

    again = refloat("operation", "watch", restored.json["id"], "-f", "json")
    assert again.json == restored.json
    operations = refloat("operation", "list", "-f", "json").json
    assert [(row["kind"], row["state"]) for row in operations] == [
        ("restore", "succeeded"),
        ("verify", "succeeded"),
        ("protect", "succeeded"),
    ]
    one = refloat("operation", "show", restored.json["id"][:8], "-f", "json").json
    assert one["steps"] == one["steps_done"] > 0
    assert one["resources"] == restored.json["resources"]

    deleted = refloat("checkpoint", "delete", made, "-f", "json")
    assert deleted.status == 0, deleted.err
    assert [(row["id"], row["status"]) for row in deleted.json] == [(made, "deleted")]
    assert refloat("checkpoint", "list", "-f", "json").json == []


def test_a_dry_run_changes_nothing(refloat: Command, checkpoint: str) -> None:
    ran = refloat("restore", checkpoint, "--dry-run", "-f", "json")
    assert (ran.status, ran.json["possible"]) == (0, True), ran.err
    assert len(ran.json["resources"]) == 12
    assert ran.json["resources"][0]["attributes"][0]["fidelity"] == "exact"
    text = refloat("restore", checkpoint, "--dry-run", "--parameter", "noop:restore_name=x-{name}")
    assert "create  noop tree:12 (tree-12) as x-tree:12" in text.out
    assert "12 to create, 0 to re-use" in text.out
    assert [row["kind"] for row in refloat("operation", "list", "-f", "json").json] == ["protect"]


def test_nobody_need_wait(refloat: Command) -> None:
    make_plan(refloat)
    ran = refloat("protect", "app", "--detach", "-f", "json")
    assert (ran.status, ran.json["status"]) == (0, "protecting"), ran.err
    identity = ran.json["operation_id"]
    assert f"refloat operation watch {identity}" in ran.err
    watched = refloat("operation", "watch", identity, "-f", "json")
    assert (watched.status, watched.json["status"]) == (0, "available"), watched.err
    assert watched.json["id"] == ran.json["id"]


def test_a_failed_restore_says_what_it_had_made(
    refloat: Command, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refloat.errors import CloudError
    from refloat.resources import noop as plugin

    right = plugin.NoopRestore.on_complete

    def fail(self: plugin.NoopRestore, context: plugin.HookContext) -> object:
        if context.resource.id == "tree-12":
            raise CloudError("no", reason="flavor not found")
        return right(self, context)

    monkeypatch.setattr(plugin.NoopRestore, "on_complete", fail)
    ran = refloat("restore", checkpoint, "-f", "json")
    assert (ran.status, ran.json["status"]) == (1, "failed")
    assert f"refloat: {FAILED}\n" in ran.err
    lines = {line["source_id"]: line for line in ran.json["resources"]}
    assert lines["tree-12"]["status"] == "failed"
    assert lines["tree-12"]["reason"] == "no: flavor not found"
    assert lines["tree-12-1"]["status"] == "removed"

    kept = refloat("restore", checkpoint, "--keep-on-failure", "-f", "json")
    assert (kept.status, kept.json["status"]) == (1, "parked")
    assert f"refloat operation resume {kept.json['id']}" in kept.err
    monkeypatch.setattr(plugin.NoopRestore, "on_complete", right)
    resumed = refloat("operation", "resume", kept.json["id"], "-f", "json")
    assert (resumed.status, resumed.json["status"]) == (0, "succeeded"), resumed.err
    assert len(resumed.json["resources"]) == 12

    monkeypatch.setattr(plugin.NoopRestore, "on_complete", fail)
    kept = refloat("restore", checkpoint, "--keep-on-failure", "-f", "json")
    cancelled = refloat("operation", "cancel", kept.json["id"], "-f", "json")
    assert (cancelled.status, cancelled.json["status"]) == (0, "cancelled"), cancelled.err
    assert refloat("operation", "list", "--state", "parked", "-f", "json").json == []


def test_what_cannot_be_is_told_in_one_line(refloat: Command) -> None:
    for argv, status, message in REFUSED:
        ran = refloat(*argv)
        assert ran.status == status, (argv, ran.err)
        assert ran.err.splitlines()[-1].startswith("refloat: "), argv
        assert message in ran.err.splitlines()[-1], argv
        assert ran.out == "", argv


def test_wrong_ends_and_restores(refloat: Command, checkpoint: str) -> None:
    missing = refloat("restore", checkpoint, "--only", "noop=x")
    assert (missing.status, missing.out) == (1, "")
    assert "the checkpoint holds no Refloat::Noop 'x'" in missing.err
    unknown = refloat("restore", checkpoint, "--parameter", "noop:colour=red")
    assert unknown.status == 2
    assert "has no parameter 'colour'" in unknown.err
    operation = refloat("operation", "list", "-f", "value", "-c", "id").out.strip()
    resumed = refloat("operation", "resume", operation)
    assert resumed.err == "refloat: the operation has ended (succeeded); there is nothing to resume\n"
    cancelled = refloat("operation", "cancel", operation)
    assert cancelled.err == "refloat: the operation has ended (succeeded); there is nothing to cancel\n"


def test_holds(refloat: Command, checkpoint: str, who: Roles) -> None:
    none = refloat("checkpoint", "hold", "show", checkpoint)
    assert (none.status, "is not on hold" in none.err) == (1, True)
    assert refloat("checkpoint", "hold", "set", checkpoint, " ").status == 2
    assert refloat("checkpoint", "hold", "set", "nothing", "why").status == 1
    made = refloat("checkpoint", "hold", "set", checkpoint[:8], "case 12", "-f", "json").json
    assert list(made) == ["checkpoint_id", "reason", "user_id", "created_at"]
    assert (made["checkpoint_id"], made["reason"]) == (checkpoint, "case 12")
    assert refloat("checkpoint", "hold", "show", checkpoint, "-f", "json").json == made
    refused = refloat("checkpoint", "delete", checkpoint)
    assert (refused.status, "case 12" in refused.err) == (1, True)
    assert refloat("checkpoint", "list", "-f", "value", "-c", "id").out == f"{checkpoint}\n"
    if "REFLOAT_SERVICE" in os.environ:
        told = refloat("checkpoint", "hold", "unset", checkpoint)
        assert (told.status, "provider:checkpoint_release" in told.err) == (1, True), "this is for managers"
        who.roles = "manager,member,reader"
    freed = refloat("checkpoint", "hold", "unset", checkpoint)
    assert (freed.status, "can be deleted again" in freed.err) == (0, True)
    assert refloat("checkpoint", "hold", "unset", checkpoint).status == 1
    assert refloat("checkpoint", "delete", checkpoint).status == 0
