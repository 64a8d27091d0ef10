"""What is protected before it is replaced."""

from __future__ import annotations

import uuid
from collections.abc import Callable

from refloat.graph import Graph, Resource
from refloat.operations.choices import Choices
from refloat.operations.restore import safety_wanted
from refloat.operations.restoreplan import chosen_part
from refloat.providers.provider import Provider, plugins_for
from refloat.records.checkpoints import CheckpointRecord
from refloat.records.database import Database
from refloat.records.plans import Plan
from refloat.records.successors import of


def plan_of(
    database: Database,
    project_id: str,
    checkpoint: CheckpointRecord,
    choices: Choices,
    provider_of: Callable[[CheckpointRecord], Provider],
) -> Plan | None:
    """A plan that is not kept, of just what a restore may replace; None: of nothing, or it is not wanted.

    What earlier restores have made in the place of these may be what is replaced.
    """
    ours = checkpoint.project_id == project_id
    if checkpoint.graph is None or not (ours and safety_wanted(choices.to_json())):
        return None
    plugins = plugins_for(provider_of(checkpoint), checkpoint.plugins or {})
    part = chosen_part(Graph.from_json(checkpoint.graph), choices.only, choices.leave_out)
    data = {node.key for node in part if node.type in plugins and plugins[node.type].replaces}
    nodes: list[Resource] = [
        node
        for node in part
        if node.key in data and not any(parent.key in data for parent in part.parents(node.key))
    ]
    if not nodes:
        return None
    chains = of(database, project_id)
    keys = {node.key: (node.key, *(each for each, _at in chains.get(node.key, ()))) for node in nodes}
    called = ", ".join(node.name or node.id for node in nodes)
    return Plan(
        str(uuid.uuid4()),
        checkpoint.project_id,
        f"before the replacement of {called}"[:255],
        "",
        checkpoint.provider_id,
        [{"type": key.type, "id": key.id, "name": node.name} for node in nodes for key in keys[node.key]],
        {},
        "",
    )
