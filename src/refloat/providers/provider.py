"""Providers: named choices of protection plugins and a bank. Some are built in, files define others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from refloat.errors import InvalidInput, NotFound
from refloat.graph import Graph
from refloat.movers.settings import DEFAULT
from refloat.providers.provider_files import Definition, load_folder
from refloat.resources.base import OperationKind, ProtectionPlugin
from refloat.resources.noop import NoopPlugin, noop_plugin
from refloat.resources.options import settle
from refloat.resources.registry import plugins, protectables


@dataclass(frozen=True, slots=True)
class Provider(Definition):
    """One provider: at most one plugin for each type of resource.

    For types of which it chooses none, it takes the plugin that is alone in protecting them. One that keeps
    nothing takes no others; if a file defines it, it goes through the motions for all types.

    :param made_up: the plugin for made-up resources counts among the others.
    """

    made_up: bool = False

    @property
    def reference(self) -> str:
        """What plans and checkpoints call it: the name of one that is built in is as fixed as an id."""
        return self.id if self.file else self.name

    def plugins(self) -> Mapping[str, ProtectionPlugin]:
        """The provider's plugins by resource type. :raises InvalidInput: one is not installed."""
        installed = plugins()
        missing = [name for name in self.plugin_names if name not in installed]
        if missing:
            raise InvalidInput(
                f"provider {self.name} needs protection plugin '{missing[0]}', which is not installed"
            )
        chosen = {installed[name].resource_type: installed[name]() for name in self.plugin_names}
        if not self.keeps_nothing:
            rivals = Counter(plugin.resource_type for plugin in installed.values())
            for plugin in installed.values():
                if rivals[plugin.resource_type] == 1 and (self.made_up or plugin is not NoopPlugin):
                    chosen.setdefault(plugin.resource_type, plugin())
        if self.keeps_nothing and self.file:
            for resource_type in protectables():
                if resource_type not in chosen:
                    chosen[resource_type] = noop_plugin(resource_type)()
        return chosen

    def mover_notes(self) -> list[str]:
        """Whether the movers that its file names work on this host, one sentence each."""
        if self.movers.names == DEFAULT.names:
            return []
        found = self.movers.problems().items()
        return [f"mover {name}: {why or 'nothing speaks against it on this host'}" for name, why in found]

    @property
    def keeps_nothing(self) -> bool:
        """Whether it is for trying out: whoever wants a backup should not be offered it."""
        return NoopPlugin.name in self.plugin_names

    def plugin(self, resource_type: str) -> ProtectionPlugin:
        """The plugin for a type. :raises InvalidInput: the provider has none."""
        found = self.plugins().get(resource_type)
        if found is None:
            raise InvalidInput(f"provider {self.name} does not protect resources of type {resource_type}")
        return found


BUILT_IN: tuple[Provider, ...] = (
    Provider(
        "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b01",
        "default",
        "Volumes as Cinder backups; disks and images in the bank",
        ("volume-cinder-backup",),
    ),
    Provider(
        "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b02",
        "snapshot",
        "Volumes as Cinder snapshots: quick, but on the originals' storage; disks and images in the bank",
        ("volume-cinder-snapshot",),
    ),
    Provider(
        "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b04",
        "bank",
        "All data in the bank, that of volumes too: survives the loss of the cloud",
        ("volume-bank",),
    ),
    Provider(
        "8d0c3f0e-6f3b-4f0e-9a53-0d5d3c1a7b03",
        "noop",
        "Keeps nothing: no backup, only for trying out and measuring",
        ("noop",),
    ),
)


class Providers:
    """All providers of an installation: those that are built in, and those that the files of a folder define.

    A file whose id is that of a built-in provider takes its place.

    :param folder: where the files are; it need not be there.
    :param key_file: the key of their banks, where they name none.
    :param noop: whether ``noop`` is one of those that are built in, and made-up resources can be protected.
    :raises InvalidInput: a file is wrong, or two providers have one id or one name.
    """

    def __init__(
        self, folder: Path | None = None, key_file: Path | None = None, *, noop: bool = False
    ) -> None:
        self._by_id = {
            provider.id: replace(provider, made_up=noop)
            for provider in BUILT_IN
            if noop or not provider.keeps_nothing
        }
        if folder:
            for found in load_folder(folder, plugins, key_file or folder / "bank.key", Provider):
                self._add(found)

    def _add(self, provider: Provider) -> None:
        known = self._by_id.get(provider.id)
        if known is not None and known.file is not None:
            raise InvalidInput(f"{known.file} and {provider.file} define providers of one id: {provider.id}")
        for other in self._by_id.values():
            if other.id != provider.id and other.name == provider.name:
                raise InvalidInput(
                    f"{provider.file}: the name '{provider.name}' is taken",
                    reason=f"{other.file} has it too" if other.file else "a built-in provider has it",
                    advice="Give it another name, or the other's id to take its place",
                )
        self._by_id[provider.id] = provider

    def __iter__(self) -> Iterator[Provider]:
        return iter(self._by_id.values())

    def find(self, name_or_id: str) -> Provider:
        """A provider by name or id. :raises NotFound: there is none."""
        for provider in self:
            if name_or_id in (provider.id, provider.name):
                return provider
        taken = self._by_id.get(_BUILT_IN_IDS.get(name_or_id, ""))
        if taken is not None:  # a file has taken its place, under another name
            return taken
        names = ", ".join(provider.name for provider in self)
        raise NotFound(f"there is no provider '{name_or_id}'", advice=f"Providers: {names}")

    def id_of(self, reference: str) -> str:
        """The id of a provider that something refers to; the reference when it is not known."""
        try:
            return self.find(reference).id
        except NotFound:
            return reference

    def name(self, reference: str) -> str:
        """How people call a provider that a plan or checkpoint refers to; itself when it is not known."""
        try:
            return self.find(reference).name
        except NotFound:
            return reference


