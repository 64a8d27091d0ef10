"""Markers: somebody is writing this checkpoint."""

from __future__ import annotations

import contextlib
import os
from datetime import UTC, datetime

from refloat.bank.collect import abandon
from refloat.bank.objects import ABANDONED, Objects, WriteSession, check_checkpoint_id
from refloat.bank.sealing import KIND_MARKER
from refloat.errors import Conflict, LeaseLost


def announce(objects: Objects, checkpoint_id: str, tag: str) -> WriteSession:
    """Place the marker, or find the one of an earlier process."""
    check_checkpoint_id(checkpoint_id)
    names = {e.name for e in objects.store.list(f"writers/{checkpoint_id}.{tag}.")}
    if any(name.endswith(ABANDONED) for name in names):
        with contextlib.suppress(Conflict):  # it was committed before
            abandon(objects, checkpoint_id)  # this was interrupted
        names = {e.name for e in objects.store.list(f"writers/{checkpoint_id}.{tag}.")}
    if names:
        return WriteSession.of_marker(min(names))
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
