"""What people's data holds instead of identifiers is sent by no destination, and one person is one value."""

from __future__ import annotations

from functools import cache

import pytest

from connector.definitions.catalog import Catalog
from connector.pipeline.dropped import REASONS
from tests.kit import ROOT
from tests.kit.junk import KINDS, page, table

#: Google documents no rule about capitals in mobile ids, so they stay.
ANOTHER_VALUE = {
    ("advertising_id", ascii(" 4B61639E-47CC-4056-A16A-C8217E029462\n"), "google_customer_match")
}
TAKE_NONE = {
    "phone": {"iterable_lists", "linkedin_audiences", "microsoft_customer_lists"},
    "national_phone": {"iterable_lists", "linkedin_audiences", "microsoft_customer_lists"},
    "advertising_id": {"braze_audiences", "iterable_lists", "microsoft_customer_lists"},
    "external_id": {"linkedin_audiences", "snapchat_audiences", "tiktok_audiences"},
}

found = cache(table)


@pytest.mark.parametrize("kind", KINDS)
def test_every_destination_that_takes_a_kind_is_tried(kind: str) -> None:
    tried = set(next(iter(found(kind).values())))
    assert tried == set(Catalog(()).ids()) - TAKE_NONE.get(kind, set())


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_it_is_sent(kind: str) -> None:
    for value in KINDS[kind].junk:
        for destination, outcome in found(kind)[ascii(value)].items():
            assert outcome in REASONS, (ascii(value), destination)


@pytest.mark.parametrize("kind", KINDS)
def test_one_person_is_one_value(kind: str) -> None:
    usual = found(kind)[ascii(KINDS[kind].spelled[0])]
    assert not set(usual.values()) & REASONS.keys()
    for value in KINDS[kind].spelled:
        for destination, outcome in found(kind)[ascii(value)].items():
            is_usual = (kind, ascii(value), destination) not in ANOTHER_VALUE
            assert (outcome == usual[destination]) == is_usual, (ascii(value), destination)


def test_the_page_shows_what_happens() -> None:
    assert (ROOT / "docs" / "junk.md").read_text("utf-8") == page(), (
        "python -m tests.kit.junk > docs/junk.md"
    )
