"""Several workers on one PostgreSQL: killed, stopped, cut off from the database; nothing is lost or doubled.

The short form runs with all tests. The long form is the same for longer, with real leases and, where there is
a cloud, also with networks, security groups and volumes in a project of its own there::

    REFLOAT_CHAOS=long devcloud exec -- pytest tests/chaos/test_workers.py -n0 -s
"""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from refloat.api import config
from refloat.api.deployment import Deployment
from refloat.bank import Bank, create_key
from refloat.cloud.authority import Caller
from refloat.engine.engine import Engine
from refloat.operations.choices import Choices
from refloat.records.tables import OPERATIONS
from tests import pgserver
from tests.api.receiver import secret_file
from tests.chaos.tenant import DEFAULT, Tenant, Things
from tests.conftest import no_cloud
from tests.unit.support.cli_helpers import PROJECT, new_user, serve_identity

CHILD = Path(__file__).with_name("worker_child.py")
NOOP = "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b03"
CALLER = Caller("tester", PROJECT, frozenset({"member"}))
LONG = os.environ.get("REFLOAT_CHAOS") == "long"
PATIENCE = 180.0

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not pgserver.is_installed(), reason=pgserver.NOT_INSTALLED),
]


@dataclass
class Place:
    """A database server, a bank and workers.

    :param lease: seconds.
    :param pause: seconds that a hook takes.
    :param at_once: so many operations run in one worker, if none has died.
    """

    folder: Path
    server: pgserver.PostgreSQL
    environ: dict[str, str]
    lease: float
    pause: float
    caller: Caller = CALLER
    at_once: int = 4
    workers: dict[str, subprocess.Popen[str]] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        self.url = self.server.create()
        settings = {
            "database": {"connection": self.url},
            "bank": {"url": self.folder / "bank", "key_file": self.folder / "bank.key"},
            "providers": {"noop": True},
            "operations": {
                "authority": "cloud",
                "cloud": "good",
                "at_once": self.at_once,
                "per_project": 0,  # there is just one
            },
        }
        lines = [
            line
            for name, options in settings.items()
            for line in (f"[{name}]", *(f"{option} = {value}" for option, value in options.items()))
        ]
        (self.folder / "refloat.conf").write_text("\n".join(lines))
        self.deployment = Deployment(config.load([self.folder / "refloat.conf"]))
        self.engine = Engine(self.deployment.database, OPERATIONS)
        self.engine.prepare()
        url = self.url.replace("postgresql:", "postgresql+psycopg:")
        self.sql = sa.create_engine(url, pool_pre_ping=True)
        self.open_bank = partial(Bank.open, str(self.folder / "bank"), create_key(self.folder / "bank.key"))
        self.open_bank(create=True)

    def work(self, name: str, host: str = "") -> subprocess.Popen[str]:
        """Start a worker, or start it again."""
        # Started again, it is on another host: on the same one it would see at once that the former is dead.
        host = host or f"{name}-{next(self.numbers)}"
        given = (self.folder / "refloat.conf", self.folder, host, self.lease, self.pause)
        said = (self.folder / f"{name}.err").open("a")
        self.workers[name] = subprocess.Popen(
            [sys.executable, CHILD, *map(str, given)],
            env=self.environ,
            cwd=self.folder,
            stdout=said,
            stderr=said,
            text=True,
        )
        said.close()
        return self.workers[name]

    def said(self, name: str) -> str:
        """What a worker has said."""
        return (self.folder / f"{name}.err").read_text()

    def protect(self, size: int = 4) -> str:
        """Ask for a made-up application to be protected; the id of the operation."""
        entries = [{"type": "Refloat::Noop", "id": f"tree-{size}", "name": f"tree:{size}"}]
        return self.newest(self.protect_all(entries, "noop", NOOP))

    def protect_all(self, entries: list[dict[str, str]], provider: str, provider_id: str) -> str:
        """Ask for a new plan to be protected; the id of the checkpoint."""
        plan = self.deployment.plans(self.caller.project_id).create("app", provider, entries, {})
        return self.deployment.submitter.protect(self.caller, plan, provider_id=provider_id)[0].id

    def newest(self, checkpoint: str) -> str:
        with self.sql.connect() as connection:
            query = sa.text(
                "SELECT id FROM operations WHERE checkpoint_id = :c ORDER BY created_at DESC LIMIT 1"
            )
            return str(connection.execute(query, {"c": checkpoint}).scalar_one())

    def use(self, kind: str, checkpoint: str) -> str:
        """Ask for a checkpoint to be restored or verified; the id of the operation."""
        record = self.deployment.checkpoints.get(checkpoint, None)
        submitter = self.deployment.submitter
        if kind == "restore":
            return submitter.restore(self.caller, record, Choices()).id
        return submitter.verify(self.caller, record, {}).id

    def states(self) -> dict[str, str]:
        """Of every operation."""
        with self.sql.connect() as connection:
            found = connection.execute(sa.text("SELECT id, state FROM operations"))
            return {row.id: row.state for row in found}

    def run_by(self, pid: int) -> dict[str, tuple[int, float]]:
        """The operations that a process runs: attempt, and the end of its lease."""
        with self.sql.connect() as connection:
            query = sa.text(
                "SELECT id, attempt, expires FROM operations WHERE state = 'running' AND pid = :pid"
            )
            return {row.id: (row.attempt, row.expires) for row in connection.execute(query, {"pid": pid})}

    def attempts(self) -> dict[str, float]:
        """When each attempt at each operation began."""
        with self.sql.connect() as connection:
            query = sa.text("SELECT workflow_uuid, created_at FROM refloat_engine.workflow_status")
            return {row.workflow_uuid: row.created_at / 1000 for row in connection.execute(query)}

    def log(self) -> list[list[str]]:
        """Lines: process, begin or end, operation, kind, hook, resource, number of the run."""
        with contextlib.suppress(FileNotFoundError):
            return [line.split() for line in (self.folder / "log").read_text().splitlines()]
        return []

    def until(self, done: Callable[[], Any], what: str) -> None:
        """Wait for something; workers that ended are started again, as a service manager does."""
        deadline = time.monotonic() + PATIENCE + (240 if LONG else 0)
        while not done():
            assert time.monotonic() < deadline, f"{what}: {self.states()}"
            for name, worker in list(self.workers.items()):
                if worker.poll() is not None:
                    self.work(name)
            time.sleep(0.2)

    def all_ended(self) -> bool:
        """Whether no operation is left."""
        return not {"queued", "running", "parked"} & set(self.states().values())

    def all_given_back(self) -> bool:
        """Whether also what the operations acted with is given back: then no worker has anything to do.

        A command acts as its user: it has nothing to give back, and may be killed before it says so.
        """
        query = "SELECT id FROM operations WHERE authority IS NOT NULL AND runner = 'service'"
        with self.sql.connect() as connection:
            owing = connection.execute(sa.text(query))
            return self.all_ended() and owing.first() is None

    def publications(self, pid: int) -> list[list[str]]:
        """Lines of a process: thread, what it does to publish an object of the bank, and which."""
        with contextlib.suppress(FileNotFoundError):
            lines = (self.folder / "published").read_text().splitlines()
            return [line.split()[1:] for line in lines if line.startswith(f"{pid} ")]
        return []

    def bank(self) -> dict[str, int]:
        """The objects of the bank, and the times of their last changes.

        What has no name yet (see docs/bank-format.md) is none of them; nor is what workers, whatever they
        work on, note there of the database.
        """
        folder = self.folder / "bank"
        others = (".tmp", DATABASES)
        found = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.parent.name not in others]
        return {str(p): p.stat().st_mtime_ns for p in found}

    def rows(self) -> dict[str, list[dict[str, str]]]:
        """All that the database says of operations, but for signs of life of workers."""
        tables = ("operations", "checkpoints", "journal")
        steps = "refloat_engine.operation_outputs"
        with self.sql.connect() as connection:
            found = {
                table: connection.execute(sa.text(f"SELECT * FROM {table}")).mappings()
                for table in (*tables, steps)
            }
            return {
                table: sorted(({name: str(row[name]) for name in row} for row in rows), key=str)
                for table, rows in found.items()
            }

    def check_nothing_doubled(self) -> int:
        """What was recorded as done was not run again; how many hooks that is checked of."""
        runs = defaultdict(list)
        for _pid, what, operation, _kind, hook, resource, number in self.log():
            if what == "begin":
                runs[operation, f"{hook} Refloat::Noop#{resource}"].append(number)
        checked = 0
        for operation in self.states():
            outcomes = self.engine.state(operation).outcomes
            recorded = {name: outcome for name, outcome in outcomes.items() if outcome.status == "done"}
            assert recorded, operation  # of real resources nothing else is known here
            for name, outcome in recorded.items():
                if "_run" in (outcome.result or {}):
                    assert runs[operation, name][-1] == outcome.result["_run"], (operation, name)
                    checked += 1
        return checked

    def check_bank(self, real: Real | None = None) -> None:
        """The bank holds a checkpoint for each that the records know, every byte of it, and no other.

        :param real: of real resources there are no bytes in the bank.
        """
        with self.sql.connect() as connection:
            query = sa.text("SELECT id FROM checkpoints WHERE status = 'available'")
            known = {row.id for row in connection.execute(query)}
        bank = self.open_bank()
        assert {info.id for info in bank.checkpoints()} == known
        for identity in known:
            pieces = bank.verify(identity).pieces
            assert pieces > 0 or (real is not None and real.knows(identity))

    def close(self) -> None:
        """End everything."""
        for worker in self.workers.values():
            worker.send_signal(signal.SIGCONT)
            worker.kill()
            worker.wait(60)
        self.engine.close()
        self.deployment.close()
        self.sql.dispose()
        self.server.close()


