"""Definitions as frozen values: a destination, its actions, their parameters and identifiers.

Nothing here checks: `lint` does, on the same documents, before these are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from connector._util import times
from connector.definitions.uri_template import expand

if TYPE_CHECKING:
    from connector.definitions.resolve import Document

#: So many bytes of a body are kept free for a key that is added to it when it is sent.
KEY_ROOM = 1000

_STAGES = ("records", "groups", "bytes", "age")


@dataclass(frozen=True, slots=True)
class Identifier:
    """How one parameter becomes a value of the vendor's key `wire`.

    `prehashed` is False (always hash), True (has to be a digest), "auto" (a whole value in the form of a digest is
    one), or `flag` names the boolean parameter that decides. `alone`: whether it names a person without any other.
    `normalize`: each step with its argument, "" when it has none.
    """

    parameter: str
    wire: str
    normalize: tuple[tuple[str, Any], ...]
    hash: str
    prehashed: bool | str
    flag: str | None
    source: Mapping[str, str]
    alone: bool = True


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full: records, groups, bytes of body, seconds since its oldest record. None means no limit."""

    records: int | None = None
    groups: int | None = None
    bytes: int | None = None
    age: float | None = None

    def over(self, other: Limits) -> Limits:
        """Return these limits, and the other's where there is none here."""
        return Limits(
            *(a if a is not None else b for a, b in zip(self._all(), other._all(), strict=True))
        )

    def within(self, caps: Limits) -> Limits:
        """Return these limits, each at most the cap."""
        pairs = zip(self._all(), caps._all(), strict=True)
        return Limits(*(min((x for x in pair if x is not None), default=None) for pair in pairs))

    def above(self, caps: Limits) -> list[str]:
        """Return the names of the limits that are above the cap."""
        rows = zip(_STAGES, self._all(), caps._all(), strict=True)
        return [
            name for name, mine, cap in rows if mine is not None and cap is not None and mine > cap
        ]

    def _all(self) -> tuple[Any, ...]:
        return self.records, self.groups, self.bytes, self.age


def limits(raw: Mapping[str, Any]) -> Limits:
    """Read limits as they are written in a file. Raises ValueError for a size or span that is none."""
    return Limits(
        records=raw.get("records"),
        groups=raw.get("groups"),
        bytes=times.size(raw["bytes"]) if "bytes" in raw else None,
        age=times.span(raw["age"]) if "age" in raw else None,
    )


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `requests` in any `per` seconds, counted for the whole account or for each lane."""

    requests: int
    per: float
    scope: str


class Split(NamedTuple):
    """How a person becomes several records.

    `parts`: name → the wire keys that may stand together; `name`: the pseudo-parameter that holds a part's name, or "".
    At most `values` values of one wire key and `identifiers` values together stand in one record.
    """

    name: str
    parts: Mapping[str, tuple[str, ...]]
    values: int | None
    identifiers: int | None


@dataclass(frozen=True)
class Action:
    """One action: its parameters (a JSON Schema) and how they become a request."""

    id: str
    document: Document
    defaults: Mapping[str, Any]

    @property
    def schema(self) -> Mapping[str, Any]:
        """The resolved JSON Schema of the parameters."""
        return self.document.content

    @property
    def title(self) -> str:
        """The title a person sees."""
        return str(self.schema.get("title", self.id))

    @property
    def raw(self) -> Mapping[str, Any]:
        """The `action` keyword as it is written."""
        raw: Mapping[str, Any] = self.schema["action"]
        return raw

    @property
    def operation(self) -> str:
        """`add` or `remove`."""
        return str(self.raw["operation"])

    @property
    def properties(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters' schemas by name."""
        properties: Mapping[str, Mapping[str, Any]] = self.schema.get("properties", {})
        return properties

    @cached_property
    def identifiers(self) -> tuple[Identifier, ...]:
        """The parameters that name a person, in the order of the file."""
        return tuple(
            _identifier(name, schema["identifier"])
            for name, schema in self.properties.items()
            if "identifier" in schema
        )

    @cached_property
    def wires(self) -> tuple[str, ...]:
        """The vendor's keys, each once, in the order of the file."""
        return tuple(dict.fromkeys(identifier.wire for identifier in self.identifiers))

    @cached_property
    def companions(self) -> frozenset[str]:
        """The wire keys that name nobody alone."""
        return frozenset(identifier.wire for identifier in self.identifiers if not identifier.alone)

    @cached_property
    def split(self) -> Split | None:
        """How a person becomes several records; None when every person is one."""
        raw = self.raw.get("split")
        if raw is None:
            return None
        parts = {name: tuple(wires) for name, wires in raw.get("parts", {}).items()}
        return Split(raw.get("as", ""), parts, raw.get("values"), raw.get("identifiers"))

    @property
    def responses(self) -> list[Mapping[str, Any]]:
        """The response rules: the action's own, then the destination's."""
        return [*self.raw.get("responses", ()), *self.defaults.get("responses", ())]

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers by their lower-case names: the destination's, with the action's laid over."""
        both = {**self.defaults.get("headers", {}), **self.raw.get("headers", {})}
        return {name.lower(): value for name, value in both.items()}

    @property
    def sandbox(self) -> Mapping[str, Any]:
        """How the sandbox reads and answers this action."""
        return {**self.defaults.get("sandbox", {}), **self.raw.get("sandbox", {})}

    @cached_property
    def caps(self) -> Limits:
        """The vendor's ceilings."""
        return self._limits("caps")

    @cached_property
    def body_caps(self) -> Limits:
        """The ceilings for a body as it is built: the vendor's, with room for a key that is added when it is sent."""
        auth = self.defaults["auth"]
        keyed = any(
            scheme.get("in") == "body" for scheme in auth.get("schemes", {"": auth}).values()
        )
        size = self.caps.bytes
        return (
            replace(self.caps, bytes=max(1, size - KEY_ROOM))
            if keyed and size is not None
            else self.caps
        )

    @cached_property
    def usual(self) -> Limits:
        """The limits that hold when a connection sets none."""
        return self._limits("defaults").over(self.caps)

    def _limits(self, kind: str) -> Limits:
        own, shared = (raw.get("limits", {}).get(kind, {}) for raw in (self.raw, self.defaults))
        return limits(own).over(limits(shared))


