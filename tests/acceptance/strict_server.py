"""A strict local X Ads API: the two users endpoints, and the calls on audiences and Do Not Reach lists.

It is written from the published facts alone, and shares no code with the connector it judges: the OAuth 1.0a check, the
rules and the membership model are by hand.
Operations are applied in array order. A refused request changes nothing. Run it by hand with
`python -m tests.acceptance.strict_server --port 8080`; it prints what it holds when stopped.
"""

from __future__ import annotations

import argparse
import calendar
import functools
import hashlib
import hmac
import json
import math
import os
import re
import signal
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from .strict_calls import Audience, Audiences, CallRefusedError, body_of

Identifier = tuple[str, str]
Error = dict[str, str]

MAX_BYTES = 5_000_000
MAX_OPERATIONS = 2_500
HASHED = frozenset({"email", "device_id", "handle", "twitter_id", "phone_number"})
UNHASHED = "partner_user_id"
SECRETS = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")
_OAUTH_NAMES = (
    "consumer_key",
    "nonce",
    "signature",
    "signature_method",
    "timestamp",
    "token",
    "version",
)
OAUTH_FIELDS = frozenset(f"oauth_{name}" for name in _OAUTH_NAMES)
STALE_AFTER = 300  # seconds; the real window is not published

_ROUTE = re.compile(
    r"/12/(?:accounts/([^/]+)/custom_audiences|batch/accounts/([^/]+)/do_not_reach_lists)/[^/]+/users"
)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_HARMLESS = re.compile(rf"(?<![0-9A-Za-z])(?:{_HEX64.pattern}|{_TIME.pattern})(?![0-9A-Za-z])")
_PLAINTEXT = {
    "email": re.compile(r"@"),
    "uuid": re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{11,12}", re.IGNORECASE),
    "phone": re.compile(r"(?<![0-9A-Za-z])\+?\(?\d[\d ().-]{5,}\d(?![0-9A-Za-z])"),
}


# --- OAuth 1.0a ---


def _percent(text: str) -> str:
    return quote(text, safe="-._~")


def signature(
    method: str, url: str, parameters: Iterable[Identifier], consumer_secret: str, token_secret: str
) -> str:
    """The HMAC-SHA1 signature of a request: `url` without its query, `parameters` from query, form and header."""
    pairs = sorted((_percent(name), _percent(value)) for name, value in parameters)
    joined = "&".join(f"{name}={value}" for name, value in pairs)
    base = "&".join((method.upper(), _percent(url), _percent(joined)))
    key = f"{_percent(consumer_secret)}&{_percent(token_secret)}"
    return b64encode(hmac.new(key.encode(), base.encode(), hashlib.sha1).digest()).decode()


def authorization_fields(header: str) -> dict[str, str]:
    """The decoded fields of an `OAuth …` header; empty when it is malformed or names a field twice."""
    scheme, _, rest = header.partition(" ")
    pairs = [re.fullmatch(r'([a-z_]+)="([^"]*)"', part.strip()) for part in rest.split(",")]
    if scheme.lower() != "oauth" or not all(pairs):
        return {}
    fields = {pair[1]: unquote(pair[2]) for pair in pairs if pair}
    return fields if len(fields) == len(pairs) else {}


class Authenticator:
    """Checks signatures for one set of credentials and remembers nonces."""

    def __init__(self, credentials: dict[str, str]) -> None:
        self._credentials = {name: credentials[name] for name in SECRETS}
        self._nonces: set[str] = set()

    def refusal(
        self, method: str, url: str, parameters: list[Identifier], header: str, now: float
    ) -> str:
        """Why the request is refused, in one word, or `""`; an accepted nonce is spent."""
        fields = authorization_fields(header)
        fields.pop("realm", None)
        if fields.keys() != OAUTH_FIELDS:
            return "fields"
        known = self._credentials
        if (fields["oauth_consumer_key"], fields["oauth_token"]) != (
            known["consumer_key"],
            known["access_token"],
        ):
            return "credentials"
        if (fields["oauth_signature_method"], fields["oauth_version"]) != ("HMAC-SHA1", "1.0"):
            return "method"
        given = fields.pop("oauth_signature")
        secrets = known["consumer_secret"], known["access_token_secret"]
        expected = signature(method, url, [*parameters, *fields.items()], *secrets)
        if not hmac.compare_digest(given.encode(), expected.encode()):
            return "signature"
        stamp = fields["oauth_timestamp"]
        if not re.fullmatch(r"[0-9]{1,12}", stamp) or abs(now - int(stamp)) > STALE_AFTER:
            return "timestamp"
        if not fields["oauth_nonce"] or fields["oauth_nonce"] in self._nonces:
            return "nonce"
        self._nonces.add(fields["oauth_nonce"])
        return ""


