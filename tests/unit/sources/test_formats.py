"""Formats that are more than lines: JSON arrays, CSV, Parquet."""

from __future__ import annotations

import gzip
import itertools
import re
import sys
from pathlib import Path

import pytest

from connector.errors import SourceError
from connector.model import Event, Unreadable
from connector.sources import parquet as parquet_module
from connector.sources.files import BLOCK_BYTES, open_source
from connector.sources.reading import MAX_EVENT_BYTES


def read(path: Path, **options: int) -> list[Event | Unreadable]:
    with open_source(str(path), **options) as source:
        return list(itertools.chain.from_iterable(source))


def data(path: Path, **options: int) -> list[dict]:
    """Return the events of an input in which every entry is an event."""
    entries = read(path, **options)
    assert [type(entry) for entry in entries] == [Event] * len(entries)
    return [entry.data for entry in entries]


def short(entries: list[Event | Unreadable]) -> list:
    """Return events as their data and the rest as (position, reason)."""
    return [entry.data if isinstance(entry, Event) else tuple(entry) for entry in entries]


@pytest.fixture
def write(tmp_path: Path):
    def write_(name: str, content: bytes | str) -> Path:
        content = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write_


# JSON arrays ---------------------------------------------------------------------------------------------------------

NOT_READ = "; the rest of this input was not read"
NO_ARRAY = (
    "not a JSON array: .json is one array of objects, .ndjson one object on each line" + NOT_READ
)
OPEN = "unexpected end of input: the array is not closed" + NOT_READ
AFTER = "unexpected content after the end of the array" + NOT_READ
BAD_ARRAYS = [
    ('{"a":1}', [(1, NO_ARRAY)]),
    ("12", [(1, NO_ARRAY)]),
    ('[{"a":1}', [(1, OPEN)]),
    ("[", [(1, OPEN)]),
    ('[{"a":1},{"b":"}', [{"a": 1}, (2, OPEN)]),
    ('[{"a":1}] x', [{"a": 1}, (2, AFTER)]),
    ('[{"a":1}][]', [{"a": 1}, (2, AFTER)]),
    ('[{"a":1}}', [{"a": 1}, (2, "invalid JSON: unmatched closing brace" + NOT_READ)]),
    (
        '[{"a":1},2,{"a":3}]',
        [{"a": 1}, (2, "expected a JSON object, got a number"), {"a": 3}],
    ),
    ('[[{"a":1},{"b":2}],{"a":3}]', [(1, "expected a JSON object, got an array"), {"a": 3}]),
    ('[{"a":[{"b":1},{"b":2}]},{"a":"},{"}]', [{"a": [{"b": 1}, {"b": 2}]}, {"a": "},{"}]),
    (
        "[%s]" % ('{"a":"' + "x" * MAX_EVENT_BYTES + '"}'),
        [(1, "longer than 4,194,304 bytes" + NOT_READ)],
    ),
]


@pytest.mark.parametrize(("content", "expected"), BAD_ARRAYS, ids=range(len(BAD_ARRAYS)))
def test_an_array_is_read_as_far_as_it_is_one(write, content, expected) -> None:
    assert short(read(write("bad.json", content))) == expected
    assert short(read(write("bad.json.gz", "\ufeff\n " + content))) == expected


@pytest.mark.parametrize(
    "bad",
    ['{"a" 1}', '{"a":1,}', "", "{'a':1}", '{"a":1} {"b":1}', "NaN", '{"a":NaN}', '{"a":[-Infinity]}', "nope"],
)  # fmt: skip
def test_an_element_that_is_not_json_is_one_unreadable_and_reading_goes_on(write, bad) -> None:
    for block in (1, 7, BLOCK_BYTES):
        path = write("bad.json", '[{"a":1},' + bad + ',{"a":3}]')
        first, second, third = read(path, block_bytes=block)
        assert (first, second.position, third) == (Event(1, {"a": 1}), 2, Event(3, {"a": 3}))
        assert re.fullmatch(r"invalid JSON: .+ at character \d+", second.reason)


@pytest.mark.parametrize("bad", ['{"a":[1}]', '{"a":1]', '{"a":"x"y"}', "{'a':'it\"s'}"])
def test_where_an_element_ends_is_not_guessed(write, bad) -> None:
    content = '[{"a":1},' + bad + ',{"a":3},{"a":4}]'
    *events, last = read(write("bad.json", content))
    assert events == [Event(1, {"a": 1})]
    assert last.position == 2
    assert last.reason.endswith(NOT_READ)


