"""What the algorithms ask of a database, and the locks that come first."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Protocol


class Transaction(Protocol):
    """One transaction. Queries are called by their names in `sql/`."""

    def now(self) -> float:
        """Return the time of this moment, not that of the transaction's start."""
        ...

    def rows(self, query: str, **values: Any) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        ...

    def change(self, query: str, **values: Any) -> int:
        """Return how many rows were changed."""
        ...

    def many(self, query: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Run a statement for each row."""
        ...


def lock_connections(tx: Transaction, names: Collection[str]) -> dict[str, int]:
    """Lock connections, make those that are new, and return how many records are pending."""
    ordered = sorted(names)
    found = tx.rows("connections", names=ordered)
    if len(found) < len(ordered):
        tx.many("add_connection", [(name,) for name in ordered])
        found = tx.rows("connections", names=ordered)
    return dict(found)


def count(tx: Transaction, counts: Mapping[tuple[str, str], int]) -> None:
    """Add to counts by (connection, name). The connections are locked."""
    rows = []
    for (connection, name), value in sorted(counts.items()):
        if value:
            rows.append((connection, name, value))
    tx.many("count", rows)
