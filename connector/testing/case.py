"""Cases: events in; the exact requests and the outcome of each event out, as one text that is kept as a snapshot.

A case runs what production runs (prepare, batches, build, courier). Only the vendor is in memory, the clock moves only
when somebody waits, and nothing is random.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from connector._util import times
from connector._util.yaml_file import read_yaml
from connector.connection.load import make_connection
from connector.connection.mapping import compile_path, is_absent
from connector.connection.model import Connection
from connector.definitions.catalog import Catalog
from connector.definitions.metaschema import form_problems
from connector.delivery.courier import Courier
from connector.delivery.lanes import Lanes
from connector.delivery.ledger import Ledger
from connector.delivery.rate_limit import Limiter
from connector.delivery.report import Counts
from connector.delivery.run import batches
from connector.errors import ConfigError, ConnectorError, DefinitionError, Problem, SendError
from connector.model import Batch, Event, Outcome, Record, Rejection, Request, Response
from connector.pipeline.pipeline import Pipeline
from connector.sandbox.faults import Fault
from connector.sandbox.vendor import Vendor
from connector.testing.privacy import leaks
from connector.testing.transcript import Attempt, Ending, Story

_NOW = "2026-01-15T00:00:00Z"
_CONNECTION = ("destination", "settings", "limits", "event_id", "order", "routes")
_NOT_IN_A_SLUG = re.compile(r"[^\w.]+")
_MOST_LEAKS = 20


class CaseError(ConnectorError):
    """A case cannot be kept as a snapshot; the text never holds an identifier."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `answers` are those that it gives, None where no answer comes; `now` is in seconds since the epoch."""

    name: str
    file: str
    connection: Connection = field(repr=False)
    events: tuple[Event, ...] = field(repr=False)
    answers: tuple[Response | None, ...] = field(repr=False)
    now: float

    @property
    def slug(self) -> str:
        """The name of the snapshot's file, without its ending."""
        return slug(self.name)


def slug(name: str) -> str:
    """Return a case's name as a file name: its letters, digits, dots and underscores, and dashes for the rest."""
    return _NOT_IN_A_SLUG.sub("-", name).strip("-.")


def load_cases(path: Path, catalog: Catalog) -> list[Case]:
    """Load a case file. Raises ConfigError with every problem, DefinitionError when the destination itself is wrong."""
    raw = read_yaml(path, "K")
    file = str(path)
    problems = form_problems("case", raw, file, "K")
    if problems:
        raise ConfigError(problems)
    problems = [*_names(raw, file), *_moments(raw, file)]
    try:
        connection = make_connection(
            {key: raw[key] for key in _CONNECTION if key in raw}, file, catalog
        )
    except ConfigError as error:
        raise ConfigError([*problems, *error.problems]) from None
    if problems:
        raise ConfigError(problems)
    return [_case(one, connection, raw.get("now", _NOW)) for one in raw["cases"]]


def _names(raw: Mapping[str, Any], file: str) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for index, one in enumerate(raw["cases"]):
        name = one["name"]
        # some file systems do not tell capitals from small letters
        other = seen.setdefault(slug(name).lower(), name)
        if other != name or name in (before["name"] for before in raw["cases"][:index]):
            message = f"the cases '{other}' and '{name}' have one snapshot"
            yield Problem(
                "K201",
                file,
                f"/cases/{index}/name",
                message,
                "let their names differ in letters or digits",
            )


def _moments(raw: Mapping[str, Any], file: str) -> Iterator[Problem]:
    places = {"/now": raw, **{f"/cases/{index}/now": one for index, one in enumerate(raw["cases"])}}
    for pointer, holder in places.items():
        try:
            times.canonical(holder.get("now", _NOW))
        except ValueError as error:
            yield Problem("K202", file, pointer, str(error))


def _case(raw: Mapping[str, Any], connection: Connection, now: str) -> Case:
    answers = tuple(
        None if "fail" in answer else _given(answer) for answer in raw.get("responses", ())
    )
    events = tuple(Event(position, data) for position, data in enumerate(_events(raw["events"]), 1))
    return Case(
        raw["name"],
        connection.file,
        connection,
        events,
        answers,
        times.to_epoch(raw.get("now", now)),
    )


def _given(raw: Mapping[str, Any]) -> Response:
    body = raw.get("body")
    headers = {name.lower(): text for name, text in raw.get("headers", {}).items()}
    if isinstance(body, str):
        return Response.parsed(raw["status"], headers, body.encode())
    return Response(raw["status"], headers, body)


def _events(raw: Any) -> Iterator[dict[str, Any]]:
    if isinstance(raw, list):
        yield from raw
    else:
        for number in range(raw["repeat"]):
            yield _numbered(raw["event"], str(number))


def _numbered(value: Any, number: str) -> Any:
    if isinstance(value, str):
        return value.replace("{n}", number)
    if isinstance(value, list):
        return [_numbered(entry, number) for entry in value]
    return (
        {key: _numbered(member, number) for key, member in value.items()}
        if isinstance(value, dict)
        else value
    )


def run_case(case: Case) -> str:
    """Run a case and return its snapshot: the same text whenever and wherever it runs.

    Raises CaseError when no event leads to a request or an outcome, when a response is not asked for, when the text
    would hold an identifier in the clear, or when the destination's templates are wrong.
    """
    story = _story(case)
    if not any(ending.routes for ending in story.endings):
        raise CaseError(
            f"case '{case.name}': no route takes any of its events; look at 'when' in the routes"
        )
    if len(story.attempts) < len(case.answers):
        counts = (
            f"{len(case.answers)} responses are given and {len(story.attempts)} requests are sent"
        )
        raise CaseError(
            f"case '{case.name}': {counts}; take out the responses that nothing asks for"
        )
    _check_privacy(case, story)
    return story.text()


