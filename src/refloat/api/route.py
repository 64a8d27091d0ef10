"""What a route is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from refloat.api.request import Request
from refloat.api.schemas import Schema

Handler = Callable[[Request], dict[str, Any] | None]

PROJECT = "/v1/{project_id}"
CHECKPOINTS = f"{PROJECT}/providers/{{provider_id}}/checkpoints"


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    :param policy: who may; empty: everybody, without a token.
    :param reply: None: the answer has no body.
    """

    method: str
    path: str
    handler: Handler
    policy: str = ""
    reply: Schema | None = None
    body: Schema | None = None
    query: Schema | None = None
    status: int = 200
