"""An account of X in the sandbox, with its audiences, for tests of audiences by name and of opt-outs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

import connector
from connector.audiences.manager import Manager, find_kind
from connector.delivery.report import Report
from connector.model import Request, Response
from connector.sandbox.local import Sandbox
from tests.kit.clock import FakeClock

Answer = Callable[[Request], Response]

ADD = "add_user_multi"
REMOVE = "remove_user_multi"
LISTS = "/12/accounts/18ce54d4x5t/custom_audiences"


def document(*routes: Mapping[str, Any], **members: Any) -> dict[str, Any]:
    """Return a connection of X."""
    return {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "18ce54d4x5t"},
        "event_id": "id",
        "routes": list(routes),
        **members,
    }


def to(audience: Any, when: str | None = None, name: str = "in", **members: Any) -> dict[str, Any]:
    """Return a route that adds people to an audience, by an entry of `map`."""
    condition = {} if when is None else {"when": when}
    mapped = {"custom_audience_id": audience, "email": {"from": "email"}}
    return {"name": name, "action": ADD, **condition, "map": mapped, **members}


def opt_out(when: str | None = None, name: str = "gone", *, also: Any = True) -> dict[str, Any]:
    """Return a route that opts people out."""
    condition = {} if when is None else {"when": when}
    mapped = {"email": {"from": "email"}}
    return {"name": name, "action": REMOVE, "opt_out": also, **condition, "map": mapped}


class Account:
    """An account: its sandbox is the transport, which notes what is sent and may answer otherwise."""

    def __init__(self) -> None:
        self.connection = connector.make_connection(document(to({"value": "1nmth"})))
        self.sandbox = Sandbox(self.connection)
        self.sent: list[Request] = []
        #: Before the sandbox answers; None leaves it to the sandbox.
        self.answer: Callable[[Request], Response | None] = lambda request: None
        #: What becomes of the sandbox's answer.
        self.change: Callable[[Request, Response], Response] = lambda request, response: response

    def __call__(self, request: Request) -> Response:
        self.sent.append(request)
        return self.answer(request) or self.change(request, self.sandbox(request))

    def manager(self, parameter: str | None = None) -> Manager:
        kind = find_kind(self.connection.destination, parameter)
        return Manager(self.connection, kind, self.sandbox, clock=FakeClock(), retries=0)

    def create(self, name: str) -> str:
        """Create an audience; return its id."""
        return str(self.manager().create(name)["id"])

    def names(self, *, deleted: bool = False) -> dict[str, str]:
        """Return the ids of all audiences by their names."""
        rows = self.manager().list(deleted=deleted)
        return {row["name"]: str(row["id"]) for row in rows}

    def send(
        self,
        routes: Sequence[Mapping[str, Any]],
        events: Sequence[Mapping[str, Any]],
        *,
        clock: FakeClock | None = None,
        base_url: str = "",
        **options: Any,
    ) -> Report:
        """Deliver events, with ids in their order."""
        made = connector.make_connection(document(*routes))
        if base_url:
            made = replace(made, base_url=base_url)
        numbered = [{"id": str(number), **event} for number, event in enumerate(events)]
        clock = clock or FakeClock()
        return connector.send(made, numbered, transport=self, clock=clock, **options)

    def calls(self, method: str = "") -> list[str]:
        """Return the calls that were sent: the method and the URL without the account."""
        made = []
        for request in self.sent:
            parts = urlsplit(request.url)
            path = parts.path.removeprefix(LISTS.rpartition("/")[0])
            is_delivery = path.endswith("/users") or "/batch/" in path
            if not is_delivery and request.method.startswith(method):
                query = f"?{unquote(parts.query)}" if parts.query else ""
                made.append(f"{request.method} {path}{query}")
        return made

    def people(self, own: str) -> set[str]:
        """Return who is in an audience, of those that are known here by their addresses."""
        held = set()
        for member in self.sandbox.vendor.members(f"{LISTS}/{own}/users"):
            for _, value in member:
                held.add(WHO.get(value, value))
        return held

    def unreached(self) -> set[str]:
        """Return who is on the Do Not Reach list."""
        found = next(self.manager("do_not_reach_list_id").list(), None)
        if found is None:
            return set()
        path = f"/12/batch/accounts/18ce54d4x5t/do_not_reach_lists/{found['id']}/users"
        held = set()
        for member in self.sandbox.vendor.members(path):
            held |= {WHO.get(value, value) for _, value in member}
        return held


PEOPLE = ("ann", "bob", "cy", "dee")
WHO = {hashlib.sha256(f"{name}@example.com".encode()).hexdigest(): name for name in PEOPLE}


def event(who: str, **members: Any) -> dict[str, Any]:
    """Return an event about somebody."""
    return {"email": f"{who}@example.com", **members}


def refusal(status: int, code: str) -> Response:
    """Return an answer of X that refuses."""
    body = {"errors": [{"code": code, "message": "no"}]}
    return Response.parsed(status, {"content-type": "application/json"}, json.dumps(body).encode())
