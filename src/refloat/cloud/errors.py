"""Turns what openstacksdk and keystoneauth raise into errors a user can act on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from keystoneauth1 import exceptions as ka_exceptions
from openstack import exceptions as sdk_exceptions

from refloat.errors import AuthFailed, CloudError, Gone, NotFound, RefloatError, ServiceMissing

_AUTH = (ka_exceptions.Unauthorized, ka_exceptions.AuthorizationFailure, ka_exceptions.MissingRequiredOptions)
_APPENDED = re.compile(r"( \((HTTP \d{3}|Request-ID: [^)]*)\))+$")
_MISSING = (
    ka_exceptions.EndpointNotFound,
    ka_exceptions.catalog.CatalogException,
    sdk_exceptions.ServiceDisabledException,
)


@contextmanager
def explained(what: str, resource: object = "") -> Iterator[None]:
    """Run calls to the cloud; say in any error what was attempted and on which resource.

    :param what: the attempt as a phrase that follows "could not": ``create the port``.
    """
    try:
        yield
    except (sdk_exceptions.SDKException, ka_exceptions.ClientException) as exc:
        raise explain(exc, what, resource) from exc


def explain(exc: Exception, what: str, resource: object = "") -> RefloatError:
    """The error to show for ``exc``, with the service's own words and request id."""
    message = f"could not {what}"
    fields: dict[str, Any] = {
        "resource": str(resource),
        "reason": reason_of(exc),
        "request_id": request_id_of(exc),
    }
    if isinstance(exc, (sdk_exceptions.NotFoundException, ka_exceptions.NotFound)):
        # Only a service's own 404 gets here as one (refloat.cloud.answers).
        return (Gone if status_of(exc) == HTTPStatus.NOT_FOUND else NotFound)(message, **fields)
    if (isinstance(exc, sdk_exceptions.HttpException) and exc.status_code == 401) or isinstance(exc, _AUTH):
        return AuthFailed(message, **fields, advice="Check the credentials in clouds.yaml")
    if isinstance(exc, _MISSING) or "endpoint for" in str(exc):
        return ServiceMissing(
            message, **fields, advice="This cloud does not offer the service, or not to you"
        )
    if is_failing(exc):
        status = status_of(exc)
        fields["reason"] += f" (HTTP {status})" if status else ""
        return CloudError(message, **fields, advice="Try again when the service works")
    return CloudError(message, **fields)


def is_failing(exc: BaseException) -> bool:
    """Whether not the request is at fault: the service fails, has too much to do, or is not heard."""
    status = status_of(exc)
    if status is not None:
        return status >= 500 or status == 429
    return isinstance(exc, ka_exceptions.ConnectionError)


def status_of(exc: BaseException) -> int | None:
    """The HTTP status behind an error, also through ``raise ... from``."""
    seen: BaseException | None = exc
    while seen is not None:
        for name in ("status_code", "http_status"):
            code = getattr(seen, name, None)
            if isinstance(code, int):
                return code
        seen = seen.__cause__
    return None


def reason_of(exc: Exception) -> str:
    """The service's own words, without the status and request id that keystoneauth puts behind them."""
    details = getattr(exc, "details", None)
    text = str(details) if details else str(getattr(exc, "message", "") or exc)
    return _APPENDED.sub("", " ".join(text.split()))


def request_id_of(exc: Exception) -> str:
    """The service's request id, when it sent one."""
    found = getattr(exc, "request_id", None)
    if found:
        return str(found)
    headers = getattr(getattr(exc, "response", None), "headers", None) or {}
    return str(headers.get("x-openstack-request-id") or headers.get("X-Openstack-Request-Id") or "")
