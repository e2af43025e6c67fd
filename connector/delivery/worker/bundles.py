"""Records as an outbox keeps them, and back."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain, groupby, repeat
from operator import itemgetter
from typing import NamedTuple

from connector.connection.model import Connection
from connector.delivery.outbox.keys import KEY_BYTES, pack_keys
from connector.delivery.outbox.marks import GONE
from connector.delivery.outbox.model import BUNDLE, Accepted, Bundle, Kept, Verdict
from connector.model import Record, target_of
from connector.pipeline.bundles import DIGEST_BYTES, PreparedBundles, digests_of
from connector.pipeline.prepared import OtherDefinitionError, PreparedError, PreparedRecords

_ids_of: Callable[[Record], tuple[str, ...]] = itemgetter(Record._fields.index("ids"))
# As `Record._make` does, without a Python frame for each record.
_make = partial(tuple.__new__, Record)
# No database keeps it in a text.
_NUL = "\0"


class Written(NamedTuple):
    """A bundle, and its records as they were prepared."""

    bundle: Bundle
    records: Sequence[Record]


class Offered(NamedTuple):
    """A bundle that was accepted a moment ago. Without records they have to be read."""

    connection: str
    lane: str
    number: int
    records: Sequence[Record]
    committed_at: float


class Bundles:
    """Writes and reads the bundles of one connection, which has this name in the outbox."""

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._prepared = PreparedBundles(PreparedRecords(connection))

    def write(self, records: Iterable[Record]) -> list[Written]:
        """Return records as bundles, those of each lane in their order.

        Raise PreparedError when one of them cannot be kept.
        """
        written = []
        for run in _runs(records):
            for start in range(0, len(run), BUNDLE):
                part = run[start : start + BUNDLE]
                written.append(Written(self._bundle(part), part))
        return written

    def read(self, kept: Kept) -> tuple[list[Record], list[Verdict]]:
        """Return the pending records of a bundle, or why they can never be sent.

        The `event_id` of a record is its `seq`, and it is as old as its commit.
        """
        first = kept.number * BUNDLE
        try:
            records = self._prepared.read(kept.payload, first, kept.committed_at)
        except OtherDefinitionError as error:
            return [], verdicts(kept, "other_definition", str(error))
        except PreparedError as error:
            return [], verdicts(kept, "other_connection", str(error))
        if kept.marks is None:
            return records, []

        pending = []
        for record, mark in zip(records, kept.marks, strict=True):
            if mark != GONE:
                pending.append(record)
        return pending, []

    def _bundle(self, records: Sequence[Record]) -> Bundle:
        target = records[0].target
        if _NUL in target.lane:
            raise PreparedError("has an audience with the character U+0000")
        ids = list(map(_ids_of, records))
        digests = digests_of(list(chain.from_iterable(ids)))
        keys = pack_keys(list(map(len, ids)), _keys(records, digests))
        content = self._prepared.write(records, digests)
        return Bundle(self._name, target.lane, target.operation, len(records), keys, content)


def offered(written: Sequence[Written], accepted: Accepted) -> list[Offered]:
    """Return the bundles of a post, now that it is accepted."""
    found = []
    for (bundle, records), number in zip(written, accepted.numbers, strict=True):
        one = Offered(bundle.connection, bundle.lane, number, records, accepted.committed_at)
        found.append(one)
    return found


def numbered(bundle: Offered) -> list[Record]:
    """Return records as `Bundles.read` does."""
    targets, ids, wires, items, _, _, companions = zip(*bundle.records, strict=True)
    first = bundle.number * BUNDLE
    seqs = range(first, first + len(targets))
    ages = repeat(bundle.committed_at, len(targets))
    columns = zip(targets, ids, wires, items, seqs, ages, companions, strict=True)
    return list(map(_make, columns))


def verdicts(kept: Kept, code: str, reason: str) -> list[Verdict]:
    """Return why the pending records of a bundle become dead letters."""
    first = kept.number * BUNDLE
    marks = kept.marks or bytes(kept.records)
    dead = []
    for index, mark in enumerate(marks):
        if mark != GONE:
            dead.append(Verdict(first + index, code, reason))
    return dead


def _runs(records: Iterable[Record]) -> list[list[Record]]:
    """Return records by lane, a new run wherever the operation changes."""
    runs: list[list[Record]] = []
    last: dict[str, list[Record]] = {}
    for target, group in groupby(records, target_of):
        run = last.get(target.lane)
        if run is None or run[0].target.operation != target.operation:
            run = last[target.lane] = []
            runs.append(run)
        run += group
    return runs


def _keys(records: Sequence[Record], digests: bytes | None) -> bytes:
    """Return the keys of identifiers; `digests`: what these are, if all of them are digests."""
    if digests is not None:
        return _heads(digests)
    keys: list[bytes] = []
    for record in records:
        keys += map(_key, record.wires, record.ids)
    return b"".join(keys)


def _key(wire: str, identifier: str) -> bytes:
    digest = digests_of([identifier])
    if digest is not None:
        return _heads(digest)
    text = f"{wire}\0{identifier}".encode()
    return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()


def _heads(digests: bytes) -> bytes:
    """Return the first bytes of each digest: they are as good as another digest of it."""
    words = array("Q", digests)
    return words[:: DIGEST_BYTES // KEY_BYTES].tobytes()
