"""Lint: every problem of definitions, connections and cases at once.

A destination is looked at in stages, each only when the one before found nothing that would mislead it: the form of
every file, `$ref`s and the whole, rules on the documents and templates, then its examples through the real pipeline.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from connector.definitions.catalog import Catalog, load
from connector.definitions.metaschema import action_files
from connector.definitions.model import Destination
from connector.definitions.resolve import Folder
from connector.errors import ConfigError, Problem, ProblemsError
from connector.linting.examples import Bench, BenchRule
from connector.linting.rule import Rule, shown
from connector.linting.rules import auth as lint_auth
from connector.linting.rules import bodies as lint_examples
from connector.linting.rules import documents as lint_rules
from connector.linting.rules import expressions as lint_expressions
from connector.linting.rules import items as lint_items
from connector.linting.rules import sandbox as lint_sandbox
from connector.linting.rules import templates as lint_templates
from connector.linting.rules import values as lint_values

#: Code and rule, of all rules on a definition whose form is right.
RULES: list[tuple[str, Rule]] = [
    *lint_rules.RULES,
    *lint_auth.RULES,
    *lint_values.RULES,
    *lint_expressions.RULES,
    *lint_templates.RULES,
]

#: Code and rule, of all rules on what the examples come to.
BENCH_RULES: list[tuple[str, BenchRule]] = [
    *lint_examples.RULES,
    *lint_items.RULES,
    *lint_sandbox.RULES,
    *lint_auth.BENCH_RULES,
]

# With one of these the examples cannot be run, or only to repeat it.
_STOPS = frozenset(
    f"D2{number:02}"
    for number in (1, 2, 3, 4, 8, 9, 12, 13, 14, 15, 16, 20, 21, 22, 23, 29, 31, 33)
)

_ALLOWED = (
    "allowed: a folder, a destination's folder or file below schemas/ or templates/, "
    "a connection (.yaml with 'routes'), a case file (.case.yaml)"
)
_SKIPPED = frozenset({"node_modules", "site-packages", "__pycache__", "__snapshots__"})


def lint(paths: Sequence[Path], catalog: Catalog) -> list[Problem]:
    """Return every problem of the files at these paths, by file and pointer; without paths, of all definitions.

    Raises ConfigError (C015) for a path that is nothing lint knows.
    """
    definitions, others = (
        _chosen(paths)
        if paths
        else ({_schemas(catalog, name) for name in catalog.usable_ids()}, set())
    )
    found = [] if paths else [*catalog.problems]
    found += [problem for folder in sorted(definitions) for problem in lint_destination(folder)]
    for path in sorted(others):
        found += _other(path, catalog)
    return _tidy(found)


def lint_destination(schemas: Path) -> list[Problem]:
    """Return every problem of the destination whose definition files are in this folder."""
    try:
        destination = load(schemas.parents[1], schemas.name)
    except ProblemsError as error:
        return [*error.problems, *_more_references(error.problems, schemas)]
    found = list(_static(destination))
    if _STOPS.isdisjoint(problem.code for problem in found):
        found += _dynamic(destination)
    return found


def _more_references(problems: Sequence[Problem], schemas: Path) -> Iterator[Problem]:
    """Yield what is wrong with the references of all files, when one of them was in the way of loading."""
    if any(problem.code == "D108" for problem in problems):
        folder = Folder(schemas)
        for path in (*action_files(schemas), schemas / "destination.json"):
            try:
                folder.document(path.name)
            except ProblemsError as error:
                yield from error.problems


def _static(destination: Destination) -> Iterator[Problem]:
    for code, rule in RULES:
        yield from (problem._replace(code=code) for problem in rule(destination))


def _dynamic(destination: Destination) -> Iterator[Problem]:
    bench = Bench(destination)
    for code, rule in BENCH_RULES:
        yield from (problem._replace(code=code) for problem in rule(bench))


def _other(path: Path, catalog: Catalog) -> Sequence[Problem]:
    """Return the problems of a connection or a case file."""
    try:
        if _is_case(path):
            from connector.testing.case import load_cases

            load_cases(path, catalog)
        else:
            from connector.connection.load import load_connection

            load_connection(path, catalog)
    except ProblemsError as error:
        return error.problems
    return ()


def _schemas(catalog: Catalog, destination: str) -> Path:
    return catalog.folder(destination) / "schemas" / destination


def _chosen(paths: Sequence[Path]) -> tuple[set[Path], set[Path]]:
    """Return the folders of destinations, and the connections and cases, that the paths stand for."""
    definitions: set[Path] = set()
    others: set[Path] = set()
    problems = []
    for path in paths:
        folders, files = _below(path) if path.is_dir() else _single(path)
        if not folders and not files:
            message = "holds nothing to lint" if path.is_dir() else "is nothing that lint knows"
            message = message if path.exists() else "there is no such file or folder"
            problems.append(Problem("C015", str(path), "", message, _ALLOWED))
        definitions |= folders
        others |= files
    if problems:
        raise ConfigError(problems)
    return definitions, others


def _single(path: Path) -> tuple[set[Path], set[Path]]:
    """Return what one file stands for: the destination that it is a part of, or itself."""
    if not path.is_file():
        return set(), set()
    if path.suffix in (".yaml", ".yml"):
        return set(), {path}
    return _part_of(_whole(path).parent), set()


def _part_of(folder: Path) -> set[Path]:
    """Return the schemas of the destination whose schemas or templates this folder holds."""
    schemas = folder.parents[1] / "schemas" / folder.name if len(folder.parents) > 1 else folder
    known = (
        folder.parent.name in ("schemas", "templates")
        and folder.name != "meta"
        and schemas.is_dir()
    )
    return {schemas} if known else set()


def _below(folder: Path) -> tuple[set[Path], set[Path]]:
    """Return what a folder holds: it is a destination's, a definitions folder, or has some of these below it."""
    whole = _whole(folder)
    part = _part_of(whole)
    if part:
        return part, set()
    root = whole.parent if whole.name in ("schemas", "templates") else whole
    definitions = {
        path for path in (root / "schemas").glob("*") if path.is_dir() and path.name != "meta"
    }
    files = list(_walk(folder))
    definitions |= {_whole(path).parent for path in files if _is_definition(path)}
    return definitions, {path for path in files if _is_case(path) or _is_connection(path)}


