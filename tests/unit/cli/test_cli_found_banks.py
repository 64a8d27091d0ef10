"""The cloud is gone, and one has the bank and its key: finding 1.5. A list that is empty says why: 1.6."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from refloat.bank import Bank, load_key
from refloat.control.adoption import NOTED
from refloat.errors import CloudError
from refloat.records.checkpoints import CheckpointRecords
from refloat.records.database import Database
from refloat.resources.noop import NoopRestore
from tests.install.guide import commands
from tests.unit.support.cli_helpers import PROJECT, Command, Ran, new_user, serve_identity

PAGE = Path(__file__).parents[3] / "docs/disaster.md"
NEW = "7d1f7c3e5a1f7c3e5a1f7c3e5a1f7c3e"
OTHER = "9e1f7c3e5a1f7c3e5a1f7c3e5a1f7c3e"

User = Callable[..., Ran]


@pytest.fixture
def new_port() -> Iterator[int]:
    """Another cloud, where everybody has another project."""
    server = serve_identity(NEW)
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def as_user(user: Command, monkeypatch: pytest.MonkeyPatch) -> User:
    def run(*argv: str) -> Ran:
        with monkeypatch.context() as patched:
            for name, value in user.environ.items():
                if name != "PATH":
                    patched.setenv(name, value)
            return user(*argv)

    return run


@pytest.fixture
def old(refloat: Command) -> str:
    """What a user of the old cloud has made: a checkpoint."""
    made = refloat("plan", "create", "app", "--resource", "noop=tree:12", "--provider", "noop")
    assert made.status == 0, made.err
    ran = refloat("protect", "app", "--name", "before", "-f", "json")
    assert ran.status == 0, ran.err
    return str(ran.json["id"])


@pytest.fixture
def found(refloat: Command, old: str, tmp_path: Path) -> tuple[str, ...]:
    """Options for all that is left: a bank, which has a checkpoint of another project too, and its key."""
    shutil.copytree(refloat.home / "data/refloat/bank", tmp_path / "bucket")
    key = shutil.copy(refloat.home / "config/refloat/bank.key", tmp_path / "kept.key")
    bank = Bank.open(str(tmp_path / "bucket"), load_key(key))
    with bank.writer("of-another", OTHER) as writer:
        graph = {"nodes": [], "edges": []}
        writer.commit(created_at="2031-01-01T00:00:00Z", graph=graph, sections={"T#0": {}})
    bank.close()
    return "--bank", str(tmp_path / "bucket"), "--key", str(key)


@pytest.fixture
def new(new_port: int, tmp_path: Path) -> Command:
    """A user of another cloud, who has nothing."""
    home = tmp_path / "new"
    home.mkdir()
    return new_user(home, new_port)


def records(user: Command) -> Database:
    return Database(f"sqlite:///{user.home}/state/refloat/refloat.sqlite")


def tree(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_1_5_a_checkpoint_of_another_cloud_is_found_shown_and_restored(
    new: Command, old: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    refloat = as_user(new, monkeypatch)
    before = tree(tmp_path / "bucket")
    none = refloat("checkpoint", "list", *found, "-f", "json")
    assert (none.status, none.json) == (0, [])
    assert f"has none of this project, {NEW}; there are 2 of 2 other projects: see --all-projects" in none.err

    rows = refloat("checkpoint", "list", *found, "--all-projects", "-f", "json").json
    assert {(row["id"], row["project_id"], row["status"]) for row in rows} == {
        (old, PROJECT, "available"),
        ("of-another", OTHER, "available"),
    }
    (row,) = refloat("checkpoint", "list", *found, "--project", PROJECT, "-f", "json").json
    assert (row["id"], row["name"], row["plan"]) == (old, "before", "app")
    shown = refloat("checkpoint", "show", old[:8], *found, "-f", "json").json
    assert (len(shown["resources"]), shown["project_id"]) == (12, PROJECT)
    verified = refloat("bank", "verify", *found, "-f", "json")
    assert (verified.status, verified.json["checkpoints"]) == (0, 2)

    planned = refloat("restore", old, *found, "--dry-run", "-f", "json").json
    assert planned["origin"]["project_id"] == PROJECT
    assert planned["origin"]["auth_url"] == shown["cloud"]["auth_url"]
    assert {item["living"] for item in planned["resources"]} == {None}
    text = refloat("restore", old, *found, "--dry-run").out
    assert (
        f"It comes from the project {PROJECT} of the cloud {shown['cloud']['auth_url']}, out of the bank"
        in text
    )

    restored = refloat("restore", "before", *found, "-f", "json")
    assert (restored.status, restored.json["status"]) == (0, "succeeded"), restored.err
    assert {line["status"] for line in restored.json["resources"]} == {"created"}
    (operation, *_) = refloat("operation", "list", "-f", "json").json
    assert (operation["kind"], operation["state"]) == ("restore", "succeeded")
    assert tree(tmp_path / "bucket") == before
    # Nothing is said of what was found but what the lock of the restore needs.
    assert refloat("checkpoint", "list", "-f", "json").json == []
    with records(new) as database:
        record = CheckpointRecords(database).get(old, None)
    assert (record.project_id, record.provider_id[: len(NOTED)]) == (PROJECT, NOTED)


def test_1_5_what_is_meant_has_to_be_said(
    new: Command, old: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    refloat = as_user(new, monkeypatch)
    for vague in ("latest", "app"):
        ran = refloat("restore", vague, *found)
        assert (ran.status, "does not say of which project: there are checkpoints of 2" in ran.err) == (
            2,
            True,
        )
    assert refloat("restore", "app", *found, "--project", PROJECT).status == 0
    ran = refloat("restore", old, *found, "--project", OTHER)
    assert (ran.status, f"it is of the project {PROJECT}" in ran.err) == (1, True)
    assert (
        "not through the service" in refloat("--service", "http://x", "restore", old, "--project", OTHER).err
    )


def test_1_5_no_cloud_is_needed_to_look(
    new: Command, old: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    refloat = as_user(new, monkeypatch)
    rows = refloat("--os-cloud", "gone", "checkpoint", "list", *found, "--all-projects", "-f", "json").json
    assert len(rows) == 2
    assert refloat("--os-cloud", "gone", "checkpoint", "show", old, *found).status == 0


def test_1_5_an_exported_key_is_enough(
    refloat: Command,
    new: Command,
    old: str,
    found: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    assert refloat("bank", "keys", "export", PROJECT, str(tmp_path / "shop.key")).status == 0
    alone = (*found[:2], "--key", str(tmp_path / "shop.key"))
    user = as_user(new, monkeypatch)
    for every in ((), ("--all-projects",)):
        (row,) = user("checkpoint", "list", *alone, *every, "-f", "json").json
        assert row["id"] == old
    assert user("bank", "verify", *alone).status == 0
    assert user("restore", "latest", *alone, "--dry-run").status == 0
    restored = user("restore", old, *alone, "-f", "json")
    assert (restored.status, restored.json["status"]) == (0, "succeeded"), restored.err
    wrong = user("checkpoint", "list", *alone, "--project", OTHER)
    assert (wrong.status, "the key opens another project's checkpoints" in wrong.err) == (1, True)


def test_1_5_it_goes_on_and_is_undone_from_the_bank_alone(
    new: Command, old: str, found: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By itself, and by commands that do not name the bank."""
    refloat = as_user(new, monkeypatch)
    detached = refloat("restore", old, *found, "--no-wait", "-f", "json")
    assert detached.status == 0, detached.err
    for _ in range(100):
        watched = refloat("operation", "watch", detached.json["id"], "-f", "json")
        if watched.json["status"] != "interrupted":  # on a busy machine it has not begun yet
            break
        time.sleep(0.3)
    assert (watched.status, watched.json["status"]) == (0, "succeeded"), watched.err

    def fail(_self: object, _context: object) -> object:
        raise CloudError("no", reason="flavor not found")

    right = NoopRestore.on_complete
    for how, came_to in (("resume", "succeeded"), ("cancel", "cancelled")):
        monkeypatch.setattr(NoopRestore, "on_complete", fail)
        parked = refloat("restore", old, *found, "--keep-on-failure", "-f", "json")
        assert parked.json["status"] == "parked"
        monkeypatch.setattr(NoopRestore, "on_complete", right)
        ended = refloat("operation", how, parked.json["id"], "-f", "json")
        assert (ended.status, ended.json["status"]) == (0, came_to), ended.err


