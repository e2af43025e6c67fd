"""How the input is written, as a connection file or the command line says it."""

from __future__ import annotations

import codecs
from collections.abc import Mapping

from connector.model import InputOptions

_TAB = ("tab", "\\t")
# UTF-16 without a byte order mark means another order of bytes on other machines: spreadsheets
# write the little end first.
_LITTLE_ENDIAN = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
# Python's own notations, which it counts as text encodings.
_NOTATIONS = ("idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape", "utf-7")


def input_options(document: Mapping[str, str]) -> InputOptions:
    """Return the options of a connection's `input`. Raise ValueError as `encoding_name` does."""
    delimiter = document.get("delimiter")
    encoding = document.get("encoding")
    return InputOptions(
        format=document.get("format"),
        delimiter="\t" if delimiter in _TAB else delimiter,
        encoding=encoding_name(encoding) if encoding else None,
        quote=document.get("quote"),
    )


def encoding_name(name: str) -> str:
    """Return Python's name of a text encoding. Raise ValueError when there is none of that name."""
    try:
        codec = codecs.lookup(name)
        "".encode(name)  # refuses what is no text encoding
    except (LookupError, ValueError, UnicodeError):
        raise ValueError(f"unknown encoding '{name}'") from None

    known = codec.name.replace("_", "-")
    if known in _NOTATIONS or codec.incrementaldecoder is None:
        raise ValueError(f"unknown encoding '{name}'")
    return _LITTLE_ENDIAN.get(known, known)
