"""Prepared records as JSON, and back: for whatever is kept between the mapping and the delivery.

Such JSON holds what would be sent of a person, hashed where the definition hashes, and nothing else
of the event but its id.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import orjson

from connector._util import times
from connector._util.depth import is_deeper
from connector.connection.model import Connection
from connector.definitions.coercion import Coerce, compile_parameter
from connector.definitions.digest import definition_digest
from connector.definitions.model import Action, FromNow
from connector.errors import ConnectorError
from connector.model import EventId, ItemId, NamedEvent, Record, Target
from connector.pipeline.opt_out import actions_of
from connector.pipeline.pipeline import request_builder_of
from connector.pipeline.request_builder import RequestBuilder
from connector.pipeline.target_factory import TargetFactory

# So many targets are kept: records of equal parameters share one.
_KEEP_TARGETS = 10_000

# No parameter and no list of a record is nested deeper.
_MAX_DEPTH = 128

_MEMBERS = (
    "definition", "target", "ids", "wires", "companions", "item", "event", "prepared_at",
)  # fmt: skip
_MEMBERS_OF_TARGET = {"route", "action", "part", "params", "moments"}

# A moment at which every duration of a definition leads to a date.
_ANY_MOMENT = "2000-01-01T00:00:00Z"


_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

#: Why something cannot be read.
OTHER_DEFINITION = "was prepared by other definition files; prepare it again from its event"
OTHER_ROUTES = "is no prepared record of this connection's routes"
NO_JSON = "has a value that JSON cannot hold; send it again from its event"


class PreparedError(ConnectorError):
    """Something is no prepared record of this connection. The message quotes nothing of it."""


class OtherDefinitionError(PreparedError):
    """A record was prepared by other definition files."""


class PreparedRecords:
    """Writes and reads the prepared records of one connection.

    They can be read as long as the definition and the routes are those that prepared them.
    """

    def __init__(self, connection: Connection) -> None:
        """Compile the actions of all routes. Raise RenderError for what lint refuses."""
        #: The digest of the definition files.
        self.definition = definition_digest(connection.destination)
        self._kinds: dict[tuple[str, str], _Kind] = {}
        builders: dict[str, RequestBuilder] = {}
        for route in connection.routes:
            for action in actions_of(route, connection):
                if action.id not in builders:
                    builders[action.id] = request_builder_of(connection, action)
                kind = _Kind.of(route.name, action, builders[action.id])
                self._kinds[route.name, action.id] = kind
        # By what they are read from; and those of whole persons, which have the others as parts.
        self._targets: dict[bytes, Target] = {}
        self._of_persons: dict[bytes, Target] = {}
        self._written: dict[Target, orjson.Fragment] = {}

    def write(self, record: Record) -> bytes:
        """Return a record as a JSON object on one line, without a line feed.

        Raise PreparedError for one that JSON cannot hold: a number without a form there, say.
        """
        document = {
            "definition": self.definition,
            "target": self.target_json(record.target),
            "ids": record.ids,
            "wires": record.wires,
            "companions": sorted(record.companions),
            "item": record.item.decode(),
            "event": _event_json(record.event_id),
            "prepared_at": record.prepared_at,
        }
        try:
            return orjson.dumps(document)
        except orjson.JSONEncodeError:
            raise PreparedError(NO_JSON) from None

    def target_json(self, target: Target) -> orjson.Fragment:
        """Return a target as JSON. Raise PreparedError for one that JSON cannot hold."""
        written = self._written.get(target)
        if written is None:
            document = {
                "route": target.route,
                "action": target.action,
                "part": target.part,
                "params": target.params,
                "moments": target.moments,
            }
            content = _exact_json(document)
            written = orjson.Fragment(content)
            _keep(self._written, target, written)
        return written

    def read(self, content: bytes) -> Record:
        """Return the record that `write` wrote. Raise PreparedError."""
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise PreparedError("is no JSON") from None
        return self.record_of(document)

    def record_of(self, document: Any) -> Record:
        """Return the record that an object of JSON is. Raise PreparedError."""
        if not isinstance(document, dict) or document.keys() != set(_MEMBERS):
            raise PreparedError(f"is no prepared record: it needs {', '.join(_MEMBERS)}")
        if document["definition"] != self.definition:
            raise OtherDefinitionError(OTHER_DEFINITION)
        try:
            return self._record(document)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ConnectorError):
            raise PreparedError(OTHER_ROUTES) from None

    def _record(self, document: Mapping[str, Any]) -> Record:
        target = self.target(document["target"])
        ids, wires = _texts(document["ids"]), _texts(document["wires"])
        companions = frozenset(_texts(document["companions"]))
        item = _text(document["item"]).encode()
        self.check(target, ids, wires, companions, item)
        prepared_at = document["prepared_at"]
        if type(prepared_at) not in {int, float} or not math.isfinite(prepared_at):
            raise TypeError
        return Record(
            target=target,
            ids=ids,
            wires=wires,
            item=item,
            event_id=_event_id(document["event"]),
            prepared_at=float(prepared_at),
            companions=companions,
        )

    def check(
        self,
        target: Target,
        ids: tuple[str, ...],
        wires: tuple[str, ...],
        companions: frozenset[str],
        item: bytes,
    ) -> None:
        """Raise ValueError or TypeError unless these can be one record of a target."""
        kind = self._kinds[target.route, target.action]
        if not ids or len(ids) != len(wires) or not {str}.issuperset(map(type, ids)):
            raise ValueError
        if not kind.wires.issuperset(wires) or not kind.wires.issuperset(companions):
            raise ValueError
        orjson.loads(item)
        if len(item) > target.room:
            raise ValueError

    def target(self, document: Any) -> Target:
        """Return the target that some JSON is. Raise an error for what is none."""
        key = orjson.dumps(document)
        target = self._targets.get(key)
        if target is None:
            target = self._new_target(document)
            _keep(self._targets, key, target)
        return target

    def _new_target(self, document: Mapping[str, Any]) -> Target:
        if document.keys() != _MEMBERS_OF_TARGET or is_deeper(document, _MAX_DEPTH):
            raise ValueError
        part = _number(document["part"])
        kind = self._kinds[_text(document["route"]), _text(document["action"])]
        params = {name: document["params"][name] for name in kind.coerce}
        if document["params"].keys() - {*params, kind.part_name}:
            raise KeyError

        # All parts of a person have one family of targets.
        shared = [document["route"], document["action"], params, document["moments"]]
        key = orjson.dumps(shared, option=orjson.OPT_SORT_KEYS)
        target = self._of_persons.get(key)
        if target is None:
            target = kind.make(params, document["moments"])
            _keep(self._of_persons, key, target)
        return (target.parts or (target,))[part]


class _Kind(NamedTuple):
    """What the records of one action on one route have to be."""

    factory: TargetFactory
    #: How the value of each parameter that names no person is checked.
    coerce: Mapping[str, Coerce]
    #: The pseudo-parameter that holds a part's name, or "".
    part_name: str
    #: The wire keys of identifiers and of companions.
    wires: frozenset[str]

    @classmethod
    def of(cls, route: str, action: Action, builder: RequestBuilder) -> _Kind:
        """Return that of an action."""
        coerce = {}
        for name in action.shared_parameters:
            coerce[name] = compile_parameter(name, action.parameters[name].schema)
        factory = TargetFactory(route, action, builder)
        part_name = action.split.name if action.split else ""
        return cls(factory, coerce, part_name, frozenset((*action.wires, *action.together)))

    def make(self, params: Mapping[str, Any], moments: Mapping[str, Any]) -> Target:
        """Return the target of some parameters. Raise an error for others than it had."""
        for name, value in params.items():
            if value is not None and not _same(self.coerce[name](value), value):
                raise ValueError
        from_now = {}
        for name, duration in moments.items():
            if name not in params:
                raise KeyError
            times.plus(_ANY_MOMENT, _text(duration))
            from_now[name] = FromNow(duration)
        return self.factory.make(params, from_now)


def _keep(known: dict[_Key, _Value], key: _Key, value: _Value) -> None:
    """Keep a value, for the records that follow."""
    if len(known) >= _KEEP_TARGETS:
        known.clear()
    known[key] = value


def _same(one: Any, other: Any) -> bool:
    """Return whether two values are the same in JSON, where true is not 1."""
    return orjson.dumps(one) == orjson.dumps(other)


def _exact_json(document: Mapping[str, Any]) -> bytes:
    """Return JSON that is read as what it was. Raise PreparedError."""
    try:
        content = orjson.dumps(document)
    except orjson.JSONEncodeError:
        content = b"null"
    # An infinite number becomes null, one of more than 64 bits is none at all.
    if orjson.loads(content) != document:
        raise PreparedError(NO_JSON)
    return content


def _event_json(event_id: EventId) -> list[Any]:
    """Return position, id and item of an event; the last two may be None."""
    item = None
    if isinstance(event_id, ItemId):
        event_id, item = event_id
    if isinstance(event_id, NamedEvent):
        return [event_id.position, event_id.name, item]
    return [event_id, None, item]


def _event_id(document: list[Any]) -> EventId:
    """Return what `_event_json` was made of. Raise TypeError or ValueError."""
    position, name, item = document
    event_id: int | NamedEvent = _number(position)
    if name is not None:
        event_id = NamedEvent(_number(position), _text(name))
    return event_id if item is None else ItemId(event_id, _number(item))


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if type(value) is not list or not {str}.issuperset(map(type, value)):
        raise TypeError
    return tuple(value)


def _number(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise TypeError
    return value
