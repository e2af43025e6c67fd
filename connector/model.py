"""The values that move through the pipeline, in the order in which they appear.

Event → Record → Batch → Request → Response → Outcome. They are never changed after they are made, and the `repr`
of those that can hold an identifier does not show it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

import orjson


class Event(NamedTuple):
    """One JSON object of the input. `position` is its 1-based line, element or row."""

    position: int
    data: dict[str, Any]

    def __repr__(self) -> str:
        return f"Event(position={self.position})"


class Unreadable(NamedTuple):
    """A piece of the input that is no event. `reason` never quotes the input."""

    position: int
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """All that records share whose parameters, identifiers aside, are equal: where they go and as what.

    `lane`: what is delivered first in, first out. `key` is the batch key: records of equal key can share a request.
    `request` is what the envelope is told of all of them, `group` what it groups them by. `group_bytes` is what a
    further group adds to a body, `base_bytes` the size of a body with no group, `room` the most bytes that one item may
    have under the vendor's cap. `parts`: where the parts of a person go who is split, in the order of the definition;
    `part` is the place of a target among them, `family` the same object in all of them.
    """

    route: str
    operation: str
    url: str
    lane: str
    key: tuple[str, ...]
    request: Mapping[str, Any]
    group: tuple[Any, ...]
    params: Mapping[str, Any]
    base_bytes: int
    group_bytes: int
    room: float
    builder: Any = field(repr=False)
    parts: tuple[Target, ...] = field(default=(), repr=False)
    part: int = 0
    family: object = field(default=None, repr=False)


class Record(NamedTuple):
    """One person, or a part of one, for one target: hashed and rendered.

    `ids` are the wire values that name the person, `wires` their keys, `item` the JSON of the item, `companions` the
    wire keys of what else is in it.
    """

    target: Target
    ids: tuple[str, ...]
    wires: tuple[str, ...]
    item: bytes
    event_id: int | str
    at: float
    companions: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"Record(event_id={self.event_id!r}, route={self.target.route!r}, {len(self.ids)} identifiers)"


class Rejection(NamedTuple):
    """A record that cannot be sent: a stable code and a reason that holds no identifier."""

    route: str
    event_id: int | str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to the vendor, without credentials."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back. `headers` have lower-case names; `body` is the parsed JSON, or None when it is not JSON."""

    status: int
    headers: Mapping[str, str]
    body: Any = field(repr=False)

    @classmethod
    def parsed(cls, status: int, headers: Mapping[str, str], body: bytes) -> Self:
        """Return the answer with these bytes."""
        try:
            return cls(status, headers, orjson.loads(body))
        except orjson.JSONDecodeError:
            return cls(status, headers, None)


@dataclass(frozen=True, slots=True)
class Delivered:
    """The vendor confirmed the whole request."""


@dataclass(frozen=True, slots=True)
class Retry:
    """Send the same bytes again: not before `at` (seconds since the epoch) when the vendor said so."""

    reason: str
    at: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The vendor refused for good: all that was sent, or what `named` says."""

    code: str
    reason: str
    named: Named | None = None


@dataclass(frozen=True, slots=True)
class Named:
    """Whom an answer names: `by` the position of a group or an item, or by an identifier's value.

    `refused` are refused for good, `later` may be sent again. `rest_delivered`: whether everybody else was accepted;
    otherwise nothing was applied and the rest has to be sent again. `words`: the vendor's own for each refused, if any.
    """

    by: str
    refused: tuple[int | str, ...] = field(repr=False)
    later: tuple[int | str, ...] = field(default=(), repr=False)
    rest_delivered: bool = False
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Bisect:
    """An atomic refusal that names nobody: halve the request until the offender is alone."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Nothing of this lane can be delivered for now: keep its records and send no more (an expired token, say)."""

    code: str
    reason: str


Outcome = Delivered | Retry | Rejected | Bisect | Stop
