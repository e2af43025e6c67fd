"""The formats, by name and by the endings of files' names.

| ending | format |
|---|---|
| `.ndjson`, `.jsonl` | one JSON object on each line |
| `.json` | one array of objects |
| `.csv` | a header and rows |
| `.parquet` | a table; needs the extra `parquet` |

All but Parquet may be packed (`.ndjson.gz`, `.csv.zst`).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from connector.errors import SourceError
from connector.model import FieldPath, InputOptions
from connector.sources.csv import csv_rows
from connector.sources.json_array import json_array
from connector.sources.ndjson import ndjson
from connector.sources.opening import STANDARD_INPUT
from connector.sources.packed import MAGIC
from connector.sources.prepared import PREPARED, prepared_lines
from connector.sources.reading import Chunk, Input

Reads = Collection[FieldPath] | None

#: How the text of each format is read. A further one is one more entry, and its endings.
READERS: dict[str, Callable[[Input, InputOptions, Reads], Iterator[Chunk]]] = {
    "ndjson": lambda read, options, reads: ndjson(read),
    "json": lambda read, options, reads: json_array(read),
    "csv": csv_rows,
    PREPARED: lambda read, options, reads: prepared_lines(read),
}
#: The one format that is no text.
PARQUET = "parquet"

_ENDINGS = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "json",
    ".csv": "csv",
    ".parquet": PARQUET,
}


class Form(NamedTuple):
    """What a file's name and the options say of it. `packed`: its ending, a key of `MAGIC`."""

    format: str
    packed: str


def form_of(path: str, options: InputOptions) -> Form:
    """Return the format of an input. Raise SourceError when nothing says it."""
    if path == STANDARD_INPUT:
        return Form(options.format or "ndjson", "")

    ending, packed = _ending(path)
    name = options.format or _ENDINGS.get(ending)
    if name == PARQUET and packed:
        raise SourceError(f"Parquet is read as it is, not {packed}; unpack the file")
    if name:
        return Form(name, packed)

    ending += packed
    problem = f"unknown file format '{ending}'" if ending else "the name has no file extension"
    raise SourceError(f"{problem}; expected {_expected()}, or name the format with --input-format")


def has_form(path: str, options: InputOptions) -> bool:
    """Return whether a file's name or the options say its format."""
    ending, _ = _ending(path)
    return bool(options.format) or ending in _ENDINGS


def _ending(path: str) -> tuple[str, str]:
    """Return the ending that says the format, and the one that says how the file is packed."""
    name = Path(path).name.lower()
    packed = ""
    for ending in MAGIC:
        if name.endswith(ending):
            packed = ending
    _, dot, extension = name.removesuffix(packed).rpartition(".")
    return dot + extension if dot else "", packed


def _expected() -> str:
    texts = [ending for ending, name in _ENDINGS.items() if name != PARQUET]
    packed = " or ".join(MAGIC)
    return f"{', '.join(texts)} (each optionally {packed}) or .parquet"
