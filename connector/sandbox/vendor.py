"""A simulated vendor, made of the definition alone: what it refuses, remembers and answers.

It looks at a request in a vendor's usual order: route, authentication, content type, rate, size,
JSON, groups, contract, people. A request is applied as a whole or not at all.
"""

from __future__ import annotations

import math
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import orjson

from connector.auth.base import Message
from connector.definitions.model import AuthConfig, Destination
from connector.definitions.uri_template import expand, placeholders
from connector.sandbox.answers import PLAIN_REFUSAL, Answers, templates_of
from connector.sandbox.audiences import Audience
from connector.sandbox.contract import Errors
from connector.sandbox.endpoints import (
    Endpoint,
    Operation,
    endpoints_of,
    holding_operation,
    meant_service,
)
from connector.sandbox.faults import Fault, one_by_one
from connector.sandbox.members import TOKEN, Fields
from connector.sandbox.objects import Objects
from connector.sandbox.rate_windows import RateWindows
from connector.sandbox.reading import Identifier, Reading
from connector.sandbox.refusals import REFUSALS, RefusalError, refusal_with_status
from connector.sandbox.services import Asked, Service
from connector.sandbox.verifier import REVOKED, Verifier
from connector.templating.template import RenderError
from connector.validation.patterns import compile_pattern

_JSON = "application/json"
_GATEWAY_PAGE = (
    b"<!doctype html><html><head><title>502 Bad Gateway</title></head>"
    b"<body>Bad Gateway</body></html>\n"
)


class Answer(NamedTuple):
    """An answer over HTTP; header names are in lower case.

    `delay` is for how many seconds it is held back.
    """

    status: int
    headers: dict[str, str]
    body: bytes
    delay: float = 0.0


class Holding(NamedTuple):
    """What one audience holds.

    `path` is the URL's path, or what the definition calls the audience.
    """

    path: str
    people: int
    identifiers: int


class _Change(NamedTuple):
    """What is to be done with people of one audience."""

    operation: str
    audience: str
    people: list[set[Identifier]]


@dataclass(eq=False, repr=False)
class _Call:
    """One request on its way through the sandbox.

    `allowed` are the methods of its path, empty for an unknown path; `parsed` is the body.
    """

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    now: float
    answers: Answers
    operations: Sequence[Operation] = ()
    services: Sequence[Service] = ()
    allowed: Collection[str] = ()
    path: dict[str, str] = field(default_factory=dict)
    audience: str = ""
    parsed: Any = None

    @cached_property
    def media_type(self) -> str:
        """What the request says that its body is."""
        content_type = self.headers.get("content-type", "")
        return content_type.partition(";")[0].strip().lower()

    @cached_property
    def fields(self) -> Fields:
        """The fields of a form and of the query, as far as the vendor takes them."""
        return Fields(self.url, self.media_type, self.body, self.answers.members_in)

    @property
    def shown(self) -> str:
        """The method and the path for a line of the log; an unknown path may be anything."""
        path = _path(self.url) if self.allowed else "(unknown path)"
        return f"{self.method} {path}"

    @property
    def has_body(self) -> bool:
        """Whether there is a body, or should be."""
        if self.body:
            return True
        contracts = [operation.contract for operation in self.operations]
        contracts += [service.contract for service in self.services]
        return any(contract.schema is not True for contract in contracts)


