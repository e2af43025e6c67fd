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

# Cases need no configuration, no conftest.py and no Python tests of the folder, and leave no
# garbage to look for.
_PYTEST_ARGUMENTS = (
    "--quiet", "--no-header", "--capture=no", "--noconftest",
    f"--config-file={os.devnull}", "--override-ini=python_files=",
    "-p", "no:cacheprovider", "-p", "no:doctest", "-p", "no:unraisableexception", "-p", "syrupy",
)  # fmt: skip
_PYTEST_VARIABLES = ("PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTEST_DISABLE_PLUGIN_AUTOLOAD")


def run_cases(
    paths: Sequence[Path],
    definitions: Sequence[Path],
    *,
    update: bool,
    form: str,
) -> int:
    """Run the cases of files and folders and print their results; `update` writes the snapshots.

    Returns 0 when all passed, 1 when a case failed or a snapshot has no case, 2 when there is no
    case or a case file is invalid. `form` is text or json. Raises ConfigError when pytest is not
    installed (C017), a path does not exist (C016) or a definition folder is none (C010).
    """
    _check(paths, definitions)

    arguments = [str(path.absolute()) for path in paths]
    arguments.append(f"--rootdir={Path.cwd()}")
    arguments += [f"--definitions={path}" for path in definitions]
    if update:
        arguments.append("--snapshot-update")

    results = _Results()
    if form == "json":
        with contextlib.redirect_stdout(io.StringIO()):
            pytest_status = _run_pytest(arguments, results)
        print(json.dumps(results.summary(), ensure_ascii=False))
    else:
        pytest_status = _run_pytest(arguments, results)
        if not results.cases:
            print(f"no cases found: no *.case.yaml in {', '.join(map(str, paths))}")
    return results.status(pytest_status)


def _check(paths: Sequence[Path], definitions: Sequence[Path]) -> None:
    from connector.definitions.catalog import Catalog

    if not find_spec("pytest") or not find_spec("syrupy"):
        message = "cases need pytest and syrupy, which are not installed"
        hint = "run pip install '.[test]' in the connector's folder"
        raise ConfigError([Problem("C017", "test", "", message, hint)])

    missing = [path for path in paths if not path.exists()]
    if missing:
        message = "no such file or folder"
        raise ConfigError(Problem("C016", str(path), "", message) for path in missing)

    Catalog(definitions)


def _run_pytest(arguments: Sequence[str], results: _Results) -> int:
    import pytest

    from connector.testing import plugin

    with _plain_environment():
        return int(pytest.main([*_PYTEST_ARGUMENTS, *arguments], [plugin, results]))


@contextlib.contextmanager
def _plain_environment() -> Iterator[None]:
    """Keep other plugins and a person's pytest options out."""
    before = {}
    for name in _PYTEST_VARIABLES:
        if name in os.environ:
            before[name] = os.environ.pop(name)

    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    try:
        yield
    finally:
        del os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"]
        os.environ.update(before)


class _Results:
    """A pytest plugin that keeps the result of each case."""

    def __init__(self) -> None:
        self.cases: list[dict[str, Any]] = []
        self.unused: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Keep why a case file is invalid."""
        if report.failed:
            self._add(report.nodeid, "error", report.longreprtext)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the result of a case."""
        if report.when == "call" or report.failed:
            self._add(report.nodeid, report.outcome, report.longreprtext)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep which snapshots have no case."""
        report = getattr(getattr(session.config, "_syrupy", None), "report", None)
        if report is None:
            return
        for collection in report.unused:
            if Path(collection.location).exists():
                self.unused.append(os.path.relpath(collection.location))
        self.unused.sort()

    def _add(self, node_id: str, outcome: str, message: str) -> None:
        file, _, name = node_id.partition("::")
        case = {"file": file, "name": name or None, "outcome": outcome, "message": message}
        self.cases.append(case)

    def summary(self) -> dict[str, Any]:
        """Return what `--format json` prints."""
        passed = sum(case["outcome"] == "passed" for case in self.cases)
        return {
            "passed": passed,
            "failed": len(self.cases) - passed,
            "cases": self.cases,
            "unused": self.unused,
        }

    def status(self, pytest_status: int) -> int:
        """Return the exit status."""
        if not self.cases or any(case["outcome"] == "error" for case in self.cases):
            return 2
        return min(pytest_status, 2)
