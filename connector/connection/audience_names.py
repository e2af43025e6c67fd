"""Names of audiences: `{audience: …}` in a route's `map`, and the templates of `{create: …}`.

    Lytics {{ event.slug }} {{ now | format('%Y%m%d') }}

A name has to be the same one at the next run, when the time is another. So it is remembered under
its text without the time, and what reads the time may read nothing of the event.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from connector.connection.model import MOST_CREATED, NamedAudience
from connector.templating.data import ABSENT, AbsentError, ExpressionError, text
from connector.templating.expressions import Evaluate, compile_expression
from connector.templating.reads import members_read

#: What stands for the time where a name is remembered.
MOMENT = "{{ now }}"

# Any moment: it shows which characters a time adds to a name.
_SOME_MOMENT = "2026-12-31T22:58:59Z"

_HOLE = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)
_BRACES = re.compile(r"\{\{|\}\}|\{%|\{#")
_UNCLOSED = "the braces do not match; write {{ EXPRESSION }} for what differs, and text around it"
_BESIDE_NOW = "an expression with 'now' reads the event, too; give each a {{ … }} of its own"

# What a hole that does not read the event may use; 'event' is known, and read by others.
_NAMES = ("event", "now", "settings")

#: Evaluates an expression on what a record is made of.
Get = Callable[[Any], Any]


class Hole(NamedTuple):
    """A `{{ … }}` of a name: its expression, and whether it reads the event or the time."""

    expression: str
    reads_event: bool
    reads_now: bool


def parts_of(source: NamedAudience) -> list[str | Hole]:
    """Return the texts and holes of a name. Raise ExpressionError."""
    if not source.create:
        return [source.name]

    parts: list[str | Hole] = []
    # a pattern with a group gives texts and expressions in turn
    for number, part in enumerate(_HOLE.split(source.name)):
        if number % 2:
            parts.append(_hole(part.strip()))
        elif _BRACES.search(part):
            raise ExpressionError(_UNCLOSED)
        elif part:
            parts.append(part)
    return parts


def _hole(expression: str) -> Hole:
    reads_event = bool(members_read(expression, "event") or members_read(expression, "item"))
    reads_now = bool(members_read(expression, "now"))
    if reads_event and reads_now:
        raise ExpressionError(_BESIDE_NOW)
    return Hole(expression, reads_event, reads_now)


class Wanted(NamedTuple):
    """An audience by its name.

    `parameter` takes its id. `key`: the name without the time, which it is remembered under.
    `create`: it is created when there is none. `only`: it is the account's only one, without a
    name. `varies`: the name comes from the event; of those with one `template` a run creates at
    most `limit`.
    """

    parameter: str
    name: str
    key: str
    create: bool
    only: bool
    varies: bool
    template: str
    limit: int


class AudienceName:
    """The name of the audience whose id a parameter takes, compiled."""

    def __init__(
        self,
        parameter: str,
        source: NamedAudience,
        settings: Mapping[str, Any],
        compile_hole: Callable[[str], Get],
    ) -> None:
        """`compile_hole` compiles an expression that reads the event. Raise ExpressionError."""
        self.parameter = parameter
        self._source = source
        self._settings = settings
        self._parts: list[tuple[str | Hole, Evaluate | Get]] = []
        for part in parts_of(source):
            evaluate: Evaluate | Get = _no_value
            if isinstance(part, Hole) and part.reads_event:
                evaluate = compile_hole(part.expression)
            elif isinstance(part, Hole):
                evaluate = compile_expression(part.expression, _NAMES)
            self._parts.append((part, evaluate))

        holes = [part for part, _ in self._parts if isinstance(part, Hole)]
        #: Whether it differs from event to event.
        self.varies = any(hole.reads_event for hole in holes)
        #: Whether the time is a part of it.
        self.has_moment = any(hole.reads_now for hole in holes)

    def key(self, row: Any) -> str:
        """Return the name of a row's audience without the time. Raise ExpressionError."""
        return self._text(row, None)

    def wanted(self, row: Any, now: str) -> Wanted:
        """Return the audience of a row. `now`: canonical UTC text. Raise ExpressionError."""
        source = self._source
        return Wanted(
            self.parameter,
            self._text(row, now),
            self._text(row, None),
            source.create or source.only,
            source.only,
            self.varies,
            source.name,
            source.limit or MOST_CREATED,
        )

    def shortest(self) -> str:
        """Return such a name, at some moment, with a letter for what events say.

        Raise ExpressionError.
        """
        return self._text(None, _SOME_MOMENT, letter="x")

    def _text(self, row: Any, now: str | None, letter: str = "") -> str:
        pieces = []
        for part, evaluate in self._parts:
            if isinstance(part, str):
                pieces.append(part)
            elif part.reads_event:
                pieces.append(letter or _present(evaluate(row)))
            elif part.reads_now and now is None:
                pieces.append(MOMENT)
            else:
                pieces.append(_present(evaluate({"now": now, "settings": self._settings})))
        return "".join(pieces)


def _no_value(_scope: Any) -> None:
    return None


def _present(value: Any) -> str:
    """Return the value of a hole as text. Raise ExpressionError when there is none."""
    if value is None or value is ABSENT or value == "":
        raise AbsentError("the audience's name reads what is absent")
    return text(value)
