"""Decides how a database instance comes back."""

from __future__ import annotations

from refloat.resources.attributes import Change, asked_for, nothing_to_lose, outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.database.attributes import ATTRIBUTES
from refloat.resources.database.protect import KEPT
from refloat.resources.database.protectable import NETWORK
from refloat.resources.database.trove import CONFIGURATION, FLAVOR


def plan(context: PlanContext) -> Planned:
    """A new instance; impossible without its backup, a flavor or a network."""
    section, parameters = context.section, context.parameters
    name, changes = context.renamed(section["name"])
    changes |= nothing_to_lose(section, "replica_of", "replicas")
    conflicts: list[str] = []
    if not context.cloud.has("database"):
        problem = "this cloud has no database service"
        return Planned("impossible", name, problem, attributes=outcomes(ATTRIBUTES, section, changes))
    problem = KEPT.planned(context)
    flavor = parameters.get("restore_flavor_id") or section["flavor"]
    if context.listed(FLAVOR, flavor) is None:
        problem = problem or f"there is no flavor {flavor} for databases; choose with restore_flavor_id"
    if flavor != section["flavor"]:
        changes["flavor"] = asked_for("restore_flavor_id", flavor)
    configuration = section["configuration"].get("id", "")
    if configuration and context.listed(CONFIGURATION, configuration) is None:
        said = f"there is no configuration group {configuration} any more"
        conflicts.append(f"{said}: the datastore's own settings are used")
        changes["configuration"] = Change(None, "degraded", said)
        configuration = ""
    networks, lacking = _networks(context)
    problem = problem or lacking
    if networks != section["networks"]:
        changes["networks"] = asked_for("restore_network_id", networks)
    return Planned(
        "impossible" if problem else "create",
        name=name,
        reason=problem,
        attributes=outcomes(ATTRIBUTES, section, changes),
        decisions={"flavor": flavor, "configuration": configuration, "networks": networks},
        conflicts=tuple(conflicts),
    )


def _networks(context: PlanContext) -> tuple[list[str], str]:
    """The (old) ids of the networks of the new instance; why there can be none, if so."""
    chosen = context.parameters.get("restore_network_id")
    if chosen:
        return [str(chosen)], ""
    restored = {node.id for node in context.graph if node.type == NETWORK}
    for identity in context.section["networks"]:
        if identity not in restored and context.cloud.find("network", identity) is None:
            return [], f"its network {identity} is gone; choose another with restore_network_id"
    return list(context.section["networks"]), ""
