"""How large and how deep the syntax of an expression or a template may be."""

from __future__ import annotations

import math

from jinja2 import nodes

# Python's own compiler ends at 200 brackets and 20 loops inside each other.
_MAX_DEPTH = 100
_MAX_STATEMENTS = 16
_STATEMENTS = (nodes.For, nodes.If)

TOO_DEEP = f"it is nested more than {_MAX_DEPTH} levels deep; divide it, or write a list and 'in'"
TOO_LARGE = "it holds a number that is too large; write it as text"
_TOO_MANY_STATEMENTS = f"more than {_MAX_STATEMENTS} of 'if' and 'for' are inside each other"


def size_problem(tree: nodes.Node) -> str:
    """Return what is wrong with the depth or the numbers of a syntax tree; "" when nothing is."""
    left = [(tree, 1, 0)]
    while left:
        node, depth, statements = left.pop()
        if isinstance(node, _STATEMENTS):
            statements += 1
        if depth > _MAX_DEPTH:
            return TOO_DEEP
        if statements > _MAX_STATEMENTS:
            return _TOO_MANY_STATEMENTS
        if isinstance(node, nodes.Const) and _is_infinite(node.value):
            return TOO_LARGE
        for child in node.iter_child_nodes():
            left.append((child, depth + 1, statements))
    return ""


def _is_infinite(value: object) -> bool:
    return isinstance(value, float) and not math.isfinite(value)
