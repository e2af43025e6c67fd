"""Expressions: the part of Jinja's expression syntax that reads data and nothing else.

Jinja parses; what is allowed is turned once into nested closures, so nothing but what stands in this file can ever run
and an expression costs a few calls per event. A member that is missing or null is `ABSENT`: falsy, equal to none, its
members absent too; using it as text, a number or in `<` raises `AbsentError`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from jinja2 import Environment, TemplateSyntaxError, Undefined, nodes
from jinja2.parser import Parser

from connector._util import times
from connector.errors import nearest

#: What an expression may hold, for messages.
SYNTAX = (
    "allowed: members (event.a, event['odd name']), numbers, 'text', == != < <= > >= in, and or not, "
    "… if … else …, + - ~, lists, filters"
)

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]


class ExpressionError(ValueError):
    """An expression does not compile, or fails on its data; the text never quotes data."""


class AbsentError(ExpressionError):
    """An absent value was used where a value is needed."""


class Absent:
    """The value of a member that is missing or null."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return other is None or other is self

    def __hash__(self) -> int:
        return hash(None)

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __repr__(self) -> str:
        return "absent"

    def _refuse(self, *_: object) -> Any:
        raise AbsentError("a value that is absent is used")

    __str__ = __add__ = __radd__ = __sub__ = __rsub__ = __lt__ = __le__ = __gt__ = __ge__ = (
        __neg__
    ) = _refuse


ABSENT: Any = Absent()


def member(value: Any, key: Any) -> Any:
    """Return a member of an object or array, `ABSENT` when there is none."""
    if isinstance(value, Mapping):
        found = value.get(key, ABSENT)
    elif (
        isinstance(value, list | tuple) and isinstance(key, int) and -len(value) <= key < len(value)
    ):
        found = value[key]
    else:
        return ABSENT
    return ABSENT if found is None else found


def _default(value: Any, fallback: Any = "") -> Any:
    missing = (
        value is None
        or value is ABSENT
        or isinstance(value, Undefined)
        or (isinstance(value, list) and not value)
    )
    return fallback if missing else value


def _at(index: int) -> Callable[[Any], Any]:
    return lambda value: value[index] if value else None


def _sum(values: Iterable[Any], attribute: str | None = None) -> Any:
    return sum(values if attribute is None else (member(value, attribute) for value in values))


def _compact(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in value.items() if part is not None and part is not ABSENT}


def _join(values: Iterable[Any], separator: str = "") -> str:
    return separator.join(map(text, values))


def _split(value: Any, separator: str) -> list[str]:
    return [part.strip() for part in text(value).split(separator) if part.strip()]


