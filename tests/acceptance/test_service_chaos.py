"""A service that is killed again and again delivers whatever it answered 202, in order."""

from __future__ import annotations

import http.client
import os
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_resume_chaos import AUDIENCES, Chaos, Members, applied
from tests.kit.cli import connection
from tests.kit.service import Served

pytest.importorskip("uvicorn", reason="needs the extra 'serve'")

CLIENTS = 4
POSTS = 25
KILLS = 7
ACTIONS = ["add_user_multi", "remove_user_multi"]


def posts_of(client: int, chance: random.Random) -> Iterator[list[dict[str, Any]]]:
    """Yield the posts of a client, whose people are its own: their order is known."""
    for _ in range(POSTS):
        events = []
        for _ in range(chance.choice([1, 1, 3, 20, 150])):
            event = {
                "id": f"e{client}",
                "do": chance.choice(["add_user_multi", "add_user_multi", "remove_user_multi"]),
                "audience": chance.choice(AUDIENCES),
                "email": f"person{client}-{chance.randrange(200)}@example.com",
            }
            kind = chance.random()
            if kind < 0.01:
                event["do"] = "nothing"
            elif kind < 0.02:
                event["email"] = "not-an-address"
            events.append(event)
        yield events


class Client(threading.Thread):
    """Posts until each post is answered 202, as a client has to that wants to lose nothing."""

    def __init__(self, number: int, services: Sequence[Served], seed: int) -> None:
        super().__init__()
        self.chance = random.Random(seed * 100 + number)
        self.number = number
        self.services = services
        self.events: list[dict[str, Any]] = []
        self.accepted = 0
        self.statuses: list[int] = []

    def run(self) -> None:
        for index, events in enumerate(posts_of(self.number, self.chance)):
            self.events += events
            self._post(f"{self.number}-{index}", events)
            time.sleep(0.2 * self.chance.random())

    def _post(self, key: str, events: list[dict[str, Any]]) -> None:
        ends = time.monotonic() + 60
        while time.monotonic() < ends:
            service = self.chance.choice(self.services)
            try:
                answer = service.post(*events, Idempotency_Key=key)
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)  # it was killed, and begins again
                continue
            self.statuses.append(answer.status)
            if answer.status == 202:
                self.accepted += answer.json["accepted"]
                return
            time.sleep(0.05)
        raise AssertionError("a post was never answered")


def run_clients(services: Sequence[Served], seed: int, keep_alive: Any) -> list[Client]:
    clients = [Client(number, services, seed) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    while any(client.is_alive() for client in clients):
        keep_alive(clients)
        time.sleep(0.02)
    for client in clients:
        client.join()
        assert len(client.statuses) >= POSTS
    return clients


def expected(clients: Sequence[Client]) -> Members:
    events = []
    for client in clients:
        events += client.events
    return {name: people for name, people in applied(events).items() if people}


def held(vendor: Chaos) -> Members:
    return {name: people for name, people in vendor.members.items() if people}


@pytest.mark.timeout(300)  # some 12 seconds of CPU
def test_what_was_answered_202_is_delivered_though_the_process_is_killed(tmp_path: Path) -> None:
    chance = random.Random(20261128)
    kills = {}
    for number in chance.sample(range(3, 60), KILLS):
        kills[number] = chance.choice(["before", "after"])
    with Chaos(kills, chance) as vendor:
        made = connection(
            tmp_path,
            base_url=vendor.base_url,
            actions=ACTIONS,
            changes="limits: {records: 60, age: 1s}",
        )
        served = Served(made, "--state", tmp_path / "state")
        vendor.process = served.process
        starts = 1

        def keep_alive(_: Sequence[Client] = ()) -> None:
            nonlocal starts
            if served.process.poll() is not None:
                served.kill()
                served.start()
                vendor.process = served.process
                starts += 1

        with served:
            clients = run_clients([served], 1, keep_alive)
            ends = time.monotonic() + 60
            while True:
                keep_alive()
                try:
                    served.drain()
                    break
                except (OSError, http.client.HTTPException):
                    assert time.monotonic() < ends
            counts = served.status()["counts"]

    assert starts > KILLS // 2
    assert held(vendor) == expected(clients)
    # an answer that was lost was given again, and nothing was taken twice
    assert counts["accepted"] == sum(client.accepted for client in clients)
    assert counts["records"] == counts["delivered"] + counts["superseded"] + counts.get("buried", 0)
    assert not counts.get("buried")


@pytest.mark.timeout(300)  # some 15 seconds of CPU
def test_three_workers_on_postgresql_deliver_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.kit.outbox import PostgresWorld

    world = PostgresWorld()
    monkeypatch.setitem(os.environ, "STORE", world.url)
    chance = random.Random(20261129)
    with Chaos({}, chance) as vendor:
        made = connection(
            tmp_path,
            base_url=vendor.base_url,
            actions=ACTIONS,
            changes="limits: {records: 60, age: 1s}",
        )
        # a lease of three attempts, so that another takes over soon
        options = (made, "--store", "env:STORE", "--timeout", "0.5")
        services = [Served(*options) for _ in range(3)]
        kill_at = [5, 20, 40]
        killed = 0

        def keep_alive(clients: Sequence[Client] = ()) -> None:
            nonlocal killed
            answered = sum(len(client.statuses) for client in clients)
            if killed < len(kill_at) and answered >= kill_at[killed]:
                victim = services[killed]
                victim.kill()
                victim.start()
                killed += 1

        clients = run_clients(services, 2, keep_alive)
        keep_alive(clients)  # a slow machine has not killed the last one yet
        services[0].drain()
        status = services[1].status()
        for service in services:
            assert service.stop() == 0
    world.close()

    assert killed == len(kill_at)
    assert held(vendor) == expected(clients)
    counts = status["counts"]
    assert counts["accepted"] == sum(client.accepted for client in clients)
    assert counts["records"] == counts["delivered"] + counts["superseded"]
