"""A proxy between Refloat and a cloud's services that records every call and spoils chosen ones.

It stands in front of all services at once: in every answer that is JSON, thus also in the catalogue that
comes with a token, the services' addresses are replaced by its own. Whoever logs in through it calls all
through it.
"""

from __future__ import annotations

import http.client
import json
import random
import re
import select
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

IDS = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}|\b[0-9a-f]{32}\b")
NAMED = re.compile(r"(?<=/os-keypairs/)[^/?]+|(?<=/tags/)[^/?]+")
HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}
)
PIECE = 1 << 16
UPSTREAM_SECONDS = 300.0
HANG_SECONDS = 120.0

FAULTS: Mapping[str, str] = {
    "500": "answers 500, does nothing",
    "503": "answers 503, does nothing",
    "429": "answers 429 with Retry-After, does nothing",
    "closed": "closes the connection, does nothing",
    "lost": "does it and closes the connection without an answer",
    "torn": "does it and breaks off in the middle of the answer",
    "hang": "does nothing and says nothing until the client gives up",
}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``POST volume /v3/{id}/volumes``, the so many-th of its kind in a run."""

    what: str
    nth: int

    def __str__(self) -> str:
        return f"{self.what} #{self.nth}"

    @property
    def reads(self) -> bool:
        """Whether it only reads."""
        return self.what.startswith(("GET ", "HEAD "))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is done to a call.

    :param kind: a name of :data:`FAULTS`.
    :param stays: it is done to all following calls of the same kind as well.
    """

    kind: str
    stays: bool = False

    def __str__(self) -> str:
        return f"{self.kind}, stays" if self.stays else self.kind


Choice: TypeAlias = Callable[[Call], Fault | None]
"""What is to be done to a call."""


def nothing(_call: Call) -> None:
    """Do nothing to a call."""


def these(calls: Iterable[Call], fault: Fault) -> Choice:
    """Do this to these calls; if it stays, to all later ones of their kinds, too."""
    places: dict[str, set[int]] = {}
    for call in calls:
        places.setdefault(call.what, set()).add(call.nth)

    def choose(call: Call) -> Fault | None:
        wanted = places.get(call.what, set())
        hit = call.nth in wanted or (fault.stays and wanted and call.nth > min(wanted))
        return fault if hit else None

    return choose


def every_first(kinds: Sequence[str], seed: int) -> Choice:
    """One of these faults, as the seed has it, for each call: the first time that it is made.

    A call that changes something is spoilt every second time: it is made again, so these are the first times.
    """

    def choose(call: Call) -> Fault | None:
        if call.nth % 2 == 0 or (call.reads and call.nth > 1):
            return None
        return Fault(random.Random(f"{seed} {call.what}").choice(kinds))

    return choose


class FaultProxy:
    """The proxy; a context manager.

    :param services: the services' addresses (``http://host:port``) by name.
    """

    def __init__(self, services: Mapping[str, str]) -> None:
        self._services = dict(services)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._choose: Choice = nothing
        self._spoilt: list[Call] = []
        self._calls: dict[Call, str] = {}
        self.healed = threading.Event()
        proxy = self

        class Handler(_Handler):
            pass

        Handler.proxy = proxy
        self._server = _Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True)

    def __enter__(self) -> FaultProxy:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.healed.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def address(self, service: str) -> str:
        """What stands for a service's address."""
        return f"{self.url}/{service}"

    def spoil(self, choose: Choice) -> None:
        """Begin a run, and do to each call of it what is chosen."""
        with self._lock:
            self._counts.clear()
            self._calls.clear()
            self._spoilt.clear()
            self._choose = choose
            self.healed.clear()

    def heal(self) -> None:
        """Spoil nothing any more."""
        with self._lock:
            self._choose = nothing
        self.healed.set()

    def calls(self) -> list[tuple[Call, str]]:
        """The calls of this run and what became of each: a status, or the fault."""
        with self._lock:
            return list(self._calls.items())

    def upstream(self, service: str) -> str | None:
        """A service's address."""
        return self._services.get(service)

    def spoilt(self) -> list[Call]:
        """The calls of this run that were spoilt."""
        with self._lock:
            return list(self._spoilt)

    def arrive(self, what: str) -> tuple[Call, Fault | None]:
        """Count a call; which it is, and what is to be done to it."""
        with self._lock:
            self._counts[what] += 1
            call = Call(what, self._counts[what])
            fault = self._choose(call)
            self._calls[call] = str(fault) if fault else "no answer yet"
            if fault:
                self._spoilt.append(call)
            return call, fault

    def answered(self, call: Call, status: int) -> None:
        """Write down what a service answered."""
        with self._lock:
            self._calls[call] = str(status)

    def translated(self, text: bytes) -> bytes:
        """A text with the proxy's address in the place of the services'."""
        for service, base in self._services.items():
            text = text.replace(base.encode(), self.address(service).encode())
        return text


