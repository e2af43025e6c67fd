"""The mapping from end to end: lists of people, words for true and false, countries, dates, digests, merge keys."""

from __future__ import annotations

import json
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from connector.connection.load import load_connection
from tests.kit.cli import SECRETS, assert_adds_up, at_once, ndjson, run
from tests.kit.records import catalog

HEAD = [
    "destination: x_custom_audiences",
    "settings: {account_id: 18ce54d4x5t}",
    "credentials:",
    *(f"  {name.removeprefix('X_').lower()}: {{env: {name}}}" for name in SECRETS),
]
ROUTES = """
name: loyalty to X
description: Members who have agreed to advertising.
event_id: id
routes:
  - name: in
    description: The people who were added to the list.
    action: add_user_multi
    each: added
    when: item.optin
    map: &person
      custom_audience_id: {value: 1nmth}
      email: {from: item.email, prehashed: auto}
      phone_number: {from: item.phone, country: {from: item.country}}
      device_id: {all: ["item.ids[type=IDFA].value", "item.ids[type=GAID].value"]}
      expires_at: {now: P30D}
  - name: out
    action: remove_user_multi
    each: removed
    map: {<<: *person, email: {from: item}}
"""


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


EVENTS: list[dict[str, Any]] = [
    {
        "id": "crm-1",
        "added": [
            {"email": "Ann@Example.com", "optin": "yes", "phone": "030 901820", "country": "de"},
            {"email": "ben@example.com", "optin": "no"},
            None,
            {"email": digest("cat@example.com"), "optin": "1"},
            {"email": "dan@example.com", "optin": "perhaps"},
            {"optin": True},
            ["eve@example.com"],
            {"optin": "on", "phone": "030 901821"},
        ],
        "removed": ["fay@example.com"],
    },
    {"id": "crm-2", "added": "ann@example.com"},
    {"id": "crm-3", "added": []},
    {"id": "crm-4"},
]


def write(folder: Path, text: str) -> Path:
    path = folder / "connection.yaml"
    path.write_text("\n".join(HEAD) + text, "utf-8")
    return path


def test_a_list_of_people_is_delivered_one_by_one(tmp_path: Path) -> None:
    made, events = write(tmp_path, ROUTES), ndjson(tmp_path, EVENTS)
    report = tmp_path / "report.ndjson"
    send = partial(run, "send", "--sandbox", made, events, "--format", "json", "--report", report)
    sent, preview, text, lint = at_once(
        [
            send,
            partial(run, "preview", made, events, "--format", "json"),
            partial(run, "preview", made, events),
            partial(run, "lint", made),
        ]
    )
    assert (lint.status, lint.out) == (0, "no problems\n")
    assert sent.status == preview.status == 1
    summary = sent.json
    assert_adds_up(summary)
    counts = {
        name: summary[name] for name in ("events", "records", "delivered", "rejected", "skipped")
    }
    assert counts == {"events": 4, "records": 8, "delivered": 3, "rejected": 5, "skipped": 2}
    assert summary["connection"] == "loyalty to X"
    assert summary["dropped"] == [{"parameter": "phone_number", "reason": "no_country", "count": 1}]

    lines = [json.loads(line) for line in report.read_text("utf-8").splitlines()]
    found = [(one["event"], one.get("item"), one["route"], one["code"]) for one in lines]
    assert found == [
        ("crm-1", 4, "in", "not_a_boolean"),
        ("crm-1", 5, "in", "no_identifier"),
        ("crm-1", 6, "in", "item_not_allowed"),
        ("crm-1", 7, "in", "no_identifier"),
        ("crm-2", None, "in", "each_not_a_list"),
        ("crm-1", 7, "in", "no_country"),
    ]
    assert list(lines[0]) == [
        "event",
        "item",
        "route",
        "outcome",
        "code",
        "reason",
        "file",
        "line",
        "run",
    ]
    assert list(lines[-2]) == ["event", "route", "outcome", "code", "reason", "file", "line", "run"]
    assert "example.com" not in report.read_text("utf-8")

    request = next(json.loads(line) for line in preview.out.splitlines() if '"body"' in line)
    added, removed = request["body"]
    assert added["params"]["users"] == [
        {"email": [digest("ann@example.com")], "phone_number": [digest("+4930901820")]},
        {"email": [digest("cat@example.com")]},
    ]
    assert removed["params"]["users"] == [{"email": [digest("fay@example.com")]}]
    heading = "# loyalty to X\n# Members who have agreed to advertising.\n\n"
    assert text.out.startswith(heading)
    assert "# event crm-1, item 4 (route in): rejected, not_a_boolean: " in text.out


def test_names_and_descriptions_are_read(tmp_path: Path) -> None:
    loaded = load_connection(write(tmp_path, ROUTES), catalog())
    assert (loaded.name, loaded.description) == (
        "loyalty to X",
        "Members who have agreed to advertising.",
    )
    assert [route.description for route in loaded.routes] == [
        "The people who were added to the list.",
        "",
    ]


GERMAN = """
routes:
  - action: add_user_multi
    when: event.Werbung
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: E-Mail}
      phone_number: {from: Telefon, country: DE}
      handle: {from: '["Name.X"]'}
      expires_at: {expr: "event.Ende | date('%d.%m.%Y')"}
      effective_at: {expr: "event.Seit | from_epoch"}
"""


