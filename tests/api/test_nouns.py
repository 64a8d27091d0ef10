"""A noun of the API has the same attributes wherever users meet it: in schema, SDK and both commands.

What deliberately differs is listed here, with its reason."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from api_helpers import NOOP
from openstack.resource import Resource
from served import Served
from test_osc import checkpoint, ok, served, served_user

import refloat
from refloat.api import schemas as s
from refloat.api import v1
from refloat.api.v1 import (
    checkpoints,
    copies,
    holds,
    operation_logs,
    operations,
    plans,
    protectables,
    providers,
    quotas,
    restore_plans,
    restores,
    scheduled_operations,
    services,
    triggers,
    verifications,
)
from refloat.client import osc
from refloat.client import resources as r
from refloat.client.osc.base import List, Show

__all__ = ["served"]


@dataclass(frozen=True)
class Noun:
    """Where a noun is.

    :param listed: the command of ``openstack`` that lists it.
    :param created: the one that makes it; ``updated``: that changes it.
    :param shown_alone: the attributes that only ``show`` tells. Scripts count on the columns of lists, which
        are python-karborclient's where it has the noun.
    """

    module: ModuleType
    resource: type[Resource]
    schema: s.Schema
    listed: str = ""
    created: str = ""
    updated: str = ""
    shown_alone: str = ""


NOUNS = {
    "plan": Noun(
        *(plans, r.Plan, plans.SCHEMA, "plans:PlanList", "plans:PlanCreate", "plans:PlanUpdate"),
        "resources exclude unfit parameters objective project_id created_at updated_at",
    ),
    "provider": Noun(
        *(providers, r.Provider, providers.SCHEMA, "protectables:ProviderList"),
        shown_alone="extended_info_schema plugins",
    ),
    "protectable": Noun(protectables, r.Protectable, protectables.SCHEMA),
    "instance": Noun(
        *(protectables, r.Instance, protectables.INSTANCE, "protectables:InstanceList"),
        shown_alone="name references",
    ),
    "checkpoint": Noun(
        *(checkpoints, r.Checkpoint, checkpoints.SCHEMA, "plans:CheckpointList"),
        created="plans:CheckpointCreate",
        shown_alone="resource_graph protected_at error_info operation_id copied_from "
        "verified verified_at verified_depth lacks "
        "name note labels expires_at keep user_id scheduled_operation_id size seconds",
    ),
    "hold": Noun(holds, r.Hold, holds.SCHEMA),
    "copy": Noun(copies, r.Copy, copies.SCHEMA, created="runs:CopyCreate"),
    "restore": Noun(
        *(restores, r.Restore, restores.SCHEMA, "runs:RestoreList", "runs:RestoreCreate"),
        shown_alone="resources_status resources_reason error_info stays",
    ),
    "restore_plan": Noun(
        *(restore_plans, r.RestorePlan, restore_plans.DETAIL, "runs:RestorePlanList"),
        created="runs:RestorePlanCreate",
        updated="runs:RestorePlanSet",
        shown_alone="project_id user_id provider_id choices reason operation_id approval approved_at "
        "updated_at content",
    ),
    "verification": Noun(
        *(verifications, r.Verification, verifications.SCHEMA, "runs:VerificationList"),
        created="runs:VerificationCreate",
        shown_alone="resources_status resources_reason error_info",
    ),
    "operation": Noun(
        *(operations, r.Operation, operations.DETAIL, "runs:OperationList"),
        created="runs:RestoreDryRun",
        shown_alone="project_id dry_run provider_id copy_id copy_provider_id plan_id restore_target "
        "updated_at attempt progress active resources created result error",
    ),
    "operation_log": Noun(
        *(operation_logs, r.OperationLog, operation_logs.SCHEMA, "runs:LogList"),
        shown_alone="project_id verification_id",
    ),
    "quota": Noun(quotas, r.Quota, quotas.SCHEMA, updated="upkeep:QuotaUpdate"),
    "quota_class": Noun(quotas, r.QuotaClass, quotas.SCHEMA, updated="upkeep:QuotaClassUpdate"),
    "trigger": Noun(
        *(triggers, r.Trigger, triggers.SCHEMA, "schedules:TriggerList", "schedules:TriggerCreate"),
        updated="schedules:TriggerUpdate",
        shown_alone="next_run_at created_at",
    ),
    "scheduled_operation": Noun(
        *(scheduled_operations, r.ScheduledOperation, scheduled_operations.SCHEMA),
        listed="schedules:ScheduledList",
        created="schedules:ScheduledCreate",
        updated="schedules:ScheduledUpdate",
        shown_alone="description enabled next_run_at status_reason last_runs",
    ),
    "service": Noun(
        *(services, r.Service, services.SCHEMA, "upkeep:ServiceList"), updated="upkeep:ServiceDisable"
    ),
}

NO_NOUNS = {
    "banks": "upkeep is an operation",
    "runs": "what others share",
    "versions": "keystoneauth reads them, not the SDK",
}

SDK_ONLY = {
    "instance": {"protectable_type": "of the path"},
    "checkpoint": {"provider_id": "of the path"},
    "hold": {"provider_id": "of the path"},
}
"""What the SDK's resource has, and no schema."""

