"""Servers of object stores for tests: S3 in this process, and one that answers as it is told."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlencode

BUCKET = "refloat-tests"
KEYS = {"AWS_ACCESS_KEY_ID": "tester", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}


@dataclass
class S3:
    """An S3 server with one bucket."""

    endpoint: str
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def url(self, bucket: str, prefix: str = "", **options: str) -> str:
        query = urlencode({"endpoint": self.endpoint, "region": "us-east-1", **options})
        return f"s3://{bucket}/{prefix}?{query}"

    def new_url(self, **options: str) -> str:
        """A place where nothing is."""
        return self.url(BUCKET, f"test{os.getpid()}-{next(self.numbers)}", **options)


@contextmanager
def s3_server() -> Iterator[S3]:
    """Moto, on a port of its own."""
    import logging

    import boto3
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        endpoint = f"http://{host}:{port}"
        client = boto3.client(
            "s3",
            endpoint_url=endpoint,
            region_name="us-east-1",
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=BUCKET)
        yield S3(endpoint)
    finally:
        server.stop()


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Hang = None
"""Instead of an answer: close the connection without one."""


@contextmanager
def scripted_server(answer: Callable[[Request], Answer | None]) -> Iterator[str]:
    """A server that answers what ``answer`` says; its URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            told = answer(Request(self.command, self.path, dict(self.headers), body))
            if told is None:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(told.status)
            for name, value in told.headers.items():
                self.send_header(name, value)
            if "Content-Length" not in told.headers:
                self.send_header("Content-Length", str(len(told.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(told.body)

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = handle_any  # noqa: N815

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
