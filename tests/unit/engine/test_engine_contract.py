"""What the engine promises, on every database it runs on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refloat.engine.dag import Dag, Step
from refloat.engine.engine import Engine
from refloat.engine.journal import Journal
from refloat.engine.lease import Lease, Leases
from refloat.engine.owner import Owner
from refloat.engine.program import CheckLease, Event, Json, Outcome, StepRun
from refloat.errors import BankError, Cancelled, Conflict, InvalidInput, LeaseLost, NotFound, WaitFailed
from refloat.records.database import Database
from refloat.records.tables import OPERATIONS
from tests.unit.support.engine_helpers import ask, open_engine, start

LONG = 30.0
"""Seconds after which something that should have happened long ago counts as a failure."""


class Signal:
    """A wait that ends when somebody says so."""

    def __init__(self, what: str = "a signal") -> None:
        self.what = what
        self.futures: list[Future[Any]] = []
        self.begun = threading.Event()

    def begin(self) -> Future[Any]:
        future: Future[Any] = Future()
        self.futures.append(future)
        self.begun.set()
        return future

    def describe(self) -> str:
        return self.what


Call = Callable[[StepRun], Any]


class Script:
    """A program made of functions; it remembers what was run."""

    def __init__(
        self,
        steps: list[Step],
        calls: Mapping[str, Call] | None = None,
        *,
        prepare: Call | None = None,
        finish: Call | None = None,
        undo: Call | None = None,
    ) -> None:
        self.steps = steps
        self.calls = dict(calls or {})
        self.phases: dict[str, Call | None] = {"prepare": prepare, "finish": finish, "undo": undo}
        self.ran: list[str] = []
        self.undone: list[Mapping[str, Outcome]] = []
        self.lock = threading.Lock()

    def _run(self, name: str, call: Call | None, run: StepRun, default: Json) -> Any:
        with self.lock:
            self.ran.append(name)
        return call(run) if call else default

    def bind(self, check_lease: CheckLease) -> None:
        self.check_lease = check_lease

    def prepare(self, run: StepRun) -> Any:
        return self._run("prepare", self.phases["prepare"], run, {"prepared": True})

    def dag(self, prepared: Json) -> Dag:
        return Dag(self.steps)

    def step(self, prepared: Json, run: StepRun) -> Any:
        return self._run(run.step, self.calls.get(run.step), run, {"made": run.step})

    def finish(self, prepared: Json, run: StepRun) -> Any:
        return self._run("finish", self.phases["finish"], run, "finished")

    def undo(self, prepared: Json, outcomes: Mapping[str, Outcome], run: StepRun) -> Any:
        self.undone.append(outcomes)
        return self._run("undo", self.phases["undo"], run, None)


def chain(*names: str) -> list[Step]:
    return [Step(name, tuple(names[i - 1 : i])) for i, name in enumerate(names)]


def fails(_run: StepRun) -> None:
    raise BankError("the bank is full", resource="bank main")


class Opener:
    """Opens engines on one database, one after the other."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.database = Database(url)
        self.engine: Engine | None = None

    def __call__(self, program: Any = None, **options: Any) -> Engine:
        self.close()
        given = {"workers": 4, **options}
        self.engine = open_engine(self.database, **given)
        if program is not None:
            self.engine.register("script", lambda operation_id, payload: program)
        return self.engine

    def close(self) -> None:
        if self.engine is not None:
            self.engine.close(timeout=10)
            self.engine = None

    def expire(self, state: str = "running") -> None:
        """Make the owner of every operation look dead; or as if another had brought it to its end."""
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            values = f"expires = 0, executor = 'x', host = 'elsewhere', state = '{state}'"
            connection.execute(sa.text(f"UPDATE operations SET {values}"))
        engine.dispose()

    def status(self, attempt: str) -> str:
        """What the workflow library says of an attempt."""
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"))
        table = "workflow_status" if self.url.startswith("sqlite") else "refloat_engine.workflow_status"
        with engine.connect() as connection:
            query = sa.text(f"SELECT status FROM {table} WHERE workflow_uuid = :attempt")
            found = str(connection.scalar(query, {"attempt": attempt}))
        engine.dispose()
        return found


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def opener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opener]:
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/engine.db"
    else:
        url = request.getfixturevalue("postgresql")()
    opener = Opener(url)
    try:
        yield opener
    finally:
        opener.close()
        opener.database.close()


