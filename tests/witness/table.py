"""docs/witnesses.md: what each client and library saw. `python -m tests.witness.table` writes it again.

The part of a client whose package is not installed stays as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module, reload
from textwrap import wrap
from typing import Any

import pytest

from tests.kit import ROOT, junk
from tests.witness import bodies, kit, values
from tests.witness.exceptions import DIFFERENCES, DISAGREEMENTS, TAKES_JUNK, UNREAD

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

#: The same of functions that return a reading, and of those that return a comparison.
READINGS = (
    ("python.google_models", "bodies"),
    ("python.microsoft_models", "bodies"),
    ("npm.iterable_models", "bodies"),
)
COMPARISONS = (
    ("python.google_models", "values"),
    ("python.meta_models", "of_audiences"),
    ("python.meta_models", "of_events"),
    ("npm.meta_models", "of_events"),
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

[Further down](#what-we-send-read-by-others) is the other direction: what we send, given to the vendors' own libraries.

"""
BODIES = """\
## What we send, read by others

The bodies of all requests in `tests/cases` are read strictly by the vendor's own models and written again, which has to
give the same JSON. Of the packages that `make witness` and `make witness-npm` install, only these have models that
check anything: `braze-api` has types, which node does not look at.

"""
VALUES = """\
## Values, normalised by others

Values as people have them are sent, and given to the vendor's own normalisers, which have to make the same of each: one
digest or text, or nothing of what says nothing of a person (`tests/witness/values.py`). Each exception is in the list
at the end, with its reason.

"""
VISIT_COLUMNS = "| vendor | client | version | adds | removes | refused | people held in the end |"
BODY_COLUMNS = "| vendor | library | version | bodies | the same | named exceptions |"
VALUE_COLUMNS = (
    "| vendor | library | version | values | the same | dropped by both "
    "| dropped by us alone | named exceptions |"
)

Name = tuple[str, str]


def witness_of(module: str, function: str) -> Any:
    """Return what a witness saw, once in a process. Skip when its package is missing."""
    witness = import_module(f"tests.witness.{module}")
    if not hasattr(witness, function):
        reload(witness)  # it was skipped while it was collected, and is skipped again
    make: Callable[[], Any] = getattr(witness, function)
    return make()


def page(seen: Mapping[Name, Any], before: str) -> str:
    """Return the page with what these witnesses saw, and the parts of others as they were before."""
    sections = sections_of(before)
    details = []
    for place, name in enumerate(VISITS):
        details.append("\n".join(kit.lines_of(seen[name])) if name in seen else sections[place])

    visits = table_of(HEAD, VISIT_COLUMNS, VISITS, kit.summary_of, seen, before)
    read = table_of(BODIES, BODY_COLUMNS, READINGS, bodies.summary_of, seen, before)
    normalised = table_of(VALUES, VALUE_COLUMNS, COMPARISONS, values.summary_of, seen, before)
    return "\n\n".join([visits, *details, read, normalised, disagreements()]) + "\n"


def table_of(
    head: str,
    columns: str,
    names: Sequence[Name],
    summary_of: Callable[[Any], str],
    seen: Mapping[Name, Any],
    before: str,
) -> str:
    """Return a table with a row for each of these witnesses, below its heading and text."""
    lines = [columns, "|---" * columns.count(" | ") + "|---|"]
    for place, name in enumerate(names):
        lines.append(summary_of(seen[name]) if name in seen else rows_of(before, head)[place])
    return head + "\n".join(lines)


def disagreements() -> str:
    """Return the list of what stays different."""
    texts = []
    for one in DISAGREEMENTS:
        texts.append(f"{one.client}, *{one.step}*: {one.reason}")
    for unread in UNREAD:
        texts.append(f"{unread.client}, `{unread.member}`: {unread.reason}")
    texts.append(f"What only we drop, by {', '.join(TAKES_JUNK.clients)}: {TAKES_JUNK.reason}")
    for difference in DIFFERENCES:
        clients = ", ".join(difference.clients)
        parameters = ", ".join(f"`{name}`" for name in difference.parameters)
        spelled = ", ".join(junk.code(value) for value in difference.values)
        texts.append(f"{parameters} {spelled}, by {clients}: {difference.reason}")

    lines = ["## Disagreements that stay", ""]
    for text in texts:
        lines += wrap(f"* {text}", 120, subsequent_indent="  ", break_on_hyphens=False)
    return "\n".join(lines)


def rows_of(text: str, head: str = HEAD) -> list[str]:
    """Return the rows of the table below a heading."""
    heading = head.splitlines()[0]
    part = text[text.index(heading) + len(heading) :].split("\n## ", 1)[0]
    rows = [line for line in part.splitlines() if line.startswith("|")]
    return rows[2:]


def sections_of(text: str) -> list[str]:
    """Return what the page says of each client that visits."""
    sections = []
    for section in text.split("\n## ")[1:]:
        sections.append("## " + section.rstrip("\n"))
    return sections[: len(VISITS)]


def main() -> None:
    """Write the page."""
    seen = {}
    for name in (*VISITS, *READINGS, *COMPARISONS):
        try:
            seen[name] = witness_of(*name)
        except pytest.skip.Exception as skipped:
            print(f"{name[0]}: {skipped}", file=sys.stderr)
    before = PAGE.read_text("utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(seen, before), "utf-8")


if __name__ == "__main__":
    main()
