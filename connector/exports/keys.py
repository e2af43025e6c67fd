"""The keys of exports: from a connection's reference to the hash that takes the key.

No message quotes a key, or says which part of it is wrong.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from functools import partial

from connector.connection.model import Connection
from connector.definitions.exports import Export, Key
from connector.errors import ConfigError, Problem
from connector.pipeline.identifiers import HASHES, KEYED, Hash, keyed_hash

_DECODERS: Mapping[str, Callable[[str], bytes]] = {
    "base64": partial(base64.b64decode, validate=True),
    "hex": bytes.fromhex,
}


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
    found = _bytes_of(text, key.encoding)
    if found is not None and key.size in (None, len(found)):
        return found

    if found is None:
        message = f"the key is not {key.encoding} text"
        hint = "store it as it came, and nothing else"
    else:
        message = f"the key has {len(found)} bytes, and {key.size} are expected"
        hint = f"store all of its {key.encoding} text, and nothing else"
    for other in _DECODERS:
        mistaken = _bytes_of(text, other)
        if mistaken is not None and len(mistaken) == key.size:
            hint = f"it may be {other} text: write the same bytes as {key.encoding}"
    raise ValueError(f"{message}; {hint}")


def _bytes_of(text: str, encoding: str) -> bytes | None:
    try:
        return _DECODERS[encoding](text)
    except ValueError:
        return None
