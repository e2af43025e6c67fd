"""Identifiers: normalising twice is normalising once, many at a time is one at a time, and nobody is hashed to nothing."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import Any

import phonenumbers
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.definitions.model import Identifier
from connector.model import Event, Record
from connector.pipeline.columns import column
from connector.pipeline.dropped import Dropped, DroppedError
from connector.pipeline.identifiers import identify
from connector.pipeline.normalise import STEPS, many_normaliser, normaliser
from connector.pipeline.phones import e164, e164_many
from connector.pipeline.pipeline import Pipeline
from connector.templating.data import ExpressionError
from tests.kit.clock import NOW
from tests.kit.records import connection, tries, x

# hypothesis' text has no lone surrogates unless asked
ANY_TEXT = st.text(st.characters(), max_size=30)
NOISE = st.sampled_from(["", " ", "\t", "\n", "\u00a0", "\u3000", "@", "@@", " @ ", "+", "00", "-"])
WORDS = [
    "",
    "null",
    "NULL",
    "Null",
    "none",
    "None",
    "nil",
    "undefined",
    "nan",
    "NaN",
    "n/a",
    "N/A",
    "(null)",
]
WORDS += ["<null>", "[object Object]", "Undefined", "NIL", "[object object]"]
BAD = {sha256(word.encode()).hexdigest() for word in WORDS}
DIGESTS = st.sampled_from([*WORDS[1:], "ann@example.com", "x"]).map(
    lambda t: sha256(t.encode()).hexdigest()
)
PHONES = st.from_regex(r"\+?[0-9 ()./-]{5,18}", fullmatch=True)
TEXTS = (
    ANY_TEXT
    | st.sampled_from(WORDS)
    | DIGESTS
    | DIGESTS.map(str.upper)
    | PHONES
    | st.integers().map(str)
)
PARTS = st.text("aB.+@ é", max_size=6)
ADDRESSES = st.builds(
    "{}@{}".format,
    PARTS,
    st.sampled_from(["gmail.com", "GMail.com ", "example.com", "", "a@gmail.com"]),
)
MESSY = st.builds("{}{}{}".format, NOISE, TEXTS | ADDRESSES, NOISE)
SCALARS = (
    MESSY | st.integers(-(10**40), 10**40) | st.booleans() | st.floats() | st.none() | st.just("")
)
OTHERS = st.just(ExpressionError("no")) | st.dictionaries(
    st.text(max_size=2), st.integers(), max_size=2
)
RAWS = (
    SCALARS
    | st.lists(SCALARS, max_size=4)
    | st.lists(st.lists(SCALARS, max_size=2), max_size=2)
    | OTHERS
)
FEW = tries(20)  # for each of many identifiers
HEX64 = re.compile(r"[0-9a-f]{64}").fullmatch


def _identifiers() -> dict[str, Identifier]:
    """Every different identifier of X, and some of other vendors' kinds."""
    found = {
        f"{action.id}.{one.parameter}": one
        for action in x().actions.values()
        for one in action.identifiers
    }
    different: dict[Any, str] = {}
    for name, one in found.items():
        different.setdefault((one.wire, one.normalize, one.hash, one.prehashed), name)
    kinds = {name: found[name] for name in different.values()}
    odd = Identifier(
        "odd",
        "odd",
        (("digits", ""),),
        "sha256",
        prehashed="auto",
        flag=None,
        source={},
    )
    kinds["digits, auto"] = odd
    kinds["upper"] = replace(
        odd, normalize=(("remove_whitespace", ""), ("uppercase", "")), prehashed=False
    )
    folds = (("drop_email_tag", True), ("drop_email_dots", ["gmail.com"]))
    kinds["folded"] = replace(
        odd, normalize=(("trim", ""), ("lowercase", ""), *folds), prehashed=False
    )
    kinds["name"] = replace(
        odd,
        normalize=(("remove_punctuation", ""), ("trim", ""), ("matches", ".{2,}")),
        prehashed=False,
    )
    kinds["prefix"] = replace(
        odd, normalize=(("strip_prefix", "tel:"), ("trim", "")), prehashed=False
    )
    return kinds


IDENTIFIERS = _identifiers()
each_identifier = pytest.mark.parametrize("identifier", IDENTIFIERS.values(), ids=IDENTIFIERS)
#: What is tried of each kind of argument: a new step needs nothing here.
ARGUMENTS: dict[str | None, list[Any]] = {
    None: [""],
    "text": ["@", "tel:", "00"],
    "pattern": ["([a-z]{0,60})", "([^@]{1,64})@.+", "([0-9]{5})-[0-9]{4}"],
    "domains": [True, ["gmail.com", "googlemail.com"]],
    "words": [{"female": "f"}],
    "plus": ["", "+"],
}
ALL_STEPS = [
    (name, argument) for name, step in STEPS.items() for argument in ARGUMENTS[step.argument]
]


