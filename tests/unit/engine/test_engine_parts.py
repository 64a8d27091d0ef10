"""The parts of the engine by themselves."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from refloat.database import SqlDatabase, _GroupFlush
from refloat.engine.concurrency import Concurrency
from refloat.engine.fair_queue import FairQueue
from refloat.engine.history import History, to_json
from refloat.engine.owner import Owner
from refloat.engine.pool import Pool
from refloat.engine.program import Outcome

LONG = 30.0


def test_importing_the_engine_imports_no_slow_library() -> None:
    code = "import sys, refloat.engine.engine; print([m for m in ('dbos', 'sqlalchemy') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"


def test_an_owner_is_dead_when_its_process_is_gone() -> None:
    me = Owner.of_this_process()
    assert not me.is_dead_for_sure()
    with subprocess.Popen(["sleep", "60"]) as child:
        other = dataclasses.replace(me, pid=child.pid)
        # The process id has been given to another process since.
        assert other.is_dead_for_sure()
        child.kill()
    assert dataclasses.replace(me, pid=child.pid).is_dead_for_sure()
    assert not dataclasses.replace(me, pid=child.pid, host="elsewhere").is_dead_for_sure()
    assert not dataclasses.replace(me, pid=child.pid, born="").is_dead_for_sure()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://root@localhost/x"])
def test_only_databases_that_keep_what_they_are_given(url: str) -> None:
    with pytest.raises(ValueError, match=r"memory|SQLite and PostgreSQL"):
        SqlDatabase(url)


def test_sqlite_is_synced_by_flush(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = SqlDatabase(f"sqlite:///{tmp_path}/new/engine.db")
    synced: list[int] = []
    monkeypatch.setattr("os.fsync", synced.append)
    database.flush()  # nothing written, nothing to sync
    with database.engine.begin() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        connection.exec_driver_sql("CREATE TABLE t (x)")
    database.flush()
    assert len(synced) == 1
    database.close()


def test_flushes_asked_for_during_a_flush_share_the_next() -> None:
    runs: list[int] = []
    first, go_on = threading.Event(), threading.Event()

    def run() -> None:
        runs.append(1)
        first.set()
        assert go_on.wait(LONG)

    flush = _GroupFlush(run)
    threads = [threading.Thread(target=flush) for _ in range(10)]
    threads[0].start()
    assert first.wait(LONG)
    for thread in threads[1:]:
        thread.start()
    while flush._asked < 10:
        time.sleep(0.01)
    go_on.set()
    for thread in threads:
        thread.join(LONG)
    assert len(runs) == 2


def test_a_flush_that_fails_is_not_taken_for_one() -> None:
    fail = [True]

    def run() -> None:
        if fail:
            raise OSError("disk on fire")

    flush = _GroupFlush(run)
    for _ in range(2):
        with pytest.raises(OSError, match="fire"):
            flush()
    fail.clear()
    flush()


def test_a_pool_continues_before_it_begins() -> None:
    pool = Pool(1)
    begun, go_on = threading.Event(), threading.Event()
    order: list[str] = []

    def block() -> None:
        begun.set()
        go_on.wait(LONG)

    pool.submit(block)
    assert begun.wait(LONG)
    pool.submit(lambda: order.append("new"))
    pool.submit(lambda: order.append("continued"), urgent=True)
    done = threading.Event()
    pool.submit(done.set)
    go_on.set()
    assert done.wait(LONG)
    assert order == ["continued", "new"]
    assert pool.close(LONG)


def test_a_pool_uses_all_its_workers() -> None:
    pool = Pool(4)
    for _ in range(20):
        together = threading.Barrier(5)
        for _ in range(4):
            pool.submit(lambda together=together: together.wait(LONG))  # type: ignore[misc]
        together.wait(LONG)
    assert pool.close(LONG)


def test_places_in_a_lane_go_to_those_who_wait_in_turn() -> None:
    lanes = Concurrency({"cinder": 1})
    granted: list[str] = []
    first, second = (lambda: granted.append("1")), (lambda: granted.append("2"))
    assert lanes.enter("other", first)
    assert lanes.enter("cinder", first)
    assert not lanes.enter("cinder", first)
    assert not lanes.enter("cinder", second)
    lanes.leave("cinder")
    assert granted == ["1"]
    assert not lanes.give_up("cinder", first)
    assert lanes.give_up("cinder", second)
    lanes.leave("cinder")
    assert granted == ["1"]
    assert lanes.enter("cinder", second)
    with pytest.raises(ValueError, match="cinder"):
        Concurrency({"cinder": 0})


def test_in_a_history_what_was_done_stays_done_and_failures_are_forgiven() -> None:
    ok = Outcome("done", {"id": 1})
    bad = Outcome("failed", error={"message": "no"})
    history = History()
    history.add(
        [("prepare", to_json(ok)), ("step:a", to_json(bad)), ("step:b", to_json(ok, (3, 4)))], forgiven=True
    )
    history.add([("step:a", to_json(ok)), ("step:b", to_json(bad))], forgiven=False)
    assert history.prepared == {"id": 1}
    assert history.outcomes == {"a": ok, "b": ok}
    assert history.moved == {"b": (3, 4)}
    assert history.failure == {"message": "no"}


def test_a_party_with_much_to_do_does_not_keep_the_others_out() -> None:
    turns: FairQueue[str] = FairQueue()
    for number in range(1000):
        turns.put("large", f"large {number}")
    turns.put("small", "small 0")
    turns.put("other", "other 0")
    turns.put("small", "small 1")
    assert [turns.get() for _ in range(6)] == [
        *("large 0", "small 0", "other 0", "large 1", "small 1", "large 2"),
    ]
    turns.put("other", "other 1")
    assert turns.remove("large", "large 3")
    assert not turns.remove("large", "large 3")
    assert not turns.remove("nobody", "x")
    assert [turns.get() for _ in range(3)] == ["large 4", "other 1", "large 5"]
    assert len(turns) == 994
    turns.clear()
    with pytest.raises(KeyError):
        turns.get()


def test_a_pool_and_a_lane_go_round_the_parties() -> None:
    pool, order, go, over = Pool(1), list[str](), threading.Event(), threading.Event()
    pool.submit(lambda: go.wait(60) and None)
    for number in range(3):
        pool.submit(partial(order.append, f"a{number}"), party="a")
    pool.submit(partial(order.append, "b0"), party="b")
    pool.submit(partial(order.append, "c urgent"), party="c", urgent=True)
    pool.submit(over.set, party="d")
    go.set()
    assert over.wait(60)
    assert pool.close(60)
    assert order[:3] == ["c urgent", "a0", "b0"]

    lanes, granted = Concurrency({"cinder": 1}), list[str]()
    assert lanes.enter("cinder", partial(granted.append, "first"), "a")
    for number in range(3):
        assert not lanes.enter("cinder", partial(granted.append, f"a{number}"), "a")
    assert not lanes.enter("cinder", partial(granted.append, "b0"), "b")
    for _ in range(3):
        lanes.leave("cinder")
    assert granted == ["a0", "b0", "a1"]
