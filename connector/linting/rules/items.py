"""The rule of lint on identifiers that an item template leaves out.

They would not be sent, and nothing would report it. Items are rendered as records are, with made-up
values in place of identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import combinations, product
from typing import Any

from connector.definitions.model import Action
from connector.linting.examples import ExampleRun
from connector.linting.rule import Problems, rule
from connector.model import Record
from connector.pipeline.item_renderer import item_renderer, plain_wires
from connector.pipeline.presence import compile_presence, names_with_value
from connector.templating.template import RenderError


@rule("D243", stage="examples")
def lost_identifier(run: ExampleRun) -> Problems:
    """Find an identifier that the item does not contain.

    It would not be sent, and not be counted as dropped. Write the whole list.
    """
    for action in run.destination.actions.values():
        for message, hint in losses(run, action):
            yield run.template_problem(action, "item", message, hint)


def losses(run: ExampleRun, action: Action) -> Iterator[tuple[str, str]]:
    """Yield message and hint for each identifier that some item omits, once."""
    records = run.records(action)
    if not records or not action.item:
        return
    probe = _Probe(run, action, records[0])
    reported: set[str] = set()
    for wires in _combinations(action):
        lost = probe.lost_wire(wires)
        if lost and reported.isdisjoint(wires):
            yield _explain(action, lost, wires)
            reported.add(lost)

    for wires in _together(action):
        lost = probe.lost_wire(wires)
        if lost:
            message = f"the item omits '{lost}', although it identifies a person with others"
            yield message, f"write {{{{ {_member(lost)} | first }}}}"
            reported.add(lost)

    for companion in probe.lost_companions():
        if companion not in reported:
            message = f"the item omits the companion '{companion}': it would be lost silently"
            yield message, f"write {{{{ {_member(companion)} }}}}, or remove the parameter"


def _combinations(action: Action) -> Iterator[tuple[str, ...]]:
    """Yield wire keys of a record's values: one value, two of one key, and two of each pair."""
    naming = [wire for wire in action.wires if wire not in action.companions]
    for wire in naming:
        yield (wire,)

    split = action.split
    if split and split.identifiers == 1:
        return
    if split is None or split.values != 1:
        for wire in naming:
            yield wire, wire
    for pair in combinations(naming, 2):
        if _part_of(action, pair) is not None:
            yield pair


def _together(action: Action) -> Iterator[tuple[str, ...]]:
    """Yield the wire keys of companions that identify a person together."""
    wire_of = {one.parameter: one.wire for one in action.identifiers}
    for names in action.together.values():
        yield tuple(wire_of[name] for name in names)


def _part_of(action: Action, wires: Sequence[str]) -> str | None:
    """Return the part of a split that has all of these wire keys.

    Return "" when there are no parts, None when no part has them all.
    """
    if action.split is None or not action.split.parts:
        return ""
    for name, wires_of_part in action.split.parts.items():
        if set(wires).issubset(wires_of_part):
            return name
    return None


class _Probe:
    """Renders items of one action, with made-up identifiers and the parameters of an example."""

    def __init__(self, run: ExampleRun, action: Action, record: Record) -> None:
        self._action = action
        self._params = record.target.params
        self._plain = plain_wires(action)
        self._check_presence = compile_presence(action)
        self._renderer = item_renderer(action, run.destination.templates, run.settings)

    def lost_wire(self, wires: tuple[str, ...]) -> str:
        """Return the wire key of a value that the item omits, "" when it omits none."""
        lost = self._lost_wires(wires) if self._is_allowed(wires) else []
        return lost[0] if lost else ""

    def _lost_wires(self, wires: tuple[str, ...]) -> list[str]:
        values = tuple(map(self._made_up, wires, range(len(wires))))
        try:
            render = self._renderer.shape(wires, self._params_of(wires))
            [item] = render([values])
        except RenderError:
            # such a record is rejected, which is reported
            return []

        text = item.decode().lower()
        lost = []
        for wire, value in zip(wires, values, strict=True):
            if value not in text:
                lost.append(wire)
        return lost

    def lost_companions(self) -> list[str]:
        """Return the companions that the item omits whatever identifier they accompany.

        Some are written only together, as the parts of a postal address: all of them are there.
        """
        action = self._action
        tried: set[str] = set()
        kept: set[str] = set()
        alone = [(wire,) for wire in action.wires if wire not in action.companions]
        for naming in (*alone, *_together(action)):
            beside = []
            for companion in action.companions.difference(naming):
                if _part_of(action, (*naming, companion)) is not None:
                    beside.append(companion)
            wires = (*naming, *beside)
            if self._is_allowed(wires):
                tried.update(beside)
                kept.update(set(beside).difference(self._lost_wires(wires)))
        return sorted(tried - kept)

    def _made_up(self, wire: str, number: int) -> str:
        if wire in self._plain:
            # digits, because a template may turn the text into a number
            return f"86753{number:03}"
        return sha256(f"{wire} {number}".encode()).hexdigest()

    def _params_of(self, wires: tuple[str, ...]) -> Mapping[str, Any]:
        split = self._action.split
        if split is None or not split.name:
            return self._params
        return {**self._params, split.name: _part_of(self._action, wires)}

    def _is_allowed(self, wires: Sequence[str]) -> bool:
        """Return whether a person may have these identifiers and no other."""
        if self._check_presence is None:
            return True
        parameters: dict[str, list[str]] = {wire: [] for wire in wires}
        for identifier in self._action.identifiers:
            if identifier.wire in parameters:
                parameters[identifier.wire].append(identifier.parameter)

        present = names_with_value(self._params)
        missing = set()
        for names in product(*parameters.values()):
            missing.add(self._check_presence((*present, *names)))
        return "" in missing


def _explain(action: Action, lost: str, wires: tuple[str, ...]) -> tuple[str, str]:
    """Return message and hint for a value that an item of these wire keys omits."""
    split = action.split
    if split and 1 in (split.values, split.identifiers):
        hint = f"write {{{{ {_member(lost)} | first }}}}"
    else:
        hint = f"write the whole list: {{{{ {_member(lost)} }}}}"
    if len(wires) == 1:
        return f"the item omits '{lost}' when it is the only identifier: nobody is named", hint

    if len(set(wires)) == 1:
        message = f"the item omits one of two values of '{lost}': it would be lost silently"
        limit = "values"
    else:
        other = wires[0] if wires[1] == lost else wires[1]
        message = f"the item omits '{lost}' when '{other}' is present: it would be lost silently"
        limit = "identifiers"
    return message, f'{hint}; or let each value be an item of its own: "split": {{"{limit}": 1}}'


def _member(wire: str) -> str:
    return f"ids.{wire}" if wire.isidentifier() else f"ids['{wire}']"
