"""What a route is, and the rule that says who may use it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from refloat.api.request import Request
from refloat.api.schemas import Schema

Handler = Callable[[Request], dict[str, Any] | None]

PROJECT = "/v1/{project_id}"
CHECKPOINTS = f"{PROJECT}/providers/{{provider_id}}/checkpoints"


class Rule(NamedTuple):
    """A rule of oslo.policy, and its default."""

    name: str
    check: str


reader = partial(Rule, check="rule:project_reader")
"""A rule for looking."""
member = partial(Rule, check="rule:project_member")
"""A rule for acting."""
manager = partial(Rule, check="rule:project_manager")
"""A rule for acting on what others rely on."""
admin = partial(Rule, check="rule:admin_api")
"""A rule for what only administrators may do."""


@dataclass(frozen=True, slots=True, eq=False)
class Route:
    """One route.

    :param rule: who may; None: everybody, without a token.
    :param reply: None: the answer has no body.
    :param instead: a field of the body, and the rule that counts where it is given.
    """

    method: str
    path: str
    handler: Handler
    rule: Rule | None = None
    reply: Schema | None = None
    body: Schema | None = None
    query: Schema | None = None
    status: int = 200
    instead: tuple[str, Rule] | None = None

    @property
    def policy(self) -> str:
        """The name of its rule; empty: it has none."""
        return self.rule.name if self.rule else ""
