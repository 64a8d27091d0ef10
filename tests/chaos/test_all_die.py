"""Whatever can die, dies: workers, commands, the API, PostgreSQL, the bank's store. All ends, nothing is
doubled, lost or left behind, by what the services of the cloud themselves hold.

The short form runs with all tests. ``REFLOAT_CHAOS=long`` goes on until processes were killed or stopped
1,000 times, or ``REFLOAT_CHAOS_SECONDS`` have passed.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from test_workers import LONG, Place, _checkpoints

from refloat.cloud.authority import Caller
from refloat.control import deletions
from refloat.control.elsewhere import HERE
from refloat.errors import RefloatError
from refloat.operations.choices import Choices
from refloat.operations.protect import whole
from tests import pgserver
from tests.chaos.tenant import DEFAULT
from tests.unit.doubles import openstack
from tests.unit.doubles.cases import PUBLIC_KEY
from tests.unit.doubles.world import World

KILLS, SECONDS = (1000, float(os.environ.get("REFLOAT_CHAOS_SECONDS", "3000"))) if LONG else (20, 25.0)
LEASE = 4.0
KINDS = ("protect", "noop", "restore", "restore", "verify", "api", "command", "delete")
GROUP, KEYPAIR, SHARE = "OS::Nova::ServerGroup", "OS::Nova::KeyPair", "OS::Manila::Share"

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.timeout(4800),
    pytest.mark.skipif(not pgserver.is_installed(), reason=pgserver.NOT_INSTALLED),
]


class Town:
    """A service, a user with commands, and what is done to them."""

    def __init__(self, place: Place, world: World, chance: random.Random) -> None:
        self.place, self.world, self.chance = place, world, chance
        self.bank = place.folder / "bank"
        self.away = place.folder / "bank.away"
        self.done: Counter[str] = Counter()
        self.asleep: dict[int, float] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self.numbers = iter(range(1_000_000))
        self.api = ""
        self.environ = {
            **place.environ,
            "OS_CLOUD": "good",
            "REFLOAT_DATABASE_URL": place.url,
            "REFLOAT_BANK": str(self.bank),
            "REFLOAT_BANK_KEY": str(place.folder / "bank.key"),
        }
        nova, manila = world.cloud().compute, world.manila
        nova.create_keypair(name="key", public_key=PUBLIC_KEY)
        group = nova.create_server_group(name="group", policy="affinity").id
        self.originals = [
            (KEYPAIR, "key", "key"),
            (GROUP, group, "group"),
            (SHARE, manila.make_share("share", b"data"), "share"),
        ]

    # what is asked for

    def ask(self) -> None:
        """Something, by one of those who may; while things are dying it may be refused."""
        available = sorted(c for c, status in _checkpoints(self.place).items() if status == "available")
        what = self.chance.choice(KINDS)
        try:
            if what == "noop":
                self.place.protect(3)
            elif what == "protect" or not available:
                kind, identity, name = self.chance.choice(self.originals)
                entries = [{"type": kind, "id": identity, "name": name}]
                self.place.protect_all(entries, "default", DEFAULT)
            else:
                self.use(what, self.chance.choice(available))
        except (RefloatError, sa.exc.SQLAlchemyError, OSError):
            self.done["refused"] += 1

    def use(self, what: str, checkpoint: str) -> None:
        deployment = self.place.deployment
        record = deployment.checkpoints.get(checkpoint, None)
        parameters = self.new_names()
        if what == "verify":
            deployment.submitter.verify(self.place.caller, record, {})
        elif what == "restore":
            operation = deployment.submitter.restore(
                self.place.caller, record, Choices(parameters=parameters)
            )
            if self.chance.random() < 0.2:
                deployment.actions.cancel(self.place.caller, operation, HERE)
        elif what == "api":
            body = {"provider_id": record.provider_id, "checkpoint_id": checkpoint, "parameters": parameters}
            self.request("restores", {"restore": body})
        elif what == "command":
            names = [
                word
                for kind, given in parameters.items()
                for word in ("--parameter", f"{kind}:restore_name={given['restore_name']}")
            ]
            self.start("restore", checkpoint, *names)
        elif self.chance.random() < 0.3:
            deletions.delete(deployment.submitter, self.place.caller, record)

    def new_names(self) -> dict[str, dict[str, str]]:
        """Nothing that a restore makes has a name that something else has."""
        name = f"{{name}}-{next(self.numbers)}"
        return {kind: {"restore_name": name} for kind in (KEYPAIR, GROUP, SHARE)}

    def request(self, path: str, body: Any) -> None:
        if not self.api:
            raise OSError("it does not listen yet")
        headers = {"X-Auth-Token": f"me:{openstack.PROJECT}", "Content-Type": "application/json"}
        url = f"{self.api}/{openstack.PROJECT}/{path}"
        request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
        with urllib.request.urlopen(request, timeout=10):
            self.done["requests"] += 1

    # who does it

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """A command."""
        self.processes = [process for process in self.processes if process.poll() is None]
        command = [sys.executable, "-P", "-m", "refloat.cli.main", *argv]
        with (self.place.folder / "commands.err").open("a") as said:
            process = subprocess.Popen(
                command, env=self.environ, stdout=subprocess.DEVNULL, stderr=said, text=True
            )
        self.processes.append(process)
        self.done["commands"] += 1
        return process

    def serve(self) -> None:
        """Start the API, with a worker of its own."""
        command = [sys.executable, "-P", "-m", "refloat.cli.main", "serve", "--noauth", "--port", "0"]
        command += ["--config-file", str(self.place.folder / "refloat.conf")]
        self.server = subprocess.Popen(command, env=self.environ, stderr=subprocess.PIPE, text=True)
        threading.Thread(target=self._listen, args=(self.server,), daemon=True).start()

    def _listen(self, server: subprocess.Popen[str]) -> None:
        assert server.stderr is not None
        for line in server.stderr:
            if found := re.search(r"listens on (\S+/v1)", line):
                self.api = found[1]

    # what is done to them

    def strike(self) -> None:
        """Kill or stop one of them; bring PostgreSQL or the bank down now and then."""
        now = time.monotonic()
        for pid, until in list(self.asleep.items()):
            if now > until:
                del self.asleep[pid]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        dice = self.chance.random()
        if dice < 0.02:
            self.place.server.restart(self.chance.choice(("fast", "immediate")))
            self.done["restarts of PostgreSQL"] += 1
        elif dice < 0.06:
            self.bank.rename(self.away)
            time.sleep(self.chance.uniform(0.2, 2.0))
            self.away.rename(self.bank)
            self.done["outages of the bank"] += 1
        elif dice < 0.5:
            self.stop(self.chance.choice(self.alive()), now)
        else:
            self.kill(self.chance.choice(self.alive()))

    def alive(self) -> list[subprocess.Popen[str]]:
        found = [*self.place.workers.values(), *self.processes, self.server]
        return [process for process in found if process.poll() is None] or [self.place.work("host-1")]

    def stop(self, process: subprocess.Popen[str], now: float) -> None:
        """To be woken when its leases are long gone, or soon."""
        process.send_signal(signal.SIGSTOP)
        self.asleep[process.pid] = now + self.chance.choice((0.5, 1.0, 2.5 * LEASE))
        self.done["stops"] += 1

    def kill(self, process: subprocess.Popen[str]) -> None:
        process.kill()
        process.wait(60)
        self.asleep.pop(process.pid, None)
        self.done["kills"] += 1
        if process is self.server:
            self.serve()
        for name, worker in list(self.place.workers.items()):
            if worker is process:
                self.place.work(name)

    def wake_all(self) -> None:
        for process in self.alive():
            process.send_signal(signal.SIGCONT)
        self.asleep.clear()

    # how it ends

    def settle(self) -> bool:
        """Do what people do when it is over; whether nothing is left to do."""
        left = False
        for row in self.rows():
            operation = self.place.deployment.operations.get(row.id)
            mine = row.runner == "command"
            behind = (operation.error or {}).get("left_behind", "")
            # Cancelled when it was in the bank already, a checkpoint stays: nothing is to be undone.
            unclean = row.state in ("failed", "cancelled") and behind not in ("", whole(row.checkpoint_id))
            over = row.state in ("succeeded", "failed", "cancelled") and not unclean
            left |= not over
            if over or (mine and any(process.poll() is None for process in self.processes)):
                continue
            with contextlib.suppress(RefloatError):
                if mine:
                    self.start("operation", "cancel" if unclean else "resume", row.id)
                elif unclean and operation.requested != "cancel":
                    self.place.deployment.actions.cancel(self.place.caller, operation, HERE)
                elif row.state == "parked":
                    self.place.deployment.actions.resume(self.place.caller, operation)
                    self.done["resumed by a person"] += 1
        for checkpoint, status in _checkpoints(self.place).items():
            if status == "error-deleting":  # the bank was away
                left = True
                with contextlib.suppress(RefloatError):
                    record = self.place.deployment.checkpoints.get(checkpoint, None)
                    deletions.delete(self.place.deployment.submitter, self.place.caller, record)
        return not left

    def rows(self) -> list[Any]:
        with self.place.sql.connect() as connection:
            query = sa.text("SELECT id, kind, state, runner, checkpoint_id FROM operations")
            return list(connection.execute(query))

    def where_they_hang(self) -> str:
        """What has not ended, and where the threads of all processes are; they do not survive this."""
        with self.place.sql.connect() as connection:
            query = sa.text("SELECT * FROM operations WHERE state IN ('queued', 'running', 'parked')")
            rows = [dict(row) for row in connection.execute(query).mappings()]
        said = [f"{row['id']}: { {name: row[name] for name in row if name != 'payload'} }" for row in rows]
        said += [f"{name} is {worker.pid}" for name, worker in self.place.workers.items()]
        said += [f"{process.pid} is {process.args}" for process in (*self.processes, self.server)]
        for process in self.alive():
            process.send_signal(signal.SIGABRT)
            process.wait(60)
        for file in sorted(self.place.folder.glob("*.err")):
            said += [f"== {file.name}", *file.read_text().splitlines()[-300:]]
        return "\n".join(said)

    def close(self) -> None:
        self.wake_all()
        for process in (*self.processes, self.server):
            process.kill()
            process.wait(60)


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Town]:
    world = World(tmp_path, monkeypatch)
    clouds = json.loads((tmp_path / "clouds.json").read_text())["clouds"]
    (tmp_path / "clouds.json").write_text(json.dumps({"clouds": {**clouds, "good": clouds["here"]}}))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    caller = Caller("tester", openstack.PROJECT, frozenset({"member"}))
    environ = {name: value for name, value in os.environ.items() if name != "OS_CLOUD"}
    environ["PYTHONFAULTHANDLER"] = "1"  # what hangs says where, when it is aborted
    place = Place(tmp_path, pgserver.PostgreSQL(), environ, LEASE, 0.05, caller)
    made = Town(place, world, random.Random(int(os.environ.get("REFLOAT_CHAOS_SEED", "7"))))
    made.serve()
    try:
        yield made
    finally:
        made.close()
        place.close()
        for double in world.doubles:
            double.close()


def test_all_ends_whatever_dies(town: Town) -> None:
    place = town.place
    for name in ("host-1", "host-2", "host-3"):
        place.work(name)
    for _time in range(4):
        town.ask()
    place.until(lambda: "available" in _checkpoints(place).values(), "the first checkpoint")
    begun = time.monotonic()
    while town.done["kills"] + town.done["stops"] < KILLS and time.monotonic() - begun < SECONDS:
        unfinished = Counter(row.state for row in town.rows() if row.state in ("queued", "running"))
        if unfinished.total() < 12:
            town.ask()
        town.strike()
        time.sleep(town.chance.uniform(0, 1.2 if LONG else 0.8))
    town.wake_all()
    try:
        place.until(town.settle, "every operation ends")
    except AssertionError:
        print(town.where_they_hang())
        raise
    place.until(place.all_given_back, "what they acted with is given back")
    seconds = time.monotonic() - begun
    what_is_there_is_what_was_restored(town)
    kinds = Counter(f"{row.kind} {row.state}" for row in town.rows())
    print(f"\n{seconds:.0f} s: {dict(town.done)}; operations: {dict(kinds)}")


def what_is_there_is_what_was_restored(town: Town) -> None:
    """Once each, unmarked; snapshots and the bank's checkpoints are those of the records, and whole."""
    nova, manila, place = town.world.nova, town.world.manila, town.place
    held = [*nova.keypairs.items(), *nova.groups.items(), *manila.shares.items(), *manila.snapshots.items()]
    assert [thing for thing in held if "refloat:" in json.dumps(thing)] == []
    names = {
        KEYPAIR: Counter(list(nova.keypairs)),
        GROUP: Counter(group["name"] for group in nova.groups.values()),
        SHARE: Counter(share["name"] for share in manila.shares.values()),
    }
    expected = {kind: Counter({name: 1}) for kind, _identity, name in town.originals}
    for row in town.rows():
        operation = place.deployment.operations.get(row.id)
        if row.kind == "restore" and row.state == "succeeded":
            for line in (operation.result or {})["resources"]:
                if line["type"] in expected and line["status"] == "created":
                    expected[line["type"]][line["name"]] += 1
    assert names == expected
    statuses = _checkpoints(place)
    assert set(statuses.values()) <= {"available", "error", "deleted"}
    available = {checkpoint for checkpoint, status in statuses.items() if status == "available"}
    bank = place.open_bank()
    assert {info.id for info in bank.checkpoints()} == available
    for checkpoint in available:
        bank.verify(checkpoint)
    sections = [bank.checkpoint(checkpoint).sections.values() for checkpoint in available]
    kept = {section["snapshot"]["id"] for each in sections for section in each if "snapshot" in section}
    assert set(manila.snapshots) == kept
    bank.collect()
    assert not bank.info().unfinished
    assert not list((town.bank / ".tmp").glob("*"))
