"""`connector new DESTINATION --from PRESET`: what is copied, what is refused, and who can ship presets."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from connector.scaffold.presets import marks
from tests.kit import ROOT
from tests.kit.cli import call, environment, succeed

X = "x_custom_audiences"
SHIPPED = ROOT / "schemas" / X / "presets" / "lytics"
TINY = ROOT / "tests" / "bad" / "tiny"
CONNECTION = """
name: Planet to tiny
description: whom Planet sends
destination: tiny
settings: {account_id: 1234abcd}
credentials:
  consumer_key: {env: PLANET_KEY}
  consumer_secret: {file: planet.secret}
  access_token: {env: PLANET_TOKEN}
  access_token_secret: {env: PLANET_TOKEN_SECRET}
routes:
  - {action: add, map: {list_id: {value: "42"}, email: {from: email}}}
  - {action: remove, map: {list_id: {value: "42"}, email: {from: email}}}
"""


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Return a definition folder whose destination has a preset, 'planet'."""
    folder = tmp_path / "own"
    for kind in ("schemas", "templates"):
        shutil.copytree(TINY / kind, folder / kind)
    preset = folder / "schemas" / "tiny" / "presets" / "planet"
    preset.mkdir(parents=True)
    (preset / "connection.yaml").write_text(CONNECTION, "utf-8")
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def new(folder: Path, *arguments: str | Path) -> str:
    return succeed("new", *arguments, env=environment(), folder=folder)


def refused(folder: Path, *arguments: str | Path) -> str:
    done = call("new", *arguments, env=environment(), folder=folder)
    assert (done.status, done.out) == (2, "")
    return done.err


def test_the_files_are_those_of_the_preset_and_the_rest_is_said(tmp_path: Path) -> None:
    shown = new(tmp_path, X, "--from", "lytics")
    assert files(tmp_path) == files(SHIPPED)
    wrote, changing = shown.split("change in connection.yaml (what is there now is an example)\n")
    assert wrote.split() == ["wrote", *sorted(files(SHIPPED))]
    changing, following = changing.split("next, without an account\n")
    *changing, last = changing.splitlines()
    assert last == "and the same names in the sample events and the cases"
    assert changing[:2] == [
        "  line 15: your ad account, as in the address of X Ads",
        "    account_id: 18ce54d4x5t",
    ]
    slug = changing.index("  line 30: loyal_customers is the audience's slug at Lytics")
    assert changing[slug + 1].strip() == (
        'when: item.event == "enter" and item.slug == "loyal_customers"'
    )
    assert following.splitlines() == [
        "  connector lint connection.yaml",
        "  connector preview connection.yaml events.ndjson",
        "  connector send --sandbox connection.yaml events.ndjson",
        "  connector test --update lytics.case.yaml",
        "then, with your account and your EVENTS",
        "  connector login connection.yaml",
        "  connector check connection.yaml",
        "  connector preview connection.yaml EVENTS",
        "  connector send --state state connection.yaml EVENTS",
    ]


def test_only_what_creates_an_audience_needs_a_state(tmp_path: Path) -> None:
    made = json.loads(new(tmp_path, X, "--from", "adobe", "--into", "a b", "--format", "json"))
    assert made["then"][-1] == "connector send 'a b/connection.yaml' EVENTS"


@pytest.mark.parametrize("name", ["adobe", "lytics", "rudderstack", "segment", "tealium"])
def test_each_mark_says_the_line_that_it_is_about(tmp_path: Path, name: str) -> None:
    made = json.loads(new(tmp_path, X, "--from", name, "--format", "json"))
    lines = (tmp_path / "connection.yaml").read_text("utf-8").splitlines()
    for mark in made["change"]:
        key = mark["text"].partition(":")[0]
        assert lines[mark["line"] - 1].strip().startswith(key), mark
    marked = " ".join(mark["text"] for mark in made["change"])
    for blank in made["fill_in"]:
        assert blank["value"] in marked, f"{blank['key']} is marked"


def test_a_mark_stands_behind_a_line_or_above_it() -> None:
    text = """\
a: 1  # change: one
# change: two
# what two is
b: 2   # no mark
# change: three, below
c: >-
  x
  y
d: 4
# change: nothing follows
"""
    assert list(marks(text)) == [
        (1, "a: 1", "one"),
        (4, "b: 2", "two"),
        (6, "c: x y", "three, below"),
        (10, "", "nothing follows"),
    ]


