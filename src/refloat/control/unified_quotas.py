"""Quotas whose limits the identity service keeps: what is in use is counted here, as always."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from sqlalchemy.orm import Session

from refloat.cloud.unified_limits import KeystoneLimits
from refloat.errors import InvalidInput
from refloat.records.database import Database
from refloat.records.quotas import Quotas

_LATER = ("operations_queued", "operations_running")
"""Where Keystone has none of these, they are what the configuration says: 0 would stop everybody."""


class UnifiedLimits(Quotas):
    """Quotas by Keystone's unified limits. They cannot be set here.

    :param names: the quotas that there are; so their limits are called in Keystone.
    """

    def __init__(self, database: Database, names: Mapping[str, int], limits: KeystoneLimits) -> None:
        super().__init__(database, names)
        self._limits = limits

    def _of_class(self, session: Session, class_name: str) -> dict[str, int]:
        return self._known(self._limits.registered(self.names))

    def _of_project(self, session: Session, project_id: str) -> dict[str, int]:
        return self._known(self._limits.of_project(project_id, self.names))

    def _known(self, found: Mapping[str, int]) -> dict[str, int]:
        return {**found, **{name: found[name] or self._defaults[name] for name in _LATER}}

    def _kept_elsewhere(self, *_given: Any, **_named: Any) -> NoReturn:
        """:raises InvalidInput: always."""
        raise InvalidInput(
            "the limits of this service are kept by the identity service",
            advice="Use: openstack limit create, openstack registered limit set",
        )

    set_project = reset_project = set_class = _kept_elsewhere
