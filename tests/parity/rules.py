"""The rules of the four documents that this project follows, as the YAML files beside this module have them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from tests.parity.commands import HERE

#: The four documents, in the order of the page.
NAMES = ("tealium", "x", "lytics", "adobe")
#: What can be said of a rule, and what the page calls it.
STATES = {
    "works": "works",
    "different": "different",
    "withdrawn": "withdrawn",
    "later": "not yet",
    "host": "not ours",
}


@dataclass(frozen=True)
class Rule:
    """A rule, or several that one command and the same tests show.

    `shows`: what the command prints, whatever its blanks and line breaks. `tests`: node ids of
    pytest. `note`: why it is different, what is missing, whose it is. `replaced`: what takes the
    place of what was withdrawn.
    """

    ids: list[str]
    rule: str
    state: str = "works"
    command: str = ""
    shows: list[str] = field(default_factory=list)
    tests: list[str] = field(default_factory=list)
    note: str = ""
    replaced: str = ""


@dataclass(frozen=True)
class Theme:
    """Rules about one thing."""

    title: str
    rules: list[Rule]


@dataclass(frozen=True)
class Document:
    """A document; its number is how the ids of its rules begin."""

    number: int
    title: str
    intro: str
    themes: list[Theme]

    def rules(self) -> Iterator[Rule]:
        """Yield its rules."""
        for theme in self.themes:
            yield from theme.rules


@cache
def documents() -> list[Document]:
    """Return the documents."""
    found = []
    for name in NAMES:
        read = yaml.safe_load((HERE / f"{name}.yaml").read_text("utf-8"))
        themes = []
        for theme in read["themes"]:
            themes.append(Theme(theme["title"], [_rule(one, theme) for one in theme["rules"]]))
        found.append(Document(read["document"], read["title"], read["intro"], themes))
    return found


def _rule(said: Mapping[str, Any], theme: Mapping[str, Any]) -> Rule:
    """Return a rule; what it does not say of command and tests, its theme does."""
    given = dict(said)
    if given.get("state") not in ("later", "host"):
        for name in ("command", "test"):
            given.setdefault(name, theme.get(name, ""))
    tests = _listed(given.pop("test", []))
    shows = _listed(given.pop("shows", []))
    return Rule(**given, tests=tests, shows=shows)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
