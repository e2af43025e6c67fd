"""Sources as people have them, through the real command line: spreadsheets, exports in parts, packed files, pipes."""

from __future__ import annotations

import gzip
import hashlib
import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.kit.cli import (
    AUDIENCE,
    Done,
    assert_adds_up,
    at_once,
    connection,
    ndjson,
    person,
    report_lines,
    run,
)

SPREADSHEET = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
%s
routes:
  - action: add_user_multi
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: E-Mail}
      partner_user_id: {from: '["Bem."]'}
"""
GERMAN = """Nr;E-Mail;Bem.;;Name;Name
1;jörg@example.com;€uro;;a;b;
;;;;;
2;anna@example.com;"zwei
Zeilen";;;;;
 ; ;;;;
3;otto@example.com;;;;;
""".replace("\n", "\r\n")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def sheet(folder: Path, *, input_: str = "", content: bytes = b"") -> tuple[Path, Path]:
    """Write a connection for a spreadsheet, and the spreadsheet."""
    made, events = folder / "sheet.yaml", folder / "leute.csv"
    made.write_text(SPREADSHEET % input_, "utf-8")
    events.write_bytes(content or GERMAN.encode("cp1252"))
    return made, events


def assert_german(done: Done) -> None:
    assert done.status == 0, done.text
    for value in ("jörg@example.com", "anna@example.com", "otto@example.com"):
        assert digest(value) in done.out
    assert "€uro" in done.out
    *_, counts, filled = done.out.splitlines()
    assert counts == (
        "3 events, 3 records, 1 request, 0 superseded, 0 rejected, 0 skipped, 2 blank"
    )
    assert filled.startswith("values found, of 3 taken by add_user_multi-1: email 3")


@pytest.mark.parametrize(
    ("input_", "options"),
    [
        ("input: {delimiter: ';', encoding: cp1252}", ()),
        ("", ("--delimiter", ";", "--encoding", "windows-1252")),
        ("", ("--set", "input.delimiter=;", "--set", "input.encoding=cp1252")),
        (
            "input: {format: json, delimiter: tab, encoding: utf-8, quote: '|'}",
            ("--input-format", "csv", "--delimiter", ";", "--encoding", "cp1252", "--quote", '"'),
        ),
    ],
)
def test_a_spreadsheet_as_it_is_saved_in_germany(tmp_path: Path, input_, options) -> None:
    made, events = sheet(tmp_path, input_=input_)
    assert_german(run("preview", made, events, *options))


EACH = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
routes:
  - action: add_user_multi
    each: person
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: '["The.Person"]'}
      phone_number: {from: item.phone, country: {from: item.land}}
      device_id: {all: ["ids[type=IDFA].value", item.device]}
"""


def test_every_column_that_a_mapping_reads_needs_a_good_name(tmp_path: Path) -> None:
    made = tmp_path / "each.yaml"
    made.write_text(EACH, "utf-8")
    events = tmp_path / "people.csv"
    header = "The.Person,person.phone,person.land,person.device,x,x,"
    events.write_text(f"{header}\nann@example.com,0151 23456789,DE,,1,2,\n", "utf-8")
    done = run("preview", made, events)
    assert done.status == 0, done.text
    assert digest("ann@example.com") in done.out
    assert digest("+4915123456789") in done.out

    for column in ("The.Person", "person", "person.land", "person.device", "ids"):
        events.write_text(f"{header}{column},{column}\n", "utf-8")
        done = run("preview", made, events)
        assert done.status == 2, column
        assert "have the same name" in done.err or "is a member of" in done.err
        assert "rename one of them" in done.err


def test_a_mark_and_a_first_line_decide_unasked(tmp_path: Path) -> None:
    made, events = sheet(tmp_path, content=("sep=;\r\n" + GERMAN).encode("utf-16"))
    assert_german(run("preview", made, events))
    made, events = sheet(tmp_path, content=("sep=;\r\n" + GERMAN).encode("utf-8-sig"))
    assert_german(run("preview", made, events, "--encoding", "cp1252"))


