"""Commuting: whether two batches of a lane may be applied in either order.

Additions are a union and removals a difference: two batches that do the same to everybody in them
may change places, whoever is in them. What is decided by the batches as a whole is looked at first:
identifiers are compared only where it depends on them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from itertools import chain
from operator import itemgetter
from typing import Any

from connector.model import Batch, Record, Target, target_of

_ids_of: Callable[[Record], tuple[str, ...]] = itemgetter(Record._fields.index("ids"))
_companions_of: Callable[[Record], frozenset[str]] = itemgetter(Record._fields.index("companions"))


class Change:
    """What a batch does to the people in it, looked at once."""

    def __init__(self, batch: Batch) -> None:
        """Look at a batch."""
        self.batch = batch
        first, *others = dict.fromkeys(map(target_of, batch.records))
        effect = _effect(first)
        same_effect = all(_effect(target) == effect for target in others)
        same_details = all(target.details == first.details for target in others)

        # The operation and the values that people share, None when they differ.
        self._effect = effect if same_effect else None
        # What else items say of people, None when it differs.
        self._details = first.details if same_details else None
        if any(map(_companions_of, batch.records)):
            self._details = None

    def commutes_with(self, other: Change, *, strict: bool) -> bool:
        """Return whether the two batches may be applied in either order.

        `strict`: also people without a common identifier may be one person to the vendor.
        """
        if self._effect is not None and self._effect == other._effect:
            if self._details is not None and self._details == other._details:
                return True
        elif strict:
            return False
        return self._ids.isdisjoint(other._ids)

    @cached_property
    def _ids(self) -> frozenset[str]:
        return frozenset(chain.from_iterable(map(_ids_of, self.batch.records)))


def _effect(target: Target) -> tuple[Any, ...]:
    return target.operation, target.group, target.shared
