"""Plans follow what a restore has made, in the transaction of its end (first-user 1.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refloat.control.following import follow
from refloat.records.database import Database
from refloat.records.plans import Plan, Plans

SERVER, VOLUME = "OS::Nova::Server", "OS::Cinder::Volume"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgresql)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Database:
    if request.param == "postgresql":
        return Database(request.getfixturevalue("postgresql")())
    return Database(f"sqlite:///{tmp_path}/r.sqlite")


def entry(kind: str, identity: str, name: str = "") -> dict[str, str]:
    return {"type": kind, "id": identity, "name": name}


def line(kind: str, source: str, new: str, name: str = "") -> dict[str, str]:
    return {"type": kind, "source_id": source, "new_id": new, "name": name, "status": "created", "reason": ""}


def make(database: Database, project: str, *resources: Any, **more: Any) -> Plan:
    return Plans(database, project).create("shop", "default", resources, **{"parameters": {}, **more})


def test_plans_name_what_was_made_in_the_place_of_what_was_gone(database: Database) -> None:
    tagged = {"type": SERVER, "select": "tag:app"}
    parameters = {
        f"{SERVER}#s1": {"power_state": "off"},
        f"{VOLUME}#v1": {"backup_mode": "full"},
        f"{VOLUME}#w1": {"backup_mode": "auto"},  # said of the new one already
        SERVER: {"keep_addresses": "no"},
    }
    plan = make(
        *(database, "mine", entry(SERVER, "s1", "web"), tagged, entry(SERVER, "t1"), entry(SERVER, "s2")),
        parameters=parameters,
        exclude=[entry(VOLUME, "v2", "scratch")],
    )
    other, foreign = make(database, "mine", entry(SERVER, "x")), make(database, "theirs", entry(SERVER, "s1"))
    result = {
        "resources": [
            line(SERVER, "s1", "t1", "new web"),  # which somebody has added by hand already
            line(SERVER, "s2", "t2"),
            line(VOLUME, "v1", "w1", "data"),
            line(VOLUME, "v2", "w2"),
            line("OS::Neutron::Port", "p1", "q1"),
        ],
        "gone": [f"{SERVER}#s1", f"{VOLUME}#v1", f"{VOLUME}#v2", f"{SERVER}#not-restored"],
        "unknown": [f"{SERVER}#s2"],
    }
    with database.session() as session:
        told = follow(session, "mine", result)
    found = Plans(database, "mine").get(plan.id)
    assert found.resources == [entry(SERVER, "t1", "new web"), tagged, entry(SERVER, "s2")]
    assert found.exclude == [entry(VOLUME, "w2", "scratch")]
    assert found.parameters == {
        f"{SERVER}#t1": {"power_state": "off"},
        f"{VOLUME}#w1": {"backup_mode": "auto"},
        SERVER: {"keep_addresses": "no"},
    }
    assert found.updated_at
    assert {(item["source_id"], item["new_id"], bool(item["reason"])) for item in told} == {
        ("s1", "t1", False),
        ("v1", "w1", False),
        ("v2", "w2", False),
        ("s2", "t2", True),
    }
    assert Plans(database, "mine").get(other.id) == other
    assert Plans(database, "theirs").get(foreign.id) == foreign
    with database.session() as session:  # whoever writes the end once more finds nothing to do
        assert [item["reason"] != "" for item in follow(session, "mine", result)] == [True]
    assert Plans(database, "mine").get(plan.id) == found


def test_what_does_not_end_so_changes_no_plan(database: Database) -> None:
    plan = make(database, "mine", entry(SERVER, "s1"))
    result = {"resources": [line(SERVER, "s1", "t1")], "gone": [f"{SERVER}#s1"]}

    def cut_off() -> None:
        with database.session() as session:
            assert follow(session, "mine", result)
            raise RuntimeError("the transaction is not committed")

    with pytest.raises(RuntimeError):
        cut_off()
    assert Plans(database, "mine").get(plan.id) == plan
    for said in ({**result, "gone": []}, {"resources": result["resources"]}, {}):
        with database.session() as session:
            assert follow(session, "mine", said) == []
    assert Plans(database, "mine").get(plan.id) == plan
