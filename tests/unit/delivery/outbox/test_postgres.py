"""The outbox in PostgreSQL: a server that goes away, users that may not, and no secret in a message."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest

from connector.delivery.outbox import accepting
from connector.delivery.outbox.model import (
    Accepted,
    Idempotency,
    Outbox,
    OutboxError,
    Post,
    Settled,
)
from tests.kit.outbox import PostgresWorld, entry, postgres_url, seq, singly, waiting

psycopg = pytest.importorskip("psycopg", reason="needs psycopg: the extra 'postgres'")

from connector.delivery.outbox import postgres  # noqa: E402 - psycopg may be missing
from connector.delivery.outbox.postgres import PostgresOutbox  # noqa: E402


@pytest.fixture
def world() -> Iterator[PostgresWorld]:
    with closing(PostgresWorld()) as world:
        yield world


def drop_all(world: PostgresWorld) -> None:
    """End every connection but the one that does it."""
    world.sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'connector'"
    )


def pending(outbox: Outbox) -> int:
    return outbox.status().connections["c"].pending


def test_connections_that_were_dropped_are_made_again(world: PostgresWorld) -> None:
    outbox = world.open()
    outbox.accept([Post(singly(entry("l", "a")))])
    drop_all(world)
    assert outbox.accept([Post(singly(entry("l", "b")))]) == [Accepted()]
    drop_all(world)
    [lease] = outbox.lease("w", ["c"], 20, 1)
    assert [one.payload for one in waiting(outbox, lease)] == [b"a", b"b"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_commit_without_an_answer_happens_once(
    world: PostgresWorld, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    outbox = world.open()
    outbox.accept([Post(singly(entry("l", "a")))])
    commit = psycopg.Connection.commit
    failures = iter([True])

    def fail_once(connection: Any) -> None:
        if connection.info.transaction_status.name != "INTRANS" or not next(failures, False):
            commit(connection)
            return
        if when == "after":
            commit(connection)
        drop_all(world)
        while world.sql(
            f"SELECT 1 FROM pg_stat_activity WHERE pid = {connection.info.backend_pid}"
        ):
            time.sleep(0.01)
        connection.execute("SELECT 1")  # notices that it is gone

    monkeypatch.setattr(psycopg.Connection, "commit", fail_once)
    assert outbox.accept([Post(singly(entry("l", "b")))]) == [Accepted()]
    assert next(failures, None) is None
    assert pending(outbox) == 2


def test_two_processes_with_one_key_write_one_post(
    world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = world.open()
    other = world.open()
    write = accepting._write
    answers: list[Any] = []

    def between(*arguments: Any) -> Any:
        # the other one is quicker, once this one has looked
        if not answers:
            answers.append(None)
            answers[0] = other.accept(
                [Post(singly(entry("l", "a")), {}, Idempotency("k", "x", b"one"))]
            )
        return write(*arguments)

    monkeypatch.setattr(accepting, "_write", between)
    post = Post([], {}, Idempotency("k", "x", b"two"))
    assert outbox.accept([post]) == [Accepted(b"one", repeated=True)]
    assert answers == [[Accepted(b"one")]]


def test_a_schema_of_a_later_version_is_left_alone(world: PostgresWorld) -> None:
    world.sql("UPDATE version SET version = 9")
    try:
        with pytest.raises(OutboxError, match=r"written by a later version .*format 9"):
            world.open()
    finally:
        world.sql("UPDATE version SET version = 1")


def test_what_is_accepted_is_on_the_disk_before_the_answer(world: PostgresWorld) -> None:
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("ALTER ROLE postgres SET synchronous_commit = off")
        try:
            outbox = world.open()
            with outbox._pool.connection() as own:
                assert own.execute("SHOW synchronous_commit").fetchone() == ("on",)
        finally:
            connection.execute("ALTER ROLE postgres RESET synchronous_commit")


def test_nobody_waits_for_ever_for_a_lane_that_is_locked(
    world: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = world.open()
    outbox.accept([Post(singly(entry("l", "a")))])
    [lease] = outbox.lease("w", ["c"], 20, 1)
    monkeypatch.setattr(postgres, "_WAITS", (0.01,))
    monkeypatch.setattr(
        postgres, "_OPTIONS", postgres._OPTIONS.replace("lock_timeout=15s", "lock_timeout=100ms")
    )
    impatient = world.open()
    with psycopg.connect(world.url) as other:
        other.execute("SELECT 1 FROM connector.lane FOR UPDATE")
        assert outbox.lease("v", ["c"], 20, 1) == []
        with pytest.raises(OutboxError, match="lock timeout"):
            impatient.settle(lease, Settled([seq(1)]))
    assert impatient.settle(lease, Settled([seq(1)]))


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (f"postgresql://u:{SECRET}@[nowhere", "the URL of the store is not valid"),
        (f"postgresql://u:{SECRET}@127.0.0.1:1/x", "cannot be reached"),
        (f"postgresql://u:x@{SECRET}@127.0.0.1:1/x", "cannot be reached"),
        (f"postgresql://u@127.0.0.1/x?{SECRET}=1", "the URL of the store is not valid"),
    ],
)
def test_no_message_holds_a_part_of_the_url(
    monkeypatch: pytest.MonkeyPatch, url: str, says: str
) -> None:
    monkeypatch.setattr(postgres, "_WAITS", ())
    with pytest.raises(OutboxError, match=says) as error:
        PostgresOutbox(url)
    assert SECRET not in str(error.value)
    assert error.value.__suppress_context__


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("user", "nobody", "there is no such user"),
        ("dbname", "nothing", "there is no such database"),
    ],
)
def test_who_is_refused_learns_why_at_once(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    monkeypatch.setattr(time, "sleep", lambda seconds: pytest.fail("it does not wait"))
    url = psycopg.conninfo.make_conninfo(postgres_url(), **{name: value})
    with pytest.raises(OutboxError, match=says):
        PostgresOutbox(url)


def test_a_text_that_it_cannot_hold_is_refused_alone(world: PostgresWorld) -> None:
    outbox = world.open()
    with pytest.raises(OutboxError, match=r"cannot hold a text .* U\+0000"):
        outbox.accept([Post(singly(entry("l", "a"), entry("l\0", "b")))])
    assert outbox.accept([Post(singly(entry("l", "a")))]) == [Accepted()]
    assert pending(outbox) == 1


def test_a_user_without_rights_learns_which(world: PostgresWorld) -> None:
    with psycopg.connect(world.url, autocommit=True) as connection:
        connection.execute("CREATE ROLE reader LOGIN")
        try:
            url = psycopg.conninfo.make_conninfo(world.url, user="reader")
            with pytest.raises(
                OutboxError, match="needs CREATE on the database once, or the rights"
            ):
                PostgresOutbox(url)
        finally:
            connection.execute("DROP ROLE reader")