def test_1_6_an_empty_list_says_why(refloat: Command, old: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (
        "none is of the plan 'other'; there are 1 of other plans"
        in refloat("checkpoint", "list", "--plan", "other").err
    )
    assert refloat("checkpoint", "delete", old).status == 0
    ran = refloat("checkpoint", "list", "-f", "json")
    assert (ran.status, ran.json) == (0, [])
    assert f"has none of this project, {PROJECT}" in ran.err
    assert "--all-projects" not in ran.err
    missing = refloat("checkpoint", "list", "--bank", "/nonexistent/bank", "--all-projects")
    assert (missing.status, "there is no bank in" in missing.err) == (1, True)


def test_1_6_nothing_was_ever_protected(refloat: Command) -> None:
    ran = refloat("checkpoint", "list", "-f", "json")
    assert (ran.status, ran.json) == (0, [])
    assert "the first protection will make it" in ran.err


def test_one_of_another_project_in_the_own_bank_is_named(
    refloat: Command, new: Command, old: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same bank is used from another project: what is asked for is there, and how to reach it is said."""
    (new.home / "config/refloat").mkdir(parents=True)
    shutil.copy(refloat.home / "config/refloat/bank.key", new.home / "config/refloat/bank.key")
    (new.home / "data/refloat").mkdir(parents=True)
    shutil.copytree(refloat.home / "data/refloat/bank", new.home / "data/refloat/bank")
    user = as_user(new, monkeypatch)
    ran = user("restore", old)
    assert ran.status == 1
    assert f"it is of the project {PROJECT}. It is shown and restored with --project {PROJECT}" in ran.err
    restored = user("restore", old, "--project", PROJECT, "-f", "json")
    assert restored.json["status"] == "succeeded", restored.err
    with records(new) as database:  # it is in its provider's bank
        assert not CheckpointRecords(database).get(old, None).provider_id.startswith(NOTED)


def test_1_5_the_page_is_typed(new: Command, old: str, found: tuple[str, ...]) -> None:
    """In one shell, by somebody who has the bank and the key: docs/disaster.md, but for the names in it."""
    names = {
        "newcloud": "good",
        "s3://backup/bank": found[1],
        "~/bank.key": found[3],
        "5d0f1c6a": old[:8],
        "--map flavor:m1.small=c5 --map volume-type:lvm=ceph --map external-network:public=internet": (
            "--parameter noop:restore_name=new-{name}"
        ),
        "server=web --provider bank": "noop=tree:12 --provider noop",
    }
    lines = ["set -e", f"export PATH={Path(sys.executable).parent}:$PATH", "unset OS_CLOUD"]
    for command in commands(PAGE, "Restore it"):
        text = command.text
        for written, meant in names.items():
            text = text.replace(written, meant)
        lines.append(text)
    typed = "\n".join(lines)
    assert all(meant in typed for meant in names.values())
    ran = subprocess.run(
        ["bash", "-c", typed], env=new.environ, cwd=new.home, capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    assert old in ran.stdout
    assert f"It comes from the project {PROJECT}" in ran.stdout
    assert "new-tree:12" in ran.stdout
