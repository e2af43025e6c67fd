"""The sandboxes of the vendors as other clients than ours meet them: what each vendor takes and refuses."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import orjson
import pytest

from connector.definitions.catalog import load
from connector.definitions.metaschema import own_folder
from connector.definitions.model import AuthConfig, Destination
from connector.sandbox.vendor import Answer, Vendor
from connector.sandbox.verify import AuthVerifier

ANN, BOB = (hashlib.sha256(name.encode()).hexdigest() for name in ("ann", "bob"))
ANN_64 = b64encode(hashlib.sha256(b"ann").digest()).decode()
JSON = {"content-type": "application/json"}


@cache
def destination(name: str) -> Destination:
    return load(own_folder(), name)


def send(
    vendor: Vendor, method: str, path: str, body: Any, headers: Mapping[str, str] = JSON
) -> tuple[int, Any]:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = vendor.answer(
        method, f"https://vendor.example.com{vendor.prefix}{path}", headers, content
    )
    assert isinstance(answer, Answer)
    return answer.status, orjson.loads(answer.body)


class Case(NamedTuple):
    """Requests to one vendor, the status of each, and who is held in the end, by audience."""

    name: str
    vendor: str
    requests: list[tuple[str, str, Any, int]]
    held: dict[str, list[set[tuple[str, str]]]]
    headers: Mapping[str, str] = JSON
    settings: Mapping[str, Any] | None = None


SUBSCRIBE, UNSUBSCRIBE = "/api/lists/subscribe", "/api/lists/unsubscribe"
MAIL = "ann@example.com"
TRACK = "/users/track"
MAPPING = "/open_api/v1.3/segment/mapping/"
META = "/v25.0/7/users"
INGEST, DELETE = "/v1/audienceMembers:ingest", "/v1/audienceMembers:remove"
APPLY = "/CampaignManagement/v13/CustomerListUserData/Apply"
SEGMENT = "/v1/segments/7/users"
ELEMENTS, COMPANIES = "/rest/dmpSegments/7/users", "/rest/dmpSegments/7/companies"
USERS = "/12/accounts/a/custom_audiences/7/users"
LINKEDIN = {
    **JSON,
    "linkedin-version": "202608",
    "x-restli-protocol-version": "2.0.0",
    "x-restli-method": "batch_create",
}
TERMS = {"customerMatchTermsOfServiceStatus": "ACCEPTED"}


def lists(*emails: str, **more: Any) -> dict[str, Any]:
    return {"listId": 7, "subscribers": [{"email": email} for email in emails], **more}


def rows(action: str, columns: list[str], *cells: list[Any]) -> dict[str, Any]:
    return {
        "advertiser_ids": ["1"],
        "action": action,
        "id_schema": columns,
        "batch_data": list(cells),
    }


def cell(value: str, *audiences: str) -> dict[str, Any]:
    return {"id": value, "audience_ids": list(audiences)}


def members(*people: Any, audiences: tuple[str, ...] = ("7",), **more: Any) -> dict[str, Any]:
    account = {"accountType": "GOOGLE_ADS", "accountId": "1"}
    destinations = [{"operatingAccount": account, "productDestinationId": one} for one in audiences]
    return {
        "destinations": destinations,
        "audienceMembers": list(people),
        "termsOfService": TERMS,
        **more,
    }


def contact(email: str, **more: Any) -> dict[str, Any]:
    return {"userData": {"userIdentifiers": [{"emailAddress": email}]}, **more}


def address(first: str, zip_code: str) -> dict[str, Any]:
    parts = {"givenName": first, "familyName": BOB, "regionCode": "US", "postalCode": zip_code}
    return {"userData": {"userIdentifiers": [{"address": parts}]}}


def without_terms(body: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name != "termsOfService"}


def customer_list(action: str, *items: str, **more: Any) -> dict[str, Any]:
    data = {
        "ActionType": action,
        "AudienceId": "7",
        "CustomerListItemSubType": "Email",
        "CustomerListItems": list(items),
    }
    return {"CustomerListUserData": {**data, **more}}


def elements(action: str, kind: str, value: str) -> dict[str, Any]:
    return {"elements": [{"action": action, "userIds": [{"idType": kind, "idValue": value}]}]}


def companies(action: str, **company: str) -> dict[str, Any]:
    return {"elements": [{"action": action, **company}]}


def update(effective: str, expires: str) -> list[Any]:
    params = {"effective_at": effective, "expires_at": expires, "users": [{"email": [ANN]}]}
    return [{"operation_type": "Update", "params": params}]


CASES = [
    Case(
        "an unsubscription without its optional member removes",
        "iterable_lists",
        [
            ("POST", SUBSCRIBE, lists(MAIL, "bob@example.com", updateExistingUsersOnly=True), 200),
            ("POST", UNSUBSCRIBE, lists(MAIL), 200),
        ],
        {"7": [{("email", "bob@example.com")}]},
    ),
    Case(
        "optional members of a subscription",
        "iterable_lists",
        [
            ("POST", SUBSCRIBE, {"listId": 7, "subscribers": [{"email": MAIL, "dataFields": {"n": 1}, "preferUserId": True}]}, 200),
            ("POST", UNSUBSCRIBE, lists("bob@example.com", campaignId=None, channelUnsubscribe=True), 200),
            ("POST", SUBSCRIBE, lists("nope"), 400),
            ("POST", SUBSCRIBE, lists(MAIL, channel=1), 400),
        ],
        {"7": [{("email", MAIL)}]},
    ),
    Case(
        "the audience is the attribute that is true or false, wherever it stands",
        "braze_audiences",
        [
            ("POST", TRACK, {"attributes": [{"external_id": "a", "loyal": True}, {"loyal": True, "external_id": "b", "first_name": "Bob"}]}, 200),
            ("POST", TRACK, {"attributes": [{"external_id": "a", "loyal": False, "new": True}]}, 200),
            ("POST", TRACK, {"attributes": [{"email": MAIL, "loyal": True}]}, 200),
            ("POST", TRACK, {"attributes": [{"external_id": "c", "email": MAIL, "new": True}]}, 200),
        ],
        {
            "loyal": [{("external_id", "b")}, {("email", MAIL)}],
            "new": [{("external_id", "a")}, {("external_id", "c")}],
        },
    ),
    Case(
        "aliases, events and profiles without an audience are taken, and nobody's membership changes",
        "braze_audiences",
        [
            ("POST", TRACK, {"attributes": [{"user_alias": {"alias_name": "a", "alias_label": "b"}, "loyal": True}]}, 200),
            ("POST", TRACK, {"attributes": [{"external_id": "a", "first_name": "Ann", "_update_existing_only": False}]}, 200),
            ("POST", TRACK, {"events": [{"external_id": "a", "name": "x", "time": "2026-01-01T00:00:00Z"}]}, 200),
            ("POST", TRACK, {"attributes": [{"external_id": "a", "braze_id": "b", "loyal": True}]}, 400),
            ("POST", TRACK, {"attributes": [{"loyal": True}]}, 400),
            ("POST", TRACK, {}, 400),
        ],
        {"loyal": []},
    ),
    Case(
        "rows of several audiences, and fewer columns",
        "tiktok_audiences",
        [
            ("POST", MAPPING, rows("add", ["EMAIL_SHA256"], [cell(ANN, "7")], [cell(BOB, "8", "9")]), 200),
            ("POST", MAPPING, rows("delete", ["PHONE_SHA256", "EMAIL_SHA256"], [{}, cell(BOB, "8")]), 200),
            ("POST", MAPPING, rows("add", ["EMAIL"], [cell(ANN, "7")]), 200),
        ],
        {"7": [{("EMAIL_SHA256", ANN)}], "8": [], "9": [{("EMAIL_SHA256", BOB)}]},
    ),
    Case(
        "MD5 and SHA-256 side by side",
        "tiktok_audiences",
        [("POST", MAPPING, rows("add", ["AAID_MD5", "EMAIL_SHA256"], [cell(ANN[:32], "7"), cell(ANN, "7")]), 200)],
        {"7": [{("AAID_MD5", ANN[:32]), ("EMAIL_SHA256", ANN)}]},
    ),
    Case(
        "several destinations, consent of a member, and the words of enums as numbers",
        "google_customer_match",
        [
            ("POST", INGEST, members(contact(ANN, consent={"adUserData": 1}), audiences=("7", "8"), encoding=1), 200),
            ("POST", INGEST, members(contact(ANN_64), audiences=("9",), encoding="BASE64"), 200),
            ("POST", INGEST, members({"mobileData": {"mobileIds": ["m"]}}), 200),
            ("POST", INGEST, members(contact(BOB), encoding="HEX", validateOnly=True), 200),
            ("POST", INGEST, members(contact(ANN_64), encoding="HEX"), 400),
            ("POST", INGEST, members(contact(ANN)), 400),
            ("POST", INGEST, members(contact(ANN), {"userIdData": {"userId": "u"}}, encoding="HEX"), 400),
        ],
        {
            "7": [{("emailAddress", ANN)}, {("mobileId", "m")}],
            "8": [{("emailAddress", ANN)}],
            "9": [{("emailAddress", ANN_64)}],
        },
    ),
    Case(
        "a postal address is one identifier",
        "google_customer_match",
        [
            ("POST", INGEST, members(address(ANN, "94043"), address(ANN, "10001"), address(BOB, "94043"), encoding="HEX"), 200),
            ("POST", INGEST, members({"userData": {"userIdentifiers": [{"address": {"givenName": ANN}}]}}, encoding="HEX"), 400),
            ("POST", DELETE, without_terms(members(address(ANN, "94043"), encoding="HEX")), 200),
        ],
        {"7": [{("address", f"{ANN}\x1f{BOB}\x1fUS\x1f10001")}, {("address", f"{BOB}\x1f{BOB}\x1fUS\x1f94043")}]},
    ),
    Case(
        "replacing a list",
        "microsoft_customer_lists",
        [
            ("POST", APPLY, customer_list("Add", ANN, AcceptCustomerMatchTerm=None), 200),
            ("POST", APPLY, customer_list("Replace", BOB, AcceptCustomerMatchTerm=False), 200),
        ],
        {"7": [{("Email", BOB)}]},
    ),
    Case(
        "a peer's id beside the rows",
        "snapchat_audiences",
        [
            ("POST", SEGMENT, {"users": [{"schema": ["EMAIL_SHA256"], "data": [[ANN], [BOB]]}]}, 200),
            ("DELETE", SEGMENT, {"users": [{"data": [[BOB]], "id": "7", "schema": ["EMAIL_SHA256"]}]}, 200),
        ],
        {SEGMENT: [{("EMAIL_SHA256", ANN)}]},
    ),
    Case(
        "all kinds of ids",
        "linkedin_audiences",
        [
            ("POST", ELEMENTS, elements("ADD", "SHA256_EMAIL", ANN), 200),
            ("POST", ELEMENTS, elements("ADD", "SHA512_EMAIL", "0" * 128), 200),
            ("POST", ELEMENTS, elements("ADD", "SHA512_EMAIL", ANN), 400),
        ],
        {ELEMENTS: [{("SHA256_EMAIL", ANN)}, {("SHA512_EMAIL", "0" * 128)}]},
        LINKEDIN,
    ),
    Case(
        "companies",
        "linkedin_audiences",
        [
            ("POST", COMPANIES, companies("ADD", companyName="A", companyWebsiteDomain="a.example"), 200),
            ("POST", COMPANIES, companies("ADD", organizationUrn="urn:li:organization:1"), 200),
            ("POST", COMPANIES, companies("REMOVE", companyWebsiteDomain="a.example"), 200),
            ("POST", COMPANIES, companies("ADD", city="Bonn"), 400),
            ("POST", COMPANIES, elements("ADD", "SHA256_EMAIL", ANN), 400),
        ],
        {COMPANIES: [{("organizationUrn", "urn:li:organization:1")}]},
        LINKEDIN,
    ),
    Case(
        "no headers of the version",
        "linkedin_audiences",
        [("POST", ELEMENTS, elements("ADD", "SHA256_EMAIL", ANN), 400)],
        {},
        {**LINKEDIN, "linkedin-version": "1"},
    ),
    Case(
        "an end before the beginning",
        "x_custom_audiences",
        [
            ("POST", USERS, update("2026-02-01T00:00:00Z", "2026-01-01T00:00:00Z"), 400),
            ("POST", USERS, update("2026-02-01T00:00:00Z", "2026-02-01T00:00:00Z"), 400),
            ("POST", USERS, update("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"), 200),
        ],
        {USERS: [{("email", ANN)}]},
    ),
    Case(
        "the name of the list is the setting's",
        "webhook",
        [
            ("POST", "", {"people": [{"action": "add", "external_id": ["a"]}]}, 200),
            ("POST", "", {"action": "add", "external_id": ["b"]}, 200),
            ("POST", "", {"persons": [{"action": "add", "external_id": ["c"]}]}, 400),
            ("POST", "", [{"action": "add", "external_id": ["d"]}], 400),
        ],
        {"audience ": [{("external_id", "a")}, {("external_id", "b")}]},
        settings={"url": "https://vendor.example.com", "list_name": "people", "method": "POST"},
    ),
    Case(
        "a list without a name",
        "webhook",
        [("POST", "", [{"action": "add", "external_id": ["a"]}], 200)],
        {"audience ": [{("external_id", "a")}]},
        settings={"url": "https://vendor.example.com", "list_name": "", "method": "POST"},
    ),
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[f"{case.vendor}: {case.name}" for case in CASES])
def test_a_vendor_for_any_client(case: Case) -> None:
    vendor = Vendor(destination(case.vendor), settings=case.settings)
    for method, path, body, status in case.requests:
        answered, answer = send(vendor, method, path, body, case.headers)
        assert answered == status, answer
    held = {one.path: vendor.members(one.path) for one in vendor.holdings()}
    expected = {path: list(map(frozenset, people)) for path, people in case.held.items()}
    assert held.keys() == expected.keys()
    for path, people in held.items():
        assert sorted(map(sorted, people)) == sorted(map(sorted, expected[path])), path


# --- an object as a form, or in the query ---

TOKEN = "a token of a test"
FORM = {"content-type": "application/x-www-form-urlencoded"}
PAYLOAD = orjson.dumps({"schema": "EMAIL_SHA256", "data": [ANN, BOB], "is_raw": False}).decode()
COLUMNS = orjson.dumps(
    {"schema": ["PHONE", "FN", "EMAIL"], "data": [["", "x", BOB]], "is_raw": True}
).decode()


def meta() -> Vendor:
    return Vendor(
        destination("meta_custom_audiences"),
        verifier=AuthVerifier(AuthConfig("bearer", ("access_token",)), {"access_token": TOKEN}),
    )


def test_the_body_as_a_form_and_in_the_query() -> None:
    vendor = meta()
    query = urlencode({"access_token": TOKEN})
    form = urlencode({"payload": PAYLOAD}).encode()
    assert send(vendor, "POST", f"{META}?{query}", form, FORM)[0] == 200
    assert set(vendor.members(META)) == {frozenset({("EMAIL", ANN)}), frozenset({("EMAIL", BOB)})}
    query = urlencode({"access_token": TOKEN, "payload": COLUMNS, "appsecret_proof": "a"})
    assert send(vendor, "DELETE", f"{META}?{query}", b"", {})[0] == 200
    assert vendor.members(META) == [frozenset({("EMAIL", ANN)})]


def test_members_in_the_query_and_others_in_json() -> None:
    vendor = meta()
    query = urlencode({"access_token": TOKEN, "payload": PAYLOAD})
    assert send(vendor, "POST", f"{META}?{query}", {"id": "7"})[0] == 200
    assert set(vendor.members(META)) == {frozenset({("EMAIL", ANN)}), frozenset({("EMAIL", BOB)})}
    # the body comes first where both have a member
    body = {"payload": {"schema": ["EMAIL"], "data": [[ANN]]}}
    assert send(vendor, "DELETE", f"{META}?{query}", body)[0] == 200
    assert vendor.members(META) == [frozenset({("EMAIL", BOB)})]


def test_members_in_the_query_are_only_for_those_who_take_them() -> None:
    vendor = Vendor(destination("iterable_lists"))
    body = {"subscribers": [{"email": MAIL}]}
    assert send(vendor, "POST", f"{SUBSCRIBE}?listId=7", body)[0] == 400
    assert send(vendor, "POST", f"{SUBSCRIBE}?other=7", {"listId": 7, **body})[0] == 200


@pytest.mark.parametrize("schema", ["MADID", "MOBILE_ADVERTISER_ID", ["MADID"]])
def test_a_device_id_that_is_hashed(schema: Any) -> None:
    vendor = Vendor(destination("meta_custom_audiences"))
    device = "38400000-8CF0-11BD-B23E-10B96E40000D"
    for value, status in ((ANN, 400), (device, 200)):
        row = [value] if isinstance(schema, list) else value
        body = {"payload": {"schema": schema, "data": [row]}}
        assert send(vendor, "POST", META, body)[0] == status


def test_the_token_in_a_form() -> None:
    form = urlencode({"payload": PAYLOAD, "access_token": TOKEN}).encode()
    assert send(meta(), "POST", META, form, FORM)[0] == 200
    form = urlencode({"payload": PAYLOAD, "access_token": "another"}).encode()
    status, answer = send(meta(), "POST", META, form, FORM)
    assert (status, answer["error"]["code"]) == (401, 190)
    assert send(meta(), "POST", META, urlencode({"payload": PAYLOAD}).encode(), FORM)[0] == 401


@pytest.mark.parametrize(
    "payload", ["", "[", "5", '{"schema": "EMAIL", "data": ["ann@example.com"]}', "{}"]
)
def test_a_form_that_is_no_body(payload: str) -> None:
    form = urlencode({"payload": payload, "access_token": TOKEN}).encode()
    status, answer = send(meta(), "POST", META, form, FORM)
    assert status == 400
    assert "ann@" not in str(answer)


def test_a_form_is_only_for_those_who_take_it() -> None:
    vendor = Vendor(destination("iterable_lists"))
    form = urlencode({"listId": "7", "subscribers": "[]"}).encode()
    assert send(vendor, "POST", SUBSCRIBE, form, FORM)[0] == 415
