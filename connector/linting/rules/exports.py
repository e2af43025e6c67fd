"""The rules of lint on exports. Those with the code of a rule on actions find the same there."""

from __future__ import annotations

from collections.abc import Iterator

from connector.connection.model import Constant, FieldMapping, MappedExport
from connector.definitions.exports import DATE, Export
from connector.definitions.uri_template import placeholders
from connector.errors import nearest
from connector.exports.lines import LinePreparer
from connector.linting.location import Location
from connector.linting.rule import Problems, rule
from connector.linting.rules.parameters import (
    unclear_titles,
    unknown_properties,
    unstable,
    without_effect,
)
from connector.linting.rules.values import invalid_patterns, invalid_values
from connector.model import Rejection
from connector.pipeline.dropped import REASONS
from connector.pipeline.identifiers import HASHES, KEYED, keyed_hash

# Examples are hashed with it: what comes of that is not looked at.
_ANY_KEY = keyed_hash(b"key")


@rule("D211", stage="exports")
def unclear_title(export: Export) -> Problems:
    """Find blank titles and descriptions, and parameters with the same title.

    Guides show these texts, and nothing else tells parameters apart. Write what the value is.
    """
    yield from unclear_titles(Location(export.document), export.parameters)


@rule("D221", stage="exports")
def invalid_value(export: Export) -> Problems:
    """Find an example or a default that violates its own schema.

    A guide would show it. Correct the value or the schema.
    """
    location = Location(export.document) / "properties"
    for field in export.parameters.values():
        if field.identifier is None:
            yield from invalid_values(location, field)


@rule("D222", stage="exports")
def unknown_property(export: Export) -> Problems:
    """Find a required property that does not exist.

    No line could have it. Correct the name, or add the property.
    """
    yield from unknown_properties(Location(export.document), export.parameters)


@rule("D225", stage="exports")
def keyword_without_effect(export: Export) -> Problems:
    """Find keywords on values that are digests already, or are never hashed.

    They have no effect, and mislead whoever reads them. Remove them.
    """
    for identifier in export.identifiers:
        yield from without_effect(identifier, _keyword(export, identifier.parameter))


@rule("D226", stage="exports")
def unstable_steps(export: Export) -> Problems:
    """Find steps that change a value again when they are applied a second time.

    One person becomes two values. Put the steps in another order.
    """
    for identifier in export.identifiers:
        yield from unstable(identifier, _keyword(export, identifier.parameter))


@rule("D231", stage="exports")
def pattern(export: Export) -> Problems:
    """Find a pattern that is not a regular expression.

    Nothing could be checked with it. Write it in the syntax that ECMA 262 and Python share.
    """
    yield from invalid_patterns(Location(export.document))


@rule("D262", stage="exports")
def unknown_column(export: Export) -> Problems:
    """Find a column, or a name in the URL or the file's name, that no parameter has.

    There is nothing to write there. Correct the name, or add the parameter.
    """
    shared = [name for name in export.parameters if name not in _people(export)]
    columns = [*export.wires, *shared]
    location = Location(export.document) / "export"
    for place, name in _named_columns(export, location):
        if name not in columns:
            yield place.problem(f"no column is called '{name}'", nearest(name, columns))

    for name in export.names_of_file:
        if name not in shared:
            message = f"'{name}' is no parameter that is the same for everybody"
            yield (location / "file").problem(message, nearest(name, [*shared, DATE]))


def _named_columns(export: Export, location: Location) -> Iterator[tuple[Location, str]]:
    """Yield the columns as they are written, each with its place."""
    if export.url:
        for name in placeholders(export.url):
            yield location / "url", name
        return
    for index, name in enumerate(export.columns):
        yield location / "columns" / index, name


@rule("D263", stage="exports")
def unwritten_parameter(export: Export) -> Problems:
    """Find a parameter that is in no column, in no URL, and not in the file's name.

    Whoever maps it changes nothing. Write it, or remove it.
    """
    properties = Location(export.document) / "properties"
    wire_of = {one.parameter: one.wire for one in export.identifiers}
    for name in export.parameters:
        if name in wire_of:
            is_written = wire_of[name] in export.columns
        else:
            in_column = name in export.columns and name not in export.wires
            is_written = in_column or name in export.names_of_file
        if not is_written:
            yield (properties / name).problem(
                "is not written: it is in no column",
                "add it, or its wire name, to the columns or the URL, or remove it",
            )


@rule("D264", stage="exports")
def no_identifier(export: Export) -> Problems:
    """Find an export whose lines name nobody.

    All lines would be the same. Make a column of a parameter with the keyword `identifier`.
    """
    if not export.needed_wires:
        yield (Location(export.document) / "properties").problem(
            "no parameter identifies a person",
            "add the keyword 'identifier' to a parameter",
        )


@rule("D265", stage="exports")
def key_and_hash(export: Export) -> Problems:
    """Find a keyed hash without a key, and a key that no hash takes.

    Nothing could be hashed, or a customer would be asked for a key in vain. Give both, or neither.
    """
    keyed = [one.parameter for one in export.identifiers if one.hash == KEYED]
    if export.key is None:
        for name in keyed:
            yield (_keyword(export, name) / "hash").problem(
                f"'{KEYED}' takes a key, and the export has none",
                "add 'key' to 'export'",
            )
    elif not keyed:
        yield (Location(export.document) / "export" / "key").problem(
            "has no effect: no identifier is hashed with a key",
            f'give an identifier "hash": "{KEYED}", or remove the key',
        )


@rule("D266", stage="exports")
def examples_without_line(export: Export) -> Problems:
    """Find examples that make no line.

    A guide would show what cannot be exported. Correct the examples, or the rules of the parameter.
    """
    known = {*export.wires, *export.parameters}
    has_key = export.key is not None or all(one.hash != KEYED for one in export.identifiers)
    is_invalid = next(invalid_value(export), None)
    if is_invalid or not known.issuperset(export.columns) or not has_key:
        return  # other rules say so

    mapped: dict[str, FieldMapping] = {}
    for name, field in export.parameters.items():
        if field.examples or field.allowed:
            mapped[name] = Constant([*field.examples, *field.allowed][0])
    properties = Location(export.document) / "properties"
    for wire in export.needed_wires:
        parameters = export.of_wire(wire)
        if mapped.keys().isdisjoint(parameters):
            message = "has no example: lint cannot make a line"
            yield (properties / parameters[0]).problem(message, 'add "examples"')
            return

    preparer = LinePreparer(MappedExport(export, None, mapped), {}, {**HASHES, KEYED: _ANY_KEY})
    [line] = preparer.prepare([{}], [1], 0.0)
    for value in preparer.lost:
        location = properties / value.parameter
        yield location.problem(f"its example cannot be used: {REASONS[value.code]}")
    if isinstance(line, Rejection) and not preparer.lost:
        yield properties.problem(f"the examples make no line: {line.reason}")


def _people(export: Export) -> set[str]:
    return {identifier.parameter for identifier in export.identifiers}


def _keyword(export: Export, parameter: str) -> Location:
    """Return the location of the keyword `identifier` of a parameter."""
    return Location(export.document) / "properties" / parameter / "identifier"
