"""Cases: their text, what may not stand in it, the pytest plugin, and `connector test`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import syrupy
from hypothesis import given
from hypothesis import strategies as st

from connector._util.pretty_json import pretty, texts
from connector.definitions.catalog import Catalog
from connector.errors import ConfigError, ConnectorError, DefinitionError
from connector.linting.engine import lint
from connector.model import Bisect, Delivered, Event, NamedRecords, Rejected, Request, Retry, Stop
from connector.pipeline.dropped import REASONS
from connector.testing import plugin as pytest_plugin
from connector.testing.case import Case, load_cases, slug
from connector.testing.command import run_cases
from connector.testing.run_case import CaseError, run_case
from connector.testing.transcript import Attempt, EventResult, Transcript
from tests.kit import ROOT
from tests.kit.destination import SOURCE, action, email, write_destination
from tests.kit.records import catalog as shipped_catalog

pytest_plugins = ["pytester"]
pytestmark = pytest.mark.filterwarnings("error")

CASES = ROOT / "tests" / "cases"
SNAPSHOTS = "__snapshots__"
DASH = "\N{EN DASH}"
ANN = sha256(b"ann@example.com").hexdigest()

HEAD = """
    destination: x_custom_audiences
    settings: {account_id: 18ce54d4x5t}
    routes:
      - action: add_user
        when: event.skip != true
        map:
          custom_audience_id: {value: 1nmth}
          email: {from: email}
          phone_number: {from: phone}
          handle: {from: handle}
          partner_user_id: {from: own_id}
    cases:
"""
ONE = """
      - name: one person
        events: [{email: ann@example.com}]
"""


@pytest.fixture(autouse=True)
def _no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the runs inside a test be runs of their own, whatever distributes the tests."""
    monkeypatch.delenv("PYTEST_XDIST_WORKER", raising=False)


def write(path: Path, cases: str = ONE, head: str = HEAD) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(dedent(head) + dedent(cases).replace("\n", "\n  "), "utf-8")
    return path


def case(tmp_path: Path, cases: str = ONE, head: str = HEAD) -> Case:
    return load_cases(write(tmp_path / "a.case.yaml", cases, head), shipped_catalog())[0]


def run(tmp_path: Path, cases: str = ONE, head: str = HEAD) -> str:
    return run_case(case(tmp_path, cases, head))


def problems(tmp_path: Path, cases: str = ONE, head: str = HEAD) -> list[tuple[str, str]]:
    path = write(tmp_path / "a.case.yaml", cases, head)
    with pytest.raises(ConfigError) as caught:
        load_cases(path, shipped_catalog())
    assert all(problem.file == str(path) for problem in caught.value.problems)
    return [(problem.code, problem.pointer) for problem in caught.value.problems]


def test_a_case_can_test_a_connection_file(tmp_path: Path) -> None:
    connection = (
        HEAD.replace("    cases:\n", "")
        + """
    credentials:
      consumer_key: {env: NOWHERE}
      consumer_secret: {env: NOWHERE}
      access_token: {env: NOWHERE}
      access_token_secret: {env: NOWHERE}
    """
    )
    (tmp_path / "connections").mkdir()
    (tmp_path / "connections" / "x.yaml").write_text(dedent(connection), "utf-8")
    head = "connection: ../connections/x.yaml\ncases:\n"
    made = case(tmp_path / "cases", head=head)
    assert run_case(made) == run(tmp_path)
    assert made.connection.file == str(tmp_path / "cases" / ".." / "connections" / "x.yaml")

    elsewhere = dedent(connection) + "base_url: http://127.0.0.1:8080\n"
    (tmp_path / "connections" / "x.yaml").write_text(elsewhere, "utf-8")
    assert run_case(case(tmp_path / "cases", head=head)) == run(tmp_path)


# --- the text ---


def test_the_text_is_whole_and_the_same_every_time(tmp_path: Path) -> None:
    text = run(tmp_path)
    assert text == run(tmp_path)
    assert text == dedent(f"""\
        POST https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users
        accept: application/json
        content-type: application/json

        [
          {{
            "operation_type": "Update",
            "params": {{
              "users": [
                {{
                  "email": [
                    "{ANN}"
                  ]
                }}
              ]
            }}
          }}
        ]

        → 200 delivered

        outcomes:
        event 1, add_user-1: delivered

        counts: events 1, skipped 0, records 1, delivered 1, superseded 0, rejected 0, undelivered 0, \
        identifiers_dropped 0, requests 1, bytes 129
    """).replace("        identifiers_dropped", "identifiers_dropped")


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON_VALUES)
def test_a_body_is_shown_as_it_is(value: Any) -> None:
    body = json.dumps(value).encode()
    assert json.loads(pretty(body)) == value
    assert json.loads(pretty(body), object_pairs_hook=tuple) == json.loads(
        body, object_pairs_hook=tuple
    )


