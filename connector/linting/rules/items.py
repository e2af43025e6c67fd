"""The rule of lint on what an item template leaves out: who is not written would not be sent, and nothing would say so.

Items are rendered as records are, with made-up values in place of identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import combinations
from typing import Any

from connector.definitions.model import Action
from connector.errors import Problem
from connector.linting.examples import Bench, BenchRule
from connector.model import Record
from connector.pipeline.presence import compile_presence
from connector.templating.items import ItemRenderer
from connector.templating.template import RenderError, read_template


def lost_identifier(bench: Bench) -> Iterator[Problem]:
    """Find an identifier that the item does not hold: it would not be sent, nor be counted. Write the whole list."""
    for action in bench.destination.actions.values():
        for message, hint in losses(bench, action):
            yield bench.in_template(action, "item", message, hint)


def losses(bench: Bench, action: Action) -> Iterator[tuple[str, str]]:
    """Yield message and hint for each identifier that some item does not hold, once."""
    good = bench.good(action)
    if good is None or not action.item:
        return
    items = _Items(bench, action, good)
    seen: set[str] = set()
    for wires in _shapes(action):
        lost = items.lost(wires)
        if lost and not seen.intersection(wires):
            yield _said(lost, wires)
            seen.add(lost)


def _shapes(action: Action) -> Iterator[tuple[str, ...]]:
    """Yield wire keys that a record may consist of: each alone, each with two values, each two together."""
    naming = [wire for wire in action.wires if wire not in action.companions]
    split = action.split
    most = min((split and split.identifiers) or _SEVERAL, _SEVERAL)
    yield from ((wire,) for wire in naming)
    if most < _SEVERAL:
        return
    if not split or split.values != 1:
        yield from ((wire, wire) for wire in naming)
    yield from (
        pair
        for pair in combinations(naming, _SEVERAL)
        if not split or _part(action, *pair) is not None
    )


_SEVERAL = 2


def _part(action: Action, *wires: str) -> str | None:
    """Return the name of the part of a split that all of these stand in: "" without parts, None when there is none."""
    parts = action.split.parts if action.split else {}
    return (
        next((name for name, known in parts.items() if set(wires) <= set(known)), None)
        if parts
        else ""
    )


class _Items:
    """The items of one action, with the parameters of a good example."""

    def __init__(self, bench: Bench, action: Action, good: Record) -> None:
        self._action = action
        self._params = good.target.params
        template = read_template(bench.destination.templates, action.item, "", ItemRenderer.NAMES)
        self._plain = {
            identifier.wire for identifier in action.identifiers if identifier.hash == "none"
        }
        shared = {"operation": action.operation, "settings": bench.settings}
        self._renderer = ItemRenderer(template, action.wires, self._plain, shared)

    def lost(self, wires: tuple[str, ...]) -> str:
        """Return the wire key of a value that the item does not hold; "" also when there is no such item."""
        values = tuple(self._value(wire, number) for number, wire in enumerate(wires))
        if not self._allowed(wires):
            return ""
        try:
            [item] = self._renderer.shape(wires, self._params_of(wires))([values])
        except RenderError:
            return ""  # such a record is rejected, and that is told
        text = item.decode().lower()
        return next(
            (wire for wire, value in zip(wires, values, strict=True) if value not in text), ""
        )

    def _value(self, wire: str, number: int) -> str:
        """Return a made-up value. Digits are text, and what makes a number of a text can take them."""
        return (
            f"86753{number:03}"
            if wire in self._plain
            else sha256(f"{wire} {number}".encode()).hexdigest()
        )

    def _params_of(self, wires: tuple[str, ...]) -> Mapping[str, Any]:
        split = self._action.split
        return (
            {**self._params, split.name: _part(self._action, *wires)}
            if split and split.name
            else self._params
        )

    def _allowed(self, wires: Sequence[str]) -> bool:
        """Whether a person may have these and nothing else, by whichever parameters."""
        given = [name for name, value in self._params.items() if value is not None]
        people = [
            {
                identifier.parameter
                for identifier in self._action.identifiers
                if identifier.wire == wire
            }
            for wire in dict.fromkeys(wires)
        ]
        return any(_may_be(self._action, [*given, *names]) for names in _choices(people))


def _choices(people: Sequence[set[str]]) -> Iterator[tuple[str, ...]]:
    """Yield one name of each set, in every way."""
    if not people:
        yield ()
        return
    for name in sorted(people[0]):
        yield from ((name, *rest) for rest in _choices(people[1:]))


def _may_be(action: Action, names: Sequence[str]) -> bool:
    """Whether a record may have exactly these parameters."""
    check = compile_presence(action)
    return check is None or not check(tuple(names))


def _said(lost: str, wires: tuple[str, ...]) -> tuple[str, str]:
    """Return message and hint for a value that an item of these wire keys lacks."""
    member = f"ids.{lost}" if lost.isidentifier() else f"ids['{lost}']"
    hint = f"write the whole list: {{{{ {member} }}}}"
    if len(wires) == 1:
        return (
            f"the item does not hold '{lost}' when there is nothing else: nobody would be named",
            hint,
        )
    if len(set(wires)) == 1:
        message = f"the item does not hold every value of '{lost}': one of two would be lost without a word"
        return (
            message,
            f'{hint}; or let further values be items of their own: "split": {{"values": 1}}',
        )
    other = next(wire for wire in wires if wire != lost)
    message = f"the item does not hold '{lost}' when there is '{other}' too: it would be lost without a word"
    return (
        message,
        f'{hint}; or let each value be an item of its own: "split": {{"identifiers": 1}}',
    )


#: Code and rule.
RULES: list[tuple[str, BenchRule]] = [("D243", lost_identifier)]
