"""What a sandbox remembers: who is in which audience, and how many requests its rate limits have seen."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from connector.definitions.model import Rate

#: A wire key and one value.
Identifier = tuple[str, str]


def identifiers_of(person: Any) -> set[Identifier]:
    """Return the wire keys and values of a person as `reads` gives it; raises AttributeError for what is no object."""
    found = set()
    for wire, values in person.items():
        for value in values if isinstance(values, list) else [values]:
            if value.__class__ is str or value.__class__ is int:  # not a boolean
                found.add((wire, str(value)))
        found.discard((wire, ""))
    return found


class Audience:
    """People, each some identifiers; no identifier belongs to two of them."""

    def __init__(self) -> None:
        # A person is a tuple until it is merged: a third of a set's memory, and nothing for the garbage collector.
        self._people: dict[Identifier, Collection[Identifier]] = {}
        self.people = 0

    @property
    def identifiers(self) -> int:
        """How many identifiers all people have together."""
        return len(self._people)

    def apply(self, operation: str, people: Collection[Collection[Identifier]]) -> None:
        """Add or remove people, one by one."""
        change = self._add if operation == "add" else self._remove
        for person in people:
            change(person)

    def _add(self, person: Collection[Identifier]) -> None:
        found = self._found(person)
        self.people += 1 - len(found)
        if found:
            self._merge(person, found)
        else:
            self._people.update(dict.fromkeys(person, tuple(person)))

    def _merge(self, person: Collection[Identifier], found: list[Collection[Identifier]]) -> None:
        """Give the largest of the found people what the others and the new one have."""
        largest = max(found, key=len)
        merged = largest if isinstance(largest, set) else set()
        for other in (*found, person):
            if other is not merged:
                merged.update(other)
                self._people.update(dict.fromkeys(other, merged))

    def _remove(self, person: Collection[Identifier]) -> None:
        for other in self._found(person):
            self.people -= 1
            for identifier in other:
                del self._people[identifier]

    def _found(self, identifiers: Collection[Identifier]) -> list[Collection[Identifier]]:
        found = {}
        for identifier in identifiers:
            person = self._people.get(identifier)
            if person is not None:
                found[id(person)] = person
        return list(found.values())

    def members(self) -> list[frozenset[Identifier]]:
        """Return each person once."""
        return [
            frozenset(person)
            for person in {id(person): person for person in self._people.values()}.values()
        ]


class RateState(NamedTuple):
    """A rate limit: its size, what is left of it, and when the next slot frees (whole seconds since the epoch)."""

    limit: int
    remaining: int
    reset: int


class _Window:
    """The requests of the last `per` seconds, of all lanes together or of each."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._taken: dict[str, deque[float]] = {}

    def _recent(self, lane: str, now: float) -> deque[float]:
        taken = self._taken.setdefault(lane if self._rate.scope == "lane" else "", deque())
        while taken and taken[0] + self._rate.per <= now:
            taken.popleft()
        return taken

    def state(self, lane: str, now: float) -> RateState:
        taken = self._recent(lane, now)
        frees = taken[0] + self._rate.per if taken else now
        return RateState(self._rate.requests, self._rate.requests - len(taken), math.ceil(frees))

    def take(self, lane: str, now: float) -> None:
        self._recent(lane, now).append(now)


class Windows:
    """Sliding windows for all rate limits of a destination."""

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._windows = [_Window(rate) for rate in rates]

    def take(self, lane: str, now: float) -> bool:
        """Count a request when every limit has room for it; say whether it has."""
        state = self.state(lane, now)
        if state is not None and not state.remaining:
            return False
        for window in self._windows:
            window.take(lane, now)
        return True

    def state(self, lane: str, now: float) -> RateState | None:
        """Return the limit with the least left; of several, the one that frees last. None without limits."""
        states = [window.state(lane, now) for window in self._windows]
        return min(states, key=lambda state: (state.remaining, -state.reset), default=None)
