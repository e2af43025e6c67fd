"""The rules of lint on parameters and settings: identifiers, titles, names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from connector.definitions.derive import twin_of
from connector.definitions.model import Action, Destination, Field, Identifier
from connector.errors import Problem, nearest
from connector.linting.location import Location, of_action
from connector.linting.rule import (
    Problems,
    each_identifier,
    forms,
    locations,
    parameter_location,
    rule,
)
from connector.pipeline.dropped import DroppedError
from connector.pipeline.normalise import normaliser

# Values on which steps in a wrong order show.
_PROBES = (
    " Ann.B@Example.com\t",
    " +1 202-555-0123 ",
    "+12025550123",
    " @@AdsAPI ",
    "@ Ads",
    " 0042 ",
    "AB-cd-09",
)


@rule("D201", stage="documents", blocks=True)
def flag(destination: Destination) -> Problems:
    """Find a flag that is not a boolean parameter.

    Nothing could say that the values are digests already. Name such a parameter, or add one.
    """
    for action, identifier, keyword in each_identifier(destination):
        name = identifier.flag
        booleans = []
        for parameter in action.shared_parameters:
            if action.parameters[parameter].types == ("boolean",):
                booleans.append(parameter)

        if name and name not in booleans:
            location = keyword / "prehashed" / "flag"
            yield location.problem(
                f"'{name}' is not a boolean parameter",
                nearest(name, booleans),
            )


@rule("D246", stage="documents", blocks=True)
def taken_twin(destination: Destination) -> Problems:
    """Find a twin whose name another parameter has.

    One of the two would be lost. Give the twin a name of its own, or remove the parameter.
    """
    for action in destination.actions.values():
        properties = Location(action.document) / "properties"
        taken = set(properties.content)
        for name, field in properties.content.items():
            twin = twin_of(field.get("identifier", {}))
            if twin in taken:
                yield (properties / name / "identifier" / "prehashed" / "twin").problem(
                    f"'{twin}' is already a parameter",
                    "give the twin another name, or remove that parameter",
                )
            elif twin:
                taken.add(twin)


@rule("D202", stage="documents", blocks=True)
def no_identifier(destination: Destination) -> Problems:
    """Find an action without a parameter that identifies a person by itself.

    Every record would be rejected. Mark a parameter with the keyword `identifier`.
    """
    for action in destination.actions.values():
        if action.naming_wires:
            continue
        message = "no parameter identifies a person"
        hint = "add the keyword 'identifier' to a parameter"
        if action.identifiers:
            message += " by itself"
            hint += ', without "alone": false'
        location = Location(action.document) / "properties"
        yield location.problem(message, hint)


@rule("D206", stage="documents")
def different_treatment(destination: Destination) -> Problems:
    """Find parameters of one path and wire key that are hashed or normalised differently.

    Who was added by one would not be found by the other. Treat them alike, or give them different
    wire keys.
    """
    first: dict[tuple[str, ...], tuple[str, Any]] = {}
    for action, identifier, location in each_identifier(destination):
        wire = identifier.wire
        name = f"{action.id}.{identifier.parameter}"

        for keyword, value in _treatment(action, identifier).items():
            key = (action.path, wire, keyword)
            other, other_value = first.setdefault(key, (name, value))
            if value != other_value:
                text = json.dumps(other_value)
                yield (location / keyword).problem(
                    f"differs from {other}, which also sends '{wire}': {text}",
                    "treat both alike, or one person becomes two values",
                )
                break


def _treatment(action: Action, identifier: Identifier) -> dict[str, Any]:
    """Return the keywords that decide which value a person becomes, as they are written."""
    treatment: dict[str, Any] = {"hash": identifier.hash}
    if identifier.prehashed is not True:
        field = action.parameters[identifier.parameter]
        steps = field.schema["identifier"].get("normalize", [])
        treatment["normalize"] = steps
    return treatment


@rule("D211", stage="documents")
def unclear_title(destination: Destination) -> Problems:
    """Find blank titles and descriptions, and parameters with the same title.

    Forms and guides show these texts, and nothing else tells fields apart. Write what the value is.
    """
    for top, fields in zip(locations(destination), forms(destination), strict=True):
        yield from unclear_titles(top, fields)


def unclear_titles(top: Location, fields: Mapping[str, Field]) -> Problems:
    """Yield blank titles and descriptions of a document's fields, and titles of several."""
    by_title: dict[str, str] = {}
    for name, field in fields.items():
        location = top / "properties" / name
        for member in ("title", "description"):
            if not field.schema[member].strip():
                hint = "write what the value is, for the person who fills in the form"
                yield (location / member).problem("is blank", hint)

        other = by_title.setdefault(field.title, name)
        if other != name and field.title.strip():
            yield (location / "title").problem(
                f"same title as '{other}'",
                "give them titles that tell them apart",
            )


@rule("D222", stage="documents", blocks=True)
def unknown_property(destination: Destination) -> Problems:
    """Find a required property that does not exist.

    No record could have it. Correct the name, or add the property.
    """
    for top, known in zip(locations(destination), forms(destination), strict=True):
        yield from unknown_properties(top, known)


def unknown_properties(top: Location, known: Mapping[str, Field]) -> Problems:
    """Yield the required properties of a document that do not exist."""
    for location, name in _required_names(top):
        if name not in known:
            yield location.problem(
                f"unknown property '{name}'",
                nearest(name, known),
            )


