"""What nobody asked about and should be told: values never found, values dropped, nothing to send."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from tests.kit.cli import at_once, dropped_lines, ndjson, run
from tests.kit.destination import NO_AUTH, connect, define_people
from tests.kit.destination import events as tiny_events

HEAD = """
destination: x_custom_audiences
settings: {account_id: 18ce54d4x5t}
credentials:
  consumer_key: {env: X_CONSUMER_KEY}
  consumer_secret: {env: X_CONSUMER_SECRET}
  access_token: {env: X_ACCESS_TOKEN}
  access_token_secret: {env: X_ACCESS_TOKEN_SECRET}
"""
TYPO = """
event_id: mesage_id
routes:
  - action: add_user_multi
    name: in
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: trait.email}
      phone_number: {from: phone}
"""
EVENTS: list[dict[str, Any]] = [
    {"message_id": f"m{n}", "traits": {"email": f"p{n}@example.com"}, "phone": f"+1202555010{n}"}
    for n in range(4)
]
WARNINGS = [
    (
        "event_id was found in 0 of 4 events (looked in mesage_id); "
        "reports name file and line instead; did you mean 'message_id'?"
    ),
    "route in: email was found in 0 of 4 (looked in trait.email); did you mean 'traits.email'?",
]
FILL = [
    {"route": None, "parameter": "event_id", "of": 4, "found": 0, "nearest": "message_id"},
    {"route": "in", "parameter": "email", "of": 4, "found": 0, "nearest": "traits.email"},
    {"route": "in", "parameter": "phone_number", "of": 4, "found": 4},
]


def write(folder: Path, text: str) -> Path:
    path = folder / "connection.yaml"
    path.write_text(HEAD + text, "utf-8")
    return path


def test_a_misspelt_path_is_said_everywhere(tmp_path: Path) -> None:
    made, events = write(tmp_path, TYPO), ndjson(tmp_path, EVENTS)
    send, preview = ("send", "--sandbox", made, events), ("preview", made, events)
    works = [partial(run, *command) for command in (send, preview)]
    works += [partial(run, *command, "--format", "json") for command in (send, preview)]
    works += [partial(run, *command, "--strict") for command in (send, preview)]
    sent, shown, sent_json, shown_json, strictly_sent, strictly_shown = at_once(works)

    for done in (sent, shown, strictly_sent, strictly_shown):
        assert "values found, of 4 taken by in: email 0, phone_number 4\n" in done.out
        assert "values found, of 4 events: event_id 0\n" in done.out
        for warning in WARNINGS:
            assert f"warning: {warning}\n" in done.out
    assert [done.status for done in (sent, shown, sent_json, shown_json)] == [0, 0, 0, 0]
    assert [strictly_sent.status, strictly_shown.status] == [1, 1]
    last = json.loads(shown_json.out.splitlines()[-1])
    for result in (sent_json.json, last):
        assert (result["fill"], result["warnings"]) == (FILL, WARNINGS)


def test_what_is_probably_a_mistake_is_said_everywhere(tmp_path: Path) -> None:
    text = """
routes:
  - action: add_user_multi
    name: in
    when: not event.opt_out
    map:
      custom_audience_id: {value: 1nmth}
      partner_user_id: {from: customer}
      phone_number: {from: phone, country: {from: contry}}
