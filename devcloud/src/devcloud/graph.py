"""Runs the steps of bringing a cloud up, each as soon as those that it waits for are done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

Report = Callable[[str, float], None]


@dataclass(frozen=True)
class Step:
    """Something to do, and the names of the steps that must have been done before."""

    name: str
    do: Callable[[threading.Event], None]
    after: tuple[str, ...] = ()


def check(steps: Sequence[Step]) -> None:
    """Every name is known, used once, and there is an order in which all can be done."""
    names = [step.name for step in steps]
    if len(set(names)) != len(names):
        raise ValueError(f"steps with the same name: {sorted(n for n in set(names) if names.count(n) > 1)}")
    done: set[str] = set()
    left = list(steps)
    while left:
        ready = [step for step in left if done.issuperset(step.after)]
        if not ready:
            raise ValueError(f"steps that can never be done: {[(s.name, s.after) for s in left]}")
        done.update(step.name for step in ready)
        left = [step for step in left if step.name not in done]


def run(steps: Sequence[Step], report: Report, workers: int) -> None:
    """Do all steps, at most `workers` at once, earlier ones first. The first failure ends the work.

    The step gets an event that is set when another one has failed, so that its waits end early.
    """
    check(steps)
    cancel = threading.Event()
    done: set[str] = set()
    left = list(steps)
    running: dict[Future[None], tuple[Step, float]] = {}
    failure: BaseException | None = None
    with ThreadPoolExecutor(workers) as pool:
        try:
            while running or (left and failure is None):
                if failure is None:
                    for step in [step for step in left if done.issuperset(step.after)]:
                        if len(running) == workers:
                            break
                        left.remove(step)
                        running[pool.submit(step.do, cancel)] = (step, time.monotonic())
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    step, begun = running.pop(future)
                    error = future.exception()
                    if error is not None:
                        cancel.set()
                        failure = failure or error
                        continue
                    done.add(step.name)
                    report(step.name, time.monotonic() - begun)
        except BaseException:  # an interrupt: the pool waits for its threads, so they must hear of it
            cancel.set()
            raise
    if failure is not None:
        raise failure
