"""What operations on an existing checkpoint share."""

from __future__ import annotations

from functools import cached_property

from refloat.bank import Checkpoint
from refloat.errors import BankDamaged
from refloat.graph import Graph, ResourceKey
from refloat.operations.programs import OperationProgram
from refloat.resources.base import Section


class ReadingProgram(OperationProgram):
    """An operation on a checkpoint that exists."""

    @cached_property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint, read from the bank and verified."""
        return self.bank.checkpoint(self.checkpoint_id)

    @cached_property
    def whole_graph(self) -> Graph:
        """All that the checkpoint holds."""
        return Graph.from_json(self.checkpoint.graph)

    def section(self, key: ResourceKey) -> Section:
        """A resource's section. :raises BankDamaged: the checkpoint has none."""
        try:
            section: Section = self.checkpoint.sections[str(key)]
            return section
        except KeyError as exc:
            raise BankDamaged("the checkpoint has no section for it", resource=str(key)) from exc
