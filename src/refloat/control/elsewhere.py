"""Where a restore goes, if not into the caller's own project."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from refloat.cloud.authority import Authority, Caller
from refloat.cloud.targets import OWN


@dataclass(frozen=True)
class Elsewhere:
    """Where a restore goes.

    :param target: the URL of an identity service; empty: the service's own.
    :param auth: how to log in there; used once and never written down. Empty: the caller's own session.
    :param own: the target is the caller's own cloud, by one of its names.
    """

    target: str = ""
    auth: Mapping[str, Any] = field(default_factory=dict, repr=False)
    own: bool = False

    def login(self, authority: Authority) -> Caller:
        return authority.login(OWN if self.own else self.target, self.auth)

    def project(self, acting: Caller, project_id: str) -> dict[str, str]:
        """What a payload says of another project, or cloud."""
        here = self.own and acting.project_id == project_id
        return {} if here else {"elsewhere": acting.project_id}


HERE = Elsewhere()
