"""Waiting without holding a worker, and without asking once per thing that is waited for."""

import threading
import time
from dataclasses import dataclass, field

import pytest
from openstack import exceptions

from refloat.cloud import watcher
from refloat.cloud.kinds import Kind
from refloat.cloud.watcher import Waiter, Watcher
from refloat.errors import CloudError, WaitFailed


@dataclass
class Thing:
    id: str
    status: str
    fault: dict[str, str] | None = None


@dataclass
class Shelf:
    """What a service holds, and how often it was asked."""

    things: dict[str, Thing] = field(default_factory=dict)
    unlisted: set[str] = field(default_factory=set)
    gets: int = 0
    lists: int = 0
    broken: int = 0
    nonsense: bool = False
    seconds: float = 0.0

    def kind(self) -> Kind:
        return Kind(
            "thing", "block_storage", lambda _c, identity: self.get(identity), lambda _c: self.list(), print
        )

    def get(self, identity: str) -> Thing:
        self.gets += 1
        self.fail()
        if identity not in self.things:
            raise exceptions.NotFoundException("gone")
        return self.things[identity]

    def list(self) -> list[Thing]:
        self.lists += 1
        self.fail()
        return [thing for thing in self.things.values() if thing.id not in self.unlisted]

    def fail(self) -> None:
        time.sleep(self.seconds)
        if self.broken:
            self.broken -= 1
            if self.nonsense:
                raise ValueError("Expecting value: line 1 column 1 (char 0)")  # HTML where JSON should be
            raise exceptions.HttpException("the service is restarting", http_status=503)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "SHORTEST", 0.01)
    monkeypatch.setattr(watcher, "LONGEST", 0.02)


def waiter(identity: str, *, gone: bool = False, patience: float = 60) -> Waiter:
    return Waiter(
        identity,
        ready=lambda thing: thing.status == "available",
        failed=lambda thing: thing.status == "error",
        gone=gone,
        deadline=time.monotonic() + patience,
        text=f"thing {identity} to be available",
    )


def watching(shelf: Shelf) -> Watcher:
    return Watcher(None, shelf.kind())  # type: ignore[arg-type] - the kind above needs no connection


def test_a_wait_ends_with_the_thing_when_it_is_ready() -> None:
    shelf = Shelf({"1": Thing("1", "creating")})
    future = watching(shelf).add(waiter("1"))
    assert not future.done()
    shelf.things["1"].status = "available"
    assert future.result(60) is shelf.things["1"]


def test_a_failed_thing_ends_the_wait_in_the_services_words() -> None:
    shelf = Shelf({"1": Thing("1", "error", {"message": "No valid host was found"})})
    with pytest.raises(WaitFailed, match=r"status became 'error': No valid host"):
        watching(shelf).add(waiter("1")).result(60)


def test_a_vanished_thing_ends_the_wait() -> None:
    """Karbor's poller caught a NotFound of its own, which no client ever raised."""
    with pytest.raises(WaitFailed, match="it was deleted"):
        watching(Shelf()).add(waiter("1")).result(60)


def test_a_wait_for_the_end_of_a_thing_ends_when_it_is_gone() -> None:
    shelf = Shelf({"1": Thing("1", "deleting")})
    future = watching(shelf).add(waiter("1", gone=True))
    time.sleep(0.05)
    assert not future.done()
    del shelf.things["1"]
    assert future.result(60) is None


def test_no_wait_is_for_ever_and_it_names_the_state_it_got() -> None:
    """Karbor looped for ever on a status it ignored."""
    with pytest.raises(WaitFailed, match="still 'creating'"):
        watching(Shelf({"1": Thing("1", "creating")})).add(waiter("1", patience=0.1)).result(60)


def test_many_waits_are_served_by_listings() -> None:
    shelf = Shelf({str(i): Thing(str(i), "creating") for i in range(200)})
    watch = watching(shelf)
    futures = [watch.add(waiter(str(i))) for i in range(200)]
    time.sleep(0.1)
    for thing in shelf.things.values():
        thing.status = "available"
    for future in futures:
        future.result(60)
    assert shelf.lists > 0
    assert shelf.gets < 20


def test_those_who_come_one_after_the_other_are_looked_at_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "SHORTEST", 0.5)
    shelf = Shelf({str(i): Thing(str(i), "creating") for i in range(50)})
    watch = watching(shelf)
    futures = []
    for i in range(50):
        futures.append(watch.add(waiter(str(i))))
        time.sleep(0.002)
    for thing in shelf.things.values():
        thing.status = "available"
    for future in futures:
        future.result(60)
    assert shelf.lists + shelf.gets < 20


def test_a_service_that_answers_slowly_is_left_alone_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watcher, "LONGEST", 5.0)
    shelf = Shelf({"1": Thing("1", "creating")}, seconds=0.2)
    future = watching(shelf).add(waiter("1"))
    time.sleep(1.5)
    assert shelf.gets <= 3  # without a rest it would be up to seven
    shelf.things["1"].status = "available"
    future.result(60)


def test_what_a_listing_leaves_out_is_not_taken_for_deleted() -> None:
    shelf = Shelf({str(i): Thing(str(i), "available") for i in range(10)}, unlisted={"3"})
    watch = watching(shelf)
    futures = [watch.add(waiter(str(i))) for i in range(10)]
    assert [future.result(60).id for future in futures] == [str(i) for i in range(10)]


def test_a_service_that_restarts_does_not_end_the_wait() -> None:
    shelf = Shelf({"1": Thing("1", "available")}, broken=5)
    assert watching(shelf).add(waiter("1")).result(60).id == "1"


def test_a_service_that_stays_broken_does() -> None:
    shelf = Shelf({"1": Thing("1", "available")}, broken=10_000)
    with pytest.raises(Exception, match="the service is restarting"):
        watching(shelf).add(waiter("1")).result(60)


def test_answers_that_are_none_for_a_moment_do_not_end_the_wait() -> None:
    shelf = Shelf({"1": Thing("1", "available")}, broken=5, nonsense=True)
    assert watching(shelf).add(waiter("1")).result(60).id == "1"


@pytest.mark.parametrize("patience", [60, 0])
def test_answers_that_are_none_end_the_wait(patience: float) -> None:
    watch = watching(Shelf({"1": Thing("1", "available")}, broken=10_000, nonsense=True))
    with pytest.raises(CloudError, match="Expecting value"):
        watch.add(waiter("1", patience=patience)).result(60)


def test_a_test_that_raises_ends_its_own_wait_and_no_other() -> None:
    watch = watching(Shelf({"1": Thing("1", "creating"), "2": Thing("2", "available")}))
    bad = waiter("1")
    bad.ready = lambda thing: bool(thing.no_such_field)
    futures = watch.add(bad), watch.add(waiter("2"))
    with pytest.raises(CloudError, match="no_such_field"):
        futures[0].result(60)
    assert futures[1].result(60).id == "2"


def test_a_cancelled_wait_is_dropped_and_no_thread_stays() -> None:
    shelf = Shelf({"1": Thing("1", "creating")})
    watch = watching(shelf)
    watch.add(waiter("1")).cancel()
    end = time.monotonic() + 60
    while any(thread.name == "watch-thing" for thread in threading.enumerate()) and time.monotonic() < end:
        time.sleep(0.02)
    assert not [thread for thread in threading.enumerate() if thread.name == "watch-thing"]
