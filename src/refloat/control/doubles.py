"""Nothing is restored twice at once: of what is made anew there would be several of one name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any

from sqlalchemy.orm import Session

from refloat.errors import Conflict
from refloat.graph import Graph, ResourceKey
from refloat.operations.existing import BESIDE, REPAIR, REPLACE
from refloat.operations.restoreplan import chosen_part
from refloat.providers.provider import Provider, plugins_for
from refloat.records.checkpoints import CheckpointRecord, CheckpointRecords
from refloat.records.operations import Operations
from refloat.records.successors import Chains, chains

Providing = Callable[[CheckpointRecord], Provider]


def refuse_doubles(
    session: Session,
    operations: Operations,
    checkpoints: CheckpointRecords,
    provider_of: Providing,
    wanted: Set[ResourceKey],
    payload: Mapping[str, Any],
) -> None:
    """Refuse a restore of what another restore makes anew in the same place.

    :param wanted: what :func:`made_anew` says of it. Others wait while those of the project are read.
    :param payload: the operation's; ``project_id`` is the one that is restored into.
    :raises Conflict: it names the other.
    """
    if not wanted:
        return
    where = payload.get("elsewhere")
    made = chains(session, str(where or payload["project_id"]))
    wanted = _with_successors(wanted, made)
    for other in operations.open_restores(session, str(payload["project_id"])):
        if other.payload.get("elsewhere") != where:
            continue
        found = checkpoints.read(session, other.checkpoint_id)
        if same := wanted & _with_successors(made_anew(found, other.payload, provider_of), made):
            raise Conflict(
                f"{min(map(str, same))} is being restored already, by operation {other.id}",
                advice=f"Wait for it, or: refloat operation cancel {other.id}",
            )


def made_anew(
    checkpoint: CheckpointRecord, payload: Mapping[str, Any], provider_of: Providing
) -> Set[ResourceKey]:
    """Of what a restore works on, that of which a second would be made, or which is changed; not of twins."""
    if checkpoint.graph is None or payload.get("existing") == BESIDE:
        return frozenset()
    chosen = plugins_for(provider_of(checkpoint), checkpoint.plugins or {})
    every = payload.get("existing") in (REPAIR, REPLACE)
    if not every and not any(plugin.doubles for plugin in chosen.values()):
        return frozenset()
    given = payload.get("only", ()), payload.get("leave_out", ())
    part = chosen_part(Graph.from_json(checkpoint.graph), *given)
    return {node.key for node in part if node.type in chosen and (every or chosen[node.type].doubles)}


def _with_successors(keys: Set[ResourceKey], made: Chains) -> Set[ResourceKey]:
    """And what earlier restores have made in their place: that is the same thing."""
    return keys | {each for key in keys for each, _at in made.get(key, ())}
