"""What the commands need of Refloat. There are two of it: on this machine (:mod:`local`), and behind
the REST service (:mod:`remote`). One suite of tests, of what users see, runs on both.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from refloat.graph import Graph, Resource
    from refloat.operations.app import CheckpointState, OperationView
    from refloat.records.operations import JournalItem, Operation
    from refloat.records.plans import Plan

Parameters = Mapping[str, Mapping[str, Any]]
Json = dict[str, Any]


class Backend(Protocol):
    """One user's Refloat. Everything that names a plan, a checkpoint or an operation may raise NotFound."""

    elsewhere: bool
    """Whether operations run without this process, as soon as they are written down."""

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
        description: str = "",
        objective: int | None = None,
    ) -> Plan:
        """Make a plan of pairs of a type and an id, a name, ``tag:NAME`` or ``metadata:KEY=VALUE``."""
        ...

    def update_plan(
        self,
        name_or_id: str,
        *,
        name: str | None = None,
        description: str | None = None,
        resources: Sequence[tuple[str, str]] | None = None,
        parameters: Parameters | None = None,
        objective: int | None = None,
    ) -> Plan:
        """Change what is given; an objective of 0 is none."""
        ...

    def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        ...

    # Checkpoints

    def checkpoints(self) -> list[CheckpointState]:
        """The project's checkpoints, newest first, and those that are being made."""
        ...

    def checkpoint_id(self, identity: str) -> str:
        """The whole id of a checkpoint, from its beginning."""
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
