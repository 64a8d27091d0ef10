"""All routes of the API: those of every noun in :mod:`refloat.api.v1`, and that of the OpenAPI document."""

from __future__ import annotations

from refloat.api import openapi
from refloat.api.route import Route
from refloat.api.v1 import (
    banks,
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
    versions,
)

_NOUNS = (
    versions,
    providers,
    protectables,
    plans,
    checkpoints,
    copies,
    holds,
    restores,
    restore_plans,
    verifications,
    operations,
    banks,
    operation_logs,
    quotas,
    triggers,
    scheduled_operations,
    services,
)

ROUTES: tuple[Route, ...] = openapi.with_document([route for noun in _NOUNS for route in noun.ROUTES])
