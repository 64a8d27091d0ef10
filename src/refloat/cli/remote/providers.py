"""How the service protects."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from refloat.cli.remote.session import Session
from refloat.cli.views import Json
from refloat.client.errors import told
from refloat.errors import NotFound


class RemoteProviders(Session):
    """The providers, asked for once. Where their banks are is the service's business."""

    @cached_property
    def _providers(self) -> list[Any]:
        with told("list the providers"):
            return list(self.api.providers())

    def list_providers(self) -> list[Json]:
        return [
            {"id": item.id, "name": item.name, "description": item.description, "bank": ""}
            for item in self._providers
        ]

    def show_provider(self, name_or_id: str) -> Json:
        with told("show the provider", name_or_id):
            found = self.api.get_provider(self._provider(name_or_id).id)
        empty = {"bank": "", "bank_key": "", "file": "", "notes": []}
        shown = {"id": found.id, "name": found.name, "description": found.description}
        return {**shown, **empty, "plugins": list(found.plugins or ())}

    def _provider(self, name_or_id: str) -> Any:
        known = {item.id: item for item in self._providers} | {item.name: item for item in self._providers}
        if name_or_id not in known:
            names = ", ".join(item.name for item in self._providers)
            raise NotFound(f"there is no provider '{name_or_id}'", advice=f"Providers: {names}")
        return known[name_or_id]

    def provider_name(self, reference: str) -> str:
        return next((str(item.name) for item in self._providers if item.id == reference), reference)
