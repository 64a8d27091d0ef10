"""Putting up with services that fail: what may be sent again is, within bounds; nothing waits for ever.

A call that does no harm when it is made twice is made again when a service fails, is silent or hangs up. Any
other is made again only when it surely was not done: the connection failed, or the service answered 429. Who
makes such a call has to look what became of it: ``HookContext.ensure``, or :func:`ensure_done`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import requests
from keystoneauth1 import exceptions as ka_exceptions
from keystoneauth1.session import Session
from urllib3.util.retry import Retry

from refloat.cloud import fence
from refloat.cloud.answers import JudgingAdapter, use_adapter
from refloat.cloud.errors import status_of
from refloat.errors import CloudError

RETRIES = 6
"""How often a call is made again; with the pauses between them, for about half a minute."""

SILENT_RETRIES = 2
"""How often one is that was given up because the service said nothing."""

PAUSES = (1.0, 3.0)
"""Seconds before something is done again of which nobody knows whether it was."""

SILENCE = 120.0
"""Seconds that a service may say nothing, unless ``api_timeout`` in ``clouds.yaml`` says otherwise."""

LONGEST_PAUSE = 30.0
"""Seconds to wait at most before a call is made again, whatever ``Retry-After`` says."""

_FAILING = frozenset({429, 500, 502, 503, 504})
_NOT_DONE = frozenset({429})
_LOOKS = frozenset({"GET", "HEAD", "OPTIONS"})
_HARMLESS = _LOOKS | {"PUT", "PATCH", "DELETE"}
_HARMLESS_ACTIONS = frozenset(
    {
        "lock",
        "unlock",
        "os-set_bootable",
        "os-set_image_metadata",
        "os-update_readonly_flag",
    }
)
"""Actions of Nova and Cinder that set something to a value."""

_REPEATED = "repeated"
"""Marks answers to a request that was sent again because an earlier answer broke off: urllib3 knows only of
those that it sends again itself."""


class _Policy(Retry):
    def parse_retry_after(self, retry_after: str) -> float:
        return min(super().parse_retry_after(retry_after), LONGEST_PAUSE)


def _policy(retries: int, *, silent: int | bool, statuses: frozenset[int]) -> Retry:
    return _Policy(
        total=None,
        connect=retries,
        read=silent,
        status=retries,
        other=0,
        redirect=0,
        allowed_methods=None,
        status_forcelist=statuses,
        backoff_factor=0.5,
        backoff_max=LONGEST_PAUSE,
        backoff_jitter=0.2,
        raise_on_status=False,
    )


class RetryingAdapter(JudgingAdapter):
    """Sends requests, if they may be sent (:mod:`refloat.cloud.fence`), and sends again what may be.

    :param retries: how often.
    """

    def __init__(self, retries: int) -> None:
        self._silent = min(SILENT_RETRIES, retries)
        super().__init__(max_retries=_policy(retries, silent=self._silent, statuses=_FAILING))
        self._once = JudgingAdapter(max_retries=_policy(retries, silent=False, statuses=_NOT_DONE))

    def ask(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        if request.method not in _LOOKS and not _logs_in(request):
            fence.check()
        if not may_be_repeated(request):
            return self._once.ask(request, *args, **kwargs)
        for again in range(self._silent):
            response = super().ask(request, *args, **kwargs)
            try:
                if not kwargs.get("stream"):
                    response.content  # noqa: B018 - read here, so that an answer that breaks off is asked for again
            except requests.RequestException:
                continue
            setattr(response, _REPEATED, again > 0)
            return response
        response = super().ask(request, *args, **kwargs)
        setattr(response, _REPEATED, self._silent > 0)
        return response

    def close(self) -> None:
        super().close()
        self._once.close()


def may_be_repeated(request: requests.PreparedRequest) -> bool:
    """Whether a call does no harm when it is made again, though it may have been done."""
    if request.method in _HARMLESS or _logs_in(request):
        return True
    path = urlsplit(request.url or "").path
    if path.endswith("/action") and isinstance(request.body, (str, bytes)):
        return not _HARMLESS_ACTIONS.isdisjoint(json.loads(request.body))
    return False


def _logs_in(request: requests.PreparedRequest) -> bool:
    return urlsplit(request.url or "").path.endswith("/auth/tokens")


def retry_calls(session: Session, retries: int = RETRIES) -> None:
    """Have all calls of a session made so, with a limit on the silence of a service."""
    session.timeout = session.timeout or SILENCE
    use_adapter(session, RetryingAdapter(retries))


def in_doubt(error: BaseException) -> bool:
    """Whether an error leaves open whether what was asked for was done: no answer, or a failing service's."""
    status = status_of(error)
    if status is not None:
        return status >= 500
    unheard = (ka_exceptions.ConnectionError, requests.RequestException)
    return any(isinstance(seen, unheard) for seen in _causes(error))


def ensure_done(done: Callable[[], bool], act: Callable[[], object]) -> None:
    """Do something unless it is done, and again when no answer tells whether it was.

    :param done: looks whether it is.
    :raises CloudError: the service refuses or fails, again and again.
    """
    for pause in (*PAUSES, None):
        if done():
            return
        try:
            act()
            return
        except CloudError as exc:
            if not in_doubt(exc):
                raise
            if pause is None:
                if done():
                    return
                raise
            time.sleep(pause)


def was_repeated(error: BaseException) -> bool:
    """Whether the call that was refused was made before, so that what is in its way may be its own work."""
    for seen in _causes(error):
        response = getattr(seen, "response", None)
        sent_again = getattr(getattr(getattr(response, "raw", None), "retries", None), "history", ())
        if sent_again or getattr(response, _REPEATED, False):
            return True
    return False


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__
