"""A bank that was found is made known to a service; what is in it is given to projects that live: 1.5."""

from __future__ import annotations

import io
import json
import shlex
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_helpers import DEMO, NOOP, OTHER, Notes, Running, believe, make_banks, overrides, run_service

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from refloat.bank import Bank, load_key
from refloat.cli import manage
from refloat.providers.provider import Providers
from tests.install.guide import commands
from tests.unit.support.cli_helpers import new_user, serve_identity

PAGE = Path(__file__).parents[2] / "docs/disaster.md"
NEW = "7d1f7c3e5a1f7c3e5a1f7c3e5a1f7c3e"


@pytest.fixture
def old(tmp_path: Path) -> str:
    """What is left of a service: its bank and key. A checkpoint of a project of it."""
    (tmp_path / "old").mkdir()
    running = run_service(tmp_path / "old")
    running.work()
    made = str(running.user().protected()["id"])
    running.close()
    for name in ("bank", "bank.key"):
        shutil.move(tmp_path / "old" / name, tmp_path / f"old-{name}")
    return made


@pytest.fixture
def projects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, int]]:
    """How the identity service answers for projects: the new one lives, the old one is not known."""
    known = {NEW: 200}
    server = serve_identity(projects=known)
    (tmp_path / "home").mkdir()
    for name, value in new_user(tmp_path / "home", server.server_address[1]).environ.items():
        monkeypatch.setenv(name, value)
    yield known
    server.shutdown()
    server.server_close()


