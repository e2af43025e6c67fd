"""Delivery: batches to the vendor, and for every record exactly one outcome.

A lane is first in, first out with one request in flight; different lanes run at the same time. What cannot be delivered
stops its lane: what comes later must not overtake it.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from connector.definitions.model import Rate
from connector.delivery.http import Send
from connector.errors import SendError, UnauthorizedError
from connector.model import Bisect, Delivered, Outcome, Record, Rejected, Request, Retry, Stop
from connector.pipeline.attribution import attribute
from connector.pipeline.batching import Batch
from connector.pipeline.pipeline import Pipeline
from connector.templating.template import RenderError

LANES = 8
QUEUE = 16


class Clock(Protocol):
    """Time, as delivery needs it."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def sleep(self, seconds: float) -> bool:
        """Wait; return False, at once, when the run is to end."""
        ...

    @property
    def ending(self) -> bool:
        """Whether the run is to end."""
        ...


class SystemClock:
    """The machine's clock. `end` wakes every sleeper."""

    def __init__(self) -> None:
        self._end = threading.Event()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def sleep(self, seconds: float) -> bool:
        """Wait; return False, at once, when `end` was called."""
        return not self._end.wait(max(0.0, seconds))

    def end(self) -> None:
        """Let the run end: no further request is started."""
        self._end.set()

    @property
    def ending(self) -> bool:
        """Whether `end` was called."""
        return self._end.is_set()


class Ledger(Protocol):
    """What delivery tells of each record; called from several threads."""

    def delivered(self, records: Sequence[Record]) -> None:
        """The vendor confirmed these."""

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        """These are refused for good."""

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        """These are kept: they can be sent again as they are."""

    def attempted(self, request: Request) -> None:
        """A request was sent."""

    def waiting(self, seconds: float, reason: str) -> None:
        """A request is sent again, not before so many seconds."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential backoff with full jitter: before retry n, up to `base` * 2**n seconds, at most `cap`."""

    retries: int = 7
    base: float = 1.0
    cap: float = 60.0
    longest_wait: float = (
        960.0  # of what a vendor may ask for: a quarter of an hour's window, and a minute
    )

    def delay(
        self, retry: int, outcome: Retry, now: float, random_unit: Callable[[], float]
    ) -> float:
        """Return the seconds to wait before a retry (0 is the first)."""
        backoff = random_unit() * min(self.cap, self.base * 2.0 ** min(retry, 64))
        if outcome.at is None or not outcome.at > now:
            return backoff
        # a little later than asked for, and not all lanes at once
        return min(outcome.at - now, self.longest_wait) + random_unit()


class Limiter:
    """Keeps to a vendor's rates: never more than `requests` in any window of `per` seconds."""

    def __init__(self, rates: Sequence[Rate], clock: Clock) -> None:
        self._rates = rates
        self._clock = clock
        self._lock = threading.Lock()
        self._sent: dict[tuple[int, str], deque[float]] = {}
        self._not_before = 0.0

    def wait(self, lane: str) -> bool:
        """Wait for a turn and take it; False when the run is to end."""
        while not self._clock.ending:
            with self._lock:
                now = self._clock.now()
                ready = max(
                    [
                        self._not_before,
                        *(self._ready(i, rate, lane) for i, rate in enumerate(self._rates)),
                    ]
                )
                if ready <= now:
                    for i, rate in enumerate(self._rates):
                        self._window(i, rate, lane).append(now)
                    return True
            if not self._clock.sleep(ready - now):
                return False
        return False

    def pause(self, until: float) -> None:
        """Let no lane send before a moment (seconds since the epoch): the vendor counts them together."""
        with self._lock:
            self._not_before = max(self._not_before, until)

    def _ready(self, index: int, rate: Rate, lane: str) -> float:
        window = self._window(index, rate, lane)
        return window[0] + rate.per if len(window) == rate.requests else 0.0

    def _window(self, index: int, rate: Rate, lane: str) -> deque[float]:
        key = (index, lane if rate.scope == "lane" else "")
        if key not in self._sent:
            self._sent[key] = deque(maxlen=rate.requests)
        return self._sent[key]


class _Part(NamedTuple):
    """A batch or what is left of one; `tries`: how often the vendor asked to send it again later."""

    batch: Batch
    tries: int = 0