def test_messages_name_the_option_that_helps(tmp_path: Path) -> None:
    made, events = sheet(tmp_path)
    done = run("preview", made, events)
    assert done.status == 2
    assert "name the delimiter: --delimiter ';'" in done.err

    done = run("preview", made, events, "--delimiter", ";")
    assert done.status == 1
    assert f"# {events} line 2: rejected, unreadable: not text in the expected enc" in done.out
    assert "unless --encoding or the connection's 'input' names another" in done.out

    done = run("preview", made, events, "--encoding", "cp-1252", "--delimiter", "ab")
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"C106 {made}#/input/delimiter: ")

    (tmp_path / "leute.txt").write_bytes(events.read_bytes())
    done = run("preview", made, tmp_path / "leute.txt")
    assert "or name the format with --input-format" in done.err


def test_an_option_without_effect_is_an_error(tmp_path: Path) -> None:
    made = connection(tmp_path)
    events = ndjson(tmp_path, [person(1)])
    done = run("preview", made, events, "--delimiter", ";", "--quote", "'")
    assert (done.status, done.out) == (2, "")
    hint = "has no effect: no input is CSV; leave it out, or add --input-format csv"
    assert done.err == f"C025 --delimiter: {hint}\nC025 --quote: {hint}\n"


def test_a_bad_element_of_a_list_is_one_event_and_the_others_are_sent(tmp_path: Path) -> None:
    elements = [json.dumps(person(number)) for number in range(1000)]
    elements[2] = '{"id": "e2", "score": NaN}'
    events = tmp_path / "people.json"
    events.write_text(f"[{', '.join(elements)}]", "utf-8")
    report = tmp_path / "report"
    done = run("send", "--sandbox", connection(tmp_path), events, "--format", "json", "--report", report)  # fmt: skip
    assert (done.status, done.json["events"], done.json["delivered"]) == (1, 1000, 999)
    assert_adds_up(done.json)
    (line,) = report_lines(report)
    assert (line["event"], line["line"], line["code"]) == (None, 3, "unreadable")


def test_where_reading_cannot_go_on_the_run_says_so(tmp_path: Path) -> None:
    made = connection(tmp_path)
    cut = tmp_path / "cut.json"
    cut.write_text(json.dumps([person(1), person(2)])[:-1], "utf-8")
    packed = tmp_path / "cut.ndjson.gz"
    packed.write_bytes(gzip.compress(ndjson(tmp_path, map(person, range(999))).read_bytes())[:-20])
    for path, reason in ((cut, "the array is not closed"), (packed, "cut off or damaged")):
        done = run("send", "--sandbox", made, path)
        assert done.status == 1
        assert f"{reason}; the rest of this input was not read\n" in done.out


def exports(folder: Path) -> Path:
    """Write an export in parts: one bad line in the second, and one person without an id."""
    parts = folder / "parts"
    parts.mkdir()
    ndjson(parts, [person(1), person(2)], "part-0.ndjson")
    ndjson(parts, [person(3), "not json", "", {"id": "e2", "audience": AUDIENCE}], "part-1.ndjson")
    (parts / "part-2.csv").write_text(f"audience,email\n{AUDIENCE},\n\n,,\n", "utf-8")
    (parts / "part-3.json.gz").write_bytes(gzip.compress(json.dumps([person(4)]).encode()))
    (parts / "_SUCCESS").touch()
    return parts


def test_an_export_in_parts(tmp_path: Path) -> None:
    made, parts = connection(tmp_path), exports(tmp_path)
    named: list[list[Any]] = [
        [parts],
        [f"{parts}/*-[0-9].*"],
        [parts / "part-0.ndjson", f"{parts}/part-[12].*", parts / "part-3.json.gz"],
    ]
    sends = []
    for number, paths in enumerate(named):
        report = tmp_path / f"report-{number}"
        sends.append(
            partial(
                *(run, "send", "--sandbox", made, *paths),
                *("--format", "json", "--report", report),
            )
        )
    for number, done in enumerate(at_once(sends)):
        assert done.status == 1
        assert_adds_up(done.json)
        counts = {name: done.json[name] for name in ("events", "delivered", "rejected", "blank")}
        assert counts == {"events": 7, "delivered": 4, "rejected": 3, "blank": 3}
        lines = report_lines(tmp_path / f"report-{number}")
        where = [(line["event"], Path(line["file"] or "").name, line["line"]) for line in lines]
        assert where == [
            (None, "part-1.ndjson", 2),
            ("e2", "", None),
            (None, "part-2.csv", 2),
        ]


