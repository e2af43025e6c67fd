"""`connector test`: pytest in this process, with nothing but what cases need."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connector.errors import ConfigError, Problem

if TYPE_CHECKING:
    import pytest

# no configuration, no conftest.py and no Python tests of the folder: cases need none of them
_ARGUMENTS = (
    "--quiet", "--no-header", "--capture=no", "--noconftest",
    f"--config-file={os.devnull}", "--override-ini=python_files=",
    "-p", "no:cacheprovider", "-p", "no:doctest", "-p", "syrupy",
)  # fmt: skip


def run_cases(
    paths: Sequence[Path], definitions: Sequence[Path], *, update: bool, form: str
) -> int:
    """Run the cases of files and folders and print what came of them; `update` writes the snapshots.

    Returns 0 when all passed, 1 when a case failed or a snapshot belongs to none, 2 when there is no case or a case
    file is wrong. `form` is text or json. Raises ConfigError when pytest is not installed (C017), a path does not
    exist (C016) or a definition folder is none (C010).
    """
    _check(paths, definitions)
    results = _Results()
    arguments = [
        *map(_absolute, paths),
        f"--rootdir={Path.cwd()}",
        *(f"--definitions={path}" for path in definitions),
    ]
    with contextlib.ExitStack() as stack:
        if form == "json":
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        status = _pytest(
            [*_ARGUMENTS, *arguments, *(["--snapshot-update"] if update else [])], results
        )
    if form == "json":
        print(json.dumps(results.summary(), ensure_ascii=False))
    elif not results.cases:
        print(f"no cases found: no *.case.yaml in {', '.join(map(str, paths))}")
    return results.status(status)


def _check(paths: Sequence[Path], definitions: Sequence[Path]) -> None:
    from connector.definitions.catalog import Catalog

    if not find_spec("pytest") or not find_spec("syrupy"):
        hint = "pip install 'audience-connector[test]'"
        raise ConfigError(
            [
                Problem(
                    "C017",
                    "test",
                    "",
                    "cases need pytest and syrupy, which are not installed",
                    hint,
                )
            ]
        )
    problems = [
        Problem("C016", str(path), "", "there is no such file or folder")
        for path in paths
        if not path.exists()
    ]
    if problems:
        raise ConfigError(problems)
    Catalog(definitions)


def _absolute(path: Path) -> str:
    return str(path.absolute())


def _pytest(arguments: Sequence[str], results: _Results) -> int:
    import pytest

    from connector.testing import plugin as pytest_plugin

    with _plain_environment():
        return int(pytest.main([*arguments], [pytest_plugin, results]))


@contextlib.contextmanager
def _plain_environment() -> Iterator[None]:
    """Keep other plugins and a person's pytest options out."""
    names = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")
    before = {name: os.environ.pop(name) for name in names if name in os.environ}
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        os.environ.update(before)


class _Results:
    """A pytest plugin that keeps what became of each case."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.unused: list[str] = []

    def _add(self, node: str, outcome: str, message: str) -> None:
        file, _, name = node.partition("::")
        self.cases.append(
            {"file": file, "name": name or None, "outcome": outcome, "message": message}
        )

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a case file is wrong."""
        if report.failed:
            self._add(report.nodeid, "error", report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what became of a case."""
        if report.when == "call" or report.failed:
            self._add(report.nodeid, report.outcome, report.longreprtext)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep which snapshots belong to no case."""
        report = getattr(getattr(session.config, "_syrupy", None), "report", None)
        unused = [Path(collection.location) for collection in report.unused] if report else []
        self.unused = sorted(os.path.relpath(path) for path in unused if path.exists())

    def summary(self) -> dict[str, Any]:
        passed = sum(case["outcome"] == "passed" for case in self.cases)
        return {
            "passed": passed,
            "failed": len(self.cases) - passed,
            "cases": self.cases,
            "unused": self.unused,
        }

    def status(self, status: int) -> int:
        """Return the exit status for that of pytest."""
        if not self.cases or any(case["outcome"] == "error" for case in self.cases):
            return 2
        return min(status, 2)
