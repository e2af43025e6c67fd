"""Times: one text for one instant, in the order of time; spans and sizes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector._util import times

CANONICAL = [
    ("2026-01-15T00:00:00Z", "2026-01-15T00:00:00Z"),
    ("2026-01-15t00:00:00z", "2026-01-15T00:00:00Z"),
    ("2026-01-15 00:00:00Z", "2026-01-15T00:00:00Z"),
    (" 2026-01-15T00:00:00Z\n", "2026-01-15T00:00:00Z"),
    ("2026-01-15T00:00Z", "2026-01-15T00:00:00Z"),
    ("2026-01-15T02:00:00+02:00", "2026-01-15T00:00:00Z"),
    ("2026-01-14T18:30:00-05:30", "2026-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00-00:00", "2026-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00.999999999Z", "2026-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00.1+00:00", "2026-01-15T00:00:00Z"),
    ("2026-01-15T02:00:00+0200", "2026-01-15T00:00:00Z"),
    ("2026-01-14 18:30:00.5-0530", "2026-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00+00", "2026-01-15T00:00:00Z"),
    ("2026-01-14T22:00-02", "2026-01-15T00:00:00Z"),
    ("2024-02-29T23:59:59Z", "2024-02-29T23:59:59Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59Z"),
]
NAIVE = ["2026-01-15", "2026-01-15T00:00:00", "2026-01-15 00:00", "2026-01-15T00:00:00.5"]
NO_TIME = ["", "now", "15.01.2026", "2026-1-15T00:00:00Z", "1768435200", "2026-01-15T00:00:00+020", "2026-01-15T00:00:00+2", "2026-01-15T00Z", "26-02-15T00:00:00Z", "2026-02-15T00:00:00Z x"]  # fmt: skip
NO_MOMENT = ["2026-02-30T00:00:00Z", "2026-13-01T00:00:00Z", "2026-01-15T25:00:00Z", "2026-01-15T00:00:00+25:00", "2026-01-15T00:00:00+25", "2025-02-29T00:00:00Z", "0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "0000-01-01T00:00:00Z"]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CANONICAL)
def test_canonical(text: str, expected: str) -> None:
    assert times.canonical(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        *((t, "no UTC offset") for t in NAIVE),
        *((t, "not an RFC 3339") for t in NO_TIME),
        *((t, "not a valid date and time") for t in NO_MOMENT),
    ],
)
def test_what_is_no_time(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        times.canonical(text)
    assert not text or text not in str(caught.value)


OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=OFFSETS)  # noqa: DTZ001 - hypothesis asks for naive ones


@given(MOMENTS)
def test_canonical_is_idempotent_and_keeps_the_instant(moment: datetime) -> None:
    text = times.canonical(moment.isoformat())
    assert times.canonical(text) == text
    assert len(text) == 20
    assert datetime.fromisoformat(text) == moment.astimezone(UTC).replace(microsecond=0)


@given(MOMENTS, MOMENTS)
def test_the_order_of_texts_is_the_order_of_time(first: datetime, second: datetime) -> None:
    first, second = first.replace(microsecond=0), second.replace(microsecond=0)
    a, b = times.canonical(first.isoformat()), times.canonical(second.isoformat())
    assert (a < b, a == b) == (first < second, first == second)


@given(st.integers(0, 4_000_000_000))
def test_seconds_since_the_epoch_and_back(seconds: int) -> None:
    assert times.to_epoch(times.from_epoch(seconds)) == seconds
    assert times.from_epoch(seconds + 0.75) == times.from_epoch(seconds)


PLUS = [
    ("2026-01-15T00:00:00Z", "P12M", "2027-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00Z", "P13M", "2027-02-15T00:00:00Z"),
    ("2026-01-15T00:00:00Z", "P1Y", "2027-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00Z", "P1Y2M3W4DT5H6M7S", "2027-04-09T05:06:07Z"),
    ("2026-01-31T00:00:00Z", "P1M", "2026-02-28T00:00:00Z"),
    ("2024-01-31T00:00:00Z", "P1M", "2024-02-29T00:00:00Z"),
    ("2024-02-29T00:00:00Z", "P12M", "2025-02-28T00:00:00Z"),
    ("2026-11-30T00:00:00Z", "P3M", "2027-02-28T00:00:00Z"),
    ("2026-12-15T00:00:00Z", "P1M", "2027-01-15T00:00:00Z"),
    ("2026-01-15T00:00:00Z", "P30D", "2026-02-14T00:00:00Z"),
    ("2026-01-15T00:00:00Z", "PT6H", "2026-01-15T06:00:00Z"),
    ("2026-01-15T00:00:00Z", "P2W", "2026-01-29T00:00:00Z"),
    ("2026-01-15T02:00:00+02:00", "PT0S", "2026-01-15T00:00:00Z"),
]


@pytest.mark.parametrize(("text", "duration", "expected"), PLUS)
def test_plus(text: str, duration: str, expected: str) -> None:
    assert times.plus(text, duration) == expected


@pytest.mark.parametrize(
    "duration",
    ["", "P", "PT", "P1", "1M", "P1S", "PT1D", "P-1M", "P1.5M", "P1M2Y", "P1DT", "p1m", "P1H"],
)
def test_what_is_no_duration(duration: str) -> None:
    with pytest.raises(ValueError, match="not an ISO 8601 duration"):
        times.plus("2026-01-15T00:00:00Z", duration)


@pytest.mark.parametrize("duration", ["P9999Y", "P99999M", "P999999D", "P9999W"])
def test_what_leads_out_of_the_calendar(duration: str) -> None:
    with pytest.raises(ValueError, match="outside the years 1 to 9999"):
        times.plus("9990-01-15T00:00:00Z", duration)


@given(MOMENTS, st.integers(0, 24))
def test_months_are_added_as_a_calendar_does(moment: datetime, months: int) -> None:
    start = moment.astimezone(UTC)
    moved = datetime.fromisoformat(times.plus(moment.isoformat(), f"P{months}M"))
    assert (moved.year * 12 + moved.month) - (start.year * 12 + start.month) == months
    assert moved.time() == start.time().replace(microsecond=0)
    assert moved.day == start.day or (
        moved.day < start.day and (moved + timedelta(days=1)).day == 1
    )


SPANS = [
    ("90s", 90),
    ("60m", 3600),
    ("8h", 28_800),
    ("1d", 86_400),
    (5, 5),
    (" 5 m ", 300),
    ("1 s", 1),
]


@pytest.mark.parametrize(("value", "expected"), SPANS)
def test_span(value: int | str, expected: float) -> None:
    found = times.span(value)
    assert (found, type(found)) == (expected, float)


@pytest.mark.parametrize("value", ["", "5", "0s", "-5s", "1.5h", "5w", "s", "5 minutes", 0, -1])
def test_what_is_no_span(value: int | str) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        times.span(value)


SIZES = [
    ("2MB", 2_000_000),
    ("500kB", 500_000),
    ("500KB", 500_000),
    ("1GB", 10**9),
    ("7B", 7),
    ("7", 7),
    (7, 7),
    (" 2 MB ", 2_000_000),
]


@pytest.mark.parametrize(("value", "expected"), SIZES)
def test_size(value: int | str, expected: int) -> None:
    assert times.size(value) == expected


@pytest.mark.parametrize("value", ["", "0", "MB", "-2MB", "1.5MB", "2MiB", "2mb", 0, -1])
def test_what_is_no_size(value: int | str) -> None:
    with pytest.raises(ValueError, match="is not a size"):
        times.size(value)
