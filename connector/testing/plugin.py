"""The pytest plugin: each case of a `*.case.yaml` file is a test, compared with its snapshot.

It does nothing where there are no case files, and imports the rest of the package only when there is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from connector.testing.case import Case

_SUFFIX = ".case.yaml"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option --definitions."""
    parser.getgroup("connector").addoption(
        "--definitions",
        action="append",
        default=[],
        type=Path,
        metavar="PATH",
        help="a further folder with schemas/ and templates/ for *.case.yaml files; can be repeated",
    )


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    """Collect the case files."""
    return (
        CaseFile.from_parent(parent, path=file_path) if file_path.name.endswith(_SUFFIX) else None
    )


class CaseFile(pytest.File):
    """One `*.case.yaml` file."""

    def collect(self) -> Iterator[CaseItem]:
        """Yield its cases. Raises CollectError with every problem of the file."""
        from connector.errors import ConnectorError

        try:
            cases = self._cases()
        except ConnectorError as error:
            raise self.CollectError(str(error)) from None
        for case in cases:
            yield CaseItem.from_parent(self, name=case.name, callobj=_check(case))

    def _cases(self) -> list[Case]:
        from connector.definitions.catalog import Catalog
        from connector.testing.case import load_cases

        if not self.config.pluginmanager.hasplugin("syrupy"):
            raise self.CollectError("cases need syrupy: pip install 'audience-connector[test]'")
        return load_cases(_shown(self.path), Catalog(self.config.getoption("--definitions")))


def _shown(path: Path) -> Path:
    """Return a path as a person would write it from here."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


class CaseFailed(Exception):  # noqa: N818 - it is an outcome
    """A case differs from its snapshot or cannot be kept; the text says how."""


class CaseItem(pytest.Function):
    """One case: a function that compares it, since syrupy looks after the snapshots of functions only."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the difference, without a traceback."""
        return (
            str(excinfo.value)
            if isinstance(excinfo.value, CaseFailed)
            else super().repr_failure(excinfo)
        )

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the case is."""
        return self.path, None, self.name


def _check(case: Case) -> Callable[[Any], None]:
    def check(snapshot: Any) -> None:
        from connector.errors import ConnectorError
        from connector.testing.case import run_case
        from connector.testing.snapshots import keep, mismatch

        try:
            text = run_case(case)
        except ConnectorError as error:
            keep(snapshot)
            raise CaseFailed(str(error)) from None
        difference = mismatch(snapshot, text)
        if difference is not None:
            raise CaseFailed(f"case '{case.name}': {difference}")

    return check
