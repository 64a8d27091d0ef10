"""What the commands need of Refloat. There are two of it: on this machine, and behind the REST service.

Whatever a command calls has to be offered by both, alike: mypy sees to that, and one suite of tests, of what
users see, runs on both.
"""

from __future__ import annotations

from typing import TypeAlias

from refloat.cli.embedded import Embedded
from refloat.cli.remote import Remote

Backend: TypeAlias = Embedded | Remote
