"""Errors as clients know them: ``{"itemNotFound": {"code": 404, "message": "..."}}``."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from typing import Any

import webob
from sqlalchemy.exc import DBAPIError, OperationalError
from webob.response import iter_close

from refloat.api.tellable import words
from refloat.cloud.errors import status_of
from refloat.errors import AuthFailed, BankError, CloudError, Conflict, InvalidInput, NotFound, RefloatError
from refloat.records.quotas import OverQuota
from refloat.records.triggers import TriggerInUse

_LOG = logging.getLogger(__name__)

JSON = "application/json"

NAMES = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    409: "conflictingRequest",
    413: "overLimit",
    415: "badMediaType",
    429: "overLimit",
    501: "notImplemented",
    503: "serviceUnavailable",
}
OTHER = "computeFault"

RETRY_AFTER = 30
"""Seconds after which to try again when something that the service needs is away."""

_STATUSES: tuple[tuple[type[BaseException], int], ...] = (
    (OverQuota, 413),
    (InvalidInput, 400),
    (NotFound, 404),
    (TriggerInUse, 424),
    (Conflict, 409),
    (AuthFailed, 401),
    # Without Retry-After: the cloud has answered. Some clients cannot read errors that have that header.
    (CloudError, 502),
    (BankError, 502),
    (OperationalError, 503),
    (TimeoutError, 503),
    (RefloatError, 400),
)


class Fault(Exception):
    """An answer that is an error.

    :param status: the HTTP status.
    """

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = dict(headers or {})
        if status == 503:
            self.headers.setdefault("Retry-After", str(RETRY_AFTER))

    def body(self) -> dict[str, Any]:
        told: dict[str, Any] = {"code": self.status, "message": self.message}
        if self.status == 413:
            told["retryAfter"] = "0"
        return {NAMES.get(self.status, OTHER): told}


def fault_of(error: BaseException) -> Fault:
    """The answer for an error. What nobody foresaw is logged, and the client told nothing of it."""
    if isinstance(error, Fault):
        return error
    for kind, status in _STATUSES:
        if isinstance(error, kind):
            if isinstance(error, CloudError) and status == 502 and status_of(error) is None:
                status = 503  # it has not answered
            if isinstance(error, RefloatError):
                return _told(status, str(error))
            if isinstance(error, TimeoutError):
                return _told(status, str(error) or "something that is needed does not answer")
            _LOG.error("the database does not answer", exc_info=error)
            return Fault(status, "the database does not answer")
    if isinstance(error, DBAPIError) and error.connection_invalidated:
        return Fault(503, "the database does not answer")
    _LOG.error("a request failed", exc_info=error)
    return Fault(500, "The server could not do it; its log, at this request's id, tells why")


def _told(status: int, message: str) -> Fault:
    found = words(message)
    if found != message:
        _LOG.warning("a request is answered with %d: %s", status, message)
    return Fault(status, found)


class Faults:
    """WSGI middleware: gives errors of the middlewares below, which are text or HTML, the form of ours."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        response = webob.Request(environ).get_response(self._application)
        if response.status_int >= 400 and response.content_type != JSON:
            iter_close(response.app_iter)
            fault = Fault(response.status_int, response.status[4:] or "error")
            response.content_type, response.body = JSON, json.dumps(fault.body()).encode()
            response.headers.update(fault.headers)
        answer: Iterable[bytes] = response(environ, start_response)
        return answer
