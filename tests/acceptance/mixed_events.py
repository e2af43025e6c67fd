"""Mixed audience events, the connection file that routes them, and what the audiences must hold afterwards.

Everything follows from a seed. The expectation normalises and hashes by hand from the published rules and applies the
events one by one, so that whatever a connector does (batch, supersede, retry) is judged by what its input plainly says.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Any

from .strict_server import Identifier, Membership

Event = dict[str, Any]

ACCOUNT_ID = "18ce54d4x5t"
AUDIENCES = ("1nmth", "2k7qz", "3p0ab")
DNR = "dnr"  # the audience of events meant for the Do Not Reach list
DNR_LIST_ID = "4kzro"
CREDENTIALS = {
    "consumer_key": "acceptance-consumer-key",
    "consumer_secret": "acceptance+consumer/secret&1",
    "access_token": "1234-acceptance-token",
    "access_token_secret": "acceptance token secret~2",
}
ENVIRONMENT = {f"X_{name.upper()}": value for name, value in CREDENTIALS.items()}

_KINDS = ("email", "email_sha256", "mobile", "handle", "device", "partner_id")
_DNR_KINDS = _KINDS[:3]
# Area codes in use in the United States; with exchange 555 a number stays fictional, yet possible and valid.
_AREA_CODES = re.findall(
    r"\d+",
    " 201 202 203 205 206 207 208 209 210 212 213 214 215 216 217 218 219 220 224 225 228 229 231 234 239 240 248"
    " 251 252 253 254 256 260 262 267 269 270 276 281 301 302 303 304 305 307 308 309 310 312 313 314 315 316 317"
    " 318 319 320 321 323 330 334 336 337 339 347 351 352 360 361 386 401 402 404 405 406 407 408 409 410 412 413"
    " 414 415 417 419 423 425",
)
_NO_SUCH_DIGEST = hashlib.sha256(b"").hexdigest()
_UNUSABLE: dict[str, tuple[Any, ...]] = {
    "email": ("", "  ", None, ["", " "]),
    "email_sha256": ("", "not-a-digest", "0123456789abcdef", _NO_SUCH_DIGEST),
    "mobile": ("n/a", "unknown", "+", " "),
    "handle": ("@", " @ ", "", None),
    "device": ("", "   "),
    "partner_id": ("", None),
}
_UNREADABLE = (
    '{"message_id": "cut',
    "not json",
    '{"traits": }',
    '{"a": 1} {"b": 2}',
    "{'message_id': 'quoted'}",
)


@dataclass(frozen=True, slots=True)
class Person:
    """One person's identifiers in their canonical spelling."""

    emails: tuple[str, ...]
    mobile: str
    handle: str
    device: str
    partner_id: str


def person(seed: int, index: int, *, households: bool = True) -> Person:
    """Person number `index`; with `households` some share the telephone of the person before."""
    rng = Random(f"{seed}/{index}")
    name = rng.choice(("person", "person", "person.of.note", "josé", "zoë"))
    hosts = ("example.com", "mail.example.com", "example.org")
    emails = [
        f"{name}{index}{rng.choice(('', '+news', '+tag.2'))}@{host}"
        for host in hosts[: rng.choice((1, 1, 2, 3))]
    ]
    shares = households and index % 16 == 1
    raw = f"{rng.getrandbits(128):032x}"
    device = rng.choice((f"{raw[:8]}-{raw[8:12]}-4{raw[13:16]}-a{raw[17:20]}-{raw[20:]}", raw[:16]))
    partner = rng.choice((f"Partner-{index}x", str(9_007_199_254_740_993 + index), device.upper()))
    return Person(tuple(emails), phone_number(index - shares), f"person_{index}", device, partner)


def phone_number(index: int) -> str:
    """A fictional United States number in E.164: 555-0100 to 555-0199 in every area code first, then further lines."""
    cycle, area = divmod(index, len(_AREA_CODES))
    return f"+1{_AREA_CODES[area]}555{(100 + cycle) % 10_000:04d}"


# --- events ---


