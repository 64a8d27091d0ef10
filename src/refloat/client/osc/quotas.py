"""Quotas of projects, and quota classes."""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client import resources as r
from refloat.client.osc.arguments import Arg
from refloat.client.osc.base import Delete, Show

_LIMITS = tuple(
    Arg(f"--{name.replace('_', '-')}", f"so many {name.replace('_', ' ')} at most; -1: no limit", type=int)
    for name in r.Quota.limits
)
_TENANT = Arg("--tenant", "id of the project (default: yours)", None)
_CLASS = Arg("class_name", "the class, as in default")


class _OfProject(Show):
    def tenant(self, parsed_args: argparse.Namespace) -> str:
        return str(parsed_args.tenant or self.app.client_manager.sdk_connection.current_project_id)


class QuotaShow(_OfProject):
    """Show the quotas of a project."""

    args = (_TENANT, Arg("--detail", "also what it uses", None, action="store_true", default=False))

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.get_quota(self.tenant(parsed_args), usage=parsed_args.detail)


class QuotaDefault(_OfProject):
    """Show the quotas of projects for which none are set."""

    args = (_TENANT,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.get_quota_defaults(self.tenant(parsed_args))


QuotaUpdate = Show.of(
    "Set the quotas of a project (administrators).",
    "update_quota",
    Arg("tenant", "id of the project"),
    *_LIMITS,
)
QuotaDelete = Delete.of(
    "Set the quotas of projects back to the defaults (administrators).",
    "delete_quota",
    Arg("tenant", "id of the project", nargs="+"),
)
QuotaClassShow = Show.of("Show a quota class.", "get_quota_class", _CLASS)
QuotaClassUpdate = Show.of(
    "Set the quotas of a class (administrators).", "update_quota_class", _CLASS, *_LIMITS
)
