"""A volume's bytes by the mover ``rbd``: read from the snapshot that Cinder made, written into a new volume.

Which image is opened follows from what Cinder tells with the caller's own rights, now: the volume, and the
snapshot that this operation has made of it, which has to be in the image; or the volume that it has made.
What plans, parameters and checkpoints say names no image and no pool.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from typing import Any

from refloat.bank import Former
from refloat.cloud import fence
from refloat.errors import BankError, Cancelled, InvalidInput, LeaseLost, RefloatError
from refloat.movers import CannotTell, disagreements
from refloat.movers.baselines import baseline_name, baselines, cut
from refloat.movers.rbd import CephCluster, RbdSink, RbdSource
from refloat.resources.context import HookContext
from refloat.resources.creations import BASELINE
from refloat.resources.volume.capture import SNAPSHOT

_LOG = logging.getLogger(__name__)


class CannotMove(RefloatError):
    """A mover cannot do it, and this is why: the next one is asked."""


@contextmanager
def _moving() -> Iterator[None]:
    """What goes wrong in here is the mover's fault, not the bank's."""
    try:
        yield
    except (CannotMove, Cancelled):
        raise
    except RefloatError as exc:
        raise CannotMove(f"{exc.message} ({exc.reason})" if exc.reason else exc.message) from exc


class _Source:
    def __init__(self, inner: RbdSource) -> None:
        self._inner, self.size = inner, inner.size

    def extents(self) -> Iterator[tuple[int, int]]:
        with _moving():
            yield from self._inner.extents()

    def read_into(self, offset: int, target: memoryview) -> None:
        with _moving():
            self._inner.read_into(offset, target)


class _Asked:
    """Whether the operation is still this process's; for many threads.

    An answer holds for half a second: nobody takes a lease over that has just been found good.
    """

    def __init__(self) -> None:
        self._context, self._at = copy_context(), float("-inf")

    def __call__(self) -> None:
        now = time.clock_gettime(time.CLOCK_BOOTTIME)  # which goes on while the process is stopped
        if now - self._at > 0.5:
            self._context.copy().run(fence.check)
            self._at = now


class _Sink:
    """Nothing is written when the operation is another process's by then.

    :param check: raises when it is; for many threads.
    """

    def __init__(self, inner: RbdSink, check: Callable[[], None]) -> None:
        self._inner, self._check = inner, check

    def begin(self, size: int, holes: Iterable[tuple[int, int]]) -> None:
        with _moving():
            self._inner.begin(size, holes)

    def write(self, offset: int, data: bytes | memoryview) -> None:
        self._check()
        with _moving():
            self._inner.write(offset, data)

    def zeros(self, offset: int, length: int) -> None:
        self._check()
        with _moving():
            self._inner.zeros(offset, length)

    def finish(self, *, flush: bool) -> None:
        with _moving():
            self._inner.finish(flush=flush)

    def abort(self) -> None:
        with _moving():
            self._inner.abort()


def protect(context: HookContext, size: int) -> dict[str, Any]:
    """Store what the snapshot holds; what goes into the section.

    :raises CannotMove: it could not be read so, and no baseline is left.
    """
    volume_id, snapshot_id = _told(context)
    name, snapshot = image_name(volume_id), f"snapshot-{snapshot_id}"
    with context.movers.ceph.cluster() as cluster:
        pool = _pool_of(context, cluster, name, snapshot)
        try:
            kept, why = _cut(context, cluster, pool, name)
            with _moving():
                source = RbdSource(cluster, pool, name, snapshot, kept)
            with source:
                if source.size != size:
                    raise CannotMove(f"the image {pool}/{name} has {source.size} bytes instead of {size}")
                return _stored(context, source, _Former(context, cluster, pool, name, source), why)
        except LeaseLost:  # the baseline is that of whoever has the operation now
            raise
        except BaseException:
            _take_back(context, pool, name)
            raise


def _told(context: HookContext) -> tuple[str, str]:
    """The ids of the volume and of the snapshot that was made of it, as Cinder tells them to the caller."""
    made = context.created(SNAPSHOT)
    snapshot = context.cloud.find("snapshot", made) if made else None
    if snapshot is None:
        raise CannotMove("the snapshot is gone: the next mover has been asked already")
    volume = context.cloud.find("volume", context.resource.id)
    if volume is None or str(snapshot.volume_id) != str(volume.id):
        raise CannotMove("Cinder does not tell of the volume that the snapshot was made of")
    if volume.is_encrypted:
        raise CannotMove("the volume is encrypted")
    return str(volume.id), str(snapshot.id)


def image_name(volume_id: str) -> str:
    """As Cinder calls it, if its operator has not decided otherwise."""
    return f"volume-{volume_id}"


def _pool_of(context: HookContext, cluster: CephCluster, name: str, snapshot: str | None = None) -> str:
    """In which of the provider's pools an image is. :raises CannotMove: in none of them."""
    said = []
    for pool in context.movers.ceph.pools:
        try:
            with _moving(), cluster.image(pool, name, snapshot):
                return pool
        except CannotMove as exc:
            said.append(exc.message)
    raise CannotMove("; ".join(said))


def _cut(context: HookContext, cluster: CephCluster, pool: str, name: str) -> tuple[str, str]:
    """The name of the new baseline, or why there is none: then the next protection reads all."""
    source = str(context.resource.key)
    context.check_cancelled()
    if context.journal.find(source, BASELINE) is None:
        context.journal.intend(source, BASELINE, BASELINE, {"pool": pool, "image": name})
    fence.check()
    try:
        made = cut(cluster, pool, name, context.checkpoint_id)
    except RefloatError as exc:
        return "", str(exc)
    context.journal.made(source, BASELINE, made)
    return made, ""


