"""Where everything is there that tests need, as ``tests/run`` sees to, a test that is skipped has failed.

A missing tool is then a fault of the set-up, and must not look like a test that was passed.
"""

from __future__ import annotations

import os
from collections.abc import Generator
from typing import TypeVar

import pytest

Report = TypeVar("Report", pytest.TestReport, pytest.CollectReport)

VARIABLE = "REFLOAT_SKIPS_FAIL"
"""Set it to have skipped tests fail."""


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Of one test."""
    return _fail_skipped((yield))


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """Of a whole file, as by ``importorskip``."""
    return _fail_skipped((yield))


def _fail_skipped(report: Report) -> Report:
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get(VARIABLE):
        reason = report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"{reason}\nNothing may be skipped here: {VARIABLE} is set."
    return report
