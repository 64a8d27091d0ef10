"""Object Storage API v1: containers and objects of one account."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import unquote

from tests.unit.doubles.openstack import OpenStackDouble
from tests.unit.doubles.server import Answer, Refusal, Request, Route


class Swift(OpenStackDouble):
    """Objects by container and name."""

    signs: ClassVar[Mapping[str, str]] = {"X-Trans-Id": "tx0", "X-Openstack-Request-Id": "tx0"}

    def refusal(self, status: int, message: str) -> Refusal:
        return Refusal(status, f"<html><h1>{status}</h1><p>{message}</p></html>".encode())

    def __init__(self) -> None:
        self.containers: dict[str, dict[str, bytes]] = {}
        super().__init__()

    def routes(self) -> list[Route]:
        container, thing = "/v1/account/([^/]+)", "/v1/account/([^/]+)/(.+)"
        return [
            ("GET", "/v1/account/?", self._list),
            ("HEAD", container, self._show),
            ("GET", container, self._objects),
            ("PUT", container, self._create),
            ("DELETE", container, self._delete),
            ("GET", thing, self._read),
            ("PUT", thing, self._write),
            ("DELETE", thing, self._remove),
        ]

    def _held(self, name: str) -> dict[str, bytes]:
        if unquote(name) not in self.containers:
            raise self.refusal(404, "The resource could not be found.")
        return self.containers[unquote(name)]

    def _list(self, request: Request) -> Answer:
        names = [name for name in sorted(self.containers) if name > request.query.get("marker", "")]
        return 200, [{"name": name, "count": len(self.containers[name])} for name in names]

    def _show(self, _request: Request, name: str) -> Answer:
        return 204, None, {"X-Container-Object-Count": str(len(self._held(name)))}

    def _objects(self, request: Request, name: str) -> Answer:
        held, after = self._held(name), request.query.get("marker", "")
        return 200, [{"name": key, "bytes": len(held[key])} for key in sorted(held) if key > after]

    def _create(self, _request: Request, name: str) -> Answer:
        self.containers.setdefault(unquote(name), {})
        return 201, None

    def _delete(self, _request: Request, name: str) -> Answer:
        if self._held(name):
            raise self.refusal(409, "There was a conflict when trying to complete your request.")
        del self.containers[unquote(name)]
        return 204, None

    def _read(self, _request: Request, name: str, key: str) -> Answer:
        held = self._held(name)
        if unquote(key) not in held:
            raise self.refusal(404, "The resource could not be found.")
        return 200, held[unquote(key)]

    def _write(self, request: Request, name: str, key: str) -> Answer:
        body: Any = request.body or b""
        self._held(name)[unquote(key)] = body
        return 201, None

    def _remove(self, _request: Request, name: str, key: str) -> Answer:
        self._held(name).pop(unquote(key), None)
        return 204, None
