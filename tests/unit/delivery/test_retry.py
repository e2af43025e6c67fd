"""When a request is sent again: by a definition's schedule, by the vendor's word, and for how long."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import pytest

from connector.definitions.model import Limits, Rate, RetrySchedule
from connector.delivery.courier import Courier
from connector.delivery.rate_limit import Limiter
from connector.delivery.retry import RetryPolicy
from connector.errors import SendError, StaleError, UntrustedError
from connector.model import Batch, Delivered, Outcome, Request, Response, Retry, Stop
from tests.kit.clock import NOW, FakeClock
from tests.kit.memory_vendor import Book
from tests.kit.records import record, target

SCHEDULE = RetrySchedule((0.0, 60.0, 300.0, 900.0), deadline=7200.0)


class Endpoint:
    """Answers in turn, and remembers when it was asked."""

    caps = limits = Limits()

    def __init__(self, clock: FakeClock, outcomes: Iterator[Outcome]) -> None:
        self.times: list[float] = []
        self._clock = clock
        self._outcomes = outcomes

    def build(self, batch: Batch, now: float) -> Request:
        return Request("POST", "https://api.example.com", {}, b"{}")

    def __call__(self, request: Request) -> Response:
        self.times.append(self._clock.now() - NOW)
        return Response(200, {}, {})

    def classify(self, response: Response, sent: int, now: float, _: object) -> Outcome:
        return next(self._outcomes)


def delivered(
    policy: RetryPolicy, *waits: float | None, named: bool = True
) -> tuple[list[float], Stop | None]:
    """Return when one batch was sent, whose requests are first told to wait."""
    clock = FakeClock()

    def outcomes() -> Iterator[Outcome]:
        for wait in waits:
            yield Retry("busy", None if wait is None else clock.now() + wait, named)
        while True:
            yield Delivered()

    endpoint = Endpoint(clock, outcomes())
    where: Any = target("lane", "add", "g", Limits())
    object.__setattr__(where, "endpoint", endpoint)
    batch = Batch((record(where, [("email", "a")], 0),), (1,))
    courier = Courier(endpoint, Book(), clock, Limiter((), clock), policy, lambda: 0.0)  # type: ignore[arg-type]
    stop = courier.deliver(batch)
    return endpoint.times, stop


def test_a_schedule_is_kept_and_its_last_wait_repeats() -> None:
    times, stop = delivered(RetryPolicy.of(SCHEDULE), *[None] * 6)
    assert (times, stop) == ([0, 0, 60, 360, 1260, 2160, 3060], None)


def test_a_schedule_ends_at_its_deadline() -> None:
    times, stop = delivered(RetryPolicy.of(SCHEDULE), *[None] * 99)
    assert times == [0, 0, 60, 360, 1260, 2160, 3060, 3960, 4860, 5760, 6660]
    assert stop == Stop("gave_up", "gave up after 11 attempts: busy")


def test_a_user_may_ask_for_fewer_retries() -> None:
    times, stop = delivered(RetryPolicy.of(SCHEDULE, 2), *[None] * 99)
    assert (times, stop) == ([0, 0, 60], Stop("gave_up", "gave up after 3 attempts: busy"))


def test_a_wait_that_the_vendor_names_uses_up_no_step() -> None:
    times, stop = delivered(RetryPolicy.of(SCHEDULE), None, 30, 30, 30, None, None)
    assert (times, stop) == ([0, 0, 30, 60, 90, 150, 450], None)
    times, _ = delivered(RetryPolicy(retries=1, base=0.0), *[30] * 20, None)
    assert len(times) == 22


def test_a_wait_that_a_definition_knows_uses_one_up() -> None:
    times, stop = delivered(RetryPolicy(retries=3), *[20] * 9, named=False)
    assert (times, stop) == ([0, 20, 40, 60], Stop("gave_up", "gave up after 4 attempts: busy"))


def test_a_vendor_that_asks_to_wait_for_ever_is_given_up() -> None:
    times, stop = delivered(RetryPolicy(), *[600] * 99)
    assert len(times) == 13
    assert stop is not None
    assert stop.code == "come_back_later"


@pytest.mark.parametrize("wait", [7201, 86_400])
def test_a_wait_longer_than_a_run_waits_stops_the_lane_and_says_when_to_come_back(
    wait: int,
) -> None:
    times, stop = delivered(RetryPolicy(), wait)
    until = {7201: "2026-01-15T02:00:01Z", 86_400: "2026-01-16T00:00:00Z"}[wait]
    reason = (
        f"the vendor asks to wait until {until}, longer than a run waits; "
        "send these again then: busy"
    )
    assert (times, stop) == ([0], Stop("come_back_later", reason))


def test_without_retries_nothing_is_waited_for() -> None:
    for wait in (None, 5):
        times, stop = delivered(RetryPolicy.of(None, 0), wait)
        assert (times, stop) == ([0], Stop("gave_up", "gave up after 1 attempt: busy"))


def test_without_a_schedule_there_are_seven_retries() -> None:
    assert RetryPolicy.of(None) == RetryPolicy()
    times, stop = delivered(RetryPolicy(), *[None] * 99)
    assert (len(times), stop) == (8, Stop("gave_up", "gave up after 8 attempts: busy"))


def test_lanes_do_not_start_again_at_once_unless_the_schedule_says_so() -> None:
    policy = RetryPolicy.of(SCHEDULE)
    assert [policy.backoff(retry, lambda: 0.5) for retry in range(3)] == [0.0, 60.5, 300.5]


class Failing:
    """A transport that fails with each of these errors, then gets answers."""

    def __init__(self, *errors: SendError) -> None:
        self.errors = list(errors)
        self.sent = 0

    def __call__(self, request: Request) -> Response:
        self.sent += 1
        if self.errors:
            raise self.errors.pop(0)
        return Response(200, {}, {})


def sent_through(transport: Failing) -> tuple[list[float], Stop | None]:
    """Return the waits of one batch, and what became of it."""
    clock = FakeClock()
    where: Any = target("lane", "add", "g", Limits())
    object.__setattr__(where, "endpoint", Endpoint(clock, repeat(Delivered())))
    batch = Batch((record(where, [("email", "a")], 0),), (1,))
    policy = RetryPolicy(waits=(5.0,))
    limiter = Limiter((Rate(100, 60.0),), clock)
    courier = Courier(transport, Book(), clock, limiter, policy, lambda: 0.0)
    return clock.slept, courier.deliver(batch)


def test_a_connection_that_turns_out_to_be_closed_costs_no_wait_once() -> None:
    transport = Failing(StaleError("closed"))
    assert sent_through(transport) == ([], None)
    assert transport.sent == 2
    assert sent_through(Failing(StaleError("closed"), StaleError("closed"))) == ([5.0], None)


def test_an_untrusted_host_is_asked_once() -> None:
    transport = Failing(UntrustedError("the certificate is not accepted"))
    assert sent_through(transport) == (
        [],
        Stop("untrusted_host", "the certificate is not accepted"),
    )
    assert transport.sent == 1
