"""Words for no value: dropped from identifiers, absent in parameters that name nobody."""

from __future__ import annotations

from typing import Any

import pytest

from connector._util.words import PLACEHOLDERS, is_placeholder
from connector.definitions.catalog import Catalog
from connector.definitions.model import Identifier
from connector.model import Event, Record, Rejection
from connector.pipeline.columns import column
from connector.pipeline.dropped import Dropped, DroppedError
from connector.pipeline.identifiers import identify
from connector.pipeline.pipeline import Pipeline
from tests.kit.clock import NOW
from tests.kit.records import connection

WORDS = [
    "", " ", "NULL", "null", "None", "nil", "undefined", "NaN", "NaT", "<NA>", r"\N", "#N/A", "n/a", "#REF!", "#VALUE!",
    "(not set)", "(null)", "-", "--", "\u2014", "?", ".", "00000000-0000-0000-0000-000000000000", "[object Object]",
]  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_no_value(word: str) -> None:
    assert is_placeholder(word)
    assert is_placeholder(f" {word}\n")


@pytest.mark.parametrize("word", ["NA", "na", "Nat", "NAT", "0", "no", "false", "null1", "x", "n", "00000000-0000-0000-0000-000000000001"])  # fmt: skip
def test_a_word_that_may_be_a_value(word: str) -> None:
    assert not is_placeholder(word)


def test_the_words_are_folded() -> None:
    assert all(word == word.casefold().strip() for word in PLACEHOLDERS)


def prepared(mapped: dict[str, Any], event: dict[str, Any]) -> Record | Rejection:
    route = {"action": "add_user_multi", "map": {"email": {"from": "email"}, **mapped}}
    [found] = Pipeline(connection([route])).prepare([Event(1, {"email": "ann@example.com", **event})], NOW)  # fmt: skip
    assert isinstance(found, Record | Rejection)
    return found


@pytest.mark.parametrize("word", WORDS)
def test_a_time_that_is_a_word_for_no_value_is_absent(word: str) -> None:
    mapped = {"custom_audience_id": {"value": "1nmth"}, "expires_at": {"from": "until"}}
    found = prepared(mapped, {"until": word})
    assert isinstance(found, Record)
    assert found.target.params["expires_at"] is None
    by_expression = prepared({**mapped, "expires_at": {"expr": "event.until"}}, {"until": word})
    assert isinstance(by_expression, Record)
    assert by_expression.target.params == found.target.params


def test_a_value_behind_one_is_found_on_the_way_to_a_list_of_paths() -> None:
    mapped = {
        "custom_audience_id": {"from": ["audience", "list"]},
        "phone_number": {"from": ["mobile", "phone"], "country": {"from": ["c", "d"]}},
    }
    event = {"audience": "n/a", "list": "1nmth", "mobile": "-", "phone": "030 901820"}
    found = prepared(mapped, {**event, "c": "NULL", "d": "DE"})
    assert isinstance(found, Record)
    assert found.target.params["custom_audience_id"] == "1nmth"
    assert found.wires == ("email", "phone_number")


def test_a_required_parameter_that_is_one_is_missing() -> None:
    found = prepared({"custom_audience_id": {"from": "audience"}}, {"audience": "null"})
    assert isinstance(found, Rejection)
    assert (found.code, found.reason) == ("missing_parameter", "custom_audience_id is required")


def test_a_constant_means_what_it_says() -> None:
    found = prepared({"custom_audience_id": {"value": "none"}}, {})
    assert isinstance(found, Record)
    assert found.target.params["custom_audience_id"] == "none"


def shipped_identifiers() -> list[Any]:
    """Return every kind of identifier that ships and takes plain text, with a name for it."""
    found: dict[Any, Any] = {}
    for name in Catalog(()).ids():
        for action in Catalog(()).load(name).actions.values():
            for one in action.identifiers:
                if one.prehashed is not True:
                    same = one.normalize, one.hash
                    found.setdefault(str(same), pytest.param(one, id=f"{name}.{one.parameter}"))
    return list(found.values())


SHIPPED = shipped_identifiers()


@pytest.mark.parametrize("identifier", SHIPPED)
def test_no_identifier_is_a_word_for_no_value(identifier: Identifier) -> None:
    """Not even one whose punctuation goes: `n/a` is nobody's name, and not Namibia."""
    one = identify(identifier, prehashed=False)
    for word in WORDS:
        with pytest.raises(DroppedError):
            one(word)
    cells = column(identifier, prehashed=False)([*WORDS, "ann"])
    assert all(cell is None or isinstance(cell, Dropped) for cell in cells[:-1])


NAMES = ("first_name", "last_name", "city", "first_initial", "country")


@pytest.mark.parametrize("identifier", [one for one in SHIPPED if one.values[0].parameter in NAMES])
def test_who_is_like_such_a_word_once_it_is_normalised_stays(identifier: Identifier) -> None:
    """Alone and in bulk, which may not differ."""
    values = ["NA"] if identifier.parameter == "country" else ["Na", "Ref", "Notset", "Ann"]
    one = identify(identifier, prehashed=False)
    assert column(identifier, prehashed=False)(values) == [one(value) for value in values]
