"""docs/witnesses.md is what the clients see, and no witness is left out without notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.kit import ROOT
from tests.witness import kit, table
from tests.witness.exceptions import DISAGREEMENTS, Disagreement

PAGE = table.PAGE.read_text("utf-8")


def _name(visit: tuple[str, str]) -> str:
    return ".".join(visit)


@pytest.mark.parametrize("name", table.VISITS, ids=_name)
def test_the_page_says_what_a_client_sees(name: tuple[str, str]) -> None:
    visit = table.visit_of(*name)
    place = table.VISITS.index(name)
    assert table.rows_of(PAGE)[place] == kit.summary_of(visit)
    assert table.sections_of(PAGE)[place] == "\n".join(kit.lines_of(visit))


@pytest.mark.parametrize("one", DISAGREEMENTS, ids=lambda one: one.file)
def test_a_disagreement_is_about_a_step(one: Disagreement) -> None:
    visit = table.visit_of(one.file, "visit")
    assert visit.step(one.step)
    assert one.client.startswith(visit.client.name)


def test_the_page_is_whole() -> None:
    """Without a single client: what surrounds their parts, and the exceptions."""
    assert table.page({}, PAGE) == PAGE


def test_every_file_of_witnesses_is_on_the_page() -> None:
    on_page = {module for module, _ in table.VISITS}
    files = set()
    for folder in ("python", "npm", "plain"):
        for path in (ROOT / "tests" / "witness" / folder).glob("test_*.py"):
            files.add(f"{folder}.{path.stem}")
    # it visits a token endpoint, and adds nobody
    assert files - on_page == {"plain.test_tokens"}


def _needs() -> None:
    kit.needs("nothing", "no_such_module")


def _needs_npm() -> None:
    kit.needs_npm("nothing")


@pytest.mark.parametrize(
    ("required", "ask", "raised", "words"),
    [
        ("", _needs, pytest.skip.Exception, "needs nothing, from `make witness`"),
        ("", _needs_npm, pytest.skip.Exception, "needs node and nothing, from `make witness-npm`"),
        ("python", _needs, ModuleNotFoundError, "No module named 'no_such_module'"),
        ("npm", _needs_npm, FileNotFoundError, "needs node and nothing, from `make witness-npm`"),
    ],
)
def test_a_missing_package_fails_where_it_is_required(
    required: str,
    ask: Callable[[], None],
    raised: type[BaseException],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(kit.REQUIRED, required)
    with pytest.raises(raised, match=f"^{words}$"):
        ask()


def test_ci_requires_the_witnesses() -> None:
    """`make witness` is what CI runs, and it requires the packages."""
    makefile = (ROOT / "Makefile").read_text("utf-8")
    [recipe] = [part for part in makefile.split("\n\n") if part.startswith("witness:")]
    assert f"{kit.REQUIRED}=python pytest tests/witness" in recipe
    script = ROOT / ".ci" / "run"
    if script.exists():  # it is not in the sdist
        assert "\nmake witness\n" in script.read_text("utf-8")
