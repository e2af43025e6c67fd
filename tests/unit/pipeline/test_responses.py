"""The answers of X: every row of the definition's response rules, and what HTTP says when none of them holds."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.auth import oauth2
from connector.definitions.catalog import Catalog
from connector.definitions.model import Destination
from connector.definitions.read import Reader
from connector.definitions.statuses import STATUSES
from connector.model import (
    Bisect,
    Delivered,
    NamedRecords,
    Outcome,
    Rejected,
    Response,
    Retry,
    Stop,
)
from connector.pipeline.responses import Classify, compile_rules
from tests.kit import ROOT

NOW = 1_768_435_200.0  # Thu, 15 Jan 2026 00:00:00 GMT


@cache
def x() -> Destination:
    return Catalog().load("x_custom_audiences")


@cache
def classify(action: str = "add_user") -> Classify:
    return compile_rules(x().actions[action].responses)


def said(code: str) -> str:
    """Return the words of the definition for a code."""
    [reason] = {
        rule.reason for rule in x().responses if rule.code == code and "body" not in rule.when
    }
    return str(reason)


def counts(success: Any, total: Any, **more: Any) -> dict[str, Any]:
    return {"data": {"success_count": success, "total_count": total}, **more}


def error(code: Any) -> dict[str, Any]:
    return {"errors": [{"code": code, "message": "ann@example.com is wrong"}]}


MISCOUNTED = "X did not count as many people as were sent"
FOREIGN = "HTTP {} without the vendor's JSON: something else answered"
BUSY = "X cancelled the request or could not lock the audience"
LIMITED = "X's rate limit was reached"
REFUSED = "X refused the operation this person was part of"
WHOLE = "X refused the request without naming an operation"
AVAILABLE = "X does not take people for this audience in this account; check the kind of audience, and whether the account and the user may use it"
CLOSED = "X does not open this ad account to the user of the access token, or has locked or suspended one of them; check the account id, and the account and the user in X Ads"
GATEWAY = "X refused the credentials before it looked at the request; check consumer key, access token and their secrets"

TABLE: list[tuple[str, int, dict[str, str], Any, Outcome]] = [
    ("both counts", 200, {}, counts(4, 4), Delivered()),
    ("counts and no errors", 200, {}, counts(4, 4, operation_errors=[]), Delivered()),
    ("too few", 200, {}, counts(3, 4), Retry(MISCOUNTED)),
    ("too few in all", 200, {}, counts(3, 3), Retry(MISCOUNTED)),
    ("too many in all", 200, {}, counts(4, 5), Retry(MISCOUNTED)),
    ("counts as text", 200, {}, counts("4", "4"), Retry(MISCOUNTED)),
    ("errors in a 200", 200, {}, counts(4, 4, operation_errors=[[{"code": "A"}]]), Retry(MISCOUNTED)),
    ("data is a list", 200, {}, {"data": [{"success_count": 4, "total_count": 4}]}, Retry(MISCOUNTED)),
    ("no JSON", 200, {}, None, Retry(MISCOUNTED)),
    ("an empty object", 200, {}, {}, Retry(MISCOUNTED)),
    ("a list", 200, {}, [], Retry(MISCOUNTED)),
    ("a number", 200, {}, 4, Retry(MISCOUNTED)),
    ("another 2xx with counts", 202, {}, counts(4, 4), Retry(MISCOUNTED)),
    ("204", 204, {}, None, Retry(MISCOUNTED)),
    ("one operation", 400, {}, {"operation_errors": [[], [{"code": "A"}]]}, Rejected("operation_refused", REFUSED, NamedRecords("group", (1,)))),
    ("two operations", 400, {}, {"operation_errors": [[{}], [], [{}]]}, Rejected("operation_refused", REFUSED, NamedRecords("group", (0, 2)))),
    ("objects, not lists", 400, {}, {"operation_errors": [None, {"code": "A"}]}, Rejected("operation_refused", REFUSED, NamedRecords("group", (1,)))),
    ("errors that name nobody", 400, {}, {"operation_errors": [[], []]}, Bisect("operation_refused", REFUSED)),
    ("errors of another form", 400, {}, {"operation_errors": {"0": "A"}}, Bisect("operation_refused", REFUSED)),
    ("the gateway", 400, {}, error(215), Stop("unauthorized", GATEWAY)),
    ("the gateway about another thing", 400, {}, error(220), Stop("unauthorized", GATEWAY)),
    ("a number that is not the gateway's", 400, {}, error(300), Bisect("request_refused", WHOLE)),
    ("the account", 400, {}, error("FEATURE_NOT_AVAILABLE"), Stop("not_available", f"{AVAILABLE} (FEATURE_NOT_AVAILABLE)")),
    ("the kind of audience", 400, {}, {"operation_errors": [[{"code": "INVALID_TAILORED_AUDIENCE_TYPE"}]]}, Stop("not_available", f"{AVAILABLE} (INVALID_TAILORED_AUDIENCE_TYPE)")),
    ("the request", 400, {}, error("INVALID_PARAMETER"), Bisect("request_refused", f"{WHOLE} (INVALID_PARAMETER)")),
    ("a code that quotes", 400, {}, error("ann@example.com"), Bisect("request_refused", WHOLE)),
    ("a code that is a digest", 400, {}, error("a" * 64), Bisect("request_refused", WHOLE)),
    ("a code that is a phone number", 400, {}, error("12025550123"), Bisect("request_refused", WHOLE)),
    ("400 without JSON", 400, {}, None, Retry(FOREIGN.format(400))),
    ("400 without JSON that says when", 400, {"retry-after": "9"}, None, Retry(FOREIGN.format(400), NOW + 9)),
    ("401", 401, {}, error("UNAUTHORIZED_ACCESS"), Stop("unauthorized", f"{said('unauthorized')} (UNAUTHORIZED_ACCESS)")),
    ("401 without JSON", 401, {}, None, Stop("unauthorized", said("unauthorized"))),
    ("403", 403, {}, error("UNAUTHORIZED_CLIENT_APPLICATION"), Stop("forbidden", f"{said('forbidden')} (UNAUTHORIZED_CLIENT_APPLICATION)")),
    ("403 without JSON", 403, {}, None, Stop("forbidden", said("forbidden"))),
    *[
        (f"403 {code}", 403, {}, error(code), Stop("forbidden", f"{CLOSED} ({code})", account=True))
        for code in ("ACCOUNT_NOT_FOUND", "ACCOUNT_LOCKED_OUT", "CURRENT_USER_SUSPENDED")
    ],
    ("404", 404, {}, None, Stop("not_found", said("not_found"))),
    ("404 with a code", 404, {}, error("NOT_FOUND"), Stop("not_found", f"{said('not_found')} (NOT_FOUND)")),
    ("405", 405, {}, None, Stop("not_understood", said("not_understood"))),
    ("415", 415, {}, None, Stop("not_understood", said("not_understood"))),
    ("408", 408, {}, None, Retry(BUSY)),
    ("423", 423, {}, None, Retry(BUSY)),
    ("429 with a reset", 429, {"x-rate-limit-reset": "1768435260"}, None, Retry(LIMITED, NOW + 60)),
    ("429 with a reset that is none", 429, {"x-rate-limit-reset": "soon"}, None, Retry(LIMITED, NOW + 60, named=False)),
    ("429 without a reset", 429, {}, None, Retry(LIMITED, NOW + 60, named=False)),
    ("429 with retry-after only", 429, {"retry-after": "5"}, None, Retry(LIMITED, NOW + 5)),
    # what HTTP says
    ("a redirect", 301, {"location": "https://example.com"}, None, Stop("http_301", "HTTP 301: redirects are not followed; base_url must be the final URL")),
    ("304", 304, {}, None, Stop("http_304", "HTTP 304: redirects are not followed; base_url must be the final URL")),
    ("413", 413, {}, None, Bisect("http_413", "HTTP 413")),
    ("422", 422, {}, {}, Bisect("http_422", "HTTP 422")),
    ("422 without JSON", 422, {}, None, Retry(FOREIGN.format(422))),
    ("409", 409, {}, counts(4, 4), Stop("http_409", "HTTP 409")),
    *[(f"{status}", status, {}, None, Stop(f"http_{status}", f"HTTP {status}")) for status in (402, 406, 410, 418, 421, 451)],
    ("425", 425, {}, None, Retry("HTTP 425")),
    ("500", 500, {}, None, Retry("HTTP 500")),
    ("501", 501, {}, None, Stop("http_501", "HTTP 501")),
    ("503 in seconds", 503, {"retry-after": " 120 "}, None, Retry("HTTP 503", NOW + 120)),
    ("503 with a date", 503, {"retry-after": "Thu, 15 Jan 2026 00:01:00 GMT"}, None, Retry("HTTP 503", NOW + 60)),
    ("503 in parts of a second", 503, {"retry-after": "1.5"}, None, Retry("HTTP 503", NOW + 1.5)),
    ("503 in a day", 503, {"retry-after": "86400"}, None, Retry("HTTP 503", NOW + 86_400)),
    ("503 in thousands of years", 503, {"retry-after": "99999999999"}, None, Retry("HTTP 503", NOW + 31_536_000)),
    ("503 with thousands of digits", 503, {"retry-after": "9" * 5000}, None, Retry("HTTP 503")),
    ("503 with a year of many digits", 503, {"retry-after": "Thu, 15 Jan 100000000000000 00:00:00 GMT"}, None, Retry("HTTP 503")),
    ("503 with nonsense", 503, {"retry-after": "soon"}, None, Retry("HTTP 503")),
    ("504 with counts", 504, {}, counts(4, 4), Retry("HTTP 504")),
    ("600", 600, {}, None, Retry("HTTP 600")),
    ("100", 100, {}, None, Retry("HTTP 100")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "headers", "body", "outcome"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_an_answer_for_a_custom_audience(
    status: int, headers: dict[str, str], body: Any, outcome: Outcome
) -> None:
    for action in ("add_user", "add_user_multi", "remove_user", "remove_user_multi"):
        assert classify(action)(Response(status, headers, body), 4, NOW) == outcome


OPERATIONS: list[tuple[str, Any, Outcome]] = [
    ("one for each operation", [(3, 3), (1, 1)], Delivered()),
    ("one", [(4, 4)], Delivered()),
    ("too few", [(3, 3), (0, 1)], Retry(MISCOUNTED)),
    ("one is missing", [(3, 3)], Retry(MISCOUNTED)),
    ("none", [], Retry(MISCOUNTED)),
]


@pytest.mark.parametrize(
    ("rows", "outcome"), [row[1:] for row in OPERATIONS], ids=[row[0] for row in OPERATIONS]
)
def test_an_answer_for_the_do_not_reach_list(rows: list[tuple[int, int]], outcome: Outcome) -> None:
    body = {"data": [{"success_count": success, "total_count": total} for success, total in rows]}
    for action in ("add_to_do_not_reach_list", "remove_from_do_not_reach_list"):
        assert classify(action)(Response(200, {}, body), 4, NOW) == outcome


REFUSALS = [row for row in TABLE if row[1] == 400]


@pytest.mark.parametrize("row", REFUSALS, ids=[row[0] for row in REFUSALS])
def test_a_refusal_for_the_do_not_reach_list(
    row: tuple[str, int, dict[str, str], Any, Outcome],
) -> None:
    _, status, headers, body, outcome = row
    for action in ("add_to_do_not_reach_list", "remove_from_do_not_reach_list"):
        assert classify(action)(Response(status, headers, body), 4, NOW) == outcome


def test_every_rule_of_the_definition_has_a_row() -> None:
    codes = {rule.code for rule in x().responses if rule.then in ("reject", "bisect", "stop")}
    assert codes <= {row[4].code for row in TABLE if isinstance(row[4], Rejected | Bisect | Stop)}
    reasons = {rule.reason for rule in x().responses if rule.then == "retry"}
    assert reasons <= {row[4].reason for row in TABLE if isinstance(row[4], Retry)}


DEFAULTS = compile_rules([])


@pytest.mark.parametrize("status", [200, 201, 204, 299])
def test_without_rules_2xx_is_delivered(status: int) -> None:
    assert DEFAULTS(Response(status, {}, None), 1, NOW) == Delivered()


def test_without_rules_401_stops() -> None:
    assert DEFAULTS(Response(401, {}, None), 1, NOW) == Stop(
        "unauthorized", "HTTP 401: the vendor does not accept the credentials"
    )


@pytest.mark.parametrize("status", [400, 413, 422])
def test_without_rules_a_refusal_of_the_body_is_halved(status: int) -> None:
    assert DEFAULTS(Response(status, {}, None), 1, NOW) == Bisect(
        f"http_{status}", f"HTTP {status}"
    )


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats(allow_nan=False)
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["data", "success_count", "total_count", "operation_errors", "errors", "code"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "x-rate-limit-reset"]),
    st.sampled_from(
        [
            "",
            "nan",
            "inf",
            "-1",
            "1e400",
            "Thu, 15 Jan 99999 00:00:00 GMT",
            "Mon, 01 Jan 0001 00:00:00 +2359",
            "0",
        ]
    )
    | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8),
)


@given(st.integers(100, 999), HEADERS, JSON, st.integers(1, 5))
def test_every_answer_has_an_outcome_and_only_whole_counts_are_a_delivery(
    status: int, headers: dict[str, str], body: Any, sent: int
) -> None:
    outcome = classify()(Response(status, headers, body), sent, NOW)
    assert isinstance(outcome, Delivered | Retry | Rejected | Bisect | Stop)
    if isinstance(outcome, Delivered):
        assert status == 200
        assert body["data"]["success_count"] == body["data"]["total_count"] == sent


def test_a_superscript_is_no_number_of_seconds() -> None:
    assert classify()(Response(503, {"retry-after": "²"}, None), 1, NOW) == Retry("HTTP 503")


def test_each_status_has_one_outcome() -> None:
    listed = [status for statuses in STATUSES.values() for status in statuses]
    assert len(listed) == len(set(listed))
    kinds = {
        "delivered": Delivered,
        "stop": Stop,
        "bisect": Bisect,
        "retry": Retry,
        "reject": Rejected,
    }
    for status in range(100, 1000):
        fitting = {
            then: text
            for then, texts in STATUSES.items()
            for text in texts
            if text in (str(status), f"{status // 100}xx")
        }
        exact = [then for then, text in fitting.items() if text == str(status)]
        [then] = exact or list(fitting) or ["retry"]
        assert type(DEFAULTS(Response(status, {}, None), 1, NOW)) is kinds[then]


def test_the_page_on_the_language_lists_the_same_statuses() -> None:
    page = (ROOT / "docs/language.md").read_text("utf-8")
    _, _, text = page.partition("What happens is HTTP's own: ")
    text, _, _ = text.partition(".\n")
    listed = {}
    for clause in text.split("·"):
        [then] = [then for then in STATUSES if re.search(rf"\b{then}\b", clause)]
        listed[then] = set(re.findall(r"\b(?:\dxx|\d{3})\b", clause))
    assert listed == {then: set(statuses) for then, statuses in STATUSES.items()}


def test_a_token_endpoint_is_asked_again_at_the_same_statuses() -> None:
    # 501 aside: a token endpoint that fails at all may come back
    retried = {
        status
        for status in range(400, 600)
        if isinstance(DEFAULTS(Response(status, {}, None), 1, NOW), Retry)
    }
    assert retried | {501} == oauth2._RETRIED


def rules(*written: dict[str, Any]) -> Classify:
    return compile_rules([Reader({}).response_rule(rule) for rule in written])


@pytest.mark.parametrize("body", ["body.code == 1", "status == 400 and body"])
def test_a_refusal_that_is_no_json_is_not_the_vendors_where_its_body_is_read(body: str) -> None:
    classify = rules({"when": body, "then": "stop"}, {"when": "status == 400", "then": "reject"})
    assert isinstance(classify(Response(400, {}, None), 1, NOW), Retry)
    assert isinstance(classify(Response(422, {}, None), 1, NOW), Retry)
    assert isinstance(classify(Response(400, {}, []), 1, NOW), Rejected)
    # what is about the size, and what refuses nobody, may come from anything
    assert isinstance(classify(Response(413, {}, None), 1, NOW), Bisect)
    assert isinstance(classify(Response(404, {}, None), 1, NOW), Stop)
    assert isinstance(classify(Response(204, {}, None), 1, NOW), Delivered)


def test_a_refusal_that_is_no_json_counts_where_nobody_reads_a_body() -> None:
    classify = rules({"when": "status == 409", "then": "reject"})
    assert isinstance(classify(Response(400, {}, None), 1, NOW), Bisect)
    assert isinstance(classify(Response(409, {}, None), 1, NOW), Rejected)


WAITS: list[tuple[str, dict[str, str], dict[str, str], Any, float | None, bool]] = [
    ("a span", {"after": "60s"}, {}, None, NOW + 60, False),
    ("a span, and the answer says more", {"after": "60s"}, {"retry-after": "5"}, None, NOW + 5, True),
    ("seconds", {"after": "body.wait"}, {}, {"wait": 30}, NOW + 30, True),
    ("seconds as text", {"after": "body.wait"}, {}, {"wait": "30"}, NOW + 30, True),
    ("seconds with their unit", {"after": "body.wait"}, {}, {"wait": "34.5s"}, NOW + 34.5, True),
    ("seconds in a header", {"after": "headers['x-reset']"}, {"x-reset": "12"}, None, NOW + 12, True),
    ("no seconds", {"after": "body.wait"}, {}, {}, None, True),
    ("no seconds, but Retry-After", {"after": "body.wait"}, {"retry-after": "2.25"}, {}, NOW + 2.25, True),
    ("seconds that are none", {"after": "body.wait"}, {}, {"wait": "soon"}, None, True),
    ("seconds below nought", {"after": "body.wait"}, {}, {"wait": -5}, None, True),
    ("no number", {"after": "body.wait"}, {}, {"wait": "nan"}, None, True),
    ("for ever", {"after": "body.wait"}, {}, {"wait": "inf"}, NOW + 31_536_000, True),
    ("a moment", {"at": "body.at"}, {}, {"at": NOW + 7}, NOW + 7, True),
    ("a moment goes before seconds", {"at": "body.at", "after": "body.wait"}, {}, {"at": NOW + 7, "wait": 3}, NOW + 7, True),
    ("a moment that is none", {"at": "body.at", "after": "10s"}, {}, {"at": "x"}, NOW + 10, False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "headers", "body", "moment", "named"),
    [row[1:] for row in WAITS],
    ids=[row[0] for row in WAITS],
)
def test_when_a_request_is_sent_again(
    rule: dict[str, str], headers: dict[str, str], body: Any, moment: float | None, named: bool
) -> None:
    classify = rules({"when": "status == 429", "then": "retry", "reason": "busy", **rule})
    outcome = classify(Response(429, headers, body), 1, NOW)
    assert outcome == Retry("busy", moment, named)
