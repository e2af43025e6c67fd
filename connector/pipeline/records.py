"""Records: events and a route become people's records, normalised, hashed and rendered.

This is the hot path. What can be known for the connection is compiled, what can be known for equal parameters is in the
target, what can be known for the present identifiers is in the shape. The rest is done a column at a time: all e-mails
of a chunk, then all phone numbers, because a loop inside C costs a fraction of one in Python.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import repeat
from pathlib import Path
from typing import Any, NamedTuple

from connector.connection.mapping import compile_columns, compile_when
from connector.connection.model import FieldMapping, FromPaths, Route
from connector.definitions.model import Action, Identifier
from connector.model import Event, Record, Rejection, Target
from connector.pipeline.identifiers import (
    Cell,
    Column,
    DroppedError,
    Identify,
    as_text,
    column,
    identify,
)
from connector.pipeline.request_builder import Builder, Refused, Resolved
from connector.pipeline.splitting import (
    NOBODY,
    NOBODY_REASON,
    NONE_PRESENT,
    Prepared,
    pieces_of,
    together,
)
from connector.pipeline.targets import Targets
from connector.templating.expressions import ExpressionError
from connector.templating.items import ItemRenderer, RenderItems
from connector.templating.template import RenderError, read_template
from connector.validation.schema import Schema

# Record(...) without a frame of Python for each
_new_record: Callable[[tuple[Any, ...]], Record] = partial(tuple.__new__, Record)

_TEXT = {str}
_ABSENT = {type(None)}


class _Shape(NamedTuple):
    """What records with values for the same parameters share. `error`: why none of them can be sent.

    `single`: no wire key has two values and nothing has to be split. `naming`: the places of the values that name a
    person, None when all do; `companions`: the wire keys of the others.
    """

    wires: tuple[str, ...]
    single: bool
    render: RenderItems
    naming: tuple[int, ...] | None
    companions: frozenset[str]
    error: str

    def named(self, values: tuple[str, ...]) -> tuple[str, ...]:
        return values if self.naming is None else tuple([values[i] for i in self.naming])


class _Person(NamedTuple):
    """One mapped identifier parameter. `plain` and `digest` identify it when its flag is off and on."""

    parameter: str
    wire: str
    flag: str | None
    plain: Column
    digest: Column

    def cells(self, raws: list[Any], params: Mapping[str, Any]) -> Sequence[Cell]:
        return self.digest(raws) if self.flag and params.get(self.flag) else self.plain(raws)


class _Rows(NamedTuple):
    """Where the records of some events go, besides their person: one target and one event id for each."""

    targets: Sequence[Target]
    event_ids: Sequence[int | str]
    at: float


class Preparer:
    """Prepares the records of one route, many events at a time.

    `dropped` counts dropped identifier values by (parameter, reason).
    """

    def __init__(
        self, route: Route, builder: Builder, templates: Path, settings: Mapping[str, Any]
    ) -> None:
        """Raises ExpressionError, ValueError (a path), RenderError, OSError for what lint would refuse."""
        action = route.action
        self.name = route.name
        self.dropped: Counter[tuple[str, str]] = Counter()
        self._when = compile_when(route.when, settings)
        self._targets = Targets(route.name, action, builder, route.map, settings)
        self._people = _people(action, route.map)
        self._sought = f"{NONE_PRESENT}; sought at {', '.join(_places(route.map[p.parameter]) for p in self._people)}"
        self._columns = compile_columns(
            [route.map[person.parameter] for person in self._people], settings
        )
        self._flags = tuple({person.flag for person in self._people if person.flag})
        template = read_template(templates, action.item, "{{ ids }}", ItemRenderer.NAMES)
        plain = {identifier.wire for identifier in action.identifiers if identifier.hash == "none"}
        shared = {"operation": action.operation, "settings": settings}
        self._renderer = ItemRenderer(template, action.wires, plain, shared)
        self._companions = action.companions
        self._split = action.split
        self._wires = action.wires
        presence = _presence(action)
        #: What has to be there together: for a record or, where people are split, for all records of a person.
        self._presence = None if action.split else presence
        self._presence_of_all = presence if action.split else None
        self._shapes_differ = self._renderer.uses_params or self._presence is not None
        self._shapes: dict[Any, _Shape] = {}

    def prepare(
        self, events: Sequence[Event], event_ids: Sequence[int | str], now: float
    ) -> list[Prepared]:
        """Return for each event its record, why there is none, or None when the route does not take it.

        `now`: seconds since the epoch.
        """
        prepared: list[Prepared] = [None] * len(events)
        data = [event.data for event in events]
        taken = self._taken(data, event_ids, prepared)
        mine = data if len(taken) == len(data) else [data[i] for i in taken]
        for kind, chosen in self._kinds(taken, self._targets.resolve(mine, now)):
            if isinstance(kind, Refused):
                for index in chosen:
                    prepared[index] = Rejection(self.name, event_ids[index], *kind)
            elif len(chosen) == len(events):
                return list(self._records(data, _Rows(kind, event_ids, now)))
            else:
                rows = _Rows(kind, [event_ids[i] for i in chosen], now)
                for index, record in zip(
                    chosen, self._records([data[i] for i in chosen], rows), strict=True
                ):
                    prepared[index] = record
        return prepared

    def _kinds(
        self, taken: Sequence[int], targets: list[Resolved]
    ) -> Iterator[tuple[Refused | list[Target], Sequence[int]]]:
        """Yield (a refusal, its events) and (targets of one state of the flags, their events)."""
        key_of = {found: self._kind(found) for found in set(targets)}
        if len(set(key_of.values())) == 1 and not isinstance(targets[0], Refused):
            yield targets, taken  # type: ignore[misc]
            return
        kinds: dict[Any, tuple[list[Any], list[int]]] = {}
        for index, found in zip(taken, targets, strict=True):
            members, chosen = kinds.setdefault(key_of[found], ([], []))
            members.append(found)
            chosen.append(index)
        for key, (members, chosen) in kinds.items():
            yield (key if isinstance(key, Refused) else members), chosen

    def _kind(self, found: Resolved) -> Any:
        return (
            found
            if isinstance(found, Refused)
            else tuple([found.params[flag] for flag in self._flags])
        )

    def _taken(
        self, data: list[dict[str, Any]], event_ids: Sequence[int | str], prepared: list[Prepared]
    ) -> Sequence[int]:
        """Return the positions of the events that `when` takes; where it fails, say so."""
        when = self._when
        if when is None:
            return range(len(data))
        taken = []
        for index, event in enumerate(data):
            try:
                if when(event):
                    taken.append(index)
            except ExpressionError as error:
                prepared[index] = Rejection(
                    self.name, event_ids[index], "expression_failed", str(error)
                )
        return taken

    def _records(self, data: list[dict[str, Any]], rows: _Rows) -> Iterable[Prepared]:
        params = rows.targets[0].params
        raws = self._columns(data)
        columns = [
            (person, person.cells(raw, params))
            for person, raw in zip(self._people, raws, strict=True)
        ]
        if self._split is None:
            return self._assemble(columns, rows)
        parts = []
        for index, wires in enumerate(self._split.parts.values() or [self._wires]):
            mine = [(person, cells) for person, cells in columns if person.wire in wires]
            targets = (
                [target.parts[index] for target in rows.targets]
                if self._split.name
                else rows.targets
            )
            parts.append(self._assemble(mine, rows._replace(targets=targets)))
        if self._presence_of_all is None:
            return map(together, *parts) if len(parts) > 1 else parts[0]
        rows_of_cells = zip(*(cells for _, cells in columns), strict=True)
        return map(self._whole, map(together, *parts), rows_of_cells, rows.targets)

    def _whole(
        self, found: list[Record | Rejection] | Rejection, cells: Sequence[Cell], target: Target
    ) -> list[Record | Rejection] | Rejection:
        """Reject a person of whom something is missing that has to be there, whatever the parts have."""
        if isinstance(found, Rejection) or self._presence_of_all is None:
            return found
        present = [
            person.parameter
            for person, cell in zip(self._people, cells, strict=True)
            if _usable(cell)
        ]
        error = self._presence_of_all((*present, *_given(target)))
        return (
            Rejection(self.name, found[0].event_id, "missing_parameter", error) if error else found
        )

    def _assemble(
        self, columns: list[tuple[_Person, Sequence[Cell]]], rows: _Rows
    ) -> Iterable[Prepared]:
        """Make a record of each row of these columns."""
        kinds = [set(map(type, cells)) for _, cells in columns]
        present = [pair for pair, kind in zip(columns, kinds, strict=True) if kind != _ABSENT]
        names = tuple(person.parameter for person, _ in present)
        cells = (
            zip(*(cells for _, cells in present), strict=True)
            if present
            else repeat((), len(rows.targets))
        )
        if present and all(kind in (_TEXT, _ABSENT) for kind in kinds):
            return self._finish_all(list(cells), names, rows)
        return map(
            self._gather, cells, repeat(names), rows.targets, rows.event_ids, repeat(rows.at)
        )

    def _gather(
        self,
        cells: Sequence[Cell],
        names: tuple[str, ...],
        target: Target,
        event_id: int | str,
        at: float,
    ) -> Prepared:
        """Make a record of cells of which some are absent, dropped or lists."""
        ids: list[str] = []
        present: list[str] = []
        reasons: list[str] = []
        for name, cell in zip(names, cells, strict=True):
            for value in cell if cell.__class__ is list else (cell,):
                if value.__class__ is str:
                    ids.append(value)
                    present.append(name)
                elif value is not None:
                    self._drop(name, value, reasons)
        if not ids:
            return self._nobody(event_id, ", ".join(dict.fromkeys(reasons)) or self._sought)
        return self._finish(tuple(ids), tuple(present), target, event_id, at)

    def _finish_all(
        self, ids: list[tuple[str, ...]], names: tuple[str, ...], rows: _Rows
    ) -> Iterable[Prepared]:
        """Finish records that have values for the same parameters; in one go when they share a shape."""
        targets = set(rows.targets)
        shape = self._shape(names, rows.targets[0])
        if (
            not shape.single
            or shape.error
            or shape.naming == ()
            or (len(targets) > 1 and self._shapes_differ)
        ):
            return map(
                self._finish, ids, repeat(names), rows.targets, rows.event_ids, repeat(rows.at)
            )
        try:
            items = shape.render(ids)
        except RenderError:
            items = []
        if not items or max(map(len, items)) > min(target.room for target in targets):
            return map(
                self._finish, ids, repeat(names), rows.targets, rows.event_ids, repeat(rows.at)
            )
        wires = repeat(shape.named(shape.wires))
        named = ids if shape.naming is None else list(map(shape.named, ids))
        rest = (repeat(rows.at), repeat(shape.companions))
        fields = zip(rows.targets, named, wires, items, rows.event_ids, *rest, strict=False)
        return map(_new_record, fields)

    def _nobody(self, event_id: int | str, why: str) -> Rejection:
        return Rejection(self.name, event_id, NOBODY, NOBODY_REASON + why)

    def _drop(self, name: str, dropped: Any, reasons: list[str]) -> None:
        self.dropped[name, dropped.reason] += 1
        reasons.append(f"{name} {dropped.reason}")

    def _finish(
        self,
        ids: tuple[str, ...],
        names: tuple[str, ...],
        target: Target,
        event_id: int | str,
        at: float,
    ) -> Prepared:
        shape = self._shape(names, target)
        if not shape.single:
            ids, names = _without_duplicates(ids, names, shape.wires)
            wires = self._shape(names, target).wires
            pieces = pieces_of(wires, self._companions, self._split) if self._split else []
            if len(pieces) > 1:
                picked = [
                    (tuple(ids[i] for i in piece), tuple(names[i] for i in piece))
                    for piece in pieces
                ]
                return [self._finish_one(*piece, target, event_id, at) for piece in picked]
        return self._finish_one(ids, names, target, event_id, at)

    def _finish_one(
        self,
        ids: tuple[str, ...],
        names: tuple[str, ...],
        target: Target,
        event_id: int | str,
        at: float,
    ) -> Record | Rejection:
        shape = self._shape(names, target)
        if shape.error:
            return Rejection(self.name, event_id, "missing_parameter", shape.error)
        if shape.naming == ():
            return self._nobody(
                event_id,
                f"{', '.join(dict.fromkeys(names))} names nobody without another identifier",
            )
        try:
            [item] = shape.render([ids])
        except RenderError as error:
            return Rejection(self.name, event_id, "template_failed", str(error))
        if len(item) > target.room:
            return Rejection(
                self.name,
                event_id,
                "too_large",
                "the record alone is over the vendor's cap of bytes",
            )
        return Record(
            target, shape.named(ids), shape.named(shape.wires), item, event_id, at, shape.companions
        )

    def _shape(self, names: tuple[str, ...], target: Target) -> _Shape:
        key = (names, target) if self._shapes_differ else names
        shape = self._shapes.get(key)
        if shape is None:
            if len(self._shapes) > _KEEP_SHAPES:
                self._shapes.clear()
            shape = self._shapes[key] = self._make_shape(names, target)
        return shape

    def _make_shape(self, names: tuple[str, ...], target: Target) -> _Shape:
        wire = {person.parameter: person.wire for person in self._people}
        wires = tuple(wire[name] for name in names)
        error = self._presence((*names, *_given(target))) if self._presence else ""
        split = self._split and len(pieces_of(wires, self._companions, self._split)) > 1
        single = len(set(wires)) == len(wires) and not split
        naming = tuple(i for i, wire in enumerate(wires) if wire not in self._companions)
        render = self._renderer.shape(wires, target.params)
        companions = self._companions.intersection(wires)
        return _Shape(wires, single, render, naming if companions else None, companions, error)


_KEEP_SHAPES = 10_000


def _usable(cell: Cell) -> bool:
    return (
        any(isinstance(value, str) for value in cell)
        if isinstance(cell, list)
        else isinstance(cell, str)
    )


def _given(target: Target) -> Iterator[str]:
    """Yield the parameters that name no person and have a value."""
    return (name for name, value in target.params.items() if value is not None)


def _places(source: FieldMapping) -> str:
    """Return where an entry of a route's `map` looks."""
    return ", ".join(source.paths) if isinstance(source, FromPaths) else "an expression"


