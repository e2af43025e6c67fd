"""Email addresses: what is read as one, what is refused, and why."""

from __future__ import annotations

import time

import pytest

from connector.pipeline.dropped import DroppedError
from connector.pipeline.emails import email, email_many

READ: list[tuple[str, str]] = [
    ("ann@example.com", "ann@example.com"),
    (" Ann@Example.COM\t\n", "ann@example.com"),
    ("\u00a0ann@example.com\u3000", "ann@example.com"),
    # quotes and mailto: around it
    ("'ann@example.com'", "ann@example.com"),
    ('" ann@example.com "', "ann@example.com"),
    ("\u201eann@example.com\u201c", "ann@example.com"),
    ("\u00abann@example.com\u00bb", "ann@example.com"),
    ("\"'ann@example.com'\"", "ann@example.com"),
    ("mailto:ann@example.com", "ann@example.com"),
    ("'MAILTO:Ann@example.com'", "ann@example.com"),
    # invisible marks
    ("a\u200bnn@exam\u00adple.com", "ann@example.com"),
    ("\u202aann@example.com\u202c", "ann@example.com"),
    ("\ufeffann@example.com", "ann@example.com"),
    ("ann\ufe0f@example.com", "ann@example.com"),
    # one letter, several spellings
    ("re\u0301ne\u0301@example.com", "r\u00e9n\u00e9@example.com"),
    ("R\u00c9N\u00c9@example.com", "r\u00e9n\u00e9@example.com"),
    ("\uff41\uff4e\uff4e\uff20\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45\uff0e\uff43\uff4f\uff4d", "ann@example.com"),
    ("\u212aate@example.com", "kate@example.com"),
    # what is inside stays
    ("O'Brien@example.com", "o'brien@example.com"),
    ("a.b+tag_x-y@example.com", "a.b+tag_x-y@example.com"),
    ("{ann}/b!c#d$e%f&g*h=i?j^k|l~m@example.com", "{ann}/b!c#d$e%f&g*h=i?j^k|l~m@example.com"),
    ("ann..b@docomo.ne.jp", "ann..b@docomo.ne.jp"),
    ("ann.@docomo.ne.jp", "ann.@docomo.ne.jp"),
    ("a@mail.my-shop.co.uk", "a@mail.my-shop.co.uk"),
    ("1@2.de", "1@2.de"),
    ("a" * 64 + "@example.com", "a" * 64 + "@example.com"),
    # no IDNA conversion
    ("ann@M\u00fcnchen.de", "ann@m\u00fcnchen.de"),
    ("ann@xn--mnchen-3ya.de", "ann@xn--mnchen-3ya.de"),
    ("\u0938\u0902\u092a\u0930\u094d\u0915@\u0921\u093e\u091f\u093e\u092e\u0947\u0932.\u092d\u093e\u0930\u0924",) * 2,
    ("ann@example.xn--p1ai", "ann@example.xn--p1ai"),
]  # fmt: skip

REFUSED: list[tuple[str, str]] = [
    ("foo", "not_of_the_form"),
    ("@", "not_of_the_form"),
    ("foo(at)example.com", "not_of_the_form"),
    ("ann@", "not_of_the_form"),
    ("@example.com", "not_of_the_form"),
    # several, or one and more
    ("user5@example.com,", "not_of_the_form"),
    ("a@example.com; b@example.com", "not_of_the_form"),
    ("a@example.com\nb@example.com", "not_of_the_form"),
    ("victim+x@evil@gmail.com", "not_of_the_form"),
    ("a@@example.com", "not_of_the_form"),
    ("User5 <user5@example.com>", "not_of_the_form"),
    ("<user5@example.com>", "not_of_the_form"),
    ("user5@example.com (work)", "not_of_the_form"),
    ("mailto:ann@example.com?subject=x", "not_of_the_form"),
    ("mailto:ann%2Bx@example.com", "not_of_the_form"),
    ("mailto:mailto:ann@example.com", "not_of_the_form"),
    # white space inside
    ("ann smith@example.com", "not_of_the_form"),
    ("ann@exa\tmple.com", "not_of_the_form"),
    ("ann@example\u00a0.com", "not_of_the_form"),
    # quotes that are not around it
    ("'ann@example.com", "not_of_the_form"),
    ("ann@example.com'", "not_of_the_form"),
    ("\u201cann@example.com", "not_of_the_form"),
    ('"ann"@example.com', "not_of_the_form"),
    ('"ann smith"@example.com', "not_of_the_form"),
    # domains
    ("ann@example", "not_of_the_form"),
    ("ann@localhost", "not_of_the_form"),
    ("ann@example.com.", "not_of_the_form"),
    ("ann@.example.com", "not_of_the_form"),
    ("ann@example..com", "not_of_the_form"),
    ("ann@-example.com", "not_of_the_form"),
    ("ann@example-.com", "not_of_the_form"),
    ("ann@exa_mple.com", "not_of_the_form"),
    ("ann@192.0.2.1", "not_of_the_form"),
    ("ann@[192.0.2.1]", "not_of_the_form"),
    ("ann@example.c", "not_of_the_form"),
    ("ann@example\u3002com", "not_of_the_form"),
    # what stands before the @
    (".ann@example.com", "not_of_the_form"),
    ("...@example.com", "not_of_the_form"),
    ("a" * 65 + "@example.com", "not_of_the_form"),
    ("a@" + "b" * 250 + ".com", "not_of_the_form"),
    # what is no letter
    ("ann@example.com\x00", "not_of_the_form"),
    ("\x00", "not_of_the_form"),
    ("a\x07nn@example.com", "not_of_the_form"),
    ("ann\u20ac@example.com", "not_of_the_form"),
    ("ann@example.com\u2026", "not_of_the_form"),
    ("=\u0338@example.com", "not_of_the_form"),
    ("ann@\u0301example.com", "not_of_the_form"),
    ("a\ud800@example.com", "not_unicode"),
    # no value
    ("-", "placeholder"),
    (" NULL ", "placeholder"),
    (r"\N", "placeholder"),
    ("#N/A", "placeholder"),
    ("'null'", "placeholder"),
]


@pytest.mark.parametrize(("written", "expected"), READ)
def test_an_address(written: str, expected: str) -> None:
    assert email(written) == email(expected) == expected
    assert email_many([written, "ann@example.com", written]) == [
        expected,
        "ann@example.com",
        expected,
    ]


@pytest.mark.parametrize(("written", "reason"), REFUSED)
def test_what_is_no_address(written: str, reason: str) -> None:
    with pytest.raises(DroppedError) as caught:
        email(written)
    assert caught.value.reason == reason
    assert email_many(["Ann@example.com ", written]) == ["ann@example.com", ""]


def test_nothing_is_empty() -> None:
    assert email("  ") == email("") == email("\u200b") == ""
    assert email_many([]) == []


@pytest.mark.parametrize(
    "text", ["a" * 300_000, "a-" * 150_000 + "@x.de", "a@" + "b-" * 150_000, "\u00e9." * 150_000]
)
def test_a_long_text_is_refused_soon(text: str) -> None:
    start = time.process_time()
    with pytest.raises(DroppedError):
        email(text)
    assert email_many([text]) == [""]
    assert time.process_time() - start < 2
