"""The outbox in SQLite: its files, other processes beside it, and a process that is killed."""

from __future__ import annotations

import os
import signal
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from connector._util.state_folder import FolderLock, StateFolderError, make_folder
from connector.delivery.outbox.model import OutboxError, Post, Retried, Selection, Settled, Verdict
from connector.delivery.outbox.sqlite import FILE, SqliteOutbox
from tests.kit import ROOT
from tests.kit.outbox import SqliteWorld, entry, in_runs, seq, singly, waiting


@pytest.fixture
def world() -> Iterator[SqliteWorld]:
    with closing(SqliteWorld()) as world:
        yield world


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_files_are_their_owners_alone(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "state"
    umask = os.umask(0)
    try:
        make_folder(folder)
        with closing(FolderLock(folder)) as lock, closing(SqliteOutbox(folder, lock)) as outbox:
            outbox.accept([Post(singly(entry("l", "a")))])
            files = {path.name: mode(path) for path in folder.iterdir()}
    finally:
        os.umask(umask)
    assert mode(folder) == 0o700
    assert files == dict.fromkeys((FILE, f"{FILE}-wal", f"{FILE}-shm", "lock"), 0o600)


def test_what_is_left_of_a_damaged_bundle_dies_like_any_other(tmp_path: Path) -> None:
    with closing(FolderLock(tmp_path)) as lock, closing(SqliteOutbox(tmp_path, lock)) as outbox:
        outbox.accept([Post(singly(entry("l", "damaged")))])
        [lease] = outbox.lease("w", ["c"], 60, 1)
        verdict = Verdict(seq(1), "other_connection", "is no bundle of prepared records")
        assert outbox.settle(lease, Settled(dead=[verdict]))
        [letter] = outbox.dead_letters()
        assert (letter.code, letter.payload) == ("other_connection", b"")


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(StateFolderError, match="others can write to this folder; make it yours"):
        make_folder(folder)
    (tmp_path / "file").write_text("")
    with pytest.raises(StateFolderError, match="file is no folder; "):
        make_folder(tmp_path / "file")
    with pytest.raises(StateFolderError, match="lock cannot be used: No such file"):
        FolderLock(tmp_path / "nowhere")


def test_one_process_delivers(world: SqliteWorld) -> None:
    world.open()
    code = "import sys, pathlib, connector._util.state_folder as f; f.FolderLock(pathlib.Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, world.folder]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert "another process delivers from this folder; wait for its end" in done.stderr
    with pytest.raises(StateFolderError):
        FolderLock(world.folder)


def test_others_look_at_it_and_retry_and_purge_beside_it(world: SqliteWorld) -> None:
    outbox = world.open()
    outbox.accept([Post(singly(entry("l", "a"), entry("l", "b"), entry("l", "c")))])
    [lease] = outbox.lease("w", ["c"], 20, 1)
    outbox.settle(lease, Settled(dead=[Verdict(seq(1), "bad", ""), Verdict(seq(2), "worse", "")]))
    with closing(SqliteOutbox(world.folder, None, now=world.now)) as beside:
        assert beside.status() == outbox.status()
        [first, second] = beside.dead_letters()
        assert beside.retry(Selection(ids=(first.id,))) == Retried(1, 0)
        assert beside.purge(Selection(ids=(second.id,))) == 1
    # the lease of the process that delivers is still one
    assert outbox.settle(lease, Settled(delivered=[seq(3)]))
    assert [one.payload for one in waiting(outbox, lease)] == [b"a"]


def test_beside_nothing_there_is_nothing(tmp_path: Path) -> None:
    with pytest.raises(OutboxError, match="there is no outbox in this folder"):
        SqliteOutbox(tmp_path, None)
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_a_later_version_is_left_alone(world: SqliteWorld) -> None:
    world.open()
    world.sql("PRAGMA user_version = 9")
    with pytest.raises(OutboxError, match=r"outbox.db was written by a later version .*format 9"):
        world.open()


def test_a_file_that_is_none_is_left_alone(tmp_path: Path) -> None:
    content = b"something else altogether, and long enough to be looked at " * 20
    (tmp_path / FILE).write_bytes(content)
    with (
        closing(FolderLock(tmp_path)) as lock,
        pytest.raises(OutboxError, match=r"file is not a database; it is not an outbox"),
    ):
        SqliteOutbox(tmp_path, lock)
    assert (tmp_path / FILE).read_bytes() == content


def test_a_full_disk_loses_nothing_that_was_accepted(world: SqliteWorld) -> None:
    outbox = world.open()
    outbox.accept([Post(singly(entry("l", "a")))])
    [(pages,)] = world.sql("PRAGMA page_count")
    world.sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxError, match="full; make room, then start again"):
        outbox.accept([Post(singly(entry("l", "x" * 1_000_000)))])
    world.sql("PRAGMA max_page_count = 1000000")
    outbox.accept([Post(singly(entry("l", "b")))])
    [lease] = outbox.lease("w", ["c"], 20, 1)
    assert [one.payload for one in waiting(outbox, lease)] == [b"a", b"b"]


