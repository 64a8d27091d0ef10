"""Believes what callers say they are. For trying the service out, on one's own machine."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from refloat.api.faults import Fault


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


class NoAuth:
    """WSGI middleware: the token ``USER:PROJECT`` is that user, in that project, as an administrator.

    Without a token it answers 204 with a token for the user and the project that the headers ``X-Auth-User``
    and ``X-Auth-Project-Id`` name, as Karbor did.

    Whatever server it runs in, it answers this machine alone: nothing that came through a proxy, nor what a
    browser was led to by somebody else's name that became this machine's address.
    """

    def __init__(self, application: Callable[..., Iterable[bytes]], project: str, domain: str) -> None:
        self._application = application
        self._admin_project = {"HTTP_X_PROJECT_NAME": project, "HTTP_X_PROJECT_DOMAIN_NAME": domain}

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        forwarded = [name for name in environ if name.startswith(("HTTP_FORWARDED", "HTTP_X_FORWARDED"))]
        if forwarded or not (is_loopback(environ.get("REMOTE_ADDR", "")) and is_loopback(_host(environ))):
            words = "without authentication only this machine is answered, as localhost or 127.0.0.1"
            start_response("403 Forbidden", [("Content-Type", "application/json")])
            return [json.dumps(Fault(403, words).body()).encode()]
        for name in ("IDENTITY_STATUS", "USER_ID", "PROJECT_ID", "ROLES", "IS_ADMIN_PROJECT"):
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
            environ |= self._admin_project
        return self._application(environ, start_response)


def _host(environ: dict[str, Any]) -> str:
    """Whom a request is for, without the port; empty: it does not say, or not clearly."""
    found = re.fullmatch(r"([\w.-]+|\[[0-9a-fA-F:.]+\])(:[0-9]+)?", environ.get("HTTP_HOST", ""))
    return found[1].strip("[]") if found else ""
