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

from connector.auth.schemes import GRANTS, SCHEMES, credentials_of

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "connector"
MODULES = {path.stem: path for path in sorted(PACKAGE.glob("*.py"))}
each_module = pytest.mark.parametrize("module", MODULES)

#: The core: each may import only what stands before it. Every other module is an entry or an impure part.
CORE = (
    "values", "errors", "times", "json_files", "schemas", "references", "expressions", "placeholders", "definition",
    "mapping", "identifiers", "rendering", "entries", "outcomes", "splitting", "batching", "attribution", "requests", "targets",
    "records", "forms", "catalog", "yamls", "addresses", "credentials", "connection", "pipeline",
)  # fmt: skip
#: Of the core, those that neither read the environment nor know what time it is; time is an argument.
PURE = frozenset(CORE) - {"json_files", "references", "forms", "catalog", "yamls", "credentials", "connection"}
#: Impure parts that know nothing of the core but its values.
LEAVES = {
    "tally": {"values"},
    "readers": {"values"},
    "sending": {"values", "auth_base"},
    "auth_base": {"values"},
    "auth_keys": {"auth_base", "sending"},
    "auth_oauth1": {"auth_base"},
    "auth_oauth2": {"values", "auth_base", "auth_keys", "sending"},
    "auth": {"values", "auth_base", "auth_keys", "auth_oauth1", "auth_oauth2"},
}

