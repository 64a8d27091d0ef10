"""What plugins are given: to plan the restore of one resource, and to run one hook of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal, Protocol, TypeAlias

from refloat.bank import Extents, Former
from refloat.cloud import Cloud, CloudWait, Marker, explained, fence
from refloat.cloud.create_once import create_once, find_created, having
from refloat.cloud.fence import fenced
from refloat.cloud.removal import removal
from refloat.errors import BankError, Cancelled, InvalidInput, LeaseLost, NotFound, RefloatError
from refloat.graph import Graph, Resource, ResourceKey
from refloat.mappings import MAPPABLE, Mapped, find
from refloat.movers.settings import DEFAULT, Movers
from refloat.resources.attributes import Change, asked_for
from refloat.resources.creations import REPLACED, CreationJournal, Creations
from refloat.resources.planned import Planned, Restored, Section, restored, wants_new

_LOG = logging.getLogger(__name__)

Waiting: TypeAlias = Generator[CloudWait, Any, Any]
"""Something that waits: it yields what it waits for, and is sent the thing when it is ready."""

HookBody: TypeAlias = Generator[CloudWait, Any, Mapping[str, Any] | None]
"""A hook that waits."""


@dataclass(frozen=True)
class PlanContext:
    """What a plugin may look at when it plans the restore of one resource. It changes nothing.

    :param graph: what is being restored; a resource that the checkpoint holds but that is not in it was
        left out by the user and has to be found in the cloud as it is, or done without.
    :param planned: what was decided for a resource of the graph that this one needs or, for
        references, possibly not yet (None).
    :param listing: all things of a kind in the project (``refloat.cloud.kinds``), read once per restore plan.
    :param existing: ``keep``: the original of a resource of the graph is there and stays as it is;
        ``repair``: it is there, is used again and gets back what it has lost; ``beside``: another one is
        made beside it; ``replace``: its data is put back in place; else empty.
    :param twin_name: what is made beside is called so, with ``{name}`` for the original's name.
    :param mapped: what the user wants in the place of what a section names, by kind
        (:mod:`refloat.mappings`), id and name.
    :param safety: a checkpoint of what is replaced is made before.
    """

    resource: Resource
    section: Section
    graph: Graph
    parameters: Mapping[str, Any]
    cloud: Cloud
    planned: Callable[[ResourceKey], Planned | None]
    listing: Callable[[str], list[Any]]
    existing: Callable[[ResourceKey], str] = lambda _key: ""
    twin_name: str = ""
    mapped: Callable[[str, str, str], Mapped | None] = lambda _kind, _identity, _name: None

    def mapping(self, kind: str, identity: str, name: str = "") -> Mapped | None:
        """What the user wants in the place of what the section names: by a setting, or by a mapping."""
        option = MAPPABLE[kind].options.get(self.resource.type, "")
        if not (wanted := str(self.parameters.get(option) or "")):
            return self.mapped(kind, identity, name)
        said = f"{option} asks for"
        try:
            new, called, thing = find(kind, wanted, self.listing)
        except (InvalidInput, NotFound) as exc:
            problem = f"{exc.message}, which {said}"
            return Mapped(kind, wanted, wanted, f"{said} it", problem=f"{problem}. {exc.advice}")
        return Mapped(kind, new, called, f"{said} the {MAPPABLE[kind].noun} {called}", thing)

    safety: bool = False

    @property
    def is_twin(self) -> bool:
        """Whether it is made beside its original."""
        return self.existing(self.resource.key) == "beside"

    def restored_name(self, original: str) -> str:
        """What the restored resource is to be called: ``restore_name`` with ``{name}`` filled in."""
        wanted = self.parameters.get("restore_name") or (self.twin_name if self.is_twin else "")
        return str(wanted).replace("{name}", original)[:255] if wanted else original

    def renamed(self, original: str) -> tuple[str, dict[str, Change]]:
        """The name of what is created, and the change that this is."""
        name = self.restored_name(original)
        said = asked_for("restore_name", name)
        if self.is_twin:
            said = Change(name, "mapped", "made beside the original")
        return name, {} if name == original else {"name": said}

    def using(self, lacks: bool) -> Literal["reuse", "repair"]:
        """What is done about the original, which is used again.

        :param lacks: whether it gets something back.
        """
        return "repair" if lacks and self.repairs else "reuse"

    @property
    def repairs(self) -> bool:
        """Whether the original, which is there, gets back what it has lost."""
        return self.existing(self.resource.key) == "repair"

    @property
    def wants_new(self) -> bool:
        """Whether the user asked for a new one beside the original."""
        return wants_new(self.parameters)

    def listed(self, kind: str, identity: str) -> Any | None:
        """One thing of the project by id; None: the project does not have it."""
        return next((thing for thing in self.listing(kind) if str(thing.id) == identity), None)

    def there(self, kind: str, identity: str) -> Any | None:
        """One thing by id: the project's, or one that another project shares with it."""
        return self.listed(kind, identity) or self.cloud.find(kind, identity)


