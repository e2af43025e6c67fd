"""Files as people have them: spreadsheets, other encodings, packed files, exports in parts."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import SourceError
from connector.model import AS_WRITTEN, Event, InputOptions, Unreadable
from connector.sources.files import BLOCK_BYTES, Source, open_source

A_AND_B = [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]
SEMICOLON = InputOptions(delimiter=";")
NOT_READ = "; the rest of this input was not read"


def drain(source: Source) -> tuple[list[Event | Unreadable], int]:
    """Return the entries of a source, and how many rows were blank."""
    with source:
        return list(itertools.chain.from_iterable(source)), source.blank


def entries_of(path: Path, options: InputOptions = AS_WRITTEN, **more: Any) -> list[Any]:
    """Return what an input holds: events as their data, the rest as its position."""
    entries, _ = drain(open_source(str(path), options, **more))
    return [entry.data if isinstance(entry, Event) else entry.position for entry in entries]


@pytest.fixture
def write(tmp_path: Path):
    def write_(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
        return path

    return write_


# (what is odd, the bytes of the file, options, events or the positions of bad ones, blank rows)
ODD: list[tuple[str, bytes, InputOptions, list[Any], int]] = [
    ("rows of commas", b"a,b\n1,2\n,\n,\n3,4\n,\n", InputOptions(), A_AND_B, 3),
    ("rows of blanks", b"a,b\n1,2\n  , \n\xc2\xa0,\t\n \n3,4\n", InputOptions(), A_AND_B, 3),
    ("rows of commas of any length", b"a,b\n,,,,\n1,2\n,\n,,\n3,4", InputOptions(), A_AND_B, 3),
    ("rows of empty quotes", b'a,b\n"",""\n1,2\n3,4\n""\n', InputOptions(), A_AND_B, 2),
    ("blank lines", b"\n\na,b\n\n1,2\r\n\r\n3,4\n\n", InputOptions(), A_AND_B, 5),
    ("commas above the header", b",,\n,\na,b\n1,2\n3,4\n", InputOptions(), A_AND_B, 2),
    ("a comma at the end of each row", b"a,b\n1,2,\n3,4,\n", InputOptions(), A_AND_B, 0),
    ("the header too", b"a,b,\n1,2,\n3,4,\n", InputOptions(), A_AND_B, 0),
    ("blanks past the header", b"a,b\n1,2, ,\t\n3,4,,,,\n", InputOptions(), A_AND_B, 0),
    ("a cell past the header", b"a,b\n1,2,x\n3,4\n", InputOptions(), [2, A_AND_B[1]], 0),
    ("a cell too few", b"a,b\n1\n3,4\n", InputOptions(), [2, A_AND_B[1]], 0),
    ("carriage returns alone", b"a,b\r1,2\r3,4\r", InputOptions(), A_AND_B, 0),
    ("one carriage return alone", b"a,b\r\n1,2\r3,4\r\n", InputOptions(), A_AND_B, 0),
    ("two carriage returns", b"a,b\r\r\n1,2\r\r\n3,4\r\r\n", InputOptions(), A_AND_B, 3),
    ("all line ends", b"a,b\n1,2\r3,4\r\n", InputOptions(), A_AND_B, 0),
    ("a carriage return in quotes", b'a,b\r"1\r",2\r3,4', InputOptions(),
     [{"a": "1\r", "b": "2"}, A_AND_B[1]], 0),
    ("semicolons", b"a;b\n1;2\n3;4\n", SEMICOLON, A_AND_B, 0),
    ("sep=", b"sep=;\r\na;b\r\n1;2\r\n3;4\r\n", InputOptions(), A_AND_B, 0),
    ("sep= in quotes", b'"sep=|"\na|b\n1|2\n3|4\n', InputOptions(), A_AND_B, 0),
    ("SEP= of a tab", b"SEP=\t\na\tb\n1\t2\n3\t4\n", InputOptions(), A_AND_B, 0),
    ("sep= goes before the option", b"sep=,\na,b\n1,2\n3,4\n", SEMICOLON, A_AND_B, 0),
    ("sep= behind a mark", b"\xef\xbb\xbfsep=;\na;b\n1;2\n3;4\n", InputOptions(), A_AND_B, 0),
    ("sep= with nothing behind", b"sep=;\n", InputOptions(), [], 0),
    ("sep= as a name", b"sep=,b\n1,2\n", InputOptions(), [{"sep=": "1", "b": "2"}], 0),
    ("another quote", b"a,b\n'1,5',2\n", InputOptions(quote="'"), [{"a": "1,5", "b": "2"}], 0),
    ("no quote", b'a,b\n7" tall,2\n"x,4\n', InputOptions(quote=""),
     [{"a": '7" tall', "b": "2"}, {"a": '"x', "b": "4"}], 0),
    ("cp1252", b"a;b\nJ\xf6rg;\x80\n", InputOptions(delimiter=";", encoding="cp1252"),
     [{"a": "Jörg", "b": "€"}], 0),
    ("a byte that cp1252 has not", b"a,b\n\x81,2\n3,4\n", InputOptions(encoding="cp1252"),
     [2, A_AND_B[1]], 0),
    ("UTF-16, little end first", "\ufeffa,b\n1,2\n3,4\n".encode("utf-16-le"), InputOptions(),
     A_AND_B, 0),
    ("UTF-16, big end first", "\ufeffa,b\n1,2\n3,4\n".encode("utf-16-be"), InputOptions(),
     A_AND_B, 0),
    ("UTF-16 without a mark", "a,b\n1,2\n3,4\n".encode("utf-16-le"),
     InputOptions(encoding="utf-16-le"), A_AND_B, 0),
    ("UTF-16 of an odd length", "\ufeffa,b\n1,2\n3,4".encode("utf-16-le") + b"\n", InputOptions(),
     [A_AND_B[0], 3], 0),
    ("half a surrogate pair in UTF-16", "\ufeffa,b\n1,2\n".encode("utf-16-le") + b"\0\xd8,\0x\0\n\0",
     InputOptions(), [A_AND_B[0], 3], 0),
    ("a mark goes before the option", "\ufeffa,b\né,2\n".encode(), InputOptions(encoding="cp1252"),
     [{"a": "é", "b": "2"}], 0),
    ("a mark alone", b"\xef\xbb\xbf", InputOptions(), [], 0),
    ("nothing but commas", b",,,\n,,,\n", InputOptions(), [], 2),
    ("a header alone", b"a,b\n", InputOptions(), [], 0),
]  # fmt: skip


@pytest.mark.parametrize("block", [1, 2, 3, 7, BLOCK_BYTES])
@pytest.mark.parametrize(
    ("content", "options", "expected", "blank"),
    [row[1:] for row in ODD],
    ids=[row[0] for row in ODD],
)
def test_an_odd_csv_file(write, content, options, expected, blank, block) -> None:
    path = write("odd.csv", content)
    more = {"reads": {("a",), ("b",)}, "block_bytes": block}
    assert entries_of(path, options, **more) == expected
    assert drain(open_source(str(path), options, **more))[1] == blank


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
@pytest.mark.parametrize("block", [1, 3, BLOCK_BYTES])
def test_json_of_another_encoding(write, encoding, block) -> None:
    events = [{"a": "é"}, {"b": "𝄞"}]
    lines = "\n".join(json.dumps(event, ensure_ascii=False) for event in events)
    array = json.dumps(events, ensure_ascii=False)
    for name, text in {"a.ndjson": lines, "a.json": array}.items():
        path = write(name, text.encode(encoding))
        assert entries_of(path, block_bytes=block) == events


# Which columns need good names ----------------------------------------------------------------------------------------

READS = frozenset({("email",), ("traits", "phone"), ("E-Mail",), ("odd.name",), ("No.",)})
# (header, what the connection sees of the row 1,2,3…)
NAMES: list[tuple[str, dict[str, Any]]] = [
    ("email,,b", {"email": "1", "b": "3"}),
    ("email, , ", {"email": "1"}),
    (" email ,x", {"email": "1", "x": "2"}),
    ("x,email,x", {"email": "2"}),
    ("x,email,x,x", {"email": "2"}),
    ("a.b,a,email", {"a": "2", "email": "3"}),
    ("a.b.c,a.b,email", {"a": {"b": "2"}, "email": "3"}),
    ("email,b..c,.d,e.", {"email": "1"}),
    ("odd.name,email", {"odd": {"name": "1"}, "odd.name": "1", "email": "2"}),
    ("No.,email", {"No.": "1", "email": "2"}),
    ("traits.phone,traits", {"traits": {"phone": "1"}}),
    ("traits.phone,traits.x", {"traits": {"phone": "1", "x": "2"}}),
    ("E-Mail,e mail", {"E-Mail": "1", "e mail": "2"}),
]


@pytest.mark.parametrize(("header", "expected"), NAMES, ids=[row[0] for row in NAMES])
def test_only_columns_that_are_read_need_good_names(write, header, expected) -> None:
    row = ",".join(str(number) for number, _ in enumerate(header.split(","), 1))
    path = write("names.csv", f"{header}\n{row}\n".encode())
    assert entries_of(path, reads=READS) == [expected]


@pytest.mark.parametrize(
    ("header", "fault"),
    [
        ("email,x,email", "columns 1 and 3 have the same name; rename one of them"),
        ("email, email", "columns 1 and 2 have the same name; rename one of them"),
        ("No.,No.", "columns 1 and 2 have the same name; rename one of them"),
        ("traits.phone,traits.phone", "columns 1 and 2 have the same name; rename one of them"),
        ("traits,x,traits", "columns 1 and 3 have the same name; rename one of them"),
    ],
)
def test_a_column_that_is_read_has_one_clear_name(write, header, fault) -> None:
    path = write("names.csv", f"{header}\n1,2\n".encode())
    with pytest.raises(SourceError) as error:
        open_source(str(path), reads=READS)
    assert str(error.value) == f"{path}: {fault}"


def test_a_text_is_no_object_where_both_are_read(write) -> None:
    path = write("names.csv", b"a,a.b\n1,2\n")
    with pytest.raises(SourceError, match=r"column 2 is a member of column 1, which is text"):
        open_source(str(path), reads={("a",), ("a", "b")})


# Packed files ---------------------------------------------------------------------------------------------------------

LINES = b"".join(b'{"a":%d}\n' % number for number in range(20_000))


def zstd(content: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(content)


@pytest.mark.parametrize("pack", [gzip.compress, zstd], ids=["gzip", "zstd"])
@pytest.mark.parametrize("name", ["a.ndjson", "a.ndjson.{}"])
@pytest.mark.parametrize("block", [100, BLOCK_BYTES])
def test_a_packed_file_is_known_by_its_name_or_its_first_bytes(write, pack, name, block) -> None:
    ending = "gz" if pack is gzip.compress else "zst"
    # Several packed parts, one after the other, are one.
    content = pack(LINES[:5000]) + pack(LINES[5000:])
    path = write(name.format(ending), content)
    with open_source(str(path), block_bytes=block) as source:
        events = [entry.data for entry in itertools.chain.from_iterable(source)]
        assert source.bytes_read == source.size == len(content)
    assert events == [{"a": number} for number in range(20_000)]


@pytest.mark.parametrize("cut", [3, 7, 2000, -1])
def test_zstd_that_is_cut_off_says_so(write, cut) -> None:
    path = write("cut.ndjson.zst", zstd(os.urandom(100_000).hex().encode())[:cut])
    entries, _ = drain(open_source(str(path)))
    assert entries[-1].reason.endswith("the zstd data is cut off or damaged" + NOT_READ)


def test_zstd_that_is_damaged_gives_what_was_before(write) -> None:
    packed = bytearray(b"".join(zstd(LINES) for _ in range(3)))
    packed[-1] ^= 1  # the checksum of the last part
    entries, _ = drain(open_source(str(write("bad.ndjson.zst", bytes(packed)))))
    assert len(entries) > 40_000
    assert isinstance(entries[-1], Unreadable)
    entries, _ = drain(open_source(str(write("junk.ndjson.zst", zstd(b"{}\n") + b"junk"))))
    assert [type(entry) for entry in entries] == [Event, Unreadable]


def test_what_is_not_packed_as_its_name_says_is_an_error(write) -> None:
    for name, kind in (("a.csv.zst", "zstd"), ("a.csv.gz", "gzip")):
        with pytest.raises(SourceError, match=f"not {kind} data although its name ends in"):
            open_source(str(write(name, b"a,b\n1,2\n")))


def test_without_the_extra_zstd_is_an_error_that_names_it(write, monkeypatch) -> None:
    path = write("a.ndjson.zst", zstd(b"{}"))
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(SourceError) as error:
        open_source(str(path))
    assert str(error.value) == (
        f"{path}: zstd needs the extra 'zstd', which is not installed;"
        " run pip install '.[zstd]' in the connector's folder, or unpack the file"
    )


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much it was")
def test_memory_stays_flat_for_a_bomb(write) -> None:
    path = write("bomb.ndjson.zst", zstd(b"\0" * 500_000_000))
    code = (
        "import re, sys; from connector.sources.files import open_source\n"
        "entries = sum(map(len, open_source(sys.argv[1])))\n"
        "print(entries, *re.findall(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    entries, kilobytes = map(int, done.stdout.split())
    assert entries == 1
    assert kilobytes < 150_000


# Several files --------------------------------------------------------------------------------------------------------


def places(source: Source) -> list[tuple[str, int, int]]:
    """Return for each entry the name of its file, its line and its position in the whole."""
    found = []
    with source:
        for entry in itertools.chain.from_iterable(source):
            path, line = source.locate(entry.position)
            found.append((Path(path).name, line, entry.position))
    return found


def test_files_of_a_folder_and_of_a_pattern_come_in_name_order(write, tmp_path) -> None:
    write("parts/b.csv", b"x,y\n1,2\n\n3,4\n")
    write("parts/a.ndjson", b'{"a":1}\n\n{"a":2}\n\n')
    write("parts/c.json.gz", gzip.compress(b'[{"a":1}]'))
    write("parts/empty.csv", b"")
    write("parts/_SUCCESS", b"")
    write("parts/.c.json.gz.crc", b"crc")
    (tmp_path / "parts" / "old.csv").mkdir()
    expected = [
        ("a.ndjson", 1, 1),
        ("a.ndjson", 3, 3),
        ("b.csv", 2, 5),
        ("b.csv", 4, 7),
        ("c.json.gz", 1, 8),
    ]
    folder = tmp_path / "parts"
    for named in ([str(folder)], [f"{folder}/*"], [f"{folder}/[ab].*", f"{folder}/**/[ce]*.*"]):
        with_success = named == [f"{folder}/*"]
        if with_success:
            (folder / "_SUCCESS").unlink()
        source = open_source(named)
        assert source.size == sum(Path(path).stat().st_size for path in source.paths)
        assert places(source) == expected
        assert source.bytes_read == source.size
        assert source.blank == 3


def test_files_come_in_the_order_in_which_they_are_named(write) -> None:
    first, second = write("b.csv", b"a\n1\n2\n"), write("a.csv", b"a\n3\n")
    source = open_source([str(first), str(second), str(first)], limit=4)
    assert places(source) == [("b.csv", 2, 2), ("b.csv", 3, 3), ("a.csv", 2, 5), ("b.csv", 2, 7)]


def test_a_file_whose_name_is_a_pattern_is_that_file(write) -> None:
    path = write("a[1].csv", b"a\n1\n")
    write("a1.csv", b"a\n2\n")
    assert entries_of(path) == [{"a": "1"}]


def test_what_is_wrong_with_a_later_file_is_said_before_anything_is_read(write, tmp_path) -> None:
    good = str(write("a.csv", b"a\n1\n"))
    for name, content, message in (
        ("b.csv", b"a,a\n1,2\n", "columns 1 and 2 have the same name; rename one of them"),
        ("b.txt", b"a\n1\n", "unknown file format '.txt'; expected .ndjson"),
        ("b.csv.gz", b"a\n1\n", "not gzip data although its name ends in .gz"),
    ):
        path = str(write(name, content))
        with pytest.raises(SourceError) as error:
            open_source([good, path])
        assert str(error.value).startswith(f"{path}: {message}")
    (tmp_path / "empty").mkdir()
    for name, message in {
        "none.csv": "file not found; check the path",
        "empty": "the folder holds no file; name another",
        "*.tsv": "no file matches this pattern; check it",
    }.items():
        with pytest.raises(SourceError) as error:
            open_source([good, str(tmp_path / name)])
        assert str(error.value) == f"{tmp_path / name}: {message}"
    with pytest.raises(SourceError, match="standard input: is named twice"):
        open_source(["-", good, "-"])


def test_a_folder_with_a_file_of_no_known_format_is_an_error_that_names_it(write, tmp_path) -> None:
    write("parts/a.csv", b"a\n1\n")
    path = write("parts/people.txt", b"a\n2\n")
    with pytest.raises(SourceError) as error:
        open_source(str(tmp_path / "parts"))
    assert str(error.value) == (
        f"{path}: nothing says its format; name the files by a pattern, such as"
        f" '{tmp_path / 'parts'}/*.csv', or the format with --input-format"
    )
    assert entries_of(tmp_path / "parts", InputOptions(format="csv")) == [{"a": "1"}, {"a": "2"}]


def test_a_later_file_that_is_gone_is_one_entry_and_the_next_ones_are_read(write) -> None:
    paths = [write(f"{number}.csv", b"a\n1\n") for number in range(3)]
    source = open_source([str(path) for path in paths])
    paths[1].unlink()
    entries, _ = drain(source)
    assert entries == [
        Event(2, {"a": "1"}),
        Unreadable(3, "file not found; check the path" + NOT_READ),
        Event(5, {"a": "1"}),
    ]
    assert source.locate(3) == (str(paths[1]), 1)
    assert source.locate(5) == (str(paths[2]), 2)


def test_the_format_that_is_asked_for_wins_over_the_name(write) -> None:
    path = write("export.txt", b"a|b\n1|2\n")
    assert entries_of(path, InputOptions("csv", delimiter="|")) == [{"a": "1", "b": "2"}]
    path = write("lines.csv.gz", gzip.compress(b'{"a":1}\n'))
    assert entries_of(path, InputOptions("ndjson")) == [{"a": 1}]


# Laws -----------------------------------------------------------------------------------------------------------------

CELLS = st.text(st.sampled_from("ab é\"',;\r\n\t\0\ufeff"), max_size=6)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("odd")


def reference_rows(text: str, delimiter: str, quote: str) -> int:
    """Count the rows of a CSV text, character by character: an independent reader.

    A row ends at a line end outside quotes; so does one whose closing quote is followed by text.
    """
    rows = 0
    state = "start of row"
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    for character in text:
        if state == "start of row":
            rows += 1
            state = "start of cell"
        if state == "quoted":
            state = "quote in quotes" if character == quote else "quoted"
        elif state == "quote in quotes" and character == quote:
            state = "quoted"
        elif character == "\n":
            state = "start of row"
        elif state == "start of cell" and character == quote:
            state = "quoted"
        elif character == delimiter and state != "bad":
            state = "start of cell"
        elif state in ("quote in quotes", "bad"):
            state = "bad"
        else:
            state = "plain"
    return rows


@settings(max_examples=300, deadline=None)
@given(
    body=st.text(st.sampled_from("ab\"',;\r\n "), max_size=60),
    block=st.sampled_from([1, 3, 16, BLOCK_BYTES]),
    delimiter=st.sampled_from(",;"),
    quote=st.sampled_from("\"'"),
)
def test_no_row_is_lost(folder, body, block, delimiter, quote) -> None:
    path = folder / "rows.csv"
    path.write_bytes(f"x{delimiter}y\n{body}".encode())
    options = InputOptions(delimiter=delimiter, quote=quote)
    entries, blank = drain(open_source(str(path), options, block_bytes=block))
    assert len(entries) + blank == reference_rows(body, delimiter, quote)
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))


@settings(max_examples=200, deadline=None)
@given(
    rows=st.lists(st.lists(CELLS, min_size=2, max_size=2), max_size=8),
    block=st.sampled_from([1, 2, 5, 64, BLOCK_BYTES]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_cells_come_back_as_they_were_written(folder, rows, block, end, encoding) -> None:
    def quoted(cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"'

    text = "x,y" + end + "".join(",".join(map(quoted, row)) + end for row in rows)
    path = folder / "cells.csv"
    path.write_bytes(text.encode(encoding))
    entries, blank = drain(open_source(str(path), block_bytes=block))
    expected = []
    for row in rows:
        if "".join(row).strip():
            bad = "\0" in "".join(row)
            expected.append(None if bad else {n: c for n, c in zip("xy", row, strict=True) if c})
    # A row with a NUL byte is one bad event, also when it holds nothing else.
    found = [entry.data if isinstance(entry, Event) else None for entry in entries]
    assert found == expected
    assert len(entries) + blank == len(rows)


@settings(max_examples=300, deadline=None)
@given(
    content=st.binary(max_size=200) | st.text(st.sampled_from('{}[]":,\\a1 \n')).map(str.encode),
    name=st.sampled_from(["b.ndjson", "b.json", "b.csv", "b.csv.gz", "b.ndjson.zst"]),
    options=st.builds(
        InputOptions,
        format=st.none(),
        delimiter=st.sampled_from([None, ";", "\t", '"']),
        encoding=st.sampled_from([None, "cp1252", "utf-16-le", "ascii", "shift-jis"]),
        quote=st.sampled_from([None, "", "'"]),
    ),
    block=st.sampled_from([1, 7, BLOCK_BYTES]),
)
def test_no_bytes_raise_anything_but_a_source_error(folder, content, name, options, block) -> None:
    pack = {"gz": gzip.compress, "zst": zstd}.get(name.rpartition(".")[2], bytes)
    (folder / name).write_bytes(pack(content))
    try:
        source = open_source(str(folder / name), options, reads={("a",)}, block_bytes=block)
    except SourceError:
        assert ".csv" in name  # its header cannot be used
        return
    entries, blank = drain(source)
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))
    if ".ndjson" in name and not options.encoding and not content.startswith((b"\xff", b"\xfe")):
        lines = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
        assert len(entries) + blank == len(lines) - (not lines[-1])
