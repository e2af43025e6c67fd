"""A first connection and its events, made of a destination's examples."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from connector.definitions.model import Action, AuthConfig, Destination

_EVENT_TYPES = {"add": "entered", "remove": "left"}
PERSON = "traits"


def example_connection(destination: Destination) -> dict[str, Any]:
    """Return a connection with one action that adds and one that removes.

    Both are of those with the most common path; of several such, those that hash what they get.
    """
    connection: dict[str, Any] = {"destination": destination.id}
    settings = example_settings(destination)
    if settings:
        connection["settings"] = settings
    credentials = required_credentials(destination)
    if credentials:
        connection["credentials"] = credentials

    routes = []
    for operation, action in _first_actions(destination).items():
        routes.append(example_route(action, event_type=_EVENT_TYPES[operation]))
    connection["routes"] = routes
    return connection


def _first_actions(destination: Destination) -> dict[str, Action]:
    """Return the action to show first for each operation."""
    actions = destination.actions.values()
    count_of_path = Counter(action.path for action in actions)

    def rank(action: Action) -> tuple[int, bool]:
        hashes = any(identifier.is_hashed_here for identifier in action.identifiers)
        return -count_of_path[action.path], not hashes

    by_path = sorted(actions, key=rank)
    first_actions: dict[str, Action] = {}
    for operation in _EVENT_TYPES:
        for action in by_path:
            if action.operation == operation:
                first_actions[operation] = action
                break
    return first_actions


def example_settings(destination: Destination) -> dict[str, Any]:
    """Return the settings of the example that are required, or differ from their defaults."""
    example = destination.example_settings
    settings = {}
    for name, setting in destination.settings.items():
        if name not in example:
            continue
        if setting.required or example[name] != setting.default:
            settings[name] = example[name]
    return settings


def required_credentials(destination: Destination) -> dict[str, Any]:
    """Return a reference to an environment variable for each credential that is required."""
    auth = chosen_auth(destination)
    return _references(
        destination, [name for name in auth.credentials if name not in auth.optional]
    )


def optional_credentials(destination: Destination) -> dict[str, Any]:
    """Return a reference to an environment variable for each credential that may be left out."""
    auth = chosen_auth(destination)
    return _references(destination, [name for name in auth.credentials if name in auth.optional])


def _references(destination: Destination, names: Sequence[str]) -> dict[str, Any]:
    return {name: reference_to(destination, name) for name in names}


def reference_to(destination: Destination, name: str) -> dict[str, str]:
    """Return a reference to the environment variable of a credential."""
    return {"env": f"{destination.id}_{name}".upper()}


def chosen_auth(destination: Destination) -> AuthConfig:
    """Return the authentication that the example's settings choose."""
    schemes = destination.auth.schemes
    choice = str(destination.example_settings.get(destination.auth.setting, ""))
    return schemes.get(choice) or next(iter(schemes.values()))


def example_route(action: Action, *, event_type: str = "", fullest: bool = False) -> dict[str, Any]:
    """Return a route with the parameters of the action's first or fullest example.

    `event_type`: the events that it takes, "" for all.
    """
    sources = {}
    for name, value in example_parameters(action, fullest=fullest).items():
        sources[name] = {"from": f"{PERSON}.{name}"} if _varies(action, name) else {"value": value}

    route: dict[str, Any] = {"action": action.id}
    if event_type:
        route["when"] = f'event.type == "{event_type}"'
    route["map"] = sources
    return route


def _varies(action: Action, name: str) -> bool:
    """Return whether a parameter differs from person to person, or with time."""
    field = action.parameters.get(name)
    return field is not None and (field.identifier is not None or field.is_moment)


def example_event(action: Action, *, event_type: str = "", fullest: bool = False) -> dict[str, Any]:
    """Return an event for the action's route."""
    person = {}
    for name, value in example_parameters(action, fullest=fullest).items():
        if _varies(action, name):
            person[name] = value

    event: dict[str, Any] = {"type": event_type} if event_type else {}
    event[PERSON] = person
    return event


def example_events(destination: Destination) -> Iterator[dict[str, Any]]:
    """Yield an event for each route of the example connection.

    The person leaves before they enter, so that the audience holds them at the end.
    """
    for operation, action in reversed(_first_actions(destination).items()):
        yield example_event(action, event_type=_EVENT_TYPES[operation])


def example_parameters(action: Action, *, fullest: bool = False) -> dict[str, Any]:
    """Return the action's first or fullest example.

    Without examples it is what is required and the first identifier, with their own examples.
    """
    examples: Sequence[dict[str, Any]] = action.schema.get("examples", ())
    if examples:
        longest = max(examples, key=len)
        return dict(longest if fullest else examples[0])

    names = list(action.schema.get("required", ()))
    if action.identifiers:
        names.append(action.identifiers[0].parameter)

    parameters = {}
    for name in names:
        field = action.parameters.get(name)
        parameters[name] = field.examples[0] if field and field.examples else ""
    return parameters
