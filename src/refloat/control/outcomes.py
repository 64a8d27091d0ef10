"""Writes down what has come of operations, and what that means for their checkpoints and for whom is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from refloat.control.adoption import HEALED
from refloat.control.following import follow, remember
from refloat.engine.program import Milestone
from refloat.errors import BankDamaged, Held, OlderBank, RefloatError, Stale
from refloat.notify.events import NOBODY, START, TAKE_OVER, Notices
from refloat.operations.protect import whole
from refloat.records import restore_plans
from refloat.records.checkpoints import (
    AVAILABLE,
    BAD,
    COPYING,
    DELETED,
    DELETING,
    ERROR,
    ERROR_DELETING,
    GOOD,
    GOOD_IN_BANK,
    PROTECTING,
    UNVERIFIED,
    WAIT_COPYING,
    CheckpointRecords,
)
from refloat.records.database import Database
from refloat.records.incarnation import advance
from refloat.records.operations import without_result, write_result


class Outcomes:
    """Writes down what has come of operations.

    :param notices: whom to tell.
    :param host: what this worker is called, where another's operations are taken over.
    """

    def __init__(self, database: Database, notices: Notices = NOBODY, host: str = "") -> None:
        self._database = database
        self._notices = notices
        self._host = host
        self._checkpoints = CheckpointRecords(database)

    def write(self, session: Session, milestone: Milestone) -> None:
        """Write what belongs to a milestone, in the transaction that writes the milestone itself.

        No bank is asked: whoever writes to the database waits for this.
        """
        operation = without_result(session, milestone.operation_id, milestone.payload)
        advance(session)
        if milestone.what == "taken over":
            self._notices.operation(session, operation, TAKE_OVER, host=self._host)
        elif milestone.what == "began" and not milestone.undoing:
            if operation.kind == "copy":
                self._checkpoints.move(session, subject(milestone), [WAIT_COPYING], status=COPYING)
            self._notices.operation(session, operation, START)
        elif milestone.what == "ended" and milestone.state == "parked":
            self._notices.parked(session, operation, milestone.error)
        elif milestone.what == "ended":
            if (changes := _changes(milestone)) is not None:
                before, values = changes
                self._checkpoints.move(session, subject(milestone), before, **values)
            if (kept := milestone.payload.get("restore_plan_id")) is not None:
                restore_plans.ended(session, str(kept), milestone.operation_id, **_of_plan(milestone))
            for state, depth, identities in _verified(milestone):
                self._checkpoints.verified(session, identities, state, depth)
            result = milestone.result
            if milestone.kind == "restore" and milestone.state == "succeeded":
                result = _followed(session, milestone, operation.project_id)
            self._notices.ended(session, operation, milestone.state, result, milestone.error)


def _followed(session: Session, ended: Milestone, project_id: str) -> Mapping[str, Any]:
    """What a restore has made in the place of what was gone is known from now on; the result, with plans."""
    result = ended.result or {}
    where = str(ended.payload.get("elsewhere") or project_id)
    remember(session, where, str((ended.prepared or {}).get("region", "")), result)
    if plans := follow(session, project_id, result):
        result = {**result, "plans": plans}
        write_result(session, ended.operation_id, result)
    return result


def _changes(ended: Milestone) -> tuple[Sequence[str], dict[str, Any]] | None:
    """What the end of an operation means for its checkpoint: from which statuses it goes to what."""
    succeeded = ended.state == "succeeded"
    reason = str(RefloatError.from_json(dict(ended.error))) if ended.error else ended.state
    if ended.kind == "delete":
        refusal = (ended.error or {}).get("error")
        if refusal == Held.__name__ or (refusal == OlderBank.__name__ and not ended.prepared):
            was = str(ended.payload.get("was", ERROR_DELETING))
            return [DELETING], {"status": was, "reason": "" if was == AVAILABLE else reason}
        # What is only half deleted may still be in the bank.
        return [DELETING], {"status": DELETED, "reason": ""} if succeeded else {
            "status": ERROR_DELETING,
            "reason": reason,
        }
    if ended.kind not in ("protect", "copy"):
        return None
    prepared, result = ended.prepared or {}, ended.result or {}
    # A copy may have found another one there.
    if succeeded and prepared.get("there", "") in ("", subject(ended)):
        values = {"status": AVAILABLE, "graph": prepared["graph"], "reason": ""}
        values["lacks"] = prepared.get("lacks") or None
        values |= {name: result[name] for name in ("size", "seconds") if name in result}
        if not prepared.get("there"):  # it is a new one, also where there was one of this id
            values |= UNVERIFIED
        # What is in the bank is there, whatever has become of its record meanwhile.
        return HEALED, {**values, "plugins": prepared["plugins"]} if "plugins" in prepared else values
    if ended.kind == "protect" and (ended.error or {}).get("left_behind") == whole(subject(ended)):
        # It was cancelled, or failed, when its checkpoint was in the bank already: that stays.
        there = {"status": AVAILABLE, "graph": prepared["graph"], "lacks": prepared.get("lacks") or None}
        return HEALED, {**there, "reason": "", "plugins": prepared["plugins"], **UNVERIFIED}
    making = [PROTECTING] if ended.kind == "protect" else [WAIT_COPYING, COPYING]
    return making, {"status": ERROR, "reason": reason}


def _of_plan(ended: Milestone) -> dict[str, Any]:
    """What the end of an operation means for the restore plan that it made, or ran."""
    error = ended.error or {}
    reason = str(RefloatError.from_json(dict(error))) if error else ""
    if ended.kind != "restore":
        if ended.state == "succeeded":
            return {"status": restore_plans.READY, "reason": "", "content": ended.result}
        if (was := ended.payload.get("was")) is not None:
            return {**restore_plans.again(was), "reason": f"it was not changed: {reason or ended.state}"}
        return {"status": restore_plans.FAILED, "reason": reason or ended.state}
    if ended.state == "succeeded":
        return {"status": restore_plans.RESTORED, "reason": ""}
    stale = error.get("error") == Stale.__name__
    return {"status": restore_plans.STALE if stale else restore_plans.READY, "reason": reason or ended.state}


def _verified(ended: Milestone) -> Iterator[tuple[str, str, Collection[str]]]:
    """What the end of an operation tells of checkpoints: that they are good or bad, and how deep it looked.

    One that failed for another reason than damage, such as the network, tells nothing.
    """
    if "place" in ended.payload:  # what is known here may be of another copy of the bank
        return
    result, prepared = ended.result or {}, ended.prepared or {}
    if ended.kind == "bank_verify" and ended.state == "succeeded":
        yield BAD, str(prepared["depth"]), prepared.get("bad", ())
        yield GOOD_IN_BANK, str(prepared.get("sure_depth", "")), prepared.get("good", ())
    elif ended.kind == "verify" and ended.state == "succeeded":
        state = BAD if result.get("status") == BAD else GOOD
        yield state, str(ended.payload.get("depth", "full")), [subject(ended)]
    elif ended.kind == "restore" and ended.state == "succeeded" and prepared.get("reads_all"):
        yield GOOD, "full", [subject(ended)]
    elif ended.kind in ("verify", "restore") and (ended.error or {}).get("error") == BankDamaged.__name__:
        depth = str(ended.payload.get("depth", "full" if ended.prepared else "manifests"))
        yield BAD, depth, [subject(ended)]


def subject(operation: Milestone) -> str:
    """The checkpoint that an operation makes, or works on."""
    return str(operation.payload["copy_id" if operation.kind == "copy" else "checkpoint_id"])
