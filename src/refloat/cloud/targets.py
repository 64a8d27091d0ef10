"""Where restores may go besides the caller's own project, and how one logs in there.

The operator names every other cloud; to anything else not a byte is sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from keystoneauth1 import loading

from refloat.cloud.connection import Cloud
from refloat.cloud.errors import explained
from refloat.errors import InvalidInput

TRUSTEE = "trustee"
"""The configuration's group with the credentials of the service's own user."""

OWN = "own"
"""In the place of a URL: the user's own cloud, which needs no leave of the operator's."""

PASSWORD, APPLICATION_CREDENTIAL = "password", "application_credential"

_PLACE = ("project_id", "project_name", "project_domain_id", "project_domain_name")
_USER = ("username", "user_id", "user_domain_id", "user_domain_name")
_WAYS: Mapping[str, tuple[str, tuple[str, ...], tuple[str, ...]]] = {
    PASSWORD: ("v3password", ("password",), (*_USER, *_PLACE)),
    APPLICATION_CREDENTIAL: (
        "v3applicationcredential",
        ("application_credential_secret",),
        ("application_credential_id", "application_credential_name", *_USER),
    ),
}
"""By the ``type`` of ``restore_auth``: keystoneauth's plugin, what must be given, and what may be."""


@dataclass(frozen=True, slots=True)
class Target:
    """One cloud that restores may go to.

    :param url: of its identity service, as users name it.
    :param group: the configuration's group with the service's user there.
    :param region: where to work; None: the only one there is.
    """

    name: str
    url: str
    group: str = TRUSTEE
    region: str | None = None


def group_of(name: str) -> str:
    """The configuration's group of the service's user in a target, when that is another cloud."""
    return f"target_{name}"


def find_target(targets: Mapping[str, Target], url: str, own_url: str) -> Target:
    """The target that a user means. :raises InvalidInput: the operator does not allow it."""
    if url == OWN:
        return Target("", own_url)
    own = [target for target in targets.values() if target.group == TRUSTEE]
    if not url:
        if not own:
            raise InvalidInput("this service does not restore into other projects")
        return Target("", own_url)
    for target in targets.values():
        if _form(target.url) == _form(url):
            return target
    raise InvalidInput("restore_target is not among the clouds that this service may restore into")


def is_own(url: str, cloud: Cloud) -> bool:
    """Whether a URL is of the identity service of a user's own cloud, by any name that it has there."""
    session: Any = cloud.connection.session
    known = [cloud.auth_url]
    if session.auth is not None:
        with explained("read the catalogue"):
            known += session.auth.get_access(session).service_catalog.get_urls(service_type="identity")
    return _form(url) in {_form(each) for each in known if each}


def in_project(auth: Mapping[str, Any], project_id: str) -> dict[str, Any]:
    """A ``restore_auth``, into a project where it does not say which."""
    placed = any(auth.get(name) for name in _PLACE) or auth.get("type", PASSWORD) != PASSWORD
    return dict(auth) if placed else {**auth, "project_id": project_id}


def _form(url: str) -> tuple[str, ...]:
    """A URL in a form that can be compared; what has a user, a query or a fragment equals nothing."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return (url,)
    if parts.username or parts.password or parts.query or parts.fragment:
        return (url, "no place")
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    path = parts.path.rstrip("/").removesuffix("/v3")
    return (parts.scheme, (parts.hostname or "").lower(), str(port or usual), path)


def given(auth: Mapping[str, Any] | None) -> dict[str, Any]:
    """What a ``restore_auth`` really gives; empty: the caller's own session is meant."""
    found = {name: value for name, value in (auth or {}).items() if value is not None}
    return found if set(found) - {"type"} else {}


def login_plugin(url: str, auth: Mapping[str, Any]) -> Any:
    """What logs in with a ``restore_auth``. No error tells a value of it.

    :raises InvalidInput: something is missing, or not known.
    """
    found = given(auth)
    way = str(found.pop("type", PASSWORD))
    if way not in _WAYS:
        raise InvalidInput(f"the type of restore_auth must be one of {', '.join(_WAYS)}")
    plugin, needed, known = _WAYS[way]
    unknown = sorted(set(found) - {*needed, *known})
    if unknown:
        raise InvalidInput(f"restore_auth of type {way} has no '{unknown[0]}'")
    missing = [name for name in needed if not found.get(name)]
    if missing:
        raise InvalidInput(f"restore_auth of type {way} needs {missing[0]}")
    if not any(found.get(name) for name in ("username", "user_id", "application_credential_id")):
        raise InvalidInput("restore_auth must say who: username or user_id")
    options = {name: str(value) for name, value in found.items()}
    if "username" in options and not options.keys() & {"user_domain_id", "user_domain_name"}:
        options["user_domain_id"] = "default"
    if "project_name" in options and not options.keys() & {"project_domain_id", "project_domain_name"}:
        for name in ("domain_id", "domain_name"):
            if f"user_{name}" in options:
                options[f"project_{name}"] = options[f"user_{name}"]
    return loading.get_plugin_loader(plugin).load_from_options(auth_url=url, **options)


def register_options(conf: Any, targets: Mapping[str, str]) -> None:
    """Register the options of the group :data:`TRUSTEE`, and of those of the targets."""
    loading.register_auth_conf_options(conf, TRUSTEE)
    for name in targets:
        loading.register_auth_conf_options(conf, group_of(name))


def list_options() -> list[Any]:
    return [
        *loading.get_auth_common_conf_options(),
        *loading.get_auth_plugin_conf_options("v3password"),
    ]


def configured(conf: Any, targets: Mapping[str, str], regions: Mapping[str, str]) -> dict[str, Target]:
    """The targets of the configuration: those with a group of their own are other clouds."""
    return {
        name: Target(
            name,
            url,
            group_of(name) if conf[group_of(name)].auth_type else TRUSTEE,
            regions.get(name),
        )
        for name, url in targets.items()
    }