def test_runs_in_order_and_returns_the_result(opener: Opener) -> None:
    program = Script(
        chain("a", "b", "c"), finish=lambda run: {"all": [run.results(s)["made"] for s in "abc"]}
    )
    engine = opener(program)
    start(engine, "op", "script", {"plan": "p"})
    ended = engine.wait("op", LONG)
    assert ended.state == "succeeded"
    assert ended.result == {"all": ["a", "b", "c"]}
    assert program.ran == ["prepare", "a", "b", "c", "finish"]
    assert ended.outcomes == {name: Outcome("done", {"made": name}) for name in "abc"}
    state = engine.state("op")
    assert (state.steps, state.done, state.running, state.active) == (3, 3, 0, ())


def test_an_operation_without_steps_succeeds(opener: Opener) -> None:
    engine = opener(Script([]))
    start(engine, "op", "script", None)
    assert engine.wait("op", LONG).result == "finished"


def test_steps_that_do_not_wait_for_each_other_run_at_once(opener: Opener) -> None:
    together = threading.Barrier(4)
    names = ["a", "b", "c", "d"]
    program = Script([Step(n) for n in names], {n: lambda run: together.wait(LONG) for n in names})
    engine = opener(program)
    start(engine, "op", "script", None)
    assert engine.wait("op", LONG).state == "succeeded"


def test_a_step_sees_the_results_of_those_before_it_as_they_are_stored(opener: Opener) -> None:
    seen = []

    def look(run: StepRun) -> None:
        seen.append(run.results("a"))
        with pytest.raises(KeyError):
            run.results("c")
        with pytest.raises(KeyError):
            run.results("nonsense")

    program = Script(chain("a", "b", "c"), {"a": lambda run: {"tuple": (1, 2), 3: "ü\x00"}, "b": look})
    engine = opener(program)
    start(engine, "op", "script", None)
    ended = engine.wait("op", LONG)
    assert ended.state == "succeeded"
    assert seen == [{"tuple": [1, 2], "3": "ü\x00"}]
    assert ended.outcomes["a"].result == seen[0]


@pytest.mark.parametrize("bad", [object(), {1, 2}, float("nan"), "\ud800", b"bytes"])
def test_a_result_that_is_not_json_fails_naming_the_step(opener: Opener, bad: object) -> None:
    engine = opener(Script([Step("volume 7")], {"volume 7": lambda run: bad}))
    start(engine, "op", "script", None)
    ended = engine.wait("op", LONG)
    assert ended.state == "failed"
    assert ended.error is not None
    assert "volume 7 returned something that is not JSON" in ended.error["message"]


def test_start_is_idempotent_and_refuses_another_operation_of_that_id(opener: Opener) -> None:
    program = Script(chain("a"))
    engine = opener(program)
    start(engine, "op", "script", {"n": 1})
    engine.wait("op", LONG)
    engine.start("op")
    assert engine.wait("op", LONG).state == "succeeded"
    assert Counter(program.ran)["a"] == 1
    with pytest.raises(sa.exc.IntegrityError):
        ask(opener.database, "op", "script", {"n": 2})
    with pytest.raises(InvalidInput):
        start(engine, "other", "unknown kind", None)
    assert engine.state("other").state == "queued"
    with pytest.raises(NotFound):
        engine.start("nonsense")
    with pytest.raises(NotFound):
        engine.wait("nonsense", LONG)


