"""The rules of lint that need nothing but the documents: each finds one kind of mistake that the form cannot see.

A rule's docstring says what it finds, why that is bad and how to mend it; `docs/lint.md` has the examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from connector.definitions.headers import NOT_IN_DEFINITIONS
from connector.definitions.model import (
    Action,
    Destination,
    FromNow,
    FromParameter,
    Identifier,
    Limits,
)
from connector.definitions.resolve import Document
from connector.definitions.uri_template import placeholders
from connector.errors import Problem, nearest
from connector.linting.rule import Rule, at, identifiers, parameters, told_names
from connector.pipeline.dropped import DroppedError
from connector.pipeline.normalise import normaliser
from connector.validation.explain import pointer


def flag(destination: Destination) -> Iterator[Problem]:
    """Find a flag that is no boolean parameter: nothing could say that digests come. Name one, or add it."""
    for action, identifier, place in identifiers(destination):
        booleans = [
            name for name in parameters(action) if action.parameters[name].types == ("boolean",)
        ]
        if identifier.flag and identifier.flag not in booleans:
            hint = nearest(identifier.flag, booleans)
            yield at(
                action.document,
                f"{place}/prehashed/flag",
                f"'{identifier.flag}' is no boolean parameter",
                hint,
            )


def no_identifier(destination: Destination) -> Iterator[Problem]:
    """Find an add or remove action without an identifier: it could name nobody. Mark a parameter, or make it a call."""
    for action in destination.actions.values():
        if not any(identifier.alone for identifier in action.identifiers):
            message = "no parameter of this action names a person"
            hint = "give a parameter the keyword 'identifier'" + (
                ', without "alone": false' if action.wires else ""
            )
            yield at(action.document, "/properties", message, hint)


def placeholder(destination: Destination) -> Iterator[Problem]:
    """Find a `{name}` that has not always a value: records would be refused. Use a setting or a required parameter."""
    for action in destination.actions.values():
        for document, place, text in _texts(destination, action):
            for name in placeholders(text):
                for message, hint in _unfilled(name, action, destination):
                    yield at(document, place, f"{{{name}}} {message}", hint)


def _texts(destination: Destination, action: Action) -> Iterator[tuple[Document, str, str]]:
    yield action.document, "/action/path", action.path
    if action.audience:
        yield action.document, "/action/audience", action.audience
    for name, text in action.query.items():
        yield action.document, f"/action/query{pointer([name])}", text
    for name, text in action.own_headers.items():
        yield action.document, f"/action/headers{pointer([name])}", text
    for name, text in destination.headers.items():
        if name not in action.own_headers:
            yield destination.document, f"/destination/headers{pointer([name])}", text


def _unfilled(name: str, action: Action, destination: Destination) -> Iterator[tuple[str, str]]:
    """Yield why a placeholder may stay without a value."""
    if action.split and name == action.split.name:
        return
    field = destination.settings.get(name) or action.parameters.get(name)
    if field is None:
        yield (
            "is neither a setting nor a parameter",
            nearest(name, [*destination.settings, *told_names(action)]),
        )
    elif field.identifier:
        yield (
            "names a person, and a person's identifier never stands in a URL, a header or an audience",
            "",
        )
    elif not field.always_present:
        yield (
            "may be absent: it has no default and is not required",
            f"add '{name}' to 'required', or give it a default",
        )
    else:
        yield from _not_text(field.types)


def _not_text(types: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield why a value of these types cannot be a part of a text."""
    words = {"array": "a list", "number": "a number with a fraction", "object": "an object"}
    for kind in types:
        if kind in words:
            yield (
                f"may be {words[kind]}, and one text is due here",
                f"take '{kind}' out of its type",
            )


def group(destination: Destination) -> Iterator[Problem]:
    """Find a member of group or request that takes an unknown parameter: it would always be absent. Name one."""
    for action in destination.actions.values():
        yield from _members(action, "group")
        yield from _members(action, "request")


def _members(action: Action, kind: str) -> Iterator[Problem]:
    known = told_names(action)
    for key, value in (action.group if kind == "group" else action.request).items():
        place = f"/action/{kind}{pointer([key])}"
        if kind == "group" and key == "items":
            yield at(
                action.document,
                place,
                "a group member cannot be called 'items'",
                "its records are called so",
            )
        if not isinstance(value, FromParameter):
            continue
        if kind == "request" and isinstance(value.default, FromNow):
            message = (
                "is only known when the request is built, and 'request' says before who shares one"
            )
            yield at(
                action.document, f"{place}/default", message, "use 'group', or a fixed default"
            )
        if value.parameter not in known:
            message = f"unknown parameter '{value.parameter}'"
            if value.parameter in action.parameters:
                message = (
                    f"'{value.parameter}' names a person, and requests are not grouped by person"
                )
            yield at(action.document, f"{place}/param", message, nearest(value.parameter, known))


