"""The rules of lint on expressions: response rules, checks, durations."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import NamedTuple

from connector.definitions.model import (
    Action,
    Destination,
    FromNow,
    FromParameter,
    ResponseRule,
)
from connector.definitions.read_calls import NOT_CONFIRMED
from connector.errors import nearest
from connector.linting import syntax
from connector.linting.location import Location, of_action, of_call, of_destination
from connector.linting.rule import Problems, rule, split_hint
from connector.pipeline import record_errors, targets
from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_expression

# The expressions of a response rule that see one entry of `each`.
_OF_ENTRY = ("error", "position", "later")


class _Expression(NamedTuple):
    """An expression, where it is written, and the names that it may use."""

    location: Location
    source: str
    names: Collection[str]

    @property
    def tree(self) -> syntax.Tree:
        return syntax.expression_tree(self.source)


@rule("D208", stage="documents", blocks=True)
def response_expression(destination: Destination) -> Problems:
    """Find an invalid expression in a response rule.

    The rule would never match. Correct the expression.
    """
    for expression in _response_expressions(destination):
        yield from _invalid(expression, {})

        headers = {"headers": ()}
        for member in syntax.unknown_members(expression.tree, headers):
            name = member.name
            if name != name.lower():
                yield expression.location.problem(
                    f"unknown header '{name}': header names are in lower case here",
                    f"write '{name.lower()}'",
                )


@rule("D209", stage="documents", blocks=True)
def check_expression(destination: Destination) -> Problems:
    """Find an invalid expression in a check.

    It would reject all records, or none. Correct the expression.
    """
    for action in destination.actions.values():
        members = {
            "params": action.shared_parameters,
            "settings": list(destination.settings),
        }
        for expression in _check_expressions(action):
            yield from _invalid(expression, members)


@rule("D210", stage="documents")
def each_without_effect(destination: Destination) -> Problems:
    """Find `each` in a response rule that does not tell records apart.

    It has no effect. Remove it, or change `then`.
    """
    for location, response in _response_rules(destination):
        if response.each and response.then not in ("reject", "delivered"):
            yield (location / "each").problem(
                f'\'each\' has no effect with "then": "{response.then}"',
                'remove \'each\' and \'by\', or use "then": "reject" or "delivered"',
            )


@rule("D223", stage="documents", blocks=True)
def duration(destination: Destination) -> Problems:
    """Find an invalid duration, or one that leads to a date outside the years 1 to 9999.

    No request could be built. Write it like P12M.
    """
    for action in destination.actions.values():
        yield from _default_durations(action)


def _default_durations(action: Action) -> Problems:
    share = of_action(action) / "share"
    for key, value in action.group.items():
        if not isinstance(value, FromParameter):
            continue
        if isinstance(value.default, FromNow):
            message = syntax.duration_error(value.default.duration)
            if message:
                location = share / key / "default" / "now"
                yield location.problem(message)


def _invalid(expression: _Expression, members: syntax.Members) -> Problems:
    """Yield why an expression does not compile, else its unknown members."""
    location = expression.location
    try:
        compile_expression(expression.source, expression.names)
    except ExpressionError as error:
        message, hint = split_hint(error)
        yield location.problem(message, hint)
        return

    for member in syntax.unknown_members(expression.tree, members):
        yield location.problem(
            f"unknown member '{member.name}' of '{member.root}'",
            nearest(member.name, members[member.root]),
        )


def _response_rules(
    destination: Destination,
) -> Iterator[tuple[Location, ResponseRule]]:
    """Yield every response rule with its location."""
    for response in destination.responses:
        yield of_destination(destination).below(response.pointer), response

    for action in destination.actions.values():
        for response in action.own_responses:
            yield of_action(action).below(response.pointer), response

    for call in destination.calls.values():
        for response in call.own_responses:
            # That no other 2xx is a success is nowhere written.
            if response.code != NOT_CONFIRMED:
                yield of_call(call).below(response.pointer), response


def _response_expressions(destination: Destination) -> Iterator[_Expression]:
    for location, response in _response_rules(destination):
        sees_entry = set(_OF_ENTRY)
        if response.each:
            sees_entry.add("detail")

        for member in ("when", "at", "after", "each", "detail", *_OF_ENTRY):
            source = getattr(response, member)
            if not isinstance(source, str) or not source:
                continue
            if response.pointer == "/success":
                source = location.content["when"]
            if member in sees_entry:
                names: Collection[str] = record_errors.ENTRY_NAMES
            else:
                names = record_errors.NAMES
            yield _Expression(_place(location, member), source, names)


def _place(rule: Location, member: str) -> Location:
    """Return where a member of a rule was written: a hint has its `detail` from its definition."""
    parent, is_hint, _status = rule.pointer.rpartition("/hints/")
    if is_hint:
        return rule._replace(pointer=parent) / member
    return rule / member


def _check_expressions(action: Action) -> Iterator[_Expression]:
    names = targets.CHECK_NAMES
    checks = of_action(action) / "checks"
    for index, check in enumerate(action.checks):
        location = checks / index
        yield _Expression(location / "require", check.require, names)
        if check.condition:
            yield _Expression(location / "if", check.condition, names)
