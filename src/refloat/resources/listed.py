"""Finding what one listing of a service tells: most kinds of resources are found so."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Any, ClassVar

from refloat.cloud.kinds import KINDS
from refloat.cloud.services import EVERYWHERE
from refloat.errors import Conflict, InvalidInput, RefloatError
from refloat.graph import Graph, Resource
from refloat.resources.base import PROJECT, HookContext, Protectable, Waiting

SETTLE_TIMEOUT = 1800.0
"""Seconds to wait for a thing that is being made, extended, backed up... by somebody."""


class ListedProtectable(Protectable):
    """Finds resources in one listing of a project's things of a kind.

    A subclass says which states cannot be protected, and what parents other than the project need. Where a
    service that not every cloud has is not in the catalogue, there is nothing of the type.
    """

    kind: ClassVar[str]
    """Its name in ``refloat.cloud.kinds``."""
    noun: ClassVar[str]
    """What people call one of them."""
    selectors: ClassVar[Collection[str]] = ()
    """How they are chosen: by ``tag`` (``tag:NAME``), by ``metadata`` (``metadata:KEY=VALUE``)."""
    known_by_name: ClassVar[bool] = False
    """Their ids are names that somebody chose: what has one now may be another thing, or another user's."""

    @classmethod
    def is_broken(cls, state: str) -> bool:
        """Whether the service will not bring it out of this state by itself."""
        return state in KINDS[cls.kind].failed

    @classmethod
    def is_going(cls, state: str) -> bool:
        """Whether its owner has asked for it to be deleted: it is not part of a project any more."""
        kind = KINDS[cls.kind]
        return state in kind.deleting | kind.delete_failed | kind.gone

    def needed_by(self, parent: Resource) -> Iterable[str]:
        """The ids of what a parent other than the project needs, and perhaps of more."""
        return ()

    def node(self, thing: Any) -> Resource:
        return Resource(self.type, str(thing.id), str(thing.name or ""))

    def problem(self, thing: Any) -> RefloatError | None:
        """Why a thing cannot be protected, if so."""
        state = self.state(thing)
        if not (self.is_broken(state) or self.is_going(state)):
            return None
        return self.unusable(self.node(thing), thing)

    @classmethod
    def unusable(cls, resource: Resource, thing: Any) -> Conflict:
        """What is to be said of a thing in a state in which it cannot be protected."""
        return Conflict(
            f"the {cls.noun} cannot be protected",
            resource=str(resource),
            reason=f"its status is '{getattr(thing, KINDS[cls.kind].status)}'",
            advice=f"Repair or delete the {cls.noun.rpartition(' ')[2]}, or leave it out",
        )

    def list(self) -> list[Resource]:
        return [self.node(thing) for thing in self.things if self.problem(thing) is None]

    def in_any_state(self) -> Sequence[Resource]:
        return [self.node(thing) for thing in self.things]

    def show(self, identity: str) -> Resource:
        thing = self.cloud.get(self.kind, identity)
        self._shown[str(thing.id)] = thing
        return self.checked(thing)

    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """All for the project; for others what :meth:`needed_by` says."""
        if parent.type == PROJECT:
            return [self.node(thing) for thing in self.things]
        needed = (self.by_id.get(identity) for identity in self.needed_by(parent))
        return [self.node(thing) for thing in needed if thing is not None]

    def unfit(self, resource: Resource, graph: Graph) -> RefloatError | None:
        thing = self._shown.get(resource.id) or self.by_id.get(resource.id)
        return None if thing is None else self.problem(thing)

    def absence(self) -> str:
        service = KINDS[self.kind].service
        return "" if self._has_service else f"This cloud has no {service.replace('_', ' ')} service."

    def select(self, selector: str) -> Sequence[Resource]:
        fits = self._test(selector)
        return [self.node(thing) for thing in self.things if fits(thing)]

    def _test(self, selector: str) -> Callable[[Any], bool]:
        way, _, wanted = selector.partition(":")
        key, equals, value = wanted.partition("=")
        if way in self.selectors:
            if way == "tag" and wanted:
                return lambda thing: wanted in (thing.tags or ())
            if way == "metadata" and key and equals:
                return lambda thing: bool((thing.metadata or {}).get(key) == value)
        ways = {"tag": "tag:NAME", "metadata": "metadata:KEY=VALUE"}
        advice = f"Use {' or '.join(ways[known] for known in self.selectors)}" if self.selectors else ""
        if "metadata" in self.selectors and "tag" not in self.selectors:
            advice = f"{self.noun.capitalize()}s have no tags; use metadata:KEY=VALUE"
        raise InvalidInput(f"{self.noun}s cannot be chosen by '{selector}'", advice=advice)

    @cached_property
    def _shown(self) -> dict[str, Any]:
        return {}

    @cached_property
    def everything(self) -> Sequence[Any]:
        """All things of the project, in any state."""
        return self.cloud.list(self.kind) if self._has_service else ()

    @cached_property
    def things(self) -> Sequence[Any]:
        return [thing for thing in self.everything if not self.is_going(self.state(thing))]

    @cached_property
    def by_id(self) -> dict[str, Any]:
        return {str(thing.id): thing for thing in self.everything}

    def checked(self, thing: Any) -> Resource:
        """The resource that a thing is. :raises RefloatError: it cannot be protected."""
        problem = self.problem(thing)
        if problem is not None:
            raise problem
        return self.node(thing)

    @classmethod
    def state(cls, thing: Any) -> str:
        """The state of a thing, in small letters."""
        return KINDS[cls.kind].state(thing)

    @property
    def _has_service(self) -> bool:
        service = KINDS[self.kind].service
        return service in EVERYWHERE or self.cloud.has(service)

    @classmethod
    def settled(cls, context: HookContext, usable: Collection[str], words: str = "") -> Waiting:
        """Wait until the service is done with whatever it does to the resource; returns it.

        :param usable: the states to wait for.
        :param words: the same in words.
        :raises Conflict: it is in a state that it does not come out of.
        """
        thing = context.cloud.get(cls.kind, context.resource.id)
        if cls.state(thing) not in usable and not cls.is_broken(cls.state(thing)):
            thing = yield context.cloud.wait(
                cls.kind,
                thing.id,
                lambda found: cls.state(found) in usable or cls.is_broken(cls.state(found)),
                failed=(),
                timeout=SETTLE_TIMEOUT,
                text=f"{cls.noun} {thing.name or thing.id} to be {words or ' or '.join(sorted(usable))}",
            )
        if cls.is_broken(cls.state(thing)):
            raise cls.unusable(context.resource, thing)
        return thing
