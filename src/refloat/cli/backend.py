"""What the commands need of Refloat. There are two of it: on this machine (:mod:`local`), and behind
the REST service (:mod:`remote`). One suite of tests, of what users see, runs on both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Unpack

if TYPE_CHECKING:
    from refloat.cli.views import CheckpointState, OperationView
    from refloat.graph import Graph, Resource
    from refloat.records.holds import Hold
    from refloat.records.journal import JournalItem
    from refloat.records.operations import Operation
    from refloat.records.plans import Plan, PlanAttributes, PlanChanges
    from refloat.records.schedules import Firing, Schedule
    from refloat.records.triggers import Trigger
    from refloat.schedule.retention import Verdict
    from refloat.schedule.view import ScheduleView

Parameters = Mapping[str, Mapping[str, Any]]
Json = dict[str, Any]


class Backend(Protocol):
    """One user's Refloat. Everything that names a plan, a checkpoint or an operation may raise NotFound."""

    def __enter__(self) -> Backend: ...

    def __exit__(self, *exc: object) -> None: ...

    # What can be protected, and how

    def types(self) -> list[str]:
        """The types of resources that can be protected."""
        ...

    def resources(self, type_name: str) -> list[Resource]:
        """The project's resources of a type."""
        ...

    def tree(self, type_name: str, name_or_id: str) -> tuple[Resource, Graph]:
        """A resource and the graph of all that it needs."""
        ...

    def list_providers(self) -> list[Json]:
        """``id``, ``name``, ``description`` and ``bank`` of each."""
        ...

    def show_provider(self, name_or_id: str) -> Json:
        """One of them, with ``bank_key``, ``file``, ``notes`` and ``plugins``."""
        ...

    def provider_name(self, reference: str) -> str:
        """What a provider is called, by its id or what plans call it."""
        ...

    # Plans

    def list_plans(self) -> list[Plan]:
        """The project's plans, oldest first."""
        ...

    def find_plan(self, name_or_id: str) -> Plan:
        """One plan."""
        ...

    def create_plan(
        self,
        name: str,
        resources: Sequence[tuple[str, str]],
        *,
        provider: str = "default",
        parameters: Parameters | None = None,
        **attributes: Unpack[PlanAttributes],
    ) -> Plan:
        """Make a plan of pairs of a type and an id, a name, ``tag:NAME`` or ``metadata:KEY=VALUE``."""
        ...

    def update_plan(self, name_or_id: str, **changes: Unpack[PlanChanges]) -> Plan:
        """Change what is given."""
        ...

    def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        ...

    # Checkpoints

    def checkpoints(self, plan: str = "") -> list[CheckpointState]:
        """The project's checkpoints, newest first, and those that are being made.

        :param plan: only those of this plan, by id or by what it was called then.
        """
        ...

    def find_checkpoint(self, identity: str) -> CheckpointState:
        """A checkpoint, also one that is being made, from the beginning of its id."""
        ...

    def checkpoint_id(self, identity: str) -> str:
        """The whole id of a checkpoint that is made, from its beginning."""
        ...

    def place_hold(self, checkpoint: str, reason: str) -> Hold:
        """Put a checkpoint on legal hold."""
        ...

    def hold(self, checkpoint: str) -> Hold:
        """The hold on a checkpoint. :raises NotFound: there is none."""
        ...

    def release_hold(self, checkpoint: str) -> str:
        """End the hold on a checkpoint; the whole id of that. :raises NotFound: there is none."""
        ...

    def contents(self, checkpoint_id: str) -> Json:
        """What is told of a checkpoint that exists: ``cloud`` (where it was made), ``resources``."""
        ...

    # Operations. With ``begin=False`` they are only written down, where that is possible.

    def protect(self, plan_name_or_id: str, *, begin: bool = True) -> Operation:
        """Protect a plan."""
        ...

    def restore(
        self,
        checkpoint: str,
        *,
        only: Iterable[str] = (),
        parameters: Parameters | None = None,
        keep_on_failure: bool = False,
        begin: bool = True,
    ) -> Operation:
        """Restore a checkpoint."""
        ...

    def dry_run(
        self, checkpoint: str, *, only: Iterable[str] = (), parameters: Parameters | None = None
    ) -> Json:
        """What such a restore would do: ``possible``, ``problems``, ``needs``, ``resources``."""
        ...

    def verify(
        self, checkpoint: str, *, parameters: Parameters | None = None, begin: bool = True
    ) -> Operation:
        """Verify a checkpoint."""
        ...

    def copy(
        self, checkpoint: str, to: str, *, allow_incomplete: bool = False, begin: bool = True
    ) -> Operation:
        """Copy a checkpoint to the bank of another provider."""
        ...

    def copy_dry_run(self, checkpoint: str, to: str) -> Json:
        """What would be copied: ``exists``, ``complete``, ``size``, ``resources``..."""
        ...

    def delete_checkpoint(self, checkpoint: str, *, begin: bool = True) -> Operation:
        """Delete a checkpoint."""
        ...

    def begin(self, operation: Operation) -> None:
        """Begin with an operation that is written down."""
        ...

    def wait(self, operation_id: str, timeout: float | None = None) -> Operation:
        """Wait so many seconds for an operation to end here. :raises TimeoutError: it has not."""
        ...

    def stop(self, operation_id: str) -> None:
        """Park an operation that runs here."""
        ...

    def runs_elsewhere(self, operation: Operation | None = None) -> bool:
        """Whether an operation runs without this process, as soon as it is written down.

        :param operation: None: whatever a schedule begins.
        """
        ...

    def look_at_all(self) -> list[OperationView]:
        """How all the project's operations are now, newest first."""
        ...

    def look(self, identity: str, *, outcomes: bool = False) -> OperationView:
        """How an operation is now; its id may be cut short."""
        ...

    def created(self, operation_id: str) -> list[JournalItem]:
        """What an operation has created in the cloud."""
        ...

    def resumable(self, identity: str) -> OperationView:
        """An operation that can be resumed. :raises Conflict: it cannot."""
        ...

    def resume(self, identity: str) -> Operation:
        """Go on with an operation."""
        ...

    def cancel(self, identity: str) -> Operation:
        """Stop an operation and remove what it created."""
        ...

    # Triggers and schedules

    @property
    def schedules(self) -> ScheduleBackend:
        """Triggers and scheduled operations."""
        ...