def test_one_that_keeps_the_file_is_named(
    world: SqliteWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.delivery.outbox.sqlite._PATIENCE", 0.01)
    outbox = world.open()
    with closing(sqlite3.connect(world.folder / FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OutboxError, match="database is locked: another process kept it"):
            outbox.accept([Post(singly(entry("l", "a")))])


def test_nothing_is_left_of_what_is_gone(world: SqliteWorld) -> None:
    outbox = world.open()
    for size in (10, 240, 900, 5_000):
        post = [entry("l", f"CANARY-{number} " + "x" * size) for number in range(300)]
        outbox.accept([Post(in_runs(*post) if size % 20 else singly(*post))])
    [lease] = outbox.lease("w", ["c"], 20, 1)
    kept = waiting(outbox, lease, 0, 2_000)
    assert len(kept) == 1_200
    outbox.settle(lease, Settled([one.seq for one in kept if one.seq % 3 == 0]))
    dead = [Verdict(one.seq, "bad", "why") for one in kept if one.seq % 3]
    outbox.settle(lease, Settled(dead=dead))
    assert b"CANARY" in (world.folder / FILE).read_bytes()
    assert outbox.purge() == len(dead)
    for path in world.folder.iterdir():
        assert b"CANARY" not in path.read_bytes(), path.name


ACCEPT = """
import sys
from pathlib import Path
from connector._util.state_folder import FolderLock
from connector.delivery.outbox.model import Bundle, Post
from connector.delivery.outbox.sqlite import SqliteOutbox
folder = Path(sys.argv[1])
outbox = SqliteOutbox(folder, FolderLock(folder))
number = 0
while True:
    bundles = [Bundle("c", lane, "add", 1, b"\\0\\0", b"%d" % number) for lane in "lm"]
    outbox.accept([Post(bundles)])
    print(number, flush=True)
    number += 1
"""


def test_what_was_answered_outlives_a_process_that_is_killed(world: SqliteWorld) -> None:
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", ACCEPT, world.folder],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        assert process.stdout is not None
        for _ in range(40):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        answered = 40 + len(process.stdout.readlines())
        process.stdout.close()
        process.wait()

        outbox = world.open()
        leases = outbox.lease("w", ["c"], 20, 9)
        assert [lease.lane for lease in leases] == ["l", "m"]
        found = [[int(one.payload) for one in waiting(outbox, lease, 0, 9_999)] for lease in leases]
        assert found[0] == found[1] == list(range(len(found[0])))
        assert answered <= len(found[0]) <= answered + 1
        for lease in leases:
            outbox.settle(lease, Settled([one.seq for one in waiting(outbox, lease, 0, 9_999)]))
        world.end()
