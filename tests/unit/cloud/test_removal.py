"""What services refuse to remove is asked for again, for as long as the refusal may pass by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from openstack import exceptions

from refloat.cloud import removal
from refloat.cloud.errors import explained
from refloat.errors import Conflict


class Neutron:
    """A cloud with one port, whose removal is refused so many times.

    :param status: of the refusals.
    """

    def __init__(self, refusals: int, status: int) -> None:
        self.refusals = refusals
        self.status = status
        self.there = True

    def find(self, _kind: str, _identity: str) -> Any:
        return SimpleNamespace(status="ACTIVE") if self.there else None

    def remove(self, _kind: str, _identity: str) -> bool:
        if self.refusals:
            self.refusals -= 1
            with explained("delete the port p"):
                raise exceptions.HttpException("rule:delete_port is disallowed", http_status=self.status)
        self.there = False
        return True

    def wait(self, *_wanted: Any, **_how: Any) -> str:
        return "a pause"

    wait_gone = wait


def remove(cloud: Neutron, patience: float | None = None) -> list[Any]:
    return list(removal.removal(cast(Any, cloud), "port", "p", patience))


@pytest.mark.parametrize("status", [400, 403, 409])
def test_a_refusal_that_passes_is_waited_out(status: int) -> None:
    cloud = Neutron(2, status)
    remove(cloud)
    assert not cloud.there


@pytest.mark.parametrize("status", [400, 403, 409])
def test_a_refusal_that_stays_is_told(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "DOUBT", 0.0)
    cloud = Neutron(10_000, status)
    with pytest.raises(Exception, match="disallowed"):
        remove(cloud, patience=None if status == 403 else 0.0)
    assert cloud.there
    assert cloud.refusals > 9_000


def test_other_refusals_are_told_at_once() -> None:
    cloud = Neutron(10_000, 413)
    with pytest.raises(Exception, match="disallowed"):
        remove(cloud)
    assert cloud.refusals == 9_999


class Cinder(Neutron):
    """A cloud with one backup, whose deletion is accepted each time, and given up so many times."""

    def remove(self, _kind: str, _identity: str) -> bool:
        self.there = self.refusals > 0
        self.refusals -= 1
        return True

    def wait_gone(self, *_wanted: Any, **_how: Any) -> str:
        return "gone?"


def delete(cloud: Cinder, patience: float | None = None) -> bool:
    """Remove the volume; waits end with what the cloud then has."""
    removing = removal.removal(cast(Any, cloud), "backup", "b", patience)
    found = None
    while True:
        try:
            said = removing.send(found)
        except StopIteration as end:
            return bool(end.value)
        found = cloud.find("backup", "b") if said == "gone?" else None


def test_a_deletion_that_the_service_gives_up_is_asked_for_again() -> None:
    cloud = Cinder(2, 0)
    assert delete(cloud)
    assert not cloud.there
    cloud = Cinder(10_000, 0)
    with pytest.raises(Conflict, match="gave up"):
        delete(cloud, patience=0.0)
    assert cloud.there
