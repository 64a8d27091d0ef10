"""Fixtures for all tests: a private PostgreSQL server; which tests need a cloud, and whether there is one."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

pytest.register_assert_rewrite("store_contract", "tests.unit.store_contract")

FULLSTACK = Path(__file__).parent / "fullstack"
SECOND = {
    "test_bank_store_cloud.py", "test_faults.py", "test_image.py", "test_karborclient.py", "test_kill.py",
    "test_out_of_the_cloud.py", "test_volume.py", "test_volume_bank.py",
}  # fmt: skip
"""Files with tests on a cloud that work in its second project, beside all others, which work in the first."""
NO_CLOUD = "not run: no cloud here ({})"


def no_cloud() -> str:
    """Why tests that need a cloud cannot be run; empty when they can."""
    if told := os.environ.get("REFLOAT_NO_CLOUD"):
        return told
    named = os.environ.get("OS_CLIENT_CONFIG_FILE", "")
    if not Path(named).is_file():
        return "run them in a devcloud: tests/run, or devcloud exec -- pytest"
    return ""


class ByProject(LoadScopeScheduling):
    """Where several processes share the tests: those on one project of the cloud are for one process.

    They run there in their order; all others are for whoever has time.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = Path(nodeid.partition("::")[0])
        if file.name in SECOND:
            return "second"
        return "first" if file.parent.name == FULLSTACK.name else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByProject:
    """Share the tests so. (Marks of groups do nothing in the present version of pytest-xdist.)"""
    return ByProject(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without a cloud, leave out what needs one, and say so. Tests on a cloud are long, and come first."""
    reason = no_cloud()
    for item in items:
        if FULLSTACK in item.path.parents:
            item.add_marker(pytest.mark.cloud)
        if reason and item.get_closest_marker("cloud"):
            item.add_marker(pytest.mark.skip(reason=NO_CLOUD.format(reason)))
    items.sort(
        key=lambda item: (FULLSTACK not in item.path.parents, item.get_closest_marker("cloud") is None)
    )


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Iterator[None]:
    """Tests that need a cloud and were not run are no footnote."""
    yield
    prefix = NO_CLOUD.partition("(")[0]
    missed = [r for r in terminalreporter.stats.get("skipped", []) if prefix in str(r.longrepr)]
    if missed:
        terminalreporter.write_line(
            f"NOT RUN: {len(missed)} tests that need a real OpenStack. Nothing is known about them. "
            f"Reason: {no_cloud()}",
            yellow=True,
            bold=True,
        )


_terminal: list[pytest.TerminalReporter] = []


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Remember where to write, in the process that shows the tests (those that share them show nothing).

    And hear Ctrl-C: what a script starts in the background ignores it, and so would all that the tests start.
    """
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None and not hasattr(config, "workerinput"):
        _terminal[:] = [reporter]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Say what failed as soon as it has: a run on a cloud takes long."""
    if report.failed and _terminal:
        said = str(report.longrepr).rstrip().splitlines()
        _terminal[0].ensure_newline()
        _terminal[0].write_line(f"FAILED {report.nodeid} ({report.when}, {report.duration:.0f} s)", red=True)
        for line in said[-25:]:
            _terminal[0].write_line(f"    {line}")


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """A function that creates an empty database and returns its URL.

    The server is Debian's package ``postgresql``, run from a temporary folder on a unix socket.
    """
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("PostgreSQL is not installed (apt-get install postgresql): tested on SQLite only")
    programs = found[-1].parent
    # In memory where there is room: thousands of small files are slow to make and to remove.
    memory = Path("/dev/shm")
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > 2**31
    home = Path(tempfile.mkdtemp(prefix="refloat-pg-", dir=memory if roomy else None))
    become: list[str] = []
    if os.geteuid() == 0:  # the server refuses to run as root
        user = pwd.getpwnam("postgres")
        os.chown(home, user.pw_uid, user.pw_gid)
        become = ["setpriv", f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]

    def run(*command: str) -> None:
        done = subprocess.run([*become, *command], cwd=home, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    data = home / "data"
    run(f"{programs}/initdb", "-D", f"{data}", "-U", "refloat", "-A", "trust", "--no-sync", "-E", "UTF8")
    # What is lost when the machine dies in the middle of a test does not matter.
    options = f"-k {home} -c listen_addresses= -c fsync=off -c max_connections=200"
    run(f"{programs}/pg_ctl", "-D", f"{data}", "-w", "-l", f"{home}/log", "-o", options, "start")
    numbers = itertools.count(1)

    def create() -> str:
        name = f"test{next(numbers)}"
        run(f"{programs}/createdb", "-h", f"{home}", "-U", "refloat", name)
        return f"postgresql://refloat@/{name}?host={home}"

    try:
        yield create
    finally:
        run(f"{programs}/pg_ctl", "-D", f"{data}", "-m", "immediate", "stop")
        shutil.rmtree(home, ignore_errors=True)
