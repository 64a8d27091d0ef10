"""Snapshots of one server's volumes are removed one after the other, those of others beside them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from refloat.cloud.keyed_lock import KeyedLock
from refloat.cloud.removal import removal


class Cinder:
    """A cloud with snapshots of attached volumes, as far as removing them asks."""

    def __init__(self, servers: dict[str, str]) -> None:
        self.servers = servers
        self.asked: list[str] = []

    def find(self, kind: str, identity: str) -> Any:
        if kind == "snapshot":
            return SimpleNamespace(status="available", volume_id=identity)
        if kind == "volume":
            server = self.servers.get(identity)
            return SimpleNamespace(attachments=[{"server_id": server}] if server else [])
        return SimpleNamespace(task_state=None, name=identity)

    def remove(self, kind: str, identity: str) -> bool:
        self.asked.append(identity)
        return True

    def wait_gone(self, kind: str, identity: str) -> str:
        return f"{identity} to be gone"


@pytest.fixture
def cinder() -> Cinder:
    return Cinder({"a": "one", "b": "one", "c": "one", "d": "other"})


def begin(cinder: Cinder, identity: str) -> tuple[Any, Any]:
    """A removal, and what it waits for first."""
    body = removal(cinder, "snapshot", identity)  # type: ignore[arg-type] - it needs no more of a cloud
    return body, next(body)


def ends(body: Any) -> bool:
    with pytest.raises(StopIteration) as end:
        body.send(None)
    return bool(end.value.value)


def test_one_after_the_other(cinder: Cinder) -> None:
    first, turn = begin(cinder, "a")
    assert turn.begin().done()
    assert first.send(None) == "a to be gone"
    second, later = begin(cinder, "b")
    waiting = later.begin()
    assert not waiting.done()
    assert "server one" in later.describe()
    assert cinder.asked == ["a"]
    assert ends(first)
    assert waiting.done()
    assert second.send(None) == "b to be gone"
    assert ends(second)
    assert cinder.asked == ["a", "b"]


def test_those_of_other_servers_and_of_none_do_not_wait(cinder: Cinder) -> None:
    first, turn = begin(cinder, "a")
    turn.begin()
    other, own = begin(cinder, "d")
    assert own.begin().done()
    free, wait = begin(cinder, "not attached")
    assert wait == "not attached to be gone"
    for body in (first, other, free):
        body.close()


@pytest.mark.parametrize("came", [False, True])
def test_one_that_is_dropped_keeps_nobody_waiting(cinder: Cinder, came: bool) -> None:
    first, turn = begin(cinder, "a")
    turn.begin()
    dropped, its = begin(cinder, "b")
    third, last = begin(cinder, "c")
    waits = [each.begin() for each in (its, last)]
    if came:
        first.close()
        assert waits[0].done()
        dropped.close()
    else:
        waits[0].cancel()
        dropped.close()
        assert not waits[1].done()
        first.close()
    assert waits[1].done()
    third.close()


def test_nothing_is_kept_of_locks_that_are_released() -> None:
    from refloat.cloud import keyed_lock

    with keyed_lock.keyed_lock("x") as mine:
        assert isinstance(mine, KeyedLock)
        assert mine.begin().done()
        assert mine.begin().done()
    assert "x" not in keyed_lock._QUEUES
