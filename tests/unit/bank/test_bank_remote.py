"""Stores behind a network on bad days: what they answer, what we say, and what we do about it."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from refloat.bank.objectstore import open_object_store
from refloat.bank.opening import open_store
from refloat.bank.reserve import RESERVE
from refloat.bank.retrying import Retrying
from refloat.bank.store import AlreadyExists, Denied, ObjectMissing, Store, StoreFull, Unavailable
from refloat.bank.swift import SwiftStore
from refloat.bank.throttle import Bucket, Throttled
from refloat.bank.urls import parse
from refloat.errors import BankError, CloudError, NotFound
from refloat.testing.stores import Flaky
from tests.unit.support.bank_helpers import noise, open_bank, protect, restore
from tests.unit.support.object_servers import KEYS, S3, Answer, Request, scripted_server


class Login:
    """Gives ``t1``, ``t2``... as it is asked for another one."""

    verify = True

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.number = 1
        self._lock = threading.Lock()

    def token(self, refused: str = "") -> str:
        with self._lock:
            if refused == f"t{self.number}":
                self.number += 1
            return f"t{self.number}"


class Script:
    """Answers by method, for objects; the last one for ever. The container is always there."""

    def __init__(self, **answers: list[Answer | None]) -> None:
        self.answers = answers
        self.requests: list[Request] = []

    def __call__(self, request: Request) -> Answer | None:
        self.requests.append(request)
        if request.path.rstrip("/").count("/") < 2:
            return Answer(204)
        told = self.answers.get(request.method, [Answer(404)])
        return told.pop(0) if len(told) > 1 else told[0]

    def count(self, method: str) -> int:
        return sum(request.method == method for request in self.requests)


@contextmanager
def swift(script: Script) -> Iterator[Store]:
    with scripted_server(script) as url:
        store = SwiftStore(Login(url), "box", "bank")
        yield store
        store.close()


def patient(store: Store, pauses: list[float]) -> Store:
    return Retrying(store, pause=pauses.append)


HEAD = Answer(200, headers={"Content-Length": "3", "X-Timestamp": "1900000000.12345"})


class TestSwift:
    @pytest.mark.parametrize(
        ("status", "kind", "words"),
        [
            (403, Denied, "does not allow to write"),
            (413, StoreFull, "bank is full.*quota"),
            (507, StoreFull, "bank is full"),
            (503, Unavailable, "does not answer"),
            (429, Unavailable, "does not answer"),
            (400, BankError, "failed to write"),
            (404, BankError, "container of swift://box/bank is not there"),
        ],
    )
    def test_what_is_refused_is_explained(self, status: int, kind: type[BankError], words: str) -> None:
        page = b"<html><h1>No</h1><p>Upload exceeds  quota.</p></html>"
        script = Script(PUT=[Answer(status, page, {"X-Trans-Id": "tx123"})])
        with swift(script) as store, pytest.raises(kind, match=words) as caught:
            store.put("a", b"abc")
        if status != 404:
            assert "Upload exceeds quota" in caught.value.reason
            assert caught.value.request_id == "tx123"
            assert caught.value.resource == "a"
        assert not isinstance(caught.value, ObjectMissing)

    def test_a_token_that_is_refused_is_renewed_once(self) -> None:
        script = Script(GET=[Answer(401), Answer(200, b"abc")])
        with swift(script) as store:
            assert store.get("a") == b"abc"
        tokens = [r.headers["X-Auth-Token"] for r in script.requests if r.method == "GET"]
        assert tokens == ["t1", "t2"]

    def test_credentials_that_are_refused_for_good(self) -> None:
        script = Script(GET=[Answer(401, b"Unauthorized")])
        with (
            swift(script) as store,
            pytest.raises(Denied, match=r"does not allow to read.*HTTP 401") as caught,
        ):
            store.get("a")
        assert script.count("GET") == 2
        assert "t2" not in str(caught.value)

    def test_an_identity_service_that_is_away_for_a_moment(self) -> None:
        class Shy(Login):
            asked = 0

            def token(self, refused: str = "") -> str:
                self.asked += 1
                if self.asked == 1:
                    raise CloudError("could not log in to the object store", reason="Connection refused")
                return super().token(refused)

        pauses: list[float] = []
        with scripted_server(Script(GET=[Answer(200, b"abc")])) as url:
            assert patient(SwiftStore(Shy(url), "box"), pauses).get("a") == b"abc"
        assert len(pauses) == 1

    def test_an_answer_that_was_lost_is_found_out(self) -> None:
        script = Script(PUT=[None], HEAD=[HEAD], GET=[Answer(200, b"abc")])
        with swift(script) as store:
            store.put("a", [b"a", b"bc"])
        assert script.count("PUT") == 1
        assert script.requests[0].body == b"abc"
        assert script.requests[0].headers["If-None-Match"] == "*"

    def test_a_write_that_was_lost_is_repeated(self) -> None:
        pauses: list[float] = []
        script = Script(PUT=[None, Answer(201)], HEAD=[Answer(404), HEAD], GET=[Answer(200, b"abc")])
        with swift(script) as store:
            patient(store, pauses).put("a", b"abc")
        assert script.count("PUT") == 2
        assert len(pauses) == 1

    def test_somebody_elses_object_is_not_replaced(self) -> None:
        script = Script(PUT=[Answer(412)], HEAD=[HEAD], GET=[Answer(200, b"xyz")])
        with swift(script) as store, pytest.raises(AlreadyExists):
            store.put("a", b"abc")

    def test_whoever_was_replaced_at_the_same_moment_hears_of_it(self) -> None:
        script = Script(PUT=[Answer(201)], HEAD=[HEAD], GET=[Answer(200, b"xyz")])
        with swift(script) as store, pytest.raises(AlreadyExists):
            store.put("a", b"abc")

    def test_the_store_is_given_the_time_it_asks_for(self) -> None:
        pauses: list[float] = []
        script = Script(GET=[Answer(503, headers={"Retry-After": "40"}), Answer(200, b"abc")])
        with swift(script) as store:
            assert patient(store, pauses).get("a") == b"abc"
        assert pauses == [40]

    def test_it_is_not_asked_for_ever(self) -> None:
        pauses: list[float] = []
        script = Script(GET=[None])
        with swift(script) as store, pytest.raises(Unavailable, match="after 6 attempts"):
            patient(store, pauses).get("a")
        assert len(pauses) == 5

    def test_long_listings_come_in_pages(self) -> None:
        page = [
            {"name": f"bank/data/{n}", "bytes": n, "last_modified": "2031-01-31T12:00:00.500000"}
            for n in range(3)
        ]
        asked = []

        def answer(request: Request) -> Answer:
            asked.append(request.path)
            marker = "marker=" in request.path
            return Answer(200, json.dumps([] if marker else page).encode())

        with scripted_server(answer) as url:
            found = list(SwiftStore(Login(url), "box", "bank").list("data/"))
        assert [(e.name, e.size) for e in found] == [("data/0", 0), ("data/1", 1), ("data/2", 2)]
        assert found[0].modified == pytest.approx(1927627200.5)
        assert "prefix=bank%2Fdata%2F" in asked[0]
        assert "marker=bank%2Fdata%2F2" in asked[1]

    def test_nobody_there(self) -> None:
        with scripted_server(lambda _request: None) as url:
            pass
        with pytest.raises(Unavailable, match="Connection refused"):
            SwiftStore(Login(url), "box").get("a")


class TestS3:
    def test_a_bank_over_a_bad_line(self, s3: S3) -> None:
        data = {"OS::Nova::Server#1": noise(2_000_000, "a"), "OS::Cinder::Volume#2": noise(6_000_000, "b")}
        for done in (False, True):
            flaky = Flaky(open_store(s3.new_url()), 4, done=done)
            store = Retrying(flaky, attempts=1000, pause=lambda _seconds: None)
            with open_bank(store) as bank:
                protect(bank, "one", data)
                protect(bank, "two", data)
                bank.verify("one")
                bank.delete("one")
                assert restore(bank, "two") == data
                bank.delete("two")
                bank.collect()
            assert flaky.failures > 5
            assert {"bank", "keys", *RESERVE} == {e.name.split("/")[0] for e in store.list("")}

    def test_it_can_be_used_from_within_an_event_loop(self, s3: S3) -> None:
        store = open_store(s3.new_url())

        async def use() -> list[str]:
            store.put("a", b"abc")
            return [entry.name for entry in store.list("")]

        assert asyncio.run(use()) == ["a"]

    def test_no_such_bucket(self, s3: S3) -> None:
        for create in (False, True):
            with pytest.raises(NotFound, match="not there"):
                open_store(s3.url("nothing-here", "x"), create=create)

    def test_a_bucket_that_vanishes_is_not_an_empty_one(self, s3: S3) -> None:
        store = open_object_store(parse(s3.url("nothing-here")))
        for use in (lambda: store.get("a"), lambda: store.stat("a"), lambda: store.put("a", b"")):
            with pytest.raises(BankError, match="bucket of s3://nothing-here") as caught:
                use()
            assert not isinstance(caught.value, ObjectMissing)
        with pytest.raises(BankError, match="bucket"):
            list(store.list(""))

    def test_keys_from_a_file(self, s3: S3, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in KEYS:
            monkeypatch.delenv(name)
        file = tmp_path / "keys"
        file.write_text("[mine]\naws_access_key_id = a\naws_secret_access_key = b\n")
        store = open_store(s3.new_url(credentials=str(file), profile="mine"))
        store.put("a", b"abc")
        assert store.get("a") == b"abc"
        assert "keys" not in store.url

    @pytest.mark.parametrize(
        ("status", "code", "kind"),
        [
            (403, "AccessDenied", Denied),
            (403, "QuotaExceeded", StoreFull),
            (507, "XMinioStorageFull", StoreFull),
            (503, "SlowDown", Unavailable),
            (500, "InternalError", Unavailable),
            (400, "InvalidRequest", BankError),
        ],
    )
    def test_what_is_refused_is_explained(
        self, status: int, code: str, kind: type[BankError], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        page = f"<Error><Code>{code}</Code><Message>Not today</Message></Error>".encode()
        script = Script(PUT=[Answer(status, page)])
        with scripted_server(script) as url, pytest.raises(kind, match="Not today") as caught:
            open_object_store(parse(f"s3://box/bank?endpoint={url}")).put("a", b"abc")
        assert code in caught.value.reason
        assert KEYS["AWS_SECRET_ACCESS_KEY"] not in str(caught.value)
        if kind is BankError:
            assert type(caught.value) is BankError

    def test_a_service_that_ignores_conditions_is_seen_through(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It takes everything and replaces what is there; we look before we write."""
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        kept: dict[str, bytes] = {}

        def answer(request: Request) -> Answer:
            key = request.path.partition("?")[0]
            if request.method == "PUT":
                kept[key] = request.body
                return Answer(200, headers={"ETag": '"x"'})
            if key not in kept:
                return Answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
            return Answer(
                200,
                kept[key],
                {
                    "Content-Length": str(len(kept[key])),
                    "Last-Modified": "Thu, 31 Jan 2030 12:00:00 GMT",
                    "ETag": '"x"',
                },
            )

        with scripted_server(answer) as url:
            store = open_object_store(parse(f"s3://box/bank?endpoint={url}"))
            store.put("first", b"1")
            store.put("a", b"one")
            with pytest.raises(AlreadyExists):
                store.put("a", b"two")
            store.put("a", b"one")
            assert store.get("a") == b"one"

    def test_nobody_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name, value in KEYS.items():
            monkeypatch.setenv(name, value)
        with scripted_server(lambda _request: None) as url:
            pass
        with pytest.raises(Unavailable, match="Connection refused"):
            open_object_store(parse(f"s3://box/bank?endpoint={url}")).get("a")

    def test_no_credentials(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in KEYS:
            monkeypatch.delenv(name, raising=False)
        for name in ("HOME", "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
            monkeypatch.setenv(name, str(tmp_path / "nothing"))
        asked: list[Request] = []
        with (
            scripted_server(lambda request: asked.append(request)) as url,
            pytest.raises(Denied, match=r"no credentials.*Set AWS_ACCESS_KEY_ID"),
        ):
            open_store(f"s3://box/bank?endpoint={url}")
        assert not asked


@pytest.mark.parametrize("way", ["swift", "s3"])
def test_an_answer_that_breaks_off_is_no_answer(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    half = Answer(200, b"x" * 1000, {"Content-Length": "2000", "Connection": "close"})
    with scripted_server(Script(GET=[half])) as url:
        store: Store = SwiftStore(Login(url), "box")
        if way == "s3":
            store = open_object_store(parse(f"s3://box/bank?endpoint={url}&timeout=5"))
        for use in (lambda: store.get("a"), lambda: store.get_range("a", 0, 2000)):
            with pytest.raises(Unavailable, match="does not answer"):
                use()


@pytest.mark.parametrize("way", ["swift", "s3"])
def test_a_server_that_does_not_answer_is_given_up(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("refloat.bank.swift.SILENCE_SECONDS", 0.5)
    over = threading.Event()

    def hang(_request: Request) -> None:
        over.wait(60)

    with scripted_server(hang) as url:
        store: Store = SwiftStore(Login(url), "box")
        if way == "s3":
            store = open_object_store(parse(f"s3://box/bank?endpoint={url}&timeout=0.5"))
        try:
            for use in (lambda: store.get("a"), lambda: store.put("a", b"abc"), lambda: list(store.list(""))):
                with pytest.raises(Unavailable, match="does not answer"):
                    use()
        finally:
            over.set()


class TestThrottle:
    def test_the_rate_is_kept_in_the_long_run(self) -> None:
        now = [0.0]
        bucket = Bucket(
            100.0, clock=lambda: now[0], sleep=lambda seconds: now.__setitem__(0, now[0] + seconds)
        )
        for _ in range(20):
            bucket.take(50)
        assert now[0] == pytest.approx((20 * 50 - 100) / 100)
        now[0] += 1000
        bucket.take(100)
        at = now[0]
        bucket.take(1000)
        assert now[0] - at == pytest.approx(10)

    def test_all_that_passes_is_counted(self, tmp_path: Any) -> None:
        taken: list[int] = []

        class Counting(Bucket):
            def take(self, size: int) -> None:
                taken.append(size)

        store = Throttled(open_store(str(tmp_path)), 1.0, Counting(1.0))
        store.put("a", [b"ab", b"cde"])
        store.get("a")
        store.get_range("a", 1, 3)
        assert taken == [5, 5, 3]
