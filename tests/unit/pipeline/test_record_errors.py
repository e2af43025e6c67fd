"""Rules with `each`: whom an answer names, and that an answer which no rule understands is never a delivery."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.definitions.read import Reader
from connector.model import Bisect, Delivered, NamedRecords, Outcome, Rejected, Response, Retry
from connector.pipeline.responses import compile_rules

NOW = 1_768_435_200.0


def classify(body: Any, rule: dict[str, Any], sent: int = 3) -> Outcome:
    whole = {
        "when": "status == 207",
        "then": "delivered",
        "each": "body.errors",
        "code": "refused",
        "reason": "no",
        **rule,
    }
    return compile_rules([Reader({}).response_rule(whole)])(Response(207, {}, body), sent, NOW)


def named(
    by: str,
    refused: tuple[Any, ...] = (),
    later: tuple[Any, ...] = (),
    *words: str,
    rest: bool = True,
) -> Rejected:
    return Rejected("refused", "no", NamedRecords(by, refused, later, rest, words))


BISECT = Bisect("refused", "no")
ITEM = {"by": "item"}
INDEX = {"by": "item", "position": "entry.index"}
VALUE = {"by": "value"}
STATUS = {"by": "item", "error": "entry.status >= 400", "later": "entry.status >= 500"}
REJECT = {"then": "reject"}

TABLE: list[tuple[str, dict[str, Any], Any, Outcome]] = [
    # by its place in the list
    ("no errors", ITEM, {"errors": []}, Delivered()),
    ("no member", ITEM, {"accepted": 3}, Delivered()),
    ("null", ITEM, {"errors": None}, Delivered()),
    ("empty entries", ITEM, {"errors": [None, {}, "", []]}, Delivered()),
    ("the second one", ITEM, {"errors": [None, {"code": "A"}]}, named("item", (1,))),
    ("a group", {"by": "group"}, {"errors": [[], [{"code": "A"}]]}, named("group", (1,))),
    ("a word for an entry", ITEM, {"errors": [None, "INVALID"]}, named("item", (1,))),
    # with a position of its own
    ("a position", INDEX, {"errors": [{"index": 2}, {"index": 0}]}, named("item", (2, 0))),
    ("one that nobody has", INDEX, {"errors": [{"index": 99}]}, named("item", (99,))),
    ("one below nought", INDEX, {"errors": [{"index": -1}]}, named("item", (-1,))),
    ("no position", INDEX, {"errors": [{"index": 1}, {"code": "A"}]}, BISECT),
    ("a position that is text", INDEX, {"errors": [{"index": "1"}]}, BISECT),
    ("text that is taken for a number", {**INDEX, "position": "entry.index | int"}, {"errors": [{"index": "1"}]}, named("item", (1,))),
    ("a position that is true", INDEX, {"errors": [{"index": True}]}, BISECT),
    ("a position with a fraction", INDEX, {"errors": [{"index": 1.0}]}, BISECT),
    ("a position from one", {**INDEX, "position": "entry.row - 1"}, {"errors": [{"row": 1}]}, named("item", (0,))),
    ("a position from one that is missing", {**INDEX, "position": "entry.row - 1"}, {"errors": [{}, {"x": 1}]}, BISECT),
    # by value
    ("values", VALUE, {"errors": ["ann", 7]}, named("value", ("ann", "7"))),
    ("a value in an object", {**VALUE, "position": "entry.id"}, {"errors": [{"id": "ann"}]}, named("value", ("ann",))),
    ("an object where a value is due", VALUE, {"errors": ["ann", {"id": "ann"}]}, BISECT),
    ("a list where a value is due", VALUE, {"errors": [["ann"]]}, BISECT),
    ("true where a value is due", VALUE, {"errors": [True]}, BISECT),
    # what is an error, and which of them passes
    ("statuses", STATUS, {"errors": [{"status": 200}, {"status": 422}, {"status": 503}]}, named("item", (1,), (2,))),
    ("good statuses", STATUS, {"errors": [{"status": 200}, {"status": 201}]}, Delivered()),
    ("only some that pass", STATUS, {"errors": [{"status": 503}]}, named("item", (), (0,))),
    ("an entry without a status", STATUS, {"errors": [{"status": 200}, {}]}, BISECT),
    ("an entry that is null", STATUS, {"errors": [{"status": 200}, None]}, BISECT),
    ("an entry that is no object", STATUS, {"errors": [{"status": 200}, "500"]}, BISECT),
    ("an entry that is no object, and a member", {"by": "item", "error": "entry.code"}, {"errors": ["INVALID"]}, BISECT),
    ("an entry that is an object, and no member", {"by": "item", "error": "entry.code"}, {"errors": [{"ok": 1}]}, Delivered()),
    ("a status that is text", STATUS, {"errors": [{"status": "400"}]}, BISECT),
    ("words for entries", {"by": "item", "error": "entry != 'ok'"}, {"errors": ["ok", "bad"]}, named("item", (1,))),
    ("a later that fails", {**INDEX, "later": "entry.code >= 500"}, {"errors": [{"index": 1}]}, BISECT),
    ("what else is known", {"by": "item", "error": "entry.n > sent and status == 207"}, {"errors": [{"n": 4}]}, named("item", (0,))),
    # a list that is none
    ("an object", ITEM, {"errors": {"0": "A"}}, BISECT),
    ("an empty object", ITEM, {"errors": {}}, BISECT),
    ("a text", ITEM, {"errors": "none"}, BISECT),
    ("an empty text", ITEM, {"errors": ""}, BISECT),
    ("a number", ITEM, {"errors": 0}, BISECT),
    ("false", ITEM, {"errors": False}, BISECT),
    ("an expression that fails", {**ITEM, "each": "body.errors + 1"}, {"errors": []}, BISECT),
    # where nothing was applied
    ("an atomic refusal", {**INDEX, **REJECT}, {"errors": [{"index": 1}]}, named("item", (1,), rest=False)),
    ("an atomic one that passes", {**STATUS, **REJECT}, {"errors": [{"status": 500}]}, named("item", (), (0,), rest=False)),
    ("an atomic one that names nobody", {**INDEX, **REJECT}, {"errors": []}, BISECT),
    ("an atomic one without a list", {**INDEX, **REJECT}, "refused", BISECT),
    ("an atomic one without JSON", {**INDEX, **REJECT}, None, Retry("HTTP 207 without the vendor's JSON: something else answered")),
    # the vendor's words
    ("a word", {**INDEX, "detail": "entry.code"}, {"errors": [{"index": 0, "code": "A1"}]}, named("item", (0,), (), " (A1)")),
    ("no word", {**INDEX, "detail": "entry.code"}, {"errors": [{"index": 0}]}, named("item", (0,), (), "")),
    ("a text that may quote", {**INDEX, "detail": "entry.code"}, {"errors": [{"index": 0, "code": "ann@example.com"}]}, named("item", (0,), (), "")),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "body", "outcome"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE]
)
def test_whom_an_answer_names(rule: dict[str, Any], body: Any, outcome: Outcome) -> None:
    assert classify(body, rule) == outcome


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        {"when": "status == 207 and body.errors[0].fatal", "then": "retry", "reason": "all"},
        {"when": "status == 207", "then": "delivered", "each": "body.errors", "by": "item"},
    ]
    both = compile_rules([Reader({}).response_rule(rule) for rule in rules])
    assert both(Response(207, {}, {"errors": [{"fatal": True}]}), 1, NOW) == Retry("all")
    assert both(Response(207, {}, {"errors": [{"code": 1}]}), 1, NOW) == Rejected(
        "http_207", "HTTP 207", NamedRecords("item", (0,), rest_delivered=True)
    )


def test_whom_an_answer_names_is_not_in_its_repr() -> None:
    assert "ann" not in repr(classify({"errors": ["ann@example.com"]}, VALUE))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 600) | st.sampled_from([200.5, "", "200", "x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["status", "index", "again"]), inner, max_size=3)
    ),
    max_leaves=8,
)


def fine(entry: Any) -> bool:
    """Whether an entry says that all is well, told in the plainest way."""
    return (
        isinstance(entry, dict)
        and isinstance(entry.get("status"), int | float)
        and entry["status"] < 400
    )


@given(
    JSON,
    st.sampled_from(
        [
            STATUS,
            {**STATUS, "position": "entry.index"},
            {**STATUS, **VALUE, "position": "entry.index"},
        ]
    ),
)
@example({"errors": "0"}, STATUS)
@example({"errors": [{"status": True}]}, STATUS)
def test_only_an_answer_that_is_understood_is_a_delivery(errors: Any, rule: dict[str, Any]) -> None:
    outcome = classify({"errors": errors}, rule)
    if isinstance(outcome, Delivered):
        assert errors is None or (isinstance(errors, list) and all(fine(entry) for entry in errors))
    elif isinstance(outcome, Rejected):
        assert outcome.named is not None
        wrong = [entry for entry in errors if not fine(entry)]
        assert len(outcome.named.refused) + len(outcome.named.later) == len(wrong)


def test_an_entry_that_is_a_list_is_not_taken_for_no_error() -> None:
    rule = {
        "when": "true",
        "then": "delivered",
        "each": "body.errors",
        "by": "item",
        "error": "entry.code",
    }
    outcome = compile_rules([Reader({}).response_rule(rule)])(
        Response(200, {}, {"errors": [["INVALID"]]}), 2, 0.0
    )
    assert isinstance(outcome, Bisect)


LONGEST = "CODE_" * 9 + "ABC"


@pytest.mark.parametrize(
    ("word", "words"),
    [
        ("INVALID_EMAIL", " (INVALID_EMAIL)"),
        ("a.b-c", " (a.b-c)"),
        (LONGEST, f" ({LONGEST})"),
        (f"{LONGEST}D", ""),
        ("", ""),
        ("a" * 31, f" ({'a' * 31})"),
        ("a" * 32, ""),
        ("12025550123", ""),
        ("two words", ""),
        ("ann@example.com", ""),
    ],
)
def test_only_a_short_code_of_the_vendor_is_repeated(word: str, words: str) -> None:
    assert len(LONGEST) == 48
    body = {"errors": [{"index": 0, "code": word}]}
    assert classify(body, {**INDEX, "detail": "entry.code"}) == named("item", (0,), (), words)
    whole = {"each": "", "then": "reject", "detail": "body.errors[0].code"}
    assert classify(body, whole) == Rejected("refused", f"no{words}")


def test_of_several_codes_each_is_repeated_once() -> None:
    body = {"errors": [{"index": 0, "codes": ["B", "A", "B", 7, "ann@example.com"]}]}
    detail = {**INDEX, "detail": "entry.codes"}
    assert classify(body, detail) == named("item", (0,), (), " (B, A)")


@pytest.mark.parametrize("then", ["stop", "bisect"])
def test_entries_do_not_matter_where_the_whole_request_is_meant(then: str) -> None:
    outcome = classify({"errors": [{"index": 0}]}, {**INDEX, "then": then})
    assert not isinstance(outcome, Delivered | Rejected)
