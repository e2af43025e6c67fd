"""Audiences by name: found, created once, renamed and deleted; which names are refused, and why."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import connector
from connector.audiences.manager import Manager, find_kind
from connector.connection.load import connection_from_document
from connector.errors import CallError, ConfigError, SendError
from connector.model import Request, Response
from connector.sandbox.local import Sandbox, connected_to
from tests.kit.clock import FakeClock
from tests.kit.destination import SOURCE, action, call, email, parameter, write_destination

X = {
    "destination": "x_custom_audiences",
    "settings": {"account_id": "18ce54d4x5t"},
    "routes": [
        {
            "name": "in",
            "action": "add_user_multi",
            "map": {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}},
        }
    ],
}

Send = Callable[[Request], Response]


class Wire:
    """A transport that counts what passes, and may do something before a method is sent."""

    def __init__(self, send: Send, before: dict[str, Callable[[], None]] | None = None) -> None:
        self.send = send
        self.before = before or {}
        self.sent: list[str] = []

    def __call__(self, request: Request) -> Response:
        self.sent.append(request.method)
        self.before.get(request.method, lambda: None)()
        return self.send(request)


class Account:
    """An account in the sandbox."""

    def __init__(self) -> None:
        self.connection = connector.make_connection(X)
        self.sandbox = Sandbox(self.connection)
        self.wire = Wire(self.sandbox)

    def manager(self, parameter: str | None = None, wire: Send | None = None) -> Manager:
        kind = find_kind(self.connection.destination, parameter)
        return Manager(self.connection, kind, wire or self.wire, clock=FakeClock(), retries=0)


@pytest.fixture
def account() -> Account:
    return Account()


def code_of(do: Callable[[], Any]) -> str:
    with pytest.raises(CallError) as caught:
        do()
    return caught.value.code


def names(manager: Manager, *, deleted: bool = False) -> list[str]:
    return [row["name"] for row in manager.list(deleted=deleted)]


# --- kinds ---


def test_the_first_kind_that_has_names_is_meant_when_none_is_given(account: Account) -> None:
    destination = account.connection.destination
    assert find_kind(destination).parameter == "custom_audience_id"
    assert find_kind(destination, "do_not_reach_list_id").only
    with pytest.raises(ConfigError, match=r"C233 .*did you mean 'custom_audience_id'"):
        find_kind(destination, "custom_audience")


def test_what_has_no_call_is_refused_before_anything_is_sent(account: Account) -> None:
    lists = account.manager("do_not_reach_list_id")
    with pytest.raises(ConfigError, match=r"C235 .*cannot be renamed by a call; calls: list, "):
        lists.rename("4kzrq", "New")
    assert not account.wire.sent


# --- one audience from its creation to its end ---


def test_an_audience_is_created_found_renamed_and_deleted(account: Account) -> None:
    audiences = account.manager()
    own = audiences.create("Spring list", {"description": "Who bought"})["id"]
    audiences.create("Spring")

    assert audiences.find("Spring list") == audiences.get(own)
    assert audiences.find("spring list") is None
    assert audiences.find("Spring l") is None

    assert audiences.rename(own, "Summer")["name"] == "Summer"
    assert names(audiences) == ["Summer", "Spring"]

    assert audiences.delete(own)["id"] == own
    assert names(audiences) == ["Spring"]
    assert names(audiences, deleted=True) == ["Summer", "Spring"]
    assert audiences.get(own) is None
    assert audiences.find("Summer") is None


def test_a_name_is_found_on_any_page(account: Account) -> None:
    def two_rows(request: Request) -> Response:
        url = request.url.replace("count=1000", "count=2")
        return account.sandbox(replace(request, url=url))

    wire = Wire(two_rows)
    audiences = account.manager(wire=wire)
    all_names = ["Spring 1", "Spring 2", "Spring 3", "Spring 4", "Spring"]
    for name in all_names:
        audiences.create(name)
    assert names(audiences) == all_names

    wire.sent.clear()
    last = audiences.find("Spring")
    assert last is not None
    assert last["name"] == "Spring"
    assert wire.sent == ["GET"] * 3


# --- names that are refused ---


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "the name is empty"),
        (" ", "the name is empty"),
        (" Spring", "begins or ends with a space"),
        ("a\nb", "control character"),
        ("a&b+c", "the name has & +; leave that out: a name may have no + & , % : ; @ / = ? $"),
        ("x" * 256, "the name has 256 characters; shorten it: allowed are at most 255"),
    ],
)
def test_a_name_that_cannot_be_is_refused_before_anything_is_sent(
    account: Account, name: str, message: str
) -> None:
    audiences = account.manager()
    for do in (
        audiences.create,
        audiences.find_or_create,
        lambda name: audiences.rename("1", name),
    ):
        with pytest.raises(ConfigError, match="C234") as caught:
            do(name)
        assert message in str(caught.value)
    assert not account.wire.sent


@pytest.mark.parametrize("character", "+&,%:;@/=?$")
def test_every_forbidden_character_is_refused(account: Account, character: str) -> None:
    with pytest.raises(ConfigError, match="C234"):
        account.manager().create(f"a{character}b")


def test_a_name_in_use_is_refused_and_nothing_is_created(account: Account) -> None:
    audiences = account.manager()
    own = audiences.create("Spring")["id"]
    other = audiences.create("Autumn")["id"]
    account.wire.sent.clear()

    with pytest.raises(CallError, match=f"of that name already, {own}; use it, or") as caught:
        audiences.create("Spring")
    assert caught.value.code == "name_taken"
    assert code_of(lambda: audiences.rename(other, "Spring")) == "name_taken"
    assert set(account.wire.sent) == {"GET"}
    assert audiences.rename(own, "Spring")["name"] == "Spring"


def test_a_name_that_a_deleted_audience_keeps_is_refused_with_a_free_one(account: Account) -> None:
    audiences = account.manager()
    for name in ("Spring", "Spring 2"):
        audiences.delete(audiences.create(name)["id"])
    audiences.create("Spring 3")
    account.wire.sent.clear()

    with pytest.raises(
        CallError, match=r"keeps that name for good; .*'Spring 4' is free"
    ) as caught:
        audiences.create("Spring")
    assert caught.value.code == "name_kept"
    assert set(account.wire.sent) == {"GET"}
    assert code_of(lambda: audiences.find_or_create("Spring")) == "name_kept"
    audiences.create("Spring 4")


def test_a_free_name_is_short_enough(account: Account) -> None:
    audiences = account.manager()
    longest = "x" * 255
    audiences.delete(audiences.create(longest)["id"])
    audiences.create("x" * 250 + " 2")
    with pytest.raises(CallError) as caught:
        audiences.create(longest)
    free = caught.value.reason.partition("'")[2].partition("'")[0]
    assert free == "x" * 250 + " 3"
    audiences.create(free)


# --- found or created ---


def test_what_is_there_is_found_and_what_is_not_is_created(account: Account) -> None:
    audiences = account.manager()
    own = audiences.find_or_create("Spring")["id"]
    account.wire.sent.clear()
    assert audiences.find_or_create("Spring")["id"] == own
    assert account.wire.sent == ["GET"]


def test_an_account_has_one_do_not_reach_list(account: Account) -> None:
    lists = account.manager("do_not_reach_list_id")
    own = lists.only({"description": "Who objected"})["id"]
    assert lists.only()["id"] == own
    lists.delete(own)
    assert lists.only()["id"] != own


def at_once(account: Account, do: Callable[[Manager], Any], parameter: str | None) -> list[Any]:
    """Do something twice over HTTP, so that both have looked before either of them creates."""
    both = threading.Barrier(2, timeout=10)

    def one() -> Any:
        with connector.http_transport(connection, secrets=account.sandbox.secrets) as transport:
            wire = Wire(transport, {"POST": lambda: both.wait() and None})
            kind = find_kind(connection.destination, parameter)
            return do(Manager(connection, kind, wire, retries=0))

    with account.sandbox.serve() as server, ThreadPoolExecutor(2) as pool:
        connection = connected_to(account.connection, server)
        running = [pool.submit(one) for _ in range(2)]
        return [done.result() for done in running]


def test_two_that_create_one_name_at_the_same_moment_make_one_audience(account: Account) -> None:
    first, second = at_once(account, lambda manager: manager.find_or_create("Loyal"), None)
    assert first["id"] == second["id"]
    assert names(account.manager(), deleted=True) == ["Loyal"]


def test_two_that_create_the_only_list_at_the_same_moment_make_one(account: Account) -> None:
    first, second = at_once(account, lambda manager: manager.only(), "do_not_reach_list_id")
    assert first["id"] == second["id"]
    assert len(list(account.manager("do_not_reach_list_id").list())) == 1


def test_an_audience_whose_creation_got_no_answer_is_found(account: Account) -> None:
    def lost(request: Request) -> Response:
        answer = account.sandbox(request)
        if request.method == "POST":
            raise SendError("timed out waiting for an answer")
        return answer

    audiences = account.manager(wire=lost)
    assert audiences.find_or_create("Spring")["name"] == "Spring"
    assert names(audiences) == ["Spring"]


def test_a_creation_that_fails_for_another_reason_says_so(account: Account) -> None:
    def refuse(request: Request) -> Response:
        return Response(403, {}, {}) if request.method == "POST" else account.sandbox(request)

    assert code_of(lambda: account.manager(wire=refuse).find_or_create("Spring")) == "forbidden"


# --- where names may repeat ---

TEMPLATE = '{"lists": {{ objects }}, "next": {{ next }}}'


class Tiny:
    """A vendor that lets names repeat."""

    def __init__(self, root: Path) -> None:
        fields = {name: f"row.{name}" for name in ("id", "name", "created_at", "deleted")}
        found = {"path": "/lists", "result": "body.lists", "fields": fields}
        box = {"collection": "lists", "success": "lists.json.j2"}
        create = call(
            {"name": parameter()},
            method="POST",
            query={"name": "{name}"},
            sandbox={**box, "does": "create", "ids": "uuid"},
            **found,
        )
        listing = call(sandbox={**box, "does": "list"}, **found)
        add = action({"email": email(), "list_id": parameter()}, path="/lists/{list_id}/people")
        kind = {"title": "list", "calls": {"list": "all", "create": "new"}, "source": SOURCE}
        catalog = write_destination(
            root,
            {"add": add},
            {"lists": TEMPLATE},
            {"calls/all": listing, "calls/new": create},
            audiences={"list_id": kind},
        )
        mapped = {"email": {"from": "email"}, "list_id": {"value": "1"}}
        route = {"name": "in", "action": "add", "map": mapped}
        document = {"destination": "tiny", "settings": {}, "routes": [route]}
        self.connection = connection_from_document(document, "c.yaml", catalog)
        self.clock = FakeClock()
        self.sandbox = Sandbox(self.connection, clock=self.clock.now)
        self.manager = Manager(
            self.connection, find_kind(self.connection.destination), self.sandbox, retries=0
        )


def test_of_several_of_one_name_the_oldest_is_meant(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    first = tiny.manager.create("Spring")["id"]
    tiny.clock.sleep(1)
    assert tiny.manager.create("Spring")["id"] != first
    found = tiny.manager.find("Spring")
    assert found is not None
    assert found["id"] == first
    assert tiny.manager.find_or_create("Spring")["id"] == first
    assert tiny.manager.get(first) == found


def test_an_audience_that_the_vendor_lists_as_deleted_is_not_there(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    lists = [{"id": "7", "name": "Spring", "deleted": True}, {"id": "8", "name": "Summer"}]

    def vendor(request: Request) -> Response:
        return Response(200, {}, {"lists": lists})

    told = Manager(tiny.connection, tiny.manager.kind, vendor)
    assert names(told) == ["Summer"]
    assert (told.find("Spring"), told.get("7")) == (None, None)
    assert len(list(told.list(deleted=True))) == 2


def test_two_that_create_one_repeatable_name_at_once_use_the_same(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)
    both = threading.Barrier(2, timeout=10)
    created = threading.Barrier(2, timeout=10)

    def one() -> Any:
        def send(request: Request) -> Response:
            answer = tiny.sandbox(request)
            if request.method == "POST":
                created.wait()
            return answer

        wire = Wire(send, {"POST": lambda: both.wait() and None})
        return Manager(tiny.connection, tiny.manager.kind, wire).find_or_create("Spring")

    with ThreadPoolExecutor(2) as pool:
        first, second = [done.result() for done in [pool.submit(one), pool.submit(one)]]
    assert first["id"] == second["id"]
    assert names(tiny.manager) == ["Spring", "Spring"]


def test_a_creation_that_got_no_answer_and_made_nothing_says_so(tmp_path: Path) -> None:
    tiny = Tiny(tmp_path)

    def lost(request: Request) -> Response:
        if request.method == "POST":
            raise SendError("timed out waiting for an answer")
        return tiny.sandbox(request)

    manager = Manager(tiny.connection, tiny.manager.kind, lost, retries=0)
    assert code_of(lambda: manager.find_or_create("Spring")) == "outcome_unknown"
