"""Authority by Keystone trusts: from callers to the service's own user."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from keystoneauth1 import loading
from keystoneauth1 import session as keystone
from keystoneauth1.exceptions import ClientException

from refloat import __version__
from refloat.cloud.answers import new_session
from refloat.cloud.authority import PATIENCE, AuthorityGone, Caller, Granted, Granting, SessionCloud
from refloat.cloud.connection import Cloud
from refloat.cloud.errors import explained, status_of
from refloat.cloud.targets import TRUSTEE, Target, find_target, login_plugin
from refloat.errors import AuthFailed, CloudError, InvalidInput, NotFound, RefloatError

_REFUSED = (401, 403, 404)


class Trusts:
    """Operations act with Keystone trusts from their callers to the service's own user.

    :param conf: the configuration (oslo.config) with the group :data:`TRUSTEE`.
    :param roles: a trust passes on those of these that the caller has.
    :param region: where to work; None: the only one there is.
    :param targets: where restores may go, by name.
    :raises InvalidInput: the role admin is one of the roles.
    """

    def __init__(
        self,
        conf: Any,
        roles: Collection[str],
        region: str | None = None,
        targets: Mapping[str, Target] | None = None,
    ) -> None:
        self._conf = conf
        self._roles = frozenset(role.lower() for role in roles)
        if not self._roles or "admin" in self._roles:
            raise InvalidInput(
                "trust_roles in [operations] names no role, or admin",
                reason="operations act with no more rights than they need",
                advice="Leave it out: it is then member",
            )
        self._region = region
        self._targets = dict(targets or {})
        self._trustees: dict[str, str] = {}

    def caller(self, caller: Caller) -> Cloud:
        if caller.plugin is None:
            raise AuthFailed("the request carries no token to act with")
        return SessionCloud(
            caller.plugin,
            caller.project_id,
            region=self._region,
            auth_url=self._auth_url(TRUSTEE),
            timeout=PATIENCE,
        )

    def login(self, target: str, auth: Mapping[str, Any]) -> Caller:
        """Nothing is sent to a target that the operator does not allow."""
        found = find_target(self._targets, target, self._auth_url(TRUSTEE))
        plugin = login_plugin(found.url or self._auth_url(TRUSTEE), auth)
        try:
            with explained(f"log in to {found.url or 'the identity service'} with restore_auth"):
                access = plugin.get_access(self._session(plugin))
        except (AuthFailed, NotFound) as exc:
            # Not a 401: it is not the caller's own token that was refused.
            raise InvalidInput(exc.message, reason=exc.reason, request_id=exc.request_id) from exc
        if not access.project_id:
            raise InvalidInput("restore_auth must say into which project: project_id or project_name")
        own = "" if found.group == TRUSTEE else found.name
        return Caller(access.user_id, access.project_id, frozenset(access.role_names), plugin, own)

    def grant(self, caller: Caller, until: datetime | None = None) -> dict[str, Any]:
        trustor = self._session(caller.plugin)
        wanted = {role for role in caller.roles if role.lower() in self._roles}
        if not wanted:
            raise InvalidInput(
                f"operations act with the role {' or '.join(sorted(self._roles))}, which you do not have",
                reason=f"your roles in this project: {', '.join(sorted(caller.roles)) or 'none'}",
                advice="Ask for that role in the project",
            )
        body = {
            "trustor_user_id": caller.user_id,
            "trustee_user_id": self._trustee_id(self._group(caller.target)),
            "project_id": caller.project_id,
            "impersonation": True,
            "roles": [{"name": role} for role in sorted(wanted)],
        }
        if until is not None:
            body["expires_at"] = _time(until)
        try:
            with explained("make a trust for the operation"):
                answer = trustor.post(
                    "/OS-TRUST/trusts", json={"trust": body}, endpoint_filter=self._identity(caller.target)
                )
                trust_id = str(answer.json()["trust"]["id"])
        except CloudError as exc:
            if status_of(exc) != 403:
                raise
            raise InvalidInput(
                "the identity service does not let the caller delegate",
                reason=exc.reason,
                request_id=exc.request_id,
                advice="Use a password, or an application credential that is unrestricted",
            ) from exc
        return _granted(trust_id, caller.project_id, caller.target)

    def strays(self, target: str, grantings: Sequence[Granting]) -> list[dict[str, Any] | None]:
        """The trusts that end in those very seconds: Keystone keeps no parts of one."""
        group = self._group(target)
        with explained("list the trusts of the service's user"):
            answer = self._own(group).get(
                f"{self._auth_url(group)}/OS-TRUST/trusts",
                params={"trustee_user_id": self._trustee_id(group)},
            )
        there = {
            (each["trustor_user_id"], each["project_id"], (each["expires_at"] or "")[:_SECOND]): each["id"]
            for each in answer.json()["trusts"]
        }
        wanted = [(each.user_id, each.project_id, _time(each.until)[:_SECOND]) for each in grantings]
        return [_granted(str(there[which]), which[1], target) if which in there else None for which in wanted]

    def cloud(self, granted: Granted) -> Cloud:
        """With the trust. It renews its tokens by itself."""
        target = str(granted.get("target", ""))
        group = self._group(target)
        auth = loading.load_auth_from_conf_options(self._conf, group, trust_id=granted["trust_id"])
        return SessionCloud(
            auth, granted["project_id"], region=self._region_of(target), auth_url=self._auth_url(group)
        )

    def revoke(self, granted: Granted) -> None:
        target = str(granted.get("target", ""))
        group = self._group(target)
        try:
            with explained("delete the trust of an operation that has ended"):
                self._own(group, trust_id=granted["trust_id"]).delete(
                    f"/OS-TRUST/trusts/{granted['trust_id']}", endpoint_filter=self._identity(target)
                )
        except (NotFound, AuthFailed):
            # Whoever may not log in with it any more has nothing left to give back; but for one who cannot
            # log in at all, as when the password in the configuration is wrong.
            if not self._can_log_in(group):
                raise

    def check(self, granted: Granted) -> None:
        if granted.get("kind") != "trust":
            raise AuthorityGone("there is no trust", reason="made under other settings")
        group = self._group(str(granted.get("target", "")))
        try:
            with explained("log in with the trust"):
                self._own(group, trust_id=granted["trust_id"]).get_token()
        except RefloatError as exc:
            if status_of(exc) not in _REFUSED or not self._can_log_in(group):
                raise
            raise AuthorityGone(
                "the trust is good for nothing any more",
                reason=exc.reason,
                request_id=exc.request_id,
                advice="Its owner has lost the role or the account, or has removed the trust: "
                "somebody who has the role must enable the schedule again",
            ) from exc

    def _can_log_in(self, group: str) -> bool:
        """Whether the service's own user can log in; if not, a trust that is refused says nothing."""
        try:
            self._own(group).get_token()
        except ClientException:
            return False
        return True

    def _trustee_id(self, group: str) -> str:
        if group not in self._trustees:
            try:
                auth = loading.load_auth_from_conf_options(self._conf, group)
                if auth is None:
                    raise CloudError("the service has no user of its own", reason=f"[{group}] says nothing")
                self._trustees[group] = str(self._session(auth).get_user_id())
            except ClientException as exc:
                raise CloudError("the service's own user cannot log in", reason=str(exc)) from exc
        return self._trustees[group]

    def _group(self, target: str) -> str:
        """The configuration's group with the service's user in a cloud. :raises InvalidInput: none is."""
        if not target:
            return TRUSTEE
        if target not in self._targets:
            raise InvalidInput(f"the configuration has no restore target '{target}' any more")
        return self._targets[target].group

    def _region_of(self, target: str) -> str | None:
        return self._targets[target].region if target else self._region

    def _auth_url(self, group: str) -> str:
        auth = loading.load_auth_from_conf_options(self._conf, group)
        return str(getattr(auth, "auth_url", "") or "").rstrip("/")

    def _identity(self, target: str) -> dict[str, Any]:
        return {
            "service_type": "identity",
            "interface": "public",
            "region_name": self._region_of(target),
            "version": (3, 0),
        }

    def _own(self, group: str, **how: str) -> keystone.Session:
        """As the service's own user, or as one with a trust."""
        return self._session(loading.load_auth_from_conf_options(self._conf, group, **how))

    def _session(self, auth: Any) -> keystone.Session:
        return new_session(auth, app_version=__version__, timeout=PATIENCE)


