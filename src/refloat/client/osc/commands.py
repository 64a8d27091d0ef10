"""Plans, protectables, providers, checkpoints, quotas, workers: what each command does.

What each is called is in the entry points of the package.
"""

from __future__ import annotations

import argparse
from typing import Any

from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import arg
from refloat.client.osc.base import ALL, PAGE, PROJECT, Change, Delete, Find, List, Show
from refloat.client.osc.common import NAME, PROVIDER, SETTINGS, STATUS, WithSettings

# Plans

OBJECTIVE = arg(
    *("--objective", "so many hours old may the newest good checkpoint be; 0: any age"),
    read=lambda hours: hours or None,
    type=int,
    metavar="<hours>",
)


class PlanList(List):
    """List plans."""

    verb = "plans"
    columns = ("Id", "Name", "Description", "Provider id", "Status")
    args = (ALL, NAME, arg("--description", "whose description contains this"), STATUS, *PAGE, PROJECT)


class PlanShow(Find):
    """Show a plan."""

    verb, path = "find_plan", ("plan",)
    args = (arg("plan", "name or id"),)


class PlanCreate(WithSettings):
    """Create a plan."""

    verb = "create_plan"
    args = (
        arg("name", "what to call it"),
        PROVIDER,
        arg("resources", "what to protect", read=a.resources, metavar="<id=type=name[=extra_info],...>"),
        *SETTINGS,
        arg("--description", "a few words for people"),
        OBJECTIVE,
    )


class PlanUpdate(Change):
    """Change a plan."""

    verb, path, finder = "update_plan", ("plan_id",), "find_plan"
    args = (
        arg("plan_id", "name or id"),
        arg("--name", "a new name"),
        arg("--description", "a new description"),
        arg("--resources", "what to protect from now on", read=a.resources, metavar="<id=type=name,...>"),
        arg("--status", "a new status", metavar="<suspended|started>"),
        OBJECTIVE,
    )


class PlanDelete(Delete):
    """Delete plans; their checkpoints stay."""

    verb, many, finder = "delete_plan", "plan", "find_plan"
    args = (arg("plan", "name or id", nargs="+"),)


# Protectables


class ProtectableList(List):
    """List the types of resources that can be protected."""

    verb = "protectables"
    columns = ("Protectable type",)

    def take_action(self, parsed_args: argparse.Namespace) -> Any:
        """The types alone."""
        return self.columns, ((item.id,) for item in self.call(parsed_args))


class ProtectableShow(Show):
    """Show a type of resources: on which others they may depend."""

    verb, path = "get_protectable", ("protectable_type",)
    args = (arg("protectable_type", "as in OS::Nova::Server"),)


_INSTANCE_SETTINGS = arg("--parameters", "parameters of the search", None, nargs="*", metavar="<key=value>")


class _OnInstances:
    """Parameters go as JSON."""

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """What is sent."""
        found: dict[str, Any] = super().sent(parsed_args)  # type: ignore[misc]
        if parsed_args.parameters:
            found["parameters"] = a.write_json(a.words(parsed_args.parameters))
        return found


class InstanceList(_OnInstances, List):
    """List the project's resources of a type."""

    verb, path = "instances", ("protectable_type",)
    columns = ("Id", "Type", "Dependent resources", "Extra info")
    args = (
        arg("protectable_type", "as in OS::Nova::Server"),
        arg("--type", "the same type again; without effect", None),
        *PAGE,
        _INSTANCE_SETTINGS,
    )


class InstanceShow(_OnInstances, Show):
    """Show a resource that can be protected, and what it depends on."""

    verb, path = "get_instance", ("protectable_type", "protectable_id")
    args = (
        arg("protectable_type", "as in OS::Nova::Server"),
        arg("protectable_id", "id of the resource"),
        _INSTANCE_SETTINGS,
    )


# Providers


class ProviderList(List):
    """List providers."""

    verb = "providers"
    columns = ("Id", "Name", "Description")
    args = (arg("--name", "of this name"), arg("--description", "of this description"), *PAGE)


class ProviderShow(Find):
    """Show a provider: its parameters for protecting, restoring and verifying."""

    verb, path = "find_provider", ("provider",)
    args = (arg("provider", "name or id"),)


# Checkpoints