def test_a_failure_skips_its_dependants_starts_nothing_new_and_is_undone(opener: Opener) -> None:
    failing, running = threading.Event(), threading.Event()
    abandoned = Signal()

    def slow(run: StepRun) -> str:
        running.set()
        deadline = time.monotonic() + LONG
        while not run.cancelled() and time.monotonic() < deadline:
            time.sleep(0.01)
        return "ended"

    def fail(run: StepRun) -> None:
        assert running.wait(LONG)
        assert abandoned.begun.wait(LONG)
        failing.set()
        fails(run)

    def wait(run: StepRun) -> Any:
        yield abandoned

    steps = [
        Step("slow"),
        Step("fail"),
        Step("waits"),
        Step("after fail", ("fail",)),
        Step("after after", ("after fail",)),
        Step("after slow", ("slow",)),
    ]
    gone = {"undone": ["a volume"]}
    program = Script(steps, {"slow": slow, "fail": fail, "waits": wait}, undo=lambda _run: gone)
    engine = opener(program)
    start(engine, "op", "script", None)
    ended = engine.wait("op", LONG)
    assert (ended.state, ended.result) == ("failed", gone)
    assert ended.error is not None
    assert ended.error["error"] == "BankError"
    assert not ended.error["left_behind"]
    assert sorted(program.ran) == ["fail", "prepare", "slow", "undo", "waits"]
    assert abandoned.futures[0].cancelled()
    assert {name: outcome.status for name, outcome in ended.outcomes.items()} == {
        "slow": "done",
        "fail": "failed",
        "waits": "skipped",
        "after fail": "skipped",
        "after after": "skipped",
        "after slow": "skipped",
    }
    assert ended.outcomes["after after"].error == ended.outcomes["fail"].error
    assert {n: o.status for n, o in program.undone[0].items()} == {
        n: o.status for n, o in ended.outcomes.items()
    }


def test_any_exception_is_a_failure_in_words(opener: Opener, caplog: pytest.LogCaptureFixture) -> None:
    def broken(run: StepRun) -> None:
        raise ZeroDivisionError("oh dear")

    engine = opener(Script([Step("a")], {"a": broken}))
    start(engine, "op", "script", None)
    error = engine.wait("op", LONG).error
    assert error is not None
    assert error["message"] == "ZeroDivisionError: oh dear"
    assert "a failed" in caplog.text


@pytest.mark.parametrize("phase", ["prepare", "finish"])
def test_a_phase_that_fails_is_undone(opener: Opener, phase: str) -> None:
    program = Script([Step("a")], **{phase: fails})  # type: ignore[arg-type]
    engine = opener(program)
    start(engine, "op", "script", None)
    ended = engine.wait("op", LONG)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["error"] == "BankError"
    assert program.ran[-1] == "undo"


def test_an_undo_that_fails_is_told_and_can_be_tried_again(opener: Opener) -> None:
    program = Script(chain("a", "b"), {"b": fails}, undo=fails)
    engine = opener(program)
    start(engine, "op", "script", None)
    ended = engine.wait("op", LONG)
    assert ended.state == "failed"
    assert ended.error is not None
    assert "the bank is full" in ended.error["left_behind"]
    with pytest.raises(Conflict):
        engine.resume("op")
    program.phases["undo"] = None
    engine.cancel("op")
    ended = engine.wait("op", LONG)
    assert ended.state == "failed"
    assert ended.error is not None
    assert not ended.error["left_behind"]
    assert Counter(program.ran) == {"prepare": 1, "a": 1, "b": 1, "undo": 2}
    assert program.undone[1]["a"] == Outcome("done", {"made": "a"})
    with pytest.raises(Conflict):
        engine.cancel("op")


