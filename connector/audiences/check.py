"""Whether a connection would work: what `connector check` looks at, and the way out of each fault.

Nothing is changed: every request only reads.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any, Literal

from connector._util import times
from connector.audiences.manager import Manager, find_kind
from connector.audiences.remembered import Remembered
from connector.calls.answer import Row
from connector.calls.run import Page, run
from connector.connection.audience_names import AudienceName, Wanted
from connector.connection.audience_rules import audience_of, do_not_reach_of
from connector.connection.mapping import compile_audience_name
from connector.connection.model import Connection, Constant, NamedAudience, Route
from connector.definitions.audiences import NAME, Verification
from connector.delivery.clock import Clock, SystemClock
from connector.delivery.courier import Transport
from connector.errors import CallError, ConfigError
from connector.exports.keys import hashes_of
from connector.model import Request, Response
from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_condition

#: The names that `require` sees.
REQUIRE_NAMES = ("rows", "settings")

#: What became of one thing that was looked at; `skipped`: it cannot be told.
Status = Literal["ok", "warning", "error", "skipped"]

# Seconds by which clocks may differ before anybody is told, and before requests are refused.
_DIFFERS = 60
_TOO_FAR = 300

# Whoever runs a check wants to know, not to wait.
_RETRIES = 0


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at: what was found, and for a fault the way out."""

    name: str
    status: Status
    message: str
    fix: str = ""


_NOT_ASKED = Check("audiences", "skipped", "not asked for: the credentials come first")


def check(
    connection: Connection,
    transport: Transport,
    clock: Clock | None = None,
    remembered: Remembered | None = None,
) -> Iterator[Check]:
    """Yield what is found, each as soon as it is known.

    `remembered` is what earlier runs found and created.
    """
    yield from _Checks(connection, transport, clock or SystemClock(), remembered).run()
    yield from _keys(connection)


def first_answer(connection: Connection, transport: Transport) -> Page | CallError | None:
    """Return the answer to one harmless call, None when the definition has none.

    It shows whether credentials are accepted. Raise ConfigError for a setting that is missing.
    """
    return _Checks(connection, transport, SystemClock(), None).first_answer()


def without_secrets(connection: Connection, error: ConfigError) -> Iterator[Check]:
    """Yield what is found when there is nothing to sign requests with."""
    yield Check("settings", "ok", _settings(connection))
    problems = error.problems
    if not connection.routes and all(problem.code == "C204" for problem in problems):
        yield Check("credentials", "skipped", "without routes nothing is sent")
    else:
        yield from _errors("credentials", error)
        yield _NOT_ASKED
    yield from _keys(connection)


def _errors(name: str, error: ConfigError) -> Iterator[Check]:
    for problem in error.problems:
        place = problem.pointer.removeprefix("/").replace("/", ".")
        yield Check(name, "error", f"{place}: {problem.message}", problem.hint)


def _keys(connection: Connection) -> Iterator[Check]:
    """Yield what is found of the keys of exports."""
    for mapped in connection.exports.values():
        if mapped.export.key is None:
            continue
        name = f"export {mapped.name}"
        try:
            hashes_of(connection, mapped.export)
        except ConfigError as error:
            yield from _errors(name, error)
        else:
            yield Check(name, "ok", "its key has the right form")


