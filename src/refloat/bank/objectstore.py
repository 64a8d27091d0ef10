"""Stores behind OpenDAL: S3 of any maker, Google Cloud Storage, Azure Blob Storage.

Nothing is ever replaced, as far as the service lets us see to it:

* A service that knows ``If-None-Match: *`` refuses the second writer of a name itself. Not all that say so
  do it. So the first small object that this process writes is sent twice, with the same content: the refusal
  of the second is the proof. Until then, and where it fails, every name is looked up before it is written.
* Small objects, the only ones whose names others may choose too, are read back: some services look before
  they begin to write, not when they finish. Two writers at the very same moment could still both win there;
  docs/stores.md says what that means.

An object goes out in one request, and appears when the last byte has arrived.
"""

from __future__ import annotations

import asyncio
import configparser
import os
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import opendal
from opendal import exceptions as oe

from refloat.bank.store import (
    READ_BACK,
    AlreadyExists,
    Denied,
    ObjectInfo,
    ObjectMissing,
    Parts,
    StoreFull,
    Unavailable,
    check_name,
    exists,
    parts_of,
    same,
)
from refloat.bank.urls import StoreUrl
from refloat.errors import BankError, InvalidInput, NotFound

CALL_SECONDS = 40.0
"""A request without data takes this long at most."""

TRANSFER_SECONDS = 300.0
"""So does a request with data (the option ``timeout`` of the URL)."""

_ONE_REQUEST = 4 << 30
"""A larger object is sent in several requests; until the last one it is not there."""

_PIECE = 1 << 20
_PROOF = 1 << 16
_ATTEMPTS = 5

_STATUS = re.compile(r"response: Parts \{ status: (\d{3})")
_CODE = re.compile(r'(?:\bcode: "|<Code>)(\w+)')
_WORDS = re.compile(r'(?:\bmessage: "|<Message>)([^"<]*)')
_REQUEST = re.compile(r'\brequest_id: "([^"]+)"|"x-amz-request-id": "([^"]+)"')
_FULL_CODES = {
    "QuotaExceeded",
    "XMinioStorageFull",
    "EntityTooLarge",
    "InsufficientStorage",
    "AccountQuotaExceeded",
}
_NO_CONTAINER = {"NoSuchBucket", "ContainerNotFound", "ContainerBeingDeleted"}
_LATER = {408, 425, 429, 500, 502, 503, 504}
_FULL = {413, 507}


