"""Identifier rules for people: the steps in words, and what the examples become."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from connector.definitions.model import Identifier
from connector.pipeline.columns import Cell, Form, column
from connector.pipeline.dropped import REASONS, Dropped
from connector.pipeline.identifiers import HASHES, KEYED, Hash, keyed_hash

# So many translated words stand for all.
_MOST_WORDS = 3


#: With these, examples are hashed: a key is nobody's but the customer's.
EXAMPLE_HASHES: Mapping[str, Hash] = {**HASHES, KEYED: keyed_hash(bytes(32))}

#: What is said where such a digest is shown.
EXAMPLE_KEY = f"{KEYED} is shown with a key of zeros"


def identifier_rules(form: Form) -> list[dict[str, Any]]:
    """Return what is done to each identifier, with examples and what they become.

    They are those of an action or an export.
    """
    rules = []
    for identifier in form.identifiers:
        examples = form.parameters[identifier.parameter].examples
        rule = {
            "parameter": identifier.parameter,
            "wire": identifier.wire,
            "steps": steps(identifier),
            "hash": identifier.hash,
            "prehashed": {"flag": identifier.flag} if identifier.flag else identifier.prehashed,
            "alone": identifier.alone,
            "examples": list(_examples(identifier, examples)),
        }
        rules.append(rule)
    return rules


def steps(identifier: Identifier) -> list[str]:
    """Return the normaliser steps, each with its argument."""
    words = []
    for name, argument in identifier.normalize:
        words.append(f"{name} {_argument_words(argument)}".strip())
    return words


def _argument_words(argument: Any) -> str:
    if isinstance(argument, dict):
        pairs = [f"{word} → {other}" for word, other in argument.items()]
        more = len(pairs) - _MOST_WORDS
        pairs = pairs[:_MOST_WORDS]
        return ", ".join([*pairs, f"{more} more"] if more > 0 else pairs)
    if isinstance(argument, list | tuple):
        return ", ".join(map(str, argument))
    return "" if argument is True else str(argument)


def _examples(identifier: Identifier, examples: Sequence[Any]) -> Iterator[dict[str, Any]]:
    for example in examples:
        values = example if isinstance(example, list) else [example]
        for value in values:
            cell = _cell_of(identifier, value)
            if isinstance(cell, Dropped):
                yield {"in": value, "out": None, "dropped": REASONS[cell.reason]}
            elif cell is not None:
                yield {"in": value, "out": cell}


def _cell_of(identifier: Identifier, value: Any) -> Cell:
    """Return the cell of an example, which may be a digest with its flag set."""
    of_values = column(identifier, prehashed=identifier.prehashed, hashes=EXAMPLE_HASHES)
    cell = of_values([value])[0]
    if not identifier.flag or not isinstance(cell, Dropped):
        return cell
    as_digest = column(identifier, prehashed=True)([value])[0]
    return cell if isinstance(as_digest, Dropped) else as_digest


def rule_in_words(identifier: Identifier) -> str:
    """Return what is done to a value, in order."""
    stages = steps(identifier)
    if identifier.hash == "none":
        stages.append("not hashed")
    elif identifier.prehashed is not True:
        stages.append(identifier.hash)
    return "; ".join([" → ".join(stages), *_notes(identifier)])


def _notes(identifier: Identifier) -> Iterator[str]:
    if identifier.prehashed is True and identifier.hash != "none":
        yield f"must already be a {identifier.hash} digest"
    if identifier.flag:
        yield f"with {identifier.flag} it must already be a digest"
    if identifier.prehashed == "auto":
        yield "a digest is sent unchanged"
    if identifier.hash == KEYED:
        yield EXAMPLE_KEY
    if not identifier.alone:
        yield "does not identify a person by itself"


def notes(identifiers: Sequence[Identifier]) -> list[str]:
    """Return what to note of some identifiers, each note once with all the parameters."""
    parameters_of: dict[str, list[str]] = {}
    for identifier in identifiers:
        for note in _notes(identifier):
            parameters_of.setdefault(note, []).append(identifier.parameter)
    return [f"{', '.join(names)}: {note}" for note, names in parameters_of.items()]
