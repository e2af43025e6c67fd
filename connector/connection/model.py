"""A connection as typed values: one customer's settings, references to secrets, and routes."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol
from urllib.parse import urlsplit

from connector.connection.secrets import KeptSecret, SecretRef, find_secrets, sign_in_command
from connector.connection.urls import is_local
from connector.definitions.exports import Export, Key
from connector.definitions.login import Login
from connector.definitions.model import Action, AuthConfig, Destination, Limits
from connector.errors import ConfigError, Problem
from connector.model import AS_WRITTEN, InputOptions


@dataclass(frozen=True, kw_only=True)
class FieldMapping:
    """One entry of a route's `map`: where a parameter's value comes from.

    There is one subclass for each way. What may stand beside any of them in a file is a member of
    this class: `prehashed` (True, False or "auto") goes before what the definition says, and
    `country` is that of phone numbers without a country code.
    """

    prehashed: bool | str | None = None
    country: FieldMapping | None = None


@dataclass(frozen=True)
class FromPaths(FieldMapping):
    """`{from: …}`: the value at the first of these paths that is present."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class AllPaths(FieldMapping):
    """`{all: …}`: the values at all of these paths that are present, each once."""

    paths: tuple[str, ...]


@dataclass(frozen=True)
class Constant(FieldMapping):
    """`{value: …}`: the same value for every event."""

    value: Any


@dataclass(frozen=True)
class FromExpression(FieldMapping):
    """`{expr: …}`: the result of an expression over `event`, `item` and `settings`."""

    expression: str


@dataclass(frozen=True)
class AfterNow(FieldMapping):
    """`{now: …}`: this duration (ISO 8601) after the moment at which the request is built."""

    duration: str


#: So many audiences of one template a run creates, unless the connection says another number: a
#: field that was mixed up, such as one with an address, would make one for each person.
MOST_CREATED = 10


@dataclass(frozen=True)
class NamedAudience(FieldMapping):
    """`{audience: …}`: the id of the audience that has this name.

    With `create` the name is a template, and the audience is created when there is none; a run
    creates at most `limit` of them, by default `MOST_CREATED`. With `only` it is the account's only
    one, which has no name, and is created when there is none.
    """

    name: str = ""
    create: bool = False
    only: bool = False
    limit: int | None = None


@dataclass(frozen=True)
class OfOptOut(FieldMapping):
    """No entry of a file: on a route that opts people out, the id of each audience in turn."""


#: The keys of an entry of `map` of which there is exactly one.
SOURCES = ("from", "all", "value", "expr", "now", "audience")


def field_mapping(document: Mapping[str, Any]) -> FieldMapping:
    """Return one entry of a route's `map` as a typed value.

    The document satisfies the meta-schema, and has exactly one of `SOURCES`.
    """
    prehashed = document.get("prehashed")
    country: FieldMapping | None = None
    written = document.get("country")
    if isinstance(written, str):
        country = Constant(written)
    elif written is not None:
        country = field_mapping(written)

    source = _source(document)
    if prehashed is None and country is None:
        return source
    return replace(source, prehashed=prehashed, country=country)


def _source(document: Mapping[str, Any]) -> FieldMapping:
    if "value" in document:
        return Constant(document["value"])
    if "expr" in document:
        return FromExpression(document["expr"])
    if "now" in document:
        return AfterNow(document["now"])
    if "audience" in document:
        return _named_audience(document["audience"])
    if "all" in document:
        return AllPaths(_paths(document["all"]))
    return FromPaths(_paths(document["from"]))


def _named_audience(written: str | Mapping[str, Any]) -> NamedAudience:
    if isinstance(written, str):
        return NamedAudience(written)
    if "create" in written:
        return NamedAudience(written["create"], create=True, limit=written.get("limit"))
    return NamedAudience(only=True, limit=written.get("limit"))


def _paths(written: str | Sequence[str]) -> tuple[str, ...]:
    return (written,) if isinstance(written, str) else tuple(written)


def field_mappings(document: Mapping[str, Mapping[str, Any]]) -> dict[str, FieldMapping]:
    """Return a route's `map` as typed values, by parameter."""
    return {name: field_mapping(entry) for name, entry in document.items()}


class Taking(Protocol):
    """What takes rows and maps them: a route, or an export."""

    @property
    def name(self) -> str:
        """What reports call it."""

    @property
    def when(self) -> str | None:
        """Which rows it takes; None for all."""

    @property
    def map(self) -> Mapping[str, FieldMapping]:
        """Where the values of parameters come from."""

    @property
    def each(self) -> str | None:
        """The path to the list whose elements are the rows; None when events are."""