def test_numbers_are_shown_digit_for_digit_and_keys_in_their_order() -> None:
    body = b'{"b":1.0,"a":12345678901234567890123,"b":[1e2,-0.10],"c":[],"d":{}}'
    shown = '{\n  "b": 1.0,\n  "a": 12345678901234567890123,\n  "b": [\n    1e2,\n    -0.10\n  ],\n  "c": [],\n  "d": {}\n}'
    assert pretty(body) == shown
    assert texts(body) == {"a", "b", "c", "d", "1.0", "12345678901234567890123", "1e2", "-0.10"}
    assert texts(b"") == set()


def test_a_long_list_is_cut_when_asked_for() -> None:
    assert pretty(b"[1,2,3]", cut=True) == "[\n  1,\n  2,\n  3\n]"
    assert pretty(b"[1,2,3,4]", cut=True) == "[\n  1,\n  … 2 more …,\n  4\n]"


def test_a_long_body_is_shown_by_its_digest(tmp_path: Path) -> None:
    text = run(
        tmp_path, '  - {name: many, events: {repeat: 300, event: {email: "ann+{n}@example.com"}}}'
    )
    items = ",".join(
        f'{{"email":["{sha256(b"ann+%d@example.com" % n).hexdigest()}"]}}' for n in range(300)
    )
    body = f'[{{"operation_type":"Update","params":{{"users":[{items}]}}}}]'.encode()
    assert (
        f"bytes: {len(body)}\nsha256: {sha256(body).hexdigest()}\ngroups: 1\nrecords: 300\n\n[\n"
        in text
    )
    assert "… 298 more …," in text
    assert text.count('"email"') == 2
    assert f"events 1{DASH}300, add_user-1: delivered" in text


def transcript(endings: Sequence[EventResult]) -> str:
    return Transcript((), endings, {}, {"events": len(endings)}).text()


def test_only_long_runs_of_equal_endings_are_folded() -> None:
    alike = [EventResult(f"e{n}", (("in", "delivered"), ("out", "superseded"))) for n in range(51)]
    assert transcript(alike).startswith(
        f"outcomes:\nevents e0{DASH}e50, in: delivered\nevents e0{DASH}e50, out: superseded\n\ncounts"
    )
    assert len(transcript(alike[:50]).splitlines()) == 1 + 100 + 2
    assert (
        "events"
        not in transcript([*alike[:40], EventResult("other", ()), *alike[:40]]).partition("counts")[
            0
        ]
    )
    assert "event other: skipped\n" in transcript([*alike[:40], EventResult("other", ())])


@pytest.mark.parametrize(
    ("outcome", "words"),
    [
        (Delivered(), "delivered"),
        (Retry("busy"), "retry: busy"),
        (Retry("busy", 1768435260.0), "retry: busy, not before 2026-01-15T00:01:00Z"),
        (Rejected("bad", "no"), "rejected bad: no"),
        (Rejected("bad", "no", NamedRecords("item", (0, 2))), "rejected bad: no (item 1, 3)"),
        (Bisect("bad", "no"), "bisect bad: no"),
        (Stop("bad", "no"), "stop bad: no"),
    ],
)
def test_every_outcome_has_words(outcome: Any, words: str) -> None:
    attempt = Attempt(Request("GET", "https://ads.example.com/", {}, b""), 0, 0, 200, outcome)
    assert (
        Transcript([attempt], [], {}, {})
        .text()
        .startswith(f"GET https://ads.example.com/\n\n\n→ 200 {words}\n")
    )


def test_given_responses_come_first_then_the_sandbox(tmp_path: Path) -> None:
    text = run(
        tmp_path,
        """
          - name: all kinds
            now: 2026-03-01T00:00:00Z
            events: [{email: ann@example.com}]
            responses:
              - {status: 503, headers: {Retry-After: "90"}}
              - {status: 502, body: "<html>"}
              - {fail: timeout}
              - {status: 200, body: '{"data": {"success_count": 0, "total_count": 1}}'}
        """,
    )
    assert re.findall(r"^[(→].*$", text, re.MULTILINE) == [
        "→ 503 retry: HTTP 503, not before 2026-03-01T00:01:30Z",
        "(90 s later)",
        "(the same headers and body again)",
        "→ 502 retry: HTTP 502",
        "(the same headers and body again)",
        "→ no answer, retry: timed out waiting for an answer",
        "(60 s later)",
        "(the same headers and body again)",
        "→ 200 retry: X did not count as many people as were sent",
        "(300 s later)",
        "(the same headers and body again)",
        "→ 200 delivered",
    ]


def test_a_text_is_the_exact_answer(tmp_path: Path) -> None:
    counts = '{"data": {"success_count": 1, "total_count": 1}}'
    text = run(
        tmp_path,
        f"""
          - name: text
            events: [{{email: ann@example.com}}]
            responses: [{{status: 200, body: '{counts}'}}]
        """,
    )
    assert "requests 1," in text


def test_the_number_of_an_event_stands_in_its_texts(tmp_path: Path) -> None:
    one = case(
        tmp_path,
        '  - {name: numbered, events: {repeat: 2, event: {a: "{n}-{n}", b: [{c: "x{n}"}], "{n}": 1, d: true}}}',
    )
    assert one.events == (
        Event(1, {"a": "0-0", "b": [{"c": "x0"}], "{n}": 1, "d": True}),
        Event(2, {"a": "1-1", "b": [{"c": "x1"}], "{n}": 1, "d": True}),
    )


