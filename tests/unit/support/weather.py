"""Made-up applications of which parts are gone or unfit, as those of real clouds are."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from refloat.cloud import Cloud
from refloat.errors import CloudError, Conflict, Gone, RefloatError
from refloat.graph import Graph, Resource, ResourceKey
from refloat.operations import restoreplan
from refloat.resources.noop import TYPE, NoopProtectable

ILL = "the service is out of order"


class Weather:
    """What has become of resources, by id.

    :param gone: the service says itself that it has none.
    :param unfit: why they cannot be protected.
    :param carried: what carries any tag.
    :param silent: the service does not answer when it is asked for them.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone: set[str] = set()
        self.unfit: dict[str, str] = {}
        self.silent: set[str] = set()
        self.carried: list[str] = []
        show, weather = NoopProtectable.show, self

        def shown(kind: NoopProtectable, identity: str) -> Resource:
            if identity in weather.silent:
                raise CloudError(f"could not read {identity}", reason=ILL)
            if identity in weather.gone:
                raise Gone(f"could not read {identity}", reason="no such thing", request_id="req-1")
            if problem := unfit(kind, found := show(kind, identity), Graph()):
                raise problem
            return found

        def unfit(_kind: NoopProtectable, resource: Resource, _graph: Graph) -> RefloatError | None:
            why = weather.unfit.get(resource.id)
            return Conflict("it cannot be protected", resource=str(resource), reason=why) if why else None

        def living(nodes: Iterable[Resource], _listing: object, _cloud: Cloud) -> dict[ResourceKey, object]:
            return {
                node.key: None if node.id in weather.gone else node
                for node in nodes
                if node.type == TYPE and node.id not in weather.silent
            }

        def select(kind: NoopProtectable, _selector: str) -> list[Resource]:
            return [show(kind, identity) for identity in weather.carried]

        monkeypatch.setattr(NoopProtectable, "select", select)
        monkeypatch.setattr(NoopProtectable, "show", shown)
        monkeypatch.setattr(NoopProtectable, "unfit", unfit)
        monkeypatch.setattr(restoreplan, "living", living)
