"""`connector export` as its users run it: the page of the documentation, refusals, and what is left of a run."""

from __future__ import annotations

import gzip
import json
import re
import shlex
import signal
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import connector
from tests.kit import ROOT
from tests.kit.cli import Done, call, environment, ndjson, start
from tests.kit.clock import FakeClock
from tests.kit.exports import KEY, MATCH, PARTNER, exporting, keyed

PAGE = (ROOT / "docs" / "exports.md").read_text("utf-8")
COUNTS = ("events", "records", "written", "rejected", "unwritten", "skipped", "blank")
MEMBERS = ["file", *COUNTS, "identifiers_dropped", "bytes", "seconds", "interrupted"]
MEMBERS += ["reasons", "dropped", "fill", "warnings"]
CONNECTION = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
credentials: {partner_key: {env: X_PARTNER_KEY}}
event_id: event
exports:
  full_data_match:
    map:
      company: {value: Acme}
      email: {from: email}
      partner_user_id: {from: id}
"""
EVENTS = [
    {"event": "e1", "id": "u1", "email": "ann@example.com"},
    {"event": "e2", "id": "u,2", "email": "bob@example.com"},
    {"event": "e3", "id": "u3", "email": ["cyd@example.com", "no"]},
]
LINES = f"{keyed('ann@example.com')},u1\n{keyed('cyd@example.com')},u3\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "connection.yaml").write_text(CONNECTION, "utf-8")
    ndjson(tmp_path, EVENTS)
    return tmp_path


def export(folder: Path, *more: str, key: str | None = KEY, stdin: bytes = b"") -> Done:
    """Run an export; whatever becomes of it, the key is not shown."""
    arguments = ("export", "connection.yaml", *(more or ()))
    done = call(*arguments, env=environment(X_PARTNER_KEY=key), folder=folder, stdin=stdin)
    assert KEY[:12] not in done.text
    return done


# --- the page ---


def steady(text: str) -> str:
    text = re.sub(r"\d+\.\d\d s\b", "0.00 s", text)
    return re.sub(r"\d{4}-\d\d-\d\d", "2026-01-15", text)


def shown(command: str, folder: Path) -> str:
    """Return what a command of the page prints on standard output."""
    program, *arguments = shlex.split(command)
    if program == "export":
        return ""
    if program == "cat":
        return (folder / arguments[0]).read_text("utf-8")
    if program == "gunzip":
        return gzip.decompress((folder / arguments[1]).read_bytes()).decode()
    assert program == "connector"
    env = environment(X_PARTNER_KEY=KEY)
    done = call(*arguments, env=env, folder=folder)
    assert done.status in (0, 1), done.text
    return done.out


def test_the_page_is_right(tmp_path: Path) -> None:
    for language, name in (("yaml", "connection.yaml"), ("json", "people.ndjson")):
        [text] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
        (tmp_path / name).write_text(text, "utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        made = ""
        for command in re.findall(r"^\$ (.*)$", block, re.MULTILINE):
            made += f"$ {command}\n{shown(command, tmp_path)}"
        assert steady(made) == block


# --- the file, the counts, the report ---


def test_the_summary_in_json(folder: Path) -> None:
    done = export(folder, "full_data_match", "events.ndjson", "--into", ".", "--format", "json")
    assert done.status == 1
    assert list(done.json) == MEMBERS
    assert done.json["file"] == "FullDataMatch.Acme.txt"
    counts = {name: done.json[name] for name in COUNTS}
    expected = dict.fromkeys(COUNTS, 0)
    assert counts == {**expected, "events": 3, "records": 3, "written": 2, "rejected": 1}
    assert done.json["identifiers_dropped"] == 2
    assert done.json["warnings"] == []
    path = folder / "FullDataMatch.Acme.txt"
    assert path.read_text("utf-8") == LINES
    assert path.stat().st_size == done.json["bytes"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_report_is_that_of_send(folder: Path) -> None:
    done = export(folder, "full_data_match", "events.ndjson", "--into", ".", "--report", "r.ndjson")
    assert done.status == 1
    lines = [json.loads(line) for line in (folder / "r.ndjson").read_text("utf-8").splitlines()]
    found = [(one["event"], one["route"], one["outcome"], one["code"]) for one in lines]
    assert found == [
        ("e2", "full_data_match", "rejected", "no_identifier"),
        ("e2", "full_data_match", "dropped", "not_a_cell"),
        ("e3", "full_data_match", "dropped", "not_of_the_form"),
    ]
    assert "example.com" not in (folder / "r.ndjson").read_text("utf-8")


def test_standard_input_and_output(folder: Path) -> None:
    events = b"id;email\nu1;ann@example.com\n"
    options = ("--into", "-", "--input-format", "csv", "--delimiter", ";", "--progress", "--strict")
    (folder / "connection.yaml").write_text(CONNECTION.replace("event_id: event\n", ""), "utf-8")
    done = export(folder, "full_data_match", "-", *options, stdin=events)
    assert done.status == 0
    assert done.out == f"{keyed('ann@example.com')},u1\n"
    assert "1 events, 1 written, 0 rejected" in done.err
    assert "in the output" in done.err


def test_an_export_without_a_line_leaves_no_file(folder: Path) -> None:
    (folder / "none.ndjson").write_text("")
    (folder / "FullDataMatch.Acme.txt").write_text("old")
    done = export(folder, "full_data_match", "none.ndjson", "--into", ".", "--force")
    assert done.status == 0
    assert "warning: no line was written, so that there is no file" in done.out
    assert (folder / "FullDataMatch.Acme.txt").read_text() == "old"
    strict = ("--into", "new.txt", "--strict", "--format", "json")
    done = export(folder, "full_data_match", "none.ndjson", *strict)
    assert (done.status, done.json["file"]) == (1, None)
    assert not (folder / "new.txt").exists()


def test_a_connection_that_only_exports_is_checked(folder: Path) -> None:
    def check(key: str | None) -> tuple[int, list[str]]:
        env = environment(X_PARTNER_KEY=key)
        done = call("check", "connection.yaml", env=env, folder=folder)
        assert KEY[:12] not in done.text
        return done.status, done.out.splitlines()

    at = "https://ads-api.x.com"
    about = [
        f"ok       settings                  X Custom Audiences at {at}, 0 routes, 1 export",
        "skipped  credentials               without routes nothing is sent",
    ]
    ok = "ok       export full_data_match    its key has the right form"
    assert check(KEY) == (0, [*about, ok])
    short = (
        "error    export full_data_match    credentials.partner_key: the key has 24 bytes, and 32 "
        "are expected; store all of its base64 text, and nothing else"
    )
    assert check(KEY[:32]) == (1, [*about, short])


def test_a_packed_file_says_that_it_is(folder: Path) -> None:
    done = export(folder, "full_data_match", "events.ndjson", "--into", "o.gz", "--format", "json")
    assert gzip.decompress((folder / "o.gz").read_bytes()).decode() == LINES
    assert done.json["bytes"] == len(LINES)
    done = export(folder, "full_data_match", "events.ndjson", "--into", "o.gz", "--force")
    assert f"{len(LINES)} bytes packed into o.gz, " in done.out


def test_warnings_name_the_export(folder: Path) -> None:
    (folder / "people.ndjson").write_text(
        '{"event": "e1", "id": "u1", "mail": "ann@example.com"}\n'
    )
    done = export(folder, "full_data_match", "people.ndjson", "--into", "o.txt")
    looked_in = "(looked in email); did you mean 'mail'?"
    assert f"warning: export full_data_match: email was found in 0 of 1 {looked_in}" in done.out
    skipping = CONNECTION.replace("    map:", "    when: false\n    map:").replace(
        "false", '"false"'
    )
    (folder / "connection.yaml").write_text(skipping, "utf-8")
    done = export(folder, "full_data_match", "people.ndjson", "--into", "o.txt")
    assert "warning: no event matched the export; check its 'when' and 'each'" in done.out


# --- refusals ---

KEY_PROBLEM = "C216 connection.yaml#/credentials/partner_key:"


@pytest.mark.parametrize(
    ("arguments", "key", "message"),
    [
        (("match", "events.ndjson", "--into", "o"), KEY, "C041 connection.yaml#/exports: the connection has no export 'match'; known: full_data_match, opt_out, sync_pixel, web_targeting; see 'connector show x_custom_audiences'"),
        (("full_data_match", "events.ndjson", "--into", "o"), None, f"{KEY_PROBLEM} the environment variable is not set or empty; export it before sending"),
        (("full_data_match", "events.ndjson", "--into", "o"), KEY[1:], f"{KEY_PROBLEM} the key is not base64 text; store it as it came, and nothing else"),
        (("full_data_match", "events.ndjson", "--into", "events.ndjson"), KEY, "C013 events.ndjson: the export would overwrite an input file; choose another file"),
        (("full_data_match", "events.ndjson", "--into", "connection.yaml", "--force"), KEY, "C013 connection.yaml: the export would overwrite an input file; choose another file"),
        (("full_data_match", "events.ndjson", "--into", "o", "--report", "./o"), KEY, "C013 o: the report would overwrite the export; choose another file"),
        (("full_data_match", "events.ndjson", "--into", "there"), KEY, "C043 there: exists already; name another file, or add --force to replace it"),
        (("full_data_match", "events.ndjson", "--into", "no/o"), KEY, "C042 no/o: cannot write the export: No such file or directory; create the folder first"),
        (("full_data_match", "nowhere.ndjson", "--into", "o"), KEY, "nowhere.ndjson"),
    ],
)  # fmt: skip
def test_a_refusal_writes_nothing(
    folder: Path, arguments: tuple[str, ...], key: str | None, message: str
) -> None:
    (folder / "there").write_text("old")
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    done = export(folder, *arguments, key=key)
    assert done.status == 2
    assert message in done.err
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


def test_a_folder_needs_a_name_that_the_vendor_expects(tmp_path: Path) -> None:
    connection = exporting(tmp_path, opt_out={"map": PARTNER})
    with pytest.raises(connector.ConfigError) as caught:
        connector.export(connection, "opt_out", [{"id": "u1"}], into=tmp_path)
    assert str(caught.value) == (
        f"C042 {tmp_path}: is a folder, and the vendor expects no name of the file; name a file"
    )


def test_send_has_nothing_to_send(folder: Path) -> None:
    done = call("send", "--sandbox", "connection.yaml", "events.ndjson", folder=folder)
    assert done.status == 2
    assert done.err.startswith("C040 connection.yaml: has no routes: nothing can be sent")


# --- what is left of a run that ends before ---


def test_an_export_that_is_ended_leaves_nothing(tmp_path: Path) -> None:
    clock = FakeClock(end_after=1)

    def events() -> Iterator[dict[str, Any]]:
        for number in range(50_000):
            if number == 30_000:
                clock.sent()
            yield {"id": f"u{number}", "email": "ann@example.com"}

    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    path = tmp_path / "out.txt"
    report = connector.export(connection, "full_data_match", events(), into=path, clock=clock)
    assert report.interrupted
    assert not report.complete
    counts = report.counts
    assert (counts.delivered, counts.undelivered) == (0, counts.records)
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_an_input_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def events() -> Iterator[dict[str, Any]]:
        yield {"id": "u1", "email": "ann@example.com"}
        raise OSError("the disk is gone")

    connection = exporting(tmp_path, full_data_match={"map": MATCH})
    with pytest.raises(OSError, match="the disk is gone"):
        connector.export(connection, "full_data_match", events(), into=tmp_path / "out.txt")
    assert [one.name for one in tmp_path.iterdir()] == ["key"]


def test_a_signal_ends_an_export_in_good_order(folder: Path, monkeypatch: Any) -> None:
    monkeypatch.setenv("X_PARTNER_KEY", KEY)
    path = folder / "connection.yaml"
    out = folder / "out.txt"
    process = start("export", path, "full_data_match", "-", "--into", out, stdin=subprocess.PIPE)
    assert process.stdin
    assert process.stdout
    assert process.stderr
    line = json.dumps(EVENTS[0]).encode() + b"\n"
    process.stdin.write(line * 100)
    while not list(folder.glob(".out.txt.*")):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.stderr.readline().startswith(b"stopping; nothing is written")
    process.stdin.close()
    output = process.stdout.read()
    assert process.wait(30) == 1, output
    assert b"interrupted" in output
    assert not list(folder.glob("*out.txt*")) + list(folder.glob(".out.txt*"))
    process.stdout.close()
    process.stderr.close()
