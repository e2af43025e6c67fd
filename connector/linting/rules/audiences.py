"""The rules of lint on `audiences` and `verify`: the calls that they name, and what these need."""

from __future__ import annotations

from collections.abc import Iterator

from connector.audiences.check import REQUIRE_NAMES
from connector.definitions.audiences import NAME, AudienceKind, Names
from connector.definitions.model import Call, Destination
from connector.errors import nearest
from connector.linting import syntax
from connector.linting.location import Location, of_destination
from connector.linting.rule import Problems, rule, split_hint
from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_expression

# Calls about one audience, which take its id.
_OF_ONE = ("get", "rename", "delete")
_NAMING = ("create", "rename")
_MAKE_OPTIONAL = "give it a default, or make it optional"
# Calls whose rows are read as audiences.
_READ = ("list", "get", "create")


def _kinds(destination: Destination) -> Iterator[tuple[Location, AudienceKind]]:
    for parameter, kind in destination.audiences.items():
        yield of_destination(destination) / "audiences" / parameter, kind


def _calls(
    destination: Destination, location: Location, kind: AudienceKind
) -> Iterator[tuple[Location, str, Call]]:
    """Yield the calls of a kind that there are, with what they do."""
    for does, name in kind.calls.items():
        if name in destination.calls:
            yield location / "calls" / does, does, destination.calls[name]


@rule("D252", stage="documents")
def unknown_in_audiences(destination: Destination) -> Problems:
    """Find a name in `audiences` or `verify` of a call or a parameter that does not exist.

    Audiences could not be listed or created. Correct the name.
    """
    parameters: set[str] = set()
    for action in destination.actions.values():
        parameters.update(action.shared_parameters)

    for location, kind in _kinds(destination):
        if kind.parameter not in parameters:
            message = f"no action has a parameter '{kind.parameter}'"
            yield location.problem(message, nearest(kind.parameter, parameters))
        for does, name in kind.calls.items():
            yield from _unknown_call(destination, location / "calls" / does, name)
        listing = destination.calls.get(kind.calls["list"])
        if listing is None:
            continue
        names = location / "names"
        if kind.names.search:
            yield from _unknown_parameter(listing, names / "search", kind.names.search)
        for parameter in kind.names.deleted or ():
            yield from _unknown_parameter(listing, names / "deleted" / parameter, parameter)

    for index, verification in enumerate(destination.verifications):
        location = of_destination(destination) / "verify" / index
        yield from _unknown_call(destination, location / "call", verification.call)
        call = destination.calls.get(verification.call)
        for parameter in verification.given if call else ():
            yield from _unknown_parameter(call, location / "with" / parameter, parameter)


def _unknown_call(destination: Destination, location: Location, name: str) -> Problems:
    if name not in destination.calls:
        yield location.problem(f"unknown call '{name}'", nearest(name, destination.calls))


def _unknown_parameter(call: Call | None, location: Location, name: str) -> Problems:
    if call is not None and name not in call.parameters:
        message = f"'{name}' is not a parameter of {call.id}"
        yield location.problem(message, nearest(name, call.parameters))


@rule("D253", stage="documents")
def unfit_call(destination: Destination) -> Problems:
    """Find a call of `audiences` or `verify` that cannot be used for what it is named for.

    It would be refused, or its rows would be no audiences. Give it the parameter or the field.
    """
    for location, kind in _kinds(destination):
        for place, does, call in _calls(destination, location, kind):
            wanted = _wanted(kind, does)
            for parameter in wanted:
                if parameter not in call.parameters:
                    hint = f"add it to {call.id}, or name another call"
                    yield place.problem(f"{call.id} has no parameter '{parameter}'", hint)
            if does != "create":
                yield from _never_given(place, call, wanted, _MAKE_OPTIONAL)
            if does in _READ:
                yield from _missing_fields(place, call, kind)
        if kind.only and kind.names != Names():
            message = "has no effect: with 'only' nobody names an audience"
            yield (location / "names").problem(message, "remove it")

    for index, verification in enumerate(destination.verifications):
        verified = destination.calls.get(verification.call)
        if verified is not None:
            place = of_destination(destination) / "verify" / index / "call"
            yield from _never_given(place, verified, list(verification.given), "give it in 'with'")


def _wanted(kind: AudienceKind, does: str) -> list[str]:
    """Return the parameters that a call is given."""
    wanted = [kind.parameter] if does in _OF_ONE else []
    if does in _NAMING and not kind.only:
        wanted.append(NAME)
    return wanted


def _never_given(place: Location, call: Call, given: list[str], hint: str) -> Problems:
    for field in call.parameters.values():
        if field.required and not field.has_default and field.name not in given:
            message = f"{call.id} requires '{field.name}', which nobody gives"
            yield place.problem(message, hint)


def _missing_fields(place: Location, call: Call, kind: AudienceKind) -> Problems:
    if not call.fields:
        return
    needed = ["id"]
    if not kind.only and place.pointer.endswith("/list"):
        needed.append(NAME)
    for name in needed:
        if name not in call.fields:
            message = f"the rows of {call.id} have no '{name}'"
            yield place.problem(message, f"add '{name}' to its 'fields'")


@rule("D254", stage="documents")
def verification_expression(destination: Destination) -> Problems:
    """Find an invalid expression in `verify`.

    What it asks for would never hold. Correct the expression.
    """
    for index, verification in enumerate(destination.verifications):
        source = verification.require
        if not source:
            continue
        location = of_destination(destination) / "verify" / index / "require"
        try:
            compile_expression(source, REQUIRE_NAMES)
        except ExpressionError as error:
            message, hint = split_hint(error)
            yield location.problem(message, hint)
            continue
        settings = {"settings": list(destination.settings)}
        for member in syntax.unknown_members(syntax.expression_tree(source), settings):
            message = f"unknown member '{member.name}' of '{member.root}'"
            yield location.problem(message, nearest(member.name, settings["settings"]))
