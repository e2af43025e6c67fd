"""The rules of lint on what an action says about requests.

They look at URLs, headers, groups, splits and limits.
"""

from __future__ import annotations

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
    Limits,
)
from connector.definitions.uri_template import placeholders
from connector.errors import nearest
from connector.linting.location import Location, of_action, of_destination
from connector.linting.rule import Problems, make_present, rule, template_params

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

# Types whose values cannot be a part of a text.
_NOT_TEXT = {
    "array": "a list",
    "number": "a number with a fraction",
    "object": "an object",
}

_MAY_BE_ABSENT = "may be absent: it has no default and is not required"


# --- what fills {name} ---


@rule("D203", stage="documents", blocks=True)
def placeholder(destination: Destination) -> Problems:
    """Find a `{name}` in a path, query, header or audience that may be left without a text.

    Such records would be rejected, and identifiers must not appear in URLs. Use a setting, or a
    parameter that is required or has a default.
    """
    for action in destination.actions.values():
        for location, text in _texts(destination, action):
            for name in placeholders(text):
                if action.split and name == action.split.name:
                    continue
                message, hint = _unfilled(name, action, destination)
                if message:
                    yield location.problem(f"{{{name}}} {message}", hint)


def _texts(destination: Destination, action: Action) -> Iterator[tuple[Location, str]]:
    """Yield the texts of an action that have placeholders."""
    own = of_action(action)
    yield own / "path", action.path
    if action.audience:
        yield own / "audience", action.audience
    for name, text in action.query.items():
        yield own / "query" / name, text
    for name, text in action.own_headers.items():
        yield own / "headers" / name, text

    shared = of_destination(destination)
    for name, text in destination.headers.items():
        if name not in action.own_headers:
            yield shared / "headers" / name, text


def _unfilled(name: str, action: Action, destination: Destination) -> tuple[str, str]:
    """Return message and hint when a placeholder may stay without a text, else empty ones."""
    settings = destination.settings
    field = settings.get(name) or action.parameters.get(name)
    if field is None:
        known = [*settings, *template_params(action)]
        return "is neither a setting nor a parameter", nearest(name, known)
    if field.identifier:
        message = "is an identifier: not allowed in a URL, a header or an audience"
        return message, ""
    if field.ignored:
        return (
            f"has no value here: its parameter is only for '{field.schema['only']}'",
            "remove 'only'",
        )
    if not field.always_present:
        return _MAY_BE_ABSENT, make_present(name)

    for kind in field.types:
        if kind in _NOT_TEXT:
            message = f"may be {_NOT_TEXT[kind]}, and only text is allowed here"
            return message, f"remove '{kind}' from its type"
    return "", ""


def _unfilled_by_setting(name: str, destination: Destination) -> tuple[str, str]:
    """Return message and hint when no setting fills a placeholder with text, else empty ones."""
    setting = destination.settings.get(name)
    if setting is None:
        return "is not a setting", nearest(name, destination.settings)
    if not setting.always_present:
        return _MAY_BE_ABSENT, make_present(name)
    if setting.types != ("string",):
        return "is not text", 'set its type to "string"'
    return "", ""


@rule("D220", stage="documents", blocks=True)
def base_url(destination: Destination) -> Problems:
    """Find a `base_url` that is not the address of a vendor.

    Every customer of the destination would send there. Write the vendor's host, or settings with an
    enum or a pattern as parts of it; for a sandbox or a proxy a connection has its own `base_url`.
    """
    location = of_destination(destination) / "base_url"
    template = destination.base_url_template

    for name in placeholders(template):
        message, hint = _unfilled_by_setting(name, destination)
        is_part = template != f"{{{name}}}"
        if is_part and not message:
            schema = destination.settings[name].schema
            if "enum" not in schema and "pattern" not in schema:
                message = "may be any text, and becomes a part of the address"
                hint = "add an enum or a pattern to the setting"
        if message:
            yield location.problem(f"{{{name}}} {message}", hint)
            return

    url = urlsplit(destination.base_url(destination.example_settings))
    host = url.hostname or ""
    is_address = re.fullmatch(r"[0-9.]+", host) is not None
    if url.scheme != "https" or "." not in host or is_address:
        message = "is not the address of a vendor"
        hint = (
            "allowed: https:// and the vendor's host name; "
            "for a sandbox, set base_url in the connection"
        )
        yield location.problem(message, hint)


@rule("D220", stage="documents", blocks=True)
def method(destination: Destination) -> Problems:
    """Find a `{name}` in a method that is not a setting of HTTP methods.

    No request could be built. Give the setting an enum of methods.
    """
    for action in destination.actions.values():
        location = of_action(action) / "method"
        for name in placeholders(action.method):
            message, hint = _unfilled_by_setting(name, destination)
            if not message:
                allowed = destination.settings[name].allowed
                if allowed and set(allowed) <= set(_METHODS):
                    continue
                message = "is not limited to HTTP methods"
                methods = ", ".join(_METHODS)
                hint = f"give the setting an enum of some of {methods}"
            yield location.problem(f"{{{name}}} {message}", hint)


