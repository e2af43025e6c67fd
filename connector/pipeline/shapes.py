"""Shapes: what all records that have values for the same parameters share, found out once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from connector.definitions.model import JOINT, Action
from connector.model import Target
from connector.pipeline.item_renderer import item_renderer
from connector.pipeline.presence import CheckPresence, names_with_value
from connector.pipeline.splitting import pieces_of
from connector.templating.items import RenderItems

# Where items depend on parameters, each target has shapes of its own. The size of a shape is the
# number of its values, and the length of the parameters that it keeps.
_KEEP_SHAPES = 10_000
_KEEP_SIZE = 1_000_000


class Shape(NamedTuple):
    """What records share that have values for the same parameters."""

    #: The wire key of each value.
    wires: tuple[str, ...]
    #: Whether no wire key has two values, and nothing has to be split.
    single: bool
    #: Renders items, each from the values of one record.
    render: RenderItems
    #: The positions of the values that name a person; None when all of them do.
    identifying: tuple[int, ...] | None
    #: The wire keys of the others.
    companions: frozenset[str]
    #: The wire keys of what names a person, as `ids` returns it.
    naming: tuple[str, ...]
    #: The positions of companions that name a person together.
    together: tuple[tuple[int, ...], ...]
    #: Why such records cannot be sent; "" when they can.
    error: str

    @property
    def only_companions(self) -> bool:
        """Whether no value names a person."""
        return self.naming == ()

    def ids(self, values: tuple[str, ...]) -> tuple[str, ...]:
        """Return what names the person of these values: some of them, and some as one."""
        if self.identifying is None:
            return values
        ids = tuple(map(values.__getitem__, self.identifying))
        for positions in self.together:
            ids += (JOINT.join(map(values.__getitem__, positions)),)
        return ids


class Shapes:
    """The shapes of one action's records."""

    def __init__(
        self,
        action: Action,
        templates: Path,
        settings: Mapping[str, Any],
        check_presence: CheckPresence | None,
    ) -> None:
        """Raise RenderError or OSError for a template that lint refuses."""
        self._wire_of = {one.parameter: one.wire for one in action.identifiers}
        self._companions = action.companions
        self._together = action.together
        self._split = action.split
        self._check_presence = check_presence

        self._renderer = item_renderer(action, templates, settings)

        #: Whether a shape holds for one target only.
        self.differ_by_target = self._renderer.uses_params or check_presence is not None
        self._shapes: dict[Any, Shape] = {}
        self._size = 0

    def shape(self, names: tuple[str, ...], target: Target) -> Shape:
        """Return the shape of records with a value for each of these parameters."""
        key = (names, target) if self.differ_by_target else names
        shape = self._shapes.get(key)
        if shape is not None:
            return shape

        if len(self._shapes) > _KEEP_SHAPES or self._size > _KEEP_SIZE:
            self._shapes.clear()
            self._size = 0
        shape = self._make(names, target)
        self._shapes[key] = shape
        self._size += len(names)
        if self.differ_by_target:
            self._size += len(repr(target.params))  # a shape keeps its target
        return shape

    def pieces(self, names: tuple[str, ...]) -> list[list[int]]:
        """Return the records that a person with these values becomes.

        A record is the positions of its values.
        """
        wires = [self._wire_of[name] for name in names]
        if self._split is None:
            return [list(range(len(wires)))]
        return pieces_of(wires, self._companions, self._split)

    def _make(self, names: tuple[str, ...], target: Target) -> Shape:
        wires = tuple(self._wire_of[name] for name in names)

        companions = self._companions.intersection(wires)
        identifying = None
        if companions:
            identifying = tuple(i for i, wire in enumerate(wires) if wire not in companions)

        naming = [wire for wire in wires if wire not in companions]
        together = []
        for wire, parts in self._together.items():
            # of several values the first counts
            if set(parts).issubset(names):
                naming.append(wire)
                together.append(tuple(map(names.index, parts)))

        is_split = len(self.pieces(names)) > 1
        has_twins = len(set(wires)) < len(wires)

        error = ""
        if self._check_presence is not None:
            present = dict.fromkeys(names)  # a list of values brings a name more than once
            error = self._check_presence((*present, *names_with_value(target.params)))

        return Shape(
            wires=wires,
            single=not (is_split or has_twins),
            render=self._renderer.shape(wires, target.params),
            identifying=identifying,
            companions=companions,
            naming=tuple(naming),
            together=tuple(together),
            error=error,
        )
