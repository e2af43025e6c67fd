"""The rules of lint on what a vendor's answers mean: rules and hints that change nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connector.definitions.model import Destination, ResponseRule
from connector.linting import syntax
from connector.linting.location import Location, of_action, of_call, of_destination
from connector.linting.rule import Problems, rule
from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_expression

_STATUSES = frozenset(range(100, 600))


@rule("D247", stage="documents")
def detail_without_effect(destination: Destination) -> Problems:
    """Find a `detail` without reasons that it could be added to.

    The vendor's code would be in no report. Write `hints`, or `detail` in a response rule.
    """
    used = {response.detail for response in destination.responses}
    for action in destination.actions.values():
        own_used = {response.detail for response in action.responses}
        used |= own_used
        yield from _unused_detail(of_action(action), own_used)
    for call in destination.calls.values():
        own_used = {response.detail for response in call.responses}
        used |= own_used
        yield from _unused_detail(of_call(call), own_used)
    # an action's hints have the destination's detail
    yield from _unused_detail(of_destination(destination), used)
    if not any(used) and "codes" in of_destination(destination).content:
        yield (of_destination(destination) / "codes").problem(
            "has no effect: no 'detail' finds codes in the answers", "write 'detail', or remove it"
        )


def _unused_detail(owner: Location, used: set[str]) -> Problems:
    if owner.content.get("detail", "") not in {"", *used}:
        yield (owner / "detail").problem(
            "has no effect: there are no 'hints' whose reasons it could be added to",
            "write 'hints', or 'detail' in a response rule",
        )


@rule("D248", stage="documents")
def unreached_answer(destination: Destination) -> Problems:
    """Find a response rule or a hint that others before it never leave anything for.

    What it says would never happen. Put it first, make the others narrower, or remove it.
    """
    owner = of_destination(destination)
    for unreached in _unreached(destination.responses):
        yield from _never_reached(owner, unreached)

    for action in destination.actions.values():
        owner = of_action(action)
        for unreached in _unreached(action.responses):
            is_own = _is_hint(unreached) or unreached in action.own_responses
            if is_own:
                yield from _never_reached(owner, unreached)

    for call in destination.calls.values():
        for unreached in _unreached(call.own_responses):
            yield from _never_reached(of_call(call), unreached)


@rule("D267", stage="documents")
def scope_without_effect(destination: Destination) -> Problems:
    """Find a response rule of a call that says what else stops.

    A call fails by itself, and stops nothing. Remove `scope`.
    """
    for call in destination.calls.values():
        for response in call.own_responses:
            location = of_call(call).below(response.pointer)
            if response.pointer.startswith("/responses/") and "scope" in location.content:
                yield (location / "scope").problem(
                    "has no effect: a call stops nothing but itself",
                    "remove 'scope', or write the rule in the destination's 'responses'",
                )


def _is_hint(response: ResponseRule) -> bool:
    return response.pointer.startswith("/hints/")


def _unreached(responses: Sequence[ResponseRule]) -> Iterator[ResponseRule]:
    """Yield the rules whose statuses are all taken by rules that ask for nothing but a status."""
    taken: set[int] = set()
    for rules in _as_written(responses):
        statuses: set[int] = set()
        for response in rules:
            statuses |= _statuses(response.when)
        if statuses and statuses <= taken:
            yield rules[0]
        taken |= statuses


def _as_written(responses: Sequence[ResponseRule]) -> Iterator[list[ResponseRule]]:
    """Yield the rules one by one, and all of a hint together: that of a class is several."""
    hints: dict[str, list[ResponseRule]] = {}
    for response in responses:
        if _is_hint(response):
            hints.setdefault(response.pointer, []).append(response)
        else:
            yield [response]
    yield from hints.values()


def _statuses(when: str) -> set[int]:
    """Return the statuses for which a condition holds; none when it asks for more than a status."""
    if syntax.names(syntax.expression_tree(when)) - {"status"}:
        return set()
    try:
        holds = compile_expression(when, ("status",))
        return {status for status in _STATUSES if holds({"status": status})}
    except ExpressionError:
        return set()  # another rule says so


def _never_reached(owner: Location, response: ResponseRule) -> Problems:
    """Yield a problem unless the rule is one that nobody wrote."""
    keyword, _, key = response.pointer.removeprefix("/").partition("/")
    if keyword == "hints" and key not in owner.content.get("hints", {}):
        return
    yield owner.below(response.pointer).problem(
        "is never reached: what comes before it takes all of its statuses",
        "the order is: responses, success, hints; make the one before it narrower, or remove this",
    )
