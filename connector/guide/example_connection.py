"""A first connection and its events, made of a destination's examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from connector.definitions.model import Action, AuthConfig, Destination

_KINDS = {"add": "entered", "remove": "left"}
_PERSON = "traits"


def starter_connection(destination: Destination) -> dict[str, Any]:
    """Return a connection with an action that adds and one that removes: of those with the most common address."""
    paths = Counter(action.path for action in destination.actions.values())
    common = sorted(destination.actions.values(), key=lambda action: -paths[action.path])
    first = {action.operation: action for action in reversed(common)}
    given = {
        "settings": starter_settings(destination),
        "credentials": starter_credentials(destination),
    }
    return {
        "destination": destination.id,
        **{name: values for name, values in given.items() if values},
        "routes": [
            starter_route(first[kind], kind=_KINDS[kind]) for kind in _KINDS if kind in first
        ],
    }


def starter_settings(destination: Destination) -> dict[str, Any]:
    """Return the settings of the example that have to be given, or differ from their defaults."""
    example = destination.example_settings
    settings = {}
    for name, field in destination.settings.items():
        if name in example and (field.required or example[name] != field.default):
            settings[name] = example[name]
    return settings


def starter_credentials(destination: Destination) -> dict[str, Any]:
    """Return a reference to an environment variable for each credential that is needed."""
    return _references(destination, optional=False)


def unused_credentials(destination: Destination) -> dict[str, Any]:
    """Return a reference to an environment variable for each credential that may be given too."""
    return _references(destination, optional=True)


def _references(destination: Destination, *, optional: bool) -> dict[str, Any]:
    scheme = chosen_scheme(destination)
    references = {}
    for name in scheme.credentials:
        if (name in scheme.optional) == optional:
            references[name] = {"env": f"{destination.id}_{name}".upper()}
    return references


def chosen_scheme(destination: Destination) -> AuthConfig:
    """Return the authentication that the example's settings choose."""
    schemes = destination.auth.schemes
    choice = str(destination.example_settings.get(destination.auth.setting, ""))
    return schemes.get(choice, next(iter(schemes.values())))


def starter_route(action: Action, *, kind: str = "", fullest: bool = False) -> dict[str, Any]:
    """Return a route with the parameters of the action's first or fullest example; `kind`: the events that it takes."""
    when = {"when": f'event.type == "{kind}"'} if kind else {}
    mapped = {
        name: {"from": f"{_PERSON}.{name}"} if _varies(action, name) else {"value": value}
        for name, value in example_parameters(action, fullest=fullest).items()
    }
    return {"action": action.id, **when, "map": mapped}


def _varies(action: Action, name: str) -> bool:
    """Say whether a parameter differs from person to person, or with time."""
    field = action.parameters.get(name)
    return field is not None and (field.identifier is not None or field.is_moment)


def starter_event(action: Action, *, kind: str = "", fullest: bool = False) -> dict[str, Any]:
    """Return an event for the action's route."""
    found = example_parameters(action, fullest=fullest)
    person = {name: value for name, value in found.items() if _varies(action, name)}
    return {**({"type": kind} if kind else {}), _PERSON: person}


def starter_events(destination: Destination) -> Iterator[dict[str, Any]]:
    """Yield an event for each route of the first connection."""
    for route in starter_connection(destination)["routes"]:
        action = destination.actions[route["action"]]
        yield starter_event(action, kind=_KINDS[action.operation])


def example_parameters(action: Action, *, fullest: bool = False) -> dict[str, Any]:
    """Return the action's first or fullest example, or what is required and an identifier with their own examples."""
    examples: Sequence[dict[str, Any]] = action.schema.get("examples", ())
    if examples:
        chosen = max(examples, key=len) if fullest else examples[0]
        return dict(chosen)
    names = [
        *action.schema.get("required", ()),
        *(identifier.parameter for identifier in action.identifiers[:1]),
    ]
    parameters = {}
    for name in names:
        field = action.parameters.get(name)
        parameters[name] = field.examples[0] if field and field.examples else ""
    return parameters
