"""The examples of docs/plugins.md do on a real cloud what the guide says."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.bank import Bank, create_key
from refloat.cli.embedded import Embedded
from refloat.cloud import Cloud
from refloat.control.settings import Settings
from refloat.graph import Resource
from tests.kind_contract import Case, known_apart, whole_life
from tests.plugins_guide import examples

TYPE = "OS::Neutron::AddressGroup"
ADDRESSES = ["192.0.2.0/28", "198.51.100.7/32"]


@pytest.fixture
def app(tmp_path: Path) -> Iterator[Embedded]:
    """Refloat with the examples installed beside its own."""
    settings = Settings(f"sqlite:///{tmp_path}/refloat.sqlite", str(tmp_path / "bank"), tmp_path / "bank.key")
    Bank.create(settings.bank_url, create_key(settings.key_file))
    with known_apart(*examples()), Embedded(settings) as refloat:
        yield refloat


def groups(app: Embedded) -> list[Any]:
    found = app.cloud.network.address_groups(project_id=app.cloud.project_id)
    return [group for group in found if group.name.startswith("guide-")]


@pytest.fixture
def checkpoint(app: Embedded) -> Iterator[str]:
    """A checkpoint of a group that is gone by now."""
    group = app.cloud.network.create_address_group(
        name="guide-offices", description="Where people work", addresses=ADDRESSES
    )
    app.create_plan("offices", [(TYPE, "guide-offices")])
    ended = app.wait(app.begin(app.protect("offices")).id, 120)
    assert (ended.state, ended.error) == ("succeeded", None)
    app.cloud.network.delete_address_group(group.id)
    yield ended.checkpoint_id
    for left in groups(app):
        app.cloud.network.delete_address_group(left.id)


def test_a_lost_group_comes_back(app: Embedded, checkpoint: str) -> None:
    ended = app.wait(app.begin(app.restore(checkpoint)).id, 120)
    assert (ended.state, ended.error) == ("succeeded", None)
    (group,) = groups(app)
    assert (group.name, group.description) == ("guide-offices", "Where people work")
    assert sorted(group.addresses) == ADDRESSES
    assert ended.result is not None
    assert ended.result["resources"][0]["new_id"] == group.id


def test_a_living_group_is_reused_and_one_beside_it_is_made_on_request(
    app: Embedded, checkpoint: str
) -> None:
    first = app.wait(app.begin(app.restore(checkpoint)).id, 120)
    assert first.state == "succeeded"
    (group,) = groups(app)
    app.create_plan("again", [(TYPE, group.id)])
    second = app.wait(app.begin(app.protect("again")).id, 120)
    reused = app.wait(app.begin(app.restore(second.checkpoint_id)).id, 120)
    assert reused.result is not None
    assert [(r["status"], r["new_id"]) for r in reused.result["resources"]] == [("reused", group.id)]
    beside = app.restore(second.checkpoint_id, parameters={TYPE: {"restore_name": "{name}-copy"}})
    assert app.wait(app.begin(beside).id, 120).state == "succeeded"
    assert sorted(found.name for found in groups(app)) == ["guide-offices", "guide-offices-copy"]


def test_an_answer_that_was_lost_makes_no_second_group(
    app: Embedded, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = app.cloud.network
    create = network.create_address_group

    def lose_the_answer(**attributes: Any) -> Any:
        create(**attributes)
        raise ConnectionError("the answer was lost")

    monkeypatch.setattr(network, "create_address_group", lose_the_answer)
    operation = app.begin(app.restore(checkpoint, keep_on_failure=True))
    parked = app.wait(operation.id, 120)
    assert parked.state == "parked"
    assert "the answer was lost" in str(parked.error)
    monkeypatch.setattr(network, "create_address_group", create)
    app.resume(operation.id)
    assert app.wait(operation.id, 120).state == "succeeded"
    assert [group.description for group in groups(app)] == ["Where people work"]


def test_a_failed_restore_leaves_nothing(
    app: Embedded, checkpoint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: Any, **_attributes: Any) -> Any:
        raise RuntimeError("no more")

    monkeypatch.setattr(app.cloud.network, "update_address_group", refuse)
    ended = app.wait(app.begin(app.restore(checkpoint)).id, 120)
    assert ended.state == "failed"
    assert "no more" in str(ended.error)
    assert groups(app) == []


class ContainerCase(Case):
    plugin = "container-bank"
    name = "guide-photos"

    def make(self) -> Resource:
        store = self.cloud.object_store
        store.create_container(self.name)
        for key, data in (("a/1.jpg", bytes(range(256)) * 9), ("empty", b"")):
            assert store.put(f"/{self.name}/{key}", data=data).status_code == 201
        return Resource(self.type, self.name, self.name)

    def _there(self) -> bool:
        return any(found.name == self.name for found in self.cloud.object_store.containers())

    def living(self) -> list[Any]:
        store = self.cloud.object_store
        found = store.objects(self.name) if self._there() else ()
        return [(each.name, store.get(f"/{self.name}/{each.name}").content) for each in found]

    def lose(self) -> None:
        if self._there():
            self.cloud.remove("container", self.name)


def test_a_container_goes_through_the_contract(cloud: Cloud) -> None:
    with known_apart(*examples()):
        case = ContainerCase(cloud)
        try:
            whole_life(case)
        finally:
            case.lose()
