"""The pytest plugin: each case of a `*.case.yaml` file is a test, compared with its snapshot.

It does nothing where there are no case files, and imports the rest of the package only when there
is one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from connector.definitions.catalog import Catalog
    from connector.testing.case import Case

_SUFFIX = ".case.yaml"
# Case files of a run share their definitions: reading those takes longer than all the cases.
_CATALOG = pytest.StashKey["Catalog"]()


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
    if file_path.name.endswith(_SUFFIX):
        collector: pytest.Collector = CaseFile.from_parent(parent, path=file_path)
        return collector
    return None


class CaseFile(pytest.File):
    """One `*.case.yaml` file."""

    def collect(self) -> Iterator[CaseItem]:
        """Yield its cases. Raises CollectError with every problem of the file."""
        from connector.errors import ConnectorError
        from connector.testing.case import load_cases

        if not self.config.pluginmanager.hasplugin("syrupy"):
            raise self.CollectError(
                "cases need syrupy: run pip install '.[test]' in the connector's folder"
            )
        try:
            cases = load_cases(_from_here(self.path), _catalog(self.config).beside(self.path))
        except ConnectorError as error:
            raise self.CollectError(str(error)) from None

        for case in cases:
            yield CaseItem.from_parent(self, name=case.name, callobj=_test_of(case))


class CaseFailedError(Exception):
    """A case differs from its snapshot or cannot be kept; the text says how."""


class CaseItem(pytest.Function):
    """One case, as a function: syrupy keeps snapshots of functions only."""

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Return the difference, without a traceback."""
        if isinstance(excinfo.value, CaseFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Return where the case is."""
        return self.path, None, self.name


def _catalog(config: pytest.Config) -> Catalog:
    from connector.definitions.catalog import Catalog

    if _CATALOG not in config.stash:
        config.stash[_CATALOG] = Catalog(config.getoption("--definitions"))
    return config.stash[_CATALOG]


def _from_here(path: Path) -> Path:
    """Return a path as a person would write it from the working directory."""
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _test_of(case: Case) -> Callable[[Any], None]:
    def test(snapshot: Any) -> None:
        from connector.errors import ConnectorError
        from connector.testing.run_case import run_case
        from connector.testing.snapshots import mark_as_used, mismatch

        try:
            text = run_case(case)
        except ConnectorError as error:
            mark_as_used(snapshot)
            raise CaseFailedError(str(error)) from None

        difference = mismatch(snapshot, text)
        if difference is not None:
            raise CaseFailedError(f"case '{case.name}': {difference}")

    return test
