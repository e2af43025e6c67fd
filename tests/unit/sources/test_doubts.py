"""What looks like a mistake in an input that can be read, and blank rows behind a limit."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from connector.model import InputOptions
from connector.sources.files import open_source

READS = {("E-Mail",), ("traits", "phone"), ("message_id",)}
NAMES = "E-Mail, message_id, traits.phone"
NONE = f"the header has none of the columns that the connection reads ({NAMES})"
CP1252 = InputOptions(encoding="cp1252")
MISREAD = (
    "looks like UTF-8, but was read as cp1252; leave out --encoding,"
    " or 'encoding' under the connection's 'input'"
)
UMLAUTS = "E-Mail,Name\na@example.com,J\u00fcrgen\n"

HEADERS: list[tuple[str, list[str]]] = [
    ("E-Mail,name\na,b\n", []),
    ("traits.phone\n1\n", []),
    ("traits\nx\n", []),
    ("name,mail\na,b\n", [NONE]),
    ("name,mail\n", [NONE]),
    ("<html><body>Sign in</body></html>", [f"{NONE}; it begins with <, as HTML and XML do"]),
    ('{"error":"unauthorized"}', [f"{NONE}; it begins with {{, as JSON does"]),
    ("[1]", [f"{NONE}; it begins with [, as JSON does"]),
    ("Error 403 forbidden", [NONE]),
    ("", []),
    ("\n\n", []),
]


def doubts(path: Path, options: InputOptions = CP1252, **more: Any) -> list[str]:
    """Return what is said of a file, when all of it was read."""
    with open_source(str(path), options, **more) as source:
        for _ in source:
            pass
        found = source.doubts
    assert all(doubt.startswith(f"{path}: ") for doubt in found)
    return [doubt.removeprefix(f"{path}: ") for doubt in found]


@pytest.mark.parametrize(("content", "said"), HEADERS)
def test_a_header_without_a_column_that_is_read(
    tmp_path: Path, content: str, said: list[str]
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(content, "utf-8")
    assert doubts(path, InputOptions(), reads=READS) == said
    assert doubts(path, InputOptions()) == []


def test_a_few_of_many_columns_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x\n1\n", "utf-8")
    [said] = doubts(path, InputOptions(), reads={(f"c{number:02}",) for number in range(12)})
    assert "(c00, c01, c02, c03, c04, c05, c06, c07, c08, c09 and 2 more)" in said


ENCODINGS: list[tuple[bytes, str | None, bool]] = [
    (UMLAUTS.encode(), "cp1252", True),
    (UMLAUTS.encode(), "latin-1", True),
    (b"\n" * 5000 + UMLAUTS.encode(), "cp1252", True),
    (UMLAUTS.encode("cp1252"), "cp1252", False),
    (UMLAUTS.encode("cp1252") + UMLAUTS.encode(), "cp1252", False),
    (b"E-Mail\na@example.com\n", "cp1252", False),
    (UMLAUTS.encode(), None, False),
    (UMLAUTS.encode(), "utf-8", False),
    (b"\xef\xbb\xbf" + UMLAUTS.encode(), "cp1252", False),
    (UMLAUTS.encode("utf-16-le"), "utf-16-le", False),
    ("E-Mail\n\u806f\u901a\n".encode("gb18030"), "gb18030", False),
    ("E-Mail\n\u043c\u0438\u0440\n".encode("cp1251"), "cp1251", False),
]


@pytest.mark.parametrize(("content", "encoding", "is_said"), ENCODINGS)
@pytest.mark.parametrize("block_bytes", [1000, 2**18])
def test_utf8_that_is_read_in_another_encoding(
    tmp_path: Path, content: bytes, encoding: str | None, is_said: bool, block_bytes: int
) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    said = doubts(path, InputOptions(encoding=encoding), block_bytes=block_bytes)
    assert said == ([MISREAD.replace("cp1252", encoding or "")] if is_said else [])


def test_a_block_may_end_inside_a_character(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(UMLAUTS.encode())
    inside = UMLAUTS.index("\u00fc") + 1
    assert doubts(path, block_bytes=inside) == [MISREAD]


def test_each_file_has_its_own(tmp_path: Path) -> None:
    first, second, third = [tmp_path / name for name in ("a.csv", "b.csv", "c.ndjson")]
    first.write_bytes(UMLAUTS.encode())
    second.write_bytes(b"x\n1\n")
    third.write_bytes(b"{}\n")
    names = [str(path) for path in (first, second, third)]
    with open_source(names, CP1252, reads=READS) as source:
        assert list(itertools.chain.from_iterable(source))
        assert source.doubts == [f"{first}: {MISREAD}", f"{second}: {NONE}"]


LINES = b"\na\n1\n\n2\n\n\n\n3\n\n"
NDJSON = b'\n{"a": 1}\n\n{"a": 2}\n\n\n\n{"a": 3}\n\n'


@pytest.mark.parametrize(("name", "content"), [("a.csv", LINES), ("a.ndjson", NDJSON)])
@pytest.mark.parametrize("block_bytes", [1, 3, 2**18])
def test_blank_rows_behind_the_last_event_are_not_counted(
    tmp_path: Path, name: str, content: bytes, block_bytes: int
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    counts = []
    for limit in (1, 2, 3, 4, None):
        with open_source(str(path), limit=limit, block_bytes=block_bytes) as source:
            events = list(itertools.chain.from_iterable(source))
            assert len(events) == min(limit or 3, 3)
            counts.append(source.blank)
    assert counts == [1, 2, 5, 6, 6]
    with open_source([str(path)] * 2, limit=4, block_bytes=block_bytes) as source:
        assert len(list(itertools.chain.from_iterable(source))) == 4
        assert source.blank == 7
