"""Audiences of every destination that has calls for them, at its sandbox: the same words for all."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

import connector
from connector.audiences.manager import Manager
from connector.definitions.audiences import AudienceKind
from connector.definitions.catalog import Catalog
from connector.errors import CallError, ConfigError
from tests.kit.clock import NOW, FakeClock

DESTINATIONS = {name: Catalog().load(name) for name in Catalog().ids()}
KINDS = [
    pytest.param(name, kind, id=f"{name}-{kind.parameter}")
    for name, destination in DESTINATIONS.items()
    for kind in destination.audiences.values()
]
NAMED = [param for param in KINDS if not param.values[1].only]  # type: ignore[union-attr]


def connected(name: str, kind: AudienceKind, own: str = "1", **changes: Any) -> Any:
    """Return a connection with one route to this audience."""
    destination = DESTINATIONS[name]
    action = next(
        one
        for one in destination.actions.values()
        if one.operation == "add" and {"email", kind.parameter} <= one.parameters.keys()
    )
    mapped = {kind.parameter: {"value": own}, "email": {"from": "email"}}
    document = {
        "destination": name,
        "settings": {**destination.example_settings, **changes},
        "routes": [{"name": "in", "action": action.id, "map": mapped}],
    }
    return connector.make_connection(document)


def test_seven_destinations_have_audiences() -> None:
    assert len({param.values[0] for param in KINDS}) == 7


@pytest.mark.parametrize(("name", "kind"), NAMED)
def test_an_audience_is_created_found_renamed_and_deleted(name: str, kind: AudienceKind) -> None:
    connection = connected(name, kind)
    # A second for each request, so that no rate is exceeded.
    seconds = count(int(NOW))
    sandbox = connector.Sandbox(connection, clock=lambda: float(next(seconds)))
    audiences = Manager(connection, kind, sandbox, clock=FakeClock(), retries=0)

    created = audiences.find_or_create("Spring list")
    own = created["id"]
    assert isinstance(own, str)
    assert audiences.find_or_create("Spring list")["id"] == own
    other = audiences.create("Spring")["id"]
    assert audiences.find("Spring list") == audiences.get(own)
    [first, second] = audiences.list()
    assert {first["id"], second["id"]} == {own, other}
    assert {first["name"], second["name"]} == {"Spring list", "Spring"}

    if kind.names.unique:
        with pytest.raises(CallError) as caught:
            audiences.create("Spring")
        assert caught.value.code == "name_taken"
    if audiences.can("rename"):
        assert audiences.rename(own, "Summer list")["name"] == "Summer list"
        assert audiences.find("Spring list") is None
    audiences.delete(own)
    assert audiences.get(own) is None
    assert [row["id"] for row in audiences.list()] == [other]


@pytest.mark.parametrize(("name", "kind"), NAMED)
def test_check_finds_the_audience_of_a_route(name: str, kind: AudienceKind) -> None:
    connection = connected(name, kind)
    sandbox = connector.Sandbox(connection)
    own = Manager(connection, kind, sandbox).create("Spring list")["id"]
    connection = connected(name, kind, own)
    found = {one.name: one for one in connector.check(connection, transport=sandbox)}
    assert found["credentials"].status == "ok"
    assert found[f"{kind.title} {own}"].status in ("ok", "warning")
    assert "'Spring list'" in found[f"{kind.title} {own}"].message


@pytest.mark.parametrize("name", ["meta_custom_audiences", "snapchat_audiences"])
def test_the_list_needs_an_ad_account_and_a_delivery_does_not(name: str) -> None:
    [kind] = DESTINATIONS[name].audiences.values()
    connection = connected(name, kind)
    sandbox = connector.Sandbox(connection)
    own = Manager(connection, kind, sandbox).create("Spring list")["id"]

    settings = {**connection.settings}
    del settings["ad_account_id"]
    route = {
        "action": connection.routes[0].action.id,
        "map": {kind.parameter: {"value": own}, "email": {"from": "email"}},
    }
    document = {"destination": name, "settings": settings, "routes": [route]}
    without = connector.make_connection(document)
    with pytest.raises(ConfigError, match=r"C202 .*missing setting 'ad_account_id', which list_"):
        list(Manager(without, kind, sandbox).list())
    assert connector.send(without, [{"email": "ann@example.com"}], transport=sandbox).complete

    found = {one.name: one for one in connector.check(without, transport=sandbox)}
    assert found["credentials"].status == "skipped"
    assert found[f"{kind.title} {own}"].status in ("ok", "warning")
