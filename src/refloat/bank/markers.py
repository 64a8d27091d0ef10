"""Markers: somebody is writing this checkpoint, and still does."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import threading
import time
from datetime import UTC, datetime

from refloat.bank.collect import abandon
from refloat.bank.objects import ABANDONED, Objects, WriteSession, check_checkpoint_id
from refloat.bank.sealing import KIND_MARKER
from refloat.bank.store import Denied
from refloat.errors import Conflict, LeaseLost

_log = logging.getLogger(__name__)

RENEWED_EVERY = 86400.0
"""A marker that was not renewed for seven times as long is taken for that of a dead process."""

_ALIVE = b"This checkpoint is still being written.\n"


def announce(objects: Objects, checkpoint_id: str, tag: str) -> WriteSession:
    """Place the marker, or find the one of an earlier process."""
    check_checkpoint_id(checkpoint_id)
    found = _of(objects, checkpoint_id, tag)
    if any(name.endswith(ABANDONED) for name in found):
        with contextlib.suppress(Conflict):  # it was committed before
            abandon(objects, checkpoint_id)  # this was interrupted
        found = _of(objects, checkpoint_id, tag)
    if found:
        session = WriteSession.of_marker(min(found))
        signs = [*found.values(), *(e.modified for e in objects.store.list(session.renewals))]
        if time.time() - max(signs) > RENEWED_EVERY:
            renew(objects, session)
        return session
    session = WriteSession.new(checkpoint_id, tag)
    about = {"checkpoint": checkpoint_id, "started_at": datetime.now(UTC).isoformat(), "process": os.getpid()}
    objects.put_json(KIND_MARKER, session.marker, about)
    try:
        objects.check()
    except LeaseLost as lost:
        if lost.ended:  # else whoever runs the operation now may have found it, and go on in this session
            objects.store.delete(session.marker)
        raise
    return session


def _of(objects: Objects, checkpoint_id: str, tag: str) -> dict[str, float]:
    """The markers and signs of abandonment of a checkpoint, and their times."""
    return {e.name: e.modified for e in objects.store.list(f"writers/{checkpoint_id}.{tag}.")}


def renew(objects: Objects, session: WriteSession) -> None:
    """Say that the writer lives, in a new object: the marker itself never changes."""
    earlier = [entry.name for entry in objects.store.list(session.renewals)]
    objects.store.put(session.renewals + secrets.token_hex(8), _ALIVE)
    with contextlib.suppress(Denied):
        for name in earlier:
            objects.store.delete(name)


class Renewal:
    """Renews the marker of a session once a day, until it is ended."""

    def __init__(self, objects: Objects, session: WriteSession) -> None:
        self._objects = objects
        self._session = session
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="bank-alive", daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        pause = RENEWED_EVERY
        while not self._ended.wait(pause):
            try:
                renew(self._objects, self._session)
                pause = RENEWED_EVERY
            except LeaseLost:
                return
            except Exception as error:
                # Of whatever kind: without renewals the writing would in time be taken for a dead one's.
                _log.warning("The marker of %s was not renewed: %s", self._session.checkpoint_id, error)
                pause = RENEWED_EVERY / 24
