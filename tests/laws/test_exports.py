"""Exports: a line for each record, in the order of the events, whatever they are and however they are read."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hypothesis import given
from hypothesis import strategies as st

import connector
from connector.exports.lines import LinePreparer
from connector.pipeline.identifiers import HASHES, KEYED, keyed_hash
from tests.kit.exports import MATCH, PARTNER, SECRET_BYTES, TARGETING, exported, exporting, keyed
from tests.kit.records import tries

EMAILS = st.sampled_from(["ann@example.com", " BOB@example.com", "cyd@example.com", "no", "", None])
IDS = st.one_of(
    st.text("abc,\"\t\n ü'%&=", max_size=4),
    st.sampled_from(["u1", "u2", None, 7]),
)
EVENTS = st.lists(
    st.fixed_dictionaries(
        {"id": st.one_of(IDS, st.lists(IDS, max_size=2))},
        optional={
            "email": st.one_of(EMAILS, st.lists(EMAILS, max_size=3)),
            "score": st.sampled_from([0, 100, "55", 101, "x", None]),
            "label": st.sampled_from(["Shoes", "a\tb", "", 'the "best"']),
        },
    ),
    max_size=8,
)
CONNECTION = exporting(
    Path(tempfile.mkdtemp()),
    full_data_match={"map": {**MATCH, "handle": {"from": "nobody"}}},
    web_targeting={"map": TARGETING},
    sync_pixel={"map": PARTNER},
)


def many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def ids_of(event: dict[str, Any], forbidden: str) -> list[str]:
    """Return the ids of an event that can be written, each once."""
    found: dict[str, None] = {}
    for one in many(event["id"]):
        text = str(one).strip() if one is not None else ""
        if text and not set(forbidden) & set(text):
            found[text] = None
    return list(found)


@given(EVENTS)
@tries(200)
def test_the_match_file_is_that_of_a_loop(events: list[dict[str, Any]]) -> None:
    expected = []
    for event in events:
        emails: dict[str, None] = {}
        for one in many(event.get("email")):
            if one and "@" in one:
                emails[one.strip().lower()] = None
        for email in emails:
            expected += [f"{keyed(email)},{one}" for one in ids_of(event, ',"\t\n')]
    lines, report = exported(CONNECTION, "full_data_match", events)
    assert lines == expected
    counts = report.counts
    assert counts.records == len(lines) + counts.rejected
    assert counts.events == len(events)
    assert counts.identifiers_dropped == sum(report.dropped.values())


@given(EVENTS)
@tries(200)
def test_every_line_can_be_read_back(events: list[dict[str, Any]]) -> None:
    lines, report = exported(CONNECTION, "web_targeting", events)
    cells = [line.split("\t") for line in lines]
    assert {len(row) for row in cells} <= {5}
    assert all(row[:2] == ["111", "@adsapi"] and row[2] for row in cells)
    assert {row[3] for row in cells} <= {"", "0", "100", "55"}
    assert report.counts.records == len(lines) + report.counts.rejected

    urls, _ = exported(CONNECTION, "sync_pixel", events)
    read = [parse_qs(urlsplit(url).query, strict_parsing=True) for url in urls]
    expected = [one for event in events for one in ids_of(event, "")]
    assert [(one["p_id"], one["p_user_id"]) for one in read] == [
        (["111"], [one]) for one in expected
    ]


@given(EVENTS, st.integers(1, 4))
@tries(100)
def test_it_does_not_matter_how_many_are_prepared_at_once(
    events: list[dict[str, Any]], size: int
) -> None:
    hashes = {**HASHES, KEYED: keyed_hash(SECRET_BYTES)}
    for mapped in CONNECTION.exports.values():
        whole = LinePreparer(mapped, {}, hashes)
        parts = LinePreparer(mapped, {}, hashes)
        together = whole.prepare(events, range(len(events)), 0.0)
        apart: list[Any] = []
        for start in range(0, len(events), size):
            part = events[start : start + size]
            apart += parts.prepare(part, range(start, start + len(part)), 0.0)
        assert apart == together
        assert (parts.dropped, parts.lost) == (whole.dropped, whole.lost)


def test_memory_does_not_grow_with_the_events() -> None:
    class Sink(io.RawIOBase):
        largest = 0

        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            self.largest = max(self.largest, len(data))
            return len(data)

    def events() -> Any:
        for number in range(60_000):
            yield {"id": f"u{number}"}

    sink = Sink()
    report = connector.export(CONNECTION, "sync_pixel", events(), into=sink)  # type: ignore[arg-type]
    assert report.counts.delivered == 60_000
    assert sink.largest < report.counts.bytes / 4