class ScheduleBackend(Protocol):
    """One user's triggers and scheduled operations. What is named by name or id may raise NotFound."""

    def list_triggers(self) -> Sequence[Trigger]:
        """The project's triggers, oldest first."""
        ...

    def find_trigger(self, name_or_id: str) -> Trigger:
        """One of them."""
        ...

    def create_trigger(self, name: str, properties: Mapping[str, Any]) -> Trigger:
        """Make a trigger."""
        ...

    def change_trigger(
        self, trigger: Trigger, name: str | None, properties: Mapping[str, Any] | None
    ) -> Trigger:
        """Rename a trigger, or replace its properties."""
        ...

    def delete_trigger(self, trigger: Trigger) -> None:
        """Forget a trigger. :raises Conflict: a schedule uses it."""
        ...

    def list(self) -> Sequence[ScheduleView]:
        """The project's scheduled operations, oldest first."""
        ...

    def find(self, name_or_id: str) -> ScheduleView:
        """One of them."""
        ...

    def create(
        self, name: str, trigger: str, plan: str, rules: Mapping[str, int] | None, description: str = ""
    ) -> ScheduleView:
        """Make a scheduled operation.

        :param rules: what retention keeps; None: it deletes nothing.
        """
        ...

    def change(self, schedule: Schedule, **changes: Any) -> ScheduleView:
        """Change its ``name``, ``description``, or whether it is ``enabled``."""
        ...

    def delete(self, schedule: Schedule) -> None:
        """Forget it."""
        ...

    def preview(self, schedule: Schedule) -> Sequence[Verdict]:
        """What its retention would do now, the newest checkpoint first."""
        ...

    def run(self, schedule: Schedule, say: Callable[[Firing, Schedule], None]) -> int:
        """Run it now, to its end; how many runs did not end well.

        :param say: told of each that has ended.
        """
        ...

    def run_due(self, say: Callable[[Firing, Schedule], None]) -> int:
        """Run what is due, likewise."""
        ...
