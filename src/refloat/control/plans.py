"""What a plan must be, whoever makes it: one check for the command and for the API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from refloat.errors import Conflict, InvalidInput
from refloat.operations.compared import Before, before
from refloat.providers.provider import Provider, check_parameters
from refloat.records.checkpoints import CheckpointRecords
from refloat.records.plans import Plans
from refloat.records.schedules import enabled_for
from refloat.resources.registry import protectable

Parameters = Mapping[str, Mapping[str, Any]]

LARGEST = 1 << 16
"""Bytes of JSON that a plan, or an operation besides its plan, may take: it is written down, and read many
times."""


def check_plan(provider: Provider, given: Mapping[str, Any]) -> None:
    """Check what is given of a plan.

    Parameters for types that the provider does not protect are let through: Karbor's clients send them.

    :param given: any of ``name``, ``resources`` (each with its ``type``) and ``parameters``.
    :raises InvalidInput: it has no name or no resource; a type is not known, or the provider does not
        protect it; or a parameter is wrong.
    """
    check_name(given.get("name"))
    check_size({name: given.get(name) for name in ("resources", "parameters", "exclude")}, "the plan")
    if not given.get("resources", True):
        raise InvalidInput("a plan needs at least one resource", advice="Name it with --resource TYPE=ID")
    for resource in given.get("resources", ()):
        protectable(resource["type"])
        provider.plugin(resource["type"])
    for resource in given.get("exclude", ()):
        protectable(resource["type"])
    parameters = given.get("parameters", {})
    for where in parameters:
        protectable(where.partition("#")[0])
    check_parameters(provider.plugins(), "protect", known_parameters(provider, parameters))


def check_name(name: str | None) -> None:
    """:raises InvalidInput: a plan cannot be called so; None: it is not given."""
    if name is not None and not name.strip():
        raise InvalidInput("a plan needs a name")


def known_parameters(provider: Provider, parameters: Parameters) -> dict[str, dict[str, Any]]:
    """Those that are for types that the provider protects."""
    chosen = provider.plugins()
    return {where: dict(given) for where, given in parameters.items() if where.partition("#")[0] in chosen}


def delete_plan(plans: Plans, plan_id: str) -> None:
    """Forget a plan; its checkpoints stay.

    :raises Conflict: an enabled schedule protects it. Every night would fail from then on.
    """

    def refuse_used(session: Session) -> None:
        if names := enabled_for(session, plan_id):
            used = f"the plan {plan_id} is in use by the schedule {', '.join(names)}"
            raise Conflict(f"{used}, which has to be disabled or deleted first")

    plans.delete(plan_id, refuse_used)


def check_size(described: Mapping[str, Any], what: str) -> None:
    """:raises InvalidInput: it takes more than :data:`LARGEST` to say it."""
    size = len(json.dumps(described, default=str))
    if size > LARGEST:
        raise InvalidInput(
            f"{what} is too large: {size} bytes, {LARGEST} at most",
            advice="Name a parent, or a tag, in the place of many resources; or divide it",
        )


def last_of(checkpoints: CheckpointRecords, plan_id: str, project_id: str) -> Before | None:
    """What the next checkpoint of a plan is compared with."""
    record = checkpoints.last_whole(plan_id, project_id)
    if record is None or record.graph is None:
        return None
    return before(record.id, f"{record.created_at:%Y-%m-%d %H:%M} UTC", record.graph)
