"""Providers: how things can be protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refloat.api import schemas as s
from refloat.api.request import Request
from refloat.api.route import PROJECT, Route, reader
from refloat.errors import NotFound
from refloat.providers.provider import Provider, describe_plugins
from refloat.resources.base import OperationKind, ProtectionPlugin

SCHEMA = s.reply(
    "plugins",
    id=s.UUID,
    name=s.STRING,
    description=s.STRING,
    extended_info_schema=s.reply(
        options_schema=s.ANY_OBJECT,
        restore_schema=s.ANY_OBJECT,
        verify_schema=s.ANY_OBJECT,
        saved_info_schema=s.ANY_OBJECT,
    ),
    plugins=s.array(s.ANY_OBJECT, description="of one provider: how each type is protected, how faithfully"),
)


def listing(request: Request) -> dict[str, Any]:
    """A page of the providers, by id. Users are not offered what keeps nothing, unless they ask for it."""
    asked_for = bool(request.query.get("all")) or "name" in request.query
    known = request.deployment.providers if asked_for else offered(request)
    found = sorted(known, key=lambda provider: provider.id)
    for name in ("name", "description"):
        if name in request.query:
            found = [provider for provider in found if getattr(provider, name) == request.query[name]]
    page = request.page()
    later = [provider for provider in found if provider.id > page.marker]
    return request.listing("providers", later[: page.limit], _view)


def offered(request: Request) -> list[Provider]:
    """The providers that the caller is offered: what keeps nothing, only administrators are."""
    return [each for each in request.deployment.providers if request.is_admin or not each.keeps_nothing]


def show(request: Request) -> dict[str, Any]:
    """One provider."""
    provider = find(request)
    return {"provider": {**_view(provider), "plugins": describe_plugins(provider)}}


def find(request: Request) -> Provider:
    """The provider of the path. :raises NotFound: there is none of this id."""
    wanted = request.path["provider_id"]
    for provider in request.deployment.providers:
        if provider.id == wanted:
            return provider
    raise NotFound(f"Provider {wanted} could not be found")


def _view(provider: Provider) -> dict[str, Any]:
    plugins = provider.plugins()
    return {
        "id": provider.id,
        "name": provider.name,
        "description": provider.description,
        "extended_info_schema": {
            "options_schema": _schemas(plugins, "protect"),
            "restore_schema": _schemas(plugins, "restore"),
            "verify_schema": _schemas(plugins, "verify"),
            "saved_info_schema": {kind: _form(kind, ()) for kind in plugins},
        },
    }


def _schemas(plugins: Mapping[str, ProtectionPlugin], operation: OperationKind) -> dict[str, Any]:
    return {kind: _form(kind, plugin.options.get(operation, ())) for kind, plugin in plugins.items()}


def _form(kind: str, options: Iterable[Any]) -> dict[str, Any]:
    """What the dashboard makes a form of."""
    properties = {
        option.name: {"title": option.name.replace("_", " ").capitalize(), **option.schema()}
        for option in options
    }
    title = f"{kind.rpartition('::')[2]} options"
    return {"title": title, "type": "object", "properties": properties, "required": []}


_PROVIDERS, _PROVIDER = f"{PROJECT}/providers", f"{PROJECT}/providers/{{provider_id}}"
_one, _many = s.wrapped("provider", SCHEMA), s.listed("providers", SCHEMA)
_QUERY = s.list_query(
    "name",
    "description",
    all={"type": "boolean", "description": "also those that keep nothing, which are for trying out"},
)

ROUTES = (
    Route("GET", _PROVIDERS, listing, reader("provider:get_all"), _many, query=_QUERY),
    Route("GET", _PROVIDER, show, reader("provider:get"), _one),
)
