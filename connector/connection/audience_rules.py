"""The rules on audiences by name, and on routes that opt people out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.connection.audience_names import Hole, parts_of
from connector.connection.finding import Finding, Findings
from connector.connection.mapping import compile_audience_name, parse_path, starts_in_item
from connector.connection.model import (
    AllPaths,
    FieldMapping,
    FromExpression,
    FromPaths,
    NamedAudience,
    field_mapping,
    opt_out,
)
from connector.definitions.audiences import NAME, AudienceKind
from connector.definitions.fields import Identifier
from connector.definitions.model import Action, Destination
from connector.templating.data import ExpressionError
from connector.templating.reads import Read, members_read

Document = Mapping[str, Any]

_REMOVED_FROM_ALL = "an opt-out is about every audience, and never about one that is named"


def name_findings(
    pointer: str,
    parameter: str,
    source: NamedAudience,
    destination: Destination,
    settings: Mapping[str, Any],
    *,
    each: bool,
) -> Findings:
    """Find what is wrong with the `audience` at a pointer."""
    kind = destination.audiences.get(parameter)
    if kind is None:
        yield Finding("C240", pointer, *_no_kind(parameter, destination))
        return
    form = _form_problem(kind, source) or _create_problem(kind, source, destination)
    if form:
        message, _, hint = form.partition("; ")
        yield Finding("C241", pointer, message, hint)
        return
    if source.only:
        if source.limit is not None:
            yield _no_effect(pointer)
        return

    try:
        name = compile_audience_name(parameter, source, settings, each=each)
        shortest = name.shortest()
    except ExpressionError as error:
        message, _, hint = str(error).partition("; ")
        yield Finding("C212", pointer, message, hint)
        return
    if source.limit is not None and not name.varies:
        yield _no_effect(pointer)
    # What events say is checked when they say it.
    problem = kind.names.problem(shortest)
    if problem:
        message, _, hint = problem.partition("; ")
        yield Finding("C242", pointer, message, hint)


def _no_effect(pointer: str) -> Finding:
    message = "'limit' has no effect: no event is in the name, so there is one audience"
    return Finding("C241", pointer, message, "remove it")


def _no_kind(parameter: str, destination: Destination) -> tuple[str, str]:
    if destination.audiences:
        message = f"'{parameter}' is not the id of an audience"
        return message, f"these are: {', '.join(destination.audiences)}"
    message = f"nothing is known of the calls for audiences of {destination.title}"
    return message, "write {value: ID} with the audience's own id"


def _form_problem(kind: AudienceKind, source: NamedAudience) -> str:
    if kind.only and not source.only:
        return f"a {kind.title} has no name; write {{only: true}} for the account's only one"
    if source.only and not kind.only:
        return f"an account may have more than one {kind.title}; write a name"
    if "{{" in source.name and not source.create:
        return "a name with {{ }} may be a new one; write {create: NAME}, which creates it"
    return ""


def _create_problem(kind: AudienceKind, source: NamedAudience, destination: Destination) -> str:
    """Return why an audience cannot be created by a name alone; "" when it can, or need not."""
    if not source.create and not source.only:
        return ""
    call = destination.calls.get(kind.calls.get("create", ""))
    if call is None:
        how = "write the id or the name of one that is there"
        return f"a {kind.title} cannot be created by a call; {how}"

    needs = []
    for field in call.parameters.values():
        if field.required and not field.has_default and field.name != NAME:
            needs.append(field.name)
    if needs:
        return (
            f"more than a name is needed to create a {kind.title}: {', '.join(needs)}; "
            "create it with 'connector audiences create', and write {audience: NAME}"
        )
    return ""


def identifier_findings(pointer: str, route: Document, action: Action) -> Findings:
    """Find names of audiences that are made of a field which identifies a person."""
    people = []
    for identifier in action.identifiers:
        entry = route.get("map", {}).get(identifier.parameter)
        if entry is not None:
            people.append((identifier.parameter, _reads(field_mapping(entry))))

    for parameter, entry in route.get("map", {}).items():
        source = field_mapping(entry)
        if not isinstance(source, NamedAudience):
            continue
        read = _reads(source)
        for person, fields in people:
            if any(_overlap(one, other) for one in read for other in fields):
                message = f"the name is made of the field that '{person}' is mapped from"
                hint = "others see an audience's name; make it of a field that names nobody"
                yield Finding("C245", f"{pointer}/map/{parameter}/audience", message, hint)
                break


def _reads(source: FieldMapping) -> list[tuple[str, Read]]:
    """Return what an entry of `map` reads: "event" or "item", and the path below it."""
    reads: list[tuple[str, Read]] = []
    expressions = []
    if isinstance(source, FromPaths | AllPaths):
        for path in source.paths:
            parts = parse_path(path)
            root = "item" if starts_in_item(path) else "event"
            below = parts[1:] if root == "item" else parts
            reads.append((root, tuple(part for part in below if isinstance(part, str | int))))
    elif isinstance(source, FromExpression):
        expressions.append(source.expression)
    elif isinstance(source, NamedAudience):
        holes = [part for part in parts_of(source) if isinstance(part, Hole)]
        expressions += [hole.expression for hole in holes]
    for expression in expressions:
        for root in ("event", "item"):
            for read in members_read(expression, root):
                reads.append((root, read))
    return reads


def _overlap(one: tuple[str, Read], other: tuple[str, Read]) -> bool:
    """Return whether one of two paths leads to the other, or to what holds it."""
    shared = min(len(one[1]), len(other[1]))
    return one[0] == other[0] and one[1][:shared] == other[1][:shared]


# Opt-out
# ---------------------------------------------------------------------------------------------


def audience_of(action: Action, destination: Destination) -> AudienceKind | None:
    """Return the kind of audience that an action changes, None when nothing is known of it."""
    for parameter, kind in destination.audiences.items():
        if parameter in action.parameters:
            return kind
    return None


def do_not_reach_of(destination: Destination) -> tuple[AudienceKind, Action] | None:
    """Return the kind of list whose people nothing reaches, and the action that adds to it."""
    for parameter, kind in destination.audiences.items():
        if not kind.do_not_reach:
            continue
        for action in destination.actions.values():
            if action.operation == "add" and parameter in action.parameters:
                return kind, action
    return None


def opt_out_findings(
    pointer: str, route: Document, action: Action, destination: Destination
) -> Findings:
    """Find what is wrong with a route that opts people out."""
    kind = audience_of(action, destination)
    fitting = _removals(destination)
    if action.operation != "remove" or kind is None or kind.do_not_reach:
        message = f"'{action.id}' does not remove people from an audience that can be listed"
        hint = f"an opt-out needs one of: {', '.join(fitting)}"
        if not fitting:
            hint = f"nothing is known of the calls for audiences of {destination.title}"
        yield Finding("C246", f"{pointer}/action", message, hint)
        return

    mapped = route.get("map", {})
    for parameter in mapped.keys() & destination.audiences.keys():
        place = f"{pointer}/map/{parameter}"
        yield Finding("C246", place, f"has no effect: {_REMOVED_FROM_ALL}", "remove it")
    if "each" in route:
        message = "an opt-out is about the person of the event, and takes no 'each'"
        yield Finding("C246", f"{pointer}/each", message, "send an event for each person")

    wanted = opt_out(route["opt_out"])
    if wanted and wanted.do_not_reach:
        yield from _do_not_reach_findings(
            f"{pointer}/opt_out/do_not_reach", mapped, action, destination
        )


def _removals(destination: Destination) -> list[str]:
    found = []
    for action in destination.actions.values():
        kind = audience_of(action, destination)
        if action.operation == "remove" and kind is not None and not kind.do_not_reach:
            found.append(action.id)
    return found


def _do_not_reach_findings(
    pointer: str, mapped: Document, removal: Action, destination: Destination
) -> Findings:
    found = do_not_reach_of(destination)
    if found is None:
        message = f"{destination.title} has no list of people whom nothing may reach"
        yield Finding("C246", pointer, message, "write opt_out: true")
        return

    kind, addition = found
    problem = _create_problem(kind, NamedAudience(only=kind.only), destination)
    if problem or not kind.only:
        message = f"which {kind.title} is meant is not known"
        yield Finding("C246", pointer, message, "write opt_out: true, and a route of its own")
        return
    theirs = {one.parameter: one for one in addition.identifiers}
    if not any(name in mapped and one.alone for name, one in theirs.items()):
        message = f"'{addition.id}' takes none of the identifiers that are mapped"
        hint = f"map at least one of: {', '.join(theirs)}"
        yield Finding("C246", pointer, message, hint)
    yield from _read_otherwise(pointer, mapped, removal, addition)


def _read_otherwise(pointer: str, mapped: Document, removal: Action, addition: Action) -> Findings:
    """Find an identifier that two actions read in two ways: one of them would send another hash."""
    theirs = {one.parameter: one for one in addition.identifiers}
    for own in removal.identifiers:
        other = theirs.get(own.parameter)
        if own.parameter in mapped and other is not None and _rules(own) != _rules(other):
            message = f"'{addition.id}' reads '{own.parameter}' in another way than '{removal.id}'"
            hint = "use an action for removal that reads it in the same way, or a route of its own"
            yield Finding("C246", pointer, message, hint)


def _rules(identifier: Identifier) -> tuple[Any, ...]:
    return identifier.normalize, identifier.hash, identifier.prehashed, identifier.flag
