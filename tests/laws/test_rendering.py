"""Rendering: lifting a template changes nothing, and no content of any field changes the structure."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.templating.envelope import Envelope
from connector.templating.items import ItemRenderer
from connector.templating.template import RenderError, Template, _compact, problems
from connector.templating.values import Items
from tests.kit.records import LAW, tries

FEW = tries(25)  # for each of many templates
WIRES = ("a", "b", "c")
NAMES = ItemRenderer.NAMES
HEX = st.text("0123456789abcdef", min_size=64, max_size=64)
# of the wire keys, the values of c are not digests
NASTY = [
    '"',
    "\\",
    "\n",
    "{{ 1 }}",
    "{% if %}",
    "\x00",
    "\x02",
    "\x030\x03",
    "\x020\x03",
    '"h\\u00020"',
    "%s",
    "%",
    ",]",
    '", }',
    "\u2028",
    "</script>",
    "é",
    "💥",
]
PLAIN = st.text(max_size=20) | st.sampled_from([*NASTY, "".join(NASTY) * 100])
PARAMS: Mapping[str, Any] = {
    "p": '"%s" \x02\n{{ x }}',
    "n": 7,
    "no": None,
    "list": ["x", 'y"'],
    "%": "%d",
}
SETTINGS = {"account": "100%", "deep": {"items": [1, {"get": "%"}]}}
SHARED = {"operation": "add", "settings": SETTINGS}

LIFTED = [
    "{{ ids }}",
    "{{ ids | compact }}",
    '{"all": {{ ids.a }}, "p": {{ params.p }}, "100%": "%s %%"}',
    '{"first": {{ ids.a | first }}, "last": {{ ids.c | last }}}',
    '{"one": {{ ids.c[0] }}}',
    '[{% for v in ids.a %}{"i": {{ loop.index }}, "last": {{ loop.last }}, "v": {{ v }}},{% endfor %}]',
    "[{% for v in ids.c %}{{ loop.first }}, {{ v }},{% endfor %} {{ settings.account }}]",
    '{ {% if ids.a %}"a": {{ ids.a }}{% else %}"none": true{% endif %} }',
    '{"n": {{ ids.a | length }}, "m": {{ ids | length }}}',
    '{"d": {{ ids.b | default(["none"]) }}, "e": {{ params.no | default("x") }}}',
    '{{ {"x": ids.a | first, "y": params.no, "z": ids.c} | compact }}',
    "{{ [ids.c, ids.a, params.list | join(','), params.n + 1] }}",
    "{{ ids.a + ids.c }}",
    '{"deep": {{ settings.deep.items[1].get }}, "inline": {{ ids.a if ids.a else none }}}',
    "{ {{ params.p }}: {{ ids.c }} }",
    "{{ ids.a[0] if ids.a is defined and ids.a | length > 1 else ids.c | list }}",
]
SLOW = [
    "{{ ids.c | join('-') }}",
    '{"v": {{ "id:" ~ (ids.c | first) }}}',
    '{{ (ids.c | first | upper) if ids.c else "" }}',
    '[{% for v in ids.c %}{% if v == "\\"" %}"quote"{% else %}{{ v | lower }}{% endif %},{% endfor %}]',
    "{{ 'x' in ids.c }}",
    "{ {{ ids.a | first }}: 1 }",
    '{{ {(ids.a | first | default("none")): ids.c} }}',
    "{{ ids.a == ids.b }}",
    "{{ ids.c[0] > 'm' }}",
    "[{% for letter in ids.a[0] %}{{ letter }},{% endfor %}]",
    "{{ ids.c[0] | length }}",
    "{{ 1 if ids.c[0] else 2 }}",
    "{{ ids.c[0] | default('x') | trim }}",
    "{{ ids.c[0].member }}",
    "{{ ids.a | sum }}",
]


def attempt(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except RenderError as error:
        return error.category, str(error)


@st.composite
def people(draw: st.DrawFn) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """A shape and the values of some records of that shape."""
    counts = [draw(st.integers(0, 3)) for _ in WIRES]
    wires = tuple(wire for wire, count in zip(WIRES, counts, strict=True) for _ in range(count))
    one = st.tuples(*(PLAIN if wire == "c" else HEX for wire in wires))
    return wires, draw(st.lists(one, min_size=1, max_size=3))


@pytest.mark.parametrize("source", [*LIFTED, *SLOW])
def test_a_lifted_template_renders_what_the_slow_way_renders(source: str) -> None:
    renderer = ItemRenderer(Template(source, NAMES), WIRES, {"c"}, SHARED)

    @FEW
    @given(people())
    @example((("c", "c"), [('"', "\x020\x03"), ("%s", "\\")]))
    @example((("a", "b", "c"), [("0" * 64, "0" * 64, "x")]))
    def law(shape: tuple[tuple[str, ...], list[tuple[str, ...]]]) -> None:
        wires, values = shape
        fast = attempt(lambda: renderer.shape(wires, PARAMS)(values))
        assert fast == attempt(lambda: renderer._render_each(wires, PARAMS)(values))
        if isinstance(fast, list):
            for item in fast:
                json.loads(item)

    law()


@pytest.mark.parametrize("source", LIFTED)
def test_a_template_that_looks_into_no_value_is_rendered_once(source: str) -> None:
    template = Template(source, NAMES)
    rendered = []
    parts = template.parts
    template.parts = lambda context: rendered.append(1) or parts(context)  # type: ignore[method-assign,func-returns-value]
    render = ItemRenderer(template, WIRES, {"c"}, SHARED).shape(("a", "a", "b", "c"), PARAMS)
    for letter in "xyz":
        render([("0" * 64, "1" * 64, "2" * 64, letter)] * 10)
    assert len(rendered) == 1


SHAPES = [
    '{"v": {{ it }}, "w": [{{ it }}, {"x": {{ it }}}]}',
    '{ {{ key }}: {{ it }}, "z": 1}',
    "[{% for one in many %}{{ one }},{% endfor %}]",
    '{{ {"it": it, "many": many} }}',
    '{"s": "a{{ "": 1}',
]
ANYTHING = st.recursive(
    PLAIN
    | st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PLAIN, inner, max_size=3),
    max_leaves=6,
)


@given(ANYTHING, st.lists(ANYTHING, max_size=3), PLAIN)
@example("x" * 10_000, ["\u2028" * 3], "h\x020")
@LAW
def test_no_content_changes_the_structure(it: Any, many: list[Any], key: str) -> None:
    context = {"it": it, "many": many, "key": key}
    names = list(context)
    assert json.loads(Template(SHAPES[0], names).render(context)) == {"v": it, "w": [it, {"x": it}]}
    if key != "z":
        assert json.loads(Template(SHAPES[1], names).render(context)) == {key: it, "z": 1}
    assert json.loads(Template(SHAPES[2], names).render(context)) == many
    assert json.loads(Template(SHAPES[3], names).render(context)) == {"it": it, "many": many}


@pytest.mark.parametrize(
    "value",
    ["\ud800", ["x", "\udc00"], {"\ud800": 1}, float("nan"), float("inf"), {1, 2}, object()],
)
def test_what_is_not_json_is_refused_or_null(value: Any) -> None:
    found = attempt(lambda: Template('{"v": {{ it }}}', ["it"]).render({"it": value}))
    if isinstance(value, float):
        assert found == b'{"v":null}'
    else:
        assert found[0] == "value"


NOT_JSON = [
    "[{{ params.half }}, {{ ids }}]",
    "[{{ params.half }}, {{ ids.c | join }}]",
    "[{{ {'n': params.large} }}]",
    "{{ {params.no: 1} }}",
]


@pytest.mark.parametrize("source", NOT_JSON)
def test_an_item_with_a_value_that_is_not_json_is_a_render_error(source: str) -> None:
    renderer = ItemRenderer(Template(source, NAMES), WIRES, {"c"}, SHARED)
    with pytest.raises(RenderError):
        renderer.shape(("c",), {"half": "\ud800", "large": 2**70, "no": None})([("x",)])


@given(st.integers())
@example(2**64)
@example(-(10**30))
def test_a_whole_number_of_any_size_is_exact(number: int) -> None:
    assert Template("[{{ it }}, {{ text | int }}]", ["it", "text"]).render(
        {"it": number, "text": str(number)}
    ) == (f"[{number},{number}]".encode())


def test_the_template_itself_is_no_known_name() -> None:
    assert [problem.category for problem in problems("{{ self }}", ["it"])] == ["name"]


@given(st.lists(st.lists(st.dictionaries(PLAIN, PLAIN, max_size=2), max_size=3), max_size=3))
@LAW
def test_an_envelope_puts_items_in_as_they_are(groups: list[list[dict[str, str]]]) -> None:
    source = '[{% for g in groups %}{"k": {{ g.k }}, "items": {{ g.items }}},{% endfor %}]'
    given_groups = [
        {"k": n, "items": [orjson.dumps(item) for item in group]} for n, group in enumerate(groups)
    ]
    body = Envelope(Template(source, Envelope.NAMES), {}).render(given_groups, {}, "add")
    assert json.loads(body) == [{"k": n, "items": group} for n, group in enumerate(groups)]
    flat = Envelope(Template('{"n": {{ items | length }}, "all": {{ items }}}', Envelope.NAMES), {})
    items = [item for group in groups for item in group]
    assert json.loads(flat.render(given_groups, {}, "add")) == {"n": len(items), "all": items}


REFUSED: list[tuple[str, str]] = [
    ('{"a": "{{ it }}"}', "string"),
    ('{"a": "x {{ it }} y"}', "string"),
    ('{"a": "\\"{{ it }}"}', "string"),
    ('["{% if it %}{{ it }}{% endif %}"]', "string"),
    ("{% set x = 1 %}{{ x }}", "construct"),
    ("{% set x %}1{% endset %}{{ x }}", "construct"),
    ("{% macro m() %}1{% endmacro %}{{ m() }}", "construct"),
    ("{% call it() %}{% endcall %}1", "construct"),
    ("{% filter upper %}1{% endfilter %}", "construct"),
    ("{% include 'x' %}", "construct"),
    ("{% import 'x' as y %}1", "construct"),
    ("{% from 'x' import y %}1", "construct"),
    ("{% extends 'x' %}1", "construct"),
    ("{% block b %}1{% endblock %}", "construct"),
    ("{% with x = 1 %}1{% endwith %}", "construct"),
    ("{% autoescape true %}1{% endautoescape %}", "construct"),
    ("{{ it() }}", "construct"),
    ("{{ it.upper() }}", "construct"),
    ("{{ it * 9 }}", "construct"),
    ("{{ it ** 9 }}", "construct"),
    ("{{ it % 9 }}", "construct"),
    ("{{ it / 9 }}", "construct"),
    ("{{ it // 9 }}", "construct"),
    ("{{ it[1:2] }}", "construct"),
    ("{{ it | sum(attribute='x') }}", "construct"),
    ("{% for x in it recursive %}{{ x }}{% endfor %}", "construct"),
    ("{{ other }}", "name"),
    ("{{ it | tojson }}", "name"),
    ("{{ it | attr('x') }}", "name"),
    ("{{ it | safe }}", "name"),
    ("{{ it is callable }}", "name"),
    ("{{ range }}", "name"),
    ("{{ it ", "syntax"),
    ("{% if it %}", "syntax"),
    ("{% break %}", "syntax"),
    ('{"\\u0002": 1}', "construct"),
    ('{"\x02": 1}', "construct"),
]


@pytest.mark.parametrize(("source", "kind"), REFUSED)
def test_what_a_template_may_not_hold(source: str, kind: str) -> None:
    assert kind in {problem.category for problem in problems(source, ["it"])}
    with pytest.raises(RenderError):
        Template(source, ["it"])


FAILS: list[tuple[str, str]] = [
    ("{{ it.missing }}", "undefined"),
    ("{{ it['__class__'] }}", "undefined"),
    ("{{ it.__class__ }}", "undefined"),
    ("{{ it.keys }}", "undefined"),
    ("{{ text.upper }}", "undefined"),
    ("{{ text[0] }}", "undefined"),
    ("{{ number.real }}", "undefined"),
    ("{{ items.append }}", "undefined"),
    ("{{ items[9] }}", "undefined"),
    ("{{ (it | first) }}", "value"),
    ("{% for x in it %}{{ loop.cycle }}{% endfor %}", "undefined"),
    ("{% for x in it %}{{ loop.changed }}{% endfor %}", "undefined"),
    ("{% for x in it %}{{ loop.__init__ }}{% endfor %}", "undefined"),
    ("{{ text + 1 }}", "value"),
    ("{{ text < 1 }}", "value"),
    ("[{{ text }} {{ text }}]", "json"),
    ("{{ text }}{{ text }}", "json"),
    ("", "json"),
    ("{{ text }},", "json"),
    ('{"a": {{ text }}, "a": 1, {{ text }}: 2, "b": {{ text }}, "b": 3}', "json"),
    ("{ {{ number }}: 1 }", "json"),
]


@pytest.mark.parametrize(("source", "kind"), FAILS)
def test_what_fails_when_it_is_rendered(source: str, kind: str) -> None:
    context = {"it": {"a": "SECRET"}, "text": "SECRET", "number": 5, "items": ["SECRET"]}
    with pytest.raises(RenderError) as caught:
        Template(source, list(context)).render(context)
    assert caught.value.category == kind
    assert "SECRET" not in str(caught.value)


# strings and brackets in every wrong order too
TOKENS = st.sampled_from(
    ["[", "]", "{", "}", ",", ":", "null", '"a"', '", ]"', r'"\",}"', r'"\\"', " ", "\n\t"]
)


def write(value: Any, last_comma: Callable[[], str]) -> str:
    """Return JSON in which `last_comma` writes what follows the last value of a list or an object."""
    if isinstance(value, list):
        elements = []
        for element in value:
            elements.append(write(element, last_comma))
        return "[" + ", ".join(elements) + (last_comma() if value else "") + "]"
    if isinstance(value, dict):
        members = []
        for key, member in value.items():
            members.append(json.dumps(key) + ": " + write(member, last_comma))
        return "{" + ", ".join(members) + (last_comma() if value else "") + "}"
    return json.dumps(value, ensure_ascii=False)


@given(ANYTHING, st.data())
@LAW
def test_a_last_comma_changes_no_value(value: Any, data: st.DataObject) -> None:
    commas = st.sampled_from(["", ",", " , ", ",\n\t"])
    text = write(value, lambda: data.draw(commas))
    assert json.loads(_compact(text)) == value


@given(st.lists(TOKENS, max_size=12))
@example(["[", ",", "]"])
@example(["[", "null", ",", " ", "]"])
@example(["[", "null", ",", ",", "]"])
@LAW
def test_only_a_comma_between_a_value_and_a_closing_bracket_is_dropped(tokens: list[str]) -> None:
    words = []
    for token in tokens:
        if not token.isspace():
            words.append(token)
    plain = []
    for before, word, after in zip(["[", *words], words, [*words[1:], ""], strict=False):
        if word == "," and after in ("]", "}") and before not in ("[", "{", ","):
            continue
        plain.append(word)
    try:
        expected = json.loads(" ".join(plain))
    except ValueError:
        with pytest.raises(RenderError):
            _compact("".join(tokens))
    else:
        assert json.loads(_compact("".join(tokens))) == expected


WORDS = [
    "items",
    "keys",
    "values",
    "get",
    "pop",
    "update",
    "copy",
    "__class__",
    "__len__",
    "first",
    "length",
    "append",
]


@pytest.mark.parametrize("word", WORDS)
def test_a_member_is_the_fields_never_pythons(word: str) -> None:
    context = {"it": {word: "mine", "in": [{word: "mine"}]}}
    for source in (
        f"{{{{ it.{word} }}}}",
        f"{{{{ it['{word}'] }}}}",
        f"{{{{ it['in'][0].{word} }}}}",
    ):
        assert Template(source, ["it"]).render(context) == b'"mine"'


def test_a_rendered_text_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connector.templating.template.MAX_TEXT", 1000)
    source = "[{% for x in it %}{% for y in it %}1,{% endfor %}{% endfor %}1]"
    assert Template(source, ["it"]).render({"it": [1] * 9})
    with pytest.raises(RenderError) as caught:
        Template(source, ["it"]).render({"it": [1] * 99})
    assert caught.value.category == "size"


def test_items_are_one_list_as_a_hole_and_one_by_one_in_a_loop() -> None:
    items: Sequence[bytes] = Items([b'{"a":1}', b"2"])
    one = Template("[{% for x in it %}{{ x }},{% endfor %}]", ["it"])
    assert (
        one.render({"it": items})
        == Template("{{ it }}", ["it"]).render({"it": items})
        == b'[{"a":1},2]'
    )
