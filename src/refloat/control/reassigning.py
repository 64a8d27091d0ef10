"""Gives the checkpoints of projects that are gone to projects that live, and takes them back.

In the bank nothing changes: they stay under the key of the project that protected them, and are read with
it. Who may see and restore them is what the records say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from refloat.cloud import Cloud
from refloat.cloud.errors import explained
from refloat.control.payloads import short
from refloat.errors import Conflict, InvalidInput, NotFound
from refloat.records.checkpoints import CheckpointRecord, CheckpointRecords
from refloat.records.database import Database
from refloat.records.operations import Operations


def lives(cloud: Cloud, project_id: str) -> bool:
    """Whether the identity service knows a project; only its own answer says that it does not.

    :raises CloudError: it cannot be asked, or does not let the caller see projects.
    """
    try:
        with explained(f"ask the identity service for the project {project_id}"):
            identity: Any = cloud.connection.identity
            identity.get_project(project_id)
    except NotFound:
        return False
    return True


@dataclass(frozen=True)
class Reassignment:
    """What would go from one project to another.

    :param back: it goes back to where it came from.
    """

    source: str
    target: str
    checkpoints: Sequence[CheckpointRecord]
    back: bool


def find(database: Database, source: str, target: str) -> Reassignment:
    """What may go from one project to another, if the first one is gone.

    :raises NotFound: the project has no checkpoints.
    :raises InvalidInput: the two are one.
    """
    if source == target:
        raise InvalidInput("the checkpoints are this project's already")
    with database.session() as session:
        held = CheckpointRecords(database).of_project(session, source)
    if not held:
        raise NotFound(
            f"the project {source} has no checkpoints here", advice="See: refloat-manage checkpoint projects"
        )
    back = [record for record in held if record.reassigned_from == target]
    return Reassignment(source, target, back or held, bool(back))


def refuse(cloud: Cloud, found: Reassignment) -> None:
    """Refuse what is not known to be right. What goes back needs no more than that it came from there.

    :raises NotFound: the target is not there.
    :raises Conflict: the source lives.
    :raises CloudError: the identity service does not say.
    """
    if found.back:
        return
    # First what has to be there: it shows that the identity service lets projects be seen.
    if not lives(cloud, found.target):
        raise NotFound(f"there is no project {found.target}", advice="Give the id of one that lives")
    if lives(cloud, found.source):
        raise Conflict(
            f"the project {found.source} lives: its checkpoints stay its own",
            advice="Its members restore them; or copy them with refloat checkpoint copy",
        )


def reassign(database: Database, found: Reassignment) -> int:
    """Do it, in one transaction, which writes it into the operation log of the target; how many.

    :raises Conflict: one is in use, or is not there any more.
    """
    records, operations = CheckpointRecords(database), Operations(database)
    locks = [f"checkpoint {record.id}" for record in found.checkpoints]
    with database.one_at_a_time(*locks) as session:
        now = {record.id: record for record in records.of_project(session, found.source)}
        for record in found.checkpoints:
            if record.id not in now or now[record.id].reassigned_from != record.reassigned_from:
                raise Conflict(f"the checkpoint {record.id} is not as it was; nothing was changed")
            if users := operations.users_of(session, record.id):
                raise Conflict(
                    f"the checkpoint {record.id} is in use; nothing was changed",
                    reason=f"by the {users[0].kind} operation {users[0].id}",
                    advice="Wait for it, or cancel it",
                )
            owner = None if record.owner == found.target else record.owner
            values = {"project_id": found.target, "reassigned_from": owner}
            records.move(session, record.id, [now[record.id].status], **values)
            operations.add_ended(session, "reassign", found.target, *_told(record, found))
    return len(found.checkpoints)


def _told(record: CheckpointRecord, found: Reassignment) -> tuple[dict[str, Any], dict[str, Any]]:
    reason = f"reassigned from the project {found.source} to {found.target}"
    payload = {
        "checkpoint_id": record.id,
        "project_id": found.target,
        "provider": record.provider_id,
        "plan": short(record.plan),
        "parameters": {},
        "reason": reason,
    }
    return payload, {"id": record.id, "status": record.status, "reason": reason}
