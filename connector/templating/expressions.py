"""Expressions: the part of Jinja's expression syntax that reads data and nothing else.

Jinja parses; what is allowed is turned once into nested closures. So nothing but the code of this
file can ever run, and an expression costs a few calls per event. A member that is missing or null
is `ABSENT`: falsy, equal to none, its members absent too; using it as text, a number or in `<`
raises `AbsentError`.

Where `words` are read, text that is tested for truth has to be a word for true or false: `no` and
`0` in a CSV file are text. Otherwise text is true unless it is empty.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.parser import Parser

from connector._util.words import FALSE_WORDS, TRUE_WORDS, truth
from connector.errors import nearest
from connector.templating.data import (
    ABSENT,
    FAILURES,
    AbsentError,
    ExpressionError,
    NotBooleanError,
    kind,
    member,
    text,
)
from connector.templating.filters import TESTS, call_filter, filter_problem
from connector.templating.syntax import TOO_DEEP, TOO_LARGE, size_problem

#: What an expression may hold, for messages.
SYNTAX = (
    "allowed: members (event.a, event['odd name']), numbers, 'text', "
    "== != < <= > >= in, and or not, … if … else …, + - ~, lists, slices, filters"
)

Scope = Mapping[str, Any]
Evaluate = Callable[[Scope], Any]

_NOT_BOOLEAN = (
    f"text is tested that says neither true ({', '.join(TRUE_WORDS)}) "
    f"nor false ({', '.join(FALSE_WORDS)}); compare it, as in event.a | trim | lower == 'x', "
    "or test that it is there: event.a is defined"
)


class Names(NamedTuple):
    """The names that an expression may use, and whether words are read where truth is tested."""

    known: Collection[str]
    words: bool = False


_PARSER_ENVIRONMENT = Environment()  # noqa: S701 - it only parses


def compile_expression(source: str, names: Collection[str]) -> Evaluate:
    """Compile an expression over the given names.

    The result takes a mapping that holds those names. It raises AbsentError or ExpressionError when
    the data does not fit. Compiling raises ExpressionError with what is wrong and what is allowed.
    """
    return _guard(_compile(parse_expression(source), Names(names)))


def compile_condition(source: str, names: Collection[str]) -> Callable[[Scope], bool]:
    """Compile an expression whose truth is asked for, and which reads words.

    As `compile_expression`; the result raises NotBooleanError too.
    """
    node = parse_expression(source)
    return _guard(_tested(node, Names(names, words=True)))


def parse_expression(source: str) -> nodes.Expr:
    """Return the parsed expression. Raise ExpressionError when it is none."""
    try:
        parser = Parser(_PARSER_ENVIRONMENT, source, state="variable")
        node = parser.parse_expression()
    except TemplateSyntaxError as error:
        raise ExpressionError(f"invalid expression: {error.message}; {SYNTAX}") from None
    except RecursionError:
        raise ExpressionError(f"invalid expression: {TOO_DEEP}") from None
    except ValueError:
        raise ExpressionError(f"invalid expression: {TOO_LARGE}") from None
    if not parser.stream.eos:
        rest = parser.stream.current.value
        raise ExpressionError(f"invalid expression: unexpected '{rest}' after its end; {SYNTAX}")
    problem = size_problem(node)
    if problem:
        raise ExpressionError(f"invalid expression: {problem}")
    return node


def is_true(value: Any) -> bool:
    """Return whether a value is true, words read. Raise NotBooleanError."""
    if not isinstance(value, str):
        return bool(value)
    answer = truth(value)
    if answer is None:
        raise NotBooleanError(_NOT_BOOLEAN)
    return answer


def _guard(evaluate: Evaluate) -> Evaluate:
    def guarded(scope: Scope) -> Any:
        try:
            return evaluate(scope)
        except ExpressionError:
            raise
        except FAILURES as error:
            # the error's own text may quote data
            message = f"the expression fails on these values ({type(error).__name__})"
            raise ExpressionError(message) from None

    return guarded


def _compile(node: nodes.Node, names: Names) -> Evaluate:
    compiler = _COMPILERS.get(type(node))
    if compiler is None:
        raise ExpressionError(f"'{type(node).__name__}' is not allowed in an expression; {SYNTAX}")
    return compiler(node, names)


def _compile_all(some: Iterable[nodes.Node], names: Names) -> list[Evaluate]:
    return [_compile(node, names) for node in some]


def _tested(node: nodes.Node, names: Names) -> Evaluate:
    """Compile an expression of which nothing but the truth is asked."""
    value = _compile(node, names)
    if not names.words:
        return value
    return lambda scope: is_true(value(scope))


def _name(node: Any, names: Names) -> Evaluate:
    if node.name not in names.known:
        known = nearest(node.name, names.known)
        raise ExpressionError(f"unknown name '{node.name}'; {known}")
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
    if isinstance(node.arg, nodes.Slice):
        return _slice(inner, node.arg, names)
    key = _compile(node.arg, names)
    return lambda scope: member(inner(scope), key(scope))


def _slice(inner: Evaluate, node: nodes.Slice, names: Names) -> Evaluate:
    if node.step is not None:
        raise ExpressionError("a slice takes a start and an end, and no step")
    start = _bound(node.start, names)
    stop = _bound(node.stop, names)

    def evaluate(scope: Scope) -> Any:
        value = inner(scope)
        if value is ABSENT:
            return ABSENT
        if not isinstance(value, str | list | tuple):
            raise ExpressionError(f"only text and lists have slices, not {kind(value)}")
        return value[start(scope) : stop(scope)]

    return evaluate


def _bound(node: Any, names: Names) -> Evaluate:
    """Return an end of a slice, None when there is none."""
    if node is None:
        return lambda scope: None
    bound = _compile(node, names)
    if isinstance(node, nodes.Const):
        _check_bound(node.value)

    def evaluate(scope: Scope) -> Any:
        return _check_bound(bound(scope))

    return evaluate


def _check_bound(value: Any) -> int:
    if value is ABSENT:
        raise AbsentError("an absent value is used in a slice")
    if type(value) is not int:
        raise ExpressionError(f"a slice takes whole numbers, not {kind(value)}")
    return value


def _between(symbol: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an operator that says between what it cannot be used."""

    def operate(left: Any, right: Any) -> Any:
        try:
            return function(left, right)
        except TypeError:
            message = f"'{symbol}' cannot be used between {kind(left)} and {kind(right)}"
            raise ExpressionError(message) from None

    return operate