def split(destination: Destination) -> Iterator[Problem]:
    """Find a split that leaves out a wire key, or names one twice: people would not be sent, or sent twice.

    Let every wire key stand in one part, and `as` be a name of its own.
    """
    for action in destination.actions.values():
        if action.split and action.split.name in {*action.parameters, *destination.settings}:
            message = f"'{action.split.name}' is a parameter or a setting already"
            yield at(action.document, "/action/split/as", message, "give it a name of its own")
        if action.split and action.split.parts:
            yield from _parts(action)


def _parts(action: Action) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for part, wires in (action.split.parts if action.split else {}).items():
        for index, wire in enumerate(wires):
            place = f"/action/split/parts{pointer([part, index])}"
            if wire not in action.wires:
                yield at(
                    action.document,
                    place,
                    f"unknown wire key '{wire}'",
                    nearest(wire, action.wires),
                )
            elif seen.setdefault(wire, part) != part:
                yield at(
                    action.document,
                    place,
                    f"'{wire}' stands in {seen[wire]} too",
                    "every wire key has one part",
                )
        if action.companions.issuperset(wires):
            message = "no wire key of this part names a person alone: it would never be sent"
            hint = "put it into the part of an identifier that does"
            yield at(action.document, f"/action/split/parts{pointer([part])}", message, hint)
    missing = [wire for wire in action.wires if wire not in seen]
    if missing:
        message = f"no part has the wire key '{missing[0]}': it would never be sent"
        yield at(action.document, "/action/split/parts", message, "every wire key has one part")


def parted_lanes(destination: Destination) -> Iterator[Problem]:
    """Find an action whose opposite is in another lane, or nowhere: one could overtake. Let `audience` name the set."""
    actions = destination.actions.values()
    lanes = {(action.operation, _lane(action)) for action in actions}
    if len({action.operation for action in actions}) < len(_OPPOSITES):
        return
    for action in actions:
        opposite, undoes = _OPPOSITES[action.operation]
        if (opposite, _lane(action)) not in lanes:
            message = f"no action {undoes} people in the lane of '{action.id}'"
            hint = "requests of two lanes overtake each other: let 'audience' name the set, the same text in both actions"
            place = "audience" if action.audience else "path"
            yield at(
                action.document,
                f"/action/{place}",
                message,
                f"{hint}, or give both the same path and query",
            )


#: Operation → the one that undoes it, and what that does.
_OPPOSITES = {"add": ("remove", "removes"), "remove": ("add", "adds")}


def _lane(action: Action) -> str:
    """Return what a lane is told apart by: two actions with equal texts share lanes."""
    queries = "&".join(f"{name}={text}" for name, text in sorted(action.query.items()))
    return action.audience or f"{action.path}?{queries}"


def limit_above_cap(destination: Destination) -> Iterator[Problem]:
    """Find a default limit above the vendor's cap: it would never be reached. Lower it, or mend the cap."""
    for action in destination.actions.values():
        for name in action.default_limits.above(action.caps):
            own_defaults = action.own_limits.defaults if action.own_limits else Limits()
            own = getattr(own_defaults, name) is not None
            document = action.document if own else destination.document
            place = f"/{'action' if own else 'destination'}/limits/defaults/{name}"
            usual, cap = getattr(action.default_limits, name), getattr(action.caps, name)
            yield at(
                document, place, f"{usual} is above the cap of {cap}", f"allowed: at most {cap}"
            )


def one_wire_two_ways(destination: Destination) -> Iterator[Problem]:
    """Find parameters of one wire key that are hashed or normalised differently.

    Who was added by one would not be found by the other. Make them equal, or give them wire keys of their own.
    """
    first: dict[tuple[str, ...], tuple[str, Any]] = {}
    for action, identifier, place in identifiers(destination):
        ways: dict[str, Any] = {"hash": identifier.hash}
        if identifier.prehashed is not True:
            schema = action.parameters[identifier.parameter].schema
            ways["normalize"] = schema["identifier"].get("normalize", [])
        for keyword, way in ways.items():
            mine = (f"{action.id}.{identifier.parameter}", way)
            other, theirs = first.setdefault((action.path, identifier.wire, keyword), mine)
            if way != theirs:
                message = f"differs from {other}, which sends '{identifier.wire}' too: {json.dumps(theirs)}"
                yield at(
                    action.document,
                    f"{place}/{keyword}",
                    message,
                    "the same person would become two values",
                )
                break


