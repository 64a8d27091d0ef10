"""What a restore will do about a pod."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from refloat.graph import ResourceKey
from refloat.resources.attributes import Change, nothing_to_lose, outcomes
from refloat.resources.base import PlanContext, Planned
from refloat.resources.pod.cluster import CLAIM, POD, find_cluster
from refloat.resources.pod.section import ATTRIBUTES

_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
"""What a pod may be called."""


def plan(context: PlanContext) -> Planned:
    """Decide by uid whether it is still there, and under which names it is made otherwise."""
    section = context.section
    name, changes = context.renamed(section["name"])
    changes |= nothing_to_lose(section, "claims", "needed_objects", "ephemeral_volumes", "owner")
    there, why = find_cluster(context.cloud.connection)
    if there is None:
        problem = f"no Kubernetes cluster is known for this project: {why}"
        return Planned("impossible", name, problem, attributes=outcomes(ATTRIBUTES, section, changes))
    namespace = there.namespace
    if namespace != section["namespace"]:
        changes["namespace"] = Change(namespace, "mapped", "the one that the project's kubeconfig names")
    living = context.listed(POD, f"{namespace}/{name}")
    if living is not None and living.data["metadata"].get("uid") == section["uid"]:
        outcome = outcomes(ATTRIBUTES, section, changes)
        return Planned(
            "reuse", living.id.replace("/", ":"), "it is still there", context.resource.id, outcome
        )
    claims, lacking = _claims(context, namespace)
    problem = (
        "" if _NAME.fullmatch(name) else f"'{name}' cannot be a pod's name: small letters, digits, - and ."
    )
    if living is not None:
        problem = f"another pod is called {namespace}:{name} by now; choose another name with restore_name"
    conflicts = [
        f"{', '.join(section['owner'])} made the original, and may remove this one, or have replaced it"
    ] * bool(section["owner"])
    if section["needed_objects"]:
        conflicts.append(
            f"it needs {', '.join(section['needed_objects'])}: the checkpoint does not hold these"
        )
    return Planned(
        "impossible" if problem or lacking else "create",
        name=f"{namespace}:{name}",
        reason=problem or lacking,
        attributes=outcomes(ATTRIBUTES, section, changes),
        decisions={"namespace": namespace, "name": name, "claims": claims},
        conflicts=tuple(conflicts),
    )


def _claims(context: PlanContext, namespace: str) -> tuple[Mapping[str, str], str]:
    """The names of the claims of the new pod by those of the original; why there can be none, if so."""
    items: list[dict[str, Any]] = context.section["claims"]
    taken = {claim.id for claim in context.listing(CLAIM)} if items else set()
    claims = {}
    for item in items:
        name = item["name"]
        volume = ResourceKey("OS::Cinder::Volume", item["volume_id"] or "")
        if volume in context.graph and context.existing(volume) != "keep":
            names = [name, *(f"{name}-{number}" for number in range(2, len(taken) + 3))]
            claims[name] = next(free for free in names if f"{namespace}/{free}" not in taken)
        elif f"{namespace}/{name}" in taken:
            claims[name] = name
        else:
            return {}, f"it claims {name}, which is not there, and whose volume is not part of the restore"
    return claims, ""
