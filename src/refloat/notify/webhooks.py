"""Signed webhooks: a notice becomes one POST to a URL that the operator has configured, and to no other.

Headers and signature are those of Standard Webhooks (https://www.standardwebhooks.com), which libraries of
many languages verify: HMAC-SHA256 over id, time and body, with a secret that only the two ends know.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from refloat import __version__
from refloat.errors import InvalidInput
from refloat.notify.delivery import Undelivered
from refloat.records.outbox import Notice

_PREFIX = "whsec_"
_SHORTEST = 24
"""Bytes of a secret, as Standard Webhooks wants it."""


@dataclass(frozen=True)
class Webhook:
    """One webhook.

    :param url: where to; shown to nobody, for it may hold a token.
    :param secret_file: of one secret, or of several, a line each, while it is being changed.
    :param timeout: seconds in which the answer must be there.
    :param ca_file: who may have signed the receiver's certificate; None: whom the system trusts.
    :raises InvalidInput: it cannot work as configured.
    """

    name: str
    url: str
    secret_file: Path
    timeout: float = 10.0
    ca_file: Path | None = None

    def __post_init__(self) -> None:
        where = f"[webhook_{self.name}]"
        try:
            parts = urlsplit(self.url)
            usable = bool(parts.scheme in ("http", "https") and parts.hostname and parts.port != 0)
        except ValueError:
            usable = False
        if not usable or "@" in parts.netloc or parts.fragment:
            raise InvalidInput(f"the url of {where} must be one of http or https, without user and fragment")
        if self.ca_file is not None and not self.ca_file.is_file():
            raise InvalidInput(f"the ca_file of {where} is not there")
        read_secrets(self.secret_file)

    @property
    def patience(self) -> float:
        """Seconds that a try may take: to connect, and to be answered."""
        return 2 * self.timeout

    def carry(self, notice: Notice) -> None:
        """Post it. :raises Undelivered: the answer is not 2xx, or there is none in time."""
        body = json.dumps(message(notice), separators=(",", ":")).encode()
        try:
            headers = sign(read_secrets(self.secret_file), notice.id, int(time.time()), body)
        except InvalidInput as exc:
            raise Undelivered(str(exc)) from exc
        headers |= {"Content-Type": "application/json", "User-Agent": f"refloat/{__version__}"}
        parts = urlsplit(self.url)
        connection = self._connection(parts)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        try:
            with closing(connection), _at_most(connection, self.timeout):
                connection.connect()
                connection.request("POST", target, body, headers)
                status = connection.getresponse().status
        except (OSError, HTTPException) as exc:
            raise Undelivered(_words(exc, self.timeout)) from exc
        if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
            return
        if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
            raise Undelivered(f"it answered {status}; redirects are not followed")
        raise Undelivered(f"it answered {status}", final=status == HTTPStatus.GONE)

    def _connection(self, parts: SplitResult) -> HTTPConnection:
        host = str(parts.hostname)
        if parts.scheme == "http":
            return HTTPConnection(host, parts.port, timeout=self.timeout)
        context = ssl.create_default_context(cafile=str(self.ca_file) if self.ca_file else None)
        return HTTPSConnection(host, parts.port, timeout=self.timeout, context=context)


def message(notice: Notice) -> dict[str, Any]:
    return {
        "id": notice.id,
        "type": notice.event_type,
        "timestamp": notice.created_at.replace(tzinfo=UTC).isoformat(timespec="milliseconds"),
        "sequence": notice.number,
        "data": dict(notice.data),
    }


def sign(secrets: Sequence[bytes], identity: str, moment: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows that a body is ours, and new.

    :param moment: the time of this try: seconds since 1970.
    """
    signed = f"{identity}.{moment}.".encode() + body
    signatures = [
        base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode() for secret in secrets
    ]
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(moment),
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }


def read_secrets(file: Path) -> list[bytes]:
    """The secrets in a file: base64, with ``whsec_`` in front or without, a line each.

    :raises InvalidInput: the file cannot be read, or there is none in it, or one is too short.
    """
    advice = f"Make one: printf 'whsec_%s\\n' $(openssl rand -base64 32) > {file}"
    try:
        lines = file.read_text(encoding="ascii").split()
        found = [base64.b64decode(line.removeprefix(_PREFIX), validate=True) for line in lines]
    except OSError as exc:
        raise InvalidInput(f"the secret in {file} cannot be read", reason=str(exc.strerror)) from exc
    except (UnicodeDecodeError, binascii.Error):
        raise InvalidInput(f"what is in {file} is no base64", advice=advice) from None
    if not found or min(len(secret) for secret in found) < _SHORTEST:
        raise InvalidInput(f"the secret in {file} must have {_SHORTEST} bytes or more", advice=advice)
    return found


@contextmanager
def _at_most(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """Cut a connection off after a while, though it may give a byte now and then.

    :raises TimeoutError: it was; what was read may look like the whole answer.
    """
    too_late = threading.Event()

    def cut() -> None:
        too_late.set()
        with suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(2 * seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
    if too_late.is_set():
        raise TimeoutError


def _words(error: Exception, timeout: float) -> str:
    if isinstance(error, TimeoutError):
        return f"it did not answer within {timeout:g} seconds"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}"
    return " ".join(str(error).split()) or type(error).__name__
