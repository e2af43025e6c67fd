"""Envelope sizes: the bytes of a body besides its items, which a batch has to leave room for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import orjson

from connector._util import times
from connector.definitions.model import FromNow
from connector.templating.envelope import Envelope

#: The members of a group besides its items, by name. A FromNow stands for a time.
Group = Sequence[tuple[str, Any]]

_OPERATIONS = ("add", "remove", "mixed")
_KEEP_SIZES = 10_000
# What is longer is measured anew: what an event shares may be of any length.
_LONGEST_SHARED = 1_000


class EnvelopeSizes:
    """Measures an envelope by rendering it without items, once for all of equal size."""

    def __init__(self, envelope: Envelope, uses: Collection[str]) -> None:
        """`uses`: the names that the envelope's template uses."""
        self._envelope = envelope
        self._shared_names = [name for name in ("params", "share") if name in uses]
        # A request's operation is known when it is complete. Until then the longest one counts.
        self._operations = _OPERATIONS if "operation" in uses else _OPERATIONS[:1]
        self._known: dict[tuple[str, Any], list[int]] = {}

    def measure(self, shared: Mapping[str, Any], group: Group) -> tuple[int, int]:
        """Return the bytes of a body without groups, and what this group adds without its items.

        `shared` is what `Envelope.render` takes.
        """
        shared_key = repr([shared[name] for name in self._shared_names])
        group_key = tuple(_length(value) for _, value in group)

        empty = self._sizes((shared_key, None), shared, [])
        with_group = self._sizes((shared_key, group_key), shared, [group])

        added = []
        for size, size_of_empty in zip(with_group, empty, strict=True):
            comma = 1  # before the next group
            added.append(size - size_of_empty + comma)
        return max(empty), max(added)

    def _sizes(
        self, key: tuple[str, Any], shared: Mapping[str, Any], groups: list[Group]
    ) -> list[int]:
        """Return the bytes of a body without items for each operation that it may have."""
        sizes = self._known.get(key)
        if sizes is not None:
            return sizes

        without_items = []
        for group in groups:
            members = group_members(group, now=0.0)
            without_items.append({**members, "items": []})

        sizes = []
        for operation in self._operations:
            body = self._envelope.render(without_items, shared, operation)
            sizes.append(len(body))

        if len(self._known) > _KEEP_SIZES:
            self._known.clear()
        if len(key[0]) <= _LONGEST_SHARED:
            self._known[key] = sizes
        return sizes


def group_members(group: Group, now: float) -> dict[str, Any]:
    """Return the members of a group in a request that is built at `now`.

    `now`: seconds since the epoch.
    """
    start = times.from_epoch(now)
    members = {}
    for name, value in group:
        if isinstance(value, FromNow):
            members[name] = times.plus(start, value.duration)
        else:
            members[name] = value
    return members


def _length(value: Any) -> int | str:
    """Return what decides how many bytes a value takes in a body."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return repr(value)