# --- membership ---


class Membership:
    """People of one audience. A person is a set of identifiers; no identifier belongs to two people."""

    def __init__(self) -> None:
        self._person_of: dict[Identifier, set[Identifier]] = {}

    def update(self, identifiers: Iterable[Identifier]) -> None:
        """Add a person; everybody who shares one of the identifiers becomes that one person."""
        merged = set(identifiers)
        for person in self._found(merged):
            merged |= person
        for identifier in merged:
            self._person_of[identifier] = merged

    def delete(self, identifiers: Iterable[Identifier]) -> None:
        """Remove everybody who shares one of the identifiers, with all their identifiers."""
        for person in self._found(identifiers):
            for identifier in person:
                del self._person_of[identifier]

    def people(self) -> set[frozenset[Identifier]]:
        """A copy of the people."""
        return {frozenset(person) for person in self._person_of.values()}

    def _found(self, identifiers: Iterable[Identifier]) -> list[set[Identifier]]:
        people = (
            self._person_of[identifier]
            for identifier in identifiers
            if identifier in self._person_of
        )
        return list({id(person): person for person in people}.values())


@dataclass(frozen=True)
class Endpoint:
    """One audience or list (`dnr`): its users path, the ids echoed in answers, its rules and its people."""

    id: str
    path: str
    echo: dict[str, str]
    keys: frozenset[str]
    required: set[str]
    optional: set[str]
    dnr: bool
    members: Membership = field(default_factory=Membership)


def _custom_audience(account_id: str, own: str) -> Endpoint:
    path = f"/12/accounts/{account_id}/custom_audiences/{own}/users"
    echo = {"account_id": account_id, "custom_audience_id": own}
    return Endpoint(
        own, path, echo, HASHED | {UNHASHED}, {"users"}, {"effective_at", "expires_at"}, dnr=False
    )


def _do_not_reach_list(account_id: str, own: str) -> Endpoint:
    # The documentation contradicts itself on whether expires_at may be left out; strict means it may not.
    path = f"/12/batch/accounts/{account_id}/do_not_reach_lists/{own}/users"
    echo = {"account_id": account_id, "do_not_reach_list_id": own}
    return Endpoint(
        own,
        path,
        echo,
        frozenset({"email", "phone_number"}),
        {"users", "expires_at"},
        set(),
        dnr=True,
    )


# --- the rules of one operation ---


def _error(code: str, parameter: str, message: str) -> Error:
    return {"code": code, "message": message, "parameter": parameter}


def operation_errors(operation: object, endpoint: Endpoint, now: datetime) -> list[Error]:
    """Everything wrong with one operation; never contains a value of the request."""
    if not isinstance(operation, dict):
        return [_error("INVALID_PARAMETER", "", "an operation has to be an object")]
    errors = _key_errors(operation, {"operation_type", "params"}, set())
    if "operation_type" in operation and operation["operation_type"] not in ("Update", "Delete"):
        errors.append(_error("INVALID_PARAMETER", "operation_type", "expected Update or Delete"))
    params = operation.get("params", {})
    if not isinstance(params, dict):
        return [*errors, _error("INVALID_PARAMETER", "params", "expected an object")]
    if "params" in operation:
        errors += _key_errors(params, endpoint.required, endpoint.optional)
        errors += _date_errors(params, endpoint, now)
        errors += _users_errors(params["users"], endpoint) if "users" in params else []
    return errors


