"""What a run left undelivered and was sent later: an audience ends as if all events had been applied in order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import connector
from connector.connection.model import Connection
from connector.delivery.report import Report
from connector.model import Event, Record
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW, FakeClock
from tests.kit.memory_vendor import Vendor
from tests.kit.records import People, applied, connection, tries
from tests.laws.test_delivery import AUDIENCES, ROUTES, url
from tests.laws.test_delivery import events as some_events

#: What a vendor says when nothing can be delivered, and what it says when it can.
OUTAGE = ["503", "401", "403", "broken", "honest", "honest"]
#: A run ends early after so many requests.
ENDS = st.none() | st.integers(1, 4)


def send(
    here: Connection, events: Any, vendor: Vendor, clock: FakeClock, undelivered: Path
) -> Report:
    return connector.send(
        here, events, transport=vendor, clock=clock, retries=0, undelivered=undelivered
    )


def members(here: Connection, rows: Iterable[Mapping[str, Any]]) -> dict[str, People]:
    """Return who is in each audience when one event after the other is applied."""
    chunk = [Event(number, dict(row)) for number, row in enumerate(rows, 1)]
    records = [one for one in Pipeline(here).prepare(chunk, NOW) if isinstance(one, Record)]
    found = {}
    for audience in AUDIENCES:
        own = [record for record in records if record.target.url == url(audience)]
        found[url(audience)] = applied(frozenset(), own)
    return found


@pytest.mark.parametrize("concurrency", [1, 4])
def test_what_was_left_is_sent_in_the_order_of_the_events(concurrency: int) -> None:
    left = 0

    @given(
        some_events(20),
        st.integers(1, 5),
        st.lists(st.lists(st.sampled_from(OUTAGE), max_size=4), min_size=2, max_size=2),
        st.lists(ENDS, max_size=3),
    )
    @tries(12)
    def law(
        rows: list[dict[str, Any]], most: int, faults: list[list[str]], ends: list[int | None]
    ) -> None:
        nonlocal left
        rows = [{**row, "id": None} for row in rows]
        limits = {"records": most, "concurrency": concurrency}
        here = connection(ROUTES, limits=limits)
        clock = FakeClock()
        vendor = Vendor(clock, dict(zip(map(url, AUDIENCES), faults, strict=True)))
        with TemporaryDirectory() as folder:
            source: Any = rows
            total = settled = left_before = 0
            for number in range(20):
                clock.left = ends[number] if number < len(ends) else None
                file = Path(folder, f"{number}.ndjson")
                report = send(here, source, vendor, clock, file)
                counts = report.counts
                assert counts.rejected == 0
                # What is in the file is all that is left, and nothing but what is left.
                assert report.undelivered_file is not None
                assert report.undelivered_file.records == counts.undelivered
                assert file.exists() == bool(counts.undelivered)
                if number:
                    assert counts.events == counts.records == left_before
                else:
                    total = counts.records
                settled += counts.delivered + counts.superseded
                left_before = counts.undelivered
                left += counts.undelivered
                source = file
                if not counts.undelivered:
                    break
            assert left_before == 0
            assert settled == total
        expected = members(here, rows)
        assert {address: vendor.people[address] for address in expected} == expected

    law()
    assert left > 10
