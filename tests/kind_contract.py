"""What every kind has to do: be found, protected, lost, restored, compared, verified, copied, deleted.

``whole_life`` runs over every kind that there is: in ``tests/unit/resources/test_kind_contract.py`` those
that in-process doubles can hold, in ``tests/fullstack/test_kind_contract.py`` the others, on a real cloud.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from refloat.cloud import Cloud
from refloat.cloud.kinds import KINDS
from refloat.cloud.quota import QUOTAS
from refloat.cloud.services import SERVICES
from refloat.errors import BankDamaged, RefloatError
from refloat.graph import Resource, ResourceKey
from refloat.operations.discovery import Discovery
from refloat.resources import registry
from refloat.resources.base import PROJECT
from refloat.resources.creations import Creations
from refloat.resources.registry import plugins
from tests.fullstack.hookrig import Cut, MemoryJournal, Rig, Run


class Case:
    """One kind on one cloud: how an original is made and lost, and what there is of it.

    :cvar plugin: the name of the plugin that is tested.
    :cvar creates: whether a restore makes something of what was lost.
    :cvar listed: whether it is in the list of its type.
    :cvar steps: undo is tried after so many writes of the journal at most, spread over the restore.
    """

    plugin = ""
    creates = listed = True
    steps = 12

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @property
    def type(self) -> str:
        return plugins()[self.plugin].resource_type

    def make(self) -> Resource:
        """An original with all that it can have."""
        raise NotImplementedError

    def lose(self) -> None:
        """It is gone, or what it holds is, where the service keeps it for its snapshots."""
        raise NotImplementedError

    def living(self) -> list[Any]:
        """What can be compared of all that there are, the original too while it is there."""
        raise NotImplementedError

    def kept(self) -> list[str]:
        """The ids of what checkpoints have in the cloud."""
        return []

    def rig(self) -> Rig:
        """What protects and restores it, with the plugin that is tested."""
        rig = Rig(self.cloud)
        rig.plugins[self.type] = plugins()[self.plugin]()
        rig.data = Memory()
        return rig

    def protect(self, rig: Rig, resource: Resource, *, hand_over: bool = True) -> None:
        """Protect it, as discovery finds it, with all that it needs."""
        rig.protect(Discovery(self.cloud).of_type(self.type).show(resource.id), hand_over=hand_over)


class Memory:
    """A data store in memory, whose references are like a bank's."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put(self, stream: Any, *_told: Any) -> dict[str, Any]:
        read = getattr(stream, "read", None)
        data = b"".join(iter(lambda: read(1 << 20), b"") if read else stream)
        digest = hashlib.sha256(data).hexdigest()
        name = f"data/{digest[:16]}/{digest[:32]}/{digest[:16]}.index"
        self.kept[name] = data
        return {"object": name, "size": len(data), "digest": digest, "stored": len(data)}

    def open(self, ref: Mapping[str, Any]) -> Reader:
        return Reader(self.kept[ref["object"]])

    def verify(self, ref: Mapping[str, Any], *_told: Any) -> None:
        if hashlib.sha256(self.kept[ref["object"]]).hexdigest() != ref["digest"]:
            raise BankDamaged("not what was written")


