"""What a definition or a mapping says ends in one problem, whatever its size, never in a traceback."""

from __future__ import annotations

from typing import Any

import pytest

from connector.templating.data import ExpressionError
from connector.templating.expressions import compile_expression
from connector.templating.template import RenderError, Template

DEEP = "nested more than 100 levels deep"
LARGE = "a number that is too large"
SOURCES = [
    ("(" * 5_000 + "x" + ")" * 5_000, DEEP),
    ("[" * 300 + "]" * 300, DEEP),
    ("x" + "+1" * 5_000, DEEP),
    ("not " * 3_000 + "x", DEEP),
    ("x" + ".a" * 300, DEEP),
    ("1e400", LARGE),
    ("-1e999", LARGE),
    ("9" * 5_000, LARGE),
]


@pytest.mark.parametrize(("source", "problem"), SOURCES, ids=range(len(SOURCES)))
def test_an_expression_or_a_template_of_any_size_is_one_problem(source: str, problem: str) -> None:
    with pytest.raises(ExpressionError, match=problem):
        compile_expression(source, ["x"])
    with pytest.raises(RenderError, match=problem):
        Template("{{ " + source + " }}", ["x"])


@pytest.mark.parametrize(
    ("begin", "end"), [("{% if x %}", "{% endif %}"), ("{% for a in x %}", "{% endfor %}")]
)
def test_statements_inside_each_other(begin: str, end: str) -> None:
    assert Template("[" + begin * 16 + "1," + end * 16 + "]", ["x"]).render({"x": [1]}) == b"[1]"
    for count in (17, 25, 150, 3_000):
        with pytest.raises(
            RenderError, match=r"16 of 'if' and 'for' are inside each other|100 levels"
        ):
            Template("[" + begin * count + "1" + end * count + "]", ["x"])


@pytest.mark.parametrize("operator", ["+ 1", "and x", "or x", "- 1"])
def test_what_is_within_the_limits_works(operator: str) -> None:
    source = "x" + f" {operator}" * 90
    compile_expression(source, ["x"])({"x": 1})
    Template("{{ " + source + " }}", ["x"]).render({"x": 1})


def test_filters_that_follow_each_other_make_no_text_of_any_length() -> None:
    chain = "x" + "|replace('a', 'aaaaaaaaaaaaaaaaaaaa')" * 8
    with pytest.raises(ExpressionError, match="more than 10,000,000 characters"):
        compile_expression(chain, ["x"])({"x": "a"})
    with pytest.raises(RenderError):
        Template("{{ " + chain + " }}", ["x"]).render({"x": "a"})
    with pytest.raises(ExpressionError, match="more than 10,000,000 characters"):
        compile_expression("x|replace('', y)", ["x", "y"])({"x": "a" * 5_000, "y": "b" * 5_000})
    with pytest.raises(ExpressionError, match="more than 10,000,000 characters"):
        compile_expression("x|join(y)", ["x", "y"])({"x": [""] * 5_000, "y": "b" * 5_000})


def test_loops_inside_each_other_make_no_body_of_any_size() -> None:
    loops = "[{% for a in x %}{% for b in x %}{{ b }},{% endfor %}{% endfor %}]"
    with pytest.raises(RenderError, match="more than 50000000 characters"):
        Template(loops, ["x"]).render({"x": ["y" * 10_000] * 100})


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("x|compact", "text"),
        ("x|compact", 1),
        ("x|join(y)", ["a", "b"]),
        ("x|length", 1),
        ("x|sum", ["a"]),
        ("x[y]", "a"),
        ("-x", "a"),
        ("x - y", "a"),
        ("x < y", "a"),
    ],
)
def test_what_fails_on_data_is_one_error(source: str, value: Any) -> None:
    names = ["x", "y"]
    scope = {"x": value, "y": {"an": "object"}}
    with pytest.raises(RenderError):
        Template("{{ " + source + " }}", names).render(scope)


def test_values_too_deep_to_compare_are_one_error() -> None:
    deep: list[Any] = []
    other: list[Any] = []
    for _ in range(100_000):
        deep, other = [deep], [other]
    with pytest.raises(ExpressionError, match="RecursionError"):
        compile_expression("x == y", ["x", "y"])({"x": deep, "y": other})
    while deep:
        deep, other = deep[0], other[0]
