"""Presence: which parameters have to be there, alone or together, by an action's schema."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from connector.definitions.model import Action
from connector.validation.schema import Schema

#: From the names of the parameters that have a value to what is missing or too many; "" when all is
#: well.
CheckPresence = Callable[[tuple[str, ...]], str]


def names_with_value(params: Mapping[str, Any]) -> list[str]:
    """Return the parameters that have a value."""
    return [name for name, value in params.items() if value is not None]


def compile_presence(action: Action) -> CheckPresence | None:
    """Return the check of which parameters have to be there together.

    None when the schema asks for any identifier and no more, which every record has.
    """
    rules = _presence_rules(action)
    if not rules:
        return None

    schema = Schema(rules)

    @cache
    def check(present: tuple[str, ...]) -> str:
        failures = schema.failures(dict.fromkeys(present, True))
        return failures[0].message if failures else ""

    return check


def _presence_rules(action: Action) -> dict[str, Any]:
    """Return the keywords that say more than "any identifier"."""
    schema = action.schema
    people = {identifier.parameter for identifier in action.identifiers}
    rules = {}
    if "oneOf" in schema:
        rules["oneOf"] = schema["oneOf"]

    # Required parameters that name no person are checked with the target.
    required = schema.get("required", ())
    if not people.isdisjoint(required):
        rules["required"] = required
    return rules