def attempt(function: Callable[[Any], str], value: Any) -> str | Dropped:
    try:
        return function(value)
    except DroppedError as error:
        return Dropped(error.reason)


@pytest.mark.parametrize(("name", "argument"), ALL_STEPS)
def test_a_step_twice_is_the_step_once(name: str, argument: Any) -> None:
    step = STEPS[name].make(argument)

    @FEW
    @given(MESSY)
    @example("tel:tel: tel:1")
    @example("0000")
    @example("ΑΣ İ ß ŉ")
    @example("a.b+c+d@e.f+g@gmail.com")
    def law(value: str) -> None:
        once = attempt(step, value)
        if isinstance(once, str):
            assert step(once) == once

    law()


@pytest.mark.parametrize(("name", "argument"), ALL_STEPS)
def test_many_texts_are_normalised_as_one_by_one(name: str, argument: Any) -> None:
    step = STEPS[name].make(argument)
    many = many_normaliser(replace(IDENTIFIERS["upper"], normalize=((name, argument),)))

    @FEW
    @given(st.lists(MESSY | PHONES))
    @example(["12", "\ud800", "n/a", "", "ann@example.com", "007"])
    @example(["+1 202-555-0123", "+1 202 555\n0123", "+4420 79460123", "+999 1234567", "12"])
    def law(values: list[str]) -> None:
        singly = [attempt(step, value) for value in values]
        # "" stands for a text that is refused
        assert many(values) == [one if isinstance(one, str) else "" for one in singly]

    law()


@each_identifier
def test_normalising_twice_is_normalising_once(identifier: Identifier) -> None:
    normalise = normaliser(identifier)

    @FEW
    @given(MESSY)
    @example(" @ @ Ann ")
    @example("+1 (202) 555-0123")
    def law(value: str) -> None:
        once = attempt(normalise, value)
        if isinstance(once, str):
            assert normalise(once) == once

    law()


def expected(one: Callable[[Any], str], raw: Any) -> Any:
    """Return what a column has to hold for one raw value, told in the plainest way."""
    if isinstance(raw, list):
        cells = [
            Dropped("not_text") if isinstance(value, list) else expected(one, value)
            for value in raw
        ]
        return [cell for cell in cells if cell is not None] or None
    if raw is None or raw == "":
        return None
    if isinstance(raw, ExpressionError):
        return Dropped("expression_failed", str(raw))
    return attempt(one, raw)


@each_identifier
@pytest.mark.parametrize("digest", [False, True])
def test_a_column_is_its_values_one_by_one(identifier: Identifier, digest: bool) -> None:
    prehashed = True if digest and identifier.hash != "none" else identifier.prehashed
    one, many = identify(identifier, prehashed=prehashed), column(identifier, prehashed=prehashed)
    plain = (
        st.builds("{}@example.com".format, st.text(max_size=3)) | PHONES | st.integers(0).map(str)
    )

    @given(
        st.lists(RAWS, max_size=6)
        | st.lists(st.none() | st.just("") | plain)
        | st.lists(MESSY, min_size=1)
    )
    @example(["+12025550123", "+442079460123"])
    @example(["1", "\ud800"])
    @example(["null", "ann@example.com"])
    @example(["null", 12, "+1 202 555 0123", None, "", "+44 020 7946 0123", ["a@b.c", "\ud800"]])
    @example(["+1 202 555 0123", sha256(b"x").hexdigest(), "1", "\ud800", " ", "undefined"])
    @FEW
    def law(raws: list[Any]) -> None:
        assert list(many(raws)) == [expected(one, raw) for raw in raws]

    law()


def flat(cells: Any) -> list[str]:
    if isinstance(cells, list):
        return [text for cell in cells for text in flat(cell)]
    return [cells] if isinstance(cells, str) else []


@each_identifier
def test_nothing_and_nobody_is_never_sent(identifier: Identifier) -> None:
    many = column(identifier, prehashed=identifier.prehashed)

    @given(
        st.lists(RAWS, min_size=1, max_size=5)
        | st.lists(st.sampled_from(WORDS).map(lambda w: f" {w} "), min_size=1)
    )
    @FEW
    def law(raws: list[Any]) -> None:
        for text in flat(list(many(raws))):
            assert text
            assert identifier.hash == "none" or text not in BAD
            assert text.lower() not in {word.lower() for word in WORDS}

    law()


