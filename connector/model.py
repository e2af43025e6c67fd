"""The values that move through the pipeline, in the order in which they appear.

Event → Record → Batch → Request → Response → Outcome. All of them are immutable. The `repr` of a
value that can hold an identifier, a header or a parameter does not show it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, NamedTuple, Protocol, Self, cast

import orjson

#: The code of reports for credentials that are refused, whoever noticed it.
UNAUTHORIZED = "unauthorized"


class Event(NamedTuple):
    """One JSON object of the input. `position` is its 1-based line, element or row."""

    position: int
    data: dict[str, Any]

    def __repr__(self) -> str:
        return f"Event(position={self.position})"


class Unreadable(NamedTuple):
    """A piece of the input that is not an event. `reason` never quotes the input."""

    position: int
    reason: str


class NamedEvent(NamedTuple):
    """What stands for an event that has an id of its own: its position in the input, and the id."""

    position: int
    name: str


class ItemId(NamedTuple):
    """What stands for an event's id where it becomes several records: the id, and which of them.

    `item` is the position in the list of the route's `each`, from 0.
    """

    event_id: int | NamedEvent
    item: int


#: What a report calls a record by. An event without an id of its own is known by its position.
EventId = int | NamedEvent | ItemId


def name_of(event_id: EventId) -> int | str:
    """Return the id of an event, or its position where it has none."""
    if isinstance(event_id, ItemId):
        event_id = event_id.event_id
    return event_id.name if isinstance(event_id, NamedEvent) else event_id


def position_of(event_id: EventId) -> int:
    """Return the position of an event in the input."""
    if isinstance(event_id, ItemId):
        event_id = event_id.event_id
    return event_id.position if isinstance(event_id, NamedEvent) else event_id


def moved(event_id: EventId, position: int) -> EventId:
    """Return an event's id at another position."""
    if isinstance(event_id, ItemId):
        event = moved(event_id.event_id, position)
        assert not isinstance(event, ItemId)
        return ItemId(event, event_id.item)
    if isinstance(event_id, NamedEvent):
        return NamedEvent(position, event_id.name)
    return position


#: A piece of the input, in order.
Chunk = Sequence[Event | Unreadable]


class InputOptions(NamedTuple):
    """How the input is written; what is None, a file's name or the file itself says.

    `format`: ndjson, json, csv or parquet. `encoding`: a text encoding of Python. For CSV:
    `delimiter`, one character, and `quote`, one character or "" where none is special.
    """

    format: str | None = None
    delimiter: str | None = None
    encoding: str | None = None
    quote: str | None = None


#: Nothing is said of the input.
AS_WRITTEN = InputOptions()

#: The first names of a path into an event, up to its first index.
FieldPath = tuple[str, ...]


class RequestLimits(Protocol):
    """When a batch is full. None means no limit."""

    @property
    def records(self) -> int | None:
        """Records in a request."""

    @property
    def groups(self) -> int | None:
        """Groups in a request."""

    @property
    def bytes(self) -> int | None:
        """Bytes of a body."""

    @property
    def age(self) -> float | None:
        """Seconds since the oldest record of the batch was prepared."""

    @property
    def concurrency(self) -> int | None:
        """Requests of one lane side by side."""


