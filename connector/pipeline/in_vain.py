"""In vain: a route that takes nothing, and a parameter whose values are all dropped.

Neither is a failure: a day may have nobody to remove. But a condition that compares with a word in
another case looks the same, and a column that was mixed up.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from connector.pipeline.assembly import Cells
from connector.pipeline.columns import Cell, is_usable

#: Of fewer rows than this none may be meant, of fewer values all may be wrong.
ENOUGH = 3


def unused_routes(routes: Sequence[InVain]) -> Iterator[InVain]:
    """Yield the routes that take nothing, where another one does."""
    is_one_used = any(route.is_used for route in routes)
    if is_one_used and max(route.rows for route in routes) >= ENOUGH:
        for route in routes:
            if not route.is_used:
                yield route


class InVain:
    """What one route has done in vain so far."""

    def __init__(self, parameters: Sequence[str]) -> None:
        """`parameters`: the identifiers that are mapped."""
        #: Events, or elements of them, that have come so far.
        self.rows = 0
        #: Whether a row was taken, or refused by its own fault.
        self.is_used = False
        # The parameters of which no value could be used.
        self._unused = dict.fromkeys(parameters)

    def took(self, rows: int, used: int) -> None:
        """Count rows, and those that the route has taken or refused."""
        self.rows += rows
        self.is_used = self.is_used or used > 0

    def saw(self, columns: Sequence[Cells]) -> None:
        """Look at the identified values of a chunk, a column for each parameter."""
        for column, cells, types in columns if self._unused else ():
            if column.parameter in self._unused and _has_usable(cells, types):
                del self._unused[column.parameter]

    def nothing_taken(self, *, is_explained: bool) -> str:
        """Return that the route takes nothing, in words; `is_explained`: why has been said."""
        if not self.rows:
            return "took nothing; check its 'each'"
        taken = f"took none of {self.rows:,}; check its 'when'"
        if is_explained:
            return taken
        return (
            f"{taken}; text is compared as it stands, so 'yes' is not 'Yes': "
            "event.a | trim | lower == 'yes' takes both"
        )

    def all_dropped(self, dropped: Mapping[tuple[str, str], int]) -> list[str]:
        """Return the parameters whose values are all dropped, in words.

        `dropped`: how many were, by (parameter, reason).
        """
        words = []
        for parameter in self._unused:
            reasons: Counter[str] = Counter()
            for (name, reason), count in dropped.items():
                if name == parameter:
                    reasons[reason] += count
            total = reasons.total()
            if total >= ENOUGH:
                why = ", ".join(reason for reason, _ in reasons.most_common())
                words.append(f"all {total:,} values of {parameter} were dropped: {why}")
        return words


def _has_usable(cells: Sequence[Cell], types: set[type]) -> bool:
    return str in types or (list in types and any(map(is_usable, cells)))