NO_FILTER = {("instance", "type"): "python-karborclient sends it; it is in the path already"}

NO_OPTION = {
    ("CheckpointCreate", "extra-info"): "the other way to write extra_info",
    ("CopyCreate", "parameters"): "made of --to and --allow-incomplete",
    ("PlanUpdate", "parameters"): "python-karborclient has none; a plan is made anew",
    ("RestoreCreate", "restore_auth"): "made of --restore_username and --restore_password",
    ("RestoreCreate", "restore_plan_id"): "there is a command that runs one",
    ("RestorePlanCreate", "plan_id"): "its checkpoint is named",
    ("RestorePlanCreate", "at"): "likewise",
    ("RestoreDryRun", "type"): "said by the command's name; other dry runs have no command",
    ("RestoreDryRun", "dry_run"): "said by the command's name",
    ("RestoreDryRun", "parameters"): "the plan of the restore says what can be set",
    ("RestoreDryRun", "restore_target"): "only the restore itself goes there",
    ("RestoreDryRun", "restore_auth"): "only the restore itself goes there",
    ("ScheduledCreate", "description"): "python-karborclient has none; update has",
    ("ServiceDisable", "status"): "said by the command's name",
}

NOT_TOLD = {("hold", "checkpoint_id"): "it is among the command's words"}

CALLED = {
    "plan": {"provider_id": "provider"},
    "provider": {},
    "checkpoint": {
        "protection_plan": "plan",
        "resource_graph": "resources",
        "protected_at": "created_at",
        "error_info": "reason",
        "scheduled_operation_id": "made_by",
    },
    "operation": {
        "type": "kind",
        "status": "state",
        "plan_name": "plan",
        "progress": "steps",
        "active": "running",
        "error_info": "error",
        "result": "resources",
    },
    "trigger": {"properties": "pattern"},
    "scheduled_operation": {
        "operation_type": "operation",
        "trigger_id": "trigger",
        "operation_definition": "rules",
        "status_reason": "problem",
    },
    "hold": {},
}
"""What ``refloat`` shows under a name of its own, the same with a service and without.

Other nouns are operations there (restores, verifications, copies, logs), trees, or for administrators."""

NOT_SHOWN = {
    ("plan", "status"): "only a service has suspended plans",
    ("provider", "extended_info_schema"): "forms for the dashboard; plugins has the same options",
    ("checkpoint", "project_id"): "it is the user's own",
    ("checkpoint", "extra_info"): "notes of Karbor's clients",
    ("checkpoint", "copied_from"): "only of copies",
    ("checkpoint", "error_info"): "only of those that failed",
    ("operation", "project_id"): "it is the user's own",
    ("operation", "dry_run"): "dry runs are printed, not listed",
    ("operation", "provider_id"): "the checkpoint has it",
    ("operation", "copy_id"): "the command that copies prints it",
    ("operation", "copy_provider_id"): "likewise",
    ("operation", "plan_id"): "the plan's name is shown",
    ("operation", "restore_target"): "the command restores into its own cloud",
    ("operation", "updated_at"): "the progress is up to about a second old",
    ("trigger", "type"): "there is one",
}


def command(where: str) -> type[Any]:
    module, _, name = where.partition(":")
    found: type[Any] = getattr(importlib.import_module(f"{osc.__name__}.{module}"), name)
    return found


def sent(noun: Noun, name: str) -> set[str]:
    return set(getattr(noun.module, name, {}).get("properties", ()))


def test_every_noun_is_here() -> None:
    modules = {item.name for item in pkgutil.iter_modules(v1.__path__)}
    assert modules - set(NO_NOUNS) == {noun.module.__name__.rpartition(".")[2] for noun in NOUNS.values()}


@pytest.mark.parametrize("name", NOUNS)
def test_the_sdk_has_every_attribute_and_no_other(name: str) -> None:
    noun = NOUNS[name]
    own = set(noun.resource._body_mapping()) | set(noun.resource._uri_mapping())
    told = set(noun.schema["properties"])
    assert told <= own
    inherited = {"id", "name"}  # every resource of openstacksdk has them
    assert own - told - inherited == (sent(noun, "NEW") - told - {"extra-info"}) | set(SDK_ONLY.get(name, ()))


