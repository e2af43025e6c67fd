"""Splitting: a person in several records loses nobody, doubles nobody, and ends as one event after the other would."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.definitions.model import Limits, Split
from connector.delivery.ledger import Ledger
from connector.delivery.retry import RetryPolicy
from connector.delivery.run import Run
from connector.model import Event, Record, Rejection, Target
from connector.pipeline.pipeline import Pipeline
from connector.pipeline.splitting import in_parts, pieces_of, together
from tests.kit.clock import FakeClock
from tests.kit.lists import COMPANION, WIRES, Keeper, cached, catalog, named, pipeline, prepared
from tests.kit.records import Identifier, record, target, tries

FEW = tries(40)
PLACES = st.lists(st.sampled_from("abcd"), max_size=12)
COMPANIONS = st.sets(st.sampled_from("cd"))
COUNTS = st.none() | st.integers(1, 4)


@given(PLACES, COMPANIONS, COUNTS, COUNTS)
@tries(150)
def test_every_value_stands_in_one_piece_in_its_order(
    wires: list[str], companions: set[str], values: int | None, identifiers: int | None
) -> None:
    pieces = pieces_of(wires, companions, Split("", {}, values, identifiers))
    assert sorted(place for piece in pieces for place in piece) == list(range(len(wires)))
    assert all(a < b for piece in pieces for a, b in pairwise(piece))
    for wire in set(wires) - companions:
        places = [place for piece in pieces for place in piece if wires[place] == wire]
        assert places == sorted(places)


@given(PLACES, COMPANIONS, COUNTS, COUNTS)
@tries(150)
def test_no_piece_has_too_much_and_only_the_first_has_companions(
    wires: list[str], companions: set[str], values: int | None, identifiers: int | None
) -> None:
    pieces = pieces_of(wires, companions, Split("", {}, values, identifiers))
    for number, piece in enumerate(pieces):
        found = Counter(wires[place] for place in piece)
        naming = {wire: count for wire, count in found.items() if wire not in companions}
        assert all(count <= (values or 99) for count in naming.values())
        assert sum(naming.values()) <= (identifiers or 99)
        assert naming or number == 0
        assert number == 0 or not companions & found.keys()


def test_pieces_are_as_few_as_they_can_be() -> None:
    assert pieces_of("aabbb", (), Split("", {}, 1, None)) == [[0, 2], [1, 3], [4]]
    assert pieces_of("aabbb", (), Split("", {}, None, 2)) == [[0, 1], [2, 3], [4]]
    assert pieces_of("aabbb", (), Split("", {}, 2, 3)) == [[0, 1, 2], [3], [4]]
    assert pieces_of("acab", "c", Split("", {}, None, 1)) == [[0, 1], [2], [3]]
    assert pieces_of("ab", (), Split("", {}, None, None)) == [[0, 1]]
    assert pieces_of("cc", "c", Split("", {}, 1, 1)) == [[0, 1]]


# --- records of one target next to each other ---


def _family(name: str) -> list[Target]:
    family = object()
    where = [target(name, "add", str(part), Limits()) for part in range(3)]
    return [_with(one, part, family) for part, one in enumerate(where)]


def _with(one: Target, part: int, family: object) -> Target:
    return Target(
        **{name: getattr(one, name) for name in Target.__slots__} | {"part": part, "family": family}
    )


FAMILIES = [_family(name) for name in "xy"]


@st.composite
def rows(draw: st.DrawFn) -> list[Any]:
    """What routes made of events, each record with a number of its own."""
    found: list[Any] = []
    for number in range(draw(st.integers(0, 8))):
        kind = draw(
            st.sampled_from(["list", "list", "list", "one", "rejection", "none", "rejections"])
        )
        family = draw(st.sampled_from(FAMILIES))
        made = [
            record(draw(st.sampled_from(family)), [("a", "1")], number * 10 + n)
            for n in range(draw(st.integers(1, 3)))
        ]
        refused = Rejection("r", number * 10 + 9, "too_large", "no")
        by_kind = {"one": made[0], "rejection": refused, "none": None, "rejections": [refused]}
        found.append(by_kind.get(kind, [*made, *draw(st.sampled_from([[], [refused]]))]))
    return found


def flat(found: Sequence[Any]) -> list[Any]:
    return [one for row in found for one in (row if isinstance(row, list) else [row])]


@given(rows())
@tries(100)
def test_taking_apart_loses_nobody_and_keeps_the_order_of_each_part(found: list[Any]) -> None:
    taken = list(in_parts(found))
    assert not any(isinstance(one, list) for one in taken)
    assert Counter(map(id, taken)) == Counter(map(id, flat(found)))
    for one in {one.target for one in flat(found) if isinstance(one, Record)}:
        before, after = (
            [r.event_id for r in flat(some) if isinstance(r, Record) and r.target is one]
            for some in (found, taken)
        )
        assert before == after


@given(rows())
@tries(100)
def test_people_of_another_target_are_never_passed(found: list[Any]) -> None:
    def families(some: list[Any]) -> list[Any]:
        return [
            family
            for family, _ in groupby(r.target.family for r in flat(some) if isinstance(r, Record))
        ]

    assert families(list(in_parts(found))) == families(found)


def test_the_parts_without_an_identifier_are_left_out_unless_all_are() -> None:
    one = record(FAMILIES[0][0], [("a", "1")], 1)
    absent = Rejection(
        "r", 1, "no_identifier", "no usable identifier: none is present; looked in a, b"
    )
    dropped = Rejection("r", 1, "no_identifier", "no usable identifier: a empty")
    large = Rejection("r", 1, "too_large", "no")
    assert together(absent, one, dropped) == [one]
    assert together([one, large], absent) == [one, large]
    assert together(absent, large) == [large]
    assert together(absent, dropped) == dropped
    assert together(absent, absent) == absent


# --- from events to the vendor's sets ---

SPLITS: dict[str, dict[str, Any]] = {
    "by wire": {"by": "wire"},
    "values": {"values": 1},
    "identifiers": {"identifiers": 2},
    "each alone": {"identifiers": 1},
    "all": {"by": "wire", "values": 2, "identifiers": 3},
}
VALUES = st.lists(st.sampled_from([f"v{n}" for n in range(6)] + ["v0 ", ""]), max_size=4)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "add": st.booleans(),
            "list": st.sampled_from(["1", "2"]),
            "until": st.sampled_from([None, "x"]),
        },
        optional={
            wire: VALUES if wire != COMPANION else VALUES.map(lambda some: some[:1])
            for wire in WIRES
        },
    ),
    max_size=10,
)


def made(split: Mapping[str, Any], **limits: int) -> Pipeline:
    return cached(json.dumps({"split": split}), "[]", json.dumps(limits))


def names_somebody(row: Mapping[str, Any]) -> bool:
    return any(value for wire, value in named(row) if wire != COMPANION)


def expected(some: Sequence[Mapping[str, Any]]) -> dict[str, set[Identifier]]:
    """Return who is in each list after one event after the other."""
    lists: dict[str, set[Identifier]] = {"1": set(), "2": set()}
    for row in some:
        values = {(wire, value) for wire, value in named(row) if value and wire != COMPANION}
        (lists[row["list"]].update if row["add"] else lists[row["list"]].difference_update)(values)
    return lists


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_the_vendors_lists_are_those_of_one_event_after_the_other(split: dict[str, Any]) -> None:
    @FEW
    @given(ROWS, st.integers(1, 4), st.integers(1, 5))
    def law(some: list[dict[str, Any]], size: int, chunk: int) -> None:
        vendor, clock, ledger = Keeper(), FakeClock(), Ledger()
        numbered = [Event(n, row) for n, row in enumerate(some)]
        chunks = [numbered[start : start + chunk] for start in range(0, len(some), chunk)]
        Run(made(split, records=size), (), vendor, clock, RetryPolicy(), ledger).deliver(chunks)
        assert {"1": set(), "2": set(), **vendor.lists} == expected(some)
        s = ledger.counts
        nobodies = sum(not names_somebody(row) for row in some)
        assert s.records == s.delivered + s.superseded + nobodies
        assert (s.rejected, s.undelivered, s.skipped) == (nobodies, 0, 0)
        assert s.delivered == len(vendor.items)

    law()


@pytest.mark.parametrize("split", SPLITS.values(), ids=SPLITS)
def test_each_person_is_sent_whole_in_items_that_the_split_allows(split: dict[str, Any]) -> None:
    @FEW
    @given(ROWS)
    def law(some: list[dict[str, Any]]) -> None:
        records, rejections = prepared(made(split), some)
        for number, row in enumerate(some):
            mine = [one for one in records if one.event_id == number]
            held = [pair for one in mine for pair in zip(one.wires, one.ids, strict=True)]
            assert sorted(held) == sorted({(w, v) for w, v in named(row) if v and w != COMPANION})
            assert [one.event_id for one in rejections].count(number) == (not mine)
            for one in mine:
                assert_allowed(one, split)
            if mine:
                assert (
                    companions(mine)
                    == [value for wire, value in named(row, [COMPANION]) if value][
                        : sent_along(split, row)
                    ]
                )

    law()


def assert_allowed(one: Record, split: Mapping[str, Any]) -> None:
    found = Counter(one.wires)
    assert max(found.values()) <= split.get("values", 99)
    assert len(one.ids) <= split.get("identifiers", 99)
    if "by" in split:
        [wire] = found
        assert json.loads(one.item)["wire"] == one.target.request["wire"] == wire


def companions(mine: Sequence[Record]) -> list[str]:
    return [value for one in mine for value in json.loads(one.item)["ids"].get(COMPANION, [])]


def sent_along(split: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Return how many companions have somebody to go along with: all, or none where each wire key is alone."""
    return 99 if "by" not in split and names_somebody(row) else 0


