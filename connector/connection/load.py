"""Connections: one customer's settings, secret references and routes, checked with every problem at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from yaml import YAMLError

from connector._util.yaml_file import parse_yaml, read_yaml
from connector.connection.mapping import compile_path, compile_source, compile_when
from connector.connection.model import Connection, Route, field_mapping, field_mappings
from connector.connection.secrets import SecretRef, missing
from connector.connection.urls import wrong_address
from connector.definitions.catalog import Catalog
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.headers import CONTROL, OWN_HEADERS
from connector.definitions.metaschema import form_problems
from connector.definitions.model import Action, AuthConfig, Destination, Field
from connector.definitions.read import read_limits
from connector.definitions.uri_template import placeholders
from connector.errors import ConfigError, Problem, nearest
from connector.templating.expressions import SYNTAX, ExpressionError

_HEADER = re.compile("[A-Za-z0-9-]+")
# a name that says so: what it holds does not belong into a file
_SECRET_HEADER = re.compile("auth|cookie|key|password|secret|token", re.IGNORECASE)
_ADDRESSES = ("base_url", "token_url")


def _said(error: ValueError) -> tuple[str, str]:
    """Return what an error says as message and hint."""
    message, _, hint = str(error).partition("; ")
    return message, hint


def _wanted(field: Field) -> str:
    """Return the hint that says which values a parameter or setting takes."""
    if field.allowed:
        return f"known: {', '.join(map(str, field.allowed))}"
    if field.examples:
        return f"for example: {', '.join(map(str, field.examples))}"
    return ""


def load_connection(path: Path, catalog: Catalog, overrides: Sequence[str] = ()) -> Connection:
    """Load a connection file; `overrides` are `settings.name=value`.

    Raises ConfigError with every problem, and DefinitionError when the destination itself is wrong.
    """
    raw = read_yaml(path, "C")
    for override in overrides:
        raw = _override(raw, override)
    problems = list(_form(raw, str(path)))
    if problems:
        raise ConfigError(problems)
    return make_connection(raw, str(path), catalog)


def _override(raw: Any, override: str) -> Any:
    place, equals, text = override.partition("=")
    section, _, name = place.partition(".")
    if not equals or not (section in _ADDRESSES or (section in ("settings", "limits") and name)):
        hint = "allowed: settings.NAME=VALUE, limits.NAME=VALUE, base_url=URL, token_url=URL"
        raise ConfigError([Problem("C011", "--set", "", f"'{place}' cannot be set", hint)])
    try:
        value = text if section in _ADDRESSES else parse_yaml(text)
    except (YAMLError, RecursionError):
        raise ConfigError(
            [Problem("C011", "--set", "", f"the value of '{place}' is not YAML")]
        ) from None
    before = raw.get(section) if isinstance(raw, dict) else None
    if not isinstance(raw, dict) or (name and not isinstance(before, dict | None)):
        return raw  # the form says what is wrong
    return {**raw, section: {**(before or {}), name: value} if name else value}


def _form(raw: Any, file: str) -> Iterator[Problem]:
    for problem in form_problems("connection", raw, file, "C"):
        written = problem.code == "C105" and not problem.message.endswith("not null")
        if written and problem.pointer.startswith("/credentials/"):
            message = "a secret is written in the file"
            hint = "write {env: NAME} or {file: PATH}, and replace that secret"
            yield problem._replace(code="C203", message=message, hint=hint)
        else:
            yield problem


def make_connection(raw: Mapping[str, Any], file: str, catalog: Catalog) -> Connection:
    """Make a connection of a document whose form is right. Raises ConfigError, DefinitionError."""
    if raw["destination"] not in catalog.ids():
        message = f"unknown destination '{raw['destination']}'"
        hint = f"{nearest(raw['destination'], catalog.ids())}; definitions of your own need --definitions FOLDER"
        raise ConfigError([Problem("C201", file, "/destination", message, hint)])
    destination = catalog.load(raw["destination"])
    checker = _Checker(raw, file, destination)
    problems = list(checker.problems())
    if problems:
        raise ConfigError(problems)
    return Connection(
        file=file,
        destination=destination,
        settings=checker.settings,
        credentials={
            name: SecretRef(*next(iter(ref.items())))
            for name, ref in raw.get("credentials", {}).items()
        },
        base_url=raw.get("base_url") or destination.base_url(checker.settings),
        limits=read_limits(raw.get("limits", {})),
        event_id=raw.get("event_id"),
        order=raw.get("order", "strict"),
        routes=tuple(
            Route(
                _route_name(i, route),
                destination.actions[route["action"]],
                route.get("when"),
                field_mappings(route.get("map", {})),
            )
            for i, route in enumerate(raw["routes"])
        ),
        token_url=raw.get("token_url", ""),
    )


def _route_name(index: int, route: Mapping[str, Any]) -> str:
    return str(route.get("name", f"{route['action']}-{index + 1}"))


class _Checker:
    """The rules on a connection whose form is right, each one small generator."""

    def __init__(self, raw: Mapping[str, Any], file: str, destination: Destination) -> None:
        self.raw = raw
        self.file = file
        self.destination = destination
        defaults = {}
        for field in destination.settings.values():
            if field.has_default:
                defaults[field.name] = field.default
        self.settings: dict[str, Any] = {**defaults, **raw.get("settings", {})}

    def problems(self) -> Iterator[Problem]:
        yield from self._settings()
        yield from self._credentials()
        yield from self._base_url()
        yield from self._token_url()
        yield from self._limits()
        yield from self._event_id()
        yield from self._names()
        for index, route in enumerate(self.raw["routes"]):
            yield from self._route(f"/routes/{index}", route)

    def _problem(self, code: str, pointer: str, message: str, hint: str = "") -> Problem:
        return Problem(code, self.file, pointer, message, hint)

    def _settings(self) -> Iterator[Problem]:
        known = self.destination.settings
        for name in self.destination.schema.get("required", ()):
            if name not in self.settings:
                about = known[name].description if name in known else ""
                yield self._problem("C202", "/settings", f"missing setting '{name}'", about)
        for name, value in self.settings.items():
            if name not in known:
                yield self._problem(
                    "C202", f"/settings/{name}", f"unknown setting '{name}'", nearest(name, known)
                )
                continue
            problems = list(self._value("C202", f"/settings/{name}", known[name], value))
            yield from problems
            if not problems:
                self.settings[name] = compile_parameter(name, known[name].schema)(value)
            if not problems and name == self.destination.more_headers:
                yield from self._more_headers(name)

    def _value(self, code: str, pointer: str, field: Field, value: Any) -> Iterator[Problem]:
        try:
            compile_parameter(field.name, field.schema)(value)
        except ParameterError as error:
            yield self._problem(code, pointer, str(error), _wanted(field))

    def _credentials(self) -> Iterator[Problem]:
        auth = self._auth(self.destination.auth.chosen)
        if auth is None:
            return
        wanted = auth.credentials
        given = self.raw.get("credentials", {})
        for name in given:
            if name not in wanted:
                yield self._problem(
                    "C204",
                    f"/credentials/{name}",
                    f"unknown credential '{name}'",
                    nearest(name, wanted),
                )
        yield from missing(auth, given, self.file) if "credentials" in self.raw else ()

    def _auth(self, of: Callable[[Mapping[str, Any]], AuthConfig]) -> AuthConfig | None:
        """Return the auth of the settings; None when one of them is wrong, which is said there."""
        try:
            return of(self.settings)
        except (LookupError, ValueError):
            return None

    def _token_url(self) -> Iterator[Problem]:
        auth, given = self._auth(self.destination.auth.chosen), self.raw.get("token_url")
        named = placeholders(auth.token_url if auth else "")
        if given and auth and not auth.token_url:
            yield self._problem(
                "C217", "/token_url", "nothing here asks for a token", "take it out"
            )
        for name in named:
            if name not in self.settings and name not in self.destination.schema.get(
                "required", ()
            ):
                yield self._problem(
                    "C202", "/settings", f"missing setting '{name}'", "it is a part of token_url"
                )
        filled = self._auth(self.destination.auth_of)
        url = given or (filled.token_url if filled else "")
        message, hint = (
            wrong_address(url, "the address of a token endpoint", "secrets") if url else ("", "")
        )
        if message:
            pointer = f"/settings/{named[0]}" if named and not given else "/token_url"
            yield self._problem("C205", pointer, message, hint)

    def _base_url(self) -> Iterator[Problem]:
        template = self.destination.base_url_template
        named = placeholders(template)
        if "base_url" not in self.raw and not all(
            isinstance(self.settings.get(name), str) for name in named
        ):
            return  # a setting is missing or of another type, which is said there
        message, hint = wrong_address(
            self.raw.get("base_url") or self.destination.base_url(self.settings)
        )
        if message:
            filled = named and "base_url" not in self.raw
            hint = (
                f"it becomes a part of {template}"
                if filled and template != f"{{{named[0]}}}"
                else hint
            )
            yield self._problem(
                "C205", f"/settings/{named[0]}" if filled else "/base_url", message, hint
            )

    def _more_headers(self, setting: str) -> Iterator[Problem]:
        """Yield what cannot be a header in the setting whose members are headers."""
        for name, text in self.settings[setting].items():
            pointer = f"/settings/{setting}/{name}"
            if not _HEADER.fullmatch(name) or not isinstance(text, str) or CONTROL.search(text):
                yield self._problem(
                    "C202",
                    pointer,
                    "is no header",
                    "allowed: a name of letters, digits and dashes, and text",
                )
            elif _SECRET_HEADER.search(name):
                hint = "take it out; secrets are referred to under 'credentials'"
                yield self._problem("C202", pointer, f"the header {name} holds a secret", hint)
            elif name.lower() in OWN_HEADERS:
                yield self._problem(
                    "C202", pointer, f"the connector sets the header {name} itself", "take it out"
                )

    def _limits(self) -> Iterator[Problem]:
        try:
            wanted = read_limits(self.raw.get("limits", {}))
        except ValueError as error:
            yield self._problem("C206", "/limits", f"a limit {error}")
            return
        actions = {
            route["action"]: self.destination.actions.get(route["action"])
            for route in self.raw["routes"]
        }
        above = [
            (getattr(a.caps, name), a.id, name)
            for a in actions.values()
            if a
            for name in wanted.above(a.caps)
        ]
        for name in dict.fromkeys(name for _, _, name in above):
            cap, action, _ = min(row for row in above if row[2] == name)
            message = f"is above the vendor's cap of {cap:,} for {action}"
            yield self._problem("C206", f"/limits/{name}", message, f"allowed: at most {cap}")

    def _event_id(self) -> Iterator[Problem]:
        if "event_id" in self.raw:
            yield from self._compiles(
                "C211", "/event_id", lambda: compile_path(self.raw["event_id"])
            )

    def _names(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for index, route in enumerate(self.raw["routes"]):
            name = _route_name(index, route)
            if name in seen:
                yield self._problem(
                    "C214",
                    f"/routes/{index}/name",
                    f"two routes are named '{name}'",
                    "names have to differ",
                )
            seen.add(name)

    def _route(self, pointer: str, route: Mapping[str, Any]) -> Iterator[Problem]:
        actions = self.destination.actions
        if route["action"] not in actions:
            message = f"unknown action '{route['action']}'"
            yield self._problem(
                "C207", f"{pointer}/action", message, nearest(route["action"], actions)
            )
            return
        yield from self._compiles(
            "C212", f"{pointer}/when", lambda: compile_when(route.get("when"), self.settings)
        )
        action, mapped = actions[route["action"]], route.get("map", {})
        for name, source in mapped.items():
            yield from self._map_entry(f"{pointer}/map/{name}", action, name, source)
        yield from self._needed(f"{pointer}/map", action, mapped)

    def _map_entry(
        self, pointer: str, action: Action, name: str, source: Mapping[str, Any]
    ) -> Iterator[Problem]:
        if name not in action.parameters:
            yield self._problem(
                "C208", pointer, f"unknown parameter '{name}'", nearest(name, action.parameters)
            )
            return
        code = "C212" if "expr" in source else "C211"
        place = f"{pointer}/{next(iter(source))}"
        yield from self._compiles(
            code, place, lambda: compile_source(field_mapping(source), self.settings)
        )
        field = action.parameters[name]
        if "value" in source and field.identifier is None:
            yield from self._value("C213", place, field, source["value"])

    def _needed(self, pointer: str, action: Action, mapped: Mapping[str, Any]) -> Iterator[Problem]:
        for name in action.schema.get("required", ()):
            field = action.parameters[name]
            if name not in mapped and not field.has_default:
                message = f"the required parameter '{name}' is not mapped"
                yield self._problem("C209", pointer, message, field.description)
        people = [identifier.parameter for identifier in action.identifiers if identifier.alone]
        if people and not set(people) & set(mapped):
            yield self._problem(
                "C210", pointer, "no identifier is mapped", f"at least one of: {', '.join(people)}"
            )

    def _compiles(self, code: str, pointer: str, compile_it: Any) -> Iterator[Problem]:
        try:
            compile_it()
        except (ExpressionError, ValueError) as error:
            message, hint = _said(error)
            yield self._problem(code, pointer, message, hint or SYNTAX)
