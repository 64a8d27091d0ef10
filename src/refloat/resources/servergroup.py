"""Server groups: which servers are to be kept together, and which apart."""

from __future__ import annotations

from typing import Any

from refloat.cloud import Cloud, Marker
from refloat.cloud.kinds import KINDS
from refloat.resources.attributes import Attribute, exact
from refloat.resources.base import RESTORE_NAME, HookContext, Section
from refloat.resources.declared import Declared
from refloat.resources.options import Option


def _read(_cloud: Cloud, group: Any) -> Section:
    return {
        "name": group.name,
        # Before microversion 2.64 the one policy is in a list.
        "policy": group.policy or (group.policies or [""])[0],
        "rules": dict(group.rules or {}),
        "members": list(group.member_ids or ()),
    }


def _create(context: HookContext, _marker: Marker) -> Any:
    fields = {"name": context.planned.name, "policy": context.section["policy"]}
    rules = {"rules": context.section["rules"]} if context.section["rules"] else {}
    return context.cloud.create("server_group", fields | rules)


SERVER_GROUP = Declared(
    type="OS::Nova::ServerGroup",
    name="server-group",
    description="Keeps the policy of a server group and creates it again",
    kind=KINDS["server_group"],
    parents={"OS::Nova::Server": lambda _cloud, server, group: server.id in (group.member_ids or ())},
    attributes=(
        *exact("name", "policy", "rules"),
        Attribute("members", "mapped", "the restored servers join it when they are created"),
    ),
    read=_read,
    create=_create,
    needs={"server_groups": 1},
    serves_others=True,
    options=(
        RESTORE_NAME,
        Option(
            "duplicate", "Create a new one even when the original is still there", type=bool, default=False
        ),
    ),
)
