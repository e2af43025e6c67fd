"""The sandbox: what it refuses and in which order, what it remembers, how it fails on request, and the same over HTTP."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.auth.base import Message
from connector.auth.oauth1 import OAuth1
from connector.definitions.catalog import load
from connector.definitions.metaschema import own_folder
from connector.definitions.model import AuthConfig, Destination, Rate
from connector.sandbox import server as sandbox_server
from connector.sandbox.audiences import Audience
from connector.sandbox.faults import Fault, parse_fault
from connector.sandbox.rate_windows import RateWindows
from connector.sandbox.server import SandboxServer
from connector.sandbox.vendor import Answer, Holding, Vendor
from connector.sandbox.verify import Verifier
from connector.templating.template import RenderError
from tests.kit import destination as a_destination
from tests.kit.auth import OAuth1BothHalves
from tests.kit.clock import FakeClock
from tests.kit.destination import SOURCE, email

X = "x_custom_audiences"
ORIGIN = "https://ads.example.com"
USERS = "/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
DNR = "/12/batch/accounts/18ce54d4x5t/do_not_reach_lists/4kzrq/users"
JSON = {"Content-Type": "application/json"}
SECRETS = {name: f"{name} of a test" for name in OAuth1.CREDENTIALS}
AUTH = {
    "scheme": "oauth1",
    "source": SOURCE,
}

pytestmark = pytest.mark.filterwarnings("error")


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


ANN, BOB, CYD = (digest(f"{name}@example.com") for name in ("ann", "bob", "cyd"))


@cache
def vendor() -> Destination:
    return load(own_folder(), X)


@pytest.fixture
def x() -> Destination:
    return vendor()


def operation(kind: str, *users: Mapping[str, Sequence[str]], **params: str) -> dict[str, Any]:
    return {"operation_type": kind, "params": {"users": list(users), **params}}


def post(
    sandbox: Vendor, body: Any, path: str = USERS, headers: Mapping[str, str] = JSON
) -> Answer:
    content = body if isinstance(body, bytes) else orjson.dumps(body)
    answer = sandbox.answer("POST", ORIGIN + path, headers, content)
    assert isinstance(answer, Answer)
    return answer


def read(answer: Answer) -> tuple[int, Any]:
    return answer.status, orjson.loads(answer.body)


# --- tiny definitions ---

PERSON = {
    "type": "object",
    "person": True,
    "properties": {"email": {"identifier": True}, "phone": {"identifier": True}},
}
PEOPLE = {
    "type": "object",
    "properties": {"people": {"type": "array", "items": PERSON}},
    "required": ["people"],
}
DO = {"operation": {"add": "add", "remove": "remove", "replace": "replace"}}
GROUPS = {"type": "array", "items": {"properties": {"do": DO, "people": {"items": PERSON}}}}


def action(
    method: str = "POST", path: str = "/lists/{list_id}/people", **members: Any
) -> dict[str, Any]:
    list_id = {"title": "List", "description": "The list.", "type": "string"}
    parameters = {"list_id": list_id, "email": email(), "phone": email()}
    return a_destination.action(parameters, method=method, path=path, **members)


def define(
    root: Path,
    actions: Mapping[str, Mapping[str, Any]],
    templates: Mapping[str, str] | None = None,
    files: Mapping[str, Any] | None = None,
    **members: Any,
) -> Destination:
    members = {"base_url": ORIGIN, "auth": AUTH, **members}
    return a_destination.write_destination(root, actions, templates, files, **members).load("tiny")


def tiny(
    root: Path, contract: Any = PEOPLE, *, limits: Any = None, **templates: str
) -> Destination:
    return define(
        root,
        {"add": action(accepts="people.accepts.json")},
        templates,
        {"people.accepts": contract},
        limits={"caps": limits or {}, "source": SOURCE},
        sandbox={name: f"{name}.json.j2" for name in templates},
    )


LIST = "/lists/7/people"

# --- success and membership ---


def test_success_is_what_the_destination_declares(x: Destination) -> None:
    sandbox = Vendor(x)
    answer = post(
        sandbox, [operation("Update", {"email": [ANN]}, {"email": [BOB], "handle": [CYD]})]
    )
    params = {"account_id": "18ce54d4x5t", "custom_audience_id": "1nmth"}
    assert read(answer) == (
        200,
        {"request": {"params": params}, "data": {"success_count": 2, "total_count": 2}},
    )
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-current-api-version"] == "12"
    assert sandbox.holdings() == [Holding(USERS, 2, 3)]
    assert set(sandbox.members(USERS)) == {
        frozenset({("email", ANN)}),
        frozenset({("email", BOB), ("handle", CYD)}),
    }


def test_an_action_overrides_how_the_destination_answers(x: Destination) -> None:
    expires = "2026-12-31T00:00:00Z"
    body = [
        operation("Update", {"email": [ANN]}, {"email": [BOB]}, expires_at=expires),
        operation("Delete", {"email": [CYD]}, expires_at=expires),
    ]
    status, answer = read(post(Vendor(x), body, DNR))
    assert status == 200
    assert answer["data"] == [
        {"success_count": 2, "total_count": 2},
        {"success_count": 1, "total_count": 1},
    ]


def test_any_identifier_finds_the_person(x: Destination) -> None:
    sandbox = Vendor(x)
    post(sandbox, [operation("Update", {"email": [ANN, BOB], "handle": [CYD]}, {"email": [CYD]})])
    post(sandbox, [operation("Delete", {"email": [BOB], "twitter_id": [ANN]})])
    assert sandbox.members(USERS) == [frozenset({("email", CYD)})]


def test_people_that_share_an_identifier_become_one(x: Destination) -> None:
    sandbox = Vendor(x)
    post(sandbox, [operation("Update", {"email": [ANN]}, {"email": [BOB]}, {"email": [ANN, BOB]})])
    assert sandbox.members(USERS) == [frozenset({("email", ANN), ("email", BOB)})]
    assert sandbox.holdings() == [Holding(USERS, 1, 2)]


def test_audiences_are_apart_and_sorted_and_a_removal_touches_one(x: Destination) -> None:
    sandbox = Vendor(x)
    second, first = USERS.replace("1nmth", "b"), USERS.replace("1nmth", "a")
    post(sandbox, [operation("Update", {"email": [ANN]})], second)
    post(sandbox, [operation("Delete", {"email": [ANN]})], first)
    post(sandbox, [], USERS)
    assert sandbox.holdings() == [Holding(first, 0, 0), Holding(second, 1, 1)]
    assert sandbox.members(first) == sandbox.members("/unknown") == []


def test_one_audience_whatever_the_escaping(x: Destination) -> None:
    sandbox = Vendor(x)
    answer = post(
        sandbox, [operation("Update", {"email": [ANN]})], USERS.replace("1nmth", "1%6Em%20th")
    )
    assert read(answer)[1]["request"]["params"]["custom_audience_id"] == "1nm th"
    assert [held.path for held in sandbox.holdings()] == [USERS.replace("1nmth", "1nm%20th")]


IDENTIFIERS = st.tuples(st.sampled_from(["email", "handle"]), st.sampled_from("abcdefgh"))
SOMEBODY = st.frozensets(IDENTIFIERS, min_size=1, max_size=4)
CHANGES = st.lists(
    st.tuples(st.sampled_from(["add", "remove"]), st.lists(SOMEBODY, max_size=4)), max_size=12
)
People = list[frozenset[tuple[str, str]]]


def naive(people: People, operation: str, persons: Sequence[frozenset[tuple[str, str]]]) -> People:
    for person in persons:
        found = [other for other in people if other & person]
        people = [other for other in people if not other & person]
        if operation == "add":
            people.append(frozenset().union(person, *found))
    return people


@given(CHANGES)
def test_membership_is_that_of_a_naive_model(
    changes: list[tuple[str, list[frozenset[tuple[str, str]]]]],
) -> None:
    audience, people = Audience(), People()
    for kind, persons in changes:
        audience.apply(kind, persons)
        people = naive(people, kind, persons)
        assert sorted(map(sorted, audience.members())) == sorted(map(sorted, people))
        assert (audience.people, audience.identifiers) == (len(people), sum(map(len, people)))


def user(person: frozenset[tuple[str, str]]) -> dict[str, list[str]]:
    wires: dict[str, list[str]] = {}
    for wire, value in sorted(person):
        wires.setdefault(wire, []).append(digest(value))
    return wires


BODIES = st.lists(
    st.tuples(st.sampled_from(["Update", "Delete"]), st.lists(SOMEBODY, min_size=1, max_size=3)),
    min_size=1,
    max_size=4,
).map(lambda groups: [operation(kind, *map(user, people)) for kind, people in groups])
DAMAGE: list[Callable[[list[Any]], Any]] = [
    lambda body: [*body, operation("Upsert", {"email": [ANN]})],
    lambda body: [*body, operation("Update", {})],
    lambda body: [*body, operation("Update", {"email": ["ann@example.com"]})],
    lambda body: [*body, {"operation_type": "Update", "params": {}}],
    lambda body: body + [operation("Update", {"email": [ANN]})] * 2500,
    lambda body: {"operations": body},
    lambda body: orjson.dumps(body)[:-1],
]


@settings(deadline=None, max_examples=40)
@given(BODIES, BODIES, st.sampled_from(DAMAGE))
def test_a_refused_request_changes_nothing(
    before: Any, body: Any, damage: Callable[[Any], Any]
) -> None:
    sandbox = Vendor(vendor())
    assert post(sandbox, before).status == 200
    held = sandbox.holdings(), sandbox.members(USERS)
    assert post(sandbox, damage(body)).status == 400
    assert (sandbox.holdings(), sandbox.members(USERS)) == held
    assert post(sandbox, body).status == 200


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(["Update", "", "a@example.com"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["operation_type", "params", "users", "email", "é"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@cache
def one_sandbox() -> Vendor:
    return Vendor(vendor(), clock=count(0.0, 60.0).__next__)


@settings(deadline=None)
@given(st.binary(max_size=40) | ANYTHING.map(lambda body: json.dumps(body).encode()))
def test_every_body_gets_an_answer_without_a_failure_of_the_definition(body: bytes) -> None:
    assert post(one_sandbox(), body).status in (200, 400)


def test_a_body_nested_without_end_is_refused(x: Destination, tmp_path: Path) -> None:
    assert post(Vendor(x), b"[" * 900 + b"]" * 900).status == 400
    body = b'{"people": ' + b"[" * 900 + b"]" * 900 + b"}"
    assert post(Vendor(tiny(tmp_path)), body, LIST).status == 400


# --- refusals, in their order ---


def test_routes(x: Destination) -> None:
    sandbox = Vendor(x)
    status, body = read(post(sandbox, [], "/12/accounts/a/b"))
    assert (status, body["errors"][0]["code"]) == (404, "NOT_FOUND")
    assert post(sandbox, [], USERS.replace("1nmth", "")).status == 404
    assert post(sandbox, [], USERS.replace("1nmth", "1/2")).status == 404
    answer = sandbox.answer("GET", ORIGIN + USERS, {}, b"")
    assert isinstance(answer, Answer)
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    refused = sandbox.answer("POST", "https://[ads", JSON, b"")
    assert isinstance(refused, Answer)
    assert refused.status == 404


def test_paths_start_with_that_of_the_base_url_and_fixed_ones_win(tmp_path: Path) -> None:
    success = {"sandbox": {"success": "search.json.j2"}}
    destination = define(
        tmp_path,
        {
            "a_get": action("POST", "/lists/{list_id}"),
            "b_search": action("POST", "/lists/search", **success),
            "c_drop": action("DELETE", "/lists/{list_id}"),
        },
        {"search": '"found"'},
        base_url="https://ads.example.com/v2",
    )
    sandbox = Vendor(destination)
    assert sandbox.prefix == "/v2"
    assert read(post(sandbox, b"", "/v2/lists/1")) == (200, {})
    assert read(post(sandbox, b"", "/v2/lists/search")) == (200, "found")
    assert post(sandbox, b"", "/lists/1").status == 404
    assert sandbox.answer("DELETE", ORIGIN + "/v2/lists/search", {}, b"")[0] == 200
    assert read(sandbox.answer("PUT", ORIGIN + "/v2/lists/search", {}, b"")) == (  # type: ignore[arg-type]
        405,
        {"code": "method_not_allowed", "message": "method not allowed; allowed: DELETE, POST"},
    )
    assert sandbox.holdings() == []


def signed(url: str, scheme: OAuth1BothHalves, method: str = "POST") -> dict[str, str]:
    return {**JSON, **scheme.signed(Message(method, url, {})).headers}


def signing(scheme: OAuth1BothHalves) -> Callable[[httpx.Request], httpx.Request]:
    def sign(request: httpx.Request) -> httpx.Request:
        request.headers.update(scheme.signed(Message(request.method, str(request.url), {})).headers)
        return request

    return sign


def test_authentication_comes_after_the_route_and_before_the_rest(x: Destination) -> None:
    scheme = OAuth1BothHalves(SECRETS)
    sandbox = Vendor(x, verifier=scheme)
    body = orjson.dumps([operation("Update", {"email": [ANN]})])
    assert post(sandbox, body, "/nowhere").status == 404
    status, answer = read(post(sandbox, b"not JSON", headers={}))
    assert (status, answer["errors"][0]["code"]) == (401, "UNAUTHORIZED_ACCESS")
    other = OAuth1BothHalves({**SECRETS, "consumer_secret": "another"})
    assert post(sandbox, body, headers=signed(ORIGIN + USERS, other)).status == 401
    assert post(sandbox, body, headers=signed(ORIGIN + DNR, scheme)).status == 401
    headers = signed(ORIGIN + USERS, scheme)
    assert post(sandbox, body, headers=headers).status == 200
    assert post(sandbox, body, headers=headers).status == 401  # the nonce is spent
    assert not any(secret in answer["errors"][0]["message"] for secret in SECRETS.values())


def test_what_a_scheme_cannot_read_is_unauthorized(x: Destination) -> None:
    class Broken(Verifier):
        def verify(self, *_: object) -> None:
            raise ValueError("something with a secret")

    status, body = read(post(Vendor(x, verifier=Broken(AuthConfig("none"), {})), b""))
    assert (status, body["errors"][0]["message"]) == (401, "the request cannot be verified")


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "Application/JSON"])
def test_content_types_that_are_json(x: Destination, kind: str) -> None:
    assert (
        post(
            Vendor(x), [operation("Update", {"email": [ANN]})], headers={"content-TYPE": kind}
        ).status
        == 200
    )


@pytest.mark.parametrize(
    "headers", [{}, {"content-type": "text/plain"}, {"content-type": "application/jsonx"}]
)
def test_content_types_that_are_not(x: Destination, headers: dict[str, str]) -> None:
    assert post(Vendor(x), b"not JSON", headers=headers).status == 415


def test_size_json_groups_and_contract_in_this_order(tmp_path: Path) -> None:
    contract = {
        "allOf": [GROUPS],
        "items": {"properties": {"do": {"enum": ["add"]}}, "maxProperties": 2},
    }
    sandbox = Vendor(tiny(tmp_path, contract, limits={"bytes": 60, "groups": 2}))
    group = {"do": "add", "people": []}
    assert read(post(sandbox, b"x" * 61, LIST)) == (
        413,
        {"code": "too_large", "message": "the body has more than 60 bytes"},
    )
    assert read(post(sandbox, b"x" * 60, LIST)) == (
        400,
        {"code": "malformed", "message": "the body is not valid JSON"},
    )
    crowd = [{"do": "remove", "people": 2, "n": 0}] + [{"do": "remove", "people": 2}] * 2
    wide = Vendor(tiny(tmp_path, contract, limits={"groups": 2}))
    assert read(post(wide, crowd, LIST)) == (
        400,
        {"code": "too_many_groups", "message": "more than 2 groups in one request"},
    )
    assert read(post(wide, crowd[:2], LIST))[1]["code"] == "invalid"
    assert post(wide, [group] * 2, LIST).status == 200


def test_errors_are_aligned_with_the_groups_and_hold_no_identifier(x: Destination) -> None:
    body = [
        operation("Update", {"email": [ANN]}),
        operation("Upsert", {"email": ["ann@example.com"]}, {"ann@example.com": [ANN]}),
        {"operation_type": "Update", "params": {}},
    ]
    answer = post(Vendor(x), body)
    status, refusal = read(answer)
    first, second, third = refusal["operation_errors"]
    assert (status, first) == (400, [])
    assert [error["parameter"] for error in second] == [
        "operation_type",
        "params.users[0].email[0]",
        "params.users[1]",
    ]
    assert second[2]["message"].startswith("has an unknown key; known: device_id, email")
    assert third == [
        {
            "code": "INVALID_PARAMETER",
            "message": "missing key 'users'; a list of people",
            "parameter": "params",
        }
    ]
    assert [entry["operation_type"] for entry in refusal["request"]] == [
        "Update",
        "Upsert",
        "Update",
    ]
    assert b"example.com" not in answer.body
    assert ANN.encode() not in answer.body


def test_a_refusal_of_the_whole_body_has_no_errors_by_position(x: Destination) -> None:
    bodies: list[Any] = [[], {"operations": []}, "text", None]
    for body in bodies:
        status, refusal = read(post(Vendor(x), body))
        assert (status, list(refusal)) == (400, ["errors", "request"])
    assert refusal["errors"][0]["message"].startswith("must be a list")


def test_what_only_the_fast_validator_refuses_is_still_refused(tmp_path: Path) -> None:
    sandbox = Vendor(tiny(tmp_path, {"items": {"pattern": "^[a-f]$"}}))
    message = "has an invalid format (pattern ^[a-f]$)"
    assert read(post(sandbox, ["a\n"], LIST)) == (400, {"code": "invalid", "message": message})


def test_a_value_is_not_quoted(tmp_path: Path) -> None:
    sandbox = Vendor(tiny(tmp_path, {"items": {"enum": ["add", "remove"]}}))
    message = "is not one of the allowed values; allowed: add, remove"
    assert read(post(sandbox, ["ann@example.com"], LIST)) == (
        400,
        {"code": "invalid", "message": message},
    )


def test_a_key_that_is_data_is_not_named(tmp_path: Path) -> None:
    contract = {
        "type": "array",
        "items": {"additionalProperties": {"properties": {"on": {"type": "boolean"}}}},
    }
    sandbox = Vendor(tiny(tmp_path, contract, refusal="{{ errors }}"))
    keys = {"+12025550123": {"on": 1}, "a/b~c": {"on": 2}, "12025550123": {"on": "x"}}
    status, (first, second) = read(post(sandbox, [{}, keys], LIST))
    assert (status, first) == (400, [])
    assert [error["parameter"] for error in second] == [None] * 3
    assert {error["message"] for error in second} == {
        "must be true or false, got a whole number",
        "must be true or false, got text",
    }


@pytest.mark.parametrize(
    "rule", [{"additionalProperties": False}, {"propertyNames": {"pattern": "^[a-z]+$"}}]
)
def test_a_key_that_is_not_allowed_is_not_named(tmp_path: Path, rule: dict[str, Any]) -> None:
    sandbox = Vendor(tiny(tmp_path, {"items": rule}, refusal="{{ [message, errors] }}"))
    answer = post(sandbox, [{"ann@example.com": 1}], LIST)
    assert answer.status == 400
    assert b"example.com" not in answer.body
    assert [error["parameter"] for error in orjson.loads(answer.body)[1][0]] == [None]


def test_failures_in_two_lists_are_about_the_whole_body(tmp_path: Path) -> None:
    contract = {"properties": {name: {"items": {"type": "string"}} for name in ("add", "remove")}}
    sandbox = Vendor(tiny(tmp_path, contract, refusal="{{ errors }}"))
    assert read(post(sandbox, {"add": ["a"], "remove": [1]}, LIST))[1] == [
        [{"message": "must be text, got a whole number", "parameter": None}]
    ]
    assert read(post(sandbox, {"add": [1], "remove": [1]}, LIST)) == (400, [])


def test_a_person_without_identifiers_is_refused(tmp_path: Path) -> None:
    sandbox = Vendor(tiny(tmp_path, GROUPS, refusal="{{ errors }}"))
    fine = {"do": "add", "people": [{"email": "a"}, {"phone": [5]}]}
    nobodies: list[Any] = [
        {},
        {"email": []},
        {"email": [""]},
        {"email": None},
        {"email": [True, {}]},
    ]
    for nobody in nobodies:
        answer = post(sandbox, [fine, {"do": "add", "people": [{"email": "b"}, nobody]}], LIST)
        assert read(answer) == (
            400,
            [[], [{"message": "a person has no identifier", "parameter": None}]],
        )
    assert sandbox.holdings() == []
    assert post(sandbox, [fine], LIST).status == 200
    assert sandbox.members(LIST) == [frozenset({("email", "a")}), frozenset({("phone", "5")})]


def test_people_over_the_cap_are_refused(tmp_path: Path) -> None:
    sandbox = Vendor(tiny(tmp_path, limits={"records": 2}))
    people = [{"email": "a"}, {"email": "b"}, {"email": "c"}]
    assert read(post(sandbox, {"people": people}, LIST)) == (
        413,
        {"code": "too_large", "message": "more than 2 people in one request"},
    )
    assert post(sandbox, {"people": people[:2]}, LIST).status == 200


# --- definitions that say little, or fail ---


def test_without_templates_everything_is_accepted_and_nothing_stored(tmp_path: Path) -> None:
    sandbox = Vendor(define(tmp_path, {"add": action()}))
    answer = post(sandbox, {"people": []}, LIST)
    assert answer == Answer(200, {"content-type": "application/json"}, b"{}")
    assert sandbox.holdings() == []
    assert sandbox.answer("POST", ORIGIN + LIST, {}, b"") == answer


def test_actions_of_one_endpoint_may_differ_in_contract(tmp_path: Path) -> None:
    contracts = {
        kind: {"type": "object", "required": [kind], "properties": {kind: {"items": PERSON}}}
        for kind in ("add", "remove")
    }
    actions = {
        kind: action(
            operation=kind,
            accepts=f"{kind}.accepts.json",
            sandbox={"success": f"{kind}_done.json.j2"},
        )
        for kind in ("add", "remove")
    }
    templates = {f"{kind}_done": f'"{kind}"' for kind in ("add", "remove")}
    files = {f"{kind}.accepts": contract for kind, contract in contracts.items()}
    sandbox = Vendor(define(tmp_path, actions, templates, files))
    assert read(post(sandbox, {"add": [{"email": "a"}, {"email": "b"}]}, LIST)) == (200, "add")
    assert read(post(sandbox, {"remove": [{"email": "a"}]}, LIST)) == (200, "remove")
    assert sandbox.members(LIST) == [frozenset({("email", "b")})]
    assert read(post(sandbox, {}, LIST)) == (
        400,
        {"code": "invalid", "message": "missing key 'add'"},
    )


def one_contract(root: Path, **members: Any) -> Vendor:
    """Return the vendor of two actions that only their bodies tell apart."""
    members = {"accepts": "groups.accepts.json", **members}
    actions = {kind: action(operation=kind, **members) for kind in ("add", "remove")}
    return Vendor(define(root, actions, {}, {"groups.accepts": GROUPS}))


def test_what_the_body_does_not_say_is_not_guessed(tmp_path: Path) -> None:
    sandbox = one_contract(tmp_path)
    assert (
        post(sandbox, [{"do": "add", "people": [{"email": "a"}, {"email": "b"}]}], LIST)[0] == 200
    )
    assert post(sandbox, [{"do": "upsert", "people": [{"email": "a"}]}], LIST).status == 200
    assert post(sandbox, [{"people": [{"email": "a"}]}], LIST).status == 200
    assert sandbox.members(LIST) == [frozenset({("email", "a")}), frozenset({("email", "b")})]
    assert post(sandbox, [{"people": [{"email": "a"}], "do": "remove"}], LIST).status == 200
    assert sandbox.members(LIST) == [frozenset({("email", "b")})]


def test_an_audience_is_replaced(tmp_path: Path) -> None:
    sandbox = one_contract(tmp_path)
    people = [{"email": "a"}, {"email": "b"}]
    assert post(sandbox, [{"do": "add", "people": people}], LIST).status == 200
    people = [{"email": "c"}, {"email": "d"}]
    assert post(sandbox, [{"do": "replace", "people": people}], LIST).status == 200
    assert sandbox.holdings() == [Holding(LIST, 2, 2)]
    assert sandbox.members(LIST) == [frozenset({("email", "c")}), frozenset({("email", "d")})]


def test_an_audience_is_named_by_path_body_and_settings(tmp_path: Path) -> None:
    contract = {
        "properties": {
            "segments": {"items": {"parameter": "segment"}},
            "people": {"items": PERSON},
        }
    }
    sandbox = Vendor(
        a_destination.write_destination(
            tmp_path,
            {
                "add": a_destination.action(
                    {
                        "list_id": {"title": "L", "description": "L.", "type": "string"},
                        "segment": {"title": "S", "description": "S.", "type": "integer"},
                        "email": email(),
                    },
                    path="/lists/{list_id}",
                    audience="{region} {list_id} {segment}",
                    accepts="people.accepts.json",
                )
            },
            {},
            {"people.accepts": contract},
            settings={
                "region": {"title": "R", "description": "R.", "type": "string", "default": "eu"}
            },
        ).load("tiny")
    )
    people = [{"email": "a"}]
    assert post(sandbox, {"people": people, "segments": [5, 6]}, "/lists/a%20b").status == 200
    assert post(sandbox, {"people": people}, "/lists/c").status == 200
    assert sandbox.holdings() == [Holding("eu a b 5", 1, 1), Holding("eu a b 6", 1, 1)]


@pytest.mark.parametrize(("name", "status"), [("success", 200), ("refusal", 400)])
def test_an_answer_that_cannot_be_rendered_is_an_internal_error(
    tmp_path: Path, name: str, status: int
) -> None:
    sandbox = Vendor(tiny(tmp_path, **{name: "{{ body.missing }}"}))
    body = {"people": [{"email": "a"}]} if status == 200 else {}
    assert read(post(sandbox, body, LIST)) == (
        500,
        {
            "code": "internal",
            "message": f"the template of {'success' if status == 200 else 'refusals'} fails (undefined)",
        },
    )
    assert sandbox.holdings() == []


def test_a_template_that_is_none_is_refused_at_once(tmp_path: Path) -> None:
    destination = tiny(tmp_path, success="{{ nobody }}")
    with pytest.raises(RenderError):
        Vendor(destination)


# --- rate limits ---


RATE_HEADERS = {"limit": "rate-limit", "remaining": "rate-left", "reset": "rate-reset"}


def limited(root: Path, **sandbox: Any) -> Destination:
    rate = [{"requests": 2, "per": "10s", "source": SOURCE}]
    return define(
        root, {"add": action()}, rate=rate, sandbox={"rate_headers": RATE_HEADERS, **sandbox}
    )


def rate(answer: Answer) -> tuple[int, ...]:
    return answer.status, *(int(answer.headers[name]) for name in RATE_HEADERS.values())


def test_a_sliding_window(tmp_path: Path) -> None:
    clock = FakeClock(now=1000.0)
    sandbox = Vendor(limited(tmp_path), clock=clock.now)
    assert rate(post(sandbox, {}, LIST)) == (200, 2, 1, 1010)
    clock.set(1004.5)
    assert rate(post(sandbox, {}, LIST)) == (200, 2, 0, 1010)
    clock.set(1009.9)
    refused = post(sandbox, {}, LIST)
    assert rate(refused) == (429, 2, 0, 1010)
    assert orjson.loads(refused.body)["code"] == "rate_limited"
    assert "retry-after" not in refused.headers
    clock.set(1010.0)
    assert rate(post(sandbox, {}, LIST)) == (200, 2, 0, 1015)
    assert rate(post(sandbox, {}, "/nowhere")) == (404, 2, 0, 1015)
    clock.set(1014.5)
    assert post(sandbox, {}, LIST).status == 200


def test_what_is_refused_earlier_takes_no_slot(tmp_path: Path) -> None:
    sandbox = Vendor(limited(tmp_path), clock=FakeClock(now=1000.0).now)
    assert post(sandbox, {}, "/nowhere").status == 404
    assert post(sandbox, {}, LIST, {}).status == 415
    assert rate(post(sandbox, b"not JSON", LIST)) == (400, 2, 1, 1010)
    assert rate(post(sandbox, {}, LIST)) == (200, 2, 0, 1010)


def test_a_limit_counts_over_all_addresses(tmp_path: Path) -> None:
    sandbox = Vendor(
        limited(tmp_path, headers={"Retry-After": "3"}), clock=FakeClock(now=1000.0).now
    )
    for _ in range(2):
        assert post(sandbox, {}, LIST).status == 200
    assert post(sandbox, {}, LIST).headers["retry-after"] == "3"
    assert post(sandbox, {}, "/lists/8/people").status == 429


@given(st.lists(st.floats(0, 5), max_size=40))
def test_no_window_ever_holds_more_than_its_limit(waits: list[float]) -> None:
    windows, now, taken = RateWindows([Rate(3, 10.0), Rate(2, 4.0)]), 1e9, []
    for wait in waits:
        now += wait
        if windows.take(now):
            taken.append(now)
            for size, per in ((3, 10.0), (2, 4.0)):
                assert len([at for at in taken if at + per > now]) <= size
        else:
            state = windows.state(now)
            assert state is not None
            assert state.remaining == 0
            assert windows.take(float(state.reset))
            now = float(state.reset)
            taken.append(now)


# --- faults ---


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("429:3", Fault("status", (429,), 3)),
        ("500", Fault("status", (500,), 1)),
        ("5xx:2", Fault("status", (500, 503, 502, 504), 2)),
        ("timeout:1", Fault("timeout")),
        ("drop", Fault("drop")),
        ("applied-drop:12", Fault("applied-drop", (), 12)),
        ("html", Fault("html")),
        ("counts:2", Fault("counts", (), 2)),
        ("202", Fault("success", (202,), 1)),
        ("204:2", Fault("success", (204,), 2)),
        ("slow", Fault("slow", (), 1, 5.0)),
        ("slow=0.5:3", Fault("slow", (), 3, 0.5)),
        ("person", Fault("person")),
    ],
)
def test_faults_are_read(text: str, fault: Fault) -> None:
    assert parse_fault(text) == fault


@pytest.mark.parametrize(
    "text",
    [
        "",
        "200",
        "600",
        "4xx",
        "drop:0",
        "429:",
        "429:-1",
        "429:٣",
        "Timeout",
        " drop",
        "drop\n",
        "201",
        "slow=",
        "slow=-1",
        "slow=1s",
        "5xx=2",
    ],
)
def test_other_faults_are_refused_with_the_allowed_forms(text: str) -> None:
    with pytest.raises(ValueError, match="allowed: a status from 400 to 599, 5xx, timeout, drop"):
        parse_fault(text)


BODY = [
    operation("Update", {"email": [ANN]}, {"email": [BOB]}),
    operation("Delete", {"email": [CYD]}),
]


def test_faults_come_first_and_one_after_the_other(x: Destination) -> None:
    faults = [parse_fault("5xx:5"), parse_fault("403"), parse_fault("drop")]
    sandbox = Vendor(x, verifier=OAuth1BothHalves(SECRETS), faults=faults)
    answers = [post(sandbox, b"", "/nowhere") for _ in range(6)]
    assert [answer.status for answer in answers] == [500, 503, 502, 504, 500, 403]
    codes = [orjson.loads(answer.body)["errors"][0]["code"] for answer in answers]
    assert codes[:2] == ["INTERNAL_ERROR", "SERVICE_UNAVAILABLE"]
    assert codes[5] == "UNAUTHORIZED_CLIENT_APPLICATION"
    assert sandbox.answer("POST", ORIGIN + USERS, {}, b"") == Fault("drop")
    assert post(sandbox, b"").status == 401
    assert sandbox.holdings() == []


def test_a_rate_fault_resets_soon(x: Destination, tmp_path: Path) -> None:
    clock = FakeClock(now=1000.0)
    sandbox = Vendor(x, faults=[parse_fault("429")], clock=clock.now)
    answer = post(sandbox, BODY)
    names = ("limit", "remaining", "reset")
    assert [answer.headers[f"x-rate-limit-{name}"] for name in names] == ["1500", "0", "1001"]
    assert "retry-after" not in answer.headers
    after = post(sandbox, BODY)
    assert [after.headers[f"x-rate-limit-{name}"] for name in names] == ["1500", "1499", "1060"]
    unlimited = define(tmp_path, {"add": action()}, sandbox={"rate_headers": RATE_HEADERS})
    answer = post(Vendor(unlimited, faults=[parse_fault("429")], clock=clock.now), {}, LIST)
    assert answer.headers == {
        "content-type": "application/json",
        "rate-left": "0",
        "rate-reset": "1001",
    }


def test_a_count_mismatch_applies_nothing(x: Destination) -> None:
    sandbox = Vendor(x, faults=[parse_fault("counts:3")])
    assert read(post(sandbox, BODY))[1]["data"] == {"success_count": 2, "total_count": 3}
    expires = {"expires_at": "2026-12-31T00:00:00Z"}
    groups = [{**group, "params": {**group["params"], **expires}} for group in BODY]
    assert [group["success_count"] for group in read(post(sandbox, groups, DNR))[1]["data"]] == [
        1,
        1,
    ]
    assert post(sandbox, []).status == 400  # what is refused anyway is refused
    assert sandbox.holdings() == []
    assert read(post(sandbox, BODY))[1]["data"] == {"success_count": 3, "total_count": 3}


def test_a_count_mismatch_of_nobody(tmp_path: Path) -> None:
    sandbox = Vendor(tiny(tmp_path, success="{{ accepted }}"), faults=[parse_fault("counts")])
    assert read(post(sandbox, {"people": []}, LIST)) == (200, 0)


# --- over HTTP ---


@pytest.fixture
def serve(x: Destination) -> Iterator[Callable[..., tuple[Vendor, httpx.Client]]]:
    opened: list[Any] = []

    def start(*faults: str, timeout: float = 10.0) -> tuple[Vendor, httpx.Client]:
        scheme = OAuth1BothHalves(SECRETS)
        sandbox = Vendor(x, verifier=scheme, faults=[parse_fault(fault) for fault in faults])
        server = SandboxServer(sandbox).__enter__()
        client = httpx.Client(
            base_url=server.base_url, auth=signing(scheme), timeout=timeout, trust_env=False
        )
        opened.extend([server, client])
        return sandbox, client

    yield start
    for thing in reversed(opened):
        thing.close()


Serve = Callable[..., tuple[Vendor, httpx.Client]]


def test_a_signed_request_over_http(serve: Serve) -> None:
    sandbox, client = serve()
    for _ in range(2):
        answer = client.post(USERS + "?with=a%20query", json=BODY)
        assert (answer.status_code, answer.http_version) == (200, "HTTP/1.1")
        assert answer.json()["data"] == {"success_count": 3, "total_count": 3}
        assert answer.headers["server"] == "sandbox"
    assert sandbox.holdings() == [Holding(USERS, 2, 2)]
    assert client.get(USERS).status_code == 405
    assert client.post("/nowhere", json=BODY).status_code == 404
    assert client.post(USERS, data={"a": "b"}, auth=lambda request: request).status_code == 401
    assert client.head(USERS).content == b""


def test_connections_are_kept(serve: Serve) -> None:
    _, client = serve()
    streams = set()
    for _ in range(3):
        answer = client.post(USERS, json=BODY)
        streams.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(streams) == 1


def test_many_clients_at_once(serve: Serve) -> None:
    sandbox, client = serve()
    bodies = [
        [operation("Update", {"email": [digest(f"{worker} {turn}")]})]
        for worker in range(8)
        for turn in range(10)
    ]
    statuses: list[int] = []
    threads = [
        threading.Thread(
            target=lambda part=bodies[n::8]: statuses.extend(
                client.post(USERS, json=b).status_code for b in part
            )
        )
        for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 80
    assert sandbox.holdings() == [Holding(USERS, 80, 80)]


@pytest.mark.parametrize(
    ("fault", "statuses"), [("429:2", [429, 429, 200]), ("5xx:3", [500, 503, 502, 200])]
)
def test_faults_with_a_status_over_http(serve: Serve, fault: str, statuses: list[int]) -> None:
    sandbox, client = serve(fault)
    for status in statuses:
        assert sandbox.holdings() == []
        assert client.post(USERS, json=BODY).status_code == status
    assert sandbox.holdings() == [Holding(USERS, 2, 2)]


@pytest.mark.parametrize(
    ("fault", "held"), [("drop", []), ("applied-drop", [Holding(USERS, 2, 2)])]
)
def test_a_dropped_connection(serve: Serve, fault: str, held: list[Holding]) -> None:
    sandbox, client = serve(fault)
    with pytest.raises(httpx.RemoteProtocolError):
        client.post(USERS, json=BODY)
    assert sandbox.holdings() == held
    assert client.post(USERS, json=BODY).status_code == 200


def test_a_gateway_page(serve: Serve) -> None:
    sandbox, client = serve("html")
    answer = client.post(USERS, json=BODY)
    assert (answer.status_code, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
    assert answer.text.startswith("<!doctype html>")
    assert sandbox.holdings() == []


def test_a_count_mismatch_over_http(serve: Serve) -> None:
    sandbox, client = serve("counts")
    assert client.post(USERS, json=BODY).json()["data"] == {"success_count": 2, "total_count": 3}
    assert sandbox.holdings() == []


def test_a_timeout_does_not_hold_up_the_end(x: Destination) -> None:
    sandbox = Vendor(x, faults=[parse_fault("timeout:1")])
    with (
        SandboxServer(sandbox) as server,
        httpx.Client(base_url=server.base_url, trust_env=False) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            client.post(USERS, json=BODY, timeout=0.2)
        assert sandbox.holdings() == []
        assert client.post(USERS, json=BODY).status_code == 200
        started = time.perf_counter()
    assert time.perf_counter() - started < 2


def test_a_timeout_ends_by_itself(x: Destination, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox_server, "TIMEOUT_SECONDS", 0.05)
    with (
        SandboxServer(Vendor(x, faults=[Fault("timeout")])) as server,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        httpx.post(server.base_url + USERS, json=BODY, trust_env=False)


def talk(server: SandboxServer, sent: bytes) -> bytes:
    with socket.create_connection(
        ("127.0.0.1", int(server.base_url.rpartition(":")[2])), 5
    ) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(65536), b""))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ("content-length: -1", b"400"),
        ("content-length: 999999999999", b"413"),
    ],
)
def test_lengths_that_cannot_be_served(x: Destination, headers: str, status: bytes) -> None:
    with SandboxServer(Vendor(x)) as server:
        answer = talk(server, f"POST {USERS} HTTP/1.1\r\nhost: a\r\n{headers}\r\n\r\n".encode())
        assert answer.split()[1] == status


def test_an_answer_to_head_has_no_body(x: Destination) -> None:
    with SandboxServer(Vendor(x)) as server:
        answer = talk(server, f"HEAD {USERS} HTTP/1.1\r\nhost: a\r\n\r\n".encode())
    assert answer.split()[1] == b"405"
    assert answer.endswith(b"\r\n\r\n")


def test_a_client_that_goes_away_is_no_error(
    x: Destination, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox = Vendor(x)
    with SandboxServer(sandbox) as server:
        assert (
            talk(
                server, f"POST {USERS} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n[".encode()
            )
            == b""
        )
        assert talk(server, f"GET {USERS} HTTP/1.0\r\n\r\n".encode()).split()[1] == b"405"
        with socket.create_connection(
            ("127.0.0.1", int(server.base_url.rpartition(":")[2])), 5
        ) as client:
            client.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )  # a reset, not an end
            client.sendall(
                f"POST {USERS} HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n[".encode()
            )
            time.sleep(0.1)
        time.sleep(0.1)
    assert sandbox.holdings() == []
    assert capfd.readouterr() == ("", "")


def test_the_end_closes_kept_connections_and_frees_the_port(x: Destination) -> None:
    with (
        SandboxServer(Vendor(x)) as server,
        httpx.Client(base_url=server.base_url, trust_env=False) as client,
    ):
        assert client.get(USERS).status_code == 405
        with pytest.raises(OSError, match="in use"):
            SandboxServer(Vendor(x), int(server.base_url.rpartition(":")[2]))
        server.close()
        server.close()
        with pytest.raises(httpx.TransportError):
            client.get(USERS)
    with SandboxServer(Vendor(x), int(server.base_url.rpartition(":")[2])) as again:
        assert again.base_url == server.base_url


def test_serving_until_closed(x: Destination) -> None:
    server = SandboxServer(Vendor(x))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    assert httpx.get(server.base_url + "/nowhere", trust_env=False).status_code == 404
    server.close()
    thread.join(5)
    assert not thread.is_alive()
    unused = SandboxServer(Vendor(x))
    unused.close()


def test_the_base_url_of_a_server_has_the_vendors_path(tmp_path: Path) -> None:
    destination = define(tmp_path, {"add": action()}, base_url="https://ads.example.com/v2")
    with SandboxServer(Vendor(destination)) as server:
        assert server.base_url.endswith("/v2")
        assert httpx.post(server.base_url + LIST, json={}, trust_env=False).json() == {}


# --- speed ---


def test_a_thousand_people_take_milliseconds(x: Destination) -> None:
    sandbox = Vendor(x)
    bodies = [
        orjson.dumps(
            [
                operation(
                    "Update",
                    *(
                        {"email": [digest(f"{turn} {n}")], "handle": [digest(f"h{turn} {n}")]}
                        for n in range(1000)
                    ),
                )
            ]
        )
        for turn in range(10)
    ]
    taken = []
    for body in bodies:
        started = time.perf_counter()
        assert post(sandbox, body).status == 200
        taken.append(time.perf_counter() - started)
    assert sandbox.holdings() == [Holding(USERS, 10_000, 20_000)]
    assert min(taken) < 0.05  # some 5 ms on an idle machine


def test_a_line_about_each_request_says_why_it_was_refused_and_holds_no_value() -> None:
    box, lines = Vendor(load(own_folder(), "x_custom_audiences")), []
    box.log = lines.append
    url = "https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users"
    headers = {"content-type": "application/json"}
    box.answer(
        "POST",
        url,
        headers,
        b'[{"operation_type": "Update", "params": {"users": [{"email": ["ann@example.com"]}]}}]',
    )
    box.answer("POST", "https://ads-api.x.com/ann@example.com", headers, b"[]")
    users = [{"email": ["0" * 64]}]
    box.answer(
        "POST",
        url,
        headers,
        orjson.dumps([{"operation_type": "Update", "params": {"users": users}}]),
    )
    assert [line.split()[2] for line in (lines[0], lines[2])] == ["400", "200"]
    assert lines[1] == "POST (unknown path) 404 not_found: unknown path"
    assert "ann@" not in "".join(lines)
