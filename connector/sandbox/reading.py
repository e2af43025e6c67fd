"""Who stands in a body, as the annotations of the vendor's contract say.

A contract is a JSON Schema with keywords beside JSON Schema's own: `person`, `identifier`, `wire`,
`operation`, `parameter` and `key`. It is compiled once, cut down to the branches that lead to one
of them. A value speaks for every person and every identifier, unless the two stand in different
elements of one list, or below different members that are named by `key`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from connector.definitions.model import JOINT
from connector.sandbox.places import Node, node_of

#: A wire key and one value.
Identifier = tuple[str, str]

#: Names and values of parameters, in the order of the names.
Params = tuple[tuple[str, str | int], ...]


class Group:
    """People under one operation of the body.

    `operation` is "" when the body does not name one. `people` counts them, `nameless` those of
    them without any identifier. `changes` has the identifiers of each person, by the parameters
    that the body gives for them; one person may have several.
    """

    def __init__(self, operation: str) -> None:
        self.operation = operation
        self.people = 0
        self.nameless = 0
        self.changes: dict[Params, list[set[Identifier]]] = {}


class _Row(NamedTuple):
    """Values that speak together; `wire` "" is a word that is no wire key, None is no word."""

    group: Group | None = None
    params: Params = ()
    wire: str | None = None
    columns: tuple[str, ...] | None = None

    def and_then(self, other: _Row) -> _Row:
        """Return both; the other stands nearer, and wins."""
        params = self.params or other.params
        if self.params and other.params:
            params = tuple(sorted({**dict(self.params), **dict(other.params)}.items()))
        return _Row(
            other.group or self.group,
            params,
            self.wire if other.wire is None else other.wire,
            self.columns if other.columns is None else other.columns,
        )


_NOTHING = (_Row(),)

# The identifiers of one person, by what speaks for them.
_Found = dict[tuple[Group | None, Params], set[Identifier]]


def _combined(rows: Sequence[_Row], others: Sequence[_Row]) -> Sequence[_Row]:
    """Return every row with every other one; an empty side says nothing."""
    if not rows or not others:
        return rows or others
    combined = []
    for row in rows:
        for other in others:
            combined.append(row.and_then(other))
    return combined


class Reader:
    """Reads the people of a body."""

    def __init__(self, contract: Any, wires: Collection[str]) -> None:
        """Compile a contract (or True). `wires` are the wire keys that name a person by itself."""
        self._node = node_of(contract)
        self._wires = frozenset(wires)

    def read(self, body: Any) -> Reading:
        """Return who is in a body, in groups in the order of the operations that it names.

        The people of a body that names no operation are one group.
        """
        reading = Reading(self._wires)
        if self._node is not None:
            reading.add(self._node.holding(body), body, ())
        return reading


class Reading:
    """Who is in one body.

    `people` counts all, and a person who is in several groups once.
    """

    # While a body is read, every instance comes with the node that holds for it.

    def __init__(self, wires: frozenset[str]) -> None:
        self.groups: list[Group] = []
        self.people = 0
        self._wires = wires
        self._unnamed: Group | None = None
        # By the container and the key of a value: it may speak to several sides, and is one value.
        self._said: dict[tuple[int, str | int], Sequence[_Row]] = {}

    def add(self, node: Node, instance: Any, rows: Sequence[_Row]) -> None:
        """Add the people in an instance that these rows speak for."""
        if isinstance(node.operation, str):
            rows = _combined(rows, [_Row(self._group(node.operation))])
        if node.person:
            self._person(node, instance, rows or _NOTHING)
            return
        if instance.__class__ is list:
            if node.is_crowd and instance and _is_plain(rows):
                self._crowd(node, instance, *(rows or _NOTHING))
                return
            for _, child, value in node.children(instance):
                if child.has_people:
                    self.add(child, value, rows)
            return
        for child, value, its_rows in self._below(node, instance, rows):
            if child.has_people:
                self.add(child, value, its_rows)

    def _group(self, operation: str) -> Group:
        group = Group(operation)
        self.groups.append(group)
        return group

    def _below(
        self, node: Node, instance: Any, rows: Sequence[_Row]
    ) -> Iterator[tuple[Node, Any, Sequence[_Row]]]:
        """Yield the members of an object, each with what speaks for it."""
        children = node.children(instance)
        speaking = [one for one in children if one[1].speaks]
        for key, child, value in children:
            if child.leads_to_people:
                its_rows = self._beside(instance, rows, speaking, key, child)
                yield child, value, its_rows

    def _beside(
        self,
        instance: Any,
        rows: Sequence[_Row],
        speaking: Sequence[tuple[str, Node, Any]],
        key: str,
        child: Node,
    ) -> Sequence[_Row]:
        """Return the rows with what the other members say."""
        others = [one for one in speaking if one[0] != key and not (one[1].key and child.key)]
        rows = _combined(rows, self._alternatives(instance, others))
        if child.key:
            rows = _combined(rows, [_Row(params=((child.key, key),))])
        return rows

    def _alternatives(
        self, instance: Any, children: Iterable[tuple[str | int, Node, Any]]
    ) -> Sequence[_Row]:
        """Return what children of one instance say together.

        Elements of a list and members that are named by `key` are alternatives.
        """
        together: Sequence[_Row] = ()
        apart: list[_Row] = []
        for key, child, value in children:
            place = id(instance), key
            if place not in self._said:
                self._said[place] = self._says(child, key, value)
            if child.key or instance.__class__ is list:
                apart += self._said[place]
            else:
                together = _combined(together, self._said[place])
        return _combined(together, apart)

    def _says(self, node: Node, key: str | int, instance: Any) -> Sequence[_Row]:
        """Return what a member or an element, and all below it, says about people beside it."""
        rows: Sequence[_Row] = ()
        if node.key:
            rows = [_Row(params=((node.key, key),))]
        rows = _combined(rows, self._own(node, instance))
        if not node.has_children:
            return rows
        speaking = [one for one in node.children(instance) if one[1].speaks]
        return _combined(rows, self._alternatives(instance, speaking))

    def _own(self, node: Node, instance: Any) -> Sequence[_Row]:
        """Return what the annotations of an instance itself say."""
        group = wire = columns = None
        params: Params = ()
        word = _word(instance)
        if isinstance(node.operation, dict) and word in node.operation:
            group = self._group(node.operation[word])
        if node.parameter and word and instance.__class__ is not bool:
            params = ((node.parameter, instance),)
        if node.wire and word:
            wire = _wire(node.wire, instance)
        elif node.wire and instance.__class__ is list:
            columns = tuple(_wire(node.wire, one) for one in instance)
        own = _Row(group, params, wire, columns)
        return () if own == _NOTHING[0] else [own]

    def _crowd(self, node: Node, people: list[Any], row: _Row) -> None:
        """Add people that have nothing but identifiers: as `_person` does, and faster."""
        assert node.items is not None
        flat = node.items.flat
        group = row.group or self._unnamed_group()
        changes = group.changes.setdefault(row.params, [])
        for person in people:
            identifiers: set[Identifier] = set()
            if person.__class__ is dict:
                _add_members(flat, person, identifiers)
            if identifiers:
                changes.append({one for one in identifiers if one[0] in self._wires})
            else:
                group.nameless += 1
        group.people += len(people)
        self.people += len(people)

    def _person(self, node: Node, instance: Any, rows: Sequence[_Row]) -> None:
        self.people += 1
        if node.speaks:
            found = self._found_apart(node, instance, rows)
        else:
            found = _found(node, instance, rows)

        counted: list[Group] = []
        for (named, params), identifiers in found.items():
            if identifiers:
                group = named or self._unnamed_group()
                kept = {one for one in identifiers if one[0] in self._wires}
                group.changes.setdefault(params, []).append(kept)
                if group not in counted:
                    counted.append(group)
                    group.people += 1
        if not counted:
            self._nameless(node, instance, rows)

    def _nameless(self, node: Node, instance: Any, rows: Sequence[_Row]) -> None:
        speaking = [one for one in node.children(instance) if one[1].speaks]
        rows = _combined(rows, self._alternatives(instance, speaking))
        for named in {row.group for row in rows}:
            group = named or self._unnamed_group()
            group.people += 1
            group.nameless += 1

    def _found_apart(self, node: Node, instance: Any, rows: Sequence[_Row]) -> _Found:
        """Return the identifiers of a person in which values speak too."""
        found: _Found = {}
        if instance.__class__ is not list and any(row.columns for row in rows):
            rows = [row._replace(columns=None) for row in rows]
        self._identifiers(node, instance, rows, found)
        return found

    def _identifiers(self, node: Node, instance: Any, rows: Sequence[_Row], found: _Found) -> None:
        if node.identifier:
            for row in rows:
                identifiers = found.setdefault((row.group, row.params), set())
                _add_values(node, instance, row.wire, identifiers)
        if not node.has_children:
            return
        if instance.__class__ is list:
            for index, child, value in node.children(instance):
                self._identifiers(child, value, _at(rows, index), found)
            return
        for child, value, its_rows in self._below(node, instance, rows):
            self._identifiers(child, value, its_rows, found)

    def _unnamed_group(self) -> Group:
        if self._unnamed is None:
            self._unnamed = self._group("")
        return self._unnamed


def _at(rows: Sequence[_Row], index: int) -> Sequence[_Row]:
    """Return the rows for a cell: its column says the wire key."""
    at_cell = []
    for row in rows:
        if row.columns is None:
            at_cell.append(row)
        else:
            at_cell.append(row._replace(wire=_column(row.columns, index), columns=None))
    return at_cell


def _is_plain(rows: Sequence[_Row]) -> bool:
    """Return whether rows say one thing, and nothing about wire keys."""
    return not rows or (len(rows) == 1 and rows[0].wire is None)


def _column(columns: Sequence[str], index: int) -> str:
    return columns[index] if index < len(columns) else ""


def _found(node: Node, instance: Any, rows: Sequence[_Row]) -> _Found:
    """Return the identifiers of a person in which nothing speaks."""
    found: _Found = {}
    for row in rows:
        identifiers = found.setdefault((row.group, row.params), set())
        if row.columns is not None and instance.__class__ is list:
            _add_cells(node, instance, row.columns, identifiers)
        elif row.wire is None and node.flat and instance.__class__ is dict:
            _add_members(node.flat, instance, identifiers)
        else:
            _add_identifiers(node, instance, row.wire, identifiers)
    return found


def _add_members(
    flat: Mapping[str, str], instance: Mapping[str, Any], identifiers: set[Identifier]
) -> None:
    """Add the identifiers of a person that has nothing else."""
    for name, values in instance.items():
        if name in flat:
            wire = flat[name]
            for value in values if values.__class__ is list else (values,):
                if value != "" and (value.__class__ is str or value.__class__ is int):
                    identifiers.add((wire, str(value)))


def _add_cells(
    node: Node, instance: list[Any], columns: Sequence[str], identifiers: set[Identifier]
) -> None:
    """Add the identifiers of a person that is a list, each with the wire key of its column."""
    for index, child, value in node.children(instance):
        _add_identifiers(child, value, _column(columns, index), identifiers)


def _add_identifiers(
    node: Node, instance: Any, wire: str | None, identifiers: set[Identifier]
) -> None:
    """Add the identifiers of a person, or of a part, in which nothing speaks."""
    if node.identifier:
        _add_values(node, instance, wire, identifiers)
    if instance.__class__ is dict and node.other is None:
        # a set has no order, so that this may be that of the members
        for name, value in instance.items():
            if name in node.members:
                child = node.members[name]
                _add_identifiers(child.holding(value), value, wire, identifiers)
    elif node.has_children:
        for _, child, value in node.children(instance):
            _add_identifiers(child, value, wire, identifiers)


def _add_values(node: Node, instance: Any, wire: str | None, identifiers: set[Identifier]) -> None:
    key = node.name if wire is None else wire
    if isinstance(node.identifier, list):
        joined = _joined(node.identifier, instance)
        if joined:
            identifiers.add((key, joined))
        return
    if isinstance(node.identifier, str):
        key = node.identifier
    for value in instance if instance.__class__ is list else (instance,):
        if value != "" and (value.__class__ is str or value.__class__ is int):  # no boolean
            identifiers.add((key, str(value)))


def _joined(names: Sequence[str], instance: Any) -> str:
    """Return the members of an object as one value, "" when one of them is not there."""
    members = instance if instance.__class__ is dict else {}
    values = [_word(members.get(name)) for name in names]
    return JOINT.join(values) if all(values) else ""


def _word(value: Any) -> str:
    """Return a text, a number or a boolean as a word, "" for anything else."""
    if value.__class__ is str:
        return str(value)
    if value.__class__ is bool:
        return "true" if value else "false"
    return str(value) if value.__class__ is int else ""


def _wire(keyword: Any, value: Any) -> str:
    word = _word(value)
    return word if keyword is True else keyword.get(word, "")
