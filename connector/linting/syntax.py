"""What lint reads off the syntax of expressions and templates: members looked up, durations written."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes

from connector._util import times

_START = "2026-01-15T00:00:00Z"
_ENVIRONMENT = Environment()  # noqa: S701 - it only parses


class Member(NamedTuple):
    """`root.name`, and its 1-based line."""

    root: str
    name: str
    line: int


def template_tree(source: str) -> nodes.Template:
    """Return a template's syntax tree, an empty one for what is none."""
    try:
        return _ENVIRONMENT.parse(source)
    except TemplateSyntaxError:
        return nodes.Template([], lineno=1)


def expression_tree(source: str) -> nodes.Template:
    """Return an expression's syntax tree, an empty one for what is none."""
    return template_tree("{{ " + source + " }}")


def unknown_members(tree: nodes.Template, known: Mapping[str, Collection[str]]) -> Iterator[Member]:
    """Yield the members that the names in `known` do not have; one that `default` or a test looks after is left out."""
    functions = tree.find_all((nodes.Filter, nodes.Test))
    optional = {
        id(node.node) for node in functions if node.name in ("default", "defined", "undefined")
    }
    roots = {**known, **dict(_elements(tree, known))}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        member = _member(node)
        if (
            member
            and id(node) not in optional
            and member.name not in roots.get(member.root, (member.name,))
        ):
            yield member


def _elements(
    tree: nodes.Template, known: Mapping[str, Collection[str]]
) -> Iterator[tuple[str, Collection[str]]]:
    """Yield the loop variables over a list whose elements are known, which `known` has as `list[]`."""
    for loop in tree.find_all(nodes.For):
        if (
            isinstance(loop.target, nodes.Name)
            and isinstance(loop.iter, nodes.Name)
            and f"{loop.iter.name}[]" in known
        ):
            yield loop.target.name, known[f"{loop.iter.name}[]"]


def _member(node: nodes.Node) -> Member | None:
    if isinstance(node, nodes.Getattr) and isinstance(node.node, nodes.Name):
        return Member(node.node.name, node.attr, node.lineno)
    if (
        isinstance(node, nodes.Getitem)
        and isinstance(node.node, nodes.Name)
        and isinstance(node.arg, nodes.Const)
    ):
        return Member(node.node.name, str(node.arg.value), node.lineno)
    return None


def wrong_durations(tree: nodes.Template) -> Iterator[tuple[str, int]]:
    """Yield what is wrong with the durations that are written for the filter `plus`, and the line."""
    for node in tree.find_all(nodes.Filter):
        if node.name == "plus" and node.args and isinstance(node.args[0], nodes.Const):
            yield from (
                (message, node.lineno) for message in wrong_duration(str(node.args[0].value))
            )


def wrong_duration(text: str) -> Iterator[str]:
    """Yield what is wrong with an ISO 8601 duration: nothing or one text."""
    try:
        times.plus(_START, text)
    except ValueError as error:
        yield str(error)
