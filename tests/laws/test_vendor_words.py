"""Whatever a vendor echoes of what was sent, nothing that a run says has it; the vendor's own codes are said."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

import connector
from connector.cli.summary import summary_json, summary_text
from connector.definitions.model import Codes, Limits, ResponseRule
from connector.delivery.refusals import Refusal, Row
from connector.model import Bisect, Request, Response
from connector.pipeline.responses import compile_rules
from connector.pipeline.vendor_words import VendorWords
from tests.kit.clock import NOW, FakeClock
from tests.kit.destination import SOURCE, action, write_destination
from tests.kit.records import record, target, tries

OWN = "INVALID_PARAMETER"
NAMES = ("phone", "device", "handle", "email", "name")
IDENTIFIER = {"hash": "none", "normalize": ["trim"], "source": SOURCE}
EACH = {
    "when": "status == 207",
    "then": "delivered",
    "each": "body.codes",
    "by": "item",
    "position": "0",
    "code": "refused",
    "reason": "no",
    "detail": "[entry, 'code-' ~ entry]",
    "source": SOURCE,
}
HINTS = {"400": "refused", "403": "stopped", "429": "busy", "source": SOURCE}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> connector.Connection:
    """Return a connection to a vendor that gets all as it is, and whose codes may have any form."""
    fields: dict[str, Any] = {}
    for name in NAMES:
        alone = {"alone": False} if name == "name" else {}
        fields[name] = {"title": name, "description": name, "identifier": {**IDENTIFIER, **alone}}

    root = tmp_path_factory.mktemp("words")
    item = '{"type": "EMAIL", "ids": {{ ids }} }'
    document = action(fields, path="/people", item="item.json.j2")
    write_destination(
        root, {"add": document}, {"item": item},
        responses=[EACH], hints=HINTS, detail="body.codes",
    )  # fmt: skip
    routes = [{"action": "add", "map": {name: {"from": name} for name in NAMES}}]
    written = {"destination": "tiny", "event_id": "id", "routes": routes}
    return connector.make_connection(written, definitions=[root])


def said_by_a_run(
    made: connector.Connection, person: dict[str, str], body: Any, status: int
) -> str:
    """Return all that a run says whose requests get this answer, those without this person aside."""
    notes: list[str] = []
    file = io.BytesIO()

    def refuse(request: Request) -> Response:
        if len(json.loads(request.body)[0]["ids"]) == 1:
            return Response(207, {}, {})
        return Response(status, {"retry-after": "10"}, body)

    report = connector.send(
        made, [{"id": "e1", **person}, {"id": "e2", "handle": "other"}],
        transport=refuse, clock=FakeClock(), report=file, notify=notes.append, retries=2,
    )  # fmt: skip
    assert report.counts.rejected + report.counts.undelivered
    shown = [repr(report), *notes, file.getvalue().decode()]
    shown += [json.dumps(summary_json(report, [], None)), summary_text(report, [], None)]
    return "\n".join(shown)


def plain(text: str) -> str:
    return re.sub("[^0-9a-z]", "", text.casefold())


def digits(text: str) -> str:
    return re.sub("[^0-9]", "", text)


PHONES = st.integers(10**9, 10**14).map(lambda number: f"+{number}")
DEVICES = st.uuids().map(str)
HANDLES = st.text("abxyzABXYZ0123456789_.", min_size=7, max_size=24).filter(
    lambda t: len(plain(t)) > 6
)
EMAILS = st.builds(
    "{}@{}.example".format,
    st.text("bcdxyz.0123456789", min_size=6, max_size=12),
    st.text("bcdxyz", min_size=3),
)
FAMILY_NAMES = st.sampled_from(
    ["Schmidt", "O'Connor", "van der Berg", "Krzyżanowska", "Anderson-Wu"]
)
VALUES = st.tuples(PHONES, DEVICES, HANDLES, EMAILS, FAMILY_NAMES)

ECHOES: list[Callable[[str], str]] = [
    lambda value: value,
    str.upper,
    str.lower,
    plain,
    digits,
    lambda value: f"code-{value}",
    lambda value: f"{plain(value)}_INVALID",
    lambda value: f"xx{plain(value)}yy",
    lambda value: f"c-{digits(value)}",
    lambda value: f"E_{plain(value)[1:]}",
    lambda value: f"E{plain(value)[:-1]}.x",
]


@tries(60)
@given(VALUES, st.integers(0, 4), st.sampled_from(ECHOES), st.sampled_from([207, 400, 403, 429]))
@example(("+4915112345678", "x" * 9, "annsmith", "a@b.cd", "Schmidt"), 0, ECHOES[5], 400)
@example(("+4915112345678", "x" * 9, "annsmith", "a@b.cd", "Schmidt"), 4, ECHOES[1], 207)
def test_no_echo_of_what_was_sent_is_repeated(
    made: connector.Connection,
    values: tuple[str, ...],
    which: int,
    echo: Callable[[str], str],
    status: int,
) -> None:
    quoted = echo(values[which])
    assume(len(plain(quoted)) >= 6)
    person = dict(zip(NAMES, values, strict=True))
    said = said_by_a_run(made, person, {"codes": [quoted, OWN]}, status)
    assert OWN in said
    assert quoted not in said
    core = digits(quoted) if len(digits(quoted)) >= 9 else plain(quoted)
    if len(core) >= 9:
        assert core not in plain(said)


SHORT = [
    ("Ann", ["Ann", "ANN", "name-ann", "ANN_INVALID", "InvalidAnn", "1Ann"]),
    ("Zoë", ["zo"]),
    ("10043", ["code-10043", "E10043", "C.10043"]),
    ("Bo", ["Bo", "BO"]),
    ("an-7341", ["code-7341"]),
]


@pytest.mark.parametrize(("value", "codes"), SHORT)
def test_a_short_value_is_not_repeated_as_a_word_of_its_own(
    made: connector.Connection, value: str, codes: list[str]
) -> None:
    said = said_by_a_run(made, {"email": "a@b.cd", "name": value}, {"codes": [*codes, OWN]}, 400)
    assert f"refused ({OWN})" in said


def rules(codes: Codes = Codes(), detail: str = "body.codes") -> Any:  # noqa: B008 - is immutable
    rule = ResponseRule("status == 400", "bisect", "no", "refused", detail)
    return compile_rules([rule], VendorWords(codes, {"EMAIL"}))


def reason(codes: Codes, said: Any, ids: tuple[str, ...] = (), item: bytes = b"{}") -> str:
    people = [
        record(target("u", "add", "g", Limits()), [("id", value) for value in ids], 1, item=item)
    ]
    people = [people[0]._replace(companions=frozenset({"x"}))]
    outcome = rules(codes)(Response(400, {}, {"codes": said}), 1, NOW, people)
    assert isinstance(outcome, Bisect)
    return outcome.reason


DIGEST = "0a1b2c3d" * 8
TABLE: list[tuple[str, Codes, Any, tuple[str, ...], bytes, str]] = [
    ("no codes are declared", Codes(), ["A_1", "b.c"], (), b"{}", "no (A_1, b.c)"),
    ("one of the form", Codes(pattern="[A-Z]+"), ["ABC", "Abc", "ABC1"], (), b"{}", "no (ABC)"),
    ("a known one", Codes(frozenset({"x@y"}), "[A-Z]+"), ["x@y", "abc"], (), b"{}", "no (x@y)"),
    ("a known one that was sent", Codes(frozenset({"USER"})), "USER", ("user",), b"{}", "no (USER)"),
    ("an unknown one that was sent", Codes(), "USER", ("user",), b"{}", "no"),
    ("a constant of an item", Codes(), "NO_EMAIL", (), b'{"type": "EMAIL"}', "no (NO_EMAIL)"),
    ("a value of an item", Codes(), "NO_EMAIL", (), b'{"type": ["email"]}', "no"),
    ("a number of an item", Codes(), "code-10043", (), b'{"n": 10043, "t": true}', "no"),
    ("true is no value", Codes(), "NOT_TRUE", (), b'{"t": true}', "no (NOT_TRUE)"),
    ("a key of an item", Codes(), "NO_EMAIL", (), b'{"email": "x"}', "no (NO_EMAIL)"),
    ("a part of a digest", Codes(), "E_" + DIGEST[5:25], (DIGEST,), b"{}", "no"),
    ("a few digits of a digest", Codes(), "code-" + DIGEST[:6], (DIGEST,), b"{}", "no (code-0a1b2c)"),
    ("two letters of a word", Codes(), "USER_ID_INVALID", ("ID",), b"{}", "no (USER_ID_INVALID)"),
    ("so many that they are people", Codes(), [f"X{n}Y" for n in range(30)], (), b"{}",
     "no (" + ", ".join(f"X{n}Y" for n in range(20)) + ")"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("codes", "said", "ids", "item", "expected"),
    [row[1:] for row in TABLE],
    ids=[row[0] for row in TABLE],
)
def test_which_codes_are_repeated(
    codes: Codes, said: Any, ids: tuple[str, ...], item: bytes, expected: str
) -> None:
    assert reason(codes, said, ids, item) == expected


def test_a_code_that_is_not_repeated_still_tells_answers_apart_and_is_in_no_repr() -> None:
    classify = rules(Codes(pattern="[A-Z]+"))
    row = Row()
    differs = []
    for code in ("ann1", "ann1", "ben1"):
        outcome = classify(Response(400, {}, {"codes": [code]}), 1, NOW)
        assert isinstance(outcome, Bisect)
        assert code not in repr(outcome)
        refusal = Refusal(outcome.code, outcome.reason, outcome.said)
        assert code not in repr(refusal) + repr(refusal.of_everybody())
        differs.append(row.differs(refusal))
        row.add(refusal)
    assert differs == [False, False, True]


def test_a_code_that_one_batch_hides_is_the_same_answer_as_in_another() -> None:
    row = Row()
    where = target("u", "add", "g", Limits())
    for value in ("parameter@example.com", "ann@example.com"):
        people = [record(where, [("email", value)], 1)]
        outcome = rules()(Response(400, {}, {"codes": [OWN]}), 1, NOW, people)
        assert isinstance(outcome, Bisect)
        refusal = Refusal(outcome.code, outcome.reason, outcome.said)
        assert not row.differs(refusal)
        row.add(refusal)
    assert row.length == 2


def test_uuid_without_dashes_is_found_in_a_longer_word() -> None:
    device = UUID(int=0x1234567890ABCDEF1234567890ABCDEF)
    assert reason(Codes(), f"E{device.hex[2:]}x", (str(device),)) == "no"
    assert reason(Codes(), f"E{device.hex[2:]}x", (device.hex,)) == "no"
