"""What we send to Google, by its own messages and its own normaliser."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

from tests.witness.bodies import Reading, reading_of
from tests.witness.kit import Client, needs
from tests.witness.values import Comparison, Sender, comparison_of

needs("google-ads-datamanager", "google.ads.datamanager_v1", "google.ads.datamanager_util")

from google.ads import datamanager_v1 as dm
from google.ads.datamanager_util.format import Encoding, Formatter
from google.protobuf import json_format

MESSAGES = {
    "/v1/audienceMembers:ingest": dm.IngestAudienceMembersRequest,
    "/v1/audienceMembers:remove": dm.RemoveAudienceMembersRequest,
}


@cache
def bodies() -> Reading:
    package = "google-ads-datamanager"
    client = Client("Google", f"`{package}`", version(package), "Python")
    return reading_of(client, "google_customer_match", _read)


def _read(path: str, body: Any) -> Any:
    """Parse a body as the message that belongs to a path: an unknown member is an error."""
    message = MESSAGES[path].pb()()
    return json_format.MessageToDict(json_format.ParseDict(body, message))


KINDS = {
    "email": "email",
    "phone": "phone",
    "first_name": "first_name",
    "last_name": "last_name",
    "country": "country",
    "postal_code": "postal_code",
}
#: An address is sent only when it is whole, and beside an e-mail address or a phone number.
BESIDE = {
    "email": "ann@example.com",
    "first_name": "Ann",
    "last_name": "Lee",
    "country": "US",
    "postal_code": "94043",
}
PARAMETERS = {
    "email": "email_address",
    "phone": "phone_number",
    "first_name": "given_name",
    "last_name": "family_name",
    "country": "region_code",
    "postal_code": "postal_code",
}


@cache
def values() -> Comparison:
    package = "google-ads-datamanager-util"
    client = Client("Google", f"`{package}`", version(package), "Python")
    mapped = {name: {"from": name} for name in KINDS}
    route = {"action": "add_contact", "map": {"audience_id": {"value": "9"}, **mapped}}
    settings = {"account_id": "1234567890", "customer_match_terms": "ACCEPTED"}
    ours = Sender("google_customer_match", settings, route, BESIDE, _person_of)
    return comparison_of(client, KINDS, ours, _normalise)


def _person_of(body: Any) -> dict[str, str]:
    [member] = body["audienceMembers"]
    person: dict[str, str] = {}
    for identifier in member["userData"]["userIdentifiers"]:
        person |= identifier.get("address", identifier)
    return person


def _normalise(parameter: str, value: str) -> str:
    process = getattr(Formatter(), f"process_{PARAMETERS[parameter]}")
    if parameter in {"country", "postal_code"}:  # they are not hashed
        return process(value)
    return process(value, Encoding.HEX)
