"""The rules on a connection that the meta-schema cannot express, each one a small generator."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from connector._util import times
from connector._util.countries import UNKNOWN, letters_of, region
from connector.connection.action_names import nearest_action
from connector.connection.audience_rules import (
    identifier_findings,
    name_findings,
    opt_out_findings,
)
from connector.connection.finding import Finding, Findings
from connector.connection.input import input_options
from connector.connection.mapping import (
    compile_event_id,
    compile_path,
    compile_source,
    compile_when,
)
from connector.connection.model import (
    SOURCES,
    NamedAudience,
    field_mapping,
    opt_out,
)
from connector.connection.secrets import REFERENCE_HINT, missing
from connector.connection.urls import Purpose, address_problem, host_of, host_problem
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.exports import Export
from connector.definitions.fields import Form
from connector.definitions.headers import NOT_IN_CONNECTIONS, is_header, names_a_secret
from connector.definitions.login import ADDRESSES
from connector.definitions.model import (
    Action,
    AuthConfig,
    Destination,
    Field,
    FromParameter,
)
from connector.definitions.read import read_limits
from connector.definitions.uri_template import placeholders
from connector.errors import Problem, nearest
from connector.templating.data import ExpressionError
from connector.validation.explain import pointer as as_pointer

Document = Mapping[str, Any]

_NOT_IN_NAMES = re.compile(r"[/\\\x00-\x1f\x7f]")


def route_name(index: int, route: Document) -> str:
    """Return the name of a route, the default one when the file gives none."""
    return str(route.get("name", f"{route['action']}-{index + 1}"))


class Rules:
    """The rules, and the settings that come of them: defaults filled in, values coerced.

    `exports` are those of the destination, where the connection has some. `signing_in`: the setting
    that a sign-in finds the value of may be missing still.
    """

    def __init__(
        self,
        document: Document,
        file: str,
        destination: Destination,
        exports: Mapping[str, Export],
        *,
        signing_in: bool = False,
    ) -> None:
        self._signing_in = signing_in
        self._document = document
        self._file = file
        self._destination = destination
        self._exports = exports
        self._routes: Sequence[Document] = document.get("routes", ())

        self.settings: dict[str, Any] = {}
        for field in destination.settings.values():
            if field.has_default:
                self.settings[field.name] = field.default
        self.settings.update(document.get("settings", {}))

    def problems(self) -> Iterator[Problem]:
        """Yield every problem, in the order of the rules."""
        for finding in self._findings():
            yield finding.in_file(self._file)

    def _findings(self) -> Findings:
        # first, as the other rules use the coerced settings
        yield from self._check_settings()
        yield from self._check_credentials()
        yield from self._check_base_url()
        yield from self._check_token_url()
        yield from self._check_login_url()
        yield from self._check_limits()
        yield from self._check_event_id()
        yield from self._check_input()
        yield from self._check_route_names()
        for index, route in enumerate(self._routes):
            yield from self._check_route(f"/routes/{index}", route)
        for name, export in self._document.get("exports", {}).items():
            yield from self._check_export(name, export)

    # --- settings ---

    def _check_settings(self) -> Findings:
        known = self._destination.settings
        found_later = self._settings_found_later()
        for name in self._destination.schema.get("required", ()):
            if name not in self.settings and name not in found_later:
                description = known[name].description if name in known else ""
                yield Finding("C202", "/settings", f"missing setting '{name}'", description)

        for name, value in self.settings.items():
            if name in known:
                yield from self._check_setting(known[name], value)
            else:
                pointer = as_pointer(("settings", name))
                message = f"unknown setting '{name}'"
                yield Finding("C202", pointer, message, nearest(name, known))

    def _settings_found_later(self) -> set[str]:
        auth = self._auth(self._destination.auth.chosen) if self._signing_in else None
        if auth is None or auth.login is None or auth.login.accounts is None:
            return set()
        return {auth.login.accounts.setting}

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
        keys = [export.key.credential for export in self._exports.values() if export.key]
        known = dict.fromkeys([*auth.credentials, *keys])
        for name in credentials:
            if name not in known:
                pointer = f"/credentials/{name}"
                message = f"unknown credential '{name}'"
                yield Finding("C204", pointer, message, nearest(name, known))

        # Who only exports sends nothing.
        needed = list(missing(auth, credentials)) if self._routes else []
        needed += [name for name in self._keys_in_use() if name not in credentials]
        for name in needed:
            message = f"missing credential '{name}'"
            yield Finding("C204", "/credentials", message, REFERENCE_HINT)

    def _keys_in_use(self) -> list[str]:
        """Return the credentials of the exports that the connection maps, each once."""
        names = []
        for name in self._document.get("exports", ()):
            export = self._exports.get(name)
            if export and export.key:
                names.append(export.key.credential)
        return list(dict.fromkeys(names))

    def _auth(self, choose: Callable[[Mapping[str, Any]], AuthConfig]) -> AuthConfig | None:
        """Return the auth of these settings, None when one of them is wrong, as reported there."""
        try:
            return choose(self.settings)
        except (LookupError, ValueError):
            return None

    def _check_base_url(self) -> Findings:
        if "base_url" in self._document:
            yield from self._check_moved("base_url", Purpose.BASE)
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
            return

        names = placeholders(auth.token_url if auth else "")
        required = self._destination.schema.get("required", ())
        for name in names:
            # a required one is reported with the settings
            if name not in self.settings and name not in required:
                message = f"missing setting '{name}'"
                yield Finding("C202", "/settings", message, "it is part of token_url")

        if own_url:
            yield from self._check_moved("token_url", Purpose.TOKEN)
            return
        filled_auth = self._auth(self._destination.auth_of)
        url = filled_auth.token_url if filled_auth else ""
        if not url:
            return
        message, hint = address_problem(url, Purpose.TOKEN)
        if message:
            pointer = f"/settings/{names[0]}" if names else "/token_url"
            yield Finding("C205", pointer, message, hint)

    def _check_login_url(self) -> Findings:
        url = self._document.get("login_url")
        auth = self._auth(self._destination.auth.chosen)
        if not url:
            return
        if auth and not auth.login:
            message = "has no effect: the definition does not say how to sign in"
            yield Finding("C217", "/login_url", message, "remove it")
        yield from self._check_moved("login_url", Purpose.LOGIN)

    def _check_moved(self, member: str, purpose: Purpose) -> Findings:
        """Check an address that stands in the place of the destination's own."""
        url = self._document[member]
        message, hint = address_problem(url, purpose)
        if not message:
            message, hint = host_problem(url, self._own_hosts())
        if message:
            yield Finding("C205", f"/{member}", message, hint)

    def _own_hosts(self) -> set[str]:
        """Return the hosts of the destination's own addresses, of those that can be known."""
        addresses = []
        with suppress(LookupError, ValueError):  # a wrong setting is reported with the settings
            addresses.append(self._destination.base_url(self.settings))
        with suppress(LookupError, ValueError):
            auth = self._destination.auth_of(self.settings)
            addresses.append(auth.token_url)
            if auth.login:
                addresses += [getattr(auth.login, name) for name in ADDRESSES]
        return set(filter(None, map(host_of, addresses)))

    # --- limits, event ids ---

    def _check_limits(self) -> Findings:
        try:
            limits = read_limits(self._document.get("limits", {}))
        except ValueError as error:
            yield Finding("C206", "/limits", f"a limit {error}")
            return

        # the lowest cap of all actions in use, by limit
        lowest: dict[str, tuple[Any, str]] = {}
        for route in self._routes:
            action = self._destination.actions.get(route["action"])
            if action is None:
                continue
            for name in limits.above(action.most):
                cap = (getattr(action.most, name), action.id)
                lowest[name] = min(cap, lowest.get(name, cap))

        for name, (cap, action_id) in lowest.items():
            message = f"is above the vendor's cap of {cap:,} for {action_id}"
            yield Finding("C206", f"/limits/{name}", message, f"allowed: at most {cap}")

    def _check_event_id(self) -> Findings:
        if "event_id" in self._document:
            path = self._document["event_id"]
            yield from self._compile("C211", "/event_id", lambda: compile_event_id(path))

    def _check_input(self) -> Findings:
        try:
            options = input_options(self._document.get("input", {}))
        except ValueError as error:
            hint = "for example utf-8, cp1252, utf-16; any text encoding that Python knows"
            yield Finding("C221", "/input/encoding", str(error), hint)
            return

        quote = '"' if options.quote is None else options.quote
        if quote == (options.delimiter or ","):
            message = "is the delimiter, too"
            yield Finding("C221", "/input/quote", message, "give them different characters")

    # --- routes ---

    def _check_route_names(self) -> Findings:
        seen: set[str] = set()
        for index, route in enumerate(self._routes):
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
            hint = nearest_action(name, actions)
            yield Finding("C207", f"{pointer}/action", f"unknown action '{name}'", hint)
            return

        action = actions[name]
        yield from self._check_taking(pointer, route, action)
        yield from self._check_audiences(pointer, route, action)
        yield from self._check_mapped(f"{pointer}/map", action, route)

    def _check_taking(self, pointer: str, route: Document, form: Form) -> Findings:
        """Check which rows a route or an export takes, and each entry of its `map`."""
        each = route.get("each")
        if each is not None:
            yield from self._compile("C211", f"{pointer}/each", lambda: compile_path(each))
        when = route.get("when")
        yield from self._compile(
            "C212",
            f"{pointer}/when",
            lambda: compile_when(when, self.settings, each=each is not None),
        )

        for parameter, entry in route.get("map", {}).items():
            entry_pointer = pointer + as_pointer(("map", parameter))
            if parameter in form.parameters:
                field = form.parameters[parameter]
                yield from self._check_source(entry_pointer, entry, each=each is not None)
                yield from self._check_mapping(entry_pointer, form, field, entry)
            else:
                message = f"unknown parameter '{parameter}'"
                hint = nearest(parameter, form.parameters)
                yield Finding("C208", entry_pointer, message, hint)

    def _check_audiences(self, pointer: str, route: Document, action: Action) -> Findings:
        """Check the audiences that a route names, and what it says of opting out."""
        destination = self._destination
        each = "each" in route
        is_sound = True
        for parameter, entry in route.get("map", {}).items():
            source = field_mapping(entry)
            if parameter in action.parameters and isinstance(source, NamedAudience):
                place = pointer + as_pointer(("map", parameter, "audience"))
                for finding in name_findings(
                    place, parameter, source, destination, self.settings, each=each
                ):
                    is_sound = False
                    yield finding
        if is_sound:
            yield from self._compiled(identifier_findings(pointer, route, action))
        if opt_out(route.get("opt_out", False)):
            yield from opt_out_findings(pointer, route, action, destination)

    def _compiled(self, findings: Findings) -> Findings:
        """Yield what is found, nothing where a path or an expression is wrong, as reported."""
        try:
            yield from findings
        except (ExpressionError, ValueError):
            return

    def _check_source(self, pointer: str, entry: Document, *, each: bool) -> Findings:
        """Check the paths and the expression of an entry of a route's `map`."""
        kind = next(key for key in SOURCES if key in entry)
        source = field_mapping(entry)
        if isinstance(source, NamedAudience):
            return  # which has rules of its own
        code = "C212" if kind == "expr" else "C211"
        yield from self._compile(
            code,
            f"{pointer}/{kind}",
            lambda: compile_source(source, self.settings, each=each),
        )
        if isinstance(entry.get("country"), dict):
            yield from self._check_source(f"{pointer}/country", entry["country"], each=each)

    def _check_mapping(self, pointer: str, form: Form, field: Field, entry: Document) -> Findings:
        """Check that what an entry of a `map` says can be said of this parameter."""
        identifier = field.identifier
        if "value" in entry and identifier is None:
            try:
                compile_parameter(field.name, field.schema)(entry["value"])
            except ParameterError as error:
                yield Finding("C213", f"{pointer}/value", str(error), _allowed_values(field))

        if "now" in entry:
            message, hint = _now_problem(form, field, entry["now"])
            if message:
                yield Finding("C213", f"{pointer}/now", message, hint)
        if "prehashed" in entry and not (identifier and identifier.is_hashed_here):
            message = f"has no effect: {field.name} is not hashed here"
            yield Finding("C218", f"{pointer}/prehashed", message, "remove it")
        if "country" in entry:
            yield from _country_findings(f"{pointer}/country", field, entry["country"])

    def _check_required(
        self, pointer: str, form: Form, mapped: Document, *, opts_out: bool = False
    ) -> Findings:
        """Check that the required parameters are mapped."""
        audiences = self._destination.audiences
        for name in form.schema.get("required", ()):
            field = form.parameters.get(name)
            if name in mapped or (field and field.has_default):
                continue
            if opts_out and (name in audiences or not audiences):
                continue  # it is every one of them
            message = f"required parameter '{name}' is not mapped"
            yield Finding("C209", pointer, message, field.description if field else "")

    def _check_mapped(self, pointer: str, action: Action, route: Document) -> Findings:
        """Check that everything every record needs is mapped."""
        mapped = route.get("map", {})
        opts_out = opt_out(route.get("opt_out", False)) is not None
        yield from self._check_required(pointer, action, mapped, opts_out=opts_out)
        people: list[tuple[str, ...]] = [
            (one.parameter,) for one in action.identifiers if one.alone
        ]
        people += action.together.values()
        if people and not any(mapped.keys() >= set(names) for names in people):
            message = "no identifier is mapped"
            known = ", ".join(" with ".join(names) for names in people)
            yield Finding("C210", pointer, message, f"map at least one of: {known}")

    # --- exports ---

    def _check_export(self, name: str, document: Document) -> Findings:
        pointer = as_pointer(("exports", name))
        if name not in self._exports:
            message = f"unknown export '{name}'"
            yield Finding("C238", pointer, message, nearest(name, self._exports))
            return

        export = self._exports[name]
        mapped = document["map"]
        yield from self._check_taking(pointer, document, export)
        for parameter, entry in mapped.items():
            if parameter in export.parameters and "audience" in entry:
                message = "only the routes of a connection name audiences"
                hint = "write {value: …} or {from: path}"
                place = as_pointer(("map", parameter, "audience"))
                yield Finding("C240", pointer + place, message, hint)
        yield from self._check_required(f"{pointer}/map", export, mapped)
        for wire in export.needed_wires:
            people = export.of_wire(wire)
            if mapped.keys().isdisjoint(people) and wire not in export.schema["required"]:
                message = f"no identifier is mapped for the column '{wire}'"
                hint = f"map at least one of: {', '.join(people)}"
                yield Finding("C210", f"{pointer}/map", message, hint)
        for parameter in export.names_of_file:
            entry = mapped.get(parameter, {"value": ""})
            if "value" not in entry:
                message = f"{parameter} is a part of the file's name, so it is the same for all"
                hint = "map it to a constant: {value: …}"
                yield Finding("C239", f"{pointer}/map/{parameter}", message, hint)
            elif _NOT_IN_NAMES.search(str(entry["value"])):
                message = "cannot be a part of a file's name"
                hint = "leave out slashes, backslashes and control characters"
                yield Finding("C239", f"{pointer}/map/{parameter}/value", message, hint)

    def _compile(self, code: str, pointer: str, compile_it: Callable[[], Any]) -> Findings:
        """Report why a path or an expression does not compile."""
        try:
            compile_it()
        except (ExpressionError, ValueError) as error:
            message, _, hint = str(error).partition("; ")
            yield Finding(code, pointer, message, hint)


