"""What is to be run: steps and what each must wait for. Pure; knows no workflow library."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """One durable unit of work.

    :param name: unique within its DAG and the same whenever the DAG is compiled again.
    :param after: names of the steps that must have ended well before this one starts.
    :param lane: steps of one lane share a limit on how many run at once ("" is unlimited).
    """

    name: str
    after: tuple[str, ...] = ()
    lane: str = ""


class Dag:
    """An immutable set of steps in which every name is known and nothing waits for itself.

    Iterating yields the steps in the order they were given. Building it is linear in
    steps and edges.

    :raises ValueError: a name occurs twice, a predecessor is unknown, or there is a cycle.
    """

    def __init__(self, steps: Iterable[Step]) -> None:
        self._steps: dict[str, Step] = {}
        for step in steps:
            if step.name in self._steps:
                raise ValueError(f"step {step.name} occurs twice")
            self._steps[step.name] = step
        self._followers: dict[str, list[str]] = {}
        for step in self._steps.values():
            for before in step.after:
                if before not in self._steps:
                    raise ValueError(f"step {step.name} waits for unknown step {before}")
                if (known := self._followers.get(before)) is None:
                    self._followers[before] = [step.name]  # most have just one: no room is kept for more
                else:
                    known.append(step.name)
        self._refuse_cycles()

    def _refuse_cycles(self) -> None:
        missing = {name: len(step.after) for name, step in self._steps.items()}
        ready = deque(name for name, count in missing.items() if count == 0)
        seen = 0
        while ready:
            seen += 1
            for follower in self.followers(ready.popleft()):
                missing[follower] -= 1
                if missing[follower] == 0:
                    ready.append(follower)
        if seen != len(self._steps):
            stuck = sorted(name for name, count in missing.items() if count)
            raise ValueError(f"steps wait for each other: {', '.join(stuck[:5])}")

    def __iter__(self) -> Iterator[Step]:
        return iter(self._steps.values())

    def __len__(self) -> int:
        return len(self._steps)

    def __contains__(self, name: object) -> bool:
        return name in self._steps

    def __getitem__(self, name: str) -> Step:
        return self._steps[name]

    def followers(self, name: str) -> Sequence[str]:
        """The steps that wait for a step."""
        return self._followers.get(name, ())
