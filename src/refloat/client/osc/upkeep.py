"""What operators do: the service's workers, the banks, the quotas."""

from __future__ import annotations

import argparse
from typing import Any, ClassVar

from refloat.client import resources as r
from refloat.client.osc import base as o

_SERVICE = o.Arg("service_id", "id of the worker")


ServiceList = o.List.of(
    "List the service's workers (administrators).",
    "services",
    o.Arg("--host", "on this host"),
    o.Arg("--binary", "of this kind"),
    columns=("Id", "Binary", "Host", "Status", "State", "Updated_at", "Disabled Reason"),
)
ServiceEnable = o.Show.of(
    "Have a worker take new operations again.", "update_service", _SERVICE, always={"status": "enabled"}
)
ServiceDisable = o.Show.of(
    "Have a worker take no new operations.",
    "update_service",
    _SERVICE,
    o.Arg("--reason", "why", "disabled_reason"),
    always={"status": "disabled"},
)


class _OnBank(o.Show):
    action: ClassVar[str]
    args: ClassVar[tuple[o.Arg, ...]] = (o.PROVIDER,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.maintain_bank(parsed_args.provider_id, self.action, **self.sent(parsed_args))


BankInfo = _OnBank.of("Begin to count what is in a provider's bank (administrators).", action="info")
BankVerify = _OnBank.of(
    "Begin to verify a provider's bank (administrators).",
    "",
    o.PROVIDER,
    o.Arg("--depth", "how thoroughly", choices=("manifests", "existence", "full")),
    o.Arg("--sample", "so many percent of the data, chosen at random", type=float),
    action="verify",
)
BankCollect = _OnBank.of(
    "Begin to remove from a provider's bank what no checkpoint needs (administrators).", action="collect"
)


_LIMITS = tuple(
    o.Arg(f"--{name.replace('_', '-')}", f"so many {name.replace('_', ' ')} at most; -1: no limit", type=int)
    for name in r.Quota.limits
)
_TENANT = o.Arg("--tenant", "id of the project (default: yours)", None)
_CLASS = o.Arg("class_name", "the class, as in default")


class _OfProject(o.Show):
    def tenant(self, parsed_args: argparse.Namespace) -> str:
        return str(parsed_args.tenant or self.app.client_manager.sdk_connection.current_project_id)


class QuotaShow(_OfProject):
    """Show the quotas of a project."""

    args = (_TENANT, o.Arg("--detail", "also what it uses", None, action="store_true", default=False))

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.get_quota(self.tenant(parsed_args), usage=parsed_args.detail)


class QuotaDefault(_OfProject):
    """Show the quotas of projects for which none are set."""

    args = (_TENANT,)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        return self.service.get_quota_defaults(self.tenant(parsed_args))


QuotaUpdate = o.Show.of(
    "Set the quotas of a project (administrators).",
    "update_quota",
    o.Arg("tenant", "id of the project"),
    *_LIMITS,
)
QuotaDelete = o.Delete.of(
    "Set the quotas of projects back to the defaults (administrators).",
    "delete_quota",
    o.Arg("tenant", "id of the project", nargs="+"),
)
QuotaClassShow = o.Show.of("Show a quota class.", "get_quota_class", _CLASS)
QuotaClassUpdate = o.Show.of(
    "Set the quotas of a class (administrators).", "update_quota_class", _CLASS, *_LIMITS
)
