"""What services refuse to remove is asked for again, for as long as the refusal may pass by itself."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
from openstack import exceptions

from refloat.cloud import removal
from refloat.cloud.errors import explained


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