HASHED = {name: one for name, one in IDENTIFIERS.items() if one.hash == "sha256"}


@pytest.mark.parametrize("identifier", HASHED.values(), ids=HASHED)
def test_what_is_hashed_is_a_digest_in_lower_case(identifier: Identifier) -> None:
    many = column(identifier, prehashed=identifier.prehashed)

    @given(st.lists(RAWS, min_size=1, max_size=5))
    @FEW
    def law(raws: list[Any]) -> None:
        assert all(HEX64(text) for text in flat(list(many(raws))))

    law()


@given(st.integers(0, 10**40 - 1))
@example(2**53 + 1)
def test_whole_numbers_are_exact(number: int) -> None:
    action = x().actions["add_user_multi"]
    [one] = [one for one in action.identifiers if one.parameter == "twitter_id"]
    assert identify(one, prehashed=False)(number) == sha256(str(number).encode()).hexdigest()
    [partner] = [one for one in action.identifiers if one.parameter == "partner_user_id"]
    assert identify(partner, prehashed=False)(number) == str(number)


REASONS: list[tuple[str, Any, str]] = [
    ("email", "  ", "empty"),
    ("email", True, "not_text"),
    ("email", {"a": 1}, "not_text"),
    ("twitter_id", 1e9, "not_exact"),
    ("twitter_id", 12.0, "not_exact"),
    ("twitter_id", "1e9", "not_integer"),
    ("twitter_id", "-5", "not_integer"),
    ("twitter_id", "١٢٣", "not_integer"),
    ("twitter_id", "1" * 41, "not_integer"),
    ("email", "a\ud800@example.com", "not_unicode"),
    ("partner_user_id", "a\ud800", "not_unicode"),
    ("phone_number", "202 555 0123", "not_e164"),
    ("phone_number", "+1 202 555 0123 ext. 5", "not_e164"),
    ("phone_number", "+999 1", "not_e164"),
    ("email_sha256", "ann@example.com", "not_a_digest"),
    ("email_sha256", "a" * 63, "not_a_digest"),
    ("email_sha256", "g" * 64, "not_a_digest"),
    ("email_sha256", sha256(b"").hexdigest(), "placeholder"),
    ("email_sha256", sha256(b"null").hexdigest().upper(), "placeholder"),
    ("email", "a" * 64, "already_hashed"),
    ("email", " " + sha256(b"x").hexdigest().upper() + "\n", "already_hashed"),
    ("email", " NULL ", "placeholder"),
    ("handle", "@undefined", "placeholder"),
    ("handle", "@", "empty"),
    ("partner_user_id", "n/a", "placeholder"),
    # an id with a digit too few, as a page of X has one
    ("device_id", "2f5f5391-3e45-4d02-b645-4575a08f86e", "not_of_the_form"),
]


@pytest.mark.parametrize(("parameter", "value", "reason"), REASONS)
def test_why_a_value_is_dropped(parameter: str, value: Any, reason: str) -> None:
    [one] = [one for one in x().actions["add_user_multi"].identifiers if one.parameter == parameter]
    assert attempt(identify(one, prehashed=one.prehashed), value) == Dropped(reason)
    assert list(column(one, prehashed=one.prehashed)([value])) == [Dropped(reason)]