class ObjectStore:
    """Objects behind an OpenDAL operator.

    :param operator: with its root, timeouts and credentials.
    :param url: for messages, without secrets.
    """

    def __init__(self, operator: opendal.Operator, url: str) -> None:
        self._operator = operator
        self._url = url
        self._conditional = bool(operator.capability().write_with_if_not_exists)
        self._proven: bool | None = None if self._conditional else False

    @property
    def url(self) -> str:
        return self._url

    def prepare(self, *, create: bool) -> None:
        """Look whether the place is there.

        :raises NotFound: it is not. Buckets are not made here: their region, versions and locks are the
            user's to choose.
        """
        try:
            with self._explained("list the objects"):
                self._listing("", first=True)
        except _NoContainer as error:
            advice = "Refloat makes no buckets: make it with the provider's tools" if create else ""
            raise NotFound(error.message, reason=error.reason, advice=advice) from error

    def put(self, name: str, content: Parts) -> None:
        check_name(name)
        parts = parts_of(content)
        size = sum(map(len, parts))
        for _attempt in range(_ATTEMPTS):
            if self._proven or not exists(self, name):
                try:
                    self._write(name, parts)
                except (oe.ConditionNotMatch, oe.AlreadyExists):
                    pass
                else:
                    self._after(name, parts, size)
                    return
            try:
                self._check_same(name, parts, size)
            except ObjectMissing:
                continue  # it was removed meanwhile
            return
        raise BankError(
            "the object could not be written",
            resource=name,
            reason="it comes and goes while it is being written",
        )

    def get(self, name: str) -> bytes:
        with self._explained("read the object", name):
            return self._operator.read(check_name(name))

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        check_name(name)
        if length > 0:
            try:
                with self._explained("read the object", name):
                    return self._operator.read(name, offset=offset, size=length)
            except (oe.RangeNotSatisfied, _Short):
                pass
        length = min(length, self.stat(name).size - offset)
        if length <= 0:
            return b""
        with self._explained("read the object", name):
            return self._operator.read(name, offset=offset, size=length)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        if prefix:
            check_name(prefix.rstrip("/"))
        with self._explained("list the objects", prefix):
            for found in self._listing(prefix):
                if not found.path.endswith("/") and found.path.startswith(prefix):
                    yield _entry(found.path, found.metadata)

    def stat(self, name: str) -> ObjectInfo:
        try:
            with self._explained("look for the object", check_name(name)):
                return _entry(name, self._operator.stat(name))
        except ObjectMissing:
            # The answer to HEAD has no words: it does not tell a missing object from a missing bucket.
            with self._explained("look for the object", name), suppress(oe.RangeNotSatisfied):
                self._operator.read(name, offset=0, size=1)
            raise

    def delete(self, name: str) -> None:
        with self._explained("remove the object", check_name(name)):
            self._operator.delete(name)

    def close(self) -> None:
        """Connections are closed when they have been idle for a while."""

    def _listing(self, prefix: str, *, first: bool = False) -> Sequence[Any]:
        """All entries, or the first one.

        Through the asynchronous interface: the other one stops all threads of Python while it waits for a
        page of the listing.
        """

        async def collect() -> Sequence[Any]:
            found = await self._operator.to_async_operator().list(
                prefix, recursive=True, limit=1 if first else None
            )
            entries = []
            async for entry in found:
                entries.append(entry)
                if first:
                    break
            return entries

        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(collect())
        with ThreadPoolExecutor(1) as pool:  # a thread has room for one loop only
            return pool.submit(asyncio.run, collect()).result()

    def _write(self, name: str, parts: Sequence[bytes | memoryview]) -> None:
        with self._explained("write the object", name, passing=(oe.ConditionNotMatch, oe.AlreadyExists)):
            options: dict[str, Any] = {"if_not_exists": True} if self._conditional else {}
            # The file collects the parts without joining them; when it is closed, one request sends them.
            file = self._operator.open(name, "wb", chunk=_ONE_REQUEST, **options)
            for part in parts:
                for start in range(0, len(part), _PIECE):  # it takes no views
                    file.write(bytes(part[start : start + _PIECE]))
            file.close()

    def _after(self, name: str, parts: Sequence[bytes | memoryview], size: int) -> None:
        """Find out whether the service refuses to replace; if not, whether somebody replaced ours."""
        if self._proven is None and size <= _PROOF:
            try:
                self._write(name, parts)
            except (oe.ConditionNotMatch, oe.AlreadyExists):
                self._proven = True
            else:
                self._proven = False
        if size <= READ_BACK:
            with suppress(ObjectMissing):  # it was removed meanwhile
                self._check_same(name, parts, size)

    def _check_same(self, name: str, parts: Sequence[bytes | memoryview], size: int) -> None:
        if self.stat(name).size == size and same(self.get(name), parts):
            return
        raise AlreadyExists("there is another object of this name", resource=name)

    @contextmanager
    def _explained(
        self, doing: str, name: str = "", passing: tuple[type[Exception], ...] = ()
    ) -> Generator[None]:
        try:
            yield
        except passing:
            raise
        except _OPENDAL as error:
            if isinstance(error, oe.RangeNotSatisfied):
                raise
            raise _explanation(error, self._url, doing, name) from error


class _NoContainer(BankError):
    """The bucket or container is not there."""


class _Short(BankError):
    """The object ends before the range does."""


_OPENDAL = tuple(kind for kind in vars(oe).values() if isinstance(kind, type) and issubclass(kind, Exception))


def _entry(name: str, found: Any) -> ObjectInfo:
    moment = found.last_modified
    # Whole seconds: that is all that some answers of S3 tell, and all answers are to agree.
    return ObjectInfo(name, found.content_length, float(int(moment.timestamp())) if moment else 0.0)


@dataclass(frozen=True, slots=True)
class _Said:
    """What an error of OpenDAL says: its text is all that it has."""

    status: int
    code: str
    reason: str
    request_id: str
    temporary: bool


def _read(error: Exception) -> _Said:
    text = str(error).partition("\nBacktrace:")[0]
    head, _, rest = text.partition("\n")
    _, _, summary = head.partition(" => ")
    status, code, words = _STATUS.search(text), _CODE.search(text), _WORDS.search(text)
    _, _, source = rest.partition("Source:")
    request = _REQUEST.search(text)
    deepest = source.strip().split("\n")[0].strip()
    said = words[1] if words and words[1] else deepest or summary or head
    return _Said(
        int(status[1]) if status else 0,
        code[1] if code else "",
        f"{said} ({code[1]})" if code and words and words[1] else said,
        next(filter(None, request.groups()), "") if request else "",
        " (temporary) " in head,
    )


def _explanation(error: Exception, url: str, doing: str, name: str) -> BankError:
    said = _read(error)
    more: dict[str, Any] = {
        "resource": name,
        "reason": said.reason + (f" (HTTP {said.status})" if said.status and not said.code else ""),
        "request_id": said.request_id,
    }
    if said.code in _NO_CONTAINER:
        return _NoContainer(f"the bucket of {url} is not there", reason=said.reason)
    if isinstance(error, oe.NotFound):
        return ObjectMissing("the object is missing", resource=name)
    if said.status in _FULL or said.code in _FULL_CODES:
        return StoreFull(
            f"the bank is full: {url}", **more, advice="Make room or raise the quota, then try again"
        )
    if isinstance(error, oe.PermissionDenied) or said.status in (401, 403):
        return Denied(
            f"{url} does not allow to {doing}",
            **more,
            advice="Check the credentials and what they are allowed to do",
        )
    if "oad" in said.reason and "credential" in said.reason:
        return Denied(
            f"there are no credentials for {url}", **more, advice=_WANTED.get(url.partition(":")[0], "")
        )
    if said.temporary or isinstance(error, oe.RateLimited) or said.status in _LATER:
        return Unavailable(f"{url} does not answer as it should", **more)
    if "too little data" in said.reason:
        return _Short("the object ends early", **more)
    return BankError(f"the store failed to {doing}: {url}", **more)