def test_a_case_does_not_show_its_events(tmp_path: Path) -> None:
    assert "example.com" not in repr(case(tmp_path))


# --- what is no snapshot ---


def fails(tmp_path: Path, cases: str, head: str = HEAD) -> str:
    with pytest.raises(CaseError) as caught:
        run(tmp_path, cases, head)
    return str(caught.value)


def test_a_case_without_requests_and_outcomes_fails(tmp_path: Path) -> None:
    message = fails(tmp_path, "  - {name: nothing, events: [{skip: true}, {skip: true}]}")
    assert message == (
        "case 'nothing': no route matches any of its events; check 'when' in the routes: a name "
        "that it compares with, such as an audience's, has to be the one in the events of the case"
    )


JOINED_OR_LEFT = """
    destination: x_custom_audiences
    settings: {account_id: 18ce54d4x5t}
    routes:
      - name: joined
        action: add_user
        when: event.in == 'VIP'
        map: &map {custom_audience_id: {value: 1nmth}, email: {from: email}}
      - {name: left, action: remove_user, when: event.in != 'VIP', map: *map}
    cases:
"""


@pytest.mark.parametrize(
    "taken_by", ["", ", taken_by: [left, joined]", ", taken_by: [joined, left]"]
)
def test_a_case_says_which_routes_take_its_events(tmp_path: Path, taken_by: str) -> None:
    events = "[{in: VIP, email: ann@example.com}, {email: bob@example.com}]"
    run(tmp_path, f"  - {{name: both, events: {events}{taken_by}}}", JOINED_OR_LEFT)


@pytest.mark.parametrize(
    ("inside", "taken_by", "said"),
    [
        ("VIP", "[left]", "its events are taken by joined; taken_by says left; check 'when' in"),
        ("Fans", "[joined]", "its events are taken by left; taken_by says joined; check 'when'"),
        ("Fans", "[joined, left]", "its events are taken by left; taken_by says joined, left; "),
    ],
)
def test_other_routes_than_a_case_says_fail_it(
    tmp_path: Path, inside: str, taken_by: str, said: str
) -> None:
    events = f"[{{in: {inside}, email: ann@example.com}}]"
    cases = f"  - {{name: one, events: {events}, taken_by: {taken_by}}}"
    assert fails(tmp_path, cases, JOINED_OR_LEFT).startswith(f"case 'one': {said}")


def test_updating_does_not_approve_another_route(cases: pytest.Pytester) -> None:
    one = "  - {name: one, events: [{in: VIP, email: ann@example.com}], taken_by: [joined]}"
    write(cases.path / "a.case.yaml", one, JOINED_OR_LEFT)
    pytest_says(cases, "--snapshot-update")[0].assert_outcomes(passed=1)
    kept = cases.path / SNAPSHOTS / "a.case" / "one.txt"
    before = kept.read_text("utf-8")
    write(cases.path / "a.case.yaml", one, JOINED_OR_LEFT.replace("'VIP'", "'Fans'"))
    result, text = pytest_says(cases, "--snapshot-update")
    result.assert_outcomes(failed=1)
    assert "taken by left; taken_by says joined" in text
    assert kept.read_text("utf-8") == before


def test_a_response_that_nothing_asks_for_fails(tmp_path: Path) -> None:
    sent = "{status: 200, body: {data: {success_count: 1, total_count: 1}}}"
    cases = f"  - {{name: two, events: [{{email: ann@example.com}}], responses: [{sent}, {{status: 401}}]}}"
    assert "2 responses for 1 requests; remove the unused responses" in fails(tmp_path, cases)


@pytest.mark.parametrize(
    ("event", "parameter"),
    [
        ({"email": "Ann@Example.com", "own_id": "Ann@Example.com"}, "email"),
        ({"email": " Ann@Example.com ", "own_id": "ann@example.com"}, "email"),
        ({"email": "ann@example.com", "own_id": "<ANN@EXAMPLE.COM>"}, "email"),
        ({"email": ["ben@example.com", "ann@example.com"], "own_id": "x ann@example.com"}, "email"),
        ({"email": 'a"nn@example.com', "own_id": '"a"nn@example.com"'}, "email"),
        ({"phone": "+1 202-555-0123", "own_id": "+12025550123"}, "phone_number"),
        ({"phone": "+1 202-555-0123", "own_id": "tel12025550123"}, "phone_number"),
        ({"phone": 12025550123, "own_id": "12025550123"}, "phone_number"),
        ({"handle": "@AdsAPI", "own_id": "x_adsapi"}, "handle"),
        ({"handle": "@AdsAPI", "own_id": "@adsapi"}, "handle"),
        # the part before the @, as it is and as it is normalised
        ({"email": "ann.smith@example.com", "own_id": "user ann.smith!"}, "email"),
        ({"email": "AnnSmith@example.com", "own_id": "annsmith"}, "email"),
        # a phone number in any spelling, with and without its country code
        ({"phone": "+12025550123", "own_id": "call +1 (202) 555-0123"}, "phone_number"),
        ({"phone": "+12025550123", "own_id": "(202) 555 0123"}, "phone_number"),
        ({"phone": "+1 202 555 0123", "own_id": "202.555.0123"}, "phone_number"),
        ({"phone": "+49 171 5550123", "own_id": "0171/555 01 23"}, "phone_number"),
        # values that are dropped are people's data all the same
        ({"phone": "555-0123", "own_id": "5550123"}, "phone_number"),
    ],
)
def test_an_identifier_in_plain_text_fails(
    tmp_path: Path, event: Mapping[str, Any], parameter: str
) -> None:
    message = fails(
        tmp_path, f"  - {{name: leak, events: [{{own_id: other}}, {json.dumps(event)}]}}"
    )
    assert f"\n  event 2: what is mapped to '{parameter}'\n" in message
    assert not re.search("(?i)ann@|555|adsapi", message)


