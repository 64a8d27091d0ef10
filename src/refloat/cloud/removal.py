"""Removing things for good: waits while the service is busy with them, and until they are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack
from typing import Any

from refloat.cloud.connection import Cloud, CloudWait, StatusWait
from refloat.cloud.errors import status_of
from refloat.cloud.keyed_lock import keyed_lock
from refloat.cloud.kinds import KINDS
from refloat.errors import CloudError, Conflict

REFUSALS = frozenset({400, 409})
"""What services answer while a thing is still in use by something that is going away."""

PATIENCE = 120.0
"""Seconds to go on asking a service that refuses."""

DOUBT = 10.0
"""Seconds in which "not allowed" is not believed: Neutron 2026.2 has said it once, of its owner's port, while
Nova was letting go of that."""

LITTLE_PATIENCE = 5.0
"""The same when something could not be removed, which may be what holds it."""

IDLE_TIMEOUT = 1800.0
"""Seconds to wait for something to come into a state in which it can be removed."""

HELD = frozenset({"in-use"})
"""States of what something else holds."""

TASK_TIMEOUT = 6 * 3600.0
"""Seconds to wait for a server's task: uploading an image of a large disk takes long."""


class NotOurs(Conflict):
    """What was to be removed is somebody else's by now."""


def removal(
    cloud: Cloud,
    kind: str,
    identity: str,
    patience: float | None = None,
    ours: Callable[[], bool] = lambda: True,
) -> Generator[CloudWait, Any, bool]:
    """Remove one thing; yields what has to be waited for. Returns false when it was gone already.

    :param patience: seconds to go on asking a service that refuses, and to wait for something that is held;
        None: :data:`PATIENCE`, and :data:`IDLE_TIMEOUT`.
    :param ours: asked right before it is removed.
    :raises CloudError: the service refused to the end, or the thing went into an error state.
    :raises NotOurs: it is somebody else's by now.
    """
    entry = KINDS[kind]
    thing = cloud.find(kind, identity)
    if thing is None:
        return False
    status = entry.state(thing)
    if status in entry.deleting and (yield cloud.wait_gone(kind, identity)) is None:
        return True  # as volumes that go with their server
    if status in entry.busy:
        timeout = patience if patience is not None and status in HELD else IDLE_TIMEOUT
        yield _wait_until_idle(cloud, kind, identity, timeout)
    with ExitStack() as locks:
        if kind == "snapshot":
            # Storage on files has QEMU merge the snapshots of attached volumes. Two such jobs in one guest
            # at once have crashed it: QEMU 7.2 of Debian 12, three times in a day.
            for server_id in sorted(_users_of(cloud, thing.volume_id)):
                yield locks.enter_context(keyed_lock(f"the snapshots of server {server_id}"))
            yield from servers_idle(cloud, thing.volume_id)
        patience, begun = PATIENCE if patience is None else patience, time.monotonic()
        while True:
            asked = yield from _ask(cloud, kind, identity, patience, ours)
            if not asked or not entry.waits_gone or (yield cloud.wait_gone(kind, identity)) is None:
                return asked
            # Accepted, and given up: only then does Ceph know that the volume is still open somewhere, as for
            # a copy that was cut off a moment ago.
            if time.monotonic() - begun > patience:
                raise Conflict(
                    f"the {kind.replace('_', ' ')} {identity} was not deleted",
                    reason="its service began to delete it and gave up: something still uses it",
                )
            yield _pause(cloud, kind, identity)


def _ask(
    cloud: Cloud, kind: str, identity: str, patience: float, ours: Callable[[], bool]
) -> Generator[CloudWait, Any, bool]:
    """Ask for the deletion until it is accepted; false when the thing was gone."""
    begun = time.monotonic()
    while True:
        if not ours():
            raise NotOurs(
                f"the {kind.replace('_', ' ')} {identity} was not removed",
                reason="it does not carry the mark of this operation any more: somebody else has it now",
            )
        try:
            return cloud.remove(kind, identity)
        except CloudError as exc:
            refused = status_of(exc)
            if refused not in REFUSALS and refused != 403:
                raise
            if time.monotonic() - begun > (min(DOUBT, patience) if refused == 403 else patience):
                raise
            # Something that holds it has not quite gone yet; or it is being deleted since a call that got no
            # answer, and was made again.
            thing = cloud.find(kind, identity)
            if thing is None or KINDS[kind].state(thing) in KINDS[kind].deleting:
                return True
            yield _pause(cloud, kind, identity)


def servers_idle(cloud: Cloud, volume_id: str) -> Generator[CloudWait, Any, None]:
    """Wait until no server that uses a volume is at a task, before a snapshot is made or removed.

    Storage on files makes and removes snapshots of attached volumes through Nova, which refuses while the
    server is at a task such as uploading an image of its disk. Cinder then leaves the snapshot in ``error``
    when it was to be made, and in ``error_deleting``, which only an administrator gets it out of, when it was
    to be removed: so this is not left to chance.
    """
    for server_id in _users_of(cloud, volume_id):
        server = cloud.find("server", server_id)
        if server is not None and server.task_state:
            yield cloud.wait(
                "server",
                server_id,
                lambda thing: not thing.task_state,
                failed=(),
                timeout=TASK_TIMEOUT,
                text=f"server {server.name} to finish its task",
            )


def _users_of(cloud: Cloud, volume_id: str) -> list[str]:
    """The servers that a volume is attached to."""
    volume = cloud.find("volume", volume_id)
    attachments = (volume.attachments or ()) if volume is not None else ()
    return list(dict.fromkeys(a["server_id"] for a in attachments if a.get("server_id")))


def _wait_until_idle(cloud: Cloud, kind: str, identity: str, timeout: float) -> StatusWait:
    entry, text = KINDS[kind], f"{kind} {identity} to be deletable"
    return cloud.wait(
        kind,
        identity,
        lambda thing: entry.state(thing) not in entry.busy,
        failed=(),
        timeout=timeout,
        text=text,
    )


def _pause(cloud: Cloud, kind: str, identity: str) -> StatusWait:
    """Wait a second or two: ready at the second look."""
    looks = iter((False, False))
    return cloud.wait(
        kind, identity, lambda _thing: next(looks, True), failed=(), text=f"{kind} {identity} to be released"
    )