def _required_names(top: Location) -> Iterator[tuple[Location, str]]:
    """Yield every property that a schema asks for, with the location."""
    schema = top.document.content
    lists = [(top / "required", schema.get("required", ()))]
    for index, part in enumerate(schema.get("oneOf", ())):
        lists.append((top / "oneOf" / index / "required", part["required"]))

    for location, names in lists:
        for index, name in enumerate(names):
            yield location / index, name


@rule("D255", stage="documents", blocks=True)
def unknown_preference(destination: Destination) -> Problems:
    """Find `prefer` that does not name a setting whose values are parameters of `oneOf`.

    Nothing would be preferred. Add such a setting, or correct the name.
    """
    for action in destination.actions.values():
        names = set[str]()
        for alternative in action.schema.get("oneOf", ()):
            names.update(alternative["required"])
        choices = []
        for setting in destination.settings.values():
            if setting.allowed and names.issuperset(setting.allowed):
                choices.append(setting.name)
        if action.prefer and action.prefer not in choices:
            yield (of_action(action) / "prefer").problem(
                f"'{action.prefer}' is not a setting whose 'enum' has parameters of 'oneOf' only",
                nearest(action.prefer, choices),
            )


@rule("D256", stage="documents", blocks=True)
def together(destination: Destination) -> Problems:
    """Find `together` with a parameter that is no companion, or under a name that is taken.

    It would identify a person by itself, or could not be told from another identifier. Mark the
    parameter with "alone": false; take another name.
    """
    for action in destination.actions.values():
        companions = []
        for identifier in action.identifiers:
            if not identifier.alone:
                companions.append(identifier.parameter)
        for wire, names in action.together.items():
            location = of_action(action) / "together" / wire
            if wire in action.wires:
                yield location.problem(
                    f"'{wire}' is the wire key of an identifier", "take another name"
                )
            for index, name in enumerate(names):
                if name not in companions:
                    yield (location / index).problem(
                        f"'{name}' is no companion, an identifier with \"alone\": false",
                        nearest(name, companions),
                    )


@rule("D225", stage="documents")
def keyword_without_effect(destination: Destination) -> Problems:
    """Find keywords on values that are digests already, or are never hashed.

    They have no effect, and mislead whoever reads them. Remove them.
    """
    for _, identifier, keyword in each_identifier(destination):
        yield from without_effect(identifier, keyword)


def without_effect(identifier: Identifier, keyword: Location) -> Problems:
    """Yield the keywords of an identifier that have no effect."""
    is_hashed = identifier.hash != "none"
    if not is_hashed and (identifier.prehashed or identifier.flag):
        yield (keyword / "prehashed").problem(
            'has no effect: with "hash": "none" the value is never hashed',
            "remove 'prehashed', or hash the value",
        )
    elif identifier.prehashed is True:
        for index, (step, _) in enumerate(identifier.normalize):
            if step in ("trim", "lowercase"):
                continue
            location = keyword / "normalize" / index
            yield location.problem(
                f"'{step}' has no effect: the value must already be a digest",
                'allowed with "prehashed": true: trim, lowercase',
            )


@rule("D226", stage="documents")
def unstable_steps(destination: Destination) -> Problems:
    """Find steps that change a value again when they are applied a second time.

    One person becomes two values. Put the steps in another order.
    """
    for _, identifier, keyword in each_identifier(destination):
        yield from unstable(identifier, keyword)


def unstable(identifier: Identifier, keyword: Location) -> Problems:
    """Yield a problem if the steps of an identifier change a value again."""
    if identifier.prehashed is True:
        return
    for value in _probes(identifier):
        if _changes_again(identifier, value):
            yield (keyword / "normalize").problem(
                f"applied twice, the steps change a value again, for example {value!r}",
                "usually 'trim', then 'lowercase' or 'uppercase', have to come first",
            )
            break


def _probes(identifier: Identifier) -> Iterator[str]:
    yield from _PROBES
    for step, argument in identifier.normalize:
        if step == "translate":
            yield from argument
        if step.startswith("drop_email"):
            domain = "example.com"
            if isinstance(argument, list):
                domain = argument[0]
            yield f" Ann.B+tag @{domain.title()} "


def _changes_again(identifier: Identifier, value: str) -> bool:
    try:
        normalise = normaliser(identifier)
        once = normalise(value)
        return normalise(once) != once
    except (DroppedError, ValueError):
        # an invalid pattern is the business of another rule
        return False


@rule("D229", stage="documents", blocks=True)
def ambiguous_name(destination: Destination) -> Problems:
    """Find a parameter with the name of a setting.

    `{name}` in a path could mean either. Rename one of them.
    """
    for action in destination.actions.values():
        for name in action.parameters:
            if name in destination.settings:
                yield _ambiguous(parameter_location(action, name), name)
    for call in destination.calls.values():
        for name in call.parameters:
            if name in destination.settings:
                yield _ambiguous(Location(call.document) / "properties" / name, name)


def _ambiguous(location: Location, name: str) -> Problem:
    return location.problem(
        f"'{name}' is also a setting",
        f"rename one of them: {{{name}}} in a path could mean either",
    )
