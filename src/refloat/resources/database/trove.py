"""The door to Trove: how instances, backups, flavors and configuration groups are read, listed and removed.

Written from Trove's API reference (Database API v1.0). openstacksdk's proxy knows no backups, and leaves out
much of what an instance tells of itself.
"""

from __future__ import annotations

from typing import Any

from refloat.cloud.rest import rest_kind

INSTANCE = "database_instance"
BACKUP = "database_backup"
FLAVOR = "database_flavor"
CONFIGURATION = "database_configuration"

ERROR_STATES = frozenset({"error", "failed", "crashed"})
"""The states of an instance that it does not come out of by itself."""

BUSY_STATES = frozenset(
    {"build", "building", "reboot", "resize", "backup", "promote", "eject", "upgrade", "detach"}
)

READY_STATES = frozenset({"active", "healthy", "restart_required"})

_STATES: dict[str, Any] = {"waits_gone": True, "delete_failed": frozenset({"delete_failed"})}

KINDS = (
    rest_kind(
        INSTANCE, "database", "/instances", one="instance", busy=BUSY_STATES, failed=ERROR_STATES, **_STATES
    ),
    rest_kind(
        BACKUP,
        "database",
        "/backups",
        one="backup",
        busy=frozenset({"new", "building", "saving"}),
        failed=frozenset({"failed", "delete_failed"}),
        **_STATES,
    ),
    rest_kind(FLAVOR, "database", "/flavors", one="flavor"),
    rest_kind(CONFIGURATION, "database", "/configurations", one="configuration"),
)
