"""A defect while a post is mapped or committed: it is answered without what it was about, and the next post is taken."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, cast

import pytest

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

from connector.delivery.outbox.model import Accepted
from connector.delivery.worker.mapping import Mapped
from connector.model import Event
from connector.service.intake import Intake, Result, Taken
from connector.service.posts import Incoming
from connector.service.problems import Problem

CANARY = "canary.person@example.com"


class Fragile:
    """A mapper and an outbox that fail on what is called canary."""

    def __init__(self, fails: str) -> None:
        self.fails = fails

    def map(self, posts: Sequence[Sequence[Event]], now: float) -> list[Mapped]:
        people = [event.data.get("email") for post in posts for event in post]
        if self.fails == "map" and CANARY in people:
            raise ValueError(f"cannot map {CANARY}")
        mapped = []
        for post in posts:
            is_bad = any(event.data.get("email") == CANARY for event in post)
            mapped.append(Mapped(accepted={event.position for event in post}, dropped=is_bad))
        return mapped

    def write(self, posts: Sequence[Mapped]) -> list[Any]:
        if self.fails == "write" and any(one.dropped for one in posts):
            raise KeyError(CANARY)
        return []

    def accept(self, posts: Sequence[Any]) -> list[Accepted]:
        if self.fails == "accept" and any(post.idempotency for post in posts):
            raise KeyError(CANARY)
        return [Accepted() for _ in posts]


@pytest.mark.parametrize("fails", ["map", "accept"])
def test_a_defect_is_of_one_post(fails: str, capfd: pytest.CaptureFixture[str]) -> None:
    results: dict[bytes, Result] = {}
    all_done = threading.Event()

    def done(found: Sequence[tuple[Incoming, Result]]) -> None:
        for incoming, result in found:
            results[incoming.body] = result
        if len(results) == 3:
            all_done.set()

    fragile = cast(Any, Fragile(fails))
    intake = Intake(fragile, {"c": fragile}, done, lambda offered: None, lambda error: None)
    bad = b'{"email": "%s"}' % CANARY.encode()
    for body, key in ((b'{"a": 1}', ""), (bad, "key"), (b'{"b": 2}', "")):
        intake.submit(Incoming(body, "application/json", "", ["c"], key))
    assert all_done.wait(5)
    intake.close()

    problem = results.pop(bad)
    assert isinstance(problem, Problem)
    error = {"map": "ValueError", "accept": "KeyError"}[fails]
    assert (problem.status, problem.detail) == (500, f"internal error: {error}")
    assert all(isinstance(one, Taken) for one in results.values())
    captured = capfd.readouterr()
    assert CANARY not in captured.out + captured.err + repr(problem)


def test_what_is_mapped_again_after_a_defect_loses_nothing() -> None:
    results: dict[str, Result] = {}

    def done(found: Sequence[tuple[Incoming, Result]]) -> None:
        results.update({incoming.key: result for incoming, result in found})

    fragile = cast(Any, Fragile("write"))
    intake = Intake(fragile, {"c": fragile}, done, lambda offered: None, lambda error: None)
    good, bad = (Incoming(b"", "", "", ["c"], key) for key in ("good", "bad"))
    good.events.append(Event(1, {}))
    bad.events.append(Event(1, {"email": CANARY}))
    intake._commit(intake._map_group([good, bad]))  # what came at the same time
    intake.close()
    assert results["good"] == Taken(
        b'{"accepted":1,"skipped":0,"rejected":[]}', {"accepted": 1, "skipped": 0, "rejected": 0}
    )
    assert results["bad"] == Problem(500, "internal", "internal error: KeyError")