def _country_findings(pointer: str, field: Field, country: Any) -> Findings:
    if field.identifier is None or not field.identifier.is_phone:
        message = f"has no effect: {field.name} is not a phone number"
        yield Finding("C218", pointer, message, "remove it")
        return

    constant = country.get("value") if isinstance(country, dict) else country
    if constant is not None and region(constant) == UNKNOWN:
        hint = "write the two letters of ISO 3166-1, such as DE, or where they come from"
        letters = letters_of(constant)
        if letters:
            hint = f"did you mean '{letters}'? {hint}"
        yield Finding("C213", pointer, "there is no such country", hint)


def _now_problem(form: Form, field: Field, duration: str) -> tuple[str, str]:
    """Return why a parameter cannot be mapped to `now`, and the fix; two empty texts if it can."""
    if not field.is_moment:
        return f"'now' is a time, and {field.name} is none", ""

    if isinstance(form, Action) and field.name in _known_before_building(form):
        message = f"{field.name} says which records share a request, and 'now' is known later"
        return message, "map it to a value, a field or an expression"

    try:
        times.plus("2026-01-15T00:00:00Z", duration)
    except ValueError as error:
        return str(error), ""
    return "", ""


def _known_before_building(action: Action) -> set[str]:
    """Return the parameters that say which records share a request."""
    names = {*placeholders(action.path), *placeholders(action.audience)}
    for text in (*action.query.values(), *action.headers.values()):
        names.update(placeholders(text))
    for value in action.request.values():
        if isinstance(value, FromParameter):
            names.add(value.parameter)
    return names


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
