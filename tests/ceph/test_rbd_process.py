"""librbd's process ends, hangs or cannot start, or who uses it is killed: all is right, or a clear error."""

from __future__ import annotations

import ast
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from refloat.bank import Bank
from refloat.errors import BankError, NotFound
from refloat.movers import baselines, processes, rbd_process
from refloat.movers.rbd import CephCluster, RbdSink, RbdSource, missing
from refloat.testing.movers import WatchedSink, WatchedSource, on_call
from tests.ceph import rbd_place
from tests.ceph.cephserver import Ceph
from tests.ceph.rbd_place import POOL, SNAPSHOT, Images, images, kill_process, place, until
from tests.mover_contract import DATA, SIZE, bank, changed_bytes, keep, read, whole
from tests.unit.support.bank_helpers import CHUNK, noise

__all__ = ["bank", "images", "place"]

CHECKPOINTS = [f"00000000-0000-0000-0000-{number:012}" for number in range(10)]


def alive(pid: int) -> bool:
    with suppress(OSError):
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    return False


def stop(pid: int) -> None:
    """When this returns none of its threads goes on: the signal alone lets them answer for a moment."""

    def stopped() -> bool:
        with suppress(OSError):  # a thread that has ended meanwhile
            threads = Path(f"/proc/{pid}/task").glob("*/stat")
            return all(") T " in each.read_text(encoding="utf-8") for each in threads)
        return False

    os.kill(pid, signal.SIGSTOP)
    until(stopped)


@contextmanager
def killed_while_it_is_asked() -> Iterator[None]:
    """It has the request, and never answers."""
    (pid,) = rbd_place.processes()
    stop(pid)
    later = threading.Timer(0.3, os.kill, (pid, signal.SIGKILL))
    later.start()
    yield
    later.join()
    assert pid not in rbd_place.processes()


def test_killed_while_it_reads(place: Images, bank: Bank) -> None:
    place.fill("v", SIZE, DATA)
    with place.source("v") as source:
        with killed_while_it_is_asked():
            assert read(source, 6 * CHUNK, CHUNK) == whole(SIZE, DATA)[6 * CHUNK : 7 * CHUNK]
        with killed_while_it_is_asked():
            assert sum(length for _offset, length in source.extents()) < SIZE
        ref = keep(bank, WatchedSource(source, on_call(4, kill_process)))
    with bank.open_data(ref) as reader:
        assert reader.read() == whole(SIZE, DATA)


def test_killed_while_it_writes(place: Images, bank: Bank) -> None:
    """All that had been written before is there, and so is what it was asked to write."""
    place.fill("v", SIZE, DATA)
    with place.source("v") as source:
        ref = keep(bank, source)
    place.fill("w", SIZE, {0: noise(SIZE, "former")})
    sink = place.sink("w", SIZE)
    bank.open_data(ref).restore_to(WatchedSink(sink, on_call(6, kill_process)))
    assert place.content("w") == whole(SIZE, DATA)
    sink = place.sink("w", SIZE)
    with killed_while_it_is_asked():
        sink.write(CHUNK, b"again")
    sink.finish(flush=True)
    assert place.content("w") == whole(SIZE, {**DATA, CHUNK: b"again"})
    until(lambda: place.in_use() == [])


def test_killed_while_it_makes_a_baseline_and_compares(place: Images) -> None:
    place.fill("v", SIZE, DATA)
    before = place.content("v")
    assert baselines.baselines(place.worker, POOL, "v") == []
    with place.worker.image(POOL, "v", write=True) as image, killed_while_it_is_asked():
        image.create_snapshot(baselines.baseline_name(CHECKPOINTS[0]))
    kept = baselines.cut(place.worker, POOL, "v", CHECKPOINTS[0])
    assert len(baselines.baselines(place.worker, POOL, "v")) == 1
    with RbdSource(place.worker, POOL, "v", SNAPSHOT, kept) as source, killed_while_it_is_asked():
        state = source.state
    with place.image("v") as admin:
        admin.write(noise(5000, "x"), 30 * CHUNK)
    place.snapshot("v", "later")
    with RbdSource(place.worker, POOL, "v", "later", kept) as source:
        for _ in range(3):
            with killed_while_it_is_asked():
                told = changed_bytes(before, place.content("v"), source.changed(state))
            assert told <= CHUNK


