"""Identifier rules for people: the steps in words, and what the examples become."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from connector.definitions.model import Action, Identifier
from connector.pipeline.columns import Cell, column
from connector.pipeline.dropped import REASONS, Dropped


def identifier_rules(action: Action) -> list[dict[str, Any]]:
    """Return what is done to each identifier of an action, with each example and what it becomes."""
    return [
        {
            "parameter": identifier.parameter,
            "wire": identifier.wire,
            "steps": steps(identifier),
            "hash": identifier.hash,
            "prehashed": {"flag": identifier.flag} if identifier.flag else identifier.prehashed,
            "alone": identifier.alone,
            "examples": list(
                _examples(identifier, action.parameters[identifier.parameter].examples)
            ),
        }
        for identifier in action.identifiers
    ]


def steps(identifier: Identifier) -> list[str]:
    """Return the normalising steps, each with its argument."""
    return [f"{name} {_argument(argument)}".strip() for name, argument in identifier.normalize]


def _argument(argument: Any) -> str:
    if isinstance(argument, list | tuple):
        return ", ".join(map(str, argument))
    return "" if argument is True else str(argument)


def _examples(identifier: Identifier, examples: Any) -> Iterator[dict[str, Any]]:
    for example in examples:
        for value in example if isinstance(example, list) else [example]:
            cell = _identified(identifier, value)
            if isinstance(cell, Dropped):
                yield {"in": value, "out": None, "dropped": REASONS[cell.reason]}
            elif cell is not None:
                yield {"in": value, "out": cell}


def _identified(identifier: Identifier, value: Any) -> Cell:
    cell = column(identifier, prehashed=identifier.prehashed)([value])[0]
    if identifier.flag and isinstance(cell, Dropped):
        # an example may show the value that goes with the flag
        given = column(identifier, prehashed=True)([value])[0]
        return cell if isinstance(given, Dropped) else given
    return cell


def rule_in_words(identifier: Identifier) -> str:
    """Return what is done to a value, in order."""
    done = steps(identifier)
    if identifier.hash == "none":
        done.append("not hashed")
    elif identifier.prehashed is not True:
        done.append(identifier.hash)
    return "; ".join([" → ".join(done), *_notes(identifier)])


def _notes(identifier: Identifier) -> Iterator[str]:
    if identifier.prehashed is True and identifier.hash != "none":
        yield f"has to be a {identifier.hash} digest already"
    if identifier.flag:
        yield f"with {identifier.flag} it has to be a digest already"
    if identifier.prehashed == "auto":
        yield "a digest stays as it is"
    if not identifier.alone:
        yield "not enough alone"


def notes(identifiers: tuple[Identifier, ...]) -> list[str]:
    """Return what is to be noted of some identifiers, each note once with all whom it concerns."""
    found: dict[str, list[str]] = {}
    for identifier in identifiers:
        for note in _notes(identifier):
            found.setdefault(note, []).append(identifier.parameter)
    return [f"{', '.join(names)}: {note}" for note, names in found.items()]
