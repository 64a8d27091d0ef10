"""What is typed into python-karborclient's two shells: the tables of test_karborclient.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One command. ``{names}`` in it stand for ids that earlier rows kept.

    :param prints: must be in what it prints.
    :param keep: the name under which later rows know the id that it prints.
    :param path: what to ask the service for afterwards,
    :param has: until it has these values, or (a number) answers with this status.
    :param admin: typed by the administrator.
    :param fails: the command must fail.
    """

    command: str
    prints: str = ""
    keep: str = ""
    path: str = ""
    has: Any = None
    admin: bool = False
    fails: bool = False


CHECKPOINT = "providers/{infra}/checkpoints/{checkpoint}"
KARBOR_PROTECT = (
    Row("provider-list", "OS Infra Provider with volume snapshots"),
    Row("provider-show {infra}", "OS Infra Provider"),
    Row("protectable-list", "OS::Cinder::Volume"),
    Row("protectable-show OS::Nova::Server", "OS::Cinder::Volume"),
    Row("protectable-list-instances OS::Nova::KeyPair", "{key}"),
    Row("protectable-show-instance OS::Nova::KeyPair {key}", "{key}"),
    Row(
        "plan-create first {infra} {key}=OS::Nova::KeyPair={key} --description kept"
        " --parameters resource_type=OS::Cinder::Volume,backup_mode=incremental",
        "suspended",
        keep="plan",
        path="plans/{plan}",
        has={
            "name": "first",
            "description": "kept",
            "parameters": {"OS::Cinder::Volume": {"backup_mode": "incremental"}},
        },
    ),
    Row("plan-list --name first", "{plan}"),
    Row("plan-show {plan}", "{key}"),
    Row("plan-update {plan} --name {key}", "{key}", path="plans/{plan}", has={"name": "{key}"}),
    Row(
        "checkpoint-create {infra} {plan} --extra_info reason=test",
        "protecting",
        keep="checkpoint",
        path=CHECKPOINT,
        has={"status": "available"},
    ),
    Row("checkpoint-list {infra} --plan_id {plan}", "{checkpoint}"),
    Row("checkpoint-show {infra} {checkpoint}", '"reason": "test"'),
    Row(
        "verification-create {infra} {checkpoint}",
        "in_progress",
        keep="verification",
        path="verifications/{verification}",
        has={"status": "success"},
    ),
    Row("verification-list --status success", "{verification}"),
    Row("verification-show {verification}", "success"),
)
KARBOR_RESTORE = (
    Row(
        "restore-create {infra} {checkpoint}",
        "in_progress",
        keep="restore",
        path="restores/{restore}",
        has={"status": "success", "resources_status": {"OS::Nova::KeyPair#{key}": "available"}},
    ),
    Row("restore-list", "{restore}"),
    Row("restore-show {restore}", "success"),
    Row("operationlog-list --status success", "{restore}"),
    Row("operationlog-show {restore}", "{checkpoint}"),
    Row("checkpoint-reset-state {infra} {checkpoint}", path=CHECKPOINT, has={"status": "error"}),
    Row(
        "checkpoint-reset-state {infra} {checkpoint} --available",
        path=CHECKPOINT,
        has={"status": "available"},
    ),
    Row("checkpoint-delete {infra} {checkpoint}", path=CHECKPOINT, has={"status": "deleted"}),
    Row("plan-delete {key}", path="plans/{plan}", has=404),
    Row("plan-delete {plan}", "No plan with a name or ID of", fails=True),
)
KARBOR_REST = (
    Row("quota-show", "plans"),
    Row("quota-show --detail", "in_use = "),
    Row("quota-defaults", "50"),
    Row("quota-update {project} --plans 40", "403", fails=True),
    Row("quota-update {project} --plans 40", "40", admin=True, path="quotas/{project}", has={"plans": 40}),
    Row("quota-class-show default", "50"),
    Row("quota-class-update {class} --plans 7", "403", fails=True),
    Row("quota-class-update {class} --plans 7", "7", admin=True, path="quota_classes/{class}",
        has={"plans": 7}),
    Row("service-list", "403", fails=True),
    Row("service-list", "refloat-worker", admin=True),
    Row("service-disable {service} --reason test", "disabled", admin=True),
    Row("service-enable {service}", "enabled", admin=True),
)  # fmt: skip
NIGHTLY = "'format=crontab,pattern=0 3 * * *'"
WEEKLY = "'format=crontab,pattern=0 4 * * 0,start_time=2030-01-01 00:00:00'"
SCHEDULED = {"name": "every", "operation_type": "protect", "trigger_id": "{trigger}", "enabled": True}
KARBOR_SCHEDULES = (
    Row(
        f"trigger-create nightly time {NIGHTLY}",
        "0 3 * * *",
        keep="trigger",
        path="triggers/{trigger}",
        has={"name": "nightly", "type": "time"},
    ),
    Row("trigger-list", "{trigger}"),
    Row("trigger-show {trigger}", "0 3 * * *"),
    Row("trigger-update {trigger} --name other", "other", path="triggers/{trigger}", has={"name": "other"}),
    Row(f"trigger-update {{trigger}} --properties {WEEKLY}", "0 4 * * 0"),
    Row(
        "scheduledoperation-create every protect {trigger} provider_id={infra},plan_id={plan}",
        "every",
        keep="scheduled",
        path="scheduled_operations/{scheduled}",
        has=SCHEDULED,
    ),
    Row("scheduledoperation-list", "{scheduled}"),
    Row("scheduledoperation-show {scheduled}", "{plan}"),
    Row("trigger-delete {trigger}", fails=True, path="triggers/{trigger}", has={"name": "other"}),
    Row("scheduledoperation-delete {scheduled}", path="scheduled_operations/{scheduled}", has=404),
    Row("trigger-delete {trigger}", path="triggers/{trigger}", has=404),
)

