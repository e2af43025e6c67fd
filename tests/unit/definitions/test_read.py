"""From documents to typed values: sources, what is shared, answers in their order, operations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Action, Destination, FromNow, FromParameter
from connector.definitions.read import Reader, UnknownSourceError
from connector.definitions.statuses import CODES, then_of
from connector.errors import DefinitionError
from connector.model import Response
from connector.pipeline.responses import compile_rules
from tests.kit.clock import NOW
from tests.kit.destination import action, email, write_destination

READER = Reader({"assumed": {"read": "assumed"}})
BY_STATUS = compile_rules(())


# --- sources ---


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("page", ("vendor", "", "https://a.example")),
        ("page: A note: with a colon.", ("vendor", "A note: with a colon.", "https://a.example")),
        ("peer: Only a note.", ("peer", "Only a note.", "")),
    ],
)
def test_a_source_is_a_name_and_a_note(written: str, expected: tuple[str, str, str]) -> None:
    pages = {"page": {"read": "vendor", "url": "https://a.example"}, "peer": {"read": "peer"}}
    found = Reader(pages).required_source({"source": written})
    assert (found.read, found.note, found.url) == expected


def test_an_unknown_source_is_refused() -> None:
    with pytest.raises(UnknownSourceError):
        READER.required_source({"source": "pages: A note."})


# --- what records share ---


def shared(tmp_path: Path, envelope: str, operation: str = "add", **more: Any) -> Action:
    share = {
        "kind": "people",
        "do": {"add": 1, "remove": 2},
        "until": {"param": "until"},
        "tag": {"param": "tag", "default": "none"},
        "end": {"param": "until", "default": {"now": "P1D"}},
    }
    texts = {name: {"title": name, "description": "A text."} for name in ("until", "tag")}
    document = action(
        {"email": email(), "phone": email(), **texts},
        operation=operation,
        path="/people",
        envelope="body.json.j2",
        share=share,
        **more,
    )
    made = write_destination(tmp_path, {"act": document}, {"body": envelope})
    return made.load("tiny").actions["act"]


GROUPS = "[{% for group in groups %}{{ group.items }},{% endfor %}]"


@pytest.mark.parametrize("operation", ["add", "remove"])
def test_what_is_shared_belongs_to_the_groups_that_the_envelope_renders(
    tmp_path: Path, operation: str
) -> None:
    found = shared(tmp_path, GROUPS, operation)
    assert found.request == {}
    assert found.group == {
        "kind": "people",
        "do": 1 if operation == "add" else 2,
        "until": FromParameter("until"),
        "tag": FromParameter("tag", "none", has_default=True),
        "end": FromParameter("until", FromNow("P1D"), has_default=True),
    }


@pytest.mark.parametrize("envelope", ["{{ items }}", "{# no groups #}{{ items }}", ""])
def test_else_it_belongs_to_the_request(tmp_path: Path, envelope: str) -> None:
    found = shared(tmp_path, envelope)
    assert found.group == {}
    assert set(found.request) == {"kind", "do", "until", "tag", "end"}


@pytest.mark.parametrize("envelope", [GROUPS, "{{ items }}"])
def test_where_items_are_of_one_wire_key_a_request_is(tmp_path: Path, envelope: str) -> None:
    found = shared(tmp_path, envelope, split={"by": "wire", "values": 3})
    assert found.request["wire"] == FromParameter("wire")
    assert found.split
    assert (found.split.name, found.split.values, found.split.identifiers) == ("wire", 3, None)
    assert found.split.parts == {"email": ("email",), "phone": ("phone",)}


# --- answers ---


def outcome(rules: Any, status: int, body: Any = None) -> Any:
    return compile_rules(rules)(Response(status, {}, body), 2, NOW)


def rule(when: str, **more: Any) -> dict[str, Any]:
    return {"when": when, "then": "reject", "source": "assumed", **more}


def test_rules_come_before_success_and_success_before_hints() -> None:
    own = {"responses": [rule("body.own", code="own")], "hints": {"404": "own hint"}}
    shared = {
        "responses": [rule("body.shared", code="shared", reason="r")],
        "success": {"when": "body.ok", "source": "assumed"},
        "hints": {"2xx": "shared hint", "404": "hidden", "403": "also shared"},
        "detail": "body.code",
    }
    rules = READER.responses(own, shared)
    pointers = [found.pointer for found in rules]
    assert pointers == [
        "/responses/0", "/responses/0", "/success", "/hints/2xx", "/hints/403", "/hints/404"
    ]  # fmt: skip
    assert outcome(rules, 200, {"own": 1, "shared": 1, "ok": 1}).code == "own"
    assert outcome(rules, 200, {"shared": 1, "ok": 1}).code == "shared"
    assert type(outcome(rules, 200, {"ok": 1})).__name__ == "Delivered"
    # a 2xx that is no success is sent again
    again = outcome(rules, 200, {"code": "BUSY"})
    assert (type(again).__name__, again.reason) == ("Retry", "shared hint (BUSY)")
    # what an action says goes before what its destination says
    assert outcome(rules, 404).reason == "own hint"
    assert outcome(rules, 403, {"code": "NO_ROLE"}).reason == "also shared (NO_ROLE)"


def test_an_actions_own_success_and_detail_replace_those_of_the_destination() -> None:
    own = {"success": {"when": "body.mine", "source": "assumed"}, "detail": "body.word"}
    shared = {
        "success": {"when": "body.ok", "source": "assumed"},
        "hints": {"403": "no"},
        "detail": "body.code",
    }
    rules = READER.responses(own, shared)
    assert type(outcome(rules, 200, {"ok": 1})).__name__ == "Retry"
    assert type(outcome(rules, 200, {"mine": 1})).__name__ == "Delivered"
    assert outcome(rules, 403, {"word": "WORD", "code": "CODE"}).reason == "no (WORD)"


@pytest.mark.parametrize("status", [200, 202, 299])
def test_where_a_rule_says_what_is_delivered_no_other_2xx_is(status: int) -> None:
    assert type(outcome(READER.responses({}, {}), status)).__name__ == "Delivered"
    delivered = {"responses": [rule("body.ok", then="delivered")]}
    assert type(outcome(READER.responses({}, delivered), status)).__name__ == "Retry"
    assert type(outcome(READER.responses(delivered, {}), status)).__name__ == "Retry"


def test_a_success_is_a_2xx_whatever_its_condition_says() -> None:
    for when in ("true", "body.a or true", "status == 404"):
        rules = READER.responses({}, {"success": {"when": when, "source": "assumed"}})
        assert type(outcome(rules, 404)) is type(BY_STATUS(Response(404, {}, None), 2, NOW))


def test_a_rule_for_a_status_has_the_words_of_its_hint() -> None:
    written = {
        "responses": [rule("status == 409"), rule("status == 410", reason="own words")],
        "hints": {"409": "words", "410": "not said"},
        "detail": "body.code",
    }
    rules = READER.responses({}, written)
    assert outcome(rules, 409, {"code": "TWICE"}).reason == "words (TWICE)"
    assert outcome(rules, 410, {"code": "TWICE"}).reason == "own words"


STATUSES = [str(status) for status in (200, 202, 301, 400, 401, 403, 404, 409, 413, 429, 500, 501)]
HINTS = st.dictionaries(
    st.sampled_from([*STATUSES, "2xx", "3xx", "4xx", "5xx"]), st.just("words"), max_size=6
)


@given(HINTS, st.integers(200, 599))
def test_a_hint_changes_no_outcome_but_that_of_a_2xx(hints: dict[str, str], status: int) -> None:
    found = outcome(READER.responses({}, {"hints": hints}), status)
    by_itself = BY_STATUS(Response(status, {}, None), 2, NOW)
    is_hinted = str(status) in hints or f"{status // 100}xx" in hints
    if is_hinted and status < 300:
        assert type(found).__name__ == "Retry"
    else:
        assert type(found) is type(by_itself)
    if is_hinted:
        assert found.reason == "words"
        if then_of(str(status)) in ("stop", "reject", "bisect"):
            assert found.code == CODES.get(str(status), f"http_{status}")


# --- operations and the guide ---


def loaded(tmp_path: Path, actions: dict[str, Any], **files: Any) -> Destination:
    return write_destination(tmp_path, actions, {}, files).load("tiny")


def test_operations_are_actions_of_their_names_in_the_order_of_names(tmp_path: Path) -> None:
    document = action({"email": email()}, path="/people")
    document["operations"] = {
        "remove_person": {"title": "Remove", "action": {"operation": "remove", "method": "DELETE"}},
        "add_person": {"action": {"path": "/more"}},
    }
    found = loaded(tmp_path, {"person": document, "other": action({"email": email()}, path="/o")})
    assert list(found.actions) == ["add_person", "other", "remove_person"]
    adding, removing = found.actions["add_person"], found.actions["remove_person"]
    assert (adding.operation, adding.method, adding.path) == ("add", "POST", "/more")
    assert (removing.operation, removing.method, removing.path) == ("remove", "DELETE", "/people")
    assert (adding.title, removing.title) == ("Add", "Remove")


def test_one_id_is_one_action(tmp_path: Path) -> None:
    document = action({"email": email()}, path="/people")
    document["operations"] = {"other": {"title": "Other"}, "third": {"title": "Third"}}
    with pytest.raises(DefinitionError) as raised:
        loaded(tmp_path, {"person": document, "other": action({"email": email()}, path="/o")})
    [problem] = raised.value.problems
    assert (problem.code, problem.pointer) == ("D111", "/operations/other")


def test_the_guide_is_the_text_beside_the_destination(tmp_path: Path) -> None:
    assert loaded(tmp_path, {"add": action({"email": email()}, path="/people")}).guide == ""
    (tmp_path / "schemas" / "tiny" / "guide.md").write_text("## Größe\n", "utf-8")
    assert loaded(tmp_path, {}).guide == "## Größe\n"
