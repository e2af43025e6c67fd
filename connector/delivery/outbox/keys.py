"""The digests of identifiers, as an outbox keeps them.

Those of a bundle are one text of bytes: how many each record has, then all of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

#: How many bytes the digest of an identifier has.
KEY_BYTES = 8


def pack_keys(counts: Sequence[int], digests: bytes) -> bytes:
    """Return the keys of a bundle: record i has the next `counts[i]` of the digests."""
    if len(digests) != KEY_BYTES * sum(counts):
        raise ValueError("a key has 8 bytes")
    return struct.pack(f">{len(counts)}H", *counts) + digests


def unpack_keys(keys: bytes, records: int) -> list[bytes]:
    """Return the digests of each record, one behind the other."""
    end = 2 * records
    digests = []
    for count in struct.unpack(f">{records}H", keys[:end]):
        start, end = end, end + count * KEY_BYTES
        digests.append(keys[start:end])
    return digests


def key_numbers(digests: bytes) -> tuple[int, ...]:
    """Return digests, one behind the other, as the numbers that are looked up."""
    return struct.unpack(f">{len(digests) // KEY_BYTES}q", digests)
