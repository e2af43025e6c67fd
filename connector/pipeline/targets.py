"""Targets: the parameters that name no person, checked once for each combination of their values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from connector._util import times
from connector.connection.mapping import compile_column, compile_columns, is_absent
from connector.connection.model import Constant, FieldMapping
from connector.definitions.coercion import ParameterError, compile_parameter
from connector.definitions.model import Action, Check, FromParameter, SharedValue
from connector.model import Target
from connector.pipeline.request_builder import Builder, Refused, Resolved
from connector.templating.expressions import (
    AbsentError,
    Evaluate,
    ExpressionError,
    compile_expression,
)
from connector.templating.template import RenderError

CHECK_NAMES = ("params", "settings", "now")

# Targets are kept for this long, so that checks against the clock stay right, and for this many combinations.
_KEEP_SECONDS = 60.0
_KEEP_TARGETS = 10_000


class Targets:
    """Turns the raw values of a route's parameters into a Target, or says why there is none."""

    def __init__(
        self,
        route: str,
        action: Action,
        builder: Builder,
        sources: Mapping[str, FieldMapping],
        settings: Mapping[str, Any],
    ) -> None:
        """`sources` is the route's `map`. Raises ExpressionError, ValueError (a path)."""
        people = {identifier.parameter for identifier in action.identifiers}
        self._route = route
        self._action = action
        self._builder = builder
        self._settings = settings
        self._names = [name for name in action.parameters if name not in people]
        self._coerce = {
            name: compile_parameter(name, action.parameters[name].schema) for name in self._names
        }
        mapped = [name for name in self._names if name in sources]
        self._getters = {name: compile_column(sources[name], settings) for name in mapped}
        varying = [sources[name] for name in mapped if not isinstance(sources[name], Constant)]
        self._varies = bool(varying)
        self._columns = compile_columns(varying, settings)
        self._required = [name for name in self._names if action.parameters[name].required]
        split = action.split
        self._part_name = split.name if split else ""
        self._part_names = tuple(split.parts) if split and split.name else ()
        self._needed = [name for name in builder.needed if name != self._part_name]
        self._checks = [_Check(check) for check in action.checks]
        self._known: dict[Any, Resolved] = {}
        self._until = 0.0

    def resolve(self, data: Sequence[dict[str, Any]], now: float) -> list[Resolved]:
        """Return the target of each event, or why there is none. `now`: seconds since the epoch."""
        if now >= self._until or len(self._known) > _KEEP_TARGETS:
            self._known.clear()
            self._until = now + _KEEP_SECONDS
        if not self._varies:
            return [self._one((), data[0], now)] * len(data) if data else []
        keys = _keys(self._columns(data))
        known = self._known
        return [
            known.get(key) or self._one(key, event, now)
            for key, event in zip(keys, data, strict=True)
        ]

    def _one(self, key: Any, data: dict[str, Any], now: float) -> Resolved:
        if key not in self._known:
            self._known[key] = self._resolve(data, now)
        return self._known[key]

    def _resolve(self, data: dict[str, Any], now: float) -> Resolved:
        try:
            params = self._params(data)
        except ParameterError as error:
            return Refused("invalid_parameter", str(error))
        missing = [name for name in self._required if params[name] is None]
        missing += [
            name for name in self._needed if params.get(name, self._settings.get(name)) is None
        ]
        if missing:
            return Refused("missing_parameter", f"{missing[0]} is required and absent")
        scope = {"params": params, "settings": self._settings, "now": times.from_epoch(now)}
        for check in self._checks:
            if not check.holds(scope):
                return Refused(check.code, check.message)
        try:
            return self._parted(params) if self._part_names else self._target(params)
        except RenderError as error:
            return Refused("envelope_failed", str(error))
        except ExpressionError as error:
            return Refused(
                "invalid_parameter", f"a parameter cannot be a part of the request: {error}"
            )

    def _params(self, data: dict[str, Any]) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for name in self._names:
            raw = self._getters[name]([data])[0] if name in self._getters else None
            if isinstance(raw, ExpressionError):
                raise ParameterError(f"{name} cannot be mapped: {raw}")
            if is_absent(raw):
                params[name] = self._action.parameters[name].default
            else:
                params[name] = self._coerce[name](raw)
        return params

    def _parted(self, params: Mapping[str, Any]) -> Target:
        family = object()
        targets = [self._target({**params, self._part_name: name}) for name in self._part_names]
        parts = tuple(
            replace(target, part=part, family=family) for part, target in enumerate(targets)
        )
        return replace(parts[0], parts=parts)

    def _target(self, params: Mapping[str, Any]) -> Target:
        builder, action = self._builder, self._action
        request = {key: _shared_value(value, params) for key, value in action.request.items()}
        group = tuple((key, _shared_value(value, params)) for key, value in action.group.items())
        base, more = builder.sizes(params, request, group)
        url = builder.url(params)
        return Target(
            route=self._route,
            operation=action.operation,
            url=url,
            lane=builder.lane(params, url),
            key=builder.key(params, request, url),
            request=request,
            group=group,
            params=params,
            base_bytes=base,
            group_bytes=more,
            room=(builder.caps.bytes or float("inf")) - base - more,
            endpoint=builder,
        )


def _keys(columns: list[list[Any]]) -> list[Any]:
    """Return one key for each event: the values, or a text of them where equal values may be of different types."""
    rows = list(zip(*columns, strict=True))
    if all(set(map(type, column)) <= _PLAIN for column in columns):
        return rows
    return [repr(row) for row in rows]


_PLAIN = {str, type(None)}


def _shared_value(value: SharedValue, params: Mapping[str, Any]) -> Any:
    """Return a member of `group` or `request`: a literal, or what it takes from a parameter."""
    if not isinstance(value, FromParameter):
        return value
    given = params.get(value.parameter)
    return value.default if given is None else given


class _Check:
    """A check of the action, compiled."""

    def __init__(self, check: Check) -> None:
        self.code = check.code
        self.message = check.message
        self._require = compile_expression(check.require, CHECK_NAMES)
        self._condition: Evaluate = compile_expression(check.condition or "true", CHECK_NAMES)

    def holds(self, scope: Mapping[str, Any]) -> bool:
        try:
            return not self._condition(scope) or bool(self._require(scope))
        except AbsentError:
            return True
        except ExpressionError:
            return False