def _story(case: Case) -> Story:
    clock = _Clock(case.now)
    try:
        # the position as the id: what became of an event is found by it
        pipeline = Pipeline(replace(case.connection, event_id=None))
        vendor = _Vendor(case, clock)
    except (ValueError, OSError, DefinitionError) as error:
        raise CaseError(
            f"case '{case.name}': the definition is wrong, lint says more: {error}"
        ) from None
    log = _Log(clock)
    limiter = Limiter(case.connection.destination.rates, clock)
    courier = Courier(vendor, log, clock, limiter, random_unit=lambda: 0.0)
    lanes = Lanes(courier, log, lanes=1, queue=1)
    try:
        # one lane and a queue of one: one after the other, in this order
        for batch in list(batches(pipeline, [case.events], log, clock)):
            lanes.submit(batch)
    finally:
        lanes.close()
    report = log.close(pipeline.dropped, 0.0)
    return Story(log.attempts, _endings(case, log), report.dropped, _counts(report.counts))


def _counts(counts: Counts) -> dict[str, int]:
    names = ("events", "skipped", "records", "delivered", "superseded", "rejected", "undelivered")
    return {
        name: getattr(counts, name) for name in (*names, "identifiers_dropped", "requests", "bytes")
    }


def _endings(case: Case, log: _Log) -> list[Ending]:
    get = compile_path(case.connection.event_id) if case.connection.event_id else None
    order = [route.name for route in case.connection.routes]
    endings = []
    for event in case.events:
        event_id = get(event.data) if get else None
        shown = (
            event.position if is_absent(event_id) or isinstance(event_id, dict | list) else event_id
        )
        routes = sorted(
            log.outcomes.get(str(event.position), ()), key=lambda row: order.index(row[0])
        )
        endings.append(Ending(str(shown), tuple(routes)))
    return endings


def _check_privacy(case: Case, story: Story) -> None:
    """Raise when the snapshot would hold an identifier in the clear."""
    leaked = leaks(case.connection.routes, case.connection.settings, case.events, story.texts())
    if leaked:
        lines = [
            f"  event {position}: what is mapped to '{parameter}'"
            for position, parameter in leaked[:_MOST_LEAKS]
        ]
        more = [f"  … and {len(leaked) - _MOST_LEAKS} more"] if len(leaked) > _MOST_LEAKS else []
        head = f"case '{case.name}': the snapshot would hold identifiers in plain text:"
        fix = (
            "Look for a route, the event_id or a template that uses the same value unhashed."
            " If a word only happens to stand in the request, give the event another one."
        )
        raise CaseError("\n".join([head, *lines, *more, fix]))


class _Clock:
    """A clock that only moves when somebody sleeps."""

    ending = False

    def __init__(self, now: float) -> None:
        self._now = now

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> bool:
        self._now += max(0.0, seconds)
        return True


class _Vendor:
    """Gives the case's answers one after the other, then the sandbox's."""

    def __init__(self, case: Case, clock: _Clock) -> None:
        self._answers = iter(case.answers)
        self._sandbox = Vendor(
            case.connection.destination, settings=case.connection.settings, clock=clock.now
        )

    def __call__(self, request: Request) -> Response:
        response = next(self._answers, self._ask)
        response = response(request) if callable(response) else response
        if response is None:
            raise SendError("no answer in time")
        return response

    def _ask(self, request: Request) -> Response:
        answer = self._sandbox.answer(request.method, request.url, request.headers, request.body)
        assert not isinstance(answer, Fault)
        return Response.parsed(answer.status, answer.headers, answer.body)


class _Log(Ledger):
    """Keeps every attempt, and what became of each event: by its id, the (route, outcome) pairs."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.attempts: list[Attempt] = []
        self.outcomes: dict[str, list[tuple[str, str]]] = {}
        self._clock = clock
        self._last_attempt_at: float | None = None

    def attempted(
        self, batch: Batch, request: Request, response: Response | None, outcome: Outcome
    ) -> None:
        super().attempted(batch, request, response, outcome)
        now = self._clock.now()
        previous = self.attempts[-1] if self.attempts else None
        waited = 0.0 if self._last_attempt_at is None else now - self._last_attempt_at
        self._last_attempt_at = now
        self.attempts.append(
            Attempt(
                request,
                groups=len(batch.groups()),
                records=len(batch.records),
                status=None if response is None else response.status,
                outcome=outcome,
                waited=waited,
                again=previous is not None and previous.request is request,
            )
        )

    def _keep(self, records: Sequence[Record | Rejection], outcome: str) -> None:
        for record in records:
            route = record.route if isinstance(record, Rejection) else record.target.route
            self.outcomes.setdefault(str(record.event_id), []).append((route, outcome))

    def refused(self, rejection: Rejection) -> None:
        super().refused(rejection)
        self._keep([rejection], f"rejected {rejection.code}: {rejection.reason}")

    def superseded(self, older: Record, newer: Record) -> None:
        super().superseded(older, newer)
        self._keep([older], "superseded")

    def delivered(self, records: Sequence[Record]) -> None:
        super().delivered(records)
        self._keep(records, "delivered")

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        super().rejected(records, code, reason)
        self._keep(records, f"rejected {code}: {reason}")

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        super().undelivered(records, code, reason)
        self._keep(records, f"undelivered {code}: {reason}")
