"""The way into a cloud's object store, for stores that know no OpenStack: endpoint and tokens."""

from __future__ import annotations

import threading
from functools import cached_property

from refloat.cloud.connection import Cloud
from refloat.cloud.errors import explained
from refloat.errors import AuthFailed


class ObjectStoreLogin:
    """One user's way into the object store; logs in when it is first used.

    Tokens are renewed before they expire, and when the store refuses one. Safe to use from many threads.

    :raises ServiceMissing: the cloud has no object store; from all members.
    """

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()

    @cached_property
    def endpoint(self) -> str:
        self._cloud.require("object_store")
        with explained("find the object store"):
            return str(self._cloud.connection.object_store.get_endpoint()).rstrip("/")

    @cached_property
    def verify(self) -> bool | str:
        found = self._cloud.connection.session.verify
        return found if isinstance(found, str) else bool(found)

    def token(self, refused: str = "") -> str:
        """A token that is valid for two minutes at least.

        :param refused: the one that was refused just now.
        :raises AuthFailed: there is none to be had.
        """
        session = self._cloud.connection.session
        with self._lock, explained("log in to the object store"):
            found = session.get_token()
            if refused and found == refused:
                session.invalidate()
                found = session.get_token()
        if not found:
            raise AuthFailed("could not log in to the object store", reason="the cloud gives no token")
        return str(found)


__all__ = ["ObjectStoreLogin"]
