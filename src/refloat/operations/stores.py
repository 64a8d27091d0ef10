"""Stores as users name them: where the bank, which knows no OpenStack, meets the clouds."""

from __future__ import annotations

from refloat.bank.store import Store
from refloat.bank.store import open_store as open_bank_store
from refloat.cloud import Cloud


def open_store(url: str, *, create: bool = False, cloud: Cloud | None = None) -> Store:
    """The store at ``url``; see :func:`refloat.bank.store.open_store`.

    :param cloud: where ``swift:`` URLs without a cloud of their own are; None: the user's.
    """

    def login(name: str | None) -> ObjectStoreLogin:
        return ObjectStoreLogin(Cloud(name) if name or cloud is None else cloud)

    from refloat.cloud.objectstore import ObjectStoreLogin

    return open_bank_store(url, create=create, logins=login)
