"""Columns: the values of one parameter for many events at a time.

Hot path. All e-mails of a chunk, then all phone numbers: a loop that runs in C costs a fraction of
one in Python. Without bulk hashing, mapping takes half as long again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import compress
from typing import Any, NamedTuple, Protocol

from connector._util.countries import UNKNOWN, region
from connector._util.words import stand_for_values
from connector.connection.mapping import GetAll, Row, compile_column
from connector.connection.model import Constant, Taking
from connector.definitions.model import Field, Identifier
from connector.pipeline.dropped import Dropped, DroppedError
from connector.pipeline.identifiers import HASHES, Hash, Identify, as_text, identify
from connector.pipeline.normalise import many_normaliser, normaliser, of_country
from connector.pipeline.texts import encode
from connector.templating.data import ABSENT, ExpressionError
from connector.validation.schema import Schema

#: What one value of an event became: a wire value, a drop, nothing, or one of these for each value
#: of a list.
Cell = str | Dropped | None | list[Any]

#: From the events' values of one parameter, one for each event, to their cells.
Column = Callable[[list[Any]], Sequence[Cell]]

_TEXTS_ONLY = {str}


def column(
    identifier: Identifier,
    *,
    prehashed: bool | str,
    identify_one: Identify | None = None,
    hashes: Mapping[str, Hash] = HASHES,
) -> Column:
    """Return the function that identifies a parameter for many events at a time.

    identify_one: replaces `identify` for every value; nothing is done in bulk then.
    """
    if identify_one is not None:
        return _one_by_one(identify_one)

    identify_one = identify(identifier, prehashed=prehashed, hashes=hashes)
    if identifier.hash == "none" or prehashed is True:
        return _one_by_one(identify_one)
    return _in_bulk(identifier, identify_one, hashes[identifier.hash])


def _one_by_one(identify_one: Identify) -> Column:
    def cells(values: list[Any]) -> Sequence[Cell]:
        return [_cell(identify_one, value) for value in values]

    return cells


def _in_bulk(identifier: Identifier, identify_one: Identify, hashing: Hash) -> Column:
    """Return the column that hashes texts in bulk, and settles anything else one by one."""
    hash_texts = _text_hasher(identifier, identify_one, hashing)
    digits = hashing.digits

    def cells(values: list[Any]) -> Sequence[Cell]:
        only_texts = set(map(type, values)) == _TEXTS_ONLY and all(values)
        if only_texts and max(map(len, values)) < digits:
            return hash_texts(values)

        # A text as long as a digest may be one.
        in_bulk = [value.__class__ is str and 0 < len(value) < digits for value in values]
        hashed = iter(hash_texts(list(compress(values, in_bulk))))
        return [
            next(hashed) if is_short_text else _cell(identify_one, value)
            for value, is_short_text in zip(values, in_bulk, strict=True)
        ]

    return cells


def _text_hasher(
    identifier: Identifier, identify_one: Identify, hashing: Hash
) -> Callable[[list[str]], Sequence[Cell]]:
    normalise = many_normaliser(identifier)
    digest_of = hashing.function
    suspects = hashing.suspects(normaliser(identifier))
    takes_words = identifier.takes_words

    def hash_texts(texts: list[str]) -> Sequence[Cell]:
        if takes_words and not stand_for_values(texts):
            return [_cell(identify_one, text) for text in texts]
        encoded = _encode_all(normalise(texts))
        digests: list[str] = [digest_of(value).hexdigest() for value in encoded]
        if suspects.isdisjoint(digests):
            return digests

        # What was refused on the way is "" now, and counts as a suspect: alone, each gets its own
        # reason, or turns out to be somebody.
        cells: list[Cell] = []
        for text, digest in zip(texts, digests, strict=True):
            cells.append(_cell(identify_one, text) if digest in suspects else digest)
        return cells

    return hash_texts


def _encode_all(values: list[str]) -> list[bytes]:
    try:
        return list(map(str.encode, values))
    except UnicodeEncodeError:
        return list(map(_encode_or_empty, values))


def _encode_or_empty(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        return b""


def _cell(identify_one: Identify, value: Any) -> Cell:
    if value is None or value is ABSENT or value == "":
        return None
    if isinstance(value, list | tuple):
        return _cells_of_list(identify_one, value)
    if isinstance(value, ExpressionError):
        return Dropped("expression_failed", str(value))
    try:
        return identify_one(value)
    except DroppedError as error:
        return Dropped(error.reason)


def is_usable(cell: Cell) -> bool:
    """Return whether a cell has a value that can be sent."""
    if isinstance(cell, list):
        return any(isinstance(value, str) for value in cell)
    return isinstance(cell, str)


def _cells_of_list(identify_one: Identify, values: Sequence[Any]) -> list[Cell] | None:
    cells: list[Cell] = []
    for value in values:
        if isinstance(value, list | tuple):
            cells.append(Dropped("not_text"))
            continue
        cell = _cell(identify_one, value)
        if cell is not None:
            cells.append(cell)
    return cells or None


# The columns of a route
# -----------------------------------------------------------------------------------------------


class Form(Protocol):
    """What has identifiers among its parameters: an action, or an export."""

    @property
    def parameters(self) -> Mapping[str, Field]:
        """The parameters by name."""

    @property
    def identifiers(self) -> tuple[Identifier, ...]:
        """Those that name a person."""

    @property
    def wires(self) -> tuple[str, ...]:
        """The wire keys of these, each once."""


class IdentifierColumn(NamedTuple):
    """One mapped identifier parameter of a route or an export.

    flag: the boolean parameter that says whether the values are digests already.
    plain, digest: identify the values when the flag is off or missing, and when it is on.
    country: finds the country of each phone number, where the rows say it; of_country: the column
    for numbers of one country.
    """

    parameter: str
    wire: str
    flag: str | None
    plain: Column
    digest: Column
    country: GetAll | None = None
    of_country: Callable[[str], IdentifierColumn] | None = None

    def countries(self, rows: Sequence[Row]) -> list[Any]:
        """Return what the rows say for the country of their numbers."""
        return self.country(rows) if self.country else []

    def cells(
        self, values: list[Any], params: Mapping[str, Any], countries: Sequence[Any]
    ) -> Sequence[Cell]:
        """Identify the values of rows that have these parameters."""
        if self.of_country is not None:
            regions = list(map(_region, countries))
            return _cells_by_country(self.of_country, regions, values, params)

        is_digest = self.flag is not None and params.get(self.flag)
        identify_all = self.digest if is_digest else self.plain
        return identify_all(values)


def identifier_columns(
    form: Form, taking: Taking, settings: Mapping[str, Any], hashes: Mapping[str, Hash] = HASHES
) -> list[IdentifierColumn]:
    """Return the columns of the mapped identifiers, those of one wire key side by side."""
    identifiers = [one for one in form.identifiers if one.parameter in taking.map]
    identifiers.sort(key=lambda identifier: form.wires.index(identifier.wire))

    columns = []
    for identifier in identifiers:
        schema = form.parameters[identifier.parameter].schema
        columns.append(_mapped_column(identifier, schema, taking, settings, hashes))
    return columns


def _mapped_column(
    identifier: Identifier,
    schema: Mapping[str, Any],
    taking: Taking,
    settings: Mapping[str, Any],
    hashes: Mapping[str, Hash],
) -> IdentifierColumn:
    source = taking.map[identifier.parameter]
    if source.prehashed is not None:
        # it goes before what the definition says, and before a flag
        identifier = replace(identifier, prehashed=source.prehashed, flag=None)
    country = source.country
    if country is None:
        return _identifier_column(identifier, schema, hashes)

    @cache
    def column_of(region: str) -> IdentifierColumn:
        return _identifier_column(of_country(identifier, region), schema, hashes)

    if isinstance(country, Constant):
        return column_of(_region(country.value))
    get = compile_column(country, settings, each=taking.each is not None)
    return column_of(UNKNOWN)._replace(country=get, of_country=column_of)


def _region(country: Any) -> str:
    """Return the region of a mapped country; a list of one is the country itself."""
    if isinstance(country, list) and len(country) == 1:
        [country] = country
    return region(country)


def _cells_by_country(
    of_country: Callable[[str], IdentifierColumn],
    regions: Sequence[str],
    values: list[Any],
    params: Mapping[str, Any],
) -> Sequence[Cell]:
    """Identify phone numbers, those of one country together."""
    positions_of: dict[str, list[int]] = {}
    for position, one in enumerate(regions):
        positions_of.setdefault(one, []).append(position)

    cells: list[Cell] = [None] * len(values)
    for one, positions in positions_of.items():
        values_of_one = [values[position] for position in positions]
        cells_of_one = of_country(one).cells(values_of_one, params, ())
        for position, cell in zip(positions, cells_of_one, strict=True):
            cells[position] = cell
    return cells


def _identifier_column(
    identifier: Identifier, schema: Mapping[str, Any], hashes: Mapping[str, Hash]
) -> IdentifierColumn:
    plain = _checked_column(identifier, schema, hashes, prehashed=identifier.prehashed)
    return IdentifierColumn(
        parameter=identifier.parameter,
        wire=identifier.wire,
        flag=identifier.flag if identifier.hash != "none" else None,
        plain=plain,
        digest=_checked_column(identifier, schema, hashes, prehashed=True),
    )


# Keywords that say nothing about a single value, or that identifying checks anyway.
_SAYS_NOTHING = frozenset(
    {
        "title",
        "description",
        "examples",
        "type",
        "items",
        "identifier",
        "source",
        "writeOnly",
        "deprecated",
        "$comment",
    }
)


def _checked_column(
    identifier: Identifier,
    schema: Mapping[str, Any],
    hashes: Mapping[str, Hash],
    *,
    prehashed: bool | str,
) -> Column:
    """Return the column of a parameter, with a check of its schema where needed.

    It is needed when the schema says more than identifying checks.
    """
    rules = dict(schema)
    for keyword in _SAYS_NOTHING:
        rules.pop(keyword, None)
    if not rules:
        return column(identifier, prehashed=prehashed, hashes=hashes)

    allowed = Schema(rules)
    identify_one = identify(identifier, prehashed=prehashed, hashes=hashes)

    def check_and_identify(value: Any) -> str:
        text = as_text(value)
        if not allowed.is_valid(text):
            encode(text)  # half of a surrogate pair is a reason of its own
            raise DroppedError("not_allowed")
        return identify_one(value)

    return column(identifier, prehashed=prehashed, identify_one=check_and_identify)
