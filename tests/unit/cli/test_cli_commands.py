"""The command, in this process, with made-up applications."""

from __future__ import annotations

import csv
import io
import logging
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from refloat import __version__
from refloat.bank import Bank, create_key
from refloat.cli.embedded import Embedded
from refloat.cli.main import RefloatApp
from tests.unit.support.cli_helpers import FAILED, PROJECT, REFUSED, Command, Ran


def make_plan(refloat: Command, size: int = 12, *more: str) -> Ran:
    made = refloat("plan", "create", "app", "--resource", f"noop=tree:{size}", "--provider", "noop", *more)
    assert made.status == 0, made.err
    return made


def protect(refloat: Command) -> str:
    ran = refloat("protect", "app", "-f", "json")
    assert ran.status == 0, ran.err
    return str(ran.json["id"])


# Help


@pytest.mark.parametrize("argv", [(), ("--help",), ("-h",), ("help",)])
def test_help_lists_the_commands(refloat: Command, argv: tuple[str, ...]) -> None:
    ran = refloat(*argv)
    assert (ran.status, ran.err) == (0, "")
    assert "  plan create " in ran.out
    assert "REFLOAT_BANK_KEY" in ran.out


def test_every_command_has_help(refloat: Command) -> None:
    for name, entry in RefloatApp().command_manager:
        ran = refloat(*name.split(), "--help")
        assert (ran.status, ran.err) == (0, ""), name
        assert ran.out.startswith(f"usage: refloat {name} "), name
        if entry.load().__module__.startswith("refloat"):
            assert entry.load().__doc__, name


def test_version(refloat: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert refloat("--version").status == 0
    assert capsys.readouterr().out == f"refloat {__version__}\n"


def imported(refloat: Command, calls: str, slow: set[str]) -> subprocess.CompletedProcess[str]:
    """Which of some modules are imported after some lines that call ``main``: on stderr."""
    code = (
        f"import sys; from refloat.cli.main import main\n{calls}\n"
        f"print(sorted({slow!r} & set(sys.modules)), file=sys.stderr)"
    )
    return subprocess.run(
        [sys.executable, "-c", code], env=refloat.environ, capture_output=True, text=True, timeout=60
    )


def test_help_imports_nothing_slow(refloat: Command) -> None:
    ran = refloat.run("plan", "create", "--help")
    assert ran.status == 0
    calls = "try: main(['--help']); main(['restore', '--help'])\nexcept SystemExit: pass"
    slow = {"openstack", "dbos", "sqlalchemy", "cmd2", "rich", "keystoneauth1", "yaml"}
    done = imported(refloat, calls, slow)
    assert done.stderr.replace("'yaml'", "").strip() == "[]"


def test_a_list_imports_nothing_that_it_does_not_need(refloat: Command) -> None:
    """Neither the engine, the migrations, another database's driver nor the kinds of resources."""
    assert refloat("plan", "list").status == 0  # the database is made
    slow = {"alembic", "dbos", "psycopg", "rich", "opendal", "croniter", "falcon", "botocore"}
    slow |= {"sqlalchemy.dialects.postgresql", "refloat.resources.server", "refloat.resources.volume"}
    done = imported(refloat, "assert main(['plan', 'list']) == 0", slow)
    assert (done.returncode, done.stderr) == (0, "[]\n")


@pytest.mark.parametrize("shell", ["bash", "zsh"])
@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("refloat pro", "protect protectable provider"),
        ("refloat plan ", "create delete list set show"),
        ("refloat --os-cloud demo pl", "plan"),
        ("refloat --os-cloud x restore abc --keep", "--keep-image --keep-on-failure"),
        ("refloat protectable show security", "security-group"),
        ("refloat operation list --os", "--os-cloud"),
    ],
)
def test_completion(refloat: Command, tmp_path: Path, shell: str, line: str, found: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"there is no {shell} here")
    script = refloat("complete")
    assert (script.status, script.err) == (0, "")
    words = [*line.split(), *([""] if line.endswith(" ") else [])]
    # As bash, and zsh's bashcompinit, call it.
    array = " ".join(f'"{word}"' for word in words)
    call = f'COMP_WORDS=({array}); COMP_CWORD={len(words) - 1}; _refloat; echo "${{COMPREPLY[@]}}"'
    start = "autoload -Uz compinit bashcompinit; compinit -u; bashcompinit; " if shell == "zsh" else ""
    emulate = "emulate sh; setopt kshglob noshglob braceexpand\n" if shell == "zsh" else ""
    (tmp_path / "script").write_text(f"{start}\n{script.out}\n{emulate}{call}\n")
    done = subprocess.run([shell, f"{tmp_path}/script"], capture_output=True, text=True, timeout=60)
    offered = done.stdout.split()
    if shell == "zsh":  # which itself chooses from what it is offered
        offered = [word for word in offered if word.startswith(words[-1])]
    assert " ".join(sorted(set(offered))) == found, done.stderr


