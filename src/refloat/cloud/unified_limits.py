"""Limits that the identity service keeps (Keystone's unified limits), read with oslo.limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from oslo_config import cfg
from oslo_limit import exception, limit

from refloat.cloud.errors import explained
from refloat.errors import CloudError


class KeystoneLimits:
    """Reads limits as the user of the group ``oslo_limit`` of the configuration.

    :param files: the files of the configuration. oslo.limit reads oslo.config's global one, and no other.
    """

    def __init__(self, files: Sequence[str]) -> None:
        cfg.CONF([], project="refloat", default_config_files=list(files))

    def of_project(self, project_id: str, names: Sequence[str]) -> dict[str, int]:
        """A project's limits; 0 for what is not registered. :raises CloudError: they cannot be read."""
        return self._read(lambda enforcer: enforcer.get_project_limits(project_id, names))

    def registered(self, names: Sequence[str]) -> dict[str, int]:
        """The limits of projects for which nothing is set. :raises CloudError: they cannot be read."""
        return self._read(lambda enforcer: enforcer.get_registered_limits(names))

    def _read(self, ask: Any) -> dict[str, int]:
        try:
            with explained("read the limits of the identity service"):
                # What is in use, we count ourselves. A new one each time: it would remember limits for ever.
                return dict(ask(limit.Enforcer(lambda _project, names: dict.fromkeys(names, 0), cache=False)))
        except exception.SessionInitError as exc:
            raise CloudError("the limits of the identity service cannot be read", reason=str(exc)) from exc
