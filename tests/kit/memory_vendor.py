"""A vendor in memory that applies or refuses whole requests, and a ledger that remembers every outcome."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from connector.errors import SendError
from connector.model import Record, Request, Response
from tests.kit.clock import FakeClock
from tests.kit.records import People

#: An offender has an id of this form; the vendor refuses whatever request it is in.
OFFENDER = "offender"


class Vendor:
    """The audiences by URL. `faults` are, by URL, what the first attempts get; then it is honest.

    An honest refusal of offenders: "named" gives the positions of their operations, "anonymous" does not.
    """

    def __init__(
        self, clock: FakeClock, faults: dict[str, list[str]], refusal: str = "named"
    ) -> None:
        self.people: dict[str, People] = defaultdict(frozenset)
        self.requests: list[tuple[str, bytes, str]] = []
        self.times: list[tuple[float, str]] = []
        self.applied: list[str] = []
        self._clock = clock
        self._faults = {url: list(names) for url, names in faults.items()}
        self._refusal = refusal
        self._flying: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()

    def __call__(self, request: Request) -> Response:
        url = request.url
        assert not self._clock.ending, "a request was started after the run was to end"
        self._flying[url] += 1
        self.most_in_flight[url] = max(self.most_in_flight[url], self._flying[url])
        self.times.append((self._clock.now(), url))
        self._clock.sent()
        faults = self._faults.get(url, [])
        said = faults.pop(0) if faults else "honest"
        self.requests.append((url, request.body, said))
        try:
            return (
                self._fault(said)
                if said not in ("honest", "count")
                else self._honest(request, said)
            )
        finally:
            self._flying[url] -= 1

    def _fault(self, said: str) -> Response:
        if said == "broken":
            raise SendError("the connection broke")
        if said == "reset":
            return Response(429, {"x-rate-limit-reset": str(int(self._clock.now()) + 30)}, None)
        if said == "retry-after":
            return Response(503, {"retry-after": "7"}, None)
        return Response(int(said), {}, None)

    def _honest(self, request: Request, said: str) -> Response:
        operations = json.loads(request.body)
        sent = sum(len(operation["params"]["users"]) for operation in operations)
        if said == "count":
            return Response(200, {}, {"data": {"success_count": sent - 1, "total_count": sent}})
        guilty = [[u for u in o["params"]["users"] if is_offender(u)] for o in operations]
        if any(guilty):
            errors = {
                "operation_errors": [[{"code": "INVALID"}] if users else [] for users in guilty]
            }
            return Response(
                400, {}, errors if self._refusal == "named" else {"errors": [{"code": "INVALID"}]}
            )
        self._apply(request.url, operations)
        return Response(200, {}, {"data": {"success_count": sent, "total_count": sent}})

    def _apply(self, url: str, operations: Sequence[Any]) -> None:
        for operation in operations:
            for user in operation["params"]["users"]:
                named = frozenset(
                    (wire, value) for wire, values in user.items() for value in values
                )
                people = self.people[url]
                touched = {person for person in people if not person.isdisjoint(named)}
                people -= touched
                if operation["operation_type"] == "Update":
                    people |= {named.union(*touched)}
                self.people[url] = people


def is_offender(user: dict[str, list[str]]) -> bool:
    return any(value.startswith(OFFENDER) for value in user.get("partner_user_id", ()))


class Book:
    """A ledger that remembers every outcome of every record."""

    def __init__(self) -> None:
        self.outcomes: list[tuple[int | str, str, str]] = []
        self.order: list[Record] = []
        self.attempts = 0
        self._lock = threading.Lock()

    def delivered(self, records: Sequence[Record]) -> None:
        with self._lock:
            self.outcomes += [(one.event_id, "delivered", "") for one in records]
            self.order += records

    def rejected(self, records: Sequence[Record], code: str, reason: str) -> None:
        with self._lock:
            self.outcomes += [(one.event_id, "rejected", code) for one in records]

    def undelivered(self, records: Sequence[Record], code: str, reason: str) -> None:
        with self._lock:
            self.outcomes += [(one.event_id, "undelivered", code) for one in records]

    def attempted(self, *attempt: object) -> None:
        with self._lock:
            self.attempts += 1

    def waiting(self, seconds: float, reason: str) -> None:
        pass

    def ids(self, outcome: str) -> set[int | str]:
        return {event_id for event_id, found, _ in self.outcomes if found == outcome}
