"""Prepared records as JSON, and back: for whatever is kept between the mapping and the delivery.

Such JSON holds what would be sent of a person, hashed where the definition hashes, and nothing else
of the event but its id.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from connector.connection.model import Connection
from connector.definitions.digest import definition_digest
from connector.definitions.model import FromNow
from connector.errors import ConnectorError
from connector.model import EventId, ItemId, NamedEvent, Record, Target
from connector.pipeline.opt_out import actions_of
from connector.pipeline.pipeline import request_builder_of
from connector.pipeline.target_factory import TargetFactory

# So many targets are kept: records of equal parameters share one.
_KEEP_TARGETS = 10_000

_MEMBERS = (
    "definition", "route", "action", "part", "params", "moments",
    "ids", "wires", "companions", "item", "event", "prepared_at",
)  # fmt: skip


class PreparedError(ConnectorError):
    """Something is no prepared record of this connection. The message quotes nothing of it."""


class PreparedRecords:
    """Writes and reads the prepared records of one connection.

    They can be read as long as the definition and the routes are those that prepared them.
    """

    def __init__(self, connection: Connection) -> None:
        """Compile the actions of all routes. Raise RenderError for what lint refuses."""
        self._definition = definition_digest(connection.destination)
        self._factories: dict[tuple[str, str], TargetFactory] = {}
        for route in connection.routes:
            for action in actions_of(route, connection):
                builder = request_builder_of(connection, action)
                factory = TargetFactory(route.name, action, builder)
                self._factories[route.name, action.id] = factory
        self._targets: dict[bytes, Target] = {}

    def write(self, record: Record) -> bytes:
        """Return a record as a JSON object on one line, without a line feed."""
        target = record.target
        document = {
            "definition": self._definition,
            "route": target.route,
            "action": target.action,
            "part": target.part,
            "params": target.params,
            "moments": target.moments,
            "ids": record.ids,
            "wires": record.wires,
            "companions": sorted(record.companions),
            "item": record.item.decode(),
            "event": _event_json(record.event_id),
            "prepared_at": record.prepared_at,
        }
        return orjson.dumps(document)

    def read(self, content: bytes) -> Record:
        """Return the record that `write` wrote. Raise PreparedError."""
        try:
            document = orjson.loads(content)
        except orjson.JSONDecodeError:
            raise PreparedError("is no JSON") from None
        if not isinstance(document, dict) or document.keys() != set(_MEMBERS):
            raise PreparedError(f"is no prepared record: it needs {', '.join(_MEMBERS)}")
        if document["definition"] != self._definition:
            raise PreparedError(
                "was prepared by other definition files; prepare it again from its event"
            )
        try:
            return self._record(document)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError, ConnectorError):
            raise PreparedError("is no prepared record of this connection's routes") from None

    def _record(self, document: Mapping[str, Any]) -> Record:
        target = self._target(document)
        item = document["item"].encode()
        if len(item) > target.room:
            raise ValueError
        ids, wires = tuple(document["ids"]), tuple(document["wires"])
        if len(ids) != len(wires) or not all(isinstance(text, str) for text in ids + wires):
            raise TypeError
        return Record(
            target=target,
            ids=ids,
            wires=wires,
            item=item,
            event_id=_event_id(document["event"]),
            prepared_at=float(document["prepared_at"]),
            companions=frozenset(document["companions"]),
        )

    def _target(self, document: Mapping[str, Any]) -> Target:
        names = ("route", "action", "part", "params", "moments")
        key = orjson.dumps([document[name] for name in names], option=orjson.OPT_SORT_KEYS)
        target = self._targets.get(key)
        if target is None:
            factory = self._factories[document["route"], document["action"]]
            moments = {}
            for name, duration in document["moments"].items():
                moments[name] = FromNow(duration)
            target = factory.make(document["params"], moments)
            if target.parts:
                target = target.parts[document["part"]]
            if len(self._targets) >= _KEEP_TARGETS:
                self._targets.clear()
            self._targets[key] = target
        return target


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
    event_id: int | NamedEvent = position
    if not isinstance(position, int):
        raise TypeError
    if name is not None:
        event_id = NamedEvent(position, str(name))
    return event_id if item is None else ItemId(event_id, int(item))
