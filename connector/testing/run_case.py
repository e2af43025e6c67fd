"""Running a case: events in; the exact requests and the outcome of each event out, as one text.

A case runs what production runs (prepare, batch, build, deliver). Only the vendor is in memory, the
clock moves only when somebody waits, and nothing is random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus
from typing import NamedTuple

from connector.connection.mapping import compile_event_id, is_absent
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import batches
from connector.errors import ConnectorError, DefinitionError, SendError
from connector.model import (
    Batch,
    EventId,
    ItemId,
    Outcome,
    Record,
    Rejection,
    Request,
    Response,
    position_of,
)
from connector.pipeline.audiences import notes_of, numbered
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.faults import Fault
from connector.sandbox.vendor import Answer, Vendor
from connector.testing.case import Case
from connector.testing.privacy import is_personal, leaks
from connector.testing.transcript import Attempt, EventResult, Transcript

_LISTED_LEAKS = 20
_WHEN_HINT = (
    "check 'when' in the routes: a name that it compares with, such as an audience's, "
    "has to be the one in the events of the case"
)
_COUNTS = (
    "events", "skipped",
    "records", "delivered", "superseded", "rejected", "undelivered",
    "identifiers_dropped", "requests", "bytes",
)  # fmt: skip


class CaseError(ConnectorError):
    """A case cannot be kept as a snapshot; the text never holds an identifier."""


def run_case(case: Case) -> str:
    """Run a case and return its snapshot: the same text whenever and wherever it runs.

    Raises CaseError when no event leads to a request or an outcome, when other routes take its
    events than the case says, when a response is left over, when the text would hold an identifier
    in the clear, or when the destination's templates are invalid.
    """
    transcript = _run(case)

    message = _taken_wrongly(case, transcript)
    if message:
        raise CaseError(f"case '{case.name}': {message}")

    responses, requests = len(case.answers), len(transcript.attempts)
    if requests < responses:
        message = f"{responses} responses for {requests} requests; remove the unused responses"
        raise CaseError(f"case '{case.name}': {message}")

    _check_privacy(case, transcript)
    return transcript.text()


def _taken_wrongly(case: Case, transcript: Transcript) -> str:
    """Return that other routes take the events than should, "" if they do not."""
    taken_by = {name for result in transcript.results for name in result.taken_by}
    if not taken_by:
        return f"no route matches any of its events; {_WHEN_HINT}"
    if not case.taken_by or taken_by == case.taken_by:
        return ""
    ours, theirs = ", ".join(sorted(taken_by)), ", ".join(sorted(case.taken_by))
    return f"its events are taken by {ours}; taken_by says {theirs}; {_WHEN_HINT}"


def _run(case: Case) -> Transcript:
    clock = _Clock(case.now)
    try:
        # The position serves as the id: results are looked up by it.
        pipeline = Pipeline(replace(case.connection, event_id=None))
        vendor = _Vendor(case, clock)
    except (ValueError, OSError, DefinitionError) as error:
        message = f"invalid definition, run 'connector lint' for details: {error}"
        raise CaseError(f"case '{case.name}': {message}") from None

    ledger = _CaseLedger(clock)
    limiter = Limiter(case.connection.destination.rates, clock)
    policy = RetryPolicy.of(case.connection.destination.retry)
    courier = Courier(vendor, ledger, clock, limiter, policy, random_unit=lambda: 0.0)

    # One request at a time, and a queue of one: the batches go one after the other, in this order.
    lanes = Lanes(courier, requests=1, queue=1)
    try:
        for batch in list(batches(pipeline, [case.events], ledger, clock)):
            lanes.submit(batch)
    finally:
        lanes.close()
    report = ledger.close(pipeline.dropped, 0.0)

    counts = {name: getattr(report.counts, name) for name in _COUNTS}
    notes = notes_of(case.connection)
    return Transcript(ledger.attempts, _results(case, ledger), report.dropped, counts, notes)


def _results(case: Case, ledger: _CaseLedger) -> list[EventResult]:
    """Return what became of each event, its routes in the connection's order."""
    path = case.connection.event_id
    read_id = compile_event_id(path) if path else None
    route_order = [route.name for route in case.connection.routes]

    results = []
    for event in case.events:
        event_id = read_id(event.data) if read_id else None
        if is_absent(event_id) or isinstance(event_id, dict | list):
            event_id = event.position

        outcomes = ledger.outcomes.get(event.position, [])
        outcomes.sort(key=lambda one: (route_order.index(one.route), one.item or 0))
        routes = [(one.label, one.words) for one in outcomes]
        taken_by = frozenset(one.route for one in outcomes)
        results.append(EventResult(str(event_id), tuple(routes), taken_by))
    return results


