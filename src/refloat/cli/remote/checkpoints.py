"""Checkpoints at the service."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from refloat.cli.remote.plans import RemotePlans
from refloat.cli.remote.session import is_id
from refloat.cli.remote.views import checkpoint_state, hold_of
from refloat.cli.resolve import resolve
from refloat.cli.views import CheckpointState, Json
from refloat.client.errors import Missing, told
from refloat.graph import Resource
from refloat.records.holds import Hold

_DELETED = "deleted"
"""The status of those that the service still shows, but does not list."""


class RemoteCheckpoints(RemotePlans):
    """The project's checkpoints, of all providers."""

    reach = None

    def checkpoints(self, plan: str = "") -> list[CheckpointState]:
        filters: dict[str, Any] = {"plan_id": plan} if is_id(plan) else {}
        with told("list the checkpoints"):
            found = [
                checkpoint_state(item)
                for provider in self._providers
                for item in self.api.checkpoints(provider.id, **filters)
            ]
        chosen = [state for state in found if plan in ("", state.plan["id"], state.plan["name"])]
        return sorted(chosen, key=lambda state: state.created_at, reverse=True)

    def why_none(self) -> str:
        return "the service has no checkpoint of this project"

    def checkpoint_id(self, identity: str) -> str:
        return self.find_checkpoint(identity, exactly=True).id

    def find_checkpoint(self, identity: str, *, exactly: bool = False) -> CheckpointState:
        """As :func:`refloat.cli.resolve.resolve`."""
        found = self._with_id(identity) if is_id(identity) else None
        return found or resolve(identity, self.checkpoints(), exactly=exactly)

    def describe(self, checkpoint: str, wanted: Mapping[str, Any]) -> CheckpointState:
        state = self.find_checkpoint(checkpoint, exactly=True)
        with told("change what is said of the checkpoint", state.id):
            return checkpoint_state(self.api.update_checkpoint(state.provider, state.id, **wanted))

    def _with_id(self, identity: str) -> CheckpointState | None:
        for provider in self._providers:
            with told("show the checkpoint", identity), contextlib.suppress(Missing):
                state = checkpoint_state(self.api.get_checkpoint(provider.id, identity))
                return state if state.status != _DELETED else None
        return None

    def place_hold(self, checkpoint: str, reason: str) -> Hold:
        state = self.find_checkpoint(checkpoint)
        with told("put the checkpoint on hold", state.id):
            return hold_of(self.api.place_hold(state.provider, state.id, reason), state)

    def hold(self, checkpoint: str) -> Hold:
        state = self.find_checkpoint(checkpoint)
        with told("show the hold on the checkpoint", state.id):
            return hold_of(self.api.get_hold(state.provider, state.id), state)

    def release_hold(self, checkpoint: str) -> str:
        state = self.find_checkpoint(checkpoint, exactly=True)
        with told("release the checkpoint", state.id):
            self.api.release_hold(state.provider, state.id)
        return state.id

    def contents(self, checkpoint_id: str) -> Json:
        connection = self.api._get_connection()
        auth_url = str(connection.config.auth.get("auth_url", ""))
        return {
            "cloud": {"name": self._cloud_name or "", "auth_url": auth_url},
            "resources": [
                {"type": node.type, "id": node.id, "name": node.name} for node in self._nodes(checkpoint_id)
            ],
        }

    def _nodes(self, checkpoint_id: str) -> list[Resource]:
        state = self.find_checkpoint(checkpoint_id)
        with told("show the checkpoint", checkpoint_id):
            nodes, _adjacency = self.api.get_checkpoint(state.provider, state.id).graph()
        return [Resource(node[0], node[1], node[2] or "") for node in reversed(nodes.values())]
