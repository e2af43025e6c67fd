"""One id that many people have is said; one person who comes many times is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import connector
from connector.definitions.catalog import Catalog
from connector.pipeline.shared_ids import ALONE, DIFFERENT, _Ids
from tests.kit.records import tries


def doubts(events: list[dict[str, Any]], *parameters: str) -> list[str]:
    mapped: dict[str, Any] = {name: {"from": name} for name in parameters}
    mapped["custom_audience_id"] = {"value": "1nmth"}
    document = {
        "destination": "x_custom_audiences",
        "settings": {"account_id": "a"},
        "routes": [{"action": "add_user_multi", "name": "r", "map": mapped}],
    }
    preview = connector.preview(connector.make_connection(document), events)
    list(preview)
    return preview.doubts


def people(count: int, **more: Any) -> list[dict[str, Any]]:
    events = []
    for n in range(count):
        own = {"email": f"p{n}@example.com", "phone_number": f"+120255501{n % 100:02}"}
        events.append({"partner_user_id": f"c{n}", **own, **more})
    return events


TAIL = ", so the vendor takes these people for one; is it a placeholder? an 'expr' can leave it out"
SHARED = people(40, partner_user_id="unknown")


@pytest.mark.parametrize("parameter", ["partner_user_id", "twitter_id", "handle"])
def test_an_id_of_people_who_differ(parameter: str) -> None:
    own = [{**event, parameter: str(7 + n)} for n, event in enumerate(people(1_500))]
    shared = [{**event, parameter: "0"} for event in SHARED]
    mixed = [*own[:900], *shared[:15], *own[900:], *shared[15:]]
    [line] = doubts(mixed, parameter, "email", "phone_number")
    assert line == (
        f"route r: 40 of 1,540 values of {parameter} are one and the same although email differs{TAIL}"
    )


@pytest.mark.parametrize("filler", ["keine", "unbekannt", "@Unbekannt"])
def test_a_word_in_place_of_a_handle(filler: str) -> None:
    events = [*people(30, handle=filler), *({**one, "handle": "@Ann"} for one in people(5))]
    [line] = doubts(events, "handle", "email")
    assert line == (
        f"route r: 30 of 35 values of handle are one and the same although email differs{TAIL}"
    )
    assert filler.lstrip("@").lower() not in line.lower()


def test_an_id_that_stands_alone_in_most_events() -> None:
    events = [*people(ALONE - 1), *people(ALONE, partner_user_id="guest")]
    [line] = doubts(events, "partner_user_id")
    assert line == (
        f"route r: {ALONE} of {2 * ALONE - 1} values of partner_user_id are one and the same{TAIL}"
    )
    assert doubts(events[1:], "partner_user_id") == [line.replace("199", "198")]
    assert doubts([*people(2), *events], "partner_user_id") == []
    # mapped, and nobody has it
    nobody = [{"partner_user_id": "guest", "email": None}] * ALONE
    assert len(doubts(nobody, "partner_user_id", "email")) == 1


@pytest.mark.parametrize(
    "events",
    [
        # one person, many times
        people(1) * 500,
        # who has two addresses, and gives them in turn or not at all
        [{**event, "partner_user_id": "c"} for event in people(2)] * 100 + [{"partner_user_id": "c"}] * 200,
        # a few who share an id
        people(DIFFERENT - 1, partner_user_id="household") * 20,
        # an id that is no free text: a phone number that a family shares
        people(50, phone_number="+12025550100"),
        # what is dropped stands for nobody
        people(500, partner_user_id="NULL"),
        people(500, partner_user_id=None),
    ],
)  # fmt: skip
def test_what_is_no_mistake(events: list[dict[str, Any]]) -> None:
    found = doubts(events, "partner_user_id", "email", "phone_number")
    assert not any("one and the same" in doubt for doubt in found)


def test_companions_and_digests_of_the_same_kind_are_no_difference() -> None:
    events = [{"twitter_id": "7", "twitter_id_sha256": f"{n:064x}"} for n in range(1, 60)]
    assert doubts(events, "twitter_id", "twitter_id_sha256") == []


def test_which_identifiers_are_free() -> None:
    free = set()
    catalog = Catalog()
    for name in catalog.ids():
        for action in catalog.load(name).actions.values():
            free |= {one.parameter for one in action.identifiers if one.is_free}
    assert {"external_id", "partner_user_id", "twitter_id", "crm_id", "user_id", "handle"} <= free
    strict = {"email", "phone", "device_id", "email_sha256", "country", "first_name"}
    assert free.isdisjoint(strict)


@tries(30)
@given(st.lists(st.integers(0, 300), max_size=400), st.integers(1, 40))
def test_updates_of_the_same_people_are_never_said(ids: list[int], size: int) -> None:
    counts = _Ids()
    for start in range(0, len(ids), size):
        cells = [f"c{number}" for number in ids[start : start + size]]
        counts.saw(cells, {"email": [f"{cell}@example.com" for cell in cells]})
    assert counts.most_shared() == (0, "")
    assert len(counts._known) <= 64


def test_memory_and_the_most_frequent_id_in_a_long_run() -> None:
    counts = _Ids()
    for chunk in range(300):
        # thousands of people come twice, and one id stays
        cells = [f"c{chunk}-{n // 2}" for n in range(40)] + 4 * ["guest"]
        emails = [f"{chunk}-{n}@example.com" for n in range(44)]
        counts.saw(cells, {"email": emails})
    assert counts.most_shared() == (1_200, "email")
    assert len(counts._known) == 64
