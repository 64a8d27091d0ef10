"""A local schedule says that nothing runs it, until something does (1.8): a systemd timer, a line of cron."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.support.cli_helpers import Command, set_up_schedule

CRONTAB = """\
#!/bin/sh
file="{home}/the crontab"
if [ "$1" = -l ]; then
  [ ! -e "{home}/broken" ] || {{ echo "crontab: cannot read" >&2; exit 1; }}
  [ -e "$file" ] || {{ echo "no crontab for user" >&2; exit 1; }}
  cat "$file"
else cat > "$file"; fi
"""
SYSTEMCTL = """\
#!/bin/sh
echo "$@" >> "{home}/asked"
[ ! -e "{home}/no systemd" ] || {{ echo "Failed to connect to bus" >&2; exit 1; }}
"""


@pytest.fixture
def machine(refloat: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, with a space in its path, a scheduler of either kind, and nothing of the real ones."""
    home = tmp_path / "my home"
    home.mkdir()
    for name, text in (("crontab", CRONTAB), ("systemctl", SYSTEMCTL)):
        path = tmp_path / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text.format(home=home))
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / "config"))
    monkeypatch.setenv("REFLOAT_BANK", str(home / '100% of "it"'))
    return home


def run_by(refloat: Command) -> str:
    return str(refloat("schedule", "show", "shop", "-f", "json").json["run_by"])


def test_1_8_a_timer_of_systemd(refloat: Command, machine: Path) -> None:
    set_up_schedule(refloat)
    made = refloat("schedule", "create", "again", "--trigger", "nightly", "--plan", "app")
    assert "Nothing on this machine runs it when it is due: see refloat schedule install" in made.err
    assert run_by(refloat) == "nobody. See: refloat schedule install"
    written = refloat("schedule", "install", "-f", "json")
    assert written.status == 0, written.err
    assert (written.json["scheduler"], written.json["changed"]) == ("systemd", True)
    assert "loginctl enable-linger" in written.err
    folder = machine / "config" / "systemd" / "user"
    timer, service = folder / "refloat-schedules-good.timer", folder / "refloat-schedules-good.service"
    assert written.json["place"] == str(timer) == run_by(refloat)
    text = service.read_text()
    assert text in written.json["text"]
    assert f'Environment="REFLOAT_BANK={machine}/100%% of \\"it\\""' in text
    assert '--os-cloud" "good" "schedule" "run-due"' in text
    assert "right" not in text  # the password
    asked = (machine / "asked").read_text().splitlines()
    assert asked[-2:] == ["--user daemon-reload", "--user enable --now refloat-schedules-good.timer"]
    # Nothing else changes when it is done again; what has changed does.
    before = timer.stat().st_mtime_ns
    assert refloat("schedule", "install", "-f", "json").json["changed"] is False
    assert timer.stat().st_mtime_ns == before
    made = refloat("schedule", "create", "third", "--trigger", "nightly", "--plan", "app")
    assert "Nothing on this machine" not in made.err
    if shutil.which("systemd-analyze"):
        found = subprocess.run(
            ["systemd-analyze", "--user", "verify", str(timer), str(service)],
            capture_output=True,
            text=True,
            env={**os.environ, "XDG_RUNTIME_DIR": str(machine), "SYSTEMD_UNIT_PATH": f"{folder}:"},
        )
        assert str(folder) not in found.stderr, found.stderr
    gone = refloat("schedule", "uninstall")
    assert (gone.status, str(timer) in gone.err, list(folder.iterdir())) == (0, True, [])
    assert "--user disable --now refloat-schedules-good.timer" in (machine / "asked").read_text()
    assert refloat("schedule", "uninstall").err == "There was nothing to remove.\n"


def test_1_8_a_line_of_cron(refloat: Command, machine: Path) -> None:
    """Where systemd does not answer; the user's other lines stay, and the line does what it should."""
    (machine / "no systemd").touch()
    table = machine / "the crontab"
    table.write_text("MAILTO=me\n0 1 * * * backup % of mine\n")
    set_up_schedule(refloat)
    for changed in (True, False):
        written = refloat("schedule", "install", "-f", "json")
        assert written.status == 0, written.err
        assert (written.json["scheduler"], written.json["changed"]) == ("cron", changed)
        assert run_by(refloat) == "the crontab"
        *others, line = table.read_text().splitlines()
        assert others == ["MAILTO=me", "0 1 * * * backup % of mine"]
    assert line == written.json["text"]
    command = line.removeprefix("*/10 * * * * ").replace(r"\%", "%")
    ran = subprocess.run(
        ["/bin/sh", "-c", command], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    # What cannot be read is not written over.
    (machine / "broken").touch()
    for words in (("install", "--with", "cron"), ("uninstall",)):
        refused = refloat("schedule", *words)
        assert (refused.status, "the crontab could not be read: crontab: cannot read" in refused.err) == (
            1,
            True,
        )
    (machine / "broken").unlink()
    assert refloat("schedule", "uninstall").status == 0
    assert table.read_text() == "MAILTO=me\n0 1 * * * backup % of mine\n"


def test_1_8_what_cannot_be_installed_is_told(
    refloat: Command, machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (machine / "no systemd").touch()
    refused = refloat("schedule", "install", "--with", "systemd")
    assert (refused.status, "Failed to connect to bus" in refused.err) == (1, True)
    assert "refloat-schedules-good.timer" in refused.err  # what is left behind
    monkeypatch.setenv("REFLOAT_DATABASE_URL", "postgresql://me:secret@db/refloat")
    refused = refloat("schedule", "install")
    assert (refused.status, "REFLOAT_DATABASE_URL has a password in it" in refused.err) == (2, True)
    assert "secret" not in refused.err
    monkeypatch.setenv("OS_CLOUD", "")
    monkeypatch.setenv("OS_AUTH_URL", "http://there")
    refused = refloat("schedule", "install")
    assert (refused.status, "needs an entry of clouds.yaml" in refused.err) == (2, True)
    refused = refloat("--service", "http://127.0.0.1:9/v1", "schedule", "install")
    assert (refused.status, "the service's workers run what is due" in refused.err) == (2, True)