@pytest.mark.parametrize(
    "event",
    [
        {"own_id": "ann@example.com"},  # never hashed, so it may stand there
        {"email": "ann@example.com", "own_id": ANN},  # a digest is no plain text
        {"email": ANN, "own_id": ANN},
        {"handle": "ads", "own_id": "ads"},  # too short to tell from chance
        {"handle": "adsapi", "own_id": "adsapis"},  # a part of another word
        {"handle": ANN[:6], "email": "ann@example.com"},  # a part of a digest
        {"email": "ann@example.com", "own_id": "ann"},  # too short a part before the @
        {"email": "customer@example.com", "own_id": "customers"},  # a part of another word
        {"phone": "+12025550123", "own_id": "555 0123"},  # only the end of a number
        {"phone": "+12025550123", "own_id": "2025 and 550123"},  # two numbers
    ],
)
def test_what_is_no_identifier_in_plain_text(tmp_path: Path, event: Mapping[str, Any]) -> None:
    assert "delivered 1," in run(tmp_path, f"  - {{name: fine, events: [{json.dumps(event)}]}}")


def test_an_identifier_in_the_url_or_as_an_id_fails(tmp_path: Path) -> None:
    event = "{handle: adsapi2, email: ann@example.com, key: ann@example.com}"
    cases = f"  - {{name: leak, events: [{event}]}}"
    assert "'handle'" in fails(tmp_path, cases, HEAD.replace("{value: 1nmth}", "{from: handle}"))
    assert "'email'" in fails(
        tmp_path, cases, HEAD.replace("    routes:", "    event_id: key\n    routes:")
    )


@pytest.mark.parametrize(
    "event_id",
    ["someone.else@example.org", "<zoë@example.org>", "+12025550199", "+1 (202) 555-0199"],
)
def test_a_person_as_an_event_id_fails(tmp_path: Path, event_id: str) -> None:
    event = {"email": "ann@example.com", "key": event_id}
    head = HEAD.replace("    routes:", "    event_id: key\n    routes:")
    message = fails(tmp_path, f"  - {{name: leak, events: [{{}}, {json.dumps(event)}]}}", head)
    assert "\n  event 2: its id is an e-mail address or a phone number\n" in message
    assert event_id not in message


@pytest.mark.parametrize("event_id", ["e@1", "@handle", "12025550199", "2026-01-15T00:00:00+00:00"])
def test_an_id_that_is_nobody_may_be_shown(tmp_path: Path, event_id: str) -> None:
    event = {"email": "ann@example.com", "key": event_id}
    head = HEAD.replace("    routes:", "    event_id: key\n    routes:")
    text = run(tmp_path, f"  - {{name: fine, events: [{json.dumps(event)}]}}", head)
    assert f"event {event_id}, add_user-1: delivered" in text


def test_a_folded_body_is_searched_in_full(tmp_path: Path) -> None:
    cases = '  - {name: leak, events: {repeat: 900, event: {email: "a{n}@example.com", own_id: "a{n}@example.com"}}}'
    message = fails(tmp_path, cases)
    assert "event 1:" in message
    assert "event 20:" in message
    assert "… and 880 more" in message


# --- a tiny destination ---

OAUTH1 = {
    "scheme": "oauth1",
    "source": SOURCE,
}


def define(
    root: Path, envelope: str = '{"people": {{ items }}}', hashing: str = "sha256", **params: Any
) -> Catalog:
    """Make a definition whose only action has an e-mail, a note and what is given."""
    note = {"title": "Note", "description": "A text.", "type": "string"}
    add = action(
        {"email": email(hashing, **params), "note": note},
        path="/people",
        envelope="body.json.j2",
        share={"note": {"param": "note"}},
    )
    return write_destination(root, {"add": add}, {"body": envelope}, auth=OAUTH1)


TINY = """
    destination: tiny
    routes: [{action: add, map: {email: {from: email}, note: {expr: "'seen: ' ~ event.email"}}}]
    cases:
"""
NOTED = '{"notes": [{% for g in groups %}{{ g.note }},{% endfor %}], "people": {{ items }}}'


