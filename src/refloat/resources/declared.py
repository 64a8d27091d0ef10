"""A kind of resource that is declared, and the rest is made from that: protectable, hooks and plugin.

It is found in one listing, protected by reading it, restored by creating it again with what was read, unless
it is still there. Whatever is different about a kind is given as a function, or hooks; where much is, write
a folder.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from refloat.cloud import Cloud, Marker
from refloat.cloud.kinds import Kind
from refloat.cloud.quota import Quota
from refloat.cloud.services import Service
from refloat.graph import Resource
from refloat.resources.attributes import STILL_THERE, Attribute, Change, outcomes, plain
from refloat.resources.base import (
    PROJECT,
    RESTORE_NAME,
    Hook,
    HookBody,
    HookContext,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    Protectable,
    ProtectionPlugin,
    Section,
    hooks,
)
from refloat.resources.in_cloud import KeptInCloud
from refloat.resources.listed import ListedProtectable
from refloat.resources.options import Option
from refloat.resources.verifying import section_has

# Within the class, ``type`` is the type of resource.
HooksClass: TypeAlias = type[Hooks]
ProtectableClass: TypeAlias = type[Protectable]
PluginClass: TypeAlias = type[ProtectionPlugin]


@dataclass(frozen=True, kw_only=True)
class Declared:
    """A kind of resource.

    :param type: ``OS::Service::Kind``.
    :param name: of the plugin.
    :param kind: how the service handles it: :func:`refloat.cloud.kinds.sdk_kind`,
        :func:`refloat.cloud.rest.rest_kind`.
    :param attributes: all of them; by default an attribute is read from, and created as, what the service
        calls so.
    :param parents: the types, besides the project, that may need one, and whether a resource of theirs needs
        a thing; None: the ``finder`` tells.
    :param noun: what people call one; empty: the kind's name.
    :param read: the section of a thing.
    :param create: create it again, marked; returns it or its id.
    :param mark: the field that carries the mark until it is complete, such as ``description``; empty: it
        cannot carry one, and is known by its name.
    :param name_is_id: whoever creates it chooses its id, which is its name.
    :param ready: states to wait for when it was created; empty: it is there at once.
    :param finish: what is left to do when it is ready; may be repeated.
    :param needs: how much of each quota one takes.
    :param doubles: of :class:`ProtectionPlugin`, as ``serves_others`` is.
    :param options: of a restore; ``protect_options`` of a protection.
    :param plan: decide otherwise than to use what is still there, or create it.
    :param protect: hooks, or the only one, that protect otherwise than by reading it; so for what follows.
    :param restore: otherwise than by creating it with what was read.
    :param verify: otherwise than by looking whether the section is whole, or at what is ``kept``.
    :param delete: otherwise than by removing what is ``kept``.
    :param kept: what of it stays in the cloud; without that nothing is restored, whatever is planned.
    :param builds_on: of :class:`ProtectionPlugin`.
    :param selectors: of :class:`ListedProtectable`.
    :param finder: finds it, where a listing alone does not do.
    :param services: what Refloat does not know yet of its service, as are ``more_kinds`` of things.
    :param quotas: what that keeps.
    """

    type: str
    name: str
    description: str
    kind: Kind
    attributes: tuple[Attribute, ...]
    parents: Mapping[str, Callable[[Cloud, Resource, Any], bool] | None] = field(default_factory=dict)
    noun: str = ""
    read: Callable[[Cloud, Any], Section] | None = None
    create: Callable[[HookContext, Marker], Any] | None = None
    mark: str = ""
    name_is_id: bool = False
    ready: Collection[str] = ()
    finish: Callable[[HookContext, str], None] | None = None
    needs: Mapping[str, int] = field(default_factory=dict)
    doubles: bool = False
    repairs: bool = False
    replaces: bool = False
    serves_others: bool = False
    options: tuple[Option, ...] = (RESTORE_NAME,)
    protect_options: tuple[Option, ...] = ()
    plan: Callable[[PlanContext], Planned] | None = None
    protect: HooksClass | Hook | None = None
    restore: HooksClass | Hook | None = None
    verify: HooksClass | None = None
    delete: HooksClass | None = None
    kept: KeptInCloud | None = None
    builds_on: Callable[[Section], tuple[str, str]] | None = None
    selectors: Collection[str] = ()
    finder: ProtectableClass = ListedProtectable
    more_kinds: tuple[Kind, ...] = ()
    services: tuple[Service, ...] = ()
    quotas: tuple[Quota, ...] = ()

    @cached_property
    def protectable(self) -> ProtectableClass:
        declared = self

        class DeclaredProtectable(self.finder):  # type: ignore[name-defined, misc]
            """Finds what is declared."""

            type = declared.type
            parents = frozenset({PROJECT, *declared.parents})
            kind = declared.kind.name
            noun = declared._called
            selectors = declared.selectors
            known_by_name = declared.name_is_id

            def needed_by(self, parent: Resource) -> Iterable[str]:
                needs = declared.parents[parent.type]
                if needs is None:
                    found: Iterable[str] = super().needed_by(parent)
                    return found
                return [each for each, thing in self.by_id.items() if needs(self.cloud, parent, thing)]

        return DeclaredProtectable

    @cached_property
    def plugin(self) -> PluginClass:
        declared, kept = self, self.kept
        ways: dict[OperationKind, tuple[Option, ...]]
        ways = {"protect": self.protect_options, "restore": self.options}

        class DeclaredPlugin(ProtectionPlugin):
            """Protects what is declared."""

            name = declared.name
            resource_type = declared.type
            description = declared.description
            attributes = declared.attributes
            doubles, serves_others = declared.doubles, declared.serves_others
            repairs, replaces = declared.repairs, declared.replaces
            options = {way: given for way, given in ways.items() if given}  # noqa: RUF012 - a ClassVar

            protect = _hooks(declared.protect or declared._protect)
            restore = _hooks(declared.restore or declared._restore)
            verify = declared.verify or (kept.verify if kept else section_has(*declared._plain))
            delete = declared.delete or (kept.delete if kept else Hooks)

            def stays_in_cloud(self, section: Section) -> tuple[str, ...]:
                return (kept.text(section),) if kept else ()

            def builds_on(self, section: Section) -> tuple[str, str] | None:
                return declared.builds_on(section) if declared.builds_on else None

            def plan_restore(self, context: PlanContext) -> Planned:
                planned = (declared.plan or declared._planned)(context)
                problem = kept.planned(context) if kept else ""
                return replace(planned, action="impossible", reason=problem) if problem else planned

        return DeclaredPlugin

    @property
    def _called(self) -> str:
        return self.noun or self.kind.name.replace("_", " ")

    @property
    def _plain(self) -> Sequence[str]:
        """The attributes that a service takes as it tells them."""
        return [a.name for a in self.attributes if a.fidelity == "exact" and a.value is None]

    def _read(self, cloud: Cloud, thing: Any) -> Section:
        if self.read is not None:
            return self.read(cloud, thing)
        names = dict.fromkeys(["name", *(a.name for a in self.attributes if a.value is None)])
        return {name: plain(getattr(thing, name, None)) for name in names}

    def _protect(self, context: HookContext) -> Section:
        return self._read(context.cloud, context.cloud.get(self.kind.name, context.resource.id))

    def _restore(self, context: HookContext) -> HookBody:
        planned, kind = context.planned, self.kind.name
        if planned.uses:
            return context.restored(planned.new_id)
        new_id = context.ensure(
            kind,
            kind,
            lambda marker: (self.create or self._create)(context, marker),
            what=f"create the {self._called} {planned.name}",
            clue=self._clue(context),
            unmarked={self.mark: context.section[self.mark] or ""} if self.mark else None,
        )
        if self.ready:
            yield context.cloud.wait(kind, new_id, self.ready)
        if self.finish is not None:
            self.finish(context, new_id)
        return context.restored(new_id)

    def _clue(self, context: HookContext) -> Mapping[str, Any]:
        if self.mark:
            return {}
        if self.name_is_id:
            return {"id": context.planned.name}
        return context.known(self.kind.name, name=context.planned.name)

    def _create(self, context: HookContext, marker: Marker) -> Any:
        fields = {name: context.section[name] for name in self._plain} | {"name": context.planned.name}
        if self.mark:
            fields[self.mark] = marker.text
        given = {name: value for name, value in fields.items() if value is not None}
        return context.cloud.create(self.kind.name, given)

    def _planned(self, context: PlanContext) -> Planned:
        section = context.section
        name, changes = context.renamed(str(section["name"]))
        living = context.listed(self.kind.name, context.resource.id)
        if living is None or context.wants_new:
            attributes = outcomes(self.attributes, section, changes)
            return Planned("create", name=name, attributes=attributes, needs=self.needs)
        now = self._read(context.cloud, living)
        changed = {
            a.name: Change(a.read(now), "degraded", f"{STILL_THERE} and left as it is")
            for a in self.attributes
            if a.fidelity == "exact" and a.read(now) != a.read(section)
        }
        said = f", and left as it is though changed since: {', '.join(changed)}" if changed else ""
        return Planned(
            "reuse",
            name=str(living.name),
            reason=STILL_THERE + said,
            new_id=context.resource.id,
            attributes=outcomes(self.attributes, section, changed),
        )


def _hooks(given: HooksClass | Hook) -> HooksClass:
    return given if isinstance(given, type) else hooks(on_main=given)