def test_park_runs_what_is_independent_and_resume_only_what_failed(opener: Opener) -> None:
    steps = [*chain("a", "b", "c"), *chain("x", "y")]
    program = Script(steps, {"b": fails})
    engine = opener(program)
    start(engine, "op", "script", None, on_failure="park")
    ended = engine.wait("op", LONG)
    assert ended.state == "parked"
    assert {n: o.status for n, o in ended.outcomes.items()} == {
        "a": "done",
        "b": "failed",
        "c": "skipped",
        "x": "done",
        "y": "done",
    }
    program.calls.clear()
    engine = opener(program)  # as good as another process
    engine.resume("op")
    ended = engine.wait("op", LONG)
    assert ended.state == "succeeded"
    assert Counter(program.ran) == {"prepare": 1, "a": 1, "b": 2, "c": 1, "x": 1, "y": 1, "finish": 1}
    assert {o.status for o in ended.outcomes.values()} == {"done"}
    with pytest.raises(Conflict):
        engine.resume("op")
    with pytest.raises(Conflict):
        engine.cancel("op")


def test_a_parked_operation_can_be_cancelled(opener: Opener) -> None:
    program = Script(chain("a", "b"), {"b": fails})
    engine = opener(program)
    start(engine, "op", "script", None, on_failure="park")
    engine.wait("op", LONG)
    engine.cancel("op")
    assert engine.wait("op", LONG).state == "cancelled"
    assert program.ran == ["prepare", "a", "b", "undo"]
    engine.cancel("op")  # once more is no error
    assert program.undone[0]["b"].status == "failed"


def test_park_stops_and_resume_goes_on(opener: Opener) -> None:
    signal = Signal("volume v to be available")
    closed = threading.Event()

    def wait(run: StepRun) -> Any:
        try:
            value = yield signal
        finally:
            closed.set()
        return value

    program = Script(chain("a", "b", "c"), {"b": wait})
    engine = opener(program)
    start(engine, "op", "script", None)
    assert signal.begun.wait(LONG)
    engine.park("op")
    ended = engine.wait("op", LONG)
    assert ended.state == "parked"
    assert ended.error is None
    assert closed.is_set()
    assert list(ended.outcomes) == ["a"]
    engine.resume("op")
    while len(signal.futures) < 2:
        time.sleep(0.01)
    signal.futures[1].set_result("available")
    ended = engine.wait("op", LONG)
    assert ended.state == "succeeded"
    assert ended.outcomes["b"].result == "available"
    assert Counter(program.ran) == {"prepare": 1, "a": 1, "b": 2, "c": 1, "finish": 1}


def test_cancel_undoes_a_running_operation(opener: Opener) -> None:
    begun = threading.Event()

    def work(run: StepRun) -> None:
        begun.set()
        while not run.cancelled():
            time.sleep(0.01)
        raise Cancelled("stopped in the middle")

    program = Script(chain("a", "b", "c"), {"b": work})
    engine = opener(program)
    start(engine, "op", "script", None)
    assert begun.wait(LONG)
    engine.cancel("op")
    ended = engine.wait("op", LONG)
    assert ended.state == "cancelled"
    assert program.ran == ["prepare", "a", "b", "undo"]
    assert {n: o.status for n, o in ended.outcomes.items()} == {"a": "done", "b": "skipped", "c": "skipped"}


def test_what_was_cancelled_before_it_began_is_only_undone(opener: Opener) -> None:
    program = Script(chain("a", "b"))
    engine = opener(program)
    ask(opener.database, "op", "script")
    engine.cancel("op")
    assert engine.wait("op", LONG).state == "cancelled"
    assert program.ran == ["undo"]


def test_cancel_drops_what_is_queued_behind_running_code(opener: Opener) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(run: StepRun) -> None:
        begun.set()
        go_on.wait(LONG)

    program = Script([Step("first"), *[Step(f"s{i}") for i in range(50)]], {"first": work})
    engine = opener(program, workers=1)
    start(engine, "op", "script", None)
    assert begun.wait(LONG)
    engine.cancel("op")
    time.sleep(0.2)
    go_on.set()
    assert engine.wait("op", LONG).state == "cancelled"
    assert program.ran == ["prepare", "first", "undo"]


