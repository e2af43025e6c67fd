"""The courier: delivers one batch, so that every record of it has exactly one outcome.

A batch is sent whole. Where the vendor refuses a part of it, or asks to send a part later, the rest
is sent in further parts, in the order of the batch.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

from connector.delivery.clock import Clock
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.retry import RandomUnit, RetryPolicy
from connector.errors import SendError, UnauthorizedError
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
from connector.pipeline.attribution import attribute
from connector.templating.template import RenderError

#: Sends a request once. Raises SendError when there is no answer, UnauthorizedError when
#: credentials are refused.
Transport = Callable[[Request], Response]

_Settled = Delivered | Rejected | Bisect | Stop

_INTERRUPTED = Stop("interrupted", "the run ended before this was sent")


def defect(error: BaseException) -> Stop:
    """Return why a lane stops when the connector itself fails."""
    return Stop("internal", f"internal error: {type(error).__name__}")


class _Part(NamedTuple):
    """A batch, or what is left of one.

    `retries`: how often the vendor asked to send it again later.
    """

    batch: Batch
    retries: int = 0


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
    ) -> None:
        self._transport = transport
        self._ledger = ledger
        self._clock = clock
        self._limiter = limiter
        self._policy = policy or RetryPolicy()
        self._random_unit = random_unit

    def deliver(self, batch: Batch) -> Stop | None:
        """Deliver a batch; every record of it gets its outcome.

        Return a Stop when the lane of the batch has to stop.
        """
        pending = deque([_Part(batch)])
        try:
            while pending:
                part = pending[0]
                outcome = self._send(part)
                if isinstance(outcome, Stop):
                    self._report_undelivered(pending, outcome)
                    return outcome

                pending.popleft()
                remaining = self._settle(part, outcome)
                pending.extendleft(reversed(remaining))
        except BaseException as error:
            self._report_undelivered(pending, defect(error))
            raise
        return None

    def _report_undelivered(self, parts: Iterable[_Part], stop: Stop) -> None:
        """Report parts as undelivered: they can be sent again as they are."""
        for part in parts:
            self._ledger.undelivered(part.batch.records, stop.code, stop.reason)

    # What an outcome means for the records.

    def _settle(self, part: _Part, outcome: Delivered | Rejected | Bisect) -> list[_Part]:
        """Report the records whose outcome is known; return what still has to be sent, in order."""
        batch = part.batch
        if isinstance(outcome, Delivered):
            self._ledger.delivered(batch.records)
            return []

        if isinstance(outcome, Bisect):
            return self._halve(batch, outcome)

        if outcome.named is None:
            self._ledger.rejected(batch.records, outcome.code, outcome.reason)
            return []

        return self._settle_named(part, outcome, outcome.named)

    def _settle_named(self, part: _Part, outcome: Rejected, named: NamedRecords) -> list[_Part]:
        """Report the records that the vendor named; return what still has to be sent, in order."""
        batch = part.batch
        verdict = attribute(batch, named)
        if verdict is None:
            return self._halve(batch, outcome)

        for reason, positions in verdict.refused_by_reason(outcome.reason):
            self._ledger.rejected(batch.only(positions).records, outcome.code, reason)
        self._ledger.delivered(batch.only(verdict.delivered).records)

        remaining = [_Part(batch.only(positions)) for positions in verdict.again]
        if verdict.later:
            # The vendor asked to wait for these, which uses up a retry.
            remaining.append(_Part(batch.only(verdict.later), part.retries + 1))
        return remaining

    def _halve(self, batch: Batch, outcome: Rejected | Bisect) -> list[_Part]:
        """Return the two halves, one of which holds the record at fault.

        Reject a record that is alone, and return no halves.
        """
        if len(batch.records) == 1:
            self._ledger.rejected(batch.records, outcome.code, outcome.reason)
            return []

        first, second = batch.halves()
        return [_Part(first), _Part(second)]

    # Sending.

    def _send(self, part: _Part) -> _Settled:
        """Send a part, again as often as the vendor asks and the policy allows."""
        batch = part.batch
        try:
            request = batch.endpoint.build(batch, self._clock.now())
        except RenderError as error:
            return Bisect("template_failed", str(error))

        max_bytes = batch.endpoint.caps.bytes
        if max_bytes and len(request.body) > max_bytes:
            return Bisect("too_large", "the request exceeds the vendor's cap in bytes")

        if part.retries > self._policy.retries:
            reason = "the vendor asks to send these again later"
            return Stop("gave_up", f"gave up after {part.retries} attempts: {reason}")

        if part.retries:
            backoff = self._policy.backoff(part.retries - 1, self._random_unit)
            if not self._clock.sleep(backoff):
                return _INTERRUPTED

        return self._send_with_retries(batch, request, part.retries)

    def _send_with_retries(self, batch: Batch, request: Request, retry: int) -> _Settled:
        """Send the same bytes until the outcome is not Retry.

        `retry`: how many retries are used up.
        """
        while self._limiter.wait():
            outcome = self._attempt(batch, request)
            if not isinstance(outcome, Retry):
                return outcome

            if retry >= self._policy.retries:
                attempts = "1 attempt" if retry == 0 else f"{retry + 1} attempts"
                return Stop("gave_up", f"gave up after {attempts}: {outcome.reason}")

            now = self._clock.now()
            delay = self._policy.delay(retry, outcome, now, self._random_unit)
            self._ledger.waiting(delay, outcome.reason)
            if outcome.not_before is not None:
                # The vendor's own time holds for all lanes; the limiter waits for it.
                self._limiter.pause(now + delay)
            elif not self._clock.sleep(delay):
                return _INTERRUPTED
            retry += 1
        return _INTERRUPTED

    def _attempt(self, batch: Batch, request: Request) -> Outcome:
        response: Response | None = None
        outcome: Outcome
        try:
            response = self._transport(request)
        except SendError as error:
            outcome = Retry(str(error))
        except UnauthorizedError as error:
            outcome = Stop("unauthorized", str(error))
        else:
            classify = batch.endpoint.classify
            outcome = classify(response, len(batch.records), self._clock.now())

        self._ledger.attempted(batch, request, response, outcome)
        return outcome
