"""A receiver of webhooks, on this machine, that does as the test wishes."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

SECRET = b"0123456789abcdef0123456789abcdef"


GUIDE = Path(__file__).parents[2] / "docs" / "notifications.md"
_snippet: dict[str, Any] = {}
exec(GUIDE.read_text().partition("```python\n")[2].partition("```")[0], _snippet)
verified: Callable[..., Any] = _snippet["verified"]
"""What the guide shows to those who receive."""


@dataclass
class Receiver:
    """What came, and what is answered."""

    port: int = 0
    status: int = 204
    hang: threading.Event | None = None
    messages: list[Any] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    @property
    def types(self) -> list[str]:
        """The types of what came, without what they begin with."""
        return [message["type"].removeprefix("data_protect.") for message in self.messages]

    def until(self, count: int) -> list[str]:
        """The types, when so many came."""
        deadline = time.monotonic() + 60.0
        while len(self.messages) < count:
            assert time.monotonic() < deadline, self.types
            time.sleep(0.02)
        return self.types


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """One that listens."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.paths.append(self.path)
            receiver.headers.append({name.lower(): value for name, value in self.headers.items()})
            receiver.bodies.append(body)
            receiver.messages.append(json.loads(body))
            if receiver.hang is not None:
                receiver.hang.wait(60.0)
            self.send_response(receiver.status)
            if receiver.status in (301, 302, 307):
                self.send_header("Location", f"http://127.0.0.1:{receiver.port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_words: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield receiver
    finally:
        if receiver.hang is not None:
            receiver.hang.set()
        server.shutdown()
        server.server_close()


def secret_file(folder: Path, secret: bytes = SECRET) -> Path:
    """A file with a secret."""
    file = folder / "secret"
    file.write_text(f"whsec_{base64.b64encode(secret).decode()}\n")
    return file