GMAIL = ["gmail.com", "googlemail.com"]
STEP_TABLE: list[tuple[str, Any, str, str]] = [
    ("drop_email_tag", GMAIL, "ann+news@gmail.com", "ann@gmail.com"),
    ("drop_email_tag", GMAIL, "ann+a+b@GoogleMail.com", "ann@GoogleMail.com"),
    ("drop_email_tag", GMAIL, "ann+news@example.com", "ann+news@example.com"),
    ("drop_email_tag", GMAIL, "ann+news@notgmail.com", "ann+news@notgmail.com"),
    ("drop_email_tag", GMAIL, "ann@gmail.com", "ann@gmail.com"),
    ("drop_email_tag", GMAIL, "+tag@gmail.com", ""),
    ("drop_email_tag", GMAIL, "@gmail.com", ""),
    ("drop_email_tag", GMAIL, "ann+news", "ann+news"),
    ("drop_email_tag", GMAIL, "", ""),
    ("drop_email_tag", True, "ann+news@example.com", "ann@example.com"),
    ("drop_email_tag", True, "ann.b+news@", "ann.b@"),
    ("drop_email_dots", GMAIL, "a.n.n+x.y@gmail.com", "ann+xy@gmail.com"),
    ("drop_email_dots", GMAIL, "a.nn@sub.gmail.com", "a.nn@sub.gmail.com"),
    ("drop_email_dots", GMAIL, "...@gmail.com", ""),
    ("drop_email_dots", GMAIL, "a.nn", "a.nn"),
    ("drop_email_dots", True, "a.nn@example.com", "ann@example.com"),
    ("remove_punctuation", "", "O'Brien-Smith, Jr.", "OBrienSmith Jr"),
    ("remove_punctuation", "", "St. Gallen (SG) 9000", "St Gallen SG 9000"),
    ("remove_punctuation", "", "«Zoë»¡™€+", "Zoë"),
    ("remove_punctuation", "", "渋谷・東京", "渋谷東京"),
    ("remove_punctuation", "", "-_.", ""),
    ("matches", "[a-z]{2}", "de", "de"),
    ("matches", "[a-z]{2}", "", ""),
    ("matches", "[a-z]+", "", ""),
    ("keep", "([0-9]{5})-[0-9]{4}", "94043-1234", "94043"),
    ("keep", "([0-9]{5})-[0-9]{4}", "94043", "94043"),
    ("keep", "([0-9]{5})-[0-9]{4}", "00-950", "00-950"),
    ("keep", "([0-9]{5})-[0-9]{4}", "94043-1234\n", "94043-1234\n"),
    ("keep", "(.).*", "ann", "a"),
    ("keep", "(x)?y", "y", ""),
    ("translate", {"female": "f"}, "female", "f"),
    ("translate", {"female": "f"}, "Female", "Female"),
    ("translate", {"female": "f"}, "females", "females"),
    ("clean", "", "\ufeff Ann\u200b\u00ad \u202c", "Ann"),
    ("clean", "", " e\u0301\ufe0f\t", "\u00e9"),
    ("clean", "", "a b\tc", "a b\tc"),
    ("remove_whitespace", "", "e \u0301", "\u00e9"),
    ("remove_punctuation", "", "e-\u0301", "\u00e9"),
]


@pytest.mark.parametrize(("name", "argument", "value", "expected"), STEP_TABLE)
def test_what_a_step_makes_of_a_value(name: str, argument: Any, value: str, expected: str) -> None:
    assert STEPS[name].make(argument)(value) == expected


@pytest.mark.parametrize("value", ["deu", "DE", " de", "de\n"])
def test_a_value_of_another_form_is_dropped(value: str) -> None:
    assert attempt(STEPS["matches"].make("[a-z]{2}"), value) == Dropped("not_of_the_form")


@pytest.mark.parametrize("name", ["drop_email_tag", "drop_email_dots"])
@pytest.mark.parametrize("value", ["victim+x@evil@gmail.com", "a.b@c.d@gmail.com", "a@@gmail.com"])
def test_nothing_is_cut_from_what_has_two_ats(name: str, value: str) -> None:
    assert attempt(STEPS[name].make(True), value) == Dropped("not_of_the_form")
    assert attempt(STEPS[name].make(GMAIL), value) == Dropped("not_of_the_form")


@pytest.mark.parametrize("value", ["a\x00", "\x00", "a\x07b", "ü\x9f"])
def test_control_characters_are_dropped(value: str) -> None:
    assert attempt(STEPS["clean"].make(""), value) == Dropped("not_of_the_form")


@pytest.mark.parametrize("value", ["+tag@gmail.com", " ...@gmail.com ", ".+.@GMAIL.com"])
def test_an_address_of_which_nothing_is_left_is_dropped(value: str) -> None:
    assert attempt(identify(IDENTIFIERS["folded"], prehashed=False), value) == Dropped("empty")
    assert list(column(IDENTIFIERS["folded"], prehashed=False)([value, "a.b+c@gmail.com"])) == [
        Dropped("empty"),
        sha256(b"ab@gmail.com").hexdigest(),
    ]


