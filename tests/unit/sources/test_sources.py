"""Files and standard input, read line by line; laws of all JSON."""

from __future__ import annotations

import gzip
import io
import itertools
import json
import os
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import SourceError
from connector.model import Event, Unreadable
from connector.sources.files import BLOCK_BYTES, open_source
from connector.sources.opening import QUIET_SECONDS
from connector.sources.reading import MAX_EVENT_BYTES, NOT_TEXT

EVENTS = [
    {"id": 1, "email": "ann@example.com"},
    {"id": 2, "traits": {"tags": ["a", "b"], "vip": True}},
]
BLOCKS = st.sampled_from([1, 2, 7, 64, 1000, BLOCK_BYTES])
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(-(10**40), 10**40) | FLOATS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
OBJECTS = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=5), max_size=12)


def read(path: Path | str, **options: int) -> list[Event | Unreadable]:
    with open_source(str(path), **options) as source:
        return list(itertools.chain.from_iterable(source))


def data(path: Path | str, **options: int) -> list[dict]:
    """Return the events of an input in which every entry is an event, numbered from 1."""
    entries = read(path, **options)
    assert [type(entry) for entry in entries] == [Event] * len(entries)
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    return [entry.data for entry in entries]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.fixture
def write(tmp_path: Path):
    def write_(name: str, content: bytes | str) -> Path:
        content = content.encode() if isinstance(content, str) else content
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return path

    return write_


# Laws ----------------------------------------------------------------------------------------------------------------


@settings(max_examples=50, deadline=None)
@given(objects=OBJECTS, block=BLOCKS, ascii_only=st.booleans(), end=st.sampled_from(["\n", "\r\n"]))
@pytest.mark.parametrize("name", ["law.ndjson", "law.jsonl.gz"])
def test_objects_written_as_lines_come_back_equal_and_in_order(
    folder, name, objects, block, ascii_only, end
) -> None:
    content = "".join(json.dumps(each, ensure_ascii=ascii_only) + end for each in objects).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert data(folder / name, block_bytes=block) == objects


@settings(max_examples=50, deadline=None)
@given(objects=OBJECTS, block=BLOCKS, indent=st.sampled_from([None, 1]), ascii_only=st.booleans())
@pytest.mark.parametrize("name", ["law.json", "law.json.gz"])
def test_objects_written_as_an_array_come_back_equal_and_in_order(
    folder, name, objects, block, indent, ascii_only
):
    content = json.dumps(objects, indent=indent, ensure_ascii=ascii_only).encode()
    (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    assert data(folder / name, block_bytes=block) == objects


@settings(max_examples=100, deadline=None)
@given(
    objects=st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.text()))),
    block=BLOCKS,
    cuts=st.lists(st.tuples(st.integers(0, 400), st.sampled_from('[]{},:"\\ a1'))),
)
def test_an_array_with_stray_characters_gives_no_wrong_event(folder, objects, block, cuts) -> None:
    content = json.dumps(objects, ensure_ascii=False)
    for place, stray in cuts:
        content = content[:place] + stray + content[place:]
    (folder / "stray.json").write_bytes(content.encode())
    entries = read(folder / "stray.json", block_bytes=block)
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    try:
        whole = json.loads(content)
    except ValueError:
        assert any(isinstance(entry, Unreadable) for entry in entries)
    else:
        if isinstance(whole, list):
            expected = [each if isinstance(each, dict) else None for each in whole]
            assert [
                entry.data if isinstance(entry, Event) else None for entry in entries
            ] == expected


@given(
    line=st.text(alphabet=st.sampled_from('жщю{}[]",:0e. \\ud8\r'), max_size=30),
    name=st.sampled_from(["a.ndjson", "a.json", "a.csv"]),
)
def test_no_reason_quotes_the_input(folder, line, name) -> None:
    head = {"a.ndjson": "", "a.json": "[", "a.csv": "one,two\n"}[name]
    (folder / name).write_bytes((head + line).encode())
    assert not [
        entry
        for entry in read(folder / name)
        if isinstance(entry, Unreadable) and re.search("[жщю]", entry.reason)
    ]


# NDJSON --------------------------------------------------------------------------------------------------------------