def test_events_without_ids_are_known_by_their_position_in_the_whole(tmp_path: Path) -> None:
    made = connection(tmp_path)
    made.write_text(made.read_text("utf-8").replace("event_id: id\n", ""), "utf-8")
    nobody = {"audience": AUDIENCE}
    first = ndjson(tmp_path, [person(1), nobody], "a.ndjson")
    second = ndjson(tmp_path, [nobody, "nothing"], "b.ndjson")
    report = tmp_path / "report"
    done = run("send", "--sandbox", made, first, second, "--report", report)
    assert done.status == 1
    lines = [(line["event"], line["file"], line["line"]) for line in report_lines(report)]
    assert lines == [("2", str(first), 2), ("3", str(second), 1), (None, str(second), 2)]

    out = run("preview", made, first, second).out
    assert f"# {first} line 2 (route add_user_multi): rejected" in out
    assert f"# {second} line 1 (route add_user_multi): rejected" in out
    assert f"# {second} line 2: rejected, unreadable: " in out


def test_any_format_on_standard_input(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    made = connection(tmp_path)
    lines = ndjson(tmp_path, [person(number) for number in range(20)])
    table = tmp_path / "a.parquet"
    duckdb.sql(f"COPY (SELECT * FROM read_json('{lines}')) TO '{table}' (FORMAT parquet)")
    cells = "".join(f"e{n},{AUDIENCE},person{n}@example.com\n" for n in range(20))
    given = {
        "ndjson": lines.read_bytes(),
        "json": json.dumps([person(number) for number in range(20)]).encode(),
        "csv": f"id,audience,email\n{cells}".encode(),
        "parquet": table.read_bytes(),
    }
    send = partial(run, "send", "--sandbox", made, "-", "--format", "json")
    works = []
    for name, content in given.items():
        works.append(partial(send, "--input-format", name, stdin=content))
        if name != "parquet":
            works.append(partial(send, "--input-format", name, stdin=gzip.compress(content)))
    works.append(partial(send, "--input-format", "csv", "--delimiter", "tab",
                         stdin=given["csv"].replace(b",", b"\t")))  # fmt: skip
    for done in at_once(works):
        assert (done.status, done.err) == (0, "")
        assert (done.json["events"], done.json["delivered"]) == (20, 20)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ""),
        ("a.csv", "id,email\n"),
        ("a.csv", "id,email\n,\n\n"),
        ("a.ndjson", "\n\n"),
        ("a.json", "[]"),
    ],
)
def test_an_input_without_an_event_is_said(tmp_path: Path, name: str, content: str) -> None:
    made, events = connection(tmp_path), tmp_path / name
    events.write_text(content, "utf-8")
    for command in (("preview",), ("send", "--sandbox")):
        done = run(*command, made, events)
        assert (done.status, done.err) == (0, "")
        assert "no event: the input holds none\n" in done.out + "\n"


def test_parquet_prints_nothing_but_the_result_and_its_times_are_times(tmp_path: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    table = tmp_path / "a.parquet"
    duckdb.sql(
        "COPY (SELECT 'e1' AS id, '1nmth' AS audience, 'ann@example.com' AS email,"
        " TIMESTAMPTZ '2098-01-15 10:00:00+02' AS start, DATE '2099-01-15' AS \"end\")"
        f" TO '{table}' (FORMAT parquet)"
    )
    made = connection(tmp_path)
    out = run("preview", made, table).out
    assert '"effective_at": "2098-01-15T08:00:00Z"' in out
    assert '"expires_at": "2099-01-15T00:00:00Z"' in out
    done = run("send", "--sandbox", made, table, "--format", "json")
    assert (done.status, done.err, done.json["delivered"]) == (0, "", 1)
