"""Shared ids: one id that stands for many people, such as a placeholder that no list knows.

The vendor takes all of them for one person. Only ids that may be words are looked at, such as
handles; an email address, a phone number or the id of a device has a form of its own.

A few ids are counted at a time, whatever the input: those that are met twice in a chunk, and of
these the most frequent ones. Ids that are met again are no mistake: a person may come many times.
They are different people when their other identifiers differ, or when there is no other one and
most rows have this id.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from connector.definitions.model import Identifier
from connector.pipeline.assembly import Cells

# So many ids are counted at a time, so many of a chunk are new, and the other identifiers of so
# many rows of a chunk are looked at.
_IDS = 64
_NEW_IDS = 8
_ROWS = 100

#: With so many different values of another identifier an id is that of different people.
DIFFERENT = 10
#: Without another identifier, in so many rows.
ALONE = 100


class SharedIds:
    """Looks for shared ids on one route."""

    def __init__(self, identifiers: Sequence[Identifier]) -> None:
        """`identifiers`: those that are mapped."""
        self._alone = {one.parameter for one in identifiers if one.alone}
        self._counts: dict[str, _Ids] = {}
        for identifier in identifiers:
            if identifier.is_free:
                self._counts[identifier.parameter] = _Ids()

    def saw(self, columns: Sequence[Cells]) -> None:
        """Look at the identified values of a chunk, a column for each parameter."""
        for column, cells, _ in columns if self._counts else ():
            counts = self._counts.get(column.parameter)
            if counts is not None:
                counts.saw(cells, self._others(columns, column.wire))

    def _others(self, columns: Sequence[Cells], wire: str) -> dict[str, Sequence[Any]]:
        """Return the columns of what else names a person, where somebody has it."""
        others = {}
        for column, cells, types in columns:
            is_there = not types.isdisjoint((str, list))
            if is_there and column.wire != wire and column.parameter in self._alone:
                others[column.parameter] = cells
        return others

    def doubts(self) -> list[str]:
        """Return what is probably a placeholder, in words and without its value."""
        words = []
        for parameter, counts in self._counts.items():
            rows, differing = counts.most_shared()
            if not rows:
                continue
            how = f" although {differing} differs" if differing else ""
            words.append(
                f"{rows:,} of {counts.rows:,} values of {parameter} are one and the same{how}, "
                "so the vendor takes these people for one; is it a placeholder? "
                "an 'expr' can leave it out"
            )
        return words


class _Id:
    """What is known of one id."""

    def __init__(self) -> None:
        self.rows = 0
        #: The rows that nothing else names.
        self.rows_alone = 0
        #: A few values of other identifiers, as hashes, by parameter.
        self.others: dict[str, set[int]] = {}

    def differing(self) -> str:
        """Return the parameter that has many values beside this id, or ""."""
        for parameter, hashes in self.others.items():
            if len(hashes) >= DIFFERENT:
                return parameter
        return ""

    def see(self, row: int, others: dict[str, Sequence[Any]]) -> None:
        """Note the other identifiers of a row."""
        for parameter, cells in others.items():
            cell = cells[row]
            hashes = self.others.setdefault(parameter, set())
            if isinstance(cell, str | list) and len(hashes) < DIFFERENT:
                hashes.add(hash(repr(cell)))


class _Ids:
    """The most frequent ids of one parameter."""

    def __init__(self) -> None:
        self.rows = 0
        self._known: dict[str, _Id] = {}

    def saw(self, cells: Sequence[Any], others: dict[str, Sequence[Any]]) -> None:
        """Count the ids of a chunk."""
        ids = [cell for cell in cells if cell.__class__ is str]
        self.rows += len(ids)
        distinct = set(ids)
        if len(distinct) == len(ids) and distinct.isdisjoint(self._known):
            return  # the usual chunk

        counts = Counter(ids)
        for value, count in counts.most_common(_NEW_IDS):
            if count > 1 and value not in self._known:
                self._add(value)
        for value in self._known.keys() & distinct:
            known = self._known[value]
            known.rows += counts[value]
            if not others:
                known.rows_alone += counts[value]
        if others:
            self._see_others(cells, others)

    def _add(self, value: str) -> None:
        if len(self._known) == _IDS:
            rarest = min(self._known, key=lambda one: self._known[one].rows)
            del self._known[rarest]
        self._known[value] = _Id()

    def _see_others(self, cells: Sequence[Any], others: dict[str, Sequence[Any]]) -> None:
        open_ids = {value for value, known in self._known.items() if not known.differing()}
        left = _ROWS
        for row, cell in enumerate(cells):
            if cell.__class__ is str and cell in open_ids:
                self._known[cell].see(row, others)
                left -= 1
                if not left:
                    return

    def most_shared(self) -> tuple[int, str]:
        """Return in how many rows the most shared id stands, and what differs; 0 if none is."""
        most, what = 0, ""
        for known in self._known.values():
            differing = known.differing()
            is_most = known.rows_alone >= ALONE and known.rows_alone * 2 > self.rows
            if known.rows > most and (differing or is_most):
                most, what = known.rows, differing
        return most, what
