"""The rules of lint on `auth`: credentials, the choice of a scheme, what it sets in requests."""

from __future__ import annotations

from collections.abc import Iterator

from connector.definitions.headers import NOT_FOR_CREDENTIALS
from connector.definitions.login import ADDRESSES, SET_BY_CONNECTOR
from connector.definitions.model import AuthConfig, Destination
from connector.definitions.uri_template import placeholders
from connector.errors import nearest
from connector.linting.examples import ExampleRun
from connector.linting.location import Location, of_destination
from connector.linting.rule import Problems, make_present, rule

_REMOVE_ONE = "remove one of them"


def _schemes(destination: Destination) -> Iterator[tuple[Location, AuthConfig]]:
    """Yield every scheme with its location."""
    for scheme in destination.schemes():
        pointer = f"/destination/auth{scheme.pointer}"
        yield Location(destination.document, pointer), scheme


@rule("D207", stage="documents")
def optional_credentials(destination: Destination) -> Problems:
    """Find an optional credential without which the scheme cannot work.

    Requests could not be signed. Remove it from 'optional'.
    """
    from connector.auth.schemes import can_be_optional

    for location, scheme in _schemes(destination):
        optional = can_be_optional(scheme)
        for index, name in enumerate(scheme.optional):
            if name not in optional:
                yield (location / "optional" / index).problem(
                    f"credential '{name}' cannot be optional",
                    nearest(name, optional),
                )


@rule("D240", stage="documents")
def scheme_setting(destination: Destination) -> Problems:
    """Find a setting that cannot choose a scheme.

    A connection would be left without one. Make it an enum of exactly the schemes, and required.
    """
    name = destination.auth.setting
    if not name:
        return

    setting = destination.settings[name]
    schemes = destination.auth.schemes
    if sorted(map(str, setting.allowed)) != sorted(schemes):
        message = f"the values of '{name}' are not the names of the schemes"
        hint = f"set its enum to {', '.join(schemes)}"
    elif not setting.always_present:
        message = f"'{name}' may be absent"
        hint = make_present(name)
    else:
        return
    location = of_destination(destination) / "auth" / "setting"
    yield location.problem(message, hint)


@rule("D241", stage="documents")
def token_url(destination: Destination) -> Problems:
    """Find a `{name}` in a token_url, or in an address of `login`, that may be without a text.

    No token could be fetched. Use a setting of text that is required or has a default.
    """
    # a connection whose choice of a scheme needs a setting is checked when it is loaded
    is_chosen = bool(destination.auth.setting)

    for location, scheme in _schemes(destination):
        for place, address in _addresses(location, scheme):
            for name in placeholders(address):
                setting = destination.settings.get(name)
                if setting is None:
                    message = "is not a setting"
                    hint = nearest(name, destination.settings)
                elif setting.types != ("string",):
                    message = "is not text"
                    hint = 'set its type to "string"'
                elif not setting.always_present and not is_chosen:
                    message = "may be absent"
                    hint = make_present(name)
                else:
                    continue
                yield place.problem(f"{{{name}}} {message}", hint)


def _addresses(location: Location, scheme: AuthConfig) -> Iterator[tuple[Location, str]]:
    """Yield the addresses of a scheme and of its sign-in, each with its location."""
    yield location / "token_url", scheme.token_url
    if scheme.login:
        for name in ADDRESSES:
            yield location / "login" / name, getattr(scheme.login, name)


@rule("D261", stage="documents")
def login(destination: Destination) -> Problems:
    """Find a parameter of a sign-in that the connector sets, and accounts that cannot be chosen.

    The page would be asked for something else, or the account could not be set. Remove the
    parameter, or name a call and a setting.
    """
    for location, scheme in _schemes(destination):
        if scheme.login is None:
            continue
        place = location / "login"
        for name in scheme.login.parameters:
            if name in SET_BY_CONNECTOR:
                message = f"the connector sets '{name}' itself"
                yield (place / "parameters" / name).problem(message, "remove it")

        accounts = scheme.login.accounts
        if accounts and accounts.setting not in destination.settings:
            message = f"'{accounts.setting}' is not a setting"
            hint = nearest(accounts.setting, destination.settings)
            yield (place / "accounts" / "setting").problem(message, hint)
        if accounts and accounts.call not in destination.calls:
            message = f"'{accounts.call}' is not a call"
            hint = nearest(accounts.call, destination.calls)
            yield (place / "accounts" / "call").problem(message, hint)


@rule("D232", stage="documents")
def set_twice(destination: Destination) -> Problems:
    """Find a header or query parameter that both `auth` and something else set.

    One of them would replace the other. Remove one.
    """
    queries: set[str] = set()
    headers = set(destination.headers)
    for action in destination.actions.values():
        queries.update(action.query)
        headers.update(action.own_headers)
    headers = set(map(str.lower, headers))
    # another rule forbids to set it outside of auth
    headers.discard("authorization")

    for scheme_location, scheme in _schemes(destination):
        if scheme.key_in == "query" and scheme.key_name in queries:
            yield (scheme_location / "name").problem(
                f"query parameter '{scheme.key_name}' is also set by an action",
                _REMOVE_ONE,
            )

        taken = headers | NOT_FOR_CREDENTIALS
        for location, name in _headers(scheme_location, scheme):
            if name.lower() in taken:
                yield location.problem(
                    f"header '{name}' is also set elsewhere",
                    _REMOVE_ONE,
                )
            taken.add(name.lower())


def _headers(location: Location, scheme: AuthConfig) -> Iterator[tuple[Location, str]]:
    """Yield the headers of a scheme, each with its location."""
    if scheme.key_in == "header":
        yield location / "name", scheme.key_name
    elif scheme.scheme not in ("api_key", "none"):
        yield location / "scheme", "Authorization"
    for name in scheme.headers:
        yield location / "headers" / name, name
    for signature in scheme.body_signatures:
        pointer = f"{location.pointer}{signature.pointer}/header"
        yield Location(location.document, pointer), signature.header


@rule("D242", stage="examples")
def key_in_body(run: ExampleRun) -> Problems:
    """Find a body that cannot take the key of `auth`.

    Nothing could be sent. Let the envelope be an object without a member of that name.
    """
    for location, scheme in _schemes(run.destination):
        if scheme.key_in != "body":
            continue
        for request in run.requests:
            if not isinstance(request.body, dict):
                reason = "a body is not a JSON object"
            elif scheme.key_name in request.body:
                reason = "a body already has this member"
            else:
                continue
            yield (location / "in").problem(
                f"the key cannot be added to the body: {reason}",
                f"seen with {request.location}",
            )
            break
