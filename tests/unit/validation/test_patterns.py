"""Regular expressions of definitions: no text of an event takes one of them long."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from connector.pipeline.dropped import DroppedError
from connector.pipeline.normalise import STEPS
from connector.validation.patterns import compile_part, compile_pattern
from connector.validation.schema import Schema

# A backtracking engine takes 2 ** 40 steps for these.
EVIL = "^([0-9]+)+$"
DIGITS = "1" * 40 + "x"
LOOKS_AHEAD = "^(?=[0-9])([0-9]+)+$"


@pytest.mark.timeout(20)
@pytest.mark.parametrize("pattern", [EVIL, LOOKS_AHEAD, "^(?:(?=(a|aa)+$)(a|aa)+)+$"])
@pytest.mark.parametrize("text", [DIGITS, "a" * 41 + "b"])
def test_no_pattern_hangs(pattern: str, text: str) -> None:
    assert not compile_pattern(pattern)(text)
    assert not compile_pattern(pattern, whole=True)(text)
    with pytest.raises(DroppedError, match="not_of_the_form"):
        STEPS["matches"].make(pattern)(text)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("schema", "value", "pointer"),
    [
        ({"pattern": EVIL}, DIGITS, ""),
        ({"items": {"pattern": LOOKS_AHEAD}}, ["1", DIGITS], "/1"),
        ({"propertyNames": {"pattern": EVIL}}, {DIGITS: 1}, f"/{DIGITS}"),
        (
            {"patternProperties": {EVIL: {"type": "string"}, "a": {"type": "string"}}},
            {DIGITS: 1, "a": 2},
            "/a",
        ),
        (
            {"patternProperties": {EVIL: True}, "additionalProperties": False},
            {"1": 1, DIGITS: 1},
            f"/{DIGITS}",
        ),
        (
            {"patternProperties": {EVIL: True}, "additionalProperties": {"type": "string"}},
            {"1": 1, DIGITS: 1},
            f"/{DIGITS}",
        ),
        (
            {"patternProperties": {EVIL: True}, "unevaluatedProperties": False},
            {"1": 1, DIGITS: 1},
            "",
        ),
        (
            {
                "properties": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}},
                "$defs": {"a": {"patternProperties": {EVIL: True}}},
                "unevaluatedProperties": False,
            },
            {"a": {}, DIGITS: 1},
            "",
        ),
    ],
)
def test_no_pattern_hangs_when_a_failure_is_explained(
    schema: dict[str, Any], value: Any, pointer: str
) -> None:
    found = Schema(schema).failures(value)
    assert pointer in [failure.pointer for failure in found]


@pytest.mark.timeout(20)
@pytest.mark.parametrize("text", ["1" * 200_000 + "-", "1" * 200_000, "a" * 5 + "1" * 200_000])
@pytest.mark.parametrize(
    "pattern",
    [
        "(.).+z",
        "([0-9]{5})-[0-9]*",
        "(a?a?a?[a1]{5}).*b",
        "(x)?",
        "([0-9a]++)[/-]-.*",
        "(1++a?)-+z",
    ],
)
def test_what_is_kept_is_found_in_time_of_the_length(pattern: str, text: str) -> None:
    assert STEPS["keep"].make(pattern)(text) == text
    assert STEPS["keep"].make(pattern)("") == ""


@pytest.mark.parametrize(
    "pattern",
    [
        "(.+)x",  # a text of x loses one of them at a time
        "([0-9]+)+",
        "1([0-9]++)",
        "(a).+b.+",
        "((a)b)",
        "(?:a)(b)",
        "(a|b)",
        "(a)\\1",
        "^(a)",
        "(?=a)(b)",
        "(a{0,9}a{0,9})a{0,9}",
        "(a{1,2}){1,2}",
        "abc",
        "([z-a])",
    ],
)
def test_a_part_that_some_text_takes_long_for_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="at most 100 ways"):
        compile_part(pattern)


def test_a_known_key_of_a_pattern_is_not_called_unknown() -> None:
    schema = Schema(
        {"patternProperties": {"^x-": {"type": "string"}}, "additionalProperties": False}
    )
    assert [failure.pointer for failure in schema.failures({"x-a": "1", "y": 1})] == ["/y"]
    assert [failure.pointer for failure in schema.failures({"x-a": 1})] == ["/x-a"]


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("[^@\\s]+@[^@\\s]+", "a@b", True),
        ("[^@\\s]+@[^@\\s]+", "a@b\n", False),
        ("[^@\\s]+@[^@\\s]+", "ä@ö", True),
        ("a|bc", "bc", True),
        ("a|bc", "abc", False),
        ("(?![-0]+$)[-0-9]{3}", "0-0", False),
        ("(?![-0]+$)[-0-9]{3}", "0-1", True),
        ("(.)\\1", "aa", True),
        ("(.)\\1", "ab", False),
    ],
)
def test_matches_is_the_whole_text(pattern: str, text: str, fits: bool) -> None:
    assert compile_pattern(pattern, whole=True)(text) is fits
    assert (re.fullmatch(pattern, text) is not None) is fits


def test_half_a_surrogate_pair_keeps_its_own_reason() -> None:
    with pytest.raises(DroppedError, match="not_unicode"):
        STEPS["matches"].make("[a-z]+")("\ud800a")


def test_a_long_run_of_prefixes_is_taken_away_in_time_of_its_length() -> None:
    strip = STEPS["strip_prefix"].make("ab")
    assert strip(" ab ab  abx ab") == "x ab"
    assert strip("") == ""

    def seconds(count: int) -> float:
        text = "ab" * count
        started = time.perf_counter()
        assert strip(text) == ""
        return time.perf_counter() - started

    # 64 times for a step that is quadratic
    fastest = min(seconds(500_000) for _ in range(3))
    assert fastest < 40 * min(seconds(62_500) for _ in range(3)) + 0.05
