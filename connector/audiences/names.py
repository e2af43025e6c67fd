"""The audiences of a run at the vendor: found by name, created when missing, listed for opt-outs.

A name is looked up once for each run. So is one that cannot be found or created: what comes later
with that name must not overtake what came before it.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

from connector._util import times
from connector.audiences.manager import NAME_KEPT, Manager, find_kind
from connector.audiences.remembered import Remembered
from connector.calls.answer import Row
from connector.calls.run import Notify
from connector.calls.values import check_settings
from connector.connection.audience_names import AudienceName, Wanted
from connector.connection.audience_rules import audience_of
from connector.connection.mapping import compile_audience_name
from connector.connection.model import Connection, Constant, NamedAudience
from connector.definitions.audiences import NAME
from connector.delivery.clock import Clock
from connector.delivery.courier import Transport
from connector.errors import CallError, ConfigError, Problem, nearest
from connector.pipeline.audiences import Unresolved, UsedAudience, refused_name

# Nothing is wrong with the events.
_LATER = "undelivered"
_TOO_MANY = "too_many_audiences"

# After these, the vendor is not asked for further audiences before the run: it would say the same.
_OF_THE_VENDOR = ("gave_up", "come_back_later", "interrupted", "unauthorized")

_AN_AUDIENCE = "its audience is not known"
_ALL_AUDIENCES = "the account's audiences cannot be listed"
_ANOTHER_NAME = (
    "if the name cannot be used again, write another one, and pass --restart if a run is unfinished"
)

# So many names of an account are shown for one that is not there.
_MOST_NAMES = 20


class _Place(NamedTuple):
    """Where a route says the name of an audience."""

    pointer: str
    parameter: str
    source: NamedAudience
    name: AudienceName


def create_named(connection: Connection, transport: Transport) -> None:
    """Create what routes name, for a sandbox, whose account has nothing. Raise CallError."""
    for place in _places(connection):
        if not place.source.create and not place.source.only:
            kind = find_kind(connection.destination, place.parameter)
            Manager(connection, kind, transport).find_or_create(place.source.name)


class RunAudiences:
    """The audiences of one run."""

    no_audience = "the account has no audience to remove the person from"

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        remembered: Remembered | None,
        *,
        clock: Clock,
        retries: int | None = None,
        notify: Notify | None = None,
    ) -> None:
        """`remembered` is what earlier runs found and created."""
        self._connection = connection
        self._remembered = remembered
        self._clock = clock
        self._managers: dict[str, Manager] = {}
        for parameter, kind in connection.destination.audiences.items():
            self._managers[parameter] = Manager(
                connection, kind, transport, clock=clock, retries=retries, notify=notify
            )
        self._known: dict[tuple[str, str], str | Unresolved] = {}
        self._used: dict[tuple[str, str], UsedAudience] = {}
        # By parameter and template: how many were created, and once no more may be, what there is.
        self._created: Counter[tuple[str, str]] = Counter()
        self._there: dict[str, dict[str, Row]] = {}
        # By parameter; for opt-outs, in the order in which they became known.
        self._every: dict[str, dict[str, None]] = {}
        self._not_listed: dict[str, Unresolved] = {}
        self._out_of_reach: CallError | None = None

    def prepare(self) -> None:
        """Look up what does not depend on events, before anything is sent.

        What the vendor does not tell keeps its own records, as if they had been refused.
        Raise ConfigError (C243, C244).
        """
        places = list(_places(self._connection))
        problems = [self._no_state(place) for place in places if place.name.has_moment]
        if problems and self._remembered is None:
            raise ConfigError(problems)

        for place in places:
            self._check_settings(place.parameter)
        missing = []
        now = times.from_epoch(self._clock.now())
        for place in places:
            if place.name.varies:
                continue
            wanted = place.name.wanted(None, now)
            try:
                self._check_reach()
                own = self._look_up(wanted, dated=place.name.has_moment)
                if own is None and not wanted.create:
                    missing.append(self._missing(place, wanted))
            except CallError as error:
                self._known[wanted.parameter, wanted.key] = self._failed(error, _AN_AUDIENCE)
        if missing:
            raise ConfigError(missing)
        self._list_for_opt_outs()

    def _check_settings(self, parameter: str) -> None:
        """Raise ConfigError when a call needs a setting that the connection does not have."""
        destination = self._connection.destination
        for does in ("list", "get", "create"):
            call = destination.audiences[parameter].calls.get(does)
            if call is not None:
                check_settings(destination.calls[call], self._connection)

    @property
    def used(self) -> Sequence[UsedAudience]:
        """Those that were found or created by name so far."""
        return list(self._used.values())

    def would_create(self, wanted: Wanted) -> bool:
        """Return whether `find` would look for an audience, and create it when it is missing."""
        if (wanted.parameter, wanted.key) in self._known or self._is_full(wanted):
            return False
        return refused_name(wanted, self._managers[wanted.parameter].kind) is None

    def find(self, wanted: Wanted) -> str | Unresolved:
        """Return the id of an audience, created when it is missing, or why there is none."""
        place = (wanted.parameter, wanted.key)
        known = self._known.get(place)
        if known is not None:
            return known
        found = self._resolve(wanted)
        # There may be very many of these; each is answered the same again.
        if not isinstance(found, Unresolved) or found.code != _TOO_MANY:
            self._known[place] = found
        return found

    def every(self, parameter: str, now: str) -> Sequence[str] | Unresolved:
        """Return the audiences that the account had at first, and those that were named since.

        When the account's list could not be read, return why: half an opt-out is none.
        """
        if parameter in self._not_listed:
            return self._not_listed[parameter]
        return list(self._every.get(parameter, ()))

    def _check_reach(self) -> None:
        """Raise the CallError that says why nothing can be asked for, if there was one."""
        if self._out_of_reach is not None:
            raise self._out_of_reach

    def _failed(self, error: CallError, what: str) -> Unresolved:
        """Return what becomes of records without an audience that the vendor did not tell."""
        if error.code in _OF_THE_VENDOR:
            self._out_of_reach = error
        return Unresolved(error.code, f"{what}: {error.reason}", _LATER)

    def _look_up(self, wanted: Wanted, *, dated: bool) -> str | None:
        """Return the id of an audience that is there. Raise CallError."""
        place = (wanted.parameter, wanted.key)
        known = self._known.get(place)
        if isinstance(known, str):
            return known
        manager = self._managers[wanted.parameter]
        with self._turn():
            own, gone = self._recall(wanted)
            status = "remembered"
            if own is None and not dated:
                row = manager.find_only() if wanted.only else manager.find(wanted.name)
                own = None if row is None else self._keep(wanted, str(row["id"]))
                status = "found"
        if own is not None:
            self._known[place] = own
            self._note(wanted, own, status, gone)
        return own

    def _resolve(self, wanted: Wanted) -> str | Unresolved:
        manager = self._managers[wanted.parameter]
        refused = refused_name(wanted, manager.kind)
        if refused is not None:
            return refused
        try:
            with self._turn():
                own, gone = self._recall(wanted)
                status = "remembered"
                if own is None:
                    row, status = self._found_or_created(manager, wanted)
                    if row is None:
                        return Unresolved(_TOO_MANY, _too_many(wanted), _LATER)
                    own = self._keep(wanted, str(row["id"]))
        except CallError as error:
            reason = error.reason
            if wanted.varies and error.code == NAME_KEPT:
                # what comes after the semicolon is a name, which events have a part in
                reason = _without_hint(reason)
            elif error.code == NAME_KEPT and self._remembered is not None:
                reason += "; an unfinished run needs --restart after that"
            return Unresolved(error.code, f"{_AN_AUDIENCE}: {reason}", _LATER)
        except ConfigError as error:
            reason = "; ".join(problem.message for problem in error.problems)
            return Unresolved("audience_not_kept", reason, _LATER)
        self._note(wanted, own, status, gone)
        return own

    def _found_or_created(self, manager: Manager, wanted: Wanted) -> tuple[Row | None, str]:
        """Return an audience and what was done; None where no more may be created.

        Raise CallError.
        """
        if wanted.only:
            found = manager.find_only()
        elif self._is_full(wanted):
            # One list, and not a request for each of what may be very many names.
            if wanted.parameter not in self._there:
                self._there[wanted.parameter] = manager.by_name()
            found = self._there[wanted.parameter].get(wanted.name)
            if found is None:
                return None, ""
        else:
            found = manager.find(wanted.name)
        if found is not None:
            return found, "found"

        row, is_new = manager.create_missing(None if wanted.only else wanted.name)
        self._created[wanted.parameter, wanted.template] += is_new
        return row, "created" if is_new else "found"

    def _is_full(self, wanted: Wanted) -> bool:
        """Return whether no more audiences of such names may be created."""
        created = self._created[wanted.parameter, wanted.template]
        return wanted.varies and created >= wanted.limit

    def _recall(self, wanted: Wanted) -> tuple[str | None, str | None]:
        """Return the id of an earlier run, or else the id of an audience that is gone.

        Raise CallError.
        """
        own = self._remembered.find(wanted) if self._remembered else None
        if own is None or self._managers[wanted.parameter].get(own) is not None:
            return own, None
        return None, own

    def _keep(self, wanted: Wanted, own: str) -> str:
        if self._remembered is not None:
            self._remembered.keep(wanted, own)
        return own

    def _turn(self) -> AbstractContextManager[None]:
        return self._remembered.locked() if self._remembered else nullcontext()

    def _note(self, wanted: Wanted, own: str, status: str, gone: str | None) -> None:
        title = self._managers[wanted.parameter].kind.title
        name = None if wanted.only else wanted.name
        used = UsedAudience(wanted.parameter, title, own, name, status, gone)
        self._used[wanted.parameter, wanted.key] = used
        self._add(wanted.parameter, own)

    def _add(self, parameter: str, own: str) -> None:
        self._every.setdefault(parameter, {})[own] = None

    def _list_for_opt_outs(self) -> None:
        """List the audiences that opt-outs are about."""
        destination = self._connection.destination
        parameters = set()
        for route in self._connection.routes:
            kind = audience_of(route.action, destination)
            if kind is not None and route.opt_out is not None:
                parameters.add(kind.parameter)
        for route in self._connection.routes:
            for parameter in parameters:
                source = route.map.get(parameter)
                if isinstance(source, Constant):
                    self._add(parameter, str(source.value))
        for parameter in parameters:
            try:
                self._check_reach()
                for row in self._managers[parameter].writable():
                    self._add(parameter, str(row["id"]))
            except CallError as error:
                self._not_listed[parameter] = self._failed(error, _ALL_AUDIENCES)

    def _no_state(self, place: _Place) -> Problem:
        message = "a name with the time would be another audience at every run"
        hint = "give 'send' a folder that remembers it: --state DIR"
        return Problem("C243", self._connection.file, place.pointer, message, hint)

    def _missing(self, place: _Place, wanted: Wanted) -> Problem:
        """Return that there is no audience of a name. Raise CallError."""
        manager = self._managers[place.parameter]
        names = []
        for row in manager.list():
            names.append(str(row.get(NAME) or ""))
        title = manager.kind.title
        message = f"there is no {title} '{wanted.name}' in this account"
        file = self._connection.file
        hint = (
            f"{nearest(wanted.name, _nearest_names(wanted.name, names))}; create it with "
            f"'connector audiences create {file} --name \"{wanted.name}\"', or write "
            "{create: NAME}, which creates what is missing"
        )
        own = self._remembered.find(wanted) if self._remembered else None
        if own is not None:
            message += f" any more: the remembered one, {own}, is gone"
            hint += f"; {_ANOTHER_NAME}"
        return Problem("C244", file, place.pointer, message, hint)


def _nearest_names(name: str, names: Sequence[str]) -> list[str]:
    """Return all names of a small account, of another one those that are most like a name."""
    if len(names) <= _MOST_NAMES:
        return list(names)
    return difflib.get_close_matches(name, names, _MOST_NAMES, 0)


def _places(connection: Connection) -> Iterator[_Place]:
    """Yield where routes say names of audiences."""
    for index, route in enumerate(connection.routes):
        for parameter, source in route.map.items():
            if isinstance(source, NamedAudience):
                each = route.each is not None
                name = compile_audience_name(parameter, source, connection.settings, each=each)
                pointer = f"/routes/{index}/map/{parameter}/audience"
                yield _Place(pointer, parameter, source, name)


def _too_many(wanted: Wanted) -> str:
    return (
        f"this run has created {wanted.limit:,} audiences of such names, as many as it may; "
        "if each is meant, set 'limit' beside 'create' in the route, and send these events again"
    )


def _without_hint(text: str) -> str:
    return text.partition("; ")[0]
