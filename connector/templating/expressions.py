"""Expressions: the part of Jinja's expression syntax that reads data and nothing else.

Jinja parses; what is allowed is turned once into nested closures. So nothing but the code of this
file can ever run, and an expression costs a few calls per event. A member that is missing or null
is `ABSENT`: falsy, equal to none, its members absent too; using it as text, a number or in `<`
raises `AbsentError`.
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
    "allowed: members (event.a, event['odd name']), numbers, 'text', "
    "== != < <= > >= in, and or not, … if … else …, + - ~, lists, filters"
)

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]
Names = Collection[str]


class ExpressionError(ValueError):
    """An expression does not compile, or fails on its data; the text never quotes data."""


class AbsentError(ExpressionError):
    """An absent value is used where a value is needed."""


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
        raise AbsentError("an absent value is used")

    __add__ = __radd__ = __sub__ = __rsub__ = __neg__ = _refuse
    __lt__ = __le__ = __gt__ = __ge__ = __str__ = _refuse


ABSENT: Any = Absent()


def member(value: Any, key: Any) -> Any:
    """Return a member of an object or array, `ABSENT` when there is none."""
    result = None
    if isinstance(value, Mapping):
        result = value.get(key)
    elif isinstance(value, list | tuple) and isinstance(key, int):
        try:
            result = value[key]
        except IndexError:
            return ABSENT
    return ABSENT if result is None else result


def _default(value: Any, fallback: Any = "") -> Any:
    if value is None or value is ABSENT or isinstance(value, Undefined):
        return fallback
    if isinstance(value, list) and not value:
        return fallback
    return value


def _first(values: Any) -> Any:
    return values[0] if values else None


def _last(values: Any) -> Any:
    return values[-1] if values else None


def _sum(values: Iterable[Any], attribute: str | None = None) -> Any:
    if attribute is None:
        return sum(values)
    return sum(member(value, attribute) for value in values)


def _compact(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: part for key, part in value.items() if part is not None and part is not ABSENT}


def _join(values: Iterable[Any], separator: str = "") -> str:
    return separator.join(map(text, values))


def _split(value: Any, separator: str) -> list[str]:
    stripped = map(str.strip, text(value).split(separator))
    return list(filter(None, stripped))


def text(value: Any) -> str:
    """Return a scalar as text: whole numbers exactly, booleans as true and false.

    Raise ExpressionError for any other value.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if value is ABSENT or value is None:
        raise AbsentError("an absent value is used as text")
    raise ExpressionError("only text, whole numbers and booleans can be used as text")


