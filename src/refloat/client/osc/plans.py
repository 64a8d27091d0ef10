"""Plans."""

from __future__ import annotations

from refloat.client import resources as r
from refloat.client.osc import arguments as a
from refloat.client.osc.arguments import Arg, options
from refloat.client.osc.base import (
    ALL,
    NAME,
    PAGE,
    PROJECT,
    PROVIDER,
    SETTINGS,
    STATUS,
    CreateWithSettings,
    Delete,
    Find,
    List,
    Update,
)


class PlanList(List):
    """List plans."""

    verb = "plans"
    columns = ("Id", "Name", "Description", "Provider id", "Status")
    args = (ALL, NAME, Arg("--description", "whose description contains this"), STATUS, *PAGE, PROJECT)


class PlanShow(Find):
    """Show a plan."""

    verb = "find_plan"
    args = (Arg("plan", "name or id"),)


class PlanCreate(CreateWithSettings):
    """Create a plan."""

    verb = "create_plan"
    args = (
        Arg("name", "what to call it"),
        PROVIDER,
        Arg("resources", "what to protect", read=a.resources, metavar="<id=type=name[=extra_info],...>"),
        *SETTINGS,
        Arg("--description", "a few words for people"),
        *options(r.Plan),
    )


class PlanUpdate(Update):
    """Change a plan."""

    verb, finder = "update_plan", "find_plan"
    args = (
        Arg("plan_id", "name or id"),
        Arg("--name", "a new name"),
        Arg("--description", "a new description"),
        Arg("--resources", "what to protect from now on", read=a.resources, metavar="<id=type=name,...>"),
        Arg("--status", "a new status", metavar="<suspended|started>"),
        *options(r.Plan),
    )


class PlanDelete(Delete):
    """Delete plans; their checkpoints stay."""

    verb, finder = "delete_plan", "find_plan"
    args = (Arg("plan", "name or id", nargs="+"),)
