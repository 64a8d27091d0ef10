"""The commands' Refloat behind the REST service, through the SDK: a module for each subject."""

from __future__ import annotations

from functools import cached_property

from refloat.cli.remote.restore_plans import RemoteRestorePlans
from refloat.cli.remote.schedules import RemoteSchedules


class Remote(RemoteRestorePlans):
    """One user's Refloat at a service."""

    @cached_property
    def schedules(self) -> RemoteSchedules:
        return RemoteSchedules(self)
