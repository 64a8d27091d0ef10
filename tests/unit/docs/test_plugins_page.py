"""The examples of docs/plugins.md go through the contract of kinds."""

from __future__ import annotations

from typing import Any

import pytest

from refloat.graph import Resource
from tests.kind_contract import known_apart, whole_life
from tests.plugins_guide import examples
from tests.unit.doubles.cases import DoubleCase
from tests.unit.doubles.world import World


class AddressGroupCase(DoubleCase):
    plugin = "address-group"

    def make(self) -> Resource:
        made = self.cloud.network.create_address_group(
            name="offices", description="Where people work", addresses=["192.0.2.0/28", "198.51.100.7/32"]
        )
        return Resource(self.type, made.id, made.name)

    def lose(self) -> None:
        self.world.neutron.groups.clear()

    def living(self) -> list[Any]:
        items = ("name", "description", "addresses")
        return [[group[item] for item in items] for group in self.world.neutron.groups.values()]


class ContainerCase(DoubleCase):
    plugin = "container-bank"

    def make(self) -> Resource:
        self.world.swift.containers["photos"] = {"a/1.jpg": bytes(range(256)) * 9, "empty": b"", "ü ?": b"x"}
        return Resource(self.type, "photos", "photos")

    def lose(self) -> None:
        self.world.swift.containers.clear()

    def living(self) -> list[Any]:
        return [(name, dict(held)) for name, held in self.world.swift.containers.items()]


@pytest.mark.parametrize("kind", [AddressGroupCase, ContainerCase], ids=lambda kind: kind.plugin)
def test_whole_life(kind: type[DoubleCase], world: World) -> None:
    with known_apart(*examples()):
        whole_life(kind(world))