def text(value: Any) -> str:
    """Return a scalar as text, whole numbers exactly, booleans as true and false. Raises ExpressionError otherwise."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is ABSENT or value is None:
        raise AbsentError("a value that is absent is used as text")
    raise ExpressionError("only text, whole numbers and booleans can be used as text")


#: The filters of expressions and templates, by name.
FILTERS: dict[str, Callable[..., Any]] = {
    "compact": _compact,
    "default": _default,
    "first": _at(0),
    "int": lambda value: int(text(value)),
    "join": _join,
    "last": _at(-1),
    "length": len,
    "list": list,
    "lower": lambda value: text(value).lower(),
    "plus": times.plus,
    "replace": lambda value, old, new: text(value).replace(old, new),
    "split": _split,
    "string": text,
    "sum": _sum,
    "trim": lambda value: text(value).strip(),
    "upper": lambda value: text(value).upper(),
}

#: The tests of expressions and templates, by name.
TESTS: dict[str, Callable[[Any], bool]] = {
    "defined": lambda value: value is not ABSENT and not isinstance(value, Undefined),
    "none": lambda value: value is None or value is ABSENT,
    "undefined": lambda value: value is ABSENT or isinstance(value, Undefined),
}

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda value, values: value in values,
    "notin": lambda value, values: value not in values,
}

_PARSER_ENVIRONMENT = Environment()  # noqa: S701 - it only parses


def compile_expression(source: str, names: Collection[str]) -> Evaluate:
    """Compile an expression over the given names.

    The result takes a mapping that holds those names. It raises AbsentError or ExpressionError when the data does not
    fit. Compiling raises ExpressionError with what is wrong and what is allowed.
    """
    try:
        parser = Parser(_PARSER_ENVIRONMENT, source, state="variable")
        node = parser.parse_expression()
    except TemplateSyntaxError as error:
        raise ExpressionError(f"not an expression: {error.message}") from None
    if not parser.stream.eos:
        raise ExpressionError(
            f"not one expression: something follows at '{parser.stream.current.value}'"
        )
    return _guard(_compile(node, names))


def _guard(evaluate: Evaluate) -> Evaluate:
    def guarded(scope: Scope) -> Any:
        try:
            return evaluate(scope)
        except ExpressionError:
            raise
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
            # the error's own text may quote data
            raise ExpressionError(
                f"the values do not fit the expression ({type(error).__name__})"
            ) from None

    return guarded


def _compile(node: nodes.Node, names: Collection[str]) -> Evaluate:
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ExpressionError(f"'{type(node).__name__}' is not allowed in an expression")
    return compiler(node, names)


def _name(node: Any, names: Collection[str]) -> Evaluate:
    if node.name not in names:
        raise ExpressionError(f"unknown name '{node.name}'; {nearest(node.name, names)}")
    return operator.itemgetter(node.name)


def _const(node: Any, _names: Collection[str]) -> Evaluate:
    value = ABSENT if node.value is None else node.value
    return lambda scope: value


def _getattr(node: Any, names: Collection[str]) -> Evaluate:
    inner, key = _compile(node.node, names), node.attr

    def get(scope: Scope) -> Any:
        value = inner(scope)
        if type(value) is dict:
            found = value.get(key)
            return ABSENT if found is None else found
        return member(value, key)

    return get


def _getitem(node: Any, names: Collection[str]) -> Evaluate:
    inner, key = _compile(node.node, names), _compile(node.arg, names)
    return lambda scope: member(inner(scope), key(scope))


def _compare(node: Any, names: Collection[str]) -> Evaluate:
    first = _compile(node.expr, names)
    rest = [(_COMPARE[operand.op], _compile(operand.expr, names)) for operand in node.ops]
    if len(rest) == 1:
        test, second = rest[0]
        return lambda scope: test(first(scope), second(scope))

    def chain(scope: Scope) -> bool:
        left = first(scope)
        for test, second in rest:
            right = second(scope)
            if not test(left, right):
                return False
            left = right
        return True

    return chain


def _and(node: Any, names: Collection[str]) -> Evaluate:
    left, right = _compile(node.left, names), _compile(node.right, names)
    return lambda scope: left(scope) and right(scope)


def _or(node: Any, names: Collection[str]) -> Evaluate:
    left, right = _compile(node.left, names), _compile(node.right, names)
    return lambda scope: left(scope) or right(scope)


def _not(node: Any, names: Collection[str]) -> Evaluate:
    inner = _compile(node.node, names)
    return lambda scope: not inner(scope)


def _condition(node: Any, names: Collection[str]) -> Evaluate:
    test, then = _compile(node.test, names), _compile(node.expr1, names)
    otherwise = _compile(node.expr2, names) if node.expr2 else lambda scope: ABSENT
    return lambda scope: then(scope) if test(scope) else otherwise(scope)


def _concat(node: Any, names: Collection[str]) -> Evaluate:
    parts = [_compile(part, names) for part in node.nodes]
    return lambda scope: "".join([text(part(scope)) for part in parts])


def _add(node: Any, names: Collection[str]) -> Evaluate:
    left, right = _compile(node.left, names), _compile(node.right, names)
    return lambda scope: left(scope) + right(scope)


def _sub(node: Any, names: Collection[str]) -> Evaluate:
    left, right = _compile(node.left, names), _compile(node.right, names)
    return lambda scope: left(scope) - right(scope)


def _neg(node: Any, names: Collection[str]) -> Evaluate:
    inner = _compile(node.node, names)
    return lambda scope: -inner(scope)


def _list(node: Any, names: Collection[str]) -> Evaluate:
    parts = [_compile(part, names) for part in node.items]
    return lambda scope: [part(scope) for part in parts]


def _dict(node: Any, names: Collection[str]) -> Evaluate:
    parts = [(_compile(pair.key, names), _compile(pair.value, names)) for pair in node.items]
    return lambda scope: {key(scope): value(scope) for key, value in parts}


def _filter(node: Any, names: Collection[str]) -> Evaluate:
    function = FILTERS.get(node.name)
    if function is None:
        raise ExpressionError(f"unknown filter '{node.name}'; {nearest(node.name, FILTERS)}")
    if node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
        raise ExpressionError(f"filter '{node.name}' takes its arguments by position")
    parts = [_compile(part, names) for part in (node.node, *node.args)]
    return lambda scope: function(*[part(scope) for part in parts])


def _test(node: Any, names: Collection[str]) -> Evaluate:
    function = TESTS.get(node.name)
    if function is None:
        raise ExpressionError(f"unknown test '{node.name}'; {nearest(node.name, TESTS)}")
    inner = _compile(node.node, names)
    return lambda scope: function(inner(scope))


_COMPILERS: dict[type[nodes.Node], Callable[[Any, Collection[str]], Evaluate]] = {
    nodes.Name: _name,
    nodes.Const: _const,
    nodes.Getattr: _getattr,
    nodes.Getitem: _getitem,
    nodes.Compare: _compare,
    nodes.And: _and,
    nodes.Or: _or,
    nodes.Not: _not,
    nodes.CondExpr: _condition,
    nodes.Concat: _concat,
    nodes.Add: _add,
    nodes.Sub: _sub,
    nodes.Neg: _neg,
    nodes.List: _list,
    nodes.Tuple: _list,
    nodes.Dict: _dict,
    nodes.Filter: _filter,
    nodes.Test: _test,
}