class Courier:
    """Delivers one batch at a time, in parts when the vendor refuses a part of it."""

    def __init__(
        self,
        send: Send,
        ledger: Ledger,
        clock: Clock,
        limiter: Limiter,
        policy: RetryPolicy | None = None,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        self._send = send
        self._ledger = ledger
        self._clock = clock
        self._limiter = limiter
        self._policy = policy or RetryPolicy()
        self._random = random_unit

    def deliver(self, batch: Batch) -> Stop | None:
        """Deliver a batch; every record of it gets its outcome. A Stop says that its lane has to stop."""
        parts = [_Part(batch)]
        try:
            while parts:
                outcome = self._outcome(*parts[-1])
                if isinstance(outcome, Stop):
                    self._keep(parts, outcome)
                    return outcome
                part, tries = parts.pop()
                if isinstance(outcome, Delivered):
                    self._ledger.delivered(part.records)
                else:
                    parts += reversed(self._refused(part, outcome, tries))
        except BaseException as error:
            self._keep(
                parts, Stop("internal", f"a defect of the connector: {type(error).__name__}")
            )
            raise
        return None

    def _keep(self, parts: Sequence[_Part], stop: Stop) -> None:
        for part, _ in reversed(parts):
            self._ledger.undelivered(part.records, stop.code, stop.reason)

    def _refused(self, part: Batch, outcome: Rejected | Bisect, tries: int) -> list[_Part]:
        """Settle who is refused; return what is still to be sent, in order."""
        if isinstance(outcome, Rejected) and outcome.named is None:
            self._ledger.rejected(part.records, outcome.code, outcome.reason)
            return []
        verdict = (
            attribute(part, outcome.named)
            if isinstance(outcome, Rejected) and outcome.named
            else None
        )
        if verdict is not None:
            for word in dict.fromkeys(verdict.words.get(place, "") for place in verdict.refused):
                places = [
                    place for place in verdict.refused if verdict.words.get(place, "") == word
                ]
                self._ledger.rejected(
                    part.only(places).records, outcome.code, outcome.reason + word
                )
            self._ledger.delivered(part.only(verdict.delivered).records)
            later = [_Part(part.only(verdict.later), tries + 1)] if verdict.later else []
            return [*(_Part(part.only(places)) for places in verdict.again), *later]
        if len(part.records) == 1:
            self._ledger.rejected(part.records, outcome.code, outcome.reason)
            return []
        return [_Part(half) for half in part.halves()]

    def _outcome(self, part: Batch, tries: int) -> Delivered | Rejected | Bisect | Stop:
        try:
            request = Pipeline.build(part, self._clock.now())
        except RenderError as error:
            return Bisect("template_failed", str(error))
        cap = part.target.builder.caps.bytes
        if cap and len(request.body) > cap:
            return Bisect("too_large", "the request is over the vendor's cap of bytes")
        return self._attempts(part, request, tries)

    def _attempts(
        self, part: Batch, request: Request, retry: int
    ) -> Delivered | Rejected | Bisect | Stop:
        if retry > self._policy.retries:
            return Stop(
                "gave_up",
                f"gave up after {retry} attempts: the vendor asks to send these again later",
            )
        if retry and not self._clock.sleep(
            self._policy.delay(retry - 1, Retry(""), self._clock.now(), self._random)
        ):
            return Stop("interrupted", "the run was ended before this was sent")
        while self._limiter.wait(part.target.url):
            outcome = self._attempt(part, request)
            if not isinstance(outcome, Retry):
                return outcome
            if retry >= self._policy.retries:
                return Stop(
                    "gave_up",
                    f"gave up after {retry + 1} attempt{'s' if retry else ''}: {outcome.reason}",
                )
            now = self._clock.now()
            delay = self._policy.delay(retry, outcome, now, self._random)
            self._ledger.waiting(delay, outcome.reason)
            if outcome.at is not None:
                self._limiter.pause(now + delay)
            elif not self._clock.sleep(delay):
                break
            retry += 1
        return Stop("interrupted", "the run was ended before this was sent")

    def _attempt(self, part: Batch, request: Request) -> Outcome:
        self._ledger.attempted(request)
        try:
            response = self._send(request)
        except SendError as error:
            return Retry(str(error))
        except UnauthorizedError as error:
            return Stop("unauthorized", str(error))
        return Pipeline.classify(part)(response, len(part.records), self._clock.now())


class Lanes:
    """Runs the couriers: each lane in order, several lanes at once, and only so many batches waiting."""

    def __init__(
        self, courier: Courier, ledger: Ledger, lanes: int = LANES, queue: int = QUEUE
    ) -> None:
        self._courier = courier
        self._ledger = ledger
        self._pool = ThreadPoolExecutor(lanes, thread_name_prefix="lane")
        self._room = threading.Semaphore(queue)
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Batch]] = {}
        self._stopped: dict[str, Stop] = {}
        self._failure: BaseException | None = None

    @property
    def stopped(self) -> dict[str, Stop]:
        """Why lanes were stopped, by lane."""
        return dict(self._stopped)

    def submit(self, batch: Batch) -> None:
        """Take a batch; wait when too many are waiting."""
        self._room.acquire()
        with self._lock:
            waiting = self._waiting.setdefault(batch.lane, deque())
            waiting.append(batch)
            idle = len(waiting) == 1
        if idle:
            self._pool.submit(self._work, batch.lane)

    def close(self) -> None:
        """Wait until everything submitted has its outcome. Raises what a lane failed with, if it did."""
        self._pool.shutdown(wait=True)
        if self._failure is not None:
            raise self._failure

    def _work(self, lane: str) -> None:
        more = True
        while more:
            with self._lock:
                batch = self._waiting[lane][0]
            self._deliver(lane, batch)
            self._room.release()
            with self._lock:
                self._waiting[lane].popleft()
                more = bool(self._waiting[lane])
                if not more:
                    del self._waiting[lane]

    def _deliver(self, lane: str, batch: Batch) -> None:
        stop = self._stopped.get(lane)
        if stop is not None:
            self._ledger.undelivered(
                batch.records, stop.code, f"its lane was stopped: {stop.reason}"
            )
            return
        try:
            stop = self._courier.deliver(batch)
        except BaseException as error:  # noqa: BLE001 - a defect: nothing may overtake; `close` raises it
            self._failure = error
            stop = Stop("internal", f"a defect of the connector: {type(error).__name__}")
        if stop is not None:
            self._stopped[lane] = stop