@pytest.mark.parametrize("name", NOUNS)
def test_the_sdk_takes_every_filter(name: str) -> None:
    noun = NOUNS[name]
    if not noun.listed:
        return
    (query,) = (
        route.query["properties"]
        for route in noun.module.ROUTES
        if route.query and noun.resource.resources_key in route.reply["properties"]
    )
    ignored = {which for noun_name, which in NO_FILTER if noun_name == name}
    paging = {*s.PAGING, *s.TENANTS}
    assert set(query) - paging - ignored == set(noun.resource._query_mapping._mapping) - paging


@pytest.mark.parametrize("name", NOUNS)
def test_openstack_lists_and_takes_every_attribute(name: str) -> None:
    noun = NOUNS[name]
    if noun.listed:
        listing = command(noun.listed)
        assert issubclass(listing, List)
        columns = {column.lower().replace(" ", "_") for column in listing.columns}
        assert columns | set(noun.shown_alone.split()) == set(noun.schema["properties"])
    for where, which in ((noun.created, "NEW"), (noun.updated, "CHANGE")):
        if where:
            assert issubclass(command(where), Show)
            args, title = command(where).args, where.partition(":")[2]
            left_out = {key for command_name, key in NO_OPTION if command_name == title}
            assert sent(noun, which) - left_out <= {item.key or item.dest for item in args}, title


def things(user: Served) -> Mapping[str, tuple[str, ...]]:
    """The words behind ``openstack data protection`` that show one of each noun."""
    made = checkpoint(user)
    runs = {kind: ok(kind, "create", NOOP, made)["id"] for kind in ("restore", "verification")}
    for kind, identity in runs.items():
        served_user(user).until(f"{kind}s/{identity}", lambda found: found["status"] == "success")
    kept = ok("restore", "plan", "create", NOOP, made)["id"]
    trigger = ok("trigger", "create", "daily", "time", "format=crontab,pattern=0 3 * * *")["id"]
    definition = f"provider_id={NOOP},plan_id={ok('plan', 'show', 'app')['id']}"
    ok("scheduledoperation", "create", "nightly", "protect", trigger, definition)
    ok("checkpoint", "hold", "set", NOOP, made, "court")
    user.who.roles = "admin,member,reader"
    return {
        "plan": ("plan", "show", "app"),
        "provider": ("provider", "show", "noop"),
        "protectable": ("protectable", "show", "Refloat::Noop"),
        "instance": ("protectable", "instance", "show", "Refloat::Noop", "tree-3"),
        "checkpoint": ("checkpoint", "show", NOOP, made),
        "hold": ("checkpoint", "hold", "show", NOOP, made),
        "restore": ("restore", "show", runs["restore"]),
        "restore_plan": ("restore", "plan", "show", kept),
        "verification": ("verification", "show", runs["verification"]),
        "operation": ("operation", "show", runs["restore"]),
        "operation_log": ("operationlog", "show", runs["restore"]),
        "quota": ("quotas", "show"),
        "quota_class": ("quotaclass", "show", "default"),
        "trigger": ("trigger", "show", "daily"),
        "scheduled_operation": ("scheduledoperation", "show", "nightly"),
        "service": ("service", "enable", "1"),
    }


def test_both_commands_show_every_attribute(served: Served) -> None:
    shown = things(served)
    assert NOUNS.keys() - shown.keys() == {"copy"}  # its checkpoints are shown
    for name, words in shown.items():
        wanted = {key for key in NOUNS[name].schema["properties"] if (name, key) not in NOT_TOLD}
        assert wanted <= set(ok(*words)), name
    checkpoint_id, run = shown["checkpoint"][-1], shown["operation"][-1]
    here = {
        "plan": ("plan", "show", "app"),
        "provider": ("provider", "show", "noop"),
        "checkpoint": ("checkpoint", "show", checkpoint_id),
        "operation": ("operation", "show", run),
        "trigger": ("trigger", "show", "daily"),
        "scheduled_operation": ("schedule", "show", "nightly"),
        "hold": ("checkpoint", "hold", "show", checkpoint_id),
    }
    assert here.keys() == CALLED.keys()
    for name, words in here.items():
        ran = served.command("--service", *words, "-f", "json")
        assert ran.status == 0, ran
        wanted = {key for key in NOUNS[name].schema["properties"] if (name, key) not in NOT_SHOWN}
        assert {CALLED[name].get(key, key) for key in wanted} <= set(ran.json), name


def test_an_attribute_costs_five_files() -> None:
    """``objective`` of plans is stored, changed, shown, and has an option in both commands."""
    source = Path(refloat.__file__).parent
    named = {
        str(path.relative_to(source))
        for path in source.rglob("*.py")
        if re.search(r"\bobjective\b", path.read_text())
    }
    assert named - {"control/metrics.py"} == {  # which is what it is for
        "records/migrations/versions/0005_notices.py",
        "records/plans.py",
        "api/v1/plans.py",
        "client/resources.py",
        "cli/plan.py",
    }