@pytest.fixture
def make_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Place]]:
    """A function that makes a place."""
    identity = serve_identity()
    command = new_user(tmp_path, identity.server_address[1])
    monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", command.environ["OS_CLIENT_CONFIG_FILE"])
    places: list[Place] = []

    def make(lease: float, pause: float, tenant: Tenant | None = None, at_once: int = 4) -> Place:
        environ, caller = dict(command.environ), CALLER
        if tenant is not None:
            environ["OS_CLIENT_CONFIG_FILE"] = str(tenant.file)
            monkeypatch.setenv("OS_CLIENT_CONFIG_FILE", str(tenant.file))
            caller = Caller(tenant.user.id, tenant.project.id, frozenset({"member"}))
        places.append(Place(tmp_path, pgserver.PostgreSQL(), environ, lease, pause, caller, at_once))
        return places[-1]

    try:
        yield make
    finally:
        for place in places:
            place.close()
        identity.shutdown()


@pytest.fixture
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant | None]:
    """A project in a real cloud, in the long form and where there is a cloud."""
    if not LONG or no_cloud():
        yield None
        return
    tenant = Tenant(tmp_path_factory.mktemp("cloud"))
    try:
        yield tenant
    finally:
        tenant.close()


class Real:
    """What is done with real resources meanwhile, and what there must be of them in the end."""

    NETS, VOLUMES = 4, 2

    def __init__(self, place: Place, tenant: Tenant) -> None:
        self.place, self.tenant = place, tenant
        before = tenant.things()
        self.nets: list[tuple[str, list[dict[str, str]], Things]] = []
        self.volumes: list[tuple[str, Things]] = []
        # What lives is re-used: a network comes again only when it is lost.
        self.lost: list[tuple[str, Things]] = []
        self.expected = before
        for number in range(self.NETS):
            resources = tenant.net(number)
            made, before = tenant.things() - before, tenant.things()
            self.nets.append((place.protect_all(resources, "default", DEFAULT), resources, made))
        for number in range(self.VOLUMES):
            resources = tenant.volume(number)
            made, before = tenant.things() - before, tenant.things()
            checkpoint = place.protect_all(resources, "default", DEFAULT)
            self.volumes.append((checkpoint, made))
            self.expected += made + Things({("backups", f"volume-{number}@{checkpoint}"): 1})

    def look(self) -> None:
        """Lose what is protected by now."""
        statuses = _checkpoints(self.place)
        for each in [each for each in self.nets if statuses[each[0]] == "available"]:
            self.nets.remove(each)
            self.tenant.lose(each[1])
            self.lost.append((each[0], each[2]))

    def knows(self, checkpoint: str) -> bool:
        """Whether it is one of these."""
        return checkpoint in {each[0] for each in (*self.nets, *self.lost, *self.volumes)}

    def restore(self, chance: random.Random) -> bool:
        """Ask for something to be restored; whether there is anything."""
        statuses = _checkpoints(self.place)
        volumes = [each for each in self.volumes if statuses[each[0]] == "available"]
        if not self.lost and not volumes:
            return False
        # Volumes take much longer.
        checkpoint, comes = chance.choice(self.lost * 3 + volumes)
        self.place.use("restore", checkpoint)
        self.expected += comes
        return True

    def check(self) -> str:
        """Everything is there once, nothing else is, and nothing is marked; how much that is."""
        found = self.tenant.things()
        assert not self.nets
        assert found == self.expected, (found - self.expected, self.expected - found)
        assert list(self.tenant.marks()) == []
        kinds = Counter(kind for kind, _ in found.elements())
        return ", ".join(f"{number} {kind}" for kind, number in kinds.items())