LONG = b'{"a":"' + b"x" * MAX_EVENT_BYTES + b'"}'
BAD_LINES = [
    (b'{"a":nope}', "invalid JSON: "),
    (b'{"a":1', "invalid JSON: unexpected end of data at character 7"),
    (b'{"a":NaN}', "invalid JSON: "),
    (b'{"a":"\\ud800"}', "invalid JSON: "),
    (b'{"a":1}{"b":2}', "invalid JSON: "),
    (b"[" * 2000 + b"]" * 2000, "invalid JSON: "),
    (b'{"a":' * 129 + b"1" + b"}" * 129, "nested more than 128 levels deep"),
    (b'{"a":' + b"[" * 990 + b"]" * 990 + b"}", "nested more than 128 levels deep"),
    (b'{"a":' * 1000 + b"1" * 20 + b"}" * 1000, "nested more than 128 levels deep"),
    (b'{"a":' + b"1" * 5000 + b"}", "invalid JSON: "),
    (
        b'{"a":"\xff"}',
        NOT_TEXT,
    ),
    (b"[1]", "expected a JSON object, got an array"),
    (b'"text"', "expected a JSON object, got text"),
    (b"12", "expected a JSON object, got a number"),
    (b"1.5", "expected a JSON object, got a number"),
    (b"true", "expected a JSON object, got true or false"),
    (b"null", "expected a JSON object, got null"),
    (LONG, "longer than 4,194,304 bytes"),
]


def test_an_event_may_be_nested_so_deep(write) -> None:
    deepest = b'{"a":' * 128 + b'"' + b"[" * 500 + b'"' + b"}" * 128
    wide = b'{"a":[' + b"[]," * 500 + b"[]]}"
    for name, content in [
        ("a.ndjson", deepest + b"\n" + wide),
        ("a.json", b"[%b,%b]" % (deepest, wide)),
    ]:
        assert [type(entry) for entry in read(write(name, content))] == [Event, Event]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=range(len(BAD_LINES)))
@pytest.mark.parametrize("block", [100_000, BLOCK_BYTES, MAX_EVENT_BYTES])
def test_a_bad_line_is_one_unreadable_and_reading_goes_on(write, line, reason, block) -> None:
    for content in (b'{"a":1}\n%b\n{"a":2}\n', b'{"a":1}\n%b', b'{"a":1}\n%b\n\n'):
        first, bad, *rest = read(write("bad.ndjson", content % line), block_bytes=block)
        assert (first, rest[:1]) == (
            Event(1, {"a": 1}),
            [Event(3, {"a": 2})] if b"2}\n" in content[8:] else [],
        )
        assert bad.position == 2
        assert bad.reason == reason or (
            reason == "invalid JSON: "
            and re.fullmatch(r"invalid JSON: .+ at character \d+", bad.reason)
        )


def test_a_line_of_exactly_the_limit_is_read(write) -> None:
    fits = LONG[: MAX_EVENT_BYTES - 2] + b'"}'
    path = write("edge.ndjson", fits + b"\n" + fits[:-2] + b'x"}\n' + fits)
    assert [type(entry) for entry in read(path)] == [Event, Unreadable, Event]
    assert [type(entry) for entry in read(path, block_bytes=MAX_EVENT_BYTES * 9)] == [
        Event,
        Unreadable,
        Event,
    ]


def test_blank_lines_count_as_lines_and_the_mark_at_the_start_does_not(write) -> None:
    path = write("blank.ndjson", '\ufeff\n{"a":1}\r\n\r\n  \t\n\n{"a":2}')
    assert read(path) == [Event(2, {"a": 1}), Event(6, {"a": 2})]
    assert read(path, block_bytes=1) == [Event(2, {"a": 1}), Event(6, {"a": 2})]


def test_chunks_are_small_and_bytes_read_grows_to_the_size(write) -> None:
    path = write("many.ndjson", b'{"a":1}\n' * 5000)
    with open_source(str(path), block_bytes=10_000) as source:
        steps = [(len(chunk), source.bytes_read) for chunk in source]
    assert source.size == source.bytes_read == 40_000
    assert max(size for size, _ in steps) <= 1000
    assert [at for _, at in steps] == sorted(at for _, at in steps)
    assert steps[0][1] == 10_000
    assert sum(size for size, _ in steps) == 5000


@pytest.mark.parametrize("name", ["zeros.ndjson", "zeros.json", "zeros.csv"])
def test_memory_stays_flat_for_a_line_of_100_megabytes(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    with path.open("wb") as file:
        file.write({".json": b"[", ".csv": b"a\n"}.get(path.suffix, b""))
        file.truncate(100_000_000)
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"a":1}\n')
    tracemalloc.start()
    try:
        entries = read(path)
        assert tracemalloc.get_traced_memory()[1] < 40_000_000
    finally:
        tracemalloc.stop()
    assert entries[0].reason.startswith("longer than 4,194,304 bytes")
    assert [type(entry) for entry in entries[1:]] == {
        ".ndjson": [Event],
        ".csv": [Event],
        ".json": [],
    }[path.suffix]


