"""With whose rights things are done in the cloud: during a request, and long after it is answered.

During a request, as the caller, with the caller's token. An operation goes on when that token has expired,
and so acts under an *authority* of its own: granted while the caller's token is at hand, given back when the
operation has ended. What is kept of it is JSON and no secret.

A restore into another project or cloud acts under what the user of ``restore_auth`` grants: his password is
used once, to log in and make a trust, and is then forgotten.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from openstack.config import cloud_region
from openstack.connection import Connection

from refloat import __version__
from refloat.cloud.answers import new_session
from refloat.cloud.connection import Cloud
from refloat.errors import AuthFailed, InvalidInput

Granted = Mapping[str, Any]

PATIENCE = 30.0
"""Seconds after which a request is not kept waiting any longer for a service that says nothing."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who a request is from.

    :param plugin: what requests to the cloud are authenticated with (a keystoneauth plugin); None: nothing.
    :param target: the cloud that this is a user of: a name of the configuration; empty: the service's own.
    :param in_admin_project: the project is the one whose administrators are those of the service.
    """

    user_id: str
    project_id: str
    roles: frozenset[str] = frozenset()
    plugin: Any = field(default=None, repr=False, compare=False)
    target: str = ""
    in_admin_project: bool = False


class Granting(Protocol):
    """What is about to be granted, or may have been."""

    @property
    def user_id(self) -> str:
        """Who grants it."""

    @property
    def project_id(self) -> str:
        """For which project."""

    @property
    def until(self) -> datetime:
        """When it ends by itself (UTC): no two have the same."""


class AuthorityGone(AuthFailed):
    """What was granted is good for nothing any more: the identity service says so."""


class Authority(Protocol):
    """How callers and operations act in the cloud."""

    def caller(self, caller: Caller) -> Cloud:
        """The cloud as the caller, for the time of a request."""

    def login(self, target: str, auth: Mapping[str, Any]) -> Caller:
        """The user of a restore's ``restore_auth``, logged in where it is to go.

        :param target: the URL of an identity service; empty: the service's own; or
            :data:`refloat.cloud.targets.OWN`.
        :raises InvalidInput: the operator does not allow this target, or it refuses the login.
        """

    def grant(self, caller: Caller, until: datetime | None = None) -> dict[str, Any]:
        """What an operation will act with: JSON, no secrets.

        :param until: when it ends by itself (UTC); None: never.
        :raises InvalidInput: the caller has no right that may be passed on.
        :raises CloudError: the identity service refuses.
        """

    def strays(self, target: str, grantings: Sequence[Granting]) -> list[dict[str, Any] | None]:
        """For each of what may have been granted in a cloud: what is there of it; None: nothing is seen."""

    def cloud(self, granted: Granted) -> Cloud:
        """The cloud for an operation. Sends nothing before it is used."""

    def revoke(self, granted: Granted) -> None:
        """Give it back; fine when it is gone already."""

    def check(self, granted: Granted) -> None:
        """See whether one can act with it now.

        :raises AuthorityGone: nobody can any more.
        :raises CloudError: that cannot be told now.
        """


class SessionCloud(Cloud):
    """A cloud whose session and place are given, rather than found in ``clouds.yaml``.

    :param timeout: so many seconds may pass without a sign of a service that was asked; None: any.
    """

    def __init__(
        self,
        auth: Any,
        project_id: str,
        *,
        region: str | None = None,
        auth_url: str = "",
        timeout: float | None = None,
    ) -> None:
        super().__init__()
        self._session = new_session(auth, app_version=__version__, timeout=timeout)
        self._region = region
        self._auth_url = auth_url
        self.__dict__["project_id"] = project_id

    @cached_property
    def connection(self) -> Connection:
        with self._lock:
            config = cloud_region.from_session(self._session, region_name=self._region)
            return Connection(config=config)

    @property
    def auth_url(self) -> str:
        return self._auth_url


class NoCloud(Cloud):
    """For operations that have nothing to do in any cloud, and no rights there."""

    def __init__(self) -> None:
        super().__init__()
        self.__dict__ |= {"project_id": "", "region": ""}

    @property
    def connection(self) -> Connection:
        """There is none. :raises InvalidInput: always."""
        raise InvalidInput("this operation has no rights in the cloud")


class NamedCloud:
    """Everything is done as one entry of ``clouds.yaml``, which should hold an application credential.

    For places with one project: callers of other projects are refused.

    :param cloud: the open cloud of that entry, if it is to serve the operations too.
    """

    def __init__(self, name: str | None, cloud: Cloud | None = None) -> None:
        self._name = name
        self._cloud = cloud or Cloud(name)
        self._shared = cloud is not None

    def caller(self, caller: Caller) -> Cloud:
        self._check(caller)
        return self._cloud

    def login(self, target: str, auth: Mapping[str, Any]) -> Caller:
        """:raises InvalidInput: always."""
        raise InvalidInput("this service only acts in one project: it cannot restore into another")

    def grant(self, caller: Caller, until: datetime | None = None) -> dict[str, Any]:
        self._check(caller)
        return {"kind": "cloud", "name": self._name or ""}

    def strays(self, target: str, grantings: Sequence[Granting]) -> list[dict[str, Any] | None]:
        return [None] * len(grantings)

    def cloud(self, granted: Granted) -> Cloud:
        """A connection of the operation's own, unless one is shared."""
        if self._shared and granted["name"] == (self._name or ""):
            return self._cloud
        return Cloud(str(granted["name"]) or None)

    def revoke(self, granted: Granted) -> None:
        """There is nothing to give back."""

    def check(self, granted: Granted) -> None:
        if granted.get("kind") != "cloud":
            raise AuthorityGone(
                "the authority is no entry of clouds.yaml", reason="made under other settings"
            )
        cloud = self.cloud(granted)
        try:
            cloud.project_id  # noqa: B018 - logs in
        except AuthFailed as exc:
            raise AuthorityGone(exc.message, reason=exc.reason, request_id=exc.request_id) from exc
        finally:
            cloud.close()

    def _check(self, caller: Caller) -> None:
        if caller.project_id != self._cloud.project_id:
            raise InvalidInput("this service only acts in one project, and it is not this one")