class Stream(Protocol):
    """Bytes to be read in order."""

    def read(self, size: int, /) -> bytes:
        """At most ``size`` bytes; empty at the end."""


class DataStore(Protocol):
    """The part of the bank that hooks see."""

    def put(
        self,
        stream: Stream | Iterable[bytes],
        size: int | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Store a stream; returns its data reference (JSON with at least ``size`` and ``digest``)."""

    def put_changed(
        self,
        source: Extents,
        former: Former | None,
        progress: Callable[[int, int], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Store what can be read anywhere in it; beside former data only what may have changed is read.

        :raises BankError, InvalidInput: that is damaged or gone, of another size or another project's.
        """

    def differing(self, ref: Mapping[str, Any], former: Former) -> int:
        """How many chunks differ from the former ones of which it is said that they have not changed."""

    def section(self, checkpoint_id: str, key: ResourceKey) -> Section | None:
        """What an earlier checkpoint of the project's has of a resource; None: it is not in this bank."""

    def open(self, ref: Mapping[str, Any]) -> Any:
        """A verified reader: ``read(n)``, iteration, ``size``, ``restore_to(sink)``."""

    def verify(
        self, ref: Mapping[str, Any], progress: Callable[[int, int], None], cancelled: Callable[[], bool]
    ) -> None:
        """Read everything back. :raises BankDamaged: something is not what was written."""


@dataclass(frozen=True)
class HookContext:
    """All that a hook may use.

    :param results: the results of a resource's finished hooks so far, merged; empty for a resource
        whose hooks have not run or that is not part of this operation.
    :param mapping: the new id of (type, source id), over all that finished hooks have restored.
    :param section: what was protected (restore, verify, delete); empty when protecting.
    :param decided: what the restore plan decided for this resource (restore only).
    :param target: the bank that is copied to (copy only).
    :param movers: how the bytes of volumes may be read and written, by the provider's file.
    :param progress: tell how many bytes of how many are done (total 0: unknown).
    """

    operation_id: str
    checkpoint_id: str
    resource: Resource
    graph: Graph
    parameters: Mapping[str, Any]
    cloud: Cloud
    journal: CreationJournal
    data: DataStore
    results: Callable[[ResourceKey], Mapping[str, Any]]
    mapping: Callable[[str, str], str | None]
    section: Section
    decided: Callable[[], Planned]
    progress: Callable[[int, int], None]
    cancelled: Callable[[], bool]
    target: DataStore | None = None
    movers: Movers = DEFAULT

    @cached_property
    def planned(self) -> Planned:
        """What the restore plan decided for this resource, without what it only showed (restore only)."""
        return self.decided()

    def ensure(
        self,
        kind: str,
        role: str,
        create: Callable[[Marker], Any],
        *,
        what: str = "",
        clue: Mapping[str, Any] | None = None,
        unmarked: Mapping[str, Any] | None = None,
    ) -> str:
        """Create something once, however often the hook is run; returns its id.

        :param kind: a name of ``refloat.cloud.kinds``: it tells how to find it, and how to undo it.
        :param role: what it is for this resource; unique among what the resource's hooks create.
        :param create: creates it, marked with the marker it is given, and returns it (or its id).
        :param what: the creation as a phrase that follows "could not", for errors of openstacksdk; without it
            ``create`` explains its errors itself.
        :param clue: how to find it when it cannot carry a mark: ``{"id": ...}`` when the id is
            chosen by the caller, ``{"name": ..., "known": [ids]}`` when only a name tells it from
            those known before.
        :param unmarked: what takes the mark's place when the whole operation has succeeded: fields for the
            kind's ``unmark``. None: it is nobody else's, and goes before that, or is known by the checkpoint.
        """
        self.check_cancelled()
        source = str(self.resource.key)
        entry = self.journal.find(source, role)
        if entry is not None and entry.id:
            return entry.id
        marker = self.marker(role)
        if entry is None:
            self.journal.intend(source, role, kind, self._creations.clue(clue, unmarked))
        else:
            # It was about to be created when the last attempt ended: it may be there.
            found = find_created(self.cloud, kind, marker, entry.clue)
            if found:
                return self._written(kind, role, found, clue)

        def attempt(mark: Marker) -> Any:
            with explained(what, self.resource) if what else nullcontext():
                return create(mark)

        return self._written(kind, role, create_once(self.cloud, kind, marker, clue or {}, attempt), clue)

    def _written(self, kind: str, role: str, identity: str, clue: Mapping[str, Any] | None) -> str:
        """Write down what was made; returns what is written there.

        That is something else when this process was stopped while it asked for it, and whoever has taken the
        operation over has made it too.
        """
        kept = self.journal.made(str(self.resource.key), role, identity)
        if kept != identity and "id" not in (clue or {}):
            self._take_back(kind, identity, lambda: bool(kept) or self._is_marked(kind, role, identity))
        if not kept:
            raise LeaseLost("another process has taken the operation over, and it has ended", ended=True)
        return kept

    def _is_marked(self, kind: str, role: str, identity: str) -> bool:
        """Not so when whoever took over has found it, and handed it over."""
        thing = self.cloud.find(kind, identity)
        return thing is None or self.marker(role).on(thing)

    def _take_back(self, kind: str, identity: str, ours: Callable[[], bool]) -> None:
        """Remove what was made twice."""
        try:
            with fenced(None):
                for wait in removal(self.cloud, kind, identity, ours=ours):
                    wait.result()
        except RefloatError as exc:
            _LOG.warning("the %s %s was made twice for %s, and stays: %s", kind, identity, self.resource, exc)

    def give(self, kind: str, role: str, identity: str, give: Callable[[], Any], what: str) -> None:
        """Give something what it lacks, once; if it has that already it is not this operation's.

        :param identity: of what is given, as the kind calls it.
        """
        if not self.journal.find(str(self.resource.key), role) and self.cloud.find(kind, identity):
            return

        def given(_marker: Marker) -> str:
            give()
            return identity

        self.ensure(kind, role, given, what=what, clue={"id": identity})

    def replacing(self) -> None:
        """Write down that what is there is changed from now on, and cannot be brought back by undoing."""
        self.check_cancelled()
        fence.check()
        source = str(self.resource.key)
        if self.journal.find(source, REPLACED) is None:
            self.journal.intend(source, REPLACED, REPLACED, {})

    def created(self, role: str) -> str:
        """The id of what ``ensure`` made for a role; empty when it did not, or when it was discarded."""
        entry = self.journal.find(str(self.resource.key), role)
        return entry.id if entry else ""

    def discard(self, role: str, patience: float | None = None) -> Generator[CloudWait, Any, None]:
        """Remove something temporary that ``ensure`` made: ``yield from context.discard(role)``.

        :param patience: seconds to go on asking a service that refuses; None: as long as others are asked.
        """
        source = str(self.resource.key)
        entry = self.journal.find(source, role)
        if entry is None:
            return
        identity = entry.id or find_created(self.cloud, entry.kind, self.marker(role), entry.clue)
        if identity:
            ours = partial(self._creations.is_ours, entry, identity)
            yield from removal(self.cloud, entry.kind, identity, patience, ours)
        self.journal.forget(source, role)

    @property
    def _creations(self) -> Creations:
        return Creations(self.cloud, self.operation_id, self.journal)

    def marker(self, role: str) -> Marker:
        """The mark of what this operation creates for this resource in a role."""
        return Marker(self.operation_id, self.resource.id, role)

    def known(self, kind: str, **fields: Any) -> dict[str, Any]:
        """The clue for what cannot be marked: it is what has these values and is not there yet."""
        return {"fields": fields, "known": [thing.id for thing in having(self.cloud, kind, fields)]}

    def restored(self, new_id: str, *, name: str | None = None, reason: str | None = None) -> dict[str, Any]:
        """What a restore hook returns that made, or re-used, just this resource as planned."""
        planned = self.planned
        name = planned.name if name is None else name
        reason = planned.reason if reason is None else reason
        status = {"repair": "repaired", "replace": "replaced"}.get(planned.action, "")
        return restored(
            Restored(self.resource.type, self.resource.id, new_id, name, planned.uses, reason, status)
        )

    def new_or_same(self, type: str, source_id: str) -> str:  # noqa: A002
        """The restored thing's id, or the original's: where the restore plan made sure that there is one."""
        return self.new_id(type, source_id) or source_id

    def new_id(self, type: str, source_id: str) -> str | None:  # noqa: A002
        """The id that a thing of the checkpoint has in this restore; None when it is not part of it.

        Any type of which some hook returned a ``Restored``, also of things inside a resource such as subnets.
        Only what this resource needs (directly or not) is sure to be there when a hook other than
        ``on_complete`` runs; what it refers to, in ``on_complete``.
        """
        return self.mapping(type, source_id)

    def copied(self, ref: Mapping[str, Any], told: Callable[[int], None]) -> dict[str, Any]:
        """Copy data from the bank to the one that is copied to; returns its reference there.

        :param told: called with the bytes done.
        :raises BankDamaged: it is not what was written.
        """
        if self.target is None:
            raise BankError("this operation copies nothing")
        with self.data.open(ref) as reader:
            return self.target.put(reader, int(ref["size"]), lambda done, _total: told(done), self.cancelled)

    def check_cancelled(self) -> None:
        """:raises Cancelled: the operation is being stopped."""
        if self.cancelled():
            raise Cancelled("stopped", resource=str(self.resource))
