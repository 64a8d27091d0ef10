"""Judges answers: whether it is the service itself that says 404.

What stands before a service (HAProxy, nginx, an ingress) answers 404 too, where it does not know the place of
the service, or in its stead. That says nothing of what was asked for; and by a 404 things are taken for gone,
waits for their end are over, and what they belong to is removed. So every session of Refloat judges all its
answers here, before anybody sees them: a 404 that is not the service's own becomes a 502.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import requests
from keystoneauth1.session import Session, TCPKeepAliveAdapter

_SIGNS = ("x-openstack-request-id", "x-compute-request-id", "x-trans-id")
"""Headers of the services themselves: Nova has had the second for ever, Swift and Ceph's gateway the third.
Glance, whose 404 is a page of HTML, is known by them alone."""

_FAULTS = ("itemNotFound", "NeutronError", "error")
"""What a fault is under: of Nova, Cinder, Manila and Trove (which has no header), Neutron, Keystone."""
_WHOLE = ({"faultcode", "faultstring"}, {"code", "title", "description"})
"""Faults that are under nothing: Octavia's, Barbican's."""


def judged(response: requests.Response) -> requests.Response:
    """The answer; one that says as much instead, if somebody else has given it."""
    if response.status_code != HTTPStatus.NOT_FOUND or _is_own(response):
        return response
    who = response.headers.get("Server", "something that does not say what it is")
    said = f"not the service itself answered, but {who} before it, with 404: that tells nothing"
    response.status_code, response.reason = HTTPStatus.BAD_GATEWAY, HTTPStatus.BAD_GATEWAY.phrase
    response.headers["Content-Type"] = "application/json"
    response._content = json.dumps({"error": {"message": said}}).encode()
    return response


def _is_own(response: requests.Response) -> bool:
    if any(response.headers.get(name) for name in _SIGNS):
        return True
    try:
        body: Any = response.json()
    except ValueError:
        return False
    if not isinstance(body, Mapping):
        return False
    faults = (body.get(name) for name in _FAULTS)
    return any(names <= body.keys() for names in _WHOLE) or any(
        isinstance(fault, Mapping) and "message" in fault for fault in faults
    )


class JudgingAdapter(TCPKeepAliveAdapter):
    """Sends requests, and judges the answers."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        return judged(self.ask(request, *args, **kwargs))

    def ask(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send a request; the answer, whoever gave it."""
        return super().send(request, *args, **kwargs)


def new_session(auth: Any, **more: Any) -> Session:
    """A session that judges all its answers; none but these and :func:`refloat.cloud.retries.retry_calls`."""
    return use_adapter(Session(auth=auth, app_name="refloat", **more), JudgingAdapter())


def use_adapter(session: Session, adapter: JudgingAdapter) -> Session:
    """Have all requests of a session sent by an adapter."""
    for scheme in ("http://", "https://"):
        session.session.mount(scheme, adapter)
    return session
