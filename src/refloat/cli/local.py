"""The commands' Refloat on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING, Any

from refloat.cli.backend import Json, Parameters
from refloat.control.app import CheckpointState, Refloat
from refloat.errors import InvalidInput
from refloat.providers.describe import describe_plugins
from refloat.records.holds import Hold, Holds
from refloat.records.plans import Plan

if TYPE_CHECKING:
    from refloat.schedule.local import LocalSchedules


class Local(Refloat):
    """The façade, with what it knows put as the commands show it."""

    elsewhere = False

    def __enter__(self) -> Local:
        return self

    def list_providers(self) -> list[Json]:
        """All of them."""
        return [
            {
                "id": item.id,
                "name": item.name,
                "description": item.description,
                "bank": self.bank_location(item).url,
            }
            for item in self.providers
        ]

    def show_provider(self, name_or_id: str) -> Json:
        """One of them."""
        provider = self.providers.find(name_or_id)
        bank = self.bank_location(provider)
        return {
            "id": provider.id,
            "name": provider.name,
            "description": provider.description,
            "bank": bank.url,
            "bank_key": str(bank.key_file),
            "file": str(provider.file or ""),
            "notes": list(provider.notes),
            "plugins": describe_plugins(provider),
        }

    def provider_name(self, reference: str) -> str:
        """What it is called."""
        return self.providers.name(reference)

    def list_plans(self) -> list[Plan]:
        """The project's plans."""
        return self.plans.list()

    def find_plan(self, name_or_id: str) -> Plan:
        """One plan."""
        return self.plans.find(name_or_id)

    def delete_plan(self, plan_id: str) -> None:
        """Forget a plan."""
        self.plans.delete(plan_id)

    def checkpoints(self, plan: str = "") -> list[CheckpointState]:
        """Those in all banks, and those that are being made."""
        return [
            state
            for state in super().checkpoints()
            if plan in ("", state.plan.get("name"), state.plan.get("id"))
        ]

    def find_checkpoint(self, identity: str) -> CheckpointState:
        """One of them."""
        fits = [state for state in self.checkpoints() if identity and state.id.startswith(identity)]
        exact = [state for state in fits if state.id == identity]
        if len(fits) == 1 or exact:
            return (exact or fits)[0]
        self.checkpoint_id(identity)  # says what is wrong
        raise AssertionError(identity)

    @cached_property
    def schedules(self) -> LocalSchedules:
        """Triggers and scheduled operations."""
        from refloat.schedule.local import LocalSchedules

        return LocalSchedules(self)

    def place_hold(self, checkpoint: str, reason: str) -> Hold:
        """Only this machine's Refloat knows of it."""
        if not reason.strip():
            raise InvalidInput("a hold needs a reason")
        identity = self.checkpoint_id(checkpoint)
        return self._holds.place(identity, self.cloud.project_id, self.cloud.user_id, reason)

    def hold(self, checkpoint: str) -> Hold:
        """The hold on a checkpoint."""
        return self._holds.get(self.checkpoint_id(checkpoint))

    def release_hold(self, checkpoint: str) -> str:
        """End it."""
        identity = self.checkpoint_id(checkpoint)
        self._holds.release(identity)
        return identity

    @property
    def _holds(self) -> Holds:
        return Holds(self.database)

    def contents(self, checkpoint_id: str) -> Json:
        """What the bank has of it."""
        kept = self.checkpoint(checkpoint_id)
        extra = kept.info.extra
        found: dict[str, Any] = {"cloud": dict(extra.get("cloud", {}))}
        found |= {name: dict(extra[name]) for name in ("copied_from", "incomplete") if extra.get(name)}
        found["resources"] = [
            {"type": node["type"], "id": node["id"], "name": node["name"]} for node in kept.graph["nodes"]
        ]
        return found

    def dry_run(
        self, checkpoint: str, *, only: Iterable[str] = (), parameters: Parameters | None = None
    ) -> Json:
        """The restore plan, through JSON, as programs will get it."""
        plan = self.restore_plan(checkpoint, only=only, parameters=parameters)
        return dict(json.loads(json.dumps(plan.to_json(), default=str)))

    def copy_dry_run(self, checkpoint: str, to: str) -> Json:
        """What would be copied."""
        return self.copy_plan(checkpoint, to).to_json()