@pytest.mark.parametrize(
    "bad", [b'{"a":"\xff"}', b'{"a":"\\ud800"}', b'{"a":1e999}', b'{"a":' + b"1" * 5000 + b"}"]
)
def test_after_an_element_that_is_json_in_form_reading_goes_on(write, bad) -> None:
    entries = read(write("bad.json", b'[{"a":1},' + bad + b',{"a":3}]'))
    assert [type(entry) for entry in entries] == [Event, Unreadable, Event]
    assert entries[2].position == 3


# CSV -----------------------------------------------------------------------------------------------------------------


def test_csv_gives_texts_nested_by_the_dots_of_the_header(write) -> None:
    content = '\ufeffid, traits.email ,traits.name.first\r\n01,ann@example.com,"A ""x"",\r\nB"\r\n\r\n2,,\r\n,,c'
    expected = [
        {"id": "01", "traits": {"email": "ann@example.com", "name": {"first": 'A "x",\r\nB'}}},
        {"id": "2"},
        {"traits": {"name": {"first": "c"}}},
    ]
    for name, block in itertools.product(["a.csv", "a.CSV.GZ"], [1, 10, BLOCK_BYTES]):
        assert data(write(name.lower(), content), block_bytes=block) == expected


NUL = (
    "contains a NUL byte; UTF-16 without a byte order mark needs --encoding utf-16,"
    " or 'encoding' under the connection's 'input'"
)
NOT_TEXT = (
    "not text in the expected encoding, which is UTF-8"
    " unless --encoding or the connection's 'input' names another"
)
PLAIN_QUOTES = "; with --quote '' a quote is a character like any other"
UNCLOSED = "a quoted cell is not closed" + PLAIN_QUOTES
ONE_COLUMN = (
    "the header has one column and no comma; name the delimiter: --delimiter '{}',"
    " or 'delimiter' under the connection's 'input'"
)
BAD_ROWS = [
    (b"1", "expected 2 cells, got 1"),
    (b"1,2,3", "expected 2 cells, got 3"),
    (b"1,2,,3", "expected 2 cells, got 4"),
    (b"1,a\0b", NUL),
    (b"1,\xe9", NOT_TEXT),
    (b'1,"a\n\xff"', NOT_TEXT + " (lines 3 to 4)"),
    (b'1,"a"b', "a quoted cell goes on after its closing quote" + PLAIN_QUOTES),
    (b"1," + b"x" * 200_000, "a cell of more than 131,072 characters"),
    (b"1," + b"x" * MAX_EVENT_BYTES, "longer than 4,194,304 bytes"),
    (b'1,"' + b"x\n" * 3 + b"x" * MAX_EVENT_BYTES, "longer than 4,194,304 bytes (lines 3 to 6)"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_bad_row_is_one_unreadable_and_reading_goes_on(write, row, reason) -> None:
    entries = read(write("bad.csv", b"a,b\n1,2\n" + row + b"\n3,4\n"))
    last = 4 + row.count(b"\n")
    assert entries == [
        Event(2, {"a": "1", "b": "2"}),
        Unreadable(3, reason),
        Event(last, {"a": "3", "b": "4"}),
    ]


def test_a_quote_that_is_never_closed_takes_the_rows_it_swallowed_and_says_which(write) -> None:
    entries = read(write("bad.csv", 'a,b\n1,2\n3,"4\n5,6\n'))
    reason = UNCLOSED + " (lines 3 to 4)"
    assert entries[1:] == [Unreadable(3, reason)]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("a,b,a", "columns 1 and 3 have the same name; rename one of them"),
        ("a,,b", "column 2 has no name; name it in the first line"),
        ("a,b..c", "the name of column 2 has an empty part; remove the extra dot"),
        ("secret.b,secret", "column 1 is a member of column 2, which is text; rename one of them"),
        (
            "secret;b",
            ONE_COLUMN.format(";"),
        ),
        (
            "secret\tb",
            ONE_COLUMN.format("tab"),
        ),
        ("a,b\0", f"the header cannot be read: {NUL}; check the first line"),
        ("é".encode("cp1252"), f"the header cannot be read: {NOT_TEXT}; check the first line"),
        (
            '"a',
            f"the header cannot be read: {UNCLOSED}; check the first line",
        ),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error(write, header, fault) -> None:
    header = header.encode() if isinstance(header, str) else header
    path = write("bad.csv", header + b"\n1,2")
    with pytest.raises(SourceError) as error:
        open_source(str(path))
    assert str(error.value) == f"{path}: {fault}"
    assert "secret" not in fault


# Parquet -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def parquet(tmp_path: Path):
    duckdb = pytest.importorskip("duckdb")

    def make(query: str, name: str = "a.parquet") -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        with duckdb.connect() as connection:
            connection.execute("SET TimeZone = 'America/New_York'")
            connection.execute(f"COPY ({query}) TO '{path}'")
        return path

    return make


def test_parquet_values_come_as_json(parquet) -> None:
    path = parquet(
        """SELECT 1 AS "row", 2 AS "a""b.c", {'x': 1.5::DECIMAL(9,2), 'l': [1, 2], 'm': MAP {'k': 'v'}} AS s,
        12345678901234567890123456789012345678::DECIMAL(38,0) AS id, 'nan'::DOUBLE AS nan, 2.0::FLOAT AS f,
        NULL::VARCHAR AS nothing, TIMESTAMPTZ '2026-01-15 10:00:00.5+02' AS tz, TIMESTAMP '2026-01-15 10:00:00' AS ts,
        {'tz': TIMESTAMPTZ '2026-01-15 10:00:00+02'} AS n, [TIMESTAMP '2026-01-15 10:00:00.25'] AS l,
        DATE '2026-01-15' AS d, '6f1c0fb8-5e2e-4b8e-9d0e-0123456789ab'::UUID AS u, 'é\n"' AS t""",
        "year=2026/[odd]*?.parquet",
    )
    assert data(path) == [
        {
            "row": 1, 'a"b.c': 2, "s": {"x": 1.5, "l": [1, 2], "m": {"k": "v"}},
            "id": 12345678901234567890123456789012345678, "nan": None, "f": 2.0,
            "nothing": None, "tz": "2026-01-15T08:00:00.5Z", "ts": "2026-01-15T10:00:00",
            "n": {"tz": "2026-01-15T08:00:00Z"}, "l": ["2026-01-15T10:00:00.25"],
            "d": "2026-01-15T00:00:00Z", "u": "6f1c0fb8-5e2e-4b8e-9d0e-0123456789ab", "t": 'é\n"',
        }
    ]  # fmt: skip


def test_parquet_rows_keep_their_order_and_are_counted(parquet) -> None:
    path = parquet("SELECT range AS n, repeat('x', 2000) AS t FROM range(3000)")
    with open_source(str(path), limit=2500) as source:
        chunks = list(source)
        assert 0 < source.bytes_read <= source.size
    assert [entry.data["n"] for chunk in chunks for entry in chunk] == list(range(2500))
    assert max(map(len, chunks)) < 1000


def test_a_chunk_of_parquet_is_bounded_by_bytes(parquet) -> None:
    path = parquet("SELECT range AS n, repeat('x', 300_000) AS t FROM range(12)")
    with open_source(str(path)) as source:
        sizes = [len(chunk) for chunk in source]
    assert sum(sizes) == 12
    assert max(sizes) == 4


def test_parquet_that_does_not_fit_into_memory_is_no_damage(parquet, monkeypatch) -> None:
    path = parquet("SELECT repeat(md5(range::VARCHAR), 50_000) AS t FROM range(300)")
    monkeypatch.setitem(parquet_module._CONFIG, "memory_limit", "50MB")
    reason = (
        "not enough memory to read on; free memory, or write the file again with smaller row groups"
    )
    assert read(path) == [Unreadable(1, reason + NOT_READ)]


def test_parquet_that_is_none_or_damaged_or_without_rows(parquet, write, monkeypatch) -> None:
    nested = parquet("SELECT {'x': n::DOUBLE} AS s FROM (VALUES ('1'), ('nan'), ('3')) v(n)")
    assert short(read(nested)) == [
        {"s": {"x": 1.0}}, (2, "a nested number is NaN or infinite, which JSON does not allow"), {"s": {"x": 3.0}}
    ]  # fmt: skip
    assert read(parquet("SELECT 1 AS a WHERE false", "none.parquet")) == []
    whole = parquet("SELECT md5(range::VARCHAR) AS a FROM range(9000)").read_bytes()
    entries = read(write("b.parquet", whole[:20] + b"\xff" * 200_000 + whole[200_020:]))
    assert entries == [Unreadable(1, "the file is damaged" + NOT_READ)]
    for content in (b"no parquet", whole[:-5]):
        with pytest.raises(SourceError, match=r"c\.parquet: not a Parquet file, or a truncated or"):
            open_source(str(write("c.parquet", content)))
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(
        SourceError, match=re.escape("run pip install '.[parquet]' in the connector's folder")
    ):
        open_source(str(nested))