_WANTED = {
    "s3": "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or name a file: ?credentials=FILE",
    "gs": "Set GOOGLE_APPLICATION_CREDENTIALS, or name a file: ?credentials=FILE",
    "azblob": "Set AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}


# --- opening


def open_object_store(url: StoreUrl, environ: Mapping[str, str] = os.environ) -> ObjectStore:
    """The store at a URL; nothing is sent yet.

    :raises InvalidInput: an option is wrong, or a file with credentials.
    """
    scheme, options = _SERVICES[url.scheme](url, environ)
    timeout = _seconds(url.options.get("timeout"))
    layer = opendal.layers.TimeoutLayer(timeout=min(CALL_SECONDS, timeout), io_timeout=timeout)
    try:
        operator = opendal.Operator(scheme, root=f"/{url.prefix}", **options)
    except _OPENDAL as error:
        raise InvalidInput(f"{url.url} cannot be used", reason=_read(error).reason) from error
    return ObjectStore(operator.layer(layer), url.url)


def _s3(url: StoreUrl, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    options = {
        "bucket": url.container,
        "region": url.options.get("region")
        or environ.get("AWS_REGION")
        or environ.get("AWS_DEFAULT_REGION")
        or "us-east-1",
    }
    endpoint = url.options.get("endpoint") or environ.get("AWS_ENDPOINT_URL")
    if endpoint:
        # Elsewhere the metadata service of a machine has no keys for S3; it would be asked all the same.
        options |= {"endpoint": endpoint, "disable_ec2_metadata": "true"}
    if url.options.get("style") == "virtual":
        options["enable_virtual_host_style"] = "true"
    if "checksum" in url.options:
        options["checksum_algorithm"] = url.options["checksum"]
    named = url.options.get("credentials")
    if named:
        options |= _credentials(named, url.options.get("profile", "default"))
    elif "profile" in url.options:
        options["profile"] = url.options["profile"]
    return "s3", options


def _gcs(url: StoreUrl, _environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    options = {"bucket": url.container}
    if "endpoint" in url.options:
        options["endpoint"] = url.options["endpoint"]
    if "credentials" in url.options:
        options["credential_path"] = url.options["credentials"]
    return "gcs", options


def _azblob(url: StoreUrl, environ: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    account = url.options.get("account") or environ.get("AZBLOB_ACCOUNT_NAME") or ""
    account = account or environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    endpoint = url.options.get("endpoint") or (account and f"https://{account}.blob.core.windows.net")
    if not endpoint:
        raise InvalidInput(f"{url.url} names no account", advice="Add ?account=NAME")
    options = {"container": url.container, "endpoint": endpoint, "account_name": account}
    for variable, option in (
        ("AZBLOB_ACCOUNT_KEY", "account_key"),
        ("AZURE_STORAGE_ACCOUNT_KEY", "account_key"),
        ("AZURE_STORAGE_SAS_TOKEN", "sas_token"),
    ):
        if environ.get(variable):
            options[option] = environ[variable]
    return "azblob", options


_SERVICES: dict[str, Callable[[StoreUrl, Mapping[str, str]], tuple[str, dict[str, str]]]] = {
    "s3": _s3,
    "gs": _gcs,
    "azblob": _azblob,
}


def _credentials(path: str, section: str) -> dict[str, str]:
    """Keys from a file as Amazon's tools write it."""
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(Path(path).expanduser().read_text())
        found = parser[section]
        keys = {
            "access_key_id": found["aws_access_key_id"],
            "secret_access_key": found["aws_secret_access_key"],
            "disable_config_load": "true",
        }
    except OSError as error:
        raise InvalidInput(f"the credentials cannot be read: {path}", reason=str(error.strerror)) from error
    except (configparser.Error, KeyError, UnicodeDecodeError):
        # Without the cause: it quotes lines of the file.
        raise InvalidInput(
            f"{path} has no keys of S3 in its section [{section}]",
            advice="It has lines aws_access_key_id = ... and aws_secret_access_key = ...",
        ) from None
    if found.get("aws_session_token"):
        keys["session_token"] = found["aws_session_token"]
    return keys


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text) if text is not None else TRANSFER_SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86400:
        raise InvalidInput(f"timeout={text} is no number of seconds")
    return seconds
