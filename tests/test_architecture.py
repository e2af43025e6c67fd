"""What holds the code together: no vendor's word in Python, imports in one direction, pure parts without clock or net."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from connector.auth.schemes import SCHEMES
from tests.kit import ROOT

PACKAGE = ROOT / "connector"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
each_module = pytest.mark.parametrize("module", MODULES)

#: The rooms from the ground up: each may import from those that stand before it, and from itself.
ROOMS = (
    "errors", "model", "_util", "validation", "templating", "definitions", "connection", "pipeline", "auth", "sources",
    "delivery", "exports", "sandbox", "calls", "audiences", "testing", "linting", "guide", "scaffold", "login", "library", "service", "cli",
)  # fmt: skip
#: Rooms that know less than their place allows.
KNOWS_ONLY = {
    "auth": {"errors", "model", "definitions"},
    "sources": {"errors", "model", "_util"},
}
#: Rooms that have no clock, no network and no environment; time is an argument.
PURE_ROOMS = {"errors", "model", "templating", "validation", "pipeline"}
PURE = sorted(module for module in MODULES if module.partition(".")[0] in PURE_ROOMS)

IMPURE = {
    "httpx",
    "h11",
    "threading",
    "socket",
    "ssl",
    "subprocess",
    "random",
    "os",
    "time",
    "asyncio",
    "concurrent",
    "logging",
}
CLOCK = {"now", "utcnow", "today", "localtime", "getenv", "urlopen"}


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text("utf-8"))


def room_of(module: str) -> str:
    return module.partition(".")[0]


def imports(module: str) -> Iterator[str]:
    """Yield the dotted names of all imported modules, in full."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: imports are absolute"
            submodules = [f"{node.module}.{alias.name}" for alias in node.names]
            known = [name for name in submodules if name.removeprefix("connector.") in MODULES]
            yield from known or [str(node.module)]


def own(module: str) -> set[str]:
    mine = (
        name.removeprefix("connector.") for name in imports(module) if name.startswith("connector.")
    )
    return {name if name in MODULES else f"{name}.__init__" for name in mine}


def foreign(module: str) -> set[str]:
    return {name.partition(".")[0] for name in imports(module)} - {"connector"}


@pytest.mark.parametrize("module", [module for module in MODULES if room_of(module) in ROOMS])
def test_imports_go_down(module: str) -> None:
    room = room_of(module)
    below = set(ROOMS[: ROOMS.index(room)])
    allowed = KNOWS_ONLY.get(room, below) | {room}
    assert {room_of(name) for name in own(module)} <= allowed


def test_every_module_is_in_a_room() -> None:
    assert {room_of(module) for module in MODULES} == {*ROOMS, "__init__", "__main__"}


def test_few_modules_are_in_no_folder() -> None:
    assert len([module for module in MODULES if "." not in module]) <= 6


def test_no_modules_import_each_other_in_a_circle() -> None:
    rest = {module: own(module) for module in MODULES}
    while free := [module for module, needs in rest.items() if not needs & rest.keys()]:
        for module in free:
            del rest[module]
    assert not rest


@each_module
def test_http_is_spoken_in_one_place(module: str) -> None:
    speaks_http = {"httpx", "httpcore", "h11"} & foreign(module)
    assert not speaks_http or module in ("delivery.http", "delivery.connections")


@pytest.mark.parametrize("module", PURE)
def test_the_pure_part_has_no_clock_and_no_net(module: str) -> None:
    assert not foreign(module) & IMPURE
    for node in ast.walk(tree(module)):
        assert not (isinstance(node, ast.Attribute) and node.attr in CLOCK), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input", "eval", "exec", "__import__"}, (
                f"line {node.lineno}"
            )


@each_module
def test_a_module_says_what_it_is_for_and_has_one_subject(module: str) -> None:
    assert ast.get_docstring(tree(module))
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= 600


