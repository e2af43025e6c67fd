"""A stand-in for the vendor, made of the definition alone: what it refuses, what it remembers, what it answers.

It looks at a request in a vendor's usual order: route, authentication, content type, rate, size, JSON, groups,
contract, people. A request is applied as a whole or not at all.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

import orjson

from connector.auth.base import Message
from connector.definitions.model import AuthConfig, Destination
from connector.definitions.uri_template import expand
from connector.sandbox.audiences import Audience, Identifier, Windows, identifiers_of
from connector.sandbox.contract import Errors
from connector.sandbox.endpoints import PLAIN_REFUSAL, Variant, Voice, routes, templates_of
from connector.sandbox.verify import Verifier
from connector.templating.template import RenderError

_JSON = "application/json"
_CODES = {
    401: "unauthorized", 403: "forbidden", 404: "not_found", 405: "method_not_allowed", 413: "too_large",
    415: "unsupported_media_type", 429: "rate_limited", 502: "unavailable", 503: "unavailable", 504: "unavailable",
}  # fmt: skip
_CYCLE = (500, 503, 502, 504)
_FAULT = re.compile(
    r"(5xx|[45][0-9]{2}|timeout|drop|applied-drop|html|counts)(?::([1-9][0-9]{0,8}))?"
)
_GATEWAY_PAGE = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>\n"


class Answer(NamedTuple):
    """An answer over HTTP; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Fault(NamedTuple):
    """A way to fail the next `times` requests.

    `kind`: status (answer with `statuses`, in turn), timeout (no answer), drop (the connection closes), applied-drop
    (it closes after the request was applied), html (a gateway's page) or counts (one person fewer is accepted than was
    sent, nothing is applied).
    """

    kind: str
    statuses: tuple[int, ...] = ()
    times: int = 1


class Holding(NamedTuple):
    """What one audience holds; `path` is the URL's path, or what the definition calls the audience."""

    path: str
    people: int
    identifiers: int


def parse_fault(text: str) -> Fault:
    """Read a fault such as `429:3`, `5xx:2`, `timeout` or `counts`. Raises ValueError with the allowed forms."""
    match = _FAULT.fullmatch(text)
    if not match:
        forms = "a status from 400 to 599, 5xx, timeout, drop, applied-drop, html or counts"
        raise ValueError(
            f"'{text}' is not a fault; allowed: {forms}, each with :N for the next N requests (429:3)"
        )
    kind, times = match[1], int(match[2] or 1)
    if kind == "5xx":
        return Fault("status", _CYCLE, times)
    return Fault("status", (int(kind),), times) if kind.isdigit() else Fault(kind, (), times)


def _one_by_one(faults: Sequence[Fault]) -> Iterator[Fault]:
    """Yield one fault for each request that has to fail."""
    for fault in faults:
        for turn in range(fault.times):
            at = turn % max(1, len(fault.statuses))
            yield Fault(fault.kind, fault.statuses[at : at + 1])


