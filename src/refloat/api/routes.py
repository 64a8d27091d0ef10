"""All routes of the API in one table: what a request must be, who may send it, what answers it."""

from __future__ import annotations

from refloat.api import schemas as s
from refloat.api import schemas_operations as o
from refloat.api.route import CHECKPOINTS, PROJECT, Route
from refloat.api.routes_schedule import SCHEDULE_ROUTES
from refloat.api.v1 import (
    banks,
    checkpoints,
    copies,
    operation_logs,
    operations,
    plans,
    protectables,
    providers,
    quotas,
    restores,
    services,
    verifications,
    versions,
)

__all__ = ["ROUTES", "Route"]

_P = PROJECT
_CHECKPOINTS = CHECKPOINTS
_OPERATION = f"{_P}/operations/{{operation_id}}"
_EMPTY = s.obj()

ROUTES: tuple[Route, ...] = (
    Route("GET", "/", versions.listing, "", s.obj(("versions",), versions=s.array(s.VERSION)), status=300),
    Route("GET", "/v1", versions.show, "", s.wrapped("version", s.VERSION)),
    Route("GET", "/v1/openapi.json", versions.document, "", s.ANY_OBJECT),
    # Providers
    Route(
        "GET",
        f"{_P}/providers",
        providers.listing,
        "provider:get_all",
        s.listed("providers", s.PROVIDER),
        query=s.list_query("name", "description"),
    ),
    Route(
        "GET",
        f"{_P}/providers/{{provider_id}}",
        providers.show,
        "provider:get",
        s.wrapped("provider", s.PROVIDER),
    ),
    # Protectables
    Route("GET", f"{_P}/protectables", protectables.types, "protectable:get_all", s.PROTECTABLE_TYPES),
    Route(
        "GET",
        f"{_P}/protectables/{{type_name}}",
        protectables.show_type,
        "protectable:get",
        s.PROTECTABLE_TYPE,
    ),
    Route(
        "GET",
        f"{_P}/protectables/{{type_name}}/instances",
        protectables.instances,
        "protectable:instance_get_all",
        s.listed("instances", s.INSTANCE),
        query=s.INSTANCES_QUERY,
    ),
    Route(
        "GET",
        f"{_P}/protectables/{{type_name}}/instances/{{instance_id}}",
        protectables.instance,
        "protectable:instance_get",
        s.wrapped("instance", s.INSTANCE),
        query=s.INSTANCES_QUERY,
    ),
    # Plans
    Route(
        "GET",
        f"{_P}/plans",
        plans.listing,
        "plan:get_all",
        s.listed("plans", s.PLAN),
        query=s.list_query("name", "status", "description"),
    ),
    Route("POST", f"{_P}/plans", plans.create, "plan:create", s.wrapped("plan", s.PLAN), s.PLAN_NEW),
    Route("GET", f"{_P}/plans/{{plan_id}}", plans.show, "plan:get", s.wrapped("plan", s.PLAN)),
    Route(
        "PUT",
        f"{_P}/plans/{{plan_id}}",
        plans.change,
        "plan:update",
        s.wrapped("plan", s.PLAN),
        s.PLAN_CHANGE,
    ),
    Route("DELETE", f"{_P}/plans/{{plan_id}}", plans.delete, "plan:delete"),
    # Checkpoints
    Route(
        "GET",
        _CHECKPOINTS,
        checkpoints.listing,
        "provider:checkpoint_get_all",
        s.listed("checkpoints", s.CHECKPOINT),
        query=s.CHECKPOINTS_QUERY,
    ),
    Route(
        "POST",
        _CHECKPOINTS,
        checkpoints.create,
        "provider:checkpoint_create",
        s.wrapped("checkpoint", s.CHECKPOINT),
        s.CHECKPOINT_NEW,
    ),
    Route(
        "GET",
        f"{_CHECKPOINTS}/{{checkpoint_id}}",
        checkpoints.show,
        "provider:checkpoint_get",
        s.wrapped("checkpoint", s.CHECKPOINT),
    ),
    Route(
        "DELETE",
        f"{_CHECKPOINTS}/{{checkpoint_id}}",
        checkpoints.delete,
        "provider:checkpoint_delete",
        _EMPTY,
    ),
    Route(
        "PUT",
        f"{_CHECKPOINTS}/{{checkpoint_id}}",
        checkpoints.reset,
        "provider:checkpoint_update",
        _EMPTY,
        s.CHECKPOINT_RESET,
    ),
    Route(
        "POST", f"{_CHECKPOINTS}/action", copies.create, "copy:create", s.wrapped("copy", o.COPY), o.COPY_NEW
    ),
    # Restores and verifications
    Route(
        "GET",
        f"{_P}/restores",
        restores.list_restores,
        "restore:get_all",
        s.listed("restores", s.RESTORE),
        query=s.list_query("status"),
    ),
    Route(
        "POST",
        f"{_P}/restores",
        restores.create_restore,
        "restore:create",
        s.wrapped("restore", s.RESTORE),
        s.RESTORE_NEW,
    ),
    Route(
        "GET",
        f"{_P}/restores/{{restore_id}}",
        restores.show_restore,
        "restore:get",
        s.wrapped("restore", s.RESTORE),
    ),
    Route(
        "GET",
        f"{_P}/verifications",
        verifications.list_verifications,
        "verification:get_all",
        s.listed("verifications", s.VERIFICATION),
        query=s.list_query("status"),
    ),
    Route(
        "POST",
        f"{_P}/verifications",
        verifications.create_verification,
        "verification:create",
        s.wrapped("verification", s.VERIFICATION),
        s.VERIFICATION_NEW,
    ),
    Route(
        "GET",
        f"{_P}/verifications/{{verification_id}}",
        verifications.show_verification,
        "verification:get",
        s.wrapped("verification", s.VERIFICATION),
    ),
    # Operations, and what can be done about them; dry runs; upkeep of banks
    Route(
        "GET",
        f"{_P}/operations",
        operations.listing,
        "operation:get_all",
        s.listed("operations", o.OPERATION),
        query=o.OPERATIONS_QUERY,
    ),
    Route(
        "POST",
        f"{_P}/operations",
        operations.create,
        "operation:create",
        s.wrapped("operation", o.OPERATION),
        o.OPERATION_NEW,
    ),
    Route("GET", _OPERATION, operations.show, "operation:get", s.wrapped("operation", o.OPERATION_DETAIL)),
    Route("GET", f"{_OPERATION}/events", operations.events, "operation:get", o.EVENTS, query=o.EVENTS_QUERY),
    Route(
        "POST",
        f"{_OPERATION}/action",
        operations.act,
        "operation:update",
        s.wrapped("operation", o.OPERATION),
        o.OPERATION_ACTION,
    ),
    Route(
        "POST",
        f"{_P}/providers/{{provider_id}}/bank/action",
        banks.act,
        "bank:maintain",
        s.wrapped("operation", o.OPERATION),
        o.BANK_ACTION,
    ),
    # Operation logs
    Route(
        "GET",
        f"{_P}/operation_logs",
        operation_logs.list_logs,
        "operation_log:list",
        s.listed("operation_logs", s.OPERATION_LOG),
        query=s.list_query("checkpoint_id", "plan_id", "restore_id", "status"),
    ),
    Route(
        "GET",
        f"{_P}/operation_logs/{{operation_log_id}}",
        operation_logs.show_log,
        "operation_log:get",
        s.wrapped("operation_log", s.OPERATION_LOG),
    ),
    # Quotas
    Route("GET", f"{_P}/quotas/{{target_id}}", quotas.show, "quota:get", s.quota("quota")),
    Route("GET", f"{_P}/quotas/{{target_id}}/detail", quotas.detail, "quota:get", s.QUOTA_DETAIL),
    Route(
        "GET", f"{_P}/quotas/{{target_id}}/defaults", quotas.defaults, "quota:get_default", s.quota("quota")
    ),
    Route(
        "PUT",
        f"{_P}/quotas/{{target_id}}",
        quotas.change,
        "quota:update",
        s.quota("quota"),
        s.quota_new("quota"),
    ),
    Route("DELETE", f"{_P}/quotas/{{target_id}}", quotas.reset, "quota:delete"),
    Route(
        "GET",
        f"{_P}/quota_classes/{{class_name}}",
        quotas.show_class,
        "quota_class:get",
        s.quota("quota_class"),
    ),
    Route(
        "PUT",
        f"{_P}/quota_classes/{{class_name}}",
        quotas.change_class,
        "quota_class:update",
        s.quota("quota_class"),
        s.quota_new("quota_class"),
    ),
    *SCHEDULE_ROUTES,
    # Services
    Route(
        "GET",
        f"{_P}/os-services",
        services.listing,
        "service:get_all",
        s.obj(("services",), services=s.array(s.SERVICE)),
        query=s.SERVICES_QUERY,
    ),
    Route(
        "PUT",
        f"{_P}/os-services/{{service_id}}",
        services.change,
        "service:update",
        s.wrapped("service", s.SERVICE),
        s.SERVICE_CHANGE,
    ),
)
