"""What an expression reads: the members of a name, as far as it says them."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from connector.templating.expressions import parse_expression

#: A path that an expression reads: names, and indexes of lists.
Read = tuple[str | int, ...]


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
