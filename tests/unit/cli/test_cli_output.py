"""What people read of results; programs read JSON."""

from __future__ import annotations

import pytest

from refloat.cli.output import Items, OrNone, Stays, resource_line, stays_lines

VOLUME = {
    "type": "OS::Cinder::Volume",
    "id": "v1",
    "name": "data",
    "status": "good",
    "reason": "Cinder has it",
}


@pytest.mark.parametrize(
    ("more", "word"),
    [
        ({"read": False}, "not read"),
        ({"read": True}, "good"),
        ({}, "good"),
        ({"status": "bad", "read": False}, "bad"),
    ],
)
def test_what_nobody_can_read_back_is_not_good(more: dict[str, object], word: str) -> None:
    """6.6 of the first user's findings."""
    assert resource_line({**VOLUME, **more}) == f"volume data (v1) {word}: Cinder has it"


def test_what_stays_is_said_with_the_command_that_removes_it() -> None:
    """6.1 and 6.2: a line for what of one kind a server leaves."""
    port = {"kind": "port", "name": "", "needed_by": "web"}
    items = [
        {**port, "kind": "image", "id": "i", "name": "web (disk)", "remove": "openstack image delete i"},
        {**port, "id": "p1", "name": "in", "remove": "openstack port delete p1"},
        {**port, "id": "p2", "remove": "openstack port delete p2"},
        {**port, "id": "p3", "needed_by": "db", "remove": "openstack port delete p3"},
    ]
    said = [
        "the image web (disk) of web stays when it is deleted; then: openstack image delete i",
        "the ports in of web stay when it is deleted; then: openstack port delete p1 p2",
        "the port of db stays when it is deleted; then: openstack port delete p3",
    ]
    assert stays_lines(items) == said
    assert Stays(items).human_readable() == "\n".join(said)
    assert Stays(items).machine_readable() == items


def test_nothing_is_called_so() -> None:
    assert (OrNone([]).human_readable(), Items([]).human_readable()) == ("none", "")
    assert OrNone(["x"]).human_readable() == "x"
