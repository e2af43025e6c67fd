"""docs/witnesses.md is what the witnesses see, and none is left out without notice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import product

import pytest

from tests.kit import ROOT
from tests.witness import bodies, kit, table, values
from tests.witness.exceptions import (
    DIFFERENCES,
    DISAGREEMENTS,
    TAKES_JUNK,
    UNREAD,
    Disagreement,
    differences_of,
)

PAGE = table.PAGE.read_text("utf-8")


def _name(visit: tuple[str, str]) -> str:
    return ".".join(visit)


@pytest.mark.parametrize("name", table.VISITS, ids=_name)
def test_the_page_says_what_a_client_sees(name: tuple[str, str]) -> None:
    visit = table.witness_of(*name)
    place = table.VISITS.index(name)
    assert table.rows_of(PAGE)[place] == kit.summary_of(visit)
    assert table.sections_of(PAGE)[place] == "\n".join(kit.lines_of(visit))


@pytest.mark.parametrize("one", DISAGREEMENTS, ids=lambda one: one.file)
def test_a_disagreement_is_about_a_step(one: Disagreement) -> None:
    visit = table.witness_of(one.file, "visit")
    assert visit.step(one.step)
    assert one.client.startswith(visit.client.name)


@pytest.mark.parametrize("name", table.READINGS, ids=_name)
def test_a_library_reads_and_writes_what_we_send(name: table.Name) -> None:
    reading = table.witness_of(*name)
    excepted = {one.member for one in UNREAD if one.client == reading.client.name}
    assert set(reading.differences) == excepted
    place = table.READINGS.index(name)
    assert table.rows_of(PAGE, table.BODIES)[place] == bodies.summary_of(reading)


@pytest.mark.parametrize("name", table.COMPARISONS, ids=_name)
def test_a_library_makes_of_values_what_we_send(name: table.Name) -> None:
    comparison = table.witness_of(*name)
    excepted: Counter[tuple[str, str]] = Counter()
    for one in differences_of(comparison.client.name):
        excepted.update(product(one.parameters, one.values))
    assert Counter(comparison.with_outcome("different")) == excepted
    assert comparison.client.name in TAKES_JUNK.clients
    assert comparison.with_outcome("taken")
    place = table.COMPARISONS.index(name)
    assert table.rows_of(PAGE, table.VALUES)[place] == values.summary_of(comparison)


@pytest.mark.parametrize("name", table.COMPARISONS, ids=_name)
def test_we_send_no_junk_and_all_else(name: table.Name) -> None:
    comparison = table.witness_of(*name)
    for (parameter, value), sent in comparison.ours.items():
        assert (sent is None) == comparison.is_junk(parameter, value), (parameter, value)


def test_exceptions_are_about_libraries_of_the_page() -> None:
    named = {one.client for one in UNREAD}
    for one in (TAKES_JUNK, *DIFFERENCES):
        named.update(one.clients)
    rows = table.rows_of(PAGE, table.BODIES) + table.rows_of(PAGE, table.VALUES)
    assert named <= {row.split(" | ")[1] for row in rows}


def test_a_member_that_is_lost_is_a_difference() -> None:
    """Also one that is added, of another type, or in another list."""
    sent = {"a": 1, "b": [{"c": "1"}], "d": [1, 2]}
    assert list(bodies.different(sent, sent)) == []
    written = {"a": True, "b": [{"e": None, "f": 1}], "d": [1]}
    assert sorted(bodies.different(sent, written)) == ["a", "c", "d", "f"]


def test_the_page_is_whole() -> None:
    """Without a single client: what surrounds their parts, and the exceptions."""
    assert table.page({}, PAGE) == PAGE


def test_every_file_of_witnesses_is_on_the_page() -> None:
    names = (*table.VISITS, *table.READINGS, *table.COMPARISONS)
    on_page = {module for module, _ in names}
    files = set()
    for folder in ("python", "npm", "plain"):
        for path in (ROOT / "tests" / "witness" / folder).glob("[!_]*.py"):
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