def _key_errors(node: dict[str, Any], required: set[str], optional: set[str]) -> list[Error]:
    missing, unknown = sorted(required - node.keys()), sorted(node.keys() - required - optional)
    errors = [
        _error("MISSING_PARAMETER", key, f'"{key}" is a required parameter') for key in missing
    ]
    return errors + [
        _error("INVALID_PARAMETER", key, f'"{key}" is not a valid parameter') for key in unknown
    ]


def _users_errors(users: object, endpoint: Endpoint) -> list[Error]:
    if not isinstance(users, list) or not users:
        return [_error("INVALID_PARAMETER", "users", "expected a non-empty array")]
    return [
        error
        for index, user in enumerate(users)
        for error in _user_errors(user, f"users[{index}]", endpoint)
    ]


def _user_errors(user: object, at: str, endpoint: Endpoint) -> Iterator[Error]:
    if not isinstance(user, dict) or not user:
        yield _error("MISSING_PARAMETER", at, "a user needs at least one identifier")
        return
    for key, values in user.items():
        if key not in endpoint.keys:
            yield _error("INVALID_PARAMETER", f"{at}.{key}", "unknown identifier")
        elif not isinstance(values, list) or not values:
            yield _error(
                "INVALID_PARAMETER", f"{at}.{key}", "expected a non-empty array of strings"
            )
        elif not all(_acceptable(key, value) for value in values):
            yield _error("INVALID_PARAMETER", f"{at}.{key}", "expected SHA-256 hex digests")


def _acceptable(key: str, value: object) -> bool:
    # Upper-case digests pass, as in the vendor's own sample; they are recorded as a violation.
    return (
        isinstance(value, str)
        and bool(value)
        and (key == UNHASHED or bool(_HEX64.fullmatch(value)))
    )


def _moment(text: object) -> datetime | None:
    if not isinstance(text, str) or not _TIME.fullmatch(text):
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def months_later(moment: datetime, months: int) -> datetime:
    """`moment` moved by calendar months; a day that does not exist becomes the month's last."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return moment.replace(year=year, month=month + 1, day=min(moment.day, last))


def _date_errors(params: dict[str, Any], endpoint: Endpoint, now: datetime) -> list[Error]:
    dates = {key: _moment(params[key]) for key in ("effective_at", "expires_at") if key in params}
    unreadable = [key for key, moment in dates.items() if moment is None]
    errors = [_error("INVALID_PARAMETER", key, f"Expected time for {key}") for key in unreadable]
    expires, start = dates.get("expires_at"), dates.get("effective_at") or now
    if expires and endpoint.dnr and not now < expires < months_later(now, 13):
        errors.append(
            _error(
                "INVALID_PARAMETER", "expires_at", "expires_at has to be within 13 months from now"
            )
        )
    elif expires and expires <= start:
        errors.append(
            _error(
                "INVALID_PARAMETER", "expires_at", "expires_at has to be later than effective_at"
            )
        )
    return errors


# --- violations ---


class Violation(NamedTuple):
    """Something a correct client never sends, whatever was answered; `where` never holds a value."""

    kind: str
    url: str
    where: str


def _strings(node: object, at: str = "", key: str = "") -> Iterator[tuple[str, str, str]]:
    """Every scalar and object key below `node` as (place, nearest key, text)."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield f"{at} (a key)", "", name
            yield from _strings(value, f"{at}.{name}" if name.isidentifier() else f"{at}.?", name)
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _strings(value, f"{at}[{index}]", key)
    elif node is not None and not isinstance(node, bool):
        yield at, key, str(node)


def plaintext(text: str) -> str:
    """The kind of identifier that `text` shows in the clear (`email`, `uuid`, `phone`), or `""`."""
    rest = _HARMLESS.sub("", text)
    return next((kind for kind, pattern in _PLAINTEXT.items() if rest and pattern.search(rest)), "")


