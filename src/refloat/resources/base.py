"""The contract of a kind of resource: read this before writing a plugin.

A *protectable* finds resources of one type and tells what depends on what. A *protection plugin*
protects, restores, verifies, copies and deletes resources of one type. Both come from a module named under
the entry point group ``refloat.resources``, which has ``PROTECTABLE`` (a :class:`Protectable`
subclass), ``PLUGINS`` (a tuple of :class:`ProtectionPlugin` subclasses) and tuples of what Refloat does not
know yet: ``KINDS`` of things that it creates (:class:`refloat.cloud.kinds.Kind`), ``SERVICES`` that hold
these (:class:`refloat.cloud.services.Service`), ``QUOTAS`` (:class:`refloat.cloud.quota.Quota`).

The guide with a worked example is ``docs/plugins.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar, Literal, TypeAlias

from refloat.bank import data_references, with_references
from refloat.cloud import Cloud
from refloat.errors import InvalidInput, NotFound, RefloatError
from refloat.graph import Graph, Resource
from refloat.resources.attributes import Attribute
from refloat.resources.context import HookBody, HookContext, PlanContext, Waiting
from refloat.resources.options import Option
from refloat.resources.planned import Planned, Restored, Section, restored

__all__ = [
    "HOOKS",
    "PROJECT",
    "RESTORE_NAME",
    "CopyData",
    "Hook",
    "HookBody",
    "HookContext",
    "Hooks",
    "OperationKind",
    "PlanContext",
    "Planned",
    "Protectable",
    "ProtectionPlugin",
    "Restored",
    "Section",
    "Waiting",
    "hooks",
    "restored",
]

PROJECT = "OS::Keystone::Project"

HOOKS = ("on_prepare_begin", "on_prepare_finish", "on_main", "on_complete")
"""The hooks in the order in which a resource goes through them."""

OperationKind: TypeAlias = Literal["protect", "restore", "verify", "copy", "delete"]


Hook: TypeAlias = Callable[[HookContext], Mapping[str, Any] | HookBody | None]


class Protectable(ABC):
    """Finds resources of one type in a project, for one discovery.

    An instance serves one discovery and may keep what it has listed: listing is done once per type,
    not once per parent. What cannot be listed raises; it is never left out.
    """

    type: ClassVar[str]
    """``OS::Service::Kind``."""
    parents: ClassVar[frozenset[str]] = frozenset()
    """The types of resources that may need resources of this type."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud

    @abstractmethod
    def list(self) -> list[Resource]:
        """All resources of this type in the project that can be protected."""

    def in_any_state(self) -> Sequence[Resource]:
        """All resources of this type in the project, also those that cannot be protected now."""
        return self.list()

    @abstractmethod
    def show(self, identity: str) -> Resource:
        """One resource by id.

        :raises NotFound: it is not there.
        :raises Conflict: its state does not allow protecting it.
        """

    @abstractmethod
    def dependants(self, parent: Resource) -> Iterable[Resource]:
        """The resources of this type that ``parent`` (of a type in ``parents``) needs directly.

        Also those that cannot be protected now: :meth:`unfit` is asked of all.
        """

    def absence(self) -> str:
        """Why there can be no resources of this type for this user, in a sentence; empty: there can be."""
        return ""

    def unfit(self, resource: Resource, graph: Graph) -> RefloatError | None:
        """Why a resource cannot be protected now; None: it can, as far as a look tells.

        Asked of all, before anything is done about any of them.

        :param graph: all that was found.
        """
        return None

    def spares(self, resource: Resource, needed: Resource) -> bool:
        """Whether a resource can be protected without one that it depends on, which the plan excludes."""
        return False

    def references(self, resource: Resource) -> Iterable[Resource]:
        """The resources, of any type, that one of this type names in its settings; circles are allowed."""
        return ()

    def find(self, name_or_id: str) -> Resource:
        """One resource by id, or by name when just one has it.

        :raises NotFound: no resource has this id or name.
        :raises InvalidInput: several have this name.
        """
        try:
            return self.show(name_or_id)
        except NotFound:
            named = [resource for resource in self.list() if resource.name == name_or_id]
            if not named:
                raise
        if len(named) > 1:
            ids = ", ".join(resource.id for resource in named)
            raise InvalidInput(
                f"{len(named)} resources of type {self.type} are called '{name_or_id}'",
                advice=f"Use an id: {ids}",
            )
        return named[0]

    def select(self, selector: str) -> Sequence[Resource]:
        """All resources that carry a tag (``tag:NAME``) or a metadata item (``metadata:KEY=VALUE``).

        :raises InvalidInput: this type has none.
        """
        raise InvalidInput(f"resources of type {self.type} cannot be chosen by '{selector}'")


