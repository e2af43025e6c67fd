"""The front ends whose presets ship for X, and who is in each audience at the end of their sample events."""

from __future__ import annotations

from hashlib import sha256

Identifier = tuple[str, str]

AUDIENCE = "/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
DO_NOT_REACH = "/12/batch/accounts/18ce54d4x5t/do_not_reach_lists/4kzrq/users"

ANN = ("email", "ann@example.com")
BOB = ("email", "bob@example.com")
CLEO = ("email", "cleo@example.com")
GAID = ("device_id", "4b61639e-47cc-4056-a16a-c8217e029462")
IDFA = ("device_id", "aebe52e7-03ee-455a-b3c4-e57283966239")
HANDLE = ("handle", "annexample")
PHONE = ("phone_number", "+12025550123")
X_ID = ("twitter_id", "123346")
PARTNER = ("partner_user_id", "customer-0042")

#: By the ids that the presets have, and identifiers in the clear.
MEMBERS: dict[str, dict[str, list[set[Identifier]]]] = {
    "tealium": {
        AUDIENCE: [
            {ANN, PHONE, HANDLE},
            {CLEO, X_ID, PARTNER},
            {("email", "dan@example.com"), ("phone_number", "+442079460123")},
        ],
        DO_NOT_REACH: [{("email", "fay@example.com")}],
    },
    "lytics": {AUDIENCE: [{ANN, HANDLE}, {BOB, GAID}]},
    "adobe": {AUDIENCE: [{ANN, GAID, IDFA}, {BOB}]},
    "segment": {AUDIENCE: [{ANN, PHONE}, {BOB, IDFA}]},
    "rudderstack": {AUDIENCE: [{ANN, PHONE}, {BOB, GAID}, {("handle", "cleoexample"), X_ID, PARTNER}]},
}  # fmt: skip


def sent(identifier: Identifier) -> Identifier:
    """Return an identifier as it is sent."""
    kind, value = identifier
    hashed = kind != "partner_user_id"
    return kind, sha256(value.encode()).hexdigest() if hashed else value


def people_sent(people: list[set[Identifier]]) -> set[frozenset[Identifier]]:
    """Return people as they are sent."""
    return {frozenset(map(sent, person)) for person in people}