@pytest.fixture
def new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration of a new service, with a bank of its own."""
    folder = tmp_path / "new"
    folder.mkdir()
    monkeypatch.setenv("REFLOAT_CONFIG", str(folder / "refloat.conf"))
    (folder / "refloat.conf").write_text(
        f"[database]\nconnection = sqlite:///{folder}/refloat.sqlite\n"
        f"[bank]\nurl = {folder}/bank\nkey_file = {folder}/bank.key\n"
        f"[providers]\nfolder = {folder}/providers.d\nnoop = True\n"
    )
    deployment = Deployment(config.load([], overrides(folder)), Notes())
    make_banks(deployment)
    deployment.close()
    return folder


def started(folder: Path) -> Running:
    authority = Notes()
    deployment = Deployment(config.load([], overrides(folder)), authority)
    return Running(deployment, make_application(deployment, believe), authority)


def attach(tmp_path: Path, name: str = "found") -> int:
    return manage.main(["bank", "attach", name, f"{tmp_path}/old-bank", "--key", f"{tmp_path}/old-bank.key"])


def reassign(source: str, target: str, *more: str) -> int:
    return manage.main(["checkpoint", "reassign", "--from-project", source, "--to-project", target, *more])


def listed(running: Running, provider: str, project: str) -> list[Any]:
    return list(running.user(project=project)("GET", f"providers/{provider}/checkpoints").body["checkpoints"])


def known(capsys: pytest.CaptureFixture[str]) -> dict[str, tuple[str, int, str]]:
    capsys.readouterr()
    assert manage.main(["checkpoint", "projects", "-f", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    return {row["project_id"]: (row["known"], row["checkpoints"], row["reassigned_from"]) for row in rows}


def test_1_5_found_attached_reassigned_restored_and_given_back(
    old: str, new: Path, projects: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {
        path: path.read_bytes() for path in (tmp_path / "old-bank/checkpoints").rglob("*") if path.is_file()
    }
    assert attach(tmp_path) == 0
    assert known(capsys) == {DEMO: ("no", 1, "")}
    assert attach(tmp_path, "again") == 1
    assert "the provider found is there already" in capsys.readouterr().err
    provider = Providers(new / "providers.d", noop=True).find("found").id
    assert reassign(DEMO, NEW, "--yes") == 0
    told = capsys.readouterr().out
    assert old in told
    assert f"1 checkpoints of the project {DEMO} go to the project {NEW}" in told
    assert known(capsys) == {NEW: ("yes", 1, DEMO)}

    running = started(new)
    try:
        running.work().bank_looks.look()
        (found,) = listed(running, provider, NEW)
        assert (found["id"], found["status"], found["project_id"]) == (old, "available", NEW)
        for other in (DEMO, OTHER):
            assert listed(running, provider, other) == []
            assert running.user(project=other)("GET", f"providers/{provider}/checkpoints/{old}").status == 404
        member = running.user(project=NEW)
        (log,) = member("GET", "operation_logs").body["operation_logs"]
        assert (log["operation_type"], log["checkpoint_id"], log["status"]) == ("reassign", old, "available")
        assert f"from the project {DEMO} to {NEW}" in log["extra_info"]
        body = {"restore": {"provider_id": provider, "checkpoint_id": old, "parameters": {}}}
        restored = member("POST", "restores", body).body["restore"]
        ended = member.until(f"restores/{restored['id']}", lambda restore: restore["status"] != "in_progress")
        assert ended["status"] == "success", ended
        verified = member("POST", "verifications", {"verification": body["restore"]}).body["verification"]
        ended = member.until(f"verifications/{verified['id']}", lambda each: each["status"] != "in_progress")
        assert ended["status"] == "success", ended
        assert running.user(project=DEMO)("POST", "restores", body).status in (400, 404)
    finally:
        running.close()
    assert {path: path.read_bytes() for path in before} == before

    assert reassign(NEW, DEMO, "--yes") == 0
    assert known(capsys) == {DEMO: ("no", 1, "")}
    running = started(new)
    assert (listed(running, provider, NEW), len(listed(running, provider, DEMO))) == ([], 1)
    running.close()


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({NEW: 200, DEMO: 200}, f"the project {DEMO} lives"),
        ({NEW: 200, DEMO: 403}, "ask the identity service for the project"),
        ({NEW: 200, DEMO: 500}, "ask the identity service for the project"),
        ({}, f"there is no project {NEW}"),
        ({NEW: 403}, "ask the identity service for the project"),
    ],
)
def test_1_5_what_is_not_surely_gone_keeps_what_it_has(
    answers: dict[str, int],
    words: str,
    old: str,
    new: Path,
    projects: dict[str, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert attach(tmp_path) == 0
    projects.clear()
    projects.update(answers)
    capsys.readouterr()
    assert reassign(DEMO, NEW, "--yes") == 1
    assert words in capsys.readouterr().err
    projects.clear()
    assert known(capsys)[DEMO][1] == 1
    assert old


def test_1_5_never_silently(
    old: str,
    new: Path,
    projects: dict[str, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert reassign(DEMO, NEW) == 1
    assert f"the project {DEMO} has no checkpoints here" in capsys.readouterr().err
    assert attach(tmp_path) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))  # nobody at a terminal
    assert reassign(DEMO, NEW) == 1
    told = capsys.readouterr()
    assert old in told.out
    assert "Nothing was changed" in told.err
    assert known(capsys)[DEMO][1] == 1


def test_1_5_what_cannot_be_attached(
    old: str, new: Path, projects: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = Bank.open(f"{tmp_path}/old-bank", load_key(tmp_path / "old-bank.key"))
    bank.keys.export_project(DEMO).save(tmp_path / "one.key")
    bank.close()
    for url, key, words in (
        (tmp_path / "nothing", "old-bank.key", "there is no bank in"),
        (tmp_path / "old-bank", "new/bank.key", "does not open the bank"),
        (tmp_path / "old-bank", "one.key", "is the key of one project"),
        ("old-bank", "old-bank.key", "neither an absolute path nor a URL"),
    ):
        assert manage.main(["bank", "attach", "found", str(url), "--key", str(tmp_path / key)])
        assert words in capsys.readouterr().err
    assert (
        manage.main(["bank", "attach", NOOP, f"{tmp_path}/old-bank", "--key", f"{tmp_path}/old-bank.key"])
        == 1
    )
    assert not list((new / "providers.d").glob("*"))


def test_1_5_the_page_of_the_operator_is_typed(
    old: str, new: Path, projects: dict[str, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = {
        "s3://backup/bank": f"{tmp_path}/old-bank",
        "/etc/refloat/keys/old-bank.key": f"{tmp_path}/old-bank.key",
        "--os-cloud admin": "--os-cloud good",
        "OLD": DEMO,
        "NEW": NEW,
    }
    typed = [command.text for command in commands(PAGE, "The operator")]
    assert [text.split()[0] for text in typed] == ["refloat-manage", "systemctl", *["refloat-manage"] * 2]
    for text in typed:
        for written, meant in names.items():
            text = text.replace(written, meant)
        program, *words = shlex.split(text)
        if program == "refloat-manage":
            assert manage.main([*words, *(["--yes"] if "reassign" in words else [])]) == 0, text
    assert old in capsys.readouterr().out
    assert known(capsys) == {NEW: ("yes", 1, DEMO)}