class CheckpointList(List):
    """List the checkpoints of a provider."""

    verb, path = "checkpoints", ("provider_id",)
    columns = ("Id", "Project id", "Status", "Protection plan", "Extra info", "Created at")
    args = (
        PROVIDER,
        ALL,
        arg("--plan_id", "of this plan"),
        arg("--start_date", "made on this day or later", metavar="<YYYY-MM-DD>"),
        arg("--end_date", "with --start_date: made on this day or earlier", metavar="<YYYY-MM-DD>"),
        arg("--project_id", "of this project (administrators)"),
        *PAGE,
    )


class CheckpointShow(Show):
    """Show a checkpoint."""

    verb, path = "get_checkpoint", ("provider_id", "checkpoint_id")
    args = (PROVIDER, arg("checkpoint_id", "id of the checkpoint"))


class CheckpointCreate(Show):
    """Protect a plan: start to make a checkpoint."""

    verb, path = "create_checkpoint", ("provider_id",)
    args = (
        PROVIDER,
        arg("plan_id", "id of the plan"),
        arg("--extra_info", "what to remember with it", read=a.words, nargs="*", metavar="<key=value>"),
    )


class CheckpointDelete(Delete):
    """Start to delete checkpoints."""

    verb, path, many = "delete_checkpoint", ("provider_id",), "checkpoint"
    args = (PROVIDER, arg("checkpoint", "id of the checkpoint", nargs="+"))


class CheckpointReset(Delete):
    """Set the status of checkpoints by hand."""

    verb, path, many = "reset_checkpoint_status", ("provider_id",), "checkpoint"
    args = (
        PROVIDER,
        arg("checkpoint", "id of the checkpoint", nargs="+"),
        arg(
            "--available",
            "set it to available, rather than to error",
            dest="state",
            action="store_const",
            const="available",
            default="error",
        ),
    )

    def one(self, service: Any, place: list[Any], found: Any, parsed_args: argparse.Namespace) -> None:
        """Reset one."""
        service.reset_checkpoint_status(*place, found, parsed_args.state)


# Quotas

_LIMITS = (
    arg("--plans", "so many plans at most; -1: no limit", type=int),
    arg("--checkpoints", "so many checkpoints at most; -1: no limit", type=int),
    arg("--triggers", "so many triggers at most; -1: no limit", type=int),
    arg("--scheduled-operations", "so many scheduled operations at most; -1: no limit", type=int),
)


class QuotaShow(Show):
    """Show the quotas of a project."""

    args = (
        arg("--tenant", "id of the project (default: yours)", None),
        arg("--detail", "also what it uses", None, action="store_true", default=False),
    )

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Ask for them."""
        return self.service.get_quota(parsed_args.tenant or self.project_id, usage=parsed_args.detail)


class QuotaDefault(Show):
    """Show the quotas of projects for which none are set."""

    args = (arg("--tenant", "id of the project (default: yours)", None),)

    def call(self, parsed_args: argparse.Namespace) -> Any:
        """Ask for them."""
        return self.service.get_quota_defaults(parsed_args.tenant or self.project_id)


class QuotaUpdate(Show):
    """Set the quotas of a project (administrators)."""

    verb, path = "update_quota", ("tenant",)
    args = (arg("tenant", "id of the project"), *_LIMITS)


class QuotaDelete(Delete):
    """Set the quotas of projects back to the defaults (administrators)."""

    verb, many = "delete_quota", "tenant"
    args = (arg("tenant", "id of the project", nargs="+"),)


class QuotaClassShow(Show):
    """Show a quota class."""

    verb, path = "get_quota_class", ("class_name",)
    args = (arg("class_name", "the class, as in default"),)


class QuotaClassUpdate(Show):
    """Set the quotas of a class (administrators)."""

    verb, path = "update_quota_class", ("class_name",)
    args = (arg("class_name", "the class, as in default"), *_LIMITS)


# Services


class ServiceList(List):
    """List the service's workers (administrators)."""

    verb = "services"
    columns = ("Id", "Binary", "Host", "Status", "State", "Updated_at", "Disabled Reason")
    args = (arg("--host", "on this host"), arg("--binary", "of this kind"))


class ServiceEnable(Show):
    """Have a worker take new operations again."""

    verb, path = "update_service", ("service_id",)
    args = (arg("service_id", "id of the worker"),)

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The status."""
        return {"status": "enabled"}


class ServiceDisable(Show):
    """Have a worker take no new operations."""

    verb, path = "update_service", ("service_id",)
    args = (arg("service_id", "id of the worker"), arg("--reason", "why", "disabled_reason"))

    def sent(self, parsed_args: argparse.Namespace) -> dict[str, Any]:
        """The status, and why."""
        return {"status": "disabled", **super().sent(parsed_args)}
