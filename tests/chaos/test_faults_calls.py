"""What Refloat does about a service that fails, call by call: real HTTP, through the fault proxy."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from typing import Any

import pytest
from keystoneauth1 import exceptions as ka_exceptions
from keystoneauth1.session import Session

from refloat.cloud import Marker
from refloat.cloud.create_once import create_once
from refloat.cloud.errors import explained
from refloat.cloud.fence import fenced
from refloat.cloud.quota import headroom
from refloat.cloud.retries import ensure_done, in_doubt, retry_calls, was_repeated
from refloat.errors import CloudError, LeaseLost
from refloat.resources.image_data import download
from tests.chaos.faultproxy import FAULTS, Call, Fault, FaultProxy, nothing, template, these

RETRIES = 2
SILENCE = 1.0


class Service:
    """A service that counts what it has done. Things may be put as often as one likes, but made once."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.data = b""
        self.ranges = True
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_args: Any) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                again = self.command == "POST" and self.path in [d.split()[1] for d in service.done]
                if self.command != "GET" and not again:
                    service.done.append(f"{self.command} {self.path}")
                body = json.dumps({"at": service.url, "path": self.path}).encode()
                status, form = 409 if again else 200, "application/json"
                if service.data:
                    body, form = service.data, "application/octet-stream"
                    if service.ranges and (wanted := self.headers.get("Range")):
                        status, body = 206, body[int(wanted.removeprefix("bytes=").rstrip("-")) :]
                self.send_response(status)
                self.send_header("Content-Type", form)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815 - as the base class calls them

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def service() -> Iterator[Service]:
    made = Service()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def proxy(service: Service) -> Iterator[FaultProxy]:
    with FaultProxy({"shop": service.url}) as made:
        yield made


@pytest.fixture
def session() -> Session:
    made = Session(timeout=SILENCE)
    retry_calls(made, RETRIES)
    return made


def test_the_proxy_replaces_addresses_and_records_calls(proxy: FaultProxy, session: Session) -> None:
    proxy.spoil(nothing)
    answer = session.get(f"{proxy.address('shop')}/v2/things?name=x", authenticated=False)
    assert answer.json() == {"at": proxy.address("shop"), "path": "/v2/things?name=x"}
    assert proxy.calls() == [(Call("GET shop /v2/things?name", 1), "200")]


def test_templates_leave_out_what_differs() -> None:
    path = "/v2.1/servers/0b39b0a2-7c8e-4a53-9e6a-0d8b1f1c2d3e/action"
    assert template("POST", "compute", path, b'{"os-stop": null}') == (
        "POST compute /v2.1/servers/{id}/action os-stop"
    )
    assert template("GET", "network", "/v2.0/ports?limit=5&device_id=x&marker=y", b"") == (
        "GET network /v2.0/ports?device_id"
    )


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
@pytest.mark.parametrize("kind", FAULTS)
def test_what_may_be_repeated_survives_a_fault(
    proxy: FaultProxy, session: Session, method: str, kind: str
) -> None:
    what = f"{method} shop /thing"
    proxy.spoil(these([Call(what, 1)], Fault(kind)))
    answer = session.request(f"{proxy.address('shop')}/thing", method, authenticated=False)
    assert answer.status_code == 200
    assert [call for call, _how in proxy.calls() if call.what == what][-1].nth == 2


@pytest.mark.parametrize("kind", FAULTS)
def test_bounds_when_the_service_stays_broken(proxy: FaultProxy, session: Session, kind: str) -> None:
    proxy.spoil(these([Call("GET shop /thing", 1)], Fault(kind, stays=True)))
    with pytest.raises(ka_exceptions.ClientException):
        session.get(f"{proxy.address('shop')}/thing", authenticated=False)
    assert len(proxy.calls()) == RETRIES + 1


