"""The calls of every destination at its sandbox: an audience is created, filled, listed and deleted."""

from __future__ import annotations

from typing import Any

import pytest

import connector
from connector.calls.run import rows
from connector.definitions.catalog import Catalog
from connector.definitions.model import Call, Destination
from connector.errors import CallError
from connector.sandbox.services import id_name

WITH_CALLS = [name for name in Catalog().ids() if Catalog().load(name).calls]


def call_that(destination: Destination, does: str) -> Call | None:
    """Return the first call on audiences that does this."""
    creates = next(one for one in destination.calls.values() if one.sandbox.does == "create")
    for call in destination.calls.values():
        is_list = does != "list" or "id" in call.fields
        same = call.sandbox.collection == creates.sandbox.collection
        if call.sandbox.does == does and same and is_list:
            return call
    return None


def needed(call: Call, own: dict[str, str]) -> dict[str, Any]:
    """Return what a call needs: the id, and the examples of everything else."""
    values = {}
    for parameter in call.parameters.values():
        if parameter.required and not parameter.has_default:
            values[parameter.name] = own.get(parameter.name) or parameter.examples[0]
    return values


class Account:
    """An account of a destination in the sandbox, with a route to one audience."""

    def __init__(self, name: str) -> None:
        self.destination = Catalog().load(name)
        self.sandbox = connector.Sandbox(self.destination)

    def connected(self, parameter: str, own: str) -> connector.Connection:
        actions = self.destination.actions.values()
        takes = next(
            one
            for one in actions
            if one.operation == "add" and {"email", parameter} <= one.parameters.keys()
        )
        route = {"action": takes.id, "map": {parameter: {"value": own}, "email": {"from": "email"}}}
        document = {
            "destination": self.destination.id,
            "settings": dict(self.sandbox.settings),
            "routes": [route],
        }
        return connector.make_connection(document)

    def ask(self, connection: connector.Connection, call: Call, own: dict[str, str]) -> Any:
        given = needed(call, own)
        return list(rows(connection, call.id, given, self.sandbox, retries=0))


@pytest.mark.parametrize("name", WITH_CALLS)
def test_an_audience_from_its_creation_to_its_end(name: str) -> None:
    account = Account(name)
    create = call_that(account.destination, "create")
    lists = call_that(account.destination, "list")
    delete = call_that(account.destination, "delete")
    assert create is not None
    assert lists is not None
    assert delete is not None
    parameter = id_name(delete) or delete.sandbox.id
    other = account.connected(parameter, "1")

    [created] = account.ask(other, create, {})
    own = {parameter: created["id"]}
    assert [row["id"] for row in account.ask(other, lists, {})] == [created["id"]]

    connection = account.connected(parameter, created["id"])
    people = [{"email": "ann@example.com"}]
    report = connector.send(connection, people, transport=account.sandbox)
    assert report.complete, report.failures
    [holding] = account.sandbox.holdings()
    assert holding.people == 1

    account.ask(connection, delete, own)
    assert account.ask(connection, lists, {}) == []
    clock = connector.SystemClock()
    clock.sleep = lambda seconds: False  # type: ignore[method-assign]
    report = connector.send(connection, people, transport=account.sandbox, clock=clock)
    assert report.counts.delivered == 0
    with pytest.raises(CallError):
        account.ask(connection, delete, own)


@pytest.mark.parametrize("name", WITH_CALLS)
def test_a_change_is_seen_in_the_list(name: str) -> None:
    account = Account(name)
    create, lists = call_that(account.destination, "create"), call_that(account.destination, "list")
    update = call_that(account.destination, "update")
    if update is None:
        pytest.skip("it has no such call")
    assert create is not None
    assert lists is not None
    parameter = id_name(update) or update.sandbox.id
    connection = account.connected(parameter, "1")
    [created] = account.ask(connection, create, {})
    given = {**needed(update, {parameter: created["id"]}), "name": "Another name"}
    list(rows(connection, update.id, given, account.sandbox, retries=0))
    assert [row["name"] for row in account.ask(connection, lists, {})] == ["Another name"]
