"""Real processes that are killed, stopped and raced: what had ended is never run again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from engine_child import Program, start

from refloat.engine.engine import Engine
from refloat.errors import Conflict
from refloat.records.database import Database
from refloat.records.tables import OPERATIONS

LONG = 60.0
CHILD = Path(__file__).with_name("engine_child.py")


class Site:
    """A database and a folder that several processes share."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url = url
        self.folder = folder
        self.database = Database(url)
        self.children: list[subprocess.Popen[str]] = []

    def child(self, command: str, operation: str = "op") -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, str(CHILD), self.url, str(self.folder), command, operation],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.children.append(child)
        return child

    def engine(self) -> Engine:
        engine = Engine(self.database, OPERATIONS, workers=4)
        engine.register("child", lambda operation_id, payload: Program(self.folder))
        return engine

    def hold(self, place: str | None) -> None:
        new = self.folder / "hold.new"
        new.write_text(place or "")
        new.replace(self.folder / "hold")

    def log(self) -> list[tuple[int, str]]:
        try:
            lines = (self.folder / "log").read_text().splitlines()
        except FileNotFoundError:
            return []
        return [(int(pid), place) for pid, place in (line.split(" ", 1) for line in lines)]

    def reached(self, place: str, times: int = 1) -> None:
        deadline = time.monotonic() + LONG
        while Counter(p for _, p in self.log())[place] < times:
            assert time.monotonic() < deadline, f"never came to {place}: {self.log()}"
            for child in self.children:
                assert child.poll() is None, child.communicate()
            time.sleep(0.01)

    def expire(self) -> None:
        """Let the lease look as if it had run out."""
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            connection.execute(sa.text("UPDATE operations SET expires = 0"))
        engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Site]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/engine.db"
    else:
        url = request.getfixturevalue("postgresql")()
    site = Site(url, tmp_path)
    try:
        yield site
    finally:
        site.hold(None)
        for child in site.children:
            child.kill()
            child.communicate(timeout=LONG)
        site.database.close()


def recorded(engine: Engine, *steps: str) -> None:
    """Wait until these steps have ended, for all processes to see."""
    deadline = time.monotonic() + LONG
    while not set(engine.state("op").outcomes) >= set(steps):
        assert time.monotonic() < deadline, engine.state("op")
        time.sleep(0.05)


def kill(child: subprocess.Popen[Any]) -> None:
    child.kill()
    child.wait(LONG)


@pytest.mark.parametrize(
    ("place", "over"),
    [("prepare", ""), ("a", ""), ("b", "ad"), ("d", "ab"), ("mid", "abd"), ("c", "abd"), ("finish", "abcd")],
)
def test_killed_anywhere_it_goes_on_with_the_same_result(site: Site, place: str, over: str) -> None:
    site.hold(f"{place} mid" if place == "d" else place)
    child = site.child("start")
    site.reached(place)
    with site.engine() as engine:
        recorded(engine, *over)
        kill(child)
        again = {place, "mid"} if place == "d" else {place}
        site.hold(None)
        state = engine.state("op")
        assert state.interrupted
        assert engine.interrupted() == ["op"]
        with pytest.raises(Conflict, match="interrupted"):
            engine.wait("op", LONG)
        engine.resume("op")
        ended = engine.wait("op", LONG)
    assert (ended.state, ended.result) == ("succeeded", 10 + 1 + 1 + 3 + 1 + 1)
    counts = Counter(p for _, p in site.log())
    assert {p for p, count in counts.items() if count > 1} == again
    assert set(counts) == {"prepare", "a", "b", "mid", "c", "d", "finish"}


def test_killed_while_undoing_it_goes_on_undoing(site: Site) -> None:
    site.hold("mid")
    child = site.child("start")
    site.reached("mid")
    with site.engine() as engine:
        engine.cancel("op")
        site.hold("mid undo")
        site.reached("undo")
        kill(child)
        site.hold(None)
        engine.resume("op")
        assert engine.wait("op", LONG).state == "cancelled"
    assert Counter(p for _, p in site.log())["undo"] == 2


