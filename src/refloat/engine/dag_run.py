"""The steps of one attempt: begun when those before them are done, skipped behind one that has failed."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Mapping
from functools import partial

from refloat.engine.dag import Dag
from refloat.engine.history import STEP, History, done
from refloat.engine.in_flight import Call, InFlight, Running
from refloat.engine.program import Json, Outcome
from refloat.engine.progress import Progress

_AHEAD = 256
"""So many steps of a lane at most queue or run code at once; of those beyond only the name is kept."""


class DagRun:
    """Where a DAG is. What former attempts have done counts."""

    def __init__(self, dag: Dag | None = None, known: Mapping[str, Outcome] | None = None) -> None:
        self._dag = dag or Dag([])
        self._missing = {step.name: len(step.after) for step in self._dag}
        """By step, how many of those before it are not done."""
        found = known or {}
        self.outcomes = {name: found[name] for name in self._missing if done(found.get(name))}
        self.causes: dict[str, str] = {}
        """For each skipped step the failed one it was skipped for."""
        self.failure: Mapping[str, str] | None = None
        self.failed_step = ""
        self._ahead: Counter[str] = Counter()
        """By lane: how many queue or run code."""
        self._ready: defaultdict[str, deque[str]] = defaultdict(deque)
        """By lane: those that could begin, and are too many."""
        self._flight: InFlight
        self._progress: Progress
        self._call: Call

    @property
    def names(self) -> list[str]:
        return list(self._missing)

    def result_of(self, name: str) -> Json:
        """:raises KeyError: it is not done."""
        outcome = self.outcomes[name]
        if outcome.status != "done":
            raise KeyError(name)
        return outcome.result

    def run(
        self, flight: InFlight, progress: Progress, call: Call, history: History, *, halt_on_failure: bool
    ) -> None:
        """Run what is not done, until nothing runs any more.

        :param call: runs a step.
        :param halt_on_failure: when one fails, begin no other.
        """
        self._flight, self._progress, self._call = flight, progress, call
        self._halt_on_failure = halt_on_failure
        progress.plan(self._missing)
        for name in self.outcomes:
            progress.ended(name, "done", moved=history.moved.get(name, (0, 0)))
            for follower in self._dag.followers(name):
                self._missing[follower] -= 1
        for name, missing in self._missing.items():
            if missing == 0 and name not in self.outcomes:
                self._start(name)
        flight.until_idle()
        self._dag = Dag([])  # it is large, and so may be what comes now

    def _start(self, name: str) -> None:
        lane = self._dag[name].lane
        self._ready[lane].append(name)
        self._start_ready(lane)

    def _start_ready(self, lane: str) -> None:
        ready = self._ready[lane]
        while ready and self._ahead[lane] < _AHEAD and not self._flight.halted:
            name = ready.popleft()
            self._ahead[lane] += 1
            on_pass = partial(self._on_pass, lane)
            self._flight.launch(Running(name, STEP + name, lane, self._call, self._on_ended, on_pass))

    def _on_pass(self, lane: str) -> None:
        self._ahead[lane] -= 1
        self._start_ready(lane)

    def _on_ended(self, name: str, outcome: Outcome | None) -> None:
        if outcome is None:
            self._progress.abandoned(name)
            return
        self.outcomes[name] = outcome
        self._progress.ended(name, outcome.status)
        if outcome.status == "done":
            for follower in self._dag.followers(name):
                self._missing[follower] -= 1
                if self._missing[follower] == 0 and follower not in self.outcomes:
                    self._start(follower)
            return
        if self.failure is None:
            self.failure, self.failed_step = outcome.error, name
        self._skip_followers(name, outcome)
        if self._halt_on_failure:
            self._flight.halt()

    def _skip_followers(self, name: str, outcome: Outcome) -> None:
        pending = deque(self._dag.followers(name))
        while pending:
            follower = pending.popleft()
            if follower in self.outcomes:
                continue
            self.outcomes[follower] = Outcome("skipped", error=outcome.error)
            self.causes[follower] = name
            self._progress.ended(follower, "skipped")
            pending.extend(self._dag.followers(follower))

    def as_undone(self, history: History, reason: Mapping[str, str]) -> Mapping[str, Outcome]:
        """How every step ended. What is not known to have ended counts as skipped."""
        for name in self._missing:
            if name not in self.outcomes:
                known = history.outcomes.get(name)
                if known is None:
                    known = Outcome("skipped", error=reason)
                    self.causes[name] = self.failed_step
                self.outcomes[name] = known
        return dict(self.outcomes)
