"""Names of audiences: what a template gives, what it is remembered under, and what it may not say."""

from __future__ import annotations

import pytest

from connector.connection.audience_names import AudienceName
from connector.connection.mapping import Element, compile_audience_name
from connector.connection.model import NamedAudience
from connector.templating.data import ExpressionError

NOW = "2026-01-15T02:03:04Z"
EVENT = {"slug": "vip", "n": 7, "empty": "", "odd name": "x", "list": ["a"], "of": {"b": "c"}}

TEMPLATES = [
    ("Loyal customers", "Loyal customers", "Loyal customers", False),
    ("Lytics {{ event.slug }}", "Lytics vip", "Lytics vip", True),
    ("Lytics {{event.slug}} {{ now | format('%Y%m%d_%H%M%S') }}",
     "Lytics vip 20260115_020304", "Lytics vip {{ now }}", True),
    ("{{ now | format('%d.%m.%y') }} of {{ settings.account }}", "15.01.26 of acme", "{{ now }} of acme", False),
    ("{{ event['odd name'] ~ event.n }}{{ item.kind | upper }}", "x7GOLD", "x7GOLD", True),
    ("a } b { c", "a } b { c", "a } b { c", False),
    ("{{ event.of.b or 'nobody' }}, {{ event.missing or 'nobody' }}", "c, nobody", "c, nobody", True),
    ("{{\n event.slug \n}}", "vip", "vip", True),
]  # fmt: skip


def compiled(template: str) -> AudienceName:
    source = NamedAudience(template, create=True)
    return compile_audience_name("list_id", source, {"account": "acme"}, each=True)


@pytest.mark.parametrize(("template", "name", "key", "varies"), TEMPLATES)
def test_what_a_template_gives(template: str, name: str, key: str, varies: bool) -> None:
    found = compiled(template)
    row = Element(EVENT, {"kind": "gold"})
    wanted = found.wanted(row, NOW)
    assert (wanted.name, wanted.key, found.key(row)) == (name, key, key)
    assert (found.varies, wanted.varies, found.has_moment) == (varies, varies, "now" in template)
    assert (wanted.parameter, wanted.create, wanted.only) == ("list_id", True, False)


def test_a_name_without_create_is_no_template() -> None:
    found = compile_audience_name("list_id", NamedAudience("{% {{ now }}"), {})
    wanted = found.wanted(EVENT, NOW)
    assert (wanted.name, wanted.key, wanted.create) == ("{% {{ now }}", "{% {{ now }}", False)
    assert not found.varies
    assert not found.has_moment


@pytest.mark.parametrize("field", ["missing", "empty", "of.missing", "list", "of"])
def test_an_absent_field_is_no_name(field: str) -> None:
    with pytest.raises(ExpressionError):
        compiled(f"Lytics {{{{ event.{field} }}}}").key(Element(EVENT, None))


def test_the_shortest_name_has_a_letter_for_each_field() -> None:
    assert (
        compiled("A {{ event.slug }}{{ item.kind }} {{ now | format('%H:%M') }}").shortest()
        == "A xx 22:58"
    )


@pytest.mark.parametrize(
    "template",
    [
        "{{ event.slug", "event.slug }}", "{% if event.slug %}x{% endif %}", "{# no #}", "{{ }}",
        "{{ event.slug ~ now }}", "{{ item.kind if now else 'x' }}", "{{ unknown }}", "{{ event.a() }}",
    ],
)  # fmt: skip
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(ExpressionError):
        compiled(template)