def test_closed_while_undoing_it_is_released_and_resume_goes_on_undoing(opener: Opener) -> None:
    signal = Signal()

    def undo(run: StepRun) -> Any:
        yield signal

    program = Script(chain("a", "b"), {"b": fails}, undo=undo)
    engine = opener(program)
    start(engine, "op", "script", None)
    assert signal.begun.wait(LONG)
    opener.close()  # releases it
    engine = opener(program)
    assert (engine.state("op").state, engine.state("op").interrupted) == ("running", True)
    program.phases["undo"] = None
    engine.resume("op")
    ended = engine.wait("op", LONG)
    assert ended.state == "failed"
    assert ended.error is not None
    assert ended.error["error"] == "BankError"
    assert Counter(program.ran) == {"prepare": 1, "a": 1, "b": 1, "undo": 2}


def test_waiting_steps_hold_no_worker(opener: Opener) -> None:
    signals = [Signal() for _ in range(100)]

    def wait(signal: Signal) -> Call:
        def body(run: StepRun) -> Any:
            value = yield signal
            return value

        return body

    program = Script([Step(f"w{i}") for i in range(100)], {f"w{i}": wait(s) for i, s in enumerate(signals)})
    engine = opener(program, workers=2)
    start(engine, "op", "script", None)
    for signal in signals:
        assert signal.begun.wait(LONG)
    for i, signal in enumerate(reversed(signals)):
        signal.futures[0].set_result(i)
    ended = engine.wait("op", LONG)
    assert [ended.outcomes[f"w{i}"].result for i in range(100)] == list(reversed(range(100)))


def test_a_wait_that_fails_is_raised_in_the_step(opener: Opener) -> None:
    signal = Signal()
    caught = []

    def body(run: StepRun) -> Any:
        try:
            yield signal
        except WaitFailed as error:
            caught.append(error)
        yield signal
        return "unreachable"

    program = Script([Step("a")], {"a": body})
    engine = opener(program)
    start(engine, "op", "script", None)
    for i in range(2):
        while len(signal.futures) <= i:
            time.sleep(0.01)
        signal.futures[i].set_exception(WaitFailed("volume v did not become available"))
    ended = engine.wait("op", LONG)
    assert caught
    assert ended.error is not None
    assert ended.error["error"] == "WaitFailed"


def test_what_is_no_wait_is_refused(opener: Opener) -> None:
    def body(run: StepRun) -> Any:
        yield "nonsense"

    engine = opener(Script([Step("a")], {"a": body}))
    start(engine, "op", "script", None)
    error = engine.wait("op", LONG).error
    assert error is not None
    assert "begin" in error["message"]


def test_lanes_limit_how_many_run_or_wait_at_once(opener: Opener) -> None:
    lock, now, most = threading.Lock(), [0], [0]

    class Pause:
        def begin(self) -> Future[Any]:
            future: Future[Any] = Future()
            threading.Timer(0.02, future.set_result, (None,)).start()
            return future

        def describe(self) -> str:
            return "a moment"

    def body(run: StepRun) -> Any:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        yield Pause()
        with lock:
            now[0] -= 1

    names = [f"s{i}" for i in range(20)]
    program = Script([Step(n, lane="cinder") for n in names], dict.fromkeys(names, body))
    engine = opener(program, limits={"cinder": 3}, workers=8)
    start(engine, "op", "script", None)
    start(engine, "op2", "script", None)
    assert engine.wait("op", LONG).state == "succeeded"
    assert engine.wait("op2", LONG).state == "succeeded"
    assert most[0] == 3


def test_cancel_empties_the_queue_of_a_lane(opener: Opener) -> None:
    signal = Signal()

    def body(run: StepRun) -> Any:
        yield signal

    names = [f"s{i}" for i in range(20)]
    program = Script([Step(n, lane="cinder") for n in names], dict.fromkeys(names, body))
    engine = opener(program, limits={"cinder": 1})
    start(engine, "op", "script", None)
    assert signal.begun.wait(LONG)
    engine.cancel("op")
    assert engine.wait("op", LONG).state == "cancelled"
    after = Script([Step("x", lane="cinder")])
    engine.register("after", lambda i, p: after)
    start(engine, "next", "after", None)
    assert engine.wait("next", LONG).state == "succeeded"


