"""What we send, read and written again by the vendor's own models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from connector.definitions.catalog import Catalog
from connector.testing import run_case
from connector.testing.case import load_cases
from tests.kit import ROOT
from tests.witness.kit import Client, row_of

#: From a path and the JSON of a body to the JSON that the library makes of it. It may raise anything.
Reader = Callable[[str, Any], Any]


@dataclass(frozen=True)
class Reading:
    """How many bodies a library read, and where those that it wrote are different.

    `differences` counts the bodies, by the member that is different.
    """

    client: Client
    bodies: int
    alike: int
    differences: Mapping[str, int]


def reading_of(client: Client, destination: str, read: Reader) -> Reading:
    """Let a library read the bodies of all cases of a destination."""
    sent = bodies_of(destination)
    differences: Counter[str] = Counter()
    alike = 0
    for path, text in sent:
        body = json.loads(text)
        different = _differences_of(path, body, read)
        differences.update(different)
        alike += not different
    return Reading(client, len(sent), alike, differences)


def summary_of(reading: Reading) -> str:
    """Return a reading as one row of the table of all."""
    named = reading.bodies - reading.alike
    return row_of(*reading.client.cells, reading.bodies, reading.alike, named)


def bodies_of(destination: str) -> list[tuple[str, bytes]]:
    """Return the path and the body of every request of a destination's cases, each once."""
    catalog = Catalog(())
    bodies = {}
    for path in sorted((ROOT / "tests" / "cases").glob("*.case.yaml")):
        if f"destination: {destination}\n" not in path.read_text("utf-8"):
            continue
        for case in load_cases(path, catalog):
            for attempt in run_case._run(case).attempts:
                request = attempt.request
                bodies[urlsplit(request.url).path, request.body] = None
    return list(bodies)


def _differences_of(path: str, body: Any, read: Reader) -> set[str]:
    try:
        written = read(path, body)
    except Exception as error:  # noqa: BLE001 - each library has errors of its own
        return {f"refused by `{type(error).__name__}`"}
    return set(different(body, written))


def different(sent: Any, written: Any, name: str = "") -> Iterator[str]:
    """Yield the members that are not the same in two JSON values."""
    if isinstance(sent, dict) and isinstance(written, dict):
        for key in sent.keys() | written.keys():
            yield from different(sent.get(key), written.get(key), key)
    elif isinstance(sent, list) and isinstance(written, list) and len(sent) == len(written):
        for one, other in zip(sent, written, strict=True):
            yield from different(one, other, name)
    elif sent != written or type(sent) is not type(written):
        yield name
