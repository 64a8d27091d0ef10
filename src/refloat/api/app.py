"""The WSGI application: middlewares of OpenStack's libraries, then Falcon, then the table of routes."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from typing import Any

import falcon
import webob.exc
from oslo_middleware import cors, healthcheck, http_proxy_to_wsgi, request_id, sizelimit
from oslo_policy import policy

from refloat.api import tellable, validation
from refloat.api.concurrency import ConcurrencyLimit
from refloat.api.deployment import Deployment
from refloat.api.faults import JSON, Fault, Faults, fault_of
from refloat.api.noauth import NoAuth
from refloat.api.policies import make_enforcer
from refloat.api.request import Request
from refloat.api.route import Route
from refloat.api.routes import ROUTES
from refloat.cloud.authority import Caller
from refloat.log_context import about, note

_LOG = logging.getLogger(__name__)

Wsgi = Callable[..., Any]

OTHER_PROJECT = "Malformed request url: the project in it is not the one that the token is for"
"""The same whether there is such a project or not. The first words are Karbor's."""

_SWITCH = 0.0005
"""Seconds after which a request that computes lets others go on: one tenant's must not hold up another's."""

LARGEST_BODY = 1 << 20
"""Bytes, unless the configuration says otherwise: a plan may name thousands of resources."""


class RequestId(request_id.RequestId):
    """Gives every request an id; tells it in Karbor's header too, where clients look for it."""

    compat_headers = ["X-Compute-Request-Id"]  # noqa: RUF012


def make_application(deployment: Deployment, authenticate: Callable[[Wsgi], Wsgi] | None = None) -> Wsgi:
    """The whole application.

    :param authenticate: puts the middleware in front that tells who calls; None: as the configuration says.
    """
    conf = deployment.conf
    sys.setswitchinterval(_SWITCH)
    application: Wsgi = _falcon(deployment)
    application = (authenticate or (lambda inner: _authenticated(inner, conf)))(application)
    application = sizelimit.RequestBodySizeLimiter(application, conf)
    conf.set_default("max_request_body_size", LARGEST_BODY, group="oslo_middleware")
    application = RequestId(_named(application))
    application = cors.CORS(application, conf)
    application = http_proxy_to_wsgi.HTTPProxyToWSGI(application, conf)
    inner = Faults(application)
    healthy = healthcheck.Healthcheck(None, conf)

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        chosen = healthy if environ.get("PATH_INFO") == "/healthcheck" else inner
        return chosen(environ, start_response)

    return answer


