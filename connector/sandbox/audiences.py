"""What a sandbox remembers: who is in which audience."""

from __future__ import annotations

from collections.abc import Collection

from connector.sandbox.reading import Identifier


class Audience:
    """People, each some identifiers; no identifier belongs to two of them."""

    def __init__(self) -> None:
        # A person is a tuple until it is merged: a third of a set's memory, and nothing for the
        # garbage collector.
        self._person_of: dict[Identifier, Collection[Identifier]] = {}
        self.people = 0

    @property
    def identifiers(self) -> int:
        """How many identifiers all people have together."""
        return len(self._person_of)

    def apply(self, operation: str, people: Collection[Collection[Identifier]]) -> None:
        """Add or remove people, one by one, or replace everybody by them."""
        if operation == "replace":
            self._person_of.clear()
            self.people = 0
        for person in people:
            if operation == "remove":
                self._remove(person)
            elif person:
                self._add(person)

    def _add(self, person: Collection[Identifier]) -> None:
        known = self._known(person)
        self.people += 1 - len(known)
        if known:
            self._merge(person, known)
        else:
            self._person_of.update(dict.fromkeys(person, tuple(person)))

    def _merge(self, person: Collection[Identifier], known: list[Collection[Identifier]]) -> None:
        """Make one person of the known ones and the new one, in the set of the largest."""
        largest = max(known, key=len)
        merged = largest if isinstance(largest, set) else set()
        for other in (*known, person):
            if other is not merged:
                merged.update(other)
                self._person_of.update(dict.fromkeys(other, merged))

    def _remove(self, person: Collection[Identifier]) -> None:
        for other in self._known(person):
            self.people -= 1
            for identifier in other:
                del self._person_of[identifier]

    def _known(self, identifiers: Collection[Identifier]) -> list[Collection[Identifier]]:
        """Return the people that have some of these identifiers, each once."""
        people = {}
        for identifier in identifiers:
            person = self._person_of.get(identifier)
            if person is not None:
                people[id(person)] = person
        return list(people.values())

    def members(self) -> list[frozenset[Identifier]]:
        """Return each person once."""
        people = {id(person): person for person in self._person_of.values()}
        return [frozenset(person) for person in people.values()]
