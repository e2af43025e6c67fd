"""docs/witnesses.md: what each client saw. `python -m tests.witness.table` writes it again.

The part of a client whose package is not installed stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module, reload
from textwrap import wrap

import pytest

from tests.kit import ROOT
from tests.witness.exceptions import DISAGREEMENTS
from tests.witness.kit import Visit, lines_of, summary_of

PAGE = ROOT / "docs" / "witnesses.md"

#: Modules and their functions that return a visit, in the order of the page.
VISITS = (
    ("python.test_x", "visit"),
    ("python.test_linkedin", "visit"),
    ("npm.test_linkedin", "visit"),
    ("python.test_microsoft", "visit"),
    ("python.test_google", "visit"),
    ("python.test_meta", "visit"),
    ("npm.test_meta", "visit"),
    ("npm.test_iterable", "visit"),
    ("plain.test_iterable", "visit"),
    ("npm.test_braze", "visit"),
    ("plain.test_braze", "visit"),
    ("plain.test_tiktok", "visit"),
    ("plain.test_snapchat", "visit"),
    ("plain.test_webhook", "visit"),
    ("plain.test_webhook", "visit_by_curl"),
)

HEAD = """\
# Other people's clients at the sandbox

The sandbox stands in for the vendor of any client, not only for ours. So the vendors' own client libraries, and plain
scripts that send what a vendor's pages show, visit it: they add people, remove some, and are refused. Only the host is
changed, and the number of the API's version where the client has another (`tests/witness/`). `make witness` and
`make witness-npm` install the clients, try them, and compare this page with what they saw.
`python -m tests.witness.table` writes it again.

A step counts when it changed whom the sandbox holds, or was refused where it had to be. Ann, Ben, Cem, Dora, Fay and
Gil stand for the identifiers that the client sends of them; Eve must never be held. `?` is somebody that nobody sent as
a whole.
"""
COLUMNS = "| vendor | client | version | adds | removes | refused | people held in the end |"


def visit_of(module: str, function: str) -> Visit:
    """Return a visit, which is made once in a process. Skip when its package is missing."""
    witness = import_module(f"tests.witness.{module}")
    if not hasattr(witness, function):
        reload(witness)  # it was skipped while it was collected, and is skipped again
    make: Callable[[], Visit] = getattr(witness, function)
    return make()


def page(visits: dict[tuple[str, str], Visit], before: str) -> str:
    """Return the page with these visits, and the parts of others as they were before."""
    sections = sections_of(before)
    rows = rows_of(before)
    lines = [HEAD, COLUMNS, "|---" * COLUMNS.count(" | ") + "|---|"]
    details = []
    for place, name in enumerate(VISITS):
        visit = visits.get(name)
        if visit is not None:
            lines.append(summary_of(visit))
            details.append("\n".join(lines_of(visit)))
        else:
            lines.append(rows[place])
            details.append(sections[place])
    return "\n".join(lines) + "\n\n" + "\n\n".join([*details, disagreements()]) + "\n"


def disagreements() -> str:
    """Return the list of what stays different."""
    lines = ["## Disagreements that stay", ""]
    for one in DISAGREEMENTS:
        text = f"* {one.client}, *{one.step}*: {one.reason}"
        lines += wrap(text, 120, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines)


def rows_of(text: str) -> list[str]:
    """Return the rows of the table of all."""
    first = text.split("\n## ", 1)[0].splitlines()
    rows = [line for line in first if line.startswith("|")]
    return rows[2:]


def sections_of(text: str) -> list[str]:
    """Return what the page says of each client."""
    sections = []
    for section in text.split("\n## ")[1:]:
        sections.append("## " + section.rstrip("\n"))
    return sections[:-1]


def main() -> None:
    """Write the page."""
    visits = {}
    for name in VISITS:
        try:
            visits[name] = visit_of(*name)
        except pytest.skip.Exception as skipped:
            print(f"{name[0]}: {skipped}", file=sys.stderr)
    before = PAGE.read_text("utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(visits, before), "utf-8")


if __name__ == "__main__":
    main()
