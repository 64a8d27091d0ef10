"""Believes what callers say they are. For trying the service out, on one's own machine."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class NoAuth:
    """WSGI middleware: the token ``USER:PROJECT`` is that user, in that project, as an administrator.

    Without a token it answers 204 with a token for the user and the project that the headers ``X-Auth-User``
    and ``X-Auth-Project-Id`` name, as Karbor did.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        for name in ("IDENTITY_STATUS", "USER_ID", "PROJECT_ID", "ROLES"):
            environ.pop(f"HTTP_X_{name}", None)
        token = environ.get("HTTP_X_AUTH_TOKEN", "")
        if not token and "HTTP_X_AUTH_USER" in environ:
            user = environ["HTTP_X_AUTH_USER"]
            project = environ.get("HTTP_X_AUTH_PROJECT_ID", "noauth")
            start_response("204 No Content", [("X-Auth-Token", f"{user}:{project}")])
            return []
        user, _, project = token.partition(":")
        if user:
            environ["HTTP_X_IDENTITY_STATUS"] = "Confirmed"
            environ["HTTP_X_USER_ID"] = user
            environ["HTTP_X_PROJECT_ID"] = project or user
            environ["HTTP_X_ROLES"] = "admin,manager,member,reader"
        return self._application(environ, start_response)
