"""Google's own library, `google-ads-datamanager`: host and token endpoint are given to it."""

from __future__ import annotations

from base64 import b64encode
from functools import cache
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.witness.kit import Client, Held, Visit, assert_refused, assert_taken, digest, needs

needs("google-ads-datamanager", "google.ads.datamanager_v1", "google.ads.datamanager_util")

from google.ads import datamanager_v1 as dm
from google.ads.datamanager_util.format import Encoding, Formatter
from google.ads.datamanager_v1.services.ingestion_service.transports.rest import (
    IngestionServiceRestTransport,
)
from google.api_core import exceptions
from google.auth.exceptions import RefreshError
from google.oauth2.credentials import Credentials

DEVICE = "38400000-8cf0-11bd-b23e-10b96e40000d"


def _base64(text: str) -> str:
    return b64encode(bytes.fromhex(digest(text))).decode()


def _member(*emails: str, encoding: Encoding = Encoding.HEX, **more: Any) -> dm.AudienceMember:
    formatter = Formatter()
    identifiers = []
    for email in emails:
        text = formatter.process_email_address(email, encoding)
        identifiers.append(dm.UserIdentifier(email_address=text))
    return dm.AudienceMember(user_data=dm.UserData(user_identifiers=identifiers), **more)


def _phone(number: str) -> dm.AudienceMember:
    text = Formatter().process_phone_number(number, Encoding.HEX)
    identifiers = [dm.UserIdentifier(phone_number=text)]
    return dm.AudienceMember(user_data=dm.UserData(user_identifiers=identifiers))


def _device(text: str) -> dm.AudienceMember:
    return dm.AudienceMember(mobile_data=dm.MobileData(mobile_ids=[text]))


def _destination(audience: str) -> dm.Destination:
    account = dm.ProductAccount(account_type="GOOGLE_ADS", account_id="1234567890")
    return dm.Destination(operating_account=account, product_destination_id=audience)


def _request(
    kind: Any, *members: dm.AudienceMember, to: tuple[str, ...] = ("9",), **more: Any
) -> Any:
    destinations = [_destination(audience) for audience in to]
    return kind(destinations=destinations, audience_members=list(members), **more)


def _says(told: Any) -> str:
    if isinstance(told, exceptions.GoogleAPICallError):
        return f"`{type(told).__name__}` {told.code}, reason {told.reason}"
    if isinstance(told, RefreshError):
        return f"`{type(told).__name__}`: {told.args[0]}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    return "a request id" if told.request_id else "no request id"


@cache
def visit() -> Visit:
    known = {
        "Ann": {
            ("emailAddress", digest("ann@example.com")),
            ("emailAddress", digest("ann@work.example")),
        },
        "Ben": {("emailAddress", digest("ben@example.com"))},
        "Cem": {("phoneNumber", digest("+12025550123"))},
        "Dora": {("emailAddress", digest("dora@example.com"))},
        "Eve": {("emailAddress", digest("eve@example.com"))},
        "Fay": {("mobileId", DEVICE)},
        "Gil": {("emailAddress", _base64("gil@example.com"))},
    }
    package = "google-ads-datamanager"
    client = Client("Google", f"`{package}`", version(package), "Python")
    seen = Visit(client, "google_customer_match", known, _says)
    with seen.server() as server:
        _use(seen, server.base_url, server.token_url)
    return seen


def _client(url: str, token: str | None = None, **oauth: str) -> dm.IngestionServiceClient:
    transport = IngestionServiceRestTransport(
        host=urlsplit(url).netloc,
        credentials=Credentials(token, **oauth),
        url_scheme="http",
    )
    return dm.IngestionServiceClient(transport=transport)


