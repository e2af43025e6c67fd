"""The keys of exports: from a connection's reference to the hash that takes the key.

No message quotes a key, or says which part of it is wrong.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping

from connector.connection.model import Connection
from connector.definitions.exports import Export, Key
from connector.errors import ConfigError, Problem
from connector.pipeline.identifiers import HASHES, KEYED, Hash, keyed_hash


def hashes_of(connection: Connection, export: Export) -> Mapping[str, Hash]:
    """Return the hash functions that the identifiers of an export can name.

    Raise ConfigError (C204, C216) for a key that is missing or cannot be read.
    """
    key = export.key
    if key is None:
        return HASHES
    text = connection.key_text(key)
    try:
        return {**HASHES, KEYED: keyed_hash(_decoded(text, key))}
    except ValueError as error:
        message, _, hint = str(error).partition("; ")
        pointer = f"/credentials/{key.credential}"
        raise ConfigError([Problem("C216", connection.file, pointer, message, hint)]) from None


def _decoded(text: str, key: Key) -> bytes:
    """Return the bytes that a text stands for. Raise ValueError, which quotes nothing."""
    decode = bytes.fromhex if key.encoding == "hex" else _from_base64
    try:
        found = decode(text)
    except ValueError:
        raise ValueError(
            f"the key is not {key.encoding} text; store it as it came, and nothing else"
        ) from None
    if key.size is not None and len(found) != key.size:
        raise ValueError(
            f"the key has {len(found)} bytes, and {key.size} are expected; "
            f"store all of its {key.encoding} text, and nothing else"
        )
    return found


def _from_base64(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
