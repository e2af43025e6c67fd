"""What `when` compares with a text, and differs from it only in case or spaces, is said."""

from __future__ import annotations

from typing import Any

import pytest

import connector
from connector.pipeline.spelling import MANY

MAP = {"custom_audience_id": {"value": "1nmth"}, "email": {"from": "email"}}


def doubts(events: list[dict[str, Any]], *routes: Any) -> list[str]:
    made = []
    for number, route in enumerate(routes):
        entry = route if isinstance(route, dict) else {"when": route}
        made.append({"action": "add_user_multi", "name": f"r{number}", "map": MAP, **entry})
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "a"},
        "routes": made,
    }
    preview = connector.preview(connector.make_connection(document), events)
    list(preview)
    return preview.doubts


def people(*words: Any, field: str = "a") -> list[dict[str, Any]]:
    return [{"email": f"p{n}@example.com", field: word} for n, word in enumerate(words)]


WORDS = people("ja", "Ja", "JA ", "nein", None, 7, ["Ja"], "")


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("event.a == 'ja'", "2 of 8 are not taken whose event.a differs from 'ja' only in case or spaces; write event.a | trim | lower == 'ja'"),
        ("'ja' == event.a", "2 of 8 are not taken whose event.a differs from 'ja' only in case or spaces; write event.a | trim | lower == 'ja'"),
        ("event.a == 'Ja'", "2 of 8 are not taken whose event.a differs from 'Ja' only in case or spaces; write event.a | trim | lower == 'ja'"),
        ("event['a'] in ['ja', 'yes']", "2 of 8 are not taken whose event.a differs from 'ja' or 'yes' only in case or spaces; write event.a | trim | lower in ['ja', 'yes']"),
        ("event.a in ['ja', 'yes', 'oui', 'si']", "2 of 8 are not taken whose event.a differs from a text of the list only in case or spaces; write event.a | trim | lower in […], with these texts in lower case"),
        ("event.a != 'ja'", "2 of 8 are taken whose event.a differs from 'ja' only in case or spaces; write event.a | trim | lower != 'ja'"),
        ("not (event.a == 'ja')", "2 of 8 are taken whose event.a differs from 'ja' only in case or spaces; write event.a | trim | lower != 'ja'"),
        ("event.a not in ('ja', 'si')", "2 of 8 are taken whose event.a differs from 'ja' or 'si' only in case or spaces; write event.a | trim | lower not in ['ja', 'si']"),
    ],
)  # fmt: skip
def test_another_spelling(when: str, said: str) -> None:
    assert doubts(WORDS, when, "true") == [f"route r0: {said}"]


@pytest.mark.parametrize(
    "when",
    [
        "event.a | trim | lower == 'ja'",
        "event.a == 'ja' or event.a == 'Ja' or event.a == 'JA '",
        "event.a in ['ja', 'Ja', 'JA ']",
        "event.a == 7",
        "event.b == 'ja'",
        "'ja' in [event.a]",
        "event.a == event.email",
    ],
)
def test_what_is_no_other_spelling(when: str) -> None:
    assert not any("spaces" in line for line in doubts(WORDS, when, "true"))


def test_a_spelling_that_another_route_is_for_is_meant() -> None:
    # a and A are two kinds of one list
    events = people("a", "A", "a", "A")
    assert doubts(events, "event.a == 'a'", "event.a == 'A'") == []


def test_the_message_holds_no_value_of_the_events() -> None:
    for line in doubts(people("Yes", "yEs", "yes"), "event.a == 'yes'", "true"):
        assert "yEs" not in line


def test_odd_names_and_quotes_are_written_as_an_expression_has_them() -> None:
    events = people("It's", field="odd name")
    [line] = doubts(events, """event['odd name'] == "it's" """, "true")
    assert line.endswith("""write event['odd name'] | trim | lower == "it's\"""")


def test_elements_of_a_list() -> None:
    events = [{"list": [{"in": "Ja"}, {"in": "ja"}, "Ja"], "email": "ann@example.com"}]
    route = {"each": "list", "when": "item.in == 'ja'"}
    [line] = doubts(events, route)
    assert line.startswith("route r0: 1 of 3 are not taken whose item.in differs from 'ja' only")


def test_the_misspelt_field_comes_first_and_the_general_hint_is_left_out() -> None:
    events = people(*["ja"] * 5, field="optin")
    assert doubts(events, "event.opt_in == 'ja'", "true") == [
        "route r0: 'when' reads event.opt_in, found in 0 of 5; did you mean 'event.optin'?",
        "route r0: took none of 5; check its 'when'",
    ]
    assert doubts(events, "event.optin == 'JA'", "true")[1:] == [
        "route r0: took none of 5; check its 'when'"
    ]


def test_a_field_of_very_many_values_is_no_longer_looked_at() -> None:
    names = people(*(f"n{n}" for n in range(3 * MANY)), "N1", "N1")
    assert doubts(names, "event.a == 'n1'", "true") == []
    assert len(doubts(names[-2:], "event.a == 'n1'", "true")) == 1


def test_a_long_list_of_texts_is_looked_at() -> None:
    texts = [f"n{n}" for n in range(MANY + 5)]
    assert len(doubts(people("N7", "n8"), f"event.a in {texts}", "true")) == 1