"""
    events = []
    for n in range(20):
        event = {"customer": "anonymous-7f", "phone": f"+120255501{n:02}", "country": "US"}
        events.append({**event, "optOut": False})
    made, file = write(tmp_path, text), ndjson(tmp_path, events)
    warnings = [
        "route in: phone_number.country was found in 0 of 20 (looked in contry); did you mean 'country'?",
        "route in: 'when' reads event.opt_out, found in 0 of 20; did you mean 'event.optOut'?",
        (
            "route in: 20 of 20 values of partner_user_id are one and the same although phone_number "
            "differs, so the vendor takes these people for one; is it a placeholder? "
            "an 'expr' can leave it out"
        ),
    ]
    commands = [("preview", made, file), ("send", "--sandbox", made, file)]
    for command in commands:
        relaxed, strict, as_json = at_once(
            [partial(run, *command, *more) for more in ((), ("--strict",), ("--format", "json"))]
        )
        assert [relaxed.status, strict.status, as_json.status] == [0, 1, 0]
        said = [line for line in relaxed.out.splitlines() if line.startswith("warning: ")]
        assert said == [f"warning: {one}" for one in warnings]
        assert "anonymous" not in "\n".join(said)
        assert json.loads(as_json.out.splitlines()[-1])["warnings"] == warnings

    left_out = "{expr: \"event.customer if event.customer != 'anonymous-7f'\"}"
    mended = text.replace("{from: customer}", left_out).replace("opt_out", "optOut")
    done = run("send", "--sandbox", write(tmp_path, mended.replace("contry", "country")), file)
    counts = "partner_user_id 0, phone_number 20, phone_number.country 20"
    assert f"values found, of 20 taken by in: {counts}\n" in done.out
    assert "warning: route in: partner_user_id was found in 0 of 20" in done.out


def test_what_another_route_finds_is_no_typo(tmp_path: Path) -> None:
    route = """
  - action: {action}
    name: {action}
    when: event.do == '{action}'
    map: {{custom_audience_id: {{value: 1nmth}}, email: {{from: email}}, handle: {{from: {handle}}}}}
"""
    events = ndjson(
        tmp_path,
        [
            {"do": "add_user_multi", "email": "a@example.com", "handle": "ann"},
            {"do": "remove_user_multi", "email": "b@example.com"},
        ],
    )
    routes = route.format(action="add_user_multi", handle="handle")
    for handle, status in (("handle", 0), ("nickname", 1)):
        removal = route.format(action="remove_user_multi", handle=handle)
        made = write(tmp_path, f"routes:{routes}{removal}")
        done = run("preview", made, events, "--strict")
        assert (done.status, "warning: " in done.out) == (status, bool(status))


def test_nothing_to_send_is_a_warning(tmp_path: Path) -> None:
    skipping = write(tmp_path, TYPO.replace("name: in", "name: in\n    when: event.typ == 'x'"))
    events, empty = ndjson(tmp_path, EVENTS), ndjson(tmp_path, [], "empty.ndjson")
    for command in (("preview",), ("send", "--sandbox")):
        for file, words in ((events, "no event matched a route"), (empty, "no event: the input")):
            relaxed, strict, as_json = at_once(
                [
                    partial(run, *command, skipping, file, *options)
                    for options in ((), ("--strict",), ("--format", "json"))
                ]
            )
            assert [relaxed.status, strict.status, as_json.status] == [0, 1, 0]
            assert f"warning: {words}" in relaxed.out
            result = json.loads(as_json.out.splitlines()[-1])
            assert any(line.startswith(words) for line in result["warnings"])


def test_strict_counts_the_warnings_of_lint(tmp_path: Path) -> None:
    text = """
routes:
  - action: add_user_multi
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: "list[*].email"}
      phone_number: {from: "list[*].phone"}
"""
    made = write(tmp_path, text)
    events = ndjson(tmp_path, [{"list": [{"email": "a@example.com", "phone": "+12025550101"}]}])
    for command in (("lint", made), ("preview", made, events), ("send", "--sandbox", made, events)):
        relaxed, strict = run(*command), run(*command, "--strict")
        assert (relaxed.status, strict.status) == (0, 1)
        for done in (relaxed, strict):
            assert "C220" in done.out


def test_each_dropped_value_has_a_line(tmp_path: Path) -> None:
    text = """
event_id: id
routes:
  - action: add_user_multi
    name: in
    each: people
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: item.email}
      phone_number: {from: item.phones}
