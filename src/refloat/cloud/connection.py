"""A connection to one cloud as one user in one project, from ``clouds.yaml`` or ``OS_*`` variables."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import openstack
from keystoneauth1 import exceptions as ka_exceptions
from openstack import exceptions as sdk_exceptions
from openstack.connection import Connection
from openstack.service_description import ServiceDescription

from refloat import __version__
from refloat.cloud.errors import explain, explained
from refloat.cloud.keyed_lock import KeyedLock
from refloat.cloud.kinds import KINDS, Kind
from refloat.cloud.retries import RETRIES, retry_calls
from refloat.cloud.services import SERVICES
from refloat.cloud.watcher import Ready, Waiter, Watcher
from refloat.errors import AuthFailed, CloudError, InvalidInput, NotFound, ServiceMissing

DEFAULT_TIMEOUT = 3600.0
"""Seconds a wait may last when the caller does not say: backups of large volumes take long."""


@dataclass(frozen=True)
class StatusWait:
    """A wait for a thing to reach a state; what hooks ``yield``. Ends with the thing itself."""

    cloud: Cloud
    kind: str
    id: str
    ready: Ready
    failed: Ready
    gone: bool
    timeout: float
    text: str

    def begin(self) -> Future[Any]:
        """Start (again) to watch; each start has the whole time allowed."""
        deadline = time.monotonic() + self.timeout
        waiter = Waiter(self.id, self.ready, self.failed, self.gone, deadline, self.text)
        return self.cloud.watcher(self.kind).add(waiter)

    def describe(self) -> str:
        return self.text

    def result(self) -> Any:
        """Wait here and now, holding the thread. For tests and scripts; hooks yield instead."""
        return self.begin().result(timeout=self.timeout + 60)


CloudWait: TypeAlias = StatusWait | KeyedLock
"""What hooks may wait for."""


class Cloud:
    """The only door to OpenStack.

    :param name: an entry of ``clouds.yaml``; None: ``OS_CLOUD`` or the ``OS_*`` variables.
    :raises InvalidInput: there is no such entry.

    Nothing is sent before the first use. Instances are safe to use from many threads.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name
        self._watchers: dict[str, Watcher] = {}
        self._added: set[str] = set()
        self._lock = threading.RLock()
        self._retries = RETRIES

    @cached_property
    def connection(self) -> Connection:
        with self._lock:
            try:
                connection = openstack.connect(
                    cloud=self.name, app_name="refloat", app_version=__version__, load_envvars=True
                )
                self._retries = self._retries_of(connection)
                retry_calls(connection.session, self._retries)
                return connection
            except (sdk_exceptions.ConfigException, ka_exceptions.MissingRequiredOptions) as exc:
                raise InvalidInput(
                    "no cloud to work with",
                    reason=str(exc),
                    advice="Name an entry of clouds.yaml with --os-cloud or OS_CLOUD",
                ) from exc

    @staticmethod
    def _retries_of(connection: Connection) -> int:
        told = connection.config.config.get("refloat_retries") if connection.config else None
        try:
            return RETRIES if told is None else max(0, int(told))
        except (TypeError, ValueError) as exc:
            raise InvalidInput(f"refloat_retries in clouds.yaml is no number: {told!r}") from exc

    @cached_property
    def project_id(self) -> str:
        """The id of the project this user is in. :raises AuthFailed: the credentials are refused."""
        return self._identity[0]

    @cached_property
    def user_id(self) -> str:
        return self._identity[1]

    @cached_property
    def roles(self) -> frozenset[str]:
        """The names of the roles this user has in the project, implied ones included."""
        self.project_id  # noqa: B018 - a refused login must say so
        with explained("read one's own roles"):
            session = self.connection.session
            auth: Any = session.auth
            return frozenset(str(role).lower() for role in auth.get_access(session).role_names)

    @cached_property
    def auth_url(self) -> str:
        """Where this cloud's identity service is: what tells one cloud from another."""
        return str(self.connection.config.auth.get("auth_url", "")) if self.connection.config else ""

    @cached_property
    def region(self) -> str:
        """The region that is worked in; empty: none is named."""
        return str((self.connection.config.region_name if self.connection.config else "") or "")

    @cached_property
    def _identity(self) -> tuple[str, str]:
        with self._lock:
            try:
                with explained("log in to the cloud"):
                    session = self.connection.session
                    project, user = session.get_project_id(), session.get_user_id()
            except CloudError as exc:
                raise AuthFailed(
                    exc.message, reason=exc.reason, request_id=exc.request_id, advice=exc.advice
                ) from exc
            if not project:
                raise AuthFailed(
                    "could not log in to the cloud", reason="the credentials are not for a project"
                )
            return str(project), str(user)

    def __getattr__(self, service: str) -> Any:
        """The openstacksdk proxy of a service: ``cloud.compute``, ``cloud.network``...

        :raises ServiceMissing: the cloud has no such service.
        """
        if not _is_known(service) and all(known.proxy != service for known in SERVICES.values()):
            raise AttributeError(service)
        self.require(service)
        return getattr(self.connection, service)

    def has(self, service: str) -> bool:
        """Whether the cloud has a service. One that it has and that fails raises."""
        try:
            self.require(service)
        except ServiceMissing:
            return False
        return True

    def require(self, service: str) -> None:
        """Make sure that the cloud has a service. :raises ServiceMissing: it has not."""
        with self._lock:
            session = self.connection.session
            if session.timeout is None:  # one that was given, rather than found in clouds.yaml
                retry_calls(session, self._retries)
        self.project_id  # noqa: B018 - a refused login must say so, not "service missing"
        with explained(f"use the {service.replace('_', ' ')} service"):
            try:
                endpoint = getattr(self._connection_to(service), service).get_endpoint()
            except sdk_exceptions.NotSupported as exc:  # also of a service that fails to tell its versions
                raise CloudError(
                    f"could not use the {service.replace('_', ' ')} service",
                    reason=str(exc),
                    advice="Try again when the service works",
                ) from exc
        if not endpoint:
            raise ServiceMissing(f"this cloud has no {service.replace('_', ' ')} service")

    def _connection_to(self, service: str) -> Connection:
        """The connection, which has a proxy of the service."""
        with self._lock:
            if service and service not in self._added and not _is_known(service):
                self.connection.add_service(ServiceDescription(service.replace("_", "-")))
                self._added.add(service)
        return self.connection

    def kind(self, name: str) -> Kind:
        """The table entry of a kind, once its service is known to be there."""
        kind = KINDS[name]
        if kind.service:
            self.require(kind.service)
        return kind

    def _addressed(self, kind: str, identity: str) -> Kind:
        """The kind of a thing. :raises NotFound: none has such an id, and so the service is not asked."""
        entry = self.kind(kind)
        if entry.ids is not None and not entry.ids.fullmatch(identity):
            raise NotFound(f"there is no {kind.replace('_', ' ')} of the id {identity!r}")
        return entry

    def get(self, kind: str, identity: str) -> Any:
        """One thing by id. :raises NotFound: it is not there."""
        entry = self._addressed(kind, identity)
        with explained(f"read the {kind.replace('_', ' ')} {identity}"):
            return entry.get(self.connection, identity)

    def find(self, kind: str, identity: str) -> Any | None:
        try:
            return self.get(kind, identity)
        except NotFound:
            return None

    def list(self, kind: str) -> list[Any]:
        with explained(f"list the {kind.replace('_', ' ')}s"):
            return list(self.kind(kind).list(self.connection))

    def create(self, kind: str, fields: Mapping[str, Any]) -> Any:
        create = self.kind(kind).create
        if create is None:
            raise NotImplementedError(f"{kind} does not say how one is created")
        return create(self.connection, fields)

    def update(self, kind: str, identity: str, fields: Mapping[str, Any]) -> None:
        update = self._addressed(kind, identity).update
        if update is None:
            raise NotImplementedError(f"{kind} does not say how one is changed")
        with explained(f"change the {kind.replace('_', ' ')} {identity}"):
            update(self.connection, identity, fields)

    def unmark(self, kind: str, identity: str, fields: Mapping[str, Any]) -> None:
        """Have something carry no mark any more, but what it is to have in the mark's place."""
        unmark = self._addressed(kind, identity).unmark
        if unmark is None:
            self.update(kind, identity, fields)
            return
        with explained(f"take the mark off the {kind.replace('_', ' ')} {identity}"):
            unmark(self.connection, identity, fields)

    def remove(self, kind: str, identity: str) -> bool:
        """Ask for a thing to be deleted; false when it is gone already."""
        entry = self._addressed(kind, identity)
        try:
            with explained(f"delete the {kind.replace('_', ' ')} {identity}"):
                entry.remove(self.connection, identity)
        except NotFound:
            return False
        return True

    def watcher(self, kind: str) -> Watcher:
        with self._lock:
            if kind not in self._watchers:
                watched = KINDS[kind]
                connection = self._connection_to(watched.service)
                self._watchers[kind] = Watcher(connection, watched, 3 * (self._retries + 1))
            return self._watchers[kind]

    def wait(
        self,
        kind: str,
        identity: str,
        ready: Iterable[str] | Ready,
        *,
        failed: Iterable[str] | Ready | None = None,
        timeout: float = DEFAULT_TIMEOUT,
        text: str = "",
    ) -> StatusWait:
        """A wait for a thing to become ready; to be yielded by a hook.

        :param ready: status words (any case) or a test on the thing.
        :param failed: the same for states that end the wait with WaitFailed; by default the error states.
        :param timeout: seconds.
        """
        words = "" if callable(ready) else " or ".join(sorted(ready))
        said = text or f"{kind.replace('_', ' ')} {identity} to be {words or 'ready'}"
        entry = KINDS[kind]
        fails = _in(entry, entry.failed if failed is None else failed)
        return StatusWait(self, kind, identity, _in(entry, ready), fails, False, timeout, said)

    def wait_gone(self, kind: str, identity: str, *, timeout: float = DEFAULT_TIMEOUT) -> StatusWait:
        """A wait for a thing to be deleted. That this went wrong ends it with WaitFailed.

        It ends with the thing itself where the service has let it be what it was (``Kind.may_stay``).
        """
        entry = KINDS[kind]
        fails = _in(entry, entry.delete_failed)
        text = f"{kind.replace('_', ' ')} {identity} to be deleted"

        def stays(thing: Any) -> bool:
            return entry.may_stay and entry.state(thing) not in entry.deleting | entry.delete_failed

        return StatusWait(self, kind, identity, stays, fails, True, timeout, text)

    def close(self) -> None:
        if "connection" in self.__dict__:
            self.connection.close()


def _is_known(service: str) -> bool:
    return isinstance(inspect.getattr_static(Connection, service, None), ServiceDescription)


def _in(kind: Kind, test: Iterable[str] | Ready) -> Callable[[Any], bool]:
    if callable(test):
        return test
    words = frozenset(word.lower() for word in test)
    return lambda thing: kind.state(thing) in words


__all__ = ["Cloud", "CloudWait", "StatusWait", "explain", "explained"]


def cloud_knows(cloud: Cloud, microversion: str, service: str = "compute") -> bool:
    """Whether a service of this cloud is new enough for a microversion."""
    with explained(f"read the versions of the {service.replace('_', ' ')} service"):
        data = getattr(cloud, service).get_endpoint_data()
    wanted = tuple(int(part) for part in microversion.split("."))
    return bool(data and data.max_microversion and tuple(data.max_microversion) >= wanted)
