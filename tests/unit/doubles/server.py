"""An HTTP server of a few routes, which can also lose answers and fail."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qsl, urlsplit


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, body: Any) -> None:
        super().__init__(status)
        self.status, self.body = status, body


@dataclass(frozen=True)
class Request:
    """What was asked."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
Route = tuple[str, str, Callable[..., Answer]]


@dataclass
class Double:
    """One server.

    :param lose: of requests whose ``METHOD path`` begins so the next takes effect, and the answer is lost.
    :param broken: every request fails.
    :param hidden: what is before the server does not find it, and says so to every request: a body.
    """

    lose: str = ""
    broken: bool = False
    hidden: bytes = b""
    asked: list[Request] = field(default_factory=list)
    lock: threading.RLock = field(default_factory=threading.RLock)

    signs: ClassVar[Mapping[str, str]] = {}
    """The headers of all answers of the service."""

    def __post_init__(self) -> None:
        double = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

            def answer(self) -> None:
                double.serve(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = answer  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop it."""
        self._server.shutdown()
        self._server.server_close()

    def routes(self) -> list[Route]:
        """Method, pattern of the path, and what answers; its groups are the arguments."""
        raise NotImplementedError

    def refusal(self, status: int, message: str) -> Refusal:
        """An error as the service words it."""
        raise NotImplementedError

    def serve(self, handler: Any) -> None:
        """Answer one request."""
        parts = urlsplit(handler.path)
        size = int(handler.headers.get("Content-Length") or 0)
        text = handler.rfile.read(size)
        is_json = "json" in handler.headers.get("Content-Type", "")
        body = json.loads(text) if text and is_json else text or None
        request = Request(handler.command, parts.path, dict(parse_qsl(parts.query)), handler.headers, body)
        with self.lock:
            self.asked.append(request)
            try:
                status, answer, *more = (404, self.hidden) if self.hidden else self._find(request)
            except Refusal as refusal:
                status, answer, more = refusal.status, refusal.body, []
            headers = {**({} if self.hidden else self.signs), **(more[0] if more else {})}
            if self.lose and f"{request.method} {request.path}".startswith(self.lose):
                self.lose = ""
                handler.close_connection = True
                return
        if isinstance(answer, bytes):
            data = answer
        else:
            data = json.dumps(answer).encode() if answer is not None else b""
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(data)))
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(data)

    def _find(self, request: Request) -> Answer:
        if self.broken:
            raise self.refusal(500, "out of order")
        for method, pattern, answer in self.routes():
            found = re.fullmatch(pattern, request.path)
            if found and method == request.method:
                return answer(request, *found.groups())
        raise self.refusal(404, f"{request.method} {request.path} is not known")
