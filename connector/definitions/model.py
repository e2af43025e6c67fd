"""Definitions as typed values: what the files of a destination say, read once and never changed.

`definitions/read.py` makes these values of the resolved documents. The JSON Schemas in them stay
as they are written: they are data for a validator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from connector.definitions.audiences import AudienceKind, Verification
from connector.definitions.fields import (
    PHONE_STEP,
    Field,
    Form,
    Identifier,
    JsonSchema,
    Named,
    Source,
)
from connector.definitions.login import Login
from connector.definitions.pages import CallSandbox, Pages
from connector.definitions.uri_template import expand

if TYPE_CHECKING:
    from connector.definitions.exports import Export
    from connector.definitions.resolve import Document

# What actions and calls are made of may be had from here, too.
__all__ = ["PHONE_STEP", "Field", "Identifier", "JsonSchema", "Source"]

#: What stands between the values of companions that are one identifier: no value has it.
JOINT = "\x1f"

#: Bytes that a key may take which authentication adds to a body, with its name.
KEY_ROOM = 1000


@dataclass(frozen=True, slots=True)
class Api:
    """The vendor's API."""

    name: str
    version: str
    source: Source


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is full: records, groups, bytes of body, and seconds since its oldest record.

    `concurrency`: how many requests of a lane are on their way side by side. None means that there
    is no limit.
    """

    records: int | None = None
    groups: int | None = None
    bytes: int | None = None
    age: float | None = None
    concurrency: int | None = None

    def over(self, other: Limits) -> Limits:
        """Return these limits, with the other's where one is not set."""
        return Limits(
            records=other.records if self.records is None else self.records,
            groups=other.groups if self.groups is None else self.groups,
            bytes=other.bytes if self.bytes is None else self.bytes,
            age=other.age if self.age is None else self.age,
            concurrency=other.concurrency if self.concurrency is None else self.concurrency,
        )

    def within(self, caps: Limits) -> Limits:
        """Return these limits, each at most the cap."""
        return Limits(
            records=_smaller(self.records, caps.records),
            groups=_smaller(self.groups, caps.groups),
            bytes=_smaller(self.bytes, caps.bytes),
            age=_smaller(self.age, caps.age),
            concurrency=_smaller(self.concurrency, caps.concurrency),
        )

    def above(self, caps: Limits) -> list[str]:
        """Return the names of the limits that are above the cap."""
        names = []
        for name in ("records", "groups", "bytes", "age", "concurrency"):
            limit, cap = getattr(self, name), getattr(caps, name)
            if limit is not None and cap is not None and limit > cap:
                names.append(name)
        return names


def _smaller(limit: Any, cap: Any) -> Any:
    if limit is None or cap is None:
        return cap if limit is None else limit
    return min(limit, cap)


