"""The courier: delivers one batch, so that every record of it has exactly one outcome.

A batch is sent whole. Where the vendor refuses a part of it, or asks to send a part later, the rest
is sent in further parts, in the order of the batch.

A refusal that names nobody is halved. While the vendor has accepted no part of the batch, it may
mean the request: then only the first half of each refused part is sent, down to one person, and
after that each other half as a whole. If all get the same answer, the lane stops and keeps
everybody; this takes few requests. Once a part is accepted, the refused ones are halved until those
at fault are alone. See docs/decisions/0018.

Several batches of a lane may be on their way side by side, each in a thread. What their answers
mean is settled one after the other; while one of them is asked about in this way, others that were
refused wait, so that a fault of the account is not asked about by all of them. See
docs/decisions/0026.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import NamedTuple

from connector._util import times
from connector.delivery.clock import Clock
from connector.delivery.lane import Lane
from connector.delivery.ledger import Ledger
from connector.delivery.parts import BatchDelivery, Part
from connector.delivery.rate_limit import Limiter
from connector.delivery.refusals import Refusal
from connector.delivery.retry import RandomUnit, RetryPolicy
from connector.delivery.window import Window
from connector.errors import (
    FinalError,
    SendError,
    StaleError,
    UnauthorizedError,
    UnreachableError,
)
from connector.model import (
    UNAUTHORIZED,
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
from connector.pipeline.attribution import Verdict, attribute
from connector.templating.template import RenderError

#: Sends a request once. Raises SendError when there is no answer, UnauthorizedError when
#: credentials are refused.
Transport = Callable[[Request], Response]


class _Unsendable(NamedTuple):
    """Why a part cannot be sent as it is: its own fault, and no answer of the vendor."""

    code: str
    reason: str


_Settled = Delivered | Rejected | Bisect | Stop | _Unsendable

_INTERRUPTED = Stop("interrupted", "the run ended before this was sent")
_STATE_NOT_KEPT = Stop("state_not_kept", "how far the run is could not be kept")

# Seconds that a batch sleeps at most before it looks whether its lane was stopped.
_NAP = 5.0


def defect(error: BaseException) -> Stop:
    """Return why a lane stops when the connector itself fails."""
    return Stop("internal", f"internal error: {type(error).__name__}")


class Courier:
    """Delivers batches, each in parts when the vendor refuses a part of it.

    Any number of threads may call `deliver`.
    """

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
        self._lock = threading.Lock()
        self._lanes: dict[str, Lane] = {}
        # Guards the windows of all lanes.
        self._windows_changed = threading.Condition()
        # Why every lane stops: the account or the credentials are refused.
        self._of_account: Stop | None = None

    @property
    def stopped(self) -> dict[str, Stop]:
        """Why lanes were stopped, by lane."""
        with self._lock:
            lanes = dict(self._lanes)
        stopped = {}
        for name, lane in lanes.items():
            if lane.stop is not None:
                stopped[name] = lane.stop
        return stopped

    def side_by_side(self, batch: Batch) -> int:
        """Return how many batches of the lane of this one may be on their way now."""
        return self._lane(batch).window.size()

    def deliver(self, batch: Batch) -> Stop | None:
        """Deliver a batch; every record of it gets its outcome, at the latest in `finish`.

        Return a Stop when the lane of the batch is stopped.
        """
        lane = self._lane(batch)
        delivery = BatchDelivery(batch, lane)
        try:
            stop = self._deliver(delivery)
            with lane.settling:
                self._end(delivery, stop)
        except BaseException as error:
            with lane.settling:
                self._end(delivery, defect(error))
            raise
        finally:
            delivery.asked()
        return lane.stop

    def finish(self) -> None:
        """Judge the people who were refused alone, once nothing more is delivered.

        Lanes stop now where nothing was ever accepted and several people got the same answer.
        """
        for lane in self._lanes.values():
            refusals = lane.refusals
            alone = refusals.judge(refusals.known)
            if refusals.accepted or len(alone) < 2:
                self._reject(alone)
                continue
            _, refusal = alone[-1]
            lane.stop = refusal.of_everybody()
            self._report_undelivered([batch for batch, _ in alone], lane.stop)

    def _lane(self, batch: Batch) -> Lane:
        with self._lock:
            lane = self._lanes.get(batch.lane)
            if lane is None:
                most = batch.endpoint.limits.concurrency or 1
                lane = Lane(Window(most, self._clock, self._windows_changed))
                self._lanes[batch.lane] = lane
            return lane

    def _deliver(self, delivery: BatchDelivery) -> Stop | None:
        """Send a batch until nothing of it is left. Return a Stop when it has to stop."""
        lane = delivery.lane
        pending = delivery.pending
        while pending:
            delivery.wait_to_ask()
            stop = self._stop_of(lane)
            if stop is not None:
                return stop
            part = pending[0]
            if delivery.would_overtake(part):
                delivery.halve_undecided()
                continue

            known = lane.refusals.known
            outcome = self._send(delivery, part)
            if isinstance(outcome, Stop):
                if outcome.unanswered:
                    self._leave_unanswered(delivery, outcome)
                return outcome

            with lane.settling:
                stop = self._settle(delivery, part, outcome, known)
                if stop is None and not pending:
                    stop = self._conclude(delivery)
            if stop is not None:
                return stop
        return None

    def _stop_of(self, lane: Lane) -> Stop | None:
        """Return why nothing is sent in a lane any more, None when it goes on."""
        if lane.stop is None:
            lane.stop = self._of_account
        if lane.stop is None and self._ledger.failure is not None:
            lane.stop = _STATE_NOT_KEPT
        if lane.stop is None:
            return None
        return Stop(lane.stop.code, f"its lane was stopped: {lane.stop.reason}")

    def _end(self, delivery: BatchDelivery, stop: Stop | None) -> None:
        """Note what a batch means for its lane, and report what of it was not delivered."""
        lane = delivery.lane
        if stop is None:
            # Somebody of it may have been refused alone meanwhile.
            stop = self._stop_of(lane)
        if stop is not None:
            if stop.of_account and self._of_account is None:
                self._of_account = stop
            if lane.stop is None:
                lane.stop = stop
            self._report_undelivered(delivery.unsettled(), stop)
        elif delivery.row.last is not None:
            lane.refusals.row.add(delivery.row.last, delivery.row.length)

    def _conclude(self, delivery: BatchDelivery) -> Stop | None:
        """Decide about a batch when all of it was sent; return a Stop when nothing was accepted.

        Few people may by chance be bad in each part: of a small batch each is asked about alone. In
        a lane that works there may by chance be nobody else in it: its lane goes on.
        """
        last = delivery.row.last
        people = len(delivery.batch.records)
        is_small = people < self._policy.refusals
        if delivery.told_apart or not delivery.refused or last is None or people == 1:
            return None

        if is_small and delivery.undecided:
            delivery.halves_all = True
            delivery.halve_undecided()
            return None
        if is_small and delivery.lane.refusals.accepted:
            return None
        return last.of_everybody()

    def _report_undelivered(self, batches: Iterable[Batch], stop: Stop) -> None:
        """Report batches as undelivered: they can be sent again as they are."""
        for batch in batches:
            self._ledger.undelivered(batch.records, stop.code, stop.reason)

    def _leave_unanswered(self, delivery: BatchDelivery, stop: Stop) -> None:
        """Report the part that was sent last: it may have been applied."""
        with delivery.lane.settling:
            part = delivery.pending.popleft()
            self._ledger.unanswered(part.batch.records, stop.code, stop.reason)

    def _reject(self, refused: Iterable[tuple[Batch, Refusal]]) -> None:
        for batch, refusal in refused:
            self._ledger.rejected(batch.records, refusal.code, refusal.reason)

    # What an outcome means for the records. The part is still the first that is pending.

    def _settle(
        self,
        delivery: BatchDelivery,
        part: Part,
        outcome: Delivered | Rejected | Bisect | _Unsendable,
        known: int,
    ) -> Stop | None:
        """Report the records whose outcome is known, and put back what still has to be sent.

        `known`: how many people had been refused alone when it was sent. Return a Stop when the
        lane has to stop.
        """
        batch = part.batch
        if isinstance(outcome, Delivered):
            delivery.pending.popleft()
            # Whoever was refused before this: a ledger hears of them in their order.
            self._reject(delivery.lane.refusals.judge(known))
            self._ledger.delivered(batch.records)
            self._accept(delivery)
        elif isinstance(outcome, Bisect):
            refusal = Refusal(outcome.code, outcome.reason, outcome.said)
            return self._refuse(delivery, part, refusal, known)
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
            return self._settle_named(delivery, part, outcome, outcome.named, known)
        return None

    def _settle_named(
        self,
        delivery: BatchDelivery,
        part: Part,
        outcome: Rejected,
        named: NamedRecords,
        known: int,
    ) -> Stop | None:
        """Report the records that the vendor named, and put back what still has to be sent."""
        batch = part.batch
        unnamed = Refusal(outcome.code, outcome.reason)
        places = None
        if named.by != "value" and len(batch.records) > 1:
            places = batch.endpoint.places(batch, self._clock.now())
            if places is None:
                return self._refuse(delivery, part, unnamed, known)

        verdict = attribute(batch, named, places)
        if verdict is None:
            return self._refuse(delivery, part, unnamed, known)

        reasons = verdict.refused_by_reason(outcome.reason)
        if _means_everybody(batch, named, verdict) and len(reasons) == 1:
            reason, _ = reasons[0]
            said = outcome.reason + named.said
            return self._refuse(delivery, part, Refusal(outcome.code, reason, said), known)

        delivery.pending.popleft()
        for reason, positions in reasons:
            self._ledger.rejected(batch.only(positions).records, outcome.code, reason)
        if verdict.delivered:
            self._reject(delivery.lane.refusals.judge(known))
        self._ledger.delivered(batch.only(verdict.delivered).records)

        remaining = [Part(batch.only(positions)) for positions in verdict.again]
        if verdict.later:
            # The vendor asked to wait for these, which uses up a retry.
            since = self._clock.monotonic() if part.since is None else part.since
            remaining.append(Part(batch.only(verdict.later), part.retries + 1, since))
        delivery.put_back(remaining)

        if verdict.delivered:
            self._accept(delivery)
        elif verdict.refused:
            delivery.tell_apart()
        return None

    def _accept(self, delivery: BatchDelivery) -> None:
        """Note that the vendor accepted a part."""
        lane = delivery.lane
        lane.window.open()
        refusals = lane.refusals
        refusals.accepted = True
        refusals.row.clear()
        delivery.row.clear()
        delivery.accepted = True
        delivery.tell_apart()

    def _refuse(
        self, delivery: BatchDelivery, part: Part, refusal: Refusal, known: int
    ) -> Stop | None:
        """Put back the halves of a part that was refused as a whole, or keep it undecided.

        Return a Stop when it is nobody's fault.
        """
        refusals = delivery.lane.refusals
        differs_here = delivery.row.differs(refusal)
        differs = differs_here or refusals.row.differs(refusal)
        if differs:
            refusals.row.clear()
        delivery.row.add(refusal)
        if refusals.row.length + delivery.row.length >= self._policy.refusals:
            return refusal.of_everybody()

        if differs:
            # The vendor tells people apart: those before had an answer of their own.
            self._reject(refusals.judge(known))
        tells_apart = differs_here and delivery.refused
        delivery.refused = True

        delivery.pending.popleft()
        batch = part.batch
        if len(batch.records) == 1:
            if delivery.accepted:
                self._reject([(batch, refusal)])
            else:
                refusals.alone.append((batch, refusal))
        elif part.other_half and not delivery.halves_all and not tells_apart:
            delivery.undecided.append(part)
        else:
            delivery.put_back(part.halves())

        if tells_apart:
            delivery.tell_apart()
        return None

    # Sending.

    def _send(self, delivery: BatchDelivery, part: Part) -> _Settled:
        """Send a part, again as often as the vendor asks and the policy allows."""
        lane = delivery.lane
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
            stop = self._rest(lane, backoff)
            if stop is not None:
                return stop

        return self._send_with_retries(lane, part, request)

    def _send_with_retries(self, lane: Lane, part: Part, request: Request) -> _Settled:
        """Send the same bytes until the outcome is not Retry."""
        policy = self._policy
        started = self._clock.monotonic() if part.since is None else part.since
        retry = attempts = part.retries
        was_stale = False
        while True:
            outcome = self._attempt_in_turn(lane, part.batch, request)
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
            else:
                stop = self._rest(lane, delay)
                if stop is not None:
                    return stop
            if not is_named:
                retry += 1

    def _rest(self, lane: Lane, seconds: float) -> Stop | None:
        """Sleep. Return a Stop, soon, when nothing is to be sent any more."""
        while self._stop_of(lane) is None:
            nap = min(seconds, _NAP)
            if not self._clock.sleep(nap):
                return _INTERRUPTED
            seconds -= nap
            if seconds <= 0:
                return None
        return self._stop_of(lane)

    def _attempt_in_turn(self, lane: Lane, batch: Batch, request: Request) -> Outcome:
        """Send once, when the lane's window and the vendor's rate allow it."""
        with lane.window.request():
            turn = self._limiter.wait()
            if turn is None:
                return _INTERRUPTED
            # A stop of the lane may have come while this waited.
            stop = self._stop_of(lane)
            if stop is not None:
                return stop
            outcome = self._attempt(lane, batch, request)
            self._limiter.answered(turn)
            return outcome

    def _attempt(self, lane: Lane, batch: Batch, request: Request) -> Outcome:
        sent_at = self._clock.monotonic()
        response: Response | None = None
        outcome: Outcome
        try:
            response = self._transport(request)
        except FinalError as error:
            outcome = Stop(error.code, str(error))
        except UnreachableError as error:
            outcome = Retry(str(error))
        except SendError as error:
            outcome = self._without_answer(error)
        except UnauthorizedError as error:
            outcome = Stop(UNAUTHORIZED, str(error))
        else:
            classify = batch.endpoint.classify
            records = batch.records
            outcome = classify(response, len(records), self._clock.now(), records)
            if isinstance(outcome, Retry):
                lane.window.push_back(sent_at)

        if self._advice and isinstance(outcome, Stop) and outcome.code == UNAUTHORIZED:
            outcome = replace(outcome, reason=f"{outcome.reason}; {self._advice}")

        self._ledger.attempted(batch, request, response, outcome)
        return outcome

    def _without_answer(self, error: SendError) -> Retry | Stop:
        """Return what a request means that may have been applied."""
        if self._policy.stops_unanswered:
            return _unanswered(str(error))
        return Retry(str(error), at_once=isinstance(error, StaleError))


def _means_everybody(batch: Batch, named: NamedRecords, verdict: Verdict) -> bool:
    """Return whether all were refused in a request of which nothing was applied."""
    return not named.rest_delivered and len(verdict.refused) == len(batch.records)


def _unanswered(reason: str) -> Stop:
    return Stop(
        "unanswered",
        f"a request got no answer, and may have been applied: {reason}; changes must not be made "
        "twice, so look at the audience before you send again what it held",
        unanswered=True,
    )


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
