"""Where the bank, which knows no OpenStack, meets the clouds: who logs in for ``swift:`` URLs.

Whoever opens stores by their URL imports this module first.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from refloat.bank.opening import register_logins
from refloat.bank.store import SwiftLogin

if TYPE_CHECKING:
    from refloat.cloud import Cloud

_users: ContextVar[Cloud | None] = ContextVar("the user's cloud", default=None)


def login(name: str | None) -> SwiftLogin:
    """Into the object store of the cloud of that name; None: the user's."""
    from refloat.cloud import Cloud
    from refloat.cloud.objectstore import ObjectStoreLogin

    cloud = None if name else _users.get()
    return ObjectStoreLogin(cloud or Cloud(name))


@contextmanager
def logging_in_to(cloud: Cloud | None) -> Iterator[None]:
    """Stores that are opened inside, and name no cloud, are in this one (None: that of ``OS_*``)."""
    token = _users.set(cloud)
    try:
        yield
    finally:
        _users.reset(token)


register_logins(login)
