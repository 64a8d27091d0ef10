"""The commands' Refloat behind the REST service, through the SDK: a module for each subject."""

from __future__ import annotations

from functools import cached_property

from refloat.cli.remote.runs import Runs
from refloat.cli.remote.schedules import Schedules


class Remote(Runs):
    """One user's Refloat at a service."""

    elsewhere = True

    @cached_property
    def schedules(self) -> Schedules:
        """Triggers and scheduled operations."""
        return Schedules(self)

    def __enter__(self) -> Remote:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


__all__ = ["Remote"]
