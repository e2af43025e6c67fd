"""Values as people have them, as we send them and as the vendor's own normalisers make them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import connector
from connector.connection.model import Connection
from tests.kit import junk
from tests.witness.kit import Client, row_of

#: From a parameter and a value to the wire value that the library makes of it. It may raise anything.
Normaliser = Callable[[str, str], str | None]
#: From a request's body to the wire values of its only person, by wire key.
PersonOf = Callable[[Any], Mapping[str, Any]]
#: `taken` is what we drop and the library takes; `different` what it drops, or makes another text of.
Outcome = Literal["equal", "dropped", "taken", "different"]


class Kind(NamedTuple):
    """Values of a parameter. junk: says nothing of a person. spelled: says something."""

    junk: tuple[str, ...]
    spelled: tuple[str, ...]


def _from_table(kind: str) -> Kind:
    """Return the texts among the values that are sent through every destination."""
    table = junk.KINDS[kind]
    texts = []
    for values in (table.junk, table.spelled):
        texts.append(tuple(value for value in values if isinstance(value, str)))
    return Kind(*texts)


_WORDS = ("", " ", "-", "NULL", "n/a", "#REF!", "(not set)")
_NAMES = Kind(
    _WORDS,
    (
        "Ann", " ANN\t", "Anne Marie", "Anne-Marie", "O'Neil", "J.R.", "José", "MÜLLER", "Łukasz", "Ольга", "李",
        "Jose\u0301", "A\u200bnn", junk.wide("Ann"),
    ),
)  # fmt: skip
_PLACES = Kind(
    _WORDS,
    ("Paris", " Menlo Park ", "St. Louis", "Winston-Salem", "L'Aquila", "São Paulo", "KÖLN", "東京", "Paris 16", "Frankfurt (Oder)"),
)  # fmt: skip
_DAYS = ("0", "00", "32", "1.5", "first")

KINDS = {
    "email": _from_table("email"),
    "phone": _from_table("phone"),
    "first_name": _NAMES,
    "last_name": _NAMES,
    "first_initial": Kind(_WORDS, ("A", " a ", "Ann", "O'Neil", "'Ann", "Émile", "Ольга", "李")),
    "gender": Kind((*_WORDS, "x", "1", "divers"), ("f", "M", " F ", "Female", "male")),
    "birth_year": Kind((*_WORDS, "85", "0000", "19850709", "1885"), ("1985", " 2001 ")),
    "birth_month": Kind((*_WORDS, *_DAYS, "13", "July"), ("07", "7", " 7 ", "12")),
    "birth_day": Kind((*_WORDS, *_DAYS), ("09", "9", " 9 ", "31")),
    "city": _PLACES,
    "state": Kind(_WORDS, ("CA", "ca", "California", "N.Y.", "New York", "Bayern", "Île-de-France")),
    "postal_code": Kind(
        _WORDS,
        ("94043", " 94043 ", "94043-1234", "94 043", "SW1A 1AA", "sw1a 1aa", "00-950", "100-0001"),
    ),
    "country": Kind(
        (*_WORDS, "Germany", "DEU", "1", "D1"), ("US", "us", " De ", "U.S.", "USA", "U.S.A.")
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What a value becomes with us and with a library, by parameter and value; None is nothing."""

    client: Client
    #: The name of each parameter's kind.
    kinds: Mapping[str, str]
    ours: Mapping[tuple[str, str], str | None]
    theirs: Mapping[tuple[str, str], str | None]

    def with_outcome(self, outcome: Outcome) -> list[tuple[str, str]]:
        """Return the parameters and values of which one becomes this."""
        found = []
        for one, ours in self.ours.items():
            if _outcome(ours, self.theirs[one]) == outcome:
                found.append(one)
        return found

    def is_junk(self, parameter: str, value: str) -> bool:
        """Return whether a value says nothing of a person."""
        return value in KINDS[self.kinds[parameter]].junk


def _outcome(ours: str | None, theirs: str | None) -> Outcome:
    if ours == theirs:
        return "dropped" if ours is None else "equal"
    return "taken" if ours is None else "different"


def comparison_of(
    client: Client, kinds: Mapping[str, str], ours: Normaliser, theirs: Normaliser
) -> Comparison:
    """Compare the values of parameters, of which `kinds` has the name of each one's kind."""
    by_us, by_them = {}, {}
    for parameter, kind in kinds.items():
        for value in (*KINDS[kind].junk, *KINDS[kind].spelled):
            by_us[parameter, value] = ours(parameter, value)
            try:
                by_them[parameter, value] = theirs(parameter, value)
            except Exception:  # noqa: BLE001 - each library has errors of its own
                by_them[parameter, value] = None
    return Comparison(client, kinds, by_us, by_them)


def summary_of(comparison: Comparison) -> str:
    """Return a comparison as one row of the table of all."""
    figures = [len(comparison.with_outcome(outcome)) for outcome in get_args(Outcome)]
    return row_of(*comparison.client.cells, len(comparison.ours), *figures)


class Sender:
    """Sends somebody with one value of one parameter, and what else makes a person of them."""

    def __init__(
        self, destination: str, settings: Any, route: Any, beside: Any, person_of: PersonOf
    ) -> None:
        self._connection = connector.make_connection(
            {"destination": destination, "settings": settings, "routes": [route]}
        )
        self._beside = beside
        self._person_of = person_of
        self.wires = _wires_of(self._connection)

    def __call__(self, parameter: str, value: str) -> str | None:
        """Return the wire value that is sent for a value of a parameter; None when none is."""
        event = {**self._beside, parameter: value}
        requests = list(connector.preview(self._connection, [event]))
        if not requests:
            return None
        [request] = requests
        return self._person_of(request.json()).get(self.wires[parameter]) or None


def _wires_of(connection: Connection) -> dict[str, str]:
    [route] = connection.routes
    return {one.parameter: one.wire for one in route.action.identifiers}