def test_a_killed_operation_can_be_cancelled(site: Site) -> None:
    site.hold("mid")
    child = site.child("start")
    site.reached("mid")
    kill(child)
    with site.engine() as engine:
        engine.cancel("op")
        ended = engine.wait("op", LONG)
    assert ended.state == "cancelled"
    assert ended.outcomes["a"].status == "done"
    assert ended.outcomes["mid"].status == "skipped"
    assert [p for pid, p in site.log() if pid == os.getpid()] == ["undo"]


def test_killed_twice_in_two_processes(site: Site) -> None:
    site.hold("b")
    child = site.child("start")
    site.reached("b")
    with site.engine() as engine:
        recorded(engine, "a", "d")
    kill(child)
    site.children.clear()
    site.hold("finish")
    child = site.child("resume")
    site.reached("finish")
    kill(child)
    site.children.clear()
    site.hold(None)
    child = site.child("resume")
    out, err = child.communicate(timeout=LONG)
    assert out.strip() == "succeeded 17", err
    assert Counter(p for _, p in site.log()) == Counter(
        {"prepare": 1, "a": 1, "b": 2, "d": 1, "mid": 1, "c": 1, "finish": 2}
    )


def test_a_live_owner_is_left_alone_but_can_be_asked(site: Site) -> None:
    site.hold("mid")
    child = site.child("start")
    site.reached("mid")
    with site.engine() as engine:
        with pytest.raises(Conflict, match=f"process {child.pid}"):
            engine.resume("op")
        assert engine.interrupted() == []
        engine.park("op")
        assert engine.wait("op", LONG).state == "parked"
        out, err = child.communicate(timeout=LONG)
        assert out.strip() == "parked None", err
        site.hold(None)
        engine.resume("op")
        assert engine.wait("op", LONG).result == 17


def test_cancelled_by_another_process_it_is_undone_by_its_owner(site: Site) -> None:
    site.hold("mid")
    child = site.child("start")
    site.reached("mid")
    with site.engine() as engine:
        engine.cancel("op")
        assert engine.wait("op", LONG).state == "cancelled"
    out, err = child.communicate(timeout=LONG)
    assert out.strip() == "cancelled None", err
    assert (child.pid, "undo") in site.log()


def test_an_owner_that_comes_back_from_the_dead_starts_nothing(site: Site) -> None:
    site.hold("b")
    child = site.child("start")
    site.reached("b")
    with site.engine() as engine:
        recorded(engine, "a", "d")
        child.send_signal(signal.SIGSTOP)
        site.expire()
        engine.resume("op")
        site.reached("b", 2)
        child.send_signal(signal.SIGCONT)
        site.hold(None)
        assert engine.wait("op", LONG).result == 17
        child.communicate(timeout=LONG)
    theirs = [p for pid, p in site.log() if pid == child.pid]
    assert sorted(theirs) == ["a", "b", "d", "prepare"]


def test_two_processes_use_one_database_at_once(site: Site) -> None:
    children = [site.child("start", f"op{i}") for i in range(3)]
    for child in children:
        out, err = child.communicate(timeout=LONG)
        assert out.strip() == "succeeded 17", err
    counts = Counter(site.log())
    for child in children:
        assert all(counts[(child.pid, p)] == 1 for p in ("prepare", "a", "b", "mid", "c", "d", "finish"))
    assert len({pid for pid, _ in site.log()}) == 3


def test_of_two_that_resume_at_once_one_wins(site: Site) -> None:
    site.hold("mid")
    kill_me = site.child("start")
    site.reached("mid")
    kill(kill_me)
    site.hold(None)
    children = [site.child("resume") for _ in range(3)]
    outs = [child.communicate(timeout=LONG) for child in children]
    won = [out for out, _ in outs if out.strip() == "succeeded 17"]
    assert len(won) == 1, outs
    assert sum("Conflict" in err for _, err in outs) == 2, outs
    assert Counter(p for _, p in site.log())["finish"] == 1


@pytest.fixture
def _ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal: a run in the background inherits that it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c")
def test_ctrl_c_interrupts_a_wait(site: Site) -> None:
    site.hold("mid")
    with site.engine() as engine:
        start(engine, site.database, "op")
        site.reached("mid")
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            engine.wait("op", LONG)
        engine.park("op")
        assert engine.wait("op", LONG).state == "parked"