@dataclass(frozen=True, slots=True)
class Login:
    """What the identity service says of a user that has logged in.

    :param roles: names; none without a project.
    :param services: the types of services in the catalogue.
    """

    user_id: str
    roles: frozenset[str]
    services: frozenset[str]


def log_in(conf: Any, group: str) -> Login:
    """Log in as the user of a group of the configuration.

    :raises CloudError: the group says nothing, or the identity service refuses or does not answer.
    """
    loading.register_auth_conf_options(conf, group)
    try:
        auth: Any = loading.load_auth_from_conf_options(conf, group)
        if auth is None:
            raise CloudError("the service has no user of its own", reason=f"[{group}] says nothing")
        access = auth.get_access(new_session(auth, timeout=PATIENCE))
    except ClientException as exc:
        raise CloudError(f"the user of [{group}] cannot log in", reason=str(exc)) from exc
    services = access.service_catalog.catalog if access.has_service_catalog() else []
    return Login(
        str(access.user_id),
        frozenset(name.lower() for name in access.role_names),
        frozenset(str(service.get("type", "")) for service in services),
    )


def _granted(trust_id: str, project_id: str, target: str) -> dict[str, Any]:
    found = {"kind": "trust", "trust_id": trust_id, "project_id": project_id}
    return {**found, "target": target} if target else found


_SECOND = len("2026-01-01T00:00:00")


def _time(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
