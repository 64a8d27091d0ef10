"""``refloat-manage`` and ``refloat-status``, on real databases and files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from refloat.cli import manage, status
from refloat.providers.bank_keys import make_bank
from refloat.records.database import HEAD, Database
from refloat.records.migrate import upgrade
from refloat.records.schedule_tables import FiringRow, ScheduleRow
from refloat.records.services import ServiceRecords
from refloat.records.tables import CheckpointRow, OperationRow


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/refloat.sqlite"
    create: Callable[[], str] = request.getfixturevalue("empty_postgresql")
    return create()


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Writes the configuration, and has it found."""
    monkeypatch.setenv("REFLOAT_CONFIG", str(tmp_path / "refloat.conf"))

    def write(url: str = "", more: str = "") -> Path:
        (tmp_path / "refloat.conf").write_text(
            f"[database]\nconnection = {url or f'sqlite:///{tmp_path}/refloat.sqlite'}\n"
            f"[bank]\nurl = {tmp_path}/bank\nkey_file = {tmp_path}/bank.key\n"
            f"[providers]\nfolder = {tmp_path}/providers.d\n{more}"
        )
        return tmp_path

    return write


NOBODY = "[operations]\nauthority = cloud\n"


def checks(capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, Any]]:
    """The exit status and, by the name of the check, its code and what it says."""
    capsys.readouterr()
    code = status.main(["upgrade", "check", "--json"])
    told = json.loads(capsys.readouterr().out)["checks"]
    return code, {item["check"]: (item["result"], item["details"] or "") for item in told}


def test_a_configuration_that_cannot_be_read_is_told_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken.conf").write_text("nonsense\n")
    for name in ("missing.conf", "broken.conf"):
        monkeypatch.setenv("REFLOAT_CONFIG", str(tmp_path / name))
        assert manage.main(["db", "version"]) == 2
        assert status.main(["upgrade", "check"]) == 2
        told = capsys.readouterr().err.splitlines()
        assert len(told) == 2
        assert all("configuration cannot be read" in line and name in line for line in told)


def test_a_key_is_made_without_any_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFLOAT_CONFIG", str(tmp_path / "missing.conf"))
    assert manage.main(["key", "create", str(tmp_path / "bank.key")]) == 0
    assert (tmp_path / "bank.key").stat().st_mode & 0o777 == 0o600