# A first day


def test_protect_look_verify_restore_delete(refloat: Command) -> None:
    plan = make_plan(refloat)
    assert f"| project_id  | {PROJECT}" in plan.out

    ran = refloat("protect", "app", "-f", "json")
    assert ran.status == 0
    assert "Made a new bank key" in ran.err
    checkpoint = ran.json["id"]
    assert ran.json["status"] == "available"
    assert len(ran.json["resources"]) == 12
    assert ran.json["resources"][0] == {"type": "Refloat::Noop", "id": "tree-12", "name": "tree:12"}

    listed = refloat("checkpoint", "list", "-f", "json", "--plan", "app")
    assert [(row["id"], row["status"], row["plan"]) for row in listed.json] == [
        (checkpoint, "available", "app")
    ]
    assert refloat("checkpoint", "list", "-f", "json", "--plan", "other").json == []
    shown = refloat("checkpoint", "show", checkpoint[:8], "-f", "json").json
    assert shown["resources"] == ran.json["resources"]
    assert shown["cloud"]["auth_url"].startswith("http://127.0.0.1:")

    verified = refloat("verify", checkpoint[:8], "-f", "json")
    assert (verified.status, verified.json["status"], verified.err) == (0, "good", "")
    assert {line["status"] for line in verified.json["resources"]} == {"good"}

    restored = refloat(
        "restore", checkpoint, "--only", "noop=server-9",
        "--parameter", "noop#server-9:restore_name=new {name}", "-f", "json",
    )  # fmt: skip
    assert (restored.status, restored.err) == (0, "")
    assert restored.json["status"] == "succeeded"
    assert restored.json["checkpoint_id"] == checkpoint
    lines = {line["source_id"]: line for line in restored.json["resources"]}
    assert lines["tree-12-9"]["name"] == "new server-9"
    assert set(lines["tree-12-9"]) == {"type", "source_id", "new_id", "name", "status", "reason"}
    assert set(lines) == {f"tree-12-{n}" for n in (8, 9, 10, 11)}

    again = refloat("operation", "watch", restored.json["id"], "-f", "json")
    assert again.json == restored.json
    operations = refloat("operation", "list", "-f", "csv", "-c", "kind", "-c", "state")
    assert list(csv.reader(io.StringIO(operations.out))) == [
        ["kind", "state"],
        ["restore", "succeeded"],
        ["verify", "succeeded"],
        ["protect", "succeeded"],
    ]
    one = refloat("operation", "show", restored.json["id"][:8], "-f", "json").json
    assert one["steps"] == one["steps_done"] > 0
    assert one["resources"] == restored.json["resources"]

    deleted = refloat("checkpoint", "delete", checkpoint, "-f", "json")
    assert [(row["id"], row["status"]) for row in deleted.json] == [(checkpoint, "deleted")]
    assert refloat("checkpoint", "list", "-f", "json").json == []