def body_violations(body: bytes, parsed: object) -> Iterator[tuple[str, str]]:
    """(kind, where) for each plaintext identifier and bad digest; `parsed` is None for a body that is not JSON."""
    node = body.decode("utf-8", "replace") if parsed is None else parsed
    for at, key, text in _strings(node):
        kind = "" if key == UNHASHED else plaintext(text)
        if kind:
            yield f"plaintext {kind}", at
        if key in HASHED and not re.fullmatch(r"[0-9a-f]{64}", text):
            yield "bad digest", at


def _identifiers(user: dict[str, list[str]]) -> set[Identifier]:
    return {
        (key, value if key == UNHASHED else value.lower())
        for key, values in user.items()
        for value in values
    }


def added_and_removed(operations: list[Any]) -> set[Identifier]:
    """The identifiers that one request names under both operation types."""
    named: dict[object, set[Identifier]] = {"Update": set(), "Delete": set()}
    try:
        for operation in operations:
            named[operation["operation_type"]].update(
                *map(_identifiers, operation["params"]["users"])
            )
    except (AttributeError, KeyError, TypeError):
        return set()  # malformed: refused anyway
    return named["Update"] & named["Delete"]


# --- faults, requests, answers ---


@dataclass(frozen=True, slots=True)
class Fault:
    """What to do to a request instead of serving it.

    `kind`: an HTTP status ≥ 400 · `drop` (close, nothing applied) · `applied_then_drop` · `html` (a 502 page) ·
    `counts` (200, one fewer counted, nothing applied) · `slow` (sleep `seconds`, then serve).
    For 429 the reset header is `seconds` ahead, for 503 it is `retry-after`; None leaves the header out.
    """

    kind: int | str
    seconds: float | None = 1.0

    def __post_init__(self) -> None:
        status = int(self.kind) if str(self.kind).isdigit() else 0
        if status < 400 and self.kind not in (
            "drop",
            "applied_then_drop",
            "html",
            "counts",
            "slow",
        ):
            raise ValueError(f"unknown fault {self.kind!r}")
        object.__setattr__(self, "kind", status or self.kind)


FaultLike = Fault | int | str | None
Faults = list[FaultLike] | Callable[[str, int], FaultLike]


@dataclass(slots=True)
class Received:
    """One request as it arrived; `status` is None while it is served and when the connection was dropped."""

    url: str
    size: int
    digest: str
    operations: int = 0
    users: int = 0
    status: int | None = None
    applied: bool = False
    fault: Fault | None = None
    reason: str = ""


class Traffic(NamedTuple):
    """Totals of one URL: requests, body bytes, and the most requests that were in flight at once."""

    requests: int
    bytes: int
    concurrent: int


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer, complete with its headers."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class RefusedError(Exception):
    """Ends a request with an answer before it changes anything; `reason` is for the test's eyes."""

    def __init__(self, reply: Reply, reason: str = "") -> None:
        super().__init__(reply.status)
        self.reply = reply
        self.reason = reason


def _refused(status: int, code: str, message: str, reason: str = "") -> RefusedError:
    content = {"errors": [{"code": code, "message": message}], "request": {"params": {}}}
    return RefusedError(Reply(status, json.dumps(content).encode()), reason or code)


