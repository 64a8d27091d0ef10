"""Secrets in Barbican, by way of castellan (``pip install refloat[barbican]``).

They are fetched and stored with the user's own credentials. Nothing here keeps a secret, or shows one.
"""

from __future__ import annotations

from typing import Any

from refloat.cloud.connection import Cloud
from refloat.errors import CloudError, InvalidInput, ServiceMissing


class KeyManager:
    """Keys of 256 bits in a key manager.

    :param cloud: whose key manager to ask, and as whom.
    :param manager: castellan's key manager and the context it wants; None: those of the cloud.
    """

    def __init__(self, cloud: Cloud | None = None, manager: tuple[Any, Any] | None = None) -> None:
        self._cloud = cloud
        self._manager = manager

    def fetch(self, secret_id: str) -> bytes:
        """A key.

        :param secret_id: its id, or its URL.
        :raises CloudError: it cannot be had.
        """
        manager, context = self._connected()
        try:
            found = manager.get(context, _identity(secret_id)).get_encoded()
        except Exception as error:
            raise CloudError(
                "the key cannot be had from the key manager", resource=secret_id, reason=_reason(error)
            ) from error
        if not isinstance(found, bytes) or len(found) != 32:
            raise CloudError("what the key manager has is not a key of 256 bits", resource=secret_id)
        return found

    def store(self, secret: bytes, name: str) -> str:
        """Keep a new key; its id.

        :raises CloudError: it cannot be kept there.
        """
        manager, context = self._connected()
        from castellan.common.objects.symmetric_key import SymmetricKey

        try:
            kept = manager.store(context, SymmetricKey("AES", 8 * len(secret), secret, name=name))
        except Exception as error:
            raise CloudError("the key manager does not take the key", reason=_reason(error)) from error
        return _identity(str(kept))

    def _connected(self) -> tuple[Any, Any]:
        if self._manager is None:
            self._manager = _connect(self._cloud or Cloud())
        return self._manager


def _connect(cloud: Cloud) -> tuple[Any, Any]:
    try:
        from castellan.key_manager.barbican_key_manager import BarbicanKeyManager
        from oslo_config import cfg
        from oslo_context.context import RequestContext
    except ImportError as error:
        raise InvalidInput(
            "castellan, which speaks to Barbican, is not installed",
            advice="pip install 'refloat[barbican]'",
        ) from error
    connection = cloud.connection
    try:
        endpoint = connection.session.get_endpoint(
            service_type="key-manager",
            interface=connection.config.get_interface("key-manager"),
            region_name=connection.config.get_region_name("key-manager"),
        )
    except Exception as error:
        raise CloudError("the key manager cannot be found", reason=_reason(error)) from error
    if not endpoint:
        raise ServiceMissing("the cloud has no key manager (Barbican)")

    class Context(RequestContext):  # type: ignore[misc, unused-ignore]
        """Whoever the session of the cloud is logged in as."""

        def get_auth_plugin(self) -> Any:
            return connection.session.auth

    conf = cfg.ConfigOpts()
    conf([])
    manager = BarbicanKeyManager(conf)
    conf.set_override("barbican_endpoint", endpoint, group="barbican")
    return manager, Context()


def _identity(text: str) -> str:
    return text.rstrip("/").rpartition("/")[2]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
