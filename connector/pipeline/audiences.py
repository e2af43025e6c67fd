"""Where a run gets the ids of audiences: by name, and all of them for an opt-out.

Nothing here asks the vendor. A preview and a case know the audiences that the connection says, and
show a name in the place of an id that only the vendor knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote

from connector.connection.audience_names import AudienceName, Wanted
from connector.connection.mapping import compile_audience_name
from connector.connection.model import Connection, Constant, NamedAudience
from connector.definitions.audiences import AudienceKind
from connector.templating.data import Shown

_OPEN, _CLOSE = "<audience:", ">"
_IN_URL_AT_ALL = quote(_OPEN)
_IN_URL = re.compile(f"{quote(_OPEN)}.*?{quote(_CLOSE)}")
_IN_BODY = re.compile(f'"{_OPEN}[^"]*{_CLOSE}"'.encode())
_ONLY = "only"


class Unresolved(NamedTuple):
    """Why there is no id: a stable code, and a reason without a value of the event.

    `outcome` is that of the records: "rejected", or "undelivered" where they can be sent later.
    """

    code: str
    reason: str
    outcome: str


class UsedAudience(NamedTuple):
    """An audience that a run has by its name.

    `parameter` takes its id, and `title` is what its kind is called. `name` is None for the
    account's only one. `status`: "created", "found" (by its name), or "remembered" (from an earlier
    run). `gone` is the id that was remembered of one that is not there any more, else None.
    """

    parameter: str
    title: str
    id: str
    name: str | None
    status: str
    gone: str | None


class Audiences(Protocol):
    """The audiences of one run."""

    @property
    def used(self) -> Sequence[UsedAudience]:
        """Those that were found or created by name so far."""

    def would_create(self, wanted: Wanted) -> bool:
        """Return whether `find` would look for an audience, and create it when it is missing."""

    #: Why nobody is removed from an audience where `every` has none.
    no_audience: str

    def find(self, wanted: Wanted) -> str | Unresolved:
        """Return the id of an audience by its name, or why there is none."""

    def every(self, parameter: str, now: str) -> Sequence[str] | Unresolved:
        """Return the ids, as far as they are known, of all audiences that a parameter may take.

        When that cannot be told, return why. `now`: canonical UTC text.
        """


class KnownAudiences:
    """What is known of audiences without the vendor: what the connection says."""

    no_audience = (
        "the connection names no audience to remove the person from; 'send' asks for the account's"
    )

    def __init__(
        self, connection: Connection, remembered: Callable[[Wanted], str | None] | None = None
    ) -> None:
        """`remembered` knows the ids of earlier runs. Raise ExpressionError."""
        self._kinds = connection.destination.audiences
        self._named = list(named_in(connection))
        self._remembered = remembered or (lambda wanted: None)
        self._shown: dict[tuple[str, str], str | Unresolved] = {}

    @property
    def used(self) -> Sequence[UsedAudience]:
        """None: the vendor is not asked."""
        return ()

    def would_create(self, wanted: Wanted) -> bool:
        """Return that nothing is created."""
        return False

    def find(self, wanted: Wanted) -> str | Unresolved:
        """Return the id that is remembered, else what is shown in its place."""
        place = (wanted.parameter, wanted.key)
        if place not in self._shown:
            refused = refused_name(wanted, self._kinds[wanted.parameter])
            self._shown[place] = refused or self._remembered(wanted) or shown(wanted)
        return self._shown[place]

    def every(self, parameter: str, now: str) -> Sequence[str]:
        """Return the audiences that routes say, apart from those of events."""
        found: dict[str, None] = dict.fromkeys(constants_in(self._named, parameter))
        for name in names_in(self._named, parameter):
            own = self.find(name.wanted(None, now))
            if isinstance(own, str):
                found[own] = None
        return list(found)


class StandIns:
    """Something for every name, for a record that is made to see whether it is one."""

    no_audience = ""
    used: Sequence[UsedAudience] = ()

    def would_create(self, wanted: Wanted) -> bool:
        """Return that nothing is created."""
        return False

    def find(self, wanted: Wanted) -> str | Unresolved:
        """Return what stands for the id."""
        return shown(wanted)

    def every(self, parameter: str, now: str) -> Sequence[str]:
        """Return nothing: an opt-out creates none of the audiences that people leave."""
        return ()


#: An audience that a route says: the parameter, and its id or its name.
Named = tuple[str, str | AudienceName]


def named_in(connection: Connection) -> Iterator[Named]:
    """Yield the audiences that routes say, by id or by name. Raise ExpressionError."""
    for route in connection.routes:
        for parameter in connection.destination.audiences:
            source = route.map.get(parameter)
            if isinstance(source, Constant):
                yield parameter, str(source.value)
            elif isinstance(source, NamedAudience):
                each = route.each is not None
                name = compile_audience_name(parameter, source, connection.settings, each=each)
                yield parameter, name


def asks_for_audiences(connection: Connection) -> bool:
    """Return whether a run needs audiences that only the vendor knows."""
    if any(route.opt_out is not None for route in connection.routes):
        return True
    return any(isinstance(one, AudienceName) for _, one in named_in(connection))


def constants_in(named: Sequence[Named], parameter: str) -> list[str]:
    """Return the ids that routes say for a parameter."""
    return [one for name, one in named if name == parameter and isinstance(one, str)]


def names_in(named: Sequence[Named], parameter: str) -> list[AudienceName]:
    """Return the names that routes say for a parameter, apart from those that events differ in."""
    found = []
    for name, one in named:
        if name == parameter and isinstance(one, AudienceName) and not one.varies:
            found.append(one)
    return found


def refused_name(wanted: Wanted, kind: AudienceKind) -> Unresolved | None:
    """Return why no audience can have a name, None when one can."""
    problem = "" if wanted.only else kind.names.problem(wanted.name)
    if not problem:
        return None
    return Unresolved("invalid_audience_name", problem.partition("; ")[0], "rejected")


def shown(wanted: Wanted) -> Shown:
    """Return what is shown in the place of an id that is not known."""
    return Shown(_OPEN + (_ONLY if wanted.only else wanted.name) + _CLOSE)


def numbered(body: bytes) -> bytes:
    """Return a body with a number for each name that stands in the place of an id."""
    return _IN_BODY.sub(b"1", body)


def readable(url: str) -> str:
    """Return a URL with the names of audiences as they are; it can be read, and not be sent."""
    if _IN_URL_AT_ALL not in url:
        return url
    return _IN_URL.sub(lambda match: unquote(match[0]), url)


def notes_of(connection: Connection) -> list[str]:
    """Return what is left out where the vendor is not asked."""
    notes = []
    for route in connection.routes:
        if route.opt_out is not None:
            notes.append(
                f"route '{route.name}': the audiences that the connection names; 'send' also "
                "takes people out of all others that the account can change"
            )
    return notes