def test_a_dry_run_changes_nothing(refloat: Command) -> None:
    make_plan(refloat)
    checkpoint = protect(refloat)
    ran = refloat("restore", checkpoint, "--dry-run", "-f", "json")
    assert (ran.status, ran.err) == (0, "")
    assert ran.json["possible"] is True
    assert len(ran.json["resources"]) == 12
    assert ran.json["resources"][0]["attributes"][0]["fidelity"] == "exact"
    text = refloat("restore", checkpoint, "--dry-run", "--parameter", "noop:restore_name=x-{name}")
    assert "create  noop tree:12 (tree-12) as x-tree:12" in text.out
    assert "12 to create, 0 to re-use" in text.out
    assert [row["kind"] for row in refloat("operation", "list", "-f", "json").json] == ["protect"]


def test_plans(refloat: Command) -> None:
    made = make_plan(refloat, 12, "--description", "the shop", "-f", "json").json
    assert made["resources"] == [{"type": "Refloat::Noop", "id": "tree-12", "name": "tree:12"}]
    assert refloat("plan", "show", "app", "-f", "json").json == made
    changed = refloat("plan", "set", "app", "--name", "web", "--resource", "noop=tree:3", "-f", "json").json
    assert (changed["name"], changed["description"], changed["id"]) == ("web", "the shop", made["id"])
    assert [item["id"] for item in changed["resources"]] == ["tree-3"]
    assert refloat("plan", "list", "-f", "value", "-c", "name").out == "web\n"
    assert refloat("plan", "delete", "web", "missing").status == 1
    assert refloat("plan", "list", "-f", "value", "-c", "name").out == "web\n"
    deleted = refloat("plan", "delete", "web")
    assert (deleted.status, deleted.out) == (0, "")
    assert deleted.err.startswith("Deleted plan web")
    assert refloat("plan", "list", "-f", "json").json == []


def test_a_tree(refloat: Command) -> None:
    ran = refloat("protectable", "show", "noop", "tree:12")
    assert ran.out.splitlines()[:3] == [
        "noop tree:12 (tree-12)",
        "├── noop server-1 (tree-12-1)",
        "│   ├── noop disk-2 (tree-12-2)",
    ]
    tree = refloat("protectable", "show", "noop", "tree:12", "-f", "json").json
    assert [below["name"] for below in tree["dependants"]] == ["server-1", "server-9"]
    assert tree["dependants"][0]["dependants"][0]["dependants"] == []