def _check_privacy(case: Case, transcript: Transcript) -> None:
    """Raise CaseError when the snapshot would hold an identifier in the clear."""
    connection = case.connection
    texts = transcript.texts()
    found = leaks(connection.routes, connection.settings, case.events, texts)
    lines = [f"  event {leak.position}: what is mapped to '{leak.parameter}'" for leak in found]
    for position, result in enumerate(transcript.results, 1):
        if is_personal(result.event_id):
            lines.append(f"  event {position}: its id is an e-mail address or a phone number")
    if not lines:
        return

    hidden = len(lines) - _LISTED_LEAKS
    if hidden > 0:
        lines[_LISTED_LEAKS:] = [f"  … and {hidden} more"]
    head = f"case '{case.name}': the snapshot would hold identifiers in plain text:"
    fix = (
        "Check the routes, the event_id and the templates"
        " for one that uses the same value unhashed."
        " If the same word only happens to be in the request, give the event another value."
    )
    raise CaseError("\n".join([head, *lines, fix]))


class _Clock:
    """A clock that moves only when somebody sleeps."""

    ending = False

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> bool:
        self._now += max(0.0, seconds)
        return True


class _Vendor:
    """Gives the case's answers one after the other, then the sandbox's."""

    def __init__(self, case: Case, clock: _Clock) -> None:
        self._answers = iter(case.answers)
        self._sandbox = Vendor(
            case.connection.destination,
            settings=case.connection.settings,
            clock=clock.now,
        )

    def __call__(self, request: Request) -> Response:
        try:
            response = next(self._answers)
        except StopIteration:
            return self._ask_sandbox(request)
        if response is None:
            raise SendError("timed out waiting for an answer")
        return response

    def _ask_sandbox(self, request: Request) -> Response:
        answer = self._answer(request, request.body)
        body = numbered(request.body)
        if answer.status == HTTPStatus.BAD_REQUEST and body != request.body:
            # Where the vendor's ids are numbers, its contract takes no name in their place.
            answer = self._answer(request, body)
        return Response.parsed(answer.status, answer.headers, answer.body)

    def _answer(self, request: Request, body: bytes) -> Answer:
        answer = self._sandbox.answer(request.method, request.url, request.headers, body)
        assert not isinstance(answer, Fault)
        return answer


class _Outcome(NamedTuple):
    """What became of an event on a route, or of one element of its list."""

    route: str
    item: int | None
    words: str

    @property
    def label(self) -> str:
        return self.route if self.item is None else f"{self.route}, item {self.item}"


class _CaseLedger(Ledger):
    """Keeps every attempt, and the outcomes by the event's position."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []
        self.outcomes: dict[int | str, list[_Outcome]] = {}
        self._clock = clock
        self._last_time = clock.now()

    def attempted(
        self,
        batch: Batch,
        request: Request,
        response: Response | None,
        outcome: Outcome,
    ) -> None:
        super().attempted(batch, request, response, outcome)
        now = self._clock.now()
        last = self.attempts[-1] if self.attempts else None
        attempt = Attempt(
            request,
            groups=len(batch.groups()),
            records=len(batch.records),
            status=None if response is None else response.status,
            outcome=outcome,
            waited=now - self._last_time if last else 0.0,
            again=last is not None and last.request is request,
        )
        self.attempts.append(attempt)
        self._last_time = now

    def _keep(self, event_id: EventId, route: str, outcome: str) -> None:
        item = event_id.item if isinstance(event_id, ItemId) else None
        self.outcomes.setdefault(position_of(event_id), []).append(_Outcome(route, item, outcome))

    def _keep_records(self, records: Sequence[Record], outcome: str) -> None:
        for record in records:
            self._keep(record.event_id, record.target.route, outcome)

    def refused(self, rejection: Rejection) -> None:
        super().refused(rejection)
        outcome = f"{rejection.outcome} {rejection.code}: {rejection.reason}"
        self._keep(rejection.event_id, rejection.route, outcome)

    def superseded(self, older: Record, newer: Record) -> None:
        super().superseded(older, newer)
        self._keep_records([older], "superseded")

    def delivered(self, records: Sequence[Record]) -> None:
        super().delivered(records)
        self._keep_records(records, "delivered")

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        super().rejected(records, code, reason)
        self._keep_records(records, f"rejected {code}: {reason}")

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        super().undelivered(records, code, reason)
        self._keep_records(records, f"undelivered {code}: {reason}")
