"""Providers: how things can be protected."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from refloat.api.request import Request
from refloat.errors import NotFound
from refloat.providers.describe import describe_plugins
from refloat.providers.provider import Provider
from refloat.resources.base import OperationKind, ProtectionPlugin


def listing(request: Request) -> dict[str, Any]:
    """A page of the providers, by id."""
    found = sorted(request.deployment.providers, key=lambda provider: provider.id)
    for name in ("name", "description"):
        if name in request.query:
            found = [provider for provider in found if getattr(provider, name) == request.query[name]]
    page = request.page()
    later = [provider for provider in found if provider.id > page.marker]
    shown = later[: page.limit]
    return request.listing("providers", [view(item) for item in shown], shown[-1].id if shown else None)


def show(request: Request) -> dict[str, Any]:
    """One provider."""
    provider = find(request)
    return {"provider": {**view(provider), "plugins": describe_plugins(provider)}}


def find(request: Request) -> Provider:
    """The provider of the path. :raises NotFound: there is none of this id."""
    wanted = request.path["provider_id"]
    for provider in request.deployment.providers:
        if provider.id == wanted:
            return provider
    raise NotFound(f"Provider {wanted} could not be found")


def view(provider: Provider) -> dict[str, Any]:
    """A provider as clients know it."""
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