class _RefusalError(Exception):
    """The request is refused, for the reason that `code` names."""

    def __init__(
        self, status: int, code: str, message: str, errors: Errors | None = None, **headers: str
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.errors = errors or []
        self.headers = headers


class _Change(NamedTuple):
    """What one group asks for."""

    operation: str
    people: list[set[Identifier]]
    audience: str


@dataclass(eq=False, repr=False)
class _Call:
    """One request on its way through the sandbox."""

    method: str
    url: str
    headers: dict[str, str]
    body: bytes
    now: float
    voice: Voice
    variants: Sequence[Variant] = ()
    allowed: Collection[str] = ()
    path: dict[str, str] = field(default_factory=dict)
    audience: str = ""
    parsed: Any = None

    @property
    def has_body(self) -> bool:
        """Whether there is a body, or should be."""
        return bool(self.body) or any(
            variant.contract.schema is not True for variant in self.variants
        )


class Sandbox:
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

        Without a `verifier` authentication is not checked. `clock`: seconds since the epoch.

        Raises RenderError or OSError for a template that lint would refuse.
        """
        #: The path that all of the vendor's paths start with: that of the definition's base URL.
        settings = destination.example_settings if settings is None else settings
        self.prefix = urlsplit(destination.base_url(settings)).path.rstrip("/")
        template = templates_of(destination.templates)
        self._routes = routes(destination, self.prefix, settings, template)
        self._voice = Voice(destination.sandbox, template)
        self._windows = Windows(destination.rates)
        self._verifier = verifier or Verifier(AuthConfig("none"), {})
        #: The path of the token endpoint, "" when there is none.
        self.token_path = self._verifier.token_path
        self._clock = clock
        self._faults = _one_by_one(faults)
        self._audiences: defaultdict[str, Audience] = defaultdict(Audience)
        #: What to do with a line about each request; it holds no identifier, no secret and no unknown path.
        self.log: Callable[[str], None] = lambda line: None
        self._lock = threading.Lock()

    def answer(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | Fault:
        """Answer a request to a full URL. A fault that is returned has no answer: the server acts on it."""
        lowered = {name.lower(): text for name, text in headers.items()}
        with self._lock:
            if self.token_path and _path(url) == self.token_path:
                issued = self._verifier.issue_token(Message(method, url, lowered, body))
                return Answer(issued.status, dict(issued.headers), orjson.dumps(issued.body))
            call = self._call(method, url, lowered, body)
            fault = next(self._faults, None)
            if fault is None:
                return self._respond(call, None)
            if fault.kind in ("timeout", "drop"):
                return fault
            if fault.kind == "html":
                return Answer(502, {"content-type": "text/html; charset=utf-8"}, _GATEWAY_PAGE)
            answer = self._respond(call, fault)
            return fault if fault.kind == "applied-drop" else answer

    def holdings(self) -> list[Holding]:
        """Return what each audience holds that was ever changed, in the order of their paths."""
        with self._lock:
            return [
                Holding(path, held.people, held.identifiers)
                for path, held in sorted(self._audiences.items())
            ]

    def members(self, path: str) -> list[frozenset[Identifier]]:
        """Return the people of one audience: the wire keys and values of each."""
        with self._lock:
            return self._audiences[path].members() if path in self._audiences else []

    def _call(self, method: str, url: str, headers: dict[str, str], body: bytes) -> _Call:
        call = _Call(method, url, headers, body, self._clock(), self._voice)
        path = _path(url)
        for route in self._routes:
            values = route.match(path)
            if values is not None:
                call.path, call.allowed = values, sorted({*call.allowed, *route.methods})
            if values is not None and method in route.methods:
                call.variants = route.methods[method]
                call.voice = call.variants[0].voice
                call.audience = expand(route.template, values, encode=True)
                break
        return call

    def _respond(self, call: _Call, fault: Fault | None) -> Answer:
        try:
            if fault is not None and fault.kind == "status":
                _fail(fault.statuses[0])
            body = self._accept(call, short=fault is not None and fault.kind == "counts")
            answer, why = Answer(200, self._headers(call), body), ""
        except _RefusalError as refusal:
            answer = self._refuse(
                call, refusal, faulty=fault is not None and fault.kind == "status"
            )
            why = f" {refusal.code}: {refusal.message}"
        path = _path(call.url) if call.allowed else "(no path of this vendor)"
        self.log(f"{call.method} {path} {answer.status}{why}")
        return answer

    def _accept(self, call: _Call, *, short: bool) -> bytes:
        """Apply a request and return the body of its answer; raise the first reason against it."""
        self._admit(call)
        _parse(call, self._verifier)
        satisfied = next(
            (variant for variant in call.variants if variant.contract.holds(call.parsed)), None
        )
        variant = satisfied or call.variants[0]
        call.voice = variant.voice
        groups = variant.read(
            {"body": call.parsed, "path": call.path, "method": call.method, "headers": call.headers}
        )
        if (
            groups is not None
            and variant.caps.groups is not None
            and len(groups) > variant.caps.groups
        ):
            raise _RefusalError(
                400, "too_many_groups", f"more than {variant.caps.groups} groups in one request"
            )
        if satisfied is None:
            raise _RefusalError(400, "invalid", *variant.contract.explain(call.parsed))
        changes = _changes(groups, variant, call.audience)
        body = _success(call, changes, short=short)
        for change in () if short else changes:
            self._audiences[change.audience].apply(change.operation, change.people)
        return body

    def _admit(self, call: _Call) -> None:
        """Raise what speaks against a request before its body is looked into."""
        if not call.allowed:
            raise _RefusalError(404, "not_found", "there is nothing at this path")
        if not call.variants:
            message = f"this path takes {', '.join(call.allowed)}"
            raise _RefusalError(405, "method_not_allowed", message, allow=", ".join(call.allowed))
        reason = self._unauthentic(call)
        if reason:
            raise _RefusalError(401, "unauthorized", reason)
        if (
            call.has_body
            and call.headers.get("content-type", "").partition(";")[0].strip().lower() != _JSON
        ):
            raise _RefusalError(
                415, "unsupported_media_type", f"the content type has to be {_JSON}"
            )
        if not self._windows.take(call.url, call.now):
            raise _RefusalError(429, "rate_limited", "too many requests")
        caps = [variant.caps.bytes for variant in call.variants]
        largest = max((cap for cap in caps if cap is not None), default=0)
        if None not in caps and len(call.body) > largest:
            raise _RefusalError(413, "too_large", f"the body has more than {largest} bytes")

    def _unauthentic(self, call: _Call) -> str | None:
        try:
            message = Message(call.method, call.url, call.headers, call.body)
            return self._verifier.verify(message)
        except ValueError:
            return "the request cannot be verified"

    def _refuse(self, call: _Call, refusal: _RefusalError, *, faulty: bool) -> Answer:
        status, code = refusal.status, refusal.code
        context = {
            "status": status,
            "code": code,
            "message": refusal.message,
            "errors": refusal.errors,
        }
        try:
            body = call.voice.refusal.render({**context, "path": call.path, "body": call.parsed})
            status = call.voice.refusal_status or status
        except RenderError as error:
            status, message = 500, f"the template of refusals does not fit ({error.category})"
            body = PLAIN_REFUSAL.render({"code": "internal", "message": message})
        headers = self._headers(call, exhausted=faulty and code == "rate_limited")
        if faulty and code == "rate_limited" and not call.voice.rate_headers({"reset": 0}):
            headers["retry-after"] = "1"  # nobody wants to watch a vendor's usual wait
        return Answer(status, {**headers, **refusal.headers}, body)

    def _headers(self, call: _Call, *, exhausted: bool = False) -> dict[str, str]:
        state = self._windows.state(call.url, call.now)
        values = state._asdict() if state else {}
        if exhausted:
            values |= {"remaining": 0, "reset": math.ceil(call.now + 1)}
        return {"content-type": _JSON, **call.voice.rate_headers(values), **call.voice.headers}


def _path(url: str) -> str:
    """Return a URL's path; a bare host has none in a definition and / on the wire."""
    try:
        path = urlsplit(url).path
    except ValueError:
        return ""
    return "" if path == "/" else path


def _fail(status: int) -> NoReturn:
    code = _CODES.get(
        status, "invalid" if status < HTTPStatus.INTERNAL_SERVER_ERROR else "internal"
    )
    raise _RefusalError(status, code, "the sandbox was asked to fail")


def _parse(call: _Call, verifier: Verifier) -> None:
    try:
        call.parsed = (
            verifier.without_credentials(orjson.loads(call.body)) if call.has_body else None
        )
    except orjson.JSONDecodeError:
        raise _RefusalError(400, "malformed", "the body is not JSON") from None


def _changes(groups: list[Any] | None, variant: Variant, audience: str) -> list[_Change]:
    try:
        changes = [_change(group, audience) for group in groups or ()]
    except (TypeError, LookupError, AttributeError, ValueError):
        groups = None
    if groups is None:
        # a body that the contract allows, and the template cannot read, is the definition's fault
        status, code = (
            (500, "internal") if variant.contract.schema is not True else (400, "invalid")
        )
        raise _RefusalError(status, code, "the body cannot be read as groups of people")
    nobody = [sum(not person for person in change.people) for change in changes]
    if any(nobody):
        message = "a person has no identifier"
        errors: Errors = [
            [{"message": message, "parameter": None}] if count else [] for count in nobody
        ]
        raise _RefusalError(400, "invalid", message, errors)
    cap = variant.caps.records
    if cap is not None and sum(len(change.people) for change in changes) > cap:
        raise _RefusalError(413, "too_large", f"more than {cap} people in one request")
    return changes


def _change(group: Any, audience: str) -> _Change:
    if group["operation"] not in ("add", "remove"):
        raise ValueError
    people = [identifiers_of(person) for person in group["people"]]
    return _Change(group["operation"], people, str(group.get("audience", audience)))


def _success(call: _Call, changes: Sequence[_Change], *, short: bool) -> bytes:
    counts = [len(change.people) for change in changes]
    groups: list[dict[str, Any]] = [
        {"operation": change.operation, "sent": count, "accepted": count}
        for change, count in zip(changes, counts, strict=True)
    ]
    sent = sum(counts)
    if short and sent:
        shorted = next(group for group in groups if group["sent"])
        shorted["accepted"] = shorted["sent"] - 1
    context = {
        "groups": groups,
        "sent": sent,
        "accepted": max(0, sent - short),
        "path": call.path,
        "body": call.parsed,
    }
    try:
        return call.voice.success.render(context)
    except RenderError as error:
        raise _RefusalError(
            500, "internal", f"the template of success does not fit ({error.category})"
        ) from None
