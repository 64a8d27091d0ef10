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

PlanList = List.of(
    "List plans.",
    "plans",
    ALL,
    NAME,
    Arg("--description", "whose description contains this"),
    STATUS,
    *PAGE,
    PROJECT,
    columns=("Id", "Name", "Description", "Provider id", "Status"),
)
PlanShow = Find.of("Show a plan.", "find_plan", Arg("plan", "name or id"))
PlanCreate = CreateWithSettings.of(
    "Create a plan.",
    "create_plan",
    Arg("name", "what to call it"),
    PROVIDER,
    Arg("resources", "what to protect", read=a.resources, metavar="<id=type=name[=extra_info],...>"),
    *SETTINGS,
    Arg("--description", "a few words for people"),
    *options(r.Plan),
)
PlanUpdate = Update.of(
    "Change a plan.",
    "update_plan",
    Arg("plan_id", "name or id"),
    Arg("--name", "a new name"),
    Arg("--description", "a new description"),
    Arg("--resources", "what to protect from now on", read=a.resources, metavar="<id=type=name,...>"),
    Arg("--status", "a new status", metavar="<suspended|started>"),
    *options(r.Plan),
    finder="find_plan",
)
PlanDelete = Delete.of(
    "Delete plans; their checkpoints stay.",
    "delete_plan",
    Arg("plan", "name or id", nargs="+"),
    finder="find_plan",
)
