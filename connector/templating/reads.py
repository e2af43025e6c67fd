"""What an expression reads: the members of a name, as far as it says them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from jinja2 import nodes

from connector.templating.expressions import parse_expression

#: A path that an expression reads: names, and indexes of lists.
Read = tuple[str | int, ...]


_ROOTS = ("event", "item")


class Comparison(NamedTuple):
    """A field that an expression compares with texts.

    `field`: "event" or "item", and the names below it. `is_list`: whether it asks if the field is
    one of the texts; `is_negated`: whether it holds where the field is none of them.
    """

    field: tuple[str, ...]
    texts: tuple[str, ...]
    is_list: bool
    is_negated: bool


def members_read(source: str, root: str) -> list[Read]:
    """Return the paths that an expression reads below the name `root`.

    A path ends before a slice, and before what only the data names; it is empty where the whole of
    `root` is used. Raise ExpressionError for an expression that does not parse.
    """
    return list(_below(parse_expression(source), root))


def _below(node: nodes.Node, root: str) -> Iterator[Read]:
    parts: list[str | int] = []
    inner = node
    while isinstance(inner, nodes.Getattr | nodes.Getitem):
        part = _part_of(inner)
        if part is None:
            # What follows is not part of the path.
            parts.clear()
            yield from _below(inner.arg, root)  # type: ignore[union-attr]
        else:
            parts.append(part)
        inner = inner.node

    if isinstance(inner, nodes.Name):
        if inner.name == root:
            yield tuple(reversed(parts))
        return
    for child in inner.iter_child_nodes():
        yield from _below(child, root)


def _part_of(node: nodes.Getattr | nodes.Getitem) -> str | int | None:
    """Return the name of a member or the index of an element, None if the data decides."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node.arg, nodes.Const) and type(node.arg.value) in (str, int):
        part: str | int = node.arg.value
        return part
    return None


def comparisons(source: str) -> list[Comparison]:
    """Return the comparisons of a field, as it stands, with texts: `==`, `!=`, `in`, `not in`.

    Raise ExpressionError for an expression that does not parse.
    """
    return list(_comparisons(parse_expression(source), is_negated=False))


def _comparisons(node: nodes.Node, *, is_negated: bool) -> Iterator[Comparison]:
    if isinstance(node, nodes.Not):
        is_negated = not is_negated
    if isinstance(node, nodes.Compare) and len(node.ops) == 1:
        [operand] = node.ops
        field, texts = _field(node.expr), _texts(operand)
        if operand.op in ("eq", "ne") and not field:
            field, texts = _field(operand.expr), _text_of(node.expr)
        if field and texts:
            is_list = operand.op in ("in", "notin")
            yield Comparison(field, texts, is_list, is_negated ^ (operand.op in ("ne", "notin")))
    for child in node.iter_child_nodes():
        yield from _comparisons(child, is_negated=is_negated)


def _field(node: nodes.Node) -> tuple[str, ...]:
    """Return the field that a node is, empty when it is anything else."""
    names: list[str] = []
    while isinstance(node, nodes.Getattr | nodes.Getitem):
        part = _part_of(node)
        if not isinstance(part, str):
            return ()
        names.insert(0, part)
        node = node.node
    if names and isinstance(node, nodes.Name) and node.name in _ROOTS:
        return (node.name, *names)
    return ()


def _texts(operand: nodes.Operand) -> tuple[str, ...]:
    if operand.op in ("eq", "ne"):
        return _text_of(operand.expr)
    texts: list[str] = []
    if operand.op in ("in", "notin") and isinstance(operand.expr, nodes.List | nodes.Tuple):
        for item in operand.expr.items:
            texts += _text_of(item)
    return tuple(texts)


def _text_of(node: nodes.Node) -> tuple[str, ...]:
    """Return the text that a node is, or none."""
    if isinstance(node, nodes.Const) and isinstance(node.value, str):
        return (node.value,)
    return ()