class _Checks:
    """The checks of one connection."""

    def __init__(
        self,
        connection: Connection,
        transport: Transport,
        clock: Clock,
        remembered: Remembered | None,
    ) -> None:
        self._remembered = remembered
        self._connection = connection
        self._wire = _Wire(transport, clock)
        self._clock = clock
        self._answers: dict[str, Page | CallError] = {}

    def run(self) -> Iterator[Check]:
        """Yield what is found."""
        yield Check("settings", "ok", _settings(self._connection))
        answer = self.first_answer()
        credentials = _credentials(answer)
        yield credentials
        yield self._clock_check()
        if credentials.status == "error":
            yield _NOT_ASKED
            return

        for verification in self._connection.destination.verifications:
            if verification.require:
                yield self._verified(verification)
        yield from self._audiences()

    def first_answer(self) -> Page | CallError | None:
        """Return the answer to one harmless call, None when the definition has none."""
        destination = self._connection.destination
        for verification in destination.verifications:
            return self._asked(verification.call, verification.given)
        try:
            return self._asked(find_kind(destination).calls["list"], {})
        except ConfigError:
            # There are no kinds, or the list needs a setting that deliveries do without.
            return None

    def _asked(self, call: str, given: Mapping[str, Any]) -> Page | CallError:
        """Return the first page of a call, or why there is none; asked for once."""
        key = f"{call} {sorted(given.items())}"
        if key not in self._answers:
            pages = run(
                self._connection, call, given, self._wire, clock=self._clock, retries=_RETRIES
            )
            try:
                self._answers[key] = next(pages)
            except CallError as error:
                self._answers[key] = error
        return self._answers[key]

    def _clock_check(self) -> Check:
        ahead = self._wire.ahead
        if ahead is None:
            return Check("clock", "skipped", "no answer said what time it is")
        seconds = abs(round(ahead))
        side = "ahead of" if ahead > 0 else "behind"
        if seconds < _DIFFERS:
            return Check("clock", "ok", "as the vendor's")
        return Check(
            "clock",
            "warning" if seconds < _TOO_FAR else "error",
            f"this machine is {seconds:,} s {side} the vendor",
            "set the time, or switch on synchronisation (NTP); signatures and dates depend on it",
        )

    def _verified(self, verification: Verification) -> Check:
        answer = self._asked(verification.call, verification.given)
        if isinstance(answer, CallError):
            return Check(verification.title, "error", *_said(answer))
        scope = {"rows": answer.rows, "settings": self._connection.settings}
        try:
            holds = compile_condition(verification.require, REQUIRE_NAMES)(scope)
        except ExpressionError:
            holds = False
        if holds:
            return Check(verification.title, "ok", "as needed")
        message, _, fix = verification.reason.partition("; ")
        status: Status = "warning" if verification.level == "warning" else "error"
        return Check(verification.title, status, message, fix)

    def _audiences(self) -> Iterator[Check]:
        """Yield what is found of each audience that routes name."""
        connection = self._connection
        for (parameter, own), routes in _named(connection).items():
            manager = self._manager(parameter)
            name = f"{manager.kind.title} {own}"
            try:
                row = manager.get(own)
            except CallError as error:
                yield Check(name, "error", *_said(error))
            except ConfigError as error:
                yield Check(name, "skipped", error.problems[0].message, error.problems[0].hint)
            else:
                yield _audience(name, row, routes, manager)
        yield from self._by_name()
        yield from self._of_events()
        yield from self._opt_outs()

    def _manager(self, parameter: str) -> Manager:
        kind = self._connection.destination.audiences[parameter]
        return Manager(self._connection, kind, self._wire, clock=self._clock, retries=_RETRIES)

    def _by_name(self) -> Iterator[Check]:
        """Yield what is found of each audience that routes call by a name."""
        for wanted, routes in self._wanted().items():
            manager = self._manager(wanted.parameter)
            title = manager.kind.title
            # Without the time, which is another one at every run.
            label = title if wanted.only else f"{title} '{wanted.key}'"
            try:
                row, gone = self._found(manager, wanted)
            except CallError as error:
                yield Check(label, "error", *_said(error))
            except ConfigError as error:
                yield Check(label, "error", error.problems[0].message, error.problems[0].hint)
            else:
                if row is not None or not wanted.create:
                    yield _audience(label, row, routes, manager)
                else:
                    yield _not_there_yet(label, gone, routes)

    def _wanted(self) -> dict[Wanted, list[str]]:
        """Return the audiences that routes call by names which are known before there are events.

        One with the time in it is known by what is remembered.
        """
        now = times.from_epoch(self._clock.now())
        found: dict[Wanted, list[str]] = {}
        for route, name in _names(self._connection):
            if not self._is_unknown(name):
                found.setdefault(name.wanted(None, now), []).append(route.name)
        return found

    def _is_unknown(self, name: AudienceName) -> bool:
        return name.varies or (name.has_moment and self._remembered is None)

    def _found(self, manager: Manager, wanted: Wanted) -> tuple[Row | None, str | None]:
        """Return an audience, None without one; and the remembered id of one that is gone.

        It is looked for as `send` does. Raise CallError, and ConfigError.
        """
        own = self._remembered.find(wanted) if self._remembered else None
        row = None if own is None else manager.get(own)
        if row is not None:
            return row, None
        if wanted.only:
            return manager.find_only(), own
        is_dated = wanted.name != wanted.key
        return (None if is_dated else manager.find(wanted.name)), own

    def _of_events(self) -> Iterator[Check]:
        """Yield the routes whose audience nobody knows before there are events."""
        connection = self._connection
        for route in connection.routes:
            for parameter, kind in connection.destination.audiences.items():
                source = route.map.get(parameter)
                if source is not None and not isinstance(source, Constant | NamedAudience):
                    message = f"route '{route.name}' takes it from each event"
                    yield Check(kind.title, "skipped", message)
        for route, name in _names(connection):
            if self._is_unknown(name):
                kind = connection.destination.audiences[name.parameter]
                of = "each event" if name.varies else "the time"
                fix = "" if name.varies else "--state DIR has what 'send --state DIR' remembers"
                yield Check(kind.title, "skipped", f"route '{route.name}' names it by {of}", fix)

    def _opt_outs(self) -> Iterator[Check]:
        """Yield what routes that opt people out would change."""
        destination = self._connection.destination
        for route in self._connection.routes:
            kind = audience_of(route.action, destination)
            if route.opt_out is None or kind is None:
                continue
            name = f"opt-out '{route.name}'"
            try:
                count = self._count_changeable(kind.parameter)
                also = self._do_not_reach() if route.opt_out.do_not_reach else ""
            except CallError as error:
                yield Check(name, "error", *_said(error))
            except ConfigError as error:
                yield Check(name, "error", error.problems[0].message, error.problems[0].hint)
            else:
                yield _opt_out(name, kind.title, count, also)

    def _count_changeable(self, parameter: str) -> int:
        """Return of how many audiences an opt-out is. Raise CallError, and ConfigError."""
        found = {own for name, own in _named(self._connection) if name == parameter}
        for row in self._manager(parameter).writable():
            found.add(str(row["id"]))
        return len(found)

    def _do_not_reach(self) -> str:
        """Return on which list people are put, in words. Raise CallError, and ConfigError."""
        found = do_not_reach_of(self._connection.destination)
        assert found is not None, "a rule on connections refuses it"
        manager = self._manager(found[0].parameter)
        row = manager.find_only()
        own = "which the first person creates" if row is None else str(row["id"])
        return f"; puts them on the {manager.kind.title}, {own}"