def _whole(path: Path) -> Path:
    """Return a path from the root on, without `..`; links are not followed, because the names of folders count."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - the alternative follows links


def _walk(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, apart from what tools keep there."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if not path.name.startswith(".") and path.name not in _SKIPPED:
                yield from _walk(path)
        else:
            yield path


def _is_definition(path: Path) -> bool:
    return path.name == "destination.json" and path.absolute().parents[1].name == "schemas"


def _is_case(path: Path) -> bool:
    return path.name.endswith((".case.yaml", ".case.yml"))


def _is_connection(path: Path) -> bool:
    """Whether a file looks like a connection from afar: `routes` at its top, and no `cases`."""
    if path.suffix not in (".yaml", ".yml"):
        return False
    keys = set(
        re.findall(r"^([a-z_]+) *:", path.read_text("utf-8", errors="replace"), re.MULTILINE)
    )
    return "routes" in keys and "cases" not in keys


def _tidy(found: Iterable[Problem]) -> list[Problem]:
    """Return the problems with short file names, each once, in the order of files and pointers.

    What several actions share is found once for each of them, and the hint may differ then.
    """
    unique: dict[tuple[str, ...], Problem] = {}
    for problem in found:
        file = shown(problem.file)
        unique.setdefault(
            (problem.code, file, problem.pointer, problem.message), problem._replace(file=file)
        )
    return sorted(
        unique.values(), key=lambda problem: (problem.file, _natural(problem.pointer), problem.code)
    )


def _natural(pointer: str) -> list[tuple[int, str]]:
    """Return what sorts a pointer's indexes as numbers."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in pointer.split("/")]
