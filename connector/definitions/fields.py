"""Settings and parameters: the values that a person fills in, and how they name people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from connector.validation.patterns import compile_pattern

JsonSchema = Mapping[str, Any]

#: The normaliser step that reads phone numbers.
PHONE_STEP = "e164"

#: The normaliser steps that drop what has not a form of its own.
_FORM_STEPS = frozenset({"email", PHONE_STEP})

# A form that these have may be that of any word.
_WORDS = ("unknown", "UNKNOWN")


@dataclass(frozen=True, slots=True)
class Source:
    """Where a fact comes from: `read` is `vendor`, `peer` or `assumed`."""

    read: str
    note: str
    url: str = ""


@dataclass(frozen=True, slots=True)
class Identifier:
    """How the values of one parameter become values of the vendor's key `wire`.

    `normalize` holds each step with its argument, "" when it has none. `prehashed` is False (always
    hash), True (must be a digest), "auto" (a whole value in the form of a digest is one), or
    `flag` names the boolean parameter that decides. `alone` says whether it names a person without
    any other identifier.
    """

    parameter: str
    wire: str
    normalize: tuple[tuple[str, Any], ...]
    hash: str
    prehashed: bool | str
    flag: str | None
    source: Source | None
    alone: bool = True

    @property
    def is_phone(self) -> bool:
        """Whether its values are phone numbers, which may lack a country code."""
        return any(step == PHONE_STEP for step, _ in self.normalize)

    @property
    def is_free(self) -> bool:
        """Whether a word may name a person: no step asks for another form, and it is no digest."""
        if not self.alone or self.prehashed is True:
            return False
        for step, argument in self.normalize:
            if step in _FORM_STEPS or (step == "matches" and not _takes_a_word(argument)):
                return False
        return True

    @property
    def takes_words(self) -> bool:
        """Whether a word for no value may have the form: an email address or a number is none."""
        return not any(step in ("email", PHONE_STEP) for step, _ in self.normalize)

    @property
    def is_hashed_here(self) -> bool:
        """Whether plain values are hashed here."""
        return self.hash != "none" and self.prehashed is not True


@dataclass(frozen=True, slots=True)
class Field:
    """A value that a person fills in: a setting of a connection, or a parameter of an action.

    `schema` is its JSON Schema, of which the other members are read. `required` says whether it is
    listed there; alternatives (`anyOf`, `oneOf`) are in the schema of all fields together.
    `ignored`: a mapping may give it, but it is neither checked nor sent.
    """

    name: str
    schema: JsonSchema
    required: bool
    source: Source | None
    identifier: Identifier | None = None
    ignored: bool = False

    @property
    def title(self) -> str:
        """The name that a form shows."""
        return str(self.schema.get("title", ""))

    @property
    def description(self) -> str:
        """What the value is, for the person who fills in a form."""
        return str(self.schema.get("description", ""))

    @property
    def types(self) -> tuple[str, ...]:
        """The JSON types that it takes."""
        types = self.schema.get("type", ())
        return (types,) if isinstance(types, str) else tuple(types)

    @property
    def allowed(self) -> tuple[Any, ...]:
        """The allowed values; empty when any value is allowed."""
        return tuple(self.schema.get("enum", ()))

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values as a person would give them."""
        return tuple(self.schema.get("examples", ()))

    @property
    def default(self) -> Any:
        """The value when none is given; None when there is no default."""
        return self.schema.get("default")

    @property
    def has_default(self) -> bool:
        """Whether there is a default."""
        return "default" in self.schema

    @property
    def always_present(self) -> bool:
        """Whether it has a value in every record or connection."""
        return (self.required or self.has_default) and not self.ignored

    @property
    def is_moment(self) -> bool:
        """Whether it is a date with a time."""
        return self.schema.get("format") == "date-time"

    @property
    def deprecated(self) -> bool:
        """Whether new connections should not use it."""
        return bool(self.schema.get("deprecated"))


def _takes_a_word(pattern: str) -> bool:
    has_form = compile_pattern(pattern, whole=True)
    return any(map(has_form, _WORDS))


class Named:
    """What has an id, and a JSON Schema that says what it is."""

    id: str
    schema: JsonSchema

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    @property
    def title(self) -> str:
        """The title a person sees."""
        return str(self.schema.get("title", self.id))

    @property
    def description(self) -> str:
        """What it does, and what to know before using it."""
        return str(self.schema.get("description", ""))


class Form(Named):
    """What has parameters, some of which name people: an action or an export."""

    parameters: Mapping[str, Field]

    @cached_property
    def identifiers(self) -> tuple[Identifier, ...]:
        """The parameters that name a person, in the order of the file."""
        parameters = self.parameters.values()
        return tuple(one.identifier for one in parameters if one.identifier)

    @cached_property
    def wires(self) -> tuple[str, ...]:
        """The vendor's keys, each once, in the order of the file."""
        return tuple(dict.fromkeys(identifier.wire for identifier in self.identifiers))
