"""Banks on file systems that two hosts use: listings from a cache are recognised, and not relied on (H6)."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from refloat.bank import Bank, mount
from refloat.bank.filesystem import FileSystemStore
from refloat.bank.mount import caching_at
from refloat.bank.qualify import StoreReport
from refloat.bank.store import Store
from refloat.bank.two_hosts import meet
from refloat.errors import BankError, Conflict, Held, NotFound
from refloat.testing.stores import CachedListings
from tests.unit.support.bank_helpers import KEY, NOW, hasty, noise, objects, open_bank, protect, restore
from tests.unit.support.mounts import tmpfs, with_own_mounts

__all__ = ["hasty"]
pytestmark = pytest.mark.usefixtures("hasty")

DATA = {"a": noise(300_000, "a")}


def not_keys(prefix: str) -> bool:
    return not prefix.startswith("keys/")


def test_h6_a_checkpoint_is_not_made_of_what_another_host_has_removed(tmp_path: Path) -> None:
    """Host A shares packs; host B, whose listings are old, deletes the only checkpoint that needs them; A's
    listings do not know: the commit asks for each pack by its name."""
    protect(open_bank(tmp_path), "old", DATA)
    a = CachedListings(FileSystemStore(tmp_path), not_keys)
    b = CachedListings(FileSystemStore(tmp_path), not_keys)
    host_a, host_b = Bank.open(a, KEY), Bank.open(b, KEY)
    for prefix in ("writers/", "alive/", "checkpoints/"):
        list(b.list(prefix))
    tag = next(tmp_path.glob("data/*")).name
    list(a.list(f"data/{tag}/"))
    with host_a.writer("new", "p1") as writer:
        ref = writer.put_data([DATA["a"]])
        host_b.delete("old")
        if list(tmp_path.glob("data/*/*/*.pack")):
            pytest.fail("the other host has seen the writer")
        with pytest.raises(BankError, match=r"the bank has lost .*this checkpoint needs"):
            writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    assert [each.id for each in open_bank(tmp_path).checkpoints()] == []


def test_h6_what_another_host_has_just_finished_is_not_undone(tmp_path: Path) -> None:
    """Host A commits, and is not heard any more; host B, whose listings are old, takes over and undoes."""
    a = open_bank(tmp_path)
    b = CachedListings(FileSystemStore(tmp_path), not_keys)
    host_b = Bank.open(b, KEY)
    with a.writer("new", "p1") as writer:
        ref = writer.put_data([DATA["a"]])
        list(b.list("writers/new."))
        list(b.list("checkpoints/new."))
        writer.commit(created_at=NOW, graph={}, sections={"a": {"data": ref}})
    with pytest.raises(NotFound):
        host_b.checkpoint("new")
    assert host_b.checkpoint("new", "p1").info.id == "new"
    with pytest.raises(Conflict, match="finished"):
        host_b.abandon("new")
    assert restore(open_bank(tmp_path), "new") == DATA


def both(first: Store, second: Store) -> list[StoreReport]:
    reports: dict[str, StoreReport] = {}

    def run(role: str, store: Store) -> None:
        reports[role] = meet(store, role, patience=30)

    threads = [threading.Thread(target=run, args=each) for each in (("first", first), ("second", second))]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return [reports["first"], reports["second"]]


def test_h6_two_hosts_try_out_a_store(tmp_path: Path) -> None:
    for report in both(FileSystemStore(tmp_path), FileSystemStore(tmp_path)):
        assert report.fit, report
        assert len(report.findings) == 3
    assert objects(tmp_path) == []
    good, late = both(FileSystemStore(tmp_path), CachedListings(FileSystemStore(tmp_path)))
    assert good.fit
    assert {each.property for each in late.findings if each.verdict == "fail"} == {"listed at once"}
    assert objects(tmp_path) == []


def test_h6_the_other_host_does_not_come(tmp_path: Path) -> None:
    with pytest.raises(Conflict, match="the other host does not answer"):
        meet(FileSystemStore(tmp_path), "first", patience=0.1)
    assert objects(tmp_path) == []


TABLE = """\
21 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw
30 21 0:40 / /mnt/nfs rw,relatime shared:1 - nfs4 filer:/x rw,vers=4.2,rsize=1048576,hard,addr=10.0.0.1
31 21 0:41 / /mnt/exact rw - nfs filer:/y rw,acregmin=0,acregmax=0,acdirmin=0,acdirmax=0,lookupcache=none
32 21 0:42 / /mnt/half rw - nfs4 filer:/z rw,noac,lookupcache=pos
33 21 0:43 / /mnt/a\\040share rw - cifs //filer/s rw,vers=3.1.1,cache=strict,actimeo=1
34 21 0:44 / /mnt/sure rw - cifs //filer/t rw,cache=none,actimeo=0
35 21 0:45 / /mnt/ssh rw - fuse.sshfs me@there: rw,user_id=0
36 30 8:2 / /mnt/nfs/local rw - xfs /dev/sdb1 rw
"""


@pytest.mark.parametrize(
    ("where", "kind", "needed", "unknown"),
    [
        ("/srv/bank", "ext4", "", False),
        ("/mnt/nfs/bank", "nfs4", "lookupcache=none,actimeo=0", False),
        ("/mnt/exact", "nfs", "", False),
        ("/mnt/half/bank", "nfs4", "lookupcache=none,actimeo=0", False),
        ("/mnt/a share/bank", "cifs", "cache=none,actimeo=0", False),
        ("/mnt/sure", "cifs", "", False),
        ("/mnt/ssh/bank", "fuse.sshfs", "", True),
        ("/mnt/nfs/local/bank", "xfs", "", False),
    ],
)
def test_h6_file_systems_are_recognised(where: str, kind: str, needed: str, unknown: bool) -> None:
    found = caching_at(Path(where), TABLE)
    assert (found.kind, ",".join(found.needed), found.unknown) == (kind, needed, unknown)
    assert needed in found.text


def test_h6_the_file_system_of_this_machine_is_recognised(tmp_path: Path) -> None:
    def work() -> None:
        tmpfs(tmp_path)
        (tmp_path / "bank").mkdir()
        assert caching_at(tmp_path / "bank").text == "tmpfs"

    with_own_mounts(work)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs"])
def test_h6_nothing_is_deleted_where_listings_may_be_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """But protecting, undoing and reading go on; and deleting, once the host was shown to see enough."""
    table, root = tmp_path / "mountinfo", tmp_path / "bank"
    bank = open_bank(root)
    for name in ("old", "new"):
        protect(bank, name, DATA)
    monkeypatch.setattr(mount, "_TABLE", table)

    def mounted(options: str) -> None:
        table.write_text(
            f"21 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 21 0:40 / {root} rw - {kind} filer:/x rw{options}\n"
        )

    mounted("")
    for remove in (lambda: bank.delete("old"), bank.collect, lambda: bank.erase_project("p1")):
        with pytest.raises(Held, match="by this host") as told:
            remove()
        assert f"check-store file://{root} --only-host" in told.value.advice
        assert kind in told.value.reason
    assert restore(bank, "old") == restore(bank, "new") == DATA
    protect(bank, "newest", DATA)
    with bank.writer("undone", "p1") as writer:
        writer.put_data([noise(1000)])
    bank.abandon("undone")

    store = FileSystemStore(root)
    mount.vouch(store, exact=False)
    with pytest.raises(Held):
        bank.delete("old")
    mount.vouch(store, exact=True)
    bank.delete("old")
    mounted(",soft")  # it was shown for another mount
    with pytest.raises(Held):
        bank.delete("new")
    for local in ("ext4", "tmpfs", "overlay", "9p", "virtiofs", "fuse.gocryptfs"):
        table.write_text(f"30 21 0:40 / {root} rw - {local} somewhere rw\n")
        assert mount.late_at(store) is None
    bank.delete("new")
    assert [info.id for info in bank.checkpoints()] == ["newest"]
    assert bank.verify_all().damages == []