def tiny(tmp_path: Path, catalog: Catalog, cases: str = ONE) -> str:
    return run_case(load_cases(write(tmp_path / "tiny.case.yaml", cases, TINY), catalog)[0])


def test_a_template_that_writes_an_identifier_fails(tmp_path: Path) -> None:
    assert ANN in tiny(tmp_path, define(tmp_path))
    with pytest.raises(CaseError, match="event 1: what is mapped to 'email'") as caught:
        tiny(tmp_path, define(tmp_path, NOTED))
    assert "ann" not in str(caught.value)


def test_an_identifier_that_is_never_hashed_may_be_shown(tmp_path: Path) -> None:
    text = tiny(tmp_path, define(tmp_path, NOTED, hashing="none"))
    assert '"seen: ann@example.com"' in text
    assert texts(b'{"email":["ann@example.com"]}') <= set(re.findall(r'"([^"]*)"', text))


def test_a_value_that_the_schema_does_not_allow_is_dropped(tmp_path: Path) -> None:
    catalog = define(tmp_path, maxLength=20)
    text = tiny(
        tmp_path, catalog, "  - {name: long, events: [{email: somebody.far.too.long@example.com}]}"
    )
    assert "dropped identifiers:\nemail not_allowed: 1\n" in text


def test_a_wrong_template_is_a_message(tmp_path: Path) -> None:
    with pytest.raises(
        CaseError,
        match=r"invalid definition, run 'connector lint' for details: .*unknown name 'people'",
    ):
        tiny(tmp_path, define(tmp_path, "{{ people }}"))


def test_a_wrong_definition_is_reported_as_such(tmp_path: Path) -> None:
    catalog = define(tmp_path)
    (tmp_path / "schemas" / "tiny" / "add.json").write_text("{}")
    with pytest.raises(DefinitionError):
        tiny(tmp_path, catalog)


# --- case files ---


def test_wrong_case_files(tmp_path: Path) -> None:
    assert problems(tmp_path, head=HEAD.replace("cases:", "cases: []"), cases="") == [
        ("K107", "/cases")
    ]
    assert problems(tmp_path, "  - {name: a, events: []}") == [("K107", "/cases/0/events")]
    assert problems(tmp_path, "  - {name: a, event: [{}]}") == [("K102", "/cases/0/event")]
    assert problems(tmp_path, "  - {name: a, events: {repeat: 0, event: {}}}") == [
        ("K107", "/cases/0/events/repeat")
    ]
    assert problems(tmp_path, head="cases:\n") == [("K103", ""), ("K103", "")]
    assert problems(tmp_path, head="cases: [\n") == [("K101", "")]


@pytest.mark.parametrize("name", ["", "a::b", "[a]", "a [b", "-a", "a\tb", "a" * 81])
def test_names_that_cannot_be_tests(tmp_path: Path, name: str) -> None:
    found = problems(tmp_path, f"  - {{name: {json.dumps(name)}, events: [{{}}]}}")
    assert {pointer for _, pointer in found} == {"/cases/0/name"}


@pytest.mark.parametrize(
    ("response", "code"),
    [
        ("{}", "K103"),
        ("{fail: timeout, status: 200}", "K107"),
        ("{fail: maybe}", "K104"),
        ("{status: 99}", "K107"),
    ],
)
def test_wrong_responses(tmp_path: Path, response: str, code: str) -> None:
    found = problems(tmp_path, f"  - {{name: a, events: [{{}}], responses: [{response}]}}")
    assert [found_code for found_code, _ in found] == [code]
    assert found[0][1].startswith("/cases/0/responses/0")


def test_all_problems_of_names_moments_and_the_connection_at_once(tmp_path: Path) -> None:
    head = HEAD.replace("add_user", "add_users").replace(
        "{account_id: 18ce54d4x5t}", "{}\n    now: 2026-02-30T00:00:00Z"
    )
    cases = """
      - {name: A person!, events: [{}]}
      - {name: a-person, events: [{}], now: "2026-13-01T00:00:00Z"}
      - {name: A person!, events: [{}]}
    """
    assert problems(tmp_path, cases, head) == [
        ("K201", "/cases/1/name"),
        ("K201", "/cases/2/name"),
        ("K202", "/now"),
        ("K202", "/cases/1/now"),
        ("C202", "/settings"),
        ("C207", "/routes/0/action"),
    ]


def test_slugs() -> None:
    assert slug("trims, lower-cases & hashes") == "trims-lower-cases-hashes"
    assert slug("v1.2: é_ß (done).") == "v1.2-é_ß-done"


# --- the cases of the shipped destinations ---


@cache
def shipped() -> list[tuple[Path, Case]]:
    catalog = shipped_catalog()
    return [
        (path, one)
        for path in sorted(CASES.glob("*.case.yaml"))
        for one in load_cases(path, catalog)
    ]


def test_every_shipped_action_has_cases() -> None:
    catalog = shipped_catalog()
    actions = {(one, action) for one in catalog.ids() for action in catalog.load(one).actions}
    routes = {
        (case.connection.destination.id, r.action.id)
        for _, case in shipped()
        for r in case.connection.routes
    }
    assert routes == actions


