"""The rules of lint that need nothing but the documents: each finds one kind of mistake that the form cannot see.

A rule's docstring says what it finds, why that is bad and how to mend it; `docs/lint.md` has the examples.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from .definition import Action, Destination, Identifier
from .errors import Problem, nearest
from .identifiers import DroppedError, normaliser
from .lint_base import Rule, at, identifiers, parameters
from .references import Document
from .requests import placeholders
from .schemas import pointer


def flag(destination: Destination) -> Iterator[Problem]:
    """Find a flag that is no boolean parameter: nothing could say that digests come. Name one, or add it."""
    for action, identifier, place in identifiers(destination):
        booleans = [name for name in parameters(action) if action.properties[name].get("type") == "boolean"]
        if identifier.flag and identifier.flag not in booleans:
            hint = nearest(identifier.flag, booleans)
            yield at(action.document, f"{place}/prehashed/flag", f"'{identifier.flag}' is no boolean parameter", hint)


def no_identifier(destination: Destination) -> Iterator[Problem]:
    """Find an add or remove action without an identifier: it could name nobody. Mark a parameter, or make it a call."""
    for action in destination.actions.values():
        if not action.identifiers:
            message = "no parameter of this action names a person"
            hint = "give a parameter the keyword 'identifier'"
            yield at(action.document, "/properties", message, hint)


def placeholder(destination: Destination) -> Iterator[Problem]:
    """Find a `{name}` that has not always a value: records would be refused. Use a setting or a required parameter."""
    for action in destination.actions.values():
        for document, place, text in _texts(destination, action):
            for name in placeholders(text):
                for message, hint in _unfilled(name, action, destination):
                    yield at(document, place, f"{{{name}}} {message}", hint)


def _texts(destination: Destination, action: Action) -> Iterator[tuple[Document, str, str]]:
    yield action.document, "/action/path", action.raw["path"]
    for kind in ("query", "headers"):
        for name, text in action.raw.get(kind, {}).items():
            yield action.document, f"/action/{kind}{pointer([name])}", text
    for name, text in destination.raw.get("headers", {}).items():
        if name not in action.raw.get("headers", {}):
            yield destination.document, f"/destination/headers{pointer([name])}", text


def _unfilled(name: str, action: Action, destination: Destination) -> Iterator[tuple[str, str]]:
    """Yield why a placeholder may stay without a value."""
    schema, required = destination.settings.get(name), destination.schema.get("required", ())
    if schema is None:
        schema, required = action.properties.get(name), action.schema.get("required", ())
    if schema is None:
        yield "is neither a setting nor a parameter", nearest(name, [*destination.settings, *parameters(action)])
    elif "identifier" in schema:
        yield "names a person, and a person's identifier never stands in a URL or a header", ""
    elif name not in required and "default" not in schema:
        yield (
            "may be absent: it has no default and is not required",
            f"add '{name}' to 'required', or give it a default",
        )
    elif "array" in schema["type"]:
        yield "may be a list, and a URL or a header takes one value", "take 'array' out of its type"


def group(destination: Destination) -> Iterator[Problem]:
    """Find a group member that takes an unknown parameter: it would always be absent. Name one of the action."""
    for action in destination.actions.values():
        known = parameters(action)
        for key, raw in action.raw.get("group", {}).items():
            place = f"/action/group{pointer([key])}"
            if key == "items":
                yield at(action.document, place, "a group member cannot be called 'items'", "its records are called so")
            if isinstance(raw, dict) and raw["param"] not in known:
                message = f"unknown parameter '{raw['param']}'"
                if raw["param"] in action.properties:
                    message = f"'{raw['param']}' names a person, and requests are not grouped by person"
                yield at(action.document, f"{place}/param", message, nearest(raw["param"], known))


def limit_above_cap(destination: Destination) -> Iterator[Problem]:
    """Find a default limit above the vendor's cap: it would never be reached. Lower it, or mend the cap."""
    for action in destination.actions.values():
        for name in action.usual.above(action.caps):
            own = name in action.raw.get("limits", {}).get("defaults", {})
            document = action.document if own else destination.document
            place = f"/{'action' if own else 'destination'}/limits/defaults/{name}"
            usual, cap = getattr(action.usual, name), getattr(action.caps, name)
            yield at(document, place, f"{usual} is above the cap of {cap}", f"allowed: at most {cap}")


def one_wire_two_ways(destination: Destination) -> Iterator[Problem]:
    """Find parameters of one wire key that are hashed or normalised differently.

    Who was added by one would not be found by the other. Make them equal, or give them wire keys of their own.
    """
    first: dict[tuple[str, ...], tuple[str, Any]] = {}
    for action, identifier, place in identifiers(destination):
        ways: dict[str, Any] = {"hash": identifier.hash}
        if identifier.prehashed is not True:
            ways["normalize"] = action.properties[identifier.parameter]["identifier"].get("normalize", [])
        for keyword, way in ways.items():
            mine = (f"{action.id}.{identifier.parameter}", way)
            other, theirs = first.setdefault((action.raw["path"], identifier.wire, keyword), mine)
            if way != theirs:
                message = f"differs from {other}, which sends '{identifier.wire}' too: {json.dumps(theirs)}"
                yield at(action.document, f"{place}/{keyword}", message, "the same person would become two values")
                break


