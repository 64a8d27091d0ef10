"""Opening the store that a URL names."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from refloat.bank.mount import caching_at
from refloat.bank.store import Logins, Store, exists
from refloat.bank.throttle import Throttled
from refloat.bank.urls import StoreUrl, parse, rate_of
from refloat.errors import InvalidInput

LIMIT = "REFLOAT_BANK_LIMIT"

_registered: list[Logins] = []
_looked_at: set[str] = set()
_log = logging.getLogger(__name__)


def register_logins(logins: Logins) -> None:
    """From now on, this is how to log in when :func:`open_store` is not told another way."""
    _registered[:] = [logins]


def open_store(url: str, *, create: bool = False, logins: Logins | None = None) -> Store:
    """The store at ``url``: a plain path, ``file:``, ``s3:``, ``swift:``, ``gs:`` or ``azblob:``.

    Stores behind a network are asked again when they do not answer.

    :param create: make the place (folder, container) if it is not there, where the store allows it.
    :param logins: how to get into OpenStack, for ``swift:``; None: the way that was registered.
    :raises NotFound: there is no such place.
    :raises InvalidInput: the URL is wrong.
    """
    found = parse(url)
    store = _OPENERS[found.scheme](found, create, logins or next(iter(_registered), None))
    rate = found.options.get("limit") or os.environ.get(LIMIT)
    return Throttled(store, rate_of(rate)) if rate else store


# Each store's own libraries are imported when a store of its kind is opened.


def _folder(url: StoreUrl, create: bool, _logins: Logins | None) -> Store:
    from refloat.bank.filesystem import FileSystemStore

    store = FileSystemStore(url.prefix, create=create)
    if url.prefix not in _looked_at:
        _looked_at.add(url.prefix)
        if (caching := caching_at(Path(url.prefix))).late and not exists(store, caching.sign):
            _log.warning("The bank's folder %s is on %s", url.prefix, caching.text)
    return store


def _objects(url: StoreUrl, create: bool, _logins: Logins | None) -> Store:
    from refloat.bank.objectstore import open_object_store
    from refloat.bank.retrying import Retrying

    store = Retrying(open_object_store(url))
    store.prepare(create=create)
    return store


def _swift(url: StoreUrl, create: bool, logins: Logins | None) -> Store:
    from refloat.bank.retrying import Retrying
    from refloat.bank.swift import SwiftStore

    if logins is None:
        raise InvalidInput(f"{url.url} needs a cloud to log in to")
    login = logins(url.options.get("cloud"))
    store = Retrying(SwiftStore(login, url.container, url.prefix, url=url.url))
    store.prepare(create=create)
    return store


_OPENERS: dict[str, Callable[[StoreUrl, bool, Logins | None], Store]] = {
    "file": _folder,
    "s3": _objects,
    "swift": _swift,
    "gs": _objects,
    "azblob": _objects,
}