def test_every_reason_to_drop_has_a_case() -> None:
    text = "".join(path.read_text("utf-8") for path in CASES.glob(f"{SNAPSHOTS}/*/*.txt"))
    missing = {
        reason for reason in REASONS if not re.search(rf"^\w+ {reason}: \d", text, re.MULTILINE)
    }
    # of files only, which have no cases: tests/unit/exports/test_lines.py
    assert missing == {"not_a_cell"}


def test_the_counts_of_every_snapshot_add_up() -> None:
    for path in CASES.glob(f"{SNAPSHOTS}/*/*.txt"):
        line = path.read_text("utf-8").rstrip().rpartition("\ncounts: ")[2]
        counts = {name: int(count) for name, count in (pair.split() for pair in line.split(", "))}
        ends = sum(counts[name] for name in ("delivered", "superseded", "rejected", "undelivered"))
        assert counts["records"] == ends, path


# --- the plugin ---


@pytest.fixture
def cases(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """A folder without any Python, and pytest with our plugin and syrupy alone."""
    monkeypatch.setattr(syrupy, "_syrupy", syrupy._syrupy)  # each session puts its own there
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    pytester.plugins = [syrupy, pytest_plugin]
    write(pytester.path / "a.case.yaml")
    return pytester


def pytest_says(pytester: pytest.Pytester, *arguments: str) -> tuple[pytest.RunResult, str]:
    result = pytester.runpytest_inprocess(
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:unraisableexception",
        *arguments,
        plugins=[*pytester.plugins],
    )
    return result, result.stdout.str()


def test_a_snapshot_is_asked_for_kept_and_compared(cases: pytest.Pytester) -> None:
    result, text = pytest_says(cases)
    result.assert_outcomes(failed=1)
    assert "it has no snapshot yet" in text
    assert ANN in text
    pytest_says(cases, "--snapshot-update")[0].assert_outcomes(passed=1)
    kept = cases.path / SNAPSHOTS / "a.case" / "one-person.txt"
    assert kept.read_text("utf-8") == run_case(load_cases(Path("a.case.yaml"), Catalog())[0])
    pytest_says(cases)[0].assert_outcomes(passed=1)
    assert {path.name for path in cases.path.iterdir()} == {"a.case.yaml", SNAPSHOTS}


def test_a_changed_mapping_fails_with_a_difference(cases: pytest.Pytester) -> None:
    pytest_says(cases, "--snapshot-update")
    path = cases.path / "a.case.yaml"
    path.write_text(
        path.read_text()
        .replace("action: add_user", "action: remove_user")
        .replace("1nmth", "4kzrq")
    )
    result, text = pytest_says(cases)
    result.assert_outcomes(failed=1)
    assert "FAILED a.case.yaml::one person" in text
    result.stdout.fnmatch_lines(
        [
            "case 'one person': it differs from its snapshot.",
            "--- one-person.txt (kept)",
            "+++ one-person.txt (now)",
            "-POST https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences/1nmth/users",
            "+POST https://ads-api.x.com/12/accounts/18ce54d4x5t/custom_audiences/4kzrq/users",
            '-    "operation_type": "Update",',
            '+    "operation_type": "Delete",',
        ]
    )
    assert "Traceback" not in text
    assert "testing/plugin.py" not in text


def test_one_case_can_be_chosen_by_its_name(cases: pytest.Pytester) -> None:
    write(cases.path / "a.case.yaml", ONE + ONE.replace("one person", '"Zoë\'s 2.5: HTML?"'))
    pytest_says(cases, "--snapshot-update")[0].assert_outcomes(passed=2)
    assert (cases.path / SNAPSHOTS / "a.case" / "Zoë-s-2.5-HTML.txt").exists()
    for chosen in (["-k", "HTML"], ["a.case.yaml::one person"], ["a.case.yaml"]):
        assert pytest_says(cases, *chosen)[0].ret == 0, chosen


def test_a_snapshot_without_a_case_fails_until_it_is_updated(cases: pytest.Pytester) -> None:
    pytest_says(cases, "--snapshot-update")
    (cases.path / SNAPSHOTS / "a.case" / "a-former-case.txt").touch()
    result, text = pytest_says(cases)
    result.assert_outcomes(passed=1)
    assert result.ret == 1
    assert "1 snapshot unused" in text
    pytest_says(cases, "--snapshot-update")
    assert pytest_says(cases)[0].ret == 0


def test_a_case_that_cannot_be_kept_fails_and_leaves_its_snapshot(cases: pytest.Pytester) -> None:
    pytest_says(cases, "--snapshot-update")
    kept = cases.path / SNAPSHOTS / "a.case" / "one-person.txt"
    before = kept.read_text("utf-8")
    path = cases.path / "a.case.yaml"
    text = path.read_text().replace("{email: ann@", "{key: ann@example.com, email: ann@")
    path.write_text(text + '\nevent_id: "key"\n')
    result, text = pytest_says(cases, "--snapshot-update")
    result.assert_outcomes(failed=1)
    assert "event 1: what is mapped to 'email'" in text
    assert "unused" not in text
    assert "Traceback" not in text
    assert kept.read_text("utf-8") == before


def test_a_new_case_that_cannot_be_kept_writes_no_snapshot(cases: pytest.Pytester) -> None:
    write(cases.path / "a.case.yaml", "  - {name: nothing, events: [{skip: true}]}")
    for update in ([], ["--snapshot-update"]):
        result, text = pytest_says(cases, *update)
        result.assert_outcomes(failed=1)
        assert "no route matches any of its events" in text
    assert not (cases.path / SNAPSHOTS).exists()


def test_a_snapshot_that_cannot_be_read_is_a_message(cases: pytest.Pytester) -> None:
    pytest_says(cases, "--snapshot-update")
    (cases.path / SNAPSHOTS / "a.case" / "one-person.txt").write_bytes(b"\xff")
    result, text = pytest_says(cases)
    result.assert_outcomes(failed=1)
    assert "its snapshot cannot be read" in text


def test_a_wrong_case_file_is_a_collection_error_without_a_traceback(
    cases: pytest.Pytester,
) -> None:
    write(cases.path / "b.case.yaml", "  - {nam: a, events: [{}]}", HEAD.replace("map:", "maps:"))
    result, text = pytest_says(cases)
    result.assert_outcomes(errors=1)
    assert "K102 b.case.yaml#/cases/0/nam: unknown key 'nam'" in text
    assert "did you mean 'name'?" in text
    assert "K102 b.case.yaml#/routes/0/maps: unknown key 'maps'" in text
    assert "Traceback" not in text


def test_cases_need_syrupy(cases: pytest.Pytester) -> None:
    cases.plugins = [pytest_plugin]
    result, text = pytest_says(cases)
    result.assert_outcomes(errors=1)
    assert "pip install '.[test]'" in text


def test_a_further_folder_of_definitions(cases: pytest.Pytester) -> None:
    define(cases.path / "more")
    write(cases.path / "a.case.yaml", ONE, TINY)
    assert "unknown destination 'tiny'" in pytest_says(cases)[1]
    pytest_says(cases, "--snapshot-update", "--definitions", "more")[0].assert_outcomes(passed=1)
    assert "has no folder 'schemas'" in pytest_says(cases, "--definitions", SNAPSHOTS)[1]


def test_a_case_below_a_folder_of_definitions_needs_no_option(cases: pytest.Pytester) -> None:
    define(cases.path / "own")
    (cases.path / "a.case.yaml").unlink()
    write(cases.path / "own" / "cases" / "deep" / "a.case.yaml", ONE, TINY)
    pytest_says(cases, "--snapshot-update")[0].assert_outcomes(passed=1)
    (cases.path / "other" / "schemas").mkdir(parents=True)
    pytest_says(cases, "--definitions", "other")[0].assert_outcomes(passed=1)
    assert lint([cases.path / "own" / "cases"], Catalog()) == []


def test_given_definitions_go_before_those_beside_a_case(cases: pytest.Pytester) -> None:
    define(cases.path / "own")
    define(cases.path / "given")
    (cases.path / "given" / "schemas" / "tiny" / "destination.json").write_text("{}", "utf-8")
    (cases.path / "a.case.yaml").unlink()
    write(cases.path / "own" / "a.case.yaml", ONE, TINY)
    _, text = pytest_says(cases, "--definitions", "given")
    assert "given/schemas/tiny/destination.json" in text


def test_fixtures_and_python_tests_go_on_beside_cases(cases: pytest.Pytester) -> None:
    cases.makeconftest(
        """
        import pytest
        @pytest.fixture(autouse=True, scope="session")
        def once(): yield
        @pytest.fixture(autouse=True)
        def each(): yield
        """
    )
    cases.makepyfile(test_it="def test_it(snapshot): assert snapshot == 1")
    for _ in range(2):
        pytest_says(cases, "--snapshot-update")[0].assert_outcomes(passed=2)
    assert pytest_says(cases)[0].ret == 0


def test_a_defect_shows_its_traceback(
    cases: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.testing.run_case.run_case", lambda case: 1 / 0)
    result, text = pytest_says(cases)
    result.assert_outcomes(failed=1)
    assert "ZeroDivisionError" in text


def test_without_case_files_nothing_is_imported(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "import sys\ndef test_it():\n    assert [m for m in sys.modules if m.startswith('connector.')] == ['connector.testing', 'connector.testing.plugin']\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-p",
        "connector.testing.plugin",
    ]
    env = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


# --- connector test ---


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(syrupy, "_syrupy", syrupy._syrupy)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "cases" / "a.case.yaml")
    return tmp_path


def test_run_cases_writes_and_compares(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cases([Path()], [], update=False, form="text") == 1
    assert "it has no snapshot yet" in capsys.readouterr().out
    assert run_cases([Path()], [], update=True, form="text") == 0
    assert "1 snapshot generated" in capsys.readouterr().out
    assert run_cases([Path("cases/a.case.yaml")], [], update=False, form="text") == 0
    (here / "cases" / SNAPSHOTS / "a.case" / "old.txt").touch()
    assert run_cases([Path("cases")], [], update=False, form="text") == 1
    assert "1 snapshot unused" in capsys.readouterr().out


def summary(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_run_cases_as_json(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_cases([Path()], [], update=True, form="json") == 0
    passed = {"file": "cases/a.case.yaml", "name": "one person", "outcome": "passed", "message": ""}
    assert summary(capsys) == {"passed": 1, "failed": 0, "cases": [passed], "unused": []}
    write(
        here / "cases" / "a.case.yaml", ONE.replace("ann@", "ben@") + ONE.replace("one", "another")
    )
    assert run_cases([Path()], [], update=False, form="json") == 1
    found = summary(capsys)
    assert (found["passed"], found["failed"]) == (0, 2)
    assert f'-            "{ANN}"' in found["cases"][0]["message"].splitlines()
    assert found["cases"][1]["name"] == "another person"
    write(here / "cases" / "a.case.yaml", ONE.replace("one", "another"))
    run_cases([Path()], [], update=True, form="json")
    capsys.readouterr()
    (here / "cases" / SNAPSHOTS / "a.case" / "old.txt").touch()
    assert run_cases([Path()], [], update=False, form="json") == 1
    assert summary(capsys)["unused"] == ["cases/__snapshots__/a.case/old.txt"]


def test_run_cases_tells_wrong_files_from_failures(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(here / "b.case.yaml", "  - {events: [{}]}")
    assert run_cases([Path()], [], update=False, form="json") == 2
    error = summary(capsys)["cases"][0]
    assert (error["file"], error["name"], error["outcome"]) == ("b.case.yaml", None, "error")
    assert error["message"].startswith("K103 b.case.yaml#/cases/0: missing key 'name'")


def test_run_cases_without_cases(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "empty").mkdir()
    assert run_cases([Path("empty")], [], update=False, form="text") == 2
    assert "no cases found: no *.case.yaml in empty" in capsys.readouterr().out
    assert run_cases([Path("empty")], [], update=False, form="json") == 2
    assert summary(capsys)["cases"] == []


def test_run_cases_runs_cases_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_ADDOPTS", "--no-such-option")
    (here / "pytest.ini").write_text("[pytest]\naddopts = --nor-this-one\n")
    for name in ("conftest.py", "cases/conftest.py", "test_it.py", "cases/test_it.py"):
        (here / name).write_text("raise RuntimeError\n")
    (here / "test_it.txt").write_text(">>> 1 / 0\n")
    assert run_cases([Path()], [], update=True, form="text") == 0
    assert run_cases([Path()], [], update=False, form="text") == 0


def test_run_cases_takes_definitions(here: Path) -> None:
    define(here / "more")
    write(here / "cases" / "a.case.yaml", ONE, TINY)
    assert run_cases([Path()], [], update=True, form="json") == 2
    assert run_cases([Path()], [Path("more")], update=True, form="json") == 0
    with pytest.raises(ConfigError, match="has no folder 'schemas'"):
        run_cases([Path()], [Path("cases")], update=False, form="json")


def test_run_cases_names_paths_that_do_not_exist(here: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        run_cases([Path("a"), Path("cases"), Path("b")], [], update=False, form="text")
    assert [(p.code, p.file) for p in caught.value.problems] == [("C016", "a"), ("C016", "b")]


@pytest.mark.parametrize("missing", ["pytest", "syrupy"])
def test_run_cases_needs_pytest_and_syrupy(
    here: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(
        "connector.testing.command.find_spec", lambda name: None if name == missing else object()
    )
    with pytest.raises(ConnectorError, match=re.escape("pip install '.[test]'")):
        run_cases([Path()], [], update=False, form="text")


def test_a_case_can_be_run_again_with_other_events(tmp_path: Path) -> None:
    one = case(tmp_path)
    other = replace(one, events=(Event(1, {"email": "ben@example.com"}),))
    assert run_case(other) != run_case(one) == run_case(one)


def test_a_case_shows_the_names_of_audiences_and_what_it_cannot_show(tmp_path: Path) -> None:
    text = """
        destination: iterable_lists
        routes:
          - name: in
            action: add_person
            when: event.out is undefined
            map: {list_id: {audience: {create: "Lytics {{ event.slug }} {{ now | format('%d.%m.%y') }}"}}, email: {from: email}}
          - name: loyal
            action: add_person
            when: event.out is undefined
            map: {list_id: {audience: Loyal customers}, email: {from: email}}
          - name: gone
            action: remove_person
            when: event.out is defined
            opt_out: true
            map: {email: {from: email}}
        cases:
          - name: one
            events: [{email: ann@example.com, slug: vip}, {email: bob@example.com, out: 1}]
    """
    path = tmp_path / "one.case.yaml"
    path.write_text(dedent(text), "utf-8")
    [case] = load_cases(path, shipped_catalog())
    shown = run_case(case)
    assert re.findall('"listId": "(.*?)"', shown) == [
        "<audience:Loyal customers>",
        "<audience:Lytics vip 15.01.26>",
        "<audience:Loyal customers>",
    ]
    assert "event 2, gone: delivered\n" in shown
    assert "notes:\nroute 'gone': the audiences that the connection names" in shown
