"""Records as an outbox keeps them, and back."""

from __future__ import annotations

import hashlib
import re

from connector.connection.model import Connection
from connector.delivery.outbox.model import KEY_BYTES, Entry, Kept, Verdict
from connector.model import Record
from connector.pipeline.prepared import OtherDefinitionError, PreparedError, PreparedRecords

# A digest is as good as another digest of it.
_DIGEST = re.compile("[0-9a-f]{64}").fullmatch


class Entries:
    """Writes and reads the entries of one connection, which has this name in the outbox."""

    def __init__(self, name: str, connection: Connection) -> None:
        self._name = name
        self._prepared = PreparedRecords(connection)

    def write(self, record: Record) -> Entry:
        """Return a record as an entry."""
        target = record.target
        keys = tuple(map(_key, record.wires, record.ids))
        payload = self._prepared.write(record)
        return Entry(self._name, target.lane, target.operation, keys, payload)

    def read(self, kept: Kept) -> Record | Verdict:
        """Return a pending record, or why it can never be sent.

        Its `event_id` is its number in the lane, and it is as old as its commit.
        """
        try:
            record = self._prepared.read(kept.payload)
        except OtherDefinitionError as error:
            return Verdict(kept.seq, "other_definition", str(error))
        except PreparedError as error:
            return Verdict(kept.seq, "other_connection", str(error))
        target, ids, wires, item, _, _, companions = record
        return Record(target, ids, wires, item, kept.seq, kept.committed_at, companions)


def _key(wire: str, identifier: str) -> bytes:
    if _DIGEST(identifier):
        return bytes.fromhex(identifier[: 2 * KEY_BYTES])
    text = f"{wire}\0{identifier}".encode()
    return hashlib.blake2b(text, digest_size=KEY_BYTES).digest()
