"""What operations on an existing checkpoint share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

from refloat.bank import Checkpoint
from refloat.errors import BankDamaged, NotFound
from refloat.graph import Graph, ResourceKey
from refloat.operations.programs import OperationProgram
from refloat.providers.provider import Provider, plugins_for, stand_in
from refloat.resources.base import ProtectionPlugin, Section


class ReadingProgram(OperationProgram):
    """An operation on a checkpoint that exists.

    Payload: ``plugins`` may name those that made the checkpoint, by resource type; else it is asked itself.
    """

    _graph_of_manifest: Mapping[str, Any] | None = None

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, read from the bank and verified; but for its graph, which would stay in memory."""
        found = self.bank.checkpoint(self.checkpoint_id, self.owner)
        self._graph_of_manifest = found.graph
        return replace(found, graph={})

    @cached_property
    def provider(self) -> Provider:
        """The checkpoint's provider; one made up of the plugins that made it, when that is not known here."""
        try:
            return super().provider
        except NotFound:
            if not self._made_by:
                raise
            return stand_in(str(self.payload["provider"]), self._made_by)

    @cached_property
    def plugins(self) -> Mapping[str, ProtectionPlugin]:
        """The plugins that made the checkpoint, whatever the provider's are by now; by resource type."""
        return plugins_for(self.provider, self._made_by)

    @cached_property
    def _made_by(self) -> Mapping[str, str]:
        known = self.payload.get("plugins")
        if known is None:
            try:
                known = self.checkpoint.info.extra.get("plugins")
            except NotFound:  # an attempt before this one has deleted it
                known = None
        return dict(known or {})

    @property
    def whole_graph(self) -> Graph:
        """All that the checkpoint holds. Nobody keeps it: who asks again has it read again."""
        _ = self.checkpoint
        graph, self._graph_of_manifest = self._graph_of_manifest, None
        if graph is None:
            graph = self.bank.checkpoint(self.checkpoint_id, self.owner).graph
        return Graph.from_json(graph)

    def section(self, key: ResourceKey) -> Section:
        """A resource's section. :raises BankDamaged: the checkpoint has none."""
        try:
            section: Section = self.checkpoint.sections[str(key)]
            return section
        except KeyError as exc:
            raise BankDamaged("the checkpoint has no section for it", resource=str(key)) from exc
