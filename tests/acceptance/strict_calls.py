"""The strict server's audiences and Do Not Reach lists: list, get, create, rename and delete, from the facts alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

#: The parameters of each call; all of them travel in the query.
_LIST = {
    "q", "count", "cursor", "with_deleted", "custom_audience_ids", "permission_scope", "sort_by", "with_total_count",
}  # fmt: skip
_PARAMETERS: dict[tuple[str, str, bool], set[str]] = {
    ("custom_audiences", "GET", False): _LIST,
    ("custom_audiences", "POST", False): {"name", "description"},
    ("custom_audiences", "GET", True): {"with_deleted"},
    ("custom_audiences", "PUT", True): {"name", "description"},
    ("custom_audiences", "DELETE", True): set(),
    ("do_not_reach_lists", "GET", False): {"with_deleted"},
    ("do_not_reach_lists", "POST", False): {"description"},
    ("do_not_reach_lists", "DELETE", True): set(),
}
_IDS = {"custom_audiences": "custom_audience_id", "do_not_reach_lists": "do_not_reach_list_id"}


class CallRefusedError(Exception):
    """A call is refused."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass
class Audience:
    """An audience or a list."""

    id: str
    name: str
    description: str | None = None
    deleted: bool = False
    writable: bool = True


@dataclass
class Audiences:
    """All audiences and lists of one account. `people` counts an audience by its kind and id."""

    account_id: str
    people: Callable[[str, str], int]
    of_kind: dict[str, list[Audience]] = field(
        default_factory=lambda: {"custom_audiences": [], "do_not_reach_lists": []}
    )
    created: int = 0
    #: What the user of the token may do in the account.
    permissions: list[str] = field(default_factory=lambda: ["PARTNER_AUDIENCE_MANAGER"])

    def answer(self, method: str, target: str, body: bytes) -> dict[str, Any] | None:
        """Do what is asked; None when the path is that of no call. Raise CallRefusedError."""
        parts = urlsplit(target)
        steps = parts.path.strip("/").split("/")
        if steps[:2] == ["12", "accounts"] and steps[3:] == ["authenticated_user_access"]:
            return self._access(method, steps[2], parts.query)
        if (
            len(steps) not in (4, 5)
            or steps[:2] != ["12", "accounts"]
            or steps[3] not in self.of_kind
        ):
            return None
        kind, own = steps[3], steps[4] if len(steps) == 5 else ""
        allowed = _PARAMETERS.get((kind, method, bool(own)))
        if allowed is None:
            raise CallRefusedError(405, "METHOD_NOT_ALLOWED", "The method is not allowed here")
        if steps[2] != self.account_id:
            raise CallRefusedError(403, "ACCOUNT_NOT_FOUND", "Account was not found")
        if body:
            raise CallRefusedError(
                400, "INVALID_PARAMETER", "Every parameter belongs into the query"
            )
        query = self._query(parts.query, allowed)
        echo: dict[str, Any] = {"account_id": self.account_id, **query}
        if own:
            echo[_IDS[kind]] = own
        if method == "GET" and not own:
            return {"request": {"params": echo}, **self._list(kind, query)}
        if method == "POST":
            found = self._create(kind, query)
        else:
            found = self._change(method, self._one(kind, own, query), query)
        return {"request": {"params": echo}, "data": self._shown(kind, found)}

    def _access(self, method: str, account_id: str, query: str) -> dict[str, Any]:
        if method != "GET":
            raise CallRefusedError(405, "METHOD_NOT_ALLOWED", "The method is not allowed here")
        if account_id != self.account_id:
            raise CallRefusedError(403, "ACCOUNT_NOT_FOUND", "Account was not found")
        self._query(query, set())
        access = {"user_id": "756201191646691328", "permissions": self.permissions}
        return {"request": {"params": {"account_id": self.account_id}}, "data": access}

    def _query(self, written: str, allowed: set[str]) -> dict[str, str]:
        pairs = parse_qsl(written, keep_blank_values=True)
        query = dict(pairs)
        if len(query) != len(pairs):
            raise CallRefusedError(400, "INVALID_PARAMETER", "A parameter appears twice")
        if query.keys() - allowed:
            raise CallRefusedError(400, "INVALID_PARAMETER", "A parameter is unknown")
        for name in ("with_deleted", "with_total_count"):
            if query.get(name, "true") not in ("true", "false"):
                raise CallRefusedError(400, "INVALID_PARAMETER", f"Expected a boolean for {name}")
        return query

    def _list(self, kind: str, query: Mapping[str, str]) -> dict[str, Any]:
        with_total = query.get("with_total_count") == "true"
        if with_total and "cursor" in query:
            raise CallRefusedError(400, "EXCLUSIVE_PARAMETERS", "cursor and with_total_count")
        count = query.get("count", "200")
        if not count.isdecimal() or not 1 <= int(count) <= 1000:
            raise CallRefusedError(400, "INVALID_PARAMETER", "Expected 1 to 1000 for count")
        if not 1 <= len(query.get("q", "x")) <= 255:
            raise CallRefusedError(400, "INVALID_PARAMETER", "Expected 1 to 255 characters for q")
        ids = query["custom_audience_ids"].split(",") if "custom_audience_ids" in query else None
        if ids is not None and len(ids) > 200:
            raise CallRefusedError(400, "INVALID_PARAMETER", "More than 200 ids")

        found = [
            one
            for one in self.of_kind[kind]
            if (not one.deleted or query.get("with_deleted") == "true")
            and one.name.lower().startswith(query.get("q", "").lower())
            and (ids is None or one.id in ids)
        ]
        start = self._start(query.get("cursor"))
        end = start + int(count)
        shown = [self._shown(kind, one) for one in found[start:end]]
        following = f"c-{end}" if end < len(found) else None
        total = {"total_count": len(found)} if with_total else {}
        return {"data": shown, "next_cursor": following, **total}

    @staticmethod
    def _start(cursor: str | None) -> int:
        if cursor is None:
            return 0
        if not cursor.startswith("c-"):
            raise CallRefusedError(400, "INVALID_PARAMETER", "The cursor is not valid")
        return int(cursor[2:])

    def _create(self, kind: str, query: Mapping[str, str]) -> Audience:
        name = query.get("name", "Do Not Reach List" if kind == "do_not_reach_lists" else "")
        if not name:
            raise CallRefusedError(400, "MISSING_PARAMETER", '"name" is a required parameter')
        if kind == "do_not_reach_lists" and not all(one.deleted for one in self.of_kind[kind]):
            raise CallRefusedError(400, "INVALID_PARAMETER", "The account has a list already")
        if kind == "custom_audiences":
            self._check_name(name, None)
        self.created += 1
        created = Audience(f"n{self.created}w", name, query.get("description"))
        self.of_kind[kind].append(created)
        return created

    def _check_name(self, name: str, own: Audience | None) -> None:
        if any(one.name == name and one is not own for one in self.of_kind["custom_audiences"]):
            raise CallRefusedError(400, "INVALID_PARAMETER", "Entity already exists CustomAudience")

    def _one(self, kind: str, own: str, query: Mapping[str, str]) -> Audience:
        for one in self.of_kind[kind]:
            if one.id == own and (not one.deleted or query.get("with_deleted") == "true"):
                return one
        raise CallRefusedError(404, "NOT_FOUND", "The audience was not found")

    def _change(self, method: str, found: Audience, query: Mapping[str, str]) -> Audience:
        if method == "DELETE":
            found.deleted = True
        if method == "PUT":
            if "name" in query:
                self._check_name(query["name"], found)
                found.name = query["name"]
            found.description = query.get("description", found.description) or None
        return found

    def _shown(self, kind: str, one: Audience) -> dict[str, Any]:
        people = 0 if one.deleted else self.people(kind, one.id)
        reasons: Sequence[str] = ["PROCESSING", "TOO_SMALL"] if not people else ["TOO_SMALL"]
        shown: dict[str, Any] = {
            "targetable": people >= 100,
            "name": one.name,
            "description": one.description,
            "id": one.id,
            "reasons_not_targetable": [] if people >= 100 else reasons,
            "created_at": "2017-08-22T23:34:26Z",
            "updated_at": "2017-08-22T23:34:26Z",
            "deleted": one.deleted,
        }
        if kind == "do_not_reach_lists":
            return {**shown, "list_size": people or None}
        return {
            **shown,
            "audience_size": people or None,
            "audience_type": "CRM",
            "targetable_types": ["CRM", "EXCLUDED_CRM"],
            "permission_level": "READ_WRITE" if one.writable else "READ_ONLY",
            "owner_account_id": self.account_id,
            "partner_source": "OTHER",
        }


def body_of(answer: Mapping[str, Any]) -> bytes:
    """The body of an answer."""
    return json.dumps(answer).encode()