def _take_back(context: HookContext, pool: str, name: str) -> None:
    """Remove the baseline. If that fails it stays in the journal, and undoing the operation removes it."""
    fence.check()
    try:
        context.movers.forget(pool, name, context.checkpoint_id)
    except RefloatError as exc:
        _LOG.warning("%s: a snapshot is left on its image for now: %s", context.resource, exc)
    else:
        context.journal.forget(str(context.resource.key), BASELINE)


class _Former:
    """The data of the latest checkpoint of which it is known what has changed since, if there is one.

    :ivar former: None: there is none.
    :ivar why: there is none.
    """

    def __init__(
        self, context: HookContext, cluster: CephCluster, pool: str, name: str, source: RbdSource
    ) -> None:
        self.former: Former | None = None
        self.checkpoint_id, self.since_full = "", 0
        self.why = "there is no earlier protection to compare with"
        try:
            for each in baselines(cluster, pool, name):
                if each.checkpoint_id == context.checkpoint_id:
                    continue
                section = context.data.section(each.checkpoint_id, context.resource.key)
                if section is not None and self._take(source, each.name, section):
                    self.checkpoint_id, self.why = each.checkpoint_id, ""
                    return
        except RefloatError as exc:
            self.why = str(exc)

    def _take(self, source: RbdSource, baseline: str, section: Mapping[str, Any]) -> bool:
        """Take a section's data. What it says of an image is only compared, never opened."""
        try:
            mover = section["mover"]
            state = mover["state"]
            if state["baseline"]["name"] != baseline:
                raise CannotTell("its checkpoint tells of another snapshot")
            self.former = Former(section["data"], list(source.changed(state)))
            self.since_full = int(mover["since_full"]) + 1
        except CannotTell as exc:
            self.why = exc.message
        except (KeyError, TypeError, ValueError, AttributeError):
            self.former, self.why = None, "the earlier protection does not tell what it was made from"
        return self.former is not None


def _stored(context: HookContext, source: RbdSource, earlier: _Former, no_baseline: str) -> dict[str, Any]:
    former, why, differing = earlier.former, earlier.why, 0
    every = context.movers.full_every
    asked = context.parameters.get("full_read")
    if former is not None and (asked or earlier.since_full >= every):
        why = "full_read is asked for" if asked else f"every {every}th protection reads all"
    ways = context.progress, context.cancelled
    try:
        data = context.data.put_changed(_Source(source), None if why else former, *ways)
    except (BankError, InvalidInput) as exc:
        if why:
            raise
        former, why = None, f"the data of checkpoint {earlier.checkpoint_id} cannot be used: {exc}"
        data = context.data.put_changed(_Source(source), None, *ways)
    if why and former is not None:
        differing, why = _compared(context, data, earlier, why)
    try:
        state = dict(source.state)
    except RefloatError as exc:
        state, no_baseline = {}, str(exc)
    since = earlier.checkpoint_id
    return {
        "data": data,
        "hash": {},
        "_said": f"all was read by rbd: {why}"
        if why
        else f"what changed since checkpoint {since} was read by rbd",
        "mover": {
            "name": "rbd",
            "state": state,
            **({"no_baseline": no_baseline} if no_baseline else {}),
            "read_all_for": why,
            "changes_since": "" if why else since,
            "since_full": 0 if why else earlier.since_full,
            "differing": differing,
        },
    }


def _compared(context: HookContext, data: Mapping[str, Any], earlier: _Former, why: str) -> tuple[int, str]:
    """How many chunks are not what was told of them, though all was read; and what to say of it."""
    assert earlier.former is not None  # noqa: S101
    try:
        differing = context.data.differing(data, earlier.former)
    except (BankError, InvalidInput) as exc:
        return 0, f"{why}; checkpoint {earlier.checkpoint_id} could not be compared: {exc}"
    if differing:
        disagreements.add(differing)
        _LOG.error(
            "%s: %d MiB have changed of which the cluster said that they had not, since checkpoint %s. This "
            "checkpoint is right: all was read. Those since the last time that all was read may be wrong",
            *(context.resource, differing, earlier.checkpoint_id),
        )
    return differing, why


def restore(context: HookContext, volume: Any) -> None:
    """Write the bank's data into the volume that this operation has made.

    :param volume: as Cinder tells it now.
    :raises CannotMove: it could not be written so, and may have a part of it.
    """
    if volume.is_encrypted:
        raise CannotMove("the new volume is encrypted, by its type")
    with context.movers.ceph.cluster() as cluster:
        name = image_name(str(volume.id))
        pool = _pool_of(context, cluster, name)
        asked = _Asked()
        with context.data.open(context.section["data"]) as reader:
            with _moving():
                sink = _Sink(RbdSink(cluster, pool, name), asked)
            reader.restore_to(sink, progress=context.progress, cancelled=context.cancelled)


def forget(context: HookContext) -> None:
    """Remove the baseline of a checkpoint that is deleted. What cannot be reached now goes with its age."""
    try:
        state = context.section["mover"]["state"]
        pool, kept = state["pool"], state["baseline"]["name"]
    except (KeyError, TypeError):
        return
    movers = context.movers
    if "rbd" not in movers.names or kept != baseline_name(context.checkpoint_id):  # or this is a copy
        return
    fence.check()
    try:
        movers.forget(pool, image_name(context.resource.id), context.checkpoint_id)
    except RefloatError as exc:
        _LOG.warning("The snapshot %s of %s stays for now: %s", kept, context.resource, exc)
