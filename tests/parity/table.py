"""docs/x-parity.md: every rule of four documents, the command that shows it, the test that proves it.

`python -m tests.parity.table > docs/x-parity.md` writes the page again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.parity.commands import commands
from tests.parity.rules import STATES, Document, Rule, documents

HEAD = """\
# What is done for X

Four documents say what a connector to X has to do: X's own pages, and how three systems deliver to X. Each of their rules
stands here in our words, with the command that shows it and the tests that prove it. A test runs the commands in their
order, looks for what the tables say they print, and makes this page (`make parity`), so it is what happens.

The numbers are for reference: `000` is Tealium's guide, `001` X's pages, `002` Lytics' export, `003` Adobe's destination.

* **works**: it is done.
* **different**: it is done in another way, and the reason is said.
* **withdrawn**: the vendor has taken it back, and what takes its place is said.
* **not yet**: it is not done, and what is missing is said.
* **not ours**: a person, X or the platform does it, or nothing is asked for.

"""
COMMANDS = """\
## The commands

They are run in this order, in a copy of [tests/parity/files](../tests/parity/files), with the secrets of the connections
in the environment. Those that speak to the account are led to one sandbox (`--set base_url=…`), which is X's stand-in;
that sandbox's page is where `login` signs in. The service goes on while the others run, and is posted the people of
`people.ndjson`. Where the exit status is not 0, it is named.

"""
_LONGEST = 72


def page() -> str:
    """Return the page."""
    parts = [HEAD + "\n".join(summary())]
    for document in documents():
        lines = [f"## {document.title}", "", document.intro]
        for theme in document.themes:
            lines += ["", f"### {theme.title}", "", *table(theme.rules)]
        parts.append("\n".join(lines))
    parts.append(COMMANDS + "\n".join(command_lines()))
    return "\n\n".join(parts) + "\n"


def summary() -> Iterator[str]:
    """Yield a table of how many rules of each document are in each state."""
    yield "| document | rules | " + " | ".join(STATES.values()) + " |"
    yield "|---|---" + "|---" * len(STATES) + "|"
    together: Counter[str] = Counter()
    for document in documents():
        found = states_of(document)
        together.update(found)
        yield _counts(document.title, found)
    yield _counts("all", together)


def states_of(document: Document) -> Counter[str]:
    """Return how many rules of a document are in each state."""
    found: Counter[str] = Counter()
    for rule in document.rules():
        found[rule.state] += len(rule.ids)
    return found


def _counts(title: str, found: Counter[str]) -> str:
    cells = [title, str(found.total())]
    for state in STATES:
        cells.append(str(found[state]))
    return "| " + " | ".join(cells) + " |"


def table(rules: list[Rule]) -> Iterator[str]:
    """Yield the table of some rules."""
    yield "| no. | rule | | command | prints | proved by |"
    yield "|---|---|---|---|---|---|"
    for rule in rules:
        anchors = [f'<a id="{own}"></a>{own}' for own in rule.ids]
        shown = [code(text) for text in rule.shows]
        cells = [", ".join(anchors), words(rule), STATES[rule.state], command(rule.command)]
        cells += ["<br>".join(shown), "<br>".join(test(node) for node in rule.tests)]
        yield "| " + " | ".join(cells) + " |"


def words(rule: Rule) -> str:
    """Return a rule with what has to be said beside it."""
    said = [rule.rule]
    if rule.replaced:
        said.append(f"*{rule.replaced.strip()}*")
    if rule.note:
        said.append(f"*{rule.note.strip()}*")
    return escaped("<br>".join(said))


def command(own: str) -> str:
    """Return a command for a cell; a long one is cut, and whole further down."""
    if not own:
        return ""
    line = commands()[own].run
    if len(line) > _LONGEST:
        line = line[:_LONGEST].rpartition(" ")[0] + " …"
    return code(line)


def test(node: str) -> str:
    """Return a test for a cell: a case by its name, any other by that of its function."""
    path, _, name = node.partition("::")
    if path.endswith(".case.yaml"):
        file = path.rpartition("/")[2].removesuffix(".case.yaml")
        return escaped(f"[case {file}: {name}](../{path})")
    return escaped(f"[`{name}`](../{path})")


def command_lines() -> Iterator[str]:
    """Yield all commands."""
    yield "```"
    for one in commands().values():
        yield one.run + (f"    # {one.status}" if one.status else "")
    yield "```"


def code(text: str) -> str:
    """Return a text as code for a cell."""
    fence = "`` " if "`" in text else "`"
    return escaped(fence + text + fence[::-1])


def escaped(text: str) -> str:
    """Return a text that ends no cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    print(page(), end="")
