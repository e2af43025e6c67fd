"""The intake: posts that cannot be kept, and posts that gather."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import closing

import pytest

from connector.delivery.outbox.model import Answer, OutboxError, Post
from connector.delivery.outbox.sqlite import SqliteOutbox
from connector.delivery.worker.mapping import Mapper
from connector.pipeline.pipeline import Pipeline
from connector.service import intake as module
from connector.service.intake import Intake, Result, Taken
from connector.service.posts import Incoming
from connector.service.problems import Problem
from tests.kit.delivering import made, wait_until
from tests.kit.outbox import SqliteWorld

BODY = b'{"audience": "aaa", "partner": "ann"}'


def test_a_commit_that_fails_is_told_and_is_no_reason_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results: list[Result] = []
    failures: list[str] = []
    connection = made()
    with closing(SqliteWorld()) as world:
        outbox = world.open()
        intake = Intake(
            outbox,
            {"c": Mapper("c", connection, lambda: Pipeline(connection))},
            lambda done: results.extend(result for _, result in done),
            lambda offered: None,
            lambda error: failures.append(str(error)),
        )

        def post() -> Result:
            count = len(results)
            intake.submit(Incoming(BODY, "application/json", "", ["c"]))
            wait_until(lambda: len(results) > count)
            return results[-1]

        def fail(self: SqliteOutbox, posts: Sequence[Post]) -> list[Answer]:
            raise OutboxError("the disk is full")

        assert isinstance(post(), Taken)
        with monkeypatch.context() as broken:
            broken.setattr(SqliteOutbox, "accept", fail)
            refused = post()
        assert isinstance(refused, Problem)
        assert (refused.status, refused.code, failures) == (503, "not_kept", ["the disk is full"])
        assert intake.is_failing
        # nobody posts to a service that is not ready, so it has to become so by itself
        monkeypatch.setattr(module, "_FAILING", 0.0)
        assert not intake.is_failing
        monkeypatch.undo()
        assert intake.is_failing
        assert isinstance(post(), Taken)
        assert not intake.is_failing
        intake.close()
        assert outbox.status().connections["c"].pending == 2


def test_posts_gather_while_others_are_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    results: list[Result] = []
    sizes: list[int] = []
    go_on = threading.Semaphore(0)
    accept = SqliteOutbox.accept

    def slow(outbox: SqliteOutbox, posts: Sequence[Post]) -> list[Answer]:
        sizes.append(sum(bundle.records for post in posts for bundle in post.bundles))
        assert go_on.acquire(timeout=10)
        return accept(outbox, posts)

    monkeypatch.setattr(SqliteOutbox, "accept", slow)
    connection = made()
    mapper = Mapper("c", connection, lambda: Pipeline(connection))
    with closing(SqliteWorld()) as world:
        intake = Intake(
            world.open(),
            {"c": mapper},
            lambda done: results.extend(result for _, result in done),
            lambda offered: None,
            lambda error: None,
        )

        def post() -> None:
            intake.submit(Incoming(BODY, "application/json", "", ["c"]))

        post()
        wait_until(lambda: len(sizes) == 1)
        for _ in range(5):
            post()
        go_on.release()
        go_on.release()
        wait_until(lambda: len(results) == 6)
        intake.close()
    assert sizes == [1, 5]
    assert all(isinstance(result, Taken) for result in results)
