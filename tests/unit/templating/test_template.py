"""Commas that end a list or an object: which texts become JSON, and what the others are refused for."""

from __future__ import annotations

import json
import time

import orjson
import pytest

from connector.templating.template import RenderError, Template

ACCEPTED = [
    ("[1,]", [1]),
    ("[1, \n\t ]", [1]),
    ('{"a": 1,}', {"a": 1}),
    ('{"a": [1, 2,], "b": {"c": null,},}', {"a": [1, 2], "b": {"c": None}}),
    ("[[1,],[[],],]", [[1], [[]]]),
    ("[{},{},]", [{}, {}]),
    ('["x",]', ["x"]),
    # literal text that looks like it
    ('[", ]", ",}", "[1,]",]', [", ]", ",}", "[1,]"]),
    ('{",]": "{,",}', {",]": "{,"}),
    (r'["\",]", "\\",]', ['",]', "\\"]),
    (r'["\\\",]",]', ['\\",]']),
    # holes
    ("[{{ nasty }},]", [',] "x",} [,']),
    ("{ {{ nasty }}: {{ nasty }}, }", {',] "x",} [,': ',] "x",} [,'}),
    ("[{% for one in many %}{{ one }},{% endfor %}]", [",]", 2, [",}"]]),
    ("[{% for one in nobody %}{{ one }},{% endfor %}]", []),
    ("[{% for one in many %}[{% for two in nobody %}1,{% endfor %}],{% endfor %}]", [[], [], []]),
    ('{ {% if many %}"a": 1,{% endif %} {% if nobody %}"b": 2,{% endif %} }', {"a": 1}),
]
# refused for the reason that a JSON parser gives for the text itself
REFUSED = [
    "[,]",
    "[ , ]",
    "[,1]",
    "[1,,2]",
    "[1,,]",
    "[1, , ]",
    "{,}",
    '{"a": 1,,}',
    '{,"a": 1}',
    '{"a": ,}',
    '{"a",}',
    "1,",
    "[1,",
    '[1,"]',
    '["a,]',
    '["a,]\\',
]
# refused for the reason that it gives for the text beside: a comma that is allowed is no reason
REFUSED_FOR_MORE = [
    ("[1,}", "[1}"),
    ("[1,],", "[1],"),
    ("[1,] 2", "[1] 2"),
    ("[[1,],,]", "[[1],,]"),
    ("[[1,],[,]]", "[[1],[,]]"),
    ("[[1,] 2]", "[[1] 2]"),
    ('{"a": [1,] "b": 2,}', '{"a": [1] "b": 2}'),
    ("[1,\u00a0]", "[1\u00a0]"),
    ("[{% for one in nobody %}1,{% endfor %},]", "[,]"),
    ("[{% for one in many %}1,{% endfor %},]", "[1,1,1,,]"),
]
CONTEXT = {"nasty": ',] "x",} [,', "many": [",]", 2, [",}"]], "nobody": []}


@pytest.mark.parametrize(("source", "value"), ACCEPTED)
def test_a_comma_may_end_a_list_or_an_object(source: str, value: object) -> None:
    assert json.loads(Template(source, CONTEXT).render(CONTEXT)) == value


@pytest.mark.parametrize(
    ("source", "plain"), [*zip(REFUSED, REFUSED, strict=True), *REFUSED_FOR_MORE]
)
def test_any_other_comma_is_refused_as_json_refuses_it(source: str, plain: str) -> None:
    with pytest.raises(orjson.JSONDecodeError) as reason:
        orjson.loads(plain)
    with pytest.raises(RenderError) as caught:
        Template(source, CONTEXT).render(CONTEXT)
    assert caught.value.category == "json"
    assert str(caught.value) == f"the template renders invalid JSON: {reason.value.msg}"


HOSTILE = {
    "a string without an end": ('[1,]"', '\\"'),
    "backslashes": ("[1,]", "\\"),
    "quotes": ('[1,]"', '""'),
    "opening brackets": ("[1,]", "["),
    "opening brackets and white space": ("[1,]", "[ "),
    "white space after an opening bracket": ("[1,][", " "),
    "white space after a comma": ("[1,][1,", " "),
    "commas": ("[1,]", ","),
    "commas and white space": ("[1,]", ", "),
    "last commas": ("", "1,]"),
}


@pytest.mark.parametrize(("start", "again"), HOSTILE.values(), ids=HOSTILE)
def test_no_text_takes_time_in_proportion_to_its_square(start: str, again: str) -> None:
    template = Template(f"{start}{{% for one in many %}}{again}{{% endfor %}}", ["many"])
    began = time.process_time()
    with pytest.raises(RenderError, match="invalid JSON"):
        template.render({"many": [None] * 1_000_000})
    assert time.process_time() - began < 20
