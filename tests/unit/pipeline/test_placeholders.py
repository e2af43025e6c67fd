"""Words for no value: dropped from identifiers, absent in parameters that name nobody."""

from __future__ import annotations

from typing import Any

import pytest

from connector._util.words import PLACEHOLDERS, is_placeholder
from connector.model import Event, Record, Rejection
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


def test_a_required_parameter_that_is_one_is_missing() -> None:
    found = prepared({"custom_audience_id": {"from": "audience"}}, {"audience": "null"})
    assert isinstance(found, Rejection)
    assert (found.code, found.reason) == ("missing_parameter", "custom_audience_id is required")


def test_a_constant_means_what_it_says() -> None:
    found = prepared({"custom_audience_id": {"value": "none"}}, {})
    assert isinstance(found, Record)
    assert found.target.params["custom_audience_id"] == "none"