def test_workers_that_are_killed_and_a_database_that_is_restarted(
    tenant: Tenant | None, make_place: Callable[..., Place]
) -> None:
    if LONG:
        total, kill_every, seconds, restarts = 60, 10.0, 300.0, (100.0, 200.0)
        place = make_place(lease=15.0, pause=3.0, tenant=tenant)
    else:
        total, kill_every, seconds, restarts = 8, 4.0, 12.0, (6.0,)
        place = make_place(lease=4.0, pause=0.2)
    chance = random.Random(5)
    names = ["host-1", "host-2", "host-3"]
    real = Real(place, tenant) if tenant else None
    for number in range(total // 2 - len(place.states())):
        place.protect(4 + number % 3)
    for name in names:
        place.work(name)
    place.until(lambda: "available" in _statuses(place), "the first checkpoint")

    # Some of the rest is asked for at the beginning, some on the way.
    asked = total // 2
    begun, killed_at, restarted = time.monotonic(), time.monotonic(), 0
    orphaned: dict[str, float] = {}
    kills = 0
    while (passed := time.monotonic() - begun) < seconds or asked < total:
        if asked < total and asked - total // 2 <= passed / seconds * (total // 2):
            asked += _use_something(place, real, asked, chance)
        if restarted < len(restarts) and passed > restarts[restarted]:
            place.server.restart(("fast", "immediate")[restarted % 2])
            restarted += 1
        if time.monotonic() - killed_at > kill_every and passed < seconds:
            name = chance.choice(names)
            if place.workers[name].poll() is None:
                orphaned |= _kill(place, place.workers[name])
                kills += 1
            place.work(name)
            killed_at = time.monotonic()
        time.sleep(0.2)
    place.until(place.all_ended, "every operation ends")

    assert Counter(place.states().values()) == {"succeeded": total}
    assert set(_statuses(place)) == {"available"}
    began = place.attempts()
    late = sorted(began[attempt] - ends for attempt, ends in orphaned.items() if attempt in began)
    hooks = place.check_nothing_doubled()
    place.check_bank(real)
    there = real.check() if real else "no cloud"
    print(
        f"\n{total} operations, {kills} kills, {restarted} restarts of PostgreSQL, {hooks} made-up hooks, "
        f"{len(late)} take-overs, seconds after the lease's end: "
        f"{[round(seconds, 2) for seconds in late]}\nin the cloud: {there}"
    )
    assert all(seconds > 0 for seconds in late), "taken over before the lease's end"


def _use_something(place: Place, real: Real | None, asked: int, chance: random.Random) -> bool:
    """Ask for something that is available to be restored or verified; whether there was anything."""
    if real is not None:
        real.look()
        if asked % 2:
            return real.restore(chance)
    available = [checkpoint for checkpoint, status in _checkpoints(place).items() if status == "available"]
    made_up = [checkpoint for checkpoint in available if real is None or not real.knows(checkpoint)]
    if made_up:
        place.use(("restore", "verify")[asked // 2 % 2], chance.choice(made_up))
    return bool(made_up)


def _kill(place: Place, victim: subprocess.Popen[str]) -> dict[str, float]:
    """Kill a worker; the attempts that others will make at what it ran, and when its leases end."""
    victim.kill()
    victim.wait(60)
    # Nobody renews them now.
    return {f"{o}#{attempt + 1}": ends for o, (attempt, ends) in place.run_by(victim.pid).items()}


def test_what_a_dead_worker_ran_goes_on_though_the_other_is_full(make_place: Callable[..., Place]) -> None:
    place = make_place(lease=2.0, pause=0.05, at_once=1)
    hold = place.folder / "hold"
    hold.touch()
    running = {place.protect(2), place.protect(2)}
    first, second = place.work("host-1"), place.work("host-2")
    place.until(lambda: place.run_by(first.pid) and place.run_by(second.pid), "each runs one")
    waiting = place.protect(2)
    place.workers.pop("host-2")
    second.kill()
    second.wait(60)
    place.until(lambda: len(place.run_by(first.pid)) > 1, "the other takes over")
    assert set(place.run_by(first.pid)) == running, "what is new waits for its turn"
    hold.unlink()
    place.until(place.all_ended, "every operation ends")
    assert place.states() == dict.fromkeys([*running, waiting], "succeeded")
    place.check_nothing_doubled()
    place.check_bank()


def test_what_has_killed_three_workers_in_a_row_is_parked_and_told_of_and_holds_nobody_up(
    make_place: Callable[..., Place],
) -> None:
    """H5: attempts had no limit, and what had killed a worker was taken up ahead of everything, for ever."""
    place = make_place(lease=30.0, pause=0.02, at_once=1)
    with (place.folder / "refloat.conf").open("a") as file:
        secret = secret_file(place.folder)
        file.write(
            "\n[notifications]\nwebhooks = away\n"
            f"[webhook_away]\nurl = http://127.0.0.1:9/\nsecret_file = {secret}\n"
        )
    hold = place.folder / "hold"
    hold.touch()
    deadly = place.protect(1)
    other = place.protect(2)
    for _time in range(3):
        worker = place.work("host-1", host="one")
        place.until(lambda pid=worker.pid: deadly in place.run_by(pid), "it is taken up")
        worker.kill()
        worker.wait(60)
    hold.unlink()
    worker = place.work("host-1", host="one")
    place.until(lambda: place.states()[other] == "succeeded", "the other one has its turn")
    operation = place.deployment.operations.get(deadly)
    assert operation.state == "parked"
    assert "died 3 times in a row" in str(operation.error)
    with place.sql.connect() as connection:
        told = connection.execute(sa.text("SELECT event_type, subject FROM notices"))
        assert ("data_protect.protect.parked", deadly) in [tuple(row) for row in told]
    place.deployment.actions.resume(place.caller, operation)
    place.until(place.all_ended, "a person has it go on")
    assert place.states() == {deadly: "succeeded", other: "succeeded"}
    place.check_nothing_doubled()
    place.check_bank()


DATABASES = "databases"
RENEWING, RECORDING = "UPDATE operations SET", "FOR NO KEY UPDATE"
"""Statements of the engine that lock a row: its own of an operation, DBOS's of an attempt at it."""


@pytest.mark.parametrize(
    ("doing", "publishing"),
    [(RENEWING, False), (RECORDING, False), (RECORDING, True)],
    ids=["renewing", "recording", "publishing"],
)
def test_a_worker_stopped_in_a_transaction_holds_nobody_up_and_changes_nothing_when_it_wakes(
    make_place: Callable[..., Place], doing: str, publishing: bool
) -> None:
    """H8. Publishing: when it is stopped, some of its threads have objects ready and have not asked yet."""
    place = make_place(lease=3.0, pause=0.05)

    def effects(pid: int) -> list[list[str]]:
        """Hooks that began, and those that came to the end of storing data; others only slept.

        Where data flows when it is stopped, one may have stored its last already, and just end.
        """
        ends = doing != RECORDING
        return [
            x for x in place.log() if int(x[0]) == pid and (x[1] == "begin" or (ends and x[4] == "on_main"))
        ]

    hold, trap, sprung = (place.folder / name for name in ("hold", "trap", "sprung"))
    hold.touch()
    operation = place.protect(4)
    first = place.work("host-1")
    place.until(lambda: [x for x in place.log() if x[1:5:3] == ["begin", "on_main"]], "hooks in flight")
    if publishing:
        place.until(lambda: len([x for x in place.log() if x[4] == "on_main"]) == 4, "all in flight")
        (place.folder / "gate").touch()
        hold.write_text(place.log()[-1][5])
        place.until(lambda: [x for x in place.publications(first.pid) if x[1] == "waits"], "objects ready")
    (place.folder / "set").write_text(doing)
    (place.folder / "set").rename(trap)
    if doing == RECORDING:
        hold.unlink()
    place.until(lambda: sprung.exists() and _is_stopped(first.pid), "it stops")
    hold.unlink(missing_ok=True)
    place.work("host-2")
    place.until(place.all_given_back, "the other one ends it")
    assert place.states() == {operation: "succeeded"}
    place.check_bank()
    bank, rows = place.bank(), place.rows()
    mine, until_then = effects(first.pid), len(place.publications(first.pid))

    first.send_signal(signal.SIGCONT)
    place.until(lambda: "taken over" in place.said("host-1"), "it notices")
    # It has noticed, and works on as a worker: it can only end when nothing of the old is left.
    place.workers.pop("host-1")
    first.send_signal(signal.SIGTERM)
    assert first.wait(120) == 0, place.said("host-1")
    assert effects(first.pid) == mine
    assert place.rows() == rows
    late = _published_late(place.publications(first.pid), until_then)
    after = place.bank()
    assert {name: after.get(name) for name in bank} == bank
    assert after.keys() - bank.keys() <= late
    place.check_nothing_doubled()
    place.check_bank()
    place.open_bank().collect()
    assert place.bank() == bank
    place.check_bank()
    assert not list((place.folder / "bank" / ".tmp").glob("*"))


def _published_late(publications: list[list[str]], until_then: int) -> set[str]:
    """What a woken process has published: only what it had asked for before it was stopped.

    Asked and not yet published is the one moment at which nothing can stop it.

    :param until_then: so many lines were written before it woke.
    """
    asked: dict[str, int] = {}
    late = set()
    for number, (thread, what, *names) in enumerate(publications):
        if what == "asks":
            asked[thread] = number
        elif what == "publishes" and number >= until_then and Path(names[0]).parent.name != DATABASES:
            assert asked.get(thread, until_then) < until_then, f"published without asking: {names}"
            late.update(names)
    return late


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _checkpoints(place: Place) -> dict[str, str]:
    with place.sql.connect() as connection:
        return {
            row.id: row.status for row in connection.execute(sa.text("SELECT id, status FROM checkpoints"))
        }


def _statuses(place: Place) -> list[str]:
    return list(_checkpoints(place).values())