def test_state_tells_how_far_it_is(opener: Opener) -> None:
    signal = Signal("backup b to be available")

    def body(run: StepRun) -> Any:
        run.progress(5, 10)
        yield signal

    program = Script(chain("a", "b"), {"b": body})
    engine = opener(program)
    start(engine, "op", "script", {"plan": 1})
    assert signal.begun.wait(LONG)
    deadline = time.monotonic() + LONG
    state = engine.state("op")
    while [active.state for active in state.active] != ["waiting"]:
        assert time.monotonic() < deadline, state
        time.sleep(0.1)
        state = engine.state("op")
    assert (state.state, state.interrupted, state.steps, state.done, state.running) == (
        "running",
        False,
        2,
        1,
        1,
    )
    assert state.active == (Event("op", "b", "waiting", "backup b to be available", 5, 10),)
    assert (state.bytes_done, state.bytes_total) == (5, 10)
    assert str(state.owner).startswith("process ")
    assert state.outcomes == {"a": Outcome("done", {"made": "a"})}
    assert engine.state("op", outcomes=False).outcomes == {}
    signal.futures[0].set_result(None)
    engine.wait("op", LONG)
    state = engine.state("op")
    assert state.ended is not None
    assert (state.state, state.done, state.active, state.bytes_done) == ("succeeded", 2, (), 5)


def test_wait_gives_up_in_time(opener: Opener) -> None:
    signal = Signal()

    def body(run: StepRun) -> Any:
        yield signal

    engine = opener(Script([Step("a")], {"a": body}))
    start(engine, "op", "script", None)
    with pytest.raises(TimeoutError):
        engine.wait("op", 0.2)


def test_forget_deletes_what_has_ended_and_nothing_else(opener: Opener) -> None:
    program = Script(chain("a", "b"), {"b": fails})
    engine = opener(program)
    start(engine, "op", "script", None, on_failure="park")
    engine.wait("op", LONG)
    with pytest.raises(Conflict):
        engine.forget("op")
    engine.cancel("op")
    engine.wait("op", LONG)
    engine.forget("op")
    engine.forget("op")
    with pytest.raises(NotFound):
        engine.state("op")
    program.calls.clear()
    start(engine, "op", "script", None)
    assert engine.wait("op", LONG).state == "succeeded"


def test_a_lost_lease_stops_everything(opener: Opener) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(run: StepRun) -> None:
        begun.set()
        go_on.wait(LONG)

    program = Script([Step("a"), Step("b", ("a",))], {"a": work})
    engine = opener(program)
    start(engine, "op", "script", None)
    assert begun.wait(LONG)
    opener.expire()
    time.sleep(2.5)  # the heartbeat looks every second
    go_on.set()
    with pytest.raises(Conflict, match="interrupted"):
        engine.wait("op", LONG)
    assert engine.interrupted() == ["op"]
    assert program.ran == ["prepare", "a"]
    program.calls.clear()
    engine.resume("op")
    assert engine.wait("op", LONG).state == "succeeded"


def test_deaths_in_a_row_are_counted_and_nothing_else(opener: Opener) -> None:
    """H5: before an attempt begins it is written down that the one before it ended with its process."""
    ask(opener.database, "op", "script")
    first, second = (
        Leases(opener.database, OPERATIONS, Owner(name, f"host-{name}", 1, "1")) for name in ("a", "b")
    )

    def take(leases: Leases) -> tuple[Lease, int]:
        row = leases.read("op")
        assert row is not None
        lease = leases.take(row, cancel=False, beside=lambda _session: None)
        now = leases.read("op")
        assert lease is not None
        assert now is not None
        return lease, now.deaths

    lost, deaths = take(first)
    assert deaths == 0
    assert take(second)[1] == 1
    lost.survived()  # it was only stopped for a while
    given_back, deaths = take(first)
    assert deaths == 1
    given_back.give_back("running")
    assert take(second)[1] == 0
    assert [take(leases)[1] for leases in (first, second)] == [1, 2]


