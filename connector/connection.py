"""Connections: one customer's settings, secret references and routes, checked with every problem at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from yaml import YAMLError

from .catalog import Catalog
from .definition import Action, Destination, Limits, limits
from .errors import ConfigError, Problem, nearest
from .expressions import SYNTAX, ExpressionError
from .forms import form_problems
from .mapping import compile_path, compile_source, compile_when
from .records import Route
from .targets import ParameterError, compile_parameter
from .yamls import parse_yaml, read_yaml

_LOOPBACK = re.compile(r"localhost|127(\.\d{1,3}){3}|::1")


class SecretRef(NamedTuple):
    """Where a secret is found: kind `env` (a variable's name) or `file` (a path)."""

    kind: str
    place: str


@dataclass(frozen=True)
class Connection:
    """A checked connection. `limits` are those of the file; `file` names it in messages."""

    file: str
    destination: Destination
    settings: Mapping[str, Any]
    credentials: Mapping[str, SecretRef]
    base_url: str
    limits: Limits
    event_id: str | None
    routes: tuple[Route, ...]

    def secrets(self) -> dict[str, str]:
        """Return the secrets. Raises ConfigError (C204, C216): which are missing, and where they were sought."""
        found: dict[str, str] = {}
        problems = [
            Problem(
                "C204", self.file, "/credentials", f"missing credential '{name}'", "write {env: NAME} or {file: PATH}"
            )
            for name in self.destination.auth.get("credentials", ())
            if name not in self.credentials
        ]
        for name, ref in self.credentials.items():
            try:
                found[name] = _read_secret(ref)
            except ValueError as error:
                problems.append(Problem("C216", self.file, f"/credentials/{name}", *_said(error)))
        if problems:
            raise ConfigError(problems)
        return found


def _read_secret(ref: SecretRef) -> str:
    if ref.kind == "env":
        secret = os.environ.get(ref.place, "")
        if not secret:
            # a name of another form may be the secret itself
            name = ref.place if re.fullmatch("[A-Z_][A-Z0-9_]*", ref.place) else "named here"
            raise ValueError(f"the environment variable {name} is not set or empty; export it before sending")
        return secret
    try:
        secret = Path(ref.place).read_text("utf-8").strip()
    except FileNotFoundError:
        raise ValueError(f"there is no file {ref.place}; write the secret to it, or mend the path") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"the file {ref.place} cannot be read ({type(error).__name__})") from None
    if not secret:
        raise ValueError(f"the file {ref.place} is empty; write the secret to it")
    return secret


def _said(error: ValueError) -> tuple[str, str]:
    """Return what an error says as message and hint."""
    message, _, hint = str(error).partition("; ")
    return message, hint


def _wanted(schema: Mapping[str, Any]) -> str:
    """Return the hint that says which values a parameter or setting takes."""
    kind, values = ("known", schema["enum"]) if "enum" in schema else ("for example", schema.get("examples", ()))
    return f"{kind}: {', '.join(map(str, values))}" if values else ""


def _wrong_address(url: str) -> tuple[str, str]:
    """Return what is wrong with a base URL and how to mend it, two empty texts when nothing is."""
    hint = "write it like https://host or http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        host = parts.hostname if parts.port != 0 else None
    except ValueError:
        return "is not the base of a URL", hint
    if parts.username is not None:
        return "holds a user name or password", "take it out; secrets are referred to under 'credentials'"
    if parts.scheme not in ("http", "https") or not host or parts.query or parts.fragment:
        return "is not the base of a URL", hint
    if parts.scheme == "http" and not _LOOPBACK.fullmatch(host):
        return "https is required: identifiers would travel in the clear", "http is allowed on loopback only"
    return "", ""


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
    if not equals or not (section == "base_url" or (section in ("settings", "limits") and name)):
        hint = "allowed: settings.NAME=VALUE, limits.NAME=VALUE, base_url=URL"
        raise ConfigError([Problem("C011", "--set", "", f"'{place}' cannot be set", hint)])
    try:
        value = text if section == "base_url" else parse_yaml(text)
    except (YAMLError, RecursionError):
        raise ConfigError([Problem("C011", "--set", "", f"the value of '{place}' is not YAML")]) from None
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
        credentials={name: SecretRef(*next(iter(ref.items()))) for name, ref in raw.get("credentials", {}).items()},
        base_url=raw.get("base_url", destination.raw["base_url"]),
        limits=limits(raw.get("limits", {})),
        event_id=raw.get("event_id"),
        routes=tuple(
            Route(_route_name(i, route), destination.actions[route["action"]], route.get("when"), route.get("map", {}))
            for i, route in enumerate(raw["routes"])
        ),
    )


def _route_name(index: int, route: Mapping[str, Any]) -> str:
    return str(route.get("name", f"{route['action']}-{index + 1}"))


