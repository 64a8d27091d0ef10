"""L9: an id is asked for only when it can be one; it never becomes another part of a service's path."""

from __future__ import annotations

import uuid

import pytest

from refloat.cloud.kinds import KINDS, WORDS
from refloat.errors import NotFound
from refloat.resources.registry import plugins
from tests.unit.doubles.world import World

STRAY = ("../servers", "..", ".", "", "x/y", "x?limit=1", "x#y", "%2e%2e", "a\n", "\x00", "x\\y", "a" * 256)


def test_l9_what_cannot_be_an_id_is_never_asked_for(world: World) -> None:
    cloud = world.cloud()
    services = [double for double in world.doubles if double is not world.keystone]
    for kind, stray in {
        "server": ("detail", *STRAY),
        "volume": ("detail", "summary", *STRAY),
        "network": STRAY,
        "share": ("detail", *STRAY),
        "keypair": STRAY,
        "database_instance": STRAY,
    }.items():
        for identity in stray:
            with pytest.raises(NotFound):
                cloud.get(kind, identity)
            assert cloud.find(kind, identity) is None
            with pytest.raises(NotFound):  # not "gone already", which would be an answer
                cloud.remove(kind, identity)
    assert [double.asked for double in services] == [[]] * len(services)
    cloud.close()


def test_l9_every_kind_says_what_its_ids_look_like() -> None:
    plugins()
    composed = {f"router_{what}" for what in ("interface", "subnet", "route", "gateway")}
    composed |= {"server_port", "volume_attachment", "port_group", "detached_volume"}
    assert {name for name, kind in KINDS.items() if kind.ids is None and kind.service} == composed
    for kind in KINDS.values():
        if kind.ids is not None:
            assert kind.ids.fullmatch(str(uuid.uuid4()))
            assert bool(kind.ids.fullmatch("my key.1@home")) == (kind.ids is WORDS)
