"""Fixtures for all tests: a private PostgreSQL server; which tests need a cloud, and whether there is one."""

from __future__ import annotations

import gc
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests import migrated, pgserver
from tests.projects import FIRST, project_of
from tests.skips import pytest_make_collect_report, pytest_runtest_makereport  # noqa: F401 - hooks

pytest.register_assert_rewrite(
    "tests.unit.support.store_contract", "tests.kind_contract", "tests.mover_contract"
)

FULLSTACK = Path(__file__).parent / "fullstack"
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
        if file.parent.name == "ceph":
            return "ceph"  # one cluster for all of them
        project = project_of(file)
        return project if project != FIRST or file.parent.name == FULLSTACK.name else nodeid


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


def pytest_collection_finish() -> None:
    """What is imported and collected by now stays: no garbage is looked for in it before each test anew."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000)


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
def _postgresql() -> Iterator[pgserver.PostgreSQL]:
    if not pgserver.is_installed():
        pytest.skip(f"{pgserver.NOT_INSTALLED}: tested on SQLite only")
    server = pgserver.PostgreSQL()
    try:
        yield server
    finally:
        server.close()


@pytest.fixture(scope="session")
def empty_postgresql(_postgresql: pgserver.PostgreSQL) -> Callable[[], str]:
    """A function that creates an empty database and returns its URL."""
    return _postgresql.create


@pytest.fixture(scope="session")
def postgresql(_postgresql: pgserver.PostgreSQL) -> Callable[[], str]:
    """A function that creates a database that is up to date and returns its URL."""
    return _postgresql.create_migrated


@pytest.fixture(scope="session")
def _scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("migrated")


@pytest.fixture(scope="module", autouse=True)
def _new_databases(request: pytest.FixtureRequest, _scratch: Path) -> Iterator[None]:
    """But for the tests of migrations, new databases need none."""
    with nullcontext() if request.path.parent.name == "records" else migrated.copied(_scratch):
        yield