class Reader:
    """Reads pieces of data."""

    def __init__(self, data: bytes) -> None:
        self.size, self._data, self._place = len(data), data, 0

    def __enter__(self) -> Reader:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing to close."""

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self.read(7), b"")

    def read(self, size: int) -> bytes:
        piece = self._data[self._place : self._place + size]
        self._place += len(piece)
        return piece


@contextmanager
def known_apart(*loaded: object) -> Iterator[None]:
    """Kinds that become known meanwhile are forgotten again.

    :param loaded: what entry points of other distributions would name.
    """
    caches = (registry.installed, registry.protectables, registry.plugins)
    tables: tuple[dict[str, Any], ...] = (KINDS, SERVICES)
    before, quotas, find = [dict(table) for table in tables], list(QUOTAS), registry.entry_points
    entries = [SimpleNamespace(load=lambda each=each: each) for each in loaded]
    registry.entry_points = lambda group: [*find(group=group), *entries]  # type: ignore[assignment]
    for cache in caches:
        cache.cache_clear()
    try:
        yield
    finally:
        registry.entry_points = find
        for cache in caches:
            cache.cache_clear()
        for table, content in zip(tables, before, strict=True):
            table.clear()
            table.update(content)
        QUOTAS[:] = quotas


def whole_life(case: Case) -> None:
    """From the first look to the deletion of the checkpoint."""
    resource = case.make()
    it_is_found(case, resource)
    rig = case.rig()
    a_protect_that_fails_leaves_nothing(case, rig, resource)
    case.protect(rig, resource)
    assert rig.verify()[resource.key]["ok"]
    before = case.living()
    planning_changes_nothing(case, rig, resource)
    case.lose()
    lost = case.living()
    planning_changes_nothing(case, rig, resource)
    if case.creates:
        assert lost != before
        nothing_is_left_when_undone_at(case, rig, cuts_of(case, rig, lost))
        what_somebody_has_taken_over_stays(case, rig, before)
        rig.undo()
        assert case.living() == lost
    lines = rig.restore()
    assert case.living() == before
    assert lines[case.type, resource.id]["new_id"]
    what_was_handed_over_stays(case, rig, before)
    rig.undo()
    assert case.living() == lost
    a_copy_restores_too(case, rig, before)
    rig.undo()
    Run(rig, "delete", rig.graph, {}).all()
    assert case.kept() == []
    Run(rig, "delete", rig.graph, {}).all()  # again, as after a crash


def a_protect_that_fails_leaves_nothing(case: Case, rig: Rig, resource: Resource) -> None:
    case.protect(rig, resource, hand_over=False)
    rig.roll_back()
    assert case.kept() == []
    rig.journal = MemoryJournal()


def it_is_found(case: Case, resource: Resource) -> None:
    """By id and name, in the list, and among what its project needs."""
    protectable = Discovery(case.cloud).of_type(case.type)
    assert protectable.show(resource.id) == resource
    assert protectable.find(resource.name or resource.id) == resource
    assert resource in protectable.list() or not case.listed
    if PROJECT in protectable.parents:
        assert resource in list(protectable.dependants(Resource(PROJECT, case.cloud.project_id)))
    assert protectable.absence() == ""


def planning_changes_nothing(case: Case, rig: Rig, resource: Resource) -> None:
    """A plan that is made twice is the same twice, says what becomes of every attribute, and only looks."""
    there = case.living()
    first, second = (rig.plan() for _time in range(2))
    assert first.to_json() == second.to_json()
    assert first.problems == ()
    told = first.planned[resource.key]
    assert [item.name for item in told.attributes if item.fidelity != "exact" and not item.reason] == []
    known = {attribute.name for attribute in rig.plugins[case.type].attributes}
    assert {item.name for item in told.attributes} >= known or told.action == "reuse"
    assert json.loads(json.dumps(told.to_json()))
    assert case.living() == there


def cuts_of(case: Case, rig: Rig, lost: list[Any]) -> list[dict[str, int]]:
    """Where a restore is cut off: after writes of the journal, and after its last wait.

    A service may take the mark off what it is at work on, until Refloat puts it there again.
    """
    rig.restore(hand_over=False)
    writes, waits = rig.journal.writes, rig.waits
    rig.roll_back()
    assert case.living() == lost
    steps = sorted({round(step * (writes - 1) / max(1, case.steps - 1)) for step in range(case.steps)})
    return [*({"writes": step} for step in steps), *([{"waits": waits}] if waits else [])]


def nothing_is_left_when_undone_at(case: Case, rig: Rig, cuts: Iterable[dict[str, int]]) -> None:
    lost = case.living()
    for cut in cuts:
        plan = rig.plan()
        rig.journal = MemoryJournal()
        rig.journal.cut_after, rig.cut_after_waits = cut.get("writes"), cut.get("waits")
        run = Run(rig, "restore", plan.graph, plan.planned)
        with suppress(Cut):
            run.all()
        rig.journal.cut_after = rig.cut_after_waits = None
        rig.roll_back(run.operation_id)
        assert case.living() == lost, f"undone after {cut}"


def what_somebody_has_taken_over_stays(case: Case, rig: Rig, before: list[Any]) -> None:
    """C4: marks are taken off by somebody before the undo. Ends with all of it there."""
    rig.restore(hand_over=False)
    carrying = [entry for entry in rig.journal.entries() if "unmarked" in entry.clue]
    for entry in carrying:
        rig.cloud.unmark(entry.kind, entry.id, entry.clue["unmarked"])
    if not carrying:  # it is proven by the anchor alone
        Creations(rig.cloud, rig.operation_id, rig.journal).hand_over()
    stays(case, rig, before)


def what_was_handed_over_stays(case: Case, rig: Rig, before: list[Any]) -> None:
    """C4: the restore ended long ago, a database that was brought back has it undone: nothing live goes."""
    if case.creates:
        stays(case, rig, before)
        assert case.living() == before, "and again"
        stays(case, rig, before)


def stays(case: Case, rig: Rig, before: list[Any]) -> None:
    there = {(entry.kind, entry.id) for entry in rig.journal.entries()}
    with pytest.raises(RefloatError, match="could not remove everything") as told:
        rig.roll_back()
    assert case.living() == before
    left = {(entry.kind, entry.id) for entry in rig.journal.entries()}
    for kind, identity in left:
        assert f"{kind.replace('_', ' ')} {identity}" in told.value.left_behind
    assert left <= there
    assert left


def a_copy_restores_too(case: Case, rig: Rig, before: list[Any]) -> None:
    """What is copied to another bank restores like the original. Ends with it restored."""
    there = Memory()
    run = Run(rig, "copy", rig.graph, {})
    context = run.context
    run.context = lambda node: replace(context(node), target=there)  # type: ignore[method-assign]
    run.all()
    copies: dict[ResourceKey, dict[str, Any]] = {
        key: dict(result["section"]) for key, result in run.results.items()
    }
    assert copies[next(iter(copies))].keys() == rig.sections[next(iter(copies))].keys()
    original, own = rig.data, rig.sections
    rig.data, rig.sections = there, {**own, **copies}
    rig.restore()
    assert case.living() == before
    rig.data, rig.sections = original, own
