"""Workers are killed, and the receiver of a webhook is away at times: what it hears is what has happened."""

from __future__ import annotations

import signal
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import pytest
import sqlalchemy as sa
from test_workers import Place, make_place  # noqa: F401 - a fixture

from tests import pgserver
from tests.api.receiver import receiving, secret_file

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not pgserver.is_installed(), reason=pgserver.NOT_INSTALLED),
]


def test_what_a_receiver_hears_is_what_has_happened(make_place: Callable[..., Place]) -> None:  # noqa: F811
    place = make_place(lease=3.0, pause=0.3)

    def left() -> int:
        with place.sql.connect() as connection:
            return int(connection.execute(sa.text("SELECT count(*) FROM notices")).scalar_one())

    with receiving() as receiver:
        with (place.folder / "refloat.conf").open("a") as file:
            file.write(
                f"\n[notifications]\nwebhooks = ops\n[webhook_ops]\nurl = http://127.0.0.1:{receiver.port}/\n"
                f"secret_file = {secret_file(place.folder)}\n"
            )
        receiver.status = 500
        hold = place.folder / "hold"
        hold.touch()  # what runs goes on running
        asked = [place.protect(4) for _ in range(4)]
        for name in ("host-1", "host-2"):
            place.work(name)
        orphaned: set[str] = set()
        for _time in range(2):
            place.until(lambda: busiest(place), "somebody runs something")
            victim = busiest(place)
            assert victim is not None
            victim.send_signal(signal.SIGKILL)
            victim.wait(60)
            orphaned |= set(place.run_by(victim.pid))
            receiver.status = 204
        hold.unlink()
        place.until(place.all_ended, "every operation ends")
        with place.sql.begin() as connection:  # what failed while the receiver was away
            connection.execute(sa.text("UPDATE notices SET due_at = created_at"))
        place.until(lambda: not left(), "all is told")

    assert set(place.states().values()) == {"succeeded"}
    heard: dict[str, list[str]] = defaultdict(list)
    ids: set[str] = set()
    for message in receiver.messages:  # the first time of each: it may come again
        if message["id"] not in ids:
            ids.add(message["id"])
            heard[message["data"]["operation_id"]].append(message["type"].rpartition(".")[2])
    assert set(heard) == set(asked)
    for operation, told in heard.items():
        counted: Counter[Any] = Counter(told)
        assert (counted["start"], counted["end"]) == (1, 1), told
        assert (told[0], told[-1]) == ("start", "end")
        assert set(told) <= {"start", "take_over", "end"}
        assert "take_over" in told or operation not in orphaned


def busiest(place: Place) -> subprocess.Popen[str] | None:
    """The living worker that runs the most; None when nobody runs anything."""
    runs = {
        name: len(place.run_by(worker.pid)) for name, worker in place.workers.items() if worker.poll() is None
    }
    name = max(runs, key=lambda each: runs[each], default="")
    return place.workers[name] if runs.get(name) else None