@pytest.mark.parametrize("kind", sorted(set(FAULTS) - {"429"}))
def test_what_creates_is_sent_once_and_is_in_doubt(
    proxy: FaultProxy, session: Session, service: Service, kind: str
) -> None:
    proxy.spoil(these([Call("POST shop /things", 1)], Fault(kind)))
    with pytest.raises(CloudError) as caught, explained("make a thing"):
        session.post(f"{proxy.address('shop')}/things", json={}, authenticated=False)
    assert in_doubt(caught.value)
    assert not was_repeated(caught.value)
    assert service.done == (["POST /things"] if kind in {"lost", "torn"} else [])
    assert len(proxy.calls()) == 1


def test_what_was_surely_not_done_is_sent_again(
    proxy: FaultProxy, session: Session, service: Service
) -> None:
    proxy.spoil(these([Call("POST shop /things", 1)], Fault("429")))
    assert session.post(f"{proxy.address('shop')}/things", json={}, authenticated=False).status_code == 200
    assert service.done == ["POST /things"]


@pytest.mark.parametrize("action", ["lock", "os-set_bootable", "os-set_image_metadata"])
def test_actions_that_set_a_value_are_repeated(proxy: FaultProxy, session: Session, action: str) -> None:
    what = f"POST shop /servers/1/action {action}"
    proxy.spoil(these([Call(what, 1)], Fault("503")))
    url = f"{proxy.address('shop')}/servers/1/action"
    assert session.post(url, json={action: {}}, authenticated=False).status_code == 200
    assert [how for _call, how in proxy.calls()] == ["503", "200"]


def test_an_action_that_does_something_is_not_repeated(proxy: FaultProxy, session: Session) -> None:
    what = "POST shop /servers/1/action createImage"
    proxy.spoil(these([Call(what, 1)], Fault("lost")))
    with pytest.raises(ka_exceptions.ConnectFailure):
        session.post(
            f"{proxy.address('shop')}/servers/1/action", json={"createImage": {}}, authenticated=False
        )
    assert len(proxy.calls()) == 1


@pytest.mark.parametrize("kinds", [("lost",), ("torn",), ("torn", "torn"), ("torn", "lost")])
def test_a_refusal_tells_whether_it_was_the_first_attempt(
    proxy: FaultProxy, session: Session, service: Service, kinds: tuple[str, ...]
) -> None:
    url = f"{proxy.address('shop')}/auth/tokens"  # the one kind of POST that may be repeated
    proxy.spoil(lambda call: Fault(kinds[call.nth - 1]) if call.nth <= len(kinds) else None)
    with pytest.raises(CloudError) as caught, explained("log in"):
        session.post(url, json={}, authenticated=False)
    assert was_repeated(caught.value)
    assert not in_doubt(caught.value)
    proxy.heal()
    with pytest.raises(CloudError) as caught, explained("log in"):
        session.post(url, json={}, authenticated=False)
    assert not was_repeated(caught.value)
    assert service.done == ["POST /auth/tokens"]