@dataclass(frozen=True)
class OptOut:
    """What an opt-out does besides removing a person from every audience.

    `do_not_reach`: it also puts them on the account's list of people whom nothing may reach.
    """

    do_not_reach: bool = False


def opt_out(document: bool | Mapping[str, bool]) -> OptOut | None:
    """Return what a route's `opt_out` says, None when the route is none."""
    if isinstance(document, bool):
        return OptOut() if document else None
    return OptOut(document.get("do_not_reach", False))


@dataclass(frozen=True)
class Route:
    """One route of a connection: which events it takes, for which action, and how it maps them.

    `each` is the path to a list, each element of which becomes a record; None when the event does.
    With `opt_out` the action removes a person from every audience of the connection.
    """

    name: str
    action: Action
    when: str | None
    map: Mapping[str, FieldMapping]
    each: str | None = None
    description: str = ""
    opt_out: OptOut | None = None


@dataclass(frozen=True)
class MappedExport:
    """An export of the destination, and how a connection maps it; the rest is as in a route."""

    export: Export
    when: str | None
    map: Mapping[str, FieldMapping]
    each: str | None = None
    description: str = ""

    @property
    def name(self) -> str:
        """What reports call it."""
        return self.export.id


@dataclass(frozen=True, repr=False)
class Connection:
    """A checked connection. `limits` are those of the file; `file` names it in messages."""

    file: str
    destination: Destination
    settings: Mapping[str, Any]
    credentials: Mapping[str, SecretRef]
    base_url: str
    limits: Limits
    event_id: str | None
    routes: tuple[Route, ...]
    order: str = "strict"
    token_url: str = ""
    login_url: str = ""
    name: str = ""
    description: str = ""
    #: How the input is written.
    input: InputOptions = AS_WRITTEN
    exports: Mapping[str, MappedExport] = field(default_factory=dict)
    #: Of everything that decides what is sent where: equal when that did not change.
    digest: str = ""

    def __repr__(self) -> str:
        # A destination is a million characters, and settings are the customer's own.
        destination = self.destination.id
        return f"Connection({self.file!r}, {destination!r}, {len(self.routes)} routes)"

    def auth(self) -> AuthConfig:
        """Return the auth of these settings.

        Raise ConfigError (C217) when secrets would go to an unexpected host.
        """
        auth = self.destination.auth_of(self.settings)
        if self.token_url:
            return replace(auth, token_url=self.token_url)
        self._check_not_sent_away("token_url", "/token", auth.token_url)
        return auth

    def login(self) -> Login | None:
        """Return how a person signs in for this connection, None when there is no way.

        Raise ConfigError (C217) when secrets would go to an unexpected host.
        """
        login = self.auth().login
        if login is None:
            return None
        if self.login_url:
            prefix = self.login_url.rstrip("/")
            return login.with_addresses(lambda address: prefix + urlsplit(address).path)
        self._check_not_sent_away("login_url", "", login.authorize_url)
        return login

    def _check_not_sent_away(self, member: str, path: str, url: str) -> None:
        """Raise ConfigError when secrets would leave this machine, and requests would not."""
        if not url or not is_local(self.base_url) or is_local(url):
            return
        message = (
            f"is required: base_url is on this machine, but the secrets would be sent to {url}"
        )
        hint = (
            f"add it, for example http://127.0.0.1:8080{path}; 'connector sandbox' prints its own"
        )
        raise ConfigError([Problem("C217", self.file, f"/{member}", message, hint)])

    def secrets(self, *, given_later: Container[str] = ()) -> dict[str, str]:
        """Return the secrets; `given_later` are those that a sign-in gives, if it was not yet done.

        Raise ConfigError (C204, C216), which says which are missing and where they were looked up.
        """
        auth = self.destination.auth_of(self.settings)
        references = {}
        for name, reference in self.credentials.items():
            if name in auth.credentials:  # others are keys of exports
                references[name] = reference
        return find_secrets(auth, references, self.file, given_later=given_later)

    def key_text(self, key: Key) -> str:
        """Return the key of an export as it is written.

        Raise ConfigError (C204, C216), as for any secret.
        """
        name = key.credential
        references = {name: self.credentials[name]} if name in self.credentials else {}
        return find_secrets(AuthConfig("none", (name,)), references, self.file)[name]

    def kept_secret(self, credential: str) -> KeptSecret | None:
        """Return where a renewed secret is kept, None unless a login of the store has it."""
        reference = self.credentials.get(credential)
        if reference is None or reference.kind != "stored":
            return None
        return KeptSecret(reference.location, credential)

    @property
    def sign_in_advice(self) -> str:
        """What to do when the vendor refuses the credentials, "" where no sign-in gave them."""
        for reference in self.credentials.values():
            if reference.kind == "stored":
                return f"sign in again: {sign_in_command(self.file)}"
        return ""
