"""The audiences of one kind: lists, finds, creates, renames and deletes them.

An audience is there when its creation returned an id, or when the list shows it. Whether it can be
targeted is another question.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from connector.calls.answer import Row
from connector.calls.run import Notify, rows
from connector.connection.model import Connection
from connector.definitions.audiences import NAME, AudienceKind
from connector.definitions.model import Destination
from connector.delivery.clock import Clock
from connector.delivery.courier import Transport
from connector.errors import CallError, ConfigError, Problem, nearest

#: The code of a name that a deleted audience keeps; the reason suggests one that is free.
NAME_KEPT = "name_kept"

# After these, the audience may be there all the same: somebody else was faster, or nobody knows.
_MAY_BE_THERE = ("name_taken", "outcome_unknown")
_REFUSED = (400, 409, 422)
_GONE = (404, 410)

# Characters of the end of a name, such as " 12".
_ROOM = 5

_DONE_BY = {
    "get": "found",
    "list": "listed",
    "create": "created",
    "rename": "renamed",
    "delete": "deleted",
}


def find_kind(destination: Destination, parameter: str | None = None) -> AudienceKind:
    """Return a kind of audience of a destination; without a parameter, the first that has names.

    Raise ConfigError (C233) when there is none.
    """
    kinds = destination.audiences
    if not kinds:
        message = f"{destination.title}: nothing is known of the calls for its audiences"
        hint = "see 'connector docs' for how an audience is made there"
        raise ConfigError([Problem("C233", destination.id, "", message, hint)])
    if parameter is None:
        named = [kind for kind in kinds.values() if not kind.only]
        return (named or list(kinds.values()))[0]
    if parameter not in kinds:
        message = f"unknown kind of audience '{parameter}' of {destination.id}"
        hint = nearest(parameter, kinds)
        raise ConfigError([Problem("C233", parameter, "", message, hint)])
    return kinds[parameter]


class Manager:
    """The audiences of one kind, in the account of a connection.

    Every method raises CallError when the vendor does not do what is asked for.
    """

    def __init__(
        self,
        connection: Connection,
        kind: AudienceKind,
        transport: Transport,
        *,
        clock: Clock | None = None,
        retries: int | None = None,
        notify: Notify | None = None,
    ) -> None:
        self.kind = kind
        self._connection = connection
        self._transport = transport
        self._clock = clock
        self._retries = retries
        self._notify = notify

    def can(self, does: str) -> bool:
        """Return whether there is a call that does this: get, list, create, rename or delete."""
        return does in self.kind.calls

    def command(self, does: str) -> str:
        """Return the command that lists, or creates; "" when there is no call for it."""
        if not self.can(does):
            return ""
        words = ["connector", "audiences", does, self._connection.file]
        if self.kind != find_kind(self._connection.destination):
            words += ["--kind", self.kind.parameter]
        if does == "create" and not self.kind.only:
            words += ["--name", "NAME"]
        return shlex.join(words)

    def list(
        self, more: Mapping[str, Any] | None = None, *, deleted: bool = False
    ) -> Iterator[Row]:
        """Yield the audiences, page by page; with `deleted` also those that keep their names.

        `more` are further parameters of the call.
        """
        given = (self.kind.names.deleted or {}) if deleted else {}
        for row in self._rows("list", {**given, **(more or {})}):
            if deleted or not row.get("deleted"):
                yield row

    def writable(self) -> Iterator[Row]:
        """Yield the audiences that the account can change."""
        for row in self.list():
            if row.get("writable") is not False:
                yield row

    def get(self, own: str) -> Row | None:
        """Return the audience of this id, None when there is none."""
        if not self.can("get"):
            return next((row for row in self.list() if row["id"] == own), None)
        try:
            row = next(self._rows("get", {self.kind.parameter: own}), None)
        except CallError as error:
            if error.code == "not_found" or error.status in _GONE:
                return None
            raise
        return None if row is None or row.get("deleted") else row

    def find(self, name: str) -> Row | None:
        """Return the audience of exactly this name, the oldest of several; None without one."""
        found = []
        for row in self._named(name):
            if row.get(NAME) == name and not row.get("deleted"):
                if self.kind.names.unique:
                    return row
                found.append(row)
        return min(found, key=_age, default=None)

    def check_name(self, name: str) -> None:
        """Raise ConfigError (C234) for a name that no audience of this kind can have."""
        message, _, hint = self.kind.names.problem(name).partition("; ")
        if message:
            raise ConfigError([Problem("C234", NAME, "", message, hint)])

    def create(self, name: str, more: Mapping[str, Any] | None = None) -> Row:
        """Create an audience and return it; `more` are further parameters of the call.

        Raise ConfigError (C234), and CallError with the code `name_taken` or `name_kept`; nothing
        is created then.
        """
        self.check_name(name)
        self._check_free(name, "create")
        return self._created(name, more)

    def find_or_create(self, name: str, more: Mapping[str, Any] | None = None) -> Row:
        """Return the audience of this name, created when there is none.

        When somebody else creates it at the same moment, both get the same one: the vendor refuses
        the second, or, where names may repeat, both take the oldest.
        Raise ConfigError (C234), and CallError with the code `name_kept`.
        """
        self.check_name(name)
        return self.find(name) or self.create_missing(name, more)[0]

    def only(self, more: Mapping[str, Any] | None = None) -> Row:
        """Return the account's only audience of this kind, created when there is none."""
        return self.find_only() or self.create_missing(None, more)[0]

    def find_only(self) -> Row | None:
        """Return the account's only audience of this kind, None when there is none."""
        return next(self.list(), None)

    def create_missing(
        self, name: str | None, more: Mapping[str, Any] | None = None
    ) -> tuple[Row, bool]:
        """Create an audience that was looked for in vain; return it, and whether it is a new one.

        It is not when somebody else was faster. `name` is None for the account's only one. Raise
        as `find_or_create` does.
        """
        try:
            created = self._created(name, more) if name else self._row("create", more or {})
        except CallError as error:
            found = self._found_again(name) if _may_be_there(error) else None
            if found is not None:
                return found, False
            if name and error.code == "name_taken":
                self._check_kept(name, "create")
            raise
        if not name or self.kind.names.unique:
            return created, True
        oldest = self.find(name) or created
        return oldest, oldest["id"] == created["id"]

    def _found_again(self, name: str | None) -> Row | None:
        return self.find(name) if name else self.find_only()

    def by_name(self) -> dict[str, Row]:
        """Return all audiences of the account by their names, the oldest of several of one name."""
        found: dict[str, Row] = {}
        for row in self.list():
            name = str(row.get(NAME) or "")
            found[name] = min(found.get(name, row), row, key=_age)
        return found

    def create_only(self, more: Mapping[str, Any] | None = None) -> Row:
        """Create the account's only audience of this kind and return it.

        Raise CallError with the code `exists` when there is one.
        """
        found = self.find_only()
        if found is not None:
            reason = f"the account has its {self.kind.title} already, {found['id']}; use that one"
            raise CallError(self._call("create"), "exists", reason)
        return self._row("create", more or {})

    def rename(self, own: str, name: str) -> Row:
        """Give an audience another name and return it. Raise as `create` does."""
        self.check_name(name)
        self._check_free(name, "rename", own)
        row = self._row("rename", {self.kind.parameter: own, NAME: name})
        return {**row, "id": own, NAME: name}

    def delete(self, own: str) -> Row:
        """Delete an audience for good and return what the vendor says of it."""
        row = self._row("delete", {self.kind.parameter: own})
        return {**row, "id": own}

    def _created(self, name: str, more: Mapping[str, Any] | None) -> Row:
        row = self._row("create", {**(more or {}), NAME: name})
        # Some vendors return the id alone.
        return {**row, NAME: name}

    def _check_free(self, name: str, does: str, own: str = "") -> None:
        """Raise CallError when an audience other than `own` has a name, or keeps it."""
        if not self.kind.names.unique:
            return
        found = self.find(name)
        if found is not None and found["id"] != own:
            reason = (
                f"there is a {self.kind.title} of that name already, {found['id']}; "
                "use it, or choose another name"
            )
            raise CallError(self._call(does), "name_taken", reason)
        if found is None:
            self._check_kept(name, does)

    def _check_kept(self, name: str, does: str) -> None:
        """Raise CallError when a deleted audience keeps a name; it suggests one that is free."""
        if not self.kind.names.deleted:
            return
        stem = self._stem(name)
        taken = set()
        for row in self._named(stem, deleted=True):
            taken.add(row.get(NAME))
        if name not in taken:
            return

        number = 2
        while f"{stem} {number}" in taken:
            number += 1
        reason = (
            f"a deleted {self.kind.title} keeps that name for good; "
            f"choose another: '{stem} {number}' is free"
        )
        raise CallError(self._call(does), NAME_KEPT, reason)

    def _stem(self, name: str) -> str:
        """Return a name, or its beginning, so that a number has room after it."""
        longest = self.kind.names.longest
        return name if longest is None else name[: max(1, longest - _ROOM)].rstrip()

    def _named(self, name: str, *, deleted: bool = False) -> Iterator[Row]:
        """Yield audiences, at least those whose names begin with this one."""
        names = self.kind.names
        given = {names.search: name} if names.search else {}
        return self._rows("list", {**given, **((names.deleted or {}) if deleted else {})})

    def _row(self, does: str, given: Mapping[str, Any]) -> Row:
        return next(self._rows(does, given), {})

    def _rows(self, does: str, given: Mapping[str, Any]) -> Iterator[Row]:
        return rows(
            self._connection,
            self._call(does),
            given,
            self._transport,
            clock=self._clock,
            retries=self._retries,
            notify=self._notify,
        )

    def _call(self, does: str) -> str:
        """Return the call that does something. Raise ConfigError (C235) when there is none."""
        if not self.can(does):
            message = f"a {self.kind.title} cannot be {_DONE_BY[does]} by a call"
            hint = f"calls: {', '.join(self.kind.calls)}; do it where the vendor shows audiences"
            raise ConfigError([Problem("C235", self.kind.parameter, "", message, hint)])
        return self.kind.calls[does]


def _may_be_there(error: CallError) -> bool:
    return error.code in _MAY_BE_THERE or error.status in _REFUSED


def _age(row: Row) -> tuple[str, str]:
    return str(row.get("created_at") or ""), str(row["id"])