@pytest.mark.parametrize("kind", FAULTS)
def test_make_it_so_does_it_once(
    proxy: FaultProxy, session: Session, service: Service, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("refloat.cloud.retries.PAUSES", (0.0, 0.0))
    proxy.spoil(these([Call("POST shop /stop", 1)], Fault(kind)))

    def stop() -> None:
        with explained("stop it"):
            session.post(f"{proxy.address('shop')}/stop", json={}, authenticated=False)

    ensure_done(lambda: "POST /stop" in service.done, stop)
    assert service.done == ["POST /stop"]


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_goes_on_where_it_broke_off(
    proxy: FaultProxy, session: Session, service: Service, ranges: bool
) -> None:
    service.data, service.ranges = bytes(range(256)) * 4096, ranges
    what = "GET shop /images/one/file"
    proxy.spoil(these([Call(what, 1), Call(what, 2)], Fault("torn")))

    class Glance:
        class image:  # noqa: N801 - as openstacksdk has it
            @staticmethod
            def get(path: str, **options: Any) -> Any:
                return session.get(f"{proxy.address('shop')}{path}", authenticated=False, **options)

    image = {"id": "one", "size": len(service.data), "checksum": hashlib.md5(service.data).hexdigest()}
    cloud: Any = Glance
    assert b"".join(download(cloud, image, "")) == service.data
    assert len(proxy.calls()) == 3


def test_nothing_waits_for_ever_by_default() -> None:
    made = Session()
    retry_calls(made)
    assert made.timeout


class Shelf:
    """As much of a cloud as creating something once needs: things on a shelf, behind the proxy."""

    def __init__(self, session: Session, url: str, appears_after: int = 0) -> None:
        self.things: list[Any] = []
        self.posts = 0
        self._session, self._url, self._looks, self._after = session, url, 0, appears_after

    def list(self, _kind: str) -> list[Any]:
        self._looks += 1
        return self.things if self._looks > self._after else []

    def create(self, service: Service) -> Callable[[Marker], Any]:
        def create(marker: Marker) -> Any:
            self.posts += 1
            thing = SimpleNamespace(id=f"thing-{self.posts}", description=marker.text)
            done = len(service.done)
            try:
                with explained("make a thing"):
                    self._session.post(f"{self._url}/things/{self.posts}", json={}, authenticated=False)
            finally:
                if len(service.done) > done:
                    self.things.append(thing)
            return thing

        return create


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("appears_after", [0, 2])
def test_something_is_created_once(
    proxy: FaultProxy,
    session: Session,
    service: Service,
    kind: str,
    appears_after: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("refloat.cloud.create_once.PAUSES", (0.0, 0.0))
    monkeypatch.setattr("refloat.cloud.create_once.LOOKS", (0.0, 0.0, 0.0))
    proxy.spoil(these([Call("POST shop /things/1", 1)], Fault(kind)))
    shelf: Any = Shelf(session, proxy.address("shop"), appears_after)
    identity = create_once(shelf, "thing", Marker("o", "s", "r"), {}, shelf.create(service))
    assert [thing.id for thing in shelf.things] == [identity]


def test_what_is_refused_is_not_created_again(proxy: FaultProxy, session: Session, service: Service) -> None:
    service.done.append("POST /things/1")  # in the way: answered 409
    shelf: Any = Shelf(session, proxy.address("shop"))
    with pytest.raises(CloudError):
        create_once(shelf, "thing", Marker("o", "s", "r"), {}, shelf.create(service))
    assert shelf.posts == 1


@pytest.mark.parametrize("wanted", ["networks", "volumes"])
def test_a_quota_that_cannot_be_read_is_told(proxy: FaultProxy, session: Session, wanted: str) -> None:
    proxy.spoil(lambda _call: Fault("503"))

    class Raw:
        def get(self, path: str) -> Any:
            url = f"{proxy.address('shop')}{path}"
            return session.get(url, authenticated=False, raise_exc=False)

    cloud: Any = SimpleNamespace(network=Raw(), block_storage=Raw(), project_id="p")
    with pytest.raises(CloudError, match=r"could not read the .*: spoilt by the fault proxy \(HTTP 503\)"):
        headroom(cloud, [wanted])


def test_nothing_is_changed_by_who_may_not_any_more(proxy: FaultProxy, session: Session) -> None:
    """H8's cousin: a stopped process that woke went on with what it had begun, up to its next creation."""
    proxy.spoil(nothing)

    def lost() -> None:
        raise LeaseLost("somebody else has it")

    def ask(method: str, path: str = "/thing") -> int:
        return session.request(f"{proxy.address('shop')}{path}", method, authenticated=False).status_code

    with fenced(lost):
        assert ask("GET") == 200
        assert ask("POST", "/v3/auth/tokens") == 200
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            with pytest.raises(LeaseLost):
                ask(method)
        with fenced(None):
            assert ask("DELETE") == 200
    assert ask("PUT") == 200
    assert [call.what.split()[0] for call, _how in proxy.calls()] == ["GET", "POST", "DELETE", "PUT"]