def test_words_dates_and_national_numbers_of_a_table(tmp_path: Path) -> None:
    rows = [
        "E-Mail,Telefon,Werbung,Ende,Seit",
        "ann@example.com,030/901820,YES,31.12.2026,1767225600",
        "ben@example.com,0151-23456789,false,31.12.2026,1767225600",
        "cat@example.com,0044 20 7946 0123,1,31.12.2026,1767225600000",
        "dan@example.com,030 901821,0,31.12.2026,1767225600",
        "eve@example.com,030 901822,N,31.12.2026,1767225600",
        "fay@example.com,030 90182X,t,31.12.2026,1767225600",
        "gil@example.com,030 901823,vielleicht,31.12.2026,1767225600",
        "hal@example.com,030 901824,y,31.2.2026,1767225600",
        "ida@example.com,030 901825,,31.12.2026,1767225600",
    ]
    events = tmp_path / "people.csv"
    events.write_text("\n".join(rows) + "\n", "utf-8")
    text = GERMAN.replace("      handle: {from: '[\"Name.X\"]'}\n", "")
    done = run("preview", write(tmp_path, text), events, "--format", "json")
    assert done.status == 1
    *failures, request, _ = [json.loads(line) for line in done.out.splitlines()]
    assert [(one["event"], one["code"]) for one in failures] == [
        ("8", "not_a_boolean"),
        ("9", "invalid_parameter"),
        ("7", "not_e164"),
    ]
    assert "the filter 'date': the text is no date of this form" in failures[1]["reason"]
    [group] = request["body"]
    assert group["params"]["expires_at"] == "2026-12-31T00:00:00Z"
    assert group["params"]["effective_at"] == "2026-01-01T00:00:00Z"
    assert group["params"]["users"] == [
        {"email": [digest("ann@example.com")], "phone_number": [digest("+4930901820")]},
        {"email": [digest("cat@example.com")], "phone_number": [digest("+442079460123")]},
        {"email": [digest("fay@example.com")]},
    ]


@pytest.mark.parametrize(
    ("prehashed", "dropped", "people"),
    [("auto", 0, 3), (True, 1, 2), (False, 2, 1)],
)
def test_what_is_hashed_already_is_a_choice_of_the_mapping(
    tmp_path: Path, prehashed: Any, dropped: int, people: int
) -> None:
    """One field holds both: one parameter takes it, and nothing good counts as dropped."""
    text = f"""
routes:
  - action: add_user
    map:
      custom_audience_id: {{value: 1nmth}}
      email: {{from: email, prehashed: {str(prehashed).lower()}}}
      already_hashed: {{value: true}}
"""
    values = ["ann@example.com", digest("ben@example.com"), digest("cat@example.com").upper()]
    events = ndjson(tmp_path, [{"email": value} for value in values])
    done = run("send", "--sandbox", write(tmp_path, text), events, "--format", "json")
    assert done.json["identifiers_dropped"] == dropped
    assert done.json["delivered"] == people


HINTS: list[tuple[str, str, str]] = [
    ("action: add_user_multi", "action: addUserMulti", "did you mean 'add_user_multi'?"),
    ("action: add_user_multi", "action: add-user-multi", "did you mean 'add_user_multi'?"),
    ("destination: x_custom_audiences", "destination: x-custom-audience", "did you mean 'x_custom_audiences'?"),
    ("settings: {account_id:", "settings: {accountId:", "did you mean 'account_id'?"),
    ("custom_audience_id: {value", "customAudienceId: {value", "did you mean 'custom_audience_id'?"),
    ("each: added", "eahc: added", "did you mean 'each'?"),
    ("{now: P30D}", "{now: 30d}", "an ISO 8601 duration such as P12M, P30D or PT6H"),
    ("from: item.phone, country", "from: item.phone, cuontry", "did you mean 'country'?"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "hint"), HINTS)
def test_a_word_of_another_spelling_gets_the_nearest_one(
    tmp_path: Path, old: str, new: str, hint: str
) -> None:
    made = write(tmp_path, ROUTES)
    text = made.read_text("utf-8")
    assert old in text
    made.write_text(text.replace(old, new), "utf-8")
    done = run("lint", made)
    assert done.status == 1
    assert hint in done.out


def test_a_warning_does_not_fail(tmp_path: Path) -> None:
    text = """
routes:
  - action: add_user_multi
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: "people[*].email"}
      phone_number: {from: "people[*].phone"}
"""
    done = run("lint", write(tmp_path, text), "--format", "json")
    assert done.status == 0
    [problem] = done.json
    assert (problem["code"], problem["severity"]) == ("C220", "warning")
    assert problem["pointer"] == "/routes/0/map/phone_number"


def test_now_is_when_the_request_is_built(tmp_path: Path) -> None:
    """Records that were prepared at different moments share a group, and so a request."""
    text = """
routes:
  - action: add_user_multi
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: email}
      effective_at: {now: P1D}
      expires_at: {now: P30D}
"""
    events = ndjson(tmp_path, [{"email": f"person{n}@example.com"} for n in range(2500)])
    done = run("preview", write(tmp_path, text), events, "--format", "json")
    *lines, _ = done.out.splitlines()
    bodies = [json.loads(line)["body"] for line in lines]
    assert all(len(body) == 1 for body in bodies)
    assert sum(len(body[0]["params"]["users"]) for body in bodies) == 2500
    for body in bodies:
        begins, ends = body[0]["params"]["effective_at"], body[0]["params"]["expires_at"]
        assert begins < ends
