"""Small targets and records, the vendor's set of people, and the definition of X."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, settings

from connector.connection.load import Connection, make_connection
from connector.definitions.catalog import Catalog
from connector.definitions.model import Destination, Limits
from connector.model import Record, Target

X = "x_custom_audiences"

#: A person is what the vendor knows as one: a set of (wire key, value).
Identifier = tuple[str, str]
People = frozenset[frozenset[Identifier]]

#: How many times as many examples a law tries; `make soak` tries ten times as many.
EXAMPLES = float(os.environ.get("LAW_EXAMPLES", "1"))
#: For laws that run much code for each example.
LAW = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def tries(examples: int) -> settings:
    """Return the settings of a law that needs so many examples to be sharp."""
    return settings(LAW, max_examples=round(examples * EXAMPLES))


def target(lane: str, operation: str, group: str, limits: Limits, key: str = "") -> Target:
    """Return a target that no definition stands behind."""
    return Target(
        route=f"{operation}-{group}",
        operation=operation,
        url=lane,
        lane=lane,
        key=(lane, key),
        request={},
        group=(("group", group),),
        params={},
        base_bytes=2,
        group_bytes=10,
        room=float("inf"),
        endpoint=SimpleNamespace(limits=limits, caps=Limits()),
    )


def record(
    where: Target, ids: Sequence[Identifier], event_id: int, at: float = 0.0, item: bytes = b"{}"
) -> Record:
    """Return a record with these identifiers."""
    return Record(
        where, tuple(value for _, value in ids), tuple(wire for wire, _ in ids), item, event_id, at
    )


def identifiers(one: Record) -> frozenset[Identifier]:
    """Return what a record names."""
    return frozenset(zip(one.wires, one.ids, strict=True))


def applied(people: People, records: Iterable[Record]) -> People:
    """Return the vendor's people after one record after the other."""
    for one in records:
        named = identifiers(one)
        touched = {person for person in people if not person.isdisjoint(named)}
        people = people - touched
        if one.target.operation == "add":
            people |= {frozenset().union(named, *touched)}
    return people


@cache
def catalog() -> Catalog:
    """Return the definitions of this project."""
    return Catalog()


def x() -> Destination:
    """Return the definition of X."""
    return _x()


@cache
def _x() -> Destination:
    return catalog().load(X)


def connection(routes: Sequence[Mapping[str, Any]], **more: Any) -> Connection:
    """Return a connection to X."""
    raw = {
        "destination": X,
        "settings": {"account_id": "18ce54d4x5t"},
        "routes": list(routes),
        **more,
    }
    return make_connection(raw, "test", catalog())
