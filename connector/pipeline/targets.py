"""Targets: the parameters that name no person.

They are checked once for each combination of their values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from connector._util import times
from connector._util.words import is_placeholder
from connector.connection.audience_names import AudienceName, Wanted
from connector.connection.mapping import (
    Row,
    compile_audience_name,
    compile_column,
    is_absent,
    parse_path,
    starts_in_item,
)
from connector.connection.model import (
    AfterNow,
    Constant,
    FromPaths,
    NamedAudience,
    OfOptOut,
    Route,
)
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.model import Check, FromNow
from connector.model import Target
from connector.pipeline.audiences import Audiences, Unresolved, shown
from connector.pipeline.fill import Fill, count_present
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.target_factory import TargetFactory
from connector.templating.data import AbsentError, ExpressionError, Shown
from connector.templating.expressions import Evaluate, compile_expression
from connector.templating.template import RenderError

CHECK_NAMES = ("params", "settings", "now")

# Targets are kept for this long, so that checks against the clock stay right, for this many
# combinations, and for values of so many characters together.
_KEEP_SECONDS = 60.0
_KEEP_TARGETS = 10_000
_KEEP_CHARACTERS = 10_000_000
# Why there is no target is kept only for short values: what is refused may be of any length.
_LONGEST_REFUSED = 1_000


class NoTarget(NamedTuple):
    """Why no record with these parameters can be sent. `outcome` is that of a Rejection."""

    code: str
    reason: str
    outcome: str = "rejected"


class _NoAudienceError(Exception):
    """An audience cannot be found by its name."""

    def __init__(self, reason: Unresolved) -> None:
        super().__init__(reason.code)
        self.reason = reason


Resolved = Target | NoTarget

# Returns the id of an audience, or why there is none.
_Find = Callable[[Wanted], str | Unresolved]


class Targets:
    """Turns the raw values of a route's parameters into a Target, or a NoTarget with the reason."""

    def __init__(
        self,
        route: Route,
        builder: RequestBuilder,
        settings: Mapping[str, Any],
        fill: Fill,
        audiences: Audiences,
        becomes_record: Callable[[Row, float], bool],
    ) -> None:
        """`fill` counts the values. `becomes_record`: whether a row is one, where its audience is.

        Raise ExpressionError or ValueError (a path).
        """
        action = route.action
        each = route.each is not None
        self._route = route.name
        self._action = action
        self._builder = builder
        self._settings = settings
        self._fill = fill
        self._audiences = audiences
        self._becomes_record = becomes_record
        self._audience_names: dict[str, AudienceName] = {}

        people = {identifier.parameter for identifier in action.identifiers}
        self._names = [name for name in action.parameters if name not in people]
        self._required = [name for name in self._names if action.parameters[name].required]
        self._coerce = {}
        self._getters = {}
        # Those that differ from event to event; a constant is resolved once for a chunk.
        self._varying: list[str] = []
        # Where moments are read, as an expression.
        self._moments: dict[str, str] = {}
        for name in self._names:
            field = action.parameters[name]
            self._coerce[name] = compile_parameter(name, field.schema)
            source = route.map.get(name)
            if source is None or field.ignored:
                continue
            get = compile_column(source, settings, each=each, words=field.allowed)
            self._getters[name] = get
            if field.is_moment and isinstance(source, FromPaths):
                self._moments[name] = _as_expression(source.paths[0])
            varies = not isinstance(source, Constant | AfterNow)
            if isinstance(source, NamedAudience):
                audience = compile_audience_name(name, source, settings, each=each)
                self._audience_names[name] = audience
                varies = audience.varies
            if varies:
                self._varying.append(name)

        # What events say for no value; a constant means what it says, and an id is one.
        ids = [name for name in self._varying if isinstance(route.map[name], OfOptOut)]
        self._may_be_placeholder = frozenset(self._varying).difference(ids, self._audience_names)

        split = action.split
        part_name = split.name if split else ""
        self._needed = [name for name in builder.needed if name != part_name]
        self._factory = TargetFactory(route.name, action, builder)
        self._checks = [_Check(check) for check in action.checks]
        self._known: dict[Any, Resolved] = {}
        self._known_characters = 0
        self._known_until = 0.0

    def resolve(self, data: Sequence[Row], now: float) -> list[Resolved]:
        """Return the target of each row, or a NoTarget with the reason.

        `now`: seconds since the epoch.
        """
        is_full = len(self._known) > _KEEP_TARGETS or self._known_characters > _KEEP_CHARACTERS
        if is_full or now >= self._known_until:
            self._known.clear()
            self._known_characters = 0
            self._known_until = now + _KEEP_SECONDS

        if not data:
            return []
        if not self._varying:
            return self._resolve_alike(data, now)

        known = self._known
        columns = []
        for name in self._varying:
            values = self._getters[name](data)
            self._fill.found(name, count_present(values))
            columns.append(values)
        keys = _keys(columns)
        return [
            known.get(key) or self._resolve_once(key, row, now)
            for key, row in zip(keys, data, strict=True)
        ]

    def _resolve_alike(self, data: Sequence[Row], now: float) -> list[Resolved]:
        """Return the target of rows that do not differ, the same one once it is known."""
        resolved: list[Resolved] = []
        for row in data:
            one = self._resolve_once((), row, now)
            if () in self._known:
                return resolved + [one] * (len(data) - len(resolved))
            resolved.append(one)
        return resolved

    def _resolve_once(self, key: Any, row: Row, now: float) -> Resolved:
        known = self._known.get(key)
        if known is not None:
            return known

        moment = times.from_epoch(now)
        if self._may_create(row, moment):
            resolved = self._resolve(row, moment, shown)
            if isinstance(resolved, Target) and not self._becomes_record(row, now):
                # It is kept for no other row: the next one may be the first in that audience.
                return resolved
        resolved = self._resolve(row, moment, self._audiences.find)
        characters = len(key) if isinstance(key, str) else sum(map(len, filter(None, key)))
        if isinstance(resolved, Target) or characters <= _LONGEST_REFUSED:
            self._known[key] = resolved
            self._known_characters += characters
        return resolved

    def _may_create(self, row: Row, now: str) -> bool:
        """Return whether resolving a row may create an audience."""
        try:
            for name in self._audience_names.values():
                if self._audiences.would_create(name.wanted(row, now)):
                    return True
        except ExpressionError:
            pass  # without a name, nothing is created
        return False

    def _resolve(self, row: Row, now: str, find: _Find) -> Resolved:
        moments: dict[str, FromNow] = {}
        try:
            params = self._params(row, now, moments)
        except ParameterError as error:
            return NoTarget("invalid_parameter", str(error))

        missing = self._first_missing(params)
        if missing is not None:
            return NoTarget("missing_parameter", f"{missing} is required")

        scope = {"params": params, "settings": self._settings, "now": now}
        for check in self._checks:
            if not check.holds(scope):
                return NoTarget(check.code, check.message)

        try:
            # Last: for what cannot be sent, no audience is created.
            for name in self._audience_names:
                params[name] = self._audience(name, row, now, find)
            return self._factory.make(params, moments)
        except _NoAudienceError as error:
            return NoTarget(*error.reason)
        except ParameterError as error:
            return NoTarget("invalid_parameter", str(error))
        except RenderError as error:
            return NoTarget("envelope_failed", str(error))
        except ExpressionError as error:
            reason = f"a parameter cannot be used in the request: {error}"
            return NoTarget("invalid_parameter", reason)

    def _params(self, row: Row, now: str, moments: dict[str, FromNow]) -> dict[str, Any]:
        """Return the values of all parameters that name no person. Raise ParameterError.

        What is mapped to `now` is also put into `moments`: it is known when a request is built.
        Checks, and templates of items, see what it would be at this moment. An audience by its name
        has that name yet.
        """
        params: dict[str, Any] = {}
        for name in self._names:
            value = None
            if name in self._getters:
                [value] = self._getters[name]([row])

            if isinstance(value, ExpressionError):
                raise ParameterError(f"{name} cannot be mapped: {value}")
            if isinstance(value, FromNow):
                moments[name] = value
                value = times.plus(now, value.duration)
            if name in self._audience_names or isinstance(value, Shown):
                params[name] = value
            elif is_absent(value) or self._is_placeholder(name, value):
                field = self._action.parameters[name]
                params[name] = None if field.ignored else field.default
            else:
                params[name] = self._coerced(name, value)
        return params

    def _coerced(self, name: str, value: Any) -> Any:
        try:
            return self._coerce[name](value)
        except ParameterError as error:
            hint = _how_to_read(value, self._moments.get(name))
            raise ParameterError(f"{error}; {hint}" if hint else str(error)) from None

    def _audience(self, name: str, row: Row, now: str, find: _Find) -> Any:
        """Return the id of the audience that a row goes to by its name.

        Raise _NoAudienceError, and ParameterError for an id of another form.
        """
        found = find(self._audience_names[name].wanted(row, now))
        if isinstance(found, Unresolved):
            raise _NoAudienceError(found)
        return found if isinstance(found, Shown) else self._coerce[name](found)

    def _is_placeholder(self, name: str, value: Any) -> bool:
        """Return whether a text stands for no value, unless the parameter has it as a word."""
        if not isinstance(value, str) or name not in self._may_be_placeholder:
            return False
        return is_placeholder(value) and value not in self._action.parameters[name].allowed

    def _first_missing(self, params: Mapping[str, Any]) -> str | None:
        for name in self._required:
            if params[name] is None:
                return name
        for name in self._needed:
            if params.get(name, self._settings.get(name)) is None:
                return name
        return None