"""
    made, report = write(tmp_path, text), tmp_path / "report"
    people = [
        {"email": "ann@example.com", "phones": ["+12025550101", "555", "x"]},
        {"email": "undefined", "phones": "+12025550102"},
        {"email": "null", "phones": ["12"]},
    ]
    events = ndjson(tmp_path, [{"id": "e1", "people": people}])
    command = ("send", "--sandbox", made, events, "--format", "json", "--report", report)
    done, shown, text_shown = at_once(
        [
            partial(run, *command),
            partial(run, "preview", made, events, "--format", "json"),
            partial(run, "preview", made, events),
        ]
    )
    lines = dropped_lines(report)
    found = [(one["event"], one["item"], one["parameter"], one["code"]) for one in lines]
    assert found == [
        ("e1", 0, "phone_number", "not_e164"),
        ("e1", 0, "phone_number", "not_e164"),
        ("e1", 1, "email", "placeholder"),
        ("e1", 2, "email", "placeholder"),
        ("e1", 2, "phone_number", "not_e164"),
    ]
    members = [
        "event",
        "item",
        "route",
        "outcome",
        "parameter",
        "code",
        "reason",
        "file",
        "line",
        "run",
    ]
    for line in lines:
        assert list(line) == members
        assert (line["route"], line["outcome"]) == ("in", "dropped")
        assert "@" not in line["reason"]
        assert "555" not in line["reason"]
    counts = {(one["parameter"], one["reason"]): one["count"] for one in done.json["dropped"]}
    for (parameter, code), count in counts.items():
        assert count == len([one for one in found if one[2:] == (parameter, code)])
    assert done.json["identifiers_dropped"] == sum(counts.values()) == len(lines)

    # a preview is no run
    lines = [{name: line[name] for name in members[:-1]} for line in lines]
    shown_lines = [json.loads(line) for line in shown.out.splitlines()]
    assert [one for one in shown_lines if one.get("outcome") == "dropped"] == lines
    assert "# event e1, item 1 (route in): dropped email, placeholder: " in text_shown.out


def test_a_template_that_cannot_be_rendered_ends_a_preview(tmp_path: Path) -> None:
    envelope = '{"people": [{% for item in items %}{{ item.email }}{% endfor %}]}'
    define_people(tmp_path, NO_AUTH, envelope=envelope)
    made = connect(tmp_path)
    for form in ("text", "json"):
        done = run(
            "preview", "--definitions", tmp_path, made, tiny_events(tmp_path), "--format", form
        )
        assert done.status == 2
        assert done.err == (
            f"D200 {tmp_path}/templates/tiny/people.json.j2: unknown member 'email'; "
            "'connector lint' finds every problem\n"
        )


def test_work_in_vain_is_said_everywhere(tmp_path: Path) -> None:
    text = """
routes:
  - action: add_user_multi
    name: in
    when: event.ok == 'Ja'
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: name}
      phone_number: {from: phone}
  - action: remove_user_multi
    name: out
    when: event.ok == 'Nein'
    map:
      custom_audience_id: {value: 1nmth}
      email: {from: email}
"""
    events = []
    for n in range(10):
        event = {"email": f"p{n}@example.com", "phone": f"+120255501{n:02}", "name": f"Ann {n}"}
        events.append({**event, "ok": "nein" if n % 2 else "Ja"})
    made, file = write(tmp_path, text), ndjson(tmp_path, events)
    warnings = [
        "route in: all 5 values of email were dropped: not_of_the_form",
        "route out: 5 of 10 are not taken whose event.ok differs from 'Nein' only in case or spaces; write event.ok | trim | lower == 'nein'",
        "route out: took none of 10; check its 'when'",
    ]
    for command in (("preview", made, file), ("send", "--sandbox", made, file)):
        relaxed, strict, as_json = at_once(
            [partial(run, *command, *more) for more in ((), ("--strict",), ("--format", "json"))]
        )
        assert [relaxed.status, strict.status, as_json.status] == [0, 1, 0]
        said = [line for line in relaxed.out.splitlines() if line.startswith("warning: ")]
        assert said == [f"warning: {one}" for one in warnings]
        assert "values found, of 5 taken by in: email 5, phone_number 5\n" in relaxed.out
        assert "nothing taken by out\n" in relaxed.out
        assert json.loads(as_json.out.splitlines()[-1])["warnings"] == warnings

    mended = text.replace("event.ok == 'Nein'", "event.ok | trim | lower == 'nein'")
    done = run(
        "send", "--sandbox", write(tmp_path, mended.replace("from: name", "from: email")), file
    )
    assert "warning: " not in done.out
    assert done.status == 0
