"""A bank in a store under object lock: nothing is ever replaced, and for a while nothing can be removed."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from refloat.bank import Bank
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.opening import open_store
from refloat.bank.reserve import RESERVE
from refloat.bank.store import Denied, Store
from refloat.errors import Conflict
from refloat.testing.stores import Locked
from tests.unit.support.bank_helpers import KEY, hasty, noise, open_bank, protect, restore  # noqa: F401
from tests.unit.support.object_servers import S3

DAY = 86400.0
DATA = {"OS::Nova::Server#1": noise(3_000_000, "a"), "OS::Cinder::Volume#2": noise(2_000_000, "b")}


@pytest.fixture(params=["file system", "S3"])
def unlocked(request: pytest.FixtureRequest, tmp_path: Path, s3: S3) -> Store:
    if request.param == "S3":
        return open_store(s3.new_url())
    return FileSystemStore(tmp_path / "store", create=True)


def test_protecting_again_and_again(unlocked: Store, hasty: None) -> None:  # noqa: F811
    store = Locked(unlocked)
    with open_bank(store) as bank:
        for number in range(3):
            name = f"c{number}"
            changed = DATA | {"OS::Cinder::Volume#2": noise(2_000_000, number)}
            refs = protect(bank, name, changed)
            assert bank.verify(name).pieces == 2
            assert restore(bank, name) == changed
            if number:
                assert refs["OS::Nova::Server#1"]["stored"] < 10_000, "what is there is not stored again"
    # Another process, later: everything is there, and it goes on.
    with Bank.open(store, KEY) as bank:
        assert {info.id for info in bank.checkpoints()} == {"c0", "c1", "c2"}
        protect(bank, "c3", DATA)
        assert restore(bank, "c0")["OS::Nova::Server#1"] == DATA["OS::Nova::Server#1"]
        for info in bank.checkpoints():
            bank.verify(info.id)
    assert not [name for kind, name in store.refused if kind == "put"], "nothing is written over"


def test_a_checkpoint_that_is_there_is_not_written_over(unlocked: Store, hasty: None) -> None:  # noqa: F811
    store = Locked(unlocked)
    with open_bank(store) as bank:
        protect(bank, "c", DATA)
        with pytest.raises(Conflict):
            protect(bank, "c", DATA | {"OS::Nova::Server#1": b"other"})
        assert restore(bank, "c") == DATA
        protect(bank, "d", DATA)
        assert restore(bank, "d") == DATA


def test_deleting_is_refused_until_the_time_is_over(unlocked: Store, hasty: None) -> None:  # noqa: F811
    now = [1.0e9]
    store = Locked(unlocked, 30 * DAY, clock=lambda: now[0])
    with open_bank(store) as bank:
        protect(bank, "old", DATA)
        now[0] += 20 * DAY
        protect(bank, "new", DATA)
        with pytest.raises(Denied, match="locked"):
            bank.delete("old")
        assert restore(bank, "old") == DATA
        assert restore(bank, "new") == DATA
        now[0] += 31 * DAY
        bank.delete("old")
        assert {info.id for info in bank.checkpoints()} == {"new"}
        bank.verify("new")
        assert restore(bank, "new") == DATA
        with contextlib.suppress(Denied):  # the notice of the collection is locked in its turn
            bank.delete("new")
        assert bank.checkpoints() == []
        now[0] += 31 * DAY
        bank.collect()
        for entry in list(store.list("condemned/")):  # old enough by the store's clock, not yet by ours
            store.delete(entry.name)
    assert {"bank", "keys", *RESERVE} == {entry.name.split("/")[0] for entry in unlocked.list("")}


def test_a_bank_where_a_store_was_checked(unlocked: Store, hasty: None) -> None:  # noqa: F811
    """What a check of the store could not remove does not keep a bank from being made."""
    from refloat.bank.qualify import MEBI, qualify

    store = Locked(unlocked)
    assert qualify(store, size=MEBI).left
    with open_bank(store) as bank:
        protect(bank, "c", DATA)
        assert restore(bank, "c") == DATA