class _Checker:
    """The rules on a connection whose form is right, each one small generator."""

    def __init__(self, raw: Mapping[str, Any], file: str, destination: Destination) -> None:
        self.raw = raw
        self.file = file
        self.destination = destination
        defaults = {name: schema["default"] for name, schema in destination.settings.items() if "default" in schema}
        self.settings: dict[str, Any] = {**defaults, **raw.get("settings", {})}

    def problems(self) -> Iterator[Problem]:
        yield from self._settings()
        yield from self._credentials()
        yield from self._base_url()
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
                about = known[name].get("description", "")
                yield self._problem("C202", "/settings", f"missing setting '{name}'", about)
        for name, value in self.settings.items():
            if name not in known:
                yield self._problem("C202", f"/settings/{name}", f"unknown setting '{name}'", nearest(name, known))
                continue
            problems = list(self._value("C202", f"/settings/{name}", name, known[name], value))
            yield from problems
            if not problems:
                self.settings[name] = compile_parameter(name, known[name])(value)

    def _value(self, code: str, pointer: str, name: str, schema: Mapping[str, Any], value: Any) -> Iterator[Problem]:
        try:
            compile_parameter(name, schema)(value)
        except ParameterError as error:
            yield self._problem(code, pointer, str(error), _wanted(schema))

    def _credentials(self) -> Iterator[Problem]:
        wanted = self.destination.auth.get("credentials", [])
        given = self.raw.get("credentials", {})
        for name in given:
            if name not in wanted:
                yield self._problem(
                    "C204", f"/credentials/{name}", f"unknown credential '{name}'", nearest(name, wanted)
                )
        for name in wanted if "credentials" in self.raw else ():
            if name not in given:
                yield self._problem(
                    "C204", "/credentials", f"missing credential '{name}'", "write {env: NAME} or {file: PATH}"
                )

    def _base_url(self) -> Iterator[Problem]:
        message, hint = _wrong_address(self.raw.get("base_url", self.destination.raw["base_url"]))
        if message:
            yield self._problem("C205", "/base_url", message, hint)

    def _limits(self) -> Iterator[Problem]:
        try:
            wanted = limits(self.raw.get("limits", {}))
        except ValueError as error:
            yield self._problem("C206", "/limits", f"a limit {error}")
            return
        actions = {route["action"]: self.destination.actions.get(route["action"]) for route in self.raw["routes"]}
        above = [(getattr(a.caps, name), a.id, name) for a in actions.values() if a for name in wanted.above(a.caps)]
        for name in dict.fromkeys(name for _, _, name in above):
            cap, action, _ = min(row for row in above if row[2] == name)
            message = f"is above the vendor's cap of {cap:,} for {action}"
            yield self._problem("C206", f"/limits/{name}", message, f"allowed: at most {cap}")

    def _event_id(self) -> Iterator[Problem]:
        if "event_id" in self.raw:
            yield from self._compiles("C211", "/event_id", lambda: compile_path(self.raw["event_id"]))

    def _names(self) -> Iterator[Problem]:
        seen: set[str] = set()
        for index, route in enumerate(self.raw["routes"]):
            name = _route_name(index, route)
            if name in seen:
                yield self._problem(
                    "C214", f"/routes/{index}/name", f"two routes are named '{name}'", "names have to differ"
                )
            seen.add(name)

    def _route(self, pointer: str, route: Mapping[str, Any]) -> Iterator[Problem]:
        actions = self.destination.actions
        if route["action"] not in actions:
            message = f"unknown action '{route['action']}'"
            yield self._problem("C207", f"{pointer}/action", message, nearest(route["action"], actions))
            return
        yield from self._compiles("C212", f"{pointer}/when", lambda: compile_when(route.get("when"), self.settings))
        action, mapped = actions[route["action"]], route.get("map", {})
        for name, source in mapped.items():
            yield from self._map_entry(f"{pointer}/map/{name}", action, name, source)
        yield from self._needed(f"{pointer}/map", action, mapped)

    def _map_entry(self, pointer: str, action: Action, name: str, source: Mapping[str, Any]) -> Iterator[Problem]:
        if name not in action.properties:
            yield self._problem("C208", pointer, f"unknown parameter '{name}'", nearest(name, action.properties))
            return
        code = "C212" if "expr" in source else "C211"
        place = f"{pointer}/{next(iter(source))}"
        yield from self._compiles(code, place, lambda: compile_source(source, self.settings))
        if "value" in source and "identifier" not in action.properties[name]:
            yield from self._value("C213", place, name, action.properties[name], source["value"])

    def _needed(self, pointer: str, action: Action, mapped: Mapping[str, Any]) -> Iterator[Problem]:
        for name in action.schema.get("required", ()):
            if name not in mapped and "default" not in action.properties[name]:
                about = action.properties[name].get("description", "")
                yield self._problem("C209", pointer, f"the required parameter '{name}' is not mapped", about)
        people = [identifier.parameter for identifier in action.identifiers]
        if people and not set(people) & set(mapped):
            yield self._problem("C210", pointer, "no identifier is mapped", f"at least one of: {', '.join(people)}")

    def _compiles(self, code: str, pointer: str, compile_it: Any) -> Iterator[Problem]:
        try:
            compile_it()
        except (ExpressionError, ValueError) as error:
            message, hint = _said(error)
            yield self._problem(code, pointer, message, hint or SYNTAX)
