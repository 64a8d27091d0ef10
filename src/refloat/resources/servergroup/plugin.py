"""Protects the policy of a server group; restores the group, unless it is still there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refloat.cloud import Marker, explained
from refloat.resources.attributes import Attribute, Change, outcomes
from refloat.resources.base import (
    RESTORE_NAME,
    Hooks,
    OperationKind,
    PlanContext,
    Planned,
    ProtectionPlugin,
    Restored,
)
from refloat.resources.context import HookContext
from refloat.resources.options import Option
from refloat.resources.servergroup.protectable import TYPE

ATTRIBUTES = (
    Attribute("name", "exact"),
    Attribute("policy", "exact"),
    Attribute("rules", "exact"),
    Attribute("members", "mapped", "the restored servers join it when they are created"),
)

DUPLICATE = Option(
    "duplicate", "Create a new one even when the original is still there", type=bool, default=False
)

OPTIONS: Mapping[OperationKind, tuple[Option, ...]] = {"restore": (RESTORE_NAME, DUPLICATE)}


class ServerGroupProtect(Hooks):
    """Reads the group."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """The section."""
        group = context.cloud.get("server_group", context.resource.id)
        return {
            "name": group.name,
            # Before microversion 2.64 the one policy is in a list.
            "policy": group.policy or (group.policies or [""])[0],
            "rules": dict(group.rules or {}),
            "members": list(group.member_ids or ()),
        }


class ServerGroupRestore(Hooks):
    """Creates the group, or uses the one that is still there."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Make it so that the group is there, before the servers that join it."""
        planned, section = context.planned, context.section
        reused = planned.action == "reuse"
        if reused:
            new_id = planned.new_id
        else:

            def create(_marker: Marker) -> Any:
                rules = {"rules": section["rules"]} if section["rules"] else {}
                with explained(f"create the server group {planned.name}", context.resource):
                    return context.cloud.compute.create_server_group(
                        name=planned.name, policy=section["policy"], **rules
                    )

            known = [group.id for group in context.cloud.list("server_group") if group.name == planned.name]
            new_id = context.ensure(
                "server_group", "server_group", create, clue={"name": planned.name, "known": known}
            )
        restored = Restored(TYPE, context.resource.id, new_id, planned.name, reused, planned.reason)
        return {"restored": [restored.to_json()]}


class ServerGroupVerify(Hooks):
    """A group is all in its section."""

    def on_main(self, context: HookContext) -> Mapping[str, Any]:
        """Whether the section is whole."""
        missing = [item for item in ("name", "policy", "rules") if item not in context.section]
        return {
            "ok": not missing,
            "reason": f"the section has no {' and no '.join(missing)}" if missing else "",
        }


class ServerGroupPlugin(ProtectionPlugin):
    """Server groups, by policy and rules."""

    name = "server-group"
    resource_type = TYPE
    description = "Keeps the policy of a server group and creates it again"
    attributes = ATTRIBUTES
    options = OPTIONS

    protect = ServerGroupProtect
    restore = ServerGroupRestore
    verify = ServerGroupVerify

    def plan_restore(self, context: PlanContext) -> Planned:
        """Use the group if its id is still there, and nothing else was asked for."""
        section = context.section
        name = context.restored_name(str(section["name"]))
        beside = bool(context.parameters.get("restore_name") or context.parameters.get("duplicate"))
        still = next((g for g in context.listing("server_group") if g.id == context.resource.id), None)
        if still is not None and not beside:
            return Planned(
                "reuse",
                name=still.name,
                reason="it is still there",
                new_id=still.id,
                attributes=outcomes(ATTRIBUTES, section),
            )
        changes: dict[str, Change] = {}
        if name != section["name"]:
            changes["name"] = Change(name, "mapped", "as asked for with restore_name")
        return Planned(
            "create",
            name=name,
            attributes=outcomes(ATTRIBUTES, section, changes),
            needs={"server_groups": 1},
        )
