"""What is skipped fails where nothing may be: so runs tests/run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.skips import VARIABLE

ROOT = Path(__file__).parents[2]
TESTS = """
import pytest

@pytest.mark.skipif(True, reason="there is no such program")
def test_marked() -> None: ...

@pytest.fixture
def server():
    pytest.skip("there is no such server")

def test_fixture(server) -> None: ...

@pytest.mark.xfail
def test_known() -> None:
    assert False

def test_good() -> None: ...
"""


def run(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    (folder / "test_some.py").write_text(TESTS)
    (folder / "test_whole_file.py").write_text("import pytest\npytest.importorskip('nothing_of_that_name')\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.skips",
        "-p",
        "no:cacheprovider",
        "-ra",
        "--continue-on-collection-errors",
        folder,
    ]
    return subprocess.run(
        command, cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT), **environ}, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip


def test_skips_fail_where_nothing_may_be_skipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    done = run(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed, 3 skipped, 1 xfailed" in done.stdout
    done = run(tmp_path, **{VARIABLE: "1"})
    assert done.returncode != 0
    assert "skipped" not in done.stdout.splitlines()[-1]
    for reason in ("there is no such program", "there is no such server", "nothing_of_that_name"):
        assert reason in done.stdout
