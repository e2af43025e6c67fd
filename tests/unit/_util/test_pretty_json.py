"""JSON for people is the same JSON: numbers digit for digit, keys in their order and as often as they stand."""

from __future__ import annotations

from connector._util.pretty_json import as_written, pretty, texts


def test_text_and_numbers_that_look_alike_stay_apart() -> None:
    body = '{"a": "1", "b": 1, "c": "… 2 more …", "d": "Zoë \\u0000", "e": [true, null]}'.encode()
    assert pretty(body) == (
        '{\n  "a": "1",\n  "b": 1,\n  "c": "… 2 more …",\n  "d": "Zoë \\u0000",\n'
        '  "e": [\n    true,\n    null\n  ]\n}'
    )
    assert texts(body) == {"a", "b", "c", "d", "e", "1", "… 2 more …", "Zoë \0"}


def test_lists_are_cut_at_every_depth_and_an_object_s_members_never() -> None:
    body = b'{"a":[[1,2,3,4],[5],[6],[{"b":1,"c":2,"d":3,"b":4}]]}'
    assert pretty(body, cut=True) == (
        '{\n  "a": [\n    [\n      1,\n      … 2 more …,\n      4\n    ],\n    … 2 more …,\n    [\n'
        '      {\n        "b": 1,\n        "c": 2,\n        "d": 3,\n        "b": 4\n      }\n    ]\n  ]\n}'
    )


def test_a_value_is_written_as_a_person_writes_it() -> None:
    assert [as_written(value) for value in ("Zoë", "", 1.5, None, ["é"])] == [
        "Zoë",
        '""',
        "1.5",
        "null",
        '["é"]',
    ]
