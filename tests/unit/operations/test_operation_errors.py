"""What errors of an operation say: which resource they happened to, and what is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest
from keystoneauth1.exceptions import ConnectFailure, ServiceUnavailable
from openstack.exceptions import HttpException

from refloat.cli.running import error_of
from refloat.cloud.errors import explain
from refloat.cloud.removal import IDLE_TIMEOUT, LITTLE_PATIENCE, removal
from refloat.engine.program import Json, StepRun
from refloat.errors import CloudError, NotFound, RefloatError, WaitFailed
from refloat.graph import Graph, Resource
from refloat.operations.compile import step_name
from refloat.operations.programs import OperationProgram, Services
from refloat.operations.rollback import rollback
from refloat.providers.provider import BUILT_IN
from refloat.resources.base import Hooks, PlanContext, Planned, ProtectionPlugin
from refloat.resources.context import HookContext

DISK = Resource("Test::Disk", "1", "system")


class Restoring(Hooks):
    """Fails in each of the ways in which hooks fail."""

    def on_prepare_begin(self, context: HookContext) -> None:
        raise CloudError("could not create a copy", reason="no room")

    def on_main(self, context: HookContext) -> Iterator[Any]:
        try:
            yield "a wait"
        except WaitFailed as exc:
            raise WaitFailed(exc.message, reason=exc.reason) from exc

    def on_complete(self, context: HookContext) -> None:
        raise NotFound("could not attach it", resource="server web (2)")


class Disk(ProtectionPlugin):
    """A disk."""

    name = "test-disk"
    resource_type = DISK.type
    restore = Restoring

    def plan_restore(self, context: PlanContext) -> Planned:
        return Planned("create")


class Program(OperationProgram):
    """A restore of one disk."""

    kind = "restore"

    def prepare(self, run: StepRun) -> Json:
        graph = Graph()
        graph.add(DISK)
        return {"graph": graph.to_json()}

    def finish(self, prepared: Json, run: StepRun) -> Json:
        return None


def step(hook: str) -> Any:
    services = cast("Services", SimpleNamespace(journal_of=lambda _id: None, cloud=None))
    program = Program("operation", {"checkpoint_id": "c", "parameters": {}}, services)
    program.__dict__ |= {"plugins": {DISK.type: Disk()}, "data": None, "provider": BUILT_IN[0]}
    quiet: Any = SimpleNamespace(step=step_name(DISK.key, hook), progress=None, cancelled=None)
    return program.step(program.prepare(quiet), quiet)


def test_an_error_names_the_resource() -> None:
    with pytest.raises(CloudError) as caught:
        step("on_prepare_begin")
    assert str(caught.value) == "Test::Disk system (1): could not create a copy: no room"


def test_a_wait_that_fails_names_the_resource() -> None:
    body = step("on_main")
    assert next(body) == "a wait"
    with pytest.raises(WaitFailed) as caught:
        body.throw(WaitFailed("gave up waiting for backup 7", reason="its status became 'error'"))
    assert str(caught.value) == (
        "Test::Disk system (1): gave up waiting for backup 7: its status became 'error'"
    )


def test_an_error_that_names_another_resource_keeps_it() -> None:
    with pytest.raises(NotFound) as caught:
        step("on_complete")
    assert str(caught.value) == "server web (2): could not attach it"


def told(error: RefloatError, state: str = "failed", kind: str = "restore") -> str:
    found: Mapping[str, str] = error.to_json()
    operation: Any = SimpleNamespace(error=found, kind=kind)
    return str(error_of(operation, state))


@pytest.mark.parametrize("kind", ["protect", "restore"])
def test_what_was_undone_says_so(kind: str) -> None:
    failed = CloudError("could not create a copy", advice="Make room")
    assert told(failed, kind=kind) == "could not create a copy. Nothing is left behind. Make room"


def test_what_is_left_is_told_instead() -> None:
    failed = CloudError("could not create a copy", left_behind="volume 3")
    assert told(failed) == "could not create a copy. Left behind: volume 3"
    assert "Nothing" not in told(CloudError("could not create a copy"), "parked")
    assert "Nothing" not in told(CloudError("could not delete it"), kind="delete")


@pytest.mark.parametrize(
    ("cause", "says"),
    [
        (HttpException("503: spoilt", http_status=503), ": 503: spoilt (HTTP 503). Try again"),
        (ServiceUnavailable("too busy"), ": too busy (HTTP 503). Try again"),
        (ConnectFailure("nobody answers"), ": nobody answers. Try again when the service works"),
    ],
)
def test_a_failing_service_is_no_refusal(cause: Exception, says: str) -> None:
    assert str(explain(cause, "list the volumes")).startswith(f"could not list the volumes{says}")
    refused = explain(HttpException("it is in use", http_status=409), "delete it")
    assert str(refused) == "could not delete it: it is in use"


def test_undoing_does_not_wait_long_for_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """What could not be removed may hold the rest: nobody waits two minutes for each of it."""
    asked: list[float | None] = []

    def removal(_cloud: Any, kind: str, identity: str, patience: float | None, _ours: Any) -> Iterator[Any]:
        asked.append(patience)
        yield from ()
        raise CloudError(f"could not delete {kind} {identity}", reason="it is in use")

    monkeypatch.setattr("refloat.operations.rollback.removal", removal)
    entry = {"source": str(DISK.key), "clue": {}}
    made = [SimpleNamespace(kind=kind, id=f"{kind}-1", role=kind, **entry) for kind in ("port", "server")]
    journal = cast("Any", SimpleNamespace(entries=lambda: made))
    with pytest.raises(RefloatError, match="Left behind: server server-1, port port-1"):
        list(rollback(cast("Any", None), "operation", journal))
    assert asked == [None, LITTLE_PATIENCE]


@pytest.mark.parametrize(
    ("status", "patience", "seconds"),
    [
        ("in-use", None, IDLE_TIMEOUT),
        ("in-use", LITTLE_PATIENCE, LITTLE_PATIENCE),
        ("creating", LITTLE_PATIENCE, IDLE_TIMEOUT),
    ],
)
def test_a_volume_that_something_holds_is_waited_for(
    status: str, patience: float | None, seconds: float
) -> None:
    """Long, unless what holds it could not be removed."""
    volume = SimpleNamespace(status=status)
    cloud = SimpleNamespace(find=lambda *_: volume, wait=lambda *_, timeout, **__: timeout)
    assert next(removal(cast("Any", cloud), "volume", "v", patience)) == seconds