# Files and standard input --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [".ndjson", ".jsonl", ".json", ".csv", ".ndjson.gz", ".json.gz", ".csv.gz"]
)
def test_an_empty_file_has_no_events(write, end: str) -> None:
    for content in ("", "\n", "\ufeff", "\ufeff\r\n\n"):
        assert read(write(f"blank{end}", content)) == []
        assert read(write(f"blank{end}", content), block_bytes=1) == []


@pytest.mark.parametrize(
    ("end", "kind"),
    [(".parquet", "Parquet"), (".ndjson.gz", "gzip"), (".json.gz", "gzip"), (".csv.zst", "zstd")],
)
def test_a_file_of_no_bytes_may_be_none_of_its_kind(tmp_path: Path, end: str, kind: str) -> None:
    path = tmp_path / f"empty{end}"
    path.touch()
    with pytest.raises(
        SourceError, match=f"{re.escape(str(path))}: is empty, which no {kind} file"
    ):
        read(path)


def test_what_cannot_be_opened_is_an_error_that_says_what_to_do(
    write, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "plain.ndjson.gz").write_bytes(b'{"a":1}')
    expected = (
        "expected .ndjson, .jsonl, .json, .csv (each optionally .gz or .zst) or .parquet,"
        " or name the format with --input-format"
    )
    for name, message in {
        "a.xlsx": f"unknown file format '.xlsx'; {expected}",
        "a.xlsx.gz": f"unknown file format '.xlsx.gz'; {expected}",
        "a.zip.zst": f"unknown file format '.zip.zst'; {expected}",
        "a.parquet.gz": "Parquet is read as it is, not .gz; unpack the file",
        "folder.csv/people": f"the name has no file extension; {expected}",
        "none.ndjson": "file not found; check the path",
        "none.parquet": "file not found; check the path",
        "folder.csv": "the folder holds no file; name another",
        "plain.ndjson.gz": "not gzip data although its name ends in .gz; rename or compress it",
        "nul\0.csv": "cannot be opened (invalid name); check the path",
    }.items():
        with pytest.raises(SourceError) as error:
            open_source(str(tmp_path / name))
        assert str(error.value) == f"{tmp_path / name}: {message}"

    def refuse(path: str) -> io.FileIO:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("connector.sources.opening.io.FileIO", refuse)
    with pytest.raises(SourceError, match="permission denied; make the file readable"):
        open_source("a.ndjson")


