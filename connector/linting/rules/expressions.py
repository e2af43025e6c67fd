"""The rules of lint on expressions: response rules, checks, durations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from connector.definitions.model import Action, Destination, FromNow, FromParameter, ResponseRule
from connector.definitions.resolve import Document
from connector.errors import Problem, nearest
from connector.linting import syntax
from connector.linting.rule import Rule, at, parameters, said
from connector.pipeline import record_errors as entries
from connector.pipeline import targets
from connector.templating.expressions import SYNTAX, ExpressionError, compile_expression
from connector.validation.explain import pointer


class _Expression(NamedTuple):
    """An expression where it stands, and the names it may use."""

    document: Document
    place: str
    source: str
    names: Collection[str]


def response_expression(destination: Destination) -> Iterator[Problem]:
    """Find an expression of a response rule that cannot be used: the rule would never hold. Mend it."""
    for expression in _response_expressions(destination):
        yield from _wrong(expression, {})
        for member in syntax.unknown_members(
            syntax.expression_tree(expression.source), {"headers": ()}
        ):
            if member.name != member.name.lower():
                message = f"no header is called '{member.name}' here: the names are in lower case"
                yield at(
                    expression.document, expression.place, message, f"write '{member.name.lower()}'"
                )


def check_expression(destination: Destination) -> Iterator[Problem]:
    """Find an expression of a check that cannot be used: it would refuse all records, or none. Mend it."""
    for action in destination.actions.values():
        members = {"params": parameters(action), "settings": list(destination.settings)}
        for expression in _check_expressions(action):
            yield from _wrong(expression, members)


def unused_member(destination: Destination) -> Iterator[Problem]:
    """Find `each` beside something else than reject or delivered: it says nothing. Take it out, or mend `then`."""
    for document, place, rule in _rules(destination):
        if rule.each and rule.then not in ("reject", "delivered"):
            message = f'\'each\' says nothing beside "then": "{rule.then}"'
            hint = 'take out \'each\' and \'by\', or write "then": "reject" or "delivered"'
            yield at(document, f"{place}/each", message, hint)


def duration(destination: Destination) -> Iterator[Problem]:
    """Find a duration that is none, or leads out of the calendar: no request could be built. Write it like P12M."""
    for action in destination.actions.values():
        for key, value in action.group.items():
            if isinstance(value, FromParameter) and isinstance(value.default, FromNow):
                place = f"/action/group{pointer([key])}/default/now"
                for message in syntax.wrong_duration(value.default.duration):
                    yield at(action.document, place, message)
    for expression in _expressions(destination):
        for message, _ in syntax.wrong_durations(syntax.expression_tree(expression.source)):
            yield at(expression.document, expression.place, message)


def _wrong(expression: _Expression, members: Mapping[str, Collection[str]]) -> Iterator[Problem]:
    """Yield why an expression does not compile, or which members there are none of."""
    document, place, source, names = expression
    try:
        compile_expression(source, names)
    except ExpressionError as error:
        message, hint = said(error)
        yield at(document, place, message, hint or SYNTAX)
        return
    for member in syntax.unknown_members(syntax.expression_tree(source), members):
        message = f"'{member.root}' has no member '{member.name}'"
        yield at(document, place, message, nearest(member.name, members[member.root]))


def _expressions(destination: Destination) -> Iterator[_Expression]:
    yield from _response_expressions(destination)
    for action in destination.actions.values():
        yield from _check_expressions(action)


def _response_expressions(destination: Destination) -> Iterator[_Expression]:
    for document, place, rule in _rules(destination):
        for name in ("when", "at", "each", "detail", "error", "position", "later"):
            of_entry = name in ("error", "position", "later") or (
                name == "detail" and rule.each != ""
            )
            source = getattr(rule, name)
            if source:
                names = entries.ENTRY_NAMES if of_entry else entries.NAMES
                yield _Expression(document, f"{place}/{name}", source, names)


def _check_expressions(action: Action) -> Iterator[_Expression]:
    for index, check in enumerate(action.checks):
        place = f"/action/checks/{index}"
        names = targets.CHECK_NAMES
        yield _Expression(action.document, f"{place}/require", check.require, names)
        if check.condition:
            yield _Expression(action.document, f"{place}/if", check.condition, names)


def _rules(destination: Destination) -> Iterator[tuple[Document, str, ResponseRule]]:
    lists: list[tuple[Document, str, Iterable[ResponseRule]]] = [
        (destination.document, "/destination/responses", destination.responses),
        *((a.document, "/action/responses", a.own_responses) for a in destination.actions.values()),
    ]
    for document, place, rules in lists:
        yield from ((document, f"{place}/{index}", rule) for index, rule in enumerate(rules))


#: Code and rule.
RULES: list[tuple[str, Rule]] = [
    ("D208", response_expression),
    ("D209", check_expression),
    ("D210", unused_member),
    ("D223", duration),
]
