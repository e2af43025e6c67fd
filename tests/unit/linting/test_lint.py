"""Lint and connections: a table of mistakes with the exact words that each gets, and what lint looks at at all."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from connector.auth import schemes as auth
from connector.connection.load import load_connection
from connector.definitions import catalog
from connector.definitions import metaschema as forms
from connector.definitions.catalog import Catalog
from connector.definitions.metaschema import form_problems, own_folder, standard_identifiers
from connector.definitions.statuses import STATUSES
from connector.errors import ConfigError, ConnectorError
from connector.linting import engine as lint
from connector.linting.engine import RULES
from connector.pipeline import identifiers, normalise
from tests.kit import ROOT

BAD = ROOT / "tests" / "bad"
DOCS = ROOT / "docs" / "lint.md"
META = own_folder() / "schemas" / "meta"
FILES = {"case.txt": "lists.case.yaml", "connection.txt": "connection.yaml"}


@cache
def table(name: str) -> list[Any]:
    entries = yaml.safe_load((BAD / f"{name}.yaml").read_text("utf-8"))
    return [pytest.param(entry, id=entry["name"].replace(" ", "-")) for entry in entries]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the current one, without any secret around; of all definitions there is only tiny."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(catalog, "own_folder", lambda: BAD / "tiny")
    for name in ("KEY", "SECRET"):
        monkeypatch.delenv(f"TINY_CONSUMER_{name}", raising=False)
    monkeypatch.delenv("TINY_ACCESS_TOKEN", raising=False)
    return tmp_path


def copy(to: Path) -> None:
    """Write the destination tiny, a connection to it and a case file into a folder."""
    for kind in ("schemas", "templates"):
        shutil.copytree(BAD / "tiny" / kind, to / kind)
    for name, file in FILES.items():
        shutil.copy(BAD / "tiny" / name, to / file)


def break_it(root: Path, entry: dict[str, Any], file: str = "") -> None:
    changes = entry["change"]
    for change in changes if isinstance(changes, list) else [changes]:
        path = root / change.get("file", entry.get("file", file))
        if change["op"] == "delete":
            path.unlink()
        elif change["op"] == "write":
            path.write_bytes(change["text"].encode(change.get("encoding", "utf-8")))
        elif change["op"] == "replace_text":
            text = path.read_text("utf-8")
            assert change["old"] in text
            path.write_text(text.replace(change["old"], change["new"]), "utf-8")
        else:
            edit(path, change)


def edit(path: Path, change: dict[str, Any]) -> None:
    """Set, add or remove one member; it has to be there, or not to be there, as the operation says."""
    load, dump = (
        (json.loads, json.dumps) if path.suffix == ".json" else (yaml.safe_load, yaml.safe_dump)
    )
    document = load(path.read_text("utf-8"))
    *parents, last = change["pointer"].split("/")[1:]
    holder: Any = document
    for part in parents:
        holder = holder[int(part) if isinstance(holder, list) else part]
    key = int(last) if isinstance(holder, list) else last
    exists = key < len(holder) if isinstance(holder, list) else key in holder
    assert exists == (change["op"] != "add_key"), change["pointer"]
    if change["op"] == "remove":
        del holder[key]
    elif isinstance(holder, list) and not exists:
        holder.append(change["value"])
    else:
        holder[key] = change["value"]
    path.write_text(dump(document), "utf-8")  # type: ignore[operator]


def lines(*paths: str, definitions: tuple[Path, ...] = ()) -> list[str]:
    return [
        str(problem) for problem in lint.lint([Path(path) for path in paths], Catalog(definitions))
    ]


@pytest.mark.parametrize("entry", table("definitions"))
def test_a_bad_definition_is_explained(entry: dict[str, Any], folder: Path) -> None:
    copy(folder)
    break_it(folder, entry)
    assert lines("schemas") == entry["expect"]


@pytest.mark.parametrize("entry", table("connections"))
def test_a_bad_connection_is_explained(entry: dict[str, Any], folder: Path) -> None:
    copy(folder)
    break_it(folder, entry, "connection.yaml")
    if entry.get("warning"):
        load_connection(Path("connection.yaml"), Catalog((Path(),)))
        assert lines("connection.yaml", definitions=(Path(),)) == entry["expect"]
        return
    with pytest.raises(ConnectorError) as caught:
        use(Path("connection.yaml"), entry.get("set", ()))
    messages = str(caught.value).split("\n")
    assert messages == entry["expect"]
    assert not re.search(
        "correct.horse.battery|8675309", repr(caught.value) + str(caught.getrepr(style="long"))
    )
    if not {"set", "secrets"} & entry.keys() and Path("connection.yaml").exists():
        assert sorted(lines("connection.yaml", definitions=(Path(),))) == sorted(messages)


def use(path: Path, changes: Sequence[str]) -> None:
    """All that `send` does with a connection before it sends."""
    loaded = load_connection(path, Catalog([Path()]), changes)
    loaded.secrets()
    loaded.auth()


@pytest.mark.parametrize("entry", table("cases"))
def test_a_bad_case_file_is_explained(entry: dict[str, Any], folder: Path) -> None:
    copy(folder)
    break_it(folder, entry, "lists.case.yaml")
    assert lines("lists.case.yaml", definitions=(Path(),)) == entry["expect"]


def test_the_tables_are_large_enough() -> None:
    assert len(table("definitions")) + len(table("connections")) >= 55
    assert len(table("connections")) >= 20


def own_codes() -> set[str]:
    """Every code of the rules, the form and connections."""
    numbers = {"101", *(str(number) for number in (*forms._NUMBERS.values(), forms._OTHER))}
    codes = {f"{letter}{number}" for letter in "DCK" for number in numbers}
    codes |= {rule.code for rule in RULES} | {"D108", "D109", "D110", "D111", "D112"}
    room = ROOT / "connector" / "connection"
    texts = [path.read_text("utf-8") for path in sorted(room.glob("*.py"))]
    return codes | set(re.findall(r'"(C\d{3})"', "".join(texts)))


def documented_codes() -> set[str]:
    headings = re.findall(r"^### (.*)$", DOCS.read_text("utf-8"), re.MULTILINE)
    return {code for heading in headings for code in re.findall(r"[A-Z]\d{3}", heading)}


def test_every_code_occurs_in_a_table() -> None:
    entries = [
        entry.values[0] for name in ("definitions", "connections", "cases") for entry in table(name)
    ]
    assert own_codes() <= {line[:4] for entry in entries for line in entry["expect"]}  # type: ignore[index]


def test_every_code_is_documented_and_no_other() -> None:
    cases = set(
        re.findall(r'"(K\d{3})"', (ROOT / "connector" / "testing" / "case.py").read_text("utf-8"))
    )
    assert documented_codes() == own_codes() | cases | {"C010", "C015", "C022", "D200"}


def test_every_example_of_the_documentation_is_a_real_message() -> None:
    entries = [
        entry.values[0] for name in ("definitions", "connections", "cases") for entry in table(name)
    ]
    messages = {line for entry in entries for line in entry["expect"]}  # type: ignore[index]
    examples = re.findall(r"^[DCK]\d{3} .*$", DOCS.read_text("utf-8"), re.MULTILINE)
    assert {
        line for line in examples if not line.startswith(("C010", "C015", "C022", "D200"))
    } <= messages
    assert {line[:4] for line in examples} == documented_codes()


def test_only_a_rule_on_documents_blocks_a_later_stage() -> None:
    assert {rule.stage for rule in RULES} == {"documents", "exports", "examples"}
    assert {rule.stage for rule in RULES if rule.blocks} == {"documents"}


def test_every_rule_says_what_it_finds() -> None:
    for rule in RULES:
        text = " ".join((rule.check.__doc__ or "").split())
        assert re.match(r"Find .+\. .+\. [A-Z].+\.$", text), rule.check.__name__


def test_what_ships_is_clean_in_five_years_too(monkeypatch: pytest.MonkeyPatch) -> None:
    # that it is today is shown by `connector lint`, which the README runs
    later = time.time() + 5 * 366 * 86400
    monkeypatch.setattr(time, "time", lambda: later)
    assert lint.lint((), Catalog()) == []


def test_the_tiny_destination_is_clean(folder: Path) -> None:
    copy(folder)
    assert lines(".", definitions=(folder,)) == []


# --- which paths stand for what ---

WRONG = {"op": "set", "pointer": "/action/operation", "value": "ad"}
FOUND = [
    "D104 schemas/tiny/add.json#/action/operation: unknown value 'ad'; known: add, remove; did you mean 'add'?"
]


@pytest.mark.parametrize(
    "path",
    [
        ".",
        "schemas",
        "templates",
        "schemas/tiny",
        "templates/tiny",
        "schemas/tiny/remove.json",
        "schemas/tiny/people.accepts.json",
        "templates/tiny/people.json.j2",
    ],
)
def test_every_part_of_a_destination_stands_for_it(folder: Path, path: str) -> None:
    copy(folder)
    Path("connection.yaml").unlink()
    Path("lists.case.yaml").unlink()
    break_it(folder, {"file": "schemas/tiny/add.json", "change": WRONG})
    assert lines(path) == FOUND
    assert lines(str(folder / path)) == FOUND
    assert lines(path, "schemas/tiny", "templates/../schemas", ".") == FOUND


def test_a_folder_is_searched_for_definitions_connections_and_cases(folder: Path) -> None:
    copy(folder)
    inner = folder / "project" / "definitions"
    shutil.copytree(folder / "schemas", inner / "schemas")
    shutil.copytree(folder / "templates", inner / "templates")
    break_it(inner, {"file": "schemas/tiny/add.json", "change": WRONG})
    for file in FILES.values():
        break_it(
            folder, {"file": file, "change": {"op": "add_key", "pointer": "/route", "value": 1}}
        )
        shutil.move(folder / file, folder / "project" / file)
    for other in ("values.yaml", ".hidden/connection.yaml", "node_modules/connection.yaml"):
        (folder / "project" / other).parent.mkdir(exist_ok=True)
        (folder / "project" / other).write_text("destination: [", "utf-8")
    assert [line.split(":")[0] for line in lines("project")] == [
        "C102 project/connection.yaml#/route",
        "D104 project/definitions/schemas/tiny/add.json#/action/operation",
        "K102 project/lists.case.yaml#/route",
    ]


def test_without_paths_all_definitions_are_looked_at(folder: Path) -> None:
    copy(folder)
    break_it(folder, {"file": "schemas/tiny/add.json", "change": WRONG})
    assert lines() == []
    assert lines(definitions=(folder,)) == FOUND


def test_a_path_that_stands_for_nothing_is_refused(folder: Path) -> None:
    copy(folder)
    Path("notes.txt").write_text("", "utf-8")
    Path("empty").mkdir()
    with pytest.raises(ConfigError) as caught:
        lines(
            "notes.txt",
            "empty",
            "nowhere.yaml",
            "schemas/tiny/ad.json",
            "schemas/tiny",
            "schemas/meta",
        )
    allowed = (
        "allowed: a folder, a destination's folder or file below schemas/ or templates/, "
        "a connection (.yaml with 'routes' or 'exports'), a case file (.case.yaml)"
    )
    assert str(caught.value).split("\n") == [
        f"C015 notes.txt: is not a file that lint checks; {allowed}",
        f"C015 empty: contains nothing to lint; {allowed}",
        f"C015 nowhere.yaml: no such file or folder; {allowed}",
        f"C015 schemas/tiny/ad.json: no such file or folder; {allowed}",
        f"C015 schemas/meta: no such file or folder; {allowed}",
    ]


def test_a_definitions_folder_without_schemas_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"^C010 .*: has no folder 'schemas'; expected schemas/"):
        Catalog([folder])


def test_problems_are_sorted_by_file_and_pointer_and_stand_once(folder: Path) -> None:
    copy(folder)
    shutil.copytree(folder / "schemas" / "tiny", folder / "x" / "schemas" / "tiny")
    shutil.copytree(folder / "templates", folder / "x" / "templates")
    rules = [{"when": "body.again", "then": "retry", "source": "assumed"}] * 11
    for place in (0, 2, 10):
        rules[place] = {**rules[place], "when": "="}
    responses = {"op": "set", "pointer": "/destination/responses", "value": rules}
    break_it(folder, {"file": "x/schemas/tiny/destination.json", "change": responses})
    path = {**WRONG, "pointer": "/action/path", "value": "/{a}"}
    break_it(folder, {"file": "schemas/tiny/_person.json", "change": path})
    found = lint.lint([Path("x/schemas"), Path("schemas")], Catalog())
    assert [(problem.code, problem.pointer) for problem in found] == [
        ("D203", "/action/path"),
        *(("D208", f"/destination/responses/{place}/when") for place in (0, 2, 10)),
    ]


def test_a_problem_is_an_object_with_stable_members(folder: Path) -> None:
    copy(folder)
    break_it(folder, {"file": "schemas/tiny/add.json", "change": WRONG})
    (problem,) = lint.lint([folder], Catalog([folder]))
    assert problem._asdict() == {
        "code": "D104",
        "file": "schemas/tiny/add.json",
        "pointer": "/action/operation",
        "message": "unknown value 'ad'",
        "hint": "known: add, remove; did you mean 'add'?",
        "severity": "error",
    }


# --- nothing that an author writes ends lint ---

ODD = (
    None,
    0,
    -1.5,
    "",
    "{a}",
    "status",
    [],
    [None],
    ["x"],
    {},
    {"a": 1},
    {"extends": ["_person.json"]},
    True,
)


def places(node: Any, place: str = "") -> Iterator[str]:
    for key, part in (
        node.items()
        if isinstance(node, dict)
        else enumerate(node)
        if isinstance(node, list)
        else ()
    ):
        yield f"{place}/{key}"
        yield from places(part, f"{place}/{key}")


def test_lint_has_an_answer_to_everything(folder: Path) -> None:
    copy(folder)
    number = 0
    for path in sorted((folder / "schemas" / "tiny").glob("*.json")):
        text = path.read_text("utf-8")
        for place in places(json.loads(text)):
            number += 1
            if number % 7:  # every seventh place, each with another odd value
                continue
            path.write_text(text, "utf-8")
            edit(path, {"op": "set", "pointer": place, "value": ODD[number % len(ODD)]})
            assert isinstance(lines("schemas"), list)
        path.write_text(text, "utf-8")


# --- the meta-schemas agree with themselves and with what is carried out ---


def objects(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        node = list(node.values())
    for part in node if isinstance(node, list) else ():
        yield from objects(part)


def meta(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((META / name).read_text("utf-8"))
    return document


@pytest.mark.parametrize("path", sorted(META.glob("*.json")), ids=lambda path: path.name)
def test_what_is_asked_of_a_whole_object_names_all_of_its_members(path: Path) -> None:
    """`if: {propertyNames: {enum: …}}` means "when no key is unknown": it has to list all keys but `$ref`."""
    document = meta(path.name)
    lists = [names_of(node)["enum"] for node in objects(document) if "enum" in names_of(node)]
    known = [
        set(node["properties"]) - {"$ref"}
        for file in META.glob("*.json")
        for node in objects(meta(file.name))
        if closed(node)
    ]
    for names in lists:
        assert len(names) == len(set(names))
        assert set(names) in known, names


def names_of(node: dict[str, Any]) -> dict[str, Any]:
    condition = node.get("if", {})
    parts = [condition, *condition.get("allOf", ())] if isinstance(condition, dict) else []
    return next((part["propertyNames"] for part in parts if "propertyNames" in part), {})


def closed(node: dict[str, Any]) -> bool:
    return isinstance(node.get("properties"), dict) and "additionalProperties" in node


def test_the_standard_identifiers_have_the_form_of_a_fragment() -> None:
    # no destination's folder has the file, so that lint sees only what one extends
    file = standard_identifiers()
    assert form_problems("fragment", json.loads(file.read_text("utf-8")), file.name, "D") == []


def test_the_words_of_the_form_are_those_that_are_carried_out() -> None:
    action, destination, common = (
        meta("action.schema.json"),
        meta("destination.schema.json"),
        meta("common.schema.json"),
    )
    step = action["$defs"]["step"]
    with_argument = {name for name, step in normalise.STEPS.items() if step.argument}
    assert step["properties"].keys() == with_argument
    # what e164 takes need not be there
    assert set(step["then"]["enum"]) == normalise.STEPS.keys() - with_argument | {"e164"}
    assert set(action["$defs"]["identifier"]["properties"]["hash"]["enum"]) == {
        *identifiers.HASHES,
        "none",
    }
    rule = common["$defs"]["responses"]["items"]
    assert set(rule["properties"]["then"]["enum"]) == {*STATUSES, "reject"}
    schemes = destination["$defs"]["authScheme"]["properties"]["scheme"]["enum"]
    assert set(schemes) == {name for name, _ in auth.SCHEMES}
    tested = [
        name for node in objects(destination["$defs"]["authScheme"]["then"]) for name in named(node)
    ]
    assert sorted(tested) == sorted(schemes)
    grants = destination["$defs"]["authOAuth2"]["properties"]["grant"]["enum"]
    assert set(grants) == {grant for _, grant in auth.SCHEMES} - {""}


def named(node: dict[str, Any]) -> list[str]:
    scheme = node.get("if", {}).get("properties", {}).get("scheme", {})
    return [*scheme.get("enum", ()), *([scheme["const"]] if "const" in scheme else [])]
