"""LinkedIn's own library, `linkedin-api-client`: the addresses in its constants are changed, nothing else."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version
from typing import Any

import pytest

from tests.witness.kit import Client, Visit, assert_refused, assert_taken, digest, needs

needs("linkedin-api-client", "linkedin_api")

from linkedin_api.clients.restli.client import RestliClient
from linkedin_api.common import constants
from linkedin_api.common.errors import ResponseFormattingError

SEGMENT = "/rest/dmpSegments/10804/users"
DEVICE = "38400000-8cf0-11bd-b23e-10b96e40000d"
ANN = {"SHA256_EMAIL": digest("ann@example.com"), "GOOGLE_AID": DEVICE}
BEN = {"SHA256_EMAIL": digest("ben@example.com")}
CEM = {"SHA256_EMAIL": digest("cem@example.com")}
EVE = {"SHA256_EMAIL": digest("eve@example.com")}


def _element(action: str, person: dict[str, str], **more: str) -> dict[str, Any]:
    ids = [{"idType": kind, "idValue": value} for kind, value in person.items()]
    return {"action": action, "userIds": ids, **more}


def _says(told: Any) -> str:
    if isinstance(told, Exception):
        return f"`{type(told).__name__}`; {told.args[0]['status']} in the body"
    return ", ".join(str(element.status) for element in told.elements)


class _Caller:
    """Calls for one segment, and keeps the last answer: the client's errors do not have it."""

    def __init__(self, token: str, version_string: str | None = "202608") -> None:
        self._client = RestliClient()
        self._send = self._client.session.send
        self._client.session.send = self._keeping
        self._token, self._version = token, version_string

    def _keeping(self, request: Any) -> Any:
        self._answer = self._send(request)
        return self._answer

    def __call__(self, *elements: dict[str, Any]) -> Any:
        try:
            with self._client.session:
                return self._client.batch_create(
                    resource_path="/dmpSegments/{id}/users",
                    path_keys={"id": 10804},
                    entities=list(elements),
                    access_token=self._token,
                    version_string=self._version,
                )
        except ResponseFormattingError as error:
            error.args = (self._answer.json(),)
            raise


@cache
def visit() -> Visit:
    people = {"Ann": ANN, "Ben": BEN, "Cem": CEM, "Eve": EVE}
    known = {name: set(person.items()) for name, person in people.items()}
    client = Client("LinkedIn", "`linkedin-api-client`", version("linkedin-api-client"), "Python")
    seen = Visit(client, "linkedin_audiences", known, _says)

    urls = constants.VERSIONED_BASE_URL, constants.NON_VERSIONED_BASE_URL
    with seen.server() as server:
        # both are the versioned one, to try it without a version
        constants.VERSIONED_BASE_URL = constants.NON_VERSIONED_BASE_URL = f"{server.base_url}/rest"
        try:
            _use(seen)
        finally:
            constants.VERSIONED_BASE_URL, constants.NON_VERSIONED_BASE_URL = urls
    return seen


def _use(seen: Visit) -> None:
    call = _Caller(seen.secrets["access_token"])
    ann = _element("ADD", ANN, firstName="Ann", lastName="Lee", company="Acme", country="US")
    three = ann, _element("ADD", BEN), _element("ADD", CEM)
    seen.adds("Ann, Ben and Cem", lambda: call(*three))
    seen.removes("Ben", lambda: call(_element("REMOVE", BEN)))

    seen.is_refused("with a wrong token", lambda: _Caller("wrong")(_element("ADD", EVE)))
    plain = _element("ADD", {"SHA256_EMAIL": "eve@example.com"})
    seen.is_refused("with an e-mail address in plain text", lambda: call(plain))
    without = _Caller(seen.secrets["access_token"], None)
    seen.is_refused("without a version", lambda: without(_element("ADD", EVE)))


def test_people_are_added_and_removed() -> None:
    answer = assert_taken(visit(), "Ann, Ben and Cem", {SEGMENT: ["Ann", "Ben", "Cem"]})
    assert [element.status for element in answer.elements] == [201, 201, 201]
    answer = assert_taken(visit(), "Ben", {SEGMENT: ["Ann", "Cem"]})
    assert [element.status for element in answer.elements] == [201]


@pytest.mark.parametrize(
    ("step", "status"),
    [
        ("with a wrong token", 401),
        ("with an e-mail address in plain text", 400),
        ("without a version", 400),
    ],
)
def test_what_is_wrong_is_refused(step: str, status: int) -> None:
    error = assert_refused(visit(), step, ResponseFormattingError)
    [body] = error.args
    assert body["status"] == status
    assert body["message"]