def _named(application: Wsgi) -> Wsgi:
    """What is logged of a request tells its id."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        with about(request_id=environ.get(request_id.ENV_REQUEST_ID, "")):
            return application(environ, start_response)

    return answer


def _authenticated(application: Wsgi, conf: Any) -> Wsgi:
    if conf.api.auth_strategy == "noauth":
        return NoAuth(application, conf.api.admin_project_name, conf.api.admin_project_domain_name)
    from keystonemiddleware import auth_token

    # Told to leave the decision to us, it would take every token for wrong while Keystone is away.
    guarded: Wsgi = auth_token.AuthProtocol(application, {"oslo_config_config": conf})
    open_to_all = {route.path.rstrip("/") for route in ROUTES if not route.rule}

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        is_open = environ.get("PATH_INFO", "").rstrip("/") in open_to_all
        return (application if is_open else guarded)(environ, start_response)

    return answer


def _falcon(deployment: Deployment) -> Wsgi:
    app = falcon.App()
    app.req_options.strip_url_path_trailing_slash = True
    app.req_options.keep_blank_qs_values = True
    for kind in (Exception, falcon.HTTPError):  # the most special handler counts, and Falcon has its own
        app.add_error_handler(kind, _tell)
    responders = _Responders(deployment)
    by_path: dict[str, list[Route]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)
    for path, routes in by_path.items():
        methods = {f"on_{route.method.lower()}": responders.of(route) for route in routes}
        app.add_route(path, type("Resource", (), {n: staticmethod(f) for n, f in methods.items()})())
    return app


class _Responders:
    """What answers requests: lets in those that are allowed and of the right form."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment
        self._enforcer = make_enforcer(deployment.conf)
        options = deployment.conf.api
        most = options.project_requests
        # Of eight, six: two are always for the others.
        self._limit = ConcurrencyLimit(max(1, options.threads * 3 // 4) if most is None else most)

    def of(self, route: Route) -> Callable[..., None]:
        def respond(request: falcon.Request, response: falcon.Response, **path: str) -> None:
            caller = _caller(request, self._deployment.conf.api) if route.rule else Caller("", "")
            with self._limit.one_of(caller.project_id):
                admitted = self._admitted(route, request, path, caller)
                answer = route.handler(admitted)
                if route.rule and not admitted.is_admin:
                    answer = tellable.answer(answer)
                if route.method != "GET":
                    self._deployment.wake()
                response.status = route.status
                response.content_type = JSON
                if route.reply is not None:
                    response.data = json.dumps(answer).encode()

        return respond

    def _admitted(
        self, route: Route, request: falcon.Request, path: dict[str, str], caller: Caller
    ) -> Request:
        """The request as handlers see it. Refuses what is not allowed, then what is not of the right form."""
        is_admin = False
        if route.rule:
            note(project_id=caller.project_id)
            if path.pop("project_id") != caller.project_id:
                raise Fault(400, OTHER_PROJECT)
            rules = [route.policy, *([route.instead[1].name] if route.instead else [])]
            if not any(self._allowed(rule, caller) for rule in rules):
                raise _refused(route.policy)
            is_admin = self._allowed("context_is_admin", caller)
        validation.check_path(path)
        query = validation.read_query(request.params, route.query or {})
        body = validation.read_body(_body(request), route.body) if route.body is not None else {}
        if route.instead:
            field, other = route.instead
            rule = other.name if any(field in part for part in body.values()) else route.policy
            if not self._allowed(rule, caller):
                raise _refused(rule)
        return Request(
            self._deployment,
            caller,
            is_admin,
            {
                name: validation.same_form(value) if name in validation.UUIDS - {"target_id"} else value
                for name, value in path.items()
            },
            query,
            body,
            f"{request.prefix}{request.path}",
            {name: value[-1] if isinstance(value, list) else value for name, value in request.params.items()},
        )

    def _allowed(self, rule: str, caller: Caller) -> bool:
        target = {"project_id": caller.project_id, "user_id": caller.user_id}
        known = {"roles": sorted(caller.roles), "is_admin_project": caller.in_admin_project}
        try:
            return bool(self._enforcer.authorize(rule, target, {**target, **known}))
        except policy.InvalidScope:
            return False


def _refused(rule: str) -> Fault:
    return Fault(403, f"Policy doesn't allow {rule} to be performed.")


def _caller(request: falcon.Request, options: Any) -> Caller:
    """Who calls, as the middleware in front has found out.

    :raises Fault: that is not known, or it is nobody in a project.
    """
    environ = request.env
    if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
        raise Fault(401, "The request you have made requires authentication.")
    project_id = environ.get("HTTP_X_PROJECT_ID") or ""
    if not project_id:
        raise Fault(403, "the token must be for a project")
    roles = frozenset(role.strip() for role in environ.get("HTTP_X_ROLES", "").split(",") if role.strip())
    plugin = environ.get("keystone.token_auth")
    project = environ.get("HTTP_X_PROJECT_NAME"), environ.get("HTTP_X_PROJECT_DOMAIN_NAME")
    is_it = project == (options.admin_project_name, options.admin_project_domain_name)
    # Keystone says of every project that it is the admin project when it was not told which one is.
    is_it = is_it and environ.get("HTTP_X_IS_ADMIN_PROJECT", "True") != "False"
    return Caller(environ.get("HTTP_X_USER_ID") or "", project_id, roles, plugin, in_admin_project=is_it)


def _body(request: falcon.Request) -> bytes:
    media = (request.content_type or "").partition(";")[0].strip().lower()
    if media != JSON:
        raise Fault(415, f"the body must be {JSON}")
    try:
        return bytes(request.bounded_stream.read())
    except webob.exc.HTTPRequestEntityTooLarge:
        raise Fault(413, "the body is too large") from None


def _tell(
    _request: falcon.Request, response: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    if isinstance(error, falcon.HTTPError):
        status = falcon.http_status_to_code(error.status)
        words = {404: "The resource could not be found.", 405: "The method is not allowed here."}
        fault = Fault(status, words.get(status, error.description or error.title or "error"))
        for name, value in (error.headers or {}).items() if isinstance(error.headers, dict) else ():
            fault.headers[name] = value
    else:
        fault = fault_of(error)
    response.status = fault.status
    response.content_type = JSON
    response.data = json.dumps(fault.body()).encode()
    for name, value in fault.headers.items():
        response.set_header(name, value)