class Vendor:
    """One vendor for one customer; may be used from several threads."""

    def __init__(
        self,
        destination: Destination,
        *,
        settings: Mapping[str, Any] | None = None,
        verifier: Verifier | None = None,
        faults: Sequence[Fault] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Take the connection's settings, or those of the destination's example.

        Without a `verifier` authentication is not checked. `clock` gives seconds since the epoch.
        Raise RenderError or OSError for a template that lint would refuse.
        """
        settings = destination.example_settings if settings is None else settings
        #: The path that all of the vendor's paths start with: that of the definition's base URL.
        self.prefix = urlsplit(destination.base_url(settings)).path.rstrip("/")
        read = templates_of(destination.templates)
        own_query = _own_query(destination)
        self._endpoints = endpoints_of(destination, self.prefix, settings, read, own_query)
        self._settings = settings
        self._audience_names = _audience_names(destination, self.prefix)
        self._collections = _collections(self._endpoints)
        self._objects = Objects()
        self._answers = Answers(destination.sandbox, read)
        self._rate_windows = RateWindows(destination.rates)
        self._verifier = verifier or Verifier(AuthConfig("none"), {})
        #: The path of the token endpoint, "" when there is none.
        self.token_path = self._verifier.token_path
        #: Whether somebody can sign in.
        self.has_sign_in = self._verifier.has_sign_in
        self._clock = clock
        self._faults: Iterator[Fault] = one_by_one(faults)
        self._audiences: defaultdict[str, Audience] = defaultdict(Audience)
        self._lock = threading.Lock()
        #: How many changes of audiences were applied, and for each audience the number of its last.
        self.changes = 0
        self._last_change: dict[str, int] = {}
        self._unwanted: set[Identifier] = set()
        #: What to do with a line about each request. It holds no identifier, no secret and no
        #: unknown path.
        self.log: Callable[[str], None] = lambda line: None

    def answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | Fault:
        """Answer a request to a full URL.

        A fault that is returned has no answer: the server acts on it.
        """
        lower_case = {name.lower(): text for name, text in headers.items()}
        with self._lock:
            path = _path(url) or "/"
            if path in self._verifier.pages:
                return self._page(Message(method, url, lower_case, body), path)

            call = self._call(method, url, lower_case, body)
            fault = next(self._faults, None)
            if fault is None:
                return self._respond(call, None)
            if fault.kind in ("timeout", "drop"):
                self.log(f"{call.shown} (no answer): injected fault")
                return fault
            if fault.kind == "html":
                self.log(f"{call.shown} 502 html: injected fault")
                return Answer(502, {"content-type": "text/html; charset=utf-8"}, _GATEWAY_PAGE)

            answer = self._respond(call, fault)
            return fault if fault.kind == "applied-drop" else answer

    def _page(self, message: Message, path: str) -> Answer:
        """Answer a request for a token, or of a sign-in."""
        page = self._verifier.pages[path](message)
        reason = f" {page.note}" if page.note else ""
        self.log(f"{message.method} {path} {page.status}{reason}")
        return Answer(page.status, dict(page.headers), page.body)

    def inject(self, faults: Sequence[Fault]) -> None:
        """Let the next requests fail, after those that are to fail already."""
        with self._lock:
            self._faults = chain(self._faults, one_by_one(faults))

    def holdings(self) -> list[Holding]:
        """Return what each audience holds that was ever changed, in the order of their paths."""
        holdings = []
        with self._lock:
            for path, audience in sorted(self._audiences.items()):
                holdings.append(Holding(path, audience.people, audience.identifiers))
        return holdings

    def members(self, path: str) -> list[frozenset[Identifier]]:
        """Return the people of one audience: the wire keys and values of each."""
        with self._lock:
            if path not in self._audiences:
                return []
            return self._audiences[path].members()

    def changed_since(
        self, change: int
    ) -> tuple[int, list[tuple[Holding, list[frozenset[Identifier]]]]]:
        """Return the audiences that were changed after a number of changes, and today's number."""
        changed = []
        with self._lock:
            for path, number in self._last_change.items():
                if number > change:
                    audience = self._audiences[path]
                    holding = Holding(path, audience.people, audience.identifiers)
                    changed.append((holding, audience.members()))
            return self.changes, changed

    def _call(self, method: str, url: str, headers: dict[str, str], body: bytes) -> _Call:
        call = _Call(method, url, headers, body, self._clock(), self._answers)
        path = _path(url)
        for endpoint in self._endpoints:
            values = endpoint.match(path)
            if values is None:
                continue
            call.path = values
            call.allowed = sorted({*call.allowed, *endpoint.methods, *endpoint.services})
            if method in endpoint.methods:
                call.operations = endpoint.methods[method]
                call.answers = call.operations[0].answers
                call.audience = expand(endpoint.template, values, encode=True)
                break
            if method in endpoint.services:
                call.services = endpoint.services[method]
                call.answers = call.services[0].answers
                break
        return call

    def _respond(self, call: _Call, fault: Fault | None) -> Answer:
        status = fault.status if fault and fault.kind == "status" else None
        reason = ""
        try:
            if status is not None:
                raise refusal_with_status(status)
            body = self._accept(call, fault.kind if fault else "")
            answer = _altered(Answer(200, self._headers(call), body), fault)
        except RefusalError as refusal:
            answer = self._refuse(call, refusal, asked_for=status is not None)
            reason = f" {refusal.code}: {refusal.message}"

        if fault and fault.kind == "applied-drop":
            reason += " (not answered): injected fault"
        self.log(f"{call.shown} {answer.status}{reason}")
        return answer

    def _accept(self, call: _Call, fault: str) -> bytes:
        """Apply a request and return the body of its answer.

        With the fault "counts", one person fewer is accepted than was sent, and nothing is applied.
        Raises RefusalError with the first reason against the request.
        """
        short = fault == "counts"
        self._check_before_body(call)
        self._parse(call)
        if call.services:
            service = meant_service(call.services, call.url, call.parsed)
            call.answers = service.answers
            others = [one for one in call.path.items() if one[0] != service.id_name]
            self._check_deleted(call, others)
            asked = Asked(call.url, call.path, call.parsed, call.now)
            return service.answer(asked, self._objects, self._people)

        holding = holding_operation(call.operations, call.parsed)
        operation = holding or call.operations[0]
        call.answers = operation.answers

        reading = operation.read(call.parsed)
        most = operation.caps.groups
        if most is not None and len(reading.groups) > most:
            raise RefusalError("too_many_groups", f"more than {most} groups in one request")
        if holding is None:
            raise RefusalError("invalid", *operation.contract.explain(call.parsed))
        _check_people(reading, operation.caps.records)

        self._check_deleted(call, _named(call, reading))
        changes = _changes(call, operation, reading)
        self._refuse_unwanted(changes, choose=fault == "person")
        body = _success(call, operation, reading, short=short)
        if not short:
            for change in changes:
                self._audiences[change.audience].apply(change.operation, change.people)
                self.changes += 1
                self._last_change[change.audience] = self.changes
        return body

    def _people(self, values: Mapping[str, str]) -> int:
        """Return how many people are in the audience that these parameters name."""
        known = {**self._settings, **values}
        audiences = set()
        for text, is_path in self._audience_names:
            if known.keys() >= set(placeholders(text)):
                audiences.add(expand(text, known, encode=is_path))
        return sum(self._audiences[name].people for name in audiences & self._audiences.keys())

    def _check_deleted(self, call: _Call, named: Iterable[tuple[str, str]]) -> None:
        """Raise RefusalError for an audience that was created here and deleted.

        `named`: the parameters that may name one, and their values.
        """
        for name, value in named:
            collection = self._collections.get(name)
            if collection and self._objects.is_deleted(collection, value, call.path):
                raise RefusalError("not_found", "the audience was deleted")

    def _refuse_unwanted(self, changes: Sequence[_Change], *, choose: bool) -> None:
        """Raise RefusalError for a request with somebody whom a fault refuses.

        `choose`: its first person, from now on. The answer does not say whom it is about.
        """
        for change in changes:
            for person in change.people:
                if choose:
                    self._unwanted.update(person)
                    choose = False
                if not self._unwanted.isdisjoint(person):
                    raise RefusalError("invalid", "a person is refused: injected fault")

    def _check_before_body(self, call: _Call) -> None:
        """Raise RefusalError for the first fault of a request that shows without its body."""
        if not call.allowed:
            raise RefusalError("not_found", "unknown path")
        if not call.operations and not call.services:
            methods = ", ".join(call.allowed)
            raise RefusalError(
                "method_not_allowed", f"method not allowed; allowed: {methods}", allow=methods
            )

        reason = self._why_not_authentic(call)
        if reason:
            code = "token_revoked" if reason == REVOKED else "unauthorized"
            refusal = RefusalError(code, reason)
            refusal.headers.update(self._verifier.challenge)
            raise refusal

        is_json = call.media_type == _JSON
        if call.has_body and not is_json and not call.fields.are_body:
            raise RefusalError("unsupported_media_type", f"the content type must be {_JSON}")
        for name, pattern in call.answers.requires.items():
            if not compile_pattern(pattern)(call.headers.get(name, "")):
                raise RefusalError(
                    "invalid", f"the header '{name}' is missing or has a wrong value"
                )

        if not self._rate_windows.take(call.now):
            raise RefusalError("rate_limited", "too many requests")

        caps = [operation.caps.bytes for operation in call.operations]
        largest = max((cap for cap in caps if cap is not None), default=0)
        if caps and None not in caps and len(call.body) > largest:
            raise RefusalError("too_large", f"the body has more than {largest} bytes")

    def _why_not_authentic(self, call: _Call) -> str | None:
        headers = call.fields.headers(call.headers)
        try:
            return self._verifier.verify(Message(call.method, call.url, headers, call.body))
        except ValueError:
            return "the request cannot be verified"

    def _parse(self, call: _Call) -> None:
        if not call.has_body:
            return
        if call.fields.are_body:
            call.parsed = call.fields.body()
            return
        try:
            body = orjson.loads(call.body)
        except orjson.JSONDecodeError:
            raise RefusalError("malformed", "the body is not valid JSON") from None
        body = self._verifier.without_credentials(body)
        if isinstance(body, dict):
            # a client may send `{}`, and all the members in the query
            body = {**call.fields.body(), **body}
        call.parsed = body

    def _refuse(self, call: _Call, refusal: RefusalError, *, asked_for: bool) -> Answer:
        """Return the answer of a refusal; `asked_for` says that a fault wants it."""
        context = {
            "status": refusal.status,
            "code": refusal.code,
            "message": refusal.message,
            "errors": refusal.errors,
            "path": call.path,
            "body": call.parsed,
        }
        try:
            body = call.answers.refusal.render(context)
            status = call.answers.refusal_status or refusal.status
        except RenderError as error:
            status = REFUSALS["internal"]
            message = f"the template of refusals fails ({error.category})"
            body = PLAIN_REFUSAL.render({"code": "internal", "message": message})

        is_limited = refusal.code == "rate_limited"
        headers = self._headers(call, exhausted=asked_for and is_limited)
        if is_limited and not call.answers.rate_headers({"reset": 0}):
            headers["retry-after"] = "1"  # nobody wants to watch a vendor's usual wait
        return Answer(status, {**headers, **refusal.headers}, body)

    def _headers(self, call: _Call, *, exhausted: bool = False) -> dict[str, str]:
        state = self._rate_windows.state(call.now)
        values = state._asdict() if state else {}
        if exhausted:
            values |= {"remaining": 0, "reset": math.ceil(call.now + 1)}
        return {"content-type": _JSON, **call.answers.rate_headers(values), **call.answers.headers}


def _named(call: _Call, reading: Reading) -> Iterator[tuple[str, str]]:
    """Yield the parameters of a request with people: those of its path and of its body."""
    yield from call.path.items()
    for group in reading.groups:
        for params in group.changes:
            for name, value in params:
                yield name, str(value)


def _own_query(destination: Destination) -> list[str]:
    """Return the members of a query that belong to authentication."""
    own = [scheme.key_name for scheme in destination.schemes() if scheme.key_in == "query"]
    if "query" in destination.sandbox.members_in:
        own.append(TOKEN)
    return own


def _audience_names(destination: Destination, prefix: str) -> list[tuple[str, bool]]:
    """Return what audiences are called, with placeholders, and whether that is a path."""
    names = []
    for action in destination.actions.values():
        names.append((action.audience or prefix + action.path, not action.audience))
    return names


def _collections(endpoints: Sequence[Endpoint]) -> dict[str, str]:
    """Return the collection of objects whose id a parameter is, by the parameter."""
    collections = {}
    for endpoint in endpoints:
        for services in endpoint.services.values():
            for service in services:
                if service.id_name:
                    collections[service.id_name] = service.collection
    return collections


def _altered(answer: Answer, fault: Fault | None) -> Answer:
    """Return a successful answer as a fault wants it."""
    if fault is None:
        return answer
    if fault.kind == "slow":
        return answer._replace(delay=fault.seconds)
    if fault.status == HTTPStatus.NO_CONTENT:
        headers = {name: text for name, text in answer.headers.items() if name != "content-type"}
        return Answer(fault.status, headers, b"")
    if fault.status is not None:
        return answer._replace(status=fault.status)
    return answer


def _path(url: str) -> str:
    """Return a URL's path; a bare host has none in a definition and / on the wire."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return "" if path == "/" else path


def _check_people(reading: Reading, cap: int | None) -> None:
    """Raise RefusalError for people without an identifier, and for more than the cap."""
    message = "a person has no identifier"
    errors: Errors = []
    for group in reading.groups:
        errors.append([{"message": message, "parameter": None}] if group.nameless else [])
    if any(errors):
        raise RefusalError("invalid", message, errors)
    if cap is not None and reading.people > cap:
        raise RefusalError("too_large", f"more than {cap} people in one request")


def _changes(call: _Call, operation: Operation, reading: Reading) -> list[_Change]:
    """Return what a body asks for; without an operation or an audience it is nothing."""
    changes = []
    for group in reading.groups:
        by_audience: dict[str, list[set[Identifier]]] = {}
        for params, people in group.changes.items():
            audience = operation.audience(call.path, params, call.audience)
            if audience is not None:
                by_audience.setdefault(audience, []).extend(people)
        kind = operation.kind(group)
        if kind in ("add", "remove", "replace"):
            for audience, people in by_audience.items():
                changes.append(_Change(kind, audience, people))
    return changes


def _success(call: _Call, operation: Operation, reading: Reading, *, short: bool) -> bytes:
    """Return the body of a successful answer; with `short`, one person fewer is accepted."""
    missing = 1 if short and reading.people else 0
    accepted = reading.people - missing
    groups = []
    for group in reading.groups:
        accepted_here = group.people
        if missing and group.people:
            accepted_here -= missing
            missing = 0
        kind = operation.kind(group)
        groups.append({"operation": kind, "sent": group.people, "accepted": accepted_here})

    context = {
        "groups": groups,
        "sent": reading.people,
        "accepted": accepted,
        "path": call.path,
        "body": call.parsed,
    }
    try:
        return call.answers.success.render(context)
    except RenderError as error:
        message = f"the template of success fails ({error.category})"
        raise RefusalError("internal", message) from None