class Checked(Script):
    """A step that waits, and then checks the lease before it would change something."""

    def __init__(self) -> None:
        super().__init__([Step("a")], {"a": self.work})
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.lost: list[bool] = []

    def work(self, run: StepRun) -> None:
        self.check_lease()
        self.begun.set()
        self.go_on.wait(LONG)
        try:
            self.check_lease()
        except LeaseLost as lost:
            self.lost.append(lost.ended)
            # What lets go of it does not always say why.
            raise BankError("a part of the data could not be stored") from lost


@pytest.mark.parametrize("ended", [False, True])
def test_a_lease_is_checked_in_the_database_and_not_by_the_clock(opener: Opener, ended: bool) -> None:
    program = Checked()
    engine = opener(program)
    start(engine, "op", "script", None)
    assert program.begun.wait(LONG)
    opener.expire("succeeded" if ended else "running")
    program.go_on.set()
    if ended:
        assert engine.wait("op", LONG).state == "succeeded"
        deadline = time.monotonic() + LONG
        while not program.lost and time.monotonic() < deadline:
            time.sleep(0.05)
    else:
        with pytest.raises(Conflict, match="interrupted"):
            engine.wait("op", LONG)
        engine.resume("op")
        assert engine.wait("op", LONG).state == "succeeded"
        assert program.ran == ["prepare", "a", "a", "finish"]
    assert program.lost == [ended]
    assert program.undone == []


