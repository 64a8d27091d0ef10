"""What restores have made in the place of originals: the newest for each, on both databases."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from threading import Barrier, Thread

import pytest
from sqlalchemy import func, select

from refloat.control.following import remember as of_restore
from refloat.graph import ResourceKey
from refloat.records.database import Database
from refloat.records.successors import SuccessorRow, of, remember

SERVER, IMAGE, PORT = "OS::Nova::Server", "OS::Glance::Image", "OS::Neutron::Port"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgresql":
        return Database(request.getfixturevalue("postgresql")())
    return Database(f"sqlite:///{tmp_path}/r.sqlite")


def write(database: Database, made: Mapping[str, str], project: str = "mine", region: str = "") -> None:
    with database.session() as session:
        remember(session, project, region, {ResourceKey(SERVER, old): new for old, new in made.items()})


def told(database: Database, project: str = "mine", region: str = "") -> dict[str, list[str]]:
    found = of(database, project, region)
    return {key.id: [each.id for each, _made_at in chain] for key, chain in found.items()}


def count(database: Database) -> int:
    with database.session() as session:
        return session.scalars(select(func.count()).select_from(SuccessorRow)).one()


def test_the_newest_counts_and_takes_the_place_of_all_that_came_between(database: Database) -> None:
    write(database, {"a": "a1", "b": "b1"})
    write(database, {"a1": "a2"})  # of a later checkpoint
    assert told(database) == {"a": ["a1", "a2"], "a1": ["a2"], "b": ["b1"]}
    write(database, {"a": "a3"})  # a1 and a2 are gone, too
    assert told(database) == {"a": ["a3"], "a1": ["a3"], "a2": ["a3"], "b": ["b1"]}
    for number in range(4, 10):
        write(database, {"b": f"b{number}"})
    assert told(database)["b"] == ["b9"]
    assert count(database) == 4 + 6  # for each b that there has been


def test_projects_and_regions_are_told_apart(database: Database) -> None:
    write(database, {"a": "a1"}, region="north")
    write(database, {"a": "a2"}, region="south")
    write(database, {"c": "c1"})
    write(database, {"a": "x"}, project="theirs")
    assert told(database, region="north") == {"a": ["a1"], "c": ["c1"]}
    assert told(database, region="south") == {"a": ["a2"], "c": ["c1"]}
    assert told(database, "theirs") == {"a": ["x"]}
    assert told(database, "nobody") == {}


def test_a_circle_ends(database: Database) -> None:
    write(database, {"a": "b"})
    write(database, {"b": "a"})
    assert told(database) == {"a": ["b"], "b": ["a"]} or told(database)["b"] == ["a"]


def test_two_that_end_at_once_both_end(database: Database) -> None:
    """Restores beside what is there are not refused: the end of neither fails for the other."""
    errors: list[BaseException] = []
    ready = Barrier(4)

    def end(number: int) -> None:
        ready.wait()
        try:
            write(database, {f"o{each}": f"o{each} of {number}" for each in range(20)})
        except BaseException as exc:
            errors.append(exc)

    threads = [Thread(target=end, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert {f"o{each}" for each in range(20)} <= told(database).keys()


def test_of_a_restore_what_was_made_for_what_was_gone_is_written_down(database: Database) -> None:
    """Not what was used again, what was made beside, nor what is there only for a server's sake."""

    def line(kind: str, old: str, new: str, status: str = "created") -> dict[str, str]:
        return {"type": kind, "source_id": old, "new_id": new, "status": status}

    lines = [
        *(
            line(SERVER, "gone", "new"),
            line(SERVER, "beside", "twin"),
            line(SERVER, "used", "mapped", "reused"),
        ),
        *(line(SERVER, "removed", "", "removed"), line(SERVER, "same", "same"), line(PORT, "p", "q")),
        *(line(IMAGE, "system", "disk"), line(IMAGE, "whole", "whole-2")),
    ]
    gone = [f"{SERVER}#{name}" for name in ("gone", "used", "removed", "same")]
    result = {
        "resources": lines,
        "gone": [*gone, f"{IMAGE}#system", f"{IMAGE}#whole"],
        "stays": [{"kind": "image", "id": "disk"}, {"kind": "port", "id": "q"}],
        "parts": {f"{PORT}#p": "q"},
    }
    with database.session() as session:
        of_restore(session, "mine", "", result)
        of_restore(session, "mine", "", {})
    assert told(database) == {"gone": ["new"], "whole": ["whole-2"], "p": ["q"]}
