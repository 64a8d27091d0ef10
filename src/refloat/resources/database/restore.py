"""Restores a database instance: makes a new one from the backup."""

from __future__ import annotations

from refloat.resources.base import HookBody, HookContext
from refloat.resources.database.protect import KEPT, TIMEOUT
from refloat.resources.database.protectable import NETWORK
from refloat.resources.database.trove import INSTANCE, READY_STATES


def restore(context: HookContext) -> HookBody:
    """Create it when the networks it refers to are there, and wait until it serves."""
    section, planned = context.section, context.planned
    networks = [context.new_or_same(NETWORK, identity) for identity in planned.decisions["networks"]]
    wanted = {
        "name": planned.name,
        "flavorRef": planned.decisions["flavor"],
        "volume": {"size": section["volume_size"]} if section["volume_size"] else None,
        "datastore": section["datastore"],
        "configuration": planned.decisions["configuration"],
        "access": section["access"],
        "nics": [{"network_id": identity} for identity in networks],
        "restorePoint": {"backupRef": KEPT.id(section)},
    }
    body = {key: value for key, value in wanted.items() if value}
    new_id = context.ensure(
        INSTANCE,
        INSTANCE,
        lambda _marker: context.cloud.create(INSTANCE, body),
        what=f"create the database instance {planned.name}",
        clue=context.known(INSTANCE, name=planned.name),
    )
    yield context.cloud.wait(INSTANCE, new_id, READY_STATES, timeout=TIMEOUT)
    return context.restored(new_id)