@each_module
def test_functions_are_short(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # the options of a command are its signature: the body counts
            lines = (node.end_lineno or 0) - node.body[0].lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


HEAVY = (
    "httpx",
    "httpcore",
    "h11",
    "jsonschema",
    "jsonschema_rs",
    "phonenumbers",
    "duckdb",
    "pytest",
    "jinja2",
    "yaml",
    "oauthlib",
    "syrupy",
    "starlette",
    "uvicorn",
    "prometheus_client",
    "structlog",
    "psycopg",
)


def loaded_by(statement: str) -> set[str]:
    """Return the names of the modules that a new process has after a statement."""
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(done.stdout.split())


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    assert not {*HEAVY, "rich"} & loaded_by("import connector.cli.app")


def test_importing_the_library_loads_nothing_else() -> None:
    loaded = loaded_by("import connector")
    assert [name for name in loaded if name.partition(".")[0] == "connector"] == ["connector"]
    assert not {*HEAVY, "orjson", "rich", "typer"} & loaded


def test_sending_loads_neither_the_linter_nor_the_command_line() -> None:
    loaded = loaded_by("from connector import load_connection, preview, send, Sandbox")
    rooms = {name.split(".")[1] for name in loaded if name.startswith("connector.")}
    assert not rooms & {"linting", "testing", "guide", "scaffold", "cli"}


# --- no vendor's word in Python ---------------------------------------------------------------------------------------

#: Words of definitions that are not a vendor's: each with the reason why Python may hold it.
GENERIC = {
    "page_size": "SQLite's word for how large its pages are",
    "email": "an example in messages and docstrings; the word for it everywhere",
    "batch": "our own word: records that share a request",
    "params": "our own word for what templates and checks see of the parameters",
    "already_hashed": "our own word for why a value is dropped",
    "add_user": "an example of an action's name in the help of a command",
    "person": "our own word for who is in an audience; a keyword of contracts",
    "name_taken": "our own word for a refusal, which definitions say",
    "request_refused": "our own word for a refusal",
    "unauthorized": "our own word for a refusal, and HTTP's",
    "token_revoked": "our own word for a refusal",
    "state": "a parameter of RFC 6749, and a member of every audience that is shown",
    "forbidden": "our own word for a refusal, and HTTP's",
    "not_found": "our own word for a refusal, and HTTP's",
    "rate_limited": "our own word for a refusal",
    "method_not_allowed": "our own word for a refusal, and HTTP's",
    "too_large": "our own word for a refusal",
    "malformed": "our own word for a refusal",
    "failed": "a word of pytest for an outcome",
    "people": "a member of what the sandbox reads",
    "created_at": "a member of every object that the sandbox keeps",
    "updated_at": "a member of every object that the sandbox keeps",
    "is_valid": "a method of whatever checks a value",
    "count": "our own word for how many",
    "data": "a word of Jinja for a token",
    "account": "our own word for whose audiences they are, asked for after signing in",
    "location": "a header of HTTP",
    "schema": "a member of every OpenAPI document",
}


#: The names of the schemes' own credentials are words of RFCs, or our own, and the same for every vendor.
CREDENTIALS = {name for scheme in SCHEMES.values() for name in scheme.CREDENTIALS}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from _strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from _strings(part)
    elif isinstance(value, str):
        yield value


@cache
def documents() -> dict[Path, Any]:
    folders = [path.parent for path in (ROOT / "schemas").glob("*/destination.json")]
    return {
        path: json.loads(path.read_text("utf-8"))
        for folder in folders
        for path in sorted(folder.rglob("*.json"))
    }


def vendor_words() -> Iterator[str]:
    """Yield ids, hosts, parts of paths, headers, error codes, parameters and wire names of the definitions."""
    for path, document in documents().items():
        texts = list(_strings(document))
        yield path.relative_to(ROOT / "schemas").parts[0]
        if path.name != "destination.json" and not path.name.startswith("_"):
            yield path.name.removesuffix(".json").removesuffix(".accepts")
        for text in texts:
            if text.startswith("https://"):
                yield str(urlsplit(text).hostname)
            yield from re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b", text)
            yield from re.findall(r"\bx-[a-z]+(?:-[a-z]+)+\b", text)
        for one in _objects(document):
            yield from _of_object(one)
    for path in (ROOT / "templates").glob("*/*.j2"):
        source = path.read_text("utf-8")
        # words without _ are those that the sandbox and the templates share: people, operation, errors
        yield from re.findall(r'"([a-z]+_\w+)":', source)
        yield from re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b", source)


def _objects(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _objects(part)


def _keys(value: Any) -> list[str]:
    return list(value) if isinstance(value, dict) else []


def _of_object(value: dict[str, Any]) -> Iterator[str]:
    """Yield the vendor's words of one object of a definition, whatever it is."""
    yield from _keys(value.get("properties"))
    yield from _keys(value.get("share"))
    yield from _keys(value.get("operations"))
    for names in dict(value.get("rate_headers", {})).values():
        yield from [names] if isinstance(names, str) else names
    if isinstance(value.get("identifier"), dict):
        yield str(value["identifier"].get("wire", ""))
    if isinstance(value.get("path"), str):
        yield from re.findall(r"(?<=/)[a-z_]+", value["path"])
    if isinstance(value.get("api"), dict):
        yield str(value["api"]["name"])
    if {"when", "then"} <= value.keys():
        yield from re.findall(r"\b(?:body|data)\.(\w+_\w+)", value["when"])
        yield str(value.get("code", ""))


def words() -> list[str]:
    return sorted({word for word in vendor_words() if len(re.findall("[A-Za-z]", word)) >= 4})


def test_the_words_are_found() -> None:
    known = {
        "x_custom_audiences",
        "ads-api.x.com",
        "X Ads API",
        "custom_audiences",
        "do_not_reach_lists",
        "handle",
    }
    known |= {
        "x-rate-limit-reset",
        "INVALID_PARAMETER",
        "TOO_MANY_REQUESTS",
        "operation_errors",
        "success_count",
    }
    known |= {
        "effective_at",
        "twitter_id",
        "add_user_multi",
        "operation_type",
    }
    assert known <= set(words())


def language_words() -> set[str]:
    """Return the keys and enumerated words of the meta-schemas: the language is ours to speak."""
    documents = [
        json.loads(path.read_text("utf-8")) for path in (ROOT / "schemas" / "meta").glob("*.json")
    ]
    nodes = [node for document in documents for node in _objects(document)]
    keys = {key for node in nodes for key in _keys(node.get("properties"))}
    return keys | {word for node in nodes for word in node.get("enum", ()) if isinstance(word, str)}


def test_no_word_of_a_vendor_is_in_python() -> None:
    ours = GENERIC.keys() | CREDENTIALS | language_words()
    theirs = [word for word in words() if word not in ours]
    # a word of plain English may stand in a sentence or a name, but not as a text that the program works with
    english = {word for word in theirs if re.fullmatch("[A-Z]?[a-z]+", word)}
    # one pattern for all of them, the longest first: a word may be the start of another
    others = sorted(set(theirs) - english, key=len, reverse=True)
    pattern = re.compile(
        rf"(?<![A-Za-z0-9_])(?:{'|'.join(map(re.escape, others))})(?![A-Za-z0-9_])"
    )
    found = []
    for module, path in MODULES.items():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found += [f"{module}:{number}: {word}" for word in pattern.findall(line)]
        literals = (
            node
            for node in ast.walk(tree(module))
            if isinstance(node, ast.Constant) and node.value in english
        )
        found += [f"{module}:{node.lineno}: {node.value!r}" for node in literals]
    assert not found


def test_every_exception_is_still_needed() -> None:
    source = "\n".join(path.read_text("utf-8") for path in MODULES.values())
    assert not [word for word in GENERIC if word not in source or word not in words()]