IMPURE = {
    "httpx",
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


def imports(module: str) -> Iterator[tuple[str, bool]]:
    """Yield the names of imported modules, and whether they are of this package."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from ((alias.name.split(".")[0], False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield str(node.module).split(".")[0], False
        elif isinstance(node, ast.ImportFrom):
            names = [node.module] if node.module else [alias.name for alias in node.names]
            yield from ((str(name), True) for name in names if name in MODULES)


def own(module: str) -> set[str]:
    return {name for name, mine in imports(module) if mine}


def foreign(module: str) -> set[str]:
    return {name for name, mine in imports(module) if not mine}


@pytest.mark.parametrize("module", CORE)
def test_the_core_imports_in_one_direction(module: str) -> None:
    assert own(module) <= set(CORE[: CORE.index(module)])


@pytest.mark.parametrize("module", LEAVES)
def test_an_impure_leaf_knows_only_values(module: str) -> None:
    assert own(module) <= LEAVES[module]


def test_no_modules_import_each_other_in_a_circle() -> None:
    rest = {module: own(module) for module in MODULES}
    while free := [module for module, needs in rest.items() if not needs & rest.keys()]:
        for module in free:
            del rest[module]
    assert not rest


@each_module
def test_http_is_spoken_in_one_module(module: str) -> None:
    assert "httpx" not in foreign(module) or module == "sending"


@pytest.mark.parametrize("module", sorted(PURE))
def test_the_pure_part_has_no_clock_and_no_net(module: str) -> None:
    assert not foreign(module) & IMPURE
    for node in ast.walk(tree(module)):
        assert not (isinstance(node, ast.Attribute) and node.attr in CLOCK), f"line {node.lineno}"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            assert node.func.id not in {"open", "print", "input", "eval", "exec", "__import__"}, f"line {node.lineno}"


@each_module
def test_a_module_says_what_it_is_for_and_is_short(module: str) -> None:
    assert module == "__init__" or ast.get_docstring(tree(module))
    assert len(MODULES[module].read_text("utf-8").splitlines()) <= 400


@each_module
def test_functions_are_short(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # the options of a command are its signature: the body counts
            lines = (node.end_lineno or 0) - node.body[0].lineno + 1
            assert lines <= 50, f"{node.name} has {lines} lines"


HEAVY = (
    "httpx",
    "jsonschema",
    "jsonschema_rs",
    "phonenumbers",
    "duckdb",
    "pytest",
    "jinja2",
    "yaml",
    "oauthlib",
    "syrupy",
)


def test_the_command_line_starts_without_the_heavy_libraries() -> None:
    code = "import sys, connector.cli; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert not set(HEAVY) & set(done.stdout.split())


# --- no vendor's word in Python ---------------------------------------------------------------------------------------

#: Words of definitions that are not a vendor's: each with the reason why Python may hold it.
GENERIC = {
    "email": "an example in messages and docstrings; the word for it everywhere",
    "batch": "our own word: records that share a request",
    "params": "our own word for what templates and checks see of the parameters",
    "already_hashed": "our own word for why a value is dropped",
    "add_user": "an example of an action's name in the help of a command",
    "unauthorized": "our own word for a refusal, and HTTP's",
    "forbidden": "our own word for a refusal, and HTTP's",
    "not_found": "our own word for a refusal, and HTTP's",
    "rate_limited": "our own word for a refusal",
    "method_not_allowed": "our own word for a refusal, and HTTP's",
    "too_large": "our own word for a refusal",
    "malformed": "our own word for a refusal",
    "failed": "a word of pytest for an outcome",
    "authentication": "a heading of the setup guide",
    "people": "a member of what the sandbox reads",
    "data": "a word of Jinja for a token",
}


#: The names of the schemes' own credentials are words of RFCs, or our own, and the same for every vendor.
CREDENTIALS = {
    name for scheme in SCHEMES for grant in GRANTS for name in credentials_of({"scheme": scheme, "grant": grant})
}


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
    return {path: json.loads(path.read_text("utf-8")) for folder in folders for path in sorted(folder.glob("*.json"))}


def vendor_words() -> Iterator[str]:
    """Yield ids, hosts, parts of paths, headers, error codes, parameters and wire names of the definitions."""
    for path, document in documents().items():
        texts = list(_strings(document))
        yield path.parent.name
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
    yield from _keys(value.get("group"))
    yield from dict(value.get("rate_headers", {})).values()
    yield from value.get("credentials", ())
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
    known = {"x_custom_audiences", "ads-api.x.com", "X Ads API", "custom_audiences", "do_not_reach_lists", "handle"}
    known |= {"x-rate-limit-reset", "INVALID_PARAMETER", "TOO_MANY_REQUESTS", "operation_errors", "success_count"}
    known |= {"effective_at", "twitter_id", "add_user_multi", "operation_type", "custom_audience_users"}
    assert known <= set(words())


def language_words() -> set[str]:
    """Return the keys and enumerated words of the meta-schemas: the language is ours to speak."""
    documents = [json.loads(path.read_text("utf-8")) for path in (ROOT / "schemas" / "meta").glob("*.json")]
    nodes = [node for document in documents for node in _objects(document)]
    keys = {key for node in nodes for key in _keys(node.get("properties"))}
    return keys | {word for node in nodes for word in node.get("enum", ()) if isinstance(word, str)}


def test_no_word_of_a_vendor_is_in_python() -> None:
    ours = GENERIC.keys() | CREDENTIALS | language_words()
    theirs = [word for word in words() if word not in ours]
    # a word of plain English may stand in a sentence or a name, but not as a text that the program works with
    english = {word for word in theirs if re.fullmatch("[A-Z]?[a-z]+", word)}
    patterns = {w: re.compile(rf"(?<![A-Za-z0-9_]){re.escape(w)}(?![A-Za-z0-9_])") for w in theirs if w not in english}
    found = []
    for module, path in MODULES.items():
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            found += [f"{module}.py:{number}: {word}" for word, pattern in patterns.items() if pattern.search(line)]
        literals = (node for node in ast.walk(tree(module)) if isinstance(node, ast.Constant) and node.value in english)
        found += [f"{module}.py:{node.lineno}: {node.value!r}" for node in literals]
    assert not found


def test_every_exception_is_still_needed() -> None:
    source = "\n".join(path.read_text("utf-8") for path in MODULES.values())
    assert not [word for word in GENERIC if word not in source or word not in words()]
