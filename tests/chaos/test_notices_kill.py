"""Workers are killed, and the receiver of a webhook is away at times: what it hears is what has happened."""

from __future__ import annotations

import signal
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
        asked = [place.protect(4) for _ in range(4)]
        names = ["host-1", "host-2"]
        for name in names:
            place.work(name)
        orphaned: set[str] = set()
        for name in names:
            victim = place.workers[name]
            place.until(lambda victim=victim: place.run_by(victim.pid), f"{name} runs something")
            victim.send_signal(signal.SIGKILL)
            victim.wait(60)
            orphaned |= set(place.run_by(victim.pid))
            receiver.status = 204
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
