"""What the commands show of checkpoints and operations, wherever these are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refloat.engine.snapshot import Snapshot
    from refloat.records.operations import Operation

Parameters = Mapping[str, Mapping[str, Any]]
Json = dict[str, Any]

LIVE = frozenset({"starting", "running", "stopping", "cancelling"})
"""The states of operations that somebody runs, or is about to."""


def by_id(parameters: Parameters, named: Callable[[str], Iterable[object]]) -> dict[str, dict[str, Any]]:
    """Parameters by id, where users may have named resources.

    :param named: the keys of those that ``TYPE#NAME`` means.
    """
    found: dict[str, dict[str, Any]] = {}
    for where, settings in parameters.items():
        for key in named(where) if "#" in where else (where,):
            found.setdefault(str(key), {}).update(settings)
    return found


@dataclass(frozen=True, slots=True)
class CheckpointState:
    """A checkpoint: from the bank when it exists, from the records while it is being made.

    :param status: ``available``, ``protecting``, ``parked``, ``interrupted``, ``deleting``, ``damaged`` or
        ``missing``.
    :param lacks: what of its plan it does not have, each with its ``reason``.
    :param verified: ``never``, ``good`` or ``bad``: what the last look of some depth at all of it has found.
    """

    id: str
    status: str
    created_at: str
    project_id: str
    provider: str
    plan: Mapping[str, Any]
    reason: str = ""
    operation_id: str = ""
    verified: str = "never"
    verified_at: str = ""
    verified_depth: str = ""
    lacks: Sequence[Mapping[str, str]] = ()
    about: Mapping[str, Any] = field(default_factory=dict)
    scheduled_operation_id: str = ""
    size: int | None = None
    seconds: int | None = None


@dataclass(frozen=True, slots=True)
class OperationView:
    """An operation, whoever runs it.

    :param state: as :func:`refloat.control.progress.status_of` says.
    :param snapshot: how far it is; None when it has not begun, or is forgotten by the engine.
    """

    operation: Operation
    state: str
    snapshot: Snapshot | None

    @property
    def live(self) -> bool:
        """Whether somebody runs it, or is about to."""
        return self.state in LIVE