@rule("D220", stage="documents", blocks=True)
def more_headers(destination: Destination) -> Problems:
    """Find `more_headers` that does not name a setting of type object.

    The headers that a customer sets would not be sent. Name such a setting.
    """
    objects = []
    for setting in destination.settings.values():
        if setting.types == ("object",):
            objects.append(setting.name)

    name = destination.more_headers
    if name and name not in objects:
        location = of_destination(destination) / "more_headers"
        yield location.problem(
            f"'{name}' is not a setting of type object",
            nearest(name, objects),
        )


@rule("D232", stage="documents")
def own_header(destination: Destination) -> Problems:
    """Find a header that the connector sets itself.

    It would hold a credential, or break the request. Remove it.
    """
    owners = [(of_destination(destination), destination.headers)]
    for action in destination.actions.values():
        owners.append((of_action(action), action.own_headers))

    for owner, headers in owners:
        for name in headers:
            if name.lower() in NOT_IN_DEFINITIONS:
                location = owner / "headers" / name
                yield location.problem(
                    "the connector sets this header itself",
                    "remove it; 'auth' says how requests are signed",
                )


# --- who shares a request ---


@rule("D204", stage="documents", blocks=True)
def shared_value(destination: Destination) -> Problems:
    """Find a member of `share` that cannot get its value.

    It would always be absent, or hide the items of the group. Name a parameter that is not an
    identifier.
    """
    for action in destination.actions.values():
        share = of_action(action) / "share"
        if "items" in action.group:
            yield (share / "items").problem(
                "what a group shares cannot be called 'items'",
                "rename it: 'items' are the records of the group",
            )
        yield from _unknown_sources(action, share, {**action.group, **action.request})

        for key, value in action.request.items():
            if isinstance(value, FromParameter) and isinstance(value.default, FromNow):
                location = share / key / "default"
                message = "'now' is not allowed here: it is only known when the request is built"
                hint = "let the envelope render 'groups', or use a fixed default"
                yield location.problem(message, hint)


def _unknown_sources(action: Action, owner: Location, members: Mapping[str, Any]) -> Problems:
    """Yield the members that take a parameter which is unknown or an identifier."""
    known = template_params(action)
    for key, value in members.items():
        if not isinstance(value, FromParameter):
            continue
        name = value.parameter
        if name not in known:
            message = f"unknown parameter '{name}'"
            if name in action.parameters:
                message = f"'{name}' is an identifier: requests are not grouped by person"
            location = owner / key / "param"
            yield location.problem(message, nearest(name, known))


@rule("D233", stage="documents", blocks=True)
def split(destination: Destination) -> Problems:
    """Find a split whose `wire` is taken, or which never sends a companion.

    With `by: wire` the name `wire` is the wire key of a record's identifiers, and a companion
    accompanies none of them. Rename the parameter; leave the companion out.
    """
    for action in destination.actions.values():
        if action.split is None or not action.split.name:
            continue
        location = of_action(action) / "split" / "by"
        if "wire" in action.parameters or "wire" in destination.settings:
            message = "'wire' is already a parameter or a setting"
            yield location.problem(message, "rename that: with 'by', 'wire' is the wire key")
        for wire in action.wires:
            if wire in action.companions:
                message = f"the companion '{wire}' is never sent: no record has another wire key"
                yield location.problem(message, "remove the companion, or 'by'")


@rule("D234", stage="documents")
def separate_lanes(destination: Destination) -> Problems:
    """Find an action whose opposite is in another lane.

    A removal could overtake the addition before it. Give both the same `audience`, or the same path
    and query.
    """
    actions = destination.actions.values()
    operations = {action.operation for action in actions}
    if operations != {"add", "remove"}:
        return

    lanes = {(action.operation, _lane(action)) for action in actions}
    for action in actions:
        opposite = "remove" if action.operation == "add" else "add"
        if (opposite, _lane(action)) in lanes:
            continue
        keyword = "audience" if action.audience else "path"
        message = f"no action {opposite}s people in the lane of '{action.id}'"
        hint = (
            "requests of two lanes can overtake each other: "
            "give both actions the same 'audience', or the same path and query"
        )
        yield (of_action(action) / keyword).problem(message, hint)


def _lane(action: Action) -> str:
    """Return what tells lanes apart: actions with equal texts share lanes."""
    if action.audience:
        return action.audience
    query = sorted(action.query.items())
    return f"{action.path}?{query}"


@rule("D205", stage="documents")
def limit_above_cap(destination: Destination) -> Problems:
    """Find a default limit above the vendor's cap.

    It would never be reached. Lower it, or correct the cap.
    """
    for action in destination.actions.values():
        own_defaults = Limits()
        if action.own_limits:
            own_defaults = action.own_limits.defaults

        for name in action.default_limits.above(action.caps):
            owner = of_destination(destination)
            if getattr(own_defaults, name) is not None:
                owner = of_action(action)
            limit = getattr(action.default_limits, name)
            cap = getattr(action.caps, name)

            location = owner / "limits" / "defaults" / name
            yield location.problem(
                f"{limit} is above the cap of {cap}",
                f"allowed: at most {cap}",
            )