#: The filters of expressions and templates, by name.
FILTERS: dict[str, Callable[..., Any]] = {
    "compact": _compact,
    "default": _default,
    "first": _first,
    "int": lambda value: int(text(value)),
    "join": _join,
    "last": _last,
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


def compile_expression(source: str, names: Names) -> Evaluate:
    """Compile an expression over the given names.

    The result takes a mapping that holds those names. It raises AbsentError or ExpressionError when
    the data does not fit. Compiling raises ExpressionError with what is wrong and what is allowed.
    """
    try:
        parser = Parser(_PARSER_ENVIRONMENT, source, state="variable")
        node = parser.parse_expression()
    except TemplateSyntaxError as error:
        raise ExpressionError(f"invalid expression: {error.message}") from None
    if not parser.stream.eos:
        rest = parser.stream.current.value
        raise ExpressionError(f"invalid expression: unexpected '{rest}' after its end")
    return _guard(_compile(node, names))


def _guard(evaluate: Evaluate) -> Evaluate:
    def guarded(scope: Scope) -> Any:
        try:
            return evaluate(scope)
        except ExpressionError:
            raise
        except (TypeError, ValueError, ArithmeticError, AttributeError, LookupError) as error:
            # the error's own text may quote data
            message = f"the expression fails on these values ({type(error).__name__})"
            raise ExpressionError(message) from None

    return guarded


def _compile(node: nodes.Node, names: Names) -> Evaluate:
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ExpressionError(f"'{type(node).__name__}' is not allowed in an expression")
    return compiler(node, names)


def _compile_all(some: Iterable[nodes.Node], names: Names) -> list[Evaluate]:
    return [_compile(node, names) for node in some]


def _name(node: Any, names: Names) -> Evaluate:
    if node.name not in names:
        raise ExpressionError(f"unknown name '{node.name}'; {nearest(node.name, names)}")
    return operator.itemgetter(node.name)


def _const(node: Any, _names: Names) -> Evaluate:
    value = ABSENT if node.value is None else node.value
    return lambda scope: value


def _getattr(node: Any, names: Names) -> Evaluate:
    inner = _compile(node.node, names)
    key = node.attr

    def get(scope: Scope) -> Any:
        value = inner(scope)
        if type(value) is dict:
            # the common case, without a call of `member`: rules of answers run for every record
            result = value.get(key)
            return ABSENT if result is None else result
        return member(value, key)

    return get


def _getitem(node: Any, names: Names) -> Evaluate:
    inner = _compile(node.node, names)
    key = _compile(node.arg, names)
    return lambda scope: member(inner(scope), key(scope))


def _compare(node: Any, names: Names) -> Evaluate:
    first = _compile(node.expr, names)
    rest = [(_COMPARE[operand.op], _compile(operand.expr, names)) for operand in node.ops]
    if len(rest) == 1:
        test, second = rest[0]
        return lambda scope: test(first(scope), second(scope))

    def chain(scope: Scope) -> bool:
        left = first(scope)
        for test, operand in rest:
            right = operand(scope)
            if not test(left, right):
                return False
            left = right
        return True

    return chain


def _and(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    return lambda scope: left(scope) and right(scope)


def _or(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    return lambda scope: left(scope) or right(scope)


def _not(node: Any, names: Names) -> Evaluate:
    inner = _compile(node.node, names)
    return lambda scope: not inner(scope)


def _absent(_scope: Scope) -> Any:
    return ABSENT


def _condition(node: Any, names: Names) -> Evaluate:
    test = _compile(node.test, names)
    then = _compile(node.expr1, names)
    otherwise = _compile(node.expr2, names) if node.expr2 else _absent
    return lambda scope: then(scope) if test(scope) else otherwise(scope)


def _concat(node: Any, names: Names) -> Evaluate:
    parts = _compile_all(node.nodes, names)
    return lambda scope: "".join([text(part(scope)) for part in parts])


def _add(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    return lambda scope: left(scope) + right(scope)


def _sub(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    return lambda scope: left(scope) - right(scope)


def _neg(node: Any, names: Names) -> Evaluate:
    inner = _compile(node.node, names)
    return lambda scope: -inner(scope)


def _list(node: Any, names: Names) -> Evaluate:
    parts = _compile_all(node.items, names)
    return lambda scope: [part(scope) for part in parts]


def _dict(node: Any, names: Names) -> Evaluate:
    keys = _compile_all([pair.key for pair in node.items], names)
    values = _compile_all([pair.value for pair in node.items], names)
    members = list(zip(keys, values, strict=True))
    return lambda scope: {key(scope): value(scope) for key, value in members}


def _filter(node: Any, names: Names) -> Evaluate:
    function = FILTERS.get(node.name)
    if function is None:
        raise ExpressionError(f"unknown filter '{node.name}'; {nearest(node.name, FILTERS)}")
    if node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
        raise ExpressionError(f"filter '{node.name}' takes positional arguments only")
    arguments = _compile_all((node.node, *node.args), names)
    return lambda scope: function(*[argument(scope) for argument in arguments])


def _test(node: Any, names: Names) -> Evaluate:
    function = TESTS.get(node.name)
    if function is None:
        raise ExpressionError(f"unknown test '{node.name}'; {nearest(node.name, TESTS)}")
    inner = _compile(node.node, names)
    return lambda scope: function(inner(scope))


_COMPILERS: dict[type[nodes.Node], Callable[[Any, Names], Evaluate]] = {
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
