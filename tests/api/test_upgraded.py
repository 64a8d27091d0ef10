"""A service of today goes on with what 29113ea has left: nothing is lost, and nothing done twice."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from api_helpers import Notes, Running, overrides

from refloat.api import config
from refloat.api.app import make_application
from refloat.api.deployment import Deployment
from refloat.bank import Bank, keys
from refloat.cloud import Cloud
from refloat.cloud.authority import SessionCloud
from refloat.control import progress
from refloat.records.tables import CheckpointRow, OperationRow
from tests.unit.support.released_database import Released, load

PATIENCE = 240.0
STATUSES = {
    "protect": {"succeeded": "available", "failed": "error", "cancelled": "error"},
    "copy": {"succeeded": "available", "failed": "error", "cancelled": "error"},
    "delete": {"succeeded": "deleted", "failed": "error-deleting", "cancelled": "error-deleting"},
}


class Granted(Notes):
    """What was granted then is good still."""

    project = ""

    def cloud(self, granted: Any) -> Cloud:
        return SessionCloud(None, self.project)

    def revoke(self, granted: Any) -> None:
        self.revoked.append(str(granted))

    def check(self, granted: Any) -> None:
        """It is."""


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def released(request: pytest.FixtureRequest, tmp_path: Path) -> Released:
    create: Callable[[], str] | None = None
    if request.param == "postgresql":
        create = request.getfixturevalue("empty_postgresql")
    return load(tmp_path, create)


@pytest.fixture
def service(released: Released) -> Iterator[Running]:
    authority = Granted()
    authority.project = released.contents["project_id"]
    values = overrides(released.folder, database__connection=released.url)
    deployment = Deployment(config.load([], values), authority)
    running = Running(deployment, make_application(deployment, lambda application: application), authority)
    try:
        yield running
    finally:
        running.close()


def states(service: Running) -> dict[str, str]:
    with service.deployment.database.session() as session:
        return {row.id: row.state for row in session.query(OperationRow.id, OperationRow.state)}


def test_what_was_in_flight_goes_on(service: Running, released: Released) -> None:
    wanted = {
        key: about["comes"]
        for key, about in released.contents["operations"].items()
        if about["runner"] == "service"
    }
    service.work()
    deadline = time.monotonic() + PATIENCE
    while True:
        found = states(service)
        wrong = {
            released.contents["operations"][key]["name"]: found[key]
            for key in wanted
            if found[key] != wanted[key]
        }
        if not wrong:
            break
        assert time.monotonic() < deadline, wrong
        time.sleep(0.2)
    with service.deployment.database.session() as session:
        checkpoints = {row.id: row for row in session.query(CheckpointRow)}
    for key, about in released.contents["operations"].items():
        if about["runner"] == "command" or about["kind"] not in STATUSES or wanted[key] == "parked":
            continue
        operation = service.deployment.operations.get(key)
        made = str(operation.payload.get("copy_id") or operation.checkpoint_id)
        later = [
            other["kind"]
            for other in released.contents["operations"].values()
            if other["checkpoint_id"] == made and other["kind"] == "delete"
        ]
        if about["kind"] == "delete" or not later:
            assert checkpoints[made].status == STATUSES[about["kind"]][operation.state], about
        if checkpoints[made].status == "available":
            assert checkpoints[made].graph, about
    _commands_are_as_they_were(service, released)
    _nothing_was_done_twice(service, released)
    bank = Bank.open(str(released.folder / "bank"), keys.load_key(released.folder / "bank.key"))
    assert not bank.verify_all().damages


def _commands_are_as_they_were(service: Running, released: Released) -> None:
    """What a command ran is left to its user."""
    for key, about in released.contents["operations"].items():
        if about["runner"] == "command":
            snapshot = service.deployment.reader.look(key)
            shown = progress.status_of(service.deployment.operations.get(key), snapshot)
            assert shown == about["comes"], about


def _nothing_was_done_twice(service: Running, released: Released) -> None:
    for key, about in released.contents["operations"].items():
        read = service.deployment.reader.read(key)
        if read is None:
            continue
        ended = Counter(record.step for record in read[2] if record.status == "done")
        ended.pop("undo", None)
        assert set(ended.values()) <= {1}, about