_TEXT_OR_NONE = {str, type(None)}


def _keys(columns: list[list[Any]]) -> list[Any]:
    """Return one key for each event, made of its values.

    A key is a text of the values where equal values may be of different types.
    """
    rows = list(zip(*columns, strict=True))
    types: set[type] = set()
    for column in columns:
        types.update(map(type, column))
    return rows if types <= _TEXT_OR_NONE else list(map(repr, rows))


class _Check:
    """A check of the action, compiled."""

    def __init__(self, check: Check) -> None:
        self.code = check.code
        self.message = check.message
        self._require = compile_expression(check.require, CHECK_NAMES)
        self._condition: Evaluate = compile_expression(check.condition or "true", CHECK_NAMES)

    def holds(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the check holds; an absent value counts as none."""
        try:
            return not self._condition(scope) or bool(self._require(scope))
        except AbsentError:
            return True
        except ExpressionError:
            return False


def _as_expression(path: str) -> str:
    """Return how an expression reads what is at a path."""
    first, *rest = parse_path(path)
    parts = rest if starts_in_item(path) else [first, *rest]
    text = "item" if starts_in_item(path) else "event"
    for part in parts:
        text += f"[{part!r}]" if isinstance(part, str | int) else "[…]"
    return text


def _how_to_read(value: Any, field: str | None) -> str:
    """Return how a date or a number is mapped to a moment, "" for anything else."""
    if field is None or isinstance(value, bool):
        return ""
    seconds = f'"{field} | from_epoch"'
    if isinstance(value, int | float):
        return f"map it with expr: {seconds}"
    if isinstance(value, str) and ":" not in value:
        date = f"\"{field} | date('%d.%m.%Y')\""
        return f"or map it with expr: {date} or {seconds}"
    return ""