def unnamed(destination: Destination) -> Iterator[Problem]:
    """Find a blank title or description, and equal titles: a person cannot tell what is meant. Write what it is."""
    schemas = [(destination.document, destination.settings)]
    schemas += [(action.document, action.parameters) for action in destination.actions.values()]
    for document, fields in schemas:
        seen: dict[str, str] = {}
        for name, field in fields.items():
            place = f"/properties/{name}"
            for member in ("title", "description"):
                if not field.schema[member].strip():
                    yield at(
                        document,
                        f"{place}/{member}",
                        "is blank",
                        "say what it is to the person who fills in a form",
                    )
            other = seen.setdefault(field.title, name)
            if other != name and field.title.strip():
                hint = "give them titles that tell them apart"
                yield at(document, f"{place}/title", f"'{other}' has the same title", hint)


def address(destination: Destination) -> Iterator[Problem]:
    """Find a `base_url` that is no vendor's address: every customer would send there. Write the vendor's host.

    A connection has a `base_url` of its own for a sandbox or a proxy.
    """
    text, document, place = (
        destination.base_url_template,
        destination.document,
        "/destination/base_url",
    )
    for name in placeholders(text):
        found = list(_unfilled_setting(name, destination))
        if (
            not found
            and text != f"{{{name}}}"
            and not {"enum", "pattern"} & destination.settings[name].schema.keys()
        ):
            found.append(
                (
                    "may be any text, and becomes a part of the address",
                    "give it an enum or a pattern",
                )
            )
        if found:
            yield from (
                at(document, place, f"{{{name}}} {message}", hint) for message, hint in found
            )
            return
    url = urlsplit(destination.base_url(destination.example_settings))
    host = url.hostname or ""
    if url.scheme != "https" or "." not in host or re.fullmatch(r"[0-9.]+", host):
        hint = "allowed: https:// and the vendor's host name; for a sandbox, a connection has its own base_url"
        yield at(document, place, "is not the address of a vendor", hint)


_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def method(destination: Destination) -> Iterator[Problem]:
    """Find a `{name}` in a method that is no setting of methods: there would be no request. Make it an enum of them."""
    for action in destination.actions.values():
        for name in placeholders(action.method):
            found = list(_unfilled_setting(name, destination))
            allowed = destination.settings[name].allowed if not found else ()
            if not found and not (allowed and set(_METHODS).issuperset(allowed)):
                hint = f"give the setting an enum of some of {', '.join(_METHODS)}"
                found.append(("may hold another word than a method", hint))
            yield from (
                at(action.document, "/action/method", f"{{{name}}} {text}", hint)
                for text, hint in found
            )


def _unfilled_setting(name: str, destination: Destination) -> Iterator[tuple[str, str]]:
    """Yield why a placeholder that only settings fill may stay without a text."""
    setting = destination.settings.get(name)
    if setting is None:
        yield "is no setting", nearest(name, destination.settings)
    elif not setting.always_present:
        hint = f"add '{name}' to 'required', or give it a default"
        yield "may be absent: it has no default and is not required", hint
    elif setting.types != ("string",):
        yield "is not text", "let its type be string"


def more_headers(destination: Destination) -> Iterator[Problem]:
    """Find `more_headers` that names no object: headers that a customer sets would not be sent. Name such a setting."""
    name = destination.more_headers
    setting = destination.settings.get(name)
    if name and not (setting and setting.types == ("object",)):
        objects = [
            known for known, about in destination.settings.items() if about.types == ("object",)
        ]
        message, hint = f"'{name}' is no setting of type object", nearest(name, objects)
        yield at(destination.document, "/destination/more_headers", message, hint)


def unknown_property(destination: Destination) -> Iterator[Problem]:
    """Find a required property that does not exist: no record would be valid. Mend the name."""
    documents = [
        destination.document,
        *(action.document for action in destination.actions.values()),
    ]
    for document in documents:
        known = document.content.get("properties", {})
        for place, name in _asked_for(document.content):
            if name not in known:
                yield at(document, place, f"unknown property '{name}'", nearest(name, known))