class Endpoint(Protocol):
    """Where the records of a target are sent: builds the requests and reads the responses."""

    @property
    def limits(self) -> RequestLimits:
        """The limits of this connection, none of them above a cap."""

    @property
    def caps(self) -> RequestLimits:
        """The vendor's own ceilings."""

    def build(self, batch: Batch, now: float) -> Request:
        """Return the request for a batch. `now`: seconds since the epoch. Raise RenderError."""

    def places(self, batch: Batch, now: float) -> list[list[int]] | None:
        """Return the indexes of the records of each group in the order of the body.

        None when an item does not stand there exactly once, or a group is not in one place. Raise
        RenderError.
        """

    def classify(
        self, response: Response, sent: int, now: float, records: Sequence[Record], /
    ) -> Outcome:
        """Return what the response to a request with `sent` records means.

        It repeats no word of the response that may quote one of `records`.
        """


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Target:
    """Where records go and as what: all that they share when their parameters are equal.

    Targets are compared by identity. Parameters that name a person are no part of it.
    """

    route: str
    #: "add" or "remove".
    operation: str
    url: str
    #: What is delivered first in, first out: an audience.
    lane: str
    #: The batch key: only records of equal key can share a request.
    key: tuple[str, ...]
    #: What the envelope sees once for the whole request.
    request: Mapping[str, Any]
    #: What the envelope groups records by.
    group: tuple[Any, ...]
    params: Mapping[str, Any]
    #: The size of a body without groups.
    base_bytes: int
    #: What each further group adds to a body, its items aside.
    group_bytes: int
    #: The most bytes that one item may have under the vendor's cap.
    room: float
    endpoint: Endpoint
    #: Where a split person's parts go, in the order of the definition.
    parts: tuple[Target, ...] = ()
    #: The position of this target among the parts.
    part: int = 0
    #: The same object for all parts of one target.
    family: object = None
    #: The values of `request`, apart from what tells the parts of a person apart.
    shared: tuple[Any, ...] = ()
    #: The parameters that items may read: what they say of a person beside identifiers.
    details: tuple[Any, ...] = ()
    #: The action that the records are of.
    action: str = ""
    #: How long after a request is built the moments among the parameters are (ISO 8601).
    moments: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Target(route={self.route!r}, operation={self.operation!r})"


class Record(NamedTuple):
    """One person, or a part of one, for one target: hashed and rendered."""

    target: Target
    #: The wire values that name the person.
    ids: tuple[str, ...]
    #: The wire key of each of them.
    wires: tuple[str, ...]
    #: The JSON of the item.
    item: bytes
    event_id: EventId
    #: Seconds since the epoch.
    prepared_at: float
    #: The wire keys of values in the item that name nobody by themselves.
    companions: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        route = self.target.route
        count = len(self.ids)
        return f"Record(event_id={self.event_id!r}, route={route!r}, {count} identifiers)"


class Rejection(NamedTuple):
    """Why an event cannot be sent on a route: a stable code, and a reason without identifiers.

    `outcome` is "undelivered" where nothing is wrong with the event, and it can be sent later, and
    "skipped" where there is nothing to do for it; then it counts as no record.
    """

    route: str
    event_id: EventId
    code: str
    reason: str
    outcome: str = "rejected"


#: The result of preparing an event: a record, or the reason for its rejection.
Result = Record | Rejection

#: Get a record's target without a Python frame for each record.
target_of: Callable[[Record], Target] = itemgetter(Record._fields.index("target"))
_event_id_of: Callable[[Record], EventId] = itemgetter(Record._fields.index("event_id"))
_first_of: Callable[[NamedEvent], int] = itemgetter(0)


def positions_of(records: Iterable[Record]) -> list[int]:
    """Return the position of each record's event."""
    event_ids = list(map(_event_id_of, records))
    types = set(map(type, event_ids))
    if types == {int}:
        return cast(list[int], event_ids)
    if types == {NamedEvent}:
        return list(map(_first_of, cast(list[NamedEvent], event_ids)))
    return list(map(position_of, event_ids))


