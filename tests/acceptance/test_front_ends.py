"""Each front end as a newcomer meets it: copied, linted, previewed, sent to the sandbox; then exactly who is in."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import phonenumbers
import pytest
import yaml

import connector
from connector.definitions.catalog import Catalog
from connector.definitions.presets import Preset, presets
from connector.testing.case import load_cases
from tests.kit import ROOT
from tests.kit.cli import call, environment, succeed
from tests.kit.front_ends import AUDIENCE, MEMBERS, people_sent

X = "x_custom_audiences"
PRESETS = {preset.name: preset for preset in presets(ROOT / "schemas" / X)}
PAGE = (ROOT / "docs" / "front-ends.md").read_text("utf-8")
each_preset = pytest.mark.parametrize("name", PRESETS)


def test_the_five_front_ends_ship() -> None:
    assert PRESETS.keys() == MEMBERS.keys()


@each_preset
def test_every_command_that_new_names_succeeds(name: str, tmp_path: Path) -> None:
    variables = environment(X_ACCESS_TOKEN=None, X_CONSUMER_KEY=None)
    made = json.loads(
        succeed(
            *("new", X, "--from", name, "--into", name, "--format", "json"),
            env=variables,
            folder=tmp_path,
        )
    )
    commands = [shlex.split(command) for command in made["next"]]
    assert [command[1] for command in commands] == ["lint", "preview", "send", "test"]
    before = contents(tmp_path)
    said = {
        command[1]: succeed(*command[1:], env=variables, folder=tmp_path) for command in commands
    }
    assert said["lint"] == "no problems\n"
    path = AUDIENCE
    if name == "lytics":
        path = AUDIENCE.partition("1nmth")[0] + "<audience:Lytics loyal_customers "
    assert f"POST https://ads-api.x.com{path}" in said["preview"]
    people = {path: len(members) for path, members in MEMBERS[name].items()}
    held = re.findall(r"^  (/\S+)  (\d+) people", said["send"], re.MULTILINE)
    assert {known(name, path): int(count) for path, count in held} == people
    assert re.search(r"^\d passed", said["test"], re.MULTILINE)
    assert contents(tmp_path) == before, "the snapshots are those that the cases come to"


@each_preset
def test_a_run_of_the_sample_has_no_warning_and_loses_nobody(name: str) -> None:
    folder = PRESETS[name].folder
    files = (folder / "connection.yaml", folder / "events.ndjson")
    done = call("send", "--sandbox", "--strict", *files, "--format", "json", env=environment())
    summary = done.json
    assert (done.status, summary["warnings"], summary["dropped"]) == (0, [], [])
    assert (summary["rejected"], summary["undelivered"]) == (0, 0)
    assert summary["skipped"] == 1, "an event that is none of the audience's business"
    assert summary["superseded"] == 1, "somebody enters and leaves"


@each_preset
def test_exactly_these_people_are_in(name: str, tmp_path: Path) -> None:
    folder = PRESETS[name].folder
    loaded = connector.load_connection(folder / "connection.yaml")
    sandbox = connector.Sandbox(loaded)
    connector.send(loaded, events(PRESETS[name]), transport=sandbox, state=tmp_path / "state")
    paths = [holding.path for holding in sandbox.holdings()]
    assert {known(name, path) for path in paths} == MEMBERS[name].keys()
    for path in paths:
        held = {frozenset(person) for person in sandbox.vendor.members(path)}
        assert held == people_sent(MEMBERS[name][known(name, path)])


def test_the_limits_are_those_of_the_front_ends() -> None:
    tealium = connector.load_connection(PRESETS["tealium"].folder / "connection.yaml").limits
    assert (tealium.records, tealium.age, tealium.bytes) == (1000, 3600, 2_000_000)
    lytics = connector.load_connection(PRESETS["lytics"].folder / "connection.yaml").limits
    assert (lytics.records, lytics.age) == (1000, 300)


@pytest.mark.parametrize(
    ("name", "old"),
    [("tealium", "Loyal customers"), ("lytics", "loyal_customers"), ("segment", "loyal_customers")],
)
def test_an_audience_that_is_renamed_in_the_connection_alone_fails_the_cases(
    name: str, old: str, tmp_path: Path
) -> None:
    variables = environment()
    succeed("new", X, "--from", name, env=variables, folder=tmp_path)
    path = tmp_path / "connection.yaml"
    path.write_text(path.read_text("utf-8").replace(old, "vip"), "utf-8")
    before = contents(tmp_path)
    done = call("test", "--update", env=variables, folder=tmp_path)
    assert done.status == 1
    assert "such as an audience's, has to be the one in the events of the case" in done.out
    assert contents(tmp_path) == before, "no snapshot is approved"

    cases = tmp_path / f"{name}.case.yaml"
    cases.write_text(cases.read_text("utf-8").replace(old, "vip"), "utf-8")
    succeed("test", "--update", env=variables, folder=tmp_path)


@each_preset
def test_every_case_says_which_routes_take_its_events(name: str) -> None:
    [path] = PRESETS[name].folder.glob("*.case.yaml")
    assert all(case.taken_by for case in load_cases(path, Catalog()))


# What ships of them ---------------------------------------------------------------------------------------------------


@each_preset
def test_a_preset_is_complete(name: str) -> None:
    preset = PRESETS[name]
    assert preset.title == f"{preset.title.removesuffix(' to X')} to X"
    assert preset.description
    text = (preset.folder / "connection.yaml").read_text("utf-8")
    assert re.search(r"^# Source: ", text, re.MULTILINE)
    assert re.search(r"^# How to get the events: ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 105
    [case] = preset.folder.glob("*.case.yaml")
    assert yaml.safe_load(case.read_text("utf-8"))["connection"] == "connection.yaml"


@each_preset
def test_sample_data_is_nobodys(name: str) -> None:
    addresses = 0
    for text in sample_texts(PRESETS[name]):
        if "@" in text and not text.startswith("@"):
            addresses += 1
            assert text.strip().lower().endswith("@example.com"), text
        if re.search(r"\d{3} ?\d{4}$", text) and re.fullmatch(r"\+?[\d ]{9,16}", text):
            number = phonenumbers.parse(text, "GB")
            reserved = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
            is_id = text.isdigit()
            assert is_id or re.fullmatch(r"\+1\d{3}55501\d\d|\+442079460\d{3}", reserved), text
    assert addresses > 5


@each_preset
def test_the_page_has_every_route(name: str) -> None:
    rows = re.findall(rf"^\| `{name}` \| .+ \| `(\S+)` \| (add|remove)", PAGE, re.MULTILINE)
    routes = connector.load_connection(PRESETS[name].folder / "connection.yaml").routes
    assert rows == [(route.name, route.action.operation) for route in routes]


def test_the_page_names_no_other_preset() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == PRESETS.keys()


def test_other_destinations_have_none_yet() -> None:
    for name in Catalog().ids():
        assert bool(presets(ROOT / "schemas" / name)) == (name == X)


# Helpers --------------------------------------------------------------------------------------------------------------


def known(name: str, path: str) -> str:
    """Return the path as MEMBERS has it: that of Lytics' audience is new each time."""
    return AUDIENCE if name == "lytics" else path


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def events(preset: Preset) -> list[dict[str, Any]]:
    lines = (preset.folder / "events.ndjson").read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines]


def sample_texts(preset: Preset) -> Iterator[str]:
    [case] = preset.folder.glob("*.case.yaml")
    yield from texts(events(preset))
    for one in yaml.safe_load(case.read_text("utf-8"))["cases"]:
        yield from texts(one["events"])


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        yield from texts(part)