def _asked_for(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    lists = {"/required": schema.get("required", ())}
    for keyword in ("anyOf", "allOf", "oneOf"):
        lists |= {
            f"/{keyword}/{i}/required": part["required"]
            for i, part in enumerate(schema.get(keyword, ()))
        }
    for name, needed in schema.get("dependentRequired", {}).items():
        yield f"/dependentRequired/{name}", name
        lists[f"/dependentRequired/{name}"] = needed
    for place, names in lists.items():
        yield from ((f"{place}/{index}", name) for index, name in enumerate(names))


def digest_steps(destination: Destination) -> Iterator[Problem]:
    """Find members that say nothing: the value is a digest already, or is never hashed. Take them out."""
    for action, identifier, place in identifiers(destination):
        if identifier.hash == "none" and (identifier.prehashed or identifier.flag):
            message = 'says nothing: with "hash": "none" the value is never hashed'
            yield at(
                action.document,
                f"{place}/prehashed",
                message,
                "take 'prehashed' out, or hash the value",
            )
        elif identifier.prehashed is True:
            for index, (step, _) in enumerate(identifier.normalize):
                if step not in ("trim", "lowercase"):
                    message = f"'{step}' makes no sense: the value has to be a digest already"
                    hint = 'allowed with "prehashed": true: trim, lowercase'
                    yield at(action.document, f"{place}/normalize/{index}", message, hint)


_SAMPLES = (
    " Ann.B@Example.com\t",
    " +1 202-555-0123 ",
    "+12025550123",
    " @@AdsAPI ",
    "@ Ads",
    " 0042 ",
    "AB-cd-09",
)


def unstable_steps(destination: Destination) -> Iterator[Problem]:
    """Find steps that change a value again when taken twice: one person becomes two. Put them in another order."""
    for action, identifier, place in identifiers(destination):
        sample = next(
            (text for text in _samples(identifier) if _changes_again(identifier, text)), None
        )
        if sample is not None and identifier.prehashed is not True:
            message = (
                f"taken twice, the steps give something else than once, for example for {sample!r}"
            )
            yield at(
                action.document, f"{place}/normalize", message, "mostly 'trim' has to come first"
            )


def _samples(identifier: Identifier) -> Iterator[str]:
    yield from _SAMPLES
    for step, argument in identifier.normalize:
        if step.startswith("drop_email"):
            domain = argument[0] if isinstance(argument, list) else "example.com"
            yield f" Ann.B+tag @{domain.title()} "


def _changes_again(identifier: Identifier, sample: str) -> bool:
    try:
        normalise = normaliser(identifier)
        once = normalise(sample)
        return normalise(once) != once
    except (DroppedError, re.error):  # of a pattern that is none another rule says so
        return False


def one_name_twice(destination: Destination) -> Iterator[Problem]:
    """Find a parameter named like a setting: `{name}` in a path could mean either. Rename one of them."""
    for action in destination.actions.values():
        for name in action.parameters:
            if name in destination.settings:
                hint = f"rename one of the two: {{{name}}} in a path could mean either"
                yield at(action.document, f"/properties/{name}", f"'{name}' is a setting too", hint)


def own_header(destination: Destination) -> Iterator[Problem]:
    """Find a header that the connector sets itself: a credential would stand here, or a request break. Take it out."""
    documents = [(destination.document, "/destination", destination.headers)]
    for action in destination.actions.values():
        documents.append((action.document, "/action", action.own_headers))
    for document, place, headers in documents:
        for name in headers:
            if name.lower() in NOT_IN_DEFINITIONS:
                message, hint = (
                    "the connector sets this header itself",
                    "take it out; 'auth' says how requests are signed",
                )
                yield at(document, f"{place}/headers{pointer([name])}", message, hint)


#: Code and rule.
RULES: list[tuple[str, Rule]] = [
    ("D201", flag),
    ("D202", no_identifier),
    ("D203", placeholder),
    ("D204", group),
    ("D205", limit_above_cap),
    ("D206", one_wire_two_ways),
    ("D211", unnamed),
    ("D220", address),
    ("D220", method),
    ("D220", more_headers),
    ("D222", unknown_property),
    ("D225", digest_steps),
    ("D226", unstable_steps),
    ("D229", one_name_twice),
    ("D232", own_header),
    ("D233", split),
    ("D234", parted_lanes),
]