_FAULT_CODES = {
    401: "UNAUTHORIZED_ACCESS",
    403: "UNAUTHORIZED_CLIENT_APPLICATION",
    408: "CANCELLED_REQUEST",
    423: "LOCK_ACQUISITION_TIMEOUT",
    429: "TOO_MANY_REQUESTS",
    503: "SERVICE_UNAVAILABLE",
}


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise ValueError("a key appears twice in one object")
    return dict(pairs)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _parsed(body: bytes) -> object:
    """The body as JSON, or None when it is not strict UTF-8 JSON."""
    try:
        parsed: object = json.loads(
            body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    except (ValueError, RecursionError):
        return None
    return parsed


class StrictServer:
    """The API of one account on loopback; a context manager.

    `credentials` has the four OAuth secrets, `audiences` and `lists` the ids that exist. `faults` is a list used up
    from the front (None serves normally) or a callable of (URL path, number of the request on that URL from 1); it
    applies to authenticated requests. `rate` is the number of requests per minute, `clock` gives seconds since 1970.
    `requests` and `violations` grow as traffic comes in; `base_url` is known before the context is entered.
    """

    def __init__(
        self,
        credentials: dict[str, str],
        account_id: str,
        audiences: set[str],
        lists: set[str],
        *,
        faults: Faults | None = None,
        rate: int = 1_500,
        port: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.faults: Faults = [] if faults is None else faults
        self.rate = rate
        self.violations: list[Violation] = []
        self.requests: list[Received] = []
        self._account_id = account_id
        found = [_custom_audience(account_id, own) for own in sorted(audiences)]
        found += [_do_not_reach_list(account_id, own) for own in sorted(lists)]
        self._endpoints = {endpoint.path: endpoint for endpoint in found}
        self._calls = Audiences(account_id, self._people)
        self.permissions = self._calls.permissions
        for endpoint in found:
            kind = "do_not_reach_lists" if endpoint.dnr else "custom_audiences"
            self._calls.of_kind[kind].append(Audience(endpoint.id, endpoint.id))
        self._authenticator = Authenticator(credentials)
        self._clock = clock
        self._minute = self._used = 0
        self._in_flight: Counter[str] = Counter()
        self._most_in_flight: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._http = _HTTPServer(("127.0.0.1", port), functools.partial(_Handler, self))
        self.base_url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def members(self, url_or_id: str) -> set[frozenset[Identifier]]:
        """The people of an audience or list, given its id, its users path or its URL; KeyError when there is none."""
        with self._lock:
            return self._find(url_or_id).members.people()

    def audience(self, own: str) -> Audience:
        """The custom audience of an id; KeyError when there is none."""
        return {one.id: one for one in self._calls.of_kind["custom_audiences"]}[own]

    def traffic(self) -> dict[str, Traffic]:
        """Totals for each URL path."""
        with self._lock:
            sizes: dict[str, list[int]] = {}
            for request in self.requests:
                sizes.setdefault(request.url, []).append(request.size)
            return {
                url: Traffic(len(all_), sum(all_), self._most_in_flight[url])
                for url, all_ in sizes.items()
            }

    @property
    def concurrent(self) -> int:
        """The most requests that were in flight at once on any one URL."""
        return max(self._most_in_flight.values(), default=0)

    def _find(self, url_or_id: str) -> Endpoint:
        path = urlsplit(url_or_id).path
        for endpoint in self._endpoints.values():
            if path == endpoint.path or url_or_id == endpoint.id:
                return endpoint
        raise KeyError(url_or_id)

    # What follows serves requests; `_Handler` calls enter, answer, leave, then sends.

    def enter(self, path: str) -> None:
        """Note that a request is in flight."""
        with self._lock:
            self._in_flight[path] += 1
            self._most_in_flight[path] = max(self._most_in_flight[path], self._in_flight[path])

    def leave(self, path: str) -> None:
        """Note that a request is about to be answered."""
        with self._lock:
            self._in_flight[path] -= 1

    def answer(self, method: str, target: str, headers: Message, body: bytes) -> Reply | None:
        """The answer to one request, or None when the connection is to be dropped."""
        received = Received(urlsplit(target).path, len(body), hashlib.sha256(body).hexdigest())
        with self._lock:
            self.requests.append(received)
            parsed = self._inspect(received, body)
            used, limits = self._spend()
        reply: Reply | None
        try:
            with self._lock:
                self._authenticate(method, target, headers, body)
                if used > self.rate:
                    raise _refused(429, "TOO_MANY_REQUESTS", "Too many requests")
                received.fault = self._next_fault(received.url)
            if received.fault and received.fault.kind == "slow":
                time.sleep(received.fault.seconds or 0)
            with self._lock:
                reply = self._serve(received, method, target, headers, body, parsed)
        except RefusedError as refused:
            reply, received.reason = refused.reply, refused.reason
        if reply is None:
            return None
        received.status = reply.status
        return replace(reply, headers={"x-current-api-version": "12", **limits, **reply.headers})

    def _inspect(self, received: Received, body: bytes) -> object:
        """The parsed body (None when unreadable), after noting what a correct client never sends."""
        parsed = _parsed(body)
        operations = parsed if isinstance(parsed, list) else []
        received.operations = len(operations)
        if received.size > MAX_BYTES:
            self.violations.append(Violation("too many bytes", received.url, str(received.size)))
        if received.operations > MAX_OPERATIONS:
            self.violations.append(
                Violation("too many operations", received.url, str(received.operations))
            )
        both = len(added_and_removed(operations))
        if both:
            self.violations.append(
                Violation("added and removed at once", received.url, f"{both} identifiers")
            )
        self.violations += [
            Violation(kind, received.url, where) for kind, where in body_violations(body, parsed)
        ]
        return parsed

    def _spend(self) -> tuple[int, dict[str, str]]:
        """The requests of this minute so far, and the headers that say so."""
        minute = int(self._clock() // 60)
        if minute != self._minute:
            self._minute, self._used = minute, 0
        self._used += 1
        remaining = max(0, self.rate - self._used)
        names = ("limit", self.rate), ("remaining", remaining), ("reset", (minute + 1) * 60)
        return self._used, {f"x-rate-limit-{name}": str(value) for name, value in names}

    def _authenticate(self, method: str, target: str, headers: Message, body: bytes) -> None:
        parts = urlsplit(target)
        parameters = parse_qsl(parts.query, keep_blank_values=True)
        if headers.get_content_type() == "application/x-www-form-urlencoded":
            parameters += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
        url = f"http://{headers.get('host', '').lower()}{parts.path}"
        reason = self._authenticator.refusal(
            method, url, parameters, headers.get("authorization", ""), self._clock()
        )
        if reason:
            raise _refused(
                401, "UNAUTHORIZED_ACCESS", "This request is not properly authenticated", reason
            )

    def _next_fault(self, path: str) -> Fault | None:
        if callable(self.faults):
            fault = self.faults(path, sum(request.url == path for request in self.requests))
        else:
            fault = self.faults.pop(0) if self.faults else None
        return fault if fault is None or isinstance(fault, Fault) else Fault(fault)

    def _serve(
        self,
        received: Received,
        method: str,
        target: str,
        headers: Message,
        body: bytes,
        parsed: object,
    ) -> Reply | None:
        kind = received.fault.kind if received.fault else ""
        if kind == "drop":
            return None
        if received.fault and (kind == "html" or isinstance(kind, int)):
            raise _faulty(received.fault, self._clock())
        called = self._called(received, method, target, body)
        if called is not None:
            return None if kind == "applied_then_drop" else called
        endpoint = self._routed(method, target)
        operations = self._checked(endpoint, headers, received.size, parsed)
        received.users = sum(len(operation["params"]["users"]) for operation in operations)
        if kind == "counts":
            return _success(endpoint, operations, missing=1)
        self._apply(endpoint, operations)
        received.applied = True
        return None if kind == "applied_then_drop" else _success(endpoint, operations)

    def _called(self, received: Received, method: str, target: str, body: bytes) -> Reply | None:
        """The answer to a call, None for what is no call; new audiences take people, deleted ones none."""
        try:
            answer = self._calls.answer(method, target, body)
        except CallRefusedError as refused:
            raise _refused(refused.status, refused.code, refused.message) from None
        if answer is None:
            return None
        received.applied = method != "GET"
        self._follow_calls()
        if method != "GET":
            return Reply(200, body_of(answer))
        # Of a read, the account's own limit counts; that of the user is a large one of everybody.
        minute = int(self._clock() // 60)
        headers = {
            "x-account-rate-limit-limit": "10000",
            "x-account-rate-limit-remaining": "9999",
            "x-account-rate-limit-reset": str((minute + 15) * 60),
        }
        return Reply(200, body_of(answer), headers)

    def _follow_calls(self) -> None:
        """Have a users endpoint for each audience that exists, and for no other."""
        living = {}
        for kind, audiences in self._calls.of_kind.items():
            make = _do_not_reach_list if kind == "do_not_reach_lists" else _custom_audience
            for audience in audiences:
                if not audience.deleted:
                    endpoint = make(self._account_id, audience.id)
                    living[endpoint.path] = self._endpoints.get(endpoint.path, endpoint)
        self._endpoints = living

    def _people(self, kind: str, own: str) -> int:
        make = _do_not_reach_list if kind == "do_not_reach_lists" else _custom_audience
        found = self._endpoints.get(make(self._account_id, own).path)
        return len(found.members.people()) if found else 0

    def _routed(self, method: str, target: str) -> Endpoint:
        parts = urlsplit(target)
        route = _ROUTE.fullmatch(parts.path)
        if not route:
            raise _refused(404, "ROUTE_NOT_FOUND", "The requested route was not found")
        if method != "POST":
            raise _refused(405, "METHOD_NOT_ALLOWED", "The method is not allowed here")
        if (route[1] or route[2]) != self._account_id:
            raise _refused(403, "ACCOUNT_NOT_FOUND", "Account was not found")
        if parts.path not in self._endpoints:
            raise _refused(404, "NOT_FOUND", "The audience was not found")
        if parts.query:
            raise _refused(400, "INVALID_PARAMETER", "Every parameter belongs into the body")
        return self._endpoints[parts.path]

    def _checked(
        self, endpoint: Endpoint, headers: Message, size: int, parsed: object
    ) -> list[dict[str, Any]]:
        """The operations of a request without a fault in it."""
        if headers.get_content_type() != "application/json" or "content-encoding" in headers:
            raise RefusedError(Reply(415, b"", {"content-type": ""}), "content type")
        if size > MAX_BYTES:
            raise _refused(
                400,
                "REQUEST_TOO_COMPLEX",
                f"The body is larger than {MAX_BYTES} bytes",
                "too many bytes",
            )
        if not isinstance(parsed, list) or not parsed:
            raise _refused(
                400,
                "INVALID_PARAMETER",
                "Expected a non-empty JSON array of operations",
                "not an array",
            )
        if len(parsed) > MAX_OPERATIONS:
            raise _refused(
                400,
                "REQUEST_TOO_COMPLEX",
                f"More than {MAX_OPERATIONS} operations",
                "too many operations",
            )
        now = datetime.fromtimestamp(self._clock(), UTC)
        errors = [operation_errors(operation, endpoint, now) for operation in parsed]
        if any(errors):
            content = {
                "operation_errors": errors,
                "request": [_echo(endpoint, operation) for operation in parsed],
            }
            raise RefusedError(Reply(400, json.dumps(content).encode()), "operation errors")
        return parsed

    @staticmethod
    def _apply(endpoint: Endpoint, operations: list[dict[str, Any]]) -> None:
        members = endpoint.members
        for operation in operations:
            change = members.update if operation["operation_type"] == "Update" else members.delete
            for user in operation["params"]["users"]:
                change(_identifiers(user))


def _faulty(fault: Fault, now: float) -> RefusedError:
    """The answer that a fault of kind `html` or of a status stands for."""
    if not isinstance(fault.kind, int):
        page = b"<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>Bad Gateway</body></html>"
        return RefusedError(Reply(502, page, {"content-type": "text/html"}), "fault")
    code = _FAULT_CODES.get(fault.kind, "INTERNAL_ERROR")
    refused = _refused(fault.kind, code, "Injected by the test", "fault")
    if fault.kind == 429:
        reset = "" if fault.seconds is None else str(math.ceil(now + fault.seconds))
        refused.reply.headers.update({"x-rate-limit-remaining": "0", "x-rate-limit-reset": reset})
    if fault.kind == 503 and fault.seconds is not None:
        refused.reply.headers["retry-after"] = str(math.ceil(fault.seconds))
    return refused


def _echo(endpoint: Endpoint, operation: object) -> dict[str, Any]:
    """An operation as answers repeat it: dates and path ids, never the users."""
    given = operation if isinstance(operation, dict) else {}
    params = given.get("params")
    named = params if isinstance(params, dict) else {}
    dates = {key: named[key] for key in ("effective_at", "expires_at") if key in named}
    return {"operation_type": given.get("operation_type"), "params": {**dates, **endpoint.echo}}


def _success(endpoint: Endpoint, operations: list[dict[str, Any]], missing: int = 0) -> Reply:
    """200 with the number of people received, `missing` fewer of them counted as a success."""
    sent = [len(operation["params"]["users"]) for operation in operations]
    if endpoint.dnr:
        good = [sent[0] - missing, *sent[1:]]
        data: object = [
            {"success_count": ok, "total_count": all_} for ok, all_ in zip(good, sent, strict=True)
        ]
        request: object = [_echo(endpoint, operation) for operation in operations]
    else:
        data = {"success_count": sum(sent) - missing, "total_count": sum(sent)}
        request = {"params": endpoint.echo}
    return Reply(200, json.dumps({"data": data, "request": request}).encode())


# --- HTTP ---


class _HTTPServer(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], ConnectionError):  # a client that hung up is no news
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "strict"
    disable_nagle_algorithm = True

    def __init__(self, api: StrictServer, *args: Any) -> None:
        self._api = api
        super().__init__(*args)

    def _serve(self) -> None:
        path = urlsplit(self.path).path
        may_be_bare = self.command in ("GET", "DELETE")
        length = self.headers.get("content-length", "0" if may_be_bare else "")
        if (
            not length.isdecimal()
            or int(length) > 64 * MAX_BYTES
            or "transfer-encoding" in self.headers
        ):
            self.close_connection = True
            self._send(Reply(411))
            return
        self._api.enter(path)
        try:
            body = self.rfile.read(int(length))
            cut_short = len(body) < int(length)
            reply = (
                None if cut_short else self._api.answer(self.command, self.path, self.headers, body)
            )
        finally:
            self._api.leave(
                path
            )  # before the answer is written: the next request may follow at once
        if reply is None:
            self.close_connection = True
        else:
            self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815 (the library's names)

    def _send(self, reply: Reply) -> None:
        self.send_response(reply.status)
        headers = {
            "content-type": "application/json",
            **reply.headers,
            "content-length": str(len(reply.body)),
        }
        for name, value in headers.items():
            if value:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply.body)

    def log_message(self, *_args: Any, **_named: Any) -> None:
        """Keep the test's output quiet."""


# --- by hand ---


def report(server: StrictServer, ids: Iterable[str]) -> dict[str, Any]:
    """What the server holds and saw, ready for JSON: `members`, `violations`, `traffic`."""
    return {
        "members": {own: sorted(sorted(person) for person in server.members(own)) for own in ids},
        "violations": [violation._asdict() for violation in server.violations],
        "traffic": {url: traffic._asdict() for url, traffic in server.traffic().items()},
    }


def main(arguments: list[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C, then print the report. Credentials: X_CONSUMER_KEY and so on, or their names."""
    parser = argparse.ArgumentParser(description="A strict local X Ads API.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--account", default="18ce54d4x5t")
    parser.add_argument("--audience", action="append", help="an audience id; may be repeated")
    parser.add_argument("--list", action="append", help="a Do Not Reach list id; may be repeated")
    options = parser.parse_args(arguments)
    audiences, lists = options.audience or ["1nmth", "2k7qz", "3p0ab"], options.list or ["4kzro"]
    credentials = {name: os.environ.get(f"X_{name.upper()}", name) for name in SECRETS}
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with StrictServer(
        credentials, options.account, set(audiences), set(lists), port=options.port
    ) as server:
        sys.stderr.write(f"{server.base_url}\n")
        sys.stderr.flush()
        stopped.wait()
        sys.stdout.write(json.dumps(report(server, [*audiences, *lists]), indent=2) + "\n")


if __name__ == "__main__":
    main()
