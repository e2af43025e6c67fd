"""What a sandbox keeps for calls: objects such as audiences, in collections."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from connector._util import times

#: One object: what a request gave it, and what every object has.
Object = dict[str, Any]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
# So that ids are short, and differ in more than their end.
_FIRST_ID = 1_700_000
_STEP = 7_919
# Odd numbers from here on are no numbers of JavaScript: whoever reads one carelessly changes it.
_FIRST_NUMBER = 2**53 + 1


class Stored:
    """An object of a collection, and what the path said besides its id when it was created."""

    def __init__(self, scope: Mapping[str, str], members: Object) -> None:
        self.scope = scope
        self.members = members

    def is_in(self, path: Mapping[str, str]) -> bool:
        """Return whether a path says nothing else of what both know."""
        return all(self.scope[name] == path[name] for name in self.scope.keys() & path.keys())


class Objects:
    """All collections of a sandbox; changes are the vendor's to guard."""

    def __init__(self) -> None:
        self._collections: dict[str, list[Stored]] = {}
        self._created = 0

    def within(self, collection: str, path: Mapping[str, str]) -> Iterator[Stored]:
        """Yield the objects of a collection that a path may mean, in the order of creation."""
        for stored in self._collections.get(collection, ()):
            if stored.is_in(path):
                yield stored

    def create(
        self, collection: str, scope: Mapping[str, str], given: Object, form: str, now: float
    ) -> Stored:
        """Return a new object. `form` is that of its id."""
        self._created += 1
        moment = times.from_epoch(int(now))
        members = {
            **given,
            "id": _FORMS[form](self._created),
            "created_at": moment,
            "updated_at": moment,
            "deleted": False,
        }
        stored = Stored(scope, members)
        self._collections.setdefault(collection, []).append(stored)
        return stored

    def is_deleted(self, collection: str, own: str, path: Mapping[str, str]) -> bool:
        """Return whether an id is that of a deleted object."""
        for stored in self.within(collection, path):
            if str(stored.members["id"]) == own:
                return bool(stored.members["deleted"])
        return False


def change(stored: Stored, given: Object, now: float, *, deleted: bool = False) -> None:
    """Give an object other members, or mark it as deleted."""
    stored.members.update(given)
    stored.members["updated_at"] = times.from_epoch(int(now))
    stored.members["deleted"] = deleted


def _letters(number: int) -> str:
    left = _FIRST_ID + number * _STEP
    text = ""
    while left:
        left, digit = divmod(left, len(_DIGITS))
        text = _DIGITS[digit] + text
    return text


def _uuid(number: int) -> str:
    return f"{number * _STEP:08x}-0000-4000-8000-{number:012x}"


_FORMS: Mapping[str, Callable[[int], str | int]] = {
    "letters": _letters,
    "digits": lambda number: str(_FIRST_NUMBER + 2 * number),
    "number": lambda number: _FIRST_NUMBER + 2 * number,
    "uuid": _uuid,
}