VECTORS: list[tuple[str, str, list[Any]]] = [
    ("handle", "49e0be2aeccfb51a8dee4c945c8a70a9ac500cf6f5cb08112575f74db9b1470d", ["@AdsAPI", "adsapi", " @ADSAPI\n", "@ AdsAPI", "@@adsapi"]),
    ("handle", "7352f353c460e74c7ae226952d04f8aa307b12329c5512ec8cb6f1a0f8f9b2cb", ["twitter", "@Twitter", "\tTWITTER "]),
    ("email", "4798b8bbdcf6f2a52e527f46a3d7a7c9aefb541afda03af79c74809ecc6376f3", ["abc@twitter.com", " ABC@Twitter.com ", "abc@twitter.com\n"]),
    ("email", "5bf13d5ad4200407c5bc8b9bb578e425d05ef936fd488e3799a9d0806669223c", ["edf@twitter.com", "\u00a0Edf@TWITTER.COM"]),
    ("email", "d360d510a224510f373931ce2d6215a799f5a9c1cef221b0149b6b6b50cced62", ["test@twitter.com", "Test@Twitter.Com"]),
    ("phone_number", "1fa6b8d986d9b9cd01bf36951815158bbde9f520c0567c835dfe34783d0a4231", ["+11234567890", "+1 123-456-7890", "+1 (123) 456.7890", " +1 123 456 7890 "]),
    ("twitter_id", "c623c7e163984493b46c547088542e95d0aaa529bc52bbecce3ff91eb6b7843b", ["123346", 123346, " 123346 ", "000123346"]),
    # values that X shows without a digest
    ("device_id", "225859d35b46df63b4fb381eb3f815b2ef4620bec0a79f2115a6a3eb71a5fa1a", ["4b61639e-47cc-4056-a16a-c8217e029462", "4B61639E-47CC-4056-A16A-C8217E029462"]),
    ("device_id", "38bb33cb239524887c276ca99f9a077bc7161629804b914f4fd52e19dcffe92c", ["af3802a465767e36", "AF3802A465767E36"]),
    ("email", "6afb3b8ba60b4050a492472f3c82294dede1ecc6319a9c420f776fd3bca2a381", ["support@x.com"]),
    ("email", "c934839719cef7e670281f3a3e281dfb93f0f4b4f0519d8df09a993971227d9e", [" TestEmail_Organisational_Baseball+884@It92I6Ev2B.\u200bCom"]),
    ("handle", "31611159e7e6ff7843ea4627745e89225fc866621cfcfdbd40871af4413747cc", ["jack"]),
    ("twitter_id", "617b8747525a154b1ecf75a42d883df00e0dd6d0f981bea57ac7bdce73e57eae", ["143567"]),
]  # fmt: skip
SPELLED = [
    (wire, spelling, digest) for wire, digest, spellings in VECTORS for spelling in spellings
]


@pytest.mark.parametrize(
    "action", ["add_user", "add_user_multi", "remove_user", "remove_user_multi"]
)
@pytest.mark.parametrize(("wire", "spelling", "digest"), SPELLED)
def test_the_vendors_vectors(action: str, wire: str, spelling: Any, digest: str) -> None:
    route = {
        "action": action,
        "map": {"custom_audience_id": {"value": "1nmth"}, wire: {"from": "it"}},
    }
    [found] = Pipeline(connection([route])).prepare([Event(1, {"it": spelling})], NOW)
    assert isinstance(found, Record)
    assert (found.wires, found.ids) == ((wire,), (digest,))
    assert found.item == b'{"%s":["%s"]}' % (wire.encode(), digest.encode())


def _examples() -> list[Any]:
    kinds = [phonenumbers.PhoneNumberType.FIXED_LINE, phonenumbers.PhoneNumberType.MOBILE]
    pairs = ((region, kind) for region in sorted(phonenumbers.SUPPORTED_REGIONS) for kind in kinds)
    found = (phonenumbers.example_number_for_type(region, kind) for region, kind in pairs)
    return [number for number in found if number is not None]


def test_spaced_and_dashed_numbers_of_all_countries_become_what_the_parser_makes_of_them() -> None:
    form = phonenumbers.PhoneNumberFormat
    numbers = _examples()
    assert len(numbers) > 400
    for number in numbers:
        wanted = phonenumbers.format_number(number, form.E164)
        international = phonenumbers.format_number(number, form.INTERNATIONAL)
        for separator in (" ", "-", ".", "\u00a0", "/", "  "):
            spelled = international.replace(" ", separator).replace("-", separator)
            parsed = phonenumbers.format_number(phonenumbers.parse(spelled, None), form.E164)
            assert (e164(spelled), parsed) == (wanted, wanted), spelled
            assert e164_many([spelled, wanted]) == [wanted, wanted], spelled
        code, rest = f"+{number.country_code}", phonenumbers.national_significant_number(number)
        assert e164(f"({code}) {rest}") == e164(f"{code}{rest}") == wanted


TRUNK = [
    ("+44 (0)20 7946 0123", "+442079460123"),
    ("+44 020 7946 0123", "+442079460123"),
    ("+49 (0) 30 901820", "+4930901820"),
    ("+39 06 6982", "+39066982"),  # in Italy the zero belongs to the number
]


@pytest.mark.parametrize(("spelled", "expected"), TRUNK)
def test_a_trunk_zero_is_no_part_of_the_number(spelled: str, expected: str) -> None:
    assert e164(spelled) == expected
