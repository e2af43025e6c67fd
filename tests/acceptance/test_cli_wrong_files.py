"""Files that are not what they should be: said by every command, though nothing fails."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from tests.kit.cli import at_once, run

CONNECTION = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
credentials:
  consumer_key: {env: X_CONSUMER_KEY}
  consumer_secret: {env: X_CONSUMER_SECRET}
  access_token: {env: X_ACCESS_TOKEN}
  access_token_secret: {env: X_ACCESS_TOKEN_SECRET}
routes:
  - action: add_user_multi
    name: in
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: E-Mail}
      partner_user_id: {from: Schlussel}
"""


@pytest.fixture
def made(tmp_path: Path) -> Path:
    path = tmp_path / "connection.yaml"
    path.write_text(CONNECTION, "utf-8")
    return path


def test_an_error_page_is_no_csv(made: Path, tmp_path: Path) -> None:
    events = tmp_path / "leute.csv"
    events.write_text("<html><body>Sign in</body></html>\n", "utf-8")
    said = (
        f"{events}: the header has none of the columns that the connection reads "
        "(E-Mail, Schlussel); it begins with <, as HTML and XML do"
    )
    for command in (("preview", made, events), ("send", "--sandbox", made, events)):
        relaxed, strict, as_json = at_once(
            [partial(run, *command, *more) for more in ((), ("--strict",), ("--format", "json"))]
        )
        assert [relaxed.status, strict.status, as_json.status] == [0, 1, 0]
        assert f"warning: {said}\n" in relaxed.out
        assert said in json.loads(as_json.out.splitlines()[-1])["warnings"]


def test_utf8_read_as_cp1252_is_said_and_no_broken_name_proposed(
    made: Path, tmp_path: Path
) -> None:
    events = tmp_path / "leute.csv"
    events.write_text("E-Mail,Schl\u00fcssel\nj\u00f6rg@example.com,K1\n", "utf-8")
    said = (
        f"warning: {events}: looks like UTF-8, but was read as cp1252; leave out --encoding,"
        " or 'encoding' under the connection's 'input'\n"
    )
    command = ("preview", made, events)
    wrong, right = run(*command, "--encoding", "cp1252", "--strict"), run(*command, "--strict")
    assert said in wrong.out
    assert "partner_user_id was found in 0 of 1 (looked in Schlussel)\n" in wrong.out
    assert "looks like UTF-8" not in right.out
    assert "(looked in Schlussel); did you mean 'Schl\u00fcssel'?\n" in right.out


@pytest.mark.parametrize("name", ["leute.csv.gz", "leute.parquet"])
def test_a_file_of_no_bytes_is_an_error(made: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    done = run("preview", made, tmp_path / name)
    assert done.status == 2
    assert "file is; was it written to its end?" in done.text


def test_blank_rows_behind_the_limit_and_lines_of_events(made: Path, tmp_path: Path) -> None:
    events = tmp_path / "leute.csv"
    events.write_text("E-Mail\na@example.com\n\nb\n\n\n\nc@example.com\n\n", "utf-8")
    done = run("preview", made, events, "--limit", "2")
    assert "1 rejected, 0 skipped, 1 blank\n" in done.out
    assert f"# {events} line 4 (route in): rejected" in done.out
    piped = run("preview", made, "-", "--input-format", "csv", stdin=events.read_bytes())
    assert "# standard input line 4 (route in): rejected" in piped.out