class Hooks:
    """One operation on one resource: any of the four hooks, each ``def on_...(self, context)``.

    A hook returns a JSON mapping (or None), or is a generator that yields waits
    (``context.cloud.wait(...)``) and returns one. It may be run again after a crash, from its start,
    so it *observes, then acts*: all that it creates, it creates through ``context.ensure``.

    What the results mean:

    * protect: the merged results of a resource's hooks are its section. Items whose name
      begins with ``_`` are not stored.
    * restore: ``{"restored": [Restored(...).to_json(), ...]}``; other items are for other hooks.
    * verify: ``{"ok": bool, "reason": str}``.
    * copy: ``{"section": the section in the copy}``; :class:`CopyData` is right for most.
    * delete: nothing.
    """

    @classmethod
    def implemented(cls) -> tuple[str, ...]:
        """The hooks that this class has, in their order."""
        return tuple(name for name in HOOKS if callable(getattr(cls, name, None)))


def hooks(**bodies: Hook) -> type[Hooks]:
    """A class with hooks that are plain functions of the context: ``hooks(on_main=read)``."""

    def method(body: Hook) -> Callable[[Hooks, HookContext], Any]:
        return lambda _self, context: body(context)

    return type("PlainHooks", (Hooks,), {name: method(body) for name, body in bodies.items()})


class CopyData(Hooks):
    """Copies all data of the bank that a section mentions; the rest of the section stays as it is."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section with references to the data in the other bank; ``stored``: bytes this added there."""
        refs = data_references(context.section)
        total, before = sum(int(ref["size"]) for ref in refs), 0
        new: dict[str, Mapping[str, Any]] = {}
        for ref in refs:
            new[ref["object"]] = context.copied(ref, partial(self._tell, context, before, total))
            before += int(ref["size"])
        return {
            "section": with_references(context.section, new),
            "stored": sum(int(ref["stored"]) for ref in new.values()),
        }

    @staticmethod
    def _tell(context: HookContext, before: int, total: int, done: int) -> None:
        context.progress(before + done, total)


RESTORE_NAME = Option(
    "restore_name",
    "Name of the restored resource; {name} stands for the original name",
    stands_for=("name",),
)


class ProtectionPlugin(ABC):
    """Protects, restores, verifies, copies and deletes resources of one type, in one way."""

    name: ClassVar[str]
    """How providers name it: ``volume-cinder-backup``."""
    resource_type: ClassVar[str]
    description: ClassVar[str] = ""
    attributes: ClassVar[tuple[Attribute, ...]] = ()
    options: ClassVar[Mapping[OperationKind, tuple[Option, ...]]] = {}
    doubles: ClassVar[bool] = False
    """Its plan makes another one though the original is there; a restore may keep that instead."""
    repairs: ClassVar[bool] = False
    """With ``repair`` its plan is asked what of the original, which is kept, has to be given back; or it is
    made again for others that are kept."""
    replaces: ClassVar[bool] = False
    """It can put data back in place."""
    serves_others: ClassVar[bool] = False
    """By itself it is of no use: it is not made again for what is kept as it is."""

    protect: ClassVar[type[Hooks]] = Hooks
    restore: ClassVar[type[Hooks]] = Hooks
    verify: ClassVar[type[Hooks]] = Hooks
    copy: ClassVar[type[Hooks]] = CopyData
    delete: ClassVar[type[Hooks]] = Hooks

    def hooks(self, operation: OperationKind) -> Hooks:
        """A fresh object with the hooks of an operation."""
        chosen: type[Hooks] = getattr(self, operation)
        return chosen()

    def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
        """What of a resource's data is in the cloud and not in the bank: ``the Cinder backup ID``...

        A copy of the checkpoint refers to these things, and does not have them: it is deleted without them.
        """
        return ()

    def builds_on(self, section: Section) -> tuple[str, str] | None:
        """The id of what is kept in the cloud, and of what that cannot be read without (empty: nothing).

        Retention keeps a checkpoint as long as a later one that it keeps builds on it. None: nothing of the
        kind is kept.
        """
        return None

    @abstractmethod
    def plan_restore(self, context: PlanContext) -> Planned:
        """Decide what a restore will do about one resource. Reads the cloud, changes nothing."""
