"""Microsoft's own library, `msads`: the service's address and the token endpoint are changed."""

from __future__ import annotations

import json
from functools import cache
from importlib.metadata import version
from typing import Any

import pytest

from tests.witness.kit import Client, Visit, assert_refused, assert_taken, digest, needs

# pydantic warns of how the models of this library are written
needs("msads", "bingads.service_client", ignoring="`__get_validators__` is deprecated")

from bingads.authorization import (
    AuthorizationData,
    OAuthTokenRequestException,
    OAuthWebAuthCodeGrant,
    _UriOAuthService,
)
from bingads.service_client import ServiceClient
from openapi_client.exceptions import ApiException, BadRequestException, UnauthorizedException
from openapi_client.models.campaign.apply_customer_list_user_data_request import (
    ApplyCustomerListUserDataRequest,
)
from openapi_client.models.campaign.customer_list_user_data import CustomerListUserData

LIST = "54321"
ANN = digest("ann@example.com")
BEN = digest("ben@example.com")
CEM = "crm-7"
DORA = digest("dora@example.com")
EVE = digest("eve@example.com")
TOKENS = ("production", "msads.manage")


def _says(told: Any) -> str:
    if isinstance(told, OAuthTokenRequestException):
        return f"`{type(told).__name__}`: {told.error_code}, {told.error_description}"
    if isinstance(told, ApiException):
        return f"`{type(told).__name__}` {told.status}: {_codes(told)}"
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`"
    return f"{len(told.partial_errors)} partial errors"


def _codes(error: ApiException) -> str:
    return ", ".join(one["ErrorCode"] for one in json.loads(error.body)["Errors"])


@cache
def visit() -> Visit:
    known = {
        "Ann": {("Email", ANN)},
        "Ben": {("Email", BEN)},
        "Cem": {("CRM", CEM)},
        "Dora": {("Email", DORA)},
        "Eve": {("Email", EVE)},
    }
    client = Client("Microsoft", "`msads`", version("msads"), "Python")
    seen = Visit(client, "microsoft_customer_lists", known, _says)
    endpoints = dict(_UriOAuthService.AUTH_TOKEN_URI)
    with seen.server() as server:
        for key in endpoints:
            _UriOAuthService.AUTH_TOKEN_URI[key] = server.token_url
        try:
            _use(seen, server.base_url)
        finally:
            _UriOAuthService.AUTH_TOKEN_URI.update(endpoints)
    return seen


def _service(secrets: dict[str, str], url: str, **changed: str) -> ServiceClient:
    secrets = {**secrets, **changed}
    grant = OAuthWebAuthCodeGrant(
        secrets["client_id"], secrets["client_secret"], "http://localhost"
    )
    grant.request_oauth_tokens_by_refresh_token(secrets["refresh_token"])
    data = AuthorizationData(87654321, 1234567, secrets["developer_token"], grant)
    return ServiceClient("CampaignManagementService", 13, data, location=url)


def _apply(service: ServiceClient, action: str, kind: str, *items: str, **more: Any) -> Any:
    data = CustomerListUserData(
        AudienceId=LIST,
        ActionType=action,
        CustomerListItemSubType=kind,
        CustomerListItems=list(items),
        **more,
    )
    request = ApplyCustomerListUserDataRequest(CustomerListUserData=data)
    return service.apply_customer_list_user_data(request)


def _use(seen: Visit, url: str) -> None:
    service = _service(seen.secrets, url)
    seen.adds("Ann and Ben by e-mail", lambda: _apply(service, "Add", "Email", ANN, BEN))
    seen.adds("Cem by a CRM id", lambda: _apply(service, "Add", "CRM", CEM))
    seen.removes("Ben", lambda: _apply(service, "Remove", "Email", BEN))

    term = {"AcceptCustomerMatchTerm": False}
    seen.adds(
        "Dora, without accepting the terms", lambda: _apply(service, "Add", "Email", DORA, **term)
    )
    seen.adds("Dora in place of all", lambda: _apply(service, "Replace", "Email", DORA))
    other = _service(seen.secrets, url, developer_token="wrong")
    seen.is_refused("with a wrong developer token", lambda: _apply(other, "Add", "Email", EVE))
    plain = "eve@example.com"
    seen.is_refused(
        "with an e-mail address in plain text", lambda: _apply(service, "Add", "Email", plain)
    )
    seen.is_refused(
        "with a wrong client secret", lambda: _service(seen.secrets, url, client_secret="x")
    )


@pytest.mark.parametrize(
    ("step", "held"),
    [
        ("Ann and Ben by e-mail", ["Ann", "Ben"]),
        ("Cem by a CRM id", ["Ann", "Ben", "Cem"]),
        ("Ben", ["Ann", "Cem"]),
        ("Dora, without accepting the terms", ["Ann", "Cem", "Dora"]),
        ("Dora in place of all", ["Dora"]),
    ],
)
def test_people_are_added_and_removed(step: str, held: list[str]) -> None:
    assert assert_taken(visit(), step, {LIST: held}).partial_errors == []


@pytest.mark.parametrize(
    ("step", "kind", "codes"),
    [
        ("with a wrong developer token", UnauthorizedException, "InvalidCredentials"),
        (
            "with an e-mail address in plain text",
            BadRequestException,
            "ApiInputValidationError",
        ),
    ],
)
def test_what_is_wrong_is_refused(step: str, kind: type[Exception], codes: str) -> None:
    assert _codes(assert_refused(visit(), step, kind)) == codes


def test_a_wrong_client_secret_gets_no_token() -> None:
    kind = OAuthTokenRequestException
    error = assert_refused(visit(), "with a wrong client secret", kind)
    assert error.error_code == "invalid_client"


def test_the_refusal_of_a_token_is_explained() -> None:
    assert visit().step("with a wrong client secret").error.error_description