def credentials(destination: Destination) -> Iterator[Problem]:
    """Find credentials that are not those of the scheme: nothing could be signed. List exactly the scheme's."""
    from .auth import SCHEMES

    needed = SCHEMES[destination.auth["scheme"]].CREDENTIALS
    if sorted(destination.auth.get("credentials", ())) != sorted(needed):
        message, hint = "are not the credentials of this scheme", f"allowed: exactly {', '.join(needed)}"
        yield at(destination.document, "/destination/auth/credentials", message, hint)


def unnamed(destination: Destination) -> Iterator[Problem]:
    """Find a blank title or description, and equal titles: a person cannot tell what is meant. Write what it is."""
    schemas = [(destination.document, destination.settings)]
    schemas += [(action.document, action.properties) for action in destination.actions.values()]
    for document, properties in schemas:
        seen: dict[str, str] = {}
        for name, schema in properties.items():
            place = f"/properties/{name}"
            for member in ("title", "description"):
                if not schema[member].strip():
                    yield at(
                        document, f"{place}/{member}", "is blank", "say what it is to the person who fills in a form"
                    )
            other = seen.setdefault(schema["title"], name)
            if other != name and schema["title"].strip():
                hint = "give them titles that tell them apart"
                yield at(document, f"{place}/title", f"'{other}' has the same title", hint)


def address(destination: Destination) -> Iterator[Problem]:
    """Find a `base_url` that is no vendor's address: every customer would send there. Write the vendor's host.

    A connection has a `base_url` of its own for a sandbox or a proxy.
    """
    url = urlsplit(destination.raw["base_url"])
    host = url.hostname or ""
    if url.scheme != "https" or "." not in host or re.fullmatch(r"[0-9.]+", host):
        hint = "allowed: https:// and the vendor's host name; for a sandbox, a connection has its own base_url"
        yield at(destination.document, "/destination/base_url", "is not the address of a vendor", hint)


def unknown_property(destination: Destination) -> Iterator[Problem]:
    """Find a required property that does not exist: no record would be valid. Mend the name."""
    documents = [destination.document, *(action.document for action in destination.actions.values())]
    for document in documents:
        known = document.content.get("properties", {})
        for place, name in _asked_for(document.content):
            if name not in known:
                yield at(document, place, f"unknown property '{name}'", nearest(name, known))


def _asked_for(schema: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    lists = {"/required": schema.get("required", ())}
    for keyword in ("anyOf", "allOf", "oneOf"):
        lists |= {f"/{keyword}/{i}/required": part["required"] for i, part in enumerate(schema.get(keyword, ()))}
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
            yield at(action.document, f"{place}/prehashed", message, "take 'prehashed' out, or hash the value")
        elif identifier.prehashed is True:
            for index, (step, _) in enumerate(identifier.normalize):
                if step not in ("trim", "lowercase"):
                    message = f"'{step}' makes no sense: the value has to be a digest already"
                    hint = 'allowed with "prehashed": true: trim, lowercase'
                    yield at(action.document, f"{place}/normalize/{index}", message, hint)


_SAMPLES = (" Ann.B@Example.com\t", " +1 202-555-0123 ", "+12025550123", " @@AdsAPI ", "@ Ads", " 0042 ", "AB-cd-09")


def unstable_steps(destination: Destination) -> Iterator[Problem]:
    """Find steps that change a value again when taken twice: one person becomes two. Put them in another order."""
    for action, identifier, place in identifiers(destination):
        sample = next((text for text in _SAMPLES if _changes_again(identifier, text)), None)
        if sample is not None and identifier.prehashed is not True:
            message = f"taken twice, the steps give something else than once, for example for {sample!r}"
            yield at(action.document, f"{place}/normalize", message, "mostly 'trim' has to come first")


def _changes_again(identifier: Identifier, sample: str) -> bool:
    normalise = normaliser(identifier)
    try:
        once = normalise(sample)
        return normalise(once) != once
    except DroppedError:
        return False


def one_name_twice(destination: Destination) -> Iterator[Problem]:
    """Find a parameter named like a setting: `{name}` in a path could mean either. Rename one of them."""
    for action in destination.actions.values():
        for name in action.properties:
            if name in destination.settings:
                hint = f"rename one of the two: {{{name}}} in a path could mean either"
                yield at(action.document, f"/properties/{name}", f"'{name}' is a setting too", hint)


_OWN_HEADERS = ("authorization", "connection", "content-length", "cookie", "host", "transfer-encoding")


def own_header(destination: Destination) -> Iterator[Problem]:
    """Find a header that the connector sets itself: a credential would stand here, or a request break. Take it out."""
    documents = [(destination.document, "/destination", destination.raw)]
    documents += [(action.document, "/action", action.raw) for action in destination.actions.values()]
    for document, place, raw in documents:
        for name in raw.get("headers", {}):
            if name.lower() in _OWN_HEADERS:
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
    ("D207", credentials),
    ("D211", unnamed),
    ("D220", address),
    ("D222", unknown_property),
    ("D225", digest_steps),
    ("D226", unstable_steps),
    ("D229", one_name_twice),
    ("D232", own_header),
]