def test_sync_makes_all_tables_and_may_be_repeated(
    url: str, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(url)
    assert manage.main(["db", "check"]) == 1
    assert "empty" in capsys.readouterr().err
    for _time in range(2):
        assert manage.main(["db", "sync"]) == 0
    assert f"schema {HEAD}, was {HEAD}" in capsys.readouterr().out
    assert manage.main(["db", "check"]) == 0
    assert manage.main(["db", "version"]) == 0
    assert HEAD in capsys.readouterr().out


def test_an_old_schema_is_told_and_brought_up_to_date(
    url: str, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(url)
    old = Database(url, migrate=False)
    upgrade(old.engine, "0001")
    old.close()
    assert manage.main(["db", "check"]) == 1
    assert "refloat-manage db sync" in capsys.readouterr().err
    assert manage.main(["db", "sync"]) == 0
    assert manage.main(["db", "check"]) == 0


def test_a_missing_table_and_a_password(
    tmp_path: Path, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    manage.main(["db", "sync"])
    database = Database(f"sqlite:///{tmp_path}/refloat.sqlite")
    with database.session() as session:
        session.execute(text("DROP TABLE quotas"))
    database.close()
    assert manage.main(["db", "check"]) == 1
    assert "table quotas is missing" in capsys.readouterr().err
    configured("postgresql://refloat:hush@127.0.0.1:1/refloat")
    assert manage.main(["db", "check"]) == 1
    said = capsys.readouterr()
    assert "could not open the database" in said.err
    assert "hush" not in said.out + said.err


def test_purge_forgets_what_ended_long_ago_and_nothing_else(
    url: str, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(url)
    manage.main(["db", "sync"])
    now = datetime.now(UTC).replace(tzinfo=None)
    long_ago, lately = now - timedelta(days=40), now - timedelta(days=2)

    def operation(identity: str, checkpoint: str, state: str, ended: datetime | None, **more: Any) -> Any:
        return OperationRow(
            id=identity, project_id="p", checkpoint_id=checkpoint, state=state, payload={},
            created_at=long_ago, ended_at=ended, **{"kind": "delete", **more},
        )  # fmt: skip

    def checkpoint(identity: str, state: str) -> Any:
        return CheckpointRow(
            id=identity, project_id="p", provider_id="x", plan_id="y", plan={}, status=state, reason="",
            extra_info={}, created_at=long_ago,
        )  # fmt: skip

    def schedule(identity: str) -> Any:
        return ScheduleRow(
            id=identity, project_id="p", user_id="u", name="s", operation_type="protect", plan_id="y",
            definition={}, retired=[], checked_at=now, created_at=long_ago,
        )  # fmt: skip

    def firing(identity: str, due: datetime, state: str, ended: datetime | None) -> Any:
        return FiringRow(
            id=identity, schedule_id="nightly", due_at=due, claimed_at=due, ended_at=ended, state=state,
            deletions=[],
        )  # fmt: skip

    database = Database(url)
    with database.session() as session:
        session.add_all(
            [
                operation("old", "gone", "succeeded", long_ago),
                operation("new", "just-gone", "succeeded", lately),
                operation("failed", "kept", "failed", long_ago),
                operation("parked", "kept", "parked", None),
                operation("running", "kept", "running", None),
                # It has ended, but what it acted with is not given back yet.
                operation("granted", "kept", "failed", long_ago, authority={"kind": "trust"}),
                # By what these found, retention decides, as long as their checkpoint is there.
                operation("made", "kept", "succeeded", long_ago, kind="protect"),
                operation("looked", "kept", "succeeded", long_ago, kind="verify"),
                operation("made-gone", "gone", "succeeded", long_ago, kind="protect"),
                checkpoint("gone", "deleted"),
                checkpoint("just-gone", "deleted"),
                checkpoint("kept", "available"),
                schedule("nightly"),
            ]
        )
        session.flush()
        session.add_all(
            [
                firing("first", long_ago - timedelta(days=2), "succeeded", long_ago),
                firing("still-runs", long_ago - timedelta(days=1), "running", None),
                firing("last", long_ago, "failed", long_ago),
            ]
        )

    def left(table: Any) -> set[str]:
        with database.session() as session:
            return {row.id for row in session.query(table)}

    capsys.readouterr()
    assert manage.main(["db", "purge", "30", "--dry-run", "-f", "json"]) == 0
    wanted = {"operations": 3, "checkpoints": 1, "firings": 1, "notices": 0}
    assert json.loads(capsys.readouterr().out) == {**wanted, "dry_run": True}
    assert len(left(OperationRow)) == 9
    assert manage.main(["db", "purge", "30", "-f", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {**wanted, "dry_run": False}
    assert left(OperationRow) == {"new", "parked", "running", "granted", "made", "looked"}
    assert left(FiringRow) == {"still-runs", "last"}
    assert left(CheckpointRow) == {"just-gone", "kept"}
    database.close()
    with pytest.raises(SystemExit, match="2"):
        manage.main(["db", "purge", "-1"])


def test_workers_are_listed(
    tmp_path: Path, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured()
    database = Database(f"sqlite:///{tmp_path}/refloat.sqlite")
    ServiceRecords(database).alive("refloat-worker", "one")
    database.close()
    assert manage.main(["service", "list", "-f", "json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["host"], row["state"], row["status"]) == ("one", "up", "enabled")
    assert manage.main(["service", "list"]) == 0
    assert "refloat-worker" in capsys.readouterr().out


def test_a_key_for_a_new_bank(
    tmp_path: Path, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(more=NOBODY)
    assert manage.main(["key", "create", str(tmp_path / "bank.key")]) == 0
    assert (tmp_path / "bank.key").stat().st_mode & 0o777 == 0o600
    before = (tmp_path / "bank.key").read_bytes()
    assert manage.main(["key", "create", str(tmp_path / "bank.key")]) == 1
    assert (tmp_path / "bank.key").read_bytes() == before
    manage.main(["db", "sync"])
    assert manage.main(["bank", "create", "default"]) == 0
    capsys.readouterr()
    assert checks(capsys)[0] == 0


def test_a_sound_installation_passes_every_check(
    tmp_path: Path, configured: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    configured(more=NOBODY)
    manage.main(["db", "sync"])
    assert manage.main(["bank", "create", "default"]) == 0
    capsys.readouterr()
    code, found = checks(capsys)
    assert code == 0, found
    assert {name for name, (result, _said) in found.items() if result} == set()
    assert set(found) == {"Database", "Providers", "Banks", "Keystone", "Policy"}


PROVIDER = "[provider]\nname = x\nid = cf56bd3e-97a7-4078-b6d5-f36246333fd9\nenabled = True\nplugin = {}\n"


@pytest.mark.parametrize(
    ("what", "check", "result", "words"),
    [
        ("no tables", "Database", 2, "refloat-manage db sync"),
        ("another key", "Banks", 2, "key"),
        ("an unknown plugin", "Providers", 2, "there is no protection plugin"),
        ("a plugin of Karbor's alone", "Providers", 1, "Freezer"),
        ("a mover without its keys", "Providers", 1, "mover rbd: "),
        ("no login", "Keystone", 2, "[trustee]"),
        ("no Keystone", "Keystone", 2, "cannot log in"),
        ("a policy in JSON", "Policy", 2, "JSON"),
        ("an unknown rule", "Policy", 1, "karbor:nothing"),
    ],
)
def test_what_is_wrong_is_told(
    what: str,
    check: str,
    result: int,
    words: str,
    configured: Callable[..., Path],
    capsys: pytest.CaptureFixture[str],
) -> None:
    home = configured(more=NOBODY)
    if what != "no tables":
        manage.main(["db", "sync"])
    (home / "providers.d").mkdir()
    if what == "another key":
        make_bank(str(home / "bank"), home / "bank.key")
        (home / "bank.key").unlink()
        make_bank(str(home / "other"), home / "bank.key")
    elif what == "an unknown plugin":
        (home / "providers.d/x.conf").write_text(PROVIDER.format("nonsense"))
    elif what == "a plugin of Karbor's alone":
        (home / "providers.d/x.conf").write_text(PROVIDER.format("karbor-volume-freezer-plugin"))
    elif what == "a mover without its keys":
        more = "movers = rbd, glance\n[mover_rbd]\nconf = /nowhere/ceph.conf\n"
        (home / "providers.d/x.conf").write_text(PROVIDER.format("volume-bank") + more)
    elif what == "no login":
        configured()
    elif what == "no Keystone":
        login = "auth_type = v3password\nauth_url = http://127.0.0.1:1/v3\nusername = x\npassword = hush\n"
        configured(more=f"[trustee]\n{login}[keystone_authtoken]\n{login}")
    elif what == "a policy in JSON":
        (home / "policy.json").write_text("{}")
        configured(more=f"{NOBODY}[oslo_policy]\npolicy_file = {home}/policy.json\n")
    elif what == "an unknown rule":
        (home / "policy.yaml").write_text("'karbor:nothing': 'role:admin'\n")
        configured(more=f"{NOBODY}[oslo_policy]\npolicy_file = {home}/policy.yaml\n")
    code, found = checks(capsys)
    assert code == result, found
    assert found[check][0] == result
    assert words in found[check][1]
    assert "hush" not in str(found)
    assert os.environ["REFLOAT_CONFIG"] == str(home / "refloat.conf")