# --- what has to be there together is asked of the person, not of a part ---

PRESENCE = {
    "a required one": {"required": ["list_id", "email"]},
    "one of two": {"oneOf": [{"required": ["email"]}, {"required": ["first"]}]},
}


@pytest.mark.parametrize("presence", PRESENCE.values(), ids=PRESENCE)
@pytest.mark.parametrize(
    "split", [{"values": 1}, {"identifiers": 1}, {"by": "wire"}], ids=["values", "alone", "by wire"]
)
def test_what_has_to_be_there_is_asked_of_the_whole_person(
    split: dict[str, Any], presence: dict[str, Any]
) -> None:
    using = pipeline(catalog({"split": split, "presence": presence}))
    whole = {"add": True, "list": "1", "email": ["a", "b"], "phone": "p", "customer": "c"}
    records, rejections = prepared(using, [whole])
    assert {value for one in records for value in one.ids} == {"a", "b", "p", "c"}
    assert not rejections
    records, rejections = prepared(using, [{"add": True, "list": "1", "phone": ["p", "q"]}])
    assert not records
    assert [(one.event_id, one.code) for one in rejections] == [(0, "missing_parameter")]


@pytest.mark.parametrize("names", [["Ann", "Bo"], [["Ann", "Cleo"]]], ids=["one", "two"])
@pytest.mark.parametrize("split", [None, *SPLITS.values()], ids=["none", *SPLITS])
def test_who_only_goes_along_is_no_record(split: dict[str, Any] | None, names: list[Any]) -> None:
    using = made(split) if split else cached("{}", "[]", "{}")
    records, rejections = prepared(
        using, [{"add": True, "list": "1", "first": name} for name in names]
    )
    assert not records
    assert [one.code for one in rejections] == ["no_identifier"] * len(names)
    assert not any("Ann" in one.reason for one in rejections)
