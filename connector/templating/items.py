"""Items: one record's identifiers in the vendor's form, rendered fast.

Item templates are *lifted*: rendered once for each shape (which wire keys, how many values) with
symbols in place of the identifiers. Later records of that shape only fill the holes, which saves
most of what rendering costs. A template that looks into a value cannot be lifted and is rendered
for every record; the bytes are the same either way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import orjson

from connector.templating.template import RenderError, Template, join
from connector.templating.values import MARK, Symbol, UnliftableError

#: One value for each of a shape's wires.
Values = tuple[str, ...]
#: Renders items, each from its values in the order of the shape's wires.
RenderItems = Callable[[Sequence[Values]], list[bytes]]


class Ids(dict[str, list[Any]]):
    """The values of one record by wire key.

    A known key that the record lacks is an empty list; an unknown key is undefined.
    """

    __slots__ = ("known",)

    def __init__(self, known: Collection[str], wires: Sequence[str], values: Sequence[Any]) -> None:
        super().__init__()
        self.known = known
        for wire, value in zip(wires, values, strict=True):
            self.setdefault(wire, []).append(value)

    def __missing__(self, key: str) -> list[Any]:
        if key in self.known:
            return []
        raise KeyError(key)


class ItemRenderer:
    """Makes, for each shape, the function that renders its items."""

    NAMES = ("ids", "operation", "params", "settings")

    def __init__(
        self,
        template: Template,
        wires: Sequence[str],
        plain: Collection[str],
        shared: Mapping[str, Any],
    ) -> None:
        """Prepare for an action whose wire keys are `wires`.

        `plain` are the wire keys whose values are not digests and so need escaping as JSON text.
        `shared` holds `operation` and `settings`, which are the same for all records.
        """
        self._template = template
        self._wires = tuple(wires)
        self._plain = frozenset(plain)
        self._shared = shared

    @property
    def uses_params(self) -> bool:
        """Whether items depend on parameters, so that a shape's function holds for one target."""
        return "params" in self._template.uses

    def shape(self, wires: tuple[str, ...], params: Mapping[str, Any]) -> RenderItems:
        """Return the function for records whose values have these wire keys. Raise RenderError."""
        symbols = [Symbol(index) for index in range(len(wires))]
        try:
            lifted = self._render(wires, symbols, params)
        except (UnliftableError, RenderError):
            return self._render_each(wires, params)
        pieces = MARK.split(lifted.decode())
        return _filler(pieces, [wire in self._plain for wire in wires])

    def _render(
        self, wires: tuple[str, ...], values: Sequence[Any], params: Mapping[str, Any]
    ) -> bytes:
        ids = Ids(self._wires, wires, values)
        context = {"ids": ids, "params": params, **self._shared}
        literals, holes = self._template.parts(context)
        return join(literals, holes)

    def _render_each(self, wires: tuple[str, ...], params: Mapping[str, Any]) -> RenderItems:
        def render(items: Sequence[Values]) -> list[bytes]:
            return [self._render(wires, values, params) for values in items]

        return render


def _filler(pieces: list[str], plain: Sequence[bool]) -> RenderItems:
    """Return the function that fills `literal, index, literal, index, …, literal`."""
    order = list(map(int, pieces[1::2]))
    needs_escaping = any(map(plain.__getitem__, order))
    arrange = _arranger(order, len(plain), escape=needs_escaping)

    if not needs_escaping:
        # digests need no escaping: their quotes become part of the literals
        last = len(pieces) - 1
        for position in range(0, len(pieces), 2):
            before = '"' if position > 0 else ""
            after = '"' if position < last else ""
            pieces[position] = before + pieces[position] + after

    def render(items: Sequence[Values]) -> list[bytes]:
        parts = pieces.copy()
        rendered = []
        for values in items:
            parts[1::2] = values if arrange is None else arrange(values)
            rendered.append("".join(parts).encode())
        return rendered

    return render


def _arranger(
    order: list[int], count: int, *, escape: bool
) -> Callable[[Values], Sequence[str]] | None:
    """Return the function that puts values in the order of the holes, None when they are in it."""
    if escape:
        return lambda values: [orjson.dumps(values[index]).decode() for index in order]
    if order == list(range(count)):
        return None
    return lambda values: [values[index] for index in order]