def template(method: str, service: str, path: str, body: bytes) -> str:
    """The kind of a call: ids left out, of a query only the names, of an action its name."""
    split = urlsplit(path)
    names = sorted(
        {name for name, _value in parse_qsl(split.query, keep_blank_values=True)} - {"marker", "limit"}
    )
    query = f"?{'&'.join(names)}" if names else ""
    action = ""
    if split.path.endswith("/action") and body:
        action = f" {next(iter(json.loads(body)), '')}"
    return f"{method} {service} {NAMED.sub('{name}', IDS.sub('{id}', split.path))}{query}{action}"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that give up are what this is for; all else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultProxy

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Record the call; hand it on, or spoil it."""
        service, _, rest = self.path.lstrip("/").partition("/")
        base = self.proxy.upstream(service)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if base is None:
            self._answer(404, {}, b"no such service")
            return
        path = f"/{rest}"
        call, fault = self.proxy.arrive(template(self.command, service, path, body))
        try:
            if fault is None:
                self._forward(base, path, body, call)
            else:
                self._spoil(fault.kind, base, path, body)
        except OSError:  # the client has given up
            self.close_connection = True

    do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_GET  # noqa: N815 - as the base class calls them

    def _spoil(self, kind: str, base: str, path: str, body: bytes) -> None:
        if kind in {"500", "503", "429"}:
            said = {"error": {"code": int(kind), "title": "spoilt", "message": "spoilt by the fault proxy"}}
            headers = {"Content-Type": "application/json"} | ({"Retry-After": "1"} if kind == "429" else {})
            self._answer(int(kind), headers, json.dumps(said).encode())
            return
        if kind in {"lost", "torn"}:
            self._forward(base, path, body, None, torn=kind == "torn")
        if kind == "hang":
            self._until_given_up()
        self.close_connection = True

    def _until_given_up(self) -> None:
        deadline = time.monotonic() + HANG_SECONDS
        while time.monotonic() < deadline and not self.proxy.healed.is_set():
            if select.select([self.connection], [], [], 0.2)[0]:
                return  # the client has closed its end: it asks for nothing else before an answer

    def _forward(self, base: str, path: str, body: bytes, call: Call | None, *, torn: bool = False) -> None:
        """Hand a call on; None: and keep the answer, or half of it."""
        place = urlsplit(base)
        upstream = http.client.HTTPConnection(place.hostname or "", place.port, timeout=UPSTREAM_SECONDS)
        headers = {
            k: v for k, v in self.headers.items() if k.lower() not in HOP | {"host", "accept-encoding"}
        }
        if body or self.command in {"POST", "PUT", "PATCH"}:
            headers["Content-Length"] = str(len(body))
        try:
            upstream.request(self.command, path, body or None, headers)
            got = upstream.getresponse()
            if call is None:
                answer = got.read()
                if torn and len(answer) > 1:
                    self._answer(got.status, dict(got.getheaders()), answer, len(answer) // 2)
                return
            self.proxy.answered(call, got.status)
            if "json" in (got.getheader("Content-Type") or "") or self.command == "HEAD":
                sent = {k: self.proxy.translated(v.encode()).decode() for k, v in got.getheaders()}
                self._answer(got.status, sent, self.proxy.translated(got.read()))
            else:
                self._stream(got)
        finally:
            upstream.close()

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes, only: int | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in HOP:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD" and status != 204:
            self.wfile.write(body[:only])

    def _stream(self, got: http.client.HTTPResponse) -> None:
        """Hand on what is no JSON as it comes."""
        self.send_response_only(got.status)
        for name, value in got.getheaders():
            if name.lower() not in HOP:
                self.send_header(name, self.proxy.translated(value.encode()).decode())
        length = got.getheader("Content-Length")
        if length is None and got.status != 204:
            self.send_header("Connection", "close")
            self.close_connection = True
        elif length is not None:
            self.send_header("Content-Length", length)
        self.end_headers()
        while piece := got.read(PIECE):
            self.wfile.write(piece)
