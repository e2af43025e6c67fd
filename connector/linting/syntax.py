"""What lint reads in the syntax of expressions and templates: members, and durations."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes

from connector._util import times

_START = "2026-01-15T00:00:00Z"
_ENVIRONMENT = Environment()  # noqa: S701 - it only parses

#: Names with the members that they have; `list[]` has those of the elements of `list`.
Members = Mapping[str, Collection[str]]
Tree = nodes.Template


class Member(NamedTuple):
    """`root.name` or `root['name']`, and its line, from 1."""

    root: str
    name: str
    line: int


def template_tree(source: str) -> Tree:
    """Return a template's syntax tree; an empty one when it cannot be parsed."""
    try:
        return _ENVIRONMENT.parse(source)
    except TemplateSyntaxError:
        return nodes.Template([], lineno=1)


def expression_tree(source: str) -> Tree:
    """Return an expression's syntax tree; an empty one when it cannot be parsed."""
    return template_tree("{{ " + source + " }}")


def names(tree: Tree) -> set[str]:
    """Return the names that an expression takes its values from."""
    return {node.name for node in tree.find_all(nodes.Name)}


def unknown_members(tree: Tree, known: Members) -> Iterator[Member]:
    """Yield the members that the names in `known` do not have.

    A member that `default` or a test such as `is defined` handles may be missing.
    """
    optional: set[int] = set()
    for function in tree.find_all((nodes.Filter, nodes.Test)):
        if function.name in ("default", "defined", "undefined"):
            optional.add(id(function.node))

    members = {**known, **dict(_loop_variables(tree, known))}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        member = _member(node)
        if member is None or member.root not in members or id(node) in optional:
            continue
        if member.name not in members[member.root]:
            yield member


def _loop_variables(tree: Tree, known: Members) -> Iterator[tuple[str, Collection[str]]]:
    """Yield each loop variable whose members are known, with these."""
    for loop in tree.find_all(nodes.For):
        if isinstance(loop.target, nodes.Name) and isinstance(loop.iter, nodes.Name):
            elements = f"{loop.iter.name}[]"
            if elements in known:
                yield loop.target.name, known[elements]


def _member(node: nodes.Node) -> Member | None:
    """Return the member that is looked up by a fixed name; None when there is no such name."""
    if not isinstance(node, nodes.Getattr | nodes.Getitem):
        return None
    if not isinstance(node.node, nodes.Name):
        return None

    root = node.node.name
    if isinstance(node, nodes.Getattr):
        return Member(root, node.attr, node.lineno)
    if isinstance(node.arg, nodes.Const):
        return Member(root, str(node.arg.value), node.lineno)
    return None


def duration_error(text: str) -> str:
    """Return what is wrong with an ISO 8601 duration, "" when nothing is."""
    try:
        times.plus(_START, text)
    except ValueError as error:
        return str(error)
    return ""
