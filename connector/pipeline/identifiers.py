"""Identifiers: from one raw value of an event to the value that the vendor is sent.

Normalise, then hash; never the other way round, and never the empty text.
"""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import Any

from connector._util.words import SPELLINGS, why_no_value
from connector.definitions.model import Identifier
from connector.pipeline.dropped import DroppedError
from connector.pipeline.normalise import Normalise, normaliser
from connector.pipeline.texts import encode

#: From a raw value to its wire value, which is never "". It may raise DroppedError.
Identify = Callable[[Any], str]

HashFunction = Callable[[bytes], Any]

_is_hexadecimal = re.compile(r"[0-9a-fA-F]+").fullmatch


class Hash:
    """A hash function whose digests are written in `digits` hexadecimal digits."""

    def __init__(self, function: HashFunction, digits: int) -> None:
        self.function = function
        self.digits = digits

    @cached_property
    def of_placeholders(self) -> frozenset[str]:
        """The digests of the empty text and of the placeholders."""
        return frozenset(self.function(word.encode()).hexdigest() for word in SPELLINGS)

    def suspects(self, normalise: Normalise) -> frozenset[str]:
        """Return the digests that a placeholder may have become, once it was normalised.

        Somebody's value may have become one as well: both `n/a` and `Na` can be `na` then.
        """
        digests = set(self.of_placeholders)
        for word in SPELLINGS:
            with suppress(DroppedError):
                digests.add(self.function(normalise(word).encode()).hexdigest())
        return frozenset(digests)

    def is_digest(self, value: object) -> bool:
        """Return whether a value looks like a digest, white space around it aside."""
        if not isinstance(value, str):
            return False
        value = value.strip()
        return len(value) == self.digits and _is_hexadecimal(value) is not None


def _sha256() -> HashFunction:
    """Return Python's own SHA-256, which is faster for short texts.

    OpenSSL's, which `hashlib` prefers, takes a fifth more time for them.
    """
    for module in ("_sha2", "_sha256"):  # since Python 3.12; before
        with suppress(ImportError):
            function: HashFunction = importlib.import_module(module).sha256
            return function
    return hashlib.sha256


#: The hash functions that `hash` can name.
HASHES: Mapping[str, Hash] = {"sha256": Hash(_sha256(), 64)}

#: The name of the hash that takes a key.
KEYED = "hmac_sha256"

# Of SHA-256, in bytes.
_BLOCK = 64


def keyed_hash(key: bytes) -> Hash:
    """Return HMAC-SHA-256 with a key (RFC 2104).

    What only depends on the key is done once, which halves the time of Python's `hmac`.
    """
    sha256 = HASHES["sha256"].function
    block = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
    inner_start = sha256(bytes(byte ^ 0x36 for byte in block))
    outer_start = sha256(bytes(byte ^ 0x5C for byte in block))

    def hmac_sha256(message: bytes) -> Any:
        inner = inner_start.copy()
        inner.update(message)
        outer = outer_start.copy()
        outer.update(inner.digest())
        return outer

    return Hash(hmac_sha256, HASHES["sha256"].digits)


def identify(
    identifier: Identifier, *, prehashed: bool | str, hashes: Mapping[str, Hash] = HASHES
) -> Identify:
    """Return the function that makes a parameter's wire value.

    prehashed: False hashes every value, True expects a digest, "auto" hashes what is not a digest.
    """
    if identifier.hash == "none":
        return _plain(normaliser(identifier))

    hashing = hashes[identifier.hash]
    digest = _digest(hashing)
    if prehashed is True:
        return digest

    hashed = _hashed(hashing, normaliser(identifier))
    if prehashed != "auto":
        return hashed

    def digest_or_hashed(value: Any) -> str:
        return digest(value) if hashing.is_digest(value) else hashed(value)

    return digest_or_hashed


def _plain(normalise: Normalise) -> Identify:
    def plain(value: Any) -> str:
        text = _normalised(normalise, as_text(value))
        if not text.isascii():
            encode(text)  # half of a surrogate pair is none
        return text

    return plain


def _hashed(hashing: Hash, normalise: Normalise) -> Identify:
    def hashed(value: Any) -> str:
        given = as_text(value)
        if hashing.is_digest(given):
            raise DroppedError("already_hashed")

        text = _normalised(normalise, given)
        digest: str = hashing.function(encode(text)).hexdigest()
        return digest

    return hashed


def _normalised(normalise: Normalise, given: str) -> str:
    """Return the normal form. Raise DroppedError; also for a text that stands for no value.

    That is asked of what was given, too: `n/a` without its sign is Namibia.
    """
    text = normalise(given)
    if not text:
        raise DroppedError("empty")
    reason = why_no_value(text)
    if not reason and text != given:
        reason = why_no_value(given)
    if reason:
        raise DroppedError(reason)
    return text


def _digest(hashing: Hash) -> Identify:
    def digest(value: Any) -> str:
        if not hashing.is_digest(value):
            raise DroppedError("not_a_digest")

        text: str = value.strip().lower()
        if text in hashing.of_placeholders:
            raise DroppedError("placeholder")
        return text

    return digest


def as_text(value: Any) -> str:
    """Return an id as exact decimal text.

    Raise DroppedError for any other type than text or a whole number.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        raise DroppedError("not_exact")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    raise DroppedError("not_text")
