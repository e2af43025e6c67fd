"""The intake: what happens when posts cannot be kept."""

from __future__ import annotations

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
