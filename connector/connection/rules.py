"""The rules on a connection that the meta-schema cannot express, each one a small generator."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from connector.connection.mapping import compile_path, compile_source, compile_when
from connector.connection.model import field_mapping
from connector.connection.secrets import REFERENCE_HINT, missing
from connector.connection.urls import Purpose, address_problem
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.headers import NOT_IN_CONNECTIONS, is_header, names_a_secret
from connector.definitions.model import Action, AuthConfig, Destination, Field
from connector.definitions.read import read_limits
from connector.definitions.uri_template import placeholders
from connector.errors import Problem, nearest
from connector.templating.data import ExpressionError
from connector.templating.expressions import SYNTAX

Document = Mapping[str, Any]


class Finding(NamedTuple):
    """A problem of the file that is checked."""

    code: str
    pointer: str
    message: str
    hint: str = ""


Findings = Iterator[Finding]


def route_name(index: int, route: Document) -> str:
    """Return the name of a route, the default one when the file gives none."""
    return str(route.get("name", f"{route['action']}-{index + 1}"))


class Rules:
    """The rules, and the settings that come of them: defaults filled in, values coerced."""

    def __init__(self, document: Document, file: str, destination: Destination) -> None:
        self._document = document
        self._file = file
        self._destination = destination

        self.settings: dict[str, Any] = {}
        for field in destination.settings.values():
            if field.has_default:
                self.settings[field.name] = field.default
        self.settings.update(document.get("settings", {}))

    def problems(self) -> Iterator[Problem]:
        """Yield every problem, in the order of the rules."""
        for finding in self._findings():
            yield Problem(finding.code, self._file, *finding[1:])

    def _findings(self) -> Findings:
        # first, as the other rules use the coerced settings
        yield from self._check_settings()
        yield from self._check_credentials()
        yield from self._check_base_url()
        yield from self._check_token_url()
        yield from self._check_limits()
        yield from self._check_event_id()
        yield from self._check_route_names()
        for index, route in enumerate(self._document["routes"]):
            yield from self._check_route(f"/routes/{index}", route)

    # --- settings ---

    def _check_settings(self) -> Findings:
        known = self._destination.settings
        for name in self._destination.schema.get("required", ()):
            if name not in self.settings:
                description = known[name].description if name in known else ""
                yield Finding("C202", "/settings", f"missing setting '{name}'", description)

        for name, value in self.settings.items():
            if name in known:
                yield from self._check_setting(known[name], value)
            else:
                pointer = f"/settings/{name}"
                message = f"unknown setting '{name}'"
                yield Finding("C202", pointer, message, nearest(name, known))

    def _check_setting(self, field: Field, value: Any) -> Findings:
        try:
            coerced = compile_parameter(field.name, field.schema)(value)
        except ParameterError as error:
            pointer = f"/settings/{field.name}"
            yield Finding("C202", pointer, str(error), _allowed_values(field))
            return
        self.settings[field.name] = coerced
        if field.name == self._destination.more_headers:
            yield from self._check_headers(field.name)

    def _check_headers(self, setting: str) -> Findings:
        """Check the setting whose members are further headers."""
        for name, text in self.settings[setting].items():
            message, hint = _header_problem(name, text)
            if message:
                yield Finding("C202", f"/settings/{setting}/{name}", message, hint)

    # --- credentials and addresses ---

    def _check_credentials(self) -> Findings:
        auth = self._auth(self._destination.auth.chosen)
        if auth is None or "credentials" not in self._document:
            return
        credentials = self._document["credentials"]
        for name in credentials:
            if name not in auth.credentials:
                pointer = f"/credentials/{name}"
                message = f"unknown credential '{name}'"
                yield Finding("C204", pointer, message, nearest(name, auth.credentials))
        for name in missing(auth, credentials):
            message = f"missing credential '{name}'"
            yield Finding("C204", "/credentials", message, REFERENCE_HINT)

    def _auth(self, choose: Callable[[Mapping[str, Any]], AuthConfig]) -> AuthConfig | None:
        """Return the auth of these settings, None when one of them is wrong, as reported there."""
        try:
            return choose(self.settings)
        except (LookupError, ValueError):
            return None

    def _check_base_url(self) -> Findings:
        if "base_url" in self._document:
            message, hint = address_problem(self._document["base_url"], Purpose.BASE)
            if message:
                yield Finding("C205", "/base_url", message, hint)
            return

        template = self._destination.base_url_template
        names = placeholders(template)
        for name in names:
            if not isinstance(self.settings.get(name), str):
                return  # missing or of another type, as reported there

        url = self._destination.base_url(self.settings)
        message, hint = address_problem(url, Purpose.BASE)
        if message and names:
            if template != f"{{{names[0]}}}":
                hint = f"it is part of {template}"
            yield Finding("C205", f"/settings/{names[0]}", message, hint)
        elif message:
            yield Finding("C205", "/base_url", message, hint)

    def _check_token_url(self) -> Findings:
        auth = self._auth(self._destination.auth.chosen)
        own_url = self._document.get("token_url")
        if own_url and auth and not auth.token_url:
            message = "has no effect: the authentication scheme uses no access token"
            yield Finding("C217", "/token_url", message, "remove it")

        names = placeholders(auth.token_url if auth else "")
        required = self._destination.schema.get("required", ())
        for name in names:
            # a required one is reported with the settings
            if name not in self.settings and name not in required:
                message = f"missing setting '{name}'"
                yield Finding("C202", "/settings", message, "it is part of token_url")

        filled_auth = self._auth(self._destination.auth_of)
        url = own_url or (filled_auth.token_url if filled_auth else "")
        if not url:
            return
        message, hint = address_problem(url, Purpose.TOKEN)
        if message:
            pointer = f"/settings/{names[0]}" if names and not own_url else "/token_url"
            yield Finding("C205", pointer, message, hint)

    # --- limits, event ids ---

    def _check_limits(self) -> Findings:
        try:
            limits = read_limits(self._document.get("limits", {}))
        except ValueError as error:
            yield Finding("C206", "/limits", f"a limit {error}")
            return

        # the lowest cap of all actions in use, by limit
        lowest: dict[str, tuple[Any, str]] = {}
        for route in self._document["routes"]:
            action = self._destination.actions.get(route["action"])
            if action is None:
                continue
            for name in limits.above(action.caps):
                cap = (getattr(action.caps, name), action.id)
                lowest[name] = min(cap, lowest.get(name, cap))

        for name, (cap, action_id) in lowest.items():
            message = f"is above the vendor's cap of {cap:,} for {action_id}"
            yield Finding("C206", f"/limits/{name}", message, f"allowed: at most {cap}")

    def _check_event_id(self) -> Findings:
        if "event_id" in self._document:
            path = self._document["event_id"]
            yield from self._compile("C211", "/event_id", lambda: compile_path(path))

    # --- routes ---

    def _check_route_names(self) -> Findings:
        seen: set[str] = set()
        for index, route in enumerate(self._document["routes"]):
            name = route_name(index, route)
            if name in seen:
                message = f"duplicate route name '{name}'"
                hint = "give each route a unique name"
                yield Finding("C214", f"/routes/{index}/name", message, hint)
            seen.add(name)

    def _check_route(self, pointer: str, route: Document) -> Findings:
        actions = self._destination.actions
        name = route["action"]
        if name not in actions:
            hint = nearest(name, actions)
            yield Finding("C207", f"{pointer}/action", f"unknown action '{name}'", hint)
            return

        when = route.get("when")
        yield from self._compile(
            "C212", f"{pointer}/when", lambda: compile_when(when, self.settings)
        )

        action = actions[name]
        mapped = route.get("map", {})
        for parameter, entry in mapped.items():
            entry_pointer = f"{pointer}/map/{parameter}"
            if parameter in action.parameters:
                field = action.parameters[parameter]
                yield from self._check_mapping(entry_pointer, field, entry)
            else:
                message = f"unknown parameter '{parameter}'"
                hint = nearest(parameter, action.parameters)
                yield Finding("C208", entry_pointer, message, hint)
        yield from self._check_mapped(f"{pointer}/map", action, mapped)

    def _check_mapping(self, pointer: str, field: Field, entry: Document) -> Findings:
        """Check one entry of a route's `map`, which has one member."""
        (kind,) = entry
        pointer = f"{pointer}/{kind}"
        code = "C212" if kind == "expr" else "C211"
        source = field_mapping(entry)
        yield from self._compile(code, pointer, lambda: compile_source(source, self.settings))

        if kind == "value" and field.identifier is None:
            try:
                compile_parameter(field.name, field.schema)(entry["value"])
            except ParameterError as error:
                yield Finding("C213", pointer, str(error), _allowed_values(field))

    def _check_mapped(self, pointer: str, action: Action, mapped: Document) -> Findings:
        """Check that everything every record needs is mapped."""
        for name in action.schema.get("required", ()):
            field = action.parameters.get(name)
            if name in mapped or (field and field.has_default):
                continue
            message = f"required parameter '{name}' is not mapped"
            yield Finding("C209", pointer, message, field.description if field else "")

        people = [one.parameter for one in action.identifiers if one.alone]
        if people and mapped.keys().isdisjoint(people):
            message = "no identifier is mapped"
            yield Finding("C210", pointer, message, f"map at least one of: {', '.join(people)}")

    def _compile(self, code: str, pointer: str, compile_it: Callable[[], Any]) -> Findings:
        """Report why a path or an expression does not compile."""
        try:
            compile_it()
        except (ExpressionError, ValueError) as error:
            message, _, hint = str(error).partition("; ")
            yield Finding(code, pointer, message, hint or SYNTAX)


def _allowed_values(field: Field) -> str:
    """Return the hint that says which values a parameter or setting takes."""
    if field.allowed:
        return f"allowed: {', '.join(map(str, field.allowed))}"
    if field.examples:
        return f"for example: {', '.join(map(str, field.examples))}"
    return ""


def _header_problem(name: str, text: Any) -> tuple[str, str]:
    """Return what is wrong with an extra header, and the fix; two empty texts when it is valid."""
    if not is_header(name, text):
        return (
            "is not a valid header",
            "allowed: a name of letters, digits and dashes, with a text value",
        )
    if names_a_secret(name):
        hint = "remove it; refer to secrets under 'credentials'"
        return f"the header {name} holds a secret", hint
    if name.lower() in NOT_IN_CONNECTIONS:
        return f"the connector sets the header {name} itself", "remove it"
    return "", ""