class _Wire:
    """A transport that also compares the clocks."""

    def __init__(self, transport: Transport, clock: Clock) -> None:
        self._transport = transport
        self._clock = clock
        #: How many seconds this machine is ahead of the vendor, None when that is not known.
        self.ahead: float | None = None

    def __call__(self, request: Request) -> Response:
        """Send a request."""
        response = self._transport(request)
        date = response.headers.get("date", "")
        try:
            theirs = parsedate_to_datetime(date)
        except ValueError:
            return response
        if theirs.tzinfo is None:
            theirs = theirs.replace(tzinfo=UTC)
        self.ahead = self._clock.now() - theirs.timestamp()
        return response


def _settings(connection: Connection) -> str:
    words = [_count(len(connection.routes), "route")]
    if connection.exports:
        words.append(_count(len(connection.exports), "export"))
    return f"{connection.destination.title} at {connection.base_url}, {', '.join(words)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _credentials(answer: Page | CallError | None) -> Check:
    if answer is None:
        message = "there, but not tried: there is nothing harmless to ask for"
        return Check("credentials", "skipped", message)
    if isinstance(answer, CallError):
        return Check("credentials", "error", *_said(answer))
    return Check("credentials", "ok", "accepted")


def _said(error: CallError) -> tuple[str, str]:
    """Return what is wrong, and the way out."""
    message, _, fix = error.reason.partition("; ")
    return message, fix


def _named(connection: Connection) -> dict[tuple[str, str], list[str]]:
    """Return the audiences that routes name by their ids, by parameter and id, and the routes."""
    named: dict[tuple[str, str], list[str]] = {}
    for route in connection.routes:
        for parameter in connection.destination.audiences:
            source = route.map.get(parameter)
            if isinstance(source, Constant):
                named.setdefault((parameter, str(source.value)), []).append(route.name)
    return named


def _names(connection: Connection) -> Iterator[tuple[Route, AudienceName]]:
    for route in connection.routes:
        for parameter in connection.destination.audiences:
            source = route.map.get(parameter)
            if isinstance(source, NamedAudience):
                each = route.each is not None
                settings = connection.settings
                yield route, compile_audience_name(parameter, source, settings, each=each)


def _not_there_yet(label: str, gone: str | None, routes: list[str]) -> Check:
    """Return what is found of an audience that a run creates when it is missing."""
    to = ", ".join(routes)
    if gone is None:
        message = f"is not there yet (routes: {to})"
        return Check(label, "warning", message, "the first person creates it")
    message = f"the remembered one, {gone}, is gone (routes: {to})"
    return Check(label, "warning", message, "the first person creates another")


def _opt_out(name: str, title: str, count: int, also: str) -> Check:
    """Return what a route that opts people out would change. `also`: what it does besides."""
    if not count and not also:
        message = f"the account has no {title} to take people out of"
        return Check(name, "warning", message, "who opts out is skipped until it has one")
    plural = "" if count == 1 else "s"
    return Check(name, "ok", f"takes people out of {count:,} {title}{plural}{also}")


def _audience(name: str, row: Row | None, routes: list[str], manager: Manager) -> Check:
    """Return what is found of an audience that has to be there."""
    to = ", ".join(routes)
    if row is None:
        message = f"does not exist in this account, or was deleted (routes: {to})"
        fix = f"see '{manager.command('list')}'"
        create = manager.command("create")
        if create:
            fix += f", or create one with '{create}'"
        return Check(name, "error", message, fix)
    if row.get("writable") is False:
        message = f"cannot be changed by this account (routes: {to})"
        return Check(name, "error", message, "have its owner share it for writing, or use another")

    message = f"'{row.get(NAME)}', {_size(row)}"
    state = row.get("state")
    if state:
        message += f", {state}"
    if row.get("targetable") is False:
        fix = (
            "people can be sent all the same; "
            "it can be targeted once the vendor has processed enough of them"
        )
        return Check(name, "warning", message, fix)
    return Check(name, "ok", message)


def _size(row: Row) -> str:
    size = row.get("size")
    if size is None:
        return "size not known yet"
    return f"{size:,} people" if isinstance(size, int) else f"{size} people"
