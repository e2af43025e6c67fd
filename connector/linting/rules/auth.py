"""The rules of lint on `auth`: what signs has what it needs, and nothing stands twice."""

from __future__ import annotations

from collections.abc import Iterator

from connector.definitions.headers import NOT_FOR_CREDENTIALS
from connector.definitions.model import AuthConfig, Destination
from connector.definitions.uri_template import placeholders
from connector.errors import Problem, nearest
from connector.linting.examples import Bench, BenchRule
from connector.linting.rule import Rule, at
from connector.validation.explain import pointer


def _schemes(destination: Destination) -> Iterator[tuple[str, AuthConfig]]:
    """Yield every scheme with its place."""
    for scheme in destination.schemes():
        yield f"/destination/auth{scheme.pointer}", scheme


def credentials(destination: Destination) -> Iterator[Problem]:
    """Find credentials that are not those that are used: nothing could be signed. List exactly these."""
    from connector.auth.schemes import can_be_optional, credentials_of

    for place, scheme in _schemes(destination):
        needed, optional = credentials_of(scheme), can_be_optional(scheme)
        if sorted(scheme.credentials) != sorted(needed):
            message = "are not the credentials of this scheme"
            hint = (
                f"allowed: exactly {', '.join(needed)}" if needed else "allowed: none, leave it out"
            )
            yield at(destination.document, f"{place}/credentials", message, hint)
        for index, name in enumerate(scheme.optional):
            if name not in optional:
                message = f"the credential '{name}' cannot be left out"
                yield at(
                    destination.document,
                    f"{place}/optional/{index}",
                    message,
                    nearest(name, optional),
                )


def choice(destination: Destination) -> Iterator[Problem]:
    """Find a setting that cannot choose a scheme: a connection would have none. Make it an enum of the schemes."""
    if not destination.auth.setting:
        return
    name, place = destination.auth.setting, "/destination/auth/setting"
    setting = destination.settings.get(name)
    if setting is None:
        yield at(
            destination.document,
            place,
            f"unknown setting '{name}'",
            nearest(name, destination.settings),
        )
    elif sorted(map(str, setting.allowed)) != sorted(destination.auth.schemes):
        hint = f"its enum has to be {', '.join(destination.auth.schemes)}"
        yield at(
            destination.document, place, f"'{name}' has other values than there are schemes", hint
        )
    elif not setting.always_present:
        hint = f"add '{name}' to 'required', or give it a default"
        yield at(destination.document, place, f"'{name}' may be absent", hint)


def token_url(destination: Destination) -> Iterator[Problem]:
    """Find a `{name}` in a token_url that has not always a value: no token could be fetched. Use a required setting."""
    for place, scheme in _schemes(destination):
        for name in placeholders(scheme.token_url):
            setting = destination.settings.get(name)
            if setting is None:
                message, hint = f"{{{name}}} is no setting", nearest(name, destination.settings)
            elif setting.types != ("string",):
                message, hint = f"{{{name}}} is not always text", 'let its type be "string"'
            elif not destination.auth.setting and not setting.always_present:
                message, hint = (
                    f"{{{name}}} may be absent",
                    f"add '{name}' to 'required', or give it a default",
                )
            else:
                continue
            yield at(destination.document, f"{place}/token_url", message, hint)


def set_twice(destination: Destination) -> Iterator[Problem]:
    """Find what `auth` sets and something else sets too, in a header or the query: one would win. Take one out."""
    queries = {name for action in destination.actions.values() for name in action.query}
    for place, scheme in _schemes(destination):
        yield from _header_twice(destination, place, scheme)
        if scheme.key_in == "query" and scheme.key_name in queries:
            message = f"the query parameter {scheme.key_name} is set by an action's 'query' too"
            yield at(destination.document, f"{place}/name", message, "take one of the two out")


def _header_twice(destination: Destination, place: str, scheme: AuthConfig) -> Iterator[Problem]:
    """Yield the headers of a scheme that are set elsewhere, or are none for a credential."""
    seen = {name.lower() for name in destination.headers}
    for action in destination.actions.values():
        seen.update(name.lower() for name in action.own_headers)
    seen -= {"authorization"}
    seen |= NOT_FOR_CREDENTIALS
    for below, name in _headers(scheme):
        if name.lower() in seen:
            message, hint = f"the header {name} is set elsewhere too", "take one of the two out"
            yield at(destination.document, place + below, message, hint)
        seen.add(name.lower())


def _headers(scheme: AuthConfig) -> Iterator[tuple[str, str]]:
    """Yield the headers of a scheme with their places."""
    if scheme.key_in == "header":
        yield "/name", scheme.key_name
    elif scheme.scheme not in ("api_key", "none"):
        yield "/scheme", "Authorization"
    for name in scheme.headers:
        yield f"/headers{pointer([name])}", name
    for signature in scheme.body_signatures:
        yield f"{signature.pointer}/header", signature.header


def key_in_body(bench: Bench) -> Iterator[Problem]:
    """Find a body that cannot take the key of `auth`: nothing could be sent. Make it an object without that member."""
    for place, scheme in _schemes(bench.destination):
        for sample in bench.samples if scheme.key_in == "body" else ():
            known = isinstance(sample.body, dict) and scheme.key_name not in sample.body
            if not known:
                what = (
                    "has this member already"
                    if isinstance(sample.body, dict)
                    else "is no JSON object"
                )
                hint = bench.seen_with(sample.action, sample.place)
                yield at(
                    bench.destination.document,
                    f"{place}/in",
                    f"the key stands in the body, and a body {what}",
                    hint,
                )
                break


#: Code and rule.
RULES: list[tuple[str, Rule]] = [
    ("D207", credentials),
    ("D232", set_twice),
    ("D240", choice),
    ("D241", token_url),
]

#: Code and rule, on what the examples come to.
BENCH_RULES: list[tuple[str, BenchRule]] = [("D242", key_in_body)]
