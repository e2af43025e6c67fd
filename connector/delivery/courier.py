"""The courier: delivers one batch, so that every record of it has exactly one outcome.

A batch is sent whole. Where the vendor refuses a part of it, or asks to send a part later, the rest
is sent in further parts, in the order of the batch.

A refusal that names nobody is halved. While the vendor has accepted no part of the batch, it may
mean the request: then only the first half of each refused part is sent, down to one person, and
after that each other half as a whole. If all get the same answer, the lane stops and keeps
everybody; this takes few requests. Once a part is accepted, the refused ones are halved until those
at fault are alone. See docs/decisions/0018.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

from connector._util import times
from connector.delivery.clock import Clock
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.refusals import IN_A_ROW, Refusal, Refusals
from connector.delivery.retry import RandomUnit, RetryPolicy
from connector.errors import FinalError, SendError, StaleError, UnauthorizedError
from connector.model import (
    Batch,
    Bisect,
    Delivered,
    NamedRecords,
    Outcome,
    Rejected,
    Request,
    Response,
    Retry,
    Stop,
)
from connector.pipeline.attribution import Verdict, attribute, may_overtake
from connector.templating.template import RenderError

#: Sends a request once. Raises SendError when there is no answer, UnauthorizedError when
#: credentials are refused.
Transport = Callable[[Request], Response]


class _Unsendable(NamedTuple):
    """Why a part cannot be sent as it is: its own fault, and no answer of the vendor."""

    code: str
    reason: str


_Settled = Delivered | Rejected | Bisect | Stop | _Unsendable

# The code of reports for credentials that are refused, whoever noticed it.
_UNAUTHORIZED = "unauthorized"

_INTERRUPTED = Stop("interrupted", "the run ended before this was sent")


def defect(error: BaseException) -> Stop:
    """Return why a lane stops when the connector itself fails."""
    return Stop("internal", f"internal error: {type(error).__name__}")


class _Part(NamedTuple):
    """A batch, or what is left of one.

    `retries`: how often the vendor asked to send it again later, the first time at `since`, by the
    clock's `monotonic`.
    `other_half`: whether it is sent as a whole before it is halved, as the first half of what it
    belongs to was refused.
    """

    batch: Batch
    retries: int = 0
    since: float | None = None
    other_half: bool = False

    def halves(self) -> list[_Part]:
        """Return the two halves."""
        first, second = self.batch.halves()
        return [_Part(first), _Part(second, other_half=True)]


class _Delivery:
    """A batch on its way."""

    def __init__(self, batch: Batch, lane: Refusals) -> None:
        self.batch = batch
        self.lane = lane
        #: What is to be sent, in order.
        self.pending = deque([_Part(batch)])
        #: Other halves that were refused as well; whether they are halved is open.
        self.undecided: list[_Part] = []
        #: Whether the vendor accepted a part of the batch.
        self.accepted = False
        #: Whether it refused one.
        self.refused = False
        #: Whether its answers differ from part to part.
        self.told_apart = False
        #: Whether other halves are halved at once when they are refused.
        self.halves_all = False

    def put_back(self, parts: Iterable[_Part]) -> None:
        """Put parts before everything that is to be sent."""
        self.pending.extendleft(reversed(list(parts)))

    def tell_apart(self) -> None:
        """Note that the vendor tells people apart: refused parts are halved from now on."""
        self.told_apart = True
        self.halves_all = True
        self.halve_undecided()

    def halve_undecided(self) -> None:
        """Let the undecided parts be halved, before anything else is sent."""
        halves: list[_Part] = []
        for part in self.undecided:
            halves += part.halves()
        self.undecided = []
        self.put_back(halves)

    def would_overtake(self, part: _Part) -> bool:
        """Return whether a part must not be sent before the undecided ones."""
        waiting = (undecided.batch for undecided in self.undecided)
        return not all(may_overtake(part.batch, batch) for batch in waiting)

    def unsettled(self) -> Iterable[Batch]:
        """Return what has no outcome yet, the people of earlier batches included."""
        alone = [batch for batch, _ in self.lane.judged()]
        parts = [part.batch for part in chain(self.undecided, self.pending)]
        return [*alone, *parts]


class Courier:
    """Delivers one batch at a time, in parts when the vendor refuses a part of it."""

    def __init__(
        self,
        transport: Transport,
        ledger: Ledger,
        clock: Clock,
        limiter: Limiter,
        policy: RetryPolicy | None = None,
        random_unit: RandomUnit = random.random,
        *,
        advice: str = "",
    ) -> None:
        """`advice`: what to do when the vendor refuses the credentials."""
        self._advice = advice
        self._transport = transport
        self._ledger = ledger
        self._clock = clock
        self._limiter = limiter
        self._policy = policy or RetryPolicy()
        self._random_unit = random_unit
        self._lanes: dict[str, Refusals] = {}

    def deliver(self, batch: Batch) -> Stop | None:
        """Deliver a batch; every record of it gets its outcome, at the latest in `finish`.

        Return a Stop when the lane of the batch has to stop.
        """
        delivery = _Delivery(batch, self._lanes.setdefault(batch.lane, Refusals()))
        try:
            stop = self._deliver(delivery)
        except BaseException as error:
            self._report_undelivered(delivery.unsettled(), defect(error))
            raise
        if stop is not None:
            self._report_undelivered(delivery.unsettled(), stop)
        return stop

    def finish(self) -> dict[str, Stop]:
        """Judge the people who were refused alone, once nothing more is delivered.

        Return why lanes stop now: nothing was ever accepted in them, and several people got the
        same answer.
        """
        stops = {}
        for name, lane in self._lanes.items():
            alone = lane.judged()
            if lane.accepted or len(alone) < 2:
                self._reject(alone)
                continue
            _, refusal = alone[-1]
            stops[name] = refusal.of_everybody()
            self._report_undelivered([batch for batch, _ in alone], stops[name])
        return stops

    def _deliver(self, delivery: _Delivery) -> Stop | None:
        pending = delivery.pending
        while pending:
            part = pending[0]
            if delivery.would_overtake(part):
                delivery.halve_undecided()
                continue

            outcome = self._send(part)
            if isinstance(outcome, Stop):
                return outcome

            stop = self._settle(delivery, part, outcome)
            if stop is None and not pending:
                stop = self._conclude(delivery)
            if stop is not None:
                return stop
        return None

    def _conclude(self, delivery: _Delivery) -> Stop | None:
        """Decide about a batch when all of it was sent; return a Stop when nothing was accepted.

        Few people may by chance be bad in each part: of a small batch each is asked about alone. In
        a lane that works there may by chance be nobody else in it: its lane goes on.
        """
        lane = delivery.lane
        people = len(delivery.batch.records)
        is_small = people < IN_A_ROW
        if delivery.told_apart or not delivery.refused or lane.last is None or people == 1:
            return None

        if is_small and delivery.undecided:
            delivery.halves_all = True
            delivery.halve_undecided()
            return None
        if is_small and lane.accepted:
            return None
        return lane.last.of_everybody()

    def _report_undelivered(self, batches: Iterable[Batch], stop: Stop) -> None:
        """Report batches as undelivered: they can be sent again as they are."""
        for batch in batches:
            self._ledger.undelivered(batch.records, stop.code, stop.reason)

    def _reject(self, refused: Iterable[tuple[Batch, Refusal]]) -> None:
        for batch, refusal in refused:
            self._ledger.rejected(batch.records, refusal.code, refusal.reason)

    # What an outcome means for the records. The part is still the first that is pending.

    def _settle(
        self, delivery: _Delivery, part: _Part, outcome: Delivered | Rejected | Bisect | _Unsendable
    ) -> Stop | None:
        """Report the records whose outcome is known, and put back what still has to be sent.

        Return a Stop when the lane has to stop.
        """
        batch = part.batch
        if isinstance(outcome, Delivered):
            delivery.pending.popleft()
            self._ledger.delivered(batch.records)
            self._accept(delivery)
        elif isinstance(outcome, Bisect):
            refusal = Refusal(outcome.code, outcome.reason, outcome.said)
            return self._refuse(delivery, part, refusal)
        elif isinstance(outcome, _Unsendable):
            delivery.pending.popleft()
            if len(batch.records) == 1:
                self._ledger.rejected(batch.records, outcome.code, outcome.reason)
            else:
                delivery.put_back(part.halves())
        elif outcome.named is None:
            delivery.pending.popleft()
            self._ledger.rejected(batch.records, outcome.code, outcome.reason)
            delivery.tell_apart()
        else:
            return self._settle_named(delivery, part, outcome, outcome.named)
        return None

    def _settle_named(
        self, delivery: _Delivery, part: _Part, outcome: Rejected, named: NamedRecords
    ) -> Stop | None:
        """Report the records that the vendor named, and put back what still has to be sent."""
        batch = part.batch
        places = None
        if named.by != "value" and len(batch.records) > 1:
            places = batch.endpoint.places(batch, self._clock.now())
            if places is None:
                return self._refuse(delivery, part, Refusal(outcome.code, outcome.reason))

        verdict = attribute(batch, named, places)
        if verdict is None:
            return self._refuse(delivery, part, Refusal(outcome.code, outcome.reason))

        reasons = verdict.refused_by_reason(outcome.reason)
        if _means_everybody(batch, named, verdict) and len(reasons) == 1:
            reason, _ = reasons[0]
            said = outcome.reason + named.said
            return self._refuse(delivery, part, Refusal(outcome.code, reason, said))

        delivery.pending.popleft()
        for reason, positions in reasons:
            self._ledger.rejected(batch.only(positions).records, outcome.code, reason)
        self._ledger.delivered(batch.only(verdict.delivered).records)

        remaining = [_Part(batch.only(positions)) for positions in verdict.again]
        if verdict.later:
            # The vendor asked to wait for these, which uses up a retry.
            since = self._clock.monotonic() if part.since is None else part.since
            remaining.append(_Part(batch.only(verdict.later), part.retries + 1, since))
        delivery.put_back(remaining)

        if verdict.delivered:
            self._accept(delivery)
        elif verdict.refused:
            delivery.tell_apart()
        return None

    def _accept(self, delivery: _Delivery) -> None:
        """Note that the vendor accepted a part: who was refused alone is at fault."""
        delivery.lane.accept()
        delivery.accepted = True
        self._reject(delivery.lane.judged())
        delivery.tell_apart()

    def _refuse(self, delivery: _Delivery, part: _Part, refusal: Refusal) -> Stop | None:
        """Put back the halves of a part that was refused as a whole, or keep it undecided.

        Return a Stop when it is nobody's fault.
        """
        lane = delivery.lane
        differs = lane.count(refusal)
        if lane.in_a_row >= IN_A_ROW:
            return refusal.of_everybody()

        if differs:
            # The vendor tells people apart: those before had an answer of their own.
            self._reject(lane.judged())
        tells_apart = differs and delivery.refused
        delivery.refused = True

        delivery.pending.popleft()
        batch = part.batch
        if len(batch.records) == 1:
            if delivery.accepted:
                self._reject([(batch, refusal)])
            else:
                lane.alone.append((batch, refusal))
        elif part.other_half and not delivery.halves_all and not tells_apart:
            delivery.undecided.append(part)
        else:
            delivery.put_back(part.halves())

        if tells_apart:
            delivery.tell_apart()
        return None

    # Sending.

    def _send(self, part: _Part) -> _Settled:
        """Send a part, again as often as the vendor asks and the policy allows."""
        batch = part.batch
        now = self._clock.now()
        try:
            request = batch.endpoint.build(batch, now)
        except RenderError as error:
            return _Unsendable("template_failed", str(error))

        max_bytes = batch.endpoint.caps.bytes
        if max_bytes and len(request.body) > max_bytes:
            return _Unsendable("too_large", "the request exceeds the vendor's cap in bytes")

        if part.retries:
            retry = part.retries - 1
            backoff = self._policy.backoff(retry, self._random_unit)
            ends = self._clock.monotonic() + backoff
            late = part.since is not None and ends > part.since + self._policy.deadline
            if late or not self._policy.allows(retry):
                return _gave_up(part.retries, "the vendor asks to send these again later")
            if not self._clock.sleep(backoff):
                return _INTERRUPTED

        return self._send_with_retries(part, request)

    def _send_with_retries(self, part: _Part, request: Request) -> _Settled:
        """Send the same bytes until the outcome is not Retry."""
        policy = self._policy
        started = self._clock.monotonic() if part.since is None else part.since
        retry = attempts = part.retries
        was_stale = False
        while turn := self._limiter.wait():
            outcome = self._attempt(part.batch, request)
            self._limiter.answered(turn)
            if not isinstance(outcome, Retry):
                return outcome

            attempts += 1
            if outcome.at_once and not was_stale:
                was_stale = True
                continue

            now = self._clock.now()
            moment = outcome.not_before
            is_named = outcome.named and moment is not None and moment > now
            # A wait that the vendor names uses up no retry, unless there are none at all.
            if not policy.allows(0 if is_named else retry):
                return _gave_up(attempts, outcome.reason)

            delay = policy.delay(retry, outcome, now, self._random_unit)
            ends = self._clock.monotonic() + delay
            if ends > started + policy.deadline:
                if is_named and moment is not None:
                    return _too_long(moment, outcome.reason)
                return _gave_up(attempts, outcome.reason)

            self._ledger.waiting(delay, outcome.reason)
            if moment is not None:
                # The vendor's own time holds for all lanes; the limiter waits for it.
                self._limiter.pause(ends)
            elif not self._clock.sleep(delay):
                return _INTERRUPTED
            if not is_named:
                retry += 1
        return _INTERRUPTED

    def _attempt(self, batch: Batch, request: Request) -> Outcome:
        response: Response | None = None
        outcome: Outcome
        try:
            response = self._transport(request)
        except FinalError as error:
            outcome = Stop(error.code, str(error))
        except StaleError as error:
            outcome = Retry(str(error), at_once=True)
        except SendError as error:
            outcome = Retry(str(error))
        except UnauthorizedError as error:
            outcome = Stop(_UNAUTHORIZED, str(error))
        else:
            classify = batch.endpoint.classify
            records = batch.records
            outcome = classify(response, len(records), self._clock.now(), records)

        if self._advice and isinstance(outcome, Stop) and outcome.code == _UNAUTHORIZED:
            outcome = replace(outcome, reason=f"{outcome.reason}; {self._advice}")

        self._ledger.attempted(batch, request, response, outcome)
        return outcome


def _means_everybody(batch: Batch, named: NamedRecords, verdict: Verdict) -> bool:
    """Return whether all were refused in a request of which nothing was applied."""
    return not named.rest_delivered and len(verdict.refused) == len(batch.records)


def _gave_up(attempts: int, reason: str) -> Stop:
    count = "1 attempt" if attempts == 1 else f"{attempts} attempts"
    return Stop("gave_up", f"gave up after {count}: {reason}")


def _too_long(moment: float, reason: str) -> Stop:
    until = times.from_epoch(moment)
    return Stop(
        "come_back_later",
        f"the vendor asks to wait until {until}, longer than a run waits; "
        f"send these again then: {reason}",
    )