@dataclass(frozen=True, slots=True)
class BatchLimits:
    """The vendor's ceilings for one request, and default limits.

    The defaults hold when a connection sets no limits.
    """

    caps: Limits = Limits()
    defaults: Limits = Limits()
    source: Source | None = None

    def over(self, other: BatchLimits) -> BatchLimits:
        """Return these limits, with the other's where one is not set."""
        return BatchLimits(self.caps.over(other.caps), self.defaults.over(other.defaults))


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `requests` in any `per` seconds, over all requests of a connection."""

    requests: int
    per: float
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Concurrency:
    """How many requests that change one audience the vendor takes side by side."""

    requests: int = 1
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """When a request is sent again, and when no longer, where the vendor's answer does not say it.

    `waits`: seconds before the first retries; the last one repeats. None are known when it is
    empty. `deadline`: for how many seconds a request is sent again, None when only the number of
    retries is limited. `unanswered`: what a request without an answer means, `again` or `stop`.
    `refusals`: how many in a row with one answer are nobody's fault, None for the usual number.
    """

    waits: tuple[float, ...] = ()
    deadline: float | None = None
    source: Source | None = None
    unanswered: str = "again"
    refusals: int | None = None

    @property
    def is_repeatable(self) -> bool:
        """Whether a change may arrive twice."""
        return self.unanswered == "again"


@dataclass(frozen=True, slots=True)
class BodySignature:
    """An HMAC of the body in a header. `pointer` is its place below that of the scheme."""

    header: str
    hash: str
    encoding: str
    credential: str
    prefix: str = ""
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class AuthConfig:
    """One authentication scheme as a definition configures it; what a scheme does not use is "".

    `credentials` are the names under which a connection refers to its secrets, `optional` those
    that it may leave out. `headers` maps a header to the credential that it holds. `login` is how
    a person signs in, None when there is no way but to paste what the vendor's own pages show.
    `pointer` is the place of the scheme below `/destination/auth`.
    """

    scheme: str
    credentials: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body_signatures: tuple[BodySignature, ...] = ()
    # api_key
    key_in: str = ""
    key_name: str = ""
    key_prefix: str = ""
    # oauth2
    grant: str = ""
    token_url: str = ""
    scope: str = ""
    login: Login | None = None
    login_source: Source | None = None
    source: Source | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class AuthChoice:
    """The authentication schemes of a destination.

    With `setting`, the value of that setting of a connection is the key in `schemes`; without it
    there is one scheme, under "".
    """

    setting: str
    schemes: Mapping[str, AuthConfig]

    def chosen(self, settings: Mapping[str, Any]) -> AuthConfig:
        """Return the scheme of a connection with these settings. Raise LookupError."""
        return self.schemes[str(settings[self.setting]) if self.setting else ""]


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """One rule on the vendor's answers: when it holds, and what became of the records.

    `then` is delivered, retry, reject, bisect or stop. The other members are expressions in the
    definition's words, "" when they are not given, apart from `reason` and `code` (texts); `after`
    is seconds, or an expression. `scope` says what a stop stops: this `lane`, or every lane of the
    `account`. `pointer` is its place below that of the action or destination.
    """

    when: str
    then: str
    reason: str = ""
    code: str = ""
    detail: str = ""
    at: str = ""
    after: float | str | None = None
    each: str = ""
    by: str = ""
    error: str = ""
    position: str = ""
    later: str = ""
    scope: str = "lane"
    source: Source | None = None
    pointer: str = ""


class Codes(NamedTuple):
    """The vendor's own codes: those that are known, and the form of the others, "" for any."""

    words: frozenset[str] = frozenset()
    pattern: str = ""
    source: Source | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A condition on the parameters of every record: `require` has to hold when `condition` does.

    Without a condition ("") it always has to hold.
    """

    code: str
    message: str
    require: str
    condition: str
    source: Source | None = None


class FromParameter(NamedTuple):
    """A value that is taken from a parameter; `default` when it is absent."""

    parameter: str
    default: Any = None
    has_default: bool = False


class FromNow(NamedTuple):
    """A moment that is known when the request is built: `duration` (ISO 8601) after it."""

    duration: str


#: A member of `group` or `request`: a literal, or where it comes from.
SharedValue = FromParameter | str | int | bool


@dataclass(frozen=True, slots=True)
class SandboxConfig:
    """How the local stand-in for the vendor answers requests.

    `success` and `refusal` are files of templates, "" when there is none. `rate_headers` maps
    limit, remaining and reset to the headers that carry them. `requires` maps the headers that
    every request needs to patterns of their values. `members_in` (`form`, `query`) says where the
    members of a body may stand instead of in JSON.
    """

    success: str = ""
    refusal: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    refusal_status: int | None = None
    rate_headers: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    requires: Mapping[str, str] = field(default_factory=dict)
    members_in: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def templates(self) -> dict[str, str]:
        """The files of templates by what they are for, those that there are."""
        files = {"success": self.success, "refusal": self.refusal}
        return {purpose: file for purpose, file in files.items() if file}


class Split(NamedTuple):
    """How a person becomes several records.

    `parts` maps a name to the wire keys that may stand together; `name` is the pseudo-parameter
    that holds a part's name, or "". At most `values` values of one wire key and `identifiers`
    values together stand in one record.
    """

    name: str
    parts: Mapping[str, tuple[str, ...]]
    values: int | None
    identifiers: int | None


@dataclass(frozen=True, repr=False)
class Action(Form):
    """One action: its parameters and how they become a request.

    `schema` is the JSON Schema of all parameters together. `operation` is `add` or `remove`. `item`
    and `envelope` are files of templates, "" for the default; `audience` is "" when lanes are told
    apart by URL. `responses`, `sandbox`, `limits` and `headers` (lower-case names) have those of
    the destination laid under them; those that begin with `own_` are the action's alone, as
    written. `prefer` is the setting that says which identifier counts, "" when there is none.
    `together` has the companions that identify a person when all of them are there, by the wire key
    of what they are as one. `codes` and `concurrency` are the destination's. `accepts` is the
    vendor's contract for the body, None when there is none.
    """

    id: str
    document: Document
    schema: JsonSchema
    parameters: Mapping[str, Field]
    operation: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    own_headers: Mapping[str, str]
    audience: str
    item: str
    envelope: str
    group: Mapping[str, SharedValue]
    request: Mapping[str, SharedValue]
    split: Split | None
    prefer: str
    together: Mapping[str, tuple[str, ...]]
    checks: tuple[Check, ...]
    responses: tuple[ResponseRule, ...]
    own_responses: tuple[ResponseRule, ...]
    codes: Codes
    limits: BatchLimits
    own_limits: BatchLimits | None
    concurrency: int
    sandbox: SandboxConfig
    own_sandbox: SandboxConfig
    accepts: JsonSchema | None
    more_headers: str
    key_in_body: bool
    source: Source | None

    @cached_property
    def companions(self) -> frozenset[str]:
        """The wire keys that cannot identify a person by themselves."""
        return frozenset(one.wire for one in self.identifiers if not one.alone)

    @cached_property
    def naming_wires(self) -> tuple[str, ...]:
        """The wire keys that identify a person, and those of companions that do so together."""
        alone = (wire for wire in self.wires if wire not in self.companions)
        return (*alone, *self.together)

    @cached_property
    def shared_parameters(self) -> tuple[str, ...]:
        """The parameters that name no person."""
        parameters = self.parameters.values()
        return tuple(one.name for one in parameters if one.identifier is None)

    @property
    def caps(self) -> Limits:
        """The vendor's ceilings."""
        return self.limits.caps

    @property
    def most(self) -> Limits:
        """What no connection may go above: the caps, and the requests side by side."""
        return replace(self.caps, concurrency=self.concurrency)

    @cached_property
    def body_caps(self) -> Limits:
        """The ceilings for a body as it is built: room is left for a key that is added to it."""
        size = self.caps.bytes
        if not self.key_in_body or size is None:
            return self.caps
        return replace(self.caps, bytes=max(1, size - KEY_ROOM))

    @cached_property
    def default_limits(self) -> Limits:
        """The limits that hold when a connection sets none."""
        return self.limits.defaults.over(self.caps)


