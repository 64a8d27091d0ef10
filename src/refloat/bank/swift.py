"""A store in a container of Swift, through the API of Swift itself.

Swift refuses to replace an object when it is asked to (``If-None-Match: *``), but it looks when a request
begins, not when it ends. So small objects, the only ones whose names others may choose too, are read back.
Two writers at the very same moment could still both win; docs/stores.md says what that means.

Who logs in, and renews the token, is not the bank's business: see :class:`SwiftLogin`.

Plain HTTP, rather than OpenDAL as for the other stores: that has neither the condition nor the renewal, and
takes an object in one piece only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

import urllib3

from refloat.bank.store import (
    READ_BACK,
    AlreadyExists,
    Denied,
    ObjectInfo,
    ObjectMissing,
    Parts,
    StoreFull,
    SwiftLogin,
    Unavailable,
    check_name,
    parts_of,
    same,
)
from refloat.errors import AuthFailed, BankError, CloudError, NotFound, ServiceMissing

CONNECT_SECONDS = 20.0
SILENCE_SECONDS = 60.0
"""A server that sends (or takes) nothing for so long has failed."""

LARGEST = 5 << 30
"""The largest object that Swift takes in one piece, as it is usually configured."""

_CONNECTIONS = 16
_LISTED = 10_000
_ATTEMPTS = 5
_LATER = {408, 409, 422, 429, 498, 499, 500, 502, 503, 504}
_FULL = {413, 507}


class SwiftStore:
    """Objects in a container, below a prefix.

    :param login: tells the account's endpoint and gives tokens.
    """

    def __init__(self, login: SwiftLogin, container: str, prefix: str = "", *, url: str = "") -> None:
        self._login = login
        self._container = f"/{quote(container)}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._url = url or f"swift://{container}{'/' * bool(prefix)}{prefix}"
        self._opening = threading.Lock()
        self._pool: urllib3.PoolManager | None = None

    @property
    def url(self) -> str:
        return self._url

    def prepare(self, *, create: bool) -> None:
        """See that the container is there.

        :param create: make it if it is not.
        :raises NotFound: it is not there.
        """
        answer = self._call("HEAD", self._container)
        if answer.status == 404 and create:
            answer = self._call("PUT", self._container)
        if answer.status == 404:
            raise NotFound(f"there is no container for {self._url}")
        self._expect(answer, "open the container")

    def put(self, name: str, content: Parts) -> None:
        path = self._path(name)
        parts = parts_of(content)
        size = sum(map(len, parts))
        if size > LARGEST:
            raise BankError("the object is larger than Swift takes", resource=name, reason=f"{size} bytes")
        headers = {
            "If-None-Match": "*",
            "Content-Length": str(size),
            "Content-Type": "application/octet-stream",
        }
        for _attempt in range(_ATTEMPTS):
            try:
                answer = self._call("PUT", path, headers=headers, body=parts)
            except Unavailable:
                # Perhaps it arrived. Perhaps a refusal was lost while we sent; asking brings it out.
                if self._is_same(name, parts, size):
                    return
                raise
            if answer.status != 412:
                if answer.status == 404:
                    raise self._vanished()
                self._expect(answer, "write the object", name)
                if size <= READ_BACK:
                    self._is_same(name, parts, size)
                return
            if self._is_same(name, parts, size):
                return
            # It was there, and was removed meanwhile.
        raise BankError(
            "the object could not be written",
            resource=name,
            reason="it comes and goes while it is being written",
        )

    def get(self, name: str) -> bytes:
        return self._read(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        if length <= 0:
            self.stat(name)
            return b""
        return self._read(name, {"Range": f"bytes={offset}-{offset + length - 1}"})

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if prefix:
            check_name(prefix.rstrip("/"))
        query = {"format": "json", "limit": str(_LISTED), "prefix": self._prefix + prefix}
        while True:
            answer = self._call("GET", f"{self._container}?{urlencode(query)}")
            if answer.status == 404:
                raise self._vanished()
            self._expect(answer, "list the objects", prefix)
            page = json.loads(answer.data) if answer.data else []
            for found in page:
                name = str(found["name"])
                yield ObjectInfo(
                    name.removeprefix(self._prefix), int(found["bytes"]), _moment(str(found["last_modified"]))
                )
            if not page:
                return
            query["marker"] = name

    def stat(self, name: str) -> ObjectInfo:
        answer = self._call("HEAD", self._path(name))
        if answer.status == 404:
            raise self._missing(name)
        self._expect(answer, "look for the object", name)
        return ObjectInfo(name, int(answer.headers["Content-Length"]), float(answer.headers["X-Timestamp"]))

    def delete(self, name: str) -> None:
        answer = self._call("DELETE", self._path(name))
        if answer.status == 404:
            self._missing(name)
            return
        self._expect(answer, "remove the object", name)

    def close(self) -> None:
        with self._opening:
            if self._pool is not None:
                self._pool.clear()

    # --- requests

    def _path(self, name: str) -> str:
        return f"{self._container}/{quote(self._prefix + check_name(name))}"

    def _read(self, name: str, headers: Mapping[str, str] | None = None) -> bytes:
        answer = self._call("GET", self._path(name), headers=headers)
        if answer.status == 404:
            raise self._missing(name)
        if answer.status == 416:
            return b""
        self._expect(answer, "read the object", name)
        return answer.data

    def _call(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Sequence[bytes | memoryview] | None = None,
    ) -> urllib3.BaseHTTPResponse:
        """One request; a second one with a new token when the first is refused."""
        token = self._token()
        answer = self._send(method, path, {**(headers or {}), "X-Auth-Token": token}, body)
        if answer.status == 401:
            token = self._token(refused=token)
            answer = self._send(method, path, {**(headers or {}), "X-Auth-Token": token}, body)
        return answer

    def _token(self, refused: str = "") -> str:
        try:
            return self._login.token(refused)
        except (AuthFailed, ServiceMissing):
            raise
        except CloudError as error:  # the identity service does not answer: it may soon
            raise Unavailable(error.message, reason=error.reason, request_id=error.request_id) from error

    def _send(
        self, method: str, path: str, headers: dict[str, str], body: Sequence[bytes | memoryview] | None
    ) -> urllib3.BaseHTTPResponse:
        try:
            # Views of memory go out as well as bytes do; the annotation of urllib3 does not know.
            pieces: Any = None if body is None else iter(body)
            answer = self._connections().request(
                method, self._login.endpoint + path, headers=headers, body=pieces
            )
        except urllib3.exceptions.HTTPError as error:
            reason = error.reason if isinstance(error, urllib3.exceptions.MaxRetryError) else error
            raise Unavailable(f"{self._url} does not answer as it should", reason=_words(reason)) from error
        if answer.status == 404 and "X-Trans-Id" not in answer.headers:
            # Something before Swift, and Ceph's gateway, does not know where it is: that tells nothing.
            said = "not the object store itself answered, but something before it, with 404"
            raise Unavailable(f"{self._url} does not answer as it should", reason=said)
        return answer

    def _connections(self) -> urllib3.PoolManager:
        with self._opening:
            if self._pool is None:
                verify = self._login.verify
                more: dict[str, Any] = {"ca_certs": verify} if isinstance(verify, str) else {}
                self._pool = urllib3.PoolManager(
                    maxsize=_CONNECTIONS,
                    timeout=urllib3.Timeout(connect=CONNECT_SECONDS, read=SILENCE_SECONDS),
                    retries=urllib3.Retry(0, redirect=False, raise_on_status=False),
                    cert_reqs="CERT_REQUIRED" if verify else "CERT_NONE",
                    **more,
                )
            return self._pool

    # --- answers

    def _is_same(self, name: str, parts: Sequence[bytes | memoryview], size: int) -> bool:
        """Whether this object is there, or none. :raises AlreadyExists: another one is."""
        try:
            if self.stat(name).size == size and same(self.get(name), parts):
                return True
        except ObjectMissing:
            return False
        raise AlreadyExists("there is another object of this name", resource=name)

    def _missing(self, name: str) -> ObjectMissing:
        """The error for a missing object, once the container is known to be there."""
        answer = self._call("HEAD", self._container)
        if answer.status == 404:
            raise self._vanished()
        self._expect(answer, "look for the container")
        return ObjectMissing("the object is missing", resource=name)

    def _vanished(self) -> BankError:
        return BankError(f"the container of {self._url} is not there")

    def _expect(self, answer: urllib3.BaseHTTPResponse, doing: str, name: str = "") -> None:
        """:raises BankError: the answer is a refusal."""
        if 200 <= answer.status < 300:
            return
        more: dict[str, Any] = {
            "resource": name,
            "reason": _said(answer),
            "request_id": answer.headers.get("X-Trans-Id", ""),
        }
        if answer.status in (401, 403):
            raise Denied(
                f"{self._url} does not allow to {doing}",
                **more,
                advice="Check the cloud's credentials and what they are allowed to do",
            )
        if answer.status in _FULL:
            raise StoreFull(
                f"the bank is full: {self._url}",
                **more,
                advice="Make room or raise the quota, then try again",
            )
        if answer.status in _LATER:
            raise Unavailable(
                f"{self._url} does not answer as it should", **more, retry_after=_pause(answer.headers)
            )
        raise BankError(f"the store failed to {doing}: {self._url}", **more)


def _said(answer: urllib3.BaseHTTPResponse) -> str:
    """The service's own words, out of its little HTML page."""
    text = answer.data.decode("utf-8", "replace")
    if "<p>" in text:
        text = text.partition("<p>")[2].partition("</p>")[0]
    text = " ".join(text.split())[:200]
    return f"{text or answer.reason} (HTTP {answer.status})"


def _words(error: BaseException | None) -> str:
    text = str(error)
    # urllib3 puts the connection's repr before what happened.
    return text.partition(">: ")[2] or text.partition("): ")[2] or text


def _pause(headers: Mapping[str, str]) -> float:
    told = headers.get("Retry-After", "")
    return float(told) if told.isdigit() else 0.0


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
