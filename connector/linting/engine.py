"""Lint: every problem of definitions, connections and cases at once.

A destination is checked in stages: the form of every file, what is extended and the whole, then the
rules on documents and templates, then those on its examples. A stage that an earlier one would
mislead is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from connector.definitions.catalog import Catalog, load
from connector.definitions.documents import every_problem
from connector.errors import Problem, ProblemsError
from connector.linting.examples import ExampleRun
from connector.linting.paths import expand, is_case, relative_name
from connector.linting.rule import RULES, Stage
from connector.linting.rules import (  # noqa: F401 - importing a module registers its rules
    answers,
    audiences,
    auth,
    bodies,
    calls,
    contracts,
    exports,
    expressions,
    items,
    parameters,
    requests,
    sandbox,
    templates,
    values,
)


def lint(paths: Sequence[Path], catalog: Catalog) -> list[Problem]:
    """Return every problem of the files at these paths, by file and pointer.

    Without paths, check all definitions of the catalog. Raises ConfigError (C015) for a path that
    lint has nothing to do with.
    """
    problems: list[Problem] = []
    files: set[Path] = set()
    if paths:
        destinations, files = expand(paths)
    else:
        problems += catalog.problems
        destinations = set()
        for name in catalog.usable_ids():
            destinations.add(catalog.folder(name) / "schemas" / name)

    for folder in sorted(destinations):
        problems += lint_destination(folder)
    for file in sorted(files):
        problems += _lint_file(file, catalog)
    return _tidy(problems)


def lint_destination(schemas: Path) -> list[Problem]:
    """Return every problem of the destination whose definition files are in this folder."""
    try:
        destination = load(schemas.parents[1], schemas.name)
        _ = destination.calls, destination.exports  # so that they are read
    except ProblemsError as error:
        return every_problem(schemas) or list(error.problems)

    problems, blocked = _run("documents", destination)
    for export in destination.exports.values():
        problems += _run("exports", export)[0]
    if not blocked:
        problems += _run("examples", ExampleRun(destination))[0]
    return problems


def _run(stage: Stage, subject: object) -> tuple[list[Problem], bool]:
    """Return the problems that the rules of a stage find, and whether one blocks the next stage."""
    problems = []
    blocked = False
    for rule in RULES:
        if rule.stage != stage:
            continue
        for problem in rule.check(subject):
            problems.append(problem._replace(code=rule.code))
            blocked = blocked or rule.blocks
    return problems, blocked


def _lint_file(path: Path, catalog: Catalog) -> Sequence[Problem]:
    """Return the problems of a connection or a case file."""
    from connector.connection.load import connection_warnings, load_connection
    from connector.testing.case import load_cases

    try:
        if is_case(path):
            load_cases(path, catalog.beside(path))
            return ()
        return connection_warnings(load_connection(path, catalog))
    except ProblemsError as error:
        return error.problems


def _tidy(problems: Iterable[Problem]) -> list[Problem]:
    """Return the problems with short file names, each once, in the order of files and pointers.

    What several actions share is found once for each of them, and the hint may differ then: the
    first one is kept.
    """
    unique: dict[Problem, Problem] = {}
    for problem in problems:
        short = problem._replace(file=relative_name(problem.file))
        unique.setdefault(short._replace(hint=""), short)
    return sorted(unique.values(), key=_position)


def _position(problem: Problem) -> tuple[str, list[tuple[int, str]], str]:
    """Return the sort key of a problem: indexes in its pointer are numbers."""
    parts = []
    for part in problem.pointer.split("/"):
        parts.append((int(part), "") if part.isdigit() else (-1, part))
    return problem.file, parts, problem.code
