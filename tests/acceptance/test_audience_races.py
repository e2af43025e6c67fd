"""Two processes that create one audience by its name at the same moment, without a folder that they share.

The vendor answers neither before both have asked: each has seen that there is no such audience when it creates it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Barrier
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.library import load_connection
from connector.sandbox.faults import Fault
from connector.sandbox.local import Sandbox
from connector.sandbox.vendor import Answer
from tests.kit.accounts import LISTS, event
from tests.kit.cli import SECRETS, Done, at_once, connection, ndjson, run

CREDENTIALS = {name.removeprefix("X_").lower(): secret for name, secret in SECRETS.items()}


class Race:
    """A sandbox that holds back what it says of audiences until both processes have asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.sandbox = Sandbox(load_connection(connection(folder)), secrets=CREDENTIALS)
        self.together = Barrier(2)
        self.creations: list[int] = []
        self._answer = self.sandbox.vendor.answer
        self.sandbox.vendor.answer = self._held  # type: ignore[method-assign]

    def _held(self, method: str, url: str, headers: Any, body: bytes) -> Answer | Fault:
        answer = self._answer(method, url, headers, body)
        if urlsplit(url).path != LISTS:
            return answer
        if method == "POST":
            assert isinstance(answer, Answer)
            self.creations.append(answer.status)
        elif not self.creations:
            self.together.wait(30)
        return answer

    def names(self) -> list[str]:
        done = run("audiences", "list", self.folder / "connection.yaml", "--format", "json")
        return [row["name"] for row in done.json]

    def both(self, *commands: tuple[str | Path, ...]) -> list[Done]:
        return at_once([lambda command=command: run(*command) for command in commands])  # type: ignore[misc]


@pytest.fixture
def race(tmp_path: Path) -> Iterator[Race]:
    made = Race(tmp_path)
    with made.sandbox.serve() as server:
        connection(tmp_path, base_url=server.base_url)
        yield made


def test_two_runs_that_need_one_audience_make_one(race: Race) -> None:
    path = race.folder / "connection.yaml"
    text = path.read_text("utf-8").replace("{from: audience}", "{audience: {create: Spring list}}")
    path.write_text(text, "utf-8")
    events = []
    for who in ("ann", "bob"):
        events.append(ndjson(race.folder, [{"id": who, **event(who)}], f"{who}.ndjson"))
    done = race.both(*[("send", path, one, "--format", "json") for one in events])
    assert [(one.status, one.json["delivered"]) for one in done] == [(0, 1), (0, 1)]
    # both wanted to; the vendor took the name once
    assert sorted(race.creations) == [200, 400]
    assert race.names() == ["Spring list"]
    [holding] = race.sandbox.holdings()
    assert holding.people == 2


def test_of_two_people_who_create_one_audience_the_second_is_told(race: Race) -> None:
    command = ("audiences", "create", race.folder / "connection.yaml", "--name", "Spring list")
    first, second = sorted(race.both(command, command), key=lambda done: done.status)
    assert (first.status, second.status, second.out) == (0, 1, "")
    assert second.err == (
        "create_custom_audience failed (name_taken): X has an audience of that name already; list "
        "with with_deleted=true to see whether a deleted one keeps it (INVALID_PARAMETER)\n"
    )
    assert sorted(race.creations) == [200, 400]
    assert race.names() == ["Spring list"]