def generate(
    count: int,
    seed: int = 0,
    *,
    people: int | None = None,
    rejected: float = 0.02,
    spoiled: float = 0.05,
    stable_key: bool = False,
) -> list[Event]:
    """`count` events over `people` people (default: one for four events).

    `rejected`: the share without any usable identifier. `spoiled`: the share with one unusable identifier beside good
    ones. `stable_key`: every event carries its person's first e-mail address and no two people share anything, so that
    all events of a person visibly overlap; otherwise two events may concern one person without sharing an identifier.
    """
    rng = Random(seed)
    crowd = [
        person(seed, index, households=not stable_key)
        for index in range(people or max(8, count // 4))
    ]
    bursts: list[list[tuple[Person, str, str]]] = []
    events: list[Event] = []
    while len(events) < count:
        someone, audience, status = _next(rng, crowd, bursts)
        if rng.random() < rejected:
            traits: Any = _unusable(rng, audience)
        else:
            traits = _traits(rng, someone, audience, stable_key)
            if rng.random() < spoiled:
                _spoil(rng, traits)
        number = f"m{len(events) + 1:06d}"
        events.append(
            {
                "message_id": number,
                "type": "audience",
                "status": status,
                "audience": audience,
                "traits": traits,
            }
        )
    return events


def _next(
    rng: Random, crowd: list[Person], bursts: list[list[tuple[Person, str, str]]]
) -> tuple[Person, str, str]:
    """Who enters or leaves what: one step of an open burst (add, remove, add…) or somebody at random."""
    if bursts and rng.random() < 0.6:
        burst = rng.choice(bursts)
        step = burst.pop(0)
        if not burst:
            bursts.remove(burst)
        return step
    someone = rng.choice(crowd)
    audience = rng.choice((*AUDIENCES, DNR))
    status = rng.choice(("entered", "entered", "exited"))
    if rng.random() < 0.15:
        other = {"entered": "exited", "exited": "entered"}
        steps: list[tuple[Person, str, str]] = []
        turn = status
        for _ in range(rng.randint(1, 4)):
            turn = other[turn]
            # Now and then the same person is seen in another audience meanwhile.
            steps.append(
                (someone, audience if rng.random() < 0.85 else rng.choice(AUDIENCES), turn)
            )
        bursts.append(steps)
    return someone, audience, status


def _traits(rng: Random, someone: Person, audience: str, stable_key: bool) -> dict[str, Any]:
    kinds = _DNR_KINDS if audience == DNR else _KINDS
    chosen = set(rng.sample(kinds, rng.randint(1, len(kinds)))) | (
        {"email"} if stable_key else set()
    )
    return {kind: _spelled(rng, someone, kind, stable_key) for kind in kinds if kind in chosen}


def _spelled(rng: Random, someone: Person, kind: str, stable_key: bool) -> Any:
    match kind:
        case "email":
            return _emails(rng, someone.emails, stable_key)
        case "email_sha256":
            digest = _sha256(rng.choice(someone.emails))
            return digest.upper() if rng.random() < 0.3 else digest
        case "mobile":
            return _phone_text(rng, someone.mobile)
        case "handle":
            return _padded(rng, rng.choice(("", "@")) + _cased(rng, someone.handle))
        case "device":
            return _padded(rng, _cased(rng, someone.device))
    number = someone.partner_id.isdigit() and rng.random() < 0.5
    return int(someone.partner_id) if number else someone.partner_id


def _emails(rng: Random, emails: tuple[str, ...], stable_key: bool) -> Any:
    chosen = (
        [rng.choice(emails)]
        if rng.random() < 0.6
        else rng.sample(emails, rng.randint(1, len(emails)))
    )
    if stable_key and emails[0] not in chosen:
        chosen.append(emails[0])
    if rng.random() < 0.1:
        chosen.append(chosen[0])  # the same address twice, spelled differently
    spelled = [_padded(rng, _cased(rng, email)) for email in chosen]
    return spelled[0] if len(spelled) == 1 and rng.random() < 0.8 else spelled


def _cased(rng: Random, text: str) -> str:
    return rng.choice((text, text, text.upper(), text.title()))


def _padded(rng: Random, text: str) -> str:
    blanks = ("", "", "", " ", "  ", "\t", "\n")
    return rng.choice(blanks) + text + rng.choice(blanks)


def _phone_text(rng: Random, e164: str) -> str:
    area, exchange, line = e164[2:5], e164[5:8], e164[8:]
    spellings = (
        e164,
        f"+1 {area}-{exchange}-{line}",
        f"+1 ({area}) {exchange}-{line}",
        f"+1.{area}.{exchange}.{line}",
        f" +1 {area} {exchange} {line} ",
        f"+1-{area}-{exchange}-{line}",
    )
    return rng.choice(spellings)


def _spoil(rng: Random, traits: dict[str, Any]) -> None:
    """Put an unusable value where `traits` has none; it has to be dropped and the rest kept."""
    free = [kind for kind in _UNUSABLE if kind not in traits]
    if free:
        kind = rng.choice(free)
        traits[kind] = rng.choice(_UNUSABLE[kind])


def _unusable(rng: Random, audience: str) -> Any:
    """Traits of an event that has to be rejected: nothing in them identifies anybody to this audience."""
    kinds = rng.sample(list(_UNUSABLE), rng.randint(1, 3))
    traits: list[Any] = [
        {kind: rng.choice(_UNUSABLE[kind]) for kind in kinds},
        {},
        None,
        {"tier": "gold"},
    ]
    if audience == DNR:
        traits.append(
            {"handle": "person_0", "partner_id": "Partner-0x"}
        )  # not accepted by a Do Not Reach list
    return rng.choice(traits)


def lines(events: Iterable[Event], *, unreadable: float = 0.0, seed: int = 0) -> Iterator[str]:
    """The events as NDJSON lines without line ends; unreadable lines come in addition, `unreadable` for each event."""
    rng = Random(f"lines/{seed}")
    for event in events:
        if rng.random() < unreadable:
            yield rng.choice(_UNREADABLE)
        yield json.dumps(event, ensure_ascii=rng.random() < 0.5)


# --- what has to come out ---


def expected_members(events: Iterable[Event]) -> dict[str, set[frozenset[Identifier]]]:
    """Who is in each audience (all are present) after applying the events one by one: sets of (wire key, value)."""
    audiences = {audience: Membership() for audience in (*AUDIENCES, DNR)}
    for event in events:
        members = audiences[event["audience"]]
        identifiers = wire_identifiers(event)
        if event["status"] == "entered" and identifiers:
            members.update(identifiers)
        elif identifiers:
            members.delete(identifiers)
    return {audience: members.people() for audience, members in audiences.items()}


def expected_rejected(events: Iterable[Event]) -> list[str]:
    """The message ids of the events that name nobody."""
    return [event["message_id"] for event in events if not wire_identifiers(event)]


def wire_identifiers(event: Event) -> set[Identifier]:
    """What the event's usable identifiers look like on the wire: normalised, then hashed (but the partner's own id)."""
    traits = event.get("traits") or {}
    found = {("email", _hashed(text.strip().lower())) for text in _texts(traits, "email")}
    found |= {("email", _digest(text)) for text in _texts(traits, "email_sha256")}
    found |= {("phone_number", _hashed(_e164(text))) for text in _texts(traits, "mobile")}
    if event["audience"] != DNR:
        found |= {
            ("handle", _hashed(text.strip().removeprefix("@").strip().lower()))
            for text in _texts(traits, "handle")
        }
        found |= {("device_id", _hashed(text.strip().lower())) for text in _texts(traits, "device")}
        found |= {("partner_user_id", text) for text in _texts(traits, "partner_id")}
    return {(key, value) for key, value in found if value}


def _texts(traits: dict[str, Any], name: str) -> list[str]:
    value = traits.get(name)
    return [
        str(item) for item in (value if isinstance(value, list) else [value]) if item is not None
    ]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _hashed(text: str) -> str:
    return _sha256(text) if text else ""


def _digest(text: str) -> str:
    digest = text.strip().lower()
    return digest if re.fullmatch(r"[0-9a-f]{64}", digest) and digest != _NO_SUCH_DIGEST else ""


def _e164(text: str) -> str:
    digits = re.sub(r"[ ().-]", "", text.strip())
    return digits if re.fullmatch(r"\+[1-9][0-9]{7,14}", digits) else ""


# --- the connection ---


def connection_yaml(
    base_url: str, *, account_id: str = ACCOUNT_ID, list_id: str = DNR_LIST_ID, limits: str = ""
) -> str:
    """The connection file for these events. `limits` is inline YAML such as `{records: 100, bytes: 200kB, age: 1s}`."""
    routes = [
        _route(
            "audience-in", "add_user_multi", '!= "dnr" and event.status == "entered"', _AUDIENCE_MAP
        ),
        _route(
            "audience-out",
            "remove_user_multi",
            '!= "dnr" and event.status == "exited"',
            _AUDIENCE_MAP,
        ),
        _route(
            "dnr-in",
            "add_to_do_not_reach_list",
            '== "dnr" and event.status == "entered"',
            _dnr_map(list_id),
        ),
        _route(
            "dnr-out",
            "remove_from_do_not_reach_list",
            '== "dnr" and event.status == "exited"',
            _dnr_map(list_id),
        ),
    ]
    head = [
        "destination: x_custom_audiences",
        f"settings: {{account_id: {json.dumps(account_id)}}}",
        "credentials:",
        *(f"  {name}: {{env: X_{name.upper()}}}" for name in CREDENTIALS),
        f"base_url: {base_url}",
        *([f"limits: {limits}"] if limits else []),
        "event_id: message_id",
        "routes:",
    ]
    return "\n".join([*head, *routes]) + "\n"


_PERSON_MAP = {
    "email": "{from: traits.email}",
    "email_sha256": "{from: traits.email_sha256}",
    "phone_number": "{from: traits.mobile}",
}
_AUDIENCE_MAP = {
    "custom_audience_id": "{from: audience}",
    **_PERSON_MAP,
    "handle": "{from: traits.handle}",
    "device_id": "{from: traits.device}",
    "partner_user_id": "{from: traits.partner_id}",
}


def _dnr_map(list_id: str) -> dict[str, str]:
    return {"do_not_reach_list_id": f"{{value: {json.dumps(list_id)}}}", **_PERSON_MAP}


def _route(name: str, action: str, condition: str, mapping: dict[str, str]) -> str:
    head = [
        f"  - name: {name}",
        f"    action: {action}",
        f"    when: 'event.audience {condition}'",
        "    map:",
    ]
    return "\n".join(
        [*head, *(f"      {parameter}: {source}" for parameter, source in mapping.items())]
    )
