"""`connector new`: what it writes passes lint and its own cases at once, whatever an author chooses."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path
from typing import Any

import pytest

from connector.cli.new import AuthChoice
from connector.definitions.catalog import Catalog
from connector.linting.engine import lint
from connector.scaffold.answers import Answers, check, choices
from connector.scaffold.scaffold import scaffold, write
from connector.testing.case import load_cases
from connector.testing.run_case import run_case
from tests.kit import ROOT
from tests.kit.cli import COMMAND, Done, call, succeed

KNOWN = ("email", "phone", "device_id", "external_id")
FLAGS = (
    "--base-url",
    "https://api.acme.example",
    "--auth",
    "bearer",
    "--identifier",
    "email",
    "--identifier",
    "phone",
)
FILES = {
    "acme.connection.yaml",
    "acme.events.ndjson",
    "cases/acme.case.yaml",
    "cases/__snapshots__/acme.case/adds-a-person.txt",
    "cases/__snapshots__/acme.case/removes-a-person.txt",
    "schemas/acme/destination.json",
    "schemas/acme/people.accepts.json",
    "schemas/acme/person.json",
    "schemas/meta/action.schema.json",
    "schemas/meta/common.schema.json",
    "schemas/meta/destination.schema.json",
    "schemas/meta/fragment.schema.json",
    "templates/acme/people.json.j2",
    "templates/acme/person.json.j2",
}


def variables() -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith("ACME_")}
    return {**own, "PYTHONPATH": str(ROOT)}


def run(*arguments: str | Path, cwd: Path) -> Done:
    return call(*arguments, env=variables(), folder=cwd)


def ok(*arguments: str | Path, cwd: Path) -> str:
    return succeed(*arguments, env=variables(), folder=cwd)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


# What is written ------------------------------------------------------------------------------------------------------


def test_every_command_that_it_names_succeeds(tmp_path: Path) -> None:
    shown = ok("new", "acme", *FLAGS, cwd=tmp_path)
    assert files(tmp_path).keys() == FILES
    wrote, _, following = shown.partition("next\n")
    assert wrote.split() == ["wrote", *sorted(FILES)]
    lines = [line.split() for line in following.splitlines()]
    assert [line[1] for line in lines] == ["lint", "test", "preview", "send", "docs"]
    before = files(tmp_path)
    answers = {line[1]: ok(*line[1:], cwd=tmp_path) for line in lines}
    assert answers["lint"] == "no problems\n"
    assert "2 passed" in answers["test"]
    assert "POST https://api.acme.example/lists/42/members" in answers["preview"]
    assert "/lists/42/members  2 people, 4 identifiers" in answers["send"]
    assert answers["docs"].startswith("# Acme: setup guide")
    ok("test", "cases", "--definitions", ".", "--update", cwd=tmp_path)
    assert files(tmp_path) == before, "the snapshots are those that the cases come to"


def test_into_a_folder_and_as_json(tmp_path: Path) -> None:
    made = json.loads(
        ok("new", "acme", *FLAGS, "--into", "my ads", "--format", "json", cwd=tmp_path)
    )
    assert list(made) == ["destination", "files", "next"]
    assert set(made["files"]) == {f"my ads/{name}" for name in FILES}
    assert made["next"][0] == "connector lint 'my ads' --definitions 'my ads'"
    assert set(files(tmp_path)) == set(made["files"])
    ok("new", "acme_two", *FLAGS, "--into", "my ads", cwd=tmp_path)
    assert ok("lint", "my ads", "--definitions", "my ads", cwd=tmp_path) == "no problems\n"


def assert_sound(folder: Path, answers: Answers) -> None:
    """Write the files; lint finds nothing and the cases come to their snapshots."""
    made = scaffold(answers)
    write(folder, made)
    catalog = Catalog([folder])
    assert [str(problem) for problem in lint([folder], catalog)] == []
    [cases] = (path for path in made if path.name.endswith(".case.yaml"))
    for case in load_cases(folder / cases, catalog):
        text = run_case(case)
        assert text == made[cases.parent / "__snapshots__" / cases.stem / f"{case.slug}.txt"]
        assert "→ 200 delivered" in text


@pytest.mark.parametrize("auth", AuthChoice)
def test_every_authentication(tmp_path: Path, auth: AuthChoice) -> None:
    assert choices()["auth"].keys() == {*AuthChoice}
    assert_sound(
        tmp_path,
        Answers("acme", "https://api.acme.example", auth.value, KNOWN[:1], choices()["path"]),
    )
    sent = ("acme.connection.yaml", "acme.events.ndjson", "--definitions", ".", "--format", "json")
    summary = json.loads(ok("send", "--sandbox", *sent, cwd=tmp_path))
    assert (summary["delivered"], summary["requests"]) == (3, 2)


@pytest.mark.parametrize(
    "identifiers",
    [*((name,) for name in KNOWN), KNOWN, ("loyalty_card",), ("email", "if", "type", "id")],
)
def test_every_identifier(tmp_path: Path, identifiers: tuple[str, ...]) -> None:
    assert tuple(choices()["identifiers"]) == KNOWN
    assert_sound(
        tmp_path,
        Answers("acme", "https://api.acme.example", "bearer", identifiers, choices()["path"]),
    )


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.acme.example", "/members"),
        ("https://API.acme.example:8443/v2/", "/v2/audienceMembers:add"),
        ("https://acme-ads.example", "/segments/{id}"),
        ("https://acme.example", "/{account_id}/{region}/audiences/{audience}/users"),
        ("https://acme.example", "/lists/{list_id}/again/{list_id}"),
    ],
)
def test_every_address(tmp_path: Path, url: str, path: str) -> None:
    check("acme", url, KNOWN, path)
    assert_sound(tmp_path, Answers("acme", url, "oauth2-client-credentials", KNOWN, path))


def test_everything_guessed_says_so(tmp_path: Path) -> None:
    made = scaffold(
        Answers(
            "acme", "https://api.acme.example", "bearer", KNOWN, "/{account_id}/lists/{list_id}"
        )
    )
    schemas = [json.loads(text) for path, text in made.items() if path.match("schemas/acme/*.json")]
    found = [source for schema in schemas for source in sources(schema)]
    assert len(found) >= 10
    assert all(source.startswith("assumed: ") for source in found)
    assert all(len(source) > 30 for source in found)
    assert not any("[[" in text or "[%" in text for text in made.values())


def sources(value: Any) -> list[str]:
    found = [value["source"]] if isinstance(value, dict) and "source" in value else []
    for part in (
        value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    ):
        found += sources(part)
    return found


# What is refused ------------------------------------------------------------------------------------------------------


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    ok("new", "acme", *FLAGS, cwd=tmp_path)
    (tmp_path / "schemas" / "acme" / "person.json").write_text("mine", "utf-8")
    (tmp_path / "acme.events.ndjson").unlink()
    before = files(tmp_path)
    done = run("new", "acme", *FLAGS, cwd=tmp_path)
    assert (done.status, done.out) == (2, "")
    # The meta-schemas are the same for all destinations of a folder.
    ours = {name for name in FILES if not name.startswith("schemas/meta/")}
    first, *others = sorted(ours - {"acme.events.ndjson"})
    assert done.err == (
        f"C021 {first}: exists already, and so do others ({len(others)}); nothing was written; "
        "remove what is there, or choose another destination or --into\n"
    )
    assert files(tmp_path) == before


def test_all_files_or_none(tmp_path: Path) -> None:
    (tmp_path / "templates").write_text("no folder", "utf-8")
    done = run("new", "acme", *FLAGS, cwd=tmp_path)
    assert done.status == 2
    assert "C021 templates" in done.err
    assert "nothing was written" in done.err
    assert files(tmp_path).keys() == {"templates"}


def test_without_a_terminal_the_missing_flags_are_named(tmp_path: Path) -> None:
    done = run("new", "acme", "--auth", "basic", cwd=tmp_path)
    assert (done.status, done.out, files(tmp_path)) == (2, "", {})
    first, second, example = done.err.splitlines()
    assert first.startswith("C019 --base-url: is required")
    assert second.startswith("C019 --identifier: is required")
    assert all(name in second for name in KNOWN)
    line = example.removeprefix("example: connector ").split()
    ok(*line, cwd=tmp_path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"destination": "Acme"}, "C020 DESTINATION: invalid name 'Acme'; use lower-case letters"),
        ({"destination": "../acme"}, "C020 DESTINATION: invalid name '../acme'"),
        ({"destination": "meta"}, "C020 DESTINATION: 'meta' is reserved;"),
        ({"destination": "standard"}, "C020 DESTINATION: 'standard' is reserved;"),
        ({"destination": "x_custom_audiences"}, "C020 DESTINATION: destination 'x_custom_audiences' already exists"),
        ({"--base-url": "http://api.acme.example"}, "C020 --base-url: https is required: identifiers would be sent"),
        ({"--base-url": "api.acme.example"}, "C020 --base-url: is not a vendor's https address; use"),
        ({"--base-url": "https://localhost:8080"}, "C020 --base-url: is not a vendor's https address; use"),
        ({"--base-url": "https://10.0.0.1"}, "C020 --base-url: is not a vendor's https address; use"),
        ({"--base-url": "https://ann:hidden@acme.example"}, "C020 --base-url: is not a vendor's https address; use"),
        ({"--base-url": "https://acme.example?a=1"}, "C020 --base-url: is not a vendor's https address; use"),
        ({"--base-url": "https://{host}"}, "C020 --base-url: is not a vendor's https address; use"),
        ({"--identifier": "e-mail"}, "C020 --identifier: invalid name 'e-mail'; use email, phone"),
        ({"--identifier": "null"}, "C020 --identifier: invalid name 'null'"),
        ({"--path": "lists/{list_id}"}, "C020 --path: invalid path 'lists/{list_id}'; start with /"),
        ({"--path": "/lists?a=1"}, "C020 --path: invalid path '/lists?a=1'"),
        ({"--path": "/lists/{List}"}, "C020 --path: invalid path '/lists/{List}'"),
        ({"--path": "/people/{email}"}, "C020 --path: {email} is an identifier, which is not allowed in a URL"),
        ({"--auth": "digest"}, "api-key-header"),
    ],
)  # fmt: skip
def test_a_wrong_answer_is_explained(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    given = {
        "--base-url": "https://acme.example",
        "--auth": "none",
        "--identifier": "email",
        **changes,
    }
    destination = given.pop("destination", "acme")
    done = run("new", destination, *(part for pair in given.items() for part in pair), cwd=tmp_path)
    assert (done.status, done.out, files(tmp_path)) == (2, "", {})
    assert said in done.err
    assert "hidden" not in done.err


def test_all_wrong_answers_are_named_at_once(tmp_path: Path) -> None:
    done = run(
        "new",
        "Acme",
        "--base-url",
        "acme",
        "--identifier",
        "a",
        "--identifier",
        "a",
        "--path",
        "x",
        cwd=tmp_path,
    )
    assert [line.split(":")[0] for line in done.err.splitlines()] == [
        "C020 DESTINATION", "C020 --base-url", "C020 --identifier", "C020 --path",
    ]  # fmt: skip
    assert "'a' is listed twice" in done.err


# A terminal -----------------------------------------------------------------------------------------------------------


def on_a_terminal(*arguments: str, typed: str, cwd: Path) -> tuple[int, str, str]:
    """Run a command with a terminal for its input; return status, output and what was asked."""
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=variables(),
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(theirs)
    os.write(terminal, typed.encode())
    out, asked = process.communicate(timeout=30)
    os.close(terminal)
    return process.returncode, out, asked


def test_on_a_terminal_it_asks_until_nothing_is_wrong(tmp_path: Path) -> None:
    typed = "http://acme.example\nhttps://acme.example\nsecret\napi-key-query\nemail; phone\nemail, card\n\n"
    status, out, asked = on_a_terminal("new", "acme", "--format", "json", typed=typed, cwd=tmp_path)
    assert status == 0, asked
    assert "https is required" in asked
    assert "unknown authentication 'secret'; known: oauth1" in asked
    assert "email, phone, device_id, external_id" in asked
    assert "[/lists/{list_id}/members]" in asked
    assert json.loads(out)["destination"] == "acme"
    destination = json.loads((tmp_path / "schemas/acme/destination.json").read_text("utf-8"))[
        "destination"
    ]
    assert destination["base_url"] == "https://acme.example"
    assert destination["auth"]["in"] == "query"
    person = json.loads((tmp_path / "schemas/acme/person.json").read_text("utf-8"))
    assert list(person["properties"]) == ["list_id", "email", "card"]


def test_on_a_terminal_it_asks_for_nothing_that_was_given(tmp_path: Path) -> None:
    status, out, asked = on_a_terminal("new", "acme", *FLAGS, typed="", cwd=tmp_path)
    assert (status, asked) == (0, "")
    assert "connector lint ." in out
    status, out, asked = on_a_terminal("new", "x_custom_audiences", typed="", cwd=tmp_path)
    assert (status, out) == (2, "")
    assert asked.startswith("C020 DESTINATION: destination 'x_custom_audiences' already exists")
