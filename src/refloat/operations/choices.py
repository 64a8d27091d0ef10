"""What a user may choose of a restore, whoever asks and however."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from refloat.errors import InvalidInput, NotFound
from refloat.graph import Graph
from refloat.mappings import check_mappings
from refloat.operations.existing import IGNORE, REPLACE, check_existing
from refloat.operations.restoreplan import chosen_part


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of a restore.

    :param only: ``TYPE#ID`` or ``TYPE#NAME`` of what to restore, with all that it needs; empty: all.
    :param leave_out: the same, of what is not restored, nor what only that needs.
    :param parameters: settings by ``TYPE`` or ``TYPE#ID``.
    :param existing: what becomes of what is there already; empty: ``ignore``.
    :param beside_name: what is made beside it is called so.
    :param mappings: what takes the place of what the checkpoint names: by kind, the new by the old ones.
    :param no_safety: no checkpoint is made of what is replaced.
    """

    only: Collection[str] = ()
    leave_out: Collection[str] = ()
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    existing: str = ""
    beside_name: str = ""
    mappings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    no_safety: bool = False

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Choices:
        """Those of a request, or of a payload."""
        return cls(**{each.name: given[each.name] for each in fields(cls) if given.get(each.name)})

    def to_json(self) -> dict[str, Any]:
        """As a payload has them: what is not chosen is left out, but for ``only`` and ``parameters``."""
        chosen: dict[str, Any] = {
            "leave_out": list(self.leave_out),
            "existing": self.existing,
            "beside_name": self.beside_name,
            "mappings": {kind: dict(pairs) for kind, pairs in self.mappings.items() if pairs},
            "no_safety": self.no_safety,
        }
        given = {name: value for name, value in chosen.items() if value}
        return {"only": list(self.only), "parameters": dict(self.parameters), **given}

    def check(self, graph: Mapping[str, Any] | None) -> None:
        """:raises InvalidInput, NotFound: they cannot be, or the checkpoint does not hold what is chosen."""
        check_existing(self.existing or IGNORE, self.beside_name)
        check_mappings(self.mappings)
        if self.no_safety and self.existing != REPLACE:
            raise InvalidInput("no_safety needs existing=replace")
        if graph is not None:
            chosen_part(Graph.from_json(graph), self.only, self.leave_out)

    def check_settings(self, graph: Mapping[str, Any] | None) -> None:
        """:raises NotFound: the checkpoint does not hold what a setting is for."""
        held = {f"{node['type']}#{node['id']}" for node in (graph or {}).get("nodes", ())}
        for where in self.parameters if graph is not None else ():
            if "#" in where and where not in held:
                raise NotFound(f"the checkpoint holds no '{where}', which a setting is for")