def test_a_database_that_is_away_for_a_moment_costs_no_lease(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Checked()
    engine = opener(program)
    start(engine, "op", "script", None)
    assert program.begun.wait(LONG)
    asked: list[str] = []
    known = Leases.seconds_left

    def away(self: Leases, lease: Lease) -> float:
        asked.append(lease.operation_id)
        if len(asked) < 3:
            raise sa.exc.OperationalError("", None, Exception("the connection is closed"))
        return known(self, lease)

    monkeypatch.setattr(Leases, "seconds_left", away)
    program.go_on.set()
    assert engine.wait("op", LONG).state == "succeeded"
    assert len(asked) == 3
    assert program.lost == []


def test_without_a_database_a_lease_that_is_old_counts_for_nothing(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = Checked()
    engine = opener(program)
    start(engine, "op", "script", None)
    assert program.begun.wait(LONG)

    def away(self: Leases, lease: Lease) -> float:
        raise sa.exc.OperationalError("", None, Exception("the connection is closed"))

    with monkeypatch.context() as broken:
        broken.setattr(Leases, "seconds_left", away)
        broken.setattr(Lease, "fresh", False)
        program.go_on.set()
        with pytest.raises(Conflict, match="interrupted"):
            engine.wait("op", LONG)
    assert program.lost == [False]
    opener.expire()
    engine.resume("op")
    assert engine.wait("op", LONG).state == "succeeded"
    assert program.undone == []


def test_every_former_owner_is_fenced_also_when_the_last_could_not_do_so(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(run: StepRun) -> None:
        begun.set()
        go_on.wait(LONG)

    engine = opener(Script([Step("a")], {"a": work}))
    start(engine, "op", "script", None)
    assert begun.wait(LONG)
    opener.expire()

    def locked(self: Any, attempts: Any) -> None:
        raise RuntimeError("a row is locked")

    with monkeypatch.context() as broken:
        broken.setattr(Journal, "fence", locked)
        with pytest.raises(RuntimeError, match="locked"):
            engine.resume("op")
    engine.resume("op")
    assert opener.status("op#1") == "CANCELLED"
    go_on.set()
    assert engine.wait("op", LONG).state == "succeeded"


def test_close_leaves_code_behind_that_does_not_end(opener: Opener, caplog: pytest.LogCaptureFixture) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work(run: StepRun) -> None:
        begun.set()
        go_on.wait(LONG)

    program = Script(chain("a", "b"), {"a": work})
    engine = opener(program)
    start(engine, "op", "script", None)
    assert begun.wait(LONG)
    engine.close(timeout=0.2)
    assert "does not stop; still running: a" in caplog.text
    go_on.set()
    opener.expire()
    program.calls.clear()
    engine = opener(program)
    assert engine.state("op").interrupted
    engine.resume("op")
    assert engine.wait("op", LONG).state == "succeeded"
    assert program.ran == ["prepare", "a", "a", "b", "finish"]


def test_a_factory_that_fails_leaves_nothing_behind(opener: Opener) -> None:
    engine = opener()

    def factory(operation_id: str, payload: Json) -> Any:
        raise BankError("no such bank")

    engine.register("script", factory)
    with pytest.raises(BankError):
        start(engine, "op", "script", None)
    assert (engine.state("op").state, engine.state("op").attempt) == ("queued", 0)


def test_one_engine_at_a_time_and_no_thread_is_left(opener: Opener) -> None:
    before = set(threading.enumerate())
    engine = opener(Script(chain("a")))
    start(engine, "op", "script", None)
    engine.wait("op", LONG)
    with open_engine(opener.database) as second, pytest.raises(RuntimeError):
        second.prepare()
    opener.close()
    assert set(threading.enumerate()) <= before
    with pytest.raises(RuntimeError):
        engine.state("op")
    engine.close()


def _note_statement(into: list[str], *args: Any) -> None:
    into.append(args[2])


def test_steps_take_a_fixed_number_of_statements_each(opener: Opener) -> None:
    counts = []
    for size in (50, 500):
        program = Script([Step(f"s{i}", (f"s{i - 1}",) if i % 5 else ()) for i in range(size)])
        engine = opener(program)
        executed: list[str] = []
        count = partial(_note_statement, executed)
        sa.event.listen(engine._shared.database.engine, "before_cursor_execute", count)
        start(engine, f"op{size}", "script", None)
        assert engine.wait(f"op{size}", 120).state == "succeeded"
        counts.append(len(executed))
    assert (counts[1] - counts[0]) / 450 < 5.5


@st.composite
def dags(draw: st.DrawFn) -> list[Step]:
    size = draw(st.integers(1, 14))
    return [
        Step(
            f"s{i}",
            tuple(f"s{j}" for j in sorted(draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else ())),
        )
        for i in range(size)
    ]


@pytest.mark.filterwarnings("ignore:Do not use the .random. module")  # a thread of DBOS does, beside us
def test_any_dag_runs_in_a_legal_order(tmp_path: Path) -> None:
    number = iter(range(10**6))
    database = Database(f"sqlite:///{tmp_path}/engine.db")
    with open_engine(database, workers=4) as engine:

        @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
        @given(dags(), st.sets(st.integers(0, 13)))
        def check(steps: list[Step], failing: set[int]) -> None:
            broken = {f"s{i}" for i in failing}
            program = Script(steps, dict.fromkeys(broken, fails))
            engine.register("script", lambda i, p: program)
            operation = f"op{next(number)}"
            start(engine, operation, "script", None, on_failure="park")
            ended = engine.wait(operation, LONG)
            ran = [name for name in program.ran if name not in ("prepare", "finish")]
            assert len(set(ran)) == len(ran)
            blocked: set[str] = set()
            for step in steps:
                if any(before in blocked or before in broken for before in step.after):
                    blocked.add(step.name)
                    assert ended.outcomes[step.name].status == "skipped"
                    assert step.name not in ran
                else:
                    assert ended.outcomes[step.name].status == ("failed" if step.name in broken else "done")
                    assert all(ran.index(before) < ran.index(step.name) for before in step.after)
            names = {step.name for step in steps}
            assert ended.state == ("parked" if broken & names - blocked else "succeeded")

        check()
    database.close()