def _identifier(name: str, raw: Mapping[str, Any]) -> Identifier:
    prehashed = raw.get("prehashed", False)
    flag = prehashed["flag"] if isinstance(prehashed, dict) else None
    steps = (
        (step, "") if isinstance(step, str) else next(iter(step.items()))
        for step in raw.get("normalize", ())
    )
    return Identifier(
        parameter=name,
        wire=raw.get("wire", name),
        normalize=tuple(steps),
        hash=raw["hash"],
        prehashed=False if flag else prehashed,
        flag=flag,
        source=raw.get("source", {}),
        alone=raw.get("alone", True),
    )


@dataclass(frozen=True)
class Destination:
    """A vendor's API: settings, auth, limits, rates and actions. `templates` is the folder of its templates."""

    id: str
    document: Document
    actions: Mapping[str, Action]
    templates: Path

    @property
    def schema(self) -> Mapping[str, Any]:
        """The resolved JSON Schema of the settings."""
        return self.document.content

    @property
    def title(self) -> str:
        """The title a person sees."""
        return str(self.schema.get("title", self.id))

    @property
    def raw(self) -> Mapping[str, Any]:
        """The `destination` keyword as it is written."""
        raw: Mapping[str, Any] = self.schema["destination"]
        return raw

    @property
    def settings(self) -> Mapping[str, Mapping[str, Any]]:
        """The settings' schemas by name."""
        settings: Mapping[str, Mapping[str, Any]] = self.schema.get("properties", {})
        return settings

    @property
    def auth(self) -> Mapping[str, Any]:
        """The scheme and the names of its credentials, or the setting that chooses and the schemes."""
        auth: Mapping[str, Any] = self.raw["auth"]
        return auth

    @property
    def schemes(self) -> Mapping[str, Mapping[str, Any]]:
        """Every auth there is, by the value of the setting that chooses; by "" when nothing is chosen."""
        schemes: Mapping[str, Mapping[str, Any]] = self.auth.get("schemes") or {"": self.auth}
        return schemes

    def chosen_auth(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the auth of a connection with these settings, as it is written. Raises LookupError."""
        return self.schemes[str(settings[self.auth["setting"]]) if "setting" in self.auth else ""]

    def auth_of(self, settings: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the auth of a connection with these settings, placeholders filled. Raises LookupError, ValueError."""
        auth = self.chosen_auth(settings)
        url = auth.get("token_url")
        # a setting may be the whole address; any other is a part of it
        return (
            {**auth, "token_url": expand(url, settings, encode=not url.startswith("{"))}
            if url
            else auth
        )

    @cached_property
    def example_settings(self) -> Mapping[str, Any]:
        """Settings to show and try the destination with: its example, else the settings' own defaults and examples."""
        defaults = {
            name: schema["default"] for name, schema in self.settings.items() if "default" in schema
        }
        for example in self.schema.get("examples", ()):
            return {**defaults, **example}
        examples = {
            name: schema["examples"][0]
            for name, schema in self.settings.items()
            if "examples" in schema
        }
        return {**examples, **defaults}

    def base_url(self, settings: Mapping[str, Any]) -> str:
        """Return the address that all paths start at."""
        return expand(self.raw["base_url"], settings, encode=False)

    @cached_property
    def rates(self) -> tuple[Rate, ...]:
        """The vendor's rate limits."""
        return tuple(
            Rate(r["requests"], times.span(r["per"]), r["scope"]) for r in self.raw.get("rate", ())
        )