@dataclass(frozen=True, repr=False)
class Call(Named):
    """One request without people: its parameters, and how its answer is read.

    `reads`: it changes nothing, so that it may be repeated. `body` is the file of a template,
    `result` an expression, `fields` the expressions of a row's members; "" and empty when they are
    not given. `responses`, `headers` and `answers` (how the
    sandbox answers) have those of the destination laid under them, as with an action.
    """

    id: str
    document: Document
    schema: JsonSchema
    parameters: Mapping[str, Field]
    method: str
    reads: bool
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    more_headers: str
    body: str
    accepts: JsonSchema | None
    result: str
    fields: Mapping[str, str]
    pages: Pages | None
    responses: tuple[ResponseRule, ...]
    own_responses: tuple[ResponseRule, ...]
    answers: SandboxConfig
    sandbox: CallSandbox
    source: Source | None


class Later(NamedTuple):
    """How what most runs do without is read of a destination's files, when it is asked for."""

    calls: Callable[[Destination], Mapping[str, Call]]
    exports: Callable[[Destination], Mapping[str, Export]]


@dataclass(frozen=True, repr=False)
class Destination(Named):
    """A vendor's API: settings, authentication, limits, rates, concurrency, actions and calls.

    `retry` is None when nothing is known about it.

    `schema` is the JSON Schema of all settings together. `templates` is the folder of templates,
    `guide` the text of `guide.md`.
    """

    id: str
    document: Document
    schema: JsonSchema
    settings: Mapping[str, Field]
    actions: Mapping[str, Action]
    templates: Path
    api: Api
    docs: str
    guide: str
    base_url_template: str
    auth: AuthChoice
    headers: Mapping[str, str]
    more_headers: str
    limits: BatchLimits
    rates: tuple[Rate, ...]
    concurrency: Concurrency
    retry: RetrySchedule | None
    responses: tuple[ResponseRule, ...]
    sandbox: SandboxConfig
    later: Later
    #: By the parameter that takes an audience's id.
    audiences: Mapping[str, AudienceKind] = field(default_factory=dict)
    #: What `check` looks at.
    verifications: tuple[Verification, ...] = ()

    @cached_property
    def calls(self) -> Mapping[str, Call]:
        """The calls by their ids. Raise DefinitionError with every problem of their files."""
        return self.later.calls(self)

    @cached_property
    def exports(self) -> Mapping[str, Export]:
        """The exports by their names. Raise DefinitionError with every problem of their files."""
        return self.later.exports(self)

    def auth_of(self, settings: Mapping[str, Any]) -> AuthConfig:
        """Return the authentication of a connection with these settings, placeholders filled.

        Raise LookupError for a missing setting, ValueError for one that is not text.
        """

        def fill(address: str) -> str:
            # a setting may be the whole address; any other is a part of it
            return expand(address, settings, encode=not address.startswith("{"))

        auth = self.auth.chosen(settings)
        login = auth.login.with_addresses(fill) if auth.login else None
        return replace(auth, token_url=fill(auth.token_url), login=login)

    def base_url(self, settings: Mapping[str, Any]) -> str:
        """Return the address that all paths start at."""
        return expand(self.base_url_template, settings, encode=False)

    @cached_property
    def example_settings(self) -> Mapping[str, Any]:
        """Settings to show and try the destination with.

        They are those of its first example, else the settings' own defaults and examples.
        """
        defaults: dict[str, Any] = {}
        examples: dict[str, Any] = {}
        for setting in self.settings.values():
            if setting.has_default:
                defaults[setting.name] = setting.default
            if setting.examples:
                examples[setting.name] = setting.examples[0]

        for example in self.schema.get("examples", ()):
            return {**defaults, **example}
        return {**examples, **defaults}

    def schemes(self) -> Iterator[AuthConfig]:
        """Yield every authentication scheme, in the order of the file."""
        yield from self.auth.schemes.values()