_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": _between("<", operator.lt),
    "lteq": _between("<=", operator.le),
    "gt": _between(">", operator.gt),
    "gteq": _between(">=", operator.ge),
    "in": _between("in", lambda value, values: value in values),
    "notin": _between("not in", lambda value, values: value not in values),
}


def _compare(node: Any, names: Names) -> Evaluate:
    for operand in node.ops:
        _check_is_no_bare_text(operand.expr, names)
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


def _check_is_no_bare_text(node: Any, names: Names) -> None:
    """Raise ExpressionError for a word without quotes behind a comparison: event.a == yes."""
    if isinstance(node, nodes.Name) and node.name not in names.known:
        known = nearest(node.name, names.known)
        quoted = f"text stands in quotes: '{node.name}'"
        raise ExpressionError(f"unknown name '{node.name}'; {known}; {quoted}")


def _and(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    if not names.words:
        return lambda scope: left(scope) and right(scope)

    def evaluate(scope: Scope) -> Any:
        value = left(scope)
        return right(scope) if is_true(value) else value

    return evaluate


def _or(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    if not names.words:
        return lambda scope: left(scope) or right(scope)

    def evaluate(scope: Scope) -> Any:
        value = left(scope)
        return value if is_true(value) else right(scope)

    return evaluate


def _not(node: Any, names: Names) -> Evaluate:
    inner = _tested(node.node, names)
    return lambda scope: not inner(scope)


def _absent(_scope: Scope) -> Any:
    return ABSENT


def _condition(node: Any, names: Names) -> Evaluate:
    test = _tested(node.test, names)
    then = _compile(node.expr1, names)
    otherwise = _compile(node.expr2, names) if node.expr2 else _absent
    return lambda scope: then(scope) if test(scope) else otherwise(scope)


def _concat(node: Any, names: Names) -> Evaluate:
    parts = _compile_all(node.nodes, names)
    return lambda scope: "".join([text(part(scope)) for part in parts])


def _add(node: Any, names: Names) -> Evaluate:
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    add = _between("+", operator.add)
    return lambda scope: add(left(scope), right(scope))


def _sub(node: Any, names: Names) -> Evaluate:
    _check_is_no_name(node, names)
    left = _compile(node.left, names)
    right = _compile(node.right, names)
    subtract = _between("-", operator.sub)
    return lambda scope: subtract(left(scope), right(scope))


def _check_is_no_name(node: Any, names: Names) -> None:
    """Raise ExpressionError for a name with a dash, such as event.E-Mail, which reads as minus."""
    parts: list[str] = []
    while isinstance(node, nodes.Sub) and isinstance(node.right, nodes.Name):
        if node.right.name in names.known:
            return
        parts.insert(0, node.right.name)
        node = node.left
    if parts and isinstance(node, nodes.Getattr):
        name = "-".join((node.attr, *parts))
        raise ExpressionError(
            f"'-{parts[0]}' is read as minus {parts[0]}; a name with a dash stands in quotes: "
            f"{_written(node.node)}['{name}']"
        )


def _written(node: Any) -> str:
    """Return an object's path as it is written, or what stands for it."""
    if isinstance(node, nodes.Name):
        return str(node.name)
    if isinstance(node, nodes.Getattr):
        return f"{_written(node.node)}.{node.attr}"
    return "…"


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
    name = node.name
    problem = filter_problem(name, node.args)
    if problem:
        raise ExpressionError(problem)
    if node.kwargs or node.dyn_args or node.dyn_kwargs or node.node is None:
        raise ExpressionError(f"filter '{name}' takes positional arguments only")
    arguments = _compile_all((node.node, *node.args), names)
    return lambda scope: call_filter(name, [argument(scope) for argument in arguments])


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
