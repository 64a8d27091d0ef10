"""C4: what can carry no mark is the operation's own as long as its whole, or the anchor, says so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from refloat.cloud import Marker
from refloat.resources.creations import OVERWRITTEN, Creations
from tests.fullstack.hookrig import MemoryJournal

OPERATION = "11111111-2222-3333-4444-555555555555"
ANCHOR = ("keypair", f"refloat-{OPERATION}")
MARK = Marker(OPERATION, "source", "role").text


class Cloud(dict[tuple[str, str], Any]):
    """Things by kind and id."""

    def put(self, kind: str, identity: str, **fields: Any) -> None:
        self[kind, identity] = SimpleNamespace(id=identity, **fields)

    def find(self, kind: str, identity: str) -> Any:
        return self.get((kind, identity))


PARTS = {
    ("floating_ip_association", "ip"): {"port_id": "port", "description": ""},
    ("router_route", "router|10.0.0.0/8|10.1.0.1"): {"description": ""},
    ("router_subnet", "router:subnet"): {"description": ""},
    ("security_group_rule", "rule"): {"security_group_id": "group", "description": ""},
}
WHOLES = {"floating_ip_association": "port", "security_group_rule": "group"}


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part[0])
def test_a_part_goes_only_while_its_whole_is_marked(part: tuple[str, str]) -> None:
    kind, identity = part
    whole = {"port": "port", "group": "security_group"}.get(WHOLES.get(kind, ""), "router")
    cloud, journal = Cloud(), MemoryJournal()
    cloud.put(kind, identity, **PARTS[part])
    cloud.put(*ANCHOR)
    journal.intend("T#source", "part", kind, {"id": identity})
    entry = journal.entries()[0]
    creations = Creations(cast("Any", cloud), OPERATION, journal)
    assert creations.is_ours(entry, identity), "it was added to what somebody has, and the anchor is there"
    journal.intend("T#source", "whole", whole, {"unmarked": {}})
    journal.made("T#source", "whole", WHOLES.get(kind, "router"))
    cloud.put(whole, WHOLES.get(kind, "router"), description=MARK)
    assert creations.is_ours(entry, identity)
    cloud.put(whole, WHOLES.get(kind, "router"), description="mine now")
    assert not creations.is_ours(entry, identity)


def test_without_mark_whole_and_anchor_nobody_knows_whose_it_is() -> None:
    cloud, journal = Cloud(), MemoryJournal()
    cloud.put("keypair", "mine", name="mine")
    journal.intend("T#source", "key", "keypair", {"id": "mine"})
    assert not Creations(cast("Any", cloud), OPERATION, journal).is_ours(journal.entries()[0], "mine")


def test_a_name_tells_whose_a_temporary_image_is() -> None:
    cloud, journal, name = Cloud(), MemoryJournal(), f"refloat-temporary-{OPERATION}-source"
    cloud.put("image", "i", name=name, metadata={}, tags=[])
    journal.intend("T#source", "image", "image", {"name": name, "known": []})
    creations = Creations(cast("Any", cloud), OPERATION, journal)
    assert creations.is_ours(journal.entries()[0], "i")
    cloud.put("image", "i", name="the golden image", metadata={}, tags=[])
    assert not creations.is_ours(journal.entries()[0], "i")


@pytest.mark.parametrize(
    ("metadata", "anchored", "ours"),
    [
        ({"refloat": MARK}, False, True),
        ({"tier": "db", "src_backup_id": "b"}, True, True),
        ({"tier": "db", "src_backup_id": "another"}, True, False),
        ({"tier": "db", "src_backup_id": "b"}, False, False),
        ({"tier": "db"}, True, False),
        ({}, True, False),
    ],
)
def test_a_volume_whose_mark_cinder_has_overwritten_is_known_by_what_is_there_instead(
    metadata: dict[str, str], anchored: bool, ours: bool
) -> None:
    """To restore a backup replaces all metadata of the volume by the backup's."""
    cloud, journal = Cloud(), MemoryJournal()
    cloud.put("volume", "v", metadata=metadata, description="")
    if anchored:
        cloud.put(*ANCHOR)
    journal.intend("T#source", "volume", "volume", {OVERWRITTEN: {"src_backup_id": "b"}, "unmarked": {}})
    creations = Creations(cast("Any", cloud), OPERATION, journal)
    assert creations.is_ours(journal.entries()[0], "v") is ours
