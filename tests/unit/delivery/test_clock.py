"""The clock of the machine is set back: nothing waits longer, and nothing gets younger."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import connector
from connector.definitions.model import Rate
from connector.delivery.clock import SteadyTime, SystemClock
from connector.delivery.rate_limit import Limiter
from tests.kit.clock import NOW, FakeClock

HOUR = 3600.0


def test_a_limiter_waits_no_longer_when_the_clock_is_set_back() -> None:
    clock = FakeClock()
    limiter = Limiter((Rate(1, 10.0),), clock)
    first = limiter.wait()
    assert first
    clock.set_back(HOUR)
    limiter.answered(first)
    assert limiter.wait()
    limiter.pause(clock.monotonic() + 5)
    clock.set_back(HOUR)
    assert limiter.wait()
    assert clock.slept == [10.0, 10.0]


def test_the_time_of_a_run_goes_on_when_the_clock_is_set_back() -> None:
    clock = FakeClock()
    steady = SteadyTime(clock)
    assert steady.now() == NOW
    clock.sleep(60)
    clock.set_back(HOUR)
    assert steady.now() == NOW + 60
    clock.sleep(60)
    assert steady.now() == NOW + 120
    clock.set_back(-2 * HOUR)
    assert steady.now() == clock.now() == NOW + 120 + HOUR


def test_a_request_grows_old_although_the_clock_is_set_back() -> None:
    document: dict[str, Any] = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "18ce54d4x5t"},
        "credentials": {},
        "limits": {"age": "1m", "records": 2_500},
        "routes": [
            {
                "action": "add_user_multi",
                "map": {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}},
            }
        ],
    }
    for name in ("consumer_key", "consumer_secret", "access_token", "access_token_secret"):
        document["credentials"][name] = {"env": name.upper()}
    clock = FakeClock()

    def events() -> Iterator[dict[str, Any]]:
        for number in range(2_400):
            if number == 1_500:
                clock.set_back(HOUR)
                clock.sleep(61)
            yield {"email": f"person{number}@example.com"}

    requests = connector.preview(connector.make_connection(document), events(), clock=clock)
    assert next(iter(requests)).closed_by == "age"


@pytest.mark.parametrize("ends", [SystemClock.end, SystemClock.cut])
def test_a_clock_that_ends_wakes_who_waits(ends: Any) -> None:
    clock = SystemClock()
    cuts = []
    clock.when_cut(lambda: cuts.append(1))
    ends(clock)
    assert clock.ending
    assert not clock.sleep(60)
    assert len(cuts) == (ends is SystemClock.cut)