def _use(seen: Visit, url: str, token_url: str) -> None:
    oauth = {"token_uri": token_url, **seen.secrets}
    google = _client(url, **oauth)
    ann, ben = _member("Ann@Example.com", "ann@work.example"), _member("ben@example.com")
    cem, dora, eve = (
        _phone("+1 202-555-0123"),
        _member("dora@example.com"),
        _member("eve@example.com"),
    )
    gil = _member("gil@example.com", encoding=Encoding.BASE64)

    def ingest(*members: dm.AudienceMember, client: Any = google, **more: Any) -> Any:
        terms = dm.TermsOfService(customer_match_terms_of_service_status="ACCEPTED")
        more = {"encoding": dm.Encoding.HEX, "terms_of_service": terms, **more}
        return client.ingest_audience_members(
            _request(dm.IngestAudienceMembersRequest, *members, **more)
        )

    def remove(*members: dm.AudienceMember, **more: Any) -> Any:
        more = {"encoding": dm.Encoding.HEX, **more}
        return google.remove_audience_members(
            _request(dm.RemoveAudienceMembersRequest, *members, **more)
        )

    seen.adds("Ann, Ben and Cem", lambda: ingest(ann, ben, cem))
    seen.removes("Ben", lambda: remove(ben))
    consent = dm.Consent(ad_user_data="CONSENT_GRANTED")
    with_consent = _member("dora@example.com", consent=consent)
    seen.adds("Dora, with a consent of her own", lambda: ingest(with_consent))
    seen.adds("Dora to two lists", lambda: ingest(dora, to=("9", "10")))
    seen.removes("Dora from two lists", lambda: remove(dora, to=("9", "10")))
    nothing = dm.Encoding.ENCODING_UNSPECIFIED
    seen.adds(
        "Fay's device, without an encoding", lambda: ingest(_device(DEVICE), encoding=nothing)
    )
    seen.adds("Gil in Base64", lambda: ingest(gil, encoding=dm.Encoding.BASE64))
    seen.tries("Eve, to be validated only", lambda: ingest(eve, validate_only=True))
    ended = _client(url, "ended", **oauth)
    seen.adds("Ben, with a token that has ended", lambda: ingest(ben, client=ended))

    other = _client(url, **{**oauth, "client_secret": "wrong"})
    seen.is_refused("with a wrong client secret", lambda: ingest(eve, client=other))
    user_data = dm.UserData(user_identifiers=[dm.UserIdentifier(email_address="eve@example.com")])
    plain = dm.AudienceMember(user_data=user_data)
    seen.is_refused("with an e-mail address in plain text", lambda: ingest(eve, plain))
    seen.is_refused("without the terms of service", lambda: ingest(eve, terms_of_service=None))


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann, Ben and Cem", {"9": ["Ann", "Ben", "Cem"]}),
        ("Ben", {"9": ["Ann", "Cem"]}),
        ("Dora, with a consent of her own", {"9": ["Ann", "Cem", "Dora"]}),
        ("Dora to two lists", {"10": ["Dora"], "9": ["Ann", "Cem", "Dora"]}),
        ("Dora from two lists", {"9": ["Ann", "Cem"]}),
        ("Fay's device, without an encoding", {"9": ["Ann", "Cem", "Fay"]}),
        ("Gil in Base64", {"9": ["Ann", "Cem", "Fay", "Gil"]}),
        ("Eve, to be validated only", {"9": ["Ann", "Cem", "Fay", "Gil"]}),
        ("Ben, with a token that has ended", {"9": ["Ann", "Ben", "Cem", "Fay", "Gil"]}),
    ],
)
def test_people_are_added_and_removed(step: str, held: Held) -> None:
    assert assert_taken(visit(), step, held).request_id


@pytest.mark.parametrize(
    "step", ["with an e-mail address in plain text", "without the terms of service"]
)
def test_what_is_wrong_is_refused_with_a_reason(step: str) -> None:
    error = assert_refused(visit(), step, exceptions.BadRequest)
    assert error.reason


def test_a_wrong_client_secret_gets_no_token() -> None:
    error = assert_refused(visit(), "with a wrong client secret", RefreshError)
    assert error.args[1]["error"] == "invalid_client"
