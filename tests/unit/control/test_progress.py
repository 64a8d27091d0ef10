"""How an operation is told: its status, how far it is, what has become of each resource."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from refloat.control.progress import place_of, progress_of, resources_of, status_of
from refloat.engine.history import History
from refloat.engine.program import Event, Outcome
from refloat.engine.snapshot import Snapshot
from refloat.records.operations import SERVICE, Operation

OPERATION = Operation(
    id="o",
    kind="restore",
    project_id="p",
    plan_id="",
    checkpoint_id="c",
    state="running",
    payload={},
    result=None,
    error=None,
    created_at="2026-01-01T00:00:00Z",
    runner=SERVICE,
)
SNAPSHOT = Snapshot(
    operation_id="o",
    kind="restore",
    on_failure="undo",
    state="running",
    interrupted=False,
    requested="",
    owner="here",
    attempt=1,
    steps=10,
    done=0,
    failed=0,
    skipped=0,
    running=1,
    active=(),
    bytes_done=0,
    bytes_total=0,
    since=100.0,
    updated_at=100.0,
    ended=None,
)
NODES = [{"type": "T", "id": name, "name": f"the {name}"} for name in ("a", "b", "c", "d")]
HISTORY = History(prepare=Outcome("done", {"graph": {"nodes": NODES}}))
MADE = {"type": "T", "source_id": "a", "new_id": "n", "name": "a", "status": "created", "reason": "asked for"}


@pytest.mark.parametrize(
    ("operation", "snapshot", "status"),
    [
        ({"state": "succeeded"}, None, "succeeded"),
        ({"state": "queued"}, None, "starting"),
        ({}, {}, "running"),
        ({}, {"interrupted": True}, "interrupted"),
        ({}, {"requested": "cancel"}, "cancelling"),
        ({}, {"requested": "park"}, "stopping"),
        ({"state": "parked"}, {"state": "parked"}, "parked"),
        ({"state": "parked"}, {"state": "parked", "requested": "resume"}, "starting"),
    ],
)
def test_the_status(operation: dict[str, Any], snapshot: dict[str, Any] | None, status: str) -> None:
    look = None if snapshot is None else replace(SNAPSHOT, **snapshot)
    assert status_of(replace(OPERATION, **operation), look) == status


def told(**more: Any) -> tuple[int | None, int | None]:
    found = progress_of(OPERATION, replace(SNAPSHOT, **more))
    return found["percent"], found["eta"]


def test_how_far_it_is() -> None:
    assert told(steps=0) == (None, None)
    assert told(done=2) == (20, None)  # only just begun: nobody can tell how long it takes
    assert told(done=2, updated_at=110.0) == (20, 40)
    assert told(done=2, bytes_done=40, bytes_total=100, updated_at=130.0) == (30, 70)
    assert told(done=2, updated_at=110.0, requested="park") == (20, None)
    assert progress_of(replace(OPERATION, state="succeeded"), None)["percent"] == 100
    assert progress_of(OPERATION, None)["percent"] is None


def lines(operation: Operation, **outcomes: Outcome) -> list[tuple[str, str, str | None, str | None]]:
    look = replace(
        SNAPSHOT,
        outcomes={f"on_main T#{name}": outcome for name, outcome in outcomes.items()},
        active=(Event("o", "on_main T#c", "started", "", 0, 0),),
    )
    found = resources_of(operation, look, HISTORY)
    return [(line["id"], line["status"], line["reason"], line["new_id"]) for line in found]


def test_what_has_become_of_each_resource_so_far() -> None:
    outcomes = {
        "a": Outcome("done", {"restored": [MADE]}),
        "b": Outcome("failed", error={"error": "CloudError", "message": "the cloud is full"}),
    }
    assert lines(OPERATION, **outcomes) == [
        ("a", "created", "asked for", "n"),
        ("b", "failed", "the cloud is full", None),
        ("c", "running", None, None),
        ("d", "pending", None, None),
    ]
    ended = lines(replace(OPERATION, state="failed"), **outcomes, c=Outcome("skipped"))
    assert [(line[0], line[1]) for line in ended] == [
        ("a", "removed"),
        ("b", "failed"),
        ("c", "skipped"),
        ("d", "skipped"),
    ]


def test_a_result_has_the_last_word() -> None:
    operation = replace(OPERATION, state="succeeded", result={"resources": [MADE]})
    (line,) = resources_of(operation, SNAPSHOT, HISTORY)
    assert (line["id"], line["new_id"], line["status"]) == ("a", "n", "created")
    assert resources_of(replace(operation, kind="restore_plan"), SNAPSHOT, HISTORY) == []


def test_the_place_of_a_step() -> None:
    assert place_of("on_main OS::Nova::Server#1") == ("OS::Nova::Server#1", "on_main")
    assert place_of("prepare") == (None, None)
