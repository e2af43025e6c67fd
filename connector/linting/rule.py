"""What a lint rule is, and what rules share.

A rule is a generator of problems with the decorator `@rule`. Its docstring says what it finds, why
that is bad and how to fix it; `docs/lint.md` has examples.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, TypeVar

from connector.definitions.derive import twin_of
from connector.definitions.model import Action, Destination, Field, Identifier
from connector.errors import Problem
from connector.linting.location import Location

#: When a rule runs: on the documents of a destination, on its exports, then on what its examples
#: become.
Stage = Literal["documents", "exports", "examples"]

#: What a rule yields: problems without a code.
Problems = Iterator[Problem]

Check = TypeVar("Check", bound=Callable[[Any], Problems])


class Rule(NamedTuple):
    """A rule that finds one kind of mistake, under a code that never changes.

    `check` takes a Destination in the stage "documents", one of its Exports in the stage "exports",
    its ExampleRun in the stage "examples".
    `blocks`: with one of its problems the examples cannot be run, or would only repeat it.
    """

    code: str
    stage: Stage
    blocks: bool
    check: Callable[[Any], Problems]


#: The rules of all modules in `linting.rules` that are imported.
RULES: list[Rule] = []


def rule(code: str, *, stage: Stage, blocks: bool = False) -> Callable[[Check], Check]:
    """Register a generator as a rule; the problems that it yields get the rule's code."""

    def register(check: Check) -> Check:
        RULES.append(Rule(code, stage, blocks, check))
        return check

    return register


def locations(destination: Destination) -> list[Location]:
    """Return the top of every document: the destination's, those of the actions and the calls."""
    tops = [Location(destination.document)]
    for action in destination.actions.values():
        tops.append(Location(action.document))
    for call in destination.calls.values():
        tops.append(Location(call.document))
    return tops


def forms(destination: Destination) -> list[Mapping[str, Field]]:
    """Return the fields of every document, in the order of `locations`."""
    fields = [destination.settings]
    for action in destination.actions.values():
        fields.append(action.parameters)
    for call in destination.calls.values():
        fields.append(call.parameters)
    return fields


def each_identifier(
    destination: Destination,
) -> Iterator[tuple[Action, Identifier, Location]]:
    """Yield every identifier of every action, with the location of its keyword."""
    for action in destination.actions.values():
        for identifier in action.identifiers:
            keyword = parameter_location(action, identifier.parameter) / "identifier"
            yield action, identifier, keyword


def parameter_location(action: Action, name: str) -> Location:
    """Return the location of a parameter; of a twin, that of the parameter which has it."""
    properties = Location(action.document) / "properties"
    written: dict[str, Any] = properties.content
    if name not in written:
        for other, field in written.items():
            if twin_of(field.get("identifier", {})) == name:
                return properties / other
    return properties / name


def template_params(action: Action) -> list[str]:
    """Return the members of `params` in templates, the name of a split's part among them."""
    names = list(action.shared_parameters)
    if action.split and action.split.name:
        names.append(action.split.name)
    return names


def make_present(name: str) -> str:
    """Return the hint for a setting or parameter that may be absent."""
    return f"add '{name}' to 'required', or give it a default"


def split_hint(error: Exception) -> tuple[str, str]:
    """Return the message and the hint in the text of an error."""
    message, _, hint = str(error).partition("; ")
    return message, hint