def test_types_and_providers_need_no_cloud(refloat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere")
    monkeypatch.delenv("OS_CLOUD")
    types = refloat("protectable", "list", "-f", "json")
    assert {"type": "Refloat::Noop", "short_name": "noop"} in types.json
    assert [row["name"] for row in refloat("provider", "list", "-f", "json").json] == [
        "default",
        "snapshot",
        "bank",
        "noop",
    ]
    shown = refloat("provider", "show", "noop", "-f", "json").json
    assert shown["plugins"][0]["parameters"]["restore"][0]["name"] == "restore_name"
    assert "restore_name" in refloat("provider", "show", "noop").out
    monkeypatch.setenv("REFLOAT_NOOP", "0")
    types = refloat("protectable", "list", "-f", "json")
    assert "Refloat::Noop" not in {row["type"] for row in types.json}


# Copies


@pytest.fixture
def offsite(refloat: Command, tmp_path: Path) -> Bank:
    """A bank of its own, which is that of the provider snapshot."""
    folder = Path(refloat.environ["XDG_CONFIG_HOME"]) / "refloat"
    (folder / "providers.d").mkdir(parents=True)
    (folder / "providers.d" / "snapshot.conf").write_text(
        "[provider]\nname = snapshot\nid = 8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b02\n"
        "plugin = volume-cinder-snapshot\nbank = karbor-fs-bank-plugin\nenabled = True\n\n"
        f"[file_system_bank_plugin]\nfile_system_bank_path = {tmp_path}/offsite\n"
    )
    key = create_key(folder / "bank.key")
    return Bank.open(str(tmp_path / "offsite" / "refloat-karbor"), key, create=True)


def test_checkpoint_is_copied_to_another_bank(refloat: Command, offsite: Bank) -> None:
    make_plan(refloat)
    checkpoint = protect(refloat)
    planned = refloat("checkpoint", "copy", checkpoint, "--to", "snapshot", "--dry-run", "-f", "json")
    assert (planned.status, planned.json["exists"], planned.json["complete"]) == (0, False, True)
    assert offsite.checkpoints() == []

    ran = refloat("checkpoint", "copy", checkpoint[:9], "--to", "snapshot", "-f", "json")
    assert ran.status == 0, ran.err
    copy = ran.json
    assert (copy["status"], copy["existed"], copy["complete"]) == ("available", False, True)
    assert (copy["id"], copy["copied_from"]) == (planned.json["id"], checkpoint)
    assert (copy["plan"], copy["provider"], copy["size"], copy["stored"]) == ("app", "snapshot", 0, 0)
    assert [line["status"] for line in copy["resources"]] == ["complete"] * 12
    (info,) = offsite.checkpoints()
    assert info.id == copy["id"]
    operation = refloat("operation", "show", copy["operation_id"], "-f", "json").json
    assert (operation["kind"], operation["state"]) == ("copy", "succeeded")

    again = refloat("checkpoint", "copy", checkpoint, "--to", "snapshot")
    assert again.status == 0
    assert f"It was there already: {copy['id']}" in again.err


def test_checkpoint_of_a_provider_that_is_not_known_here(refloat: Command) -> None:
    make_plan(refloat)
    checkpoint = refloat("protect", "app", "-f", "json").json["id"]
    with Embedded() as here:
        bank = here.banks.at(here.bank_location(here.providers.find("noop")), create=False)
        kept = bank.checkpoint(checkpoint)
        with bank.writer("from-elsewhere", PROJECT) as writer:
            info = kept.info
            writer.commit(
                created_at=info.created_at,
                provider="0d0c3f0e-0000-0000-0000-00000000dead",
                plan=info.plan,
                extra=info.extra,
                graph=kept.graph,
                sections=kept.sections,
            )
    assert refloat("verify", "from-elsewhere", "-f", "json").json["status"] == "good"
    assert refloat("restore", "from-elsewhere", "--dry-run", "-f", "json").json["possible"] is True
    restored = refloat("restore", "from-elsewhere", "-f", "json")
    assert (restored.status, restored.json["status"]) == (0, "succeeded")
    assert refloat("checkpoint", "delete", "from-elsewhere").status == 0


def test_a_restore_lists_banks_once_and_reads_the_manifest_once(
    refloat: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_plan(refloat)
    checkpoint = protect(refloat)
    done: list[str] = []
    for name in ("checkpoints", "checkpoint"):
        usual = getattr(Bank, name)

        def counted(self: Bank, *given: Any, _usual: Any = usual, _name: str = name, **more: Any) -> Any:
            done.append(_name)
            return _usual(self, *given, **more)

        monkeypatch.setattr(Bank, name, counted)
    assert refloat("restore", checkpoint, "--only", "noop=tree:12").status == 0
    assert sorted(done) == ["checkpoint", "checkpoints"]


def test_copy_into_the_same_bank_is_refused(refloat: Command) -> None:
    make_plan(refloat)
    ran = refloat("checkpoint", "copy", protect(refloat), "--to", "default")
    assert (ran.status, ran.out) == (1, "")
    assert "Name a provider with a bank of its own" in ran.err
    assert "there is no provider 'x'" in refloat("checkpoint", "copy", protect(refloat), "--to", "x").err


def test_looking_makes_no_bank_and_no_key(refloat: Command) -> None:
    assert refloat("checkpoint", "list", "-f", "json").json == []
    shown = refloat("checkpoint", "show", "x")
    assert shown.status == 1
    assert "has none of this project" in shown.err
    assert not [path for path in refloat.home.rglob("*") if path.name in {"refloat-bank", "bank.key"}]
    assert list(refloat.home.rglob("*.key")) == []
    make_plan(refloat)
    protect(refloat)
    assert len(list(refloat.home.rglob("*.key"))) == 1


# Wrong input


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (("plan", "craete"), 2, "Did you mean: plan create"),
        (("fly",), 2, "'fly' is not a command"),
        (("--nonsense",), 2, "--nonsense is not an option"),
        (("checkpoint", "copy", "x", "--to", "bank"), 1, "there is no checkpoint 'x'"),
        (("provider", "show", "x"), 1, "there is no provider 'x'. Providers: default"),
        (("plan", "create", "p", "--resource", "noop"), 2, "not of the form TYPE=ID"),
        (("plan", "create", "p", "--resource", "noop=tree:3"), 0, ""),
        *REFUSED,
    ],
)
def test_what_cannot_be_is_told_in_one_line(
    refloat: Command, argv: tuple[str, ...], status: int, message: str
) -> None:
    ran = refloat(*argv)
    assert ran.status == status, ran.err
    if status:
        assert ran.err.splitlines()[-1].startswith("refloat: ")
        assert message in ran.err.splitlines()[-1]
        assert ran.out == ""