def _without_duplicates(
    ids: tuple[str, ...], names: tuple[str, ...], wires: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Let equal values of one wire key stand once."""
    first: dict[tuple[str, str], str] = {}
    for wire, value, name in zip(wires, ids, names, strict=True):
        first.setdefault((wire, value), name)
    return tuple(value for _, value in first), tuple(first.values())


def _people(action: Action, mapped: Collection[str]) -> list[_Person]:
    """Return the mapped identifier parameters, those of one wire key side by side."""
    people = sorted(
        (i for i in action.identifiers if i.parameter in mapped),
        key=lambda i: action.wires.index(i.wire),
    )
    return [_person(identifier, action) for identifier in people]


def _person(identifier: Identifier, action: Action) -> _Person:
    def make(*, prehashed: bool | str) -> Column:
        single = identify(identifier, prehashed=prehashed)
        checked = _checked(single, action.parameters[identifier.parameter].schema)
        return column(
            identifier, prehashed=prehashed, single=checked if checked is not single else None
        )

    flag = identifier.flag if identifier.hash != "none" else None
    plain, digest = make(prehashed=identifier.prehashed), make(prehashed=True)
    return _Person(identifier.parameter, identifier.wire, flag, plain, digest)


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


def _checked(function: Identify, schema: Mapping[str, Any]) -> Identify:
    """Return the function with a check of the parameter's schema, when that says more than what identifying checks."""
    if _SAYS_NOTHING.issuperset(schema):
        return function
    validator = Schema({key: value for key, value in schema.items() if key not in _SAYS_NOTHING})

    def checked(value: Any) -> str:
        text = as_text(value)
        if not validator.is_valid(text):
            text.encode()  # half of a surrogate pair is another reason: UnicodeEncodeError
            raise DroppedError("not_allowed")
        return function(value)

    return checked


def _presence(action: Action) -> Callable[[tuple[str, ...]], str] | None:
    """Return the check of which parameters have to be there together; None when only "any identifier" is asked for."""
    people = {identifier.parameter for identifier in action.identifiers}
    rules = {
        key: action.schema[key]
        for key in ("required", "dependentRequired", "oneOf", "allOf")
        if key in action.schema
    }
    if not people.intersection(rules.get("required", ())):
        rules.pop("required", None)
    alternatives = action.schema.get("anyOf")
    if alternatives and any(
        set(part["required"]) - people or len(part["required"]) > 1 for part in alternatives
    ):
        rules["anyOf"] = alternatives
    if not rules:
        return None

    schema = Schema(rules)

    @cache
    def check(present: tuple[str, ...]) -> str:
        found = schema.failures(dict.fromkeys(present, True))
        return found[0].message if found else ""

    return check