_BUILT_IN_IDS = {provider.name: provider.id for provider in BUILT_IN}


def check_parameters(
    chosen: Mapping[str, ProtectionPlugin],
    operation: OperationKind,
    parameters: Mapping[str, Mapping[str, object]],
) -> None:
    """:raises InvalidInput: a parameter names an unknown type or setting, or has a wrong value."""
    for where, given in parameters.items():
        resource_type = where.partition("#")[0]
        if resource_type not in chosen:
            raise InvalidInput(
                f"'{resource_type}' in a parameter is not a type that this provider protects",
                advice=f"Types: {', '.join(sorted(chosen))}",
            )
        settle(chosen[resource_type].options.get(operation, ()), given, f"{where} ({operation})")


def plugins_for(provider: Provider, made_by: Mapping[str, str]) -> Mapping[str, ProtectionPlugin]:
    """The plugins for a checkpoint: those that made it, which may not be what its provider has by now.

    :param made_by: their names by resource type; those that are not known are not used.
    """
    installed = plugins()
    first = {
        kind: installed[name]()
        for kind, name in made_by.items()
        if name in installed and installed[name].resource_type == kind
    }
    return {**provider.plugins(), **first}


def stand_in(reference: str, made_by: Mapping[str, str]) -> Provider:
    """What takes the place of a provider that is not known here: it restores what is in the bank.

    :param made_by: the names of the plugins that made a checkpoint.
    """
    installed = plugins()
    names = dict.fromkeys(name for name in made_by.values() if name in installed)
    made_up = names.pop(NoopPlugin.name, "") is None  # by that name it would be one that keeps nothing
    said = "Not known here; known by its checkpoints"
    return Provider(reference, reference, said, tuple(names), made_up=made_up)


def describe_plugins(provider: Provider) -> list[dict[str, Any]]:
    """What each plugin is for, its parameters, and how faithfully each attribute comes back."""
    return [_described(plugin) for plugin in provider.plugins().values()]


def _described(plugin: ProtectionPlugin) -> dict[str, Any]:
    return {
        "name": plugin.name,
        "type": plugin.resource_type,
        "description": plugin.description,
        "parameters": {
            operation: [{"name": option.name, **option.schema()} for option in options]
            for operation, options in plugin.options.items()
            if options
        },
        "attributes": [
            {"name": item.name, "fidelity": item.fidelity, "how": item.how} for item in plugin.attributes
        ],
    }


def settings_for(
    plugin: ProtectionPlugin,
    operation: OperationKind,
    parameters: Mapping[str, Mapping[str, object]],
    resource_id: str,
) -> dict[str, object]:
    """All settings of one resource: its own before its type's before the defaults."""
    kind = plugin.resource_type
    given = {**parameters.get(kind, {}), **parameters.get(f"{kind}#{resource_id}", {})}
    return settle(plugin.options.get(operation, ()), given, f"{kind} ({operation})")


def settings_by_type(
    operation: OperationKind, parameters: Mapping[str, Mapping[str, object]]
) -> Callable[[ProtectionPlugin, str], Mapping[str, object]]:
    """The same for many resources: worked out once for all of a type that have none of their own."""
    settled: dict[str, Mapping[str, object]] = {}

    def settings(plugin: ProtectionPlugin, resource_id: str) -> Mapping[str, object]:
        kind = plugin.resource_type
        if f"{kind}#{resource_id}" in parameters:
            return settings_for(plugin, operation, parameters, resource_id)
        if kind not in settled:
            settled[kind] = settings_for(plugin, operation, parameters, "")
        return settled[kind]

    return settings


def cover(chosen: Mapping[str, ProtectionPlugin], graph: Graph, provider: str) -> None:
    """:raises InvalidInput: a resource of the graph has no plugin."""
    uncovered: Iterable[str] = (str(node) for node in graph if node.type not in chosen)
    for resource in uncovered:
        raise InvalidInput(
            f"provider {provider} has no protection plugin for this type",
            resource=resource,
            advice="Choose another provider, or leave the resource out of the plan",
        )
