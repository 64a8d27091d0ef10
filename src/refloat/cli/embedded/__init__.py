"""The commands' Refloat in this process, on the user's own database: a module for each subject."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from refloat.cli.embedded.checkpoints import EmbeddedCheckpoints
from refloat.cli.embedded.plans import EmbeddedPlans
from refloat.cli.embedded.restore_plans import EmbeddedRestorePlans
from refloat.cli.embedded.session import Reach

if TYPE_CHECKING:
    from refloat.cli.embedded.schedules import EmbeddedSchedules


__all__ = ["Embedded", "Reach"]


class Embedded(EmbeddedRestorePlans, EmbeddedCheckpoints, EmbeddedPlans):
    """One user's Refloat: a cloud, banks and a database. Opens each when it is first used."""

    @cached_property
    def schedules(self) -> EmbeddedSchedules:
        from refloat.cli.embedded.schedules import EmbeddedSchedules

        return EmbeddedSchedules(self)
