"""A vendor in memory that applies or refuses whole requests, and a ledger that remembers every outcome."""

from __future__ import annotations

import json
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
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
    `pause` is called before and after a request is looked at, so that requests side by side come
    and are answered in any order.
    """

    def __init__(
        self,
        clock: FakeClock,
        faults: dict[str, list[str]],
        refusal: str = "named",
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self.people: dict[str, People] = defaultdict(frozenset)
        self.requests: list[tuple[str, bytes, str]] = []
        self.times: list[tuple[float, str]] = []
        self.applied: list[str] = []
        self._clock = clock
        self._faults = {url: list(names) for url, names in faults.items()}
        self._refusal = refusal
        self._pause = pause
        self._lock = threading.Lock()
        self._flying: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.most_in_all = 0

    def __call__(self, request: Request) -> Response:
        url = request.url
        assert not self._clock.ending, "a request was started after the run was to end"
        with self._lock:
            self._flying[url] += 1
            self.most_in_flight[url] = max(self.most_in_flight[url], self._flying[url])
            self.most_in_all = max(self.most_in_all, self._flying.total())
            self.times.append((self._clock.now(), url))
            self._clock.sent()
        try:
            self._pause()
            with self._lock:
                response = self._answer(request)
            self._pause()
            if response is None:
                raise SendError("the connection broke")
            return response
        finally:
            with self._lock:
                self._flying[url] -= 1

    def _answer(self, request: Request) -> Response | None:
        faults = self._faults.get(request.url, [])
        said = faults.pop(0) if faults else "honest"
        self.requests.append((request.url, request.body, said))
        if said in ("honest", "count"):
            return self._honest(request, said)
        return self._fault(said)

    def _fault(self, said: str) -> Response | None:
        if said == "broken":
            return None
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
        self.failure = None
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