def test_wrong_options_end_with_2(refloat: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert refloat("plan", "create").status == 2
    assert refloat("plan", "list", "--nonsense").status == 2
    assert refloat("plan", "list", "-f", "xml").status == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "refloat plan create: error: the following arguments are required" in captured.err


def test_wrong_restores(refloat: Command) -> None:
    make_plan(refloat)
    checkpoint = protect(refloat)
    missing = refloat("restore", checkpoint, "--only", "noop=x")
    assert (missing.status, missing.out) == (1, "")
    assert "the checkpoint holds no Refloat::Noop 'x'" in missing.err
    unknown = refloat("restore", checkpoint, "--parameter", "noop:colour=red")
    assert unknown.status == 2
    assert "has no parameter 'colour'. It has: restore_name" in unknown.err
    nobody = refloat("restore", checkpoint, "--parameter", "noop#x:restore_name=red")
    assert nobody.status == 1
    assert [row["kind"] for row in refloat("operation", "list", "-f", "json").json] == ["protect"]


def test_where_there_can_be_no_bank_the_cloud_is_not_asked(
    refloat: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refloat.operations.discovery import Discovery

    make_plan(refloat)
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("REFLOAT_BANK", str(tmp_path / "file" / "bank"))
    monkeypatch.setattr(Discovery, "survey", lambda *_args: pytest.fail("it was asked"))
    ran = refloat("protect", "app")
    assert (ran.status, ran.out) == (1, "")
    bank = tmp_path / "file" / "bank"
    assert f"there is no bank in {bank}. Nothing is left behind" in ran.err
    made = refloat("bank", "create")
    assert (made.status, made.out) == (2, "")
    assert f"the folder {bank} cannot be made: Not a directory" in made.err


def test_wrong_ends(refloat: Command) -> None:
    make_plan(refloat)
    protect(refloat)
    operation = refloat("operation", "list", "-f", "value", "-c", "id").out.strip()
    resumed = refloat("operation", "resume", operation)
    assert (resumed.status, resumed.out) == (1, "")
    assert resumed.err == "refloat: the operation has ended (succeeded); there is nothing to resume\n"
    cancelled = refloat("operation", "cancel", operation)
    assert cancelled.err == "refloat: the operation has ended (succeeded); there is nothing to cancel\n"


def test_a_failed_protect(refloat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from refloat.errors import CloudError
    from refloat.resources import noop as plugin

    def fail(self: object, context: object) -> None:
        raise CloudError(
            "could not do nothing",
            resource="noop disk",
            reason="quota",
            request_id="req-1",
            advice="Ask for more",
        )

    make_plan(refloat)
    monkeypatch.setattr(plugin.NoopProtect, "on_prepare_finish", fail)
    ran = refloat("protect", "app", "-f", "json")
    assert ran.status == 1
    why = "noop disk: could not do nothing: quota (request id req-1)"
    message = f"{why}. Nothing is left behind. Ask for more"
    assert f"refloat: {message}\n" in ran.err
    assert (ran.json["status"], ran.json["error"]) == ("failed", message)
    assert refloat("checkpoint", "list", "-f", "json").json == []
    table = refloat("protect", "app")
    assert (table.status, table.out) == (1, "")
    assert table.err == f"refloat: {message}\n"


def test_a_failed_restore_says_what_it_had_made(refloat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from refloat.errors import CloudError
    from refloat.resources import noop as plugin

    make_plan(refloat)
    checkpoint = protect(refloat)
    right = plugin.NoopRestore.on_complete

    def fail(self: plugin.NoopRestore, context: plugin.HookContext) -> object:
        if context.resource.id == "tree-12":
            raise CloudError("no", reason="flavor not found")
        return right(self, context)

    monkeypatch.setattr(plugin.NoopRestore, "on_complete", fail)
    ran = refloat("restore", checkpoint, "-f", "json")
    assert (ran.status, ran.json["status"]) == (1, "failed")
    assert ran.err == f"refloat: {FAILED}\n"
    lines = {line["source_id"]: line for line in ran.json["resources"]}
    assert len(lines) == 12
    assert lines["tree-12"]["status"] == "failed"
    assert lines["tree-12"]["reason"] == "no: flavor not found"
    assert lines["tree-12-1"]["status"] == "removed"

    kept = refloat("restore", checkpoint, "--keep-on-failure", "-f", "json")
    assert (kept.status, kept.json["status"]) == (1, "parked")
    assert f"refloat operation resume {kept.json['id']}" in kept.err
    assert {line["status"] for line in kept.json["resources"]} == {"created", "failed"}
    monkeypatch.setattr(plugin.NoopRestore, "on_complete", right)
    resumed = refloat("operation", "resume", kept.json["id"], "-f", "json")
    assert (resumed.status, resumed.json["status"]) == (0, "succeeded")
    assert len(resumed.json["resources"]) == 12

    monkeypatch.setattr(plugin.NoopRestore, "on_complete", fail)
    kept = refloat("restore", checkpoint, "--keep-on-failure", "-f", "json")
    cancelled = refloat("operation", "cancel", kept.json["id"], "-f", "json")
    assert (cancelled.status, cancelled.json["status"]) == (0, "cancelled")
    assert refloat("operation", "list", "--state", "parked", "-f", "json").json == []


# Bad days


@pytest.mark.parametrize(
    ("cloud", "status", "words"),
    [
        ("refused", 1, "requires authentication. (HTTP 401) (Request-ID: req-1"),
        ("gone", 1, "could not log in to the cloud"),
        ("missing", 2, "no cloud to work with: Cloud missing was not found"),
    ],
)
def test_clouds_that_do_not_answer(refloat: Command, cloud: str, status: int, words: str) -> None:
    ran = refloat("--os-cloud", cloud, "plan", "list")
    assert (ran.status, ran.out) == (status, "")
    assert words.split(" (HTTP")[0].rstrip(".") in ran.err
    assert ran.err.startswith("refloat: ")
    assert ran.err.count("\n") == 1


def test_global_options_may_stand_behind(refloat: Command) -> None:
    assert refloat("plan", "list", "--os-cloud", "missing").status == 2


def test_no_clouds_yaml(refloat: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", "/nowhere")
    monkeypatch.delenv("OS_CLOUD")
    monkeypatch.chdir(tmp_path / "..")
    ran = refloat("plan", "list")
    assert ran.status == 2
    assert "no cloud to work with" in ran.err
    assert ran.err.endswith("Name an entry of clouds.yaml with --os-cloud or OS_CLOUD\n")


def test_the_unexpected(refloat: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    from refloat.cli.embedded import Embedded

    def fail(self: object) -> None:
        raise KeyError("never")

    monkeypatch.setattr(Embedded, "types", fail)
    ran = refloat("protectable", "list")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err == "refloat: KeyError: 'never' (this should not happen; --debug tells more)\n"
    assert "Traceback" in refloat("--debug", "protectable", "list").err


def test_an_operation_that_cannot_be_run_here_is_not_waited_for(
    refloat: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    from refloat.engine.engine import Engine

    def fail(self: object, operation_id: str) -> None:
        raise RuntimeError("no room for it")

    make_plan(refloat)
    with monkeypatch.context() as broken:
        broken.setattr(Engine, "resume", fail)
        ran = refloat("protect", "app")
    assert (ran.status, ran.out) == (1, "")
    assert "could not be taken up" in ran.err
    assert "RuntimeError: no room for it" in ran.err
    (row,) = refloat("operation", "list", "-f", "json").json
    assert refloat("operation", "resume", row["id"]).status == 0
    assert refloat("operation", "list", "-f", "json").json[0]["state"] == "succeeded"


def test_libraries_are_silent(refloat: Command, tmp_path: Path) -> None:
    before = list(logging.getLogger().handlers)
    make_plan(refloat)
    ran = refloat("plan", "list", "--log-file", f"{tmp_path}/log")
    assert ran.err == ""
    assert "keystoneauth" in (tmp_path / "log").read_text()
    assert logging.getLogger().handlers == before
    assert "keystoneauth" in refloat("plan", "list", "--debug").err
    quiet = refloat("-q", "protect", "app", "-f", "value", "-c", "status")
    assert (quiet.out, quiet.err) == ("available\n", "")


def test_a_damaged_checkpoint(refloat: Command) -> None:
    make_plan(refloat)
    checkpoint = protect(refloat)
    (manifest,) = (refloat.home / "data").rglob(f"{checkpoint}*")
    manifest.chmod(0o600)
    manifest.write_bytes(b"nonsense")
    (row,) = refloat("checkpoint", "list", "-f", "json").json
    assert (row["id"], row["status"]) == (checkpoint, "damaged")
    for command in ("verify", "restore"):
        ran = refloat(command, checkpoint)
        assert (ran.status, ran.out) == (1, "")
        assert ran.err.count("\n") == 1
    assert refloat("checkpoint", "show", checkpoint).status == 0


def test_state_may_be_lost(refloat: Command) -> None:
    make_plan(refloat)
    checkpoint = protect(refloat)
    shutil.rmtree(refloat.home / "state")
    assert refloat("plan", "list", "-f", "json").json == []
    assert refloat("checkpoint", "list", "-f", "value", "-c", "id").out == f"{checkpoint}\n"
    assert refloat("restore", checkpoint, "-f", "value", "-c", "status").out == "succeeded\n"


def test_the_key_may_not(refloat: Command) -> None:
    make_plan(refloat)
    protect(refloat)
    (refloat.home / "config/refloat/bank.key").unlink()
    ran = refloat("checkpoint", "list")
    assert ran.status == 2
    assert "cannot be read without its key" in ran.err


# The service


def test_a_service_is_chosen_by_option_or_environment(
    refloat: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    none = refloat("--service", "plan", "list")
    assert (none.status, none.out) == (1, "")
    assert "This cloud does not offer the service" in none.err
    monkeypatch.setenv("REFLOAT_SERVICE", "http://127.0.0.1:9")
    gone = refloat("plan", "list")
    assert (gone.status, gone.out) == (1, "")
    assert "127.0.0.1" in gone.err
    assert gone.err.count("\n") == 1
    monkeypatch.setenv("REFLOAT_SERVICE", "nonsense")
    assert "'nonsense' is not the URL of a service" in refloat("plan", "list").err
    monkeypatch.setenv("REFLOAT_SERVICE", "")
    assert refloat("plan", "list").status == 0


def test_what_is_done_with_the_bank_itself_is_not_done_by_the_service(refloat: Command) -> None:
    for argv in (("bank", "info"), ("bank", "keys", "list"), ("bank", "repair"), ("bank", "check-store")):
        ran = refloat("--service", *argv)
        assert (ran.status, ran.out) == (2, ""), argv
        assert "is done on the machine that has the bank and its key" in ran.err, argv
