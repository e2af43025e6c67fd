"""The vendor's endpoints, as a definition describes them.

An endpoint says how its requests are read, limited and answered.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from connector.definitions.model import Action, Destination, Limits
from connector.definitions.uri_template import expand, placeholders
from connector.sandbox.answers import Answers, ReadTemplate
from connector.sandbox.contract import Contract, for_settings
from connector.sandbox.reading import Group, Params, Reader, Reading
from connector.sandbox.services import Service, services_of


class Operation:
    """One way to use an endpoint: a contract and caps, how to read a body, and how to answer.

    Several actions may be one operation for the vendor.
    """

    def __init__(
        self, actions: Sequence[Action], settings: Mapping[str, Any], read: ReadTemplate
    ) -> None:
        action = actions[0]
        contract = True if action.accepts is None else for_settings(action.accepts, settings)
        self.contract = Contract(contract)
        self.caps: Limits = action.caps
        self.answers = Answers(action.sandbox, read)
        #: The wire keys that name a person by themselves.
        self.wires = _naming_wires(actions)
        self._reader = Reader(contract, self.wires)
        self._operations = {action.operation for action in actions}
        self._audience = action.audience
        self._values = dict(settings)
        for parameter in action.parameters.values():
            if parameter.has_default:
                self._values[parameter.name] = parameter.default

    def read(self, body: Any) -> Reading:
        """Return who is in a body."""
        return self._reader.read(body)

    def kind(self, group: Group) -> str:
        """Return what a group asks for.

        That is what the body says, else what the endpoint is for, "" when it is for several things.
        """
        if group.operation or len(self._operations) > 1:
            return group.operation
        [operation] = self._operations
        return operation

    def audience(self, path: Mapping[str, str], params: Params, url: str) -> str | None:
        """Return the audience that a request means; None when it names none.

        `path` has the parameters of the URL's path, `params` those of the body; without an
        `audience` in the definition it is the `url`.
        """
        if not self._audience:
            return url
        values = {**self._values, **path, **dict(params)}
        if not values.keys() >= set(placeholders(self._audience)):
            return None
        return expand(self._audience, values, encode=False)


def _naming_wires(actions: Iterable[Action]) -> set[str]:
    wires: set[str] = set()
    for action in actions:
        wires |= set(action.naming_wires)
    return wires


class Endpoint:
    """A path template and, for each method, the operations and the calls that it takes."""

    def __init__(self, template: str) -> None:
        self.template = template
        self.names = placeholders(template)
        self.methods: dict[str, list[Operation]] = {}
        self.services: dict[str, list[Service]] = {}
        literals = map(re.escape, _literals(template))
        self._pattern = re.compile("([^/]+)".join(literals))

    def match(self, path: str) -> dict[str, str] | None:
        """Return the decoded path parameters, None for another path."""
        match = self._pattern.fullmatch(path)
        if match is None:
            return None
        values = map(unquote, match.groups())
        return dict(zip(self.names, values, strict=True))


def _literals(template: str) -> list[str]:
    """Return the literal texts around the placeholders."""
    return re.split(r"\{[^}]*\}", template)


def meant_service(services: Sequence[Service], url: str, body: Any) -> Service:
    """Return the call that a request means, of those with one path and one method.

    The query says it by the members that a call always has, and else the contract of the body.
    """
    query = set(parse_qsl(urlsplit(url).query))
    asked = [service for service in services if service.fixed.items() <= query]
    asked.sort(key=lambda service: len(service.fixed), reverse=True)
    for service in asked:
        if service.contract.holds(body):
            return service
    return asked[0] if asked else services[0]


def holding_operation(operations: Sequence[Operation], body: Any) -> Operation | None:
    """Return the operation whose contract a body satisfies, None when there is none."""
    for operation in operations:
        if operation.contract.holds(body):
            return operation
    return None


def endpoints_of(
    destination: Destination,
    prefix: str,
    settings: Mapping[str, Any],
    read: ReadTemplate,
    own_query: Collection[str] = (),
) -> list[Endpoint]:
    """Return all endpoints, those with fewer placeholders first.

    So a fixed path wins over one with a parameter. `own_query`: the members of a query that
    authentication adds.
    """
    endpoints: dict[tuple[str, ...], Endpoint] = {}
    for action in destination.actions.values():
        path = prefix + action.path
        endpoints.setdefault(tuple(_literals(path)), Endpoint(path))

    for alike in alike_actions(destination, settings):
        endpoint = endpoints[tuple(_literals(prefix + alike[0].path))]
        method = expand(alike[0].method, settings, encode=False)
        operations = endpoint.methods.setdefault(method, [])
        operations.append(Operation(alike, settings, read))
    for call, service in services_of(destination, settings, read, own_query):
        path = prefix + call.path
        endpoint = endpoints.setdefault(tuple(_literals(path)), Endpoint(path))
        endpoint.services.setdefault(call.method, []).append(service)
    return sorted(endpoints.values(), key=lambda endpoint: len(endpoint.names))


def alike_actions(destination: Destination, settings: Mapping[str, Any]) -> list[list[Action]]:
    """Return the actions, together those that are one operation for the vendor.

    They have one endpoint and one contract: only the body can tell them apart.
    """
    kinds: list[tuple[Any, ...]] = []
    alike: list[list[Action]] = []
    for action in destination.actions.values():
        endpoint = _literals(action.path), expand(action.method, settings, encode=False)
        kind = *endpoint, action.accepts, action.caps, action.sandbox, action.audience
        if kind not in kinds:
            kinds.append(kind)
            alike.append([])
        alike[kinds.index(kind)].append(action)
    return alike
