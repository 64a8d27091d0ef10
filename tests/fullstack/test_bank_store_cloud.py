"""The contract of a store on the real Swift: its own API through Keystone, and its S3 API."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refloat.bank.opening import open_store
from refloat.bank.reserve import RESERVE
from refloat.bank.retrying import Retrying
from refloat.bank.store import Denied, Store
from refloat.cloud import Cloud
from refloat.cloud.objectstore import ObjectStoreLogin
from refloat.errors import NotFound
from refloat.testing.stores import Flaky
from tests.fullstack.object_store import container, keys, member, s3_options, use_keys
from tests.unit.support.bank_helpers import noise, open_bank, protect, restore
from tests.unit.support.store_contract import SomeWin, StoreContract

__all__ = ["container", "keys", "member", "s3_options", "use_keys"]

WAYS = ("swift", "s3")


class Places:
    """New places in the container, by either way."""

    def __init__(self, cloud: Cloud, container: str, s3_options: str) -> None:
        self._cloud = cloud
        self._container = container
        self._s3_options = s3_options

    def url(self, way: str) -> str:
        prefix = f"{self._container}/{uuid.uuid4().hex[:8]}"
        return f"s3://{prefix}?{self._s3_options}" if way == "s3" else f"swift://{prefix}"

    def open(self, way: str) -> Store:
        return open_store(self.url(way), logins=lambda _name: ObjectStoreLogin(self._cloud))


@pytest.fixture
def places(cloud: Cloud, container: str, s3_options: str, use_keys: None) -> Places:
    return Places(cloud, container, s3_options)


def over_a_bad_line(store: Store, *, done: bool) -> Store:
    return Retrying(Flaky(store, 4, done=done), attempts=12, pause=lambda _seconds: None)


class TestContract(StoreContract, SomeWin):
    @pytest.fixture(params=[*WAYS, "swift, lost answers", "s3, lost connections"])
    def store(self, request: pytest.FixtureRequest, places: Places) -> Iterator[Store]:
        way, _, lost = request.param.partition(", ")
        opened = places.open(way)
        if lost:
            opened = over_a_bad_line(opened, done=lost == "lost answers")
        yield opened
        opened.close()


@pytest.mark.parametrize(("way", "done"), [("s3", False), ("swift", True)])
def test_a_bank(places: Places, way: str, done: bool) -> None:
    """Protect, verify, read, delete and collect, over a bad line."""
    store = over_a_bad_line(places.open(way), done=done)
    data = {"OS::Nova::Server#1": noise(5_000_000, "a"), "OS::Cinder::Volume#2": noise(40_000_000, "b")}
    with open_bank(store) as bank:
        protect(bank, "one", data)
        protect(bank, "two", data | {"OS::Cinder::Volume#2": noise(3_000_000, "c")})
        assert {info.id for info in bank.checkpoints()} == {"one", "two"}
        assert restore(bank, "one") == data
        bank.verify("two")
        bank.delete("one")
        assert restore(bank, "two")["OS::Nova::Server#1"] == data["OS::Nova::Server#1"]
        bank.delete("two")
        bank.collect()
    left = {entry.name.split("/")[0] for entry in store.list("")}
    assert left <= {"bank", "keys", *RESERVE}


def test_no_such_container(places: Places, cloud: Cloud, member: Any) -> None:
    name = f"refloat-test-{uuid.uuid4().hex[:8]}"

    def logins(_name: str | None) -> ObjectStoreLogin:
        return ObjectStoreLogin(cloud)

    with pytest.raises(NotFound, match=name):
        open_store(f"swift://{name}/x", logins=logins)
    with pytest.raises(NotFound, match="bucket"):
        open_store(places.url("s3").replace("refloat-test", "refloat-none"))
    try:
        store = open_store(f"swift://{name}/x", create=True, logins=logins)
        store.put("a/b", b"x")
        assert [entry.name for entry in open_store(f"swift://{name}", logins=logins).list("")] == ["x/a/b"]
        store.delete("a/b")
    finally:
        member.object_store.delete_container(name)


def test_a_token_that_was_revoked_is_renewed(places: Places, cloud: Cloud, member: Any) -> None:
    """A login of its own, whose first token is taken back behind its back."""
    another = Cloud(cloud.name)
    login = ObjectStoreLogin(another)
    store = open_store(places.url("swift"), logins=lambda _name: login)
    store.put("a", b"a")
    revoked = login.token()
    member.session.delete(
        "/auth/tokens",
        endpoint_filter={"service_type": "identity", "interface": "public"},
        headers={"X-Subject-Token": revoked},
    )
    # The proxy may still remember it as good; it does so for a while only, and not if asked with another.
    assert login.token(refused=revoked) != revoked
    store.put("b", b"b" * 3_000_000)
    assert store.get("b") == b"b" * 3_000_000
    another.close()


def test_wrong_keys_for_s3(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-and-secret")
    with pytest.raises(Denied, match="SignatureDoesNotMatch") as caught:
        places.open("s3")
    assert "wrong-and-secret" not in str(caught.value)


def test_check_store(places: Places, cloud: Cloud) -> None:
    done = subprocess.run(
        [
            *(str(Path(sys.executable).with_name("refloat")), "--os-cloud", str(cloud.name)),
            *("bank", "check-store", places.url("swift"), "--size", "4", "-f", "json"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {item["property"]: item for item in json.loads(done.stdout)}
    assert found["no overwrite"]["verdict"] == "ok"
    assert {item["verdict"] for item in found.values()} <= {"ok", "warning"}
    assert found["throughput"]["verdict"] == "ok"
