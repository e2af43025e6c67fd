"""The targets of one action on one route, made of their checked parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connector.definitions.model import Action, FromNow, FromParameter, SharedValue
from connector.model import Target
from connector.pipeline.request_builder import RequestBuilder


class TargetFactory:
    """Makes targets. Parameters that name a person are no part of one."""

    def __init__(self, route: str, action: Action, builder: RequestBuilder) -> None:
        self._route = route
        self._action = action
        self._builder = builder
        people = {identifier.parameter for identifier in action.identifiers}
        self._names = [name for name in action.parameters if name not in people]
        split = action.split
        self._part_name = split.name if split else ""
        self._part_names = tuple(split.parts) if split and split.name else ()

    def make(self, params: Mapping[str, Any], moments: Mapping[str, FromNow]) -> Target:
        """Return the target; that of the first part, which knows the others, of a split person.

        `params`: all parameters, checked. `moments`: those that are known when a request is built.

        Raise ParameterError, ExpressionError or RenderError for parameters that no request can
        have.
        """
        if not self._part_names:
            return self._make(params, moments)

        family = object()
        parts = []
        for part, name in enumerate(self._part_names):
            target = self._make({**params, self._part_name: name}, moments)
            parts.append(replace(target, part=part, family=family))
        return replace(parts[0], parts=tuple(parts))

    def _make(self, params: Mapping[str, Any], moments: Mapping[str, FromNow]) -> Target:
        builder = self._builder
        action = self._action
        request = {}
        shared = []
        for key, value in action.request.items():
            request[key] = _shared_value(value, params)
            if not isinstance(value, FromParameter) or value.parameter != self._part_name:
                shared.append((key, request[key]))
        group = []
        for key, value in action.group.items():
            group.append((key, _shared_value(value, {**params, **moments})))

        base_bytes, group_bytes = builder.sizes(params, request, group)
        cap = builder.caps.bytes or float("inf")
        url = builder.url(params)
        return Target(
            route=self._route,
            operation=action.operation,
            url=url,
            lane=builder.lane(params, url),
            key=builder.key(params, request, url),
            request=request,
            group=tuple(group),
            params=params,
            base_bytes=base_bytes,
            group_bytes=group_bytes,
            room=cap - base_bytes - group_bytes,
            endpoint=builder,
            shared=tuple(shared),
            details=self._details(params) if builder.items_read_params else (),
            action=action.id,
            moments={name: moment.duration for name, moment in moments.items()},
        )

    def _details(self, params: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple((name, params[name]) for name in self._names)


def _shared_value(value: SharedValue, params: Mapping[str, Any]) -> Any:
    """Return a member of `group` or `request`: a literal, or what it takes from a parameter."""
    if not isinstance(value, FromParameter):
        return value
    parameter = params.get(value.parameter)
    return value.default if parameter is None else parameter
