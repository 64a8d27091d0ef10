"""Cutting a snapshot of a volume, also of one that a running server uses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refloat.cloud import Marker, explained
from refloat.cloud.kinds import status_of_thing
from refloat.cloud.removal import servers_idle
from refloat.errors import Conflict
from refloat.resources.context import HookContext, Waiting
from refloat.resources.volume.protectable import STEADY, is_broken

SETTLE_TIMEOUT = 1800.0
"""Seconds to wait for a volume that is being attached, extended, backed up by somebody..."""

ATTEMPTS = 4


def steady(context: HookContext) -> Waiting:
    """Wait until the volume is in a state in which it can be protected; returns it.

    :raises NotFound: it is gone.
    :raises Conflict: it is in an error state.
    """
    volume = context.cloud.get("volume", context.resource.id)
    status = status_of_thing(volume)
    if not is_broken(status) and status not in STEADY:
        volume = yield context.cloud.wait(
            "volume",
            volume.id,
            lambda thing: status_of_thing(thing) in STEADY or is_broken(status_of_thing(thing)),
            failed=(),
            timeout=SETTLE_TIMEOUT,
            text=f"volume {volume.name or volume.id} to be available or in-use",
        )
        status = status_of_thing(volume)
    if is_broken(status):
        raise Conflict(
            "the volume cannot be protected",
            resource=str(context.resource),
            reason=f"its status is '{status}'",
            advice="Repair or delete the volume, or leave it out",
        )
    return volume


def cut(context: HookContext, role: str, volume: Any, name: str, description: str | None = None) -> Waiting:
    """Make a snapshot once, however often this is run; returns it when it is available.

    :raises Conflict: Cinder did not manage to make one.
    """
    create = _creator(context, volume, name, description)
    for _attempt in range(ATTEMPTS):
        snapshot_id = context.ensure("snapshot", role, create)
        snapshot = yield context.cloud.wait("snapshot", snapshot_id, {"available", "error"}, failed=())
        if status_of_thing(snapshot) == "available":
            return snapshot
        # On storage on files a server at a task is in the way; on other storage waiting for that
        # beforehand would only part this cut from the others in time.
        yield from context.discard(role)
        yield from servers_idle(context.cloud, volume.id)
    raise Conflict(
        "Cinder could not make a snapshot",
        resource=str(context.resource),
        reason=f"its status became 'error', {ATTEMPTS} times",
        advice="The log of cinder-volume tells why",
    )


def _creator(
    context: HookContext, volume: Any, name: str, description: str | None
) -> Callable[[Marker], Any]:
    def create(marker: Marker) -> Any:
        with explained("make a snapshot of the volume", context.resource):
            return context.cloud.block_storage.create_snapshot(
                volume_id=volume.id,
                name=name[:255],
                description=description,
                is_forced=True,
                metadata=marker.metadata,
            )

    return create
