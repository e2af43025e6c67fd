"""The pace of an account that several limiters share: together they keep to the vendor's rates."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, cast

import pytest

from connector.definitions.model import Rate
from connector.delivery.outbox.model import Outbox, OutboxError
from connector.delivery.rate_limit import Turn
from connector.delivery.worker.channel import SLOT_SECONDS
from connector.delivery.worker.pace import SharedLimiter
from tests.kit.outbox import WORLDS, World

TIMEOUT = 5.0


class WorldClock:
    """The time of a store: whoever sleeps lets it pass."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.ending = False
        self.slept = 0.0

    def now(self) -> float:
        return self._world.now()

    monotonic = now

    def sleep(self, seconds: float) -> bool:
        assert seconds >= 0
        self.slept += seconds
        self._world.pass_time(seconds)
        return not self.ending


class Shared:
    """Limiters of one account, each with the store opened for itself where several may."""

    def __init__(self, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.world = WORLDS[kind]()
        self.clock = WorldClock(self.world)
        self._one = self.world.open() if kind == "sqlite" else None

    def outbox(self) -> Outbox:
        return self._one or self.world.open()

    def limiter(self, *rates: tuple[int, float], outbox: Outbox | None = None) -> SharedLimiter:
        made = [Rate(requests, cast(Any, per)) for requests, per in rates]
        return SharedLimiter(made, self.clock, outbox or self.outbox(), "account", TIMEOUT)


@pytest.fixture(params=WORLDS)
def shared(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    one = Shared(request.param, monkeypatch)
    yield one
    one.world.close()


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[Shared]:
    one = Shared("sqlite", monkeypatch)
    yield one
    one.world.close()


class Failing:
    """An outbox whose method of this name fails so many times."""

    def __init__(self, outbox: Outbox, name: str, failures: int) -> None:
        self.outbox = outbox
        self.name = name
        self.failures = failures

    def __getattr__(self, name: str) -> Any:
        if name == self.name and self.failures:
            self.failures -= 1
            return self._fail
        return getattr(self.outbox, name)

    def _fail(self, *_: object) -> None:
        raise OutboxError("the database is away")


def taken(limiter: SharedLimiter) -> Turn:
    turn = limiter.wait()
    assert turn is not None
    return turn


def at_once(shared: Shared, limiter: SharedLimiter) -> int:
    """How many requests it allows without waiting; it has waited for one more then."""
    before = shared.clock.slept
    count = 0
    while True:
        taken(limiter)
        if shared.clock.slept > before:
            return count
        count += 1


@pytest.mark.parametrize("rates", [[(30, 60.0)], [(4, 1.0), (20, 30.0)], [(1, 10.0)]])
def test_together_they_never_exceed_a_rate(shared: Shared, rates: list[tuple[int, float]]) -> None:
    """Requests arrive whenever they may: when they are sent, or as late as an attempt can take."""
    chance = random.Random(20261201)
    limiters = [shared.limiter(*rates) for _ in range(2)]
    total = 3 * rates[-1][0] + 5
    arrivals = []
    shares = [0, 0]
    on_their_way: list[tuple[float, int, Turn]] = []
    started = shared.clock.now()
    for _ in range(total):
        number = chance.randrange(2)
        turn = taken(limiters[number])
        shares[number] += 1
        late = chance.choice([0.0, 0.1, chance.random(), SLOT_SECONDS + TIMEOUT])
        arrival = shared.clock.now() + late
        arrivals.append(arrival)
        on_their_way.append((arrival, number, turn))
        for one in list(on_their_way):
            if one[0] <= shared.clock.now():
                limiters[one[1]].answered(one[2])
                on_their_way.remove(one)
        if chance.random() < 0.2:
            shared.clock.sleep(chance.random())

    arrivals.sort()
    for requests, per in rates:
        for first, later in zip(arrivals, arrivals[requests:], strict=False):
            assert later - first >= per - 0.001  # PostgreSQL's clock is another one
    assert min(shares) > total // 4
    requests, per = rates[-1]
    # and they come close to it
    assert shared.clock.now() - started < total / requests * (per + SLOT_SECONDS + TIMEOUT + 6)


def test_what_is_not_used_of_a_block_is_given_back(shared: Shared) -> None:
    first, second = shared.limiter((100, 60.0)), shared.limiter((100, 60.0))
    turn = taken(first)
    shared.clock.sleep(6)  # nobody starts a request of this block any more
    first.answered(turn)
    taken(first)  # of a new block, which has ten
    assert at_once(shared, second) == 100 - 1 - 10


def test_a_block_whose_request_is_not_answered_counts_as_a_whole(shared: Shared) -> None:
    first, second = shared.limiter((100, 60.0)), shared.limiter((100, 60.0))
    late = taken(first)
    shared.clock.sleep(6)
    taken(first)
    before = shared.clock.now()
    assert at_once(shared, second) == 100 - 10 - 10
    assert shared.clock.now() > before
    first.answered(late)


def test_a_pause_holds_for_all(shared: Shared) -> None:
    first, second = shared.limiter((100, 60.0)), shared.limiter((100, 60.0))
    taken(first)
    until = shared.clock.now() + 40
    first.pause(until)
    taken(second)
    assert shared.clock.now() >= until - 0.1


def failing(alone: Shared, name: str, failures: int) -> SharedLimiter:
    outbox = cast(Outbox, Failing(alone.outbox(), name, failures))
    return alone.limiter((100, 60.0), outbox=outbox)


def test_an_outbox_that_is_away_is_waited_for(alone: Shared) -> None:
    taken(failing(alone, "take", 3))
    assert alone.clock.slept == 3


def test_a_pause_that_no_other_hears_of_holds_for_this_one(alone: Shared) -> None:
    limiter, other = failing(alone, "pause", 1), alone.limiter((100, 60.0))
    taken(limiter)
    limiter.pause(alone.clock.now() + 40)
    taken(other)
    assert alone.clock.slept == 0
    taken(limiter)
    assert alone.clock.slept == 40


def test_what_cannot_be_given_back_counts_as_used(alone: Shared) -> None:
    limiter, other = failing(alone, "used", 1), alone.limiter((100, 60.0))
    limiter.answered(taken(limiter))
    alone.clock.sleep(6)
    taken(limiter)
    assert at_once(alone, other) == 100 - 10 - 10


def test_nothing_is_allowed_once_the_service_ends(alone: Shared) -> None:
    limiter = alone.limiter((1, 60.0))
    taken(limiter)
    alone.clock.ending = True
    assert limiter.wait() is None