def test_killed_over_and_over(place: Images) -> None:
    place.fill("v", SIZE, DATA)
    open_files = len(os.listdir("/proc/self/fd"))
    enough = threading.Event()

    def go_on() -> None:
        while not enough.wait(0.005):
            kill_process()

    with (
        CephCluster(place.conf, "worker", place.keyring) as cluster,
        RbdSource(cluster, POOL, "v", SNAPSHOT) as source,
    ):
        killer = threading.Thread(target=go_on)
        killer.start()
        try:
            with pytest.raises(BankError) as failed:
                for _ in iter(lambda: read(source, 0, CHUNK), b""):  # until three end before they answer
                    pass
        finally:
            enough.set()
            killer.join()
        assert str(failed.value) == (
            "could not read volumes/v@snapshot-cut: librbd gave no answer: its process ended 3 times, "
            "the last time by signal 9 (SIGKILL)"
        )
        assert read(source, 0, CHUNK) == whole(SIZE, DATA)[:CHUNK], "a little later it works again"
    assert len(os.listdir("/proc/self/fd")) <= open_files
    assert len(rbd_place.processes()) <= 1, "that of the place itself"


def test_one_that_says_nothing_is_ended(place: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    place.fill("v", CHUNK, {0: b"mine"})
    monkeypatch.setattr(processes, "PATIENCE", 3.0)
    with CephCluster(place.conf, "worker", place.keyring) as cluster:
        before = rbd_place.processes()
        with RbdSource(cluster, POOL, "v", SNAPSHOT) as source:
            (pid,) = set(rbd_place.processes()) - set(before)
            stop(pid)
            with pytest.raises(BankError, match="said nothing for 3 s, and was ended"):
                read(source, 0, 4)
            assert not alive(pid)
            assert read(source, 0, 4) == b"mine"


def test_another_image_of_the_same_name_is_not_taken_for_it(place: Images) -> None:
    """The process ends, the snapshot is made anew meanwhile, and the next process opens it."""
    place.fill("v", CHUNK, {0: b"one"})
    with place.source("v") as source:
        kill_process()
        assert read(source, 0, 3) == b"one"
        kill_process()
        place.drop("v", SNAPSHOT)
        place.snapshot("v", SNAPSHOT)
        with pytest.raises(NotFound, match=r"could not open volumes/v@snapshot-cut: it was made anew"):
            read(source, 0, 3)


def test_an_image_with_a_cache_loses_nothing(place: Images) -> None:
    """Ceph lets the operator say so of one image, whatever its client says."""
    place.fill("w", SIZE, {})
    with place.image("w") as image:
        image.metadata_set("conf_rbd_cache", "true")
        image.metadata_set("conf_rbd_cache_policy", "writeback")
        image.metadata_set("conf_rbd_cache_writethrough_until_flush", "false")
    sink = place.sink("w", SIZE)
    sink.begin(SIZE, [])
    sink.write(CHUNK, noise(CHUNK, "x"))
    kill_process()
    sink.finish(flush=True)
    assert place.content("w") == whole(SIZE, {CHUNK: noise(CHUNK, "x")})


def test_twenty_threads(place: Images) -> None:
    place.fill("v", SIZE, DATA)
    place.fill("w", SIZE, {})
    content, chance = whole(SIZE, DATA), random.Random(3)
    ranges = [(at, min(at + 300_000, SIZE) - at) for at in range(0, SIZE, 300_000)]
    chance.shuffle(ranges)
    sink = place.sink("w", SIZE)
    with place.source("v") as source, ThreadPoolExecutor(20) as pool:
        for _ in pool.map(lambda each: sink.write(each[0], read(source, *each)), ranges):
            pass
        sink.finish(flush=True)
    assert place.content("w") == content
    assert place.in_use() == []


def test_who_uses_it_is_killed(place: Images) -> None:
    place.fill("w", SIZE, {})
    code = (
        "import sys, time\n"
        "from refloat.movers.rbd import CephCluster, RbdSink\n"
        "sink = RbdSink(CephCluster(*sys.argv[1:]), 'volumes', 'w')\n"
        "sink.write(0, b'some')\n"
        "print('in the middle', flush=True)\n"
        "time.sleep(600)\n"
    )
    command = [sys.executable, "-c", code, place.conf, "worker", place.keyring]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"in the middle\n"
        (pid,) = rbd_place.processes(parent=parent.pid)
        assert place.in_use() == ["w"]
        parent.kill()
    until(lambda: not alive(pid))
    until(lambda: place.in_use() == [])


def test_who_is_told_to_end_tells_when(place: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C and the service manager tell all processes of a worker; it has something to finish first."""
    monkeypatch.setenv("OS_PASSWORD", "secret")
    place.fill("v", CHUNK, {0: b"mine"})
    place.worker.close()
    with place.source("v") as source:
        (pid,) = rbd_place.processes()
        for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(pid, each)
        assert read(source, 0, 4) == b"mine"
        assert rbd_place.processes() == [pid]
        assert b"secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        assert b"Max core file size        0                    0" in Path(f"/proc/{pid}/limits").read_bytes()
    place.worker.close()
    assert not alive(pid)


def test_a_python_without_librbd(ceph: object, place: Images, tmp_path: Path) -> None:
    advice = f"Install python3-rados and python3-rbd, for {sys.executable}"
    with (
        CephCluster(place.conf, "worker", place.keyring, sys.executable) as cluster,
        pytest.raises(BankError, match=f"No module named 'rados'.*{advice}"),
    ):
        RbdSink(cluster, POOL, "v")
    assert "No module named" in missing(sys.executable)
    nowhere = str(tmp_path / "python3")
    assert "cannot be run" in missing(nowhere)
    with (
        CephCluster(place.conf, "worker", place.keyring, nowhere) as cluster,
        pytest.raises(BankError, match="python3 cannot be started: No such file"),
    ):
        RbdSink(cluster, POOL, "v")


def test_what_it_said_at_last_is_told(place: Images, tmp_path: Path) -> None:
    python = tmp_path / "python3"
    python.write_text(
        "#!/bin/sh\necho terminate called >&2\necho '  what():  Invalid argument' >&2\nkill -ABRT $$\n"
    )
    python.chmod(0o755)
    with (
        CephCluster(place.conf, "worker", place.keyring, str(python)) as cluster,
        pytest.raises(BankError, match=r"by signal 6 \(SIGABRT\), and said: what\(\):  Invalid argument"),
    ):
        RbdSink(cluster, POOL, "v")


def test_the_systems_python_is_enough_for_it() -> None:
    """Python 3.9, its standard library, and librbd: it runs outside of the virtual environment."""
    text = Path(rbd_process.__file__).read_text(encoding="utf-8")
    named = set()
    for node in ast.walk(ast.parse(text, feature_version=(3, 9))):
        if isinstance(node, ast.Import):
            named |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            named.add(str(node.module))
    assert {each.partition(".")[0] for each in named} <= sys.stdlib_module_names


def test_killed_while_it_removes_a_baseline(place: Images) -> None:
    """Ceph puts a snapshot into the trash first: from there it would keep the volume from being deleted."""
    place.make("v", SIZE, {0: b"x"})
    for wait in (0.006, 0.014):
        baselines.cut(place.worker, POOL, "v", CHECKPOINTS[0])
        later = threading.Timer(wait, kill_process)
        later.start()
        baselines.remove(place.worker, POOL, "v", CHECKPOINTS[0])
        later.join()
        assert place.names() == {"v"}


def test_a_baseline_that_was_half_made_is_made_anew(place: Images, ceph: Ceph) -> None:
    """Killed in the middle, librbd leaves a snapshot that is listed, but that nobody can open."""
    place.fill("v", SIZE, DATA)
    kept = baselines.cut(place.worker, POOL, "v", CHECKPOINTS[0])
    with place.worker.image(POOL, "v", kept) as image:
        identity, snapshot = image.seen["identity"]
    ceph.run("rados", "-c", place.conf, "-p", POOL, "rm", f"rbd_object_map.{identity}.{snapshot:016x}")
    with pytest.raises(NotFound), place.worker.image(POOL, "v", kept):
        pass
    assert baselines.cut(place.worker, POOL, "v", CHECKPOINTS[0]) == kept
    with RbdSource(place.worker, POOL, "v", SNAPSHOT, kept) as source:
        assert source.state["differs"] == []
    assert len(baselines.baselines(place.worker, POOL, "v")) == 1