OPENSTACK_PROTECT = (
    Row("provider list", "OS Infra Provider with volume snapshots"),
    Row("provider show {infra}", "OS Infra Provider"),
    Row("protectable list", "OS::Cinder::Volume"),
    Row("protectable show OS::Nova::Server", "OS::Cinder::Volume"),
    Row("protectable instance show OS::Nova::KeyPair {key}", "{key}"),
    Row(
        "plan create first {infra} {key}=OS::Nova::KeyPair={key} --description kept",
        "suspended",
        keep="plan",
        path="plans/{plan}",
        has={"name": "first", "description": "kept"},
    ),
    Row("plan list --name first", "{plan}"),
    Row("plan show {plan}", "{key}"),
    Row("plan update {plan} --name {key}", "{key}", path="plans/{plan}", has={"name": "{key}"}),
    Row(
        "checkpoint create {infra} {plan} --extra_info reason=test",
        "protecting",
        keep="checkpoint",
        path=CHECKPOINT,
        has={"status": "available"},
    ),
    Row("checkpoint show {infra} {checkpoint}", '"reason": "test"'),
    Row(
        "verification create {infra} {checkpoint}",
        "in_progress",
        keep="verification",
        path="verifications/{verification}",
        has={"status": "success"},
    ),
    Row("verification show {verification}", "success"),
)
OPENSTACK_RESTORE = (
    Row(
        "restore create {infra} {checkpoint}",
        "in_progress",
        keep="restore",
        path="restores/{restore}",
        has={"status": "success", "resources_status": {"OS::Nova::KeyPair#{key}": "available"}},
    ),
    Row("restore show {restore}", "success"),
    Row("operationlog list", "{restore}"),
    Row("operationlog show {restore}", "{checkpoint}"),
)
OPENSTACK_SCHEDULES = (
    Row("trigger list", "{trigger}"),
    Row("trigger show {trigger}", "0 3 * * *"),
    Row(f"trigger update {{trigger}} --properties {WEEKLY}", "0 4 * * 0"),
    Row(
        "scheduledoperation create every protect {trigger} provider_id={infra},plan_id={plan}",
        "every",
        keep="scheduled",
        path="scheduled_operations/{scheduled}",
        has=SCHEDULED,
    ),
    Row("scheduledoperation show {scheduled}", "{plan}"),
)
OPENSTACK_AFTER = (
    Row("scheduledoperation delete {scheduled}", path="scheduled_operations/{scheduled}", has=404),
    Row("trigger delete {trigger}", path="triggers/{trigger}", has=404),
    Row("checkpoint reset state {infra} {checkpoint}", path=CHECKPOINT, has={"status": "error"}),
    Row(
        "checkpoint reset state {infra} {checkpoint} --available",
        path=CHECKPOINT,
        has={"status": "available"},
    ),
    Row("checkpoint delete {infra} {checkpoint}", path=CHECKPOINT, has={"status": "deleted"}),
    Row("plan delete {plan}", path="plans/{plan}", has=404),
    Row("quotas show", "plans"),
    Row("quotas default", "50"),
    Row("quotaclass show default", "50"),
    Row("quotas update {project} --plans 40", "403"),
    Row("quotaclass update {class} --plans 7", "403"),
    Row("service list", "403"),
)
OPENSTACK_ADMIN = (
    Row("quotas update {project} --plans 41", "41", path="quotas/{project}", has={"plans": 41}),
    Row("quotaclass update {class} --plans 8", "8", path="quota_classes/{class}", has={"plans": 8}),
    Row("service list", "refloat-worker"),
    Row("service disable {service} --reason test", "disabled"),
    Row("service enable {service}", "enabled"),
)
FORMATTER = "Invalid formatter provided"
BROKEN = (
    # osc-lib takes no plain functions as formatters any more
    Row("protectable instance list OS::Nova::KeyPair", FORMATTER),
    Row("checkpoint list {infra}", FORMATTER),
    Row("restore list", FORMATTER),
    Row("verification list", FORMATTER),
    Row("scheduledoperation list", FORMATTER),
    # strings where it expects a dictionary, and a key that it does not set
    Row("trigger create nightly time format=crontab", "'str' object has no attribute 'get'"),
    Row("trigger update {trigger} --name other", "'properties'"),
)
