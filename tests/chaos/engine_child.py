"""A process that runs an operation, to be killed: ``engine_child.py URL FOLDER COMMAND OPERATION``.

The program writes a line to FOLDER/log whenever it begins a piece of code, and stays there for as long as
FOLDER/hold names that piece (it may name several); a piece called ``mid`` is held in a wait.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from refloat.engine.dag import Dag, Step
from refloat.engine.engine import Engine
from refloat.engine.program import CheckLease, Json, Outcome, StepRun
from refloat.records.database import Database
from refloat.records.operations import Operations
from refloat.records.tables import OPERATIONS

STEPS = [Step("a"), Step("b", ("a",)), Step("mid", ("b",)), Step("c", ("mid",)), Step("d", ("a",))]


class Program:
    """Makes a number of each step, and adds them up."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def _at(self, place: str) -> None:
        log = os.open(self.folder / "log", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(log, f"{os.getpid()} {place}\n".encode())
        os.close(log)
        deadline = time.monotonic() + 60
        while place != "mid" and self.held(place) and time.monotonic() < deadline:
            time.sleep(0.01)

    def held(self, place: str) -> bool:
        try:
            return place in (self.folder / "hold").read_text().split()
        except FileNotFoundError:
            return False

    def begin(self) -> Future[Any]:
        future: Future[Any] = Future()

        def watch() -> None:
            deadline = time.monotonic() + 60
            while self.held("mid") and time.monotonic() < deadline and not future.cancelled():
                time.sleep(0.01)
            if future.set_running_or_notify_cancel():
                future.set_result(3)

        threading.Thread(target=watch, daemon=True).start()
        return future

    def describe(self) -> str:
        return "the hold to be taken away"

    def bind(self, check_lease: CheckLease) -> None:
        """It changes nothing that outlives it."""

    def prepare(self, run: StepRun) -> Json:
        self._at("prepare")
        return {"base": 10}

    def dag(self, prepared: Json) -> Dag:
        return Dag(STEPS)

    def step(self, prepared: Json, run: StepRun) -> Any:
        self._at(run.step)
        if run.step == "mid":
            return self._mid()
        return len(run.step)

    def _mid(self) -> Any:
        value = yield self
        return value

    def finish(self, prepared: Json, run: StepRun) -> Json:
        self._at("finish")
        return prepared["base"] + sum(run.results(step.name) for step in STEPS)

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> None:
        self._at("undo")


def start(engine: Engine, database: Database, operation: str) -> None:
    """Write an operation down, and begin with it."""
    with database.session() as session:
        Operations(database).add(session, operation, "child", "project", {}, None)
    engine.start(operation)


def main() -> None:
    url, folder, command, operation = sys.argv[1:]
    database = Database(url)
    with Engine(database, OPERATIONS, workers=4) as engine:
        engine.register("child", lambda operation_id, payload: Program(Path(folder)))
        if command == "start":
            start(engine, database, operation)
        else:
            engine.resume(operation)
        ended = engine.wait(operation, 60)
        print(ended.state, ended.result)


if __name__ == "__main__":
    main()