@dataclass(frozen=True, slots=True, repr=False)
class Batch:
    """Records that share a request, in order, each with the number of its run.

    A run is a stretch of records of one operation; see docs/decisions/0002.
    """

    records: tuple[Record, ...]
    runs: tuple[int, ...]
    #: Why it takes no more: "records", "bytes" or "groups" (a limit), "age", "conflict" (an
    #: identifier in it comes again), "order" (the next record has to come in a later request),
    #: "memory" (too many records are pending) or "end".
    closed_by: str = "end"

    def __repr__(self) -> str:
        return f"Batch({len(self.records)} records for {self.target.route!r})"

    @property
    def target(self) -> Target:
        """The target of the first record; all of them have its batch key."""
        return self.records[0].target

    @property
    def lane(self) -> str:
        """What is delivered first in, first out."""
        return self.target.lane

    @property
    def endpoint(self) -> Endpoint:
        """What builds the request and reads the response."""
        return self.target.endpoint

    def groups(self) -> list[tuple[Target, list[Record]]]:
        """Return the groups in the order of the body.

        Runs keep their order; groups within a run are in the order of their first record.
        """
        # Most requests have one group: say so without a loop over the records.
        if len(set(self.runs)) == 1 and len(set(map(target_of, self.records))) == 1:
            return [(self.target, list(self.records))]

        groups: dict[tuple[int, object], tuple[Target, list[Record]]] = {}
        previous: tuple[int, Target] | None = None
        members: list[Record] = []
        for run, record in zip(self.runs, self.records, strict=True):
            target = record.target
            # Records of one group mostly follow each other: look a group up only on a change.
            if previous is None or target is not previous[1] or run != previous[0]:
                previous = (run, target)
                _, members = groups.setdefault((run, target.group), (target, []))
            members.append(record)
        return list(groups.values())

    def places(self) -> list[list[int]]:
        """Return the indexes of the records of each group, in the order of `groups`."""
        index_of = {id(record): index for index, record in enumerate(self.records)}
        places = []
        for _, records in self.groups():
            places.append([index_of[id(record)] for record in records])
        return places

    def halves(self) -> tuple[Batch, Batch]:
        """Return the first and the second half."""
        count = len(self.records)
        middle = count // 2
        return self.only(range(middle)), self.only(range(middle, count))

    def only(self, positions: Iterable[int]) -> Batch:
        """Return a batch of the records at these positions."""
        kept = list(positions)
        records = map(self.records.__getitem__, kept)
        runs = map(self.runs.__getitem__, kept)
        return Batch(tuple(records), tuple(runs), self.closed_by)


@dataclass(frozen=True, slots=True)
class Request:
    """An HTTP request, without credentials until it is signed.

    `repeatable`: whether it may arrive twice, as people do who are added or removed.
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    repeatable: bool = field(default=True, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response. Header names are lower-case; `body` is the parsed JSON, else None."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: Any = field(repr=False)

    @classmethod
    def parsed(cls, status: int, headers: Mapping[str, str], body: bytes) -> Self:
        """Return the response with this body, parsed."""
        try:
            return cls(status, headers, orjson.loads(body))
        except orjson.JSONDecodeError:
            return cls(status, headers, None)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The vendor confirmed the whole request."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the same bytes again, after a wait of the retry policy, or not before a known moment.

    `not_before`: that moment, in seconds since the epoch. `named`: whether the response itself
    named it; otherwise a definition knows how long such a wait takes. `at_once`: there is nothing
    to wait for the first time.
    """

    reason: str
    not_before: float | None = None
    named: bool = True
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """The vendor refused for good: the whole request, or the records that it named."""

    code: str
    reason: str
    named: NamedRecords | None = None


@dataclass(frozen=True, slots=True)
class NamedRecords:
    """The records that a response names, by what it calls them."""

    #: What `refused` and `later` hold: positions of a "group" or an "item", or a "value".
    by: str
    #: Refused for good.
    refused: tuple[int | str, ...] = field(repr=False)
    #: To be sent again later.
    later: tuple[int | str, ...] = field(default=(), repr=False)
    #: Whether all others were accepted. Otherwise nothing was applied, and they are sent again.
    rest_delivered: bool = False
    #: The vendor's own words about each refused one, where a rule asks for them.
    words: tuple[str, ...] = field(default=(), repr=False)
    #: All that the vendor said about them, which tells answers apart and is never shown.
    said: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Bisect:
    """The vendor refused the whole request and named no record.

    Halve it until the offender is alone. `said`: the reason with all of the vendor's own words, to
    tell answers apart; it is never shown.
    """

    code: str
    reason: str
    said: str = field(default="", repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing of this lane can be delivered for now, because a token expired for example.

    Its records are kept, and no more requests are sent. `account`: the same goes for every lane of
    the connection. `unanswered`: the request may have been applied.
    """

    code: str
    reason: str
    account: bool = False
    unanswered: bool = False

    @property
    def of_account(self) -> bool:
        """Whether no lane of the connection can go on."""
        return self.account or self.code == UNAUTHORIZED


Outcome = Delivered | Retry | Rejected | Bisect | Stop