@pytest.mark.parametrize("cut", [1, 5, 15, 4000, -1, -9])
@pytest.mark.parametrize("end", [".ndjson.gz", ".json.gz", ".csv.gz"])
def test_gzip_that_is_cut_off_gives_what_was_before_and_one_unreadable(
    tmp_path: Path, end: str, cut: int
) -> None:
    rows = [{"a": os.urandom(8).hex()} for _ in range(2000)]
    lines = {".ndjson.gz": map(json.dumps, rows), ".csv.gz": ["a", *(row["a"] for row in rows)]}
    content = "\n".join(lines[end]) if end in lines else json.dumps(rows)
    path = tmp_path / f"cut{end}"
    path.write_bytes(gzip.compress(content.encode())[:cut])
    if end == ".csv.gz" and 0 < cut < 20:
        with pytest.raises(
            SourceError, match="the header cannot be read: the gzip data is cut off"
        ):
            read(path)
        return
    *events, last = read(path)
    position = len(events) + (2 if end == ".csv.gz" else 1)
    reason = "the gzip data is cut off or damaged; the rest of this input was not read"
    assert last == Unreadable(position, reason)
    assert [event.data for event in events] == rows[: len(events)]
    assert len(events) >= (1900 if cut < 0 else cut // 50)


def test_gzip_of_several_members_and_with_a_wrong_checksum(tmp_path: Path) -> None:
    path = tmp_path / "two.ndjson.gz"
    path.write_bytes(gzip.compress(b'{"a":1}\n{"a"') + gzip.compress(b":2}\n"))
    assert data(path) == [{"a": 1}, {"a": 2}]
    path.write_bytes(path.read_bytes()[:-8] + b"\0" * 8)
    assert [type(entry) for entry in read(path)] == [Event, Event, Unreadable]


@pytest.mark.parametrize("limit", [0, 1, 999, 1000, 1001, 5000, None])
def test_the_limit_counts_all_entries(write, limit: int | None) -> None:
    for name, content in {
        "l.ndjson": b'{"a":1}\nx\n' * 1500,
        "l.csv": b"a,b\n" + b"1,2\n1\n" * 1500,
    }.items():
        with open_source(str(write(name, content)), limit=limit) as source:
            assert sum(map(len, source)) == (3000 if limit is None else min(3000, limit))


def test_a_closed_source_ends(write) -> None:
    source = open_source(str(write("a.ndjson", b'{"a":1}\n' * 2)), block_bytes=8)
    assert next(iter(source)) == [Event(1, {"a": 1})]
    source.close()
    source.close()
    assert (list(source), source.bytes_read) == ([], 8)


@pytest.mark.parametrize("good", [0, 90_000])
@pytest.mark.parametrize("name", ["a.ndjson", "a.json", "a.csv"])
def test_where_a_disk_fails_what_was_read_counts(write, monkeypatch, name: str, good: int) -> None:
    class Failing(io.FileIO):
        def readinto(self, buffer: Any) -> int:
            if self.tell() >= good:
                raise OSError(5, "Input/output error")
            return super().readinto(memoryview(buffer)[:30_000]) or 0

    rows = [f"{n:05}" for n in range(20_000)]
    lines = {"a.ndjson": [f'{{"a":"{row}"}}' for row in rows], "a.csv": ["a", *rows]}
    text = "\n".join(lines[name]) if name in lines else json.dumps([{"a": row} for row in rows])
    path = write(name, text.encode())
    monkeypatch.setattr("connector.sources.opening.io.FileIO", Failing)
    why = "cannot be read (Input/output error); try again"
    if not good:
        with pytest.raises(SourceError) as error:
            read(path)
        assert str(error.value) == f"{path}: {why}"
        return

    with open_source(str(path), block_bytes=30_000) as source:
        *events, last = [entry for chunk in source for entry in chunk]
    assert [event.data["a"] for event in events] == rows[: len(events)]
    assert len(events) > good / 17
    position = len(events) + (2 if name == "a.csv" else 1)
    assert last == Unreadable(position, f"{why}; the rest of this input was not read")


def test_a_named_pipe_has_no_size(tmp_path: Path) -> None:
    path = tmp_path / "pipe.ndjson.gz"
    os.mkfifo(path)
    with (
        subprocess.Popen(["sh", "-c", f"printf '{{}}\\n' | gzip > '{path}'"]),
        open_source(str(path)) as source,
    ):
        assert (source.size, list(source)) == (None, [[Event(1, {})]])


def test_prepared_records_are_refused_from_a_named_pipe_however_they_come(tmp_path: Path) -> None:
    path, other = tmp_path / "pipe.ndjson", tmp_path / "events.ndjson"
    os.mkfifo(path)
    other.write_text("{}\n")
    script = f"(printf '{{\"prep'; sleep 0.1; printf 'ared_records\":1}}\n{{}}\n') > '{path}'"
    words = "this is a file of prepared records"
    with (
        subprocess.Popen(["sh", "-c", script]),
        open_source(str(path)) as source,
        pytest.raises(SourceError, match=f"{path}: {words}"),
    ):
        list(source)
    # What was read before counts.
    with subprocess.Popen(["sh", "-c", script]), open_source([str(other), str(path)]) as source:
        first, [last] = list(source)
    assert first == [Event(1, {})]
    assert isinstance(last, Unreadable)
    assert last.reason.startswith(words)


READER = """
import sys
from connector.sources import files, opening
opening.QUIET_SECONDS = 0.05
with files.open_source("-") as source:
    for chunk in source:
        print([entry.position for entry in chunk], flush=True)
print(source.size, source.bytes_read)
"""


def test_standard_input_is_given_at_once_and_its_silence_too() -> None:
    assert QUIET_SECONDS == 1
    command = [sys.executable, "-W", "error", "-c", READER]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdin
        assert process.stdout

        def answer(text: bytes) -> bytes:
            process.stdin.write(text)
            return next(line for line in process.stdout if line != b"[]\n")

        assert answer(b'{"a":1}\n') == b"[1]\n"
        assert process.stdout.readline() == b"[]\n"
        assert answer(b'{"a":2}\n{"a":3}\n{"a"') == b"[2, 3]\n"
        assert process.stdout.readline() == b"[]\n"
        assert answer(b":4}\n{}") == b"[4]\n"
        process.stdin.close()
        rest = [line for line in process.stdout if line != b"[]\n"]
    assert (process.returncode, rest) == (0, [b"[5]\n", b"None 34\n"])


def test_standard_input_may_be_a_file_or_missing(write, monkeypatch) -> None:
    with write("in", b'{"a":1}\nx\n').open("rb") as file:
        run = subprocess.run(
            [sys.executable, "-c", READER], stdin=file, capture_output=True, check=True
        )
    assert run.stdout.split(b"\n") == [b"[1, 2]", b"None 10", b""]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a":1}\n')))
    assert data("-", limit=1) == [{"a": 1}]
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(SourceError, match="standard input: not available; name a file"):
        open_source("-")