def test_a_preset_without_marks_has_its_values_listed(own: Path, tmp_path: Path) -> None:
    shown = new(tmp_path, "tiny", "--from", "planet", "--definitions", "own")
    filling = shown.partition("fill in (what is there now is an example)\n")[2].splitlines()
    assert filling[:2] == [
        "  settings.account_id: Account, now 1234abcd",
        "  list_id: List, now 42",
    ]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").write_text("mine", "utf-8")
    assert refused(tmp_path, X, "--from", "lytics").startswith("C021 events.ndjson: exists already")
    assert files(tmp_path) == {"events.ndjson": b"mine"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            (X, "--from", "litics"),
            "C020 --from: unknown preset 'litics' of x_custom_audiences; known: adobe, lytics, rudderstack, segment, tealium; did you mean 'lytics'?\n",
        ),
        ((X, "--from", "../lytics"), "C020 --from: unknown preset '../lytics'"),
        ((X, "--from", ""), "C020 --from: unknown preset ''"),
        (
            ("webhook", "--from", "lytics"),
            "C020 --from: unknown preset 'lytics' of webhook; known: none\n",
        ),
        (("x_custom", "--from", "lytics"), "C201 destination: unknown destination 'x_custom'"),
        (
            (X, "--from", "lytics", "--path", "/lists"),
            "C020 --path: has no effect with --from, which is for a destination that is there",
        ),
        (
            ("acme", "--definitions", str(TINY), "--auth", "none"),
            "C020 --definitions: has no effect without --from; leave it out\n",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    assert refused(tmp_path, *arguments).startswith(said)
    assert files(tmp_path) == {}


def test_who_wants_the_destination_anew_is_told_of_its_presets(tmp_path: Path) -> None:
    flags = ("--base-url", "https://acme.example", "--auth", "none", "--identifier", "email")
    said = refused(tmp_path, X, *flags)
    assert "; for a connection to it, add --from adobe|lytics|rudderstack|segment|tealium" in said
    assert "--from" not in refused(tmp_path, "webhook", *flags)


def test_any_folder_of_definitions_can_ship_presets(own: Path, tmp_path: Path) -> None:
    place = ("--definitions", "own")
    made = json.loads(new(tmp_path, "tiny", "--from", "planet", *place, "--format", "json"))
    assert made == {
        "destination": "tiny",
        "from": "planet",
        "files": ["connection.yaml"],
        "fill_in": [
            {"key": "settings.account_id", "title": "Account", "value": "1234abcd"},
            {"key": "list_id", "title": "List", "value": "42"},
            {
                "key": "credentials.consumer_key",
                "title": "environment variable",
                "value": "PLANET_KEY",
            },
            {"key": "credentials.consumer_secret", "title": "file", "value": "planet.secret"},
            {
                "key": "credentials.access_token",
                "title": "environment variable",
                "value": "PLANET_TOKEN",
            },
            {
                "key": "credentials.access_token_secret",
                "title": "environment variable",
                "value": "PLANET_TOKEN_SECRET",
            },
        ],
        "connection": "connection.yaml",
        "change": [],
        "next": ["connector lint connection.yaml --definitions own"],
        "then": [
            "connector login connection.yaml --definitions own",
            "connector check connection.yaml --definitions own",
            "connector preview connection.yaml EVENTS --definitions own",
            "connector send connection.yaml EVENTS --definitions own",
        ],
    }
    assert files(tmp_path)["connection.yaml"] == CONNECTION.encode()


def test_show_and_docs_tell_of_presets(own: Path, tmp_path: Path) -> None:
    place = ("--definitions", "own")
    shown = succeed("show", "tiny", *place, env=environment(), folder=tmp_path)
    assert shown.endswith(
        "\npresets (connector new tiny --from NAME)\n  planet  whom Planet sends\n"
    )
    as_json = succeed(
        "show", "tiny", *place, "--format", "json", env=environment(), folder=tmp_path
    )
    assert json.loads(as_json)["presets"] == {"planet": "whom Planet sends"}
    guide = succeed("docs", "tiny", *place, env=environment(), folder=tmp_path)
    assert "`connector new tiny --from NAME` writes a connection" in guide
    assert "| `planet` | whom Planet sends |" in guide
    for command in ("show", "docs"):
        assert "--from" not in succeed(command, "webhook", env=environment(), folder=tmp_path)


def test_other_files_are_copied_byte_by_byte_hidden_ones_are_not(own: Path, tmp_path: Path) -> None:
    preset = own / "schemas" / "tiny" / "presets" / "planet"
    (preset / "planet.parquet").write_bytes(b"PAR1\xff\r\n")
    (preset / ".env").write_text("KEY=hunter2", "utf-8")
    (preset / ".cache").mkdir()
    (preset / ".cache" / "planet.txt").write_text("hunter2", "utf-8")
    new(tmp_path, "tiny", "--from", "planet", "--definitions", "own", "--into", "mine")
    mine = files(tmp_path / "mine")
    assert mine.keys() == {"connection.yaml", "planet.parquet"}
    assert mine["planet.parquet"] == b"PAR1\xff\r\n"


def test_a_preset_that_does_not_load_is_not_copied(own: Path, tmp_path: Path) -> None:
    path = own / "schemas" / "tiny" / "presets" / "planet" / "connection.yaml"
    path.write_text(CONNECTION.replace("email: {", "mail: {"), "utf-8")
    said = refused(tmp_path, "tiny", "--from", "planet", "--definitions", "own", "--into", "mine")
    assert "unknown parameter 'mail'" in said
    assert not (tmp_path / "mine").exists()
